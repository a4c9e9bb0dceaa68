"""What a replica makes of what another tells: a scripted holder of the socket on a real Redis."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from fleets import FleetOf, Replica, fleet, quick, until
from pydantic_core import to_json
from servers import RedisProcess

from mmflow_mcp.fleet import channel
from mmflow_mcp.fleet.channel import Ask, Channel
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.tape.board import Listener
from mmflow_mcp.tape.following import SLACK_MS
from mmflow_mcp.tape.readings import numbered_apart, prints_after
from mmflow_mcp.venues.hyperliquid import Hyperliquid

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("few_coins")]

__all__ = ["quick"]

HL, FEED = "hyperliquid", "hyperliquid:trades"
SYMBOLS = {"BTC": "BTC", "ETH": "ETH"}


@pytest.fixture
def few_coins(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small universe, and a lease that a busy machine does not lose."""
    monkeypatch.setattr(channel, "LEASE_MS", 20_000)
    whole = Hyperliquid.trade_feed
    monkeypatch.setattr(Hyperliquid, "trade_feed", lambda self: replace(whole(self), limit=2))


@dataclass
class Ghost:
    """Holds the socket of a fleet, and tells what a test wants told."""

    world: FleetOf
    line: Channel
    start: int
    term: str = "first"
    number: int = 0
    whole: int = 0
    connected: bool = True
    covers: dict[str, Any] = field(default_factory=dict)
    lives: bool = True
    still: anyio.Event = field(default_factory=anyio.Event)

    async def live(self) -> None:
        """Give signs of life."""
        while self.lives:
            await self.beat()
            await anyio.sleep(0.2)
        self.still.set()

    async def rest(self) -> None:
        """Give none any more."""
        self.lives = False
        await self.still.wait()

    def row(self, coin: str, at: int, nth: int = 0, number: int | None = None) -> list[Any]:
        """A print `at` ms after the start."""
        ts = self.start + at
        trade_id = ts * 10 + nth if number is None else number
        return [coin, ts, "buy", 100.0, 2.0, 200.0, trade_id, nth]

    async def beat(self) -> None:
        """A sign of life, which renews the lease."""
        said = [self.term, self.number, self.connected, None, self.world.clock.now_ms(), 0.0]
        (told,) = await self.line.tick([Ask(FEED, to_json(said))])
        assert told.held

    async def tell(self, *events: list[Any], snap: bool = False) -> None:
        """One entry."""
        self.number += 1
        now = self.world.clock.now_ms()
        face = {}
        if snap:
            head = [self.term, self.number, now, self.connected, sorted(SYMBOLS), self.whole]
            face = {"snap": to_json([*head, self.covers]), "list": to_json([SYMBOLS, None])}
        entry = to_json([self.term, self.number, now, now, list(events)])
        kept = {"keep_ms": 600_000, "most": 1000}
        assert await self.line.write(FEED, entry, face=face, **kept)

    async def begin(self, term: str) -> None:
        """A new term, with a socket that is open already."""
        self.term, self.number = term, 0
        self.whole = self.world.clock.now_ms()
        await self.tell(["b", self.covers, self.whole, sorted(SYMBOLS)], snap=True)


@asynccontextmanager
async def haunted(world: FleetOf) -> AsyncIterator[Ghost]:
    """A ghost that holds the feed, and has heard the coins for a minute."""
    server = RedisServer(world.url)
    start = world.clock.now_ms()
    ghost = Ghost(world, Channel(server, world.kind, "ghost"), start)
    ghost.covers = {coin: [start - 60_000, False, False] for coin in SYMBOLS}
    try:
        await ghost.beat()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ghost.live)
            yield ghost
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await server.close()


def listening(one: Replica) -> AbstractContextManager[Listener]:
    """Listen to all prints."""
    return one.hub.listen(HL, most=10_000)


def numbers(items: Iterable[Any]) -> list[int]:
    """The ids of prints."""
    return [p.trade_id for p in items]


def gaps(one: Replica) -> list[tuple[str, int, int]]:
    """The gaps that a replica tells."""
    return sorted((g.coin, g.since, g.until) for g in one.hub.tape(HL).gaps)


