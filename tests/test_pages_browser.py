"""The pages in a real browser: one tab and one server for all of them."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from browsers import BROWSER, NO_BROWSER, Tab, new_tab
from test_sse import served

from mmflow_mcp.access.keys import make_key
from mmflow_mcp.access.store import open_keys
from mmflow_mcp.app import running
from mmflow_mcp.settings import from_environment

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER),
]
PAGES = ("/", "/docs", "/status", "/nothing")
# One question for OKX's candles fails: it asks twice, and elsewhere for what there is.
FAULT = "okx/candles:http=404,times=2"

# Timers of pages run twenty times as fast.
HASTE = "const slow = setTimeout; setTimeout = (f, ms, ...all) => slow(f, ms / 20, ...all);"

# The key of the server that was started last.
KEYS: list[str] = []


class Visitor:
    """Somebody at a browser, in front of a simulated server; `base` is its address."""

    def __init__(self, tab: Tab, base: str) -> None:
        self.tab = tab
        self.base = base
        self.run, self.until, self.press = tab.run, tab.until, tab.press

    def look(self, *, width: int, dark: bool = False) -> None:
        """Be a screen of this kind."""
        self.tab.look(width, dark=dark, mobile=width < 600)

    def open(self, path: str, *, width: int = 1280) -> None:
        """Go to a page with a screen that is light and so wide."""
        self.tab.forget()
        self.look(width=width)
        self.tab.open(self.base + path)

    def ask(self, article: str, **fields: str) -> str:
        """Fill in a form and send it; the line that tells the status."""
        for name, value in fields.items():
            self.run(
                f"(field => {{ field.value = {value!r};"
                " field.dispatchEvent(new Event('input', {bubbles: true})); })"
                f"(document.getElementById('{article}-{name}'))"
            )
        state = f"document.querySelector('#{article} .state').textContent"
        self.run(f"document.querySelector('#{article} .go').click()")
        return str(self.until(f"/^\\d+ /.test({state}) && {state}"))

    def part(self, article: str, name: str) -> str:
        """The text of a part of an article."""
        return str(self.run(f"document.querySelector('#{article} {name}').textContent"))


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[str]:
    given = {"source": "sim", "record": "off", "faults": FAULT, "data": str(folder / "data")}
    settings = from_environment({}, anon_per_minute=1000, **given)
    text, key = make_key("browser", 0, 777)
    keys = open_keys("", folder / "data")
    await keys.add(key)
    await keys.close()
    KEYS.append(text)
    async with running(settings) as app, served(app) as base:
        yield base


@pytest.fixture(scope="module")
def visitor(browser: str) -> Iterator[Visitor]:
    """One tab and one server."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(Path(folder))) as base,
        new_tab(browser) as tab,
    ):
        tab.tell("Page.addScriptToEvaluateOnNewDocument", source=HASTE)
        yield Visitor(tab, base)


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_any_screen_and_complain_of_nothing(visitor: Visitor, path: str) -> None:
    """At 360 and 1280 px, light and dark: no console error, no request elsewhere, nothing cut."""
    grounds = set()
    wide = "document.documentElement.scrollWidth"
    for width in (360, 1280):
        visitor.open(path, width=width)
        for dark in (False, True):
            visitor.look(width=width, dark=dark)
            assert visitor.run(f"{wide} <= innerWidth"), (path, width, visitor.run(wide))
            grounds.add(visitor.run("getComputedStyle(document.body).backgroundColor"))
        missing = "network: Failed to load resource: the server responded with a status of"
        assert [] == [c for c in visitor.tab.complaints if not c.startswith(missing)]
        assert bool(path == "/nothing") == bool(visitor.tab.complaints)
        assert {visitor.base} == {"/".join(u.split("/")[:3]) for u in visitor.tab.requests}
    # Light and dark are two.
    assert 2 == len(grounds)


