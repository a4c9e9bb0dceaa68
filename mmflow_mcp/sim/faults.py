"""Faults that a simulated venue can be given, one spec each.

    VENUE[/PART]:KIND[=VALUE][,OPTION=VALUE]...

VENUE is a venue id or `*`; PART narrows to requests whose path, query or body contains it.

    latency=SECONDS     answers late
    timeout             never answers
    refused             no connection
    http=STATUS         an error status; option retry_after=SECONDS
    html                a web page instead of JSON
    truncate            the first 60 % of the answer
    drop=FRACTION       that part of the rows is missing (the longest list, and lists as long)
    duplicate           every row of those lists twice
    missing=FIELD       a field is absent wherever it stood
    extra               unknown fields in every object
    absurd=FIELD        a field is 1e308, "NaN", negative or text, in turn; option as=huge|nan|
                        negative|text for one of them

and for WebSockets, where truncate cuts every fifth frame, drop loses frames, duplicate sends them
twice, and missing, extra and absurd change each:

    dead_socket         open and stay silent; option after=SECONDS speaks so long
    hang_up=SECONDS     break after that many, without a word
    garbage             what nobody documents before every third frame
    shuffle             every second frame before the one that it follows
    unsubscribed        no subscription is taken

The option times=N breaks only the first N requests.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mmflow_mcp.sim.noise import unit
from mmflow_mcp.sim.roll import venue_names
from mmflow_mcp.sim.wire import SimResponse, dump

_VALUED = {
    "latency": "seconds, e.g. latency=0.3",
    "http": "a status from 400 to 599, e.g. http=429",
    "drop": "a fraction from 0 to 1, e.g. drop=0.1",
    "missing": "a field name, e.g. missing=markPrice",
    "absurd": "a field name, e.g. absurd=markPrice",
    "hang_up": "seconds, e.g. hang_up=30",
}
_SOCKETS = ("dead_socket", "hang_up", "garbage", "shuffle", "unsubscribed")
_PLAIN = (
    *("timeout", "refused", "html", "truncate", "duplicate", "extra"),
    *("dead_socket", "garbage", "shuffle", "unsubscribed"),
)
_NUMBERS = {
    "latency": (0.0, 3600.0),
    "http": (400.0, 599.0),
    "drop": (0.0, 1.0),
    "hang_up": (0.0, 86_400.0),
}
KINDS = (*_VALUED, *_PLAIN)
"""Every kind of fault."""

_ABSURD = ("huge", "nan", "negative", "text")
_PAGE = (
    b"<!DOCTYPE html><html><head><title>Attention Required!</title></head>"
    b"<body><h1>Request could not be satisfied</h1><p>Request blocked.</p></body></html>"
)
_SAID = {
    418: {"code": -1003, "msg": "Way too much request weight used; IP banned."},
    429: {"code": -1003, "msg": "Too many requests."},
    451: {"code": 0, "msg": "Service unavailable from a restricted location."},
}


@dataclass(frozen=True)
class Fault:
    """One parsed spec; `number` and `name` are its value, `times` None for always."""

    venue: str
    part: str
    kind: str
    number: float = 0.0
    name: str = ""
    retry_after: int | None = None
    times: int | None = None
    absurdity: str = ""
    after: float = 0.0
    spec: str = field(default="", compare=False)

    def matches(self, venue: str, asked: str, *, socket: bool = False) -> bool:
        """Whether a request to a venue is meant, `asked` its path, query and body."""
        unfit = self.kind == "html" if socket else self.kind in _SOCKETS
        return not unfit and self.venue in ("*", venue) and self.part in asked

    def spoil(self, response: SimResponse) -> SimResponse:
        """The answer as this fault leaves it."""
        change = _SPOILERS.get(self.kind)
        return response if change is None else change(self, response)

    def spoil_text(self, text: str) -> str:
        """A frame of a socket as this fault leaves it."""
        return self.spoil(SimResponse(200, text.encode())).body.decode("utf-8", "replace")


class Faults:
    """The faults of one app, with the count of requests each has met."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._left = [(fault, [fault.times]) for fault in faults]

    def take(self, venue: str, asked: str, *, socket: bool = False) -> list[Fault]:
        """The faults that this request meets; those with `times` are used up by one."""
        met: list[Fault] = []
        for fault, left in self._left:
            if left[0] == 0 or not fault.matches(venue, asked, socket=socket):
                continue
            if left[0] is not None:
                left[0] -= 1
            met.append(fault)
        return met


def parse_fault(spec: str) -> Fault:
    """A fault from its spec, `bybit:http=429,retry_after=3`; ValueError names what fits."""
    target, colon, rest = spec.strip().partition(":")
    venue, _, part = target.partition("/")
    if not colon or not venue:
        raise ValueError(f"fault {spec!r}: write VENUE[/PART]:KIND[=VALUE], e.g. okx:http=503")
    # Ids are written with a hyphen, files with an underscore.
    venue = venue.replace("-", "_")
    if venue not in ("*", *venue_names()):
        raise ValueError(f"fault {spec!r}: venue is one of *, {', '.join(venue_names())}")
    head, *options = (piece.strip() for piece in rest.split(","))
    kind, _, value = head.partition("=")
    if kind not in KINDS:
        raise ValueError(f"fault {spec!r}: kind is one of {', '.join(KINDS)}")
    if bool(value) != (kind in _VALUED):
        raise ValueError(f"fault {spec!r}: {kind} takes {_VALUED.get(kind, 'no value')}")
    extra = _read_options(spec, kind, options)
    number = _read_number(spec, kind, value) if kind in _NUMBERS else 0.0
    name = value if kind in ("missing", "absurd") else ""
    return Fault(venue, part, kind, number, name, spec=spec, **extra)


