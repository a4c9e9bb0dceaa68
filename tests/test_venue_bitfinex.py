"""Bitfinex: arrays, UST, colons, fractions, and names of its own."""

from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.bitfinex import (
    NAMES,
    TICKERS,
    Bitfinex,
    parse_markets,
    parse_pairs,
    read_names,
    read_row,
)

pytestmark = pytest.mark.anyio

VENUE = Bitfinex()
AT = 1_789_412_345_678


async def rows(*coins: str) -> dict[str, SpotRow]:
    """The spot rows of coins over our samples."""
    return {row.coin: row for row in await VENUE.spot(asking("bitfinex", *coins))}


async def test_a_ticker() -> None:
    """The change is a fraction on the wire: 0.0127 is 1.27 %."""
    btc = (await rows("BTC"))["BTC"]
    assert (80005.0, 80000.0, 80010.0, 9148.35235119) == (
        btc.price,
        btc.bid,
        btc.ask,
        btc.volume24h,
    )
    assert pytest.approx(1.27) == btc.change24h_pct
    assert ("USD", "tBTCUSD", AT, None) == (btc.quote, btc.symbol, btc.fetched_at, btc.venue_time)


async def test_a_falling_price() -> None:
    """-0.0099 is -0.99 %."""
    assert pytest.approx(-0.99) == (await rows("ETH"))["ETH"].change24h_pct


async def test_a_last_trade_outside_the_book_is_not_the_price() -> None:
    """SOL last traded at 152 over an ask of 150.2: (150 + 150.2) / 2."""
    assert pytest.approx(150.1) == (await rows("SOL"))["SOL"].price


async def test_names_of_the_venues_own() -> None:
    """ALG is ALGO, AMP is AMPL and not AMP, LUNA is the old chain, UST is tether."""
    found = await rows("ALGO", "AMPL", "AMP", "LUNC", "LUNA", "USDT", "DOGE")
    assert {
        "ALGO": "tALGUSD",
        "AMPL": "tAMPUSD",
        "LUNC": "tLUNA:USD",
        "LUNA": "tLUNA2:USD",
        "USDT": "tUSTUSD",
        "DOGE": "tDOGE:USD",
    } == {coin: row.symbol for coin, row in found.items()}


async def test_its_own_list_of_names_comes_on_top() -> None:
    """PNUT is renamed in the list alone."""
    found = await rows("PNT2", "PNUT")
    assert {"PNT2": "tPNUT:USD"} == {coin: row.symbol for coin, row in found.items()}


def test_names_without_the_list() -> None:
    """What is known does; "USDt" is written in capitals."""
    assert "USDT" == read_names(NOTHING)["UST"] == read_names(sample("bitfinex", NAMES))["UST"]


async def test_dollars_before_tether() -> None:
    """tBTCUSD speaks for bitcoin, not tBTCUST."""
    pairs, _, bad = sample("bitfinex", TICKERS).parsed(parse_pairs, sample("bitfinex", NAMES))
    assert ("tBTCUSD", 0) == (pairs["BTC"].symbol, bad)


def test_what_is_no_coin_in_dollars_is_left_out() -> None:
    """Perpetuals, paper markets, funding, money and pairs of coins."""
    names = sample("bitfinex", NAMES)
    pairs, _, _ = sample("bitfinex", TICKERS).parsed(parse_pairs, names)
    symbols = {pair.symbol for pair in pairs.values()}
    assert not {"tBTCF0:USTF0", "tTESTBTC:USD", "fUSD", "tEURUST", "tETHBTC"} & symbols
    assert not {"EUR", "BTCF0", "TESTBTC"} & pairs.keys()
    markets = sample("bitfinex", TICKERS).parsed(parse_markets, names)
    assert {"tBTCUSD", "tBTCUST"} <= {row.symbol for row in markets}
    assert "tTESTBTC:USD" not in {row.symbol for row in markets}


async def test_a_market_without_a_price_gives_no_row() -> None:
    """Nulls where numbers should be: missing, not zero, and still listed."""
    ask = asking("bitfinex", "XMR", "BTC")
    assert ["BTC"] == [row.coin for row in await VENUE.spot(ask)]
    assert ["changed: the ticker of tXMRUSD could not be read"] == ask.shortfalls
    assert "XMR" in ask.universe


async def test_one_round_of_two_requests() -> None:
    """All tickers, and the names once a day."""
    ask = asking("bitfinex", "BTC", "ETH", "SOL")
    await VENUE.spot(ask)
    assert [TICKERS.url, NAMES.url] == sorted(ask._upstream.asked, reverse=True)  # type: ignore[attr-defined]
    assert ["tickers"] == ask.labels


async def test_without_the_names_the_price_is_told() -> None:
    """And the reason that they are not there."""
    ask = asking("bitfinex", "BTC", failing={"conf": VenueTimeout("timeout: 6 s")})
    assert [80005.0] == [row.price for row in await VENUE.spot(ask)]
    assert ["timeout: 6 s (names)"] == ask.shortfalls


@pytest.mark.parametrize("doc", [{}, None, "text", [["tBTCUSD", 1, 2]], ["error", 10020, "x"]])
def test_a_changed_answer_is_refused(doc: Any) -> None:
    """Not a list of rows of eleven."""
    with pytest.raises((VenueChanged, AttributeError)):
        Wire(doc, fetched_at=AT, read=0.0, size=0).parsed(parse_pairs, NOTHING)


def test_the_recorded_tickers() -> None:
    """July 2019: BTC 9,625.9, bid 9,625.5, 9,148.35 traded, +1.57 %; no perpetual, no funding."""
    wire = recorded("bitfinex", TICKERS)
    pairs, tickers, bad = wire.parsed(parse_pairs, NOTHING)
    row = read_row(tickers["tBTCUSD"], pairs["BTC"], wire)
    assert (9625.9, 9625.5, 9625.9, 9148.35235119) == (row.price, row.bid, row.ask, row.volume24h)
    assert pytest.approx(1.57) == row.change24h_pct
    assert 0 == bad
    assert {"ETH", "LTC", "IOTA", "DASH", "ATOM"} <= pairs.keys()
    assert not {"IOT", "DSH", "ATO", "UST", "EUR"} & pairs.keys()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b'["error",10020,"symbol: invalid"]', VenueRejected),
        (500, b'["error",20060,"maintenance"]', VenueHttp),
        (429, b'{"error":"ERR_RATE_LIMIT"}', VenueRateLimited),
        (500, b'["error",11010,"ratelimit: error"]', VenueRateLimited),
        (200, b'[["tBTCUSD",1]]', type(None)),
        (502, b"<html>", type(None)),
    ],
)
def test_refusals(status: int, body: bytes, kind: type) -> None:
    """Arrays that begin with the word error; the rate blocks the address for a minute."""
    error = VENUE.refusal(status, body)
    assert kind is type(error)
    if isinstance(error, VenueRateLimited):
        assert 60 == error.retry_after


def test_it_stands_in_the_roll() -> None:
    """Found by its file, named as the contract names it."""
    venue = roll()["bitfinex"]
    assert ("Bitfinex", "cex", "live") == (venue.name, venue.kind, venue.status)
