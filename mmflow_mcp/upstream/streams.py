"""A WebSocket as the tape wants it: texts in, texts out, and every failure a `VenueError`.

Imported when the first socket opens: httpx2's sockets and wsproto cost start-up time.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpcore2
import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketDisconnect, WebSocketUpgradeError
from wsproto.utilities import LocalProtocolError

from mmflow_mcp.errors import VenueError, VenueRefused, VenueTimeout
from mmflow_mcp.upstream.judge import judge

# Contexts of a whole exchange come in frames of more than 100 KB.
MAX_FRAME = 8 * 1024 * 1024

_BREAKS = (
    HTTPXWSException,
    httpx2.HTTPError,
    httpcore2.NetworkError,
    LocalProtocolError,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    OSError,
)


class Stream:
    """An open socket. Both methods raise a `VenueError` once it is broken or closed."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def receive(self) -> str | bytes:
        """The next message."""
        try:
            event = await self._session.receive()
        except _BREAKS as error:
            raise _broken(error) from None
        data: str | bytes | bytearray = getattr(event, "data", "")
        return bytes(data) if isinstance(data, bytearray) else data

    async def send(self, text: str) -> None:
        """Send one text."""
        try:
            await self._session.send_text(text)
        except _BREAKS as error:
            raise _broken(error) from None


@asynccontextmanager
async def open_stream(
    socket: AbstractAsyncContextManager[Any],
) -> AsyncIterator[Stream]:
    """The stream over a client's socket that is about to be opened.

    Raises a `VenueError` when it does not open or breaks; errors of the block pass as they are.
    """
    try:
        async with socket as session:
            yield Stream(session)
    except WebSocketUpgradeError as error:
        raise _refusal(error.response) from None
    except httpx2.TimeoutException:
        raise VenueTimeout("timeout: the socket did not open in time") from None
    except _BREAKS as error:
        raise _broken(error) from None
    except BaseExceptionGroup as group:
        # The client's own tasks fail as a group, beside what the block raised.
        raise _only(group) from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inside: BaseException = group
    while isinstance(inside, BaseExceptionGroup):
        inside = inside.exceptions[0]
    return _broken(inside) if isinstance(inside, _BREAKS) else inside


def _broken(error: BaseException) -> VenueError:
    if isinstance(error, WebSocketDisconnect):
        return VenueRefused(f"refused: the venue closed the socket ({error.code})")
    return VenueRefused("refused: the socket broke")


def _refusal(response: httpx2.Response) -> VenueError:
    said = judge(response.status_code, response.headers, b"")
    status = response.status_code
    return said or VenueRefused(f"refused: http {status} instead of a socket")
