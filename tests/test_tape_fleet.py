"""A fleet's tape: one socket, every print once on every replica, through deaths and outages."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import anyio
import pytest
from fleets import FleetOf, Replica, fleet, until
from leaping import MARKET, START
from servers import NO_SERVER, RedisProcess, redis_process

from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.venues.hyperliquid import Hyperliquid

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("few_coins")]

HL = "hyperliquid"
COINS = ("BTC", "ETH", "SOL")


@pytest.fixture
def few_coins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small universe."""
    for name in ("trade_feed", "context_feed"):
        whole = getattr(Hyperliquid, name)
        few = lambda self, whole=whole: replace(whole(self), limit=3)
        monkeypatch.setattr(Hyperliquid, name, few)


@pytest.fixture
def own_server() -> Iterator[RedisProcess]:
    """A server of this test alone, to be stopped."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


def truth(since: int, until_ms: int) -> Counter[tuple[str, int]]:
    """What the market printed after `since` and up to `until_ms`."""
    listed = [
        one
        for one in MARKET.listings(HL, START)
        if one.counted and ":" not in one.symbol and one.coin in COINS
    ]
    return Counter(
        (item.coin, one.number)
        for item in listed
        for one in list_prints(MARKET, item, since, until_ms)
    )


def told(items: Iterable[TapePrint], since: int, until_ms: int) -> Counter[tuple[str, int]]:
    """What a listener was told."""
    return Counter((p.coin, p.trade_id) for p in items if since < p.ts <= until_ms)


class Ears:
    """A listener on every replica, from now on."""

    def __init__(self, world: FleetOf) -> None:
        self.stack = ExitStack()
        self.heard: dict[int, list[TapePrint]] = {}
        self.queues: dict[int, Any] = {}
        for place, one in enumerate(world.replicas):
            self.add(place, one)

    def add(self, place: int, one: Replica) -> None:
        """Listen on one more."""
        self.queues[place] = self.stack.enter_context(one.hub.listen(HL, most=1_000_000))
        self.heard[place] = []

    def items(self, place: int) -> list[TapePrint]:
        """All that was told so far."""
        self.heard[place] += self.queues[place].take().items
        return self.heard[place]


async def ready(world: FleetOf, replicas: list[Replica] | None = None) -> int:
    """Wait until every replica has all coins; when that was."""
    for one in replicas or world.replicas:
        await until(
            lambda one=one: (
                (feed := one.hub.feed(HL)) is not None
                and feed.state.connected
                and len(feed.taken) == 3
                and not any(c.fresh for c in one.hub.tape(HL).coins.values())
            ),
            "a replica does not hear the venue",
        )
    return world.clock.now_ms()


async def pass_ms(world: FleetOf, ms: int) -> int:
    """Let so much of the market's time pass."""
    end = world.clock.now_ms() + ms
    await until(lambda: world.clock.now_ms() >= end, "time stands")
    return end


async def hears_up_to(world: FleetOf, ears: Ears, places: Iterable[int], end: int) -> None:
    """Wait until what was printed up to `end` has come everywhere."""
    last = max((n for _, n in truth(end - 20_000, end)), default=0)
    for place in places:
        await until(
            lambda place=place: any(p.trade_id >= last for p in ears.items(place)),
            "a replica hears nothing more",
        )


async def test_one_socket_and_every_print_once(redis_server: RedisProcess) -> None:
    """Three replicas: the venue sees one socket, each listener every print, in the same order."""
    async with fleet(redis_server.url, 3) as world:
        ears = Ears(world)
        since = await ready(world)
        end = await pass_ms(world, 15_000)
        await hears_up_to(world, ears, range(3), end)
        expected = truth(since, end)
        assert len(expected) > 20
        for place in range(3):
            assert expected == told(ears.items(place), since, end)
        orders = [
            [(p.coin, p.trade_id, p.event_id) for p in ears.items(n) if since < p.ts <= end]
            for n in range(3)
        ]
        assert orders[0] == orders[1] == orders[2]
        assert 1 == sum(one.sockets() for one in world.replicas)
        assert ["follower", "follower", "leader"] == world.roles()
