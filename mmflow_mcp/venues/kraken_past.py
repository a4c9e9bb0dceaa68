"""What Kraken's perpetuals paid and held, as the venue keeps it.

https://docs.kraken.com/api/docs/futures-api/trading/historical-funding-rates
https://docs.kraken.com/api-reference/analytics/market-analytics

A row of funding names the hour that it holds for by its beginning, so it was settled an hour
later, and the last row is of the hour that still runs. `fundingRate` is money per contract; the
fraction is `relativeFundingRate`. Analytics are columns: times in seconds, and for open interest
[open, high, low, close] of each interval in the contract's own unit, which is not documented and
is compared with the ticker.
"""

from datetime import datetime
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, positive, rate
from mmflow_mcp.venues.interest_samples import (
    USUAL_MS,
    Cadence,
    Held,
    Samples,
    ask_samples,
    choose_cadence,
    held,
)
from mmflow_mcp.venues.settlements import (
    Payment,
    Span,
    Window,
    coin_of,
    fresh_after,
    main_contract,
    span_of,
    tell_cut,
    tell_past,
    windows,
)
from mmflow_mcp.venues.shares import stamp

HOST = "https://futures.kraken.com"
CHARTS = f"{HOST}/api/charts/v1"
# Hourly since 29 September 2022. For how long the rates of four hours before hold, an hour or
# four, is not documented, so they are not read.
HOURLY_SINCE_MS = 1_664_582_400_000
POINTS = 288
MAX_WINDOWS = 4
_MINUTE_MS = 60_000
# By minutes; the names are those of candles, analytics take seconds.
_NAMES = {5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d"}
CADENCES = tuple(
    Cadence(minutes * _MINUTE_MS, name, (MAX_WINDOWS - 1) * POINTS * minutes * _MINUTE_MS)
    for minutes, name in _NAMES.items()
)

Prices = dict[int, float]


def fundings(symbol: str, until_ms: int, now_ms: int) -> Call:
    """All hours of a perpetual that the venue keeps, about a year of them, in one answer."""
    return get(
        f"{HOST}/derivatives/api/v4/historicalfundingrates",
        {"symbol": symbol},
        fresh=fresh_after(until_ms, now_ms),
        label="futures/historicalfundingrates",
    )


def interest(symbol: str, cadence: Cadence, window: Window, now_ms: int) -> Call:
    """The intervals of a contract that begin in a window."""
    params: dict[str, str | int] = {"since": window.start // 1000, "to": window.end // 1000}
    return get(
        f"{CHARTS}/analytics/{symbol}/open-interest",
        params | {"interval": cadence.ms // 1000},
        fresh=fresh_after(window.end, now_ms),
        label="futures/open-interest",
        optional=True,
    )


def newest(symbol: str, now_ms: int) -> Call:
    """The last two hours of a contract, to compare with its ticker."""
    since = now_ms // HOUR_MS * HOUR_MS // 1000 - 3600
    return get(
        f"{CHARTS}/analytics/{symbol}/open-interest",
        {"since": since, "to": since + 7200, "interval": 3600},
        fresh=HOUR,
        label="futures/open-interest",
    )


def marks(symbol: str, cadence: Cadence, window: Window, now_ms: int) -> Call:
    """Candles of the mark price of a contract."""
    return get(
        f"{CHARTS}/mark/{symbol}/{cadence.name}",
        {"from": window.start // 1000, "to": window.end // 1000},
        fresh=fresh_after(window.end, now_ms),
        label="futures/mark",
        optional=True,
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


def as_samples(contract: Contract, told: dict[int, float], prices: Prices) -> tuple[Samples, int]:
    """Coins and USD of a contract, of an inverse one only where there is a price; the bad ones."""

    def read(entry: tuple[int, float]) -> tuple[int, Held] | None:
        at, size = entry
        units, price = size * contract.size, prices.get(at)
        if contract.margin == "linear":
            usd = None if price is None else units * price
            return at, held(units * contract.multiplier, usd)
        return None if price is None else (at, held(units / price, units))

    found, bad = each(list(told.items()), read)
    return dict(found), bad


def check_unit(contract: Contract, point: Wire, ticker: dict[str, Any]) -> None:
    """Raises `VenueChanged` unless the newest value is about what the ticker tells."""
    told, _ = point.parsed(parse_interest)
    live = amount(member(ticker, "openInterest"))
    newest_told = told[max(told)] if told else None
    if newest_told is None or not live / 2 <= newest_told <= live * 2:
        raise VenueChanged(
            f"changed: in which unit the open interest of {contract.symbol} is told is not clear"
        )


async def ask_funding_history(ask: Ask, contracts: list[Contract]) -> list[FundingPast]:
    """The hours of the coin's main perpetual, one request."""
    span, coin = span_of(ask), coin_of(ask)
    main = main_contract(contracts, coin)
    if main is None:
        return []
    wire = await ask.get(fundings(main.symbol, span.until, span.now))
    payments, bad = wire.parsed(parse_fundings)
    ask.unread(bad)
    first = min((payment.ts for payment in payments), default=span.until)
    if first > span.since + HOUR_MS:
        tell_cut(ask, "funding", main.symbol, first, span)
    return tell_past(ask, main, payments, (wire,), span)


async def ask_open_interest_history(
    ask: Ask, contracts: list[Contract], tickers: dict[str, dict[str, Any]]
) -> list[OpenInterestPast]:
    """Samples of the linear and the inverse perpetual of the coin, summed.

    `tickers`: by symbol, for the units.
    """
    span, coin = span_of(ask, USUAL_MS), coin_of(ask)
    same = [contract for contract in contracts if contract.coin == coin]
    if not same:
        return []
    points = await ask.all(*(newest(contract.symbol, span.now) for contract in same))
    for contract, point in zip(same, points, strict=True):
        check_unit(contract, point, tickers.get(contract.symbol, {}))
    cadence = choose_cadence(span, CADENCES)
    prices = await _ask_marks(ask, same, cadence, span)

    def read(contract: Contract, wire: Wire) -> tuple[Samples, int]:
        told, bad = wire.parsed(parse_interest)
        samples, missed = as_samples(contract, told, prices[contract.symbol])
        return samples, bad + missed

    return await ask_samples(
        ask,
        coin,
        same,
        cadence,
        span,
        points=POINTS,
        most=MAX_WINDOWS,
        call=lambda one, page: interest(one.symbol, cadence, page, span.now),
        read=read,
    )


async def _ask_marks(
    ask: Ask, contracts: list[Contract], cadence: Cadence, span: Span
) -> dict[str, Prices]:
    """Mark prices of each contract; what cannot be had is told and leaves USD unknown."""
    prices: dict[str, Prices] = {contract.symbol: {} for contract in contracts}
    pages, _ = windows(span, POINTS * cadence.ms, MAX_WINDOWS)
    asked = [(contract, page) for page in pages for contract in contracts]
    wires = await ask.all(*(marks(c.symbol, cadence, page, span.now) for c, page in asked))
    for (contract, _), wire in zip(asked, wires, strict=True):
        if wire:
            found, bad = wire.parsed(parse_marks)
            ask.unread(bad)
            prices[contract.symbol] |= found
    return prices
