"""The icon: drawn once as rounded rectangles, written as SVG (for clients) and PNG (for bundles).

`python -m mmflow_mcp.surfaces.icon` writes icon.svg and icon.png beside this file.
"""

import base64
import math
import struct
import sys
import zlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

# The drawing is so many units wide and high.
UNITS = 64
PIXELS = 512
# Rows within a pixel that are averaged; across, coverage is exact.
_SUB = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """A rounded rectangle in units, from the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    colour: str

    def span(self, y: float) -> tuple[float, float] | None:
        """From where to where it is covered at a height; None outside."""
        if not self.y <= y < self.y + self.height:
            return None
        depth = min(y - self.y, self.y + self.height - y)
        inset = 0.0
        if depth < self.radius:
            inset = self.radius - math.sqrt(self.radius**2 - (self.radius - depth) ** 2)
        return self.x + inset, self.x + self.width - inset


# Flows above and below a line: bought in green, sold in orange.
BARS = (
    Bar(0, 0, 64, 64, 14, "#10243e"),
    Bar(10, 31, 44, 2, 1, "#5d7796"),
    Bar(11, 20, 6, 10, 3, "#2fbf8f"),
    Bar(20, 34, 6, 9, 3, "#f2914a"),
    Bar(29, 10, 6, 20, 3, "#2fbf8f"),
    Bar(38, 34, 6, 19, 3, "#f2914a"),
    Bar(47, 15, 6, 15, 3, "#2fbf8f"),
)


def svg() -> str:
    """The drawing as SVG."""
    shapes = "".join(
        f'<rect x="{b.x}" y="{b.y}" width="{b.width}" height="{b.height}" rx="{b.radius}"'
        f' fill="{b.colour}"/>'
        for b in BARS
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {UNITS} {UNITS}">{shapes}</svg>\n'


def png(pixels: int = PIXELS) -> bytes:
    """The drawing as a PNG with transparency, so many pixels wide and high."""
    rows = b"".join(b"\0" + _row(y, pixels) for y in range(pixels))
    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(rows, 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _row(y: int, pixels: int) -> bytes:
    """One row of RGBA: each bar over the ones before it."""
    scale = UNITS / pixels
    colours = [(0.0, 0.0, 0.0, 0.0)] * pixels
    for bar in BARS:
        rgb = [int(bar.colour[i : i + 2], 16) for i in (1, 3, 5)]
        for x, share in enumerate(_cover(bar, y, pixels, scale)):
            if share > 0:
                *under, alpha = colours[x]
                over = share + alpha * (1 - share)
                mixed = [
                    (c * share + u * alpha * (1 - share)) / over
                    for c, u in zip(rgb, under, strict=True)
                ]
                colours[x] = (mixed[0], mixed[1], mixed[2], over)
    return bytes(
        round(v) for *rgb, alpha in colours for v in (*rgb, alpha * 255)
    )  # fmt: skip


def _cover(bar: Bar, y: int, pixels: int, scale: float) -> list[float]:
    """Which share of each pixel of a row a bar covers."""
    shares = [0.0] * pixels
    for sub in range(_SUB):
        span = bar.span((y + (sub + 0.5) / _SUB) * scale)
        if span is None:
            continue
        start, end = span[0] / scale, span[1] / scale
        for x in range(int(start), min(pixels, math.ceil(end))):
            shares[x] += (min(end, x + 1) - max(start, x)) / _SUB
    return shares


def data_uri() -> str:
    """The icon as a client is told it: no request is needed to show it."""
    held = files("mmflow_mcp.surfaces").joinpath("icon.svg").read_bytes()
    return "data:image/svg+xml;base64," + base64.b64encode(held).decode()


def main() -> None:
    """Write both files."""
    folder = Path(__file__).parent
    (folder / "icon.svg").write_text(svg(), "utf-8")
    (folder / "icon.png").write_bytes(png())
    sys.stdout.write(f"icon.svg and icon.png in {folder.name}\n")


if __name__ == "__main__":
    main()
