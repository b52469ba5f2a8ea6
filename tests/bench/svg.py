"""Drawing on a transparent ground, in colours that read on white as on black."""

import pathlib
from xml.sax.saxutils import escape

INK = "#7b8494"
FAINT = "#7b849455"
BLUE = "#2f81f7"
ORANGE = "#e8710a"
GREEN = "#2da44e"
PURPLE = "#a558d6"


class Drawing:
    def __init__(self, width, height, title):
        self._size = width, height
        self._title = title
        self._elements = []

    def add(self, tag, content="", **attributes):
        listed = "".join(f' {key.replace("_", "-")}="{escape(str(value), {chr(34): "&quot;"})}"'
                         for key, value in attributes.items())
        self._elements.append(f"<{tag}{listed}>{content}</{tag}>")

    def text(self, x, y, text, size=13, fill=INK, anchor="start", weight="normal"):
        self.add("text", escape(text), x=x, y=y, font_size=size, fill=fill, text_anchor=anchor,
                 font_weight=weight)

    def rect(self, x, y, width, height, **attributes):
        self.add("rect", x=x, y=y, width=width, height=height, **attributes)

    def line(self, x1, y1, x2, y2, stroke=INK, width=1, **attributes):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width,
                 **attributes)

    def arrow(self, x1, y, x2):
        """To the right."""
        self.line(x1, y, x2 - 6, y, width=1.5)
        self.add("path", d=f"M{x2 - 8} {y - 4.5} L{x2} {y} L{x2 - 8} {y + 4.5} Z", fill=INK)

    def save(self, path):
        width, height = self._size
        body = "\n".join(self._elements)
        pathlib.Path(path).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" '
            f'font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
            f"<title>{escape(self._title)}</title>\n{body}\n</svg>\n")
