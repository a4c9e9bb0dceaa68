"""By which names this server may be addressed: Host on every face, Origin on `/mcp`.

A page elsewhere must not reach a server on this machine by having its own name resolve here (DNS
rebinding). That takes a name, so where the server listens on every address, and cannot know by
which of them it is reached, an address as Host is taken and a name must be one of ours. An Origin
is another matter, for pages lie at addresses too: it is ours by name, or the very Host asked.
"""

import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from mmflow_mcp.clock import Clock
from mmflow_mcp.setting_texts import host_names
from mmflow_mcp.surfaces.rest import refusal

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
MCP = "/mcp"

# What stands before an application and may answer in its place.
Layer = Callable[[ASGIApp], ASGIApp]

_UNKNOWN = "This server does not go by that name (Host). MMFLOW_HOSTS tells it its names."
_FOREIGN = "Pages of that Origin may not speak to /mcp. MMFLOW_HOSTS tells this server its names."


class Names:
    """The names of a server that listens on `host`; `more` are those of the settings."""

    def __init__(self, host: str, more: str = "") -> None:
        self._every = host in EVERY_ADDRESS
        names = {*LOOPBACK, *host_names(more)}
        if self._every:
            own = socket.gethostname().lower()
            names |= {own, f"{own.partition('.')[0]}.local"} if own else set()
        else:
            names.add(host.lower())
        self.named = frozenset(names)
        self.has_host = lru_cache(512)(self._has_host)

    def _has_host(self, header: bytes) -> bool:
        """Whether a Host header, with or without port, names this server."""
        name = name_of(header)
        if name is None:
            return False
        return name in self.named or (self._every and _is_address(name))

    def has_origin(self, origin: bytes, host: bytes) -> bool:
        """Whether an Origin is a page of our own; `host` is the Host of the same request."""
        scheme, colon, rest = origin.lower().partition(b"://")
        if scheme not in (b"http", b"https") or not colon:
            return False
        return rest == host.lower() or name_of(rest) in self.named


def name_of(header: bytes) -> str | None:
    """The name in HOST[:PORT], small, IPv6 without brackets; None for what is none."""
    text = header.decode("latin-1").lower()
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in name:
            return None
    else:
        name, colon, port = text.partition(":")
        port = colon + port
    if port and not (port[0] == ":" and port[1:].isascii() and port[1:].isdigit()):
        return None
    return name or None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def own_names(host: str, more: str, clock: Clock) -> Layer:
    """A layer that refuses what is addressed to another name: 421, on `/mcp` a foreign Origin 403.

    Of two Hosts, or none, nobody can tell which was meant: both are refused.
    """
    names = Names(host, more)

    def layer(inner: ASGIApp) -> ASGIApp:
        async def check(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await inner(scope, receive, send)
                return
            hosts = [v for k, v in scope["headers"] if k == b"host"]
            if len(hosts) != 1 or not names.has_host(hosts[0]):
                await _refuse(421, _UNKNOWN, scope, send)
                return
            if scope["path"].startswith(MCP):
                origins = [v for k, v in scope["headers"] if k == b"origin"]
                if not all(names.has_origin(origin, hosts[0]) for origin in origins):
                    await _refuse(403, _FOREIGN, scope, send)
                    return
            await inner(scope, receive, send)

        async def _refuse(status: int, text: str, scope: Scope, send: Send) -> None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await refusal(status, text, now_ms=clock.now_ms()).send(scope, send)

        return check

    return layer
