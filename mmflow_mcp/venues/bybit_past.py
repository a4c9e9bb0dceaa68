"""The past of Bybit's contracts: settled funding rates, and open interest priced at the mark.

https://bybit-exchange.github.io/docs/v5/market/history-fund-rate
https://bybit-exchange.github.io/docs/v5/market/open-interest
https://bybit-exchange.github.io/docs/v5/market/mark-kline

Everything comes newest first, 200 rows a page. `openInterest` counts longs and shorts, as in the
tickers; `singleOpenInterest`, which rows before 2026-06 lack, each contract once. It is in coins
of linear contracts and in USD of inverse ones, and the other of the two is told nowhere: the mark
price of that moment is the open of the candle that begins then.
"""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bybit_tickers import (
    Books,
    Row,
    contracts_of,
    is_whole,
    list_of,
    listed_minutes,
    parse_contracts,
    usual_of,
)
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fields import amount, each, ms, number, number_or_none, positive, rate
from mmflow_mcp.venues.interest_samples import Plan, ask_samples, plan_samples, sample
from mmflow_mcp.venues.settlements import Listed, Payment, Series, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Cadence,
    Page,
    cadences_of,
    coin_of,
    page_call,
)

API = "https://api.bybit.com/v5/market"
ROWS, PAGES = 200, 4
# 4,800 settlements: more than four years of every eight hours.
RATE_PAGES = 24
CANDLES = 1000
# Cadence: how open interest spells it, and the candles.
_SPELLED = {
    5 * MINUTE_MS: ("5min", "5"),
    15 * MINUTE_MS: ("15min", "15"),
    30 * MINUTE_MS: ("30min", "30"),
    HOUR_MS: ("1h", "60"),
    4 * HOUR_MS: ("4h", "240"),
    DAY_MS: ("1d", "D"),
}
CADENCES = cadences_of({step: name for step, (name, _) in _SPELLED.items()}, ROWS, PAGES)


def fundings(contract: Contract, page: Page) -> Call:
    """The newest of a contract's settled rates in a page; a start without an end is refused."""
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    params = {**_named(contract), **times, "limit": ROWS}
    return page_call(f"{API}/funding/history", params, page, label="funding/history")


def interests(contract: Contract, cadence: Cadence, page: Page) -> Call:
    """One page of a contract's open interest."""
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    params = {**_named(contract), "intervalTime": cadence.name, **times, "limit": ROWS}
    return page_call(f"{API}/open-interest", params, page)


def marks(contract: Contract, cadence: Cadence, page: Page) -> Call:
    """Candles of a contract's mark price."""
    times = {"start": page.since_ms, "end": page.until_ms - 1}
    interval = _SPELLED[cadence.ms][1]
    params = {**_named(contract), "interval": interval, **times, "limit": CANDLES}
    return page_call(f"{API}/mark-price-kline", params, page)


def _named(contract: Contract) -> dict[str, str | int]:
    return {"category": contract.margin, "symbol": contract.symbol}


