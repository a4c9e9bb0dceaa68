"""The rules of the history store before anything is stored: cells, admission, gaps."""

import math

import pytest
from stores import FUNDING, NOW, OI, SETTLED, STEP, batch, sampled

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.series.store import (
    MINUTE_MS,
    WEEK_MS,
    Admitted,
    Batch,
    Gap,
    Point,
    SeriesKey,
    Written,
    admit,
    cell,
    gaps,
)


def admitted(
    given: Batch, newest: int | None = None, *, now: int = NOW, backfill: bool = False
) -> Admitted:
    """What a store with a week of retention takes."""
    return admit(given, newest=newest, now_ms=now, retention_ms=WEEK_MS, backfill=backfill)


@pytest.mark.parametrize(
    ("t", "cadence", "expected"),
    [
        (1_747_000_000_000, 600_000, 1_746_999_600_000),
        (1_747_400_000_000, 60_000, 1_747_399_980_000),
        (1_747_399_980_000, 60_000, 1_747_399_980_000),
    ],
)
def test_a_moment_lies_in_the_cell_that_began_last(t: int, cadence: int, expected: int) -> None:
    """The worked numbers of METHODS 14; the start of a cell is its own."""
    assert expected == cell(t, cadence)


def test_samples_are_put_on_the_grid_and_the_last_of_a_cell_wins() -> None:
    """Seconds after the boundary become the boundary; order within a batch is what counts."""
    given = batch([Point(NOW + 7_000, 1.0), Point(NOW - STEP + 9, 2.0), Point(NOW + 8_000, 3.0)])
    assert Admitted([Point(NOW - STEP, 2.0), Point(NOW, 3.0)], 0, 0) == admitted(
        given, now=NOW + 9_000
    )


def test_settled_values_keep_their_own_minute() -> None:
    """A venue that pays at 04:00, 12:00 and 20:00 did not pay at 00:00."""
    four = cell(NOW, DAY_MS) - 20 * HOUR_MS
    paid = Point(four + 75, 0.0001, {"periodHours": 8})
    given = Batch(SETTLED, 8 * HOUR_MS, [paid])
    assert [paid._replace(t=four)] == admitted(given, backfill=True).points


@pytest.mark.parametrize("v", [None, math.nan, math.inf, -math.inf])
def test_what_is_unknown_is_not_stored(v: float | None) -> None:
    """Nor is it counted as refused: there was nothing to store."""
    assert Admitted([], 0, 0) == admitted(batch([Point(NOW, v)]))


def test_zero_is_a_value() -> None:
    """A measured zero is stored."""
    assert [Point(NOW, 0.0)] == admitted(batch([Point(NOW, 0.0)])).points


def test_the_newest_cell_may_be_written_again_and_nothing_before_it() -> None:
    """A clock that stepped back does not rewrite the past."""
    given = batch(sampled([1.0, 2.0, 3.0]))
    assert Admitted([Point(NOW - STEP, 2.0), Point(NOW, 3.0)], 1, 0) == admitted(
        given, newest=NOW - STEP
    )


def test_a_back_fill_may_write_the_past() -> None:
    """That is what it is for."""
    given = batch(sampled([1.0, 2.0, 3.0]))
    assert Admitted(sampled([1.0, 2.0, 3.0]), 0, 0) == admitted(given, newest=NOW, backfill=True)


def test_the_past_beyond_the_retention_is_dropped_even_from_a_back_fill() -> None:
    """The first cell that is kept is the one a week ago, exactly."""
    old = [Point(NOW - WEEK_MS - STEP, 1.0), Point(NOW - WEEK_MS, 2.0)]
    assert Admitted([old[1]], 0, 1) == admitted(batch(old), backfill=True)


@pytest.mark.parametrize("backfill", [False, True])
def test_the_future_is_refused(backfill: bool) -> None:  # noqa: FBT001 - both
    """One cadence of difference between two clocks passes, more is a clock gone wrong."""
    ahead = batch([Point(NOW + STEP, 1.0), Point(NOW + 2 * STEP, 2.0)])
    assert Admitted([Point(NOW + STEP, 1.0)], 1, 0) == admitted(ahead, backfill=backfill)


@pytest.mark.parametrize("cadence", [0, -STEP, 30_000, MINUTE_MS + 1])
def test_a_cadence_is_whole_minutes(cadence: int) -> None:
    """Stores keep minutes, and half a minute would be written onto its neighbour."""
    with pytest.raises(ValueError, match="whole number of minutes"):
        admitted(batch([Point(NOW, 1.0)], cadence=cadence))


def test_counts_of_several_batches_add_up() -> None:
    """And nothing written is all zeros."""
    one = Admitted([Point(NOW, 1.0)], 2, 3)
    assert (Written(2, 4, 6), Written()) == (Written.of([one, one]), Written.of([]))


def test_a_gap_is_more_than_one_and_a_half_cadences() -> None:
    """Exactly one and a half is none; the gap is named by its neighbours."""
    points = [Point(0, 1.0), Point(15, 1.0), Point(31, 1.0), Point(41, 1.0)]
    assert [Gap(15, 31)] == gaps(points, 10)


def test_a_series_of_one_point_or_none_has_no_gap() -> None:
    """What lies before the first start of the archive is not a gap in it."""
    assert [[], []] == [gaps([], STEP), gaps([Point(NOW, 1.0)], STEP)]


def test_a_symbol_that_changed_its_period_has_no_gaps_before_the_change() -> None:
    """Each payment is expected its own period after the one before; a missing one is a gap."""
    hours = [(0, 8), (8, 8), (12, 4), (16, 4), (24, 4), (28, 4)]
    paid = [Point(h * HOUR_MS, 1e-4, {"periodHours": p}) for h, p in hours]
    assert [Gap(16 * HOUR_MS, 24 * HOUR_MS)] == gaps(paid, 4 * HOUR_MS, settled=True)


def test_a_period_says_nothing_about_samples() -> None:
    """A predicted rate of an 8-hour period is sampled every ten minutes all the same."""
    points = [p._replace(extra={"periodHours": 8}) for p in sampled([1.0, None, 2.0])]
    points = [p for p in points if p.v is not None]
    assert 1 == len(gaps(points, STEP))


def test_a_key_is_read_from_its_own_text() -> None:
    """Also with colons in the metric and in the coin."""
    for key in (OI, FUNDING, SeriesKey("flow:hlMicroNetUsd5m", "hl", "xyz:TSLA", "sampled")):
        assert key == SeriesKey.read(key.text)


@pytest.mark.parametrize(
    "parts",
    [
        ("", "hl", "BTC", "sampled"),
        ("oi", "hl|x", "BTC", "sampled"),
        ("oi", "hl", "B\nTC", "sampled"),
        ("oi", "hl", "B" * 65, "sampled"),
        ("oi", "hl", "BTC", "guessed"),
    ],
)
def test_a_name_that_could_be_mistaken_is_refused(parts: tuple[str, str, str, str]) -> None:
    """No empty part, no separator, no control character, no kind that there is not."""
    with pytest.raises(ValueError, match=r"names no|is no kind"):
        SeriesKey(*parts)
