"""Bithumb: spot in won.

https://apidocs.bithumb.com/reference

Two generations of its interface answer on one host. The newer one has the price with the time of
the trade, of up to 200 markets at once; only the older one tells a change over rolling 24 h. It is
shaped like Upbit's and is not the same: its times are nine hours ahead.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRejected,
)
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.fields import each, member, ms, number_or_none
from mmflow_mcp.venues.won import coin_in_won, market_rows, symbol_of, wanted, won_row

HOST = "api.bithumb.com"
API = f"https://{HOST}/v1"
MARKETS = get(f"{API}/market/all", fresh=DAY, label="market", reference=True, optional=True)
# The older generation: every market in won, with a change over 24 h. An old copy is worth nothing.
_DAYS_URL = f"https://{HOST}/public/ticker/ALL_KRW"
DAYS = Call(_DAYS_URL, fresh=30.0, label="ALL_KRW", reference=True, optional=True)
MOST_MARKETS = 200

# Korean wall time written as if it were UTC.
_AHEAD_MS = 9 * HOUR_MS
# Clocks differ by no more than that.
_SKEW_MS = 300_000
# Two answers about one moment are read within that time of each other.
_TOGETHER_MS = 600_000
_STATUS = re.compile(rb'^\s*\{\s*"status"\s*:\s*"(\d{4})"')

Row = dict[str, Any]


def tickers(symbols: Sequence[str]) -> Call:
    """The tickers of several markets in one answer."""
    return get(f"{API}/ticker?markets={','.join(symbols)}", fresh=5, label="ticker")


@cache
def ticker(symbol: str) -> Call:
    """The ticker of one market, for when the venue refuses several."""
    return get(f"{API}/ticker?markets={symbol}", fresh=5, label="ticker", optional=True)


class Bithumb(Venue):
    """Bithumb, Korea: spot in won."""

    id = "bithumb"
    name = "Bithumb"
    kind = "cex"
    aliases = ("BITHUMB_SPOT",)
    hosts = (HOST,)
    # 150 requests a second are published; what others found to be safe is less.
    meters = (Meter((HOST,), 120, 1),)
    data_source = "Bithumb public REST (KRW markets)"
    docs = "https://apidocs.bithumb.com"
    notes = (
        "Prices in won, the last trade; bid and ask are not told. The change is rolling 24 h.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """The older generation refuses inside HTTP 200 by a status that is not 0000."""
        said = _STATUS.search(body[:100])
        if said and said[1] == b"5300":
            return VenueHttp(503, "the venue is in maintenance")
        if said and said[1] != b"0000":
            return VenueRejected(f"rejected: the venue answered {said[1].decode()}")
        if status in (400, 404) and b'"error"' in body[:200]:
            return VenueRejected("rejected: the venue knows no such market")
        return None

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """The market in won of each coin asked for.

        `ask.options["change"]` False: without the 24 h change, which needs a request of its own.
        """
        with_days = ask.options.get("change", True)
        listed, days = [*await ask.all(MARKETS, *[DAYS] * with_days), NOTHING][:2]
        before = _read_days(ask, days)
        symbols = _symbols(ask, listed)
        told = await _ask_tickers(ask, symbols, before) if symbols else {}
        if not listed:
            # What was only guessed and has no price is not known to be listed.
            ask.universe = {c: c for c, s in symbols.items() if s in told or c in before}
        rows: list[SpotRow] = []
        for coin, symbol in symbols.items():
            if symbol not in told and coin not in before:
                if listed:
                    ask.short(f"missing: no ticker of {symbol}", coin=coin)
                continue
            try:
                rows.append(read_row(coin, symbol, told.get(symbol), before.get(coin), days))
            except (KeyError, TypeError, ValueError, AttributeError):
                ask.short(f"changed: the ticker of {symbol} could not be read", coin=coin)
        return rows

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every market, in won and in BTC."""
        rows, bad = (await ask.get(MARKETS)).parsed(parse_markets)
        ask.unread(bad)
        return rows


