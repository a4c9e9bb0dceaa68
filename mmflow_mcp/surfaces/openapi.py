"""The OpenAPI 3.1 document of the REST face, generated from the declarations."""

from functools import cache
from typing import Any, get_args
from urllib.parse import quote

from mmflow_mcp import __version__
from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.endpoints.older import HL_CANDLES
from mmflow_mcp.endpoints.params import Moment
from mmflow_mcp.surfaces.row_schemas import RowSchemas
from mmflow_mcp.surfaces.schema import Schema, parameters

ROOT = "/api"
PREFIX = f"{ROOT}/v1"
DOCUMENT = f"{PREFIX}/openapi"

# What a parameter looks like where the endpoint's own example does not have it.
EXAMPLES: dict[str, Any] = {
    "coin": "BTC",
    "coins": ["BTC", "ETH"],
    "venues": ["binance", "bybit"],
    "sinceMs": "-24h",
    "untilMs": "now",
    "hours": 24,
    "exchange": "binance",
    "blockSize": 100,
    "gapfill": True,
    "transform.groupBy.type": "GROUP_BY_TYPE_SUM",
    "venue": "hyperliquid",
}

WORDS = """\
Read-only market data across venues. Rows come in full and in a stable order; `meta.partial` is true
when something asked is missing and `meta.sources` says what. Unknown is null or absent, never zero.
Times are epoch milliseconds UTC. Lists are comma-separated or repeated; an empty parameter is not
given; an unknown one is an error."""

LIMITS = {
    "X-RateLimit-Limit": "questions allowed in a minute",
    "X-RateLimit-Remaining": "questions left of them",
    "X-RateLimit-Reset": "second of the epoch at which all of them are there again",
}

FAILURES = {
    "400": "The question cannot be answered as it was put; says what would fit",
    "401": "The key that was sent is not known",
    "409": "The history store holds something else",
    "410": "The venue no longer exists",
    "413": "A question has no body",
    "414": "The query is too long",
    "421": "The Host is none of this server's names",
    "429": "Too many questions; Retry-After tells when to ask again",
    "500": "A fault of the server's own",
    "501": "Nothing here can answer that",
    "502": "Every source that was asked failed; meta.sources says why",
    "503": "Busy, or the history store is away; ask again soon",
    "504": "No source answered in time",
}

# What `meta` has beside the members that every answer has, where there is something to tell.
TOLD = {
    "notListed": ("object", "Coin -> venues that were asked and do not list it"),
    "narrowed": ("object", "Venue -> which coins it was asked for, where none were named"),
    "kinds": ("object", "Venue -> kind of its rates, where they are not predicted"),
    "quotes": ("object", "Venue -> what its prices are in; by coin where that differs"),
    "markets": ("object", "Venue -> perp or spot; by coin where that differs"),
    "covered": ("object", "For what time it is complete, epoch ms; by venue of liquidations"),
    "lowerBound": ("object", "Venue -> why what it tells of liquidations is a part"),
    "period": ("string", "Sampling period of positioning"),
    "sampledAt": ("integer", "Oldest sample among the rows, epoch ms"),
    "total": ("integer", "Rows there are, where limit has left some out"),
    "spot": ("string", "What stands in for an index price that cannot be had"),
    "rowsSkipped": ("integer", "Options that could not be placed on the surface"),
    "history": ("string", "Why there is no history"),
    "times": ("string", "Of recordings: what ages and windows are computed against"),
    "fleet": ("string", "Only while this replica has lost the others: that, and why"),
}
_UNCHANGED = {"description": "As If-None-Match has it"}
# The largest padding of a stream's events, bytes.
MOST_PADDING = 4_096
_PADDING: Schema = {
    "name": "padding",
    "in": "query",
    "required": False,
    "description": "Bytes of comment after each event, for clients that read in blocks",
    "schema": {"type": "integer", "minimum": 0, "maximum": MOST_PADDING, "default": 0},
    "example": 0,
}
_LAST_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The id of the last event that was read: what came since is told first",
    "schema": {"type": "string"},
}


@cache
def operations() -> dict[str, Endpoint]:
    """Every operation by its path; those outside `/api/v1` answer without envelope."""
    found = {PREFIX + e.path: e for e in endpoints().values() if e.live is None}
    return {**found, ROOT + HL_CANDLES.path: HL_CANDLES}


