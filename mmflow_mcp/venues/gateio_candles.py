"""Gate's candles and order books of perpetuals.

https://www.gate.com/docs/developers/apiv4/en/#futures-market-k-line-chart

Times are seconds, rows ascend, volumes and sizes are contracts. `sum` is the quote; of the inverse
contract it is the number of contracts again, which are USD.
"""

from typing import Any

from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import Page, Paging
from mmflow_mcp.venues.fields import amount, each, member, positive, positive_or_none
from mmflow_mcp.venues.gateio_contracts import MAIN, settle_of
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.traded import Traded

FUTURES = "https://api.gateio.ws/api/v4/futures"
# 2,000 are said to be allowed; other lists of candles allow 1,000.
MOST = 1000
# Older ones are refused since February 2026; the running candle is one of them.
KEPT = 9_990
# As deep as it was seen to answer.
DEPTH = 100


def candlesticks(market: Traded, page: Page) -> Call:
    """A page of candles; `from` and `to` are openings and both belong to it."""
    window = {"from": page.first_ms // 1000, "to": page.last_ms // 1000}
    return _get("candlesticks", market, {"interval": page.interval, **window})


def order_book(market: Traded) -> Call:
    """The best levels of both sides."""
    return _get("order_book", market, {"limit": DEPTH})


def _get(path: str, market: Traded, params: dict[str, str | int]) -> Call:
    settle = settle_of(market.symbol)
    label = path if settle == MAIN else f"{settle}/{path}"
    return get(f"{FUTURES}/{settle}/{path}", {"contract": market.symbol, **params}, label=label)


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Candles of a contract, and the rows that could not be read.

    The inverse contract tells USD and no coins: they are taken at the middle of open and close.
    """

    def read(row: dict[str, Any]) -> Candle:
        counted, quote = amount(row["v"]) * positive(market.size), row.get("sum")
        if market.inverse:
            counted /= (positive(row["o"]) + positive(row["c"])) / 2
        prices = row["o"], row["h"], row["l"], row["c"]
        opening = stamp(row["t"]) * 1000
        return read_candle(opening, prices, counted, market, step_ms, turnover=quote)

    return each(wire.doc, read)


def find_sides(doc: Any, _: Traded) -> Sides:
    """Levels {p, s}; `current` is the time in seconds."""
    at = positive_or_none(doc.get("current"))
    moment = None if at is None else round(at * 1000)
    return Sides(member(doc, "bids"), member(doc, "asks"), moment, "p", "s")


CANDLES = CandleSource(candlesticks, parse_candles, Paging(MOST, reach=KEPT, strict=True))
BOOKS = BookSource(order_book, find_sides)
