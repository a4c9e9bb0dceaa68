"""Questions to the tape. Each of them starts the feed it needs, or keeps it for another while."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from mmflow_mcp.rows.positions import LiquidationTape
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.tape.cover import Gap
from mmflow_mcp.tape.hub import LIQUIDATIONS, TRADES, Hub
from mmflow_mcp.tape.tape import Tape

# METHODS section 10: a feed from which nothing came for so long is stale.
STALE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class NetFlow:
    """Taker buys less taker sells of a coin over a window, USD; + = net buying.

    `usd`: None where the tape does not cover the window; 0.0 is a measured zero. `coverage`:
    `live`, `stale` (the feed has been silent for 120 s; the sum is that of the window before) or
    `none`. `since` and `until`: the window that was summed, epoch ms. `prints`: how many. `unread`:
    how many rows of the venue (of any coin) could not be read in that window: the sum may lack
    them. `reason`: why it is not live, or may be short, beginning with a code.
    """

    usd: float | None
    coverage: str
    prints: int = 0
    unread: int = 0
    since: int | None = None
    until: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Prints, newest first, and the time for which they are complete.

    `since`: complete from then on up to `until`, but for the `gaps`; None where nothing is
    complete yet. Older prints may stand in the list: they are true, but not all there were.
    `total`: how many fitted, before `limit`. `pending`: coins that the venue lists and has not
    acknowledged (yet): their prints are missing. `reason`: why the feed is not connected, or None.
    """

    prints: list[TapePrint]
    since: int | None
    until: int | None
    gaps: list[Gap]
    total: int
    pending: list[str]
    reason: str | None = None


def net_taker_usd(hub: Hub, venue: str, coin: str, window_ms: int = 300_000) -> NetFlow:
    """The net taker flow of a coin over the last `window_ms`.

    Raises KeyError for a venue without a feed of trades.
    """
    feed = hub.need(venue, (coin,))
    tape = hub.tape(venue)
    one = tape.coins.get(coin)
    reason = feed.state.reason or "missing: the tape does not cover the window yet"
    if one is None or feed.state.heard_ms is None:
        return NetFlow(None, "none", reason=reason)
    stale = feed.silent >= STALE_SECONDS
    # While the socket is broken or silent the window ends where it was last heard.
    broken = feed.state.heard_ms if one.cover.lost is None else one.cover.lost
    until = hub.now_ms() if feed.state.connected and not stale else broken
    start = until - window_ms
    since = one.cover.since if not feed.state.connected else one.cover.complete_since
    if since is None or since > start or one.cut > start or window_ms > tape.keeping.all_ms:
        return NetFlow(None, "none", reason=reason)
    if hub.now_ms() - until > tape.keeping.all_ms:
        return NetFlow(None, "none", reason=feed.state.reason or "timeout: the feed is silent")
    # Without an upper bound: the venue's clock may be ahead of ours.
    inside = [p.usd if p.side == "buy" else -p.usd for p in one.prints if p.ts > start]
    unread = sum(at > start for at in tape.unread_at)
    said = f"changed: {unread} rows could not be read" if unread else None
    if stale:
        said = feed.state.reason or "timeout: the feed is silent"
    coverage = "stale" if stale else "live"
    return NetFlow(sum(inside, 0.0), coverage, len(inside), unread, start, until, said)


def recent_prints(
    hub: Hub,
    venue: str,
    coin: str | None = None,
    min_usd: float = 100_000.0,
    since_ms: int | None = None,
    limit: int = 200,
) -> Seen:
    """Prints of `min_usd` or more (inclusive) since `since_ms`, newest first.

    Large prints (`Keeping.large_usd`) go back 25 hours, smaller ones ten minutes. Raises KeyError
    for a venue without a feed of trades.
    """
    feed = hub.need(venue, None if coin is None else (coin,))
    tape = hub.tape(venue)
    large = min_usd >= tape.keeping.large_usd
    fitting = [
        p
        for p in _held(tape, coin, large=large)
        if p.usd >= min_usd
        and (since_ms is None or p.ts >= since_ms)
        and (coin is None or p.coin == coin)
    ]
    newest = heapq.nlargest(limit, fitting, key=lambda p: (p.ts, p.serial))
    since = _complete_since(tape, None if coin is None else (coin,), large=large)
    until = hub.now_ms() if feed.state.connected else feed.state.heard_ms
    gaps = [gap for gap in tape.gaps if coin is None or gap.coin == coin]
    if since_ms is not None:
        gaps = [gap for gap in gaps if gap.until >= since_ms]
    reason = None if feed.state.connected else feed.state.reason
    wanted = feed.symbols if coin is None and feed.rule.whole else feed.wanted
    asked = wanted if coin is None else (coin,)
    pending = [name for name in asked if name in feed.symbols and name not in feed.taken]
    return Seen(newest, since, until, gaps, len(fitting), pending, reason)


