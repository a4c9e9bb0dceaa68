"""Bybit's spot tickers: every pair in one answer.

https://bybit-exchange.github.io/docs/v5/market/tickers
"""

from typing import Any

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fields import each, member, ms, number_or_none
from mmflow_mcp.venues.pairs import (
    USDT_FIRST,
    Pair,
    SpotMarket,
    by_symbol,
    main_pairs,
    pair_of,
    spot_market,
    spot_row,
)

API = "https://api.bybit.com/v5/market"
TICKERS = get(f"{API}/tickers", {"category": "spot"}, fresh=5, label="spot/tickers")
PAIRS = get(
    f"{API}/instruments-info",
    {"category": "spot", "limit": 1000},
    fresh=DAY,
    reference=True,
    optional=True,
)
# "" or "innovation" are coins; the others are stocks and what else has a price.
_COINS = ("", "innovation", "adventure")

Row = dict[str, Any]


def ticker(symbol: str) -> Call:
    """The ticker of one pair."""
    params: dict[str, str | int] = {"category": "spot", "symbol": symbol}
    return get(f"{API}/tickers", params, fresh=5, label="spot/tickers", optional=True)


def parse_spot_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The pair that speaks for each coin; this list comes in one page."""

    def read(row: Row) -> Pair | None:
        if row["status"] != "Trading" or not _is_coin(row):
            return None
        return pair_of(row["symbol"], row["baseCoin"], row["quoteCoin"])

    found, bad = each(member(wire.doc, "result", "list"), read)
    return main_pairs(found, USDT_FIRST), bad


def read_spot_list(ask: Ask, listed: Wire) -> list[MarketRow]:
    """The pairs of the list; one that cannot be read shortens the answer."""
    try:
        rows, bad = listed.parsed(parse_spot_markets)
    except VenueChanged as error:
        # It does not take the contracts with it.
        ask.short(f"{error.reason} (spot/instruments-info)")
        return []
    ask.unread(bad)
    return rows


def parse_spot_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The pairs that trade, stocks among them."""

    def read(row: Row) -> MarketRow | None:
        if row["status"] != "Trading":
            return None
        names = row["symbol"], row["baseCoin"], row["quoteCoin"]
        return spot_market("bybit", *names, is_coin=_is_coin(row))

    return each(member(wire.doc, "result", "list"), read)


def _is_coin(row: Row) -> bool:
    return (row.get("symbolType") or "") in _COINS


def parse_spot_rows(wire: Wire) -> dict[str, Row]:
    """Tickers by symbol."""
    return by_symbol(member(wire.doc, "result", "list"), "symbol")


def read_spot(row: Row, pair: Pair, wire: Wire) -> SpotRow:
    """`price24hPcnt` is a fraction; the time is that of the whole answer."""
    change = number_or_none(row.get("price24hPcnt"))
    return spot_row(
        "bybit",
        pair,
        wire.fetched_at,
        last=row["lastPrice"],
        bid=row.get("bid1Price"),
        ask=row.get("ask1Price"),
        volume=row.get("volume24h"),
        change=None if change is None else change * 100,
        told_ms=ms(wire.doc.get("time")),
    )


BYBIT_SPOT = SpotMarket(
    tickers=TICKERS,
    listing=PAIRS,
    single=ticker,
    pairs=parse_spot_pairs,
    rows=parse_spot_rows,
    read=read_spot,
    usual="{}USDT",
    quote="USDT",
)
