"""Answers as tables for people."""

from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.endpoints.answer import Answer, Shape, written
from mmflow_mcp.surfaces.questions import Asked, iso

TIMES = {
    "expiryMs",
    "nextFundingTime",
    "fetchedAt",
    "latestDateMs",
    "dateMs",
    "closesMs",
    "ts",
    "t",
    "running",
    "sessionStart",
}


def for_people(asked: Asked, found: Answer[Any]) -> str:
    """The answer as aligned tables, with what there is to know about it below."""
    shape = Shape(form="columns", full=asked.full)
    if asked.endpoint.budget == "limit":
        shape.limit = asked.limit
    source, condensed = found.data, ""
    if asked.endpoint.condense is not None:
        source, condensed = asked.endpoint.condense(source, asked.limit, "columns", asked.query)
    data = written(source, shape)
    parts = [_section(name, value) for name, value in _parts(data, source)]
    meta = {**found.meta, "condensed": condensed} if condensed else found.meta
    parts.append(about(meta, shape, asked))
    return "\n\n".join(part for part in parts if part)


def _parts(data: Any, source: Any) -> list[tuple[str, Any]]:
    if isinstance(source, list):
        return [part for one, of in zip(data, source, strict=True) for part in _parts(one, of)]
    if not is_dataclass(source) or "columns" in data:
        return [("", data)]
    scalars = {
        k: v for k, v in data.items() if not isinstance(v, (dict, list)) or k.endswith("Wall")
    }
    tables = [(k, v) for k, v in data.items() if k not in scalars]
    return [("", scalars), *tables]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and "columns" in value


def _section(name: str, value: Any) -> str:
    if _is_table(value):
        rows = table(value["columns"], value["rows"]) if value["rows"] else "none"
        return (f"{name}\n" if name else "") + rows
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "\n\n".join(_part(one) for one in value)
    if isinstance(value, dict) and value and all(map(_is_table, value.values())):
        return "\n\n".join(_section(f"{name} {key}", v) for key, v in value.items())
    if isinstance(value, dict):
        width = max((len(k) for k in value), default=0)
        lines = [f"{k.ljust(width)}  {_cell(k, v)}" for k, v in value.items()]
        return "\n".join([name, *lines] if name else lines)
    return f"{name}  {_cell(name, value)}"


def _part(one: dict[str, Any]) -> str:
    """One of several alike parts: its words on a line, its tables below."""
    words = ", ".join(f"{k} {_cell(k, v)}" for k, v in one.items() if not _is_table(v))
    return "\n".join([words, *(_section("", v) for v in one.values() if _is_table(v))])


def table(names: list[str], rows: list[list[Any]]) -> str:
    """Aligned columns: numbers to the right, words to the left."""
    cells = [[_cell(n, v) for n, v in zip(names, row, strict=True)] for row in rows]
    numeric = [
        any(isinstance(row[i], (int, float)) and not isinstance(row[i], bool) for row in rows)
        for i in range(len(names))
    ]
    widths = [max([len(n), *(len(row[i]) for row in cells)]) for i, n in enumerate(names)]

    def line(values: list[str]) -> str:
        padded = (
            v.rjust(w) if right else v.ljust(w)
            for v, w, right in zip(values, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(names), *(line(row) for row in cells)])


def plain(value: Any) -> str:
    """One value as people read it."""
    return _cell("", value)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in TIMES and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        # A rate of some 1e-5 keeps its digits; amounts get separators.
        if value == 0 or abs(value) >= 1e9:
            return f"{value:,.0f}"
        if abs(value) < 1e-7:
            return f"{value:.3g}"
        return f"{value:.8f}".rstrip("0") if abs(value) < 0.01 else f"{value:,.10g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(k, v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return str(value)


def about(meta: dict[str, Any], shape: Shape, asked: Asked) -> str:
    """When and from where, what is missing, and what was left out."""
    lines = [f"as of {iso(meta['fetchedAt'])}  source {meta['source'] or '-'}"]
    if meta["partial"]:
        lines.append("PARTIAL: something that was asked is missing")
    lines += [f"  {note['source']}: {note['status']}, {note['reason']}" for note in meta["sources"]]
    for coin, venues in meta.get("notListed", {}).items():
        lines.append(f"  {coin} is not listed on {', '.join(venues)}")
    for key in ("kinds", "narrowed"):
        lines += [f"  {venue}: {said}" for venue, said in meta.get(key, {}).items()]
    if "spot" in meta:
        lines.append(f"  spot is the {meta['spot']}")
    lines += [f"  {meta[key]}" for key in ("condensed", "history") if key in meta]
    if "covered" in meta and "since" in meta["covered"]:
        since = meta["covered"]["since"]
        lines.append(f"  complete since {iso(since) if since else 'no moment yet'}")
    if "fleet" in meta:
        lines.append(f"  fleet: {meta['fleet']}")
    if "times" in meta:
        lines.append(f"  times: {meta['times']}")
    if shape.left_out:
        lines.append(f"{asked.limit} of {shape.total} rows: {asked.endpoint.keeps} (limit=...)")
    return "\n".join(lines)
