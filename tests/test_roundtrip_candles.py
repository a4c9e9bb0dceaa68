"""`parse(render(bars)) == bars`: candles and books of the simulated market, read back, by venue."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from worlds import MARKET, NOW, world

from mmflow_mcp import app as composition
from mmflow_mcp.app import App
from mmflow_mcp.clock import FixedClock
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.sim.bars import Bar, bars, book
from mmflow_mcp.sim.market import Listing
from mmflow_mcp.venues import candle_series, roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import combine
from mmflow_mcp.venues.candle_spans import STEPS, Page, Paging, Span, pages_of
from mmflow_mcp.venues.capabilities import Candles, Funding, OrderBooks, Spot
from mmflow_mcp.venues.traded import Traded

pytestmark = pytest.mark.anyio

SPOT = ("coinbase", "kraken")
# As deep as each is asked for.
LEVELS = {
    "aster": 1000,
    "binance": 1000,
    "bybit": 500,
    "coinbase": 500,
    "deribit": 1000,
    "gateio": 100,
    "hyperliquid": 20,
    "kraken": 500,
    "okx": 400,
}
VENUES = tuple(LEVELS)
# Among them a thousand and a million coins in one unit, contracts of many, and inverse ones.
COINS = {"bybit": ("BTC", "PEPE", "MOG"), "deribit": ("BTC", "SOL")}
# What each makes of shorter ones.
MADE_OF = {("coinbase", "30m"): "15m", ("coinbase", "4h"): "1h", ("deribit", "4h"): "1h"}
# No coin of any venue, suspended or delisted, and a stock: they never answer.
NEVER = ("TSLA", "FTM", "NOSUCHCOIN")
MINUTE = STEPS["1m"]


def coins_of(venue: str) -> tuple[str, ...]:
    """The coins that a venue is asked for here."""
    return COINS.get(venue, ("BTC", "PEPE"))


async def gathered(app: App, capability: type, venue: str, *coins: str, **how: Any) -> Gathered:
    """What one venue answers about some coins; none: its usual ones."""
    return await gather(app.core(), capability, (roll()[venue],), coins or None, options=how)


async def main_symbols(app: App, venue: str, *coins: str) -> dict[str, str]:
    """The market that funding, or spot, answers with, by coin."""
    found = await gathered(app, Spot if venue in SPOT else Funding, venue, *coins)
    return {row.coin: row.symbol for row in found.rows}


def listing(venue: str, symbol: str) -> Listing:
    """The market of that symbol."""
    kind = "spot" if venue in SPOT else "perp"
    listed = MARKET.listings(venue, NOW)
    return next(i for i in listed if (i.symbol, i.kind) == (symbol, kind))


def candle(one: Bar, item: Listing) -> Candle:
    """The truth of a candle per coin and in coins."""
    many = item.multiplier
    opened, high, low, closed = (p / many for p in (one.open, one.high, one.low, one.close))
    return Candle(one.start_ms, opened, high, low, closed, one.units * many)


def truth_of(item: Listing, interval: str, since: int, now: int = NOW) -> list[Candle]:
    """The market's own candles, of the length that the venue has."""
    told = STEPS[MADE_OF.get((item.venue, interval), interval)]
    parts = [candle(one, item) for one in bars(MARKET, item, since, now + 1, told, now)]
    return combine(parts, STEPS[interval])


def opening(interval: str, count: int) -> int:
    """When the oldest of the last so many candles opens, the running one among them."""
    return NOW // STEPS[interval] * STEPS[interval] - (count - 1) * STEPS[interval]


def are_close(told: Iterable[float], real: Iterable[float], slack: float = 0.0) -> bool:
    """Whether numbers agree in nine digits, or within a slack."""
    pairs = list(zip(told, real, strict=True))
    return all(abs(a - b) <= max(1e-9 * abs(b), slack) for a, b in pairs)


