"""Live liquidations of seven venues over simulated sockets, in leaping time, against one truth."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from leaping import MARKET, START, LeapClock, Live, live
from worlds import envelope

from mmflow_mcp.app import running
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim import bybit_ws
from mmflow_mcp.sim.fapi_ws import largest
from mmflow_mcp.sim.positions import Closure, closures_of_venue, liquidated
from mmflow_mcp.tape.feed import Timing
from mmflow_mcp.tape.hub import LIQUIDATIONS
from mmflow_mcp.tape.readings import liquidations_of, need_liquidations
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.binance import Binance
from mmflow_mcp.venues.bybit import Bybit
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import ClosingRule

pytestmark = pytest.mark.anyio

VENUES = ("aster", "binance", "bybit", "deribit", "gateio", "lighter", "okx")
SAMPLED = ("aster", "binance")
Key = tuple[str, int, str, float]
Gap = tuple[str, int, int]


def truth(venue: str, since: int, until: int) -> Counter[Key]:
    """What was closed by force, as the venue tells it: by contract, time, side and amount.

    The amount is coins, or USD of inverse contracts: Gate tells another price than that of a fill.
    """
    found: Iterable[Closure] = closures_of_venue(MARKET, venue, since, until)
    if venue in SAMPLED:
        found = largest(list(found))
    unique = {(o.listing.symbol, o.at_ms, o.long, o.price, o.size): o for o in found}
    return Counter(
        (
            o.listing.symbol,
            o.at_ms,
            "long" if o.long else "short",
            _short(
                o.usd if o.listing.margin == "inverse" else o.usd / o.price * o.listing.multiplier
            ),
        )
        for o in unique.values()
    )


def _short(amount: float) -> float:
    return float(f"{amount:.9g}")


def seen(world: Live, venue: str, since: int, until: int) -> tuple[Counter[Key], set[Gap]]:
    """What the tape holds of that time over all coins, and the gaps by coin."""
    contracts = world.hub.liquidations(venue).contracts.values()
    inverse = {one.symbol for one in contracts if one.margin == "inverse"}
    closed = liquidations_of(world.hub, venue, {one.coin for one in contracts})
    found = Counter(
        (
            one.symbol,
            one.ts,
            one.side,
            _short(one.notional_usd if one.symbol in inverse else one.size),
        )
        for tape in closed.tapes.values()
        for one in tape.prints
        if since < one.ts <= until
    )
    gaps = {(coin, *gap) for coin, tape in closed.tapes.items() for gap in tape.gaps}
    return found, gaps


@pytest.mark.parametrize("venue", VENUES)
async def test_every_liquidation_once_over_reconnects(venue: str) -> None:
    """Half an hour in which sockets break each two and a half: once each, or in a gap that is told.

    What Lighter repeats closes its gaps.
    """
    # Lighter takes one market a message, so that its clock must leap less.
    step = 1.0 if venue == "lighter" else 4.0
    async with live(f"{venue}:hang_up=150", step=step) as world:
        with world.hub.hold(venue, LIQUIDATIONS):
            await world.run(120)
            since = world.clock.now_ms()
            await world.run(1800)
            until = world.clock.now_ms() - 10_000
            expected = truth(venue, since, until)
            found, gaps = seen(world, venue, since, until)
            feeds = world.hub.feeds()
        coins = {one.symbol: one.coin for one in MARKET.listings(venue, START)}
        assert len(expected) > 4
        assert {1} == set(found.values())
        assert found <= expected
        for symbol, at, _, _ in expected - found:
            assert any(c == coins[symbol] and a <= at <= b for c, a, b in gaps), (symbol, at)
        assert len(found) >= len(expected) * 0.8
        assert all(feed.state.connections >= 10 for feed in feeds)
        assert 0 == world.hub.liquidations(venue).unread
        longest = 150_000 if venue == "lighter" else 60_000
        assert all(b - a < longest for _, a, b in gaps)


@pytest.mark.parametrize(
    ("venue", "fault"),
    [
        ("okx", "shuffle"),
        ("bybit", "duplicate"),
        ("gateio", "garbage"),
        ("deribit", "extra"),
        ("binance", "duplicate"),
    ],
)
async def test_frames_that_are_out_of_order_doubled_or_garbage(venue: str, fault: str) -> None:
    """Everything true is there once, whatever comes between."""
    path = {"bybit": "v5/public", "gateio": "v4/ws"}.get(venue, "/ws")
    async with live(f"{venue}/{path}:{fault}", step=4.0) as world:
        with world.hub.hold(venue, LIQUIDATIONS):
            await world.run(60)
            since = world.clock.now_ms()
            await world.run(900)
            # A frame that is held back lies there until the next.
            until = world.clock.now_ms() - (400_000 if fault == "shuffle" else 10_000)
            found, gaps = seen(world, venue, since, until)
        expected = truth(venue, since, until)
        assert expected
        assert (expected, set()) == (found, gaps)
        kept = world.hub.liquidations(venue)
        assert (fault == "garbage") == (kept.unread > 0)
        assert (fault == "duplicate") <= (kept.duplicates > 0)


async def test_a_topic_that_is_gone_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bybit refuses the whole message: all but the one are taken, and the coin is not covered."""
    whole = Bybit.liquidation_feed

    def with_one_more(self: Bybit) -> ClosingRule:
        rule = whole(self)

        async def contracts(ask: Ask) -> dict[str, Contract]:
            gone = Contract("GONEUSDT", "SOL", 1, "USDT")
            return {**await rule.contracts(ask), "GONEUSDT": gone}

        return replace(rule, contracts=contracts)

    monkeypatch.setattr(Bybit, "liquidation_feed", with_one_more)
    async with live() as world:
        with world.hub.hold("bybit", LIQUIDATIONS):
            await world.run(40)
            feed = world.hub.feed("bybit", "liquidations/linear")
            assert feed is not None
            assert {"GONEUSDT"} == set(feed.symbols) - feed.taken
            assert len(feed.taken) > 40
            assert 1 == feed.state.connections
            closed = liquidations_of(world.hub, "bybit", ["BTC", "SOL"])
        assert ["BTC"] == list(closed.tapes)


