"""The past of Bybit's contracts: settled funding rates, and open interest priced at the mark.

https://bybit-exchange.github.io/docs/v5/market/history-fund-rate
https://bybit-exchange.github.io/docs/v5/market/open-interest
https://bybit-exchange.github.io/docs/v5/market/mark-kline

Everything comes newest first, 200 rows a page. `openInterest` counts longs and shorts, as in the
tickers; `singleOpenInterest`, which rows before 2026-06 lack, each contract once. It is in coins
of linear contracts and in USD of inverse ones, and the other of the two is told nowhere: the mark
price of that moment is the open of the candle that begins then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire, get
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
from mmflow_mcp.venues.settled_rates import Series, Told, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.strands import Strand, on_grid, past_of, point
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Page,
    cadence_of,
    note_cut,
    pages_of,
    window_of,
)

API = "https://api.bybit.com/v5/market"
# Cadence: how open interest spells it, and the candles.
SPELLED = {
    5 * MINUTE_MS: ("5min", "5"),
    15 * MINUTE_MS: ("15min", "15"),
    30 * MINUTE_MS: ("30min", "30"),
    HOUR_MS: ("1h", "60"),
    4 * HOUR_MS: ("4h", "240"),
    DAY_MS: ("1d", "D"),
}
ROWS, PAGES = 200, 4
CANDLES = 1000


def fundings(contract: Contract, page: Page) -> Call:
    """One page of a contract's settled rates; a start without an end is refused."""
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    params: dict[str, str | int] = {"category": contract.margin, "symbol": contract.symbol}
    return get(
        f"{API}/funding/history",
        {**params, **times, "limit": ROWS},
        fresh=page.fresh,
        label="funding/history",
        optional=True,
    )


def interests(contract: Contract, cadence_ms: int, page: Page) -> Call:
    """One page of a contract's open interest."""
    params: dict[str, str | int] = {"category": contract.margin, "symbol": contract.symbol}
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    return get(
        f"{API}/open-interest",
        {**params, "intervalTime": SPELLED[cadence_ms][0], **times, "limit": ROWS},
        fresh=page.fresh,
        optional=True,
    )


def marks(contract: Contract, cadence_ms: int, page: Page) -> Call:
    """Candles of a contract's mark price."""
    params: dict[str, str | int] = {"category": contract.margin, "symbol": contract.symbol}
    times = {"start": page.since_ms, "end": page.until_ms - 1}
    return get(
        f"{API}/mark-price-kline",
        {**params, "interval": SPELLED[cadence_ms][1], **times, "limit": CANDLES},
        fresh=page.fresh,
        optional=True,
    )


def parse_settled(wire: Wire, symbol: str) -> tuple[list[Told], int]:
    """Settlements of one page."""

    def read(row: Row) -> Told:
        if row["symbol"] != symbol:
            msg = "another contract's rate"
            raise ValueError(msg)
        return stamp(row["fundingRateTimestamp"]), rate(row["fundingRate"])

    return each(list_of(wire), read)


def parse_marks(wire: Wire) -> tuple[dict[int, float], int]:
    """The mark price at the beginning of each candle, USD per unit of the symbol."""

    def read(row: list[Any]) -> tuple[int, float]:
        return stamp(row[0]), positive(row[1])

    found, bad = each(list_of(wire), read)
    return dict(found), bad


def parse_interest(
    wire: Wire, contract: Contract, cadence_ms: int, prices: Mapping[int, float]
) -> tuple[list[PastInterest], int]:
    """The points of one page, one-sided; of an inverse contract those that have a price.

    `prices`: the contract's mark by moment.
    """

    def read(row: Row) -> PastInterest | None:
        # Where the one-sided number is not kept it is missing, empty or zero.
        held = amount(
            number_or_none(row.get("singleOpenInterest")) or number(row["openInterest"]) / 2
        )
        at = on_grid(stamp(row["timestamp"]), cadence_ms)
        mark = prices.get(at)
        if contract.margin == "inverse":
            return point(at, held / mark, held) if mark else None
        return point(at, held * contract.multiplier, held * mark if mark else None)

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

    series = Series(ROWS, 24, call, parse_settled)
    return await ask_settled(ask, contract, series, hours / 60 if hours else None)


async def ask_interest_history(ask: Ask, books: Books) -> list[OpenInterestPast]:
    """All live perpetuals of the coin, summed; as fine as four pages of each allow."""
    mine = _contracts(ask, books, "open interest")
    if not mine:
        return []
    window = window_of(ask)
    cadence = cadence_of(window, tuple(SPELLED), ROWS, PAGES)
    grid = window.snapped(cadence)
    pages = pages_of(grid, ROWS * cadence, PAGES, ask.now_ms)
    note_cut(ask, grid, pages, f"open interest of {mine[0].coin}")
    calls = [interests(contract, cadence, page) for contract in mine for page in pages]
    wires = await ask.all(*calls, *_priced(mine, cadence, pages))
    if pages and not any(wires[: len(calls)]):
        wires[0] = await ask.get(calls[0])
    births: dict[str, int] = {}
    for page in (page for book in books for page in book.pages):
        births |= page.parsed(parse_births)
    strands = []
    for i, contract in enumerate(mine):
        told = wires[i * len(pages) : (i + 1) * len(pages)]
        priced = wires[len(calls) + i] if pages else NOTHING
        points = _points(ask, contract, cadence, told, priced)
        strands.append(Strand(contract.symbol, points, births.get(contract.symbol)))
    return past_of(ask, mine[0].coin, strands, window, cadence, wires)


def _priced(mine: Sequence[Contract], cadence_ms: int, pages: Sequence[Page]) -> list[Call]:
    """The marks of each contract over all these pages, which one answer of candles holds."""
    if not pages:
        return []
    whole = Page(pages[0].since_ms, pages[-1].until_ms, pages[-1].fresh)
    return [marks(contract, cadence_ms, whole) for contract in mine]


def _points(
    ask: Ask, contract: Contract, cadence_ms: int, told: Iterable[Wire], priced: Wire
) -> dict[int, PastInterest]:
    """One contract's points by moment."""
    prices, bad = priced.parsed(parse_marks) if priced else ({}, 0)
    ask.unread(bad)
    points: dict[int, PastInterest] = {}
    for wire in filter(None, told):
        found, bad = wire.parsed(parse_interest, contract, cadence_ms, prices)
        ask.unread(bad)
        points |= {one.ts: one for one in found}
    return points


def _contracts(ask: Ask, books: Books, what: str) -> list[Contract]:
    """The coin's contracts, the main one first; says what the lists of contracts leave open."""
    coin = (ask.coins or ("BTC",))[0]
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
