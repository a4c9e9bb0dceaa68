"""Since when, without a gap, each coin has been listened to.

A socket says nothing while it is broken. What repeats itself after a reconnect proves, coin by
coin, whether something was missed: where it reaches back to what is known already, nothing was.
"""

from collections import deque
from dataclasses import dataclass

GAPS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which prints of a coin may be missing, epoch ms."""

    coin: str
    since: int
    until: int


class Gaps(deque[Gap]):
    """The last gaps; `total`: how many there were in all."""

    def __init__(self) -> None:
        super().__init__(maxlen=GAPS_KEPT)
        self.total = 0

    def append(self, gap: Gap, /) -> None:
        """One more."""
        self.total += 1
        super().append(gap)


class Cover:
    """What is known of one coin.

    `since`: from when on its prints are known to be complete, epoch ms; None before the first
    subscription. `began`: the same, past gaps left aside. `lost`: the last moment before an outage
    that has not been closed, `resumed` when the coin was subscribed again after it.
    """

    __slots__ = ("began", "coin", "gaps", "lost", "resumed", "since")

    def __init__(self, coin: str, gaps: deque[Gap]) -> None:
        self.coin = coin
        self.gaps = gaps
        self.since: int | None = None
        self.began: int | None = None
        self.lost: int | None = None
        self.resumed: int | None = None

    def subscribe(self, now_ms: int) -> None:
        """The venue listens to us for this coin from now on."""
        if self.since is None:
            self.since = self.began = now_ms
        elif self.lost is not None:
            self.resumed = now_ms

    def lose(self, heard_ms: int) -> None:
        """The socket broke; it was last heard at `heard_ms`."""
        self.resumed = None
        if self.lost is None and self.since is not None:
            self.lost = max(heard_ms, self.since)

    def reach(self, oldest_ms: int, *, known: bool) -> bool:
        """Old trades came, complete from `oldest_ms` on; `known`: one of them was known before.

        Returns whether all is closed that was open.
        """
        if self.since is None or (self.lost is not None and self.resumed is None):
            return False
        if self.lost is None:
            if self.began == self.since:
                self.began = min(self.since, oldest_ms)
            self.since = min(self.since, oldest_ms)
        elif known or oldest_ms <= self.lost:
            self.lost = self.resumed = None
        else:
            return False
        return True

    def give_up(self, oldest_ms: int | None = None) -> None:
        """Nothing will close what is open: it is a gap, and the cover begins behind it."""
        if self.lost is None or self.resumed is None:
            return
        until = self.resumed if oldest_ms is None else min(self.resumed, oldest_ms)
        until = max(until, self.lost)
        self.gaps.append(Gap(self.coin, self.lost, until))
        self.since = until
        self.lost = self.resumed = None

    @property
    def complete_since(self) -> int | None:
        """From when on nothing is missing up to now; None while the socket is broken."""
        if self.lost is None:
            return self.since
        return self.resumed