async def test_an_answer_that_was_lost_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bybit refuses what stands already: so it stands, and the rest is asked for in pieces."""
    whole = bybit_ws.Liquidations.heed

    async def silent_at_first(self: bybit_ws.Liquidations, asked: Any) -> None:
        if asked["op"] == "subscribe" and not self.topics:
            self.topics.update(asked["args"])
        else:
            await whole(self, asked)

    monkeypatch.setattr(bybit_ws.Liquidations, "heed", silent_at_first)
    async with live(timing=Timing(taken=100.0)) as world:
        with world.hub.hold("bybit", LIQUIDATIONS):
            await world.run(50)
            assert {} == liquidations_of(world.hub, "bybit", ["BTC"]).tapes
            await world.run(60)
            feeds = world.hub.feeds()
            assert ["BTC"] == list(liquidations_of(world.hub, "bybit", ["BTC"]).tapes)
        assert all(set(feed.symbols) == feed.taken for feed in feeds)
        assert [1, 1] == [feed.state.connections for feed in feeds]


@pytest.mark.parametrize("venue", ["binance", "bybit", "gateio", "okx", "deribit"])
async def test_a_venue_that_takes_no_subscription_covers_nothing(venue: str) -> None:
    """An open socket is no feed: the reason is kept, and there is no zero."""
    async with live(f"{venue}:unsubscribed") as world:
        with world.hub.hold(venue, LIQUIDATIONS):
            await world.run(30)
            closed = liquidations_of(world.hub, venue, ["BTC"])
        assert {} == closed.tapes
        assert closed.reason is not None
        assert closed.reason.startswith("refused: the venue took no subscription")


async def test_the_older_address_of_binance_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It connects and stays silent: nothing is covered."""
    whole = Binance.liquidation_feed
    old = "wss://fstream.binance.com/ws/!forceOrder@arr"

    def outdated(self: Binance) -> ClosingRule:
        rule = whole(self)
        return replace(rule, feeds=(replace(rule.feeds[0], url=old),))

    monkeypatch.setattr(Binance, "liquidation_feed", outdated)
    async with live() as world:
        with world.hub.hold("binance", LIQUIDATIONS):
            await world.run(60)
            closed = liquidations_of(world.hub, "binance", ["BTC"])
        assert {} == closed.tapes
        assert closed.reason is not None


