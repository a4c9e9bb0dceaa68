"""From a query's venues and coins to a fan-out, and from its result to `meta`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.errors import BadQuestion, NothingImplemented, VenueClosed
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue

# Names that are asked for as if they were tickers: a hint only, for some are tickers of others.
NAMES = {
    "BITCOIN": "BTC",
    "ETHEREUM": "ETH",
    "ETHER": "ETH",
    "SOLANA": "SOL",
    "RIPPLE": "XRP",
    "DOGECOIN": "DOGE",
    "CARDANO": "ADA",
    "HYPERLIQUID": "HYPE",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The venues that a question is put to.

    `venues`: those that can be asked, by id. `closed`: those among the ones named that have closed,
    so the answer is less than was asked. `notes`: what `meta.sources` says of them.
    """

    venues: list[Venue]
    closed: tuple[str, ...] = ()
    notes: tuple[dict[str, Any], ...] = ()


def choose_venues(
    core: Core,
    capability: type | tuple[type, ...],
    venues: tuple[str, ...] | None,
    *,
    default: tuple[str, ...] = (),
    argument: str = "venues",
    many: bool = True,
) -> Chosen:
    """The venues that a question names (None: the default ones), if they have a capability.

    Raises `BadQuestion` for one without it, `VenueClosed` when only closed ones were named, and
    `NothingImplemented` where all that have it are switched off.
    `argument` is the parameter that an error names; it takes `all` where it is for `many`.
    """
    everyone = venues == ("all",)
    able = {v.id: v for v in having(capability) if v.id not in core.venues_off}
    named = list(able) if everyone else list(venues or default)
    or_all = ", or all" if many else ""
    if not able:
        who = ", ".join(v.id for v in having(capability))
        raise NothingImplemented(f"Nothing here can answer this: {who} is switched off.")
    for name in named:
        if name not in able:
            off = " is switched off here." if name in core.venues_off else " cannot answer this."
            raise BadQuestion(argument, f"{name}{off}", fits=f"{', '.join(able)}{or_all}")
    # Only recordings hold what a closed venue said: live and simulated markets have none.
    closed = [] if core.upstream.kind == "replay" else [n for n in named if able[n].closed_on]
    open_ones = [able[name] for name in sorted(named) if name not in closed]
    notes = [_closed_note(able[name]) for name in closed]
    if closed and not open_ones:
        raise VenueClosed(notes[0]["reason"] + f". Fits: {', '.join(_live(able))}{or_all}.")
    return Chosen(open_ones, () if everyone else tuple(closed), tuple(notes))


async def ask_venues(
    core: Core,
    capability: type,
    venues: tuple[str, ...] | None,
    coins: tuple[str, ...] | None,
    *,
    default: tuple[str, ...],
    options: Mapping[str, Any] | None = None,
    strict: bool = True,
    whole: bool = False,
) -> Gathered:
    """Ask the venues that a question names (None: the default ones) for a capability.

    Raises `BadQuestion` for a venue without the capability and, unless not `strict` (the coins are
    a default and not the caller's), for a coin that none of the venues lists; `VenueClosed` when
    only closed venues were named.
    """
    chosen = choose_venues(core, capability, venues, default=default)
    found = await gather(
        core, capability, chosen.venues, coins, notes=chosen.notes, options=options, whole=whole
    )
    judge(core, found, chosen, coins if strict else None)
    return found


def judge(
    core: Core,
    found: Gathered,
    chosen: Chosen,
    coins: tuple[str, ...] | None,
    *,
    argument: str = "coins",
    elsewhere: str = " or venues=all to look everywhere",
) -> None:
    """Hold what was gathered against what was asked.

    Raises `BadQuestion` for a coin that none of the venues lists.
    """
    found.partial = found.partial or bool(chosen.closed)
    # Recordings may be excerpts: what one lacks does not take the other coins' answer along.
    excerpt = core.upstream.kind == "replay" and bool(found.rows)
    if not excerpt:
        refuse_unknown(found, coins, chosen.venues, argument, elsewhere)


def _live(able: dict[str, Venue]) -> list[str]:
    return [name for name, venue in able.items() if venue.closed_on is None]


def _closed_note(venue: Venue) -> dict[str, Any]:
    reason = f"closed: {venue.name} ended trading on {venue.closed_on}"
    return {"source": venue.id, "status": "missing", "reason": reason}


def refuse_unknown(
    found: Gathered,
    coins: tuple[str, ...] | None,
    venues: list[Venue],
    argument: str = "coins",
    elsewhere: str = " or venues=all to look everywhere",
) -> None:
    """A coin is unknown only when every venue asked has answered and none lists it."""
    if len(found.answered) < len(venues):
        return
    for coin in coins or ():
        if len(found.not_listed.get(coin, ())) == len(venues):
            near = [NAMES[coin]] if NAMES.get(coin) in found.universe else []
            near += difflib.get_close_matches(coin, sorted(found.universe), n=3, cutoff=0.6)
            where = ", ".join(v.id for v in venues)
            other = "" if len(venues) > 1 else elsewhere
            if coin == "ALL" and argument == "coins":
                other = "; for all, or the main ones, leave coins out"
            raise BadQuestion(
                argument,
                f"{coin!r} is listed by none of the venues asked ({where}).",
                nearest=list(dict.fromkeys(near))[:3],
                fits=f"a ticker such as BTC, ETH or SOL{other}",
            )


def meta_of(core: Core, found: Gathered, **more: Any) -> dict[str, Any]:
    """The envelope's `meta` of a fan-out; `more` is left out where it is empty."""
    meta: dict[str, Any] = {
        "fetchedAt": found.fetched_at or core.clock.now_ms(),
        "source": "+".join(found.sources),
        "partial": found.partial,
        "sources": found.notes,
    }
    if found.not_listed:
        meta["notListed"] = found.not_listed
    if found.narrowed:
        meta["narrowed"] = found.narrowed
    meta.update({key: value for key, value in more.items() if value})
    if core.upstream.kind == "replay":
        meta["times"] = "as recorded" if core.pinned_now is None else "against the given now"
    return meta
