"""A fleet's liquidations and funding rates: one socket each, the same on every replica."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from fleets import FleetOf, Replica, fleet, quick, until
from servers import RedisProcess

from mmflow_mcp.rows.tape import FundingChange
from mmflow_mcp.sim.positions import closures_of_venue
from mmflow_mcp.tape.following import SLACK_MS
from mmflow_mcp.tape.hub import CONTEXTS, LIQUIDATIONS
from mmflow_mcp.tape.readings import liquidations_of
from mmflow_mcp.tape.shared import SharedFeed
from mmflow_mcp.venues.hyperliquid import Hyperliquid

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick")]

__all__ = ["quick"]

VENUE = "okx"
HL = "hyperliquid"
SPEED = 60.0
Key = tuple[str, int, str]


def feed_of(one: Replica, venue: str, channel: str) -> SharedFeed:
    """A feed that runs."""
    feed = one.hub.feed(venue, channel)
    assert isinstance(feed, SharedFeed)
    return feed


def channel_of(one: Replica) -> str:
    """The socket of the liquidations."""
    (name,) = one.hub.channels(VENUE, LIQUIDATIONS)
    return name


def kept(one: Replica, since: int, until_ms: int) -> Counter[tuple[object, ...]]:
    """What a replica holds of that time, by what tells two records apart."""
    contracts = one.hub.liquidations(VENUE).contracts.values()
    closed = liquidations_of(one.hub, VENUE, {c.coin for c in contracts})
    return Counter(
        p.key for tape in closed.tapes.values() for p in tape.prints if since < p.ts <= until_ms
    )


def truth(world: FleetOf, since: int, until_ms: int) -> set[Key]:
    """What was closed by force."""
    return {
        (o.listing.symbol, o.at_ms, "long" if o.long else "short")
        for o in closures_of_venue(world.sim.market, VENUE, since, until_ms)
    }


@contextmanager
def holding(*some: Replica) -> Iterator[None]:
    """Hold the liquidations of a venue."""
    with ExitStack() as stack:
        for one in some:
            stack.enter_context(one.hub.hold(VENUE, LIQUIDATIONS))
        yield


def whole(one: Replica) -> bool:
    """Whether every contract is listened to."""
    feed = feed_of(one, VENUE, channel_of(one))
    return bool(feed.symbols) and len(feed.taken) == len(feed.symbols)


async def test_liquidations_are_the_same_everywhere(redis_server: RedisProcess) -> None:
    """Each once, on who was there and on who came later, with the same span; over a death too."""
    async with fleet(redis_server.url, 2, speed=SPEED) as world:
        with holding(*world.replicas), ExitStack() as more:
            await until(lambda: all(map(whole, world.replicas)), "not subscribed")
            since = world.clock.now_ms()
            await until(lambda: len(kept(world.replicas[0], since, 1 << 60)) > 3, "none came")
            late = await world.add()
            more.enter_context(holding(late))
            await until(lambda: whole(late), "who comes late hears nothing")
            channel = channel_of(late)
            assert 1 == sum(o.sockets(VENUE, channel) for o in world.replicas)
            tapes = [liquidations_of(o.hub, VENUE, ["BTC"]).tapes["BTC"] for o in world.replicas]
            assert tapes[2].since_ms <= since + SLACK_MS
            assert [()] * 3 == [tape.gaps for tape in tapes]
            (leader,) = [o for o in world.replicas if o.role(VENUE, channel) == "leader"]
            leader.die()
            left = [o for o in world.replicas if o is not leader]
            await until(lambda: any(o.open(VENUE, channel) for o in left), "nobody takes over")
            await until(lambda: all(map(whole, left)), "not subscribed again")
            behind = world.clock.now_ms()
            await until(lambda: len(kept(left[0], behind, 1 << 60)) > 2, "none came after it")
            end = world.clock.now_ms() - 20_000
            await until(lambda: kept(left[0], since, end) == kept(left[1], since, end), "apart")
            found = kept(left[0], since, end)
            expected = truth(world, since, end)
            assert {1} == set(found.values())
            names = {(symbol, ts, side) for _, symbol, ts, side, _, _ in found}
            assert names <= expected
            gaps = [
                (coin, *gap)
                for coin, tape in liquidations_of(
                    left[1].hub,
                    VENUE,
                    {c.coin for c in left[1].hub.liquidations(VENUE).contracts.values()},
                ).tapes.items()
                for gap in tape.gaps
            ]
            coins = {c.symbol: c.coin for c in late.hub.liquidations(VENUE).contracts.values()}
            for symbol, at, _ in expected - names:
                assert any(c == coins[symbol] and a <= at <= b for c, a, b in gaps), (symbol, at)


async def test_funding_changes_are_the_same_everywhere(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who listens is told the same changes on each replica; who joins knows all rates at once."""
    made = Hyperliquid.context_feed
    monkeypatch.setattr(Hyperliquid, "context_feed", lambda self: replace(made(self), limit=3))
    async with fleet(redis_server.url, 2, speed=SPEED) as world:
        stack = ExitStack()
        ears = [
            stack.enter_context(one.hub.listen_funding(HL, min_delta_bps=0.0))
            for one in world.replicas
        ]
        heard: list[list[FundingChange]] = [[], []]

        def both() -> bool:
            for place, ear in enumerate(ears):
                heard[place] += ear.take().items
            return min(map(len, heard)) >= 6

        await until(both, "no changes")
        facts = [[(c.coin, c.rate) for c in changes] for changes in heard]
        begins = max(facts[0].index(facts[1][0]) if facts[1][0] in facts[0] else 0, 0)
        mine, other = facts[0][begins:], facts[1][facts[1].index(facts[0][begins]) :]
        least = min(len(mine), len(other))
        assert least >= 3
        assert mine[:least] == other[:least]
        assert 1 == sum(one.sockets(HL, CONTEXTS) for one in world.replicas)
        assert all(3 == len(one.hub.rates(HL).latest) for one in world.replicas)


