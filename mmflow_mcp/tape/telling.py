"""The side of who holds a socket: what comes over it, told to the others in order.

An entry is `[term, number, at, told, events]`. A term is one replica's time of holding the socket,
its entries count from 1. `at` is when the events were taken in, `told` up to when the others have
all that was heard, epoch ms. An event is a list that begins with its kind:

    b covers whole taken  a term begins: how all stands, and from when on the stream has all of it
    c symbols listed      what the venue lists
    s names               acknowledged        l heard_ms   the socket broke
    r rows                heard               n            a frame that says nothing
    t coin newest         the id of a coin's last trade
    m coin prints reach closes                the venue's own trades were merged
    g coins               what was open of them has become a gap
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
from pydantic_core import to_json

from mmflow_mcp.errors import StoreError
from mmflow_mcp.fleet.channel import Channel
from mmflow_mcp.tape.packing import Pack
from mmflow_mcp.venues.feeds import Rows

if TYPE_CHECKING:
    from mmflow_mcp.tape.shared import SharedFeed

# What comes within this is written together; an entry holds so many events at most.
GATHER_SECONDS = 0.02
MOST_EVENTS = 200
# How all stands is told anew at most so often, for those who join.
SNAP_SECONDS = 1.0
# So much may wait to be written; beyond it the others have lost the thread, and a term ends.
MOST_WAITING = 20_000
# What a venue repeats after an acknowledgement changes how all stands: looked for so long.
REPEAT_SECONDS = 30.0


class Teller:
    """Tells while it is `active`. `position`: the last entry that it wrote."""

    def __init__(
        self,
        feed: "SharedFeed",
        channel: Channel,
        pack: Pack,
        lost: Callable[[StoreError], None],
    ) -> None:
        self._feed, self._channel, self._pack, self._lost = feed, channel, pack, lost
        self.active = False
        self.position: bytes | None = None
        self._term = ""
        self._number = 0
        self._whole = 0
        self._told = 0
        self._events: list[list[Any]] = []
        self._waiting = anyio.Event()
        self._busy = False
        # What must be told anew to those who join, and when it was last.
        self._snap, self._list = False, False
        self._snapped = 0.0
        self._settled = 0.0

    def begin(self, whole: int) -> None:
        """A term of our own. `whole`: from when on the stream has all that we have, epoch ms."""
        self._term, self._number, self._whole = uuid4().hex[:12], 0, whole
        self._told = self._feed.state.heard_ms or 0
        self._events.clear()
        self.active, self._snapped = True, 0.0
        self.tell("b", self._pack.covers(), whole, sorted(self._feed.taken))
        if self._feed.symbols:
            self.tell("c")

    def end(self) -> None:
        """Others are told nothing any more."""
        self.active = False
        self._events.clear()

    def tell(self, kind: str, *parts: Any) -> None:
        """Something has happened."""
        if not self.active:
            return
        if kind == "c":
            self._list = True
            parts = (self._feed.symbols.copy(), self._pack.listed())
        self._snap = True
        self._settled = anyio.current_time() + REPEAT_SECONDS
        self._add([kind, *parts])

    def rows(self, rows: Rows) -> None:
        """Rows have been taken in."""
        if self.active and (data := self._pack.rows(rows)) is not None:
            self._snap |= self._pack.rows_stand or anyio.current_time() < self._settled
            self._add(["r", data])

    def _add(self, event: list[Any]) -> None:
        self._events.append(event)
        if len(self._events) > MOST_WAITING:
            self.end()
        self._waiting.set()

    def beat(self) -> bytes:
        """Our sign of life: what `Following.mirror` reads."""
        state = self._feed.state
        if not self._events and not self._busy:
            self._told = state.heard_ms or self._told
        if self._snap:
            self._waiting.set()
        said = [self._term, self._number, state.connected, state.reason, self._told]
        return to_json([*said, round(self._feed.silent, 3)])

    async def run(self) -> None:
        """Write what waits."""
        while True:
            await self._waiting.wait()
            await anyio.sleep(GATHER_SECONDS)
            self._waiting = anyio.Event()
            try:
                await self.flush()
            except StoreError as error:
                self._lost(error)

    async def flush(self) -> None:
        """Write what waits now. Raises `StoreError`."""
        while self.active and (self._events or self._is_due()):
            events = self._events[:MOST_EVENTS]
            del self._events[:MOST_EVENTS]
            face = {}
            if not self._events:
                self._told = self._feed.state.heard_ms or self._told
                face = self._face()
            self._number += 1
            entry = to_json([self._term, self._number, self._feed.now_ms(), self._told, events])
            self._busy = True
            try:
                self.position = await self._channel.write(
                    self._feed.name,
                    entry,
                    keep_ms=self._pack.keep_ms,
                    most=self._pack.most,
                    face=face,
                )
            finally:
                self._busy = False
            if self.position is None:
                # The socket is another's by now; the next tick says so.
                self.end()

    def _is_due(self) -> bool:
        return self._snap and anyio.current_time() - self._snapped >= SNAP_SECONDS

    def _face(self) -> dict[str, bytes]:
        """How all stands after the entry that is about to be written, where that is due."""
        if not self._is_due():
            return {}
        feed = self._feed
        said = [self._term, self._number + 1, self._told, feed.state.connected, sorted(feed.taken)]
        face = {"snap": to_json([*said, self._whole, self._pack.covers()])}
        if self._list:
            face["list"] = to_json([feed.symbols, self._pack.listed()])
        self._snap, self._list, self._snapped = False, False, anyio.current_time()
        return face
