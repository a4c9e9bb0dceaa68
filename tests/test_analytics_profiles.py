"""METHODS 12: brackets in price rows, the point of control and the value area."""

import random

import pytest

from mmflow_mcp.analytics.profiles import point_of_control, profile_of, value_area

# The worked example: rows 100..107.
COUNTS = [1, 2, 4, 6, 5, 3, 2, 1]


def brackets_of(counts: list[int], first: int, block: float) -> list[tuple[float, float]]:
    """Brackets that touch one row each, as often as counted."""
    return [
        ((first + row) * block, (first + row + 0.5) * block)
        for row, count in enumerate(counts)
        for _ in range(count)
    ]


def test_the_worked_example() -> None:
    """Total 24, target 16.8: POC 103 (6), above 8 -> 14, below 6 -> 20: VAL 101, VAH 105."""
    found = profile_of(brackets_of(COUNTS, 100, 1.0), 1.0)
    assert found is not None
    assert (103.0, 101.0, 105.0, 24) == (found.poc, found.val, found.vah, found.total)
    assert tuple(zip(map(float, range(100, 108)), COUNTS, strict=True)) == found.levels
    assert (100.0, 107.5) == (found.low, found.high)


def test_a_bracket_counts_once_in_each_row_it_touches() -> None:
    """A range over three rows, and one that ends on an edge: the edge's row is touched."""
    found = profile_of([(100.2, 102.0), (101.1, 101.9)], 1.0)
    assert found is not None
    assert ((100.0, 1), (101.0, 2), (102.0, 1)) == found.levels


def test_rows_between_that_nobody_touched_count_nothing() -> None:
    """A jump leaves a hole, not fewer rows."""
    found = profile_of([(1.0, 1.5), (4.0, 4.5)], 1.0)
    assert found is not None
    assert ((1.0, 1), (2.0, 0), (3.0, 0), (4.0, 1)) == found.levels


def test_no_bracket_is_no_profile() -> None:
    """Nothing traded: nothing to tell."""
    assert profile_of([], 50.0) is None


def test_one_row_is_its_own_value_area() -> None:
    """All brackets inside one row: POC, VAL and VAH are that row."""
    found = profile_of([(64_301.0, 64_349.0)] * 3, 50.0)
    assert found is not None
    assert (64_300.0, 64_300.0, 64_300.0, 3) == (found.poc, found.val, found.vah, found.total)


@pytest.mark.parametrize(
    ("counts", "poc"),
    [
        ([3, 1, 1, 3], 0),
        ([1, 3, 1, 3], 1),
        ([3, 0, 0, 3, 0], 3),
        ([2, 2, 2], 1),
        ([5], 0),
    ],
)
def test_ties_for_the_point_of_control(counts: list[int], poc: int) -> None:
    """Nearest the middle of the rows, then the lower."""
    assert poc == point_of_control(counts)


@pytest.mark.parametrize(
    ("counts", "poc", "area"),
    [
        # Equal pairs: above first; 4 + 2 + 2 = 8 of 10 is enough.
        ([1, 1, 4, 2, 2], 2, (2, 4)),
        ([2, 1, 4, 1, 2], 2, (2, 4)),
        # The upper side has one row left, which counts alone: 3 above against 2 + 2 below.
        ([2, 2, 5, 3], 2, (0, 2)),
        ([1, 1, 5, 3], 2, (2, 3)),
        # A side without rows yields to the other.
        ([6, 2, 2, 1, 1], 0, (0, 2)),
        ([1, 1, 2, 2, 6], 4, (2, 4)),
        # Holes count nothing and are crossed.
        ([5, 0, 0, 0, 0, 4], 0, (0, 5)),
    ],
)
def test_the_value_area_at_its_edges(counts: list[int], poc: int, area: tuple[int, int]) -> None:
    """Ties go up, single rows count alone, an exhausted side yields."""
    assert area == value_area(counts, poc)


def test_exactly_seventy_percent_is_enough() -> None:
    """7 of 10: no further pair is added."""
    assert (1, 1) == value_area([1, 7, 2], 1)
    assert (1, 3) == value_area([1, 69, 15, 15], 1)


@pytest.mark.parametrize("seed", range(30))
def test_properties_of_any_profile(seed: int) -> None:
    """The area holds 70 % or more, holds the POC, and is not a pair too large on both sides."""
    luck = random.Random(seed)
    block = luck.choice([0.05, 0.1, 1.0, 2.0, 50.0])
    ranges = []
    for _ in range(luck.randint(1, 60)):
        low = luck.uniform(900, 1_000) * block
        ranges.append((low, low + luck.expovariate(0.5) * block))
    found = profile_of(ranges, block)
    assert found is not None
    inside = sum(count for price, count in found.levels if found.val <= price <= found.vah)
    assert inside >= 0.7 * found.total - 1e-9
    assert found.val <= found.poc <= found.vah
    assert max(count for _, count in found.levels) == dict(found.levels)[found.poc]
    assert found.total == sum(count for _, count in found.levels) >= len(ranges)
    # Every count is the number of ranges over its row.
    for price, count in found.levels:
        touching = sum(
            low < price + block * (1 - 1e-7) and high >= price - 1e-7 * block
            for low, high in ranges
        )
        assert count == touching


@pytest.mark.parametrize("seed", range(10))
def test_a_smaller_area_would_not_do(seed: int) -> None:
    """Without its last pair the area held less than 70 %: from inside, each step was needed."""
    luck = random.Random(seed)
    counts = [luck.randint(0, 9) for _ in range(luck.randint(3, 40))]
    counts[luck.randrange(len(counts))] = 12
    poc = point_of_control(counts)
    lower, upper = value_area(counts, poc)
    held = sum(counts[lower : upper + 1])
    assert 10 * held >= 7 * sum(counts)
    smaller = [
        sum(counts[a : b + 1])
        for a, b in ((min(lower + 2, poc), upper), (lower, max(upper - 2, poc)))
        if (a, b) != (lower, upper)
    ]
    assert not smaller or 10 * min(smaller) < 7 * sum(counts)
