"""The pages: `/`, `/docs` and `/status`, rendered here without a framework or outside requests."""

from collections.abc import Awaitable, Callable
from functools import cache, partial
from urllib.parse import parse_qs

from pydantic_core import to_json
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mmflow_mcp.app import App
from mmflow_mcp.errors import MmflowError
from mmflow_mcp.surfaces.finished import Finished
from mmflow_mcp.surfaces.pages.assets import KINDS, PREFIX, content, version_of
from mmflow_mcp.surfaces.pages.docs import EXAMPLES, docs
from mmflow_mcp.surfaces.pages.element import Html
from mmflow_mcp.surfaces.pages.examples import Examples
from mmflow_mcp.surfaces.pages.home import home
from mmflow_mcp.surfaces.pages.lost import lost
from mmflow_mcp.surfaces.pages.page import GUARDING, TEXT, Site, origin_of, sent
from mmflow_mcp.surfaces.pages.status import status
from mmflow_mcp.surfaces.rest import refusal
from mmflow_mcp.surfaces.status import status_facts

Answer = Callable[[Scope], Awaitable[Finished]]

FOREVER = "public, max-age=31536000, immutable"
# Visitors come by few addresses; a page is kept for each.
MOST_ORIGINS = 8
# Stands for the visitor's address in a page; a character of it has no other meaning in HTML.
UNTOLD = "http://this-server.invalid"


class Place:
    """A path that is read: GET and HEAD."""

    def __init__(self, answer: Answer, app: App) -> None:
        self._answer = answer
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request."""
        if scope["method"] in ("GET", "HEAD"):
            found = await self._answer(scope)
        else:
            text = "A page is read-only. Fits: GET, HEAD."
            allow = (b"allow", b"GET, HEAD")
            found = refusal(405, text, allow, now_ms=self._app.clock.now_ms())
        await found.send(scope, send)


def pages(app: App) -> list[Route]:
    """The routes of every page and of what pages load."""
    site, examples = Site.of(app), Examples()
    answers: dict[str, Answer] = {
        "/": _rendered(partial(home, site)),
        "/docs": _rendered(partial(docs, site)),
        "/status": partial(_status, app, site),
        "/favicon.ico": partial(_asset, "icon.svg"),
        EXAMPLES + "{name}": partial(_example, app, site, examples),
        **{PREFIX + name: partial(_asset, name) for name in KINDS},
    }
    return [Route(path, Place(answer, app)) for path, answer in answers.items()]


def strays(inner: ASGIApp, app: App) -> ASGIApp:
    """Before what answers every other path: a browser that asks for a page is shown one."""
    missing = sent(lost(Site.of(app)), status=404, cache="no-store")

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if reads and scope["path"] != "/mcp" and _wants_page(scope):
            await missing.send(scope, send)
            return
        await inner(scope, receive, send)

    return choose


def _rendered(render: Callable[[str], Html]) -> Answer:
    """A page that differs by the visitor's address only: rendered once, then filled in."""
    template = cache(partial(render, UNTOLD))
    kept: dict[str, Finished] = {}

    async def answer(scope: Scope) -> Finished:
        origin = origin_of(scope)
        if origin not in kept:
            if len(kept) >= MOST_ORIGINS:
                kept.pop(next(iter(kept)))
            kept[origin] = sent(Html(template().replace(UNTOLD, origin)))
        return kept[origin]

    return answer


async def _status(app: App, site: Site, scope: Scope) -> Finished:
    facts = status_facts(app)
    form = parse_qs(scope["query_string"].decode("latin-1")).get("format", [""])[-1]
    if form == "json" or (not form and not _wants_page(scope) and _accepts(scope, b"json")):
        return Finished(to_json(facts), more=[(b"vary", b"Accept")])
    return sent(status(site, facts), cache="no-store")


async def _example(app: App, site: Site, examples: Examples, scope: Scope) -> Finished:
    try:
        text = await examples.text(scope["path_params"]["name"])
    except KeyError:
        return sent(lost(site), status=404, cache="no-store")
    except MmflowError as error:
        return refusal(error.status, str(error), now_ms=app.clock.now_ms())
    return Finished(text.encode(), cache="no-cache", base=TEXT)


async def _asset(name: str, scope: Scope) -> Finished:
    """Kept for good under the address that names its version, else asked for anew."""
    named = scope["query_string"] == f"v={version_of(name)}".encode()
    kind = (b"content-type", KINDS[name].encode())
    base = [kind, (b"vary", b"Accept-Encoding"), *GUARDING]
    return Finished(content(name), cache=FOREVER if named else "no-cache", base=base)


def _wants_page(scope: Scope) -> bool:
    return _accepts(scope, b"text/html")


def _accepts(scope: Scope, kind: bytes) -> bool:
    return any(name == b"accept" and kind in value for name, value in scope["headers"])
