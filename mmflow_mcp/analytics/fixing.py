"""The age of a daily euro reference rate: which days have one, and when an old one is no fault.

https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates

The rate is fixed on TARGET working days about 16:00 in Frankfurt; on weekends and holidays the
last one stands. Dates are of UTC.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from mmflow_mcp.analytics.states import STALE

# By then a day's rate has been published and taken up, in summer and in winter (UTC).
_PUBLISHED_HOUR = 17
_OLDEST_DAYS = 4

FRESH, CARRIED = "fresh", "carried"


@lru_cache(maxsize=32)
def holidays(year: int) -> frozenset[date]:
    """Days without a fixing although no weekend: TARGET's holidays."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (12, 25), (12, 26))
    moving = (easter - timedelta(days=2), easter + timedelta(days=1))
    return frozenset({*(date(year, month, day) for month, day in fixed), *moving})


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def is_working_day(day: date) -> bool:
    """Whether a rate is fixed on that day."""
    return day.weekday() < 5 and day not in holidays(day.year)


def working_day_before(day: date) -> date:
    """The last day before it on which a rate is fixed."""
    day -= timedelta(days=1)
    while not is_working_day(day):
        day -= timedelta(days=1)
    return day


def expected_fixing(at_ms: int) -> date:
    """The day of the newest rate that must have been published at a moment."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    today = at.date()
    published = is_working_day(today) and at.hour >= _PUBLISHED_HOUR
    return today if published else working_day_before(today)


def state_of(fixed_on: date, at_ms: int) -> str:
    """fresh, carried (the last one there can be, or a little late) or stale.

    One working day behind the expected one is fresh. Stale is what is older than four days, not
    counting holidays of the week.
    """
    today = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    fresh = fixed_on >= working_day_before(expected_fixing(at_ms))
    if fresh:
        return FRESH if is_working_day(today) else CARRIED
    between = (fixed_on + timedelta(days=n + 1) for n in range((today - fixed_on).days))
    counted = sum(day.weekday() >= 5 or is_working_day(day) for day in between)
    return CARRIED if counted <= _OLDEST_DAYS else STALE
