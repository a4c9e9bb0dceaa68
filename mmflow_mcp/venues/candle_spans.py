"""Which candles a question means and how they are requested: spans, pages, how long a page keeps.

Opening times lie on the UTC grid of their interval, a day opens at 00:00. Spans end on the grid,
so that equal questions are equal requests; the pages of a span are known beforehand.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.upstream.wire import HOUR, Call
from mmflow_mcp.venues.ask import Ask

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

_NAMES = {step: name for name, step in STEPS.items()}

# What is answered where the question says nothing of it.
USUAL_INTERVAL, USUAL_COUNT = "1h", 24

# Seconds: a candle of the running interval changes with each trade.
RUNNING = 5.0
# Seconds after its end until a candle is taken for final: late prints, and caches at the venue.
SETTLING = 60.0


class Page(NamedTuple):
    """What one request asks: candles of `step_ms` with first_ms <= opening time < until_ms."""

    step_ms: int
    first_ms: int
    until_ms: int

    @property
    def interval(self) -> str:
        """The interval's name."""
        return _NAMES[self.step_ms]

    @property
    def last_ms(self) -> int:
        """When the newest of them opens."""
        return self.until_ms - self.step_ms

    @property
    def size(self) -> int:
        """How many candles that can be."""
        return (self.until_ms - self.first_ms) // self.step_ms


@dataclass(frozen=True, slots=True)
class Span:
    """The candles asked for: of `step_ms`, with first_ms <= opening time < until_ms."""

    interval: str
    step_ms: int
    first_ms: int
    until_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Paging:
    """How a venue divides its candles.

    `steps`: the lengths in ms that it has; an interval that it lacks is made of the longest of
    these that divides it. `page`: rows in one answer, a multiple of what one candle is made of.
    `pages`: requests for one market at most. `reach`: how many of the newest candles it tells at
    all, None for all of them. `strict`: it refuses a page that begins before them, all of it.
    """

    page: int
    pages: int = 5
    steps: Collection[int] = frozenset(_NAMES)
    reach: int | None = None
    strict: bool = False


def read_span(ask: Ask) -> Span:
    """What `ask.options` say, by default the last 24 hours by the hour; nothing opens after now."""
    interval = str(ask.options.get("interval", USUAL_INTERVAL))
    step, now = STEPS[interval], ask.now_ms
    until = now - now % step + step
    if "until_ms" in ask.options:
        until = min(_up(int(ask.options["until_ms"]), step), until)
    since = int(ask.options.get("since_ms", until - USUAL_COUNT * step))
    return Span(interval, step, _up(since, step), until, now)


def _up(at_ms: int, step_ms: int) -> int:
    return -(-at_ms // step_ms) * step_ms


def pages_of(span: Span, paging: Paging) -> tuple[list[Page], int]:
    """The pages of a span, newest first, and the time before which there are no candles.

    What a venue says that it does not keep is asked for all the same: recordings have it.
    """
    step = max(one for one in paging.steps if span.step_ms % one == 0)
    first = edge = max(span.first_ms, span.until_ms - paging.page * paging.pages * step)
    if paging.reach is not None:
        newest = span.now_ms - span.now_ms % step
        edge = max(first, _up(newest - (paging.reach - 1) * step, span.step_ms))
    pages = []
    until = span.until_ms
    while until > first:
        start = max(first, until - paging.page * step)
        if paging.strict and start < edge < until:
            start = edge
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
