"""Windows of the past: which moments are asked for, how finely, in which pages.

A window is half open: `since_ms` <= t < `until_ms`. Its pages are cut on the grid of what is asked,
so that the same question a minute later asks for the same addresses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.upstream.wire import HOUR, Call, get
from mmflow_mcp.venues.ask import Ask

MINUTE_MS = 60_000
USUAL_COIN = "BTC"
# Seconds for which an answer serves: about the past, and about what may still grow.
PAST_FRESH, NEW_FRESH = 6 * HOUR, 60.0
# Seconds after its time until when a venue may still add a row.
LATE = 600.0
# A question takes a moment to reach a venue: "30 days ago" is a little longer ago by then.
_MOMENT_MS = MINUTE_MS
_EVER = 10_000 * DAY_MS


@dataclass(frozen=True, slots=True)
class Window:
    """Moments from `since_ms` on and before `until_ms`, epoch ms."""

    since_ms: int
    until_ms: int

    def __contains__(self, at_ms: int) -> bool:
        """Whether a moment lies in it."""
        return self.since_ms <= at_ms < self.until_ms

    def snapped(self, step_ms: int) -> "Window":
        """The window from the first to past the last moment of a grid that lie in this one."""
        return Window(_ceil(self.since_ms, step_ms), _ceil(self.until_ms, step_ms))


class Page(NamedTuple):
    """One request's share of a window, half open.

    `fresh`: for how many seconds its answer serves. `older`: it is not the newest of its window,
    so that its age is not the age of the answer.
    """

    since_ms: int
    until_ms: int
    fresh: float = NEW_FRESH
    older: bool = False


class Cadence(NamedTuple):
    """A distance between samples: `name` as the venue spells it.

    It serves windows of at most `span_ms`, back to `kept_ms` before now.
    """

    ms: int
    name: str
    span_ms: int
    kept_ms: int = _EVER


def _ceil(at_ms: int, step_ms: int) -> int:
    return -(-at_ms // step_ms) * step_ms


def coin_of(ask: Ask) -> str:
    """The one coin that a question about the past is about."""
    return (ask.coins or (USUAL_COIN,))[0]


def window_of(ask: Ask) -> Window:
    """The window of a question: `since_ms` and `until_ms` of its options, else the last day.

    It ends at the present: of what is to come no venue knows.
    """
    until = min(int(ask.options.get("until_ms", ask.now_ms)), ask.now_ms)
    return Window(max(0, int(ask.options.get("since_ms", until - DAY_MS))), until)


def fresh_after(end_ms: int, now_ms: int) -> float:
    """Seconds of age at which an answer about the time before `end_ms` still serves.

    A copy that young was read when that time was over and its late rows were there, or is of the
    last minute.
    """
    return min(PAST_FRESH, max(NEW_FRESH, (now_ms - end_ms) / 1000 - LATE))


def pages_of(window: Window, page_ms: int, most: int, now_ms: int) -> list[Page]:
    """The window in pages, newest first; the `most` newest where there are more.

    Newest first because what a rate budget has no room for should be the oldest.
    """
    starts = range(window.since_ms, window.until_ms, page_ms)[-most:]
    pages = []
    for since in reversed(starts):
        until = min(since + page_ms, window.until_ms)
        pages.append(Page(since, until, fresh_after(until, now_ms), since != starts[-1]))
    return pages


def page_call(
    url: str,
    params: Mapping[str, str | int],
    page: Page,
    *,
    weight: float = 1.0,
    label: str = "",
) -> Call:
    """The request for a page. An old copy never stands in: it may be of before the page's end."""
    call = get(
        url,
        dict(params),
        fresh=page.fresh,
        weight=weight,
        label=label,
        reference=page.older,
        optional=True,
    )
    return replace(call, keep=0.0)


def cadences_of(
    names: Mapping[int, str], rows: int, pages: int, kept_ms: int = _EVER
) -> tuple[Cadence, ...]:
    """What so many pages of so many rows can be asked for, finest first; names by distance, ms."""
    return tuple(Cadence(ms, name, rows * pages * ms, kept_ms) for ms, name in names.items())


def choose_cadence(window: Window, cadences: Sequence[Cadence], now_ms: int) -> Cadence:
    """The finest cadence that brings a whole window, else the last."""
    length, age = window.until_ms - window.since_ms, now_ms - window.since_ms
    aged = age - _MOMENT_MS
    fitting = (one for one in cadences if length <= one.span_ms and aged <= one.kept_ms)
    return next(fitting, cadences[-1])


def kept_part(ask: Ask, window: Window, kept_ms: int, what: str) -> Window:
    """The part of a window that the venue still has; says what it has no more."""
    oldest = ask.now_ms - kept_ms
    if window.since_ms >= oldest:
        return window
    if oldest - window.since_ms > _MOMENT_MS:
        days = kept_ms // DAY_MS
        ask.short(f"missing: {what} before {say(oldest)}, the venue keeps {days} days")
    return Window(oldest, max(oldest, window.until_ms))


def note_cut(ask: Ask, window: Window, pages: Sequence[Page], what: str) -> None:
    """Say from when on a window is answered, where its beginning took too many pages."""
    if pages and pages[-1].since_ms > window.since_ms:
        ask.short(f"missing: {what} before {say(pages[-1].since_ms)}, one answer goes no further")


def say(at_ms: int) -> str:
    """A moment as people read it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def say_second(at_ms: int) -> str:
    """A moment as it is told where the second matters, UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
