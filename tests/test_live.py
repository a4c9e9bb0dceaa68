"""get_whales and the watch tools on a simulated market that runs fast; live parts of the flows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from worlds import MARKET, NOW, ask, envelope, world

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import FastClock
from mmflow_mcp.endpoints.answer import Shape, written
from mmflow_mcp.endpoints.live import trade_row, whale_row
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, NothingImplemented
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.surfaces.mcp import build_server

pytestmark = pytest.mark.anyio

SPEED = 60.0


@asynccontextmanager
async def fast(start: int = NOW, **given: Any) -> AsyncIterator[App]:
    """A market whose minutes are seconds. Deadlines count its own seconds, so they are long."""
    settings = from_environment({}, source="sim", deadline=120.0, **given)
    async with running(settings, clock=FastClock(start, SPEED)) as app:
        yield app


def truth(coin: str, since: int, until: int) -> list[Any]:
    """Every print of a coin's perpetual on Hyperliquid in a stretch."""
    listing = next(
        item
        for item in MARKET.listings("hyperliquid", NOW)
        if (item.coin, item.kind, item.asset) == (coin, "perp", "crypto")
    )
    return list_prints(MARKET, listing, since, until)


async def covered(app: App, seconds: float, **question: Any) -> Any:
    """The whales once the tape has listened for so many simulated seconds."""
    with anyio.fail_after(20):
        while True:
            answer = await ask(app, "get_whales", **question)
            span = answer.meta["covered"]
            if span["since"] and span["until"] - span["since"] > seconds * 1000:
                return answer
            await anyio.sleep(0.2)


class TestWhales:
    """Large prints."""

    async def test_every_large_print_is_told_once(self) -> None:
        """Those of the market's truth in the span that is said to be complete, newest first."""
        async with fast() as app:
            answer = await covered(app, 60, coin="BTC", minUsd=1000, limit=1000)
        since = answer.meta["covered"]["since"]
        rows = [row for row in answer.data.rows if row.ts > since]
        assert rows
        assert sorted(rows, key=lambda row: -row.ts) == rows
        until = max(row.ts for row in rows)
        expected = [p for p in truth("BTC", since, until) if p.price * p.size >= 1000]
        assert [p.at_ms for p in expected] == sorted(row.ts for row in rows)
        by_time = {row.ts: row for row in rows}
        for one in expected:
            row = by_time[one.at_ms]
            assert ("buy" if one.buy else "sell") == row.side
            assert pytest.approx(one.price * one.size, rel=1e-9) == row.notional_usd

    async def test_a_cold_start_says_how_short_it_is(self) -> None:
        """A first question has only what the venue still tells; it is partial and says why."""
        async with world() as app:
            told = await envelope(app, "get_whales", coin="BTC", minUsd=0)
        assert told["meta"]["partial"]
        assert "sim:hyperliquid:whale-tape" == told["meta"]["source"]
        assert {"since", "until"} <= set(told["meta"]["covered"])
        assert told["data"]
        names = ["coin", "side", "notionalUsd", "price", "ts", "venue"]
        assert names == list(told["data"][0])[:6]

    async def test_nothing_of_a_venue_that_is_down_is_an_error(self) -> None:
        """An empty list would pass for a quiet market."""
        async with world("hyperliquid:http=503", "hyperliquid:dead_socket", deadline=1.0) as app:
            with pytest.raises(AllVenuesFailed, match="hyperliquid: http 503") as error:
                await ask(app, "get_whales")
        assert ["error"] == [note["status"] for note in error.value.meta["sources"]]

    async def test_a_restart_remembers(self, tmp_path: Path) -> None:
        """What one process saw, the next one tells; its own covered span begins anew."""
        place = f"sqlite:{tmp_path / 'h.sqlite'}"
        question = {"minUsd": 50_000, "limit": 1000}
        async with fast(store=place) as app:
            with anyio.fail_after(30):
                first = await covered(app, 30, **question)
                while not first.data.rows:
                    await anyio.sleep(0.3)
                    first = await ask(app, "get_whales", **question)
            await app.core().whales.keep(app.core())
            await app.core().whales.keep(app.core())
            began = app.clock.now_ms()
        assert first.data.rows[0].ts < began
        async with fast(store=place, start=began + 60_000) as app:
            again = await ask(app, "get_whales", **question)
        # More may have come between the question and the keeping, also of the same moments.
        kept = list(again.data.rows)
        assert set(first.data.rows) <= set(kept)
        assert len(set(kept)) == len(kept)
        assert sorted(kept, key=lambda row: -row.ts) == kept
        assert again.meta["partial"]
        assert again.meta["covered"]["since"] is None or again.meta["covered"]["since"] > began

    async def test_a_coin_that_does_not_trade_there_is_an_error(self) -> None:
        """It would be an empty list for ever."""
        async with world() as app:
            with pytest.raises(BadQuestion, match="NOSUCH"):
                await ask(app, "get_whales", coin="NOSUCH")
            with pytest.raises(BadQuestion, match="NOSUCH"):
                await ask(app, "watch_trades", coin="NOSUCH", seconds=1)

    @pytest.mark.parametrize(
        "arguments", [{"minUsd": -1}, {"minUsd": "nan"}, {"limit": 0}, {"limit": 1001}]
    )
    async def test_bad_numbers_are_refused(self, arguments: dict[str, Any]) -> None:
        """Negative, not a number, out of range."""
        async with world() as app:
            with pytest.raises(BadQuestion):
                await ask(app, "get_whales", **arguments)

    async def test_a_venue_that_is_off_is_said(self) -> None:
        """Not an empty tape."""
        async with world(venues_off="hl") as app:
            with pytest.raises(NothingImplemented, match="switched off"):
                await ask(app, "get_whales")
            summary = await ask(app, "get_flow_summary", coins="BTC")
        assert "none" == summary.data.rows.rows[0].coverage["hlMicro"]


