"""get_positioning and get_liquidations: the simulated market's truth, and what meta says."""

from typing import Any

import pytest
from holdings import READ_AT
from wires import RECORDINGS
from worlds import MARKET, NOW, ask, envelope, world

from mmflow_mcp.app import running
from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints import positions
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows.positions import (
    PERIOD_MS,
    LiquidationPrint,
    LiquidationRow,
    LiquidationTape,
    PositioningRow,
)
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.positions import closed_share, liquidated
from mmflow_mcp.surfaces import questions

pytestmark = pytest.mark.anyio

COINS = ["BTC", "ETH", "SOL", "PEPE", "DOGE", "XRP", "SHIB", "KAITO"]
VIEWS = {
    "binance": ("global", "top"),
    "bybit": ("global",),
    "gateio": ("global", "top"),
    "okx": ("global", "top"),
}


class TestRoundTrip:
    """`parse(render(market)) == market`."""

    @pytest.mark.parametrize("period", ["15m", "1h", "4h"])
    @pytest.mark.parametrize("venue", VIEWS)
    async def test_shares_are_the_markets(self, venue: str, period: str) -> None:
        """Every coin and view: the share of the newest sample that is over, never the forming."""
        async with world() as app:
            found = await ask(app, "get_positioning", coins=COINS, venues=venue, period=period)
        assert [] == found.meta["sources"]
        assert {(c, v) for c in COINS for v in VIEWS[venue]} == {
            (row.coin, row.view) for row in found.data.rows
        }
        for row in found.data.rows:
            share, end = closed_share(MARKET, venue, row.coin, row.view, PERIOD_MS[period], NOW)
            # Ratios are printed with eight decimals.
            assert pytest.approx(share, abs=1e-7) == row.long_fraction
            assert end == row.sampled_at

    @pytest.mark.parametrize(("venue", "span"), [("okx", DAY_MS), ("gateio", HOUR_MS)])
    async def test_liquidations_are_the_markets(self, venue: str, span: int) -> None:
        """Longs, shorts and the largest: a day of every swap of okx, page by page; gate's hour."""
        async with world() as app:
            found = await ask(app, "get_liquidations", coins=COINS, venues=venue)
        assert COINS == [row.coin for row in found.data.rows]
        for row in found.data.rows:
            longs, shorts, largest, count = liquidated(MARKET, venue, row.coin, NOW, span)
            assert count == row.records24h, row
            assert pytest.approx(longs, rel=1e-9) == row.long24h_usd
            assert pytest.approx(shorts, rel=1e-9) == row.short24h_usd
            assert pytest.approx(largest, rel=1e-9) == row.max24h_usd
            assert (venue,) == row.venues

    async def test_venues_add_up(self) -> None:
        """The sum of a coin is that of its venues."""
        async with world() as app:
            found = await ask(app, "get_liquidations", coins=["BTC"])
        (row,) = found.data.rows
        day, hour = (
            liquidated(MARKET, "okx", "BTC", NOW),
            liquidated(MARKET, "gateio", "BTC", NOW, HOUR_MS),
        )
        assert pytest.approx(day[0] + hour[0], rel=1e-9) == row.long24h_usd
        assert pytest.approx(max(day[2], hour[2]), rel=1e-9) == row.max24h_usd
        assert (("gateio", "okx"), day[3] + hour[3]) == (row.venues, row.records24h)