async def test_what_one_replica_wants_the_holder_subscribes(redis_server: RedisProcess) -> None:
    """A feed that does not bring its whole universe brings what any replica asked for."""
    async with fleet(redis_server.url, 2, speed=10) as world:
        one, other = world.replicas
        with one.hub.listen("coinbase", ["BTC"]) as mine:
            await until(lambda: len(mine) > 0, "nothing comes")
            with other.hub.listen("coinbase", ["ETH"]) as theirs:
                await until(lambda: len(theirs) > 2, "the other hears nothing")
                assert {"ETH"} == {p.coin for p in theirs.take().items}
            assert {"BTC"} == {p.coin for p in mine.take().items}
        assert [1, 0] == [o.sockets("coinbase") for o in world.replicas]


async def test_a_fleet_that_starts_anew_remembers(redis_server: RedisProcess) -> None:
    """The only replica ends and another starts: its records are there, the time between a gap."""
    async with fleet(redis_server.url, 1, speed=SPEED) as world:
        (first,) = world.replicas
        with holding(first):
            await until(lambda: whole(first), "not subscribed")
            since = world.clock.now_ms()
            await until(lambda: len(kept(first, since, 1 << 60)) > 3, "none came")
            ended = world.clock.now_ms()
            before = kept(first, since, ended - 20_000)
            first.stop()
            await first.ended.wait()
        second = await world.add()
        with holding(second):
            await until(lambda: whole(second), "not subscribed again")
            assert before == kept(second, since, ended - 20_000)
            tape = liquidations_of(second.hub, VENUE, ["BTC"]).tapes["BTC"]
            (gap,) = tape.gaps
            assert tape.since_ms <= since + SLACK_MS
            assert ended - 25_000 <= gap[0] <= ended <= gap[1]
        assert "leader" == second.role(VENUE, channel_of(second))
