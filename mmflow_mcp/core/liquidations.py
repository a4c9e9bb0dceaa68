"""Liquidations from both sides: what the venues answer to requests, and what their feeds told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmflow_mcp.analytics.liquidations import joined
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.tape.hub import LIQUIDATIONS
from mmflow_mcp.tape.readings import Closed, liquidations_of, need_liquidations
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import LiquidationFeed, Liquidations

SOURCES = (Liquidations, LiquidationFeed)
# An answer from feeds is as good as new for so long, seconds.
FRESH = 1.0
# A feed that has listened for less, and heard nothing, has not measured that there was nothing.
BEGUN_MS = 180_000
_BEGUN = "missing: the live feed has just begun, and the venue tells no earlier ones"


@dataclass(slots=True)
class Heard:
    """What was gathered. `bounds`: by venue why its records are fewer than there were."""

    found: Gathered
    bounds: dict[str, str] = field(default_factory=dict)


async def gather_liquidations(
    core: Core, venues: Sequence[Venue], coins: tuple[str, ...], notes: Sequence[dict[str, Any]]
) -> Heard:
    """The tapes of coins on these venues. Starts their feeds and does not wait for them.

    Raises `AllVenuesFailed` when there is nothing of any venue and one of them has failed.
    """
    # Recordings hold no feed: there, a venue is what it answers.
    live = [
        venue.id
        for venue in venues
        if core.upstream.kind != "replay" and venue.id in core.tape.able(LIQUIDATIONS)
    ]
    for venue in live:
        need_liquidations(core.tape, venue)
    found, failure = await _ask(core, venues, coins, notes)
    heard = Heard(found)
    for venue in live:
        _add(core, heard, venue, coins)
    failed = failure is not None or any(note["status"] == "error" for note in found.notes)
    if failed and not found.answered and not found.rows:
        meta = {"partial": True, "sources": found.notes}
        raise AllVenuesFailed(found.notes, failure.meta | meta if failure else meta)
    if live:
        found.until = min(found.until, core.clock.monotonic() + FRESH)
    return heard


async def _ask(
    core: Core, venues: Sequence[Venue], coins: tuple[str, ...], notes: Sequence[dict[str, Any]]
) -> tuple[Gathered, AllVenuesFailed | None]:
    """What the venues answer; their failure is no end while a feed may have something."""
    able = [venue for venue in venues if isinstance(venue, Liquidations)]
    try:
        return await gather(core, Liquidations, able, coins, notes=notes), None
    except AllVenuesFailed as error:
        return Gathered(notes=error.sources, partial=True, until=0.0), error


def _add(core: Core, heard: Heard, venue: str, coins: tuple[str, ...]) -> None:
    """Add what a feed told to what was asked, and say what is missing."""
    found, rule = heard.found, core.tape.closing_rule(venue)
    closed = _measured(liquidations_of(core.tape, venue, coins))
    if rule.bound is not None:
        heard.bounds[venue] = rule.bound
    rest = {tape.coin: tape for tape in found.rows if tape.venue == venue}
    requests = venue in found.answered
    for coin, tape in closed.tapes.items():
        if coin in rest:
            found.rows[found.rows.index(rest[coin])] = joined(
                rest[coin], tape, same_keys=rule.same_keys
            )
        else:
            found.rows.append(tape)
    if closed.tapes:
        _name_source(core, found, venue)
    if not requests:
        _judge(found, venue, closed, coins)
    _note(found, venue, closed, coins, requests=requests)


def _measured(closed: Closed) -> Closed:
    """Without the tapes of which nothing was heard in the first minutes: those are no zeros yet."""
    tapes = {
        coin: tape
        for coin, tape in closed.tapes.items()
        if tape.prints or tape.fetched_at - tape.since_ms >= BEGUN_MS
    }
    return replace(closed, tapes=tapes)


def _name_source(core: Core, found: Gathered, venue: str) -> None:
    kind = core.upstream.kind
    prefix = "" if kind == "live" or found.sources else f"{kind}:"
    found.sources.append(f"{prefix}{venue}:{LIQUIDATIONS}")
    if found.fetched_at is None:
        found.fetched_at = core.tape.now_ms()


def _judge(found: Gathered, venue: str, closed: Closed, coins: tuple[str, ...]) -> None:
    """What a venue lists and what not, where only its feed tells."""
    if closed.universe is None:
        return
    # Of what it lists and was not heard of yet, it has answered nothing.
    if closed.tapes or not closed.universe.intersection(coins):
        found.answered.append(venue)
    found.universe |= closed.universe
    for coin in coins:
        if coin not in closed.universe:
            found.not_listed.setdefault(coin, []).append(venue)


def _note(
    found: Gathered, venue: str, closed: Closed, coins: tuple[str, ...], *, requests: bool
) -> None:
    """Say why a feed tells less than all."""
    if closed.unread:
        reason = f"changed: {closed.unread} rows or frames of the feed could not be read"
        _say(found, venue, "error", reason)
    lacking = [
        coin
        for coin in coins
        if coin not in closed.tapes and (closed.universe is None or coin in closed.universe)
    ]
    if closed.reason is not None and (lacking or not requests):
        _say(found, venue, "error", f"{closed.reason} (live feed)")
    elif lacking and not requests:
        named = "" if len(lacking) == len(coins) else f" ({', '.join(lacking)})"
        _say(found, venue, "missing", f"{_BEGUN}{named}")


def _say(found: Gathered, venue: str, status: str, reason: str) -> None:
    found.notes.append({"source": venue, "status": status, "reason": reason})
    found.partial = True
