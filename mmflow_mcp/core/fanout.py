"""One question to many venues: the slow and the broken are noted, not awaited."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from mmflow_mcp.core.core import Core
from mmflow_mcp.errors import AllVenuesFailed, VenueChanged, VenueError, VenueTimeout
from mmflow_mcp.venues.ask import Ask, Miss
from mmflow_mcp.venues.base import Venue, capability_method


@dataclass(slots=True)
class Gathered:
    """What the venues answered.

    `notes` is `meta.sources`; `sources` the parts of `meta.source`; `not_listed` coin -> venues;
    `narrowed` venue -> how its universe was cut; `partial` whether something asked is missing.
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
) -> Gathered:
    """Ask every venue at once under one deadline; rows come in the order of `venues`.

    `notes` are what is already known to need attention. Raises `AllVenuesFailed` when no venue
    answered; never raises for one.
    """
    method = capability_method(capability)
    deadline = core.clock.monotonic() + core.deadline
    turns = [_cached_turn(core, venue, method, coins, deadline) for venue in venues]
    waiting = [turn for turn in turns if turn.rows is None and turn.error is None]
    if waiting:
        with anyio.move_on_after(core.deadline):
            async with anyio.create_task_group() as tasks:
                for turn in waiting:
                    tasks.start_soon(_take, turn, method)
        late = VenueTimeout(f"timeout: no answer within {core.deadline:g} s")
        for turn in waiting:
            if turn.rows is None and turn.error is None:
                turn.error = late
    return _combined(core, turns, coins, notes)


def _coins_for(venue: Venue, coins: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return venue.default_coins if coins is None else coins


def _cached_turn(
    core: Core, venue: Venue, method: str, coins: tuple[str, ...] | None, deadline: float
) -> _Turn:
    """Answer from the cache alone, without a task, when everything needed is fresh there."""
    wanted = _coins_for(venue, coins)
    ask = Ask(venue.id, core.upstream, coins=wanted, deadline=deadline, cached_only=True)
    turn = _Turn(venue, ask)
    coroutine: Coroutine[Any, Any, list[Any]] = getattr(venue, method)(ask)
    try:
        coroutine.send(None)
    except StopIteration as finished:
        turn.rows = finished.value
    except Miss:
        turn.ask = Ask(venue.id, core.upstream, coins=wanted, deadline=deadline)
    except VenueError as error:
        turn.error = error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        turn.error = _unreadable()
    else:
        # It waited for something other than the cache, which a cached-only Ask never does.
        coroutine.close()
        turn.ask = Ask(venue.id, core.upstream, coins=wanted, deadline=deadline)
    return turn


async def _take(turn: _Turn, method: str) -> None:
    try:
        turn.rows = await getattr(turn.venue, method)(turn.ask)
    except VenueError as error:
        turn.error = error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        # A shape that no parser foresaw is the venue's change, not a crash of the question.
        turn.error = _unreadable()


def _unreadable() -> VenueError:
    return VenueChanged("changed: the answer is not in the documented shape")


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
            "fetchedAt": core.clock.now_ms(),
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
        result.notes.append(
            {"source": venue, "status": error.note_status, "reason": error.reason}
        )
        result.partial = True
        return
    result.answered.append(venue)
    result.rows += turn.rows
    result.sources += [f"{venue}:{label}" for label in ask.labels]
    at = ask.read_at
    if at is not None and (result.fetched_at is None or at < result.fetched_at):
        result.fetched_at = at
    if ask.shortfalls:
        reason = "; ".join(ask.shortfalls[:3])
        if len(ask.shortfalls) > 3:
            reason += f"; and {len(ask.shortfalls) - 3} more"
        result.notes.append({"source": venue, "status": "error", "reason": reason})
        result.partial = True
    if ask.stale is not None:
        reason, age = ask.stale
        result.notes.append(
            {"source": venue, "status": "stale", "reason": reason, "ageMs": age}
        )
    if ask.narrowed and coins is None:
        result.narrowed[venue] = ask.narrowed
    result.universe.update(ask.universe)
    _note_unlisted(result.not_listed, venue, ask, coins)


def _note_unlisted(
    not_listed: dict[str, list[str]],
    venue: str,
    ask: Ask,
    coins: tuple[str, ...] | None,
) -> None:
    for coin in coins or ():
        if coin not in ask.universe and coin not in ask.unreadable:
            not_listed.setdefault(coin, []).append(venue)