def test_the_policy_is_enforced(visitor: Visitor) -> None:
    """What a page does not allow does not happen: an inline script, a request elsewhere."""
    visitor.open("/")
    visitor.run(
        "(() => { const one = document.createElement('script');"
        " one.textContent = 'window.broken = true'; document.body.append(one); })()"
    )
    assert visitor.run("window.broken === undefined")
    assert visitor.run("fetch('http://127.0.0.1:9/').then(() => false, () => true)")
    assert any("Content Security Policy" in one for one in visitor.tab.complaints)


def test_the_keyboard_reaches_everything(visitor: Visitor) -> None:
    """The first key skips to the content; what has the focus shows it; Enter copies."""
    visitor.open("/")
    visitor.tab.permit("clipboardReadWrite")
    visitor.press("Tab")
    assert "Skip to the content" == visitor.run("document.activeElement.textContent")
    assert visitor.run("document.activeElement.getBoundingClientRect().left >= 0")
    assert "3px" == visitor.run("getComputedStyle(document.activeElement).outlineWidth")
    visitor.press("Enter")
    visitor.until("document.activeElement.id === 'content'")
    visitor.press("Tab")
    # The block that scrolls, then its button.
    assert "address of this server" == visitor.run("document.activeElement.ariaLabel")
    visitor.press("Tab")
    assert "Copy: address of this server" == visitor.run("document.activeElement.ariaLabel")
    visitor.press("Enter")
    assert visitor.until("document.activeElement.textContent === 'Copied'")
    assert "Copied" == visitor.run("document.getElementById('told').textContent")
    assert f"{visitor.base}/mcp" == visitor.run("navigator.clipboard.readText()")


def test_copying_works_where_the_clipboard_is_closed(visitor: Visitor) -> None:
    """Over plain HTTP from elsewhere there is no clipboard for pages: the text is selected."""
    visitor.open("/")
    visitor.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    visitor.run("document.querySelectorAll('button.copy')[1].click()")
    assert visitor.until("document.querySelectorAll('button.copy')[1].textContent === 'Copied'")


