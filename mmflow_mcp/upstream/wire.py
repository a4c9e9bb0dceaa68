"""A question to a venue and its answer, as plain values.

A `Call` says what is asked and how old an answer may be; a `Wire` is an answer as it was read,
with what was parsed from it kept beside it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

import pydantic_core

from mmflow_mcp.clock import Clock

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
Form = Literal["json", "text"]

DAY = 86_400.0
HOUR = 3_600.0
WEEK = 7 * DAY
# Seconds that an attempt needs before the deadline to be worth beginning after a pause.
ROOM = 0.25


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as a value that can be compared and shared.

    `fresh`: seconds of age at which a cached answer still serves.
    `weight`: what the venue counts it as, in the unit of its rate budget.
    `label`: how `meta.source` names it.
    `reference`: a list that changes by the day; it supports an answer and is not named in it.
    `keep`: seconds for which an old answer may stand in, marked stale, when the venue fails.
    `optional`: its failure shortens the venue's answer instead of failing it.
    `form`: json, or text for pages and tables; `Wire.doc` is then the text.
    `check`: reads the document (`wire.parsed(check)`) before it counts as an answer; a document
    that it refuses is a failure, so that an older good one is kept.
    `keep_on_disk`: for sources that stand alone: the last good answer outlives the process.
    `patience`: seconds for which the source's refusal is remembered instead of asking again.
    """

    url: str
    body: bytes | None = None
    fresh: float = 5.0
    weight: float = 1.0
    label: str = ""
    reference: bool = False
    keep: float = 0.0
    optional: bool = False
    form: Form = "json"
    check: Callable[..., object] | None = None
    keep_on_disk: bool = False
    patience: float = 0.0
    key: tuple[str, bytes | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.url, self.body))

    @property
    def method(self) -> str:
        """GET, or POST where a body asks the question."""
        return "GET" if self.body is None else "POST"

    @property
    def host(self) -> str:
        """The host that is asked, without a port: as meters and hooks name it."""
        return urlsplit(self.url).hostname or ""


def get(
    url: str,
    params: dict[str, str | int] | None = None,
    *,
    fresh: float = 5.0,
    weight: float = 1.0,
    label: str = "",
    reference: bool = False,
    optional: bool = False,
    form: Form = "json",
    check: Callable[..., object] | None = None,
    keep_on_disk: bool = False,
    patience: float = 0.0,
) -> Call:
    """A GET. The label is the last part of the path unless one is given.

    Lists of reference stand in for a week, what is kept on disk for as long as it is there: its
    age is told.
    """
    full = f"{url}?{urlencode(params)}" if params else url
    return Call(
        full,
        fresh=fresh,
        weight=weight,
        label=label or urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1],
        reference=reference,
        keep=math.inf if keep_on_disk else WEEK if reference else 0.0,
        optional=optional,
        form=form,
        check=check,
        keep_on_disk=keep_on_disk,
        patience=patience,
    )


def ask_json(
    url: str, body: dict[str, Any], *, label: str, fresh: float = 5.0, weight: float = 1.0
) -> Call:
    """A read that the venue takes as a POST of JSON; it changes nothing there."""
    return Call(url, pydantic_core.to_json(body), fresh=fresh, weight=weight, label=label)


class Wire:
    """One answer: the decoded document, when it was read, and what was parsed from it."""

    __slots__ = ("_parsed", "doc", "fetched_at", "read", "size")

    def __init__(self, doc: Any, *, fetched_at: int, read: float, size: int) -> None:
        self.doc = doc
        self.fetched_at = fetched_at
        self.read = read
        self.size = size
        self._parsed: dict[Any, tuple[tuple[Any, ...], Any]] = {}

    def __bool__(self) -> bool:
        """False for the answer that an optional call did not get."""
        return self is not NOTHING

    def parsed(self, parse: Callable[..., T], *more: Any) -> T:
        """`parse(self, *more)`, worked out once for the same wires and arguments."""
        known = self._parsed.get(parse)
        if known is not None and len(known[0]) == len(more):
            for was, now in zip(known[0], more, strict=True):
                if was is not now and (isinstance(now, Wire) or was != now):
                    break
            else:
                rows: T = known[1]
                return rows
        result = parse(self, *more)
        self._parsed[parse] = (more, result)
        return result


def time_left(request: "httpx2.Request", clock: Clock) -> float:
    """Seconds until the request's deadline (a monotonic time of the clock); infinite without one.

    Asked anew each time: who joins a flight later may move its deadline on.
    """
    deadline: float | None = request.extensions.get("deadline")
    return math.inf if deadline is None else deadline - clock.monotonic()


# What an optional call gives when it failed.
NOTHING = Wire(None, fetched_at=0, read=0.0, size=0)
