"""The weekend rule: which day's rate is to be expected, and from when an old one is stale."""

from datetime import UTC, date, datetime

import pytest

from mmflow_mcp.analytics.fixing import expected_fixing, holidays, is_working_day, state_of


def at(text: str) -> int:
    """A moment in UTC, epoch ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("year", "good_friday", "easter_monday"),
    [
        (2024, "2024-03-29", "2024-04-01"),
        (2025, "2025-04-18", "2025-04-21"),
        (2026, "2026-04-03", "2026-04-06"),
        (2027, "2027-03-26", "2027-03-29"),
        (2038, "2038-04-23", "2038-04-26"),
    ],
)
def test_easter_moves(year: int, good_friday: str, easter_monday: str) -> None:
    """Good Friday and Easter Monday have no fixing, beside the four fixed days."""
    fixed = {date(year, m, d) for m, d in ((1, 1), (5, 1), (12, 25), (12, 26))}
    assert {*fixed, day(good_friday), day(easter_monday)} == holidays(year)


def test_weekends_and_holidays_are_no_working_days() -> None:
    """A Friday is, a Saturday is not, Labour Day is not."""
    assert [True, False, False] == [
        is_working_day(day(d)) for d in ("2026-08-14", "2026-08-15", "2026-05-01")
    ]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-09-15T12:00", "2026-09-14"),  # Tuesday noon: Monday's
        ("2026-09-15T17:00", "2026-09-15"),  # Tuesday evening: its own
        ("2026-09-14T09:00", "2026-09-11"),  # Monday morning: Friday's
        ("2026-08-16T12:00", "2026-08-14"),  # Sunday: Friday's
        ("2026-04-07T09:00", "2026-04-02"),  # Tuesday after Easter: Thursday's
        ("2027-01-04T09:00", "2026-12-31"),  # Monday after New Year
    ],
)
def test_the_newest_rate_there_can_be(moment: str, expected: str) -> None:
    """A day's rate is out in its late afternoon, and only on working days."""
    assert day(expected) == expected_fixing(at(moment))


@pytest.mark.parametrize(
    ("fixed_on", "moment", "state"),
    [
        ("2026-09-15", "2026-09-15T18:00", "fresh"),
        ("2026-09-14", "2026-09-15T18:00", "fresh"),  # one working day behind
        ("2026-09-11", "2026-09-15T12:00", "fresh"),  # Monday's was due, Friday's is one behind
        ("2026-08-14", "2026-08-16T12:00", "carried"),  # a Sunday
        ("2026-08-13", "2026-08-16T12:00", "carried"),
        ("2026-08-11", "2026-08-16T12:00", "stale"),  # five days old
        ("2026-09-14", "2026-09-17T12:00", "carried"),  # two working days behind, three days old
        ("2026-09-10", "2026-09-15T12:00", "stale"),
        ("2026-04-02", "2026-04-06T12:00", "carried"),  # Easter Monday
        ("2026-04-02", "2026-04-07T12:00", "fresh"),  # five days old, and the newest there is
        ("2026-04-02", "2026-04-08T12:00", "fresh"),
        ("2026-04-02", "2026-04-09T12:00", "stale"),  # seven days, two of them holidays
        ("2026-04-01", "2026-04-07T18:00", "carried"),  # six days, two of them holidays
        ("2026-12-24", "2026-12-28T12:00", "fresh"),
        ("2026-09-16", "2026-09-15T18:00", "fresh"),  # the next day's, already out
    ],
)
def test_when_an_old_rate_is_no_fault(fixed_on: str, moment: str, state: str) -> None:
    """Weekends and holidays carry the last one; beyond four days of the others it is stale."""
    assert state == state_of(day(fixed_on), at(moment))
