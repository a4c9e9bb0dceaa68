"""`parse(render(bars)) == bars`: candles and books are those of the simulated market.

Of every coin's main market, in coins and per coin, on the venues whose candles are alike on the
wire: linear perpetuals in `fapi`'s grammar, Hyperliquid's, and spot in dollars.
"""

from typing import Any

import pytest
from worlds import MARKET, NOW, world

from mmflow_mcp.app import App
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.sim.bars import Bar, bars, book
from mmflow_mcp.sim.market import Listing
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.candle_rows import STEPS, combine
from mmflow_mcp.venues.capabilities import Candles, Funding, OrderBooks, Spot

pytestmark = pytest.mark.anyio

PERPS = ("aster", "binance", "hyperliquid")
SPOT = ("coinbase", "kraken")
# As deep as each is asked.
LEVELS = {"aster": 1000, "binance": 1000, "coinbase": 500, "hyperliquid": 20, "kraken": 500}
# PEPE is 1000PEPE or kPEPE on perpetuals.
COINS = ("BTC", "PEPE", "SOL")


async def gathered(app: App, capability: type, venue: str, *coins: str, **how: Any) -> Gathered:
    """What one venue answers about some coins."""
    return await gather(app.core(), capability, (roll()[venue],), coins, options=how)


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


def span(interval: str, count: int) -> dict[str, Any]:
    """The last so many candles, the running one among them; the ends lie off the grid."""
    step = STEPS[interval]
    first = NOW - NOW % step - (count - 1) * step
    return {"interval": interval, "since_ms": first - step + 1, "until_ms": NOW}


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
@pytest.mark.parametrize("venue", PERPS + SPOT)
async def test_candles_are_the_markets(venue: str, interval: str) -> None:
    """Times, prices and volumes of 15 candles, in units of a thousand coins or not."""
    asked = span(interval, 15)
    async with world() as app:
        mains = await main_symbols(app, venue, *COINS)
        found = await gathered(app, Candles, venue, *COINS, **asked)
    assert ([], {}) == (found.notes, found.not_listed)
    assert mains == {row.coin: row.symbol for row in found.rows}
    units = {listing(venue, symbol).multiplier for symbol in mains.values()}
    assert ({1} if venue in SPOT else {1, 1000}) == units
    for row in found.rows:
        item = listing(venue, row.symbol)
        step = STEPS[interval]
        truth = bars(MARKET, item, asked["since_ms"], asked["until_ms"], step, NOW)
        assert 15 == len(truth)
        assert ("spot" if venue in SPOT else "perp", interval) == (row.market, row.interval)
        assert (item.quote if venue != "hyperliquid" else "USD") == row.quote
        assert [one.start_ms for one in truth] == [one.t for one in row.candles]
        for one, got in zip(truth, row.candles, strict=True):
            expected = candle(one, item)
            for name in "ohlc":
                assert pytest.approx(getattr(expected, name), rel=1e-9) == getattr(got, name)
            # Kraken prints eight decimals.
            assert pytest.approx(expected.v, rel=1e-9, abs=5.1e-9) == got.v


@pytest.mark.parametrize("venue", PERPS + SPOT)
async def test_books_are_the_markets(venue: str) -> None:
    """Every level, best first, in coins and per coin; where the venue tells a time, that."""
    async with world() as app:
        mains = await main_symbols(app, venue, *COINS)
        found = await gathered(app, OrderBooks, venue, *COINS)
    assert ([], {}) == (found.notes, found.not_listed)
    assert mains == {row.coin: row.symbol for row in found.rows}
    for row in found.rows:
        item = listing(venue, row.symbol)
        truth = book(MARKET, item, NOW, LEVELS[venue])
        many = item.multiplier
        for side, told in ((truth.bids, row.bids), (truth.asks, row.asks)):
            # A side ends where prices would.
            assert 20 <= len(side) <= LEVELS[venue]
            assert len(side) == len(told)
            for (price, size), (got_price, got_size) in zip(side, told, strict=True):
                assert pytest.approx(price / many, rel=1e-9) == got_price
                assert pytest.approx(size * many, rel=1e-9) == got_size
        assert row.bids[0][0] < row.asks[0][0]
        assert (None if venue == "kraken" else NOW) == row.venue_time


