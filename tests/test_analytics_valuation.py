"""METHODS 15: what on-chain valuation numbers imply of each other."""

from datetime import date

import pytest

from mmflow_mcp.analytics.valuation import (
    market_cap_of,
    mvrv_of,
    percent_off,
    price_of,
    signs_agree,
    supply_on,
)


def test_the_worked_numbers() -> None:
    """NUPL 0.58, realised cap 581.2e9: market cap 1,383.81e9, MVRV 2.381, 69,643 USD a coin."""
    assert pytest.approx(1383.81e9, rel=1e-5) == market_cap_of(0.58, 581.2e9)
    assert pytest.approx(2.381, abs=5e-4) == mvrv_of(0.58)
    assert pytest.approx(69_643, abs=1) == price_of(0.58, 581.2e9, 19.87e6)


def test_the_captured_pair() -> None:
    """MVRV 1.3248 goes with NUPL 0.2452."""
    assert pytest.approx(1.3248, abs=1e-4) == mvrv_of(0.2452)


def test_no_market_cap_has_a_nupl_of_one() -> None:
    """It would be infinite."""
    with pytest.raises(ValueError, match="NUPL"):
        mvrv_of(1.0)


@pytest.mark.parametrize(
    ("day", "coins"),
    [
        (date(2020, 5, 11), 18.375e6),
        (date(2024, 4, 19), 19.6683e6),
        (date(2024, 4, 20), 19.6875e6),
        (date(2025, 5, 17), 19.8639e6),
        (date(2026, 9, 13), 20.08260e6),
    ],
)
def test_supply_follows_the_halvings(day: date, coins: float) -> None:
    """900 coins a day until April 2024 (within 0.3 %: blocks came early), then 450."""
    assert pytest.approx(coins, rel=3e-3) == supply_on(day)


def test_off_is_signed_percent_of_what_should_be() -> None:
    """103 against 100 is +3 %, 97 is -3 %."""
    assert pytest.approx((3.0, -3.0)) == (percent_off(103, 100), percent_off(97, 100))


def test_mvrv_z_and_nupl_have_one_sign() -> None:
    """Near zero nothing is said."""
    assert signs_agree(1.9, 0.25)
    assert signs_agree(-0.1, -0.2)
    assert not signs_agree(-0.1, 0.2)
    assert signs_agree(-0.01, 0.005)