async def test_a_socket_that_falls_silent_is_a_gap_from_its_last_word() -> None:
    """No pong for a minute: a new socket, and the time between is told."""
    async with live("deribit/ws:dead_socket,after=100,times=1", step=2.0) as world:
        with world.hub.hold("deribit", LIQUIDATIONS):
            await world.run(130)
            assert 1 == world.sockets("www.deribit.com", "/ws/api/v2")
            await world.run(60)
            assert 2 == world.sockets("www.deribit.com", "/ws/api/v2")
            found = liquidations_of(world.hub, "deribit", ["BTC"]).tapes["BTC"]
        (gap,) = found.gaps
        assert START + 78_000 <= gap[0] <= START + 102_000
        assert START + 130_000 <= gap[1] <= START + 190_000


async def test_a_question_keeps_the_feed_for_an_hour() -> None:
    """Then the socket is closed; what was heard stays, and the pause is a gap."""
    async with live(step=20.0) as world:
        need_liquidations(world.hub, "okx")
        await world.run(3500)
        assert [True] == [feed.state.connected for feed in world.hub.feeds()]
        await world.run(300)
        assert [] == world.hub.feeds()
        await world.run(1000)
        liquidations_of(world.hub, "okx", ["BTC"])
        await world.run(200)
        found = liquidations_of(world.hub, "okx", ["BTC"]).tapes["BTC"]
        (gap,) = found.gaps
        assert START <= found.since_ms < START + 60_000
        assert START + 3_500_000 < gap[0] < gap[1] < START + 4_900_000
        assert gap[1] - gap[0] > 900_000
        assert 2 == world.sockets("ws.okx.com", "/ws/v5/public")


