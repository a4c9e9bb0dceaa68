"""What Gate's contracts paid and held, as the venue keeps it.

https://www.gate.com/docs/developers/apiv4/en/#funding-rate-history

Times are seconds; a settlement is written down a second or two after the hour, and its period is
not told. `open_interest` of contract_stats counts contracts, and longs and shorts both in what was
recorded of BTC_USDT; since that is not documented, it is measured beside `position_size`, which
counts them once.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, positive, positive_or_none, rate
from mmflow_mcp.venues.gateio_contracts import QUOTES, Books, live_contracts, settle_of
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
from mmflow_mcp.venues.singles import ask_some

FUTURES = "https://api.gateio.ws/api/v4/futures"
# 960 settlements of a contract that pays every hour, of 1,000 in a page.
FUNDING_WINDOW_MS = 40 * DAY_MS
MAX_WINDOWS = 9
# Points of a window; 100 in a page are documented.
POINTS = 96
MAX_PAGES = 7
_MINUTE_MS = 60_000
CADENCES = tuple(
    Cadence(minutes * _MINUTE_MS, name, (MAX_PAGES - 1) * POINTS * minutes * _MINUTE_MS)
    for minutes, name in {5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d"}.items()
)


def fundings(symbol: str, window: Window, now_ms: int) -> Call:
    """The settlements of a contract in a window."""
    params: dict[str, str | int] = {"contract": symbol, "from": window.start // 1000}
    params |= {"to": window.end // 1000, "limit": 1000}
    return get(
        f"{FUTURES}/{settle_of(symbol)}/funding_rate",
        params,
        fresh=fresh_after(window.end, now_ms),
        optional=True,
    )


def stats(symbol: str, cadence: Cadence, window: Window, now_ms: int) -> Call:
    """The points of a contract from where a window begins; there is no `to`."""
    params: dict[str, str | int] = {"contract": symbol, "from": window.start // 1000}
    return get(
        f"{FUTURES}/{settle_of(symbol)}/contract_stats",
        params | {"interval": cadence.name, "limit": POINTS},
        fresh=fresh_after(window.end, now_ms),
        optional=True,
    )


def newest(symbol: str) -> Call:
    """The newest point of a contract."""
    params: dict[str, str | int] = {"contract": symbol, "interval": "5m", "limit": 1}
    return get(f"{FUTURES}/{settle_of(symbol)}/contract_stats", params, fresh=HOUR)


def live(symbol: str) -> Call:
    """The contract itself, for its `position_size`."""
    settle = settle_of(symbol)
    return get(f"{FUTURES}/{settle}/contracts/{quote(symbol)}", fresh=HOUR, label="contracts")


def parse_fundings(wire: Wire) -> tuple[list[Payment], int]:
    """What was paid at each settlement, and the bad rows."""

    def read(row: dict[str, Any]) -> Payment:
        return Payment(stamp(row["t"]) * 1000, rate(row["r"]))

    return each(wire.doc, read)


def parse_stats(wire: Wire, contract: Contract, cadence_ms: int, sides: int) -> tuple[Samples, int]:
    """The points whose interval is over; `sides`: how often each contract is counted.

    `open_interest_usd` is not read: in recordings of the inverse contract it is no dollars.
    """

    def read(row: dict[str, Any]) -> tuple[int, Held] | None:
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
            return at, held(size / positive(row["mark_price"]), size)
        units = size * positive(contract.size)
        mark = positive_or_none(row.get("mark_price"))
        return at, held(units * contract.multiplier, None if mark is None else units * mark)

    found, bad = each(wire.doc, read)
    return dict(found), bad


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


def _contracts(ask: Ask, books: Books, coin: str) -> list[Contract]:
    listed = [entry[0] for entry in live_contracts(books)[0]]
    ask.universe = {contract.coin: contract for contract in listed}
    return sorted((c for c in listed if c.coin == coin), key=lambda c: c.symbol)


async def ask_funding_history(ask: Ask, books: Books) -> list[FundingPast]:
    """What the coin's main contract paid, all windows at once."""
    span, coin = span_of(ask), coin_of(ask)
    main = main_contract(_contracts(ask, books, coin), coin)
    if main is None:
        return []
    wide = span.widened()
    pages, first = windows(wide, FUNDING_WINDOW_MS, MAX_WINDOWS)
    tell_cut(ask, "funding", main.symbol, first, span)
    calls = [fundings(main.symbol, page, span.now) for page in pages]
    wires = await ask_some(ask, calls) if calls else []
    payments = _read(ask, wires)
    return tell_past(ask, main, payments, wires, span)


def _read(ask: Ask, wires: Iterable[Wire]) -> list[Payment]:
    payments: list[Payment] = []
    for wire in filter(None, wires):
        found, bad = wire.parsed(parse_fundings)
        ask.unread(bad)
        payments += found
    return payments


async def ask_open_interest_history(ask: Ask, books: Books) -> list[OpenInterestPast]:
    """Samples of every contract of the coin, one-sided, summed."""
    span, coin = span_of(ask, USUAL_MS), coin_of(ask)
    contracts = _contracts(ask, books, coin)
    lost = [settle for settle in QUOTES if settle not in dict(books)]
    if lost:
        # Without one of the lists the sum may lack a contract.
        ask.short(f"missing: the contracts settled in {', '.join(lost)}", coin=coin)
    if not contracts or lost:
        return []
    symbols = [contract.symbol for contract in contracts]
    told = await ask.all(*map(newest, symbols), *map(live, symbols))
    sides = {
        symbol: count_sides(point, contract, symbol)
        for symbol, point, contract in zip(
            symbols, told[: len(symbols)], told[len(symbols) :], strict=True
        )
    }
    cadence = choose_cadence(span, CADENCES)
    return await ask_samples(
        ask,
        coin,
        contracts,
        cadence,
        span,
        points=POINTS,
        most=MAX_PAGES,
        call=lambda one, page: stats(one.symbol, cadence, page, span.now),
        read=lambda one, wire: wire.parsed(parse_stats, one, cadence.ms, sides[one.symbol]),
    )
