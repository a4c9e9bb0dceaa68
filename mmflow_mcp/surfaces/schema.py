"""What a model is shown of a tool, derived from its declaration.

The result is kept in `tools.json` beside this file, so that a server can list its tools without
building a single model; a test holds the file to the declarations.
"""

import types
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.rows import camel, columns

Schema = dict[str, Any]

FORMS = ("columns", "objects")
MAX_LIMIT = 1000
_UNTOLD = frozenset({"minimum", "exclusiveMinimum"})
# A bound so far away is left to the error that teaches.
_FAR = 1_000
# Budgets that tools add to a question's own parameters.
TOOL_BUDGETS = {"limit": "Rows", "points": "Points"}


def definitions(form: str) -> list[Schema]:
    """Every tool as `tools/list` shows it, in the given form of rows."""
    return [definition(e, form) for e in endpoints().values()]


def definition(e: Endpoint, form: str) -> Schema:
    """One tool."""
    return {
        "name": e.name,
        "family": e.family,
        "title": e.title,
        "description": " ".join(e.description.split("\n\n")[0].split())
        + "\n"
        + " ".join(" ".join(e.description.split("\n\n")[1:]).split()),
        "inputSchema": input_schema(e),
        "outputSchema": output_schema(e, form),
    }


def input_schema(e: Endpoint) -> Schema:
    """Flat parameters, without the noise that pydantic adds.

    Every word costs a model tokens: a parameter with one value or for few (`UNTOLD`), and bounds
    that no one would pass, are left to the error that teaches; so is an unknown parameter.
    """
    raw = e.query.model_json_schema(mode="validation")
    untold = {
        field.alias or own
        for own, field in e.query.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("untold")
    }
    properties = {
        name: _worth_telling(spec)
        for name, spec in parameters(e).items()
        if "const" not in spec and name not in untold
    }
    if e.budget in TOOL_BUDGETS:
        properties[e.budget] = {
            "type": "integer",
            "default": e.limit,
            "description": f"{TOOL_BUDGETS[e.budget]}: {e.keeps}",
        }
    if e.detail:
        properties["detail"] = {
            "type": "string",
            "enum": ["brief", "full"],
        }
    schema: Schema = {"type": "object", "properties": properties}
    if raw.get("required"):
        schema["required"] = raw["required"]
    return schema


def _worth_telling(spec: Schema) -> Schema:
    """Without bounds that no one would pass, and without words that list the choices again."""
    told = {key: value for key, value in spec.items() if key not in _UNTOLD}
    if told.get("maximum", 0) >= _FAR:
        del told["maximum"]
    if "enum" in told and all(str(one) in told.get("description", "") for one in told["enum"]):
        del told["description"]
    return told


def parameters(e: Endpoint) -> dict[str, Schema]:
    """The question's own parameters, by the names that they are asked by."""
    raw = e.query.model_json_schema(mode="validation").get("properties", {})
    return {
        name: {key: value for key, value in _slim(spec).items() if key != "untold"}
        for name, spec in raw.items()
    }


def _slim(spec: Schema) -> Schema:
    """Without titles, null arms and defaults of null: "left out" says the same."""
    arms = [arm for arm in spec.get("anyOf", ()) if arm.get("type") != "null"]
    if len(arms) == 1:
        spec = {**{k: v for k, v in spec.items() if k != "anyOf"}, **arms[0]}
    slim = {k: v for k, v in spec.items() if k != "title"}
    if slim.get("default", 0) is None:
        del slim["default"]
    return slim


def output_schema(e: Endpoint, form: str) -> Schema:
    """Shallow on purpose: a client validates every answer against it."""
    (data,) = get_args(e.answer) if get_origin(e.answer) is Answer else (e.answer,)
    return {
        "type": "object",
        "properties": {
            "data": _described(data, form),
            "meta": {
                "type": "object",
                "description": "fetchedAt (epoch ms), asOf (ISO), source, partial (something"
                " asked is missing), sources (those that need attention, with reasons), total"
                " and truncated where rows were left out",
            },
        },
        "required": ["data", "meta"],
    }


def _described(kind: Any, form: str) -> Schema:
    origin = get_origin(kind)
    if origin is Table:
        return _table(get_args(kind)[0], form)
    if origin in (Union, types.UnionType):
        arms = [_described(a, form) for a in get_args(kind) if a is not type(None)]
        return {"anyOf": [*arms, {"type": "null"}]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _described(get_args(kind)[1], form)}
    if origin in (tuple, list):
        one = get_args(kind)[0]
        return {"type": "array", **({"items": _described(one, form)} if is_dataclass(one) else {})}
    if is_dataclass(kind):
        return _dataclass(kind, form)  # type: ignore[arg-type]
    return {"type": {float: "number", int: "integer", bool: "boolean"}.get(kind, "string")}


def _dataclass(kind: type, form: str) -> Schema:
    hints = get_type_hints(kind)
    properties = {}
    required = []
    for f in columns(kind):
        described = _described(hints[f.name], form)
        properties[camel(f.name)] = {**described, "description": f.metadata["description"]}
        if f.metadata.get("brief", True) and f.default is not None:
            required.append(camel(f.name))
    return {"type": "object", "properties": properties, "required": required}


def _table(row: type, form: str) -> Schema:
    hints = get_type_hints(row)
    cells = {camel(f.name): (_cell(hints[f.name]), f.metadata["description"]) for f in columns(row)}
    if form == "objects":
        properties = {
            name: {**_typed(kinds), "description": said} for name, (kinds, said) in cells.items()
        }
        return {"type": "array", "items": {"type": "object", "properties": properties}}
    said = "; ".join(f"{name} ({' or '.join(kinds)}): {s}" for name, (kinds, s) in cells.items())
    return {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}, "description": said},
            "rows": {"type": "array", "items": {"type": "array"}},
        },
        "required": ["columns", "rows"],
    }


def _cell(kind: Any) -> tuple[str, ...]:
    """The JSON types of one column."""
    if get_origin(kind) in (Union, types.UnionType):
        arms = [_cell(arm) for arm in get_args(kind) if arm is not type(None)]
        return (*arms[0], "null")
    plain = get_origin(kind) or kind
    names = {float: "number", int: "integer", bool: "boolean", tuple: "array", dict: "object"}
    return (names.get(plain, "string"),)


def _typed(kinds: tuple[str, ...]) -> Schema:
    """One type, or one that may be null, in the words that every dialect of JSON Schema reads."""
    if len(kinds) == 1:
        return {"type": kinds[0]}
    return {"anyOf": [{"type": kind} for kind in kinds]}
