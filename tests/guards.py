"""The guard around a stub of an application, in process, over a clock that stands."""

from collections.abc import Iterable
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mmflow_mcp.access.addresses import networks_of
from mmflow_mcp.access.keys import Key, make_key
from mmflow_mcp.access.quotas import OwnQuotas, Quotas
from mmflow_mcp.access.ring import KeyRing
from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import StoreAway
from mmflow_mcp.surfaces.guarding import Guard, Limits

NOW = 1_789_434_000_000
OI = "/api/v1/perps/oi"


class HeldKeys:
    """Keys in memory; `away` makes the place unreadable."""

    name = "held"

    def __init__(self) -> None:
        self.held: dict[str, Key] = {}
        self.noted: list[tuple[str, int]] = []
        self.away = False
        self.reads = 0

    def make(self, per_minute: int | None = None, revoked: int | None = None) -> str:
        """A new key's text."""
        text, key = make_key("test", NOW, per_minute)
        self.put(key, revoked)
        return text

    def put(self, key: Key, revoked: int | None = None) -> None:
        """Keep a key, revoked or not."""
        self.held[key.id] = Key(
            key.id, key.digest, key.name, key.created, key.per_minute, key.used, revoked
        )

    async def keys(self) -> list[Key]:
        """Every key, unless the place is away."""
        self.reads += 1
        if self.away:
            raise StoreAway("held is away")
        return list(self.held.values())

    async def add(self, key: Key) -> None:
        """Keep a new key."""
        self.put(key)

    async def revoke(self, key_id: str, at_ms: int) -> bool:
        """Revoke a key."""
        self.put(self.held[key_id], at_ms)
        return True

    async def used(self, key_id: str, at_ms: int) -> None:
        """Remember what is to be noted."""
        self.noted.append((key_id, at_ms))

    async def close(self) -> None:
        """Nothing is open."""


class House:
    """A guarded stub: what reached it, and a client that asks from an address."""

    def __init__(
        self,
        *,
        anonymous: int = 60,
        key: int = 300,
        required: bool = False,
        trusted: str = "",
        quotas: Quotas | None = None,
        now: int = NOW,
    ) -> None:
        self.clock = FixedClock(now)
        self.store = HeldKeys()
        self.soon: list[tuple[Any, ...]] = []
        self.reached: list[tuple[str, bytes]] = []
        ring = KeyRing(
            self.store, self.clock, lambda *job: self.soon.append(job), required=required
        )
        limits = Limits(anonymous, key, required, networks_of(trusted))
        self.quotas = quotas or OwnQuotas(self.clock)
        self.guard = Guard(self._stub(), ring, self.quotas, limits, self.clock, 1 << 20)

    def _stub(self) -> Starlette:
        async def answer(request: Request) -> Response:
            self.reached.append((request.url.path, await request.body()))
            headers = {"cache-control": "public, max-age=30, s-maxage=60"}
            status = 304 if "if-none-match" in request.headers else 200
            principal = getattr(request.state, "principal", None)
            return JSONResponse({"data": [], "meta": {"by": principal}}, status, headers)

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])

    async def ask(
        self,
        path: str = OI,
        *,
        peer: str = "203.0.113.9",
        headers: Iterable[tuple[str, str]] = (),
        method: str = "GET",
        **more: Any,
    ) -> httpx2.Response:
        """One request from an address."""
        transport = httpx2.ASGITransport(self.guard, client=(peer, 40000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.request(method, path, headers=list(headers), **more)


def bearer(key: str) -> list[tuple[str, str]]:
    """The header that shows a key."""
    return [("authorization", f"Bearer {key}")]


def message(method: str, number: Any = 1, **params: Any) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
