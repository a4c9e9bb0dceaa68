"""Binance's spot tickers.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints

The venue's mirror for market data answers where the main host does not serve a place.
"""

import json
from functools import cache, partial
from typing import Any

from mmflow_mcp.errors import Unrecorded, VenueBlocked, VenueChanged, VenueError, VenueRejected
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.pairs import (
    USDT_FIRST,
    Pair,
    by_symbol,
    choose,
    guess,
    main_pairs,
    pair_of,
    read_each,
    some_or_each,
    spot_market,
    spot_row,
)

SPOT_HOST = "api.binance.com"
MIRROR = "data-api.binance.vision"
SPOT_HOSTS = (SPOT_HOST, MIRROR)

Row = dict[str, Any]


@cache
def spot_info(host: str, *, slim: bool = True) -> Call:
    """The list of pairs. The whole one is large; `slim` is what trades, without permissions."""
    only: dict[str, str | int] = {"showPermissionSets": "false", "symbolStatus": "TRADING"}
    url = f"https://{host}/api/v3/exchangeInfo"
    return get(
        url, only if slim else None, fresh=DAY, weight=20, label="spot/exchangeInfo", reference=True
    )


@cache
def spot_tickers(host: str, symbols: tuple[str, ...]) -> Call:
    """The tickers of up to 20 pairs (weight 2, beyond that 40)."""
    url = f"https://{host}/api/v3/ticker/24hr"
    names = json.dumps(symbols, separators=(",", ":"), ensure_ascii=False)
    weight = 2 if len(symbols) <= 20 else 40
    return get(url, {"symbols": names}, fresh=5, weight=weight, label="ticker/24hr")


def spot_ticker(host: str, symbol: str) -> Call:
    """The ticker of one pair, for when several are refused."""
    url = f"https://{host}/api/v3/ticker/24hr"
    return get(url, {"symbol": symbol}, fresh=5, weight=2, label="ticker/24hr", optional=True)


async def ask_binance_spot(ask: Ask) -> list[SpotRow]:
    """The main dollar market of each coin asked for, in USDT where there is one."""
    try:
        return await _ask(ask, SPOT_HOST)
    except VenueBlocked:
        return await _ask(ask, MIRROR)


async def _ask(ask: Ask, host: str) -> list[SpotRow]:
    listed = await _ask_list(ask, host)
    if listed:
        pairs, bad = listed.parsed(parse_spot_pairs)
        ask.unread(bad)
    else:
        pairs = guess(ask, "{}USDT", "USDT")
    chosen = choose(ask, pairs)
    if not chosen:
        return []
    every = spot_tickers(host, tuple(pair.symbol for pair in chosen))
    wires = await some_or_each(ask, every, partial(spot_ticker, host), chosen)

    def read(pair: Pair) -> SpotRow | None:
        for wire in wires:
            row = wire.parsed(parse_spot_rows).get(pair.symbol)
            if row is not None:
                return read_spot(row, pair, wire)
        return None

    return read_each(ask, chosen, read)


async def _ask_list(ask: Ask, host: str) -> Wire:
    """The list of pairs; recordings hold only the whole one."""
    try:
        try:
            return await ask.get(spot_info(host))
        except (Unrecorded, VenueRejected):
            return await ask.get(spot_info(host, slim=False))
    except VenueBlocked:
        raise
    except VenueError as error:
        ask.short(f"{error.reason} (spot/exchangeInfo)")
        return NOTHING


async def ask_binance_pairs(ask: Ask) -> list[MarketRow]:
    """Every pair that trades; a list that cannot be had shortens the answer."""
    for host in SPOT_HOSTS:
        try:
            listed = await _ask_list(ask, host)
        except VenueBlocked as error:
            if host == MIRROR:
                ask.short(f"{error.reason} (spot/exchangeInfo)")
            continue
        return [*_read_list(ask, listed)] if listed else []
    return []


def _read_list(ask: Ask, listed: Wire) -> list[MarketRow]:
    try:
        rows, bad = listed.parsed(parse_spot_markets)
    except VenueChanged as error:
        # It does not take the contracts with it.
        ask.short(f"{error.reason} (spot/exchangeInfo)")
        return []
    ask.unread(bad)
    return rows


def parse_spot_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The pairs that trade; money (EURUSDT) and leveraged tokens are no coin."""

    def read(row: Row) -> MarketRow | None:
        if not _is_open(row):
            return None
        return spot_market("binance", row["symbol"], row["baseAsset"], row["quoteAsset"])

    return each(member(wire.doc, "symbols"), read)


def _is_open(row: Row) -> bool:
    return row["status"] == "TRADING" and row.get("isSpotTradingAllowed") is not False


def parse_spot_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The pair that speaks for each coin, by coin. Halted pairs keep stale tickers."""

    def read(row: Row) -> Pair | None:
        if not _is_open(row):
            return None
        return pair_of(row["symbol"], row["baseAsset"], row["quoteAsset"])

    found, bad = each(member(wire.doc, "symbols"), read)
    return main_pairs(found, USDT_FIRST), bad


def parse_spot_rows(wire: Wire) -> dict[str, Row]:
    """Tickers by symbol; one that was asked for alone comes without its list."""
    return by_symbol([wire.doc] if isinstance(wire.doc, dict) else wire.doc, "symbol")


def read_spot(row: Row, pair: Pair, wire: Wire) -> SpotRow:
    """`priceChangePercent` is in percent already; `closeTime` is the end of the 24 h told."""
    return spot_row(
        "binance",
        pair,
        wire.fetched_at,
        last=row["lastPrice"],
        bid=row.get("bidPrice"),
        ask=row.get("askPrice"),
        volume=row.get("volume"),
        change=row.get("priceChangePercent"),
        told_ms=ms(row.get("closeTime")),
    )
