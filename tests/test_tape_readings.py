"""Questions to the tape: null, zero, live, stale; newest first; resuming after an event."""

import pytest
from leaping import START, Live, live

from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.tape.feed import Feed
from mmflow_mcp.tape.readings import net_taker_usd, prints_after, recent_prints

pytestmark = pytest.mark.anyio
HL = "hyperliquid"


def one(number: int, ts: int, usd: float, *, side: str = "buy", coin: str = "BTC") -> TapePrint:
    """A print of hyperliquid."""
    return TapePrint(HL, coin, ts, side, 100.0, usd / 100.0, usd, number)


def connected(world: Live, *coins: str, since: int = START) -> Feed:
    """A feed as if it were connected since then, with these coins; nothing of it runs yet."""
    feed = world.hub.need(HL, coins)
    feed.state.connected = True
    feed.state.heard_ms = world.clock.now_ms()
    tape = world.hub.tape(HL)
    tape.subscribed(coins, since)
    for coin in coins:
        tape.coins[coin].fresh = False
    return feed


def later(world: Live, seconds: float, *, heard: bool = True) -> int:
    """Move the clock without running anything; the moment."""
    world.clock._at += seconds
    feed = world.hub.need(HL, ())
    if heard:
        feed._heard = world.clock.monotonic()
        feed.state.heard_ms = world.clock.now_ms()
    return world.clock.now_ms()


async def test_null_before_the_window_is_covered_and_zero_when_quiet() -> None:
    """299 s are not 300; a quiet coin of a connected feed is a measured zero."""
    async with live() as world:
        connected(world, "BTC", "ETH")
        later(world, 299)
        early = net_taker_usd(world.hub, HL, "BTC")
        assert (None, "none") == (early.usd, early.coverage)
        assert early.reason is not None
        assert early.reason.startswith("missing:")
        later(world, 1)
        flow = net_taker_usd(world.hub, HL, "BTC")
        assert (0.0, "live", 0, None) == (flow.usd, flow.coverage, flow.prints, flow.reason)


async def test_buys_less_sells_of_the_window_only() -> None:
    """Sign + is net buying; what is 300 s old is out; other coins do not count."""
    async with live() as world:
        connected(world, "BTC", "ETH")
        now = later(world, 400)
        prints = [
            one(1, now - 300_000, 50.0),
            one(2, now - 299_999, 1000.0),
            one(3, now - 1_000, 300.0, side="sell"),
            one(4, now + 2_000, 7.0),
            one(5, now, 9_000.0, coin="ETH"),
        ]
        world.hub.tape(HL).take(prints, now)
        flow = net_taker_usd(world.hub, HL, "BTC")
        assert (707.0, 3) == (flow.usd, flow.prints)
        assert (now - 300_000, now) == (flow.since, flow.until)
        assert None is net_taker_usd(world.hub, HL, "BTC", 500_000).usd


async def test_a_feed_silent_for_120_s_is_stale() -> None:
    """The window then ends where it was last heard; long after that there is no number."""
    async with live() as world:
        connected(world, "BTC")
        now = later(world, 400)
        world.hub.tape(HL).take([one(1, now - 290_000, 100.0)], now)
        later(world, 119, heard=False)
        assert ("live", 0.0) == _told(world)
        later(world, 1, heard=False)
        assert ("stale", 100.0) == _told(world)
        reason = net_taker_usd(world.hub, HL, "BTC").reason
        assert reason is not None
        assert reason.startswith("timeout:")
        later(world, 500, heard=False)
        assert ("none", None) == _told(world)


def _told(world: Live) -> tuple[str, float | None]:
    flow = net_taker_usd(world.hub, HL, "BTC")
    return flow.coverage, flow.usd


async def test_a_broken_socket_ends_the_window() -> None:
    """While it is away the sum is that of the time before, not one with a hole."""
    async with live() as world:
        feed = connected(world, "BTC")
        now = later(world, 400)
        tape = world.hub.tape(HL)
        tape.take([one(1, now - 290_000, 100.0)], now)
        feed.state.connected = False
        tape.lost(now)
        later(world, 20, heard=False)
        flow = net_taker_usd(world.hub, HL, "BTC")
        assert ("live", 100.0, now) == (flow.coverage, flow.usd, flow.until)
        feed.state.connected = True
        tape.subscribed(["BTC"], later(world, 1))
        assert ("none", None) == _told(world)
        tape.take([one(1, now - 290_000, 100.0), one(2, now + 5_000, 40.0)], world.clock.now_ms())
        assert ("live", 40.0) == _told(world)


async def test_two_breaks_in_a_row_leave_no_hole_in_the_sum() -> None:
    """Before the first outage is closed the second begins: the window ends at the first."""
    async with live() as world:
        feed = connected(world, "BTC")
        now = later(world, 400)
        tape = world.hub.tape(HL)
        tape.take([one(1, now - 290_000, 100.0)], now)
        tape.lost(now)
        tape.subscribed(["BTC"], later(world, 30))
        feed.state.connected = False
        tape.lost(later(world, 5))
        flow = net_taker_usd(world.hub, HL, "BTC")
        assert (100.0, now) == (flow.usd, flow.until)


