"""Fewer points of a series for the same picture (METHODS 14): LTTB, and buckets with extremes.

Both work inside stretches without gaps and never draw across one. A budget is exact: that many
come back, or all there are. Points are (time, value) pairs, ascending in time.
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

Pair = tuple[float, float]
T = TypeVar("T")


class Bucket(NamedTuple):
    """Neighbouring points in one: times of the first and the last, mean, extremes, how many."""

    t: float
    until: float
    mean: float
    low: float
    high: float
    n: int


def split(points: Sequence[Pair], widest: float) -> list[Sequence[Pair]]:
    """The stretches of a series whose neighbours lie no more than `widest` apart in time."""
    ends = [i for i in range(1, len(points)) if points[i][0] - points[i - 1][0] > widest]
    starts = [0, *ends]
    return [points[a:b] for a, b in zip(starts, [*ends, len(points)], strict=True) if b > a]


def lttb(points: Sequence[Pair], n: int) -> list[Pair]:
    """Largest-Triangle-Three-Buckets (Steinarsson 2013): n points that keep the shape.

    The first and the last stay; of each bucket between, the point that spans the largest triangle
    with the one picked before and the mean of the next bucket. Unchanged when n covers all or is
    below 3.

    >>> lttb([(1, 10), (2, 20), (3, 15), (4, 30), (5, 40),
    ...       (6, 35), (7, 50), (8, 60), (9, 55), (10, 70)], 4)
    [(1, 10), (3, 15), (9, 55), (10, 70)]
    """
    if n >= len(points) or n < 3:
        return list(points)
    width = (len(points) - 2) / (n - 2)
    edges = [1 + math.floor(i * width) for i in range(n - 2)] + [len(points) - 1, len(points)]
    picked = [points[0]]
    for start, end, after in zip(edges, edges[1:], edges[2:], strict=False):
        picked.append(_widest(picked[-1], points[start:end], _centre(points[end:after])))
    picked.append(points[-1])
    return picked


def shape(points: Sequence[Pair], budget: int, widest: float) -> list[Pair]:
    """LTTB over a series with gaps: exactly `budget` points, or all there are.

    Every stretch keeps its ends where its share allows; a share of one is the stretch's last point.
    """

    def fewer(stretch: Sequence[Pair], share: int) -> list[Pair]:
        if share >= 3 or share >= len(stretch):
            return lttb(stretch, share)
        return [stretch[0], stretch[-1]][-share:]

    return _over(points, budget, widest, fewer)


def buckets(points: Sequence[Pair], budget: int, widest: float) -> list[Bucket]:
    """Means with extremes over a series with gaps: `budget` buckets, or a bucket for each point.

    The buckets of a stretch hold equally many points, one more or less.
    """

    def fewer(stretch: Sequence[Pair], share: int) -> list[Bucket]:
        n = len(stretch)
        edges = [i * n // share for i in range(share + 1)]
        return [_bucket(stretch[a:b]) for a, b in pairwise(edges)]

    return _over(points, budget, widest, fewer)


def shares(sizes: Sequence[int], budget: int) -> list[int]:
    """How many of a budget each stretch gets: one, and of what is left in proportion to its size.

    With more stretches than budget the longest get one each, of equally long ones the latest, and
    the others nothing: a caller who must show them all asks for a larger budget.

    >>> shares([100, 10, 1], 30), shares([3, 1, 2], 2), shares([2, 2], 9)
    ([25, 4, 1], [1, 0, 1], [2, 2])
    """
    if budget < len(sizes):
        longest = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))[-budget:]
        return [int(i in longest) for i in range(len(sizes))]
    room = sum(sizes) - len(sizes)
    more = min(budget - len(sizes), room)
    # Rounding the running sum, not the shares, makes them add up; none exceeds its stretch.
    sums = accumulate((size - 1 for size in sizes), initial=0)
    marks = [more * sum_ // room if room else 0 for sum_ in sums]
    return [1 + b - a for a, b in pairwise(marks)]


def _over(
    points: Sequence[Pair],
    budget: int,
    widest: float,
    fewer: Callable[[Sequence[Pair], int], list[T]],
) -> list[T]:
    if budget < 1:
        raise ValueError("a budget is one point at least")
    stretches = split(points, widest)
    given = shares([len(stretch) for stretch in stretches], budget)
    return [
        one
        for stretch, share in zip(stretches, given, strict=True)
        if share
        for one in fewer(stretch, share)
    ]


def _bucket(points: Sequence[Pair]) -> Bucket:
    values = [v for _, v in points]
    low, high = min(values), max(values)
    # The mean of equal numbers may come out a rounding beside them.
    mean = min(max(math.fsum(values) / len(values), low), high)
    return Bucket(points[0][0], points[-1][0], mean, low, high, len(values))


def _centre(points: Sequence[Pair]) -> Pair:
    n = len(points)
    return math.fsum(t for t, _ in points) / n, math.fsum(v for _, v in points) / n


def _widest(before: Pair, candidates: Sequence[Pair], after: Pair) -> Pair:
    """The point that spans the largest triangle with the two others; of equals the first."""
    (ax, ay), (cx, cy) = before, after
    return max(candidates, key=lambda b: abs((ax - cx) * (b[1] - ay) - (ax - b[0]) * (cy - ay)))
