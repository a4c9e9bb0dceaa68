"""The tape over simulated sockets, in leaping time: reconnects, silence, refusals, idleness."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import anyio
import pytest
from leaping import MARKET, START, Live, live

from mmflow_mcp.app import running
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.market import Listing
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.tape.feed import Timing
from mmflow_mcp.tape.readings import net_taker_usd, recent_prints
from mmflow_mcp.venues.hyperliquid import Hyperliquid

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("few_coins")]

HOST = "api.hyperliquid.xyz"
WS_COINBASE = "ws-feed.exchange.coinbase.com"
Key = tuple[str, int]


def core_perps() -> list[Listing]:
    """The perpetuals that the tape of hyperliquid holds."""
    listed = MARKET.listings("hyperliquid", START)
    return [one for one in listed if one.counted and ":" not in one.symbol]


def truth(listings: Iterable[Listing], since: int, until: int, min_usd: float) -> Counter[Key]:
    """What the market printed after `since` and up to `until`, by (coin, number)."""
    found: Counter[Key] = Counter()
    for item in listings:
        for start in range(since, until, 600_000):
            for one in list_prints(MARKET, item, start, min(start + 600_000, until)):
                if one.price * one.size >= min_usd:
                    found[item.coin, one.number] += 1
    return found


def told(items: Iterable[TapePrint], since: int = START) -> Counter[Key]:
    """What a listener was told of prints after `since`."""
    return Counter((one.coin, one.trade_id) for one in items if one.ts > since)


def symbols(venue: str, *names: str) -> list[Listing]:
    """Listings by their names."""
    return [one for one in MARKET.listings(venue, START) if one.symbol in names]


async def collect(world: Live, seconds: float, **how: object) -> list[TapePrint]:
    """Listen for a while with a queue that is never full."""
    with world.hub.listen("hyperliquid", most=1_000_000, **how) as listener:  # type: ignore[arg-type]
        await world.run(seconds)
        return listener.take().items


@pytest.fixture
def few_coins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small universe, so that hours pass quickly."""
    for name in ("trade_feed", "context_feed"):
        whole = getattr(Hyperliquid, name)
        few = lambda self, whole=whole: replace(whole(self), limit=3)
        monkeypatch.setattr(Hyperliquid, name, few)


async def test_every_large_print_once_through_ten_reconnects() -> None:
    """Each connection breaks after a minute; nothing above the threshold is lost or doubled."""
    async with live("hyperliquid:hang_up=60") as world:
        with world.hub.listen("hyperliquid", min_usd=200.0, most=1_000_000) as listener:
            # The truth begins when every coin is subscribed.
            await world.run(10)
            listener.take()
            since = world.clock.now_ms()
            await world.run(780)
            items = listener.take().items
            seen = recent_prints(world.hub, "hyperliquid", None, 200.0, since, 9999)
            feed = world.hub.feed("hyperliquid")
            assert feed is not None
            assert 3 == len(feed.taken)
        assert world.sockets(HOST) >= 11
        until = world.clock.now_ms() - 1_000
        listings = [one for one in core_perps() if one.coin in feed.taken]
        expected = truth(listings, since, until, 200.0)
        assert len(expected) > 100
        assert expected == Counter(
            {key: n for key, n in told(items, since).items() if _number_ms(key) <= until}
        )
        # The venue repeated what the outages hid; prints of this size are kept for ten minutes.
        assert [] == seen.gaps
        assert seen.since is not None
        assert seen.since <= world.clock.now_ms() - 590_000


async def test_what_long_outages_hid_lies_in_known_gaps() -> None:
    """A venue that breaks all the time is asked ever less often: what is missing, is known."""
    async with live("hyperliquid:hang_up=6") as world:
        with world.hub.listen("hyperliquid", most=1_000_000) as listener:
            await world.run(5)
            listener.take()
            since = world.clock.now_ms()
            await world.run(600)
            items = listener.take().items
            feed = world.hub.feed("hyperliquid")
            assert feed is not None
        gaps = world.hub.tape("hyperliquid").gaps
        listings = [one for one in core_perps() if one.coin in feed.symbols]
        last = max(one.ts for one in items)
        expected = truth(
            [one for one in listings if one.coin in ("BTC", "ETH", "SOL")], since, last, 0
        )
        missing = expected - told(items, since)
        assert len(missing) > 100
        for coin, number in missing:
            at = _number_ms((coin, number))
            assert any(g.coin == coin and g.since <= at <= g.until for g in gaps), (coin, at)


