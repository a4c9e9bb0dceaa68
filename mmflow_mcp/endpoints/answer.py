"""What an endpoint returns, and how it is written: as objects for programs, as columns for models.

Both forms carry the same facts with the same digits; only a tool's row budget leaves rows out,
and says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from mmflow_mcp.rows import camel, columns, getter

Row = TypeVar("Row")
Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Alike rows. `matters` ranks them when a budget must leave some out (greater stays).

    Of a `sparse` table the columns that may be unknown and are so in every row are left out.
    """

    row: type[Row]
    rows: Sequence[Row]
    matters: Callable[[Row], float]
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Answer(Generic[Data]):
    """The facts and what there is to know about them.

    `data` is a Table, or a dataclass of scalars and Tables. `meta` is the envelope's. `until` is
    how long the same question has this answer, a monotonic time: all its wires are fresh till then.
    """

    data: Data
    meta: dict[str, Any] = field(default_factory=dict)
    until: float = 0.0


@dataclass(slots=True)
class Shape:
    """How to write an answer. `limit` None: everything. `short`: rows in few digits."""

    form: str = "objects"
    full: bool = True
    short: bool = False
    limit: int | None = None
    total: int = 0
    left_out: int = 0
    cut: float | None = None
    ties: int = 0


def written(data: Any, shape: Shape) -> Any:
    """The data as plain JSON values in the given shape; counts rows into `shape.total`."""
    if shape.limit is not None:
        _set_cut(data, shape)
    return _write(data, shape)


def _tables(data: Any) -> list[Table[Any]]:
    if isinstance(data, Table):
        return [data]
    if isinstance(data, dict):
        return [t for value in data.values() for t in _tables(value)]
    if isinstance(data, (list, tuple)):
        return [t for value in data for t in _tables(value)]
    if is_dataclass(data):
        return [
            t
            for f in fields(data)
            if f.metadata.get("budgeted", True)
            for t in _tables(getattr(data, f.name))
        ]
    return []


def _set_cut(data: Any, shape: Shape) -> None:
    """Find the rank below which rows are left out, over all tables of the answer together."""
    ranks = [table.matters(row) for table in _tables(data) for row in table.rows]
    shape.total = len(ranks)
    if shape.limit is not None and len(ranks) > shape.limit:
        ranks.sort(reverse=True)
        shape.cut = ranks[shape.limit - 1]
        # Rows that tie at the cut are kept in their order until the budget is used up.
        shape.ties = shape.limit - sum(1 for rank in ranks if rank > shape.cut)
        shape.left_out = len(ranks) - shape.limit


def _write(data: Any, shape: Shape, *, budgeted: bool = True) -> Any:
    if isinstance(data, Table):
        return _write_table(data, shape, budgeted=budgeted)
    if isinstance(data, dict):
        written_out = {k: _write(v, shape, budgeted=budgeted) for k, v in data.items()}
        if shape.cut is None:
            return written_out
        # A table of which the budget left no row is left out with them.
        return {k: v for k, v in written_out.items() if not _is_empty(v)}
    if is_dataclass(data):
        return _write_dataclass(data, shape)
    if isinstance(data, (list, tuple)):
        return [_write(v, shape, budgeted=budgeted) for v in data]
    return data


def _is_empty(value: Any) -> bool:
    return value == [] or (isinstance(value, dict) and value.get("rows") == [])


def _write_dataclass(data: Any, shape: Shape) -> dict[str, Any]:
    out: dict[str, Any] = {}
    kind: Any = type(data)
    for f in columns(kind):
        if not shape.full and not f.metadata.get("brief", True):
            continue
        value = getattr(data, f.name)
        if value is None and f.default is None:
            continue
        out[camel(f.name)] = (
            _digits(f)(value)
            if isinstance(value, float)
            else _write(value, shape, budgeted=f.metadata.get("budgeted", True))
        )
    return out


def _write_table(table: Table[Any], shape: Shape, *, budgeted: bool) -> Any:
    rows = _kept(table, shape) if budgeted and shape.cut is not None else table.rows
    kind: Any = table.row
    write = _writer(kind, full=shape.full, short=shape.short)
    values = [write(row) for row in rows]
    names = _names(kind, full=shape.full)
    optional = _optional(kind, full=shape.full)
    if shape.form == "columns":
        if not table.sparse:
            return {"columns": list(names), "rows": values}
        shown = [
            i
            for i, may_go in enumerate(optional)
            if not may_go or any(row[i] is not None for row in values)
        ]
        return {
            "columns": [names[i] for i in shown],
            "rows": [[row[i] for i in shown] for row in values],
        }
    return [
        {
            name: value
            for name, value, may_go in zip(names, row, optional, strict=True)
            if value is not None or not may_go
        }
        for row in values
    ]


def _kept(table: Table[Any], shape: Shape) -> list[Any]:
    kept = []
    for row in table.rows:
        rank = table.matters(row)
        if shape.cut is None or rank > shape.cut:
            kept.append(row)
        elif rank == shape.cut and shape.ties > 0:
            shape.ties -= 1
            kept.append(row)
    return kept


@cache
def _names(row: Any, *, full: bool) -> tuple[str, ...]:
    return tuple(camel(f.name) for f in columns(row, brief=not full))


@cache
def _optional(row: Any, *, full: bool) -> tuple[bool, ...]:
    return tuple(f.default is None for f in columns(row, brief=not full))


def _plain(value: Any, first: int | None) -> Any:
    if isinstance(value, tuple):
        return list(value[:first])
    return value


def _significant(digits: int) -> Callable[[float], float | int]:
    pattern = f"%.{digits}g"

    def shorten(value: float) -> float | int:
        short = float(pattern % value)
        return int(short) if short.is_integer() and abs(short) < 1e15 else short

    return shorten


def _decimals(digits: int) -> Callable[[float], float | int]:
    def shorten(value: float) -> float | int:
        short = round(value, digits)
        return int(short) if short.is_integer() and abs(short) < 1e15 else short

    return shorten


def _whole_millions(value: float) -> float | int:
    """Cents of an amount of a million or more are noise to a reader."""
    return round(value) if abs(value) >= 1e6 else _decimals(1)(value)


_SHORTEN: dict[str, Callable[[float], float | int]] = {
    # METHODS, conventions: USD 1 decimal, percent 2, rates and prices at most 12 digits.
    "usd": _decimals(1),
    "percent": _decimals(2),
    "ratio": _decimals(4),
    "fine": _decimals(6),
    "mean": _significant(6),
    "coins": _significant(10),
    "rate": _significant(12),
    "number": _significant(12),
}
# Rows as a model reads them by default; programs, `detail: full` and REST get the digits above.
_SHORTER = {**_SHORTEN, "usd": _whole_millions, "rate": _significant(6)}


def _digits(f: Any, *, short: bool = False) -> Callable[[float], float | int]:
    return (_SHORTER if short else _SHORTEN)[f.metadata.get("digits", "number")]


@cache
def _writer(row: Any, *, full: bool, short: bool) -> Callable[[Any], list[Any]]:
    """A fast reader of one row's columns, each with the digits it deserves."""
    picked = columns(row, brief=not full)
    read = getter(row, brief=not full)
    shorten = tuple(_digits(f, short=short) for f in picked)
    firsts = tuple(None if full else f.metadata.get("first") for f in picked)
    if len(picked) < 2:
        msg = f"{row.__name__} needs two columns or more"
        raise TypeError(msg)

    def write(r: Any) -> list[Any]:
        return [
            short(value) if type(value) is float else _plain(value, first)
            for short, value, first in zip(shorten, read(r), firsts, strict=True)
        ]

    return write
