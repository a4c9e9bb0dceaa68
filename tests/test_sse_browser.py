"""A page of another origin listens with the browser's own EventSource."""

from collections.abc import Iterator
from typing import Any

import pytest
from anyio.to_thread import run_sync
from browsers import BROWSER, NO_BROWSER, Tab, new_tab
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from test_live import covered, fast, truth
from test_sse import served, serving

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER),
]

# The page writes what it hears into itself and keeps for the test what stood there first.
PAGE = """<!doctype html><title>waiting</title><ul></ul><script>
const list = document.querySelector("ul");
const tell = () => {
  window.told ??= {
    title: document.title,
    rows: [...list.children].map(one => one.textContent.split(" ")),
  };
};
const source = new EventSource("@ADDRESS");
source.onopen = () => { document.title = "open"; };
source.onerror = () => { document.title = "error " + source.readyState; tell(); };
source.addEventListener("trade", event => {
  const one = JSON.parse(event.data);
  const row = document.createElement("li");
  row.textContent = [one.coin, one.side, one.ts, event.lastEventId, event.origin].join(" ");
  list.append(row);
  if (list.children.length === 5) { source.close(); tell(); }
});
</script>"""


@pytest.fixture
def tab(browser: str) -> Iterator[Tab]:
    """A tab for one test."""
    with new_tab(browser) as found:
        yield found


def page_app(address: str) -> Starlette:
    """The page that listens to a stream."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE.replace("@ADDRESS", address))

    return Starlette(routes=[Route("/", page)])


async def seen_by_browser(address: str, tab: Tab) -> tuple[dict[str, Any], str]:
    """What the page tells first about a stream, and its own origin."""
    async with serving(page_app(address)) as page:
        assert not address.startswith(page)
        # The servers run in this thread.
        await run_sync(tab.open, page + "/")
        return await run_sync(tab.until, "window.told"), page


async def test_a_page_of_another_origin_hears_the_prints(tab: Tab) -> None:
    """Coin, side and id of every event reach the page; they are the market's, none left out."""
    async with fast() as app, served(app) as base:
        await covered(app, 1, coin="BTC")
        address = base + "/api/v1/streams/trades?coin=BTC"
        told, page = await seen_by_browser(address, tab)
    assert "open" == told["title"]
    assert 5 == len(told["rows"])
    assert {("BTC", base)} == {(coin, origin) for coin, _, _, _, origin in told["rows"]}
    assert base != page
    stamps = [int(ts) for _, _, ts, _, _ in told["rows"]]
    expected = truth("BTC", stamps[0] - 1, stamps[-1])
    assert [(p.at_ms, "buy" if p.buy else "sell") for p in expected] == [
        (int(ts), side) for _, side, ts, _, _ in told["rows"]
    ]
    assert [str(ts) for ts in stamps] == [last.split("-")[0] for _, _, _, last, _ in told["rows"]]


async def test_a_page_is_told_of_a_refusal(tab: Tab) -> None:
    """A bad question is an error to EventSource, and final: it does not ask again."""
    async with fast() as app, served(app) as base:
        address = base + "/api/v1/streams/trades?coin=NOSUCH"
        told, _ = await seen_by_browser(address, tab)
    # 2: CLOSED.
    assert {"title": "error 2", "rows": []} == told
