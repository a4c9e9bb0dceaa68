"""From a tool's arguments to an answer, and to the words of an error that teaches."""

import difflib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Answer, Shape, written
from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, MmflowError, VenueClosed
from mmflow_mcp.surfaces.schema import MAX_LIMIT, TOOL_BUDGETS, parameters

log = logging.getLogger("mmflow_mcp")


@dataclass(slots=True)
class Asked:
    """A question as it was understood: its endpoint, its query, and how much to show."""

    endpoint: Endpoint
    query: Any
    limit: int
    full: bool


def find(name: str) -> Endpoint:
    """The endpoint of a tool name. Raises `BadQuestion` with the nearest ones."""
    known = endpoints()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise BadQuestion("tool", f"{name!r} is not known.", nearest=near, fits=", ".join(known))
    return known[name]


def understand(name: str, arguments: dict[str, Any]) -> Asked:
    """Validate arguments against the declaration; raises `BadQuestion` naming what would fit."""
    e = find(name)
    given = {key: value for key, value in arguments.items() if value is not None}
    limit, full = e.limit, False
    if e.budget in TOOL_BUDGETS and e.budget in given:
        limit = _limit(given.pop(e.budget), e.budget)
        own = e.query.model_fields.get(e.budget)
        if own is not None:
            # The question has a limit of its own: no face keeps more than it asks for.
            given[e.budget] = max(limit, own.default)
    if e.detail and "detail" in given:
        full = _detail(given.pop("detail"))
    return Asked(e, validated(e, given, extras_of(e)), limit, full)


def extras_of(e: Endpoint) -> list[str]:
    """What a tool takes beside the question's own parameters: how much of the answer to show."""
    return [e.budget] * (e.budget in TOOL_BUDGETS) + ["detail"] * e.detail


def validated(e: Endpoint, given: dict[str, Any], extras: Sequence[str] = ()) -> Any:
    """The question's own parameters as its query; an error also names the face's `extras`."""
    try:
        return e.query.model_validate(given)
    except ValidationError as error:
        raise explained(e, error, extras) from None


def _limit(value: Any, name: str) -> int:
    # 0 points are all of them; 0 rows would be no answer.
    least = 0 if name == "points" else 1
    try:
        limit = int(value)
        if isinstance(value, bool) or limit != float(value) or not least <= limit <= MAX_LIMIT:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        what = TOOL_BUDGETS[name].lower()
        raise BadQuestion(
            name, f"{str(value)[:40]!r} is no number of {what}.", fits=f"{least} to {MAX_LIMIT}"
        ) from None
    return limit


def _detail(value: Any) -> bool:
    if value not in ("brief", "full"):
        raise BadQuestion("detail", f"{str(value)[:40]!r} is unknown.", fits="brief or full")
    return bool(value == "full")


def explained(e: Endpoint, error: ValidationError, extras: Sequence[str] = ()) -> BadQuestion:
    """The first thing wrong with the arguments, in our own words."""
    faults = error.errors(include_url=False)
    # A name that is none says more than the one that it was meant for.
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    name = ".".join(str(part) for part in fault["loc"]) or "arguments"
    fields = {field.alias or own: field for own, field in e.query.model_fields.items()}
    known = [*dict.fromkeys([*fields, *extras])]
    if fault["type"] == "extra_forbidden":
        near = meant(name, known)
        fits = ", ".join(known) or "no argument at all"
        return BadQuestion(name[:40], "unknown argument.", nearest=near, fits=fits)
    if fault["type"] == "missing":
        return BadQuestion(name, "is required.", fits=_fitting(e, name))
    value, choices = fault["input"], _spec(e, name).get("enum", ())
    given = repr(value[:40]) if isinstance(value, str) else repr(value)[:40]
    near = difflib.get_close_matches(str(fault["input"]), list(map(str, choices)), n=1)
    return BadQuestion(name, f"{given} does not fit.", nearest=near, fits=_fitting(e, name))


# Words that other servers use for what ours call by one name.
_SAME = (
    {"coins", "coin", "underlying", "symbols", "symbol", "tickers", "ticker", "asset", "pair"},
    {"venues", "venue", "exchange", "exchanges", "market"},
    {"limit", "points", "pageSize", "maxEvents", "count", "n", "size", "top"},
    {"sinceMs", "since", "start", "startTime", "from", "hours", "days", "lookback"},
    {"untilMs", "until", "end", "endTime", "to"},
    {"interval", "period", "timeframe", "resolution", "granularity"},
)


def meant(name: str, known: Sequence[str]) -> list[str]:
    """The argument that a wrong name stands for, if that can be told."""
    near = difflib.get_close_matches(name, known, n=1)
    same = next((words for words in _SAME if name in words), set())
    return near or [one for one in known if one in same][:1]


