"""Candles and order books as every venue's adapter makes them: spans, pages, rows, checks.

A venue says how it is asked and where its fields are (`CandleSource`, `BookSource`); the rest is
the same everywhere. Opening times lie on the UTC grid of their interval, a day opens at 00:00.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle, CandleSeries, OrderBook
from mmflow_mcp.upstream.wire import HOUR, Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, positive
from mmflow_mcp.venues.pairs import Pair
from mmflow_mcp.venues.shares import USUAL_COINS
from mmflow_mcp.venues.singles import ask_some

MINUTE_MS = 60_000
STEPS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "1d": DAY_MS,
}
"""The intervals that can be asked for, and their lengths in ms."""

# What is answered where the question says nothing of it.
USUAL_INTERVAL, USUAL_COUNT = "1h", 24

# Seconds: a candle of the running interval changes with each trade.
RUNNING = 5.0
# Seconds after its end until a candle is taken for final: late prints, and caches at the venue.
SETTLING = 60.0
# How far turnover may lie outside volume x price: small ones are rounded, a wrong unit is further.
_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Traded:
    """The market that candles or a book are of; `market` is perp or spot.

    `multiplier`: coins in one unit of the symbol (1000 for 1000PEPE). `unit`: symbol units in one
    unit of the venue's sizes, which is not 1 where it tells contracts.
    """

    coin: str
    symbol: str
    market: str
    quote: str
    multiplier: int = 1
    unit: float = 1.0
    alias: str = ""


def perp_of(contract: Contract, unit: float = 1.0) -> Traded:
    """A perpetual. `unit`: see `Traded`."""
    return Traded(contract.coin, contract.symbol, "perp", contract.quote, contract.multiplier, unit)


def spot_of(pair: Pair) -> Traded:
    """A spot pair."""
    return Traded(pair.coin, pair.symbol, "spot", pair.quote, pair.multiplier, alias=pair.alias)


class Page(NamedTuple):
    """What one request asks: candles of `step_ms` with first_ms <= opening time < until_ms."""

    step_ms: int
    first_ms: int
    until_ms: int

    @property
    def size(self) -> int:
        """How many candles that can be."""
        return (self.until_ms - self.first_ms) // self.step_ms


@dataclass(frozen=True, slots=True)
class CandleSource:
    """How a venue tells candles.

    `call`: the request for a page of a market. `parse`: the candles in an answer, in any order,
    and how many rows could not be read. `steps`: the lengths in ms that the venue has; an interval
    that it lacks is made of the longest of these that divides it. `page`: rows in one answer, a
    multiple of what one candle is made of. `pages`: requests for one market at most. `reach`: how
    many of the newest candles the venue tells at all, None for all of them.
    """

    call: Callable[[Traded, Page], Call]
    parse: Callable[[Wire, Traded, int], tuple[list[Candle], int]]
    steps: frozenset[int]
    page: int
    pages: int = 5
    reach: int | None = None


class Sides(NamedTuple):
    """The two sides of a book as the wire holds them; `at_ms` is the venue's time of it.

    A level's price and size are at the keys `price` and `size` of its list or object.
    """

    bids: Any
    asks: Any
    at_ms: int | None = None
    price: int | str = 0
    size: int | str = 1


@dataclass(frozen=True, slots=True)
class BookSource:
    """How a venue tells an order book: the request, and where the sides are in its answer."""

    call: Callable[[Traded], Call]
    sides: Callable[[Any, Traded], Sides]


@dataclass(frozen=True, slots=True)
class Span:
    """The candles asked for: of `step_ms`, with first_ms <= opening time < until_ms.

    Both lie on the grid, so that questions of the same minute are the same question.
    """

    interval: str
    step_ms: int
    first_ms: int
    until_ms: int
    now_ms: int


def read_span(ask: Ask) -> Span:
    """What `ask.options` say, by default the last 24 hours by the hour; nothing opens after now."""
    interval = str(ask.options.get("interval", USUAL_INTERVAL))
    step, now = STEPS[interval], ask.now_ms
    until = now - now % step + step
    if "until_ms" in ask.options:
        until = min(_up(int(ask.options["until_ms"]), step), until)
    since = int(ask.options.get("since_ms", until - USUAL_COUNT * step))
    return Span(interval, step, _up(since, step), until, now)


def coins_of(ask: Ask) -> tuple[str, ...]:
    """The coins asked for; of a question that names none, the usual ones."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    return ask.coins or USUAL_COINS


