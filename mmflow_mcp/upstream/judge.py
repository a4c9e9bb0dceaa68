"""Turns what came back into an answer or into the error it really is.

Venues refuse in many ways: a status, a page of HTML, an error inside HTTP 200. Here each becomes
one of our errors, once, so that every layer above sees the same few cases.
"""

import math
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

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
from mmflow_mcp.upstream.answers import decoded
from mmflow_mcp.upstream.health import HealthLedger
from mmflow_mcp.upstream.wire import ROOM, Call, Form, time_left

MAX_BYTES = 48 * 1024 * 1024
# How replay answers what it does not hold (`replay` says the same).
UNRECORDED_STATUS = 599
UNRECORDED_HEADER = "x-mmflow-unrecorded"

# What a venue says of its own errors: (status, first bytes of the body) -> error, or None.
Refusal = Callable[[int, bytes], VenueError | None]

# Pages in front of venues say so when it is the place that is refused (CloudFront does).
_PLACE = (b"from your country", b"restricted location", b"your region", b"your jurisdiction")
# So do pages that want to see a browser.
_CHALLENGES = (
    *(b"just a moment", b"attention required", b"challenges.cloudflare.com"),
    *(b"cf_chl", b"cf-chl", b"enable javascript and cookies"),
)


class JudgeTransport(httpx2.AsyncBaseTransport):
    """Bounds one attempt in time and size, and judges its answer.

    An attempt ends a moment before the question's deadline, so that its failure is still known
    above: an older copy can then stand in, and the breaker counts it. A good answer carries the
    decoded document in `extensions["doc"]`. Sockets pass through.
    """

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
        call = request.extensions.get("call")
        if not isinstance(call, Call):
            return await self._inner.handle_async_request(request)
        venue = self._venues.get(request.url.host, request.url.host)
        started = self._clock.monotonic()
        request.extensions.setdefault("sent_at", started)
        try:
            response, body = await self._attempt(request)
            spent = self._clock.monotonic() - started
            answer = self._judged(request.url.host, response, body, call.form)
        except VenueError as error:
            self._health.failed(venue, error)
            raise
        self._health.answered(venue, spent)
        return answer

    async def _attempt(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        """The raw answer, read to its end within the time allowed."""
        left = time_left(request, self._clock)
        seconds = min(self._attempt_seconds, left - min(ROOM, left / 10))
        try:
            with anyio.fail_after(seconds):
                response = await self._inner.handle_async_request(request)
                return response, await _read(response)
        except (TimeoutError, httpx2.TimeoutException):
            raise VenueTimeout(f"timeout: no answer within {_told(seconds)} s") from None
        except httpx2.DecodingError:
            raise VenueChanged("changed: the body could not be decompressed") from None
        except httpx2.ProxyError:
            raise VenueRefused("refused: the proxy made no connection") from None
        except httpx2.ConnectError as error:
            raise VenueRefused(f"refused: {_unconnected(error)}") from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError):
            raise VenueRefused("refused: the connection broke before the answer") from None

    def _judged(
        self, host: str, response: httpx2.Response, body: bytes, form: Form
    ) -> httpx2.Response:
        status, headers = response.status_code, response.headers
        error = (
            _unrecorded(status, headers)
            or self._refused(host, status, headers, body)
            or judge(status, headers, body, now_ms=self._clock.now_ms(), form=form)
        )
        if error is not None:
            raise error
        kept = {"doc": decoded(body, form), "read_at": response.extensions.get("read_at")}
        return httpx2.Response(status, content=body, extensions=kept)

    def _refused(
        self, host: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> VenueError | None:
        """The venue's own words; a Retry-After beside them counts where they name no time."""
        refusal = self._refusals.get(host)
        if refusal is None:
            return None
        try:
            error = refusal(status, body)
        except (LookupError, TypeError, ValueError, AttributeError):
            # A hook that expects another shape of error than the venue sent.
            return VenueChanged("changed: an error in a shape that is not documented")
        if isinstance(error, VenueRateLimited) and error.retry_after is None:
            error.retry_after = retry_after(headers, self._clock.now_ms())
        return error

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def _unconnected(error: BaseException | None) -> str:
    """Why no connection was made: a proxy that opens TLS shows a certificate of its own."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return "its certificate is not trusted (MMFLOW_CA_BUNDLE names further authorities)"
        error = error.__cause__ or error.__context__
    return "no connection could be made"


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


def _unrecorded(status: int, headers: Mapping[str, str]) -> VenueError | None:
    asked = headers.get(UNRECORDED_HEADER)
    if status != UNRECORDED_STATUS or asked is None:
        return None
    return Unrecorded(f"unrecorded: {asked}")


def judge(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_ms: int | None = None,
    form: Form = "json",
) -> VenueError | None:
    """What a status and a body mean when the venue has no words of its own for it.

    `headers` are looked up in lower case. `now_ms` is what a Retry-After that is a date is
    counted from where the answer has no Date of its own. A page of HTML is no answer to a call
    for JSON; to a call for text it is, unless it is a page that keeps programs out.
    """
    if unrecorded := _unrecorded(status, headers):
        return unrecorded
    if form == "text" and status not in (403, 451) and _keeps_out(headers, body):
        return VenueBlocked("blocked: a page that keeps programs out came instead of the data")
    pause = retry_after(headers, now_ms)
    if status in (418, 429):
        return VenueRateLimited(status, retry_after=pause)
    if status == 503 and pause is not None:
        # It names its pause, so it is left alone that long like any limit.
        return VenueRateLimited(status, "the venue asks to come back later", retry_after=pause)
    if 400 <= status < 500:
        return _refusal(status, body)
    if status != 200:
        return VenueHttp(status)
    if form == "text":
        return None if body.strip() else VenueChanged("changed: the answer is empty")
    return VenueChanged("changed: a page of HTML came instead of JSON") if _page(body) else None


def _keeps_out(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is a challenge or a block of the proxy before the source, whatever its status."""
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    # Its own words stand at the beginning, and a page with a table of data is none.
    said = body[:65_536].lower()
    return any(words in said for words in _CHALLENGES) and b"<table" not in body.lower()


def _refusal(status: int, body: bytes) -> VenueError:
    if status == 407:
        return VenueRefused("refused: the proxy wants credentials")
    said = body[:8192].lower()
    if status == 451 or (status == 403 and any(words in said for words in _PLACE)):
        return VenueBlocked(f"geo: http {status}, the venue does not serve this location")
    if status == 403:
        return VenueBlocked("blocked: http 403" + ", a page instead of data" * _page(body))
    return VenueRejected(f"http {status}: the venue rejected the request")


def _page(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def retry_after(headers: Mapping[str, str], now_ms: int | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None without one.

    A date is counted from the answer's own Date, which the same clock wrote, else from `now_ms`.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, headers.get("date", ""), now_ms)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, date: str, now_ms: int | None) -> float | None:
    until, said = _epoch(text), _epoch(date)
    now = said if said is not None or now_ms is None else now_ms / 1000
    return None if until is None or now is None else max(0.0, until - now)


def _epoch(text: str) -> float | None:
    """An HTTP date as epoch seconds; without a zone it is UTC. None where it is no date."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _told(seconds: float) -> str:
    """Seconds as a sentence says them."""
    return f"{seconds:.1g}" if seconds < 1 else f"{round(seconds, 1):g}"
