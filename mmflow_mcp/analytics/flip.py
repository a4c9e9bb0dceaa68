"""The price at which a chain's gamma changes sign (METHODS 3, method b).

The chain is valued at 121 hypothetical spots, 0.70 to 1.30 of today's in steps of 0.005: every
forward scales with the spot, each strike keeps its volatility, time stands still. Between two
spots of opposite sign the root is interpolated; of several roots the nearest to spot counts.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CENTRE = 60
GRID = tuple((140 + i) / 200 for i in range(2 * CENTRE + 1))
LOG_GRID = tuple(math.log(factor) for factor in GRID)
ROOT_HALF = math.sqrt(0.5)
# Beyond |d1| = 7 the density is below 1e-11: nothing next to the positions that matter.
REACH = 7 * ROOT_HALF


class Position(NamedTuple):
    """Net open interest of one strike, expiry and volatility, ready to be revalued.

    `start` is d1 / sqrt 2 at today's forward, `slope` what it gains per unit of log spot, and
    `peak` the exposure in USD per 1 % that the position would have where d1 is 0.
    """

    start: float
    slope: float
    peak: float


def position(forward: float, strike: float, sigma: float, t: float, net_oi: float) -> Position:
    """A position of `net_oi` coins (calls less puts); sigma a fraction, t in years."""
    spread = sigma * math.sqrt(t)
    first = math.log(forward / strike) / spread + spread / 2
    peak = 0.01 * forward * net_oi / (spread * math.sqrt(2 * math.pi))
    return Position(first * ROOT_HALF, ROOT_HALF / spread, peak)


def exposure(position: Position) -> float:
    """USD of delta change per 1 % move at today's forward, with the sign of the net."""
    return position.peak * math.exp(-position.start * position.start)


def repriced(positions: Iterable[Position], i: int) -> float:
    """Total exposure when the spot stands at `GRID[i]` of today's, USD per 1 % move."""
    shift, exp = LOG_GRID[i], math.exp
    total = sum(
        [
            peak * exp(-d * d)
            for start, slope, peak in positions
            if -REACH < (d := start + slope * shift) < REACH
        ]
    )
    if total == 0:  # every position is out of reach: the tails alone give the sign
        total = sum([c * exp(-((a + b * shift) * (a + b * shift))) for a, b, c in positions])
    return GRID[i] * total


def crossings(xs: Sequence[float], values: Sequence[float]) -> list[float]:
    """Where the values change sign, interpolated linearly; a run of zeros counts by its middle."""
    roots: list[float] = []
    x0, v0, zeros = 0.0, 0.0, list[float]()
    for x, v in zip(xs, values, strict=True):
        if v == 0:
            zeros.append(x)
            continue
        if v0 and (v0 > 0) != (v > 0):
            middle = (zeros[0] + zeros[-1]) / 2 if zeros else x0 + (x - x0) * v0 / (v0 - v)
            roots.append(middle)
        x0, v0, zeros = x, v, []
    return roots


def nearest(roots: Iterable[float], spot: float) -> float | None:
    """The root nearest to spot, the lower of two equally near; None when there is none."""
    return min(roots, key=lambda root: (abs(root - spot), root), default=None)


def repriced_flip(positions: Sequence[Position], spot: float) -> float | None:
    """The root of the revalued total nearest to `spot`, USD; None inside the whole grid.

    The scan goes outward from spot and stops at the first ring with a sign change: anything
    further out is further away. Values of exactly zero need their neighbours on both sides to
    be judged, so then the whole grid is valued.
    """
    if not positions:
        return None
    values = {CENTRE: repriced(positions, CENTRE)}
    for ring in range(1, CENTRE + 1):
        low, high = CENTRE - ring, CENTRE + ring
        values[low], values[high] = repriced(positions, low), repriced(positions, high)
        if 0 in (values[low], values[high], values[CENTRE]):
            break
        found: list[float] = []
        for pair in ((low, low + 1), (high - 1, high)):
            found += crossings([GRID[i] * spot for i in pair], [values[i] for i in pair])
        if found:
            return nearest(found, spot)
    else:
        return None
    whole = [values[i] if i in values else repriced(positions, i) for i in range(len(GRID))]
    return nearest(crossings([factor * spot for factor in GRID], whole), spot)


def cumulative_flip(
    strikes: Sequence[float], exposures: Sequence[float], spot: float
) -> float | None:
    """METHODS 3, method a: the sign change of the running sum by ascending strike, USD."""
    sums: list[float] = []
    total = 0.0
    for exposed in exposures:
        total += exposed
        sums.append(total)
    return nearest(crossings(strikes, sums), spot)