def _number_ms(key: Key) -> int:
    """The time in a simulated print's number."""
    second, n = divmod(key[1], 1024)
    return second * 1000 + 1 + n * 300


async def test_coinbase_closes_its_outages_from_the_rest_tape() -> None:
    """Its socket repeats one trade only: what an outage hid is asked for, and told once."""
    async with live("coinbase:hang_up=60") as world:
        with world.hub.listen("coinbase", ["BTC", "ETH"], most=100_000) as listener:
            await world.run(10)
            listener.take()
            since = world.clock.now_ms()
            await world.run(350)
            items = listener.take().items
        assert world.sockets(WS_COINBASE, "/") >= 5
        until = world.clock.now_ms() - 20_000
        expected = truth(symbols("coinbase", "BTC-USD", "ETH-USD"), since, until, 0.0)
        assert len(expected) > 300
        assert expected == Counter(
            {key: n for key, n in told(items, since).items() if _number_ms(key) <= until}
        )
        assert not world.hub.tape("coinbase").gaps


async def test_a_lost_match_of_coinbase_shows_in_the_heartbeat() -> None:
    """Frames that never came are asked for, although the socket never broke."""
    async with live("coinbase:drop=0.2") as world:
        with world.hub.listen("coinbase", ["BTC"], most=100_000) as listener:
            await world.run(300)
            items = listener.take().items
        expected = truth(symbols("coinbase", "BTC-USD"), START, world.clock.now_ms() - 60_000, 0.0)
        missing = expected - told(items)
        # A trade that was lost before another came shows in no heartbeat.
        assert len(missing) < len(expected) * 0.2
        assert max(told(items).values()) == 1


async def test_a_socket_that_falls_silent_is_replaced() -> None:
    """No data and no pong for a minute: the feed says so and connects anew."""
    async with live("hyperliquid:dead_socket,after=30,times=1") as world:
        with world.hub.listen("hyperliquid", ["BTC"]) as listener:
            await world.run(25)
            assert listener.take().items
            feed = world.hub.feed("hyperliquid")
            assert feed is not None
            await world.run(60)
            assert 1 == world.sockets(HOST)
            await world.run(15)
            assert 2 == world.sockets(HOST)
            await world.run(20)
            assert feed.state.connected
            assert listener.take().items
        # Its first connection was silent for longer than the venue repeats: a gap, and known.
        gaps = [gap for gap in world.hub.tape("hyperliquid").gaps if gap.coin == "BTC"]
        assert 1 == len(gaps)
        assert START + 25_000 < gaps[0].since < gaps[0].until < world.clock.now_ms()
        seen = recent_prints(world.hub, "hyperliquid", "BTC", 0.0)
        assert gaps == seen.gaps


async def test_a_venue_that_takes_no_subscription_is_a_failure() -> None:
    """It is asked again, ever less often, and the reason carries its words."""
    async with live("hyperliquid:unsubscribed") as world:
        said = world.hub.settle("hyperliquid", ["BTC"], seconds=1000)
        async with anyio.create_task_group() as tasks:
            reasons: list[str | None] = []

            async def wait() -> None:
                reasons.append(await said)

            tasks.start_soon(wait)
            await world.run(60)
        assert reasons[0] is not None
        assert reasons[0].startswith("refused: the venue took no subscription: Cannot subscribe")
        flow = net_taker_usd(world.hub, "hyperliquid", "BTC")
        assert (None, "none") == (flow.usd, flow.coverage)
        assert flow.reason == reasons[0]


async def test_an_acknowledgement_that_was_lost_is_asked_for_again() -> None:
    """Three of ten frames never come; after some minutes every coin is subscribed."""
    async with live("hyperliquid/ws:drop=0.3") as world:
        with world.hub.hold("hyperliquid", coins=["BTC", "ETH", "XRP"]):
            await world.run(5)
            early = recent_prints(world.hub, "hyperliquid", None, 0.0).pending
            await world.run(200)
            seen = recent_prints(world.hub, "hyperliquid", None, 0.0)
            feed = world.hub.feed("hyperliquid")
        assert early
        assert feed is not None
        assert {"BTC", "ETH", "XRP"} == feed.taken
        assert set(feed.symbols) - feed.taken == set(seen.pending)
        assert 1 == world.sockets(HOST)


