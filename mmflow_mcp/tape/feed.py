"""One socket of one venue, kept open for as long as somebody needs it.

Connect, subscribe at the venue's pace, ping, watch for silence; when it breaks, wait a little
longer each time (with jitter) and begin again. It knows nothing of what the rows mean.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueError,
    VenueRefused,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.venues.feeds import EVERY, SECONDS, Closings, FeedRule, Rows, Said

if TYPE_CHECKING:
    from mmflow_mcp.upstream.client import Upstream
    from mmflow_mcp.upstream.streams import Stream

log = logging.getLogger("mmflow_mcp")


MOST_WANTED = 1000


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds.

    `first_pause` to `longest_pause`: between attempts, doubling, jittered; a connection that lived
    for `proven` was no failure. `blocked_pause`: after a refusal that asking soon will not change.
    `idle`: how long a feed that nobody needs is kept. `taken`: how long a venue may take to
    acknowledge a subscription; what it has not is asked again every `again`. `patience`: for the
    list of what the venue has, `relearn`: how old that list may grow. `tick`: how often ping,
    silence and idleness are looked at.
    """

    first_pause: float = 0.5
    longest_pause: float = 60.0
    proven: float = 20.0
    blocked_pause: float = 900.0
    idle: float = 120.0
    taken: float = 15.0
    again: float = 60.0
    patience: float = 10.0
    relearn: float = 3600.0
    tick: float = 1.0


class Sink(Protocol):
    """What a feed feeds."""

    def heard(self, rows: Rows) -> None:
        """Rows of a frame."""

    def listed(self, coins: Iterable[str]) -> None:
        """The coins that the venue lists."""

    def noise(self) -> None:
        """A frame that is not what the venue documents."""

    def told(self, coin: str, newest: int) -> None:
        """A heartbeat tells the id of a coin's last trade."""

    def subscribed(self, coins: Iterable[str]) -> None:
        """The venue has acknowledged coins."""

    def lost(self, heard_ms: int) -> None:
        """The socket broke; it was last heard then."""

    def ended(self) -> None:
        """The feed has stopped."""


Learn = Callable[[], Awaitable[Mapping[str, str]]]


@dataclass
class FeedState:
    """How a feed is: times in epoch ms, `reason` why it is not connected (begins with a code)."""

    running: bool = False
    connected: bool = False
    connections: int = 0
    heard_ms: int | None = None
    reason: str | None = None
    noise: int = 0
    refused: list[str] = field(default_factory=list)


