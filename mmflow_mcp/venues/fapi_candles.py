"""Candles and order books of linear perpetuals in the grammar of `fapi`.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Kline-Candlestick-Data

A kline is an array: opening time, open, high, low, close, volume in units of the base asset (a
thousand PEPE for 1000PEPE), closing time, volume in the quote, and so on. Both ends of the window
are inclusive. Takers' volumes stand beside and are parts of the volume.
"""

from functools import partial
from typing import Any

from mmflow_mcp.rows.candles import Candle, CandleSeries, OrderBook
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource, ask_candles
from mmflow_mcp.venues.candle_spans import Page, Paging
from mmflow_mcp.venues.fapi import Line
from mmflow_mcp.venues.fapi_perps import ask_main_contracts
from mmflow_mcp.venues.fields import each, ms
from mmflow_mcp.venues.order_books import BookSource, Sides, ask_books
from mmflow_mcp.venues.traded import Traded, coins_of, perp_of

PAGE = 1500
LEVELS = 1000
# What a page of fewer candles than this weighs; a whole one weighs 10.
_WEIGHTS = ((100, 1), (500, 2), (1001, 5))


def klines(line: Line, market: Traded, page: Page) -> Call:
    """The candles of a page."""
    params: dict[str, str | int] = {
        "symbol": market.symbol,
        "interval": page.interval,
        "startTime": page.first_ms,
        "endTime": page.until_ms - 1,
        "limit": page.size,
    }
    weight = next((weight for below, weight in _WEIGHTS if page.size < below), 10)
    return get(f"{line.api}/klines", params, weight=weight)


def parse_klines(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """The closing time is the interval's last ms, of the running candle too."""

    def read(row: list[Any]) -> Candle:
        at = int(row[0])
        if int(row[6]) != at + step_ms - 1:
            msg = "a candle of another length"
            raise ValueError(msg)
        prices = row[1], row[2], row[3], row[4]
        return read_candle(at, prices, row[5], market, step_ms, turnover=row[7])

    return each(wire.doc, read)


def depth(line: Line, market: Traded) -> Call:
    """A thousand levels of each side, which weigh 20."""
    params: dict[str, str | int] = {"symbol": market.symbol, "limit": LEVELS}
    return get(f"{line.api}/depth", params, weight=20)


def find_sides(doc: Any, _: Traded) -> Sides:
    """`E` is when the venue wrote the book, `T` when it last changed."""
    return Sides(doc["bids"], doc["asks"], ms(doc.get("E")) or ms(doc.get("T")))


async def ask_line_candles(ask: Ask, line: Line) -> list[CandleSeries]:
    """Candles of each coin's main perpetual on a line."""
    source = CandleSource(partial(klines, line), parse_klines, Paging(PAGE))
    return await ask_candles(ask, await _ask_markets(ask, line, "candles"), source)


async def ask_line_books(ask: Ask, line: Line) -> list[OrderBook]:
    """The order book of each coin's main perpetual on a line."""
    source = BookSource(partial(depth, line), find_sides)
    return await ask_books(ask, await _ask_markets(ask, line, "order book"), source)


async def _ask_markets(ask: Ask, line: Line, what: str) -> list[Traded]:
    contracts = await ask_main_contracts(ask, line, coins_of(ask), what)
    return [perp_of(contract) for contract in contracts]