def test_the_specifications_print() -> None:
    """1.85 x 64,320.2: 118,992.37 USD, told as 118,992.4."""
    one = TapePrint("hyperliquid", "BTC", 1, "buy", 64320.2, 1.85, 1.85 * 64320.2, 7)
    assert pytest.approx(118_992.37) == whale_row(one).notional_usd
    assert 118_992.4 == written(trade_row(one), Shape())["notionalUsd"]


class TestWatching:
    """Waiting for what happens."""

    async def test_prints_are_told_as_they_come(self) -> None:
        """Each once, in order, with what ended the watch."""
        async with fast() as app:
            await covered(app, 1, coin="BTC")
            answer = await ask(app, "watch_trades", coin="BTC", seconds=20, maxEvents=12)
        rows = answer.data.events.rows
        assert ("maxEvents", 12) == (answer.data.ended, len(rows))
        expected = truth("BTC", rows[0].ts - 1, rows[-1].ts)
        assert [p.at_ms for p in expected] == [row.ts for row in rows]
        assert not answer.meta["partial"]

    async def test_a_quiet_watch_ends_in_time(self) -> None:
        """Nothing happened: an empty list, and why it ended."""
        async with world() as app:
            with anyio.fail_after(5):
                answer = await ask(app, "watch_whales", minUsd=1e9, seconds=0.5)
        assert ("seconds", []) == (answer.data.ended, list(answer.data.events.rows))

    async def test_funding_changes_are_against_the_rate_told_last(self) -> None:
        """delta = rate - prevRate, at least as large as asked; the next prevRate is this rate."""
        async with fast() as app:
            question = {"coins": ["BTC", "ETH"], "minDeltaBps": 0.0001}
            answer = await ask(app, "watch_funding", seconds=3, **question)
        rows = [row for row in answer.data.events.rows if row.coin == "BTC"]
        assert rows
        for before, row in pairwise(rows):
            assert before.rate == row.prev_rate
        for row in rows:
            assert pytest.approx(row.rate - row.prev_rate, abs=1e-12) == row.delta
            assert abs(row.delta) * 1e4 >= 0.0001 - 1e-9

    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    async def test_a_client_sees_progress_and_may_leave(self, mode: str) -> None:
        """Both eras: a sign a second; a cancelled watch leaves no listener behind."""
        told: list[float] = []

        async def progress(
            progress: float, total: float | None = None, message: str | None = None
        ) -> None:
            told.append(progress)
            assert (3, True) == (total, "events" in (message or ""))

        async with fast() as app, Client(build_server(app), mode=mode) as client:
            arguments = {"minUsd": 1e9, "seconds": 2.3}
            result = await client.call_tool("watch_whales", arguments, progress_callback=progress)
            assert result.structured_content is not None
            assert [] == result.structured_content["data"]["events"]["rows"]
            assert [1, 2] == told
            board = app.core().tape.tape("hyperliquid").board
            with anyio.move_on_after(0.5):
                await client.call_tool("watch_whales", {"minUsd": 1e9, "seconds": 50})
            with anyio.fail_after(5):
                while len(board):  # noqa: ASYNC110 - the board has no event of its own
                    await anyio.sleep(0.05)


