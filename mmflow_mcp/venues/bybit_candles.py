"""Bybit's candles and order books.

https://bybit-exchange.github.io/docs/v5/market/kline

Lists are text, newest first. Volume is coins and turnover the quote; on inverse contracts volume
and the sizes of a book are USD and turnover is coins.
"""

from collections.abc import Iterable
from typing import Any

from mmflow_mcp.rows.candles import Candle, OrderBook
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
from mmflow_mcp.venues.candle_pages import STEPS_MS, CandleSource, Span, candle_of, page_call
from mmflow_mcp.venues.contracts import Contract, main_contracts
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.order_books import FRESH, BookSource, book_of
from mmflow_mcp.venues.shares import stamp

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


def kline(contract: Contract, span: Span) -> Call:
    """A page of candles; `start` and `end` are openings and both belong to it."""
    params: dict[str, str | int] = {"category": contract.margin, "symbol": contract.symbol}
    params |= {"interval": _SPELLED[span.interval], "start": span.first_ms, "end": span.last_ms}
    return page_call(f"{API}/kline", params | {"limit": MOST}, span)


def orderbook(contract: Contract) -> Call:
    """The best levels of both sides."""
    params: dict[str, str | int] = {"category": contract.margin, "symbol": contract.symbol}
    return get(f"{API}/orderbook", params | {"limit": DEPTH}, fresh=FRESH, optional=True)


def parse_candles(wire: Wire, contract: Contract, interval: str) -> tuple[list[Candle], int]:
    """Candles of a contract, and the rows that could not be read."""
    inverse = contract.margin == "inverse"

    def read(row: list[Any]) -> Candle:
        opening, o, h, l, c, volume, turnover = row[:7]  # noqa: E741 - the fields' usual names
        units, quote = (turnover, volume) if inverse else (volume, turnover)
        return candle_of(
            stamp(opening), (o, h, l, c), units, contract, STEPS_MS[interval], turnover=quote
        )

    return each(list_of(wire), read)


def parse_book(wire: Wire, contract: Contract) -> tuple[OrderBook, int]:
    """A book, and the levels that could not be read."""
    sides = member(wire.doc, "result", "b"), member(wire.doc, "result", "a")
    at = ms(wire.doc["result"].get("ts"))
    return book_of("bybit", contract, sides, lambda row: (row[0], row[1]), wire, at)


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


CANDLES = CandleSource(kline, parse_candles, MOST)
BOOKS = BookSource(orderbook, parse_book)
