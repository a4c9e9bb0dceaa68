"""Draws `icon.png`, the bundle's icon: `python tests/drawing.py` writes it anew.

A dark tile with three candles of rising price; drawn from distances, so that edges are smooth.
"""

import struct
import zlib
from pathlib import Path

SIDE = 512
NIGHT, GREEN, AMBER, SNOW = (15, 23, 42), (52, 211, 153), (251, 191, 36), (226, 232, 240)
# Candles: middle, top and bottom of the wick, top and bottom of the body, colour.
CANDLES = (
    (144, 232, 424, 280, 384, AMBER),
    (256, 152, 352, 192, 312, GREEN),
    (368, 80, 288, 112, 240, GREEN),
)
Shape = tuple[float, float, float, float, float, tuple[int, int, int]]


def shapes() -> list[Shape]:
    """Rounded boxes from back to front: middle, half sizes, radius, colour."""
    drawn: list[Shape] = [(256, 256, 256, 256, 112, NIGHT)]
    for x, high, low, top, bottom, colour in CANDLES:
        drawn.append((x, (high + low) / 2, 7, (low - high) / 2, 7, SNOW))
        drawn.append((x, (top + bottom) / 2, 36, (bottom - top) / 2, 14, colour))
    return drawn


def outside(x: float, y: float, shape: Shape) -> float:
    """Distance from the edge of a rounded box, negative inside."""
    middle_x, middle_y, half_x, half_y, radius, _ = shape
    dx = abs(x - middle_x) - half_x + radius
    dy = abs(y - middle_y) - half_y + radius
    beyond = (max(dx, 0.0) ** 2 + max(dy, 0.0) ** 2) ** 0.5
    return beyond + min(max(dx, dy), 0.0) - radius


def pixel(x: int, y: int, drawn: list[Shape]) -> tuple[int, int, int, int]:
    """Red, green, blue and opacity; outside the tile nothing."""
    colour, alpha = NIGHT, min(max(0.5 - outside(x + 0.5, y + 0.5, drawn[0]), 0.0), 1.0)
    for shape in drawn[1:]:
        share = min(max(0.5 - outside(x + 0.5, y + 0.5, shape), 0.0), 1.0)
        if share:
            red, green, blue = (
                round(a + (b - a) * share) for a, b in zip(colour, shape[5], strict=True)
            )
            colour = (red, green, blue)
    return (*colour, round(alpha * 255))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def icon() -> bytes:
    """The icon as a PNG file."""
    drawn = shapes()
    lines = (
        b"\0" + bytes(value for x in range(SIDE) for value in pixel(x, y, drawn))
        for y in range(SIDE)
    )
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 6, 0, 0, 0)
    body = zlib.compress(b"".join(lines), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "icon.png").write_bytes(icon())
