"""Live liquidations of seven venues over simulated sockets, in leaping time, against one truth."""

from collections import Counter
from collections.abc import Iterable

import pytest
from leaping import MARKET, START, Live, live

from mmflow_mcp.sim.fapi_ws import largest
from mmflow_mcp.sim.positions import Closure, closures_of_venue
from mmflow_mcp.tape.hub import LIQUIDATIONS
from mmflow_mcp.tape.readings import liquidations_of

pytestmark = pytest.mark.anyio

VENUES = ("aster", "binance", "bybit", "deribit", "gateio", "lighter", "okx")
SAMPLED = ("aster", "binance")
Key = tuple[str, int, str, float]
Gap = tuple[str, int, int]


def truth(venue: str, since: int, until: int) -> Counter[Key]:
    """What was closed by force, as the venue tells it: by contract, time, side and amount.

    The amount is coins, or USD of inverse contracts: Gate tells another price than that of a fill.
    """
    found: Iterable[Closure] = closures_of_venue(MARKET, venue, since, until)
    if venue in SAMPLED:
        found = largest(list(found))
    unique = {(o.listing.symbol, o.at_ms, o.long, o.price, o.size): o for o in found}
    return Counter(
        (
            o.listing.symbol,
            o.at_ms,
            "long" if o.long else "short",
            _short(
                o.usd if o.listing.margin == "inverse" else o.usd / o.price * o.listing.multiplier
            ),
        )
        for o in unique.values()
    )


def _short(amount: float) -> float:
    return float(f"{amount:.9g}")


def seen(world: Live, venue: str, since: int, until: int) -> tuple[Counter[Key], set[Gap]]:
    """What the tape holds of that time over all coins, and the gaps by coin."""
    contracts = world.hub.liquidations(venue).contracts.values()
    inverse = {one.symbol for one in contracts if one.margin == "inverse"}
    closed = liquidations_of(world.hub, venue, {one.coin for one in contracts})
    found = Counter(
        (
            one.symbol,
            one.ts,
            one.side,
            _short(one.notional_usd if one.symbol in inverse else one.size),
        )
        for tape in closed.tapes.values()
        for one in tape.prints
        if since < one.ts <= until
    )
    gaps = {(coin, *gap) for coin, tape in closed.tapes.items() for gap in tape.gaps}
    return found, gaps


@pytest.mark.parametrize("venue", VENUES)
async def test_every_liquidation_once_over_reconnects(venue: str) -> None:
    """Forty minutes in which sockets break each three: once each, or in a gap that is told.

    What Lighter repeats closes its gaps.
    """
    async with live(f"{venue}:hang_up=200", step=4.0) as world:
        with world.hub.hold(venue, LIQUIDATIONS):
            await world.run(120)
            since = world.clock.now_ms()
            await world.run(2400)
            until = world.clock.now_ms() - 10_000
            expected = truth(venue, since, until)
            found, gaps = seen(world, venue, since, until)
            feeds = world.hub.feeds()
        coins = {one.symbol: one.coin for one in MARKET.listings(venue, START)}
        assert len(expected) > 4
        assert {1} == set(found.values())
        assert found <= expected
        for symbol, at, _, _ in expected - found:
            assert any(c == coins[symbol] and a <= at <= b for c, a, b in gaps), (symbol, at)
        assert len(found) >= len(expected) * 0.8
        assert all(feed.state.connections >= 10 for feed in feeds)
        assert 0 == world.hub.liquidations(venue).unread
        # Lighter takes one market a message.
        longest = 600_000 if venue == "lighter" else 60_000
        assert all(b - a < longest for _, a, b in gaps)
