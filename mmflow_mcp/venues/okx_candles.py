"""OKX's candles and order books of swaps.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks

Rows are text, newest first: [time, open, high, low, close, contracts, coins, quote, confirm]. The
newest 1,440 candles come from one path and what is older from another. `after` asks for what is
older than a time and `before` for what is newer. Days begin at 16:00 UTC unless asked as 1Dutc.
"""

from typing import Any

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle, OrderBook
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_pages import (
    STEPS_MS,
    CandleSource,
    Span,
    candle_of,
    page_call,
    wanted_of,
)
from mmflow_mcp.venues.contracts import Contract, main_contracts
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.okx_swaps import guess_contract, lost_of, parse_contracts, swaps_of
from mmflow_mcp.venues.order_books import FRESH, BookSource, book_of
from mmflow_mcp.venues.shares import stamp

API = "https://www.okx.com/api/v5/market"
MOST = 300
# An older documentation of the older candles knows pages of 100 only.
CAPPED = 100
RECENT = 1440
DEPTH = 400
_SPELLED = {"1h": "1H", "4h": "4H", "1d": "1Dutc"}


def candles(now_ms: int, contract: Contract, span: Span) -> Call:
    """A page of candles, older or recent; both times are outside of it."""
    params: dict[str, str | int] = {"instId": contract.symbol}
    params |= {"bar": _SPELLED.get(span.interval, span.interval), "after": span.until_ms}
    params |= {"before": span.first_ms - 1, "limit": MOST}
    # The running candle counts, and one more may have opened on the way.
    if span.first_ms > now_ms - (RECENT - 2) * span.step_ms:
        return page_call(f"{API}/candles", params, span, weight=0.5)
    return page_call(f"{API}/history-candles", params, span)


def books(contract: Contract) -> Call:
    """The best levels of both sides."""
    params: dict[str, str | int] = {"instId": contract.symbol, "sz": DEPTH}
    return get(f"{API}/books", params, fresh=FRESH, weight=0.5, optional=True)


def _data(wire: Wire) -> list[Any]:
    if member(wire.doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(wire.doc, "data")
    return rows


def parse_candles(wire: Wire, contract: Contract, interval: str) -> tuple[list[Candle], int]:
    """Candles of a swap, and the rows that could not be read; `volCcy` is coins on all swaps."""

    def read(row: list[Any]) -> Candle:
        opening, o, h, l, c, _, coins = row[:7]  # noqa: E741 - the fields' usual names
        # Rows of before 2022 end here.
        quote = row[7] if len(row) > 8 else None
        return candle_of(
            stamp(opening), (o, h, l, c), coins, contract, STEPS_MS[interval], turnover=quote
        )

    return each(_data(wire), read)


def parse_book(wire: Wire, contract: Contract) -> tuple[OrderBook, int]:
    """A book, and the levels that could not be read: [price, contracts, "0", orders]."""
    rows = _data(wire)
    if not isinstance(rows, list) or len(rows) != 1:
        raise VenueChanged("changed: one book was expected")
    sides = member(rows[0], "bids"), member(rows[0], "asks")
    at = ms(rows[0].get("ts"))
    return book_of("okx", contract, sides, lambda row: (row[0], row[1]), wire, at)


def main_swaps(ask: Ask, listed: Wire) -> dict[str, Contract]:
    """The main swap of each coin that is listed; of sure coins their usual one without a list."""
    known, bad = listed.parsed(parse_contracts) if listed else ({}, 0)
    ask.unread(bad)
    found = main_contracts(known.values())
    for coin in wanted_of(ask):
        symbol = next(iter(swaps_of(listed, coin)), None)
        contract = known.get(symbol) or guess_contract(symbol) if symbol else None
        if contract is not None:
            found[coin] = contract
        elif not listed or lost_of(listed):
            ask.short(f"missing: nothing of {coin} without the list of swaps", coin=coin)
    return found


def candle_source(now_ms: int) -> CandleSource:
    """How candles are asked for at a moment: their age decides on the path."""

    def call(contract: Contract, span: Span) -> Call:
        return candles(now_ms, contract, span)

    return CandleSource(call, parse_candles, MOST, capped=CAPPED)


BOOKS = BookSource(books, parse_book)
