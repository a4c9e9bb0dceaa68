"""REST: every declared endpoint under `/api/v1`, in the specification's envelope, in full.

The routes are a loop over the declarations. A finished answer is kept as bytes for as long as
every wire it was made of is fresh, and no longer than its endpoint lets a client keep it.
"""

import difflib
import logging
import math
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl, quote

import anyio
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from mmflow_mcp.app import App
from mmflow_mcp.endpoints.declare import Endpoint
from mmflow_mcp.errors import BadQuestion, MmflowError, StoreError
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.finished import METHODS, PREFLIGHT, Finished
from mmflow_mcp.surfaces.openapi import DOCUMENT, PREFIX, address, document, operations
from mmflow_mcp.surfaces.remembered import Remembered

log = logging.getLogger("mmflow_mcp")

Arguments = dict[str, str]
# From a question to its answer and until when (monotonic) it holds.
Route = Callable[[Arguments], Awaitable[tuple[Finished, float]]]

MAX_QUERY = 8_192
MAX_PARAMETERS = 100
# Questions being answered at once; what is remembered does not count.
MOST_AT_ONCE = 256
KEPT_BYTES = 16 << 20
# Seconds that a client may keep an answer in which something is missing.
PARTIAL_TTL = 5
DOCUMENT_TTL = 300
# A question may ask venues in several rounds, each within the deadline.
ROUNDS = 4
# How a question at a path that is none is counted.
NOWHERE = ("rest", "unknown")
NO_BODY = (b"0", b"")


