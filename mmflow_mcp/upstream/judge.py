"""Turns what came back into an answer or into the error it really is.

Venues refuse in many ways: a status, a page of HTML, an error inside HTTP 200. Here each becomes
one of our errors, once, so that every layer above sees the same few cases.
"""

from collections.abc import Callable, Mapping

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.health import HealthLedger
from mmflow_mcp.upstream.wire import Call

MAX_BYTES = 48 * 1024 * 1024
UNRECORDED_HEADER = "x-mmflow-unrecorded"

# What a venue says of its own errors: (status, first bytes of the body) -> error, or None.
Refusal = Callable[[int, bytes], VenueError | None]


class JudgeTransport(httpx2.AsyncBaseTransport):
    """Bounds one attempt in time and size, and judges its answer."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        *,
        clock: Clock,
        health: HealthLedger,
        refusals: Mapping[str, Refusal],
        venues: Mapping[str, str],
        attempt_seconds: float,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._health = health
        self._refusals = refusals
        self._venues = venues
        self._attempt_seconds = attempt_seconds

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One attempt; raises a `VenueError` for everything that is no answer."""
        if not isinstance(request.extensions.get("call"), Call):
            return await self._inner.handle_async_request(request)
        venue = self._venues.get(request.url.host, request.url.host)
        started = self._clock.monotonic()
        try:
            response = await self._attempt(request)
        except VenueError as error:
            self._health.failed(venue, error)
            raise
        self._health.answered(venue, self._clock.monotonic() - started)
        return response

    async def _attempt(self, request: httpx2.Request) -> httpx2.Response:
        try:
            with anyio.fail_after(self._attempt_seconds):
                response = await self._inner.handle_async_request(request)
                body = await _read(response)
        except (TimeoutError, httpx2.TimeoutException):
            msg = f"timeout: no answer within {self._attempt_seconds:g} s"
            raise VenueTimeout(msg) from None
        except httpx2.DecodingError:
            raise VenueChanged("changed: the body could not be decompressed") from None
        except httpx2.ConnectError:
            raise VenueRefused("refused: no connection could be made") from None
        except httpx2.TransportError:
            raise VenueRefused("refused: the connection broke before the answer") from None
        status = response.status_code
        refusal = self._refusals.get(request.url.host)
        said = refusal(status, body) if refusal else None
        error = said or judge(status, response.headers, body)
        if error is not None:
            raise error
        return httpx2.Response(
            status, content=body, extensions={"read_at": response.extensions.get("read_at")}
        )

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


async def _read(response: httpx2.Response) -> bytes:
    """The whole body, decompressed, refused beyond a bound."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MAX_BYTES:
                raise VenueChanged("changed: the answer is unreasonably large")
            parts.append(part)
    finally:
        await response.aclose()
    return b"".join(parts)


def judge(status: int, headers: Mapping[str, str], body: bytes) -> VenueError | None:
    """What a status and a body mean when the venue has no words of its own for it."""
    asked = headers.get(UNRECORDED_HEADER)
    if asked is not None:
        return Unrecorded(f"unrecorded: {asked}")
    if status in (418, 429):
        return VenueRateLimited(status, retry_after=_seconds(headers.get("retry-after")))
    if status == 451:
        return VenueBlocked("geo: http 451, the venue does not serve this location")
    html = body.lstrip()[:1] == b"<"
    if status == 403:
        return VenueBlocked("blocked: http 403" + (", a page instead of data" if html else ""))
    if status >= 500:
        return VenueHttp(status)
    if status >= 400:
        return VenueRejected(f"http {status}: the venue rejected the request")
    if status != 200:
        return VenueHttp(status)
    if html:
        return VenueChanged("changed: a page of HTML came instead of JSON")
    return None


def _seconds(text: str | None) -> float | None:
    """Retry-After as seconds; the date form is rare at venues and read as unknown."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