class TestAnswers:
    """get_liquidations: requests and feeds, whatever of them is there."""

    async def test_a_cold_start_answers_from_what_is_there(self) -> None:
        """Requests at once, and the feeds have begun: nobody waits for a socket."""
        clock = LeapClock(step=5.0)
        async with running(from_environment({}, source="sim"), clock=clock) as app:
            first = await envelope(app, "get_liquidations", coins="BTC")
            assert START == clock.now_ms()
            assert ["gateio", "okx"] == first["data"][0]["venues"]
            assert ["gateio", "okx"] == list(first["meta"]["covered"])
            await clock.run(600)
            found = await envelope(app, "get_liquidations", coins="BTC,ETH")
            meta = found["meta"]
            assert [list(VENUES)] * 2 == [row["venues"] for row in found["data"]]
            assert set(SAMPLED) | {"okx"} == set(meta["lowerBound"])
            hours = {venue: span["hours"] for venue, span in meta["covered"].items()}
            assert (24.0, 1.0) == (hours["okx"], hours["gateio"])
            assert all(0.1 < hours[venue] < 0.2 for venue in ("aster", "binance", "bybit"))
            assert True is meta["partial"]
            short = {note["source"] for note in meta["sources"]}
            assert set(VENUES) - {"okx"} == short

    async def test_the_sums_are_the_markets(self) -> None:
        """Bybit by its feed; gate by its requests before the feed and by the feed since."""
        clock = LeapClock(step=5.0)
        async with running(from_environment({}, source="sim"), clock=clock) as app:
            cold = await envelope(app, "get_liquidations", coins="BTC", venues="bybit")
            assert ([], True) == (cold["data"], cold["meta"]["partial"])
            (note,) = cold["meta"]["sources"]
            assert note["reason"].startswith("missing: the live feed has just begun")
            await envelope(app, "get_liquidations", coins="BTC", venues="gateio")
            await clock.run(1500)
            for venue, rel in (("bybit", 1e-9), ("gateio", 0.004)):
                found = await envelope(app, "get_liquidations", coins="BTC", venues=venue)
                (row,) = found["data"]
                span = clock.now_ms() - found["meta"]["covered"][venue]["sinceMs"]
                longs, shorts, largest, count = liquidated(
                    MARKET, venue, "BTC", clock.now_ms(), span
                )
                assert (count, [venue]) == (row["records24h"], row["venues"])
                assert count > 2
                assert pytest.approx(longs, rel=rel, abs=0.06) == row["long24hUsd"]
                assert pytest.approx(shorts, rel=rel, abs=0.06) == row["short24hUsd"]
                assert pytest.approx(largest, rel=rel, abs=0.06) == row["max24hUsd"]

    async def test_half_a_minute_of_silence_is_no_zero(self) -> None:
        """Nothing was heard and little was listened: no row, and no 24 hours of nothing."""
        clock = LeapClock(step=5.0)
        async with running(from_environment({}, source="sim"), clock=clock) as app:
            await envelope(app, "get_liquidations", coins="PEPE", venues="aster")
            await clock.run(30)
            early = await envelope(app, "get_liquidations", coins="PEPE", venues="aster")
            (note,) = early["meta"]["sources"]
            assert ([], True) == (early["data"], early["meta"]["partial"])
            assert note["reason"].startswith("missing: the live feed has just begun")
            await clock.run(180)
            (row,) = (await envelope(app, "get_liquidations", coins="PEPE", venues="aster"))["data"]
            assert ["aster"] == row["venues"]

    async def test_a_feed_that_is_down_is_told(self) -> None:
        """With the reason; nothing of it is 0. Alone it is an error and no empty success."""
        clock = LeapClock(step=2.0)
        settings = from_environment({}, source="sim", faults="bybit/v5/public:refused")
        async with running(settings, clock=clock) as app:
            await envelope(app, "get_liquidations", coins="BTC", venues="bybit,okx")
            await clock.run(60)
            found = await envelope(app, "get_liquidations", coins="BTC", venues="bybit,okx")
            assert ["okx"] == found["data"][0]["venues"]
            (note,) = found["meta"]["sources"]
            assert ("bybit", "error") == (note["source"], note["status"])
            assert note["reason"].startswith("refused")

    async def test_an_unknown_coin_is_an_error_once_the_lists_are_there(self) -> None:
        """Nobody lists it; and what only some list is said."""
        clock = LeapClock(step=5.0)
        async with running(from_environment({}, source="sim"), clock=clock) as app:
            await envelope(app, "get_liquidations", coins="BTC", venues="aster,deribit")
            await clock.run(30)
            with pytest.raises(BadQuestion, match="NOPE"):
                await envelope(app, "get_liquidations", coins="NOPE", venues="aster,deribit")
            await clock.run(180)
            found = await envelope(app, "get_liquidations", coins="PEPE", venues="aster,deribit")
            assert {"PEPE": ["deribit"]} == found["meta"]["notListed"]
            assert ["aster"] == found["data"][0]["venues"]

    async def test_the_feed_answers_where_requests_fail(self) -> None:
        """What it heard counts, and the answer is partial and says why."""
        clock = LeapClock(step=2.0)
        faults = "okx/public/liquidation-orders:http=404"
        async with running(from_environment({}, source="sim", faults=faults), clock=clock) as app:
            with pytest.raises(AllVenuesFailed):
                await envelope(app, "get_liquidations", coins="BTC", venues="okx")
            await clock.run(600)
            found = await envelope(app, "get_liquidations", coins="BTC", venues="okx")
            (row,) = found["data"]
            assert ["okx"] == row["venues"]
            assert row["records24h"] > 0
            assert True is found["meta"]["partial"]
            assert 0.1 < found["meta"]["covered"]["okx"]["hours"] < 0.2
            reasons = [note["reason"] for note in found["meta"]["sources"]]
            assert any("404" in reason for reason in reasons)