def _up(at_ms: int, step_ms: int) -> int:
    return -(-at_ms // step_ms) * step_ms


def pages_of(span: Span, source: CandleSource) -> tuple[list[Page], int]:
    """The pages of a span, newest first, and the time before which there are no candles.

    What a venue says that it does not keep is asked for all the same: recordings have it.
    """
    step = max(one for one in source.steps if span.step_ms % one == 0)
    first = edge = max(span.first_ms, span.until_ms - source.page * source.pages * step)
    if source.reach is not None:
        newest = span.now_ms - span.now_ms % step
        edge = max(first, _up(newest - (source.reach - 1) * step, span.step_ms))
    pages = []
    until = span.until_ms
    while until > first:
        start = max(first, until - source.page * step)
        pages.append(Page(step, start, until))
        until = start
    return pages, edge


def keep_past(call: Call, page: Page, now_ms: int) -> Call:
    """The call as fresh as its page is final.

    A copy that was read while a candle of the page ran, or shortly after, is not the page as it
    ended: it must be younger than the end.
    """
    ended = (now_ms - page.until_ms) / 1000 - SETTLING
    return replace(call, fresh=max(RUNNING, min(ended, HOUR)))


async def ask_candles(
    ask: Ask, traded: Iterable[Traded], source: CandleSource
) -> list[CandleSeries]:
    """A series for each market that has candles in the span; what there is not is said."""
    span = read_span(ask)
    pages, edge = pages_of(span, source)
    markets = list(traded)
    calls = [
        replace(
            keep_past(source.call(market, page), page, span.now_ms),
            optional=True,
            # How old an answer is its newest candles tell.
            reference=page is not pages[0],
        )
        for market in markets
        for page in pages
    ]
    wires = await ask_some(ask, calls) if calls else []
    rows = []
    for number, market in enumerate(markets):
        told = wires[number * len(pages) : (number + 1) * len(pages)]
        series = _read_series(ask, market, span, source, list(zip(pages, told, strict=True)))
        if series is not None:
            rows.append(series)
        if edge > span.first_ms and (series is None or series.candles[0].t >= edge):
            ask.short(f"missing: candles of {market.symbol} from before {edge}", coin=market.coin)
    return rows


def _read_series(
    ask: Ask,
    market: Traded,
    span: Span,
    source: CandleSource,
    told: Sequence[tuple[Page, Wire]],
) -> CandleSeries | None:
    """The candles of the newest pages up to the first that failed: a gap would look like peace."""
    found: dict[int, Candle] = {}
    first = span.until_ms
    for page, wire in told:
        # Why a page failed is said already: its call is optional.
        candles = _read_page(ask, market, page, wire, source) if wire else None
        if candles is None:
            break
        first = page.first_ms
        found |= {c.t: c for c in candles if page.first_ms <= c.t < page.until_ms}
    candles = combine([found[t] for t in sorted(found)], span.step_ms)
    if not candles:
        ask.short(f"missing: no candles of {market.symbol} in that time", coin=market.coin)
        return None
    if told[-1][0].first_ms < first:
        ask.short(f"missing: candles of {market.symbol} from before {first}", coin=market.coin)
    return CandleSeries(
        coin=market.coin,
        venue=ask.venue,
        symbol=market.symbol,
        market=market.market,
        quote=market.quote,
        interval=span.interval,
        candles=tuple(candles),
        fetched_at=told[0][1].fetched_at,
    )


def _read_page(
    ask: Ask, market: Traded, page: Page, wire: Wire, source: CandleSource
) -> list[Candle] | None:
    """The candles of an answer, None where it is in no known shape."""
    try:
        candles, bad = wire.parsed(source.parse, market, page.step_ms)
    except VenueChanged as error:
        ask.short(f"{error.reason} ({market.symbol})", coin=market.coin)
        return None
    ask.unread(bad)
    return candles


def combine(candles: Sequence[Candle], step_ms: int) -> list[Candle]:
    """Longer candles out of shorter ones in ascending order, on the UTC grid.

    A long candle is there where any short one is: the others had no trade.
    """
    by_start: dict[int, list[Candle]] = {}
    for candle in candles:
        by_start.setdefault(candle.t - candle.t % step_ms, []).append(candle)
    return [
        Candle(
            t=start,
            o=same[0].o,
            h=max(one.h for one in same),
            l=min(one.l for one in same),
            c=same[-1].c,
            v=sum(one.v for one in same),
        )
        for start, same in by_start.items()
    ]


def read_candle(
    at_ms: int,
    prices: tuple[Any, Any, Any, Any],
    volume: Any,
    market: Traded,
    step_ms: int,
    *,
    turnover: Any = None,
) -> Candle:
    """A candle from wire fields: opening time, (open, high, low, close), volume in venue's units.

    `turnover`: volume in the quote, where it is told. Raises ValueError for what cannot be: a time
    off the grid, a low above the open, a volume that is no number of coins at these prices.
    """
    opened, high, low, closed = map(positive, prices)
    if at_ms % step_ms:
        msg = "not on the grid of the interval"
        raise ValueError(msg)
    if low > min(opened, closed) or high < max(opened, closed):
        msg = "not a candle"
        raise ValueError(msg)
    units, many = amount(volume) * market.unit, market.multiplier
    paid = amount(turnover) if turnover is not None else 0.0
    if units and paid and not low / _FACTOR < paid / units < high * _FACTOR:
        msg = "volume and turnover contradict each other"
        raise ValueError(msg)
    return Candle(
        t=at_ms,
        o=opened / many,
        h=high / many,
        l=low / many,
        c=closed / many,
        v=units * many,
    )


async def ask_books(ask: Ask, traded: Iterable[Traded], source: BookSource) -> list[OrderBook]:
    """A book for each market; one that is crossed, empty or unreadable is said and left out."""
    markets = list(traded)
    calls = [replace(source.call(market), optional=True) for market in markets]
    wires = await ask_some(ask, calls) if calls else []
    rows = []
    for market, wire in zip(markets, wires, strict=True):
        if not wire:
            # Why is said already: the call is optional.
            ask.unreadable.add(market.coin)
            continue
        try:
            book, bad = wire.parsed(parse_book, ask.venue, market, source.sides)
        except VenueChanged as error:
            ask.short(f"{error.reason} ({market.symbol})", coin=market.coin)
            continue
        ask.unread(bad)
        rows.append(book)
    return rows


def parse_book(
    wire: Wire, venue: str, market: Traded, find: Callable[[Any, Traded], Sides]
) -> tuple[OrderBook, int]:
    """A book and the levels that could not be read. Raises `VenueChanged` for what is no book."""
    try:
        sides = find(wire.doc, market)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise VenueChanged("changed: there is no order book in the answer") from error

    def read(level: Any) -> tuple[float, float] | None:
        price, size = positive(level[sides.price]), amount(level[sides.size])
        # A level of size zero is one that has gone.
        coins = size * market.unit * market.multiplier
        return (price / market.multiplier, coins) if size else None

    bids, no_bids = each(sides.bids, read)
    asks, no_asks = each(sides.asks, read)
    if not bids or not asks:
        raise VenueChanged("missing: the book lacks a side")
    book = OrderBook(
        coin=market.coin,
        venue=venue,
        symbol=market.symbol,
        market=market.market,
        quote=market.quote,
        bids=_sorted(bids, descending=True),
        asks=_sorted(asks, descending=False),
        fetched_at=wire.fetched_at,
        venue_time=sides.at_ms,
    )
    if book.bids[0][0] >= book.asks[0][0]:
        raise VenueChanged("changed: the book is crossed")
    return book, no_bids + no_asks


def _sorted(
    levels: list[tuple[float, float]], *, descending: bool
) -> tuple[tuple[float, float], ...]:
    """Best first, each price once."""
    by_price = dict(reversed(levels))
    return tuple(sorted(by_price.items(), reverse=descending))
