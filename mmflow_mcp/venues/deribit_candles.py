"""Deribit's candles and order books of perpetuals.

https://docs.deribit.com/#public-get_tradingview_chart_data

A chart comes in columns: volume in coins, cost in USD, for inverse and linear ones alike. There is
no resolution of four hours, which are made of hours. Sizes in a book are USD on inverse perpetuals
and coins on linear ones.
"""

from typing import Any

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import STEPS, Page, Paging
from mmflow_mcp.venues.contracts import INVERSE_FIRST, main_contracts
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_perpetual
from mmflow_mcp.venues.deribit_perps import listed_perpetuals
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.namesakes import is_surely_coin
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.traded import Traded, coins_of, perps_of

API = "https://www.deribit.com/api/v2/public"
# About 5,000 are said to be allowed.
MOST = 2000
DEPTH = 1000
_SPELLED = {"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "1d": "1D"}
_COLUMNS = ("ticks", "open", "high", "low", "close", "volume", "cost")


def chart(market: Traded, page: Page) -> Call:
    """A page of candles. One that opens just at the start was seen to be left out by the venue."""
    params: dict[str, str | int] = {"instrument_name": market.symbol}
    params |= {"start_timestamp": page.first_ms - 1, "end_timestamp": page.last_ms}
    params["resolution"] = _SPELLED[page.interval]
    return get(f"{API}/get_tradingview_chart_data", params)


def order_book(market: Traded) -> Call:
    """The best levels of both sides."""
    return get(f"{API}/get_order_book", {"instrument_name": market.symbol, "depth": DEPTH})


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Candles out of the columns of a chart, and those that could not be read.

    Raises `VenueChanged` where the columns are not of one length.
    """
    result = member(wire.doc, "result")
    status = member(result, "status")
    if status == "no_data":
        return [], 0
    columns = [member(result, name) for name in _COLUMNS]
    if status != "ok" or not all(isinstance(column, list) for column in columns):
        raise VenueChanged("changed: the chart is not in columns")
    if len({len(column) for column in columns}) != 1:
        raise VenueChanged("changed: the columns of the chart differ in length")

    def read(row: tuple[Any, ...]) -> Candle:
        opening, o, h, l, c, coins, usd = row  # noqa: E741 - the fields' usual names
        return read_candle(stamp(opening), (o, h, l, c), coins, market, step_ms, turnover=usd)

    return each(list(zip(*columns, strict=True)), read)


def find_sides(doc: Any, _: Traded) -> Sides:
    """Levels [price, amount]."""
    result = member(doc, "result")
    return Sides(member(result, "bids"), member(result, "asks"), ms(result.get("timestamp")))


def takes_list(ask: Ask) -> bool:
    """Whether a coin is asked whose perpetual only a list can tell of."""
    return any(coin not in INVERSE for coin in coins_of(ask))


def main_of(ask: Ask, listed: Wire) -> list[Traded]:
    """The perpetuals of the coins asked for: BTC's and ETH's inverse, the linear ones in `listed`.

    Without that list, of sure coins what their perpetual would be called.
    """
    names = [f"{coin}-PERPETUAL" for coin in INVERSE]
    contracts = [contract for name in names if (contract := read_perpetual(name))]
    if listed:
        more, bad = listed.parsed(listed_perpetuals)
        ask.unread(bad)
        contracts += more
    found = main_contracts(contracts, INVERSE_FIRST)
    for coin in coins_of(ask):
        if coin in found or listed:
            continue
        guess = read_perpetual(f"{coin}_{LINEAR}-PERPETUAL") if is_surely_coin(coin) else None
        if guess is not None:
            found[coin] = guess
        else:
            ask.short(f"missing: nothing of {coin} without the list of perpetuals", coin=coin)
    return perps_of(ask, found)


_PAGING = Paging(MOST, pages=8, steps=[STEPS[name] for name in _SPELLED])
CANDLES = CandleSource(chart, parse_candles, _PAGING, gapless=True)
BOOKS = BookSource(order_book, find_sides)
