"""Sums of open interest per moment: all contracts or none."""

import pytest
from pasts import DAY, HOUR, NOW, asking_past

from mmflow_mcp.rows.history import PastInterest
from mmflow_mcp.venues import gateio_past, kraken_past, okx_past
from mmflow_mcp.venues.interest_samples import (
    Cadence,
    Held,
    choose_cadence,
    held,
    sum_samples,
    tell_samples,
)
from mmflow_mcp.venues.settlements import Span

SPAN = Span(1_000, 5_000, 9_000)
EVERY_SECOND = Cadence(1_000, "1s", DAY)


def test_a_moment_that_one_contract_lacks_is_left_out() -> None:
    """Never a smaller sum; what is newer than the newest of one is only not told yet."""
    linear = {at: Held(10.0, 100.0) for at in (1_000, 2_000, 3_000, 4_000)}
    inverse = {at: Held(1.0, 10.0) for at in (1_000, 3_000)}
    points, lacking = sum_samples({"A": linear, "B": inverse}, SPAN, 1_000)
    assert (PastInterest(1_000, 11.0, 110.0), PastInterest(3_000, 11.0, 110.0)) == points
    assert {"B": 1} == lacking


def test_since_is_inclusive_and_until_exclusive() -> None:
    """Samples outside are not answered."""
    same = {at: Held(1.0, None) for at in (999, 1_000, 4_999, 5_000)}
    points, _ = sum_samples({"A": same}, SPAN, 3_999)
    outside = {999: Held(1.0, None), NOW: Held(1.0, None)}
    assert ((), {}) == sum_samples({"A": outside}, SPAN, 1_000)
    assert [1_000, 4_999] == [point.ts for point in points]


def test_a_hole_in_all_contracts_is_lacking_too() -> None:
    """A page that holds less than was asked for leaves the same hole everywhere."""
    same = {at: Held(1.0, 1.0) for at in (1_000, 2_000, 4_000)}
    points, lacking = sum_samples({"A": same, "B": dict(same)}, SPAN, 1_000)
    assert [1_000, 2_000, 4_000] == [point.ts for point in points]
    assert {"A": 1, "B": 1} == lacking


def test_dollars_are_null_where_one_contract_does_not_tell_them() -> None:
    """Part of the dollars beside all the coins would look like all."""
    points, _ = sum_samples(
        {"A": {1_000: Held(1.0, 5.0)}, "B": {1_000: Held(2.0, None)}}, SPAN, 1_000
    )
    assert (PastInterest(1_000, 3.0, None),) == points


def test_a_contract_without_any_sample_leaves_nothing() -> None:
    """A coin of which one contract is silent has no sum at all, and says so."""
    ask = asking_past("okx", "BTC", 1_000, 5_000)
    samples = {"A": {1_000: Held(1.0, 5.0)}, "B": {}}
    (row,) = tell_samples(ask, "BTC", samples, EVERY_SECOND, (), SPAN)
    assert () == row.points
    assert ("A", "B") == row.symbols
    assert ["missing: no open interest of BTC in that time"] == ask.shortfalls


def test_what_is_lacking_is_told() -> None:
    """Which contract, at how many moments, and from when on there is something at all."""
    ask = asking_past("okx", "BTC", 1_000, 5_000)
    same = {at: Held(1.0, None) for at in (3_000, 4_000)}
    samples = {"A": same, "B": {4_000: Held(1.0, None)}}
    (row,) = tell_samples(ask, "BTC", samples, EVERY_SECOND, (), SPAN)
    assert [4_000] == [point.ts for point in row.points]
    assert [
        "missing: 1 moment at which B has no open interest",
        "missing: open interest of BTC before 1970-01-01 00:00 UTC",
    ] == ask.shortfalls


@pytest.mark.parametrize(("coins", "usd"), [(-1.0, 1.0), (1.0, 1e12), (1e21, None), (1.0, -1.0)])
def test_what_no_contract_can_hold_is_refused(coins: float, usd: float | None) -> None:
    """The row is bad then."""
    with pytest.raises(ValueError, match="not an open interest"):
        held(coins, usd)


@pytest.mark.parametrize(
    ("venue", "days", "expected"),
    [
        (okx_past, 1, "5m"),
        (okx_past, 2, "15m"),
        (okx_past, 7, "1H"),
        (okx_past, 60, "1Dutc"),
        (gateio_past, 2, "5m"),
        (gateio_past, 7, "30m"),
        (gateio_past, 80, "4h"),
        (gateio_past, 2000, "1d"),
        (kraken_past, 2, "5m"),
        (kraken_past, 7, "15m"),
        (kraken_past, 300, "1d"),
    ],
)
def test_the_cadence_follows_the_span(venue: object, days: int, expected: str) -> None:
    """10 minutes and finer for a day or two, coarser beyond, so that pages stay few."""
    cadences = venue.CADENCES  # type: ignore[attr-defined]
    assert expected == choose_cadence(Span(NOW - days * DAY, NOW, NOW), cadences).name


def test_okx_answers_by_the_day_what_it_no_longer_keeps_finer() -> None:
    """Six hours of last month: samples of five minutes are kept for three days only."""
    span = Span(NOW - 30 * DAY, NOW - 30 * DAY + 6 * HOUR, NOW)
    assert "1Dutc" == choose_cadence(span, okx_past.CADENCES).name
    assert "5m" == choose_cadence(span, gateio_past.CADENCES).name
