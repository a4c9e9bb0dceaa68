"""Black-76 against METHODS 3 and against finite differences."""

import doctest
import itertools
import random

import pytest

from mmflow_mcp.analytics import greeks

F, K, IV, T = 64320.5, 65000.0, 0.4783, 30 / 365


def test_worked_example_of_methods_comes_out() -> None:
    """The K 65,000 example of METHODS 3 holds to its printed digits."""
    assert round(greeks.d1(F, K, IV, T), 8) == -0.00807536
    assert f"{greeks.gamma(F, K, IV, T):.6e}" == "4.523056e-05"
    assert round(greeks.delta(F, K, IV, T, "C"), 6) == 0.496778
    assert round(greeks.unit_gex(F, K, IV, T), 3) == 1871.245
    assert round(greeks.unit_gex(F, K, IV, T) * 218.4) == 408680
    assert round(greeks.unit_gex(F, K, IV, T) * -12.3) == -23016
    assert round(greeks.call_value(F, K, IV, T), 2) == 3205.06
    assert round(greeks.call_value(F, K, IV, T) / F, 7) == 0.0498295
    assert round(greeks.premium_adjusted_delta(F, K, IV, T, "C"), 6) == 0.446949


@pytest.mark.parametrize(("minutes", "unit"), [(1, 48_033), (5, 48_033), (60, 48_033), (0, 48_033)])
def test_time_is_never_less_than_an_hour(minutes: int, unit: int) -> None:
    """An option at the money about to expire has the gamma it has at one hour."""
    t = greeks.years(minutes * 60_000, 0)
    assert unit == round(greeks.unit_gex(F, F, 0.5, t))


@pytest.mark.parametrize(("minutes", "unit"), [(1, 372_064), (5, 166_392)])
def test_without_the_floor_gamma_would_explode(minutes: int, unit: int) -> None:
    """The unfloored numbers of METHODS 3 are what the formula alone says."""
    assert unit == round(greeks.unit_gex(F, F, 0.5, minutes / (60 * 24 * 365)))


def test_a_year_is_365_days() -> None:
    """Thirty days are 30/365 of a year."""
    assert pytest.approx(30 / 365, rel=1e-15) == greeks.years(30 * 86_400_000 + 7, 7)


def test_greeks_are_the_slopes_of_the_values() -> None:
    """Delta, gamma and vega agree with finite differences of the values."""
    rng = random.Random(2)
    for _ in range(200):
        f, strike = rng.uniform(5e4, 9e4), rng.uniform(5e4, 9e4)
        iv, t = rng.uniform(0.2, 1.2), rng.uniform(0.01, 1.0)
        h = f * 1e-4
        for kind, value in (("C", greeks.call_value), ("P", greeks.put_value)):
            up, mid, down = (value(x, strike, iv, t) for x in (f + h, f, f - h))
            slope, bend = (up - down) / (2 * h), (up - 2 * mid + down) / (h * h)
            assert pytest.approx(slope, abs=2e-6) == greeks.delta(f, strike, iv, t, kind)
            assert pytest.approx(bend, rel=2e-3, abs=1e-11) == greeks.gamma(f, strike, iv, t)
            point = (value(f, strike, iv + 1e-5, t) - value(f, strike, iv - 1e-5, t)) / 2e-3
            assert pytest.approx(point, rel=1e-4, abs=1e-4) == greeks.vega(f, strike, iv, t)


def test_call_less_put_is_forward_less_strike() -> None:
    """Put-call parity holds at zero interest, for values and both deltas."""
    for strike, iv in itertools.product((30_000, 64_320.5, 150_000), (0.2, 0.8, 3.0)):
        call, put = (v(F, strike, iv, T) for v in (greeks.call_value, greeks.put_value))
        assert pytest.approx(F - strike, rel=1e-9, abs=1e-7) == call - put
        assert pytest.approx(1.0) == sum(
            sign * greeks.delta(F, strike, iv, T, kind) for sign, kind in ((1, "C"), (-1, "P"))
        )
        coins = [greeks.premium_adjusted_delta(F, strike, iv, T, kind) for kind in "CP"]
        assert pytest.approx(strike / F, rel=1e-9) == coins[0] - coins[1]


def test_unit_gex_is_a_hundredth_of_squared_forward_times_gamma() -> None:
    """The unit is USD of delta change per 1 % move: 0.01 F^2 gamma."""
    assert pytest.approx(0.01 * F * F * greeks.gamma(F, K, IV, T), rel=1e-12) == greeks.unit_gex(
        F, K, IV, T
    )


def test_gamma_follows_from_vega_as_the_recording_says() -> None:
    """Gamma is 100 vega / (F^2 sigma t) for a vega per volatility point."""
    gamma = 100 * greeks.vega(F, K, IV, T) / (F * F * IV * T)
    assert pytest.approx(greeks.gamma(F, K, IV, T), rel=1e-12) == gamma


def test_examples_in_the_module_hold() -> None:
    """Every doctest of the module runs and passes."""
    failed, attempted = doctest.testmod(greeks)
    assert failed == 0
    assert attempted >= 9