async def test_coins_that_a_venue_does_not_list_open_no_socket() -> None:
    """A feed of chosen coins has nothing to say then, and tells why."""
    async with live() as world:
        net_taker_usd(world.hub, "coinbase", "NOPE")
        await world.run(30)
        flow = net_taker_usd(world.hub, "coinbase", "NOPE")
        assert ("none", 0) == (flow.coverage, world.sockets(WS_COINBASE, "/"))
        assert "rejected: the venue lists none of the coins asked for" == flow.reason
        net_taker_usd(world.hub, "coinbase", "BTC")
        await world.run(90)
        assert "live" == net_taker_usd(world.hub, "coinbase", "BTC").coverage


async def test_attempts_grow_rarer() -> None:
    """A closed port is not asked more than a few times in ten minutes."""
    async with live("hyperliquid/ws:refused") as world:
        with world.hub.hold("hyperliquid"):
            await world.run(60)
            early = world.sockets(HOST)
            await world.run(600)
            late = world.sockets(HOST) - early
        feed = world.hub.feed("hyperliquid")
        assert feed is not None
        assert 5 <= early <= 10
        assert 8 <= late <= 20
        assert feed.state.reason is not None
        assert feed.state.reason.startswith("refused")


@pytest.mark.parametrize("fault", ["garbage", "shuffle", "duplicate", "extra"])
async def test_frames_that_are_out_of_order_doubled_or_garbage(fault: str) -> None:
    """Everything true arrives once, whatever comes between."""
    async with live(f"hyperliquid/ws:{fault}") as world:
        with world.hub.listen("hyperliquid", ["BTC", "ETH"], most=100_000) as listener:
            await world.run(10)
            listener.take()
            since = world.clock.now_ms()
            await world.run(60)
            items = listener.take().items
        tape = world.hub.tape("hyperliquid")
        assert all(one.usd < 1e9 for one in tape.order)
        # A frame that is held back may lie there at the end.
        expected = truth(
            symbols("hyperliquid", "BTC", "ETH"), since, world.clock.now_ms() - 5_000, 0
        )
        found = told(items, since)
        assert expected <= found
        assert {1} == set(found.values())
        assert (fault == "garbage") == (tape.unread > 0)
        assert (fault == "duplicate") == (tape.duplicates > 100)


async def test_cut_frames_are_counted_and_told() -> None:
    """A frame of prints that could not be read may hide some: the sum says that it may be short."""
    async with live("hyperliquid/ws:truncate") as world:
        with world.hub.hold("hyperliquid"):
            await world.run(320)
            flow = net_taker_usd(world.hub, "hyperliquid", "BTC")
        assert flow.coverage == "live"
        assert flow.unread > 0
        assert flow.reason is not None
        assert flow.reason.startswith("changed:")


@pytest.mark.parametrize("field", ["px", "sz", "time", "tid", "side", "coin"])
async def test_absurd_members_make_no_print(field: str) -> None:
    """1e308, NaN, negative and text in turn: no such row is taken in, all are counted."""
    async with live(f"hyperliquid/ws:absurd={field}") as world:
        items = await collect(world, 20, coins=["BTC"])
        assert all(0 < one.usd < 1e9 and one.side in ("buy", "sell") for one in items)
        assert all(abs(one.ts - START) < 700_000 for one in items)
        assert world.hub.tape("hyperliquid").unread > 5


async def test_a_feed_stops_when_nobody_needs_it() -> None:
    """The socket is closed at the venue, and opens again when somebody comes."""
    async with live(timing=Timing(idle=120.0)) as world:
        with world.hub.listen("hyperliquid", ["BTC"]):
            await world.run(200)
            assert 1 == len(world.hub.feeds())
        await world.run(115)
        assert 1 == len(world.hub.feeds())
        await world.run(10)
        assert [] == world.hub.feeds()
        assert 1 == world.sockets(HOST)
        assert None is net_taker_usd(world.hub, "hyperliquid", "BTC").usd
        await world.run(5)
        assert 2 == world.sockets(HOST)


async def test_a_reading_keeps_a_feed_alive() -> None:
    """Asked once a minute, it stays."""
    async with live() as world:
        for _ in range(6):
            flow = net_taker_usd(world.hub, "hyperliquid", "ETH")
            await world.run(60)
        assert "live" == flow.coverage
        assert 1 == world.sockets(HOST)


