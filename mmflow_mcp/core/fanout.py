"""One question to many venues: the slow and the broken are noted, not awaited."""

import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

from mmflow_mcp.core.core import Core
from mmflow_mcp.errors import AllVenuesFailed, VenueChanged, VenueError, VenueTimeout
from mmflow_mcp.upstream.wire import ROOM
from mmflow_mcp.venues.ask import Ask, Miss
from mmflow_mcp.venues.base import Venue, capability_method

log = logging.getLogger("mmflow_mcp")


class Progress:
    """How far one question is. Its parts announce their steps: what is told never steps back."""

    def __init__(self, tell: Callable[[int, int, str], Awaitable[None]]) -> None:
        self._tell = tell
        self._done = self._total = 0

    def part(self, total: int, done: int = 0) -> Callable[[str], Awaitable[None]]:
        """A part of so many steps, some of them done already; what is returned tells each other."""
        self._total += total
        self._done += done

        async def step(words: str) -> None:
            self._done += 1
            await self._tell(self._done, self._total, words)

        return step


# Set by a face for one question, where its caller wants to know.
PROGRESS: ContextVar[Progress | None] = ContextVar("progress", default=None)
# The venues that one question has asked, where a face wants to know; set as above.
ASKED: ContextVar[set[str] | None] = ContextVar("asked", default=None)

# How a parser fails on a shape that it did not foresee.
SURPRISES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(slots=True)
class Gathered:
    """What the venues answered.

    `notes` is `meta.sources`; `sources` the parts of `meta.source`; `not_listed` coin -> venues;
    `narrowed` venue -> how its universe was cut; `partial` whether something asked is missing;
    `until` how long the same question has the same answer (monotonic), 0 when a venue failed.
    """

    rows: list[Any] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    fetched_at: int | None = None
    partial: bool = False
    not_listed: dict[str, list[str]] = field(default_factory=dict)
    narrowed: dict[str, str] = field(default_factory=dict)
    universe: set[str] = field(default_factory=set)
    answered: list[str] = field(default_factory=list)
    until: float = math.inf


@dataclass(slots=True)
class _Turn:
    """One venue's turn in a question."""

    venue: Venue
    ask: Ask
    rows: list[Any] | None = None
    error: VenueError | None = None


async def gather(
    core: Core,
    capability: type,
    venues: Sequence[Venue],
    coins: tuple[str, ...] | None,
    *,
    notes: Sequence[dict[str, Any]] = (),
    options: Mapping[str, Any] | None = None,
    whole: bool = False,
) -> Gathered:
    """Ask every venue at once under one deadline; rows come in the order of `venues`.

    `notes` are what is already known to need attention; `options` what else the question says
    (`Ask.options`); `whole` asks for all that is listed even where a venue answers for less by
    default. Raises `AllVenuesFailed` when no venue answered; never raises for one.
    """
    if (asked := ASKED.get()) is not None:
        asked.update(venue.id for venue in venues)
    method = capability_method(capability)
    deadline = core.clock.monotonic() + core.deadline

    def new_ask(venue: Venue, *, cached_only: bool) -> Ask:
        return Ask(
            venue.id,
            core.upstream,
            coins=venue.default_coins if coins is None and not whole else coins,
            deadline=deadline,
            cached_only=cached_only,
            options=options,
            off=core.venues_off,
        )

    turns = [_cached_turn(new_ask, venue, method) for venue in venues]
    waiting = [turn for turn in turns if turn.rows is None and turn.error is None]
    if waiting:
        tell = _teller(len(venues), len(venues) - len(waiting))
        with anyio.move_on_after(core.deadline):
            async with anyio.create_task_group() as tasks:
                for turn in waiting:
                    tasks.start_soon(_take, core, turn, method, deadline, tell)
        for turn in waiting:
            if turn.rows is None and turn.error is None:
                turn.error = _late(core)
    return _combined(core, turns, coins, notes)


def _cached_turn(new_ask: Callable[..., Ask], venue: Venue, method: str) -> _Turn:
    """Answer from the cache alone, without a task, when everything needed is fresh there."""
    ask = new_ask(venue, cached_only=True)
    turn = _Turn(venue, ask)
    coroutine: Coroutine[Any, Any, list[Any]] = getattr(venue, method)(ask)
    try:
        coroutine.send(None)
    except StopIteration as finished:
        turn.rows = finished.value
    except Miss:
        turn.ask = new_ask(venue, cached_only=False)
    except VenueError as error:
        turn.error = error
    except SURPRISES as error:
        turn.error = _unreadable(venue, error)
    else:
        # It waited for something other than the cache, which a cached-only Ask never does.
        coroutine.close()
        turn.ask = new_ask(venue, cached_only=False)
    return turn


