"""Settled funding rates of venues that speak the grammar of `fapi`.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Get-Funding-Rate-History

A page holds 1,000 rows, ascending, the oldest from its start on; Binance stamps them some ms after
the hour. Dividends on stocks are rows of the type Special, and no funding.
"""

from functools import partial
from typing import Any

from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fapi import Line, exchange_info, funding_info, parse_periods
from mmflow_mcp.venues.fapi_perps import listed_places
from mmflow_mcp.venues.fapi_rows import Books, Place, shelve
from mmflow_mcp.venues.fields import each, rate
from mmflow_mcp.venues.settlements import Listed, Payment, Series, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import Page, coin_of, page_call

ROWS, PAGES = 1000, 10


def funding_rates(line: Line, weight: float, symbol: str, page: Page) -> Call:
    """One page of a contract's settled rates."""
    times: dict[str, str | int] = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    return page_call(
        f"{line.api}/fundingRate",
        {"symbol": symbol, **times, "limit": ROWS},
        page,
        weight=weight,
        label=f"{line.prefix}fundingRate",
    )


def parse_settled(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """Settlements of one page."""

    def read(row: dict[str, Any]) -> Payment | None:
        if row["symbol"] != symbol:
            msg = "another contract's rate"
            raise ValueError(msg)
        if row.get("rateType") == "Special":
            return None
        return Payment(stamp(row["fundingTime"]), rate(row["fundingRate"]))

    return each(wire.doc, read)


async def ask_funding_history(
    ask: Ask, lines: tuple[Line, ...], weight: float
) -> list[FundingPast]:
    """What the coin's main perpetual paid: on the first line that has one.

    `weight`: of one request.
    """
    coin = coin_of(ask)
    books: Books = ()
    places: list[Place] = []
    periods = NOTHING
    for line in lines:
        listed, periods = await ask.all(exchange_info(line), funding_info(line))
        more, places = listed_places(ask, (line,), (listed,), coin)
        books += more
        if places:
            break
    note_lists(ask, books, coin, places, "settled funding rates")
    if not places:
        return []
    line, contract = places[0]
    hours = periods.parsed(parse_periods).get(contract.symbol) if periods else None
    series = Series(PAGES, partial(funding_rates, line, weight), parse_settled, page_hours=ROWS)
    return await ask_settled(ask, contract, series, Listed(hours))


def note_lists(ask: Ask, books: Books, coin: str, places: list[Place], what: str) -> None:
    """Say what the lists of contracts leave open: rows that are unreadable, a list that failed."""
    shelf = shelve(books)
    ask.universe = shelf.places
    ask.unread(shelf.bad)
    for reason in shelf.odd:
        ask.short(reason)
    if not places and not shelf.whole:
        # Without every list nobody knows whether the venue has it.
        ask.short(f"missing: no {what} of {coin} without the list of contracts", coin=coin)
    elif places:
        ask.unreadable.add(coin)
