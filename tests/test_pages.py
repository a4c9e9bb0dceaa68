"""The pages without a browser: what they say, that they are sound, and how they are sent."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from rests import Asker, asking, client_of, served
from worlds import world

from mmflow_mcp.app import running
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces import clients
from mmflow_mcp.surfaces.openapi import document
from mmflow_mcp.surfaces.pages.assets import KINDS, address_of, content
from mmflow_mcp.surfaces.pages.catalogue import Parameter, Shown, asked
from mmflow_mcp.surfaces.pages.docs import family
from mmflow_mcp.surfaces.pages.element import VOID, tag
from mmflow_mcp.surfaces.pages.examples import Examples, shortened
from mmflow_mcp.surfaces.pages.home import CLAIM, POINTS, SCOPE, home
from mmflow_mcp.surfaces.pages.page import Site
from mmflow_mcp.surfaces.pages.sparkline import in_words, sparkline
from mmflow_mcp.surfaces.pages.status import status as status_page
from mmflow_mcp.surfaces.pages.words import milliseconds, span

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("/", "/docs", "/status", "/nothing/here")
EVIL = """<script>alert(1)</script><img src=x onerror="alert(2)">"'&amp;"""


class Checked(HTMLParser):
    """A document read strictly: what is not nested well, named twice or loaded is a fault."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{name}> is left open" for name in self._open]
        self._names()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        names = [name for name, _ in attrs]
        said = {name: value or "" for name, value in attrs}
        self.elements.append((tag, said))
        if len(set(names)) < len(names):
            self.faults.append(f"<{tag}> says an attribute twice")
        self.faults += [
            f"<{tag} {n}> is inline" for n in names if n == "style" or n.startswith("on")
        ]
        for name in ("src", "href", "action"):
            if name in said and not re.match(r"(/|#)(?!/)", said[name]):
                self.faults.append(f"{said[name]} lies outside")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> ends what was not open")

    def handle_data(self, data: str) -> None:
        """Text."""
        self.texts.append(data)
        if self._open[-1:] in (["script"], ["style"]) and data.strip():
            self.faults.append(f"inline {self._open[-1]}")

    def _names(self) -> None:
        """Every id once; what refers to one finds it; every field and picture has a name."""
        ids = [a["id"] for _, a in self.elements if "id" in a]
        known = set(ids)
        self.faults += [f"id {one} twice" for one in known if ids.count(one) > 1]
        referring = ("for", "aria-labelledby", "aria-describedby")
        wanted = {w for _, a in self.elements for n in referring for w in a.get(n, "").split()}
        wanted |= {a["href"][1:] for _, a in self.elements if a.get("href", "").startswith("#")}
        self.faults += [f"nothing has the id {one}" for one in wanted - known]
        labelled = {a["for"] for t, a in self.elements if t == "label"}
        for name, said in self.elements:
            if name in ("input", "select") and said.get("id") not in labelled:
                self.faults.append(f"a field without label: {said}")
            if name in ("svg", "pre") and not said.get("aria-label"):
                self.faults.append(f"<{name}> without words")
            if name == "pre" and said.get("tabindex") != "0":
                self.faults.append("a scrolling part that no key reaches")

    def all(self, name: str) -> list[dict[str, str]]:
        """The attributes of every element of a name."""
        return [said for one, said in self.elements if one == name]

    @property
    def text(self) -> str:
        """All text, with single spaces."""
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def house() -> Iterator[Asker]:
    """One simulated server for all that only looks."""
    with asking("okx:http=503") as asker:
        yield asker


def page_of(asker: Asker, path: str, **headers: str) -> httpx2.Response:
    """A page as a browser asks for it."""
    return asker.get(path, **{"accept": "text/html,application/xhtml+xml,*/*;q=0.8", **headers})


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_sound(house: Asker, path: str) -> None:
    """Well nested, each id once, every field labelled, nothing inline, nothing from elsewhere."""
    answer = page_of(house, path)
    assert (404 if path == "/nothing/here" else 200) == answer.status_code
    found = Checked(answer.text)
    assert [] == found.faults
    assert {"lang": "en"} == found.all("html")[0]
    assert 1 == len(found.all("h1")) == len(found.all("main")) == len(found.all("header"))
    assert 1 <= len(found.all("nav"))
    assert 1 == len(found.all("footer")) == len(found.all("title"))
    assert "http" not in "".join(a.get("src", "") + a.get("href", "") for _, a in found.elements)
    # The source is no small print.
    assert "Simulated market." in found.text


@pytest.mark.parametrize("path", [*PAGES, *(address_of(name) for name in KINDS)])
def test_every_page_is_guarded(house: Asker, path: str) -> None:
    """The strict policy, no sniffing, no referrer, no framing; pages are not for other origins."""
    headers = page_of(house, path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    } == policy
    assert "nosniff" == headers["x-content-type-options"]
    assert "no-referrer" == headers["referrer-policy"]
    assert "DENY" == headers["x-frame-options"]
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/", "/docs", "/assets/style.css", "/favicon.ico"])
def test_what_has_not_changed_is_not_sent_again(house: Asker, path: str) -> None:
    """An ETag that still holds is 304; HEAD has the headers and no body; POST is not served."""
    first = page_of(house, path)
    tag_ = first.headers["etag"]
    assert "no-cache" == first.headers["cache-control"]
    again = page_of(house, path, **{"if-none-match": tag_})
    assert (304, b"", tag_) == (again.status_code, again.content, again.headers["etag"])

    async def both() -> list[httpx2.Response]:
        async with client_of(house.app) as client:
            return [await client.head(path), await client.post(path)]

    head, posted = house.run(both)
    assert (200, b"") == (head.status_code, head.content)
    assert first.headers["content-type"] == head.headers["content-type"]
    assert (405, "GET, HEAD") == (posted.status_code, posted.headers["allow"])


def test_assets_are_kept_for_good_under_their_version(house: Asker) -> None:
    """The address in the page names the bytes; they all travel inside the package."""
    shipped = {f.name for f in files("mmflow_mcp.surfaces.pages.assets").iterdir() if f.is_file()}
    assert set(KINDS) == {name for name in shipped if not name.endswith(".py")}
    for name, kind in KINDS.items():
        answer = house.get(address_of(name))
        assert (200, kind) == (answer.status_code, answer.headers["content-type"])
        assert "immutable" in answer.headers["cache-control"]
        assert content(name) == answer.content
    assert "no-cache" == house.get("/assets/page.js?v=other").headers["cache-control"]
    assert 404 == house.get("/assets/../docs.py").status_code
    # 30 KB in all: a page is there at once.
    assert 32_000 > sum(len(content(name)) for name in KINDS)


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No address outside in style or scripts; no inline markup is made by a script."""
    for name in KINDS:
        text = content(name).decode()
        assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+\.[a-z]", text), name
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|@import", text), name


