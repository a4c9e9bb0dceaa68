"""WebSocket frames as whole messages, on either side of a connection.

wsproto comes with httpx2[ws] and is imported when the first socket opens.
"""

from collections.abc import Iterator
from typing import Any, Literal


class Frames:
    """One end of an open WebSocket: bytes in, whole messages out, and messages into bytes.

    The handshake is over; compression was not negotiated.
    """

    def __init__(self, side: Literal["client", "server"]) -> None:
        from wsproto import connection, events  # noqa: PLC0415 - only sockets need it

        self._events = events
        kinds = connection.ConnectionType
        self._wire = connection.Connection(kinds.CLIENT if side == "client" else kinds.SERVER)
        self._open = connection.ConnectionState.OPEN
        self._closing = connection.ConnectionState.REMOTE_CLOSING
        self._closed = connection.ConnectionState.CLOSED
        self._parts: list[Any] = []

    @property
    def open(self) -> bool:
        """Neither side has said goodbye."""
        return self._wire.state is self._open

    def read(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Read what the bytes bring, in order.

        ("text", str), ("bytes", bytes), ("ping", the answer to send, as bytes) or
        ("close", (code, reason)). Bytes that are no frames read as a close; bytes after the
        close are ignored.
        """
        if self._wire.state is self._closed:
            return
        self._wire.receive_data(data)
        for event in self._wire.events():
            if isinstance(event, self._events.Message):
                self._parts.append(event.data)
                if event.message_finished:
                    parts, self._parts = self._parts, []
                    if isinstance(parts[0], str):
                        yield "text", "".join(parts)
                    else:
                        yield "bytes", b"".join(parts)
            elif isinstance(event, self._events.Ping):
                if self.open:
                    yield "ping", self._wire.send(event.response())
            elif isinstance(event, self._events.CloseConnection):
                yield "close", (event.code, event.reason or "")

    def write(self, message: str | bytes) -> bytes:
        """Make the frame of a message; only while the socket is open."""
        if isinstance(message, str):
            return self._wire.send(self._events.TextMessage(data=message))
        return self._wire.send(self._events.BytesMessage(data=message))

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """Make the frame that says goodbye, or answers one; empty when it was said before."""
        if self._wire.state not in (self._open, self._closing):
            return b""
        return self._wire.send(self._events.CloseConnection(code=code, reason=reason or None))