class TestPositioning:
    """The specification's fields, and what stands beside them."""

    async def test_the_specifications_fields(self) -> None:
        """Names and types of its example; ours come after them."""
        async with world() as app:
            found = await envelope(app, "get_positioning", coins="BTC", venues="binance,okx")
        first = found["data"][0]
        fields = ["coin", "venue", "view", "longFraction", "longShortRatio", "fetchedAt"]
        assert fields == list(first)[:6]
        assert [("binance", "global"), ("binance", "top"), ("okx", "global"), ("okx", "top")] == [
            (row["venue"], row["view"]) for row in found["data"]
        ]
        assert [False, True, False, True] == ["divergence" in row for row in found["data"]]
        assert "stale" not in first

    async def test_without_parameters(self) -> None:
        """BTC, ETH, SOL, hourly, on every venue that can tell."""
        async with world() as app:
            found = await envelope(app, "get_positioning")
        assert ["BTC", "ETH", "SOL"] == list(dict.fromkeys(row["coin"] for row in found["data"]))
        assert {"binance", "bybit", "gateio", "okx"} == {row["venue"] for row in found["data"]}
        assert ("1h", False) == (found["meta"]["period"], found["meta"]["partial"])
        assert NOW // HOUR_MS * HOUR_MS == found["meta"]["sampledAt"]
        assert found["meta"]["source"].startswith("sim:binance:globalLongShortAccountRatio+")

    @pytest.mark.parametrize("period", ["2h", "1d", "", 15])
    async def test_another_period_is_an_error_that_names_what_fits(self, period: Any) -> None:
        """1H is understood; 2h is not sampled."""
        async with world() as app:
            with pytest.raises(BadQuestion, match="15m, 1h, 4h"):
                await ask(app, "get_positioning", period=period)
            assert (await ask(app, "get_positioning", coins="BTC", period="1H")).data.rows

    async def test_a_venue_without_the_capability_is_an_error(self) -> None:
        """Hyperliquid publishes neither; the answer says who does."""
        async with world() as app:
            for tool in ("get_positioning", "get_liquidations"):
                with pytest.raises(BadQuestion, match="okx"):
                    await ask(app, tool, venues="hl")

    async def test_an_unknown_coin_and_too_many_are_errors(self) -> None:
        """Nearest names, and the bound."""
        async with world() as app:
            with pytest.raises(BadQuestion, match="BTC"):
                await ask(app, "get_positioning", coins="BTCC")
            with pytest.raises(BadQuestion, match="up to 20"):
                await ask(app, "get_liquidations", coins=[f"A{i}" for i in range(21)])

    async def test_a_venue_that_fails_is_partial(self) -> None:
        """One down of four: its rows are missing, and why is told."""
        async with world("okx:http=503") as app:
            found = await envelope(app, "get_positioning", coins="BTC")
        assert {"binance", "bybit", "gateio"} == {row["venue"] for row in found["data"]}
        (note,) = found["meta"]["sources"]
        assert (True, "okx", "error") == (found["meta"]["partial"], note["source"], note["status"])

    async def test_all_venues_down_is_an_error(self) -> None:
        """Never an empty success."""
        async with world("*:html") as app:
            for tool in ("get_positioning", "get_liquidations"):
                with pytest.raises(AllVenuesFailed):
                    await ask(app, tool, coins="BTC")

    @pytest.mark.parametrize(
        "fault",
        [
            "*/atio:truncate",
            "*/atio:drop=0.5",
            "*/atio:duplicate",
            "*/atio:extra",
            "*:missing=longAccount",
            "*:absurd=timestamp",
            "*:absurd=buyRatio",
            "*:absurd=lsr_account",
            "*:absurd=longAccount",
            "*/rubik:html",
        ],
    )
    async def test_what_is_answered_under_faults_is_true(self, fault: str) -> None:
        """Rows may be missing, or be of an older sample; none is wrong."""
        async with world(fault) as app:
            found = await ask(app, "get_positioning", coins=["BTC", "ETH"])
        for row in found.data.rows:
            share, _ = closed_share(MARKET, row.venue, row.coin, row.view, 1, row.sampled_at)
            assert pytest.approx(share, abs=1e-7) == row.long_fraction, fault
            assert NOW - row.sampled_at <= 4 * HOUR_MS


class TestLiquidations:
    """Spans, and what a sum of 0 means."""

    async def test_the_specifications_fields(self) -> None:
        """Names of its example, first and in order."""
        async with world() as app:
            found = await envelope(app, "get_liquidations", coins="BTC", venues="okx")
        (row,) = found["data"]
        fields = ["coin", "long24hUsd", "short24hUsd", "max24hUsd", "venues", "fetchedAt"]
        assert [*fields, "records24h"] == list(row)
        assert ["okx"] == row["venues"]
        assert "sim:okx:public/liquidation-orders" == found["meta"]["source"]
        assert False is found["meta"]["partial"]

    async def test_an_hour_is_told_as_an_hour(self) -> None:
        """Gate's requests reach back an hour: partial, with the covered span of each venue."""
        async with world() as app:
            found = await envelope(app, "get_liquidations")
        meta = found["meta"]
        assert {
            "gateio": {"sinceMs": NOW - HOUR_MS, "hours": 1.0},
            "okx": {"sinceMs": NOW - DAY_MS, "hours": 24.0},
        } == meta["covered"]
        assert True is meta["partial"]
        reason = "missing: covers the last 1.0 h of 24 h"
        notes = {note["source"]: (note["status"], note["reason"]) for note in meta["sources"]}
        assert ("missing", reason) == notes.pop("gateio")
        # Those that only their feeds can tell of have just begun.
        assert {"aster", "binance", "bybit", "deribit", "lighter"} == set(notes)
        assert {"missing"} == {status for status, _ in notes.values()}

    async def test_no_record_is_a_measured_zero(self) -> None:
        """The venue was heard and tells none: 0, and it is named."""
        async with world("okx/liquidation:drop=1", "gateio/liq_orders:drop=1") as app:
            found = await ask(app, "get_liquidations", coins="BTC")
        (row,) = found.data.rows
        assert (0.0, 0.0, 0.0, ("gateio", "okx"), 0) == (
            row.long24h_usd,
            row.short24h_usd,
            row.max24h_usd,
            row.venues,
            row.records24h,
        )

    @pytest.mark.parametrize("fault", ["okx:http=503", "okx/liquidation:timeout"])
    async def test_a_venue_that_fails_is_not_a_zero(self, fault: str) -> None:
        """It is not among the venues of a row."""
        async with world(fault, deadline=2.0) as app:
            found = await ask(app, "get_liquidations", coins="BTC")
        assert [("gateio",)] == [row.venues for row in found.data.rows]
        assert True is found.meta["partial"]
        assert "okx" in {note["source"] for note in found.meta["sources"]}

    async def test_records_told_twice_count_once(self) -> None:
        """Every row of every list twice."""
        async with world("*:duplicate") as app:
            found = await ask(app, "get_liquidations", coins="PEPE", venues="okx")
        (row,) = found.data.rows
        longs, shorts, _, count = liquidated(MARKET, "okx", "PEPE", NOW)
        assert (count, pytest.approx(longs), pytest.approx(shorts)) == (
            row.records24h,
            row.long24h_usd,
            row.short24h_usd,
        )


