"""A page of another origin listens with the browser's own EventSource."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from test_live import covered, fast, truth
from test_sse import served, serving

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser here: none of {', '.join(NAMES)}"),
]

# The page writes what it hears into itself and tells the test what then stands there.
PAGE = """<!doctype html><title>waiting</title><ul></ul><script>
const list = document.querySelector("ul");
const tell = () => fetch("/told", {
  method: "POST",
  body: JSON.stringify({
    title: document.title,
    rows: [...list.children].map(one => one.textContent.split(" ")),
  }),
});
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


def page_app(address: str, told: Callable[[Any], None]) -> Starlette:
    """The page, and where it tells what it saw."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE.replace("@ADDRESS", address))

    async def take(request: Request) -> Response:
        told(await request.json())
        return Response(status_code=204)

    return Starlette(routes=[Route("/", page), Route("/told", take, methods=["POST"])])


@asynccontextmanager
async def browsing(address: str, folder: Path) -> AsyncIterator[None]:
    """A browser without a window on a page, with a profile of its own."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
    options += ["--disable-component-update", f"--user-data-dir={folder}"]
    process = await anyio.open_process(
        [str(BROWSER), *options, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    async with process:
        try:
            yield
        finally:
            process.terminate()


async def seen_by_browser(address: str, folder: Path) -> tuple[dict[str, Any], str]:
    """What the page tells first about a stream, and its own origin."""
    send, receive = anyio.create_memory_object_stream[dict[str, Any]](10)
    with send, receive:
        async with serving(page_app(address, send.send_nowait)) as page:
            assert not address.startswith(page)
            with anyio.fail_after(40):
                async with browsing(page + "/", folder):
                    return await receive.receive(), page


async def test_a_page_of_another_origin_hears_the_prints(tmp_path: Path) -> None:
    """Coin, side and id of every event reach the page; they are the market's, none left out."""
    async with fast() as app, served(app) as base:
        await covered(app, 1, coin="BTC")
        address = base + "/api/v1/streams/trades?coin=BTC"
        told, page = await seen_by_browser(address, tmp_path)
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


async def test_a_page_is_told_of_a_refusal(tmp_path: Path) -> None:
    """A bad question is an error to EventSource, and final: it does not ask again."""
    async with fast() as app, served(app) as base:
        address = base + "/api/v1/streams/trades?coin=NOSUCH"
        told, _ = await seen_by_browser(address, tmp_path)
    # 2: CLOSED.
    assert {"title": "error 2", "rows": []} == told
