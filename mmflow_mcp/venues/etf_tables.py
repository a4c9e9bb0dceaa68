"""From a published table of ETF flows to sessions: which cell means what, which day is complete.

Flows are net creations less redemptions in US$ millions per US session. A session's row appears
before all funds have reported, and its total is a running sum until then: such rows are told, but
are neither the latest session nor part of the cumulative sum.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.onchain import EtfFlowRow, EtfTable
from mmflow_mcp.venues.us_sessions import is_session

# The funds by which an asset's table is known, and the day of its first session.
REQUIRED = {
    "bitcoin": frozenset({"IBIT", "FBTC", "GBTC"}),
    "ethereum": frozenset({"ETHA", "FETH", "ETHE"}),
}
FIRST = {"bitcoin": date(2024, 1, 11), "ethereum": date(2024, 7, 23)}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"(\d{1,2}) ([A-Za-z]{3}) (\d{4})")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_NOTHING = frozenset({"", "-", "\u2013", "\u2014", "n/a"})
# No fund has moved a tenth of this in a day, US$ millions.
_ABSURD = 100_000.0
_EPOCH = date(1970, 1, 1).toordinal()
# A fund that reported within so many sessions is expected to report again.
_REMEMBERED = 10
# A fund that is silent for so many sessions in a row has closed.
_CLOSED = 3


@dataclass(frozen=True, slots=True)
class Flows:
    """A table and what is short in it: `bad` rows could not be read, `notes` say what else."""

    table: EtfTable
    bad: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a publisher's page or file says, before it is judged.

    `footer`: its own sum over all sessions, US$ millions; `bad`: rows that could not be read.
    """

    tickers: tuple[str, ...]
    rows: Sequence[EtfFlowRow]
    footer: float | None = None
    bad: int = 0


def read_grid(grid: Sequence[Sequence[str]], asset: str, now_ms: int) -> Sheet:
    """The sheet in rows of cells, columns bound by the tickers above them.

    Rows whose first cell is no date (fees, seed capital, sums, averages) are no sessions.
    """
    header = next((i for i, row in enumerate(grid) if REQUIRED[asset] <= set(row)), None)
    if header is None:
        raise VenueChanged("changed: no row of the table names the funds")
    names = list(grid[header])
    columns = {i: n[:12] for i, n in enumerate(names) if i and n and n.casefold() != "total"}
    if len(set(columns.values())) < len(columns):
        raise VenueChanged("changed: two columns of the table name the same fund")
    total_at = next((i for i, name in enumerate(names) if name.casefold() == "total"), None)
    assumed = total_at is None
    if total_at is None:
        total_at = len(names) - 1
        if total_at in columns:
            raise VenueChanged("changed: the table has no column of totals")
    rows: list[EtfFlowRow] = []
    bad, footer = 0, None
    for cells in grid[header + 1 :]:
        label = cells[0]
        if label.casefold() == "total" and len(cells) == len(names):
            footer = _number_or_none(cells[total_at])
        if not _DATE.fullmatch(label):
            continue
        try:
            rows.append(_read_row(cells, columns, total_at, len(names), asset, now_ms))
        except ValueError:
            bad += 1
    _refuse_columns(rows, assumed=assumed)
    return Sheet(tuple(columns.values()), rows, footer, bad)


def read_cell(text: str) -> float | None:
    """US$ millions of a cell; parentheses are negative, a dash is no reading. ValueError."""
    bare = text.replace("\u00a0", " ").strip().rstrip("*").strip()
    if bare.casefold() in _NOTHING:
        return None
    inside = bare[1:-1].strip() if bare.startswith("(") and bare.endswith(")") else None
    if not _NUMBER.fullmatch(bare if inside is None else inside) or (inside or "").startswith("-"):
        msg = "no amount"
        raise ValueError(msg)
    value = float((bare if inside is None else inside).replace(",", ""))
    return value if inside is None else -value


def read_date(label: str) -> date:
    """A day as the table prints it, 16 May 2026, whatever the locale. ValueError."""
    found = _DATE.fullmatch(label)
    if found is None or found[2].title() not in _MONTHS:
        msg = "no date"
        raise ValueError(msg)
    return date(int(found[3]), _MONTHS.index(found[2].title()) + 1, int(found[1]))


def label_of(day: date) -> str:
    """A day as the table prints it."""
    return f"{day.day:02d} {_MONTHS[day.month - 1]} {day.year}"


def row_of(
    day: date, values: dict[str, float], total: float | None, asset: str, now_ms: int
) -> EtfFlowRow:
    """A session; ValueError for a day before the first, or one that has not begun."""
    at = round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    amounts = [*values.values(), total or 0.0]
    if day < FIRST[asset] or at > now_ms or any(abs(x) > _ABSURD for x in amounts):
        msg = "not a session"
        raise ValueError(msg)
    return EtfFlowRow(label_of(day), at, values, total)


