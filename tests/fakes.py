"""Doubles for the layers of the client: a scripted transport, a sleep that moves the clock."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pydantic_core

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.upstream.wire import Call, get

NOW = 1_789_453_123_000
HOST = "api.venue.test"
URL = f"https://{HOST}/v1/rates"

Answer = httpx2.Response | Exception
Script = Callable[[httpx2.Request], Answer | Awaitable[Answer]]


def call(path: str = "/v1/rates", *, host: str = HOST, **how: Any) -> Call:
    """A GET of the venue that the tests invent."""
    return get(f"https://{host}{path}", **how)


def request(
    asked: Call | None = None, *, deadline: float | None = None, **more: Any
) -> httpx2.Request:
    """The request of a call, as the client makes it."""
    asked = asked or call()
    extensions = {"call": asked, **more}
    if deadline is not None:
        extensions["deadline"] = deadline
    return httpx2.Request(asked.method, asked.url, content=asked.body, extensions=extensions)


def judged(doc: Any = None) -> httpx2.Response:
    """A good answer as the judge hands it up: with its document."""
    return httpx2.Response(200, content=pydantic_core.to_json(doc), extensions={"doc": doc})


class Scripted(httpx2.AsyncBaseTransport):
    """Answers each request as the script says, and keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self.asked: list[httpx2.Request] = []
        self.cancelled = 0
        self._script = script

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One answer of the script, or its exception."""
        self.asked.append(request)
        found = self._script(request)
        if isinstance(found, Awaitable):
            try:
                found = await found
            except BaseException:
                self.cancelled += 1
                raise
        if isinstance(found, Exception):
            raise found
        return found


def in_turn(*answers: Answer) -> Scripted:
    """Gives these answers one after the other, the last one for ever."""
    left = list(answers)
    return Scripted(lambda _: left.pop(0) if len(left) > 1 else left[0])


class Sleeper:
    """A sleep that takes no time and moves the clock on; `pauses` is how long it was asked for."""

    def __init__(self, clock: FixedClock) -> None:
        self.pauses: list[float] = []
        self._clock = clock

    async def __call__(self, seconds: float) -> None:
        """Move the clock on."""
        self.pauses.append(seconds)
        self._clock.advance(seconds)