class TestHome:
    """What this is, and how to connect."""

    def test_its_words_are_the_readmes(self, house: Asker) -> None:
        """Each sentence stands in README.md; the page has them."""
        readme = " ".join((ROOT / "README.md").read_text("utf-8").replace("**", "").split())
        said = [CLAIM, *POINTS, *POINTS.values()]
        text = Checked(page_of(house, "/").text).text
        for sentence in said:
            assert sentence in readme
            assert sentence in text
        scope = SCOPE[0].lower() + SCOPE[1:]
        assert scope.removesuffix(".") in readme

    def test_each_client_is_told_this_servers_own_address(self, house: Asker) -> None:
        """The visitor's Host is in every text; one that is no host name is not repeated."""
        text = Checked(page_of(house, "/", host="localhost:9911").text).text
        mcp = "http://localhost:9911/mcp"
        told = [clients.claude_code(mcp), clients.vscode(mcp), clients.cursor(mcp)]
        told += [clients.python(mcp), clients.claude_desktop(), clients.claude_code()]
        for one in told:
            assert " ".join(one.split()) in text
        assert 6 <= text.count("localhost:9911")

    @pytest.mark.anyio
    async def test_a_strange_host_is_not_repeated(self) -> None:
        """A name that is none of ours is refused, and not written into any page."""
        from mmflow_mcp.surfaces.http import build_app

        async with world(hosts="data.example") as app:
            asgi = build_app(app, "0.0.0.0", anyio.Event())  # noqa: S104 - not bound
            transport = httpx2.ASGITransport(app=asgi)
            async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
                for host in (EVIL, "a.example/b", "", "a b"):
                    answer = await client.get("/", headers={"host": host})
                    assert 421 == answer.status_code
                    assert "a.example" not in answer.text
                    assert "alert" not in answer.text
                named = await client.get("/docs", headers={"host": "data.example:443"})
                assert "http://data.example:443/api/v1/" in named.text

    @pytest.mark.anyio
    async def test_its_python_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What the page gives to copy asks this server and prints its answer."""
        from test_sse import served as served_on_a_port

        async with world() as app, served_on_a_port(app) as base:
            script = compile(clients.python(f"{base}/mcp"), "page", "exec")
            await anyio.to_thread.run_sync(exec, script, {})
        assert "hyperliquid" in capsys.readouterr().out

    def test_keys_are_asked_for_where_they_are_required(self) -> None:
        """Then every client's text has the place for one, and Python is still Python."""
        site = Site("live", pinned=False, key=True)
        text = Checked(home(site, "http://h")).text
        assert "This server answers only who shows a key." in text
        assert 5 <= text.count("Bearer KEY")
        compile(clients.python("http://h/mcp", key=True), "page", "exec")
        assert "Simulated" not in text


