"""The side of who does not hold the socket: what another heard, taken in as if it were our own.

Who joins takes in what the stream still has, then how all stands after it, then goes on entry by
entry. A number that is missing, or a stream that went on without us, makes it join anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import from_json

from mmflow_mcp.fleet.channel import Channel, Entry, Told
from mmflow_mcp.tape.feed import Sink
from mmflow_mcp.tape.packing import Pack

if TYPE_CHECKING:
    from mmflow_mcp.tape.shared import SharedFeed

# A holder that has said nothing for so long may be dead: nothing is claimed in its name.
SILENT_MS = 2_000
# Two sockets are heard for so long before one is closed.
OVERLAP_SECONDS = 2.0
# So often in a row a holder may be ahead of us without anything coming.
MOST_BEHIND = 6
PAGE = 50
# Of what a venue printed so shortly before the last frame, a part may have been under way.
SLACK_MS = 1_000
_SILENT = "timeout: the replica that holds the socket is silent"


class Moment:
    """The time at which rows are taken in: another's while its are."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._held: int | None = None

    def __call__(self) -> int:
        """Epoch ms."""
        return self._now_ms() if self._held is None else self._held

    @contextmanager
    def of(self, at_ms: int) -> Iterator[None]:
        """While the block runs it is `at_ms`."""
        self._held = at_ms
        try:
            yield
        finally:
            self._held = None


