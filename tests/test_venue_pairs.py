"""The price of a spot row (METHODS 7), its change, and which market speaks for a coin."""

from typing import Any

import pytest

from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.venues.pairs import (
    USD_FIRST,
    USDT_FIRST,
    Pair,
    fair_price,
    main_pairs,
    pair_of,
    price_or_none,
    spot_row,
)

AT = 1_789_412_345_678
BTC = Pair("BTC-USD", "BTC", 1, "USD")


def row(pair: Pair = BTC, **told: Any) -> SpotRow:
    """A row from what a venue told."""
    return spot_row("coinbase", pair, AT, **{"last": "100", **told})


@pytest.mark.parametrize(
    ("last", "bid", "ask"),
    [(64312.0, 64311.0, 64313.5), (64311.7, 64311.2, 64312.1), (64310.5, 64310.4, 64310.6)],
)
def test_the_price_is_the_last_trade_inside_the_book(last: float, bid: float, ask: float) -> None:
    """The specification's rows: bitfinex 64,312.0 and not its midpoint 64,312.25."""
    assert last == fair_price(last, bid, ask, 0)


def test_a_last_trade_may_lie_ten_bps_outside_the_book() -> None:
    """10 bps of a bid of 1,000 are 1: 999.0 is the last trade still, 998.9 is not."""
    assert 999.0 == fair_price(999.0, 1000.0, 1002.0, 0)
    assert 1001.0 == fair_price(998.9, 1000.0, 1002.0, 0)
    # 10 bps of an ask of 1,000 are 1.
    assert 1001.0 == fair_price(1001.0, 998.0, 1000.0, 0)
    assert 999.0 == fair_price(1001.1, 998.0, 1000.0, 0)


def test_an_old_trade_gives_way_to_the_midpoint() -> None:
    """At 90 s it counts, beyond it the midpoint does; without a book there is nothing better."""
    assert 100.1 == fair_price(100.1, 100.0, 100.4, 90_000)
    assert 100.2 == fair_price(100.1, 100.0, 100.4, 90_001)
    assert 100.1 == fair_price(100.1, None, 100.4, 90_001)
    assert 100.1 == fair_price(100.1, 100.0, None, 90_001)
    assert 100.2 == fair_price(None, 100.0, 100.4, 0)
    with pytest.raises(ValueError, match="neither"):
        fair_price(None, 100.0, None, 0)


def test_the_time_of_the_price_goes_with_the_price() -> None:
    """An old trade behind a live book leaves no time; alone it stands there marked stale."""
    fresh = row(bid="99.99", ask="100.01", traded_ms=AT - 1000)
    assert (100.0, AT - 1000, None) == (fresh.price, fresh.venue_time, fresh.stale)
    behind = row(bid="100.99", ask="101.01", traded_ms=AT - 91_000)
    assert (101.0, None, None) == (behind.price, behind.venue_time, behind.stale)
    same = row(bid="99", ask="101", traded_ms=AT - 91_000)
    assert (100.0, None, None) == (same.price, same.venue_time, same.stale)
    alone = row(traded_ms=AT - 91_000)
    assert (100.0, AT - 91_000, True) == (alone.price, alone.venue_time, alone.stale)


def test_an_old_ticker_is_stale() -> None:
    """A ticker that was written 91 s before it was read is kept and marked."""
    old = row(bid="99.99", ask="100.01", told_ms=AT - 91_000)
    assert (100.0, True, AT - 91_000) == (old.price, old.stale, old.venue_time)
    assert row(told_ms=AT - 90_000).stale is None
    # A venue's clock may be ahead of ours.
    assert row(told_ms=AT + 5_000).stale is None


def test_a_crossed_book_is_no_book() -> None:
    """Bid above ask: neither is told, and the last trade stands."""
    crossed = row(bid="101", ask="99")
    assert (100.0, None, None) == (crossed.price, crossed.bid, crossed.ask)
    locked = row(bid="100", ask="100")
    assert (100.0, 100.0, 100.0) == (locked.price, locked.bid, locked.ask)