def parse_settled(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """Settlements of one page."""

    def read(row: Row) -> Payment:
        if row["symbol"] != symbol:
            msg = "another contract's rate"
            raise ValueError(msg)
        return Payment(stamp(row["fundingRateTimestamp"]), rate(row["fundingRate"]))

    return each(list_of(wire), read)


def parse_marks(wire: Wire) -> tuple[dict[int, float], int]:
    """The mark price at the beginning of each candle, USD per unit of the symbol."""

    def read(row: list[Any]) -> tuple[int, float]:
        return stamp(row[0]), positive(row[1])

    found, bad = each(list_of(wire), read)
    return dict(found), bad


def parse_interest(
    wire: Wire, contract: Contract, prices: Mapping[int, float]
) -> tuple[list[PastInterest], int]:
    """The points of one page, one-sided; of an inverse contract those that have a price.

    `prices`: the contract's mark by moment.
    """

    def read(row: Row) -> PastInterest | None:
        # Where the one-sided number is not kept it is missing, empty or zero.
        held = amount(
            number_or_none(row.get("singleOpenInterest")) or number(row["openInterest"]) / 2
        )
        at = stamp(row["timestamp"])
        mark = prices.get(at)
        if contract.margin == "inverse":
            return sample(at, held / mark, held) if mark else None
        return sample(at, held * contract.multiplier, held * mark if mark else None)

    return each(list_of(wire), read)


def parse_births(page: Wire) -> dict[str, int]:
    """When each contract of a list was launched, epoch ms, where that is told."""

    def read(row: Row) -> tuple[str, int] | None:
        at = ms(row.get("launchTime"))
        return None if at is None else (str(row["symbol"]), at)

    return dict(each(list_of(page), read, tolerate=1)[0])


async def ask_funding_history(ask: Ask, books: Books) -> list[FundingPast]:
    """What the coin's main perpetual paid. `books` hold the lists of contracts."""
    mine = _contracts(ask, books, "settled funding rates")
    if not mine:
        return []
    contract = mine[0]
    minutes = {s: m for book in books for s, m in listed_minutes(book.pages).items()}
    hours = number_or_none(minutes.get(contract.symbol))

    def call(_: str, page: Page) -> Call:
        return fundings(contract, page)

    series = Series(RATE_PAGES, call, parse_settled)
    return await ask_settled(ask, contract, series, Listed(hours / 60 if hours else None))


async def ask_interest_history(ask: Ask, books: Books) -> list[OpenInterestPast]:
    """All live perpetuals of the coin, summed; as fine as four pages of each allow."""
    mine = _contracts(ask, books, "open interest")
    if not mine:
        return []
    plan = plan_samples(ask, mine[0].coin, CADENCES, ROWS, PAGES)
    prices = await _ask_marks(ask, mine, plan)
    births: dict[str, int] = {}
    for page in (page for book in books for page in book.pages):
        births |= page.parsed(parse_births)
    return await ask_samples(
        ask,
        mine,
        plan,
        births,
        lambda one, page: interests(one, plan.cadence, page),
        lambda one, wire: wire.parsed(parse_interest, one, prices[one.symbol]),
    )


async def _ask_marks(ask: Ask, mine: list[Contract], plan: Plan) -> dict[str, dict[int, float]]:
    """The marks of each contract over all pages, which one answer of candles holds."""
    prices: dict[str, dict[int, float]] = {contract.symbol: {} for contract in mine}
    if not plan.pages:
        return prices
    newest, oldest = plan.pages[0], plan.pages[-1]
    whole = newest._replace(since_ms=oldest.since_ms)
    wires = await ask.all(*(marks(contract, plan.cadence, whole) for contract in mine))
    unread = 0
    for contract, wire in zip(mine, wires, strict=True):
        if wire:
            prices[contract.symbol], bad = wire.parsed(parse_marks)
            unread += bad
    ask.unread(unread)
    return prices


def _contracts(ask: Ask, books: Books, what: str) -> list[Contract]:
    """The coin's contracts, the main one first; says what the lists of contracts leave open."""
    coin = coin_of(ask)
    listed = [one for book in books for one in (contracts_of(book) or {}).values()]
    usual = [usual_of(coin, book) for book in books if not is_whole(book)]
    mine = {one.symbol: one for one in (*listed, *filter(None, usual)) if one.coin == coin}
    ask.universe = {one.coin: one for one in listed}
    for book in books:
        if book.pages:
            ask.unread(book.pages[0].parsed(parse_contracts, book.pages[1:])[1])
        if book.pages and not is_whole(book):
            ask.short(f"missing: the list of {book.category} contracts is an excerpt")
    if mine:
        ask.unreadable.add(coin)
    elif not all(map(is_whole, books)):
        # Without every list nobody knows whether the venue has it.
        ask.short(f"missing: no {what} of {coin} without the list of contracts", coin=coin)
    return sorted(mine.values(), key=rank_of)