class TestDocs:
    """The forms, the lines for other clients, the examples and the filter."""

    def test_a_question_is_asked(self, visitor: Visitor) -> None:
        """Status, time, size, limits and the JSON; nothing is amiss with the answer."""
        visitor.open("/docs")
        state = visitor.ask("get_funding", coins="BTC", venues="hyperliquid,bybit")
        assert state.startswith("200 OK, ")
        assert " ms, " in state
        told = visitor.run("JSON.parse(document.querySelector('#get_funding .body').textContent)")
        assert {"hyperliquid", "bybit"} == {row["venue"] for row in told["data"]}
        assert "x-ratelimit-remaining: " in visitor.part("get_funding", ".headers")
        assert visitor.run("document.querySelector('#get_funding .problems').hidden")
        curl = visitor.part("get_funding", "pre[id$=curl]")
        asked = "/api/v1/perps/funding?coins=BTC&venues=hyperliquid,bybit"
        assert f"curl '{visitor.base}{asked}'" == curl
        assert (
            '{"name": "get_funding", "arguments": {"coins": ["BTC"],'
            ' "venues": ["hyperliquid", "bybit"]}}'
        ) == visitor.part("get_funding", "pre[id$=tool]")
        line = "mmflow-mcp call get_funding coins=BTC venues=hyperliquid,bybit"
        assert line == visitor.part("get_funding", "pre[id$=command]")

    def test_lines_are_the_same_from_server_and_script(self, visitor: Visitor) -> None:
        """What the page came with is what its script makes of the same form."""
        visitor.open("/docs")
        texts = "[...document.querySelectorAll('.elsewhere code')].map(one => one.textContent)"
        before = visitor.run(texts)
        visitor.run(
            "document.querySelectorAll('.endpoint form').forEach("
            "form => form.dispatchEvent(new Event('input')))"
        )
        assert before == visitor.run(texts)
        assert 80 <= len(before)

    def test_mistakes_and_failures_teach(self, visitor: Visitor) -> None:
        """400 with what would fit; a partial answer says what is missing."""
        visitor.open("/docs")
        assert visitor.ask("get_funding", venues="binanse").startswith("400 ")
        assert "Nearest: binance" in visitor.part("get_funding", ".problems")
        assert visitor.ask("get_oi", coins="BTC", venues="bybit,bitmex").startswith("200 ")
        problems = visitor.part("get_oi", ".problems")
        assert "Partial: something that was asked is missing." in problems
        assert "bitmex: missing, closed" in problems
        assert visitor.ask("get_oi_history", coin="BTC", venues="hl").startswith("200 ")
        problems = visitor.part("get_oi_history", ".problems")
        assert "hyperliquid: missing: nothing was recorded here" in problems
        said = [c for c in visitor.tab.complaints if not c.startswith("network: ")]
        assert [] == said

    def test_a_stream_is_heard_and_stopped(self, visitor: Visitor) -> None:
        """Events come as they happen; after Stop none does. A refusal is shown with its words."""
        visitor.open("/docs")
        visitor.run("document.querySelector('#watch_trades .go').click()")
        visitor.until("document.querySelector('#watch_trades .state').textContent === 'Listening'")
        body = "document.querySelector('#watch_trades .body').textContent"
        visitor.until(f"({body}.match(/^trade \\d/gm) ?? []).length >= 3")
        assert '"venue":"hyperliquid"' in visitor.run(body)
        visitor.run("document.querySelector('#watch_trades .stop').click()")
        assert "Stopped" == visitor.part("watch_trades", ".state")
        assert visitor.run("document.querySelector('#watch_trades .stop').hidden")
        stopped = visitor.run(body)
        refused = visitor.ask("watch_whales", coin="NOSUCH")
        assert refused.startswith("400 ")
        assert "NOSUCH" in visitor.part("watch_whales", ".problems")
        visitor.until("!document.querySelector('#watch_whales .go').hidden")
        assert stopped == visitor.run(body)

    def test_a_key_goes_in_a_header_and_nowhere_else(self, visitor: Visitor) -> None:
        """A wrong one is refused, over a stream as well; no address, line or store has it."""
        visitor.open("/docs")
        visitor.run(
            "(key => { key.value = 'mmk-secret'; key.dispatchEvent("
            "new Event('input')); })(document.getElementById('key'))"
        )
        assert visitor.ask("get_kimchi").startswith("401 ")
        assert visitor.ask("watch_trades").startswith("401 ")
        assert not any("mmk-secret" in one for one in visitor.tab.requests)
        assert not visitor.run("document.documentElement.outerHTML.includes('mmk-secret')")
        assert "$KEY" in visitor.part("get_kimchi", "pre[id$=curl]")
        stores = "[localStorage.length, sessionStorage.length, document.cookie.length]"
        assert [0, 0, 0] == visitor.run(stores)

    def test_a_good_key_is_counted_by_itself(self, visitor: Visitor) -> None:
        """It has a limit of its own; a stream that shows it is heard, and stopped, as any other."""
        visitor.open("/docs")
        visitor.run(f"document.getElementById('key').value = {KEYS[-1]!r}")
        assert visitor.ask("get_kimchi").startswith("200 ")
        assert "x-ratelimit-limit: 777" in visitor.part("get_kimchi", ".headers")
        visitor.run("document.querySelector('#watch_trades .go').click()")
        body = "document.querySelector('#watch_trades .body').textContent"
        visitor.until(f'({body}.match(/^trade \\d+\\S*\\n  {{"coin"/gm) ?? []).length >= 3')
        visitor.run("document.querySelector('#watch_trades .stop').click()")
        visitor.until("document.querySelector('#watch_trades .state').textContent === 'Stopped'")
        visitor.until("!document.querySelector('#watch_trades .go').hidden")

    def test_an_example_is_executed_when_it_is_opened(self, visitor: Visitor) -> None:
        """Asked for once, and only then."""
        visitor.open("/docs")
        assert not any("/docs/examples/" in one for one in visitor.tab.requests)
        visitor.run("document.querySelector('#get_gex .example').open = true")
        visitor.until("!!document.querySelector('#get_gex .example pre')")
        assert visitor.part("get_gex", ".example pre").startswith("GET /api/v1/options/gex?")
        # Twice in the list of the browser would be a second execution.
        assert 1 == sum("/docs/examples/" in one for one in visitor.tab.requests)

    def test_the_filter_finds(self, visitor: Visitor) -> None:
        """All words of it, in titles, paths, descriptions and parameters; it says how many fit."""
        visitor.open("/docs")
        sift = (
            "(text => {{ const one = document.getElementById('filter'); one.value = text;"
            " one.dispatchEvent(new Event('input')); return [...document.querySelectorAll("
            "'.endpoint')].filter(a => a.offsetParent).map(a => a.id); }})({!r})"
        )
        assert ["get_gex"] == visitor.run(sift.format("GAMMA options/gex"))
        assert visitor.run("document.getElementById('fits').textContent").startswith("1 of ")
        assert [] == visitor.run(sift.format("nothing at all like it"))
        assert not visitor.run("document.getElementById('nothing').hidden")
        assert 28 <= len(visitor.run(sift.format("")))


