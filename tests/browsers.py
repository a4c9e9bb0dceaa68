"""A real browser without a window, driven over the Chrome DevTools protocol.

One process has many tabs. Each has a connection and a context of its own: no cookie, permission or
script of one is another's, and it goes with its connection.
https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
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
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
# What the protocol calls a virtual key code.
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Tab:
    """One page and the frames in it.

    `requests`: every address that was asked for. `complaints`: errors and warnings on the console,
    exceptions that nobody caught, what a policy blocked. Both are as of the last question.
    """

    def __init__(self, socket: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._ids = count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._loaded: set[str] = set()
        # Where the scripts of a frame run: a session of the connection, a context of it.
        self._worlds: dict[str, tuple[str, int]] = {}
        made = self._ask("", "Target.createBrowserContext", disposeOnDetach=True)
        self._context = made["browserContextId"]
        blank = {"url": "about:blank", "browserContextId": self._context}
        # A page's frame and its target have one id.
        self._main = self._ask("", "Target.createTarget", **blank)["targetId"]
        attached = self._ask("", "Target.attachToTarget", targetId=self._main, flatten=True)
        self._session = attached["sessionId"]
        self.tell("Page.enable")
        self.tell("Page.setLifecycleEventsEnabled", enabled=True)
        # No window has the focus here; keys go to the page all the same.
        self.tell("Emulation.setFocusEmulationEnabled", enabled=True)

    def _send(self, session: str, method: str, **params: Any) -> int:
        number = next(self._ids)
        said: dict[str, Any] = {"id": number, "method": method, "params": params}
        self._socket.send_json({**said, "sessionId": session} if session else said)
        return number

    def _ask(self, session: str, method: str, **params: Any) -> dict[str, Any]:
        number = self._send(session, method, **params)
        self._hear_until(lambda: number in self._answers, method)
        told = self._answers.pop(number)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    def _hear_until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            left = deadline - time.monotonic()
            assert left > 0, f"never heard: {what}"
            told = self._socket.receive_json(timeout=left)
            if "id" in told:
                self._answers[told["id"]] = told
            else:
                self._note(told["method"], told["params"], told.get("sessionId", ""))

    def _note(self, method: str, told: dict[str, Any], session: str) -> None:
        if method == "Target.attachedToTarget":
            self._watch(told["sessionId"])
        elif method == "Runtime.executionContextCreated":
            context = told["context"]
            self._worlds[context["auxData"]["frameId"]] = (session, context["id"])
        elif method == "Page.lifecycleEvent" and told["name"] == "load":
            self._loaded.add(told["loaderId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {json.dumps(told['exceptionDetails'])}")
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.complaints.append(f"console: {json.dumps(told['args'])}")
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['source']}: {told['entry']['text']}")

    def _watch(self, session: str) -> None:
        """Hear of everything in a page or frame; none runs a script before that."""
        for domain in ("Runtime", "Log", "Network"):
            self._send(session, f"{domain}.enable")
        auto = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self._send(session, "Target.setAutoAttach", **auto)
        self._send(session, "Runtime.runIfWaitingForDebugger")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its result. Raises `RuntimeError` with the browser's words."""
        return self._ask(self._session, method, **params)

    def permit(self, *permissions: str) -> None:
        """Let the pages of this tab do what a person would be asked for."""
        given = {"permissions": permissions, "browserContextId": self._context}
        self._ask("", "Browser.grantPermissions", **given)

    def forget(self) -> None:
        """Clear what was asked for and complained of."""
        self.requests.clear()
        self.complaints.clear()

    def run(self, script: str, *, inside: bool = False) -> Any:
        """What an expression is in the page, or `inside` its newest frame.

        It counts as a person's doing; a promise is waited for. Raises `RuntimeError` if it throws.
        """
        how: dict[str, Any] = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        session = self._session
        if inside:
            worlds = [world for frame, world in self._worlds.items() if frame != self._main]
            session, how["contextId"] = worlds[-1]
        told = self._ask(session, "Runtime.evaluate", expression=script, **how)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{script[:80]}: {json.dumps(told['exceptionDetails'])}")
        return told["result"].get("value")

    def until(self, script: str, *, inside: bool = False) -> Any:
        """Wait until an expression is true; what it is then."""
        try:
            return wait_for(lambda: self.run(script, inside=inside), script)
        except AssertionError as error:
            error.add_note(str(self.run("document.body.innerText", inside=inside)))
            raise

    def open(self, address: str) -> None:
        """Go to a page and wait until it has loaded. Raises `RuntimeError` where none answers."""
        self._worlds.clear()
        gone = self.tell("Page.navigate", url=address)
        if "errorText" in gone:
            raise RuntimeError(f"{address}: {gone['errorText']}")
        self._hear_until(lambda: gone["loaderId"] in self._loaded, f"{address} has loaded")

    def look(
        self, width: int, height: int = 900, *, dark: bool = False, mobile: bool = False
    ) -> None:
        """Be a screen of this size in CSS pixels, light or dark, of a telephone or not."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[feature])

    def press(self, key: str) -> None:
        """One key, where the focus is."""
        how = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = "\r" if key == "Enter" else ""
        self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **how)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **how)

    def tab_to(self, script: str, *, inside: bool = False) -> None:
        """Press Tab until an expression is true; the first keys may come before the focus."""

        def reached() -> Any:
            self.press("Tab")
            return self.run(script, inside=inside)

        wait_for(reached, script)

    def touch(self, x: float, y: float) -> None:
        """A tap."""
        self.tell("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.tell("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, *, whole: bool = False) -> bytes:
        """What is seen, or the whole page, as PNG."""
        shot = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])


def wait_for(true: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true, and give it back; fails when that takes far too long."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"never true: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def new_tab(browser: str) -> Iterator[Tab]:
    """A tab of a browser, closed with the block."""
    with (
        httpx2.Client(timeout=PATIENCE, trust_env=False) as client,
        client.websocket(
            browser,
            max_message_size_bytes=64 << 20,
            queue_size=100_000,
            keepalive_ping_interval_seconds=None,
        ) as socket,
    ):
        yield Tab(socket)


@contextmanager
def browsing() -> Iterator[str]:
    """A browser with a profile of its own, ended with the block; its address for `new_tab`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [str(BROWSER), *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told = Path(folder) / "DevToolsActivePort"
            wait_for(lambda: told.exists() and "\n" in told.read_text(), "the browser listens")
            port, path = told.read_text().split("\n")[:2]
            yield f"ws://127.0.0.1:{port}{path}"
        finally:
            process.terminate()
            process.wait(PATIENCE)
