"""Standings and regimes (METHODS 13), on the worked numbers and at their edges."""

import math
import random

import pytest

from mmflow_mcp.analytics.regime import (
    Standing,
    change_pct,
    momentum_of,
    regime_of,
    standing_of,
    value_at,
)

HOUR = 3_600_000
RATES = [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.1, 1.0, 0.9, 1.0, 1.3, 2.5]


def hourly(values: list[float], scale: float = 1e-5) -> list[tuple[int, float]]:
    """Values an hour apart."""
    return [(i * HOUR, value * scale) for i, value in enumerate(values)]


def standing(values: list[float], scale: float = 1e-5) -> Standing:
    """The standing of the last of them."""
    found = standing_of(hourly(values, scale))
    assert found is not None
    return found


def test_the_worked_example() -> None:
    """Mean, population sd, z and robust z of twelve rates."""
    found = standing(RATES)
    assert pytest.approx(1.15e-5, rel=1e-9) == found.mean
    assert pytest.approx(4.2720e-6, rel=1e-4) == found.sd
    assert (3.1601, 10.1175) == (round(found.z, 4), round(found.robust_z or 0, 4))
    assert found.outlier
    assert (12, 11 * HOUR) == (found.n, found.span_ms)


def test_momentum_uses_todays_mean_and_sd() -> None:
    """Six hours back the rate was 0.8e-5: z has moved by 3.9794."""
    momentum = momentum_of(standing(RATES), hourly(RATES), 6 * HOUR, HOUR)
    assert momentum is not None
    assert 3.9794 == round(momentum, 4)


def test_ten_values_are_needed() -> None:
    """Nine have no standing."""
    assert standing_of(hourly(RATES[:9])) is None
    assert standing_of(hourly(RATES[:10])) is not None


def test_the_newest_is_inside_its_window() -> None:
    """So that |z| never exceeds the root of n - 1."""
    luck = random.Random(3)
    for _ in range(200):
        values = [luck.gauss(0, 1) for _ in range(10)]
        assert abs(standing(values).z) <= math.sqrt(9) + 1e-9
    assert pytest.approx(3.0) == standing([0.0] * 9 + [5.0]).z


def test_a_flat_window_has_z_zero_and_no_robust_z() -> None:
    """Also when rounding leaves a trace of a deviation."""
    flat = standing([0.1 + 0.2] * 5 + [0.3] * 5)
    assert (0.0, None) == (flat.z, flat.robust_z)
    assert not flat.outlier


@pytest.mark.parametrize(
    ("newest", "expected"),
    [(2.5, "longs_crowded"), (-0.6, "shorts_crowded"), (1.1, "normal")],
)
def test_regime_words(newest: float, expected: str) -> None:
    """|z| of 2 and 0.2 bps from the mean (rates in units of 1e-4 here)."""
    assert expected == regime_of(standing([*RATES[:11], newest], 1e-4))


def test_a_jump_from_rest_needs_two_tenths_of_a_basis_point() -> None:
    """z jumps where sd is tiny: 0.15 bps from the mean is normal, however large z is."""
    small = standing([1.0] * 20 + [1.157], 1e-4)
    assert small.z > 2
    assert "normal" == regime_of(small)
    assert "longs_crowded" == regime_of(standing([1.0] * 20 + [1.3], 1e-4))


def test_changes_use_the_newest_value_before_the_target() -> None:
    """At most 1.5 cadences older, else unknown; a change from 0 is unknown."""
    points = [(0, 100.0), (2 * HOUR, 110.0), (5 * HOUR, 121.0)]
    assert 110.0 == value_at(points, 3 * HOUR, HOUR)
    assert value_at(points, 4 * HOUR, HOUR) is None
    change = change_pct(points, 3 * HOUR, HOUR)
    assert change is not None
    assert pytest.approx(10.0) == change
    assert change_pct(points, 24 * HOUR, HOUR) is None
    assert change_pct([(0, 0.0), (HOUR, 5.0)], HOUR, HOUR) is None
    assert change_pct([], HOUR, HOUR) is None