def _symbols(ask: Ask, listed: Wire) -> dict[str, str]:
    """The markets of the coins asked for, by coin; every coin's, while the list cannot be had.

    Nothing but coins is traded there, so a market that was only guessed is no other thing's.
    """
    if not listed:
        return {coin: symbol_of(coin) for coin in wanted(ask)}
    known = listed.parsed(parse_in_won)
    ask.universe = known
    return {coin: known[coin] for coin in wanted(ask) if coin in known}


async def _ask_tickers(
    ask: Ask, symbols: dict[str, str], before: dict[str, Row]
) -> dict[str, tuple[Row, Wire]]:
    """Tickers by symbol: together, else one by one, else none where the older answer has them."""
    asked = list(symbols.values())
    try:
        try:
            parts = range(0, len(asked), MOST_MARKETS)
            wires = await ask.all(*(tickers(asked[i : i + MOST_MARKETS]) for i in parts))
        except (Unrecorded, VenueRejected):
            wires = [wire for wire in await ask.all(*map(ticker, asked)) if wire]
            if not wires:
                raise
    except VenueError as error:
        if not any(coin in before for coin in symbols):
            raise
        ask.short(f"{error.reason} (ticker)")
        return {}
    told: dict[str, tuple[Row, Wire]] = {}
    for wire in wires:
        rows, bad = wire.parsed(parse_tickers)
        ask.unread(bad)
        for symbol, row in rows.items():
            told.setdefault(symbol, (row, wire))
    return told


def _read_days(ask: Ask, days: Wire) -> dict[str, Row]:
    """The older generation's rows by coin; a shape that it cannot have costs only the change."""
    if not days:
        return {}
    try:
        return days.parsed(parse_days)
    except VenueError as error:
        ask.short(f"{error.reason} (ALL_KRW)")
        return {}


def parse_tickers(wire: Wire) -> tuple[dict[str, Row], int]:
    """Raw tickers by symbol. They come as a list, by market, or as one object."""
    doc = wire.doc
    if isinstance(doc, dict):
        doc = [doc] if "market" in doc else list(doc.values())

    def read(row: Row) -> tuple[str, Row] | None:
        return (row["market"], row) if coin_in_won(row["market"]) else None

    found, bad = each(doc, read)
    return dict(reversed(found)), bad


def parse_days(wire: Wire) -> dict[str, Row]:
    """The older generation's rows by coin; `date` stands among the coins."""
    rows = member(wire.doc, "data")
    if not isinstance(rows, dict):
        raise VenueChanged("changed: data is no object")
    return {
        canonical(name)[0]: row
        for name, row in rows.items()
        if isinstance(row, dict) and canonical(name)[1] == 1
    }


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """Every market that is listed."""
    return market_rows("bithumb", wire.doc)


def parse_in_won(wire: Wire) -> dict[str, str]:
    """The markets in won by coin."""
    symbols = [row.symbol for row in parse_markets(wire)[0]]
    return {coin: symbol for symbol in symbols if (coin := coin_in_won(symbol))}


def read_row(
    coin: str, symbol: str, told: tuple[Row, Wire] | None, day: Row | None, days: Wire
) -> SpotRow:
    """The ticker with the older generation's change, which is in percent; or its row alone."""
    change = number_or_none((day or {}).get("fluctate_rate_24H"))
    if told is None:
        row = day or {}
        return won_row(
            "bithumb",
            coin,
            symbol,
            days.fetched_at,
            price=row["closing_price"],
            volume=row.get("units_traded_24H"),
            change=change,
        )
    row, wire = told
    together = bool(days) and abs(wire.fetched_at - days.fetched_at) <= _TOGETHER_MS
    return won_row(
        "bithumb",
        coin,
        row["market"],
        wire.fetched_at,
        price=row["trade_price"],
        volume=row.get("acc_trade_volume_24h"),
        change=change if together else None,
        at=moment(row.get("trade_timestamp"), wire.fetched_at),
    )


def moment(value: Any, read_at: int) -> int | None:
    """The time of a trade: one that lies ahead of us is Korean wall time."""
    at = ms(value)
    return at - _AHEAD_MS if at is not None and at > read_at + _SKEW_MS else at
