"""What `/docs` tells of each endpoint, derived from the declarations and the OpenAPI document."""

import json
import shlex
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.surfaces.openapi import PREFIX, address, document, operations
from mmflow_mcp.surfaces.schema import TOOL_BUDGETS

# What a kind of value is called.
KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `values`: all that fit, if they are few; `example`: what the form begins with.

    `kind` is the JSON type (a moment is `moment`), `low` and `high` its bounds, if any.
    """

    name: str
    kind: str
    said: str
    required: bool
    default: str | None = None
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    example: str = ""

    @property
    def bounds(self) -> str:
        """What fits, in words; empty where anything of its kind does."""
        if self.low is not None and self.high is not None:
            return f"{self.low:,} to {self.high:,}"
        if self.low is not None:
            return f"{self.low:,} or more"
        return f"up to {self.high:,}" if self.high is not None else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One endpoint. `tool`: its name over MCP, if it has one; `event`: of a stream."""

    id: str
    path: str
    family: str
    title: str
    paragraphs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    example: dict[str, Any] = field(default_factory=dict)
    tool: str = ""
    event: str = ""
    ttl: int = 0
    extras: str = ""


@cache
def asked() -> dict[str, tuple[Shown, Endpoint]]:
    """Every endpoint that can be asked over HTTP, by id, the streams last."""
    paths = document()["paths"]
    live = {PREFIX + e.path: e for e in endpoints().values() if e.live is not None}
    every = {**operations(), **live}
    return {e.name: (_of(path, e, paths[e.path]["get"]), e) for path, e in every.items()}


def _of(path: str, e: Endpoint, operation: dict[str, Any]) -> Shown:
    # What only REST's streams take is nothing to the tool call beside the form.
    own = {field.alias or name for name, field in e.query.model_fields.items()}
    parameters = [p for p in operation["parameters"] if p["name"] in own]
    names = [p["name"] for p in parameters]
    example = {name: e.example[name] for name in names if name in e.example}
    return Shown(
        id=e.name,
        path=path,
        family=e.family,
        title=e.title,
        paragraphs=tuple(" ".join(part.split()) for part in e.rest_description.split("\n\n")),
        parameters=tuple(_parameter(p, example) for p in parameters),
        example=example,
        tool=e.name if e.name in endpoints() else "",
        event=e.live.event if e.live else "",
        ttl=e.ttl,
        extras=_extras(e),
    )


def _parameter(told: dict[str, Any], example: dict[str, Any]) -> Parameter:
    schema = told["schema"]
    kind = schema.get("type", "string")
    kind = "moment" if isinstance(kind, list) else kind
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return Parameter(
        name=told["name"],
        kind=kind,
        said=told["description"],
        required=told["required"],
        default=None if "default" not in schema else _text(schema["default"]),
        values=tuple(map(_text, values)),
        low=schema.get("minimum", schema.get("exclusiveMinimum")),
        high=schema.get("maximum", schema.get("exclusiveMaximum")),
        example=_text(example.get(told["name"], "")),
    )


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _extras(e: Endpoint) -> str:
    """What the tool takes beside what REST takes, in a sentence."""
    if e.live is not None:
        return "As a tool it waits: seconds (how long) and maxEvents (how many) bound it."
    said = []
    if e.budget in TOOL_BUDGETS and e.budget not in e.query.model_fields:
        said.append(f"{e.budget} (default {e.limit}: {e.keeps})")
    if e.detail:
        said.append("detail (brief, or full: all columns)")
    return f"As a tool it also takes {' and '.join(said)}." if said else ""


def lines_of(one: Shown, origin: str) -> dict[str, str]:
    """The example as it is asked elsewhere; a script rewrites these as the form changes."""
    url = shlex.quote(origin + address(one.path, one.example))
    lines = {"curl": f"curl {'-N ' if one.event else ''}{url}"}
    if one.tool:
        call = {"name": one.tool, "arguments": one.example}
        lines["tool"] = json.dumps(call, ensure_ascii=False)
        words = (shlex.quote(f"{name}={_text(v)}") for name, v in one.example.items())
        lines["command"] = " ".join(["mmflow-mcp call", one.tool, *words])
    return lines
