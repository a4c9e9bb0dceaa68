"""Settled open interest that was asked for more and less finely comes as one even line."""

import pytest
from worlds import NOW, ask, world

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.core.archive import evened, holes_of
from mmflow_mcp.endpoints.answer import Table
from mmflow_mcp.endpoints.condensing import one_series
from mmflow_mcp.endpoints.history import OiHistoryAnswer, ValuePoint
from mmflow_mcp.series.store import Point

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
QUARTER = 15 * MINUTE_MS
FIVE = 5 * MINUTE_MS
TEN = 10 * MINUTE_MS
DAY = 24 * HOUR_MS


def line(first: int, until: int, step: int) -> list[Point]:
    """A point at every step."""
    return [Point(t, float(t)) for t in range(first, until, step)]


@pytest.mark.parametrize("fine_from", [DAY - 2 * HOUR_MS, DAY // 2, DAY // 4])
def test_finer_stretches_are_thinned_to_the_coarser_ones(fine_from: int) -> None:
    """However much of a line was asked for finely, the other part has no gaps for that."""
    mixed = [*line(0, fine_from, QUARTER), *line(fine_from, DAY, FIVE)]
    assert (line(0, DAY, QUARTER), QUARTER) == evened(mixed)
    assert [] == holes_of(mixed, 0, DAY)


def test_missing_samples_stay_gaps_and_change_no_distance() -> None:
    """A sample that is missing is no coarser line, be it the last but one or every tenth."""
    whole = line(0, DAY, QUARTER)
    last = [*whole[:-2], whole[-1]]
    assert (last, QUARTER) == evened(last)
    tenth = [p for i, p in enumerate(whole) if i % 10]
    assert (tenth, QUARTER) == evened(tenth)
    half = [p for p in whole if not 6 * HOUR_MS <= p.t < 18 * HOUR_MS]
    assert (half, QUARTER) == evened(half)
    assert [(whole[23].t, whole[72].t)] == holes_of(half, 0, DAY)


def test_few_points_and_payments_are_left_alone() -> None:
    """What is too short to tell has the distance of its nearest; payments keep their own times."""
    assert ([], HOUR_MS) == evened([])
    few = [Point(0, 1.0), Point(HOUR_MS, 1.0), Point(6 * HOUR_MS, 1.0)]
    assert (few, HOUR_MS) == evened(few)
    paid = [Point(t * HOUR_MS, 1e-5, {"periodHours": 8.0}) for t in range(0, 80, 8)]
    paid += [Point(t * HOUR_MS, 1e-5, {"periodHours": 4.0}) for t in range(76, 100, 4)]
    assert (paid, 4 * HOUR_MS) == evened(paid)


@pytest.mark.parametrize("venue", ["binance", "gateio"])
async def test_a_week_after_two_hours_is_the_same_week(venue: str) -> None:
    """What was asked before changes neither the points nor what is read off them."""
    week = {"coin": "BTC", "venues": venue, "sinceMs": "-7d"}
    regime = {"coins": "BTC", "venues": venue}
    async with world() as app:
        fresh = (await ask(app, "get_oi_history", **week)).data
        first = (await ask(app, "get_funding_regime", **regime)).data.rows.rows
    async with world() as app:
        short = (await ask(app, "get_oi_history", **{**week, "sinceMs": "-2h"})).data
        later = (await ask(app, "get_oi_history", **week)).data
        then = (await ask(app, "get_funding_regime", **regime)).data.rows.rows
    assert short.cadence_ms < fresh.cadence_ms
    assert (fresh.points.rows, fresh.cadence_ms) == (later.points.rows, later.cadence_ms)
    assert later.gaps is None
    assert first == then
    assert first[0].oi_change24h_pct is not None
    condensed, _ = one_series(later, 42, "columns", None)
    assert condensed.points.rows[0].t <= NOW - 7 * DAY + fresh.cadence_ms


def test_stretches_that_a_budget_has_no_room_for_are_told() -> None:
    """Hours of recording between nights: of 50 of them a tool shows 42, and says so."""
    rows = [ValuePoint(day * DAY + n * TEN, 1.0) for day in range(50) for n in range(6)]
    answer = OiHistoryAnswer(
        coin="BTC", points=Table(ValuePoint, rows, lambda row: row.t), cadence_ms=TEN
    )
    condensed, said = one_series(answer, 42, "columns", None)
    assert 42 == len(condensed.points.rows)
    told = "bucket means of 300 points but 8 short stretches between gaps"
    assert said == f"{told}; points=0 for all, or a shorter span"
    assert "stretches" not in one_series(answer, 60, "columns", None)[1]
