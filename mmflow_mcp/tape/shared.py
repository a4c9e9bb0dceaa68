"""A feed that a fleet shares: one replica holds the socket, the others hear what it brings.

    starting   nobody has said yet who holds it
    leader     the socket is ours; what comes over it is told to the others
    follower   another's is; what it heard comes to us, through the same sink and in the same order
    alone      the others are out of reach: the socket is ours, and only ours

Who changes from one to another loses nothing. A follower that is left opens a socket, and what the
venue repeats closes the time between as after any outage. A replica that was alone hears both for a
while, each print taken once, before it closes its own. Whom the venue bars leaves the socket to a
replica that it may not bar: they may be in different countries.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from mmflow_mcp.errors import StoreError
from mmflow_mcp.fleet.channel import Ask, Channel, Told
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.tape.feed import Feed, Learn, Sink
from mmflow_mcp.tape.following import SLACK_MS, Following, Moment
from mmflow_mcp.tape.packing import Pack, TradePack
from mmflow_mcp.tape.telling import Teller
from mmflow_mcp.venues.feeds import FeedRule, Rows

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

STARTING, LEADER, FOLLOWER, ALONE = "starting", "leader", "follower", "alone"
HAND_OVER_SECONDS = 1.0
_NEVER = 1 << 62


class Fleet(Protocol):
    """What a shared feed is told by and tells: see `Relay`."""

    channel: Channel

    def add(self, feed: "SharedFeed") -> None:
        """It takes part from now on."""

    def remove(self, feed: "SharedFeed") -> None:
        """It takes part no more."""

    def lost(self, error: StoreError) -> None:
        """The others are out of reach."""


class RelaySink:
    """Stands before a sink: what our own socket brings is taken in, and told if we lead."""

    def __init__(self, inner: Sink) -> None:
        self.inner = inner
        self.teller: Teller | None = None
        # The socket is closed because another's has taken its place: nothing is lost.
        self.quiet = False

    def _tell(self, kind: str, *parts: Any) -> None:
        if self.teller is not None:
            self.teller.tell(kind, *parts)

    def heard(self, rows: Rows) -> None:
        """Rows of a frame."""
        self.inner.heard(rows)
        if self.teller is not None:
            self.teller.rows(rows)

    def listed(self, coins: Iterable[str]) -> None:
        """What the venue lists."""
        self.inner.listed(coins)
        self._tell("c")

    def noise(self) -> None:
        """A frame that says nothing."""
        self.inner.noise()
        self._tell("n")

    def told(self, coin: str, newest: int) -> None:
        """The id of a coin's last trade."""
        self.inner.told(coin, newest)
        self._tell("t", coin, newest)

    def subscribed(self, coins: Iterable[str]) -> None:
        """What the venue has acknowledged."""
        named = list(coins)
        self.inner.subscribed(named)
        self._tell("s", named)

    def lost(self, heard_ms: int) -> None:
        """The socket broke."""
        if not self.quiet:
            self.inner.lost(heard_ms)
            self._tell("l", heard_ms)

    def ended(self) -> None:
        """Nobody here needs the feed any more."""
        self.inner.ended()


