"""Notices of the stream resources: while somebody follows one, its changes are published.

The bus tells a resource's subscribers at most once a second; whoever is told reads it anew.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from mmflow_mcp.app import App
    from mmflow_mcp.tape.board import Queue

WHALES, FUNDING = "mmflow://streams/whales", "mmflow://streams/funding"
TRADES = "mmflow://streams/trades/"
# A stream that nobody has read or is subscribed to for so long is let go.
IDLE_SECONDS = 120.0
_LOOK_SECONDS = 15.0


class StreamNotices:
    """Follows the streams that are read or subscribed to. One for each server."""

    def __init__(self, app: "App", listening: Callable[[], bool]) -> None:
        self._app = app
        self._listening = listening
        self._needed: dict[str, float] = {}
        self._running: set[str] = set()
        app.bus.own = self.follows

    def follows(self, uri: str) -> bool:
        """Whether the stream of a resource is followed here: then no other need tell of it."""
        kind = TRADES if uri.startswith(TRADES) else uri
        return kind in self._running and uri in self._needed

    def need(self, uri: str) -> None:
        """Follow the stream of a resource for a while; any other resource is no stream."""
        kind = TRADES if uri.startswith(TRADES) else uri
        if kind not in (WHALES, TRADES, FUNDING):
            return
        now = self._app.clock.monotonic()
        self._needed[uri] = self._needed[kind] = now
        if kind not in self._running:
            self._running.add(kind)
            self._app.soon(self._follow, kind)

    def _is_wanted(self, key: str) -> bool:
        age = self._app.clock.monotonic() - self._needed.get(key, 0.0)
        return age <= IDLE_SECONDS or self._listening()

    async def _follow(self, kind: str) -> None:
        try:
            with self._listen(kind) as queue:
                while self._is_wanted(kind) and not queue.closed:
                    with anyio.move_on_after(_LOOK_SECONDS):
                        batch = await queue.batch()
                        for uri in self._changed(kind, batch.items):
                            self._app.bus.publish(uri)
        finally:
            self._running.discard(kind)

    def _listen(self, kind: str) -> "AbstractContextManager[Queue[Any]]":
        from mmflow_mcp.endpoints.live import VENUE, WHALE_USD  # noqa: PLC0415 - loads venues

        tape = self._app.core().tape
        if kind == FUNDING:
            return tape.listen_funding(VENUE)
        return tape.listen(VENUE, None, WHALE_USD if kind == WHALES else 0.0)

    def _changed(self, kind: str, items: Iterable[Any]) -> Iterable[str]:
        if kind != TRADES:
            return (kind,)
        coins = {item.coin for item in items}
        return [uri for uri in self._needed if uri.removeprefix(TRADES).upper() in coins]
