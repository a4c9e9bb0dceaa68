"""REST for tests: the whole application over simulated venues, asked in process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
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
    async with world(*faults, **settings) as app, client_of(app) as client:
        yield client
