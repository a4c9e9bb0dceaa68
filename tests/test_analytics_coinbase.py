"""The Coinbase proxy (METHODS 9), on the worked numbers."""

import pytest

from mmflow_mcp.analytics.coinbase import (
    confidence_of,
    premium_bps,
    premium_state,
    taker_delta,
    volume_share,
)
from mmflow_mcp.analytics.spreads import Spread, spread_of
from mmflow_mcp.rows.spot import SpotRow, TradePrint

AT = 1_747_400_000_000
# The specification's example of five venues: price, and 24 h volume in coins.
SEED = {
    "coinbase": (64315.2, 1842.3),
    "binance": (64310.5, 28412.1),
    "bitfinex": (64312.0, 412.2),
    "kraken": (64309.8, 384.5),
    "gateio": (64311.7, 921.4),
}


def row(venue: str, price: float, volume: float | None, at: int = AT) -> SpotRow:
    """A spot row of bitcoin."""
    return SpotRow("BTC", venue, price, None, None, volume, None, at, "USD", "BTC-USD")


def seed(**changed: SpotRow | None) -> Spread:
    """The example's spread, with rows changed or left out."""
    rows = {venue: row(venue, *told) for venue, told in SEED.items()} | changed
    return spread_of("BTC", [one for one in rows.values() if one is not None])


def test_coinbase_is_left_out_of_its_own_median() -> None:
    """+0.6375 bps against the other four; +0.54 with itself would hide part of it."""
    assert 0.6375 == round(premium_bps(seed()) or 0.0, 4)
    assert "live" == premium_state(seed())
    own = next(r.basis_bps for r in seed().rows if r.venue == "coinbase")
    assert own is not None
    assert 0.54 == round(own, 2)


def test_the_share_of_the_volume_is_by_notional() -> None:
    """0.0576 of what the five traded."""
    assert 0.0576 == round(volume_share(seed()) or 0.0, 4)


@pytest.mark.parametrize("missing", ["binance", "coinbase"])
def test_a_share_without_the_largest_is_unknown(missing: str) -> None:
    """Without Binance it would be several times too large."""
    assert volume_share(seed(**{missing: None})) is None
    price = SEED[missing][0]
    assert volume_share(seed(**{missing: row(missing, price, None)})) is None
    old = row(missing, *SEED[missing], AT - 90_001)
    assert volume_share(seed(**{missing: old})) is None


def test_a_stale_price_is_no_premium() -> None:
    """A price of another time against the median of now is a move, not a premium."""
    old = seed(coinbase=row("coinbase", 64315.2, 1842.3, AT - 90_001))
    assert premium_bps(old) is None
    assert "none" == premium_state(old)


def test_one_other_venue_is_no_median() -> None:
    """Two others are needed."""
    alone = seed(binance=None, bitfinex=None, kraken=None)
    assert premium_bps(alone) is None
    assert premium_bps(seed(bitfinex=None, kraken=None)) is not None


def trade(side: str, price: float, size: float) -> TradePrint:
    """A print by its taker's side."""
    return TradePrint("BTC", "coinbase", AT, side, price, size, "1")


def test_the_delta_is_buys_less_sells() -> None:
    """In USD; nothing traded is a measured 0."""
    prints = [trade("buy", 64_000.0, 2.0), trade("sell", 64_100.0, 0.5), trade("sell", 63_900, 1)]
    assert 64_000 * 2 - 64_100 * 0.5 - 63_900 == taker_delta(prints)
    assert taker_delta([]) == 0


@pytest.mark.parametrize(
    ("premium", "others", "delta", "daily", "hours", "expected"),
    [
        (8.4, 4, 840_000.0, True, True, "high"),
        (-8.4, 4, -840_000.0, True, True, "high"),
        # The seed's example is before the open.
        (8.4, 4, 840_000.0, True, False, "medium"),
        (8.4, 4, -840_000.0, True, True, "medium"),
        (8.4, 4, 0.0, True, True, "medium"),
        (8.4, 4, None, True, True, "medium"),
        (8.4, 2, 840_000.0, True, True, "medium"),
        (8.4, 2, None, True, True, "low"),
        (None, 4, None, True, True, "low"),
        (8.4, 4, None, False, True, "low"),
    ],
)
def test_confidence(
    premium: float | None,
    others: int,
    delta: float | None,
    daily: bool,  # noqa: FBT001
    hours: bool,  # noqa: FBT001
    expected: str,
) -> None:
    """A point each; high only with all four, one sign, inside US hours."""
    found = confidence_of(premium, others, delta, daily_is_recent=daily, us_hours=hours)
    assert expected == found