def _read_number(spec: str, kind: str, value: str) -> float:
    low, high = _NUMBERS[kind]
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not low <= number <= high:
        raise ValueError(f"fault {spec!r}: {kind} takes {_VALUED[kind]}")
    return number


def _read_options(spec: str, kind: str, options: Sequence[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name == "as" and kind == "absurd" and value in _ABSURD:
            out["absurdity"] = value
        elif name == "times" and value.isdecimal():
            out["times"] = int(value)
        elif name == "after" and kind == "dead_socket" and value.isdecimal():
            out["after"] = float(value)
        elif name == "retry_after" and kind == "http" and value.isdecimal():
            out["retry_after"] = int(value)
        else:
            fits = "times=N" + {
                "http": ", retry_after=SECONDS",
                "dead_socket": ", after=SECONDS",
                "absurd": f", as={'|'.join(_ABSURD)}",
            }.get(kind, "")
            raise ValueError(f"fault {spec!r}: option {option!r} does not fit; {kind} has {fits}")
    return out


def _refuse(fault: Fault, _: SimResponse) -> SimResponse:
    status = int(fault.number)
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    if status in _SAID:
        return SimResponse(
            status, dump(_SAID[status]), {"content-type": "application/json", **headers}
        )
    return SimResponse(status, _PAGE, {"content-type": "text/html", **headers})


def _show_page(_: Fault, response: SimResponse) -> SimResponse:
    return SimResponse(response.status, _PAGE, {"content-type": "text/html"})


def _cut(_: Fault, response: SimResponse) -> SimResponse:
    kept = response.body[: len(response.body) * 3 // 5]
    return SimResponse(response.status, kept, response.headers)


def _rewrite(
    change: Callable[[Fault, Any], Any],
) -> Callable[[Fault, SimResponse], SimResponse]:
    """A spoiler of the parsed body; what is no JSON stays as it is."""

    def spoil(fault: Fault, response: SimResponse) -> SimResponse:
        try:
            value = json.loads(response.body)
        except ValueError:
            return response
        text = json.dumps(change(fault, value), separators=(",", ":"), ensure_ascii=False)
        return SimResponse(response.status, text.encode(), response.headers)

    return spoil


def _longest(value: Any) -> int:
    """The length of the longest list of objects or lists anywhere inside."""
    if isinstance(value, dict):
        return max((_longest(v) for v in value.values()), default=0)
    if isinstance(value, list):
        own = len(value) if any(isinstance(v, dict | list) for v in value) else 0
        return max(own, max((_longest(v) for v in value), default=0))
    return 0


def _change_rows(value: Any, size: int, change: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(value, dict):
        return {k: _change_rows(v, size, change) for k, v in value.items()}
    if isinstance(value, list):
        rows = [_change_rows(v, size, change) for v in value]
        return change(rows) if len(rows) == size else rows
    return value


def _drop(fault: Fault, value: Any) -> Any:
    # By the shape of the answer too, so that two answers of one venue lose different rows.
    size = _longest(value)
    key = 0xD509 + 7919 * size + 104_729 * _width(value, size)

    def kept(rows: list[Any]) -> list[Any]:
        return [row for n, row in enumerate(rows) if unit(key, n) >= fault.number]

    return _change_rows(value, size, kept)


def _width(value: Any, size: int) -> int:
    """How many members the first row has of the first list of that length; 0 when there is none."""
    if isinstance(value, list) and len(value) == size:
        return len(value[0]) if value and isinstance(value[0], (dict, list)) else 0
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in (_width(v, size) for v in inner) if found), 0)


def _duplicate(_: Fault, value: Any) -> Any:
    return _change_rows(
        value, _longest(value), lambda rows: [r for row in rows for r in (row,) * 2]
    )


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The value with every object inside passed through `change`, inner ones first."""
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    return value


def _omit(fault: Fault, value: Any) -> Any:
    return _walk(value, lambda row: {k: v for k, v in row.items() if k != fault.name})


def _add(_: Fault, value: Any) -> Any:
    return _walk(value, lambda row: {**row, "unheardOf": {"a": [1, None]}, "x": "later"})


def _distort(fault: Fault, value: Any) -> Any:
    turn = count()

    def change(row: dict[str, Any]) -> dict[str, Any]:
        old = row.get(fault.name)
        if fault.name not in row or isinstance(old, dict | list):
            return row
        how = fault.absurdity or _ABSURD[next(turn) % 4]
        return {**row, fault.name: _absurd(old, how)}

    return _walk(value, change)


def _absurd(old: Any, how: str) -> Any:
    if how == "nan":
        return "NaN"
    if how == "text":
        return "n/a"
    if how == "huge":
        return "1e308" if isinstance(old, str) else 1e308
    if isinstance(old, str):
        return f"-{old.lstrip('-') or '1'}"
    return -abs(old) if isinstance(old, int | float) and old else -1


_SPOILERS: dict[str, Callable[[Fault, SimResponse], SimResponse]] = {
    "http": _refuse,
    "html": _show_page,
    "truncate": _cut,
    "drop": _rewrite(_drop),
    "duplicate": _rewrite(_duplicate),
    "missing": _rewrite(_omit),
    "extra": _rewrite(_add),
    "absurd": _rewrite(_distort),
}