class TestDocs:
    """Every endpoint with its parameters."""

    def test_every_endpoint_and_every_parameter_is_there(self, house: Asker) -> None:
        """As the OpenAPI document has them: a field each, that begins with the example."""
        found = Checked(page_of(house, "/docs").text)
        ids = {a["id"]: (name, a) for name, a in found.elements if "id" in a}
        operations = [path["get"] for path in document()["paths"].values()]
        shown = {one.path: one for one, _ in asked().values()}
        assert len(operations) - 1 == len(shown)
        for one in shown.values():
            name, said = ids[one.id]
            assert ("article", one.path) == (name, said["data-path"])
            for p in one.parameters:
                field = ids[f"{one.id}-{p.name}"]
                assert field[0] in ("input", "select")
                assert p.name == field[1]["name"]
                assert p.said.rstrip(".") in found.text
        told = {p["name"] for o in operations for p in o.get("parameters", ())}
        # How a stream is read, which is not what is asked.
        told -= {"padding", "Last-Event-ID"}
        assert told == {p.name for one in shown.values() for p in one.parameters}
        assert all(one.title in found.text for one in shown.values())

    def test_the_forms_work_without_a_script(self, house: Asker) -> None:
        """A form leads to the path it is about, by GET; the key is no part of any."""
        found = Checked(page_of(house, "/docs").text)
        forms = found.all("form")
        assert {one.path for one, _ in asked().values()} == {f["action"] for f in forms}
        assert {"get"} == {f["method"] for f in forms}
        (key,) = (a for a in found.all("input") if a["id"] == "key")
        assert "name" not in key

    def test_what_outsiders_wrote_is_text(self) -> None:
        """A hostile description, name, value and default: no element comes of it."""
        bad = Parameter(EVIL, "string", EVIL, required=True, default=EVIL, values=(EVIL, "b"))
        one = Shown(EVIL, "/x", EVIL, EVIL, (EVIL,), (bad,), {"a": EVIL}, EVIL, EVIL, 1, EVIL)
        made = family("x", [one], "http://h")
        found = Checked(made)
        assert not found.all("script")
        assert not found.all("img")
        assert EVIL in "".join(found.texts)
        assert [EVIL] == [a["data-tool"] for a in found.all("article")]

    def test_a_price_of_a_word_is_quoted_for_a_shell(self) -> None:
        """The lines for other clients are what such a client takes."""
        import json
        import shlex

        from mmflow_mcp.surfaces.pages.catalogue import lines_of

        one = Shown("t", "/t", "f", "T", (), (), {"q": "it's $HOME; rm", "n": [1, 2]}, "get_t")
        lines = lines_of(one, "http://h")
        assert ["mmflow-mcp", "call", "get_t", "q=it's $HOME; rm", "n=1,2"] == shlex.split(
            lines["command"]
        )
        assert one.example == json.loads(lines["tool"])["arguments"]
        assert "curl" == shlex.split(lines["curl"])[0]
        assert 2 == len(shlex.split(lines["curl"]))


