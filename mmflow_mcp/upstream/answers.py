"""From bytes to a `Wire` that was examined: the same for what a venue sent and what was kept."""

from typing import Any

import anyio.to_thread
import httpx2
import pydantic_core

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.upstream.wire import Call, Form, Wire

# How a check fails on a document that it did not foresee.
_SURPRISES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
# Bytes from which on a document is checked in a worker thread, so that others are served meanwhile.
LARGE = 100_000
# What a wire takes in memory beside its body, bytes.
BESIDE = 256


def decoded(body: bytes, form: Form) -> Any:
    """The document of a body. Raises `VenueChanged` for what is no JSON where that is expected."""
    if form == "text":
        return body.decode("utf-8", "replace")
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        raise VenueChanged("changed: the answer is not JSON, or was cut short") from None


async def wire_of(response: httpx2.Response, call: Call, clock: Clock) -> Wire:
    """The wire of an answer that was read just now, examined.

    The layer below gives the document in `extensions["doc"]`, and in `extensions["read_at"]` when
    it was recorded. A layer that has examined it already gives the wire itself.
    """
    known = response.extensions.get("wire")
    if isinstance(known, Wire):
        return known
    wire = Wire(
        response.extensions["doc"],
        fetched_at=response.extensions.get("read_at") or clock.now_ms(),
        read=clock.monotonic(),
        size=len(response.content) + BESIDE,
    )
    await examine(wire, call)
    return wire


async def examine(wire: Wire, call: Call) -> None:
    """Raise a `VenueError` unless the document is what the call expects."""
    if call.check is None:
        return
    try:
        if wire.size > LARGE:
            await anyio.to_thread.run_sync(wire.parsed, call.check)
        else:
            wire.parsed(call.check)
    except _SURPRISES as error:
        kind = type(error).__name__
        what = f"changed: the answer is not in the documented shape ({kind})"
        raise VenueChanged(what) from error
