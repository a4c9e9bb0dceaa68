"""OKX's candles and order books of swaps.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks

Rows are text, newest first: [time, open, high, low, close, contracts, coins, quote, confirm]. The
newest 1,440 candles come from one path and what is older from another. `after` asks for what is
older than a time and `before` for what is newer. Days begin at 16:00 UTC unless asked as 1Dutc.
"""

from typing import Any

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CallPage, CandleSource
from mmflow_mcp.venues.candle_spans import Page, Paging
from mmflow_mcp.venues.contracts import main_contracts
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.okx_swaps import guess_contract, lost_of, parse_contracts, swaps_of
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.traded import Traded, coins_of, perps_of

API = "https://www.okx.com/api/v5/market"
MOST = 300
# An older documentation of the older candles knows pages of 100 only.
CAPPED = 100
RECENT = 1440
DEPTH = 400
_SPELLED = {"1h": "1H", "4h": "4H", "1d": "1Dutc"}


def recent(market: Traded, page: Page) -> Call:
    """A page of the newest candles."""
    return get(f"{API}/candles", _window(market, page), weight=0.5)


def older(market: Traded, page: Page) -> Call:
    """A page of candles that are over."""
    return get(f"{API}/history-candles", _window(market, page))


def _window(market: Traded, page: Page) -> dict[str, str | int]:
    """Both times are outside of the page."""
    params: dict[str, str | int] = {"instId": market.symbol}
    params |= {"bar": _SPELLED.get(page.interval, page.interval), "after": page.until_ms}
    return params | {"before": page.first_ms - 1, "limit": MOST}


def books(market: Traded) -> Call:
    """The best levels of both sides."""
    return get(f"{API}/books", {"instId": market.symbol, "sz": DEPTH}, weight=0.5)


def _data(doc: Any) -> list[Any]:
    if member(doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(doc, "data")
    return rows


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Candles of a swap, and the rows that could not be read; `volCcy` is coins on all swaps."""

    def read(row: list[Any]) -> Candle:
        opening, o, h, l, c, _, coins = row[:7]  # noqa: E741 - the fields' usual names
        # Rows of before 2022 end here.
        quote = row[7] if len(row) > 8 else None
        return read_candle(stamp(opening), (o, h, l, c), coins, market, step_ms, turnover=quote)

    return each(_data(wire.doc), read)


def find_sides(doc: Any, _: Traded) -> Sides:
    """One book of levels [price, contracts, "0", orders]."""
    rows = _data(doc)
    if not isinstance(rows, list) or len(rows) != 1:
        raise VenueChanged("changed: one book was expected")
    return Sides(member(rows[0], "bids"), member(rows[0], "asks"), ms(rows[0].get("ts")))


def main_swaps(ask: Ask, listed: Wire) -> list[Traded]:
    """The main swap of each coin asked for; of sure coins their usual one without a list."""
    known, bad = listed.parsed(parse_contracts) if listed else ({}, 0)
    ask.unread(bad)
    found = main_contracts(known.values())
    for coin in coins_of(ask):
        symbol = next(iter(swaps_of(listed, coin)), None)
        contract = known.get(symbol) or guess_contract(symbol) if symbol else None
        if contract is not None:
            found[coin] = contract
        elif not listed or lost_of(listed):
            ask.short(f"missing: nothing of {coin} without the list of swaps", coin=coin)
    return perps_of(ask, found)


def candle_source(now_ms: int) -> CandleSource:
    """How candles are asked for at a moment: their age decides on the path.

    What is old now was recorded when it was recent: the other path has it then.
    """

    def paths(page: Page) -> tuple[CallPage, CallPage]:
        # The running candle counts, and one more may have opened on the way.
        is_recent = page.first_ms > now_ms - (RECENT - 2) * page.step_ms
        return (recent, older) if is_recent else (older, recent)

    return CandleSource(
        lambda market, page: paths(page)[0](market, page),
        parse_candles,
        Paging(MOST, pages=8),
        elsewhere=lambda market, page: paths(page)[1](market, page),
        capped=CAPPED,
    )


BOOKS = BookSource(books, find_sides)