@pytest.mark.parametrize("venue", PERPS + SPOT)
async def test_every_coin_has_the_market_that_speaks_for_it(venue: str) -> None:
    """The same one as in funding or spot; no stock, delisted or pre-market contract answers."""
    listed = [item for v in (*PERPS, *SPOT) for item in MARKET.listings(v, NOW)]
    odd = {i.coin for i in listed if i.status != "live" or i.asset != "crypto"}
    coins = sorted({i.coin for i in listed if venue in PERPS} | odd | set(COINS))
    async with world() as app:
        mains = await main_symbols(app, venue, *coins)
        found = await gathered(app, Candles, venue, *mains, **span("1d", 1))
        others = [coin for coin in coins if coin not in mains]
        nothing = await gathered(app, Candles, venue, *others, **span("1d", 1))
        books = await gathered(app, OrderBooks, venue, *others)
    assert set(COINS) <= mains.keys()
    assert others
    assert mains == {row.coin: row.symbol for row in found.rows}
    for row in found.rows:
        item = listing(venue, row.symbol)
        assert ("crypto", "live", row.coin) == (item.asset, item.status, item.coin)
    assert ([], [], set(others)) == (nothing.rows, books.rows, set(nothing.not_listed))


@pytest.mark.parametrize("interval", ["30m", "4h"])
async def test_coinbase_lacks_two_intervals(interval: str) -> None:
    """They are made of 15 minutes and of hours, and open on the UTC grid."""
    asked = span(interval, 9)
    async with world() as app:
        found = await gathered(app, Candles, "coinbase", "BTC", **asked)
    (row,) = found.rows
    step, shorter = STEPS[interval], STEPS["15m" if interval == "30m" else "1h"]
    item = listing("coinbase", row.symbol)
    first = row.candles[0].t
    parts = bars(MARKET, item, first, NOW, shorter, NOW)
    assert first == NOW - NOW % step - 8 * step
    assert combine([candle(one, item) for one in parts], step) == list(row.candles)
    assert 9 == len(row.candles)


async def test_long_spans_are_asked_page_by_page() -> None:
    """3,100 minutes at Binance are three pages; every minute is there once."""
    async with world() as app:
        found = await gathered(app, Candles, "binance", "BTC", **span("1m", 3100))
    (row,) = found.rows
    assert [] == found.notes
    assert 3100 == len(row.candles)
    assert {60_000} == {b.t - a.t for a, b in zip(row.candles, row.candles[1:], strict=False)}


@pytest.mark.parametrize(("venue", "kept"), [("kraken", 720), ("hyperliquid", 5000)])
async def test_what_a_venue_no_longer_has_is_said(venue: str, kept: int) -> None:
    """The newest 720 at Kraken, 5,000 at Hyperliquid; where the rest begins is in the reason."""
    async with world() as app:
        found = await gathered(app, Candles, venue, "BTC", **span("1m", kept + 10))
    (row,) = found.rows
    assert kept == len(row.candles)
    (note,) = found.notes
    assert f"missing: candles of {row.symbol} from before {row.candles[0].t}" in note["reason"]


async def test_a_quiet_product_has_gaps() -> None:
    """Where nobody traded for a quarter of an hour there are no candles: absence, not zeros."""
    async with world() as app:
        found = await gathered(app, Candles, "coinbase", "1INCH", **span("1m", 60))
    (row,) = found.rows
    assert NOW - 900_000 - 60_000 < row.candles[-1].t <= NOW - 900_000


@pytest.mark.parametrize("venue", PERPS + SPOT)
async def test_a_question_without_options_has_an_answer(venue: str) -> None:
    """As doctor asks: BTC's last day by the hour, and its book."""
    async with world() as app:
        found = await gathered(app, Candles, venue, "BTC")
        books = await gathered(app, OrderBooks, venue, "BTC")
        (row,) = found.rows
        assert (24, "1h", [], 1) == (len(row.candles), row.interval, found.notes, len(books.rows))
        usual = await gather(app.core(), Candles, (roll()[venue],), None)
    assert ["BTC", "ETH", "SOL"] == [row.coin for row in usual.rows]
