"""What a simulated venue is asked and what it answers.

A venue module imports only this and the market. It is found by its file and has

    HOSTS: tuple[str, ...]
    def routes(market) -> dict[(method, host, path), Handler]
    def sockets(market) -> dict[(host, path), SocketHandler]      optional
    def not_found(request) -> SimResponse                          optional: its own 404 envelope

A path that ends in "*" stands for every path that begins so.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One request: `query` holds the last value of each name, `json` the parsed body or None.

    `now_ms` is a whole second: the simulated world moves once a second.
    """

    method: str
    host: str
    path: str
    query: dict[str, str]
    json: Any
    now_ms: int


@dataclass(frozen=True, slots=True)
class SimResponse:
    """One answer; header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> SimResponse:
    """A JSON answer without white space; numbers that are not finite are refused."""
    said = {"content-type": "application/json;charset=UTF-8", **(headers or {})}
    return SimResponse(status, dump(value), said)


def dump(value: Any) -> bytes:
    """JSON bytes without white space, non-ASCII text as it is."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def fixed(value: float, digits: int) -> str:
    """A number as text with that many decimals, `77748.10`."""
    return f"{value:.{digits}f}"


def shortest(value: float) -> str:
    """A number as text with the fewest digits that say it, no exponent: `0.0000125`, `12`."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def iso(at_ms: int) -> str:
    """A moment as text to the second, `2026-11-24T08:00:00Z`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Handler = Callable[[SimRequest], SimResponse]
Routes = dict[tuple[str, str, str], Handler]


class SocketClosed(Exception):
    """The other side has left."""


class SimSocket(Protocol):
    """One open WebSocket, seen from the venue. `refusing`: it is to take no subscription."""

    query: dict[str, str]
    refusing: bool

    def now_ms(self) -> int:
        """The simulated moment."""
        ...

    async def receive(self, timeout: float | None = None) -> str | None:
        """The next message; None when `timeout` seconds pass without one; SocketClosed."""
        ...

    async def send(self, value: Any) -> None:
        """Send a text as it is, anything else as JSON; SocketClosed."""
        ...


SocketHandler = Callable[[SimSocket], Awaitable[None]]
Sockets = dict[tuple[str, str], SocketHandler]