class Rest:
    """The face as an ASGI application.

    `paths` are the ones it answers; any other is told its nearest. The answer of a request is
    left in its scope under `ANSWERED`.
    """

    ANSWERED = "mmflow.answered"

    def __init__(self, app: App, *, most_at_once: int = MOST_AT_ONCE) -> None:
        self._app = app
        self._most = most_at_once
        self._asking = 0
        self._known = Remembered(app.clock, most=KEPT_BYTES, size=lambda page: page.size)
        if app.link is not None:
            # What is kept says whether there is a fleet.
            app.link.on_turn(self._known.clear)
        self._routes: dict[str, Route] = {DOCUMENT: self._document}
        self._examples = {DOCUMENT: DOCUMENT}
        self._counted = {DOCUMENT: ("rest", "openapi")}
        for path, e in operations().items():
            self._routes[path] = self._route(e, bare=not path.startswith(PREFIX))
            self._examples[path] = address(path, e.example)
            self._counted[path] = ("rest", e.name)
        self.paths = frozenset(self._routes)

    def endpoint_at(self, path: str) -> str:
        """The name of what is at a path."""
        return self._counted.get(path, NOWHERE)[1]

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,  # noqa: ARG002 - ASGI's form; a question has no body
        send: Send,
    ) -> None:
        """Answer one request; its body, if any, is never read."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000, "reason": "no socket is here"})
            return
        method = scope["method"]
        if method in ("GET", "HEAD"):
            began, path = perf_counter(), scope["path"]
            page = self._known.get((path, scope["query_string"]))
            if page is None or _has_body(scope):
                page = await self._page(scope)
            counted = self._counted.get(path, NOWHERE)
            self._app.asked.add(counted, page.outcome, perf_counter() - began)
            scope[self.ANSWERED] = page
            await page.send(scope, send)
        elif method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT.copy()})
            await send({"type": "http.response.body", "body": b""})
        else:
            text = f"{method[:20]} is not served: this is read-only. Fits: GET, HEAD, OPTIONS."
            refused = self._failed(405, text, (b"allow", METHODS))
            await refused.send(scope, send)

    async def _page(self, scope: Scope) -> Finished:
        """Ask, and keep what may be kept."""
        path, query = scope["path"], scope["query_string"]
        route = self._routes.get(path)
        if route is None:
            return self._failed(404, _nothing_at(path, self._routes))
        if len(query) > MAX_QUERY:
            return self._failed(414, f"The query is longer than {MAX_QUERY:,} bytes.")
        if _has_body(scope):
            return self._failed(413, "A question has no body: its parameters are in the query.")
        if self._asking >= self._most:
            text = f"{self._most} questions are being answered; ask again in a second."
            return self._failed(503, text, (b"retry-after", b"1"))
        self._asking += 1
        self._app.asked.running["rest"] = self._asking
        try:
            with anyio.fail_after(ROUNDS * self._app.settings.deadline):
                page, until = await route(arguments_of(query))
        except Exception as error:  # noqa: BLE001 - the last line before the client; it is logged
            return self._failure(path, error)
        finally:
            self._asking -= 1
            self._app.asked.running["rest"] = self._asking
        self._known.keep((path, query), page, until)
        return page

    def _route(self, e: Endpoint, *, bare: bool) -> Route:
        """How an endpoint is asked; a `bare` answer is the data without envelope."""

        async def answer(given: Arguments) -> tuple[Finished, float]:
            query = questions.validated(e, given)
            self._app.used()
            found = await questions.answered(self._app.core(), e, query)
            ttl = min(e.ttl, PARTIAL_TTL) if found.meta["partial"] else e.ttl
            whole = questions.envelope(found)
            content, partial = whole["data"] if bare else whole, found.meta["partial"]
            return self._public(content, ttl, found.until, partial=partial)

        return answer

    async def _document(self, given: Arguments) -> tuple[Finished, float]:
        """The OpenAPI document; it takes no parameters and has no envelope."""
        if given:
            raise BadQuestion(next(iter(given))[:40], "unknown argument: there are none here.")
        return self._public(document(), DOCUMENT_TTL, math.inf)

    def _public(
        self, content: Any, ttl: int, until: float, *, partial: bool = False
    ) -> tuple[Finished, float]:
        body = to_json(content, inf_nan_mode="null")
        page = Finished(body, cache=f"public, max-age={ttl}", partial=partial)
        return page, min(until, self._app.clock.monotonic() + ttl)

    def _failure(self, path: str, error: Exception) -> Finished:
        """What went wrong, in words that help; nothing of how we are made inside."""
        if isinstance(error, BadQuestion):
            text = f"{error} Example: {self._examples[path]}"
            return self._failed(error.status, text, error=error)
        if isinstance(error, StoreError) and error.retryable:
            return self._failed(error.status, str(error), (b"retry-after", b"5"), error=error)
        if isinstance(error, MmflowError):
            return self._failed(error.status, str(error), error=error)
        if isinstance(error, TimeoutError):
            return self._failed(504, "The answer took too long; ask for less, or again later.")
        log.error("%s failed", path, exc_info=error, extra={"endpoint": self.endpoint_at(path)})
        return self._failed(500, "A fault of the server's own; it was logged there.")

    def _failed(
        self, status: int, text: str, *more: tuple[bytes, bytes], error: Exception | None = None
    ) -> Finished:
        return refusal(status, text, *more, now_ms=self._app.clock.now_ms(), error=error)


def refusal(
    status: int,
    text: str,
    *more: tuple[bytes, bytes],
    now_ms: int,
    error: Exception | None = None,
) -> Finished:
    """An error in the envelope, never kept by a cache; `more` are further headers."""
    said = questions.failure(error or Exception(), text, now_ms)
    return Finished(to_json(said, inf_nan_mode="null"), status=status, more=more)


def arguments_of(query: bytes) -> Arguments:
    """The parameters of a query: a repeated one is a list, an empty one is not given."""
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise BadQuestion(
            "", f"there are more than {MAX_PARAMETERS} parameters.", fits="a,b for a list"
        ) from None
    given: Arguments = {}
    for name, value in pairs:
        if value.strip():
            given[name] = f"{given[name]},{value}" if name in given else value
    return given


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value not in NO_BODY)
        for name, value in scope["headers"]
    )


def _nothing_at(path: str, known: dict[str, Route]) -> str:
    """What a path that is none is told."""
    (near,) = difflib.get_close_matches(path[:200], known, n=1, cutoff=0.0)
    shown = "".join(c if c.isprintable() else quote(c, errors="replace") for c in path[:80])
    return f"Nothing is at {shown}. Nearest: {near}. All there is: {DOCUMENT}."
