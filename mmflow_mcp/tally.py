"""Counts and times, kept where things happen at the cost of a dictionary's look-up.

Who wants to know (`/metrics`) reads them; nothing is computed before. Keys are of closed sets
(endpoints, venues, outcomes), never what a caller wrote.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable
from typing import Literal

# Upper bounds of the classes of times, seconds, inclusive; what is longer is in one more class.
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Face = Literal["rest", "mcp", "stream"]
# A mistake is the caller's own, an error is not.
Outcome = Literal["ok", "partial", "mistake", "error"]


class Times:
    """How long something took: how often within each class, and the sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """How often what happened, and how long it took."""

    __slots__ = ("counts", "running", "times")

    def __init__(self) -> None:
        self.counts: Counter[tuple[Hashable, ...]] = Counter()
        # What is under way, by face; who begins and ends it keeps it.
        self.running: Counter[str] = Counter()
        self.times: dict[tuple[Hashable, ...], Times] = {}

    def add(self, what: tuple[Hashable, ...], outcome: str, seconds: float | None = None) -> None:
        """One more of a kind, how it ended, and how long it took where that means something."""
        self.counts[(*what, outcome)] += 1
        if seconds is not None:
            times = self.times.get(what)
            if times is None:
                times = self.times[what] = Times()
            times.add(seconds)


def outcome_of(status: int, *, partial: bool = False) -> Outcome:
    """How a question ended, by its HTTP status."""
    if status < 400:
        return "partial" if partial else "ok"
    return "mistake" if status < 500 else "error"
