"""The link of a replica to the others: a server that is asked in batches and listened to.

It has a circuit of its own. The first failure opens it: from then on every question goes on alone
at once, until the server is heard again in the background.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreAway, StoreError
from mmflow_mcp.fleet.lease import RENEW
from mmflow_mcp.fleet.redis import RedisServer, lacks_script

log = logging.getLogger("mmflow_mcp")

T = TypeVar("T")
# What the server is called where its address is nobody's business.
SHARED = "the fleet's server"
Told = Callable[[bytes], None]

# No question waits longer for the server; to get to it anew, the background may take so long.
PATIENCE_SECONDS = 0.25
REACH_SECONDS = 1.0
SLICES = 20
RETRY_SECONDS = 1.0
# How often leases are renewed, and the server is asked whether it is there when nobody else asks.
BEAT_SECONDS = 0.4
# What is written to know whether the server takes anything: one that only answers is no help.
_SIGN, _SIGN_MS = "mmflow:link", 5_000
LEASE_MS = 2_000
# What is asked meanwhile goes in one round trip: each alone costs four times the work.
AT_ONCE = 64


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Bound a block in time that this process had: raises `TimeoutError` after so many seconds.

    They pass in slices, each only after what was to be done has been done. So a process that
    stands still, or is busy, does not take an answer that has long arrived for one that is late.
    """
    # The client library runs on asyncio, so this does.
    loop, scope, left = asyncio.get_running_loop(), anyio.CancelScope(), SLICES
    timer: asyncio.TimerHandle

    def pass_on() -> None:
        nonlocal left, timer
        left -= 1
        if left:
            timer = loop.call_later(seconds / SLICES, pass_on)
        else:
            scope.cancel()

    timer = loop.call_later(seconds / SLICES, pass_on)
    try:
        with scope:
            yield
    finally:
        timer.cancel()
    if scope.cancelled_caught:
        raise TimeoutError


