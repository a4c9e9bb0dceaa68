"""What stands between a feed and what it feeds: the rows of its frames, and the moment."""

from collections.abc import Callable, Iterable

from mmflow_mcp.tape.liquidations import Liquidations
from mmflow_mcp.tape.rates import Rates
from mmflow_mcp.tape.tape import Tape
from mmflow_mcp.venues.feeds import Closings, Prints, Rows
from mmflow_mcp.venues.feeds import Rates as RateRows

# Closes in the background what is open of some coins.
Fill = Callable[[Iterable[str]], None]


class TradeSink:
    """Feeds a tape. `replayed`: time is that of the prints."""

    def __init__(
        self, tape: Tape, now_ms: Callable[[], int], fill: Fill, *, replayed: bool = False
    ) -> None:
        self._replayed = replayed
        self._tape = tape
        self._now_ms = now_ms
        self._fill = fill

    def heard(self, rows: Rows) -> None:
        """Prints of a frame."""
        if isinstance(rows, Prints):
            now_ms = self._now_ms()
            if self._replayed:
                now_ms = max(now_ms, *(one.ts for one in rows), 0)
            if rows.bad:
                self._tape.misread(rows.bad, now_ms)
            self._tape.take(rows, now_ms)

    def listed(self, coins: Iterable[str]) -> None:
        """The coins that the venue lists: a print of another is no print."""
        self._tape.coins.listed = frozenset(coins)

    def noise(self) -> None:
        """A frame that says nothing: it may have been prints."""
        self._tape.misread(1, self._now_ms())

    def told(self, coin: str, newest: int) -> None:
        """A heartbeat tells the id of the last trade: one that never came is asked for."""
        if self._tape.told_newest(coin, newest, self._now_ms()):
            self._fill((coin,))

    def subscribed(self, coins: Iterable[str]) -> None:
        """The venue has acknowledged coins."""
        named = tuple(coins)
        self._tape.subscribed(named, self._now_ms())
        if self._tape.fills and named:
            self._fill(named)

    def lost(self, heard_ms: int) -> None:
        """The socket broke."""
        self._tape.lost(heard_ms)

    def ended(self) -> None:
        """The feed has stopped."""
        self._tape.ended()


class RateSink:
    """Feeds the rates."""

    def __init__(self, rates: Rates, now_ms: Callable[[], int]) -> None:
        self._rates = rates
        self._now_ms = now_ms

    def heard(self, rows: Rows) -> None:
        """Rates of a frame."""
        if isinstance(rows, RateRows):
            self._rates.unread += rows.bad
            self._rates.take(rows.ticks, self._now_ms())

    def listed(self, coins: Iterable[str]) -> None:
        """Rates of other coins harm nobody: who listens to all is told what the venue tells."""

    def noise(self) -> None:
        """A frame that says nothing."""
        self._rates.unread += 1

    def told(self, coin: str, newest: int) -> None:
        """Nothing to do with rates."""

    def subscribed(self, coins: Iterable[str]) -> None:
        """A rate is whole in itself."""

    def lost(self, heard_ms: int) -> None:
        """What comes next is compared with what was told last."""

    def ended(self) -> None:
        """The rates of the past are no rates."""
        self._rates.latest.clear()


class ClosingSink:
    """Feeds the liquidations of a venue, from one of its sockets; `names` are its contracts'."""

    def __init__(self, kept: Liquidations, now_ms: Callable[[], int]) -> None:
        self._kept = kept
        self._now_ms = now_ms
        self._names: frozenset[str] = frozenset()

    def heard(self, rows: Rows) -> None:
        """Liquidations of a frame."""
        if isinstance(rows, Closings):
            self._kept.take(rows, self._now_ms())

    def listed(self, coins: Iterable[str]) -> None:
        """The contracts of this socket."""
        self._names = frozenset(coins)

    def noise(self) -> None:
        """A frame that says nothing: it may have been liquidations."""
        self._kept.misread(1, self._now_ms())

    def told(self, coin: str, newest: int) -> None:
        """Nothing to do with liquidations."""

    def subscribed(self, coins: Iterable[str]) -> None:
        """The venue has acknowledged contracts."""
        self._kept.subscribed(coins, self._now_ms())

    def lost(self, heard_ms: int) -> None:
        """The socket broke."""
        self._kept.lost(self._names, heard_ms)

    def ended(self) -> None:
        """The feed has stopped: a pause like any other."""
        self._kept.lost(self._names, self._now_ms())
