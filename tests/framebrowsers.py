"""A real browser for tests, driven over the Chrome DevTools protocol; one process, many pages.

Everything that a page should not do is kept in `faults`: errors on the console, uncaught
exceptions, what its policy blocked, and requests to anywhere but loopback.
"""

import base64
import itertools
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
NO_BROWSER = f"no browser here: none of {', '.join(NAMES)}"
PATIENCE = 30.0
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Page:
    """The browser's one page, and the frame inside it."""

    def __init__(self, socket: Any) -> None:
        self.faults: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._frames: dict[str, str] = {}
        self._worlds: dict[str, tuple[str, int]] = {}
        self._session = ""
        # A page's frame and its target have one id.
        self._main = ""

    def attach(self) -> None:
        """Take over the first page of the browser."""
        targets = self.call("Target.getTargets")["targetInfos"]
        self._main = next(t["targetId"] for t in targets if t["type"] == "page")
        given = {"targetId": self._main, "flatten": True}
        self._session = self.call("Target.attachToTarget", given)["sessionId"]
        self._watch(self._session)
        self.call("Page.enable", session=self._session)
        # No window has the focus here; keys go to the page all the same.
        self.call("Emulation.setFocusEmulationEnabled", {"enabled": True}, session=self._session)

    def _watch(self, session: str) -> None:
        for domain in ("Runtime", "Log", "Network"):
            self._send(f"{domain}.enable", {}, session)
        auto = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self._send("Target.setAutoAttach", auto, session)
        self._send("Runtime.runIfWaitingForDebugger", {}, session)

    def _send(self, method: str, params: dict[str, Any], session: str) -> int:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        self._socket.send_json({**message, "sessionId": session} if session else message)
        return number

    def call(
        self, method: str, params: dict[str, Any] | None = None, *, session: str = ""
    ) -> dict[str, Any]:
        """Ask the browser; raises `RuntimeError` with its words when it refuses."""
        number = self._send(method, params or {}, session)
        while True:
            message = self._socket.receive_json(timeout=PATIENCE)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        method, said = message.get("method", ""), message.get("params", {})
        session = message.get("sessionId", "")
        if method == "Target.attachedToTarget":
            self._frames[said["sessionId"]] = said["targetInfo"]["targetId"]
            self._watch(said["sessionId"])
        elif method == "Target.detachedFromTarget":
            self._frames.pop(said["sessionId"], None)
        elif method == "Runtime.executionContextCreated":
            context = said["context"]
            self._worlds[context["auxData"]["frameId"]] = (session, context["id"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            words = [str(a.get("value", a.get("description", ""))) for a in said["args"]]
            self.faults.append(f"console: {' '.join(words)}")
        elif method == "Runtime.exceptionThrown":
            self.faults.append(f"exception: {said['exceptionDetails']}")
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"log: {said['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            url = said["request"]["url"]
            if not url.startswith(("http://127.0.0.1:", "about:")):
                self.faults.append(f"request: {url}")

    def run(self, code: str, *, inside: bool = False) -> Any:
        """The value of an expression in the page, or `inside` its newest frame."""
        given: dict[str, Any] = {"expression": code, "awaitPromise": True, "returnByValue": True}
        session = self._session
        if inside:
            inner = [world for frame, world in self._worlds.items() if frame != self._main]
            session, given["contextId"] = inner[-1]
        found = self.call("Runtime.evaluate", given, session=session)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{code[:80]}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, code: str, *, inside: bool = False) -> None:
        """Wait for an expression to be true."""
        wait_for(lambda: bool(self.run(code, inside=inside)), code)

    def open(self, address: str) -> None:
        """Go to an address."""
        self._worlds.clear()
        self.call("Page.navigate", {"url": address}, session=self._session)
        self.until(f"location.href.startsWith({address!r}) && document.readyState === 'complete'")

    def resize(self, width: int, height: int = 700) -> None:
        """Give the page a width and height, CSS pixels."""
        given = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", given, session=self._session)

    def press(self, key: str) -> None:
        """One key, where the focus is."""
        for kind in ("rawKeyDown", "keyUp"):
            given = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            self.call("Input.dispatchKeyEvent", given, session=self._session)

    def tab_to(self, code: str) -> None:
        """Tab until an expression inside is true; the first keys may come before the focus."""

        def reached() -> bool:
            self.press("Tab")
            return bool(self.run(code, inside=True))

        wait_for(reached, code)

    def touch(self, x: float, y: float) -> None:
        """A tap."""
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            given = {"type": kind, "touchPoints": points}
            self.call("Input.dispatchTouchEvent", given, session=self._session)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        found = self.call("Page.captureScreenshot", {"format": "png"}, session=self._session)
        return base64.b64decode(found["data"])


KEYS = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39}
KEYS["ArrowDown"] = 40


def wait_for(true: Callable[[], bool], what: str) -> None:
    """Ask again and again until it is true; fails when that takes far too long."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"never true: {what}"
        time.sleep(0.02)


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A browser without a window, with a profile of its own, ended with the block."""
    command = [str(BROWSER), *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet, stderr=subprocess.DEVNULL)  # type: ignore[call-overload]
    try:
        told = folder / "DevToolsActivePort"
        wait_for(lambda: told.exists() and told.read_text().count("\n") >= 1, "a port")
        port, path = told.read_text().split("\n")[:2]
        with (
            httpx2.Client(timeout=PATIENCE, trust_env=False) as client,
            client.websocket(
                f"ws://127.0.0.1:{port}{path}",
                max_message_size_bytes=1 << 26,
                queue_size=100_000,
            ) as socket,
        ):
            page = Page(socket)
            page.attach()
            yield page
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
