"""Downsampling (METHODS 14): exact budgets, kept shapes and extremes, and never across a gap."""

import doctest
import math
import random
from itertools import pairwise

import pytest

from mmflow_mcp.analytics import downsampling
from mmflow_mcp.analytics.downsampling import Bucket, Pair, buckets, lttb, shape, shares, split

STEEP = [(1, 10), (2, 20), (3, 15), (4, 30), (5, 40), (6, 35), (7, 50), (8, 60), (9, 55), (10, 70)]
WORLDS = range(24)


def world(seed: int) -> tuple[list[Pair], float]:
    """A random walk on a grid with some cells missing, and how far apart neighbours may lie."""
    rng = random.Random(seed)
    points: list[Pair] = []
    v = rng.uniform(-5, 5)
    for i in range(rng.randint(1, 400)):
        v += rng.gauss(0, 1)
        if rng.random() < rng.choice((0.0, 0.02, 0.3)):
            continue
        points.append((i * 600_000.0, v))
    return points, 900_000.0


def test_the_examples_in_the_documentation_hold() -> None:
    """The worked example of METHODS among them."""
    assert (0, 2) == tuple(doctest.testmod(downsampling))


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 10, 11])
def test_lttb_leaves_alone_what_it_cannot_thin(n: int) -> None:
    """Fewer than three points have no triangle; as many as there are need none."""
    assert STEEP == lttb(STEEP, n)


def test_lttb_keeps_a_spike() -> None:
    """What a picture is looked at for: one point out of line survives any budget."""
    points = [(float(i), 0.0) for i in range(500)]
    points[321] = (321.0, 9.0)
    for n in (3, 4, 7, 50):
        assert (321.0, 9.0) in lttb(points, n)


@pytest.mark.parametrize("seed", WORLDS)
def test_lttb_picks_existing_points_in_order(seed: int) -> None:
    """Exactly n of them, both ends among them, nothing made up."""
    points, _ = world(seed)
    for n in (3, 5, 42):
        picked = lttb(points, n)
        assert min(n, len(points)) == len(picked)
        assert picked == sorted(set(picked))
        assert set(picked) <= set(points)
        assert (points[:1], points[-1:]) == (picked[:1], picked[-1:])


@pytest.mark.parametrize("seed", WORLDS)
def test_stretches_are_cut_where_the_gaps_are(seed: int) -> None:
    """Inside one no gap, between two always one, and together they are the series."""
    points, widest = world(seed)
    stretches = split(points, widest)
    assert points == [p for stretch in stretches for p in stretch]
    assert all(b[0] - a[0] <= widest for s in stretches for a, b in pairwise(s))
    assert all(b[0][0] - a[-1][0] > widest for a, b in pairwise(stretches))


def test_neighbours_exactly_as_far_apart_as_allowed_are_one_stretch() -> None:
    """A gap is more than one and a half cadences."""
    assert 1 == len(split([(0, 1), (15, 1)], 15))
    assert 2 == len(split([(0, 1), (16, 1)], 15))


@pytest.mark.parametrize("seed", WORLDS)
def test_budgets_are_exact(seed: int) -> None:
    """So many come back, or as many as there are: for shapes and for buckets."""
    points, widest = world(seed)
    for budget in (1, 2, 3, 14, 42, 1000):
        expected = min(budget, len(points))
        assert expected == len(shape(points, budget, widest))
        assert expected == len(buckets(points, budget, widest))


@pytest.mark.parametrize("seed", WORLDS)
def test_a_shape_is_made_of_true_points(seed: int) -> None:
    """In order, each of them one of the series; with room for all it is the series."""
    points, widest = world(seed)
    for budget in (1, 2, 14, 42):
        found = shape(points, budget, widest)
        assert found == sorted(set(found))
        assert set(found) <= set(points)
    assert points == shape(points, len(points), widest)


@pytest.mark.parametrize("seed", WORLDS)
def test_a_shape_keeps_the_ends_of_stretches_that_have_three_points(seed: int) -> None:
    """With a share of two or more, where a stretch begins and ends is seen."""
    points, widest = world(seed)
    stretches = split(points, widest)
    given = shares([len(s) for s in stretches], 60)
    found = shape(points, 60, widest)
    for stretch, share in zip(stretches, given, strict=True):
        if share >= 2:
            assert stretch[0] in found
            assert stretch[-1] in found


@pytest.mark.parametrize("seed", WORLDS)
def test_buckets_cover_stretches_and_nothing_between(seed: int) -> None:
    """Each bucket is the points between its times; no bucket spans a gap; extremes survive."""
    points, widest = world(seed)
    stretches = split(points, widest)
    budget = max(42, len(stretches))
    found = buckets(points, budget, widest)
    for one in found:
        inside = [v for t, v in points if one.t <= t <= one.until]
        assert (len(inside), min(inside), max(inside)) == (one.n, one.low, one.high)
        assert one.mean == pytest.approx(sum(inside) / one.n, rel=1e-9, abs=1e-9)
        assert one.low <= one.mean <= one.high
        assert any(s[0][0] <= one.t and one.until <= s[-1][0] for s in stretches)
    assert len(points) == sum(one.n for one in found)
    if points:
        values = [v for _, v in points]
        assert (min(values), max(values)) == (
            min(one.low for one in found),
            max(one.high for one in found),
        )
        # Weighted by how many they stand for, the means are the mean.
        whole = math.fsum(one.mean * one.n for one in found) / len(points)
        assert whole == pytest.approx(math.fsum(values) / len(values), rel=1e-9, abs=1e-9)


def test_buckets_of_a_stretch_are_of_one_size() -> None:
    """One more or less."""
    found = buckets([(float(i), float(i)) for i in range(10)], 3, 1)
    assert [
        Bucket(0, 2, 1, 0, 2, 3),
        Bucket(3, 5, 4, 3, 5, 3),
        Bucket(6, 9, 7.5, 6, 9, 4),
    ] == found


def test_a_bucket_of_equal_values_means_that_value() -> None:
    """A sum of tenths is not a tenth of the sum."""
    found = buckets([(float(i), 0.1) for i in range(10)], 1, 1)
    assert [Bucket(0, 9, 0.1, 0.1, 0.1, 10)] == found


@pytest.mark.parametrize("seed", WORLDS)
def test_shares_add_up(seed: int) -> None:
    """To the budget or to all; none beyond its stretch; every stretch one if that is possible."""
    rng = random.Random(seed)
    for _ in range(50):
        sizes = [rng.randint(1, 60) for _ in range(rng.randint(1, 12))]
        budget = rng.randint(1, 200)
        given = shares(sizes, budget)
        assert min(budget, sum(sizes)) == sum(given)
        assert all(0 <= got <= size for got, size in zip(given, sizes, strict=True))
        assert budget < len(sizes) or min(given) >= 1


def test_with_too_many_stretches_the_longest_are_shown() -> None:
    """Each by its last point."""
    points = [(0.0, 1.0), (10.0, 2.0), (11.0, 3.0), (20.0, 4.0), (30.0, 5.0), (31.0, 6.0)]
    assert [(11.0, 3.0), (31.0, 6.0)] == shape(points, 2, 1)


def test_nothing_stays_nothing() -> None:
    """An empty series has no stretch."""
    assert ([], [], []) == (split([], 1), shape([], 5, 1), buckets([], 5, 1))


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_one_at_least(budget: int) -> None:
    """No points at all is no answer."""
    for fewer in (shape, buckets):
        with pytest.raises(ValueError, match="one point at least"):
            fewer([(0.0, 1.0)], budget, 1)