class Feed:
    """Keeps one channel of one venue open while it is needed."""

    def __init__(
        self,
        rule: FeedRule,
        sink: Sink,
        learn: Learn,
        *,
        upstream: "Upstream",
        clock: Clock,
        now_ms: Callable[[], int],
        timing: Timing,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.rule = rule
        self.state = FeedState()
        self.wanted: dict[str, None] = {}
        self.symbols: dict[str, str] = {}
        self.taken: set[str] = set()
        self.needs = 0
        self._sink = sink
        self._learn = learn
        self._upstream = upstream
        self._clock = clock
        self._now_ms = now_ms
        self._sleep = clock.sleep
        self._timing = timing
        self._chance = chance
        self._coins: dict[str, str] = {}
        self._asked: set[str] = set()
        self._marks: dict[str, list[str]] = {}
        self._chunk = rule.chunk
        self._messages = 0
        self._needed = clock.monotonic()
        self._heard = clock.monotonic()
        self._barred_until = 0.0
        self._stopped = False
        self._scope: anyio.CancelScope | None = None

    def touch(self, coins: Iterable[str] = ()) -> None:
        """Somebody needs it now, and these coins of it."""
        self._needed = self._clock.monotonic()
        for coin in coins:
            # Whoever asks for a thousand names that nobody lists fills nothing.
            if len(self.wanted) < MOST_WANTED or coin in self.symbols:
                self.wanted.setdefault(coin)

    def stop(self) -> None:
        """End it."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    @property
    def silent(self) -> float:
        """Seconds since an understood frame."""
        return self._clock.monotonic() - self._heard

    @property
    def barred(self) -> bool:
        """Whether the venue has refused us in a way that asking soon will not change."""
        return self._clock.monotonic() < self._barred_until

    @property
    def holds_socket(self) -> bool:
        """Whether the socket is ours: a replica of a fleet may hear what another's brings."""
        return True

    def merged(
        self, coin: str, prints: Sequence[TapePrint], reach: int | None, *, closes: bool
    ) -> None:
        """The venue's own trades were merged into the tape: see `fills.merge`."""

    def gave_up(self, coins: Iterable[str]) -> None:
        """What was open of these coins has become a gap."""

    async def run(self) -> None:
        """Keep the socket open until nobody needs it."""
        self.state.running = True
        with anyio.CancelScope() as self._scope:
            await self._keep()
        self.state.running = False
        self._sink.ended()

    async def _keep(self) -> None:
        """Open the socket anew whenever it breaks."""
        failures = 0
        while not self._stopped and not self._idle():
            began = self._clock.monotonic()
            pause = await self._attempt()
            if pause is None:
                break
            lived = self._clock.monotonic() - began
            failures = 0 if lived >= self._timing.proven else failures + 1
            await self._rest(max(pause, self._backoff(failures)))

    def _backoff(self, failures: int) -> float:
        """Doubling from the first pause, a random half of it off."""
        doubled = self._timing.first_pause * 2.0 ** min(max(0, failures - 1), 16)
        return min(self._timing.longest_pause, doubled) * (0.5 + self._chance() / 2)

    async def _attempt(self) -> float | None:
        """One connection from its opening to its end; the least pause, None when it is over."""
        try:
            await self._session()
        except Unrecorded as error:
            self.state.reason = error.reason
            return None
        except VenueBlocked as error:
            self.state.reason = error.reason
            self._barred_until = self._clock.monotonic() + self._timing.blocked_pause
            return self._timing.blocked_pause
        except VenueError as error:
            self.state.reason = error.reason
        finally:
            was, self.state.connected = self.state.connected, False
            if was:
                self._sink.lost(self.state.heard_ms or self._now_ms())
        return None if self._stopped or self._idle() or self._replayed() else 0.0

    async def _session(self) -> None:
        await self._learn_first()
        if not self.rule.whole and not self._named() and not self._replayed():
            # A socket without a subscription is closed at once by the venue.
            raise VenueRejected("rejected: the venue lists none of the coins asked for")
        self.taken.clear()
        self._asked.clear()
        self._marks.clear()
        self._messages = 0
        self._chunk = self.rule.chunk
        self.state.refused.clear()
        async with self._upstream.stream(self.rule.url, self.rule.headers) as stream:
            self.state.connections += 1
            self.state.connected = True
            self._heard = self._clock.monotonic()
            self.state.heard_ms = self._now_ms()
            ends: list[VenueError] = []
            async with anyio.create_task_group() as tasks:

                async def until_end(part: Callable[["Stream"], Awaitable[None]]) -> None:
                    try:
                        await part(stream)
                    except VenueError as error:
                        ends.append(error)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(until_end, self._listen)
                tasks.start_soon(until_end, self._tend)
        if ends:
            raise ends[0]

    def _take_list(self, by_coin: Mapping[str, str]) -> None:
        self.symbols = dict(by_coin)
        self._coins = {symbol: coin for coin, symbol in by_coin.items()}
        self._sink.listed(by_coin)

    async def _listen(self, stream: "Stream") -> None:
        """Hand on what comes; what is not understood does not count as a sign of life."""
        read, sink = self.rule.read, self._sink
        while True:
            heard = read(await stream.receive())
            if not isinstance(heard, Said):
                if isinstance(heard, Closings) and heard.taken is not None:
                    self._heed(Said("taken", (heard.taken,)))
                sink.heard(heard)
            elif not self._heed(heard):
                self.state.noise += 1
                sink.noise()
                continue
            elif heard.reply is not None:
                await stream.send(heard.reply)
            self._heard = self._clock.monotonic()
            self.state.heard_ms = self._now_ms()

    def _heed(self, said: Said) -> bool:
        if said.kind == "taken":
            self._take(self._named_by(said))
        elif said.kind == "refused":
            self.state.refused.append(said.words)
            del self.state.refused[:-5]
            self._split(said)
        elif said.newest is not None and said.symbols[0] in self._coins:
            self._sink.told(self._coins[said.symbols[0]], said.newest)
        return said.kind != "noise"

    def _take(self, coins: Iterable[str]) -> None:
        new = [coin for coin in coins if coin not in self.taken]
        self.taken.update(new)
        self.state.reason = None
        self._sink.subscribed(new)

    def _split(self, said: Said) -> None:
        """Of a message that was refused one part may spoil the others: ask in smaller ones."""
        if said.symbols:
            self._take(self._coins[symbol] for symbol in said.symbols if symbol in self._coins)
        refused = self._marks.pop(said.answers or "", [])
        if len(refused) > 1:
            self._asked.difference_update(set(refused) - self.taken)
            self._chunk = max(1, len(refused) // 4)

    def _named_by(self, said: Said) -> list[str]:
        """The coins that an acknowledgement is about."""
        if said.answers is not None:
            return self._marks.pop(said.answers, [])
        if said.symbols == EVERY:
            return list(self._asked)
        return [self._coins[symbol] for symbol in said.symbols if symbol in self._coins]

    async def _tend(self, stream: "Stream") -> None:
        """Subscribe, ping, and end the connection when it is silent, refused or not needed."""
        timing, rule = self._timing, self.rule
        opened = pinged = learned = asked = self._clock.monotonic()
        while not self._idle():
            await self._subscribe(stream)
            now = self._clock.monotonic()
            if rule.ping is not None and now - pinged >= rule.ping_seconds:
                pinged = now
                await self._say(stream, rule.ping)
            if now - asked >= timing.again:
                asked = now
                self._ask_again()
            if now - learned >= timing.relearn:
                learned = now
                await self._relearn()
            if not self._replayed():
                self._check(now - opened)
            await self._sleep(timing.tick)

    async def _learn_first(self) -> None:
        """The list of what there is; a recording of frames may stand without it."""
        try:
            self._take_list(await self._learn())
        except Unrecorded:
            if not self._replayed():
                raise

    async def _relearn(self) -> None:
        """See what is newly listed; the list at hand serves where that cannot be had."""
        try:
            self._take_list(await self._learn())
        except VenueError as error:
            log.info("the list of %s could not be had anew: %s", self.rule.venue, error.reason)

    def _check(self, lived: float) -> None:
        """Raise a `VenueError` where the socket is open and worth nothing."""
        if self.silent > self.rule.silence_seconds:
            raise VenueTimeout(f"timeout: the socket was silent for {round(self.silent)} s")
        paced = self._messages / self.rule.pace
        if self._asked and not self.taken and lived > self._timing.taken + paced:
            words = f": {self.state.refused[-1]}" if self.state.refused else ""
            raise VenueRefused(f"refused: the venue took no subscription{words}")

    async def _subscribe(self, stream: "Stream") -> None:
        """Ask for what is wanted and was not asked for on this socket: the named coins first."""
        named = self._named()
        every = [*named, *self.symbols] if self.rule.whole else named
        new = [coin for coin in dict.fromkeys(every) if coin not in self._asked]
        new = new[: max(0, self.rule.limit - len(self._asked))]
        if not new:
            return
        self._asked.update(new)
        size = self._chunk or len(new)
        for start in range(0, len(new), size):
            chunk = new[start : start + size]
            symbols = [self.symbols[coin] for coin in chunk]
            if self.rule.mark is not None:
                self._marks[self.rule.mark(symbols)] = chunk
            for message in self.rule.subscribe(symbols):
                self._messages += 1
                await self._say(stream, message)
                await self._sleep(1 / self.rule.pace)

    async def _say(self, stream: "Stream", message: str) -> None:
        await stream.send(message.replace(SECONDS, str(self._now_ms() // 1000)))

    def _ask_again(self) -> None:
        """What was not taken is asked once more; what spoils a message shall spoil a small one."""
        if self._chunk is not None and not self._asked <= self.taken:
            self._chunk = max(1, self._chunk // 4)
        self._asked &= self.taken

    def _named(self) -> list[str]:
        return [coin for coin in self.wanted if coin in self.symbols]

    def _idle(self) -> bool:
        patience = max(self._timing.idle, self.rule.idle_seconds)
        over = self._clock.monotonic() - self._needed > patience
        return self.needs <= 0 and over

    def _replayed(self) -> bool:
        return self._upstream.kind == "replay"

    async def _rest(self, seconds: float) -> None:
        """Pause, but no longer than anybody needs it."""
        until = self._clock.monotonic() + seconds
        while not self._idle() and (left := until - self._clock.monotonic()) > 0:
            await self._sleep(min(left, self._timing.tick))
