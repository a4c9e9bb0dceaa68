"""Gate's candles and order books of perpetuals.

https://www.gate.com/docs/developers/apiv4/en/#futures-market-k-line-chart

Times are seconds, rows ascend, volumes and sizes are contracts. `sum` is the quote; of the inverse
contract it is the number of contracts again, which are USD.
"""

from typing import Any

from mmflow_mcp.rows.candles import Candle, OrderBook
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.candle_pages import STEPS_MS, CandleSource, Span, candle_of, page_call
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, number, positive, positive_or_none
from mmflow_mcp.venues.gateio_contracts import MAIN, settle_of
from mmflow_mcp.venues.order_books import FRESH, BookSource, book_of
from mmflow_mcp.venues.shares import stamp

FUTURES = "https://api.gateio.ws/api/v4/futures"
# 2,000 are said to be allowed; other lists of candles allow 1,000.
MOST = 1000
# Older ones are refused since February 2026; the running candle is one of them.
KEPT = 9_990
# As deep as it was seen to answer.
DEPTH = 100


def candlesticks(contract: Contract, span: Span) -> Call:
    """A page of candles; `from` and `to` are openings and both belong to it."""
    settle = settle_of(contract.symbol)
    params: dict[str, str | int] = {"contract": contract.symbol, "interval": span.interval}
    params |= {"from": span.first_ms // 1000, "to": span.last_ms // 1000}
    return page_call(
        f"{FUTURES}/{settle}/candlesticks", params, span, label=_label(settle, "candlesticks")
    )


def order_book(contract: Contract) -> Call:
    """The best levels of both sides."""
    settle = settle_of(contract.symbol)
    params: dict[str, str | int] = {"contract": contract.symbol, "limit": DEPTH}
    return get(
        f"{FUTURES}/{settle}/order_book",
        params,
        fresh=FRESH,
        label=_label(settle, "order_book"),
        optional=True,
    )


def _label(settle: str, path: str) -> str:
    return path if settle == MAIN else f"{settle}/{path}"


def parse_candles(wire: Wire, contract: Contract, interval: str) -> tuple[list[Candle], int]:
    """Candles of a contract, and the rows that could not be read.

    The inverse contract tells USD and no coins: they are taken at the middle of open and close.
    """

    def read(row: dict[str, Any]) -> Candle:
        counted, quote = amount(row["v"]) * positive(contract.size), row.get("sum")
        if contract.margin == "inverse":
            counted /= (positive(row["o"]) + positive(row["c"])) / 2
        prices = row["o"], row["h"], row["l"], row["c"]
        opening = stamp(row["t"]) * 1000
        return candle_of(opening, prices, counted, contract, STEPS_MS[interval], turnover=quote)

    return each(wire.doc, read)


def parse_book(wire: Wire, contract: Contract) -> tuple[OrderBook, int]:
    """A book, and the levels that could not be read; `current` is its time in seconds."""
    sides = member(wire.doc, "bids"), member(wire.doc, "asks")
    at = positive_or_none(wire.doc.get("current"))
    moment = None if at is None else round(number(at) * 1000)
    return book_of("gateio", contract, sides, lambda row: (row["p"], row["s"]), wire, moment)


CANDLES = CandleSource(candlesticks, parse_candles, MOST, kept=KEPT)
BOOKS = BookSource(order_book, parse_book)
