"""Upbit: spot in won.

https://global-docs.upbit.com/reference/tickers_by_quote

One request brings every market in won. The venue's own change is since 00:00 UTC: what a price was
24 h ago is read from 15-minute candles, one request a coin in half a day. A request that tells an
Origin may come once in ten seconds, so none is ever told.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, HOUR, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import each, ms, positive
from mmflow_mcp.venues.won import coin_in_won, market_rows, symbol_of, wanted, won_row

HOST = "api.upbit.com"
API = f"https://{HOST}/v1"
TICKERS = get(f"{API}/ticker/all", {"quote_currencies": "KRW"}, fresh=5, label="ticker")
MARKETS = get(f"{API}/market/all", fresh=DAY, label="market", reference=True)
# 200 candles of 15 minutes are 50 hours: an answer of this morning still holds the price 24 h
# before this evening.
CANDLE_MS = 900_000
# Above that many coins the change is left unknown instead of a request for each.
MOST_CHANGES = 6

Row = dict[str, Any]
Tickers = dict[str, Row]


@cache
def ticker(symbol: str) -> Call:
    """The ticker of one market, for when the venue refuses all of them."""
    return get(f"{API}/ticker", {"markets": symbol}, fresh=5, label="ticker", optional=True)


@cache
def candles(symbol: str) -> Call:
    """The last 50 hours of a market in candles of 15 minutes; only a look back needs them."""
    return Call(
        f"{API}/candles/minutes/15?market={symbol}&count=200",
        fresh=12 * HOUR,
        label="candles",
        reference=True,
        optional=True,
    )


class Upbit(Venue):
    """Upbit, Korea: spot in won."""

    id = "upbit"
    name = "Upbit"
    kind = "cex"
    aliases = ("UPBIT_SPOT", "upbit-kr")
    hosts = (HOST,)
    # 10 requests a second and group (ticker, candles, market); here for all of them together.
    meters = (Meter((HOST,), 10, 1),)
    data_source = "Upbit public REST (KRW markets)"
    docs = "https://global-docs.upbit.com/reference/rate-limits"
    notes = (
        "Prices in won, the last trade; bid and ask are not told.",
        "The 24 h change is from the venue's 15-minute candles, for up to 6 coins a question.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are a status with {"error": {"name", "message"}}; 418 is a ban that grows."""
        if status == 404 and b'"error"' in body[:200]:
            return VenueRejected("rejected: the venue knows no such market")
        if status == 418:
            return VenueRateLimited(418, "the venue has banned this address for a while", 60.0)
        return None

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """The market in won of each coin asked for.

        `ask.options["change"]` False: without the 24 h change, which needs requests of its own.
        """
        told = await _ask_tickers(ask)
        symbols = [told[coin][0]["market"] for coin in wanted(ask) if coin in told]
        changes = ask.options.get("change", True) and len(symbols) <= MOST_CHANGES
        past = await ask.all(*map(candles, symbols)) if changes else [NOTHING] * len(symbols)
        rows: list[SpotRow] = []
        for symbol, before in zip(symbols, past, strict=True):
            coin = coin_in_won(symbol) or symbol
            try:
                rows.append(read_ticker(*told[coin], coin, before))
            except (KeyError, TypeError, ValueError, AttributeError):
                ask.short(f"changed: the ticker of {symbol} could not be read", coin=coin)
        return rows

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every market, in won, BTC and USDT."""
        rows, bad = (await ask.get(MARKETS)).parsed(parse_markets)
        ask.unread(bad)
        return rows


async def _ask_tickers(ask: Ask) -> dict[str, tuple[Row, Wire]]:
    """Tickers by coin: all markets in won at once or, where that is refused, one by one."""
    try:
        wires = [await ask.get(TICKERS)]
    except (Unrecorded, VenueRejected):
        singles = await ask.all(*(ticker(symbol_of(coin)) for coin in wanted(ask)))
        wires = [wire for wire in singles if wire]
        if not wires:
            raise
    told: dict[str, tuple[Row, Wire]] = {}
    for wire in wires:
        rows, bad = wire.parsed(parse_tickers)
        ask.unread(bad)
        for coin, row in rows.items():
            told.setdefault(coin, (row, wire))
    ask.universe = told
    return told


def parse_tickers(wire: Wire) -> tuple[Tickers, int]:
    """Raw tickers by coin, of the markets in won. In maintenance the list may be empty."""

    def read(row: Row) -> tuple[str, Row] | None:
        coin = coin_in_won(row["market"])
        return None if coin is None else (coin, row)

    found, bad = each(wire.doc, read)
    if not found:
        raise VenueChanged("changed: the answer has no market in won")
    return dict(reversed(found)), bad


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """Every market that is listed."""
    return market_rows("upbit", wire.doc)


def read_ticker(row: Row, wire: Wire, coin: str, past: Wire) -> SpotRow:
    """`trade_timestamp` is the time of the last trade, `timestamp` that of the ticker."""
    before = price_at(past, wire.fetched_at - DAY_MS) if past else None
    price = positive(row["trade_price"])
    return won_row(
        "upbit",
        coin,
        row["market"],
        wire.fetched_at,
        price=price,
        volume=row.get("acc_trade_volume_24h"),
        change=None if before is None else (price / before - 1) * 100,
        at=ms(row.get("trade_timestamp")),
    )


def parse_candles(wire: Wire) -> tuple[list[int], list[tuple[float, float]]]:
    """Starts (epoch ms, ascending) with opening and closing prices; quiet times have no candle."""

    def read(row: Row) -> tuple[int, tuple[float, float]]:
        start = datetime.fromisoformat(row["candle_date_time_utc"]).replace(tzinfo=UTC)
        prices = positive(row["opening_price"]), positive(row["trade_price"])
        return round(start.timestamp() * 1000), prices

    found = sorted(each(wire.doc, read)[0])
    return [start for start, _ in found], [prices for _, prices in found]


def price_at(wire: Wire, at_ms: int) -> float | None:
    """What was paid last at a moment, to 15 minutes; None where the candles do not reach it.

    The opening of the candle that holds the moment or, where nobody traded, the close before it.
    """
    try:
        starts, prices = wire.parsed(parse_candles)
    except (VenueError, ValueError, TypeError, AttributeError):
        return None
    i = bisect_right(starts, at_ms) - 1
    if i < 0 or (i == len(starts) - 1 and at_ms >= starts[i] + CANDLE_MS):
        return None
    opened, closed = prices[i]
    return opened if at_ms < starts[i] + CANDLE_MS else closed
