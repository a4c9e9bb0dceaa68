"""What a start or an outage left open is asked of the venue itself, and merged.

A socket says nothing of the time it was closed; some venues' own trade pages do.
"""

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows.spot import TradePrint
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.tape.feed import Feed
from mmflow_mcp.tape.tape import Tape, print_of
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.capabilities import Trades

if TYPE_CHECKING:
    from mmflow_mcp.tape.hub import Hub

T = TypeVar("T")

# How a parser fails on a shape that it did not foresee.
SURPRISES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
# What a fill reaches back to: the longest sum that is asked of the tape, and a little more.
FILL_MS = 305_000
# An answer of the venue that was read before the subscription must have left the cache.
FILL_AFTER = 6.0
FILL_TRIES = 3


class Fills:
    """Fills the tapes of a hub."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    async def fill(
        self, venue: str, coins: Iterable[str], since_ms: int | None, *, closes: bool
    ) -> list[str]:
        """Ask for recent trades of coins and merge them; why they are short. See `Hub.fill`."""
        hub = self._hub
        since = hub.now_ms() - FILL_MS if since_ms is None else since_ms
        told: list[str] = []
        for coin in coins:
            ask = hub.ask(venue, (coin,), since)
            try:
                rows = await foreseen(_trades(venue, ask))
            except VenueError as error:
                told.append(error.reason)
                continue
            if ask.stale is not None:
                told.append(ask.stale[0])
                continue
            told += ask.shortfalls
            if any(said.startswith("changed") for said in ask.shortfalls):
                hub.tape(venue).misread(1, hub.now_ms())
            prints = [print_of(row) for row in rows]
            reach = None if ask.shortfalls else since
            merge(hub.tape(venue), coin, prints, hub.now_ms(), reach, closes=closes)
            if (feed := hub.feed(venue)) is not None:
                feed.merged(coin, prints, reach, closes=closes)
        return told

    async def close_open(self, venue: str, coins: Iterable[str], feed: Feed) -> None:
        """Ask until nothing of these coins is open; what cannot be closed becomes a gap."""
        connection = feed.state.connections
        tape = self._hub.tape(venue)
        left = list(coins)
        for _ in range(FILL_TRIES):
            await self._hub.sleep(FILL_AFTER)
            if self._hub.closed or not feed.state.connected:
                return
            if feed.state.connections != connection or not feed.holds_socket:
                return
            left = [coin for coin in left if self._is_open(tape, coin)]
            for coin in left:
                lost = tape.coins[coin].cover.lost
                back = self._hub.now_ms() - FILL_MS
                since = back if lost is None else min(lost, back)
                await self._hub.fill(venue, [coin], since, closes=True)
            left = [coin for coin in left if self._is_open(tape, coin)]
            if not left:
                return
        for coin in left:
            tape.coins[coin].cover.give_up()
        feed.gave_up(left)

    def _is_open(self, tape: Tape, coin: str) -> bool:
        cover = tape.coins[coin].cover
        since = cover.since
        short = since is not None and since > self._hub.now_ms() - FILL_MS
        return cover.lost is not None or short


def merge(
    tape: Tape, name: str, prints: list[TapePrint], now_ms: int, reach: int | None, *, closes: bool
) -> None:
    """Merge a venue's own trades of a coin.

    `reach`: the time they are complete from, None where that is the time of the oldest. `closes`:
    they are newer than the subscription.
    """
    try:
        one = tape.coins[name] if prints else tape.coins.get(name)
    except KeyError:
        one = None
    if one is None:
        return
    oldest, known = tape.merge(one, prints, now_ms)
    back = oldest if reach is None else reach
    if closes and back is not None:
        one.cover.reach(back, known=known)


async def foreseen(answer: Awaitable[T]) -> T:
    """An answer of a venue; a shape that no parser foresaw is the venue's change."""
    try:
        return await answer
    except SURPRISES as error:
        kind = type(error).__name__
        raise VenueChanged(
            f"changed: the answer is not in the documented shape ({kind})"
        ) from error


async def _trades(venue: str, ask: Ask) -> list[TradePrint]:
    one: Any = roll()[venue]
    return await one.trades(ask) if isinstance(one, Trades) else []
