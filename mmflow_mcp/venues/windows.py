"""Windows of the past: which moments are asked for, in how many pages, and how long each keeps.

A window is half open: `since_ms` <= t < `until_ms`. Pages are cut on the grid of what is asked, so
that the same question a minute later asks for the same addresses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.upstream.wire import HOUR
from mmflow_mcp.venues.ask import Ask

MINUTE_MS = 60_000
# What lies an hour back changes no more; what is younger may have grown.
PAST_FRESH, NEW_FRESH = 6 * HOUR, 60.0


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


@dataclass(frozen=True, slots=True)
class Page:
    """One request's share of a window, and for how many seconds its answer serves."""

    since_ms: int
    until_ms: int
    fresh: float


def _ceil(at_ms: int, step_ms: int) -> int:
    return -(-at_ms // step_ms) * step_ms


def window_of(ask: Ask) -> Window:
    """The window of a question: `since_ms` and `until_ms` of its options, else the last day.

    It ends at the present: of what is to come no venue knows.
    """
    until = min(int(ask.options.get("until_ms", ask.now_ms)), ask.now_ms)
    return Window(int(ask.options.get("since_ms", until - DAY_MS)), until)


def cadence_of(window: Window, cadences: Sequence[int], rows: int, pages: int) -> int:
    """The finest distance of points (ascending, ms) that fits into so many pages, else the last."""
    length = window.until_ms - window.since_ms
    fitting = (step for step in cadences if length <= step * rows * pages)
    return next(fitting, cadences[-1])


def pages_of(window: Window, page_ms: int, most: int, now_ms: int) -> list[Page]:
    """The window in pages, oldest first; the `most` newest where there are more."""
    starts = range(window.since_ms, window.until_ms, page_ms)[-most:]
    pages = []
    for since in starts:
        until = min(since + page_ms, window.until_ms)
        past = until <= now_ms - HOUR_MS
        pages.append(Page(since, until, PAST_FRESH if past else NEW_FRESH))
    return pages


def note_cut(ask: Ask, window: Window, pages: Sequence[Page], what: str) -> None:
    """Say from when on a window is answered, where its beginning took too many pages."""
    if pages and pages[0].since_ms > window.since_ms:
        ask.short(f"missing: {what} before {say(pages[0].since_ms)}, one answer goes no further")


def say(at_ms: int) -> str:
    """A moment as people read it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
