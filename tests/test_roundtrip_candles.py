"""`parse(render(bars)) == bars`: candles and books of the simulated market, read back."""

from typing import Any

import pytest
from worlds import MARKET, NOW, world

from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.sim.bars import Bar, bars, book
from mmflow_mcp.sim.shapes import Listing
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_pages import STEPS_MS
from mmflow_mcp.venues.capabilities import Candles, Funding, OrderBooks
from mmflow_mcp.venues.contracts import Contract

pytestmark = pytest.mark.anyio

# Among them a thousand and a million coins in one unit, and contracts of many.
COINS = {
    "bybit": ("BTC", "PEPE", "SHIB", "MOG", "SOL"),
    "okx": ("BTC", "PEPE", "DOGE"),
    "gateio": ("BTC", "PEPE", "DOGE"),
    "deribit": ("BTC", "ETH", "SOL"),
}
COUNTS = {"1m": 25, "5m": 8, "15m": 8, "30m": 8, "1h": 8, "1d": 10}
# Not a coin of the venue, suspended or delisted, and a stock: they never answer.
NEVER = ("TSLA", "FTM", "NOSUCHCOIN")


async def gathered(venue: str, capability: type, coins: Any, **options: Any) -> Gathered:
    """What a venue over the simulated market answers at `NOW`."""
    async with world() as app:
        return await gather(app.core(), capability, [roll()[venue]], coins, options=options)


def main_listing(venue: str, coin: str) -> Listing:
    """The perpetual that the market's truth about funding is of."""
    truth = MARKET.funding(venue, coin, NOW)
    assert truth is not None
    return truth.listing


def slack_of(listing: Listing) -> float:
    """Coins that are lost where a venue tells whole contracts, or USD in steps of one."""
    if listing.venue == "gateio":
        return listing.contract_size / 2 + 1e-9
    return 0.0


def truth_of(listing: Listing, interval: str, since_ms: int) -> list[Bar]:
    """The market's own candles."""
    return bars(MARKET, listing, since_ms, NOW + 1, STEPS_MS[interval], NOW)


@pytest.mark.parametrize("interval", COUNTS)
@pytest.mark.parametrize("venue", COINS)
async def test_candles_are_the_markets(venue: str, interval: str) -> None:
    """Openings, prices per coin and volume in coins, the running candle among them."""
    since = NOW - COUNTS[interval] * STEPS_MS[interval]
    coins = COINS[venue]
    found = await gathered(
        venue, Candles, (*coins, *NEVER), interval=interval, since_ms=since, until_ms=NOW + 1
    )
    assert ([], set(NEVER)) == (found.notes, set(found.not_listed))
    assert list(coins) == [series.coin for series in found.rows]
    for series in found.rows:
        listing = main_listing(venue, series.coin)
        truth = truth_of(listing, interval, since)
        assert (listing.symbol, listing.quote) == (series.symbol, series.quote)
        assert (COUNTS[interval], NOW) == (len(truth), series.fetched_at)
        assert [bar.start_ms for bar in truth] == [candle.t for candle in series.candles]
        assert truth[-1].start_ms <= NOW < truth[-1].start_ms + STEPS_MS[interval]
        times = listing.multiplier
        for bar, candle in zip(truth, series.candles, strict=True):
            prices = [price / times for price in (bar.open, bar.high, bar.low, bar.close)]
            assert pytest.approx(prices, rel=1e-12) == [candle.o, candle.h, candle.l, candle.c]
            slack = slack_of(listing)
            assert pytest.approx(bar.units * times, rel=1e-9, abs=slack) == candle.v


