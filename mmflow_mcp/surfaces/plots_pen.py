"""What plots in a terminal are drawn with: bars, shades, dots and lines of plain characters."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_WIDTH = 60
# Every letter that a pen with Unicode may draw: a terminal must have them all.
LETTERS = "░▒▓█▌▐│─●·⠁⣿"
_SHADES = {True: "░▒▓█", False: ".:+#"}
# 256-colour orange and blue: far apart for every kind of sight, and the sign is in the text too.
_WARM, _COLD, _PLAIN = "\x1b[38;5;208m", "\x1b[38;5;39m", "\x1b[0m"
# The bit of each dot of a braille letter, by row and column.
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Pen:
    """How wide to draw, with which letters, and whether in colour."""

    width: int = 80
    unicode: bool = True
    colour: bool = False

    def paint(self, text: str, value: float) -> str:
        """The text in the colour of the value's sign: orange above zero, blue below."""
        if not self.colour or not value or not text.strip():
            return text
        return f"{_WARM if value > 0 else _COLD}{text}{_PLAIN}"

    def letter(self, fine: str, plain: str) -> str:
        """One of two letters for the same thing."""
        return fine if self.unicode else plain

    def shade(self, share: float) -> str:
        """A letter as dark as a share of 0..1 is large."""
        shades = _SHADES[self.unicode]
        return shades[min(len(shades) - 1, max(0, math.ceil(share * len(shades)) - 1))]

    def wrapped(self, text: str, indent: str = "") -> list[str]:
        """Words in lines no wider than the pen."""
        return textwrap.wrap(text, self.width, initial_indent=indent, subsequent_indent=indent)

    def bar(self, value: float, low: float, high: float, width: int) -> str:
        """A bar from zero on a scale that holds zero, the axis drawn; `width` letters in all.

        Lengths are proportional to the value, to half a letter (a whole one without Unicode).
        """
        axis = round(-low / (high - low) * (width - 1)) if high > low else 0
        # One unit for both sides: the longer side must fit.
        unit = min(
            axis / -low if low < 0 else math.inf,
            (width - 1 - axis) / high if high > 0 else math.inf,
        )
        long = abs(value) * unit if math.isfinite(unit) else 0.0
        whole, half = divmod(round(long * 2), 2) if self.unicode else (round(long), 0)
        full = self.letter("█", "#")
        if value < 0:
            text = "▐" * half + full * whole
            left, right = text.rjust(axis), " " * (width - 1 - axis)
        else:
            text = full * whole + "▌" * half
            left, right = " " * axis, text.ljust(width - 1 - axis)
        zero = self.letter("│", "|")
        return self.paint(left, value) + zero + self.paint(right, value)

    def dot(self, value: float, low: float, high: float, width: int) -> str:
        """A dot at its place on a scale."""
        at = round((value - low) / (high - low) * (width - 1)) if high > low else 0
        empty = self.letter("·", ".")
        return empty * at + self.letter("●", "o") + empty * (width - 1 - at)

    def lines(
        self,
        stretches: Sequence[Sequence[tuple[float, float]]],
        span: tuple[float, float],
        scale: tuple[float, float],
        size: tuple[int, int],
    ) -> list[str]:
        """Lines through points (x, y) in `size` letters: width, rows; none crosses a stretch."""
        width, rows = size
        fine_x, fine_y = (2, 4) if self.unicode else (1, 1)
        wide, tall = width * fine_x - 1, rows * fine_y - 1

        def place(point: tuple[float, float]) -> tuple[float, float]:
            x = (point[0] - span[0]) / ((span[1] - span[0]) or 1) * wide
            part = (point[1] - scale[0]) / (scale[1] - scale[0]) if scale[1] > scale[0] else 0.5
            return x, (1 - part) * tall

        dots: set[tuple[int, int]] = set()
        for stretch in stretches:
            spots = [place(point) for point in stretch]
            for a, b in zip(spots, spots[1:] or spots, strict=False):
                steps = max(1, math.ceil(max(abs(b[0] - a[0]), abs(b[1] - a[1]))))
                for i in range(steps + 1):
                    x, y = (p + (q - p) * i / steps for p, q in zip(a, b, strict=True))
                    dots.add((round(x), round(y)))
        return [self._row(dots, row, width) for row in range(rows)]

    def _row(self, dots: set[tuple[int, int]], row: int, width: int) -> str:
        if not self.unicode:
            return "".join("*" if (x, row) in dots else " " for x in range(width))
        letters = []
        for column in range(width):
            bits = sum(
                bit
                for dy, pair in enumerate(_BRAILLE)
                for dx, bit in enumerate(pair)
                if (column * 2 + dx, row * 4 + dy) in dots
            )
            letters.append(chr(0x2800 + bits) if bits else " ")
        return "".join(letters)
