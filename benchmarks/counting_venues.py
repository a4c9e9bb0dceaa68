"""The simulated venues, which say how often they were asked: `counting_venues.py PORT`.

`GET /requests` answers with the number so far, and is not counted.
"""

import json
import sys

import uvicorn

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.sim.app import Message, Receive, Send, SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import Market


class Counting(SimApp):
    """Answers like any simulation, and counts what is no socket."""

    asked = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == "/requests":
            body = json.dumps(self.asked).encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        self.asked += scope["type"] == "http"
        await super().__call__(scope, receive, send)


if __name__ == "__main__":
    app = Counting(Market(1), SystemClock(), [parse_fault("*:latency=0.05")])
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="warning", access_log=False)