async def test_the_net_flow_is_the_markets() -> None:
    """Null before 300 s are covered, then the sum of the truth; one socket for all."""
    async with live() as world:
        for coin in ("BTC", "PEPE"):
            assert None is net_taker_usd(world.hub, "hyperliquid", coin).usd
        for _ in range(4):
            await world.run(60)
            assert "none" == net_taker_usd(world.hub, "hyperliquid", "BTC").coverage
        await world.run(80)
        now = world.clock.now_ms()
        for symbol, coin in (("BTC", "BTC"), ("kPEPE", "PEPE")):
            flow = net_taker_usd(world.hub, "hyperliquid", coin)
            prints = list_prints(MARKET, symbols("hyperliquid", symbol)[0], now - 300_000, now)
            expected = sum(p.price * p.size * (1 if p.buy else -1) for p in prints)
            assert "live" == flow.coverage
            assert len(prints) == flow.prints > 100
            assert pytest.approx(expected, rel=1e-9) == flow.usd
        assert 1 == world.sockets(HOST)


async def test_coinbase_covers_the_window_from_its_rest_tape() -> None:
    """Its pages reach back, so the sum is there within seconds, with the taker's sign."""
    async with live() as world:
        net_taker_usd(world.hub, "coinbase", "BTC")
        await world.run(15)
        flow = net_taker_usd(world.hub, "coinbase", "BTC")
        now = world.clock.now_ms()
        prints = list_prints(MARKET, symbols("coinbase", "BTC-USD")[0], now - 300_000, now)
        expected = sum(p.price * p.size * (1 if p.buy else -1) for p in prints)
        assert ("live", len(prints)) == (flow.coverage, flow.prints)
        assert pytest.approx(expected, rel=1e-6) == flow.usd


async def test_funding_changes_follow_the_market() -> None:
    """What a listener is told adds up to the market's rate, each step far enough."""
    async with live(step=1.0) as world:
        with world.hub.listen_funding("hyperliquid", None, min_delta_bps=0.0005) as listener:
            await world.run(300)
            changes = listener.take().items
            assert changes
            last: dict[str, float] = {}
            for change in changes:
                assert abs(change.delta) * 1e4 >= 0.0005 - 1e-9
                assert pytest.approx(change.rate - change.prev_rate, abs=1e-14) == change.delta
                if change.coin in last:
                    assert last[change.coin] == change.prev_rate
                last[change.coin] = change.rate
            for coin, rate in last.items():
                perp = MARKET.funding("hyperliquid", coin, world.clock.now_ms())
                assert perp is not None
                assert abs(perp.funding_rate - rate) * 1e4 < 0.0005 + 1e-6


async def test_ten_thousand_listeners_leave_nothing_behind() -> None:
    """Coming and going, with one socket all the while."""
    async with live() as world:
        with world.hub.hold("hyperliquid"):
            await world.run(5)
            for n in range(10_000):
                with world.hub.listen("hyperliquid", ["BTC", "ETH"][: n % 3] or None, float(n)):
                    pass
                with world.hub.listen_funding("hyperliquid", ["BTC"][: n % 2] or None):
                    pass
            board = world.hub.tape("hyperliquid").board
            rates = world.hub.rates("hyperliquid")
            assert (0, 0, set()) == (len(board), len(rates), board.coins)
            assert float("inf") == board.least
            assert [1, 0] == [feed.needs for feed in world.hub.feeds()]
            await world.run(5)
        assert 2 == world.sockets(HOST)


async def test_closing_with_open_sockets_wakes_the_listeners() -> None:
    """A listener that waits gets an empty batch; nothing hangs, nothing is left running."""
    ended: list[int] = []
    async with anyio.create_task_group() as tasks:
        settings = from_environment({}, source="sim")
        async with running(settings) as app:
            hub = app.core().tape

            async def listen() -> None:
                with hub.listen("hyperliquid", ["BTC"], 1e12) as listener:
                    ended.append(len((await listener.batch()).items))
                    assert listener.closed

            tasks.start_soon(listen)
            assert None is await hub.settle("hyperliquid", ["BTC"])
            assert None is await hub.settle("coinbase", ["BTC"])
    assert [0] == ended
    assert [] == [feed for feed in hub.feeds() if feed.state.connected]
