"""Means over venues (METHODS 1), and one bar of several venues (METHODS 12)."""

import random

import pytest

from mmflow_mcp.analytics.aggregates import weighted_mean
from mmflow_mcp.analytics.bars import at, gap_filled, largest, merge
from mmflow_mcp.analytics.rates import rate8h
from mmflow_mcp.rows.candles import Candle

# METHODS 1: the rates and the specification's open interest.
RATES = {
    "binance": rate8h(0.0000832, 8),
    "bybit": rate8h(0.0000721, 8),
    "hyperliquid": rate8h(0.0000125, 1),
}
INTEREST = {"binance": 9_821_030_410.2, "bybit": 4_291_832_104.8, "hyperliquid": 1_294_823_041.2}


def test_the_worked_example() -> None:
    """METHODS 1: the specification's open interest gives 8.15199e-5 per 8 hours."""
    found = weighted_mean(RATES, INTEREST)
    assert found is not None
    assert (8.15199e-5, True) == (float(f"{found[0]:.6g}"), found[1])


def test_the_mean_is_weighted() -> None:
    """By hand: (8.32e-5 x 3 + 7.21e-5 x 1) / 4."""
    found = weighted_mean({"a": 8.32e-5, "b": 7.21e-5}, {"a": 3.0, "b": 1.0, "other": 9.0})
    assert found is not None
    assert 8.0425e-5 == pytest.approx(found[0], rel=1e-12)
    assert found[1] is True


@pytest.mark.parametrize("weight", [None, float("nan"), float("inf"), -1.0])
def test_an_unknown_weight_makes_all_equal(weight: float | None) -> None:
    """And the flag says so; a weight that is absent counts as unknown."""
    for weights in ({"a": 3.0, "b": weight}, {"a": 3.0}):
        found = weighted_mean({"a": 8.32e-5, "b": 7.21e-5}, weights)
        assert found is not None
        assert 7.765e-5 == pytest.approx(found[0], rel=1e-12)
        assert found[1] is False


def test_weights_that_are_all_nothing_make_all_equal() -> None:
    """A measured 0 is a weight, but not all of them."""
    assert (2.0, False) == weighted_mean({"a": 1.0, "b": 3.0}, {"a": 0.0, "b": 0.0})
    assert (1.0, True) == weighted_mean({"a": 1.0, "b": 3.0}, {"a": 5.0, "b": 0.0})


def test_nothing_has_no_mean() -> None:
    """No venue, no number."""
    assert weighted_mean({}, {"a": 1.0}) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_mean_lies_among_its_parts(seed: int) -> None:
    """Between the least and the greatest, whatever the weights; scaling them changes nothing."""
    luck = random.Random(seed)
    names = [f"v{n}" for n in range(luck.randint(1, 9))]
    values = {name: luck.uniform(-1e-3, 1e-3) for name in names}
    weights = {name: luck.uniform(0, 1e10) for name in names}
    found = weighted_mean(values, weights)
    assert found is not None
    assert min(values.values()) - 1e-15 <= found[0] <= max(values.values()) + 1e-15
    scaled = weighted_mean(values, {name: weight * 7 for name, weight in weights.items()})
    assert scaled is not None
    assert found[0] == pytest.approx(scaled[0], rel=1e-9)


def bar(t: int = 0, close: float = 100.0, volume: float = 1.0, **more: float) -> Candle:
    """A candle that closes at a price."""
    given = {"o": close, "h": close + 1, "l": close - 1, **more}
    return Candle(t=t, c=close, v=volume, **given)


def test_volume_adds_and_prices_are_the_largest_venues() -> None:
    """Never the highest of several highs."""
    found = merge({"a": bar(close=100, volume=5), "b": bar(close=120, volume=2)})
    assert found is not None
    assert "a" == found.venue
    assert Candle(t=0, o=100, h=101, l=99, c=100, v=7) == found.candle


def test_equal_volumes_go_to_the_first_by_name() -> None:
    """So that the same wires give the same answer."""
    assert "a" == largest({"b": 2.0, "a": 2.0, "c": 1.0})


def test_bars_of_different_intervals_are_not_one() -> None:
    """An error of the caller; and no bars are none."""
    with pytest.raises(ValueError, match="different intervals"):
        merge({"a": bar(0), "b": bar(1)})
    assert merge({}) is None


def test_a_gap_is_filled_with_the_last_close_before_it() -> None:
    """Without volume; nothing is made up from what came later."""
    series = (bar(10, 100), bar(20, 110), bar(40, 90))
    assert Candle(t=30, o=110, h=110, l=110, c=110, v=0.0) == gap_filled(series, 30)
    assert gap_filled(series, 10) is None
    assert (None, series[2]) == (at(series, 30), at(series, 40))
