"""Funding rates in comparable units, against the table of METHODS 1."""

import doctest
import math
import random

import pytest

from mmflow_mcp.analytics import rates

TABLE = [
    # rate, hours, hourly, rate8h, APR %, APY % (as printed), decimals of APR and APY
    (0.0000832, 8, 1.04e-5, 8.32e-5, 9.1104, 9.5379, 4),
    (0.0000721, 8, 9.0125e-6, 7.21e-5, 7.8950, 8.2147, 4),
    (0.0000125, 1, 1.25e-5, 1.0e-4, 10.95, 11.5719, 4),
    (0.0003, 4, 7.5e-5, 6.0e-4, 65.70, 92.88, 2),
    (-0.0005, 8, -6.25e-5, -5.0e-4, -54.75, -42.17, 2),
]


@pytest.mark.parametrize("case", TABLE)
def test_rates_equal_the_table_of_methods(case: tuple[float, ...]) -> None:
    """Each row of METHODS 1 comes out to its printed digits."""
    rate, hours, per_hour, per_8h, apr, apy, digits = case
    assert pytest.approx(per_hour, rel=1e-9) == rates.hourly(rate, hours)
    assert pytest.approx(per_8h, rel=1e-9) == rates.rate8h(rate, hours)
    assert apr == round(rates.apr(rate, hours), int(digits))
    grown = rates.apy(rate, hours)
    assert grown is not None
    assert apy == round(grown, int(digits))


def test_spread_of_hyperliquid_over_binance_is_in_one_unit() -> None:
    """Rates of different periods subtract per 8 h: +0.168 bps, +1.8396 points of APR."""
    spread = rates.rate8h(0.0000125, 1) - rates.rate8h(0.0000832, 8)
    assert pytest.approx(1.68e-5, rel=1e-9) == spread
    points = rates.apr(0.0000125, 1) - rates.apr(0.0000832, 8)
    assert pytest.approx(1.8396, rel=1e-9) == points


@pytest.mark.parametrize("hours", [0, -8, math.nan, math.inf])
def test_a_period_that_is_none_is_an_error(hours: float) -> None:
    """No rate is made up from a period that is zero, negative or not finite."""
    for convert in (rates.hourly, rates.rate8h, rates.apr, rates.apy):
        with pytest.raises(ValueError, match="no rate per hour"):
            convert(0.0001, hours)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf])
def test_a_rate_that_is_not_finite_is_an_error(rate: float) -> None:
    """NaN and Infinity never pass through."""
    with pytest.raises(ValueError, match="no rate per hour"):
        rates.apr(rate, 8)


def test_apy_is_unknown_where_compounding_has_no_value() -> None:
    """A loss of more than everything, or an overflow, has no compounded rate."""
    assert rates.apy(-1.5, 8) is None
    assert rates.apy(1.0, 1) is None
    assert rates.apy(-1.0, 8) == -100.0


def test_rates_keep_their_sign_and_are_odd() -> None:
    """Longs paying and shorts paying mirror each other in every simple unit."""
    rng = random.Random(1)
    for _ in range(200):
        rate, hours = rng.uniform(-0.04, 0.04), rng.choice([1, 2, 4, 8])
        assert rates.apr(-rate, hours) == -rates.apr(rate, hours)
        assert pytest.approx(8 * rates.hourly(rate, hours)) == rates.rate8h(rate, hours)
        grown = rates.apy(rate, hours)
        if grown is not None:
            assert (grown > 0) == (rate > 0)
            assert grown >= rates.apr(rate, hours)


def test_examples_in_the_module_hold() -> None:
    """Every doctest of the module runs and passes."""
    failed, attempted = doctest.testmod(rates)
    assert failed == 0
    assert attempted >= 4