class Script:
    """A script of the server's, called by the digest of its text."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_RENEW = Script(RENEW)


class _Asked:
    """A call of a script that waits for its answer."""

    __slots__ = ("answer", "done", "error", "insists", "script", "words")

    def __init__(self, script: Script, words: list[Any], *, insists: bool = False) -> None:
        self.script = script
        self.insists = insists
        self.words = words
        self.done = False
        self.answer: Any = None
        self.error: StoreError | None = None


class Link:
    """Asks the server, hears what other replicas tell, and knows whether there is a fleet.

    `reason` is the sentence of why this replica is alone, None while it is not; `since` when that
    began (epoch ms). `asks` counts what the server was asked by its users, `hits` what another
    replica had answered. `holds` are leases (key to token) to be renewed while they stand there.
    `hears` is whether what others tell comes through at this moment.
    """

    def __init__(self, server: RedisServer, clock: Clock, *, patience: float | None = None) -> None:
        self.name = server.name
        self.reason: str | None = None
        self.since = clock.now_ms()
        self.asks = 0
        self.hits = 0
        self.holds: dict[str, str] = {}
        self.hears = False
        self._server = server
        self._clock = clock
        self._patience = PATIENCE_SECONDS if patience is None else patience
        self._channels: dict[bytes, Told] = {}
        self._listeners: list[Callable[[], None]] = []
        self._waiting: list[_Asked] = []
        self._turn = anyio.Lock()
        self._late = False
        self._away = False

    @property
    def gone(self) -> str | None:
        """Why the server need not be tried by others; None while it can at least be read."""
        return self.reason if self._away else None

    @property
    def together(self) -> bool:
        """Whether the other replicas can be reached, as far as is known."""
        return self.reason is None

    @property
    def state(self) -> str:
        """`together` or `alone`."""
        return "together" if self.together else "alone"

    def hear(self, channel: str, told: Told) -> None:
        """Call `told` with every message of a channel; to be said before `run`."""
        self._channels[channel.encode()] = told

    def on_turn(self, told: Callable[[], None]) -> None:
        """Call `told` whenever the state turns."""
        self._listeners.append(told)

    def let_go(self, lease: str, token: str) -> None:
        """Renew a lease no more, if it is still held with this token."""
        if self.holds.get(lease) == token:
            del self.holds[lease]

    async def ask(
        self, script: Script, keys: Sequence[str], words: Sequence[Any], *, insists: bool = False
    ) -> Any:
        """What a script answers. Raises `StoreError`, at once while alone.

        Who `insists` is asked for also while the server is late. Who is cancelled while its batch
        is under way waits for that: others are in it.
        """
        if self.reason is not None or (self._late and not insists):
            raise self._alone()
        one = _Asked(script, [len(keys), *keys, *words], insists=insists)
        self._waiting.append(one)
        try:
            async with self._turn:
                while not one.done:
                    with anyio.CancelScope(shield=True):
                        await self._send()
        finally:
            if one in self._waiting:
                self._waiting.remove(one)
        if one.error is not None:
            raise one.error
        return one.answer

    def _alone(self) -> StoreError:
        return StoreAway(self.reason or f"{self.name} is slow")

    async def _send(self) -> None:
        """Ask what waits first. When that fails it has failed for all of it."""
        batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        if self.reason is not None or self._late:
            for one in batch:
                if self.reason is not None or not one.insists:
                    one.error, one.done = self._alone(), True
            batch = [one for one in batch if not one.done]
        if not batch:
            return
        try:
            answers = await self._reached(lambda client: _run(client, batch), self._patience)
        except StoreError as error:
            for one in batch:
                one.error, one.done = type(error)(*error.args), True
            return
        for one, answer in zip(batch, answers, strict=True):
            one.answer, one.done = answer, True

    async def _reached(self, act: Callable[[Any], Awaitable[T]], seconds: float) -> T:
        """Do something with the server within some seconds; a failure opens the circuit.

        One that is late for a question does not yet: all go on alone until the next beat.
        """
        try:
            with patience(seconds), self._server.reached() as client:
                return await act(client)
        except TimeoutError:
            late = StoreAway(f"{self.name} does not answer in time")
            if seconds < REACH_SECONDS:
                # It may be busy for a moment: the next beat will tell. Till then nobody waits.
                self._late = True
            else:
                self._lost(late)
            raise late from None
        except StoreError as error:
            self._lost(error)
            raise
        except Exception as error:
            # A fault inside the client library must not end the app, whose task this may be.
            log.exception("the client library of %s failed", self.name)
            lost = StoreAway(f"{self.name} failed: {type(error).__name__}")
            self._lost(lost)
            raise lost from error

    async def run(self) -> None:
        """Listen, renew and heal, for as long as the app runs."""
        while True:
            with suppress(StoreError):
                await self._listen()
            await anyio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        """Hear the channels until the circuit opens."""
        line = await self._reached(self._open_line, REACH_SECONDS)
        self._late = False
        try:
            self._found()
            self.hears = True
            beat = anyio.current_time() + BEAT_SECONDS
            while self.together:
                left = max(0.001, beat - anyio.current_time())
                message = await self._reached(
                    lambda _, left=left: line.get_message(timeout=left),  # type: ignore[misc]
                    BEAT_SECONDS + REACH_SECONDS,
                )
                if message is not None and message["type"] == "message":
                    self._channels[message["channel"]](message["data"])
                if anyio.current_time() >= beat:
                    await self._beat()
                    beat = anyio.current_time() + BEAT_SECONDS
        finally:
            self.hears = False
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._patience):
                await line.aclose()

    async def _open_line(self, client: Any) -> Any:
        await _sign(client)
        line = client.pubsub()
        if self._channels:
            await line.subscribe(*self._channels)
        return line

    async def _beat(self) -> None:
        """Ask whether it takes something, and renew what is held; what is not ours is let go."""
        held = list(self.holds.items())
        words = [_Asked(_RENEW, [1, lease, token, LEASE_MS]) for lease, token in held]

        async def beat(client: Any) -> list[Any]:
            await _sign(client)
            return await _run(client, words) if words else []

        kept = await self._reached(beat, REACH_SECONDS)
        self._late = False
        for (lease, token), still in zip(held, kept, strict=True):
            if not still:
                self.let_go(lease, token)

    def _lost(self, error: StoreError) -> None:
        self._away = isinstance(error, StoreAway)
        if self.reason is None:
            log.warning("this replica is on its own: %s", error)
            # Callers read the reason: where the server lies is nothing to them.
            self._turn_to(str(error).replace(self.name, SHARED))

    def _found(self) -> None:
        if self.reason is not None:
            log.warning("this replica is one of a fleet again: %s", self.name)
            self._turn_to(None)

    def _turn_to(self, reason: str | None) -> None:
        self.reason = reason
        self.since = self._clock.now_ms()
        for told in self._listeners:
            told()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()


async def _sign(client: Any) -> None:
    """Write something. Full or read-only, a server still answers PING."""
    await client.set(_SIGN, b"", px=_SIGN_MS)


async def _run(client: Any, batch: Sequence[_Asked]) -> list[Any]:
    """Run scripts in one round trip; those that the server does not know yet, in a second one."""
    pipe = client.pipeline(transaction=False)
    for one in batch:
        pipe.evalsha(one.script.sha, *one.words)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    unknown = [i for i, answer in enumerate(answers) if lacks_script(answer)]
    if unknown:
        pipe = client.pipeline(transaction=False)
        for i in unknown:
            pipe.eval(batch[i].script.text, *batch[i].words)
        again = await pipe.execute(raise_on_error=False)
        for i, answer in zip(unknown, again, strict=True):
            answers[i] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
