"""Live wire saved as HAR 1.2, for a bug report or a test: what `Recordings` replays.

Bodies are stored unpacked, as text where they are UTF-8, else in base64; frames of sockets stand
in `_webSocketMessages`, the way browsers write them. An entry that failed or was cut off keeps an
`_error` and is not replayed. Nothing that could be a credential is stored (`record`).
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx2

from mmflow_mcp import __version__
from mmflow_mcp.clock import Clock, SystemClock
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.upstream.frames import Frames
from mmflow_mcp.upstream.record import Record


class Capture:
    """What was captured so far, in the order it was asked. Times are the clock's."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._entries: list[dict[str, Any]] = []

    def __len__(self) -> int:
        """How many requests were captured."""
        return len(self._entries)

    def open(self, request: httpx2.Request, body: bytes) -> Record:
        """Begin the record of a request that is about to be sent."""
        entry: dict[str, Any] = {}
        self._entries.append(entry)
        return Record(entry, self._clock, request, body)

    def save(self, path: Path) -> None:
        """Write a HAR file; BadQuestion when the path cannot be written."""
        creator = {"name": "mmflow-mcp", "version": __version__}
        log = {"version": "1.2", "creator": creator, "entries": self._entries}
        text = json.dumps({"log": log}, indent=1, ensure_ascii=False, allow_nan=False)
        try:
            path.write_bytes(text.encode())
        except OSError as error:
            message = f"{path.name} cannot be written: {error.strerror}"
            raise BadQuestion("file", message, fits="a path in an existing folder") from error


class CaptureTransport(httpx2.AsyncBaseTransport):
    """Passes everything on unchanged and tells the sink what passed."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, sink: Capture) -> None:
        self._inner = inner
        self._sink = sink

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass one request and its answer; a body is recorded as it is read."""
        record = self._sink.open(request, await request.aread())
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            record.fail(type(error).__name__)
            raise
        record.begin(request, response)
        if response.status_code == 101:
            tapped = _TappedSocket(response.extensions["network_stream"], record)
            response.extensions["network_stream"] = tapped
            return response
        stream = cast("httpx2.AsyncByteStream", response.stream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_TappedBody(stream, response.headers, record),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


class _TappedBody(httpx2.AsyncByteStream):
    """A body that is recorded when it has been read to its end."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, headers: httpx2.Headers, record: Record
    ) -> None:
        self._inner = inner
        self._headers = headers
        self._record = record

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        async for part in self._inner:
            parts.append(part)
            yield part
        self._record.finish(self._headers, b"".join(parts))

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


class _TappedSocket:
    """A network stream whose frames are recorded as they pass."""

    def __init__(self, inner: Any, record: Record) -> None:
        self._inner = inner
        self._record = record
        self._received = Frames("client")
        self._sent = Frames("server")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Pass on the venue's bytes."""
        data: bytes = await self._inner.read(max_bytes, timeout)
        self._tap("receive", self._received, data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Pass on our bytes."""
        self._tap("send", self._sent, buffer)
        await self._inner.write(buffer, timeout)

    def _tap(self, kind: str, frames: Frames, data: bytes) -> None:
        for what, value in frames.read(data):
            if what in ("text", "bytes"):
                self._record.message(kind, value)

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Ask the stream below."""
        return self._inner.get_extra_info(info)
