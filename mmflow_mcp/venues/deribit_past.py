"""What Deribit's perpetuals paid, hour by hour.

https://docs.deribit.com/#public-get_funding_rate_history

Funding accrues all the time and is told at every full hour in two sums: of that hour
(`interest_1h`) and of the eight before (`interest_8h`). Those of eight hours overlap: added up they
count each hour eight times. So the hours are what was settled, each for a period of one.
"""

from typing import Any

from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import INVERSE_FIRST, Contract, rank_of
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_perpetual
from mmflow_mcp.venues.fields import each, member, rate
from mmflow_mcp.venues.settlements import Payment, Series, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import Page, coin_of, page_call

API = "https://www.deribit.com/api/v2/public"
# 720 hours, of 744 in a page.
HOURS, PAGES = 720, 13
# The same request as for the linear perpetuals now; what is listed changes by the day.
LISTED = get(
    f"{API}/get_book_summary_by_currency",
    {"currency": LINEAR, "kind": "future"},
    fresh=DAY,
    reference=True,
)


def hours(symbol: str, page: Page) -> Call:
    """The hours of one perpetual in a page; both ends are inclusive."""
    times = {"start_timestamp": page.since_ms, "end_timestamp": page.until_ms}
    return page_call(f"{API}/get_funding_rate_history", {"instrument_name": symbol, **times}, page)


def parse_hours(wire: Wire, _: str) -> tuple[list[Payment], int]:
    """What accrued in each hour, a fraction, at its end; and the bad rows."""

    def read(row: dict[str, Any]) -> Payment:
        return Payment(stamp(row["timestamp"]), rate(row["interest_1h"]), 1)

    return each(member(wire.doc, "result"), read)


def parse_perpetuals(wire: Wire) -> tuple[tuple[Contract, ...], int]:
    """The perpetuals among the futures of a summary, and the bad rows."""
    found, bad = each(
        member(wire.doc, "result"), lambda row: read_perpetual(row["instrument_name"])
    )
    return tuple(found), bad


async def ask_funding_history(ask: Ask) -> list[FundingPast]:
    """The hours of the inverse perpetual of BTC and ETH, of the linear one else."""
    coin = coin_of(ask)
    own = [Contract(f"{name}-PERPETUAL", name, 1, "USD", "inverse") for name in INVERSE]
    if coin not in INVERSE:
        linear, bad = (await ask.get(LISTED)).parsed(parse_perpetuals)
        ask.unread(bad)
        own += linear
    ask.universe = {contract.coin: contract for contract in own}
    same = [contract for contract in own if contract.coin == coin]
    if not same:
        return []
    main = min(same, key=lambda contract: rank_of(contract, INVERSE_FIRST))
    return await ask_settled(ask, main, Series(PAGES, hours, parse_hours, HOURS))
