"""Funding rates as they change: each listener is told what has moved far enough for it."""

from collections.abc import Iterable, Sequence

from mmflow_mcp.rows.tape import FundingChange, RateTick
from mmflow_mcp.tape.board import Queue

BPS = 1e4


class FundingListener(Queue[FundingChange]):
    """Who wants changes of `coins` (None: all) by at least `min_delta_bps` since the last told."""

    __slots__ = ("_told", "coins", "min_delta_bps")

    def __init__(self, coins: Iterable[str] | None, min_delta_bps: float, most: int) -> None:
        super().__init__(most)
        self.coins = None if coins is None else frozenset(coins)
        self.min_delta_bps = min_delta_bps
        self._told: dict[str, float] = {}

    def offer(self, tick: RateTick) -> None:
        """Take a rate: the first of a coin is what later ones are compared with."""
        before = self._told.setdefault(tick.coin, tick.rate)
        delta = tick.rate - before
        # Inclusive: 0.0000625 - 0.0000125 is half a basis point whatever its binary digits say.
        if not delta or round(abs(delta) * BPS, 9) < self.min_delta_bps:
            return
        self._told[tick.coin] = tick.rate
        change = FundingChange(
            tick.coin, tick.venue, tick.rate, tick.period_hours, before, round(delta, 15), tick.ts
        )
        self.put(change)


class Rates:
    """The last known rate of every coin of one venue, and who listens to changes."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.latest: dict[str, RateTick] = {}
        self.unread = 0
        self._all: dict[int, FundingListener] = {}
        self._by_coin: dict[str, dict[int, FundingListener]] = {}

    def __len__(self) -> int:
        """How many listen."""
        named = {key for listeners in self._by_coin.values() for key in listeners}
        return len(self._all) + len(named)

    def add(self, listener: FundingListener) -> None:
        """From now on it is told; what is known already is its first rate."""
        if listener.coins is None:
            self._all[id(listener)] = listener
        for coin in listener.coins or ():
            self._by_coin.setdefault(coin, {})[id(listener)] = listener
        for tick in self.latest.values():
            if listener.coins is None or tick.coin in listener.coins:
                listener.offer(tick)

    def remove(self, listener: FundingListener) -> None:
        """It is not told any more."""
        self._all.pop(id(listener), None)
        for coin in listener.coins or ():
            listeners = self._by_coin[coin]
            del listeners[id(listener)]
            if not listeners:
                del self._by_coin[coin]

    def close(self) -> None:
        """Wake them all for the last time."""
        for listeners in (self._all, *self._by_coin.values()):
            for listener in listeners.values():
                listener.close()

    def take(self, ticks: Sequence[RateTick], now_ms: int) -> None:
        """Take in what a frame brought; a rate that has not changed is news to nobody."""
        for tick in ticks:
            tick.ts = now_ms
            before = self.latest.get(tick.coin)
            self.latest[tick.coin] = tick
            if before is not None and before.rate == tick.rate:
                continue
            for listener in tuple(self._all.values()):
                listener.offer(tick)
            for listener in tuple(self._by_coin.get(tick.coin, {}).values()):
                listener.offer(tick)
