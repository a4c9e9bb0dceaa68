"""What venues' candles have in common: how they are asked for, and what is believed of them.

A question names an interval and a span of time. Spans lie on full intervals, so that equal
questions are equal requests; the pages of a span are known beforehand and asked at once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.candles import Candle, CandleSeries
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_groups import group_candles
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, positive
from mmflow_mcp.venues.shares import USUAL_COINS

MINUTE_MS = 60_000
STEPS_MS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "1d": DAY_MS,
}
# What is answered where the question says nothing of it.
USUAL_INTERVAL, USUAL_COUNT = "1h", 24
MAX_PAGES = 8
# The last trades of an interval are in its candle by then.
_SETTLED_MS = MINUTE_MS
# How far the turnover may contradict volume x price before one of them has another unit.
_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Span:
    """Candles that open at or after `first_ms` and before `until_ms`, both full intervals.

    `past`: all of them were over when they were asked for, and change no more.
    """

    interval: str
    first_ms: int
    until_ms: int
    past: bool = False

    @property
    def step_ms(self) -> int:
        """The length of a candle."""
        return STEPS_MS[self.interval]

    @property
    def count(self) -> int:
        """How many candles there are at most."""
        return max(0, (self.until_ms - self.first_ms) // self.step_ms)

    @property
    def last_ms(self) -> int:
        """When the newest of them opens."""
        return self.until_ms - self.step_ms


@dataclass(frozen=True, slots=True)
class CandleSource:
    """How a venue tells candles.

    `call` asks for a page of a contract, of `most` candles at most; `read` gives the candles of an
    answer and the bad rows. `finer`: the interval that others are made of, by interval. `kept`: how
    many of the newest candles there are to be asked for. `capped`: a page of so many rows, where
    more were to be expected, was cut off by the venue.
    """

    call: Callable[[Contract, Span], Call]
    read: Callable[[Wire, Contract, str], tuple[list[Candle], int]]
    most: int
    finer: Mapping[str, str] = field(default_factory=dict)
    kept: int | None = None
    capped: int | None = None


def wanted_of(ask: Ask) -> tuple[str, ...]:
    """The coins that an answer is about; the largest where none is named."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    return ask.coins or USUAL_COINS


