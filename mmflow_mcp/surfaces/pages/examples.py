"""Examples of answers: executed in a simulated market, once, when somebody first looks.

No venue is asked for them whatever this server's own source is, and nothing is kept on disk.
"""

import json
from dataclasses import replace
from typing import Any

import anyio
from pydantic_core import to_jsonable_python
from starlette.types import Message

from mmflow_mcp.app import running
from mmflow_mcp.clock import FastClock, SystemClock
from mmflow_mcp.endpoints.declare import Endpoint
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.openapi import PREFIX, address
from mmflow_mcp.surfaces.pages.catalogue import Shown, asked
from mmflow_mcp.surfaces.sse import Stream

# Of a long list so much is shown; what was left out is counted.
ROWS = 3
EVENTS = 4
# A stream is listened to for so long at most, in a market whose minutes are seconds.
LISTEN_SECONDS = 6.0
SPEED = 300.0
# Rates move slowly: an example of their changes shows every one.
EAGER = {"minDeltaBps": 0}
SIMULATED = Settings(source="sim", store="memory", record="off")


class Examples:
    """The text of each example by its id; executed one at a time, and kept once it is there."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._one = anyio.Lock()

    async def text(self, name: str) -> str:
        """An example. Raises KeyError for a name that is none, `MmflowError` when it fails."""
        if name not in self._texts:
            one, e = asked()[name]
            async with self._one:
                if name not in self._texts:
                    self._texts[name] = await _executed(one, e)
        return self._texts[name]


async def _executed(one: Shown, e: Endpoint) -> str:
    names = [p.name for p in one.parameters]
    one = replace(one, example=one.example | {k: v for k, v in EAGER.items() if k in names})
    question = address(one.path, one.example)
    told = await (_heard if e.live is not None else _answered)(one, e)
    return f"GET {question}\n\n{told}"


async def _answered(one: Shown, e: Endpoint) -> str:
    # Someone who watches the wire keeps the last good answers off the disk.
    async with running(SIMULATED, wrap=lambda base: base) as app:
        found = await e.handler(app.core(), questions.validated(e, dict(one.example)))
    whole = questions.envelope(found)
    bare = not one.path.startswith(PREFIX)
    told = to_jsonable_python(whole["data"] if bare else whole, inf_nan_mode="null")
    return json.dumps(shortened(told), indent=2, ensure_ascii=False)


async def _heard(one: Shown, e: Endpoint) -> str:
    """The first events of a stream."""
    query = address("", one.example).removeprefix("?").encode()
    scope: Message = {"type": "http", "method": "GET", "query_string": query, "headers": []}
    parts: list[bytes] = []
    enough = anyio.Event()

    async def receive() -> Message:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        parts.append(message.get("body", b""))
        if sum(part.count(b"data: ") for part in parts) >= EVENTS:
            enough.set()

    clock = FastClock(SystemClock().now_ms(), SPEED)
    async with running(SIMULATED, wrap=lambda base: base, clock=clock) as app:
        with anyio.move_on_after(LISTEN_SECONDS):
            await Stream(app, e)(scope, receive, send)
    events = [one for one in b"".join(parts).decode().split("\n\n") if "data: " in one]
    return "\n\n".join(events[:EVENTS]) or "Nothing happened while it was listened to."


def shortened(value: Any) -> Any:
    """A value whose long lists are cut; the last entry tells how many more there are."""
    if isinstance(value, dict):
        return {name: shortened(one) for name, one in value.items()}
    if not isinstance(value, list):
        return value
    kept = [shortened(one) for one in value[:ROWS]]
    left = len(value) - ROWS
    return [*kept, f"... and {left:,} more"] if left > 1 else [shortened(one) for one in value]