def _fitting(e: Endpoint, name: str) -> str:
    """What an argument takes, in words: its choices, or its kind, bounds, meaning and example."""
    spec = _spec(e, name)
    if "enum" in spec:
        return ", ".join(map(str, spec["enum"]))
    if "const" in spec:
        return f"{spec['const']}, or left out"
    kind = spec.get("type", "value")
    if "minimum" in spec:
        kind += f" from {spec['minimum']}" + (f" to {spec['maximum']}" if "maximum" in spec else "")
    told = f", for example {json.dumps(e.example[name])}" if name in e.example else ""
    return f"{kind}: {spec.get('description', '')}{told}"


def _spec(e: Endpoint, name: str) -> dict[str, Any]:
    return parameters(e).get(name, {})


async def answer(core: Core, asked: Asked) -> Answer[Any]:
    """Ask the endpoint; see `answered`."""
    return await answered(core, asked.endpoint, asked.query)


async def answered(core: Core, e: Endpoint, query: Any) -> Answer[Any]:
    """Ask an endpoint. `meta.fleet` says so where this replica has lost the others."""
    try:
        found = await e.handler(core, query)
    except AllVenuesFailed as error:
        error.meta |= _fleet(core)
        raise
    told = _fleet(core)
    return replace(found, meta={**found.meta, **told}) if told else found


def _fleet(core: Core) -> dict[str, Any]:
    link = core.upstream.link
    return {} if link is None or link.together else {"fleet": f"alone: {link.reason}"}


def envelope(found: Answer[Any]) -> dict[str, Any]:
    """The whole answer as the specification's envelope: every row, as objects."""
    return {"data": written(found.data, Shape()), "meta": found.meta}


def failure(error: Exception, text: str, now_ms: int) -> dict[str, Any]:
    """An error as the specification's envelope, with what is known of the sources."""
    nothing = {"fetchedAt": now_ms, "source": "", "partial": True, "sources": []}
    return {"error": text, "data": [], "meta": getattr(error, "meta", nothing)}


def result(asked: Asked, found: Answer[Any], form: str) -> dict[str, Any]:
    """The answer as a model reads it: within the row budget, compact, and saying so."""
    e = asked.endpoint
    limit = asked.limit if e.budget == "limit" else None
    short = form == "columns" and not asked.full
    shape = Shape(form=form, full=asked.full, short=short, limit=limit)
    data, condensed = found.data, ""
    if e.condense is not None:
        data, condensed = e.condense(data, asked.limit, form, asked.query)
    data = written(data, shape)
    meta = {**found.meta, "asOf": iso(found.meta["fetchedAt"])}
    if short:
        meta["source"] = named_short(meta["source"])
    if condensed:
        meta["condensed"] = condensed
    if shape.limit is not None:
        meta["total"] = max(shape.total, meta.get("total", 0))
    if shape.left_out:
        meta["truncated"] = True
        meta["narrow"] = f"{asked.limit} rows kept, {e.keeps}; ask for less, or raise limit"
    return {"data": data, "meta": meta}


# Of more calls than so many a model is told how many venues answered (the rows name them), and
# that some of it lay in the store.
MOST_CALLS = 4


def named_short(source: str) -> str:
    """`meta.source` for a model: the calls, or `8 venues` where they are many."""
    kind, colon, calls = source.partition(":")
    if kind not in ("sim", "replay"):
        kind, colon, calls = "", "", source
    parts = calls.split("+")
    if len(parts) <= MOST_CALLS or not all(":" in part for part in parts):
        return source
    asked = {part.partition(":")[0] for part in parts} - {"mmflow"}
    kept = [part for part in parts if part.startswith("mmflow:")]
    return f"{kind}{colon}{'+'.join([f'{len(asked)} venues', *kept])}"


def iso(at_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 UTC, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(name: str, error: Exception) -> str:
    """An error as a model reads it: what was wrong, what fits, an example call."""
    if isinstance(error, (BadQuestion, VenueClosed)):
        known = endpoints().get(name)
        if known is None:
            return str(error)
        return f"{error} Example: {name} {json.dumps(known.example, separators=(',', ':'))}"
    if isinstance(error, AllVenuesFailed):
        return f"{error}. {_instead(name)}"
    if isinstance(error, MmflowError):
        return str(error)
    log.error("%s failed", name, exc_info=error, extra={"endpoint": name})
    return f"{name} met a fault of its own; it was logged on the server. Other tools still work."


def _instead(name: str) -> str:
    """What may help where every source failed: other venues only where they can be named."""
    known = endpoints().get(name)
    fields = known.query.model_fields if known else {}
    can_choose = {"venues", "venue", "exchange"}.intersection(fields)
    return "Try other venues, or again later." if can_choose else "Try again later."
