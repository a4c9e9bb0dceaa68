"""A real browser without a window, driven over the Chrome DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx2

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
PATIENCE = 30.0


class Tab:
    """One page. `requests`: every address it asked for; `complaints`: errors in its console."""

    def __init__(self, socket: Any, session: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._session = session
        self._ids = count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._heard = anyio.Event()
        self._events: list[str] = []

    async def listen(self) -> None:
        """Take in what the browser says, until it is closed."""
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("sessionId") not in (None, self._session):
                continue
            if "id" in told:
                self._answers[told["id"]] = told
            else:
                self._note(told["method"], told["params"])
            heard, self._heard = self._heard, anyio.Event()
            heard.set()

    def _note(self, method: str, params: dict[str, Any]) -> None:
        self._events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['source']}: {params['entry']['text']}")

    async def tell(self, method: str, **params: Any) -> Any:
        """One command and its result."""
        number = next(self._ids)
        said = {"id": number, "method": method, "params": params, "sessionId": self._session}
        await self._socket.send_text(json.dumps(said))
        with anyio.fail_after(PATIENCE):
            while number not in self._answers:
                await self._heard.wait()
        told = self._answers.pop(number)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    async def run(self, script: str) -> Any:
        """What an expression is in the page; a promise is waited for."""
        told = await self.tell(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"]))
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true in the page; what it is then."""
        found = None
        with anyio.move_on_after(PATIENCE):
            while not (found := await self.run(script)):  # noqa: ASYNC110 - a page has no event
                await anyio.sleep(0.05)
        if not found:
            raise AssertionError(
                f"never true: {script}\n{await self.run('document.body.innerText')}"
            )
        return found

    async def open(self, address: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._events.clear()
        await self.tell("Page.navigate", url=address)
        with anyio.fail_after(PATIENCE):
            while "Page.loadEventFired" not in self._events:
                await self._heard.wait()

    async def look(self, *, width: int, dark: bool, height: int = 900) -> None:
        """Be a screen of this width, light or dark."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.tell("Emulation.setEmulatedMedia", features=[feature])

    async def shoot(self, path: Path, *, whole: bool = False) -> None:
        """Keep a picture of what is seen, or of the whole page."""
        shot = await self.tell("Page.captureScreenshot", captureBeyondViewport=whole)
        await anyio.Path(path).write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Tab]:
    """A browser with a profile of its own in `folder`, and one tab of it."""
    process = await anyio.open_process(
        [str(BROWSER), *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    async with process:
        try:
            async with _connected(await _address(folder)) as tab:
                yield tab
        finally:
            process.terminate()


async def _address(folder: Path) -> str:
    told = anyio.Path(folder / "DevToolsActivePort")
    with anyio.fail_after(PATIENCE):
        while not await told.exists() or "\n" not in await told.read_text():  # noqa: ASYNC110
            await anyio.sleep(0.05)
    port, path = (await told.read_text()).split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


@asynccontextmanager
async def _connected(address: str) -> AsyncIterator[Tab]:
    how: dict[str, Any] = {"keepalive_ping_interval_seconds": None}
    async with (
        httpx2.AsyncClient(trust_env=False) as client,
        client.websocket(address, max_message_size_bytes=64 << 20, **how) as socket,
        anyio.create_task_group() as tasks,
    ):
        session = await _attached(socket)
        tab = Tab(socket, session)
        tasks.start_soon(tab.listen)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.tell(f"{domain}.enable")
        yield tab
        tasks.cancel_scope.cancel()


async def _attached(socket: Any) -> str:
    """A new tab's session."""

    async def ask(number: int, method: str, **params: Any) -> Any:
        await socket.send_text(json.dumps({"id": number, "method": method, "params": params}))
        with anyio.fail_after(PATIENCE):
            while True:
                told = json.loads((await socket.receive()).data)
                if told.get("id") == number:
                    return told["result"]

    made = await ask(900_001, "Target.createTarget", url="about:blank")
    how = {"targetId": made["targetId"], "flatten": True}
    attached = await ask(900_002, "Target.attachToTarget", **how)
    return str(attached["sessionId"])