def judge_sheet(sheet: Sheet, asset: str, *, fetched_at: int, source: str, publisher: str) -> Flows:
    """The table of a sheet: newest first, incomplete sessions marked, the sum of the others."""
    rows, silent = _sessions(sheet.rows)
    if not rows or sheet.bad > max(2, len(rows) // 20):
        raise VenueChanged(f"changed: {sheet.bad} rows of the table could not be read")
    latest = _latest(rows)
    settled, pending = rows[: latest + 1], rows[latest + 1 :]
    cumulative, notes = _cumulative(settled, pending, sheet, asset)
    if silent:
        notes.append("changed: figures for days without a session")
    # The total of a row without figures is no measured zero.
    marked = [
        *settled,
        *(replace(r, partial=True, total=r.total if r.values else None) for r in pending),
    ]
    table = EtfTable(
        asset=asset,
        tickers=sheet.tickers,
        rows=tuple(reversed(marked)),
        cumulative_usdm=cumulative,
        fetched_at=fetched_at,
        source=source,
        publisher=publisher,
    )
    return Flows(table, sheet.bad, tuple(notes))


def _read_row(
    cells: Sequence[str],
    columns: dict[int, str],
    total_at: int,
    width: int,
    asset: str,
    now_ms: int,
) -> EtfFlowRow:
    if len(cells) != width:
        msg = "a row of another width"
        raise ValueError(msg)
    amounts = {name: read_cell(cells[i]) for i, name in columns.items()}
    values = {name: value for name, value in amounts.items() if value is not None}
    row = row_of(read_date(cells[0]), values, read_cell(cells[total_at]), asset, now_ms)
    return replace(row, date_label=cells[0])


def _number_or_none(text: str) -> float | None:
    try:
        return read_cell(text)
    except ValueError:
        return None


def _adds_up(row: EtfFlowRow, floor: float = 0.2) -> bool:
    """Whether the total is that of the funds, but for the rounding of each."""
    if row.total is None:
        return False
    return abs(sum(row.values.values()) - row.total) <= max(floor, 0.01 * abs(row.total))


def _refuse_columns(rows: Sequence[EtfFlowRow], *, assumed: bool) -> None:
    """The column of totals is one only if it is the sum of the others on most days."""
    judged = [row for row in rows if row.total is not None and row.values]
    # Twelve funds rounded to 0.1 each may differ by more than the page's own rule on a quiet day.
    good = sum(_adds_up(row, 0.7) for row in judged)
    if (judged or assumed) and good < 0.8 * max(1, len(judged)):
        raise VenueChanged("changed: the totals of the table are not the sums of its funds")


def _sessions(rows: Iterable[EtfFlowRow]) -> tuple[list[EtfFlowRow], int]:
    """Rows by day without the template rows of days off, and how many days off had figures."""
    by_day: dict[int, EtfFlowRow] = {}
    for row in rows:
        other = by_day.setdefault(row.date_ms, row)
        if (other.values, other.total) != (row.values, row.total):
            raise VenueChanged("changed: the table has two different rows of one day")
    kept: list[EtfFlowRow] = []
    strange = 0
    for at, row in sorted(by_day.items()):
        empty = not any(row.values.values()) and not row.total
        if is_session(datetime.fromtimestamp(at / 1000, UTC).date()):
            kept.append(row)
        elif not empty:
            strange += 1
    # A day of dashes between days of figures was a day off that no calendar knew.
    newest = max((i for i, row in enumerate(kept) if row.values), default=-1)
    return [row for i, row in enumerate(kept) if row.values or i > newest], strange


def _latest(rows: Sequence[EtfFlowRow]) -> int:
    """Index of the newest complete session, -1 without one; rows are oldest first."""
    for i in range(len(rows) - 1, max(-1, len(rows) - 1 - 2 * _REMEMBERED), -1):
        if _is_complete(rows, i):
            return i
    return -1


def _is_complete(rows: Sequence[EtfFlowRow], i: int) -> bool:
    """Every fund that reported lately has reported, and the total is the sum of all."""
    row = rows[i]
    if not row.values or not _adds_up(row):
        return False
    recent = {name for before in rows[max(0, i - _REMEMBERED) : i] for name in before.values}
    return all(_has_closed(rows, i, name) for name in recent - row.values.keys())


def _has_closed(rows: Sequence[EtfFlowRow], i: int, name: str) -> bool:
    after = rows[i:]
    return len(after) >= _CLOSED and all(name not in row.values for row in after)


def _day_of(row: EtfFlowRow) -> date:
    return datetime.fromtimestamp(row.date_ms / 1000, UTC).date()


def _cumulative(
    settled: Sequence[EtfFlowRow], pending: Sequence[EtfFlowRow], sheet: Sheet, asset: str
) -> tuple[float | None, list[str]]:
    """The sum over all complete sessions, or the publisher's where not all of them are here."""
    if not settled:
        return None, []
    open_sum = sum(row.total or 0.0 for row in pending)
    began = _day_of(settled[0])
    whole = (began - FIRST[asset]).days * DAY_MS <= 7 * DAY_MS and not sheet.bad
    totals = [row.total for row in settled if row.total is not None]
    if not whole or len(totals) < len(settled):
        return (None if sheet.footer is None else round(sheet.footer - open_sum, 1)), []
    cumulative = round(sum(totals), 1)
    if sheet.footer is None:
        return cumulative, _absent(settled, sheet, asset)
    if abs(cumulative + open_sum - sheet.footer) <= 5 + abs(open_sum):
        return cumulative, []
    return cumulative, ["changed: the sum of the sessions is not the one the table gives"]


def _absent(settled: Sequence[EtfFlowRow], sheet: Sheet, asset: str) -> list[str]:
    """What to say of sessions that a table without a sum of its own passes over.

    A row without figures tells of a day off that no calendar knew.
    """
    off = {row.date_ms for row in sheet.rows if not row.values and not row.total}
    seen = off | {row.date_ms for row in settled}
    days = range(FIRST[asset].toordinal(), _day_of(settled[-1]).toordinal())
    lost = [
        day
        for day in map(date.fromordinal, days)
        if is_session(day) and (day.toordinal() - _EPOCH) * DAY_MS not in seen
    ]
    if not lost:
        return []
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return [f"missing: the session of {label_of(lost[0])}{more}, so the sum is short"]