class Following:
    """Takes in what another replica hears.

    `position`: the last entry that was taken in. `reading`: entries come. `joining`: it is being
    read up to where they will. `since`: from when on we have all that the stream had, epoch ms;
    `whole`: from when on the stream had all that its tellers heard. `beside`: since when our own
    socket is heard as well (loop time), None without one.
    """

    def __init__(
        self, feed: "SharedFeed", channel: Channel, pack: Pack, sink: Sink, moment: Moment
    ) -> None:
        self._feed, self._channel, self._pack = feed, channel, pack
        self._sink, self._moment = sink, moment
        self.position: bytes | None = None
        self.reading = False
        self.joining = False
        self.since = 0
        self.whole = 0
        self.beside: float | None = None
        self.lag_ms: int | None = None
        self._term, self._number = "", 0
        self._holder = ""
        self._behind = 0

    def stop(self) -> None:
        """Take in no more. Without a socket of our own this is an outage."""
        if self.reading and not self._feed.holds_socket:
            self._lose()
        self.reading, self.beside, self.lag_ms = False, None, None
        self._holder = ""

    def _lose(self) -> None:
        state = self._feed.state
        state.connected = False
        self._feed.taken.clear()
        self._sink.lost((state.heard_ms or self._moment()) - SLACK_MS)

    def due(self) -> bool:
        """Whether `join` has something to do."""
        if self.joining or not self._holder:
            return False
        if self.beside is not None:
            return anyio.current_time() - self.beside >= OVERLAP_SECONDS
        return not self.reading

    async def join(self) -> None:
        """Come to where the stream is. Raises `StoreError`."""
        self.joining = True
        try:
            await self._join()
        finally:
            self.joining = False

    async def inherit(self) -> None:
        """Take in what a holder that is gone has left. Raises `StoreError`."""
        self.joining = True
        try:
            face = await self._channel.face(self._feed.name)
            if face is None or not self._pack.lasts:
                return
            term, number, told, _, taken, whole, covers = from_json(face[0])
            await self._read_to(face, b"+")
        finally:
            self.joining = False
        self._term, self._number, self.whole = term, number, whole
        self.reading = True
        self._adopt(covers, taken, told)

    async def _join(self) -> None:
        face = await self._channel.face(self._feed.name)
        if face is None or not self._holder:
            return
        term, number, told, connected, taken, whole, covers = from_json(face[0])
        if term != self._holder:
            return
        was_reading, self.reading = self.reading, False
        await self._read_to(face, face[2])
        if not self._holder:
            # The others went out of reach meanwhile.
            return
        self._term, self._number, self.whole = term, number, whole
        self.reading = True
        if self._feed.holds_socket and self._feed.state.connected:
            if self.beside is None or not was_reading:
                self.beside = anyio.current_time()
                return
            if not connected or not self._feed.taken.issubset(taken):
                return
        self._feed.close_own()
        self.beside = None
        self._adopt(covers, taken, told)
        self._feed.state.connected = connected

    async def _read_to(self, face: tuple[bytes, bytes, bytes], until: bytes) -> None:
        """Take in what the stream has up to an entry, which is the face's or one behind it."""
        symbols, listed = from_json(face[1])
        self._pack.learn(listed)
        self._feed.take_list(symbols)
        after, self.since = await self._start()
        while page := await self._channel.page(self._feed.name, after, until, PAGE):
            for _, entry in page:
                self._catch_up(from_json(entry)[4])
            after = page[-1][0]
            await anyio.lowlevel.checkpoint()
        self.position = face[2]

    async def _start(self) -> tuple[bytes, int]:
        """Where reading begins, and from when on we then have all that the stream had."""
        found = await self._channel.page(self._feed.name, b"", b"+", 1)
        if not found:
            return b"", self._moment()
        if self.position is not None and _place(found[0][0]) <= _place(self.position):
            return self.position, self.since
        return b"", from_json(found[0][1])[2]

    def _adopt(self, covers: Any, taken: list[str], told: int) -> None:
        feed = self._feed
        self._pack.adopt(covers, max(self.since, self.whole), self._moment())
        feed.taken = set(taken)
        feed.state.reason = None
        feed.state.heard_ms = max(told, feed.state.heard_ms or 0)

    def _catch_up(self, events: list[list[Any]]) -> None:
        """Only what was traded: how all stands is told beside."""
        for kind, *parts in events:
            if kind == "r":
                self._pack.catch_up(parts[0], self._moment())
            elif kind == "m":
                self._pack.catch_up([0, parts[1]], self._moment())

    def apply(self, entry: Entry) -> None:
        """Take in an entry as it comes."""
        if self.position is not None and _place(entry[0]) <= _place(self.position):
            return
        term, number, at, told, events = from_json(entry[1])
        begins = bool(events) and events[0][0] == "b"
        if term == self._term and number <= self._number:
            return
        fits = begins if term != self._term else number == self._number + 1
        if not fits or (begins and self.beside is not None):
            self.anew()
            return
        self.position, self._term, self._number = entry[0], term, number
        state = self._feed.state
        if self.beside is not None:
            self._catch_up(events)
            if any(kind == "l" for kind, *_ in events):
                self.anew()
            return
        with self._moment.of(at):
            for kind, *parts in events:
                self._take(kind, parts)
        state.heard_ms = max(told, state.heard_ms or 0)
        self.lag_ms = max(0, self._moment() - at)
        self._behind = 0

    def anew(self) -> None:
        """The thread is lost: join again."""
        holder = self._holder
        self.stop()
        self._holder = holder

    def _take(self, kind: str, parts: list[Any]) -> None:
        feed, sink = self._feed, self._sink
        if kind == "r":
            self._pack.hear(parts[0], sink)
        elif kind == "s":
            feed.taken.update(parts[0])
            feed.state.connected, feed.state.reason = True, None
            sink.subscribed(parts[0])
        elif kind == "l":
            feed.state.connected = False
            feed.taken.clear()
            sink.lost(parts[0])
        elif kind == "c":
            self._pack.learn(parts[1])
            feed.take_list(parts[0])
        elif kind == "t":
            sink.told(parts[0], parts[1])
        elif kind == "n":
            sink.noise()
        elif kind == "b":
            self._lose()
            self.whole = parts[1]
            feed.taken.update(parts[2])
            feed.state.connected = bool(parts[2])
            self._pack.adopt(parts[0], max(self.since, self.whole), self._moment())
        else:
            self._pack.mend(kind, parts, self._moment())

    def mirror(self, told: Told) -> None:
        """What the holder last said of itself."""
        if not told.beat or told.age_ms > SILENT_MS:
            self._silent()
            return
        term, number, connected, reason, heard, silent = from_json(told.beat)
        self._holder = term
        feed = self._feed
        if feed.holds_socket:
            return
        feed.state.reason = reason
        if not self.reading:
            return
        feed.state.connected = connected
        feed.mirror_silence(silent + told.age_ms / 1000)
        if (term, number) == (self._term, self._number):
            feed.state.heard_ms = max(heard, feed.state.heard_ms or 0)
            self._behind = 0
            return
        self._behind += 1
        if self._behind > MOST_BEHIND:
            self._behind = 0
            self.anew()

    def _silent(self) -> None:
        feed = self._feed
        if self.reading and not feed.holds_socket:
            feed.state.connected, feed.state.reason = False, _SILENT


def _place(entry_id: bytes) -> tuple[int, int]:
    """The order of an entry's id."""
    ms, _, nth = entry_id.partition(b"-")
    return int(ms), int(nth or 0)
