"""A fleet's tape: one socket, every print once on every replica, through deaths and outages."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fleets import FleetOf, Replica, few_coins, fleet, quick, until
from leaping import MARKET, START
from servers import NO_SERVER, RedisProcess, redis_process

from mmflow_mcp.errors import VenueBlocked
from mmflow_mcp.fleet.channel import Ask, Channel
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.tape.following import SLACK_MS

__all__ = ["few_coins", "quick"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("few_coins", "quick")]

HL = "hyperliquid"
COINS = ("BTC", "ETH", "SOL")


@pytest.fixture
def own_server() -> Iterator[RedisProcess]:
    """A server of this test alone, to be stopped."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


async def test_what_a_holder_leaves_ends_by_itself(own_server: RedisProcess) -> None:
    """Every key: also of one that told a single thing, or nothing, before it died."""
    server = RedisServer(own_server.url)
    channel = Channel(server, "sim", "me")
    await channel.tick([Ask("told", b"beat", ["BTC"]), Ask("silent", b"beat")])
    assert await channel.write("told", b"entry", keep_ms=1000, most=10, face={"snap": b"all"})
    names = [name.decode() async for name in server.client.scan_iter()]
    lives = {name: await server.client.pttl(name) for name in names}
    await server.close()
    assert 6 == len(lives), lives
    assert [] == [name for name, ms in lives.items() if ms < 0]


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


def hears(one: Replica) -> bool:
    """Whether a replica has all coins, what the venue repeats of them, and nothing open."""
    feed, tape = one.hub.feed(HL), one.hub.tape(HL)
    if feed is None or not feed.state.connected or len(feed.taken) < len(COINS):
        return False
    return not any(coin.fresh or coin.cover.lost for coin in tape.coins.values())


async def ready(world: FleetOf, replicas: list[Replica] | None = None) -> int:
    """Wait until every replica hears the venue; when that was."""
    some = replicas or world.replicas
    await until(lambda: all(map(hears, some)), "a replica does not hear the venue")
    return world.clock.now_ms()


async def pass_ms(world: FleetOf, ms: int) -> int:
    """Let so much of the market's time pass."""
    end = world.clock.now_ms() + ms
    await until(lambda: world.clock.now_ms() >= end, "time stands")
    return end


async def hears_up_to(world: FleetOf, ears: Ears, places: Collection[int], end: int) -> None:
    """Wait until what was printed up to `end` has come everywhere."""
    last = max((n for _, n in truth(end - 20_000, end)), default=0)

    def all_came() -> bool:
        return all(any(p.trade_id >= last for p in ears.items(place)) for place in places)

    await until(all_came, "a replica hears nothing more")


def gaps(one: Replica) -> list[tuple[str, int, int]]:
    """The gaps that a replica tells."""
    return [(g.coin, g.since, g.until) for g in one.hub.tape(HL).gaps]


def complete(one: Replica, coin: str, items: list[TapePrint], since: int, end: int) -> None:
    """What was told of a coin is true, told once, and missing only where a gap says so."""
    mine = [p for p in items if p.coin == coin]
    expected = Counter({k: n for k, n in truth(since, end).items() if k[0] == coin})
    heard = told(mine, since, end)
    assert not heard - expected, "told twice, or never printed"
    for _, number in expected - heard:
        second, n = divmod(number, 1024)
        at = second * 1000 + 1 + n * 300
        assert any(c == coin and a <= at <= b for c, a, b in gaps(one)), (coin, at, gaps(one))


