"""What Kraken's perpetuals paid and held, as the venue keeps it.

https://docs.kraken.com/api/docs/futures-api/trading/historical-funding-rates
https://docs.kraken.com/api-reference/analytics/market-analytics

A row of funding names the hour that it holds for by its beginning, so it was settled an hour
later, and the last row is of the hour that still runs. `fundingRate` is money per contract; the
fraction is `relativeFundingRate`. Analytics are columns: times in seconds, and for open interest
[open, high, low, close] of each interval in the contract's own unit, which is not documented and
is compared with the ticker.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fields import amount, each, member, positive, rate
from mmflow_mcp.venues.interest_samples import Plan, ask_samples, plan_samples, sample
from mmflow_mcp.venues.settlements import Listed, Payment, read_payments, tell_past
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Cadence,
    Page,
    cadences_of,
    coin_of,
    fresh_after,
    page_call,
    window_of,
)

HOST = "https://futures.kraken.com"
CHARTS = f"{HOST}/api/charts/v1"
# Hourly since 29 September 2022. For how long the rates of four hours before hold, an hour or
# four, is not documented, so they are not read.
HOURLY_SINCE_MS = 1_664_582_400_000
ROWS, PAGES = 288, 4
# By minutes; the names are those of candles, analytics take seconds.
_NAMES = {5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d"}
CADENCES = cadences_of({n * MINUTE_MS: name for n, name in _NAMES.items()}, ROWS, PAGES)

Prices = dict[int, float]
# A contract with its row of the list and its ticker; both may be empty.
Known = tuple[Contract, dict[str, Any], dict[str, Any]]


def fundings(symbol: str, until_ms: int, now_ms: int) -> Call:
    """All hours of a perpetual that the venue keeps, about a year of them, in one answer."""
    return get(
        f"{HOST}/derivatives/api/v4/historicalfundingrates",
        {"symbol": symbol},
        fresh=fresh_after(until_ms, now_ms),
        label="futures/historicalfundingrates",
    )


def interest(symbol: str, cadence: Cadence, page: Page) -> Call:
    """The intervals of a contract that begin in a page."""
    params = {"since": page.since_ms // 1000, "to": page.until_ms // 1000}
    return page_call(
        f"{CHARTS}/analytics/{symbol}/open-interest",
        params | {"interval": cadence.ms // 1000},
        page,
        label="futures/open-interest",
    )


def newest(symbol: str, now_ms: int) -> Call:
    """The last two hours of a contract, to compare with its ticker."""
    since = now_ms // HOUR_MS * HOUR_MS // 1000 - 3600
    call = get(
        f"{CHARTS}/analytics/{symbol}/open-interest",
        {"since": since, "to": since + 7200, "interval": 3600},
        fresh=HOUR,
        label="futures/open-interest",
        reference=True,
    )
    return replace(call, keep=0.0)


def marks(symbol: str, cadence: Cadence, page: Page) -> Call:
    """Candles of the mark price of a contract."""
    return page_call(
        f"{CHARTS}/mark/{symbol}/{cadence.name}",
        {"from": page.since_ms // 1000, "to": page.until_ms // 1000},
        page,
        label="futures/mark",
    )


def parse_fundings(wire: Wire) -> tuple[list[Payment], int]:
    """The hours that are over, each at its end, and the bad rows."""

    def read(row: dict[str, Any]) -> Payment | None:
        begin = _moment(row["timestamp"])
        end = begin + HOUR_MS
        if begin < HOURLY_SINCE_MS or end > wire.fetched_at:
            return None
        return Payment(end, rate(row["relativeFundingRate"]), 1)

    return each(member(wire.doc, "rates"), read)


def _moment(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = "not a moment in UTC"
        raise ValueError(msg)
    return round(at.timestamp() * 1000)


def parse_interest(wire: Wire) -> tuple[dict[int, float], int]:
    """What a contract held at the beginning of each interval, in its own unit; the bad rows.

    The opening value is final while the interval lasts.
    """
    times, values = member(wire.doc, "result", "timestamp"), member(wire.doc, "result", "data")
    if not isinstance(times, list) or not isinstance(values, list) or len(times) != len(values):
        raise VenueChanged("changed: the columns of open interest are not of one length")

    def read(pair: tuple[Any, Any]) -> tuple[int, float]:
        at, told = pair
        return stamp(at) * 1000, amount(told[0] if isinstance(told, list) else told)

    found, bad = each(list(zip(times, values, strict=True)), read)
    return dict(found), bad


def parse_marks(wire: Wire) -> tuple[Prices, int]:
    """Opening mark prices by time, which candles tell in milliseconds; the bad rows."""

    def read(row: dict[str, Any]) -> tuple[int, float]:
        return stamp(row["time"]), positive(row["open"])

    found, bad = each(member(wire.doc, "candles"), read)
    return dict(found), bad


def as_samples(
    contract: Contract, told: dict[int, float], prices: Prices
) -> tuple[list[PastInterest], int]:
    """Coins and USD of a contract, of an inverse one only where there is a price; the bad ones."""

    def read(entry: tuple[int, float]) -> PastInterest | None:
        at, size = entry
        units, price = size * contract.size, prices.get(at)
        if contract.margin == "linear":
            usd = None if price is None else units * price
            return sample(at, units * contract.multiplier, usd)
        return None if price is None else sample(at, units / price, units)

    return each(list(told.items()), read)


def read_birth(listing: dict[str, Any]) -> int | None:
    """Since when a contract is listed, epoch ms; None where that is not told."""
    try:
        return _moment(listing["openingDate"])
    except (KeyError, TypeError, ValueError):
        return None


def check_unit(contract: Contract, point: Wire, ticker: dict[str, Any]) -> None:
    """Raises `VenueChanged` unless the newest value is about what the ticker tells."""
    told, _ = point.parsed(parse_interest)
    live = amount(member(ticker, "openInterest"))
    newest_told = told[max(told)] if told else None
    if newest_told is None or not live / 2 <= newest_told <= live * 2:
        raise VenueChanged(
            f"changed: in which unit the open interest of {contract.symbol} is told is not clear"
        )


async def ask_funding_history(ask: Ask, known: list[Known]) -> list[FundingPast]:
    """The hours of the coin's main perpetual, one request."""
    window = window_of(ask)
    same = [one for one in known if one[0].coin == coin_of(ask)]
    if not same:
        return []
    main, listing, _ = min(same, key=lambda one: rank_of(one[0]))
    wire = await ask.get(fundings(main.symbol, window.until_ms, ask.now_ms))
    told = read_payments(ask, (wire,), parse_fundings)
    # The venue keeps a year: what is older is missing unless the contract is younger.
    listed = Listed(born_ms=read_birth(listing) or 0)
    return tell_past(ask, main, told, window, listed)