class TestExamples:
    """Answers that were really given, in a simulated market."""

    def test_an_example_is_executed_once(self, house: Asker) -> None:
        """Plain text with the question; the second visitor is given the same."""
        first = house.get("/docs/examples/get_funding")
        assert 200 == first.status_code
        assert "text/plain; charset=utf-8" == first.headers["content-type"]
        assert first.text.startswith("GET /api/v1/perps/funding?coins=BTC,ETH&venues=all\n")
        assert '"source": "sim:' in first.text
        assert re.search(r"\.\.\. and \d+ more", first.text)
        assert first.text == house.get("/docs/examples/get_funding").text
        assert 404 == page_of(house, "/docs/examples/nothing").status_code

    @pytest.mark.anyio
    async def test_a_live_server_asks_no_venue_for_them(self) -> None:
        """Its own parts are not even built; a stream's example has the frames of a stream."""
        async with running(from_environment({}, source="live", record="off")) as app:
            async with client_of(app) as client:
                told = (await client.get("/docs/examples/watch_trades")).text
                assert "event: trade\nid: " in told
                rates = await Examples().text("watch_funding")
                assert 4 == rates.count("event: funding")
                await client.get("/docs")
            assert app.built is None

    def test_a_long_list_is_cut_and_counted(self) -> None:
        """Of four one more is shown rather than counted."""
        cut = shortened({"rows": [[1, 2, 3, 4, 5, 6], 2, 3, 4, 5]})
        assert {"rows": [[1, 2, 3, "... and 3 more"], 2, 3, "... and 2 more"]} == cut
        assert [1, 2, 3, 4] == shortened([1, 2, 3, 4])


class TestStatus:
    """The page of the facts."""

    def test_what_a_venue_said_is_text(self) -> None:
        """Reasons come from outside."""
        one: dict[str, Any] = {"venue": EVIL, "name": EVIL, "state": EVIL, "requests": 1}
        one |= {"failures": 1, "reason": EVIL, "recentMs": [None]}
        feed = {"venue": EVIL, "channel": EVIL, "connected": True, "reconnects": 0, "reason": EVIL}
        feed["subscribed"] = 0
        recorder = {"state": "running", "level": "full", "stored": 1, "refused": 0, "last": {}}
        recorder |= {"failures": {EVIL: EVIL}, "lateMs": {}, "missed": {}}
        facts = {"source": "sim", "version": "0", "checkedAt": 1_789_453_123_000}
        facts |= {"venues": [one], "recorder": recorder, "feeds": [feed]}
        found = Checked(status_page(Site("live", pinned=False, key=False), facts))
        assert [] == found.faults
        assert not found.all("img")
        assert 5 <= "".join(found.texts).count(EVIL)

    @pytest.mark.parametrize(
        ("connected", "subscribed", "reason", "word"),
        [
            (True, 3, False, "listening"),
            (True, 0, False, "subscribing"),
            (True, 0, True, "not subscribed"),
            (False, 0, True, "not connected"),
            (False, 3, False, "connecting"),
        ],
    )
    def test_an_open_socket_is_not_yet_a_feed(
        self, *, connected: bool, subscribed: int, reason: bool, word: str
    ) -> None:
        """Only one that the venue has taken a subscription on is told as listening."""
        feed: dict[str, Any] = {"venue": "okx", "channel": "trades", "connected": connected}
        feed |= {"subscribed": subscribed, "reconnects": 0}
        feed |= {"reason": "refused: x"} if reason else {}
        facts = {"source": "sim", "version": "0", "checkedAt": 0, "venues": [], "feeds": [feed]}
        facts["recorder"] = {"state": "off", "level": "off"}
        page = status_page(Site("live", pinned=False, key=False), facts)
        assert re.search(rf"</span> {word}</span>", page)
        assert (word == "listening") == ("is-ok" in page)

    def test_bars_say_what_they_show(self) -> None:
        """A bar for each request, a failure of full height; the same in words."""
        recent: list[float | None] = [10.0, None, 20.0, 2_000.0]
        found = Checked(sparkline(recent))
        bars = found.all("rect")
        assert 4 == len(bars)
        assert ["failed"] == [a["class"] for a in bars if "class" in a]
        assert "24" == bars[1]["height"]
        assert "19.0" == bars[3]["height"]
        assert "Last 4 requests: median 20 ms, slowest 2.0 s, 1 failed" == in_words(recent)
        assert "Last 1 request: 1 failed" == in_words([None])
        assert in_words(recent) == found.all("svg")[0]["aria-label"]