@pytest.mark.parametrize("venue", VENUES)
async def test_candles_are_the_markets(venue: str) -> None:
    """Of every interval: openings, prices per coin and volume in coins, the running one too."""
    coins, count = coins_of(venue), 5
    async with world() as app:
        mains = await main_symbols(app, venue, *coins)
        for interval, step in STEPS.items():
            since = opening(interval, count)
            asked = {"interval": interval, "since_ms": since - step + 1, "until_ms": NOW}
            found = await gathered(app, Candles, venue, *coins, *NEVER, **asked)
            assert ([], set(NEVER)) == (found.notes, set(found.not_listed))
            assert mains == {row.coin: row.symbol for row in found.rows}
            for row in found.rows:
                item = listing(venue, row.symbol)
                truth = truth_of(item, interval, since)
                assert [since + n * step for n in range(count)] == [c.t for c in row.candles]
                assert ("spot" if venue in SPOT else "perp", interval, NOW) == (
                    row.market,
                    row.interval,
                    row.fetched_at,
                )
                assert (item.quote if venue != "hyperliquid" else "USD") == row.quote
                # Gate counts whole contracts, Kraken prints eight decimals.
                slack = item.contract_size / 2 + 1e-9 if venue == "gateio" else 5.1e-9
                parts = step // STEPS[MADE_OF.get((venue, interval), interval)]
                for told, real in zip(row.candles, truth, strict=True):
                    prices = [real.o, real.h, real.l, real.c]
                    assert are_close([told.o, told.h, told.l, told.c], prices)
                    assert are_close([told.v], [real.v], parts * slack)


@pytest.mark.parametrize("venue", VENUES)
async def test_books_are_the_markets(venue: str) -> None:
    """Every level, best first, in coins and per coin; whole contracts where a venue has those."""
    coins = coins_of(venue)
    async with world() as app:
        found = await gathered(app, OrderBooks, venue, *coins, *NEVER)
    assert ([], set(NEVER)) == (found.notes, set(found.not_listed))
    assert list(coins) == [row.coin for row in found.rows]
    for row in found.rows:
        item = listing(venue, row.symbol)
        truth = book(MARKET, item, NOW, LEVELS[venue])
        many = item.multiplier
        for told, real in ((row.bids, truth.bids), (row.asks, truth.asks)):
            # A side ends where prices would.
            assert 20 <= len(real) == len(told) <= LEVELS[venue]
            assert are_close((price for price, _ in told), (price / many for price, _ in real))
            for (price, size), (_, true_size) in zip(told, real, strict=True):
                slack = 1e-8
                if item.margin == "inverse":
                    # USD in steps of a contract.
                    slack = item.contract_size / 2 / price * 1.000001
                elif venue == "gateio":
                    # At least one contract waits.
                    slack = item.contract_size
                assert are_close([size], [true_size * many], slack)
        assert row.bids[0][0] < row.asks[0][0]
        assert (None if venue == "kraken" else NOW) == row.venue_time


