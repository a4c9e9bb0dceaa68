"""The cache that replicas share: one flight per question in the whole fleet.

It lies below the memory of each replica and above all that asks venues. What is not fresh in
memory is looked for in the server in one round trip: a copy, or the lease to fly, or the token of
who flies. Whoever waits is told when that flight ends; when its lease ends first (its replica was
killed, or cannot be reached), another takes over. Without the server each replica flies alone.

    mmflow:wire:FORMAT:SPACE:copy:QUESTION       a parcel, gone when nobody may want it any more
    mmflow:wire:FORMAT:SPACE:lease:QUESTION      the token of who flies
    mmflow:wire:FORMAT:SPACE:failed:TOKEN        what a flight failed with, for who waited for it
    mmflow:wire:FORMAT:SPACE:told:DATABASE       the channel on which the ends of flights are told

SPACE is the kind of source, so that kinds never mix; FORMAT changes with the form of a parcel.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx2
import pydantic_core

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreError, VenueError, VenueTimeout
from mmflow_mcp.fleet.link import LEASE_MS, Link
from mmflow_mcp.upstream.answers import BESIDE, LARGE, decoded, examine, wire_of
from mmflow_mcp.upstream.fleet_question import MOST_LISTED, Question
from mmflow_mcp.upstream.fleet_scripts import END, KEEP, LOOK
from mmflow_mcp.upstream.parcel import Parcel, pack, unpack
from mmflow_mcp.upstream.told_failures import read, written
from mmflow_mcp.upstream.wire import ROOM, Call, Wire, time_left

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

FORMAT = 1
# Seconds between two looks while waiting, should what was told have been lost on the way.
LOOK_AGAIN = 0.3
# Clocks of two machines that are no further apart agree.
AGREE_MS = 2_000
# Milliseconds for which a failure can be read by who missed the message.
FAILED_MS = 3_000


@dataclass(frozen=True, slots=True)
class Flown:
    """What another replica's flight came to, which took so many seconds.

    `weight` is what it spent at the host, 0 when that was not asked. `error` is what it failed
    with, if that says something of the venue.
    """

    host: str
    weight: float
    seconds: float
    error: VenueError | None
    answered: bool


class _Ear:
    """Hears what is told of one question."""

    __slots__ = ("event", "told")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.told: dict[str, Any] = {}

    def clear(self) -> None:
        self.event = anyio.Event()
        self.told = {}


class _Flight:
    """A flight of this replica for the whole fleet.

    `server_ms` is the server's time when the lease was taken, `began` ours when that was known.
    """

    __slots__ = ("began", "question", "server_ms", "token")

    def __init__(self, question: Question, token: str, server_ms: int, began: float) -> None:
        self.question = question
        self.token = token
        self.server_ms = server_ms
        self.began = began


class FleetCacheTransport(httpx2.AsyncBaseTransport):
    """Answers with a copy of another replica's, waits for its flight, or flies for all.

    An answer carries its `Wire`, examined, in `extensions["wire"]`; its `read` is the moment of
    reading on this replica's clock. `attempt_seconds` is how long an attempt may take that is not
    cut short by its asker; `learn` is told what flights of others came to.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        link: Link,
        *,
        space: str,
        clock: Clock,
        tasks: "TaskGroup",
        attempt_seconds: float,
        learn: Callable[[Flown], None] | None = None,
    ) -> None:
        self._inner = inner
        self._link = link
        self._clock = clock
        self._tasks = tasks
        self._attempt_seconds = attempt_seconds
        self._learn = learn
        self._under = f"mmflow:wire:{FORMAT}:{space}:"
        # Channels are shared by all databases of a server.
        self._channel = f"{self._under}told:{link.name.rpartition('/')[2]}"
        self._replica = secrets.token_hex(8)
        self._numbers = count(1)
        self._ears: dict[str, set[_Ear]] = defaultdict(set)
        link.hear(self._channel, self._told)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serve one request; see the class. Sockets pass through."""
        call = request.extensions.get("call")
        if isinstance(call, Call) and self._link.together:
            self._link.asks += 1
            try:
                found = await self._find(Question(self._under, call), request)
            except StoreError:
                # Lost while it was asked: this question goes on alone, like those to come.
                found = None
            if isinstance(found, _Flight):
                return await self._fly(found, request)
            if found is not None:
                self._link.hits += 1
                return found
        return await self._inner.handle_async_request(request)

    async def _find(
        self, question: Question, request: httpx2.Request
    ) -> "httpx2.Response | _Flight | None":
        """A copy, or the flight that is ours to make; None: ask without the others.

        Raises what the flight failed with that was waited for, and `StoreError`.
        """
        began = self._clock.monotonic()
        token, awaited = f"{self._replica}.{next(self._numbers)}", ""
        fresh = question.call.fresh
        with self._listening(question.name) as ear:
            while True:
                ear.clear()
                asked = self._clock.monotonic()
                said, *more = await self._look(question, fresh, token, awaited)
                if said == b"fly":
                    self._link.holds[question.lease] = token
                    return _Flight(question, token, int(more[0]), self._clock.monotonic())
                if said == b"copy":
                    response = await self._opened(question, more, asked)
                    if response is not None:
                        return response
                    # It cannot be read, so it is fetched anew, which replaces it.
                    fresh = -1.0
                elif said == b"failed":
                    _raise(_json(more[0]))
                    awaited = ""
                else:
                    awaited, fresh = more[0].decode("utf-8", "replace"), question.call.fresh
                    told = await self._wait(ear, request, began, more[1] / 1000)
                    if told.get("token") == awaited:
                        _raise(told.get("error"))
                        if told.get("end") == "large":
                            return None

    async def _look(self, question: Question, fresh: float, token: str, awaited: str) -> list[Any]:
        """The server's answer to `LOOK`."""
        keys = [question.copy, question.lease, question.failed(awaited)]
        fresh_ms = round(1000 * min(fresh, MOST_LISTED))
        try:
            answer: list[Any] = await self._link.ask(
                LOOK, keys, [fresh_ms, token, LEASE_MS, awaited]
            )
        except StoreError:
            raise
        except BaseException:
            # Cancelled while it was under way: should the lease have become ours, others may fly.
            flight = _Flight(question, token, 0, self._clock.monotonic())
            with anyio.CancelScope(shield=True):
                await self._end(flight, None, None)
            raise
        return answer

    async def _wait(
        self, ear: _Ear, request: httpx2.Request, began: float, leased: float
    ) -> dict[str, Any]:
        """What is told of the question, or nothing when it is time to look again."""
        left = time_left(request, self._clock)
        left -= min(ROOM, left / 10)
        if left <= 0:
            seconds = self._clock.monotonic() - began
            raise VenueTimeout(f"timeout: no answer within {seconds:.1f} s")
        with anyio.move_on_after(min(left, LOOK_AGAIN, max(leased, 0.0) + 0.025)):
            await ear.event.wait()
        return ear.told

    async def _opened(
        self, question: Question, copy: list[Any], asked: float
    ) -> httpx2.Response | None:
        """A copy as an answer; None when it is damaged or not what the call expects."""
        now_ms, blob = copy
        if len(blob) > LARGE:
            parcel = await anyio.to_thread.run_sync(unpack, question.identity, blob)
        else:
            parcel = unpack(question.identity, blob)
        if parcel is None:
            return None
        # Counted from before the server was asked: no copy passes for younger than it is.
        age = (int(now_ms) - parcel.read_ms) / 1000
        read_at = asked - age
        try:
            wire = Wire(
                decoded(parcel.body, question.call.form),
                fetched_at=self._moment(parcel.fetched_at, asked, age),
                read=read_at,
                size=len(parcel.body) + BESIDE,
            )
            await examine(wire, question.call)
        except VenueError:
            return None
        return httpx2.Response(200, content=parcel.body, extensions={"wire": wire})

    def _moment(self, fetched_at: int, asked: float, age: float) -> int:
        """When it was read, epoch ms of our own clock; it was so old when the server answered.

        The reader's word for it is taken when the clocks agree, so that replicas say the same.
        """
        now = self._clock.now_ms()
        latest = now - round(1000 * age)
        earliest = latest - round(1000 * (self._clock.monotonic() - asked))
        if earliest - AGREE_MS <= fetched_at <= latest + AGREE_MS:
            return min(fetched_at, now)
        return earliest

    async def _fly(self, flight: _Flight, request: httpx2.Request) -> httpx2.Response:
        """Ask for the whole fleet. However it ends, who waits is told, or another takes over."""
        try:
            response = await self._inner.handle_async_request(request)
            wire = await wire_of(response, flight.question.call, self._clock)
        except VenueError as error:
            await self._end(flight, request, error)
            raise
        except BaseException:
            # Nobody waits here any more, or the app ends: others may.
            with anyio.CancelScope(shield=True):
                await self._end(flight, request, None)
            raise
        response.extensions["wire"] = wire
        # Its askers need not wait until it is kept.
        self._tasks.start_soon(self._keep, flight, wire, response.content, name="share an answer")
        return response

    async def _keep(self, flight: _Flight, wire: Wire, body: bytes) -> None:
        """Put a good answer where the others find it, and tell them."""
        question, seconds = flight.question, wire.read - flight.began
        read_ms = flight.server_ms + round(1000 * seconds)
        parcel = Parcel(body, read_ms, wire.fetched_at)
        try:
            if len(body) > LARGE:
                blob = await anyio.to_thread.run_sync(pack, question.identity, parcel)
            else:
                blob = pack(question.identity, parcel)
            if blob is None:
                await self._tell_end(flight, self._news(flight, "large", seconds))
                return
            news = self._news(flight, "kept", seconds)
            words = [blob, question.keep_ms, flight.token, self._channel, news]
            await self._link.ask(KEEP, [question.copy, question.lease], words, insists=True)
        except StoreError:
            # The answer is here. The lease ends by itself, and another takes over.
            return
        finally:
            self._link.let_go(question.lease, flight.token)

    async def _end(
        self, flight: _Flight, request: httpx2.Request | None, error: VenueError | None
    ) -> None:
        """Tell what a flight failed with; where that says nothing of the venue, hand it over."""
        seconds = self._clock.monotonic() - flight.began
        sent = request is not None and "sent_at" in request.extensions
        # A flight that its own asker's deadline has cut short is no failure for the others.
        cut = isinstance(error, VenueTimeout) and seconds < 0.9 * self._attempt_seconds
        told = written(error) if error is not None and sent and not cut else None
        end = "handed" if told is None else "failed"
        self._link.let_go(flight.question.lease, flight.token)
        # Should it not be told, the lease ends by itself.
        with suppress(StoreError):
            news = self._news(flight, end, seconds, told, sent=sent)
            await self._tell_end(flight, news, told)

    async def _tell_end(
        self, flight: _Flight, news: bytes, failed: dict[str, Any] | None = None
    ) -> None:
        question = flight.question
        said = b"" if failed is None else pydantic_core.to_json(failed)
        words = [flight.token, self._channel, news, said, FAILED_MS]
        keys = [question.lease, question.failed(flight.token)]
        await self._link.ask(END, keys, words, insists=True)

    def _news(
        self,
        flight: _Flight,
        end: str,
        seconds: float,
        error: dict[str, Any] | None = None,
        *,
        sent: bool = True,
    ) -> bytes:
        call = flight.question.call
        news = {
            "question": flight.question.name,
            "token": flight.token,
            "end": end,
            "host": call.host,
            "weight": float(call.weight) if sent else 0.0,
            "seconds": float(seconds),
            "error": error,
        }
        return pydantic_core.to_json(news)

    @contextmanager
    def _listening(self, name: str) -> Iterator[_Ear]:
        ear = _Ear()
        self._ears[name].add(ear)
        try:
            yield ear
        finally:
            self._ears[name].discard(ear)
            if not self._ears[name]:
                del self._ears[name]

    def _told(self, message: bytes) -> None:
        """Another replica's flight has ended, or one of ours."""
        news = _json(message)
        if not isinstance(news, dict):
            return
        for ear in self._ears.get(str(news.get("question")), ()):
            ear.told = news
            ear.event.set()
        if str(news.get("token")).startswith(f"{self._replica}."):
            return
        flown = _flown(news)
        if self._learn is not None and flown is not None:
            self._learn(flown)

    async def aclose(self) -> None:
        """Close what lies below, and the link."""
        await self._inner.aclose()
        await self._link.close()


def _raise(told: Any) -> None:
    """Raise the failure that was told, if it is one."""
    error = read(told) if told else None
    if error is not None:
        raise error


def _flown(news: dict[str, Any]) -> Flown | None:
    """What another's flight came to; None for a message that does not say it."""
    host, weight, seconds = (news.get(key) for key in ("host", "weight", "seconds"))
    if not (isinstance(host, str) and isinstance(weight, float) and isinstance(seconds, float)):
        return None
    answered = news.get("end") in {"kept", "large"}
    return Flown(host, max(0.0, weight), max(0.0, seconds), read(news.get("error")), answered)


def _json(text: bytes) -> Any:
    """A document, None for what is none."""
    try:
        return pydantic_core.from_json(text)
    except ValueError:
        return None