async def ask_open_interest_history(ask: Ask, known: list[Known]) -> list[OpenInterestPast]:
    """Samples of the linear and the inverse perpetual of the coin, summed."""
    coin = coin_of(ask)
    same = [one for one in known if one[0].coin == coin]
    if not same:
        return []
    points = await ask.all(*(newest(contract.symbol, ask.now_ms) for contract, *_ in same))
    for (contract, _, ticker), point in zip(same, points, strict=True):
        check_unit(contract, point, ticker)
    births = {contract.symbol: read_birth(listing) for contract, listing, _ in same}
    mine = [contract for contract, *_ in same]
    plan = plan_samples(ask, coin, CADENCES, ROWS, PAGES)
    prices = await _ask_marks(ask, mine, plan)

    def read(contract: Contract, wire: Wire) -> tuple[list[PastInterest], int]:
        told, bad = wire.parsed(parse_interest)
        samples, missed = as_samples(contract, told, prices[contract.symbol])
        return samples, bad + missed

    return await ask_samples(
        ask,
        mine,
        plan,
        {symbol: at for symbol, at in births.items() if at is not None},
        lambda one, page: interest(one.symbol, plan.cadence, page),
        read,
    )


async def _ask_marks(ask: Ask, mine: list[Contract], plan: Plan) -> dict[str, Prices]:
    """Mark prices of each contract; what cannot be had is told and leaves USD unknown."""
    prices: dict[str, Prices] = {contract.symbol: {} for contract in mine}
    asked = [(contract, page) for page in plan.pages for contract in mine]
    wires = await ask.all(*(marks(one.symbol, plan.cadence, page) for one, page in asked))
    unread = 0
    for (contract, _), wire in zip(asked, wires, strict=True):
        if wire:
            found, bad = wire.parsed(parse_marks)
            unread += bad
            prices[contract.symbol] |= found
    ask.unread(unread)
    return prices