@pytest.mark.parametrize("venue", COINS)
async def test_four_hours_are_the_markets(venue: str) -> None:
    """As the venue tells them; on Deribit made of the market's hours."""
    since = NOW // STEPS_MS["4h"] * STEPS_MS["4h"] - 3 * STEPS_MS["4h"]
    found = await gathered(venue, Candles, ("BTC",), interval="4h", since_ms=since)
    (series,) = found.rows
    listing = main_listing(venue, "BTC")
    truth = truth_of(listing, "4h", since)
    assert [bar.start_ms for bar in truth] == [candle.t for candle in series.candles]
    assert 4 == len(truth)
    hours = truth_of(listing, "1h", since)
    for bar, candle in zip(truth, series.candles, strict=True):
        assert (bar.open, bar.close) == (candle.o, candle.c)
        parts = [hour for hour in hours if 0 <= hour.start_ms - bar.start_ms < STEPS_MS["4h"]]
        exact = parts if venue == "deribit" else [bar]
        assert (max(b.high for b in exact), min(b.low for b in exact)) == (candle.h, candle.l)
        units = sum(b.units for b in exact)
        assert pytest.approx(units, rel=1e-9, abs=slack_of(listing)) == candle.v


@pytest.mark.parametrize("venue", COINS)
async def test_pages_are_put_together(venue: str) -> None:
    """More minutes than one page of any of these venues holds: none is lost, none comes twice."""
    count = 2100
    first = (NOW // 60_000 - count + 1) * 60_000
    found = await gathered(venue, Candles, ("BTC",), interval="1m", since_ms=first)
    (series,) = found.rows
    assert [] == found.notes
    assert list(range(first, NOW, 60_000)) == [candle.t for candle in series.candles]
    (bar,) = bars(MARKET, main_listing(venue, "BTC"), first, first + 1, 60_000, NOW)
    assert (bar.open, bar.close) == (series.candles[0].o, series.candles[0].c)


@pytest.mark.parametrize("venue", COINS)
async def test_the_contract_is_that_of_funding(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every coin of the venue, and of no other name that it lists."""

    async def ask_no_books(ask: Ask, contracts: dict[str, Contract], _: object) -> list[Contract]:
        return ask.pick(contracts)

    # The contracts that would be asked for: that many books would take their time.
    monkeypatch.setattr(f"mmflow_mcp.venues.{venue}.ask_books", ask_no_books)
    coins = tuple(sorted({listing.coin for listing in MARKET.listings(venue)}))
    funding = await gathered(venue, Funding, coins)
    books = await gathered(venue, OrderBooks, coins)
    assert len(funding.rows) >= 10
    expected = {row.coin: row.symbol for row in funding.rows}
    assert expected == {row.coin: row.symbol for row in books.rows}
    assert funding.not_listed == books.not_listed


@pytest.mark.parametrize("venue", COINS)
async def test_books_are_the_markets(venue: str) -> None:
    """Every level: price per coin and coins that wait; whole contracts where a venue has those."""
    coins = COINS[venue]
    found = await gathered(venue, OrderBooks, (*coins, *NEVER))
    assert ([], set(NEVER)) == (found.notes, set(found.not_listed))
    assert list(coins) == [row.coin for row in found.rows]
    for row in found.rows:
        listing = main_listing(venue, row.coin)
        truth = book(MARKET, listing, NOW, len(row.bids))
        assert (listing.symbol, listing.quote, "perp") == (row.symbol, row.quote, row.market)
        assert NOW == row.venue_time
        assert len(row.bids) >= 100
        for told, real in ((row.bids, truth.bids), (row.asks, truth.asks)):
            assert len(real) == len(told)
            for (price, size), (true_price, true_size) in zip(told, real, strict=True):
                times = listing.multiplier
                assert pytest.approx(true_price / times, rel=1e-12) == price
                slack = slack_of(listing)
                if listing.margin == "inverse":
                    # USD in steps of a contract.
                    slack = listing.contract_size / 2 / price * 1.000001
                elif venue == "gateio":
                    # At least one contract waits.
                    slack = listing.contract_size
                assert pytest.approx(true_size * times, rel=1e-9, abs=slack) == size
