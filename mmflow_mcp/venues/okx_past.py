"""What OKX's swaps paid and held, as the venue keeps it.

https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate-history

Everything is text, newest first; `after` asks for what is older. A settlement has two rates: the
one predicted last (`fundingRate`) and the one charged (`realizedRate`). Funding is kept for about
three months, open interest for three to five days, by the day for a hundred days.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, ms, rate
from mmflow_mcp.venues.interest_samples import ask_samples, plan_samples, sample
from mmflow_mcp.venues.okx_swaps import guess_contract, lost_of, parse_contracts, swaps_of
from mmflow_mcp.venues.settlements import Listed, Payment, Series, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import MINUTE_MS, Cadence, Page, coin_of, page_call

API = "https://www.okx.com/api/v5"
ROWS = 100
# 1,000 settlements: three months of every 8 hours need three pages, 41 days of every hour ten.
RATE_PAGES = 10
PAGES = 4
# Three swaps of a coin at 5 requests in 2 s: the finest cadence is for a day. Bars of a day begin
# on the UTC+8 clock unless they are named so.
CADENCES = (
    Cadence(5 * MINUTE_MS, "5m", 26 * HOUR_MS, 3 * DAY_MS),
    Cadence(15 * MINUTE_MS, "15m", 3 * DAY_MS, 3 * DAY_MS),
    Cadence(HOUR_MS, "1H", 8 * DAY_MS, 8 * DAY_MS),
    Cadence(DAY_MS, "1Dutc", 100 * DAY_MS, 100 * DAY_MS),
)


def fundings(symbol: str, page: Page) -> Call:
    """Settlements of one swap before the end of a page. 10 requests in 2 s."""
    # `after` is the venue's word for records older than that.
    params: dict[str, str | int] = {"instId": symbol, "limit": ROWS, "after": page.until_ms}
    return page_call(f"{API}/public/funding-rate-history", params, page, weight=2)


def interest(symbol: str, cadence: Cadence, page: Page) -> Call:
    """A page of samples of one swap; `end` is exclusive. 5 requests in 2 s."""
    params: dict[str, str | int] = {"instId": symbol, "period": cadence.name}
    # Whether `begin` is inclusive is not documented.
    params |= {"begin": page.since_ms - 1, "end": page.until_ms, "limit": ROWS}
    url = f"{API}/rubik/stat/contracts/open-interest-history"
    return page_call(url, params, page, weight=4)


def _data(wire: Wire) -> list[Any]:
    if member(wire.doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(wire.doc, "data")
    return rows


def parse_fundings(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """What was charged at each settlement, and the bad rows. A prediction is never taken for it."""

    def read(row: dict[str, Any]) -> Payment | None:
        if row["instId"] != symbol:
            return None
        return Payment(stamp(row["fundingTime"]), rate(row["realizedRate"]))

    return each(_data(wire), read)


def parse_interest(
    wire: Wire, contract: Contract, cadence_ms: int
) -> tuple[list[PastInterest], int]:
    """Rows are [time, contracts, coins, USD]; the newest is still forming and is left out."""

    def read(row: list[Any]) -> PastInterest | None:
        at = stamp(row[0])
        if at + cadence_ms > wire.fetched_at:
            return None
        amount(row[1])
        usd = amount(row[3]) if len(row) > 3 and row[3] != "" else None
        return sample(at, amount(row[2]) * contract.multiplier, usd)

    return each(_data(wire), read)


def parse_births(listed: Wire) -> dict[str, int]:
    """Since when each swap is listed, epoch ms, where that is told."""

    def read(row: dict[str, Any]) -> tuple[str, int] | None:
        at = ms(row.get("listTime"))
        return None if at is None else (str(row["instId"]), at)

    return dict(each(_data(listed), read, tolerate=1)[0])


def _swaps(ask: Ask, listed: Wire, coin: str) -> list[Contract]:
    """The swaps of a coin, the main one first; says so where nobody knows whether it has any."""
    known = listed.parsed(parse_contracts)[0] if listed else {}
    found = [known.get(symbol) or guess_contract(symbol) for symbol in swaps_of(listed, coin)]
    ask.universe = {contract.coin: contract for contract in (*known.values(), *filter(None, found))}
    if not found and (not listed or lost_of(listed)):
        ask.short(f"missing: nothing of {coin} without the list of swaps", coin=coin)
    return [contract for contract in found if contract is not None]


async def ask_funding_history(ask: Ask, listed: Wire) -> list[FundingPast]:
    """What the coin's main swap was charged, page by page from the newest back."""
    swaps = _swaps(ask, listed, coin_of(ask))
    if not swaps:
        return []
    births = listed.parsed(parse_births) if listed else {}
    series = Series(RATE_PAGES, fundings, parse_fundings)
    # The venue keeps three months: what is older is missing unless the swap is younger.
    return await ask_settled(ask, swaps[0], series, Listed(born_ms=births.get(swaps[0].symbol, 0)))


async def ask_open_interest_history(ask: Ask, listed: Wire) -> list[OpenInterestPast]:
    """Samples of every swap of the coin, summed."""
    coin = coin_of(ask)
    swaps = _swaps(ask, listed, coin)
    if not swaps:
        return []
    if lost := lost_of(listed):
        ask.short(f"missing: the list of swaps lacks {', '.join(lost)}")
    plan = plan_samples(ask, coin, CADENCES, ROWS, PAGES)
    return await ask_samples(
        ask,
        swaps,
        plan,
        listed.parsed(parse_births),
        lambda swap, page: interest(swap.symbol, plan.cadence, page),
        lambda swap, wire: wire.parsed(parse_interest, swap, plan.cadence.ms),
    )