async def test_a_follower_goes_through_all_that_can_happen(redis_server: RedisProcess) -> None:
    """Joins, hears, misses an entry, sees a new term and a silent holder, and takes over."""
    async with fleet(redis_server.url, 1, speed=1) as world, haunted(world) as ghost:
        (one,) = world.replicas
        tape = one.hub.tape(HL)
        await ghost.tell(["r", [0, [ghost.row("BTC", -5_000), ghost.row("ETH", -4_000)]]])
        await ghost.tell(["r", [0, [ghost.row("BTC", -3_000)]]], snap=True)
        with listening(one) as ears:
            feed = one.hub.feed(HL)
            assert feed is not None
            await until(lambda: feed.state.connected, "it has not joined")
            # What was before it came is known and no news; it is whole from the first entry on.
            assert 3 == len(tape.order)
            assert not len(ears)
            begun = tape.coins["BTC"].cover.since
            assert begun is not None
            assert ghost.start <= begun <= world.clock.now_ms()
            assert set(SYMBOLS) == feed.taken
            ghost.start = world.clock.now_ms()
            await until(lambda: world.clock.now_ms() > ghost.start + 600, "time stands")
            # Two of one millisecond have the holder's numbers, and are told in its order.
            same = [ghost.row("ETH", 100, 1), ghost.row("BTC", 100, 0, 77)]
            await ghost.tell(["r", [0, same]])
            await until(lambda: len(ears) == 2, "nothing is heard")
            items = ears.take().items
            assert [f"{ghost.start + 100}-1", str(ghost.start + 100)] == [p.event_id for p in items]
            later = prints_after(one.hub, HL, f"{ghost.start + 100}-1")
            assert later is not None
            assert [77] == numbers(later)
            # The same entry once more, and the same print in another.
            ghost.number -= 1
            await ghost.tell(["r", [0, same]])
            await ghost.tell(["r", [0, [*same, ghost.row("BTC", 200)]]])
            await until(lambda: len(ears) == 1, "nothing more is heard")
            assert [ghost.row("BTC", 200)[6]] == numbers(ears.take().items)
            # An entry that never comes: it joins anew, and has what the stream has.
            ghost.number += 1
            await ghost.tell(["r", [0, [ghost.row("BTC", 300)]]], snap=True)
            await until(lambda: len(ears) == 1, "it has lost the thread")
            assert [ghost.row("BTC", 300)[6]] == numbers(ears.take().items)
            await until(lambda: feed.state.connected, "it has not joined again")
            assert [] == gaps(one)
            # The socket breaks and comes back: what the venue repeats closes it, as everywhere.
            await ghost.tell(["l", ghost.start + 400])
            await until(lambda: tape.coins["BTC"].cover.lost is not None, "nothing was lost")
            assert not feed.state.connected
            await ghost.tell(["s", ["BTC", "ETH"]])
            await ghost.tell(["r", [0, [ghost.row("BTC", 300), ghost.row("BTC", 450)]]])
            await until(lambda: tape.coins["BTC"].cover.lost is None, "it stays open")
            await ghost.tell(["r", [0, [ghost.row("ETH", 460)]]])
            await until(lambda: len(gaps(one)) == 1, "no gap of the coin that repeats too little")
            (gap,) = gaps(one)
            assert ("ETH", ghost.start + 400, ghost.start + 460) == gap
            # A new term by one who had a socket before: what it did not write is a gap of all.
            heard = feed.state.heard_ms
            assert heard is not None
            await ghost.begin("second")
            await until(lambda: len(gaps(one)) == 3, "nothing is missing in a new term")
            found = [g for g in gaps(one) if g != gap]
            assert {ghost.whole} == {end for _, _, end in found}
            assert all(since <= heard + 1_000 - SLACK_MS for _, since, _ in found)
            # A holder that says nothing: nothing is claimed in its name; then its lease is over.
            await until(lambda: feed.state.connected, "it claims nothing")
            await ghost.rest()
            assert "follower" == one.role()
            await until(lambda: not feed.state.connected, "it still claims")
            reason = feed.state.reason or ""
            assert reason.startswith("timeout: the replica that holds the socket")
            await ghost.line.release(FEED)
            await until(lambda: one.role() == "leader", "nobody takes over")
            await until(lambda: feed.state.connected, "no socket")
            assert 1 == one.sockets()
            assert not numbered_apart(one.hub, HL, str(ghost.start + 100))


async def test_who_lost_the_lease_cannot_write(redis_server: RedisProcess) -> None:
    """A holder that slept through its own end is told so, and nothing of it reaches the others."""
    async with fleet(redis_server.url, 1, speed=1) as world, haunted(world) as ghost:
        await ghost.tell(["b", ghost.covers, 0, []], snap=True)
        await ghost.rest()
        await ghost.line.release(FEED)
        with listening(world.replicas[0]):
            await until(lambda: world.replicas[0].role() == "leader", "nobody takes over")
            late = to_json(["first", 9, 0, 0, [["r", [0, [ghost.row("BTC", 0)]]]]])
            assert await ghost.line.write(FEED, late, keep_ms=1000, most=10) is None
            (told,) = await ghost.line.tick([Ask(FEED)])
            assert not told.held
            await until(lambda: len(world.replicas[0].hub.tape(HL).order) > 0, "no socket")
            assert 0 not in {p.trade_id for p in world.replicas[0].hub.tape(HL).order}


async def test_who_yields_holds_only_what_nobody_else_needs(redis_server: RedisProcess) -> None:
    """It keeps the socket while it is alone, and neither keeps nor takes it beside others."""
    server, kind = RedisServer(redis_server.url), f"yields-{time.time_ns()}"
    one, two, three = (Channel(server, kind, name) for name in ("one", "two", "three"))

    async def held(line: Channel, *, yields: bool = False) -> bool:
        (told,) = await line.tick([Ask(FEED, yields=yields)])
        return told.held

    try:
        assert [True, True] == [await held(one), await held(one, yields=True)]
        assert not await held(two)
        assert not await held(one, yields=True)
        # Both yield: nobody holds it, and who does not yield finds it free.
        assert [False, False] == [await held(two, yields=True), await held(one, yields=True)]
        assert await held(three)
        assert [False, False] == [await held(two), await held(one)]
    finally:
        await server.close()
