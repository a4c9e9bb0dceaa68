"""Expiry dates: 08:00 UTC, last Fridays of months and quarters, as every venue keeps them."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

_MONTHS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
_FRIDAY = 4


def date_of(at_ms: int) -> date:
    """The UTC date of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def expiry_of(day: date) -> int:
    """08:00 UTC of a date, epoch ms."""
    return int(datetime(day.year, day.month, day.day, 8, tzinfo=UTC).timestamp()) * 1000


def last_friday(year: int, month: int) -> date:
    """The last Friday of a month; months beyond December run into the next year."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() - _FRIDAY) % 7)


def next_last_fridays(at_ms: int, step: int, count: int) -> list[date]:
    """The next last Fridays whose 08:00 lies ahead, of every month (1) or quarter (3)."""
    start = date_of(at_ms)
    first = start.month if step == 1 else (start.month + 2) // 3 * 3
    days = [last_friday(start.year, first + step * n) for n in range(count + 1)]
    return [day for day in days if expiry_of(day) > at_ms][:count]


def option_expiries(at_ms: int) -> list[date]:
    """Four days, four Fridays, three months and four quarters, those that lie ahead, ascending."""
    today = date_of(at_ms)
    days = [today + timedelta(days=n) for n in range(5)]
    ahead = [day for day in days if expiry_of(day) > at_ms][:4]
    friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    weeks = [friday + timedelta(weeks=n) for n in range(5)]
    ahead += [day for day in weeks if expiry_of(day) > at_ms][:4]
    return sorted({*ahead, *next_last_fridays(at_ms, 1, 3), *next_last_fridays(at_ms, 3, 4)})


def written_day(day: date) -> str:
    """`5JUN26`: no leading zero on the day, as deribit and bybit write it."""
    return f"{day.day}{_MONTHS[3 * day.month - 3 : 3 * day.month]}{day:%y}"