async def test_one_socket_every_print_once_and_another_takes_over(
    redis_server: RedisProcess,
) -> None:
    """Three replicas, one of them late; then the one that holds the socket is killed."""
    async with fleet(redis_server.url, 2) as world:
        ears = Ears(world)
        since = await ready(world)
        await pass_ms(world, 8_000)
        late = await world.add()
        ears.add(2, late)
        joined = await ready(world)
        end = await pass_ms(world, 5_000)
        await hears_up_to(world, ears, range(3), end)
        assert len(truth(since, end)) > 10
        for place in range(2):
            assert truth(since, end) == told(ears.items(place), since, end)
        # Who comes late has what the others have, and is told no old news.
        assert truth(since, end) == told(late.hub.tape(HL).order, since, end)
        assert told(ears.items(0), joined, end) == told(ears.items(2), joined, end)
        assert min(p.ts for p in ears.items(2)) > since
        cover = late.hub.tape(HL).coins["BTC"].cover
        assert cover.since is not None
        assert cover.since <= since + SLACK_MS
        facts = [
            [(p.coin, p.trade_id, p.event_id) for p in ears.items(n) if joined < p.ts <= end]
            for n in range(3)
        ]
        assert facts[0] == facts[1] == facts[2]
        assert 1 == sum(one.sockets() for one in world.replicas)
        assert ["follower", "follower", "leader"] == world.roles()
        (leader,) = [one for one in world.replicas if one.role() == "leader"]
        left = [n for n in range(3) if world.replicas[n] is not leader]
        leader.die()
        others = [world.replicas[n] for n in left]
        await until(lambda: any(o.role() == "leader" for o in others), "nobody takes over")
        await ready(world, others)
        end = await pass_ms(world, 5_000)
        await hears_up_to(world, ears, left, end)
        for n in left:
            for coin in COINS:
                complete(world.replicas[n], coin, ears.items(n), joined, end)
        assert ["follower", "leader"] == sorted(o.role() for o in others)
        assert 1 == sum(o.sockets() for o in others)
        one, two = (told(ears.items(n), joined, end) for n in left)
        assert one == two


async def test_without_the_server_each_is_alone_and_then_shares_again(
    own_server: RedisProcess,
) -> None:
    """Three sockets while Redis is away, streams go on; one again when it is back."""
    async with fleet(own_server.url, 3) as world:
        ears = Ears(world)
        since = await ready(world)
        await pass_ms(world, 3_000)
        own_server.stop()
        await until(lambda: world.roles() == ["alone"] * 3, "nobody notices")
        assert all(one.relay.standing().up is False for one in world.replicas)
        assert all((one.relay.reason or "").startswith("alone: ") for one in world.replicas)
        await ready(world)
        assert 3 == sum(one.sockets() for one in world.replicas)
        await pass_ms(world, 4_000)
        own_server.start()
        back = world.clock.now_ms()
        await until(
            lambda: world.roles() == ["follower", "follower", "leader"], "nobody comes back"
        )
        await until(lambda: 1 == sum(o.open() for o in world.replicas), "two sockets stay open")
        await ready(world)
        end = await pass_ms(world, 5_000)
        await hears_up_to(world, ears, range(3), end)
        for n, one in enumerate(world.replicas):
            for coin in COINS:
                complete(one, coin, ears.items(n), since, end)
            assert not [gap for gap in gaps(one) if gap[2] > back], "a socket was closed too soon"
        assert [True] * 3 == [one.relay.standing().up for one in world.replicas]
        assert 3 == sum(one.sockets() for one in world.replicas)


async def test_whom_the_venue_bars_leaves_the_socket_to_another(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One country is served and one is not: both have the prints, from the socket of the first."""
    attempts: list[str] = []

    def barred(url: str, *_: Any) -> Any:
        attempts.append(url)
        raise VenueBlocked("geo: the venue does not serve this place")

    async with fleet(redis_server.url, 1) as world:
        (first,) = world.replicas
        monkeypatch.setattr(first.hub._upstream, "stream", barred)
        ears = Ears(world)
        await until(lambda: attempts, "nobody asks")
        # While nobody else needs it, it stays with whom nobody serves, who says why.
        feed = first.hub.feed(HL)
        assert feed is not None
        assert (True, "geo: ") == (feed.barred, (feed.state.reason or "")[:5])
        await until(lambda: first.role() == "leader", "nobody leads")
        second = await world.add()
        ears.add(1, second)
        await until(lambda: world.roles() == ["follower", "leader"], "nobody else leads")
        await until(lambda: second.role() == "leader", "the wrong one leads")
        since = await ready(world)
        end = await pass_ms(world, 5_000)
        await hears_up_to(world, ears, range(2), end)
        assert truth(since, end) == told(ears.items(0), since, end)
        assert truth(since, end) == told(ears.items(1), since, end)
        assert (0, 1) == (first.sockets(), second.sockets())
        assert (1, None) == (len(attempts), feed.state.reason)
        second.stop()
        # Nobody else is left: it tries again.
        await until(lambda: len(attempts) == 2, "nobody tries")
        await until(lambda: (feed.state.reason or "").startswith("geo: "), "it does not say why")