def test_the_row_takes_a_feed_as_it_takes_requests() -> None:
    """A tape says since when it is whole, not how it was filled: live feeds change no shape."""
    names = set(LiquidationTape.__dataclass_fields__)
    assert {"coin", "venue", "since_ms", "fetched_at", "prints", "gaps"} == names
    assert "venues" in LiquidationRow.__dataclass_fields__
    assert "key" in dir(LiquidationPrint)


class TestOldSamples:
    """Stale rows are marked, gone ones left out; the notes say so."""

    async def answer(self, monkeypatch: pytest.MonkeyPatch, *ages: float) -> dict[str, Any]:
        """The envelope over hourly rows of binance so many hours old."""

        async def gathered(*_: object, **__: object) -> Gathered:
            rows = [
                PositioningRow(
                    "BTC",
                    "binance",
                    view,
                    0.58,
                    1.38,
                    READ_AT,
                    READ_AT - round(age * HOUR_MS),
                    "1h",
                )
                for view, age in zip(("global", "top"), ages, strict=False)
            ]
            return Gathered(rows=rows, sources=["binance:x"], fetched_at=READ_AT)

        monkeypatch.setattr(positions, "ask_venues", gathered)
        async with world() as app:
            return await envelope(app, "get_positioning", coins="BTC")

    async def test_stale_is_told_by_row_and_source(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """3 h old: the row stays, marked; the answer is not partial for it."""
        found = await self.answer(monkeypatch, 1, 3)
        assert [None, True] == [row.get("stale") for row in found["data"]]
        (note,) = found["meta"]["sources"]
        assert ("stale", 3 * HOUR_MS, False) == (
            note["status"],
            note["ageMs"],
            found["meta"]["partial"],
        )
        assert "BTC top" in note["reason"]

    async def test_what_is_gone_makes_it_partial(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """5 h old: no row, and it is missing."""
        found = await self.answer(monkeypatch, 5, 1)
        assert ["top"] == [row["view"] for row in found["data"]]
        (note,) = found["meta"]["sources"]
        assert ("missing", True) == (note["status"], found["meta"]["partial"])


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not on this machine")
class TestReplay:
    """The recordings answer what they can."""

    async def replayed(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The envelope over the recordings."""
        settings = from_environment({}, source=f"replay:{RECORDINGS}")
        async with running(settings) as app:
            asked = questions.understand(tool, arguments)
            return questions.envelope(await questions.answer(app.core(), asked))

    async def test_hourly_positioning(self) -> None:
        """Bybit's 0.5681 and gate's two views; the others are unrecorded, and said to be."""
        found = await self.replayed("get_positioning", coins="BTC")
        assert [
            ("bybit", "global", 0.5681, 1.3154),
            ("gateio", "global", 0.5686, 1.3178),
            ("gateio", "top", 0.5062, 1.0251),
        ] == [
            (row["venue"], row["view"], row["longFraction"], row["longShortRatio"])
            for row in found["data"]
        ]
        assert {"binance", "okx"} == {note["source"] for note in found["meta"]["sources"]}

    async def test_gates_liquidations(self) -> None:
        """Four records of one contract, asked alone: the whole was not recorded."""
        found = await self.replayed("get_liquidations", coins="BTC", venues="gateio")
        assert [(788.6, 2020.9, 2020.9, 4)] == [
            (row["long24hUsd"], row["short24hUsd"], row["max24hUsd"], row["records24h"])
            for row in found["data"]
        ]
        assert True is found["meta"]["partial"]
