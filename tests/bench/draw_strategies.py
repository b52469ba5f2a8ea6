#!/usr/bin/env python3
"""Draws the pictures of docs/performance.md: phase_conv.svg and overlap_add.svg.

    tests/bench/draw_strategies.py docs/images
"""

import pathlib
import sys

from svg import BLUE, GREEN, INK, ORANGE, PURPLE, Drawing

COLOURS = [BLUE, ORANGE, GREEN, PURPLE]


def cell(drawing, x, y, size, colour=None, label=""):
    style = dict(stroke=colour or INK, stroke_width=1.2, rx=2)
    drawing.rect(x + 1, y + 1, size - 2, size - 2, fill=colour or "none",
                 fill_opacity=0.3 if colour else 0, **style)
    if label:
        drawing.text(x + size / 2, y + size / 2 + 4.5, label, anchor="middle", size=12)


def grid(drawing, x, y, size, rows, columns, colour_of=lambda row, column: None):
    for row in range(rows):
        for column in range(columns):
            cell(drawing, x + column * size, y + row * size, size, colour_of(row, column))


def draw_phases():
    """Kernel 4x4, stride 2, `same`, on an input of 3x3."""
    size = 20
    drawing = Drawing(830, 350, "A transposed convolution as four dense convolutions")

    def phase_of(row, column):
        return COLOURS[row % 2 * 2 + column % 2]

    middle = 190
    drawing.text(15, 26, "kernel 4×4, stride 2", weight="bold")
    grid(drawing, 15, middle - 2 * size, size, 4, 4, phase_of)
    drawing.text(15, middle + 3 * size, "taps two apart meet", size=12)
    drawing.text(15, middle + 3 * size + 16, "the same outputs", size=12)
    drawing.arrow(108, middle, 178)

    drawing.text(200, 26, "four dense convolutions, stride 1", weight="bold")
    for phase, colour in enumerate(COLOURS):
        y = 44 + 76 * phase
        centre = y + 1.5 * size
        grid(drawing, 202, y + size / 2, size, 2, 2, lambda row, column: colour)
        drawing.text(260, centre + 6, "∗", size=20, anchor="middle")
        grid(drawing, 278, y, size, 3, 3)
        drawing.text(308, y + 3 * size + 11, "input", size=10, anchor="middle")
        drawing.text(359, centre + 5, "=", size=18, anchor="middle")
        grid(drawing, 380, y, size, 3, 3, lambda row, column: colour)
    drawing.text(458, middle - 28, "scratch", size=12)
    drawing.text(458, middle - 12, "in the cache", size=12)
    drawing.arrow(456, middle, 566)
    drawing.text(458, middle + 22, "+ bias, activation", size=12)

    drawing.text(590, 26, "woven into the output", weight="bold")
    size = 34
    # `same` cuts one position off the front: the first output is the last phase.
    grid(drawing, 590, middle - 3 * size, size, 6, 6,
         lambda row, column: phase_of(row + 1, column + 1))
    drawing.text(590, middle + 3 * size + 22, "each position is written once", size=12)
    return drawing


def draw_overlap_add():
    """Kernel 4, stride 2, `same`: output 2p + phase is summed from input p - shift."""
    size = 38
    letters = "abcde"
    drawing = Drawing(830, 400, "A transposed convolution as a matrix product and shifted sums")

    def row_of(x, y, colour, labels):
        for index, label in enumerate(labels):
            cell(drawing, x + index * size, y, size, colour, label)

    def products(tap):
        return [f"{letter}{tap}" for letter in letters]

    colour_of_tap = [ORANGE, BLUE, ORANGE, BLUE]
    top = 70
    drawing.text(15, 26, "one matrix product for a tile", weight="bold")
    drawing.text(24, top - 12, "kernel", size=12)
    for tap, colour in enumerate(colour_of_tap):
        cell(drawing, 15, top + tap * size, size, colour, f"tap {tap}"[-1])
    drawing.text(70, top + 2 * size + 6, "×", size=20, anchor="middle")
    row_of(90, top + 1.5 * size, None, letters)
    drawing.text(90, top + 1.5 * size - 8, "input row, every pixel IC long", size=12)
    drawing.text(300, top + 2 * size + 6, "=", size=20, anchor="middle")
    drawing.text(325, top - 12, "products, a row for each tap and filter", size=12)
    drawing.text(540, top + 0.5 * size + 5, "a0 is pixel a times tap 0;", size=12)
    drawing.text(540, top + 0.5 * size + 21, "no zero is multiplied", size=12)
    for tap, colour in enumerate(colour_of_tap):
        row_of(325, top + tap * size, colour, products(tap))

    drawing.text(15, 276, "then shifted rows are summed", weight="bold")

    def summed(x, colour, name, straight, shifted, shift):
        drawing.text(x, 304, name, size=12)
        row_of(x, 312, colour, products(straight))
        # Products that are shifted out of the row reach no output.
        for index, label in enumerate(products(shifted)):
            if 0 <= index + shift < len(letters):
                cell(drawing, x + (index + shift) * size, 312 + size, size, colour, label)
        drawing.text(x - 14, 312 + size + 6, "+", size=18, anchor="middle")

    summed(38, BLUE, "even outputs", 1, 3, 1)
    summed(278, ORANGE, "odd outputs", 2, 0, -1)
    drawing.arrow(482, 312 + size, 528)
    drawing.text(542, 304, "output row: interleaved, + bias, activation", size=12)
    small = 27
    for index in range(10):
        cell(drawing, 542 + index * small, 312 + size - small / 2, small,
             [BLUE, ORANGE][index % 2])
    return drawing


def main():
    folder = pathlib.Path(sys.argv[1])
    draw_phases().save(folder / "phase_conv.svg")
    draw_overlap_add().save(folder / "overlap_add.svg")


if __name__ == "__main__":
    main()
