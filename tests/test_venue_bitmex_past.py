"""BitMEX's past, from recordings: every row tells its own period."""

from typing import Any

import pytest
from pasts import DAY, HOUR, Sampled, asking_past, requests_of

from mmflow_mcp.errors import Unrecorded, VenueChanged, VenueTimeout
from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bitmex import Bitmex
from mmflow_mcp.venues.bitmex_moments import write_moment
from mmflow_mcp.venues.bitmex_past import forms_of, parse_fundings
from mmflow_mcp.venues.windows import Page

pytestmark = pytest.mark.anyio

VENUE = Bitmex()
AT = 1_789_412_345_678
# 2016-06-03 12:00 UTC.
NOON = 1_464_955_200_000


def asking(coin: str, since: int, until: int, *names: str, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    files = names or ("bitmex", "bitmex-past")
    return asking_past("bitmex", coin, since, until, Sampled(*files, told=told))


def told(*rows: Any) -> Wire:
    """An answer by hand."""
    return Wire(list(rows), fetched_at=AT, read=0.0, size=1)


async def test_the_period_of_each_row_is_its_own() -> None:
    """A day in 2016, then eight hours; other perpetuals stand in the same answer."""
    ask = asking("BTC", NOON - DAY, NOON + 24 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "bitmex", "XBTUSD") == (row.coin, row.venue, row.symbol)
    assert (
        SettledRate(NOON - DAY, 0.0005, 24),
        SettledRate(NOON, -0.0003, 24),
        SettledRate(NOON + 8 * HOUR, 0.00017, 8),
    ) == row.rates
    assert ["changed: 1 row could not be read"] == ask.shortfalls


async def test_a_recording_of_all_rows_stands_for_a_window() -> None:
    """Recorders asked without any parameter; a page of 500 rows is what we would ask for."""
    ask = asking("BTC", NOON, NOON + HOUR)
    await VENUE.funding_history(ask)
    first, second = requests_of(ask)
    assert "symbol=XBTUSD&count=500&startTime=2016-06-03T12" in first
    assert second.endswith("/api/v1/funding")


async def test_other_coins_need_the_list() -> None:
    """Which perpetual speaks for ETH, the instruments tell; for bitcoin it was always one."""
    (row,) = await VENUE.funding_history(asking("ETH", NOON, NOON + DAY))
    assert ("ETHUSD", (SettledRate(NOON + 8 * HOUR, 0.09, 8),)) == (row.symbol, row.rates)
    with pytest.raises(Unrecorded):
        await VENUE.funding_history(asking("ETH", NOON, NOON + DAY, "bitmex-past"))
    (alone,) = await VENUE.funding_history(asking("BTC", NOON, NOON + DAY, "bitmex-past"))
    assert 2 == len(alone.rates)


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is."""
    ask = asking("NOPE", NOON, NOON + DAY)
    assert [] == await VENUE.funding_history(ask)
    assert (True, False) == ("BTC" in ask.universe, "NOPE" in ask.universe)


async def test_what_fails_is_told_or_raised() -> None:
    """One window of two is kept; none is the venue's failure."""
    failed = VenueTimeout("timeout: no answer")
    since = NOON - 170 * DAY
    lost = {forms_of("XBTUSD", Page(since, since + 160 * DAY))[0].url: failed}
    ask = asking("BTC", since, NOON + HOUR, **lost)
    (row,) = await VENUE.funding_history(ask)
    assert 2 == len(row.rates)
    assert "timeout: no answer (funding)" in ask.shortfalls
    with pytest.raises(VenueTimeout):
        await VENUE.funding_history(asking("BTC", NOON, NOON + HOUR, funding=failed))


async def test_a_long_question_is_cut_and_told() -> None:
    """Seven windows of 160 days."""
    ask = asking("BTC", 0, AT)
    await VENUE.funding_history(ask)
    assert any(
        said.startswith("missing: settled rates of XBTUSD before 2023") for said in ask.shortfalls
    )


@pytest.mark.parametrize("doc", [{}, "<html>", None, {"error": {"message": "x", "name": "y"}}])
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history."""
    with pytest.raises(VenueChanged):
        parse_fundings(Wire(doc, fetched_at=AT, read=0.0, size=1), "XBTUSD")
    assert ([], 0) == parse_fundings(told(), "XBTUSD")


def test_bad_rows_are_dropped_and_counted() -> None:
    """A length of no time or of two days, no zone, beyond belief."""
    good = {
        "timestamp": "2016-06-03T12:00:00.000Z",
        "symbol": "XBTUSD",
        "fundingInterval": "2000-01-01T08:00:00.000Z",
        "fundingRate": 0.0001,
    }
    bad = [
        {**good, "fundingInterval": "2000-01-01T00:00:00.000Z"},
        {**good, "fundingInterval": "2000-01-03T00:00:00.000Z"},
        {**good, "timestamp": "2016-06-03T12:00:00"},
        {**good, "fundingRate": 0.3},
    ]
    found, count = parse_fundings(told(*bad, *[good] * 4), "XBTUSD")
    assert (4, 4) == (len(found), count)
    assert "2016-06-03T12:00:00.000Z" == write_moment(NOON)