async def _take(
    core: Core,
    turn: _Turn,
    method: str,
    deadline: float,
    tell: Callable[[str], Awaitable[None]] | None,
) -> None:
    try:
        turn.rows = await getattr(turn.venue, method)(turn.ask)
    except VenueError as error:
        # An attempt ends a moment before the question does: what was too short is the question.
        over = deadline - core.clock.monotonic() <= ROOM
        turn.error = _late(core) if over and isinstance(error, VenueTimeout) else error
    except SURPRISES as error:
        # A shape that no parser foresaw is the venue's change, not a crash of the question.
        turn.error = _unreadable(turn.venue, error)
    if tell is not None:
        await tell(f"{turn.venue.id} is done")


def _late(core: Core) -> VenueError:
    return VenueTimeout(f"timeout: no answer within {core.deadline:g} s")


def _teller(total: int, done: int) -> Callable[[str], Awaitable[None]] | None:
    """What counts the venues that have answered, where somebody wants to know."""
    progress = PROGRESS.get()
    return None if progress is None else progress.part(total, done)


def _unreadable(venue: Venue, error: Exception) -> VenueError:
    said = {"venue": venue.id}
    log.info("an answer of %(venue)s could not be read", said, exc_info=error, extra=said)
    kind = type(error).__name__
    return VenueChanged(f"changed: the answer is not in the documented shape ({kind})")


def _combined(
    core: Core,
    turns: Sequence[_Turn],
    coins: tuple[str, ...] | None,
    notes: Sequence[dict[str, Any]],
) -> Gathered:
    result = Gathered(notes=list(notes))
    for turn in turns:
        _add(result, turn, coins)
    prefix = "" if core.upstream.kind == "live" else f"{core.upstream.kind}:"
    if result.sources:
        result.sources[0] = prefix + result.sources[0]
    if turns and not result.answered:
        meta = {
            "fetchedAt": result.fetched_at or core.clock.now_ms(),
            "source": prefix + "+".join(turn.venue.id for turn in turns),
            "partial": True,
            "sources": result.notes,
        }
        raise AllVenuesFailed(result.notes, meta)
    return result


def _add(result: Gathered, turn: _Turn, coins: tuple[str, ...] | None) -> None:
    venue, ask = turn.venue.id, turn.ask
    if turn.error is not None or turn.rows is None:
        error = turn.error or VenueTimeout("timeout: no answer")
        result.notes.append({"source": venue, "status": error.note_status, "reason": error.reason})
        result.partial = True
        result.until = 0.0
        return
    result.until = min(result.until, ask.until)
    _note_lost(turn, coins)
    if turn.rows or not _failed_whole(ask, coins):
        result.answered.append(venue)
        result.sources += [f"{venue}:{label}" for label in ask.labels]
    result.rows += turn.rows
    at = ask.read_at
    if at is not None and (result.fetched_at is None or at < result.fetched_at):
        result.fetched_at = at
    if ask.shortfalls:
        reason = "; ".join(ask.shortfalls[:3])
        if len(ask.shortfalls) > 3:
            reason += f"; and {len(ask.shortfalls) - 3} more"
        status = "missing" if reason.startswith(("unrecorded", "missing")) else "error"
        result.notes.append({"source": venue, "status": status, "reason": reason})
        result.partial = True
    if ask.stale is not None:
        reason, age = ask.stale
        result.notes.append({"source": venue, "status": "stale", "reason": reason, "ageMs": age})
    narrowed = ask.narrowed or ", ".join(ask.coins or ())
    if coins is None and narrowed:
        result.narrowed[venue] = narrowed
    result.universe.update(ask.universe)
    _note_unlisted(result.not_listed, venue, ask, coins)


def _note_lost(turn: _Turn, coins: tuple[str, ...] | None) -> None:
    """An answer without the coins that a venue lists without doubt has lost rows: say so."""
    ask = turn.ask
    if coins is None and not turn.rows and not ask.shortfalls:
        ask.short("changed: the venue lists nothing")
    if coins is None and not ask.universe:
        return
    wanted = turn.venue.always if coins is None else coins
    for coin in wanted:
        if coin in turn.venue.always and not _listed(ask, coin):
            ask.short(f"changed: {coin} is missing from what the venue lists", coin=coin)


def _failed_whole(ask: Ask, coins: tuple[str, ...] | None) -> bool:
    """Whether a venue without a row has failed, rather than not listing what was asked."""
    if not ask.shortfalls:
        return False
    return coins is None or any(_listed(ask, coin) for coin in coins)


def _listed(ask: Ask, coin: str) -> bool:
    return coin in ask.universe or coin in ask.unreadable


def _note_unlisted(
    not_listed: dict[str, list[str]],
    venue: str,
    ask: Ask,
    coins: tuple[str, ...] | None,
) -> None:
    for coin in coins or ():
        if not _listed(ask, coin):
            not_listed.setdefault(coin, []).append(venue)