def test_the_status_shows_a_failure_and_its_end(visitor: Visitor) -> None:
    """Without a reload: failing with its reason once OKX answers 404, up when it answers again."""
    visitor.open("/docs")
    assert visitor.ask("get_candles", venue="okx", coin="BTC").startswith("502 ")
    visitor.open("/status")
    visitor.run("window.stays = document.querySelector('[data-venue=okx]')")
    okx = "document.querySelector('[data-venue=okx]').innerText"
    assert "failing" in visitor.run(okx)
    assert "http 404" in visitor.run(okx)
    assert "2 failed" in visitor.run("document.querySelector('[data-venue=okx] svg').ariaLabel")
    assert 2 == visitor.run("document.querySelectorAll('[data-venue=okx] .failed').length")
    assert "1 failing" in visitor.run("document.getElementById('summary').textContent")
    asked = "fetch('/api/v1/markets/candles?coin=BTC&interval=1h&venue=okx').then(r => r.status)"
    assert 200 == visitor.run(asked)
    # A busy machine may be slow.
    visitor.until(f"/● up|◐ slow/.test({okx})")
    assert "Last failed" in visitor.run(okx)
    # The row is the same element: it was changed in place.
    assert visitor.run("window.stays === document.querySelector('[data-venue=okx]')")
    assert [] == visitor.tab.complaints


def test_the_status_rests_while_nobody_looks(visitor: Visitor) -> None:
    """A hidden page asks nothing; shown again it asks at once; a server that is gone is told."""
    visitor.open("/status")
    visitor.until(
        "performance.getEntriesByType('resource').some(one => one.name.endsWith('/status'))"
    )
    hide = (
        "(hidden => {{ Object.defineProperty(document, 'hidden', {{configurable: true,"
        " get: () => hidden}}); document.dispatchEvent(new Event('visibilitychange')); }})({})"
    )
    visitor.run(
        "window.asked = 0; window.real = window.fetch;"
        " window.fetch = (...all) => { asked += 1; return real(...all); }"
    )
    visitor.run(hide.format("true"))
    visitor.run("new Promise(done => setTimeout(done, 10000))")
    assert 0 == visitor.run("asked")
    visitor.run(hide.format("false"))
    assert 1 == visitor.run("asked")
    visitor.run("window.fetch = () => Promise.reject(new TypeError('gone'))")
    visitor.until("!document.getElementById('lost').hidden")
    assert "does not answer" in visitor.run("document.getElementById('lost').textContent")
    visitor.run("window.fetch = real")
    visitor.until("document.getElementById('lost').hidden")