@pytest.mark.parametrize("venue", VENUES)
async def test_every_coin_has_the_market_that_speaks_for_it(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same one as in funding or spot; no stock, delisted or pre-market contract answers."""
    chosen: list[Traded] = []

    async def ask_no_books(_: Ask, traded: Iterable[Traded], __: object) -> list[object]:
        chosen.extend(traded)
        return []

    # Which they are is all that counts: that many books would take their time.
    where = "fapi_candles" if venue in ("aster", "binance") else venue
    monkeypatch.setattr(f"mmflow_mcp.venues.{where}.ask_books", ask_no_books)
    listed = [item for v in VENUES for item in MARKET.listings(v, NOW)]
    coins = sorted({item.coin for item in listed})
    async with world() as app:
        mains = await main_symbols(app, venue, *coins)
        found = await gathered(app, OrderBooks, venue, *coins)
    assert len(mains) >= 10
    assert mains == {market.coin: market.symbol for market in chosen}
    for market in chosen:
        item = listing(venue, market.symbol)
        assert ("crypto", "live", market.coin) == (item.asset, item.status, item.coin)
        assert (item.multiplier, item.margin == "inverse") == (market.multiplier, market.inverse)
    assert set(coins) - mains.keys() == set(found.not_listed)


@pytest.mark.parametrize("venue", VENUES)
async def test_pages_are_put_together(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pages of eight and a rest: no minute is lost and none comes twice."""

    def small_pages(span: Span, paging: Paging) -> tuple[list[Page], int]:
        return pages_of(span, replace(paging, page=8))

    monkeypatch.setattr(candle_series, "pages_of", small_pages)
    many = 8 if venue in ("hyperliquid", "kraken") else 30
    first = opening("1m", many)
    async with world() as app:
        found = await gathered(app, Candles, venue, "BTC", interval="1m", since_ms=first)
    (row,) = found.rows
    assert [] == found.notes
    assert list(range(first, NOW, MINUTE)) == [one.t for one in row.candles]
    assert truth_of(listing(venue, row.symbol), "1m", first)[0].o == row.candles[0].o


@pytest.mark.parametrize(("venue", "page"), [("okx", 300), ("coinbase", 300), ("bybit", 1000)])
async def test_a_venue_gives_pages_as_large_as_they_are_asked_for(venue: str, page: int) -> None:
    """Two more minutes than a page holds."""
    first = opening("1m", page + 2)
    async with world() as app:
        found = await gathered(app, Candles, venue, "BTC", interval="1m", since_ms=first)
    (row,) = found.rows
    assert ([], page + 2) == (found.notes, len(row.candles))


async def test_what_a_venue_no_longer_has_is_said() -> None:
    """Kraken has the newest 720; where they begin is in the reason."""
    since = opening("1m", 730)
    async with world() as app:
        found = await gathered(app, Candles, "kraken", "BTC", interval="1m", since_ms=since)
    (row,) = found.rows
    assert 720 == len(row.candles)
    (note,) = found.notes
    assert f"missing: candles of XXBTZUSD from before {row.candles[0].t}" == note["reason"]


async def test_a_quiet_product_has_gaps() -> None:
    """Where nobody traded for a quarter of an hour there are no candles: absence, not zeros."""
    since = opening("1m", 60)
    async with world() as app:
        found = await gathered(app, Candles, "coinbase", "1INCH", interval="1m", since_ms=since)
    (row,) = found.rows
    assert NOW - 900_000 - MINUTE < row.candles[-1].t <= NOW - 900_000


@pytest.mark.parametrize("venue", VENUES)
async def test_a_question_without_options_has_an_answer(venue: str) -> None:
    """As doctor asks: the last day by the hour, of the usual coins or the venue's own."""
    async with world() as app:
        found = await gathered(app, Candles, venue)
    usual = roll()[venue].default_coins or ("BTC", "ETH", "SOL")
    assert [(coin, "1h", 24) for coin in usual] == [
        (row.coin, row.interval, len(row.candles)) for row in found.rows
    ]
    assert ([], {venue: ", ".join(usual)}) == (found.notes, found.narrowed)


@pytest.mark.parametrize("venue", VENUES)
async def test_a_copy_read_while_a_candle_ran_is_not_served_as_final(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same past page is read again, and only then kept: a minute after its end."""
    ends = opening("1m", 1) + MINUTE
    clock = FixedClock(ends - 10_000)
    monkeypatch.setattr(composition, "clock_of", lambda _: clock)
    asked = {"interval": "1m", "since_ms": ends - 3 * MINUTE, "until_ms": ends}
    told = []
    async with world() as app:
        for wait in (0, 130, 50):
            clock.advance(wait)
            (row,) = (await gathered(app, Candles, venue, "BTC", **asked)).rows
            told.append((row.candles[-1].c, row.fetched_at))
    item = listing(venue, row.symbol)
    running, final = (
        truth_of(item, "1m", ends - MINUTE, now)[0].c for now in (ends - 10_000, ends + 1000)
    )
    read = ends - 10_000, ends + 120_000
    assert running != final
    assert [(running, read[0]), (final, read[1]), (final, read[1])] == told
