"""The days on which US exchanges trade, and therefore US funds report flows.

NYSE rules: a holiday on a Sunday is kept on Monday, on a Saturday on Friday, except that New
Year's Day on a Saturday is not kept. Days of mourning are by decree and listed.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache

from mmflow_mcp.clock import HOUR_MS

_DECREED = frozenset({date(2025, 1, 9)})
# Late figures of a session came up to 31 hours after its close (20:00 or 21:00 UTC).
_REPORTED_BY_MS = (24 + 21 + 7) * HOUR_MS


def is_session(day: date) -> bool:
    """Whether US exchanges trade on that day."""
    return day.weekday() < 5 and day not in _holidays(day.year) and day not in _DECREED


def last_session(day: date) -> date:
    """The newest session that is not after a day."""
    while not is_session(day):
        day -= timedelta(days=1)
    return day


def expected_session(now_ms: int) -> date:
    """The newest session whose flows all funds must have reported by now, epoch ms."""
    reported = datetime.fromtimestamp((now_ms - _REPORTED_BY_MS) / 1000, UTC)
    return last_session(reported.date())


def is_recent(session_ms: int, now_ms: int) -> bool:
    """Whether at most one session has closed since the one of a date (00:00 UTC, epoch ms)."""
    day = datetime.fromtimestamp(session_ms / 1000, UTC).date()
    newest = last_session(datetime.fromtimestamp((now_ms - _close_ms(now_ms)) / 1000, UTC).date())
    return day >= last_session(newest - timedelta(days=1))


def is_regular_hours(now_ms: int) -> bool:
    """Whether US exchanges trade now: 09:30 to 16:00 in New York."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    minute = now.hour * 60 + now.minute
    close = _close_ms(now_ms) // 60_000
    return is_session(now.date()) and close - 390 <= minute < close


def _close_ms(now_ms: int) -> int:
    """The close of New York after midnight UTC: 20:00 in summer time, else 21:00."""
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    summer = _nth(day.year, 3, 6, 2) <= day < _nth(day.year, 11, 6, 1)
    return (20 if summer else 21) * HOUR_MS


@cache
def _holidays(year: int) -> frozenset[date]:
    fixed = [date(year, 7, 4), date(year, 12, 25)]
    if year >= 2022:
        fixed.append(date(year, 6, 19))
    kept = {_observed(day) for day in fixed}
    if date(year, 1, 1).weekday() != 5:
        kept.add(_observed(date(year, 1, 1)))
    return frozenset(
        kept
        | {
            _nth(year, 1, 0, 3),
            _nth(year, 2, 0, 3),
            _easter(year) - timedelta(days=2),
            _nth(year, 6, 0, 1) - timedelta(days=7),
            _nth(year, 9, 0, 1),
            _nth(year, 11, 3, 4),
        }
    )


def _observed(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _easter(year: int) -> date:
    """Gregorian Easter Sunday (the anonymous computus)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)
