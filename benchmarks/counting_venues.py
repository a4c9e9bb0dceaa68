"""The simulated venues, which say when they were asked for what: `counting_venues.py PORT`.

`GET /requests` answers with the times (seconds) and questions so far, and is not counted.
"""

import json
import sys
import time

import uvicorn

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.sim.app import Message, Receive, Send, SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.wire import SimResponse


class Counting(SimApp):
    """Answers like any simulation, and notes what is asked."""

    asked: list[tuple[float, str]]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != "/requests":
            await super().__call__(scope, receive, send)
            return
        body = json.dumps(self.asked).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def reply(self, method: str, host: str, path: str, query: bytes, body: bytes) -> SimResponse:
        """Note it, and answer."""
        self.asked.append((time.monotonic(), f"{method} {host}{path} {query!r} {body!r}"))
        return super().reply(method, host, path, query, body)


if __name__ == "__main__":
    app = Counting(Market(1), SystemClock(), [parse_fault("*:latency=0.05")])
    app.asked = []
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="warning", access_log=False)
