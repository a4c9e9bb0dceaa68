"""Keeps a replica in touch with its fleet: who holds which socket, and what the others heard.

Losing the server leaves each replica on its own within about two seconds, with sockets of its own;
when it is back there is one holder again for each feed. `standing` tells how it is now.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreError
from mmflow_mcp.fleet.channel import Channel, Entry
from mmflow_mcp.venues.feeds import UNFIT

if TYPE_CHECKING:
    from mmflow_mcp.tape.shared import SharedFeed

log = logging.getLogger("mmflow_mcp")

# How often holders give a sign of life and others look for one.
TICK_SECONDS = 0.5
# While the server is away it is tried so often.
RETRY_SECONDS = 1.0
ALONE = "alone: the server that the fleet shares is out of reach; this replica listens on its own"
# So long one reading waits for entries.
READ_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Share:
    """What this replica is to a feed: starting, leader, follower or alone.

    `lag_ms`: how old another's last entry was when it came, by the clocks of both; None where none
    comes. `heard_ms`: when the venue was last heard, epoch ms. `connected`: whether it is now.
    `sockets`: how many this replica has opened so far.
    """

    venue: str
    channel: str
    role: str
    connected: bool
    heard_ms: int | None
    lag_ms: int | None
    sockets: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How this replica stands to its fleet. `up`: None before the first attempt.

    `reason`: why the others are out of reach, beginning with a code, or None. `since_ms`: since
    when it is as it is, epoch ms.
    """

    place: str
    up: bool | None
    reason: str | None
    since_ms: int
    shares: tuple[Share, ...]


class Relay:
    """See above. Does nothing before `run`."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self.channel = channel
        self.up: bool | None = None
        self.reason: str | None = None
        self._clock = clock
        self._since = clock.now_ms()
        self._feeds: dict[str, SharedFeed] = {}
        self._turn = anyio.Event()

    def standing(self) -> Standing:
        """How it is now."""
        shares = tuple(
            Share(
                feed.rule.venue,
                feed.rule.channel,
                feed.role,
                feed.state.connected,
                feed.state.heard_ms,
                feed.lag_ms,
                feed.state.connections,
            )
            for feed in self._feeds.values()
        )
        return Standing(self.channel.name, self.up, self.reason, self._since, shares)

    def add(self, feed: "SharedFeed") -> None:
        """A feed takes part from now on."""
        self._feeds[feed.name] = feed
        if self.up is False:
            feed.leave()
        self._turn.set()

    def remove(self, feed: "SharedFeed") -> None:
        """A feed takes part no more."""
        if self._feeds.get(feed.name) is feed:
            del self._feeds[feed.name]

    def lost(self, error: StoreError) -> None:
        """The others are out of reach: each feed goes on alone."""
        if self.up is not False:
            log.warning("the tape is this replica's alone: %s", error)
            self._since = self._clock.now_ms()
        self.up, self.reason = False, ALONE
        for feed in tuple(self._feeds.values()):
            feed.leave()

    def _found(self) -> None:
        if self.up is False:
            log.warning("the tape is shared with the fleet again")
        if not self.up:
            self._since = self._clock.now_ms()
        self.up, self.reason = True, None

    async def run(self) -> None:
        """Stay in touch until this is cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read)
            while True:
                await self._tick()
                pause = RETRY_SECONDS if self.up is False else TICK_SECONDS
                with anyio.move_on_after(pause):
                    await self._turn.wait()
                    self._turn = anyio.Event()

    async def _tick(self) -> None:
        feeds = list(self._feeds.values())
        try:
            found = await self.channel.tick([feed.ask() for feed in feeds])
        except StoreError as error:
            self.lost(error)
            return
        self._found()
        for feed, told in zip(feeds, found, strict=True):
            if self._feeds.get(feed.name) is feed:
                feed.hear(told)

    async def _read(self) -> None:
        while True:
            after = {
                name: feed.following.position
                for name, feed in self._feeds.items()
                if feed.following.reading and feed.following.position is not None
            }
            if not after:
                await anyio.sleep(TICK_SECONDS / 10)
                continue
            try:
                found = await self.channel.read(after, READ_SECONDS)
            except StoreError as error:
                self.lost(error)
                continue
            for name, entries in found.items():
                for entry in entries:
                    feed = self._feeds.get(name)
                    if feed is not None and feed.following.reading:
                        _apply(feed, entry)
                await anyio.lowlevel.checkpoint()


def _apply(feed: "SharedFeed", entry: Entry) -> None:
    try:
        feed.following.apply(entry)
    except UNFIT:
        # Nobody of this form writes it; whoever did must not end the others.
        log.exception("an entry of %s is unreadable", feed.name)
        feed.following.anew()
