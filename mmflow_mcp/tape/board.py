"""Listeners of prints, found by coin and threshold, and their bounded queues.

A print looks only at the listeners it is for: those of its coin and those of all coins, each
sorted by threshold. It is handed on by reference.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from mmflow_mcp.rows.tape import TapePrint

Item = TypeVar("Item")


@dataclass(slots=True)
class Batch(Generic[Item]):
    """What had gathered for a listener: oldest first. `lost`: how many older ones it lost."""

    items: list[Item]
    lost: int = 0


class Queue(Generic[Item]):
    """A bounded queue with one reader: a slow one loses its oldest items and is told how many."""

    __slots__ = ("_items", "_lost", "_waiter", "closed", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.closed = False
        self._items: deque[Item] = deque(maxlen=most)
        self._lost = 0
        self._waiter: anyio.Event | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add one; never waits."""
        if len(self._items) == self.most:
            self._lost += 1
        self._items.append(item)
        if self._waiter is not None:
            self._waiter.set()
            self._waiter = None

    def close(self) -> None:
        """No more will come: whoever waits is woken."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Whoever waits in `some` shall look, though nothing has come."""
        if self._waiter is not None:
            self._waiter.set()
            self._waiter = None

    def take(self) -> Batch[Item]:
        """All that waits, at once; empty when nothing does."""
        batch = Batch(list(self._items), self._lost)
        self._items.clear()
        self._lost = 0
        return batch

    async def batch(self) -> Batch[Item]:
        """All that waits, once there is something; an empty batch when the tape has closed.

        To gather for a while, sleep between two batches: nothing is lost but what `lost` tells.
        """
        while not self._items and not self.closed:
            await self.some()
        return self.take()

    async def some(self) -> None:
        """Wait until something waits here, the tape closes, or somebody calls `wake`."""
        if not self._items and not self.closed:
            self._waiter = anyio.Event()
            await self._waiter.wait()


class Listener(Queue[TapePrint]):
    """Who wants prints: of `coins` (None: all) worth `min_usd` or more."""

    __slots__ = ("coins", "min_usd")

    def __init__(self, coins: Iterable[str] | None, min_usd: float, most: int) -> None:
        super().__init__(most)
        self.coins = None if coins is None else tuple(dict.fromkeys(coins))
        self.min_usd = min_usd


class _Shelf:
    """Listeners in order of their threshold."""

    __slots__ = ("bounds", "listeners")

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self.listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        place = bisect_right(self.bounds, listener.min_usd)
        self.bounds.insert(place, listener.min_usd)
        self.listeners.insert(place, listener)

    def remove(self, listener: Listener) -> None:
        place = bisect_left(self.bounds, listener.min_usd)
        while self.listeners[place] is not listener:
            place += 1
        del self.bounds[place], self.listeners[place]


class Board:
    """All listeners of one venue's prints. `least`: no print below it is for anybody."""

    def __init__(self) -> None:
        self.least = math.inf
        self._all = _Shelf()
        self._by_coin: dict[str, _Shelf] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many listen."""
        return self._count

    @property
    def coins(self) -> set[str]:
        """The coins that somebody listens to by name."""
        return set(self._by_coin)

    def add(self, listener: Listener) -> None:
        """From now on it is told."""
        self._count += 1
        if listener.coins is None:
            self._all.add(listener)
        for coin in listener.coins or ():
            self._by_coin.setdefault(coin, _Shelf()).add(listener)
        self.least = min(self.least, listener.min_usd)

    def remove(self, listener: Listener) -> None:
        """It is not told any more."""
        self._count -= 1
        if listener.coins is None:
            self._all.remove(listener)
        for coin in listener.coins or ():
            shelf = self._by_coin[coin]
            shelf.remove(listener)
            if not shelf.listeners:
                del self._by_coin[coin]
        if listener.min_usd <= self.least:
            bounds = [shelf.bounds[0] for shelf in self._by_coin.values()]
            self.least = min([*self._all.bounds[:1], *bounds], default=math.inf)

    def close(self) -> None:
        """Wake them all for the last time."""
        for shelf in (self._all, *self._by_coin.values()):
            for listener in shelf.listeners:
                listener.close()

    def tell(self, one: TapePrint) -> None:
        """Hand a print to those it is for."""
        usd = one.usd
        shelf = self._all
        if shelf.bounds and shelf.bounds[0] <= usd:
            for listener in shelf.listeners[: bisect_right(shelf.bounds, usd)]:
                listener.put(one)
        named = self._by_coin.get(one.coin)
        if named is not None and named.bounds[0] <= usd:
            for listener in named.listeners[: bisect_right(named.bounds, usd)]:
                listener.put(one)
