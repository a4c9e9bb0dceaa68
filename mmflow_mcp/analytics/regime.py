"""How unusual a reading is against its own past (METHODS 13). Pure.

A z-score needs ten values and uses one kind of them; the newest value is among them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

LEAST = 10
EXTREME = 2.0
# Funding rests at its base rate for hours: below this distance from the mean a large z says little.
LEAST_BPS = 0.2
OUTLIER = 3.5
DIVERGENT = 3.0
# A normal distribution's median absolute deviation over its standard deviation.
_MAD_OF_SD = 0.6745
_LATE = 1.5


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the newest value stands in its window. `n`: values; `span_ms`: first to last.

    `z` is 0 where all values are equal; `robust_z` is null where half of them are.
    """

    n: int
    span_ms: int
    value: float
    mean: float
    sd: float
    z: float
    robust_z: float | None

    @property
    def outlier(self) -> bool:
        """Beyond 3.5 median absolute deviations, scaled."""
        return self.robust_z is not None and abs(self.robust_z) > OUTLIER


def standing_of(points: Sequence[tuple[int, float]]) -> Standing | None:
    """The standing of the last of (time, value) pairs; None with fewer than ten.

    >>> rates = [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.1, 1.0, 0.9, 1.0, 1.3, 2.5]
    >>> found = standing_of([(hour, rate * 1e-5) for hour, rate in enumerate(rates)])
    >>> round(found.z, 4), round(found.robust_z, 4)
    (3.1601, 10.1175)
    """
    if len(points) < LEAST:
        return None
    values = [value for _, value in points]
    newest, mean, sd = values[-1], fmean(values), pstdev(values)
    middle = median(values)
    mad = median(abs(value - middle) for value in values)
    return Standing(
        n=len(values),
        span_ms=points[-1][0] - points[0][0],
        value=newest,
        mean=mean,
        sd=sd,
        z=z_of(newest, mean, sd),
        robust_z=None if _is_nothing(mad, middle) else _MAD_OF_SD * (newest - middle) / mad,
    )


def z_of(value: float, mean: float, sd: float) -> float:
    """(value - mean) / sd; 0 in a flat window, whatever rounding has left of its sd."""
    return 0.0 if _is_nothing(sd, mean, value) else (value - mean) / sd


def _is_nothing(deviation: float, *values: float) -> bool:
    """Whether a deviation is what rounding leaves of none."""
    return deviation <= 1e-12 * max(map(abs, values))


def regime_of(standing: Standing) -> str:
    """longs_crowded, shorts_crowded or normal, for rates per 8 hours."""
    if abs(standing.value - standing.mean) * 1e4 < LEAST_BPS * (1 - 1e-9):
        return "normal"
    if standing.z >= EXTREME:
        return "longs_crowded"
    return "shorts_crowded" if standing.z <= -EXTREME else "normal"


def momentum_of(
    standing: Standing, points: Sequence[tuple[int, float]], ago_ms: int, cadence_ms: int
) -> float | None:
    """z now less z then, both with today's mean and sd; None without a value of then."""
    then = value_at(points, points[-1][0] - ago_ms, cadence_ms)
    if then is None:
        return None
    return standing.z - z_of(then, standing.mean, standing.sd)


def value_at(points: Sequence[tuple[int, float]], at_ms: int, cadence_ms: int) -> float | None:
    """The newest value at or before a moment, at most 1.5 cadences older."""
    for t, value in reversed(points):
        if t <= at_ms:
            return value if at_ms - t <= _LATE * cadence_ms else None
    return None


def change_pct(points: Sequence[tuple[int, float]], ago_ms: int, cadence_ms: int) -> float | None:
    """The newest value against the one some time ago, percent; None where that is not known."""
    if not points:
        return None
    then = value_at(points, points[-1][0] - ago_ms, cadence_ms)
    if not then or not math.isfinite(then):
        return None
    return (points[-1][1] / then - 1) * 100
