"""Open interest of the past as Binance keeps it: 30 days, one-sided, contract by contract.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Open-Interest-Statistics

On USD-M the sum is in units of the base asset and its value in USD. On COIN-M a pair is asked, the
sum is in contracts and its value in coins.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fapi import Line, exchange_info
from mmflow_mcp.venues.fapi_past import note_lists
from mmflow_mcp.venues.fapi_perps import listed_places
from mmflow_mcp.venues.fapi_rows import Place
from mmflow_mcp.venues.fields import amount, each, member, ms
from mmflow_mcp.venues.interest_samples import ask_samples, plan_samples, sample
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Cadence,
    Page,
    cadences_of,
    coin_of,
    page_call,
)

ROWS, PAGES = 500, 2
CADENCES = cadences_of(
    {5 * MINUTE_MS: "5m", 15 * MINUTE_MS: "15m", 30 * MINUTE_MS: "30m", HOUR_MS: "1h"},
    ROWS,
    PAGES,
    kept_ms=30 * DAY_MS,
)
# These paths weigh nothing and allow 1,000 requests in 5 minutes: a twelfth of the weight's pace.
WEIGHT = 12


def interest_hist(place: Place, cadence: Cadence, page: Page) -> Call:
    """One page of a contract's open interest."""
    line, contract = place
    asked: dict[str, str | int] = {"symbol": contract.symbol}
    if contract.margin == "inverse":
        asked = {"pair": pair_of(contract), "contractType": "PERPETUAL"}
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    return page_call(
        f"{line.api.rsplit('/', 2)[0]}/futures/data/openInterestHist",
        {**asked, "period": cadence.name, **times, "limit": ROWS},
        page,
        weight=WEIGHT,
        label=f"{line.prefix}openInterestHist",
    )


def pair_of(contract: Contract) -> str:
    """BTCUSD of BTCUSD_PERP."""
    return contract.symbol.removesuffix("_PERP")


def parse_interest(wire: Wire, contract: Contract) -> tuple[list[PastInterest], int]:
    """The points of one page. A row of another contract, or of all of a pair, is a bad one."""
    inverse = contract.margin == "inverse"
    name = ("pair", pair_of(contract)) if inverse else ("symbol", contract.symbol)

    def read(row: dict[str, Any]) -> PastInterest:
        if row[name[0]] != name[1] or (inverse and row["contractType"] != "PERPETUAL"):
            msg = "another contract's open interest"
            raise ValueError(msg)
        held, value = amount(row["sumOpenInterest"]), amount(row["sumOpenInterestValue"])
        at = stamp(row["timestamp"])
        if inverse:
            return sample(at, value, held * contract.size)
        return sample(at, held * contract.multiplier, value)

    return each(wire.doc, read)


def parse_births(listed: Wire) -> dict[str, int]:
    """When each contract was listed, epoch ms, where that is told."""

    def read(row: dict[str, Any]) -> tuple[str, int] | None:
        at = ms(row.get("onboardDate"))
        return None if at is None else (str(row["symbol"]), at)

    return dict(each(member(listed.doc, "symbols"), read, tolerate=1)[0])


async def ask_interest_history(ask: Ask, lines: tuple[Line, ...]) -> list[OpenInterestPast]:
    """All live perpetuals of the coin, summed; as fine as two pages of each allow."""
    coin = coin_of(ask)
    lists = await ask.all(*map(exchange_info, lines))
    books, places = listed_places(ask, lines, lists, coin)
    note_lists(ask, books, coin, places, "open interest")
    if not places:
        return []
    births: dict[str, int] = {}
    for book in books:
        births |= book.listed.parsed(parse_births) if book.listed else {}
    lines_of = {contract.symbol: line for line, contract in places}
    plan = plan_samples(ask, coin, CADENCES, ROWS, PAGES)
    return await ask_samples(
        ask,
        [contract for _, contract in places],
        plan,
        births,
        lambda one, page: interest_hist((lines_of[one.symbol], one), plan.cadence, page),
        lambda one, wire: wire.parsed(parse_interest, one),
    )