async def test_a_window_that_was_cut_has_no_sum() -> None:
    """More than fits was printed: a sum of what is left would look right and be wrong."""
    async with live() as world:
        connected(world, "BTC")
        now = later(world, 400)
        tape = world.hub.tape(HL)
        tape.coins["BTC"].cut = now - 100_000
        assert ("none", None) == _told(world)


async def test_recent_prints_are_newest_first_with_their_span() -> None:
    """Thresholds and times are inclusive; the span is told, and what there was before a limit."""
    async with live() as world:
        connected(world, "BTC", "ETH")
        now = later(world, 100)
        rows = [(1, 1, 100_000.0), (2, 9, 250_000.0), (3, 5, 99_999.99), (4, 9, 100_000.0)]
        world.hub.tape(HL).take([one(n, now + ts, usd) for n, ts, usd in rows], now)
        world.hub.tape(HL).take([one(1, now + 7, 1e6, side="sell", coin="ETH")], now)
        seen = recent_prints(world.hub, HL)
        assert [4, 2, 1, 1] == [p.trade_id for p in seen.prints]
        assert (START, now, [], 4, None) == (
            seen.since,
            seen.until,
            seen.gaps,
            seen.total,
            seen.reason,
        )
        assert [4, 2] == [
            p.trade_id for p in recent_prints(world.hub, HL, "BTC", since_ms=now + 9).prints
        ]
        few = recent_prints(world.hub, HL, limit=1)
        assert ([4], 4) == ([p.trade_id for p in few.prints], few.total)
        small = recent_prints(world.hub, HL, "BTC", 1.0)
        assert [4, 2, 3, 1] == [p.trade_id for p in small.prints]


async def test_nothing_is_complete_before_the_first_subscription() -> None:
    """An empty list of a feed that has not begun is no zero."""
    async with live() as world:
        seen = recent_prints(world.hub, HL)
        assert ([], None, None) == (seen.prints, seen.since, seen.until)


async def test_a_reader_resumes_after_an_event() -> None:
    """In order of arrival, filtered as before; an unknown id is not guessed."""
    async with live() as world:
        connected(world, "BTC", "ETH")
        now = later(world, 10)
        with world.hub.listen(HL) as listener:
            world.hub.tape(HL).take([one(n, now, 10.0 * n) for n in (1, 2, 3)], now)
            world.hub.tape(HL).take([one(4, now - 5, 70_000.0), one(1, now, 5, coin="ETH")], now)
            told = listener.take().items
        assert [f"{now}", f"{now}-1", f"{now}-2", f"{now - 5}", f"{now}-3"] == [
            p.event_id for p in told
        ]

        def after(event: str, *coins: str, usd: float = 0.0) -> list[int] | None:
            found = prints_after(world.hub, HL, event, coins or None, usd)
            return None if found is None else [p.trade_id for p in found]

        assert [2, 3, 4, 1] == after(f"{now}")
        assert [4, 1] == after(f"{now}-2")
        assert [3, 4] == after(f"{now}-1", "BTC")
        assert [4] == after(f"{now}", usd=1000.0)
        assert [] == after(f"{now}-3")
        for unknown in (f"{now}-9", "17", "x", "", "-1", f"{now}-x"):
            assert None is prints_after(world.hub, HL, unknown)


async def test_a_venue_without_a_feed_is_an_error() -> None:
    """Not an empty answer."""
    async with live() as world:
        for venue in ("kraken", "nobody"):
            with pytest.raises(KeyError):
                net_taker_usd(world.hub, venue, "BTC")
            with pytest.raises(KeyError), world.hub.listen(venue):
                pass
        assert ["coinbase", "hyperliquid"] == world.hub.able()
        assert ["hyperliquid"] == world.hub.able("contexts")


async def test_a_venue_that_is_switched_off_is_not_asked() -> None:
    """Neither its feed nor its tape."""
    async with live(venues_off=["hyperliquid"]) as world:
        with pytest.raises(KeyError):
            net_taker_usd(world.hub, HL, "BTC")
        assert ["coinbase"] == world.hub.able()


async def test_a_fill_shows_recent_trades_and_proves_nothing() -> None:
    """At a cold start the venue's answer stands in the list, and what it lacks is said."""
    async with live() as world:
        told = await world.hub.fill(HL, ["BTC", "kek"])
        assert 1 == len(told)
        assert told[0].startswith("missing: the tape of BTC reaches back only to")
        seen = recent_prints(world.hub, HL, "BTC", 0.0)
        assert 10 == len(seen.prints)
        assert None is seen.since
        await world.hub.fill(HL, ["BTC"])
        assert 10 == recent_prints(world.hub, HL, "BTC", 0.0).total
