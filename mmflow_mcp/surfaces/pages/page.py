"""What all pages have in common: head, banner, navigation, and the headers they are sent with."""

import re
from dataclasses import dataclass

from starlette.types import Scope

from mmflow_mcp import __version__
from mmflow_mcp.app import App
from mmflow_mcp.surfaces.finished import Finished, Headers
from mmflow_mcp.surfaces.openapi import DOCUMENT
from mmflow_mcp.surfaces.pages.assets import address_of
from mmflow_mcp.surfaces.pages.element import Child, Html, tag

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
GUARDING: Headers = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
HTML: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"vary", b"Accept, Accept-Encoding"),
    *GUARDING,
]
TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8"), *HTML[1:]]
PLACES = (("/", "Connect"), ("/docs", "Docs"), ("/status", "Status"), (DOCUMENT, "OpenAPI"))

_HOST = re.compile(rb"[A-Za-z0-9.\-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages must know of the server they speak for."""

    kind: str
    pinned: bool
    key: bool

    @classmethod
    def of(cls, app: App) -> "Site":
        """As the settings of an app say."""
        pinned = bool(app.settings.now) and app.kind != "live"
        return cls(app.kind, pinned, app.settings.require_key)


def origin_of(scope: Scope) -> str:
    """The address that the visitor used, as far as the request tells; scripts know better."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    host = hosts[0] if len(hosts) == 1 and _HOST.fullmatch(hosts[0]) else b"127.0.0.1:8787"
    return f"{scope.get('scheme', 'http')}://{host.decode()}"


def sent(page: Html, *, status: int = 200, cache: str = "no-cache") -> Finished:
    """A page as an answer: asked for anew each time, and 304 where nothing has changed."""
    return Finished(page.encode(), status=status, cache=cache, base=HTML)


def page(
    site: Site, *, path: str, title: str, about: str, main: Child, scripts: tuple[str, ...] = ()
) -> Html:
    """A whole document; `path` is the place in the navigation that it has."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", f"{title} - mmflow-mcp"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="description", content=about),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", type="image/svg+xml", href=address_of("icon.svg")),
        tag("link", rel="stylesheet", href=address_of("style.css")),
        [tag("script", src=address_of(one), defer=True) for one in ("page.js", *scripts)],
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", class_="skip", href="#content"),
        _banner(site),
        _top(path),
        tag("main", main, id="content", tabindex="-1"),
        _foot(site),
        tag("p", id="told", class_="unseen", role="status"),
    )
    return Html(f"<!doctype html>\n{tag('html', head, body, lang='en')}\n")


def _banner(site: Site) -> Html | None:
    """Loud where answers are not the live market's."""
    if site.kind == "live":
        return None
    if site.kind == "sim":
        said = ("Simulated market.", " Every number on this server is invented.")
    else:
        said = ("Recordings.", " This server replays what was recorded: not the market of now.")
    held = " Its clock is held at one moment." if site.pinned else ""
    words = tag("p", tag("strong", said[0]), said[1], held)
    return tag("aside", words, class_="banner", aria_label="Where answers come from")


def _top(path: str) -> Html:
    links = [
        tag("li", tag("a", text, href=to, aria_current="page" if to == path else None))
        for to, text in PLACES
    ]
    name = tag("a", "mmflow-mcp", href="/", class_="name")
    return tag("header", name, tag("nav", tag("ul", links), aria_label="Pages"), class_="top")


def _foot(site: Site) -> Html:
    answers = {
        "live": "Answers come from the venues' own public APIs.",
        "sim": "Answers come from a simulated market, not from any venue.",
    }.get(site.kind, "Answers come from recordings.")
    said = f"mmflow-mcp {__version__}. {answers} Data, not advice."
    return tag("footer", tag("p", said), class_="foot")


def copied(text: str, what: str, *, id_: str | None = None, origin: str | None = None) -> Html:
    """Text to take away, with a button that copies it; `what` names it to who cannot see it.

    `origin`: the address of this server in it, which a script corrects where the visitor's differs.
    """
    button = tag(
        "button", "Copy", type="button", class_="copy", hidden=True, aria_label=f"Copy: {what}"
    )
    code = tag("code", text)
    block = tag(
        "pre", code, tabindex="0", role="region", aria_label=what, id=id_, data_origin=origin
    )
    return tag("div", block, button, class_="copied")
