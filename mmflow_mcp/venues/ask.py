"""What a capability method is handed: one venue's side of one question."""

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import anyio

from mmflow_mcp.errors import VenueError
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire

Row = TypeVar("Row")


class Miss(Exception):
    """The cache has not all of it: a signal to the fan-out, raised only while asking it alone."""


class Ask:
    """Asks one venue for one question, and keeps what its answer's `meta` will say.

    `coins`: the canonical coins asked for, in order; None = the venue's whole universe.
    `options`: what else the question says, such as a period. `shortfalls`: why this venue's answer
    is less than was asked. `narrowed`: how its universe was cut when no coins were given.
    `universe`: what it has, by coin. `until`: how long all that was used stays fresh (monotonic);
    0 once something could not be had, which may heal at any time. `off`: ids that this
    installation does not ask, for a venue that would ask another in passing.
    """

    __slots__ = (
        "_cached_only",
        "_deadline",
        "_references",
        "_snapshots",
        "_upstream",
        "coins",
        "narrowed",
        "off",
        "options",
        "shortfalls",
        "stale",
        "universe",
        "unreadable",
        "until",
        "venue",
    )

    def __init__(
        self,
        venue: str,
        upstream: Upstream,
        *,
        coins: tuple[str, ...] | None,
        deadline: float,
        cached_only: bool = False,
        options: Mapping[str, Any] | None = None,
        off: Container[str] = (),
    ) -> None:
        self.venue = venue
        self.off = off
        self.options = options or {}
        self.coins = coins
        self._upstream = upstream
        self._deadline = deadline
        self._cached_only = cached_only
        self._snapshots: dict[str, int] = {}
        self._references: dict[str, int] = {}
        self.shortfalls: list[str] = []
        self.stale: tuple[str, int] | None = None
        self.universe: Mapping[str, object] = {}
        self.narrowed: str | None = None
        self.unreadable: set[str] = set()
        self.until = math.inf

    @property
    def now_ms(self) -> int:
        """The moment that the question is asked at, epoch ms."""
        return self._upstream.clock.now_ms()

    async def get(self, call: Call) -> Wire:
        """The answer to one call. Raises a `VenueError` when there is none."""
        return self._used(call, await self._fetch(call))

    async def all(self, *calls: Call) -> list[Wire]:
        """The answers to several calls at once, in their order.

        A call marked optional that fails gives `NOTHING` (a false Wire) and a shortfall; any other
        failure is raised at once.
        """
        found = [self._upstream.peek(call) for call in calls]
        misses = [i for i, wire in enumerate(found) if wire is None]
        if misses and self._cached_only:
            raise Miss
        if misses:
            await self._fetch_all(calls, found, misses)
        return [
            NOTHING if wire is None else self._used(call, wire)
            for call, wire in zip(calls, found, strict=True)
        ]

    async def _fetch_all(
        self, calls: tuple[Call, ...], found: list[Wire | None], misses: list[int]
    ) -> None:
        failed: list[VenueError] = []

        async def fetch(i: int) -> None:
            try:
                found[i] = await self._fetch(calls[i])
            except VenueError as error:
                if calls[i].optional:
                    self.short(f"{error.reason} ({calls[i].label})")
                else:
                    failed.append(error)
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for i in misses:
                tasks.start_soon(fetch, i)
        if failed:
            raise failed[0]

    async def _fetch(self, call: Call) -> Wire:
        wire = self._upstream.peek(call)
        if wire is not None:
            return wire
        if self._cached_only:
            raise Miss
        try:
            wire, stale = await self._upstream.fetch(call, self._deadline)
        except VenueError:
            self.until = 0.0
            raise
        if stale is not None:
            self.until = 0.0
            age = round((self._upstream.clock.monotonic() - wire.read) * 1000)
            # One note speaks for all: the oldest copy.
            if self.stale is None or age > self.stale[1]:
                self.stale = (f"{stale} ({call.label}: an older copy was used)", age)
        return wire

    def last_good(self, error: VenueError, *calls: Call) -> tuple[Call, Wire]:
        """The newest copy of any of these calls, which have just failed, marked stale.

        For a source with alternatives, where a copy comes last: its calls have no `keep`. Raises
        the error when there is no copy.
        """
        found = [(call, self._upstream.peek(replace(call, fresh=math.inf))) for call in calls]
        copies = [(call, wire) for call, wire in found if wire is not None]
        if not copies:
            raise error.fresh() from error
        call, wire = max(copies, key=lambda copy: copy[1].read)
        age = round((self._upstream.clock.monotonic() - wire.read) * 1000)
        self.stale = (f"{error.reason} ({call.label}: an older copy was used)", age)
        return call, self._used(call, wire)

    def _used(self, call: Call, wire: Wire) -> Wire:
        used = self._references if call.reference else self._snapshots
        used[call.label] = min(wire.fetched_at, used.get(call.label, wire.fetched_at))
        self.until = min(self.until, wire.read + call.fresh)
        return wire

    @property
    def labels(self) -> list[str]:
        """Labels of the answers used; lists that change by the day only where nothing else was."""
        return list(self._snapshots or self._references)

    @property
    def read_at(self) -> int | None:
        """When the oldest of those was read, epoch ms."""
        return min((self._snapshots or self._references).values(), default=None)

    def pick(self, by_coin: Mapping[str, Row]) -> list[Row]:
        """The rows that were asked for, out of all the venue has."""
        self.universe = by_coin
        if self.coins is None:
            return list(by_coin.values())
        return [by_coin[coin] for coin in self.coins if coin in by_coin]

    def short(self, reason: str, *, coin: str | None = None) -> None:
        """Say that this answer is less than was asked, and why.

        `coin`: a coin that the venue lists although there may be no row of it.
        """
        if coin is not None:
            self.unreadable.add(coin)
        if reason not in self.shortfalls:
            self.shortfalls.append(reason)

    def unread(self, bad: int) -> None:
        """Say how many rows of the venue could not be read."""
        if bad:
            self.short(f"changed: {bad} row{'s' if bad > 1 else ''} could not be read")

    def wants(self, coins: Iterable[str]) -> list[str]:
        """Which of these coins the question is about."""
        if self.coins is None:
            return list(coins)
        have = set(coins)
        return [coin for coin in self.coins if coin in have]
