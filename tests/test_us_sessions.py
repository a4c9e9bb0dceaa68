"""US trading days: what counts as a session, and which must have been reported."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mmflow_mcp.sim.onchain import is_open
from mmflow_mcp.venues.us_sessions import expected_session, is_session, last_session


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
