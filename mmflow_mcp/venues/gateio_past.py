"""What Gate's contracts paid and held, as the venue keeps it.

https://www.gate.com/docs/developers/apiv4/en/#funding-rate-history

Times are seconds; a settlement is written down a second or two after the hour, and its period is
not told. `open_interest` of contract_stats counts contracts, and longs and shorts both in what was
recorded of BTC_USDT; since that is not documented, it is measured beside `position_size`, which
counts them once.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fields import amount, each, member, positive, positive_or_none, rate
from mmflow_mcp.venues.gateio_contracts import QUOTES, Books, live_contracts, settle_of
from mmflow_mcp.venues.interest_samples import ask_samples, plan_samples, sample
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

FUTURES = "https://api.gateio.ws/api/v4/futures"
# 960 settlements of a contract that pays every hour, of 1,000 in a page.
RATE_HOURS, RATE_PAGES = 960, 9
# 100 points in a page are documented.
ROWS, PAGES = 100, 8
_MINUTES = {5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d"}
CADENCES = cadences_of({n * MINUTE_MS: name for n, name in _MINUTES.items()}, ROWS, PAGES)


def fundings(symbol: str, page: Page) -> Call:
    """The settlements of a contract in a page."""
    params: dict[str, str | int] = {"contract": symbol, "from": page.since_ms // 1000}
    params |= {"to": page.until_ms // 1000, "limit": 1000}
    return page_call(f"{FUTURES}/{settle_of(symbol)}/funding_rate", params, page)


def stats(symbol: str, cadence: Cadence, page: Page) -> Call:
    """The points of a contract from where a page begins; there is no `to`."""
    params: dict[str, str | int] = {"contract": symbol, "from": page.since_ms // 1000}
    params |= {"interval": cadence.name, "limit": ROWS}
    return page_call(f"{FUTURES}/{settle_of(symbol)}/contract_stats", params, page)


def newest(symbol: str) -> Call:
    """The newest point of a contract, to tell its unit: never one that is older than an hour."""
    params: dict[str, str | int] = {"contract": symbol, "interval": "5m", "limit": 1}
    url = f"{FUTURES}/{settle_of(symbol)}/contract_stats"
    return replace(get(url, params, fresh=HOUR, reference=True), keep=0.0)


def live(symbol: str) -> Call:
    """The contract itself of within the hour, for its `position_size`."""
    url = f"{FUTURES}/{settle_of(symbol)}/contracts/{quote(symbol)}"
    return replace(get(url, fresh=HOUR, label="contracts", reference=True), keep=0.0)


def parse_fundings(wire: Wire, _: str) -> tuple[list[Payment], int]:
    """What was paid at each settlement, and the bad rows."""

    def read(row: dict[str, Any]) -> Payment:
        return Payment(stamp(row["t"]) * 1000, rate(row["r"]))

    return each(wire.doc, read)


def parse_stats(
    wire: Wire, contract: Contract, cadence_ms: int, sides: int
) -> tuple[list[PastInterest], int]:
    """The points whose interval is over; `sides`: how often each contract is counted.

    `open_interest_usd` is not read: in recordings of the inverse contract it is no dollars.
    """

    def read(row: dict[str, Any]) -> PastInterest | None:
        at = stamp(row["time"]) * 1000
        if at + cadence_ms > wire.fetched_at:
            return None
        contracts = amount(row["open_interest"])
        if sides == 2 and contracts % 2 == 1:
            # Twice a whole number is even; contracts of decimal size are told with decimals.
            msg = "not both sides of the open interest"
            raise ValueError(msg)
        size = contracts / sides
        if contract.margin == "inverse":
            return sample(at, size / positive(row["mark_price"]), size)
        units = size * positive(contract.size)
        mark = positive_or_none(row.get("mark_price"))
        return sample(at, units * contract.multiplier, None if mark is None else units * mark)

    return each(wire.doc, read)


def count_sides(point: Wire, contract: Wire, symbol: str) -> int:
    """How often contract_stats counts a contract: 1 or 2 times its `position_size`.

    Both were read within the hour. Raises `VenueChanged` where they do not tell.
    """
    if not isinstance(point.doc, list) or not point.doc:
        raise VenueChanged(f"changed: contract_stats has no point of {symbol}")
    told = amount(member(point.doc[-1], "open_interest"))
    once = amount(member(contract.doc, "position_size"))
    for sides in (1, 2):
        if told == once == 0 or 0.75 * sides <= (told / once if once else 0.0) < 1.4 * sides:
            return sides
    raise VenueChanged(f"changed: whose sides the open interest of {symbol} counts is not clear")


def read_birth(row: dict[str, Any]) -> int | None:
    """Since when a contract is listed, epoch ms; None where that is not told."""
    seconds = positive_or_none(row.get("create_time"))
    return None if seconds is None else round(seconds * 1000)


def _contracts(ask: Ask, books: Books, coin: str) -> dict[Contract, dict[str, Any]]:
    """The coin's contracts with their rows, the main one first."""
    listed = {contract: row for contract, row, _ in live_contracts(books)[0]}
    ask.universe = {contract.coin: contract for contract in listed}
    return {one: listed[one] for one in sorted(listed, key=rank_of) if one.coin == coin}


async def ask_funding_history(ask: Ask, books: Books) -> list[FundingPast]:
    """What the coin's main contract paid, all pages at once."""
    listed = _contracts(ask, books, coin_of(ask))
    if not listed:
        return []
    main, row = next(iter(listed.items()))
    seconds = positive_or_none(row.get("funding_interval"))
    series = Series(RATE_PAGES, fundings, parse_fundings, RATE_HOURS)
    return await ask_settled(
        ask, main, series, Listed(None if seconds is None else seconds * 1000 / HOUR_MS)
    )


async def ask_open_interest_history(ask: Ask, books: Books) -> list[OpenInterestPast]:
    """Samples of every contract of the coin, one-sided, summed."""
    coin = coin_of(ask)
    listed = _contracts(ask, books, coin)
    lost = [settle for settle in QUOTES if settle not in dict(books)]
    if lost:
        # Without one of the lists the sum may lack a contract.
        ask.short(f"missing: the contracts settled in {', '.join(lost)}", coin=coin)
    if not listed or lost:
        return []
    symbols = [contract.symbol for contract in listed]
    told = await ask.all(*map(newest, symbols), *map(live, symbols))
    sides = {
        symbol: count_sides(point, contract, symbol)
        for symbol, point, contract in zip(
            symbols, told[: len(symbols)], told[len(symbols) :], strict=True
        )
    }
    plan = plan_samples(ask, coin, CADENCES, ROWS, PAGES)
    births = {contract.symbol: read_birth(row) for contract, row in listed.items()}
    return await ask_samples(
        ask,
        list(listed),
        plan,
        {symbol: at for symbol, at in births.items() if at is not None},
        lambda one, page: stats(one.symbol, plan.cadence, page),
        lambda one, wire: wire.parsed(parse_stats, one, plan.cadence.ms, sides[one.symbol]),
    )
