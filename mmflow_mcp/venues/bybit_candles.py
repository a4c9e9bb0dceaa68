"""Bybit's candles and order books.

https://bybit-exchange.github.io/docs/v5/market/kline

Lists are text, newest first. Volume is coins and turnover the quote; on inverse contracts volume
and the sizes of a book are USD and turnover is coins.
"""

from collections.abc import Iterable
from typing import Any

from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.bybit_tickers import (
    USUAL,
    Books,
    contracts_of,
    is_whole,
    list_of,
    parse_contracts,
    usual_of,
)
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import Page, Paging
from mmflow_mcp.venues.contracts import Contract, main_contracts
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.traded import Traded

API = "https://api.bybit.com/v5/market"
MOST = 1000
DEPTH = 500
_SPELLED = {
    "1m": "1",
    "5m": "5",
    "15m": "15",
    "30m": "30",
    "1h": "60",
    "4h": "240",
    "1d": "D",
}


def _named(market: Traded) -> dict[str, str | int]:
    return {"category": "inverse" if market.inverse else "linear", "symbol": market.symbol}


def kline(market: Traded, page: Page) -> Call:
    """A page of candles; `start` and `end` are openings and both belong to it."""
    params = _named(market) | {"interval": _SPELLED[page.interval]}
    params |= {"start": page.first_ms, "end": page.last_ms, "limit": MOST}
    return get(f"{API}/kline", params)


def orderbook(market: Traded) -> Call:
    """The best levels of both sides."""
    return get(f"{API}/orderbook", _named(market) | {"limit": DEPTH})


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Candles of a contract, and the rows that could not be read."""

    def read(row: list[Any]) -> Candle:
        opening, o, h, l, c, volume, turnover = row[:7]  # noqa: E741 - the fields' usual names
        units, quote = (turnover, volume) if market.inverse else (volume, turnover)
        return read_candle(stamp(opening), (o, h, l, c), units, market, step_ms, turnover=quote)

    return each(list_of(wire), read)


def find_sides(doc: Any, _: Traded) -> Sides:
    """`ts` is when the venue wrote the book."""
    told = member(doc, "result")
    return Sides(member(told, "b"), member(told, "a"), ms(told.get("ts")))


def listed_mains(books: Books, coins: Iterable[str]) -> tuple[dict[str, Contract], int]:
    """The main contract of each coin listed, and the rows that could not be read.

    Where a list is no whole, the usual contracts of these coins are taken to be there. Another
    contract does not speak for BTC or ETH when their USDT one is not listed.
    """
    contracts = [c for book in books for c in (contracts_of(book) or {}).values()]
    for book in books:
        usual = () if is_whole(book) else (usual_of(coin, book) for coin in coins)
        contracts += filter(None, usual)
    found = main_contracts(contracts)
    for symbol, coin in USUAL["linear"].items():
        if coin in found and found[coin].symbol != symbol:
            del found[coin]
    parsed = [b.pages[0].parsed(parse_contracts, b.pages[1:]) for b in books if b.pages]
    return found, sum(bad for _, bad in parsed)


CANDLES = CandleSource(kline, parse_candles, Paging(MOST))
BOOKS = BookSource(orderbook, find_sides)
