"""History: back-filled on a fresh store, recorded on a running one, the same after a restart."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from cachefleets import until
from worlds import MARKET, NOW, ask, counted, envelope, world

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import HOUR_MS, FixedClock
from mmflow_mcp.core.archive import evened, holes_of, share_of
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, StoreAway, StoreUnwritable
from mmflow_mcp.fleet.lease import OwnLease
from mmflow_mcp.metrics.declare import samplings
from mmflow_mcp.metrics.recorder import OFFSET_MS, Recorder
from mmflow_mcp.series.places import open_lease
from mmflow_mcp.series.store import Batch, Point, SeriesKey, cell
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces import questions

pytestmark = pytest.mark.anyio

TEN = 600_000
ONLY_TWO = "aster,binance,bitmex,bybit,deribit,gateio,kraken,okx"


@asynccontextmanager
async def moving(clock: FixedClock, *faults: str, **given: Any) -> AsyncIterator[App]:
    """An app on the simulated market whose time a test moves on."""
    settings = from_environment({}, source="sim", faults=";".join(faults), **given)
    async with running(settings, clock=clock) as app:
        yield app


def settled(venue: str, coin: str, since: int, until: int) -> dict[int, float]:
    """What the market's truth says was paid, by hour of settlement."""
    perp = MARKET.funding(venue, coin, NOW)
    assert perp is not None
    period = perp.listing.paid_hours * HOUR_MS
    first = -(-since // period) * period
    return {t: MARKET.settled_funding(perp.listing, t) for t in range(first, until, period)}


class TestBackfill:
    """A store that knows nothing yet."""

    @pytest.mark.parametrize("venue", ["hyperliquid", "binance", "bybit", "okx"])
    async def test_what_was_paid_is_the_markets(self, venue: str) -> None:
        """Every settlement of the last day and a half, with its kind and period."""
        since = NOW - 36 * HOUR_MS
        async with world() as app:
            answer = await ask(
                app, "get_funding_history", coin="BTC", venues=venue, sinceMs=str(since)
            )
        name = "hl" if venue == "hyperliquid" else venue
        found = {row.ts: row.by_venue[name] for row in answer.data.points.rows}
        expected = settled(venue, "BTC", since, NOW)
        assert expected.keys() == found.keys()
        for t, rate in expected.items():
            assert pytest.approx(rate, rel=1e-9, abs=1e-15) == found[t]
        assert {name: "settled"} == answer.data.kinds
        assert not answer.meta["partial"]

    async def test_it_is_fetched_once(self) -> None:
        """A second question about the same span asks nobody; a longer one asks for more."""
        async with counted() as (app, asked):
            first = await ask(app, "get_oi_history", coin="BTC", venues="binance", sinceMs="-6h")
            before = sum(asked.values())
            again = await ask(app, "get_oi_history", coin="BTC", venues="binance", sinceMs="-6h")
            assert before == sum(asked.values())
            longer = await ask(app, "get_oi_history", coin="BTC", venues="binance", sinceMs="-12h")
            assert before < sum(asked.values())
        assert first.data.points.rows == again.data.points.rows
        assert "mmflow:history" in again.meta["source"]
        assert len(first.data.points.rows) < len(longer.data.points.rows)

    async def test_what_is_older_than_is_kept_is_answered_too(self) -> None:
        """The store keeps a day here; two days are asked for, twice."""
        since = NOW - 48 * HOUR_MS
        async with world(retention_days=1.0) as app:
            for _ in range(2):
                answer = await ask(
                    app, "get_funding_history", coin="BTC", venues="hl", sinceMs=str(since)
                )
                found = {row.ts: row.by_venue["hl"] for row in answer.data.points.rows}
                assert settled("hyperliquid", "BTC", since, NOW).keys() == found.keys()

    async def test_questions_at_once_each_get_their_span(self) -> None:
        """A long one that finds a short one's back-fill under way is not cut to it."""
        rows: dict[str, int] = {}

        async with world("hyperliquid:latency=0.2") as app:

            async def one(since: str) -> None:
                question = {"coin": "BTC", "venues": "hl", "sinceMs": since}
                answer = await ask(app, "get_funding_history", **question)
                rows[since] = len(answer.data.points.rows)

            async with anyio.create_task_group() as tasks:
                for since in ("-6h", "-48h"):
                    tasks.start_soon(one, since)
        assert {"-6h": 6, "-48h": 48} == rows

    async def test_open_interest_is_the_markets(self) -> None:
        """All perpetuals of the coin on the venue, summed, at every moment of the venue's grid."""
        async with world() as app:
            answer = await ask(app, "get_oi_history", coin="ETH", venues="binance", sinceMs="-2h")
        rows = answer.data.points.rows
        assert 20 < len(rows)
        for row in rows[:: len(rows) // 5]:
            truth = MARKET.open_interest("binance", "ETH", row.t)
            assert truth is not None
            assert pytest.approx(truth[1], rel=2e-4) == row.v

    async def test_what_a_shorter_question_stored_changes_no_longer_one(self) -> None:
        """Six days are told more coarsely than one: both are even, and few points span all."""
        six = {"coin": "BTC", "venues": "bybit", "sinceMs": str(NOW - 144 * HOUR_MS)}
        async with world() as app:
            fresh = await ask(app, "get_oi_history", **six)
        async with world() as app:
            day = await ask(app, "get_oi_history", coin="BTC", venues="bybit", sinceMs="-24h")
            asked = questions.understand("get_oi_history", six)
            warm = await questions.answer(app.core(), asked)
        assert day.data.cadence_ms < fresh.data.cadence_ms
        assert fresh.data.points.rows == warm.data.points.rows
        assert (fresh.data.cadence_ms, None) == (warm.data.cadence_ms, warm.data.gaps)
        few = questions.result(asked, warm, "columns")["data"]["points"]["rows"]
        assert 42 == len(few)
        assert fresh.data.points.rows[0].t == few[0][0]

    async def test_days_of_a_month_do_not_stand_in_for_hours(self) -> None:
        """OKX tells a month by the day; two days asked after it begin where they begin."""
        quarter, since = 15 * 60_000, NOW - 48 * HOUR_MS
        async with world() as app:
            month = await ask(app, "get_oi_history", coin="BTC", venues="okx", sinceMs="-30d")
            two = await ask(app, "get_oi_history", coin="BTC", venues="okx", sinceMs=str(since))
        times = [row.t for row in two.data.points.rows]
        assert 24 * HOUR_MS == month.data.cadence_ms
        assert list(range(-(-since // quarter) * quarter, times[-1] + 1, quarter)) == times
        assert (False, quarter, None) == (two.meta["partial"], two.data.cadence_ms, two.data.gaps)

    async def test_a_day_that_was_asked_first_does_not_break_the_week(self) -> None:
        """A day comes in finer steps than a week: what is answered is as if it had not been."""
        week = {"coin": "BTC", "venues": "binance", "sinceMs": "-7d"}
        async with world() as app:
            whole = (await ask(app, "get_oi_history", **week)).data
            unusual = (await ask(app, "get_funding_regime", coins="BTC", venues="binance")).data
        async with world() as app:
            day = (await ask(app, "get_oi_history", **{**week, "sinceMs": "-24h"})).data
            mixed = (await ask(app, "get_oi_history", **week)).data
            again = (await ask(app, "get_funding_regime", coins="BTC", venues="binance")).data
        assert day.cadence_ms < whole.cadence_ms
        assert (whole.cadence_ms, whole.gaps) == (mixed.cadence_ms, mixed.gaps)
        assert whole.points.rows == mixed.points.rows
        assert unusual.rows.rows == again.rows.rows

    async def test_what_outlasts_the_deadline_goes_on(self) -> None:
        """The first answer is partial and says so; the next one has it."""
        question = {"coin": "BTC", "venues": "hyperliquid", "sinceMs": "-24h"}
        async with world("hyperliquid:latency=0.6", deadline=0.4) as app:
            first = await ask(app, "get_funding_history", **question)
            assert first.meta["partial"]
            assert first.meta["sources"][0]["reason"].startswith("timeout")
            assert [] == list(first.data.points.rows)
            with anyio.fail_after(10):
                while True:
                    later = await ask(app, "get_funding_history", **question)
                    if not later.meta["partial"]:
                        break
        assert len(settled("hyperliquid", "BTC", NOW - 24 * HOUR_MS, NOW)) == len(
            later.data.points.rows
        )

    async def test_a_venue_that_fails_is_named(self) -> None:
        """The others' history stands; it is asked again the next time."""
        async with world("bybit:http=503", deadline=2.0) as app:
            answer = await ask(
                app, "get_funding_history", coin="BTC", venues="bybit,okx", sinceMs="-24h"
            )
        assert answer.meta["partial"]
        assert ["bybit"] == [note["source"] for note in answer.meta["sources"]]
        assert ["okx"] == list(answer.data.kinds)

    async def test_nothing_of_any_venue_is_an_error(self) -> None:
        """An empty series would pass for a quiet market; what was kept is answered all the same."""
        questions = (
            ("get_funding_history", {"coin": "BTC", "venues": "bybit,okx"}),
            ("get_oi_history", {"coin": "BTC", "venues": "bybit"}),
            ("get_oi_history", {"coin": "BTC", "venues": "bybit,okx"}),
            ("get_funding_regime", {"coins": "BTC,ETH", "venues": "bybit"}),
        )
        async with world("bybit:http=503", "okx:http=503", deadline=2.0) as app:
            for tool, question in questions:
                with pytest.raises(AllVenuesFailed, match="bybit: http 503") as error:
                    await ask(app, tool, **question)
                assert error.value.meta["partial"]
                assert "sim:" == error.value.meta["source"][:4]
            other = await ask(app, "get_oi_history", coin="BTC", venues="bybit,hyperliquid")
        # Hyperliquid keeps no record: that is no failure.
        assert other.meta["partial"]
        statuses = {note["source"]: note["status"] for note in other.meta["sources"]}
        assert {"bybit": "error", "hyperliquid": "missing"} == statuses

    async def test_an_unknown_coin_is_an_error(self) -> None:
        """With the venues that were asked."""
        async with world() as app:
            with pytest.raises(BadQuestion, match="NOSUCH"):
                await ask(app, "get_funding_history", coin="NOSUCH", venues="hyperliquid,okx")
            # Also where the venue keeps no history that could tell.
            with pytest.raises(BadQuestion, match="NOSUCH"):
                await ask(app, "get_oi_history", coin="NOSUCH")
            with pytest.raises(BadQuestion, match="BTC, ETH, SOL"):
                await ask(app, "get_flow_history", coin="DOGE", metric="sourcePartial")
            listed = await ask(app, "get_oi_history", coin="DOGE")
        assert [] == list(listed.data.points.rows)


class TestStoreAway:
    """A store that cannot be read."""

    NOWHERE = "redis://127.0.0.1:1"

    async def test_the_venues_own_records_are_answered(self) -> None:
        """With one word of what is missing, which names no place."""
        given = {"coin": "BTC", "sinceMs": "-24h"}
        async with world() as app:
            whole = await envelope(app, "get_funding_history", venues="bybit,okx", **given)
        async with world(store=self.NOWHERE) as app:
            told = await envelope(app, "get_funding_history", venues="bybit,okx", **given)
            flows = await envelope(app, "get_flow_history", metric="flowPressureScore", **given)
        reason = "store: the history store cannot be reached"
        note = {"source": "mmflow:history", "status": "error", "reason": reason}
        assert [note] == told["meta"]["sources"] == flows["meta"]["sources"]
        assert told["meta"]["partial"]
        assert whole["data"]["points"] == told["data"]["points"]

    async def test_large_prints_of_before_are_read_once_they_can_be(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A process that starts while the store is away is told so once, and heals."""
        clock = FixedClock(NOW)
        one = [NOW - 60_000, "buy", 100_000.0, 2.0, 7]
        point = Point(cell(NOW - 60_000, 60_000), 1.0, {"prints": [one]})
        batch = Batch(SeriesKey("whales", "hyperliquid", "BTC", "sampled"), 60_000, [point])

        async def away() -> Any:
            raise StoreAway("the store is away")

        async with moving(clock, store=f"sqlite:{tmp_path / 'h.sqlite'}") as app:
            core = app.core()
            store: Any = core.archive.store
            await store.write([batch], backfill=True)
            read, store._behind.series = store._behind.series, away
            for _ in range(3):
                await core.whales.restore(core)
                clock.advance(60)
            assert [] == list(core.tape.tape("hyperliquid").large)
            store._behind.series = read
            await core.whales.restore(core)
            assert [7] == [p.trade_id for p in core.tape.tape("hyperliquid").large]
        assert 1 == caplog.text.count("could not be read: the store is away")

    async def test_what_only_it_knows_is_not_said_to_be_unrecorded(self) -> None:
        """Nobody can tell whether it was."""
        async with world(store=self.NOWHERE) as app:
            told = await envelope(app, "get_oi_history", coin="BTC", venues="hl", sinceMs="-24h")
        why = "what was recorded here cannot be read now, and the venue keeps no record of its own"
        assert f"missing: {why}" == told["meta"]["sources"][1]["reason"]


class TestRecording:
    """A store that was written while the market went on."""

    async def record(self, path: Path, start: int, cells: int, *faults: str) -> None:
        """Sample open interest and funding of two venues, cell by cell."""
        clock = FixedClock(start)
        given = {"store": f"sqlite:{path}", "venues_off": ONLY_TWO}
        async with moving(clock, *faults, **given) as app:
            recorder = Recorder(app.core(), "light", OwnLease())
            for _ in range(cells):
                await recorder.turn()
                clock.advance(TEN / 1000)

    async def test_a_day_with_outages_is_what_the_market_says(self, tmp_path: Path) -> None:
        """Recorded, a venue down, nobody there, recorded again: what was missed is a gap."""
        path, start = tmp_path / "h.sqlite", cell(NOW, TEN) - 36 * TEN + 7_000
        await self.record(path, start, 12)
        await self.record(path, start + 12 * TEN, 5, "hyperliquid:http=503")
        await self.record(path, start + 20 * TEN, 16)
        clock = FixedClock(start + 35 * TEN + 30_000)
        given = {"store": f"sqlite:{path}", "venues_off": ONLY_TWO}
        async with moving(clock, **given) as app:
            question = {"coin": "BTC", "sinceMs": str(start), "kind": "sampled"}
            interest = await ask(app, "get_oi_history", venues="hyperliquid", **question)
            rates = await ask(app, "get_funding_history", venues="hyperliquid,lighter", **question)
        first = cell(start, TEN) + TEN
        moments = [first + i * TEN for i in range(-1, 35)]
        missed = {"hyperliquid": range(12, 20), "lighter": range(17, 20)}
        there = [m for i, m in enumerate(moments) if i not in missed["hyperliquid"]][1:]
        assert there == [row.t for row in interest.data.points.rows]
        assert len(interest.data.gaps or ()) == 1
        for row in interest.data.points.rows[::5]:
            truth = MARKET.open_interest("hyperliquid", "BTC", row.t + 7_000)
            assert truth is not None
            assert pytest.approx(truth[1], rel=1e-9) == row.v
        by_time = {row.ts: row.by_venue for row in rates.data.points.rows}
        for i, moment in list(enumerate(moments))[1:]:
            found: dict[str, float] = by_time.get(moment, {})
            for venue, name in (("hyperliquid", "hl"), ("lighter", "lighter")):
                assert (i not in missed[venue]) == (name in found), (i, venue)
        perp = MARKET.funding("lighter", "BTC", there[15] + 7_000)
        assert perp is not None
        assert pytest.approx(perp.funding_rate, rel=1e-9) == by_time[there[15]]["lighter"]
        assert {"hl": "predicted", "lighter": "predicted"} == rates.data.kinds

    async def test_samples_and_settlements_are_never_one_line(self, tmp_path: Path) -> None:
        """An hour of samples and a week of what was paid: the answer is one of them."""
        path, start = tmp_path / "h.sqlite", cell(NOW, TEN) - 5 * TEN + 7_000
        await self.record(path, start, 6)
        clock = FixedClock(NOW)
        given = {"store": f"sqlite:{path}", "venues_off": ONLY_TWO}
        async with moving(clock, **given) as app:
            week = await ask(app, "get_funding_history", coin="BTC", venues="hl")
            hour = await ask(app, "get_funding_history", coin="BTC", venues="hl", sinceMs="-40m")
        assert {"hl": "settled"} == week.data.kinds
        assert {"hl": "predicted"} == hour.data.kinds
        assert all(row.ts % HOUR_MS == 0 for row in week.data.points.rows)
        assert 4 == len(hour.data.points.rows)

    async def test_samples_that_begin_late_are_partial_and_say_since_when(
        self, tmp_path: Path
    ) -> None:
        """An hour of samples is no week; "all that is kept", or what they cover, is whole."""
        path, start = tmp_path / "h.sqlite", cell(NOW, TEN) - 5 * TEN + 7_000
        await self.record(path, start, 6)
        question = {"coin": "BTC", "venues": "hl"}
        given = {"store": f"sqlite:{path}", "venues_off": ONLY_TWO}
        async with moving(FixedClock(NOW), **given) as app:
            week = await ask(app, "get_oi_history", **question, sinceMs="-7d")
            hour = await ask(app, "get_oi_history", **question, sinceMs="-50m")
            every = await ask(app, "get_oi_history", **question)
        reason = "missing: recorded here only since 2026-09-15 05:20"
        expected = [{"source": "hyperliquid", "status": "missing", "reason": reason}]
        assert (True, expected) == (week.meta["partial"], week.meta["sources"])
        for answer in (hour, every):
            assert (False, []) == (answer.meta["partial"], answer.meta["sources"])
        assert week.data.points.rows == every.data.points.rows

    async def test_subscribers_are_told(self) -> None:
        """Every coin that has a new point, once; flows by metric."""
        told: list[str] = []
        clock = FixedClock(NOW)
        async with moving(clock, venues_off=ONLY_TWO) as app:
            app.bus.listen(told.append)
            recorder = Recorder(app.core(), "full", OwnLease())
            await recorder.turn()
        assert {"mmflow://history/oi/BTC", "mmflow://history/funding/ETH"} <= set(told)
        assert "mmflow://history/flows/BTC/flowPressureScore" in told
        series = [uri for uri in told if uri.startswith("mmflow://history/")]
        assert len(series) == len(set(series))

    async def test_a_cell_is_sampled_once_and_not_before_its_time(self) -> None:
        """A few seconds after the boundary, and then not again."""
        clock = FixedClock(cell(NOW, TEN) + OFFSET_MS - 1)
        async with moving(clock, venues_off=ONLY_TWO) as app:
            recorder = Recorder(app.core(), "light", OwnLease())
            await recorder.turn()
            assert 0 == recorder.health.stored
            clock.advance(0.001)
            await recorder.turn()
            stored = recorder.health.stored
            assert stored > 50
            await recorder.turn()
            assert stored == recorder.health.stored

    async def test_a_failing_reading_is_a_gap_and_is_told(self) -> None:
        """The recorder goes on; its health names what failed."""
        clock = FixedClock(NOW)
        async with moving(clock, "*:http=503", deadline=1.0, venues_off=ONLY_TWO) as app:
            recorder = Recorder(app.core(), "full", OwnLease())
            await recorder.turn()
            store = app.core().archive.store
            assert store is not None
            assert [] == await store.series()

    async def test_flow_points_keep_what_they_were(self) -> None:
        """Partial, coverage and sources of that minute come back with the value."""
        clock = FixedClock(NOW)
        async with moving(clock, "upbit:http=503", deadline=2.0) as app:
            recorder = Recorder(app.core(), "full", OwnLease())
            await recorder.sample(samplings()["flows"], cell(NOW, 60_000))
            question = {"coin": "BTC", "metric": "flowPressureScore"}
            told = await envelope(app, "get_flow_history", **question)
            marked = await envelope(app, "get_flow_history", coin="BTC", metric="sourcePartial")
            premium = await envelope(app, "get_flow_history", coin="BTC", metric="kimchiPremiumBps")
            day = await envelope(app, "get_flow_history", **question, sinceMs="-24h")
        only, lacked = day["meta"]["history"].split("; ")
        assert "recorded here only since 2026-09-15 06:18" == only
        assert "of 1 minutes 1 lacked a source" == lacked
        assert "of 1 minutes 1 lacked a source" == told["meta"]["history"]
        (point,) = told["data"]["points"]
        assert (cell(NOW, 60_000), True) == (point["t"], point["partial"])
        assert "none" == point["coverage"]["kimchi"]
        assert ["upbit"] == point["sources"]
        # A tool shows neither of them beside a value, and bucket means have none.
        assert "of 1 minutes 1 lacked a source" == told["meta"]["history"]
        assert 1 == marked["data"]["points"][0]["v"]
        # What was unknown is absent, not zero.
        assert [] == premium["data"]["points"]
        assert "sim:flows:history" == told["meta"]["source"]

    async def test_a_store_that_is_away_ends_nothing(self) -> None:
        """Neither the hourly pruning nor the lease that cannot be given back fails the app."""
        nowhere = "redis://127.0.0.1:1"
        lease = open_lease(nowhere, "sim", None, "recorder", lifetime_ms=1000)
        clock = FixedClock(NOW)
        async with moving(clock, venues_off=ONLY_TWO, store=nowhere, record="off") as app:
            recorder = Recorder(app.core(), "light", lease)
            app.soon(recorder.run)
            await until(lambda: "prune" in recorder.health.failures)
        assert f"{nowhere}/0 cannot be reached" == recorder.health.failures["prune"]

    @pytest.mark.parametrize("ours", [True, False])
    async def test_a_lease_that_is_told_again_is_no_failure(self, *, ours: bool) -> None:
        """Whoever records then; what failed at the one that stands by is not its business."""
        answers: list[bool | StoreAway] = [StoreAway("gone"), ours]

        class Lease(OwnLease):
            async def acquire(self) -> bool:
                if isinstance(answer := answers.pop(0), StoreAway):
                    raise answer
                return answer

            renew = acquire

        async with world() as app:
            recorder = Recorder(app.core(), "light", Lease())
            assert await recorder._leads()
            assert {"lease": "gone"} == recorder.health.failures
            recorder.health.failures["oi"] = "a venue is down"
            assert ours == await recorder._leads()
        assert ({"oi": "a venue is down"} if ours else {}) == recorder.health.failures

    async def test_what_waits_is_written_by_who_stands_by_too(self, tmp_path: Path) -> None:
        """It sampled while nobody could tell who should, and would hold that to its end."""

        class Lease(OwnLease):
            async def acquire(self) -> bool:
                return False

        async def full(*_: Any, **__: Any) -> Any:
            raise StoreUnwritable("the store is full")

        async with world(store=f"sqlite:{tmp_path / 'h.sqlite'}") as app:
            store: Any = app.core().archive.store
            recorder = Recorder(app.core(), "light", Lease())
            write, store._behind.write = store._behind.write, full
            key = SeriesKey("oi", "okx", "BTC", "sampled")
            await store.write([Batch(key, TEN, [Point(cell(NOW, TEN), 7.0, None)])])
            assert "the store is full" == store.away
            store._behind.write = write
            app.soon(recorder.run)
            await until(lambda: not store.away)
            assert [7.0] == [p.v for p in await store._behind.read(key)]

    async def test_one_of_two_recorders_leads(self, tmp_path: Path) -> None:
        """On one file; the other takes over when it has gone."""
        place = (f"sqlite:{tmp_path / 'h.sqlite'}", "sim", None, "recorder")
        first, second = (open_lease(*place, lifetime_ms=1000) for _ in range(2))
        clock = FixedClock(NOW)
        async with moving(clock, venues_off=ONLY_TWO) as app:
            one, two = (Recorder(app.core(), "light", lease) for lease in (first, second))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one.run)
                await until(lambda: one.health.leading)
                async with anyio.create_task_group() as others:
                    others.start_soon(two.run)
                    await anyio.sleep(0.2)
                    assert not two.health.leading
                    tasks.cancel_scope.cancel()
                    others.cancel_scope.cancel()
            assert await second.acquire()
            await second.release()


class TestAnswers:
    """The shapes that people and models get."""

    async def test_the_envelopes_are_the_specifications(self) -> None:
        """One venue of open interest, funding by venue, in the specification's names."""
        async with world() as app:
            one = await envelope(app, "get_oi_history", coin="BTC", venues="bybit", sinceMs="-2h")
            rates = await envelope(app, "get_funding_history", coin="BTC", sinceMs="-24h")
        names = ["coin", "venue", "points", "cadenceMs", "retention", "enabled", "fetchedAt"]
        assert names == list(one["data"])[:7]
        assert ["t", "v"] == list(one["data"]["points"][0])
        assert ("bybit", "~7d rolling", True) == tuple(
            one["data"][name] for name in ("venue", "retention", "enabled")
        )
        assert ["ts", "byVenue"] == list(rates["data"]["points"][0])
        venues = {name for point in rates["data"]["points"] for name in point["byVenue"]}
        assert {"hl", "binance", "bybit", "okx", "deribit", "gateio", "kraken"} <= venues

    async def test_several_venues_are_series(self) -> None:
        """One for each, also for those that know nothing yet."""
        async with world() as app:
            told = await envelope(
                app, "get_oi_history", coin="BTC", venues="hl,binance", sinceMs="-2h"
            )
        series = told["data"]["series"]
        assert ["hyperliquid", "binance"] == [one["venue"] for one in series]
        assert [] == series[0]["points"]
        assert series[1]["points"]

    async def test_models_get_few_points(self) -> None:
        """42 bucket means with extremes of one series, 14 moments of all venues; 0 for all."""
        async with world() as app:
            asked = questions.understand("get_oi_history", {"coin": "BTC", "venues": "binance"})
            found = await questions.answer(app.core(), asked)
            short = questions.result(asked, found, "columns")
            asked.limit = 0
            whole = questions.result(asked, found, "columns")
            asked = questions.understand("get_funding_history", {"coin": "BTC"})
            found = await questions.answer(app.core(), asked)
            rates = questions.result(asked, found, "columns")
            objects = questions.result(asked, found, "objects")
        points = short["data"]["points"]
        assert ["t", "v", "lo", "hi"] == points["columns"]
        assert 42 == len(points["rows"])
        assert all(lo <= v <= hi for _, v, lo, hi in points["rows"])
        assert "bucket means of" in short["meta"]["condensed"]
        every = whole["data"]["points"]["rows"]
        assert "condensed" not in whole["meta"]
        assert len(every) > 600
        assert min(v for _, v in every) == pytest.approx(
            min(lo for _, _, lo, _ in points["rows"]), rel=1e-5
        )
        assert ["ts", *found.data.kinds] == rates["data"]["points"]["columns"]
        assert 14 == len(rates["data"]["points"]["rows"])
        assert ["ts", "byVenue"] == list(objects["data"]["points"][0])
        assert len(json.dumps(short)) < 4200
        assert len(json.dumps(rates)) < 2600

    async def test_stretches_that_a_budget_has_no_room_for_are_counted(self) -> None:
        """Fifty short sessions of a recorder, forty-two points: eight of them are not shown."""
        key = SeriesKey("oi", "hyperliquid", "BTC", "sampled")
        newest = cell(NOW, TEN)
        held = [Point(newest - n * 3 * TEN - m * TEN, 5.0) for n in range(50) for m in (0, 1)]
        question = {"coin": "BTC", "venues": "hl", "sinceMs": "-48h"}
        async with world() as app:
            store = app.core().archive.store
            assert store is not None
            await store.write([Batch(key, TEN, held[::-1])], backfill=True)
            asked = questions.understand("get_oi_history", question)
            found = await questions.answer(app.core(), asked)
        told = questions.result(asked, found, "columns")
        assert 42 == len(told["data"]["points"]["rows"])
        assert "100 points but 8 short stretches between gaps;" in told["meta"]["condensed"]

    async def test_a_table_of_venues_is_in_percent_a_year(self) -> None:
        """Columns of venues with other periods compare: means to 0.01 %, all points exactly."""
        async with world() as app:
            question = {"coin": "BTC", "venues": "hl,okx", "sinceMs": "-7d"}
            asked = questions.understand("get_funding_history", question)
            found = await questions.answer(app.core(), asked)
            few = questions.result(asked, found, "columns")["data"]
            whole = questions.result(asked, found, "objects")["data"]
            asked.limit = 0
            every = questions.result(asked, found, "columns")["data"]
            rates = questions.result(asked, found, "objects")["data"]
        assert {"hl": 1, "okx": 8} == every["periodHours"]
        for venue, hours in every["periodHours"].items():
            all_of_it = [p["byVenue"][venue] for p in rates["points"] if venue in p["byVenue"]]
            mean = sum(all_of_it) / len(all_of_it) * 876_000 / hours
            assert every["meanApr"][venue] == pytest.approx(mean, abs=0.006)
        assert (few["meanApr"], "meanApr" in rates) == (every["meanApr"], False)
        assert ["ts", "hl", "okx"] == every["points"]["columns"]
        assert (few["unit"], "fraction" in rates["unit"]) == (every["unit"], True)
        assert few["unit"].startswith("apr: percent a year")
        for row, point in zip(every["points"]["rows"], rates["points"], strict=True):
            for venue, apr in zip(("hl", "okx"), row[1:], strict=True):
                rate = point["byVenue"].get(venue)
                told = None if rate is None else rate * 8760 / every["periodHours"][venue] * 100
                assert apr == (told if told is None else pytest.approx(told, rel=1e-10))
        for row, point in zip(few["points"]["rows"], whole["points"], strict=True):
            assert row[1] == pytest.approx(point["byVenue"]["hl"] * 876_000, abs=0.006)
            assert row[2] == pytest.approx(point["byVenue"]["okx"] * 109_500, abs=0.006)

    async def test_the_mean_of_a_span_weighs_hours_not_payments(self) -> None:
        """A day of three payments and a day of hourly ones count alike; REST tells the rates."""
        start = NOW // (8 * HOUR_MS) * 8 * HOUR_MS - 48 * HOUR_MS
        paid = [Point(start + n * 8 * HOUR_MS, 0.0008, {"periodHours": 8.0}) for n in (1, 2, 3)]
        paid += [Point(start + n * HOUR_MS, 0.0, {"periodHours": 1.0}) for n in range(25, 49)]
        question = {"coin": "BTC", "venues": "okx", "kind": "settled"}
        question |= {"sinceMs": str(paid[0].t), "untilMs": str(paid[-1].t)}
        async with world() as app:
            store = app.core().archive.store
            assert store is not None
            key = SeriesKey("funding", "okx", "BTC", "settled")
            await store.write([Batch(key, HOUR_MS, paid)], backfill=True)
            asked = questions.understand("get_funding_history", question)
            found = await questions.answer(app.core(), asked)
        told = questions.result(asked, found, "columns")["data"]
        assert {"okx": 43.8} == told["meanApr"]
        assert ({"okx": 1}, {"okx": [8.0]}) == (told["periodHours"], told["rescaled"])
        assert len(paid) == len(found.data.points.rows)

    async def test_lttb_keeps_points_that_are_there(self) -> None:
        """On request: real points with the extremes among them, as many as the budget."""
        async with world() as app:
            question = {"coin": "BTC", "venues": "binance", "downsample": "lttb"}
            asked = questions.understand("get_oi_history", question)
            found = await questions.answer(app.core(), asked)
            short = questions.result(asked, found, "columns")
        points = short["data"]["points"]
        assert ["t", "v"] == points["columns"]
        assert 42 == len(points["rows"])
        every = {row.t: row.v for row in found.data.points.rows}
        assert all(every[t] == pytest.approx(v, rel=1e-9) for t, v in points["rows"])
        ends = [points["rows"][0][0], points["rows"][-1][0]]
        assert [min(every), max(every)] == ends
        assert "LTTB picks of" in short["meta"]["condensed"]

    async def test_a_venue_without_a_past_is_missing_not_empty(self) -> None:
        """Hyperliquid tells no past open interest: until it is recorded, that is said."""
        async with world() as app:
            alone = await envelope(app, "get_oi_history", coin="BTC")
            both = await envelope(app, "get_oi_history", coin="BTC", venues="hl,binance")
            flows = await envelope(app, "get_flow_history", coin="BTC", metric="flowPressureScore")
        for told in (alone, both):
            assert told["meta"]["partial"]
            (note,) = told["meta"]["sources"]
            assert ("hyperliquid", "missing") == (note["source"], note["status"])
            assert "keeps no record of its own" in note["reason"]
        assert [] == alone["data"]["points"]
        assert "nothing was recorded" in flows["meta"]["history"]

    async def test_switched_off_is_said(self) -> None:
        """Enabled false, no points, no error."""
        async with world(store="off") as app:
            told = await envelope(app, "get_oi_history", coin="BTC", venues="binance")
            flows = await envelope(app, "get_flow_history", coin="BTC", metric="flowPressureScore")
        assert (False, []) == (told["data"]["enabled"], told["data"]["points"])
        assert (False, []) == (flows["data"]["enabled"], flows["data"]["points"])
        assert "switched off" in told["meta"]["history"]

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"coin": "BTC", "sinceMs": "-1h", "untilMs": "-2h"}, "before sinceMs"),
            ({"coin": "BTC", "sinceMs": "-5"}, "no time"),
            ({"coin": "BTC", "sinceMs": "yesterday"}, "no time"),
            ({"coin": "BTC", "venues": "coinbase"}, "no history of this"),
            ({"sinceMs": "-1h"}, "required"),
        ],
    )
    async def test_bad_questions_teach(self, arguments: dict[str, Any], match: str) -> None:
        """What was wrong, and what fits."""
        async with world() as app:
            with pytest.raises(BadQuestion, match=match):
                await ask(app, "get_oi_history", **arguments)

    async def test_a_future_start_is_an_empty_list(self) -> None:
        """Not an error (METHODS 14)."""
        async with world() as app:
            told = await envelope(
                app,
                "get_flow_history",
                coin="BTC",
                metric="flowPressureScore",
                sinceMs=str(NOW + HOUR_MS),
                untilMs=str(NOW + 2 * HOUR_MS),
            )
        assert [] == told["data"]["points"]

    @pytest.mark.parametrize("tool", ["get_oi_history", "get_funding_history"])
    async def test_a_future_start_needs_no_end(self, tool: str) -> None:
        """The specification has only a start: an empty list, and nothing of it is missing."""
        async with world() as app:
            told = await envelope(app, tool, coin="BTC", venues="hl", sinceMs=str(NOW + HOUR_MS))
        assert ([], False, []) == (
            told["data"]["points"],
            told["meta"]["partial"],
            told["meta"]["sources"],
        )

    async def test_the_regime_is_the_markets(self) -> None:
        """z of what was really paid in the last week, venue by venue; and who stands apart."""
        async with world() as app:
            answer = await ask(app, "get_funding_regime", coins="BTC", venues="hl,bybit")
        rows = {row.venue: row for row in answer.data.rows.rows}
        assert {"hyperliquid", "bybit"} == set(rows)
        week = 7 * 24 * HOUR_MS
        for venue, row in rows.items():
            rates = settled(venue, "BTC", NOW - week, NOW)
            hours = MARKET.funding(venue, "BTC", NOW).listing.paid_hours  # type: ignore[union-attr]
            values = [rate * 8 / hours for rate in rates.values()]
            mean = sum(values) / len(values)
            sd = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
            assert len(values) == row.n
            assert pytest.approx((values[-1] - mean) / sd, rel=1e-6) == row.z
        (apart,) = answer.data.divergences.rows
        assert pytest.approx(abs(rows["bybit"].z - rows["hyperliquid"].z)) == apart.divergence_z


def test_holes_are_where_values_should_be() -> None:
    """Before the first, after the last, and between; a period of eight hours is no hole."""
    every = [Point(t * HOUR_MS, 1.0, {"periodHours": 8.0}) for t in (8, 16, 32, 40)]
    assert [(16 * HOUR_MS, 32 * HOUR_MS)] == holes_of(every, 2 * HOUR_MS, 44 * HOUR_MS)
    assert [(-HOUR_MS, 8 * HOUR_MS)] == holes_of(every[:2], -HOUR_MS, 20 * HOUR_MS)
    assert [(40 * HOUR_MS, 50 * HOUR_MS)] == holes_of(every[3:], 39 * HOUR_MS, 50 * HOUR_MS)
    assert [(0, 5)] == holes_of([], 0, 5)
    assert [] == holes_of([], 5, 5)


def test_stretches_of_several_spacings_become_even() -> None:
    """The widest spacing that is one holds for all; gaps are none, and settlements stay."""
    coarse = [Point(n * HOUR_MS, 1.0) for n in range(5)]
    fine = [Point(4 * HOUR_MS + n * TEN, 2.0) for n in range(1, 13)]
    assert [n * HOUR_MS for n in range(7)] == [p.t for p in evened([*coarse, *fine])[0]]
    assert [n * HOUR_MS for n in range(5)] == [p.t for p in evened([*coarse, *fine[:2]])[0]]
    apart = [*fine[:4], Point(20 * HOUR_MS, 1.0), Point(36 * HOUR_MS, 1.0), *fine[12:]]
    assert (apart, TEN) == evened(apart)
    assert (fine, TEN) == evened(fine)
    paid = [Point(p.t, p.v, {"periodHours": 1.0}) for p in (*coarse, *fine)]
    assert (paid, TEN) == evened(paid)


def test_a_share_counts_each_point_for_its_own_spacing() -> None:
    """Three settlements of 8 hours speak for a day, six samples of ten minutes for an hour."""
    paid = [Point(t * HOUR_MS, 1.0, {"periodHours": 8.0}) for t in (8, 16, 24)]
    assert 1.0 == share_of(paid, HOUR_MS, (0, 24 * HOUR_MS), settled=True)
    # A sample of an hourly rate speaks for ten minutes all the same.
    samples = [Point(t * TEN, 1.0, {"periodHours": 1.0}) for t in range(6)]
    assert pytest.approx(1 / 24) == share_of(samples, TEN, (0, 24 * HOUR_MS))


async def test_back_filled_points_are_of_their_own_series() -> None:
    """What lies in the store after a question: settled, not predicted."""
    async with world() as app:
        await ask(app, "get_funding_history", coin="BTC", venues="okx", sinceMs="-24h")
        store = app.core().archive.store
        assert store is not None
        assert [SeriesKey("funding", "okx", "BTC", "settled")] == [
            one.key for one in await store.series()
        ]


def test_coarser_steps_are_no_holes() -> None:
    """What is there need not be asked for again beside finer steps; what is missing must."""
    times = [0, 15, 30, 45, 60, 65, 70, 75]
    points = [Point(t * TEN, 1.0) for t in times]
    assert [] == holes_of(points, 0, 76 * TEN)
    assert [(75 * TEN, 91 * TEN)] == holes_of(points, 0, 91 * TEN)
    holed = [Point(t * TEN, 1.0) for t in (0, 15, 30, 45, 60, 95, 100, 105, 110)]
    assert [(60 * TEN, 105 * TEN)] == holes_of(holed, 0, 111 * TEN)