class SharedFeed(Feed):
    """See above. `name`: the feed's in the fleet. `role`: what this replica is to it."""

    def __init__(
        self,
        rule: FeedRule,
        sink: RelaySink,
        learn: Learn,
        *,
        fleet: Fleet,
        pack: Pack,
        moment: Moment,
        apart: deque[list[int]],
        now_ms: Callable[[], int],
        **how: Any,
    ) -> None:
        super().__init__(rule, sink, learn, now_ms=now_ms, **how)
        self.name = f"{rule.venue}:{rule.channel}"
        self.role = STARTING
        self.now_ms = now_ms
        self._fleet, self._pack, self._relayed, self._apart = fleet, pack, sink, apart
        self.teller = sink.teller = Teller(self, fleet.channel, pack, fleet.lost)
        self.following = Following(self, fleet.channel, pack, sink.inner, moment)
        self._turn = anyio.Event()
        self._socket: anyio.CancelScope | None = None
        self._elsewhere = False
        self._heir = self._inheriting = False

    @property
    def holds_socket(self) -> bool:
        """Whether a socket of our own is open, or about to be."""
        return self._socket is not None

    @property
    def lag_ms(self) -> int | None:
        """How old the last entry of another was when it came here; None where none comes."""
        return self.following.lag_ms

    def ask(self) -> Ask:
        """What this replica says of the feed."""
        beat = self.teller.beat() if self.role == LEADER and self.teller.active else b""
        wants = () if self.rule.whole else tuple(self.wanted)
        return Ask(self.name, beat, wants, yields=self.barred)

    def hear(self, told: Told) -> None:
        """What the fleet says of it."""
        self._elsewhere = told.held and told.others > 0
        if told.held:
            for coin in told.wants:
                self.wanted.setdefault(coin)
            if self.role == STARTING:
                # First what a holder of before has left: that is no other replica's any more.
                self._heir = True
                self._turn.set()
            elif self.role != LEADER or not self.teller.active:
                self._lead()
            return
        if self.role != FOLLOWER:
            self._follow()
        self.following.mirror(told)
        self._turn.set()

    def leave(self) -> None:
        """The others are out of reach."""
        if self.role == ALONE:
            return
        self._step_down()
        self._elsewhere = False
        if not self._is_apart():
            self._apart.append([self.now_ms(), _NEVER])
        self._become(ALONE)

    def _lead(self) -> None:
        follows = self.role == FOLLOWER and self.following.reading and not self.holds_socket
        now = self.now_ms()
        # What our socket brought so far the others have not; the venue's clock may be ahead.
        whole = self.following.whole if follows else now + SLACK_MS
        if not follows:
            self.following.since = now
        self._step_down()
        self._become(LEADER)
        self.following.whole = whole
        self.teller.begin(whole)

    def _follow(self) -> None:
        self._step_down()
        self._become(FOLLOWER)

    def _step_down(self) -> None:
        """End what a role has begun."""
        if self.role == LEADER:
            self.following.position = self.teller.position or self.following.position
        self.teller.end()
        self.following.stop()

    def _become(self, role: str) -> None:
        if role == LEADER:
            self._end_apart()
        self.role = role
        self._turn.set()

    def _is_apart(self) -> bool:
        return bool(self._apart) and self._apart[-1][1] == _NEVER

    def _end_apart(self) -> None:
        if self._is_apart():
            self._apart[-1][1] = self.now_ms()

    def close_own(self) -> None:
        """Another's socket has taken the place of ours."""
        self._end_apart()
        if self._socket is not None:
            self._relayed.quiet = True
            self._socket.cancel()
            self._socket = None

    def take_list(self, symbols: Mapping[str, str]) -> None:
        """What the venue lists, as another was told."""
        self._take_list(symbols)

    def mirror_silence(self, seconds: float) -> None:
        """So long ago the holder of the socket has heard something."""
        self._heard = self._clock.monotonic() - seconds

    def merged(
        self, coin: str, prints: Sequence[TapePrint], reach: int | None, *, closes: bool
    ) -> None:
        """The venue's own trades were merged: so shall the others do."""
        if self.teller.active and isinstance(self._pack, TradePack):
            self.teller.tell("m", coin, self._pack.prints(prints), reach, closes)

    def gave_up(self, coins: Iterable[str]) -> None:
        """What was open has become a gap: for the others too."""
        self.teller.tell("g", list(coins))

    async def _keep(self) -> None:
        self._fleet.add(self)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.teller.run)
                while not self._stopped and not self._idle():
                    self._turn = anyio.Event()
                    self._steer(tasks)
                    with anyio.move_on_after(self._timing.tick):
                        await self._turn.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._fleet.remove(self)
            if self.role == LEADER:
                await self._hand_over()

    def _steer(self, tasks: "TaskGroup") -> None:
        if self.role == STARTING and self._heir and not self._inheriting:
            self._inheriting = True
            tasks.start_soon(self._inherit)
        elif self.role in (LEADER, ALONE) and self._socket is None:
            self._socket = anyio.CancelScope()
            self._relayed.quiet = False
            tasks.start_soon(self._hold, self._socket)
        elif self.role == FOLLOWER and self.following.due():
            self.following.joining = True
            tasks.start_soon(self._join)

    async def _hold(self, scope: anyio.CancelScope) -> None:
        with scope:
            await super()._keep()
        if self._socket is scope:
            self._socket = None
            self._turn.set()
        elif self.role == FOLLOWER and self.following.reading:
            # Closed because another's serves: the next sign of life says more.
            self.state.connected = True

    async def _join(self) -> None:
        try:
            await self.following.join()
        except StoreError as error:
            self._fleet.lost(error)

    async def _inherit(self) -> None:
        try:
            await self.following.inherit()
        except StoreError as error:
            self._fleet.lost(error)
            return
        finally:
            self._inheriting = False
        if self.role == STARTING:
            self.role = FOLLOWER
            self._lead()
        elif self.role == ALONE:
            self.following.stop()

    async def _hand_over(self) -> None:
        """Tell what still waits, and let another hold the socket at once."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(HAND_OVER_SECONDS):
            try:
                await self.teller.flush()
                await self._fleet.channel.release(self.name)
            except StoreError as error:
                self._fleet.lost(error)

    def _idle(self) -> bool:
        return not self._elsewhere and super()._idle()