def net_of_takers(net: float, before: int, after: int) -> bool:
    """Whether it is that of five minutes of BTC which end at some moment of a question."""
    for until in range(before, after + 1000, 100):
        prints = truth("BTC", until - 300_000, until)
        if abs(net - sum((1 if p.buy else -1) * p.price * p.size for p in prints)) < 2_000:
            return True
    return False


async def test_the_flows_read_the_tape_once_it_covers_five_minutes() -> None:
    """hlMicro is unknown before, and then what takers bought less what they sold."""
    async with fast() as app:
        early = await ask(app, "get_flow_summary", coins="BTC")
        assert "none" == early.data.rows.rows[0].coverage["hlMicro"]
        await covered(app, 330, coin="BTC")
        for _ in range(20):
            before = app.clock.now_ms()
            later = await ask(app, "get_flow_summary", coins="BTC")
            (row,) = later.data.rows.rows
            net, coverage = row.hl_micro_net_usd5m, row.coverage["hlMicro"]
            # A busy machine reads the last prints late; then it is asked again.
            if coverage == "live" and net_of_takers(net, before, app.clock.now_ms()):
                break
        else:
            pytest.fail(f"no five minutes of the market come to {row.hl_micro_net_usd5m}")
    assert "HL " in row.headline


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_stream_resources_tell_their_subscribers(mode: str) -> None:
    """Both eras: who follows the prints of a coin is told that there are new ones."""
    uri = "mmflow://streams/trades/BTC"
    told = anyio.Event()

    async def heard(message: Any) -> None:
        if getattr(getattr(message, "params", None), "uri", None) == uri:
            told.set()

    async with (
        fast() as app,
        Client(build_server(app), mode=mode, message_handler=heard) as client,
    ):
        with anyio.fail_after(20):
            if mode == "legacy":
                await client.session.subscribe_resource(uri)
                await told.wait()
            else:
                await client.read_resource(uri)
                async with client.listen(resource_subscriptions=[uri]) as events:
                    async for _ in events:
                        break
            read = await client.read_resource(uri)
            assert '"coin":"BTC"' in read.contents[0].text  # type: ignore[union-attr]
            rates = await client.read_resource("mmflow://streams/funding")
            assert "rate" in rates.contents[0].text  # type: ignore[union-attr]


async def test_the_tape_can_be_held() -> None:
    """`serve --tape`: every feed runs although nobody has asked, and covers what comes."""
    async with fast() as app:
        app.soon(app.hold_tape)
        hub = app.core().tape
        with anyio.fail_after(10):
            while len(hub.feeds()) < 10:  # noqa: ASYNC110 - feeds have no event of their own
                await anyio.sleep(0.05)
        venues = {feed.rule.venue for feed in hub.feeds()}
        liquidations = {"binance", "bybit", "okx", "gateio", "aster", "lighter", "deribit"}
        assert {"hyperliquid", "coinbase", *liquidations} == venues