def address(path: str, arguments: dict[str, Any]) -> str:
    """A question as the path and query that ask it."""
    said = [f"{name}={quote(_text(value), safe=',')}" for name, value in arguments.items()]
    return path + ("?" + "&".join(said) if said else "")


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def document() -> Schema:
    """The whole document."""
    rows = RowSchemas()
    paths: Schema = {}
    for path, e in operations().items():
        inside = path.startswith(PREFIX)
        item: Schema = {} if inside else {"servers": [{"url": ROOT}]}
        paths[e.path] = item | {"get": _operation(path, e, rows, bare=not inside)}
    for e in endpoints().values():
        if e.live is not None:
            paths[e.path] = {"get": _stream(e)}
    paths[DOCUMENT.removeprefix(PREFIX)] = {"get": _itself()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mmflow Open API",
            "version": __version__,
            "description": " ".join(WORDS.split()),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": PREFIX}],
        "tags": [{"name": f} for f in dict.fromkeys(e.family for e in operations().values())],
        "security": [{}, {"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": {**_shared(), **dict(sorted(rows.components.items()))},
            "responses": {status: _failure(status, words) for status, words in FAILURES.items()},
            "headers": {
                name: {"description": words, "schema": {"type": "integer"}}
                for name, words in LIMITS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key; optional"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(path: str, e: Endpoint, rows: RowSchemas, *, bare: bool) -> Schema:
    (data,) = get_args(e.answer)
    described = rows.of(data)
    if not bare:
        described = {
            "type": "object",
            "properties": {"data": described, "meta": {"$ref": "#/components/schemas/Meta"}},
            "required": ["data", "meta"],
        }
    ok = {
        "description": "The answer",
        "headers": _headers(f"public, max-age={e.ttl}"),
        "content": {"application/json": {"schema": described}},
    }
    failures = {status: _failing(status) for status in FAILURES}
    return {
        "operationId": e.name,
        "tags": [e.family],
        "summary": e.title,
        "description": " ".join(e.rest_description.split()),
        "x-example": address(path, e.example),
        "parameters": [_parameter(e, name, spec) for name, spec in parameters(e).items()],
        "responses": {"200": ok, "304": _UNCHANGED, **failures},
    }


def _stream(e: Endpoint) -> Schema:
    """A stream of Server-Sent Events: what the tool watches, without its end."""
    told = [
        _parameter(e, name, spec)
        for name, spec in parameters(e).items()
        if name not in ("seconds", "maxEvents")
    ]
    name = e.live.event if e.live else ""
    ok = {
        "description": f"Events `{name}`, `heartbeat` and `bye`; data is JSON on one line",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    failures = {status: _failing(status) for status in FAILURES}
    return {
        "operationId": f"stream_{name}",
        "tags": [e.family],
        "summary": f"{e.title}, as a stream",
        "description": " ".join(e.description.split()),
        "parameters": [*told, _PADDING, *([_LAST_ID] if name != "funding" else [])],
        "responses": {"200": ok, **failures},
    }


def _parameter(e: Endpoint, name: str, spec: Schema) -> Schema:
    schema = {key: value for key, value in spec.items() if key != "description"}
    own = next(f for n, f in e.query.model_fields.items() if (f.alias or n) == name)
    if Moment in get_args(own.annotation):
        schema["type"] = ["integer", "string"]
    parameter: Schema = {
        "name": name,
        "in": "query",
        "required": own.is_required(),
        "description": spec["description"],
        "schema": schema,
        "example": _example(e, name, schema),
    }
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _example(e: Endpoint, name: str, schema: Schema) -> Any:
    if name in e.example:
        value = e.example[name]
    elif "const" in schema or "enum" in schema or "default" in schema:
        value = schema.get("default", schema.get("const", schema.get("enum", [None])[0]))
    else:
        value = EXAMPLES[name]
    return [value] if schema.get("type") == "array" and not isinstance(value, list) else value


def _headers(cache_control: str) -> Schema:
    words = {"type": "string"}
    return {
        "ETag": {"description": "Of these exact bytes", "schema": words},
        "Cache-Control": {
            "description": "Shorter when meta.partial is true",
            "schema": words,
            "example": cache_control,
        },
        **{name: {"$ref": f"#/components/headers/{name}"} for name in LIMITS},
    }


def _failing(status: str) -> Schema:
    return {"$ref": f"#/components/responses/{status}"}


def _failure(status: str, words: str) -> Schema:
    headers: Schema = {}
    if status in ("429", "503"):
        seconds = {"description": "Seconds to wait", "schema": {"type": "integer"}}
        headers["Retry-After"] = seconds
    if status == "429":
        headers |= {name: {"$ref": f"#/components/headers/{name}"} for name in LIMITS}
    return {
        "description": words,
        **({"headers": headers} if headers else {}),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }


def _itself() -> Schema:
    ok = {
        "description": "An OpenAPI 3.1 document, without envelope",
        "headers": {name: said for name, said in _headers("").items() if name == "ETag"},
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    failures = {one: _failing(one) for one in ("400", "413", "414", "421", "503")}
    return {
        "operationId": "openapi",
        "summary": "This document",
        "x-example": DOCUMENT,
        "responses": {"200": ok, "304": _UNCHANGED, **failures},
    }


def _shared() -> Schema:
    """What every answer has."""
    source = {
        "type": "object",
        "description": "A source that needs attention",
        "properties": {
            "source": {"type": "string"},
            "status": {"enum": ["stale", "error", "missing"]},
            "reason": {"type": "string", "description": "A sentence that begins with a code"},
            "ageMs": {"type": "integer", "description": "Age of what is stale, ms"},
        },
        "required": ["source", "status", "reason"],
    }
    meta = {
        "type": "object",
        "description": "What there is to know of the answer",
        "properties": {
            "fetchedAt": {
                "type": "integer",
                "description": "When the oldest wire used was read, epoch ms",
            },
            "source": {"type": "string", "description": "The calls that were made"},
            "partial": {"type": "boolean", "description": "Something that was asked is missing"},
            "sources": {"type": "array", "items": {"$ref": "#/components/schemas/Source"}},
            **{name: {"type": kind, "description": said} for name, (kind, said) in TOLD.items()},
        },
        "required": ["fetchedAt", "source", "partial", "sources"],
        "additionalProperties": True,
    }
    failure = {
        "type": "object",
        "properties": {
            "error": {"type": "string", "description": "What was wrong, and what would fit"},
            "data": {"type": "array", "maxItems": 0, "items": {}},
            "meta": {"$ref": "#/components/schemas/Meta"},
        },
        "required": ["error", "data", "meta"],
    }
    return {"Source": source, "Meta": meta, "Failure": failure}