class TestWho:
    """Who may see what."""

    @pytest.mark.anyio
    async def test_pages_need_no_key_where_questions_do(self) -> None:
        """And do not count; a path of the API stays closed."""
        async with served(require_key=True, anon_per_minute=1) as client:
            for path in ("/", "/docs", "/status", address_of("docs.js"), "/favicon.ico"):
                for _ in range(3):
                    answer = await client.get(path, headers={"accept": "text/html"})
                    assert 200 == answer.status_code
                    assert "x-ratelimit-limit" not in answer.headers
            assert 200 == (await client.get("/docs/examples/get_kimchi")).status_code
            assert 401 == (await client.get("/api/v1/perps/oi")).status_code
            assert "this server wants one" in (await client.get("/docs")).text

    def test_clients_of_the_api_keep_their_errors(self, house: Asker) -> None:
        """A browser's Accept changes nothing under /api; others get no page anywhere."""
        wrong = page_of(house, "/api/v1/nothing")
        assert (404, "application/json") == (wrong.status_code, wrong.headers["content-type"])
        lost = house.get("/nothing", accept="application/json")
        assert 404 == lost.status_code
        assert "html" not in lost.headers.get("content-type", "")


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_is_readable_in_both_themes() -> None:
    """4.5 for text on what it stands on, 3 for edges of fields and bars; all colours are named."""
    css = content("style.css").decode()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    assert set(light) == set(dark)
    # No colour stands outside of the two lists.
    assert len(light) + len(dark) == len(re.findall(r"#[0-9a-fA-F]{3,8}\b(?=;)", css))
    words = ("text", "quiet", "link", "good", "warn", "bad")
    pairs = [(name, ground) for name in words for ground in ("ground", "raised")]
    pairs += [("on-button", "button"), ("on-loud", "loud")]
    for theme in (light, dark):
        for name, ground in pairs:
            assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
        for name in ("quiet", "bar", "bad", "link"):
            assert contrast(theme[name], theme["ground"]) >= 3, name


def test_elements_escape_what_is_no_markup() -> None:
    """Children and attributes; True stands alone, None and False are left out."""
    made = tag("p", "<b>", tag("b", "&"), ["x", None], class_='"', hidden=True, id=None, lang=False)
    assert '<p class="&quot;" hidden>&lt;b&gt;<b>&amp;</b>x</p>' == made
    assert '<input data-x="1">' == tag("input", data_x=1)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (-3, "0 s"), (59.9, "59 s"), (61, "1 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_spans_for_people(seconds: float, said: str) -> None:
    """The largest whole unit, rounded down."""
    assert said == span(seconds)


def test_latencies_for_people() -> None:
    """Milliseconds up to a second."""
    assert ["0 ms", "999 ms", "1.0 s"] == [milliseconds(ms) for ms in (0.2, 999, 1000)]
