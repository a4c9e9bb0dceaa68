"""A whole server for tests: in process, on simulated venues, with the time held."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from mmflow_mcp.app import App, running
from mmflow_mcp.endpoints.answer import Answer
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.market import market_of
from mmflow_mcp.surfaces import questions
from mmflow_mcp.venues import having
from mmflow_mcp.venues.capabilities import Candles, OrderBooks

# A Tuesday morning, away from every full hour, funding time and expiry. The simulated venues answer
# by the second.
NOW = 1_789_453_123_000
MARKET = market_of(1)

# The one place that knows of capabilities without a venue: what needs them is skipped until then.
WAITING = {
    tool: f"no venue has {capability.__name__} yet"
    for tool, capability in (("get_candles", Candles), ("order books", OrderBooks))
    if not having(capability)
}


def skip_waiting(what: str) -> None:
    """Skip a test of what no venue can answer yet."""
    if what in WAITING:
        pytest.skip(WAITING[what])


@asynccontextmanager
async def world(*faults: str, **settings: Any) -> AsyncIterator[App]:
    """An app over the simulated market at `NOW`, with faults."""
    given = {"source": "sim", "now": str(NOW), "faults": ";".join(faults), **settings}
    async with running(from_environment({}, **given)) as app:
        yield app


async def ask(app: App, tool: str, **arguments: Any) -> Answer[Any]:
    """One question, as any face asks it."""
    return await questions.answer(app.core(), questions.understand(tool, arguments))


async def envelope(app: App, tool: str, **arguments: Any) -> dict[str, Any]:
    """One question, answered as the specification's envelope."""
    return questions.envelope(await ask(app, tool, **arguments))


class _Counting(httpx2.AsyncBaseTransport):
    """Counts what is asked at the bottom of the client."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.asked: Counter[str] = Counter()
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked[str(request.url)] += 1
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def counted(*faults: str, **settings: Any) -> AsyncIterator[tuple[App, Counter[str]]]:
    """A simulated world, with faults, and what was asked of it."""
    layers: list[_Counting] = []

    def wrap(base: Any) -> _Counting:
        layers.append(_Counting(base))
        return layers[0]

    held = {"source": "sim", "now": str(NOW), "faults": ";".join(faults)}
    given = from_environment({}, **{**held, **settings})
    async with running(given, wrap) as app:
        app.core()
        yield app, layers[0].asked
