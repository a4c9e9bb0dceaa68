"""REST for tests: the whole application over simulated venues, asked in process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.surfaces.http import build_app

BASE = "http://127.0.0.1"


@asynccontextmanager
async def client_of(app: App, **how: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application that `serve` would serve."""
    asgi = build_app(app, "127.0.0.1", anyio.Event(), **how)
    transport = httpx2.ASGITransport(app=asgi, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@asynccontextmanager
async def served(*faults: str, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a fresh simulated world."""
    given = {"anon_per_minute": 0, **settings}
    async with world(*faults, **given) as app, client_of(app) as client:
        yield client


class Asker:
    """Asks a world that lives in a thread of its own, from tests that are no coroutines."""

    def __init__(self, portal: BlockingPortal, client: httpx2.AsyncClient, app: App) -> None:
        self.app = app
        self._portal = portal
        self._client = client

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """One question."""
        return self._portal.call(partial(self._client.get, path, headers=headers))

    def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run something in that world."""
        return self._portal.call(function)


@contextmanager
def asking(*faults: str, **settings: Any) -> Iterator[Asker]:
    """A simulated world to ask for as long as the block runs."""

    @asynccontextmanager
    async def both() -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
        given = {"anon_per_minute": 0, **settings}
        async with world(*faults, **given) as app, client_of(app) as client:
            yield app, client

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(both()) as (app, client),
    ):
        yield Asker(portal, client, app)
