"""US trading days: what counts as a session, and which must have been reported."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mmflow_mcp.sim.onchain import is_open
from mmflow_mcp.venues.us_sessions import (
    expected_session,
    is_recent,
    is_regular_hours,
    is_session,
    last_session,
)


def ms(iso: str) -> int:
    """Epoch ms of an ISO time."""
    return round(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_rules_give_the_exchange_s_own_list() -> None:
    """2024 to 2028 against the days written out one by one in the simulation."""
    day = date(2024, 1, 1)
    while day < date(2029, 1, 1):
        assert is_open(day) == is_session(day), day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 4, 3),  # Good Friday
        date(2026, 7, 3),  # Independence Day, a Saturday
        date(2027, 7, 5),  # the same, a Sunday
        date(2026, 5, 25),  # the last Monday of May
        date(2026, 11, 26),  # the fourth Thursday of November
        date(2025, 1, 9),  # mourning
        date(2026, 9, 19),  # a Saturday
    ],
)
def test_days_off(day: date) -> None:
    """Holidays, their substitutes and weekends."""
    assert not is_session(day)


def test_new_year_on_a_saturday_is_not_kept() -> None:
    """31 December 2027 is a session."""
    assert is_session(date(2027, 12, 31))


def test_the_last_session_before_a_long_weekend() -> None:
    """Labor Day 2026 is the 7th of September: Friday the 4th."""
    assert date(2026, 9, 4) == last_session(date(2026, 9, 7))
    assert date(2026, 9, 8) == last_session(date(2026, 9, 8))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-09-18T03:59", date(2026, 9, 15)),
        ("2026-09-18T04:00", date(2026, 9, 16)),
        ("2026-09-20T12:00", date(2026, 9, 18)),
        ("2026-09-22T03:00", date(2026, 9, 18)),
        ("2026-09-23T04:00", date(2026, 9, 21)),
    ],
)
def test_a_session_is_expected_31_hours_after_its_close(now: str, expected: date) -> None:
    """21:00 UTC + 31 h: Wednesday's by Friday 04:00; over a weekend Friday's is the newest."""
    assert expected == expected_session(ms(now))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-07-14T13:29", False),
        ("2026-07-14T13:30", True),
        ("2026-07-14T19:59", True),
        ("2026-07-14T20:00", False),
        # Winter begins on the first Sunday of November, summer on the second of March.
        ("2026-10-30T13:30", True),
        ("2026-11-02T13:30", False),
        ("2026-11-02T14:30", True),
        ("2026-11-02T20:59", True),
        ("2026-03-06T14:29", False),
        ("2026-03-09T13:30", True),
        ("2026-07-11T15:00", False),
        ("2026-07-03T15:00", False),
    ],
)
def test_regular_hours(now: str, expected: bool) -> None:  # noqa: FBT001
    """09:30 to 16:00 in New York, on sessions only."""
    assert expected == is_regular_hours(ms(now))


@pytest.mark.parametrize(
    ("session", "now", "expected"),
    [
        # Friday's figures until Tuesday's close.
        ("2026-09-18", "2026-09-18T21:00", True),
        ("2026-09-18", "2026-09-21T19:59", True),
        ("2026-09-18", "2026-09-21T20:01", True),
        ("2026-09-18", "2026-09-22T19:59", True),
        ("2026-09-18", "2026-09-22T20:01", False),
        # Over a long weekend.
        ("2026-09-03", "2026-09-08T19:59", True),
        ("2026-09-03", "2026-09-08T20:01", False),
    ],
)
def test_recent_is_at_most_one_session_old(session: str, now: str, expected: bool) -> None:  # noqa: FBT001
    """At most one session has closed since."""
    assert expected == is_recent(ms(session), ms(now))
