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
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, MmflowError
from mmflow_mcp.surfaces.schema import MAX_LIMIT, TOOL_BUDGETS

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
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"]) or "arguments"
    fields = {field.alias or own: field for own, field in e.query.model_fields.items()}
    known = [*fields, *extras]
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return BadQuestion(name[:40], "unknown argument.", nearest=near, fits=", ".join(known))
    if fault["type"] == "missing":
        said = _spec(e, name).get("enum") or [fields[name].description or ""]
        return BadQuestion(name, "is required.", fits=", ".join(map(str, said)))
    given = repr(fault["input"])[:40]
    spec = _spec(e, name)
    kind = spec.get("type", "value")
    if "minimum" in spec and "maximum" in spec:
        fits = f"{kind} from {spec['minimum']} to {spec['maximum']}"
    else:
        fits = str(spec.get("description", kind))
    return BadQuestion(name, f"{given} does not fit.", fits=fits)


def _spec(e: Endpoint, name: str) -> dict[str, Any]:
    found: dict[str, Any] = e.query.model_json_schema()["properties"].get(name, {})
    return found


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
    shape = Shape(form=form, full=asked.full, limit=asked.limit if e.budget == "limit" else None)
    data, condensed = found.data, ""
    if e.condense is not None:
        data, condensed = e.condense(data, asked.limit, form, asked.query)
    data = written(data, shape)
    meta = {**found.meta, "asOf": iso(found.meta["fetchedAt"])}
    if condensed:
        meta["condensed"] = condensed
    if shape.limit is not None:
        meta["total"] = max(shape.total, meta.get("total", 0))
    if shape.left_out:
        meta["truncated"] = True
        meta["narrow"] = f"{asked.limit} rows kept, {e.keeps}; ask for less, or raise limit"
    return {"data": data, "meta": meta}


def iso(at_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 UTC, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(name: str, error: Exception) -> str:
    """An error as a model reads it: what was wrong, what fits, an example call."""
    if isinstance(error, BadQuestion):
        known = endpoints().get(name)
        if known is None:
            return str(error)
        return f"{error} Example: {name} {json.dumps(known.example, separators=(',', ':'))}"
    if isinstance(error, AllVenuesFailed):
        return f"{error}. Try other venues, or again later."
    if isinstance(error, MmflowError):
        return str(error)
    log.error("%s failed", name, exc_info=error)
    return f"{name} met a fault of its own; it was logged on the server. Other tools still work."