def prints_after(
    hub: Hub, venue: str, event_id: str, coins: Iterable[str] | None = None, min_usd: float = 0.0
) -> list[TapePrint] | None:
    """What came after the print of that `event_id`, in order of arrival, as far as it is kept.

    None where the id is unknown here: too old, of another run, or no id at all.
    """
    # An id that does not say its place is the first of its time.
    ts, _, nth = event_id.partition("-")
    if not ts.isdecimal() or (nth and not nth.isdecimal()):
        return None
    tape = hub.tape(venue)
    wanted = None if coins is None else set(coins)
    moment, place = int(ts), int(nth or 0)
    for held in (tape.order, tape.large):
        last = next((p for p in reversed(held) if (p.ts, p.nth) == (moment, place)), None)
        if last is not None:
            later = [
                p
                for p in held
                if p.serial > last.serial
                and p.usd >= min_usd
                and (wanted is None or p.coin in wanted)
            ]
            later.sort(key=lambda p: p.serial)
            for one in later:
                tape.number(one)
            return later
    return None


def numbered_apart(hub: Hub, venue: str, event_id: str) -> bool:
    """Whether an id is of a time in which this replica listened alone.

    Another replica may have told prints of that time in another order, under other ids.
    """
    ts = event_id.partition("-")[0]
    moment = int(ts) if ts.isdecimal() else 0
    return any(since <= moment <= until for since, until in hub.tape(venue).apart)


@dataclass(frozen=True, slots=True)
class Closed:
    """What a venue's feed told of the liquidations of some coins, by coin.

    A coin is not in `tapes` where it was not listened to for a moment yet. `universe`: what the
    venue lists, by coin; None while that is not known. `reason`: why it is not subscribed, or None.
    `unread`: rows of the last 25 hours (of any coin) that could not be read.
    """

    tapes: dict[str, LiquidationTape]
    universe: frozenset[str] | None
    reason: str | None
    unread: int


def need_liquidations(hub: Hub, venue: str) -> None:
    """Start the feeds of a venue, or keep them. Raises KeyError for one without any."""
    for channel in hub.channels(venue, LIQUIDATIONS):
        hub.need(venue, (), channel)


def liquidations_of(hub: Hub, venue: str, coins: Iterable[str]) -> Closed:
    """What is there of the liquidations of coins, without waiting for more.

    Raises KeyError for a venue without a feed of liquidations.
    """
    need_liquidations(hub, venue)
    kept, now_ms = hub.liquidations(venue), hub.now_ms()
    kept.forget(now_ms)
    tapes = {}
    for coin in coins:
        tape = kept.tape_of(coin, now_ms)
        if tape is not None and _listened_ms(tape) > 0:
            tapes[coin] = tape
    feeds = [hub.feed(venue, channel) for channel in hub.channels(venue, LIQUIDATIONS)]
    reasons = [feed.state.reason for feed in feeds if feed]
    horizon = now_ms - kept.kept_ms
    return Closed(
        tapes,
        frozenset(one.coin for one in kept.contracts.values()) or None,
        next((reason for reason in reasons if reason), None),
        sum(at > horizon for at in kept.unread_at),
    )


def _listened_ms(tape: LiquidationTape) -> int:
    return tape.fetched_at - tape.since_ms - sum(b - max(a, tape.since_ms) for a, b in tape.gaps)


def _held(tape: Tape, coin: str | None, *, large: bool) -> Iterable[TapePrint]:
    if large:
        return tape.large
    if coin is None:
        return tape.order
    one = tape.coins.get(coin)
    return () if one is None else one.prints


def _complete_since(tape: Tape, coins: Iterable[str] | None, *, large: bool) -> int | None:
    """From when on what is held of these coins (None: of all subscribed) is complete.

    Past gaps do not cut it short: they are told beside it.
    """
    names = tape.coins if coins is None else coins
    known = [tape.coins[name] for name in names if name in tape.coins]
    begun = [one.cover.began for one in known if one.cover.began is not None]
    if not begun:
        return None
    cuts = [tape.large_since] if large else [one.cut + 1 for one in known if one.cut]
    return max(*begun, *cuts, 0)


__all__ = [
    "TRADES",
    "Closed",
    "NetFlow",
    "Seen",
    "liquidations_of",
    "need_liquidations",
    "net_taker_usd",
    "numbered_apart",
    "prints_after",
    "recent_prints",
]