def test_empty_and_zero_are_nothing() -> None:
    """Empty text, null and 0 for a side of the book, a volume or a change are null, never zero."""
    empty = row(bid="", ask=None, volume="", change="")
    assert (None, None, None, None) == (
        empty.bid,
        empty.ask,
        empty.volume24h,
        empty.change24h_pct,
    )
    assert row(bid="0", ask="0.00000000").bid is None
    assert 0.0 == row(volume="0").volume24h


def test_the_change_is_of_the_price_shown() -> None:
    """80 -> 100 is +25 %; where the midpoint 101 is the price, it is +26.25 %."""
    assert pytest.approx(25.0) == row(before="80").change24h_pct
    moved = row(before="80", bid="100.9", ask="101.1", traded_ms=AT - 100_000)
    assert pytest.approx(26.25) == moved.change24h_pct
    assert row(before="0").change24h_pct is None
    assert row(before="").change24h_pct is None
    assert -3.21 == row(change="-3.21").change24h_pct


def test_a_multiplier_is_divided_out() -> None:
    """1000SATS at 0.028 is SATS at 0.000028; 5 units are 5,000 coins."""
    pair = pair_of("1000SATSUSDT", "1000SATS", "USDT")
    assert pair is not None
    told = row(pair, last="0.028", bid="0.0279", ask="0.0281", volume="5")
    assert ("SATS", 1000) == (told.coin, pair.multiplier)
    assert pytest.approx((0.000028, 0.0000279, 0.0000281, 5000)) == (
        told.price,
        told.bid,
        told.ask,
        told.volume24h,
    )


@pytest.mark.parametrize(
    "told",
    [
        {"last": "abc"},
        {"last": "-1"},
        {"last": "1e308"},
        {"last": "NaN"},
        {"last": True},
        {"ask": "1e308", "bid": "1"},
        {"volume": "-5"},
        {"volume": "1e308"},
        {"change": "-101"},
        {"change": "1e9"},
        {"before": "1e-9", "last": "5"},
        {"last": ""},
    ],
)
def test_absurd_numbers_make_no_row(told: dict[str, Any]) -> None:
    """What no market can print is unreadable, never an infinite or negative number."""
    with pytest.raises(ValueError, match=r"."):
        row(**told)


def test_prices_keep_their_digits() -> None:
    """The venue's own number, not a rounded one."""
    assert 80799.995 == price_or_none("80799.995")
    assert 0.0000072134 == price_or_none("0.0000072134")


@pytest.mark.parametrize("base", ["EUR", "GBP", "USD", "TRY", "BTC3L", "ETH5S", "ADA2L"])
def test_money_and_leveraged_tokens_are_no_coins(base: str) -> None:
    """EURUSDT and BTC3L_USDT are spot markets and answer for nothing."""
    assert pair_of(f"{base}USDT", base, "USDT") is None


@pytest.mark.parametrize(
    "base", ["JUP", "1INCH", "C98", "S", "2Z", "USDT", "SYRUP", "3L", "币安人生"]
)
def test_coins_with_odd_names_are_coins(base: str) -> None:
    """Digits and single letters do not make a leveraged token."""
    pair = pair_of(f"{base}USDT", base, "USDT")
    assert pair is not None
    assert base == pair.coin


def test_one_market_speaks_for_a_coin() -> None:
    """By quote, then the smaller multiplier, then by name; euros and bitcoin never."""
    listed = [
        Pair("BTC-EUR", "BTC", 1, "EUR"),
        Pair("BTC-USDC", "BTC", 1, "USDC"),
        Pair("BTC-USDT", "BTC", 1, "USDT"),
        Pair("BTC-USD", "BTC", 1, "USD"),
        Pair("1000CAT-USDT", "CAT", 1000, "USDT"),
        Pair("CAT-USDT", "CAT", 1, "USDT"),
        Pair("ETH-BTC", "ETH", 1, "BTC"),
    ]
    by_dollar = main_pairs(listed, USD_FIRST)
    assert {"BTC": "BTC-USD", "CAT": "CAT-USDT"} == {c: p.symbol for c, p in by_dollar.items()}
    assert "BTC-USDT" == main_pairs(listed, USDT_FIRST)["BTC"].symbol
