"""The live network, opened when it is first needed, and simulated venues that run elsewhere."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2

from mmflow_mcp.errors import BadQuestion, VenueRefused

# Answers are fresh for 5 s, so a connection must idle longer than that to serve the next one.
KEEP_IDLE = 50.0
LIMITS = httpx2.Limits(max_connections=30, max_keepalive_connections=20, keepalive_expiry=KEEP_IDLE)


def check_bundle(path: str) -> str:
    """The path of a file of certificates, once it is known to hold some; "" is none.

    Raises `BadQuestion` for a file that is missing, cannot be read or holds no certificate.
    """
    if not path:
        return ""
    file = Path(path).expanduser()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        why = f"{file} holds no certificate."
    except OSError as error:
        why = f"{file} cannot be read: {error.strerror}."
    else:
        return str(file)
    raise BadQuestion("MMFLOW_CA_BUNDLE", why, fits="a PEM file of certificate authorities")


def trusting(ca_bundle: str = "") -> ssl.SSLContext:
    """The TLS context of every connection: the system's certificates, and those of a bundle.

    SSL_CERT_FILE and SSL_CERT_DIR stand in for the system's, as OpenSSL has it. Raises
    `VenueRefused` where those cannot be read.
    """
    try:
        context = httpx2.create_ssl_context()
    except (OSError, ssl.SSLError):
        raise VenueRefused(
            "refused: the certificates that SSL_CERT_FILE names are unreadable"
        ) from None
    if ca_bundle:
        context.load_verify_locations(cafile=ca_bundle)
    return context


class _Pools:
    """A pool of connections per host: a pool looks through all it holds at every request."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None = None) -> None:
        self._context = context
        self._proxy = proxy
        self._pools: dict[str, httpx2.AsyncHTTPTransport] = {}

    def of(self, host: str) -> httpx2.AsyncHTTPTransport:
        pool = self._pools.get(host)
        if pool is None:
            pool = self._pools[host] = httpx2.AsyncHTTPTransport(
                verify=self._context, proxy=self._proxy, limits=LIMITS
            )
        return pool

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


class NetworkTransport(httpx2.AsyncBaseTransport):
    """Connections to real venues.

    The TLS context costs some 50 ms to make, so it is made once, off the event loop, at the
    first request; sockets use it too. `ca_bundle`: a file of certificates trusted beside the
    system's own; raises `BadQuestion` when it is none.
    """

    def __init__(self, *, user_agent: str, proxy: str | None = None, ca_bundle: str = "") -> None:
        self._ca_bundle = check_bundle(ca_bundle)
        self._user_agent = user_agent
        self._proxy = proxy
        self._pools: _Pools | None = None
        self._opening = anyio.Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request with our honest name on it."""
        request.headers["user-agent"] = self._user_agent
        pools = self._pools or await self._open()
        return await pools.of(request.url.host).handle_async_request(request)

    async def _open(self) -> _Pools:
        async with self._opening:
            if self._pools is None:
                context = await anyio.to_thread.run_sync(trusting, self._ca_bundle)
                self._pools = _Pools(context, self._proxy)
            return self._pools

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pools is not None:
            await self._pools.aclose()


class RemoteSimTransport(httpx2.AsyncBaseTransport):
    """A `mmflow-mcp sim` that runs elsewhere: https://HOST/PATH -> BASE/HOST/PATH."""

    def __init__(self, base: str, ca_bundle: str = "") -> None:
        parts = urlsplit(base)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._netloc = parts.netloc.rpartition("@")[2]
        # Plain HTTP on loopback needs no certificates, whose loading costs 50 ms.
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._pools = _Pools(trusting(check_bundle(ca_bundle)) if self._secure else bare)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Rewrite the address and send."""
        kind = "ws" if request.url.scheme in ("ws", "wss") else "http"
        raw_path = f"{self._prefix}/{request.url.host}".encode() + request.url.raw_path
        changed: dict[str, Any] = {
            "scheme": kind + "s" * self._secure,
            "host": self._host,
            "port": self._port,
            "raw_path": raw_path,
        }
        moved = httpx2.Request(
            request.method,
            request.url.copy_with(**changed),
            headers=[(k, v) for k, v in request.headers.raw if k.lower() != b"host"],
            stream=request.stream,
            extensions=request.extensions,
        )
        moved.headers["host"] = self._netloc
        return await self._pools.of(request.url.host).handle_async_request(moved)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pools.aclose()
