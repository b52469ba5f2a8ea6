#!/usr/bin/env python3
"""Draws per cent of the practical peak, case by case, from what forward_bench measured.

    forward_bench --benchmark_out=forward.json ...
    tests/bench/plot.py forward.json --peers peers.json --out docs/images/performance.svg

A dot for the planned strategy, marks for oneDNN's own deconvolution and for the peers. Hatched is what
nobody can reach, because reading the weights, or the input and writing the output, takes longer even if
computing cost nothing.
"""

import argparse
import collections
import json
import pathlib
import statistics

from svg import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, Drawing

LABEL_WIDTH = 150
PLOT_WIDTH = 620
ROW_HEIGHT = 21
TOP = 64
PEER_COLOURS = [GREEN, PURPLE]


class Measurements:
    """Medians of a forward_bench run, for one number of threads."""

    def __init__(self, path, threads):
        times = collections.defaultdict(list)
        self._operations = {}  # 1e6 of them
        for run in json.loads(path.read_text())["benchmarks"]:
            if run["run_type"] != "iteration" or run.get("error_occurred"):
                continue
            case, run_threads, who = run["name"].split("/")[:3]
            if int(run_threads) != threads:
                continue
            times[case, who].append(run["real_time"])
            if "GFLOP/s" in run:
                self._operations[case] = run["GFLOP/s"] * run["real_time"]
        self._times = {key: statistics.median(values) for key, values in times.items()}
        cases = [case for case, who in self._times if who == "planned"]
        # The run may have been in random order. Other layouts and types come last.
        self.cases = sorted(cases, key=lambda case: (
            case.startswith(("first_", "bf16_")), case.startswith("bf16_"),
            -self.percent(case, self.time(case, "planned"))))

    def time(self, case, who):
        return self._times.get((case, who))

    def percent(self, case, milliseconds):
        """Of the peak of the type that the case multiplies."""
        if milliseconds is None:
            return None
        dtypes = ["float32", "bfloat16"] if case.startswith("bf16_") else ["float32"]
        peak = max(self._operations["peak"] / self._times["peak", dtype] for dtype in dtypes)
        return 100 * self._operations[case] / milliseconds / peak

    def memory_limit(self, case):
        limits = [self.time(case, who) for who in ("weights", "memory")]
        slowest = max((limit for limit in limits if limit is not None), default=None)
        return self.percent(case, slowest)


def read_peers(path, threads):
    """{peer: {case: milliseconds}}"""
    if path is None:
        return {}
    document = json.loads(path.read_text())
    if document["threads"] != threads:
        raise SystemExit(f"{path} was measured with {document['threads']} threads, not {threads}")
    peers = collections.defaultdict(dict)
    for row in document["rows"]:
        for name, milliseconds in row["best"].items():
            if name not in ("tconv", "oneDNN"):
                peers[name][row["row"]] = milliseconds
    return dict(sorted(peers.items()))


def draw(measured, peers, threads):
    largest = 120
    on_threads = f"of the practical peak, {threads} thread{'s' if threads > 1 else ''}"
    height = TOP + ROW_HEIGHT * len(measured.cases) + 34
    drawing = Drawing(LABEL_WIDTH + PLOT_WIDTH + 30, height, f"Per cent {on_threads}")

    def x(percent):
        return LABEL_WIDTH + PLOT_WIDTH * min(percent, largest) / largest

    def square(percent, y, colour):
        drawing.rect(x(percent) - 4, y - 4, 8, 8, fill="none", stroke=colour, stroke_width=2)

    def triangle(percent, y, colour):
        drawing.add("path", d=f"M{x(percent):.1f} {y - 5} l5 9 h-10 Z", fill=colour,
                    fill_opacity=0.85)

    def dot(percent, y, colour):
        drawing.add("circle", cx=f"{x(percent):.1f}", cy=y, r=5.5, fill=colour)

    drawing.add("pattern", f'<path d="M0 6 L6 0" stroke="{INK}" stroke-width="1"/>', id="hatch",
                width=6, height=6, patternUnits="userSpaceOnUse")

    series = [("tconv", BLUE, dot), ("oneDNN's deconvolution", ORANGE, square)]
    series += [(name, colour, triangle) for name, colour in zip(peers, PEER_COLOURS)]
    legend_x = LABEL_WIDTH
    for name, colour, mark in series:
        mark(100 * (legend_x - LABEL_WIDTH + 6) / PLOT_WIDTH * largest / 100, 16, colour)
        drawing.text(legend_x + 18, 20, name)
        legend_x += 40 + 7.2 * len(name)

    bottom = height - 34
    for percent in range(0, largest + 1, 20):
        drawing.line(x(percent), TOP - 14, x(percent), bottom, stroke=FAINT,
                     width=2 if percent == 100 else 1)
        drawing.text(x(percent), TOP - 20, f"{percent} %", anchor="middle", size=12)
    drawing.text(x(0), height - 10, f"{on_threads}; to the right is faster", size=12)
    drawing.rect(x(70), height - 21, 22, 14, fill="url(#hatch)")
    drawing.text(x(70) + 30, height - 10, "faster than memory", size=12)

    for index, case in enumerate(measured.cases):
        y = TOP + ROW_HEIGHT * index + ROW_HEIGHT / 2
        drawing.text(LABEL_WIDTH - 12, y + 4, case, anchor="end")
        if (limit := measured.memory_limit(case)) is not None:
            drawing.rect(x(limit), y - 7, x(largest) - x(limit), 14, fill="url(#hatch)")
        marks = [(measured.percent(case, measured.time(case, "baseline")), ORANGE, square)]
        marks += [(measured.percent(case, times.get(case)), colour, triangle)
                  for times, colour in zip(peers.values(), PEER_COLOURS)]
        planned = measured.percent(case, measured.time(case, "planned"))
        drawing.line(x(0), y, x(planned), y, stroke=FAINT)
        marks.append((planned, BLUE, dot))
        for percent, colour, mark in marks:
            if percent is not None:
                mark(percent, y, colour)
    return drawing


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forward", type=pathlib.Path, help="JSON of forward_bench")
    parser.add_argument("--peers", type=pathlib.Path, help="JSON of peers/compare")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    measured = Measurements(arguments.forward, arguments.threads)
    peers = read_peers(arguments.peers, arguments.threads)
    draw(measured, peers, arguments.threads).save(arguments.out)


if __name__ == "__main__":
    main()