def span_of(ask: Ask) -> Span:
    """What the question asks for: up to the running candle, the last day's hours by default."""
    interval = str(ask.options.get("interval", USUAL_INTERVAL))
    step, now = STEPS_MS[interval], ask.now_ms
    until = -(-min(ask.options.get("until_ms", now + 1), now + 1) // step) * step
    first = -(-ask.options.get("since_ms", until - USUAL_COUNT * step) // step) * step
    return Span(interval, first, max(first, until))


def pages_of(span: Span, most: int, now_ms: int) -> tuple[Span, ...]:
    """A span in pages, oldest first; what is beyond `MAX_PAGES` of them is cut off at its old end.

    Each tells whether it lies in the past.
    """
    length = most * span.step_ms
    first = max(span.first_ms, span.until_ms - MAX_PAGES * length)
    cuts = range(first, span.until_ms, length)
    pages = (replace(span, first_ms=cut, until_ms=min(cut + length, span.until_ms)) for cut in cuts)
    return tuple(replace(p, past=p.until_ms + _SETTLED_MS <= now_ms) for p in pages)


def page_call(
    url: str, params: dict[str, str | int], span: Span, *, weight: float = 1, label: str = ""
) -> Call:
    """The request for a page: what is past stays as it is, what runs is old after 5 s.

    A past page supports an answer without telling how old it is.
    """
    return get(
        url,
        params,
        fresh=HOUR if span.past else 5,
        weight=weight,
        label=label,
        reference=span.past,
        optional=True,
    )


def candle_of(
    opening: int,
    prices: tuple[object, object, object, object],
    units: object,
    contract: Contract,
    step_ms: int,
    *,
    turnover: object = None,
) -> Candle:
    """A candle from open, high, low, close and volume, prices and volume by unit of the symbol.

    `turnover` in the quote, where it is told: it must be about volume x price. Raises ValueError
    for what no candle can be.
    """
    o, h, l, c = (positive(price) for price in prices)  # noqa: E741 - the fields' usual names
    volume = amount(units)
    if opening % step_ms or not l <= min(o, c) <= max(o, c) <= h:
        msg = "not a candle"
        raise ValueError(msg)
    quote = amount(turnover) if turnover not in (None, "") else 0.0
    if volume and quote and not l / _FACTOR <= quote / volume <= h * _FACTOR:
        msg = "volume and turnover contradict each other"
        raise ValueError(msg)
    times = contract.multiplier
    return Candle(opening, o / times, h / times, l / times, c / times, volume * times)


async def ask_candles(
    ask: Ask, contracts: Mapping[str, Contract], source: CandleSource
) -> list[CandleSeries]:
    """A series for each coin asked that has a contract; `contracts` are the main ones by coin."""
    ask.universe = contracts
    span = span_of(ask)
    finer = replace(span, interval=source.finer.get(span.interval, span.interval))
    chosen = [contracts[coin] for coin in wanted_of(ask) if coin in contracts]
    pages = pages_of(_within(ask, finer, source.kept), source.most, ask.now_ms)
    if pages and span.first_ms < pages[0].first_ms:
        count = (pages[0].first_ms - span.first_ms) // span.step_ms
        ask.short(f"missing: the oldest {count} candles of {span.interval}, beyond what is asked")
    wires = await ask.all(*(source.call(item, page) for item in chosen for page in pages))
    series = []
    for n, item in enumerate(chosen):
        mine = wires[n * len(pages) : (n + 1) * len(pages)]
        made = _series(ask, item, span, zip(pages, mine, strict=True), source)
        series += [made] if made else []
    return series


def _within(ask: Ask, span: Span, kept: int | None) -> Span:
    """The part of a span that a venue still tells."""
    if kept is None:
        return span
    oldest = (ask.now_ms // span.step_ms - kept + 1) * span.step_ms
    return replace(span, first_ms=min(max(span.first_ms, oldest), span.until_ms))


def _series(
    ask: Ask,
    contract: Contract,
    span: Span,
    pages: Iterable[tuple[Span, Wire]],
    source: CandleSource,
) -> CandleSeries | None:
    """One contract's candles, each once, ascending, or None where there is none to tell of."""
    candles: dict[int, Candle] = {}
    read_at = 0
    for page, wire in pages:
        found = _read(ask, contract, page, wire, source) if wire else None
        if found is None:
            ask.short(f"missing: some candles of {contract.symbol}", coin=contract.coin)
            continue
        read_at = wire.fetched_at
        candles |= {one.t: one for one in found if page.first_ms <= one.t < page.until_ms}
    told = [candles[opening] for opening in sorted(candles)]
    finer = source.finer.get(span.interval)
    if finer is not None:
        told = group_candles(told, STEPS_MS[finer], span.step_ms, read_at)
    if not told:
        ask.short(f"missing: no candles of {contract.symbol} in that time", coin=contract.coin)
        return None
    return CandleSeries(
        coin=contract.coin,
        venue=ask.venue,
        symbol=contract.symbol,
        market="perp",
        quote=contract.quote,
        interval=span.interval,
        candles=tuple(told),
        fetched_at=read_at,
    )


def _read(
    ask: Ask, contract: Contract, page: Span, wire: Wire, source: CandleSource
) -> list[Candle] | None:
    try:
        found, bad = wire.parsed(source.read, contract, page.interval)
    except VenueError as error:
        ask.short(f"{error.reason} ({contract.symbol})", coin=contract.coin)
        return None
    ask.unread(bad)
    if source.capped is not None and len(found) + bad == source.capped < page.count:
        ask.short(f"missing: some candles of {contract.symbol}", coin=contract.coin)
    return found
