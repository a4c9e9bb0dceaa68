"""A strict host of MCP Apps for tests, which keeps every fault of a chart.

It serves the chart under the policy that hosts set, from a port of its own, in a sandboxed frame,
and answers its bridge to the letter.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from browsers import Tab, wait_for

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self'; media-src 'self' data:; connect-src 'none';"
    " frame-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"
)

# The order of the bridge: initialize, initialized, then notifications; sizes whenever they change.
HOST = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body{margin:0}iframe{border:0;width:100%;display:block}</style><script>
const host = {faults: [], ready: false, asked: false, sizes: [], answers: {}, next: 100};
const SENT = {
  "ui/notifications/size-changed": p => [p.width, p.height].every(Number.isInteger),
  "ui/notifications/initialized": p => JSON.stringify(p) === "{}",
};
let frame = null, context = null;
function post(message) { frame.contentWindow.postMessage({jsonrpc: "2.0", ...message}, "*"); }
function tell(method, params) { post({method, params}); }
function ask(method, params) { post({id: ++host.next, method, params}); return host.next; }
function start(url, given) {
  if (frame) frame.remove();
  Object.assign(host, {faults: [], ready: false, asked: false, sizes: [], answers: {}});
  context = given;
  frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-forms");
  frame.title = "chart";
  frame.src = url;
  document.body.append(frame);
}
function judge(message) {
  if (message.jsonrpc !== "2.0") return "no JSON-RPC 2.0";
  if (message.method === undefined) {
    if (message.id !== host.next) return "an answer to nothing";
    host.answers[message.id] = message.result || message.error;
    return "";
  }
  if (message.method === "ui/initialize") {
    const p = message.params;
    if (host.asked) return "initialized twice";
    if (p.protocolVersion !== "2026-01-26" || !p.appInfo.name || !p.appInfo.version) return "who?";
    if (!Array.isArray(p.appCapabilities.availableDisplayModes)) return "no capabilities";
    host.asked = true;
    const result = {protocolVersion: "2026-01-26", hostInfo: {name: "h", version: "1"},
      hostCapabilities: {}, hostContext: context};
    post({id: message.id, result});
    return "";
  }
  if (message.id !== undefined) return "a request not needed: " + message.method;
  const fits = SENT[message.method];
  if (!fits || !fits(message.params)) return "wrong: " + message.method;
  const first = message.method === "ui/notifications/initialized";
  if (!host.asked || (!first && !host.ready)) return "too early";
  if (first) host.ready = true;
  else {
    host.sizes.push(message.params);
    frame.style.height = message.params.height + "px";
  }
  return "";
}
addEventListener("message", event => {
  const why = event.source !== frame.contentWindow ? "a stranger"
    : event.origin !== "null" ? "not sandboxed" : judge(event.data);
  if (why) host.faults.push(why);
});
</script><body></body>"""


class Stage:
    """The host page in a browser, and the chart in it."""

    def __init__(self, tab: Tab, host: str, charts: str) -> None:
        self.tab = tab
        self._host = host
        self._charts = charts

    def address(self, chart: str) -> str:
        """Where a chart is served."""
        return self._charts + chart

    def start(self, chart: str, *, theme: str = "light", width: int = 400, **context: Any) -> None:
        """Open a chart and wait until its bridge stands."""
        self.tab.look(width)
        self.tab.open(self._host)
        self.tab.forget()
        given = {"theme": theme, "displayMode": "inline", **context}
        self.tab.run(f"start({json.dumps(self.address(chart))}, {json.dumps(given)})")
        self.tab.until("host.ready")

    def tell(self, method: str, params: Any) -> None:
        """A notification of the host; returns when the chart has heeded it.

        Messages keep their order: once a ping is answered, what came before it is done.
        """
        self.tab.run(f"tell({json.dumps('ui/notifications/' + method)}, {json.dumps(params)})")
        number = self.tab.run("ask('ping', {})")
        self.tab.until(f"host.answers[{number}] !== undefined")

    def result(self, result: Mapping[str, Any]) -> None:
        """Hand over a tool result."""
        self.tell("tool-result", result)

    def seen(self, code: str) -> Any:
        """An expression's value inside the chart."""
        return self.tab.run(code, inside=True)

    def settled(self) -> None:
        """Wait until the frame is as high as the chart."""
        height = "Math.ceil(document.documentElement.getBoundingClientRect().height)"
        wait_for(
            lambda: self.seen(height) == self.tab.run("frame.clientHeight"),
            "the frame is as high as the chart",
        )

    def faults(self) -> list[str]:
        """What the chart did wrong, to the host and in the browser."""
        told: list[str] = self.tab.run("host.faults")
        strays = [
            f"request: {url}"
            for url in self.tab.requests
            if not url.startswith(("http://127.0.0.1:", "about:"))
        ]
        return [*told, *self.tab.complaints, *strays]


@contextmanager
def serving_html(pages: Mapping[str, str], policy: str = "") -> Iterator[str]:
    """Pages by path on a port of their own; the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html;charset=utf-8")
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def staged(tab: Tab, charts: Mapping[str, str]) -> Iterator[Stage]:
    """A host in the browser for charts by name."""
    given = {f"/{name}": html for name, html in charts.items()}
    with serving_html({"/": HOST}) as host, serving_html(given, POLICY) as served:
        yield Stage(tab, host + "/", served + "/")
