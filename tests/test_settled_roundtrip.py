"""`parse(render(market)) == market` for histories: what was paid and held is the market's.

The simulated market shares no code with the parsers. Its rates are functions of time, so every
settlement of every venue can be compared; BitMEX has no simulated side.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pasts import DAY, HOUR, MARKET, NOW, Simulated, asking_past
from worlds import world

from mmflow_mcp.core.fanout import gather
from mmflow_mcp.sim.shapes import Listing
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import FundingHistory, OpenInterestHistory

pytestmark = pytest.mark.anyio

COINS = {
    "okx": ("BTC", "PEPE", "SOL"),
    "gateio": ("BTC", "PEPE", "ETH"),
    "deribit": ("BTC", "SOL"),
    "kraken": ("BTC", "PEPE"),
    "lighter": ("BTC", "PEPE"),
}
FUNDED = [(venue, coin) for venue, coins in COINS.items() for coin in coins]
# One for all tests that do not count requests: a year of hours need not be rendered each time.
UPSTREAM = Simulated()
HELD = [(venue, coin) for venue, coin in FUNDED if venue in ("okx", "gateio", "kraken")]


def method(venue: str, name: str) -> Callable[[Any], Awaitable[list[Any]]]:
    """A capability of a venue."""
    bound: Callable[[Any], Awaitable[list[Any]]] = getattr(roll()[venue], name)
    return bound


def listed(venue: str, coin: str) -> list[Listing]:
    """The live perpetuals of a coin."""
    return [i for i in MARKET.listings(venue, NOW) if i.coin == coin and i.counted]


def truth_of(venue: str, listing: Listing, at: int) -> tuple[float, float]:
    """(rate, hours) that the market settled at a moment."""
    if venue == "deribit":
        return MARKET.hourly_interest(listing, at), 1
    # Lighter expresses its rate for eight hours and pays an eighth of it.
    share = listing.paid_hours / listing.period_hours
    return MARKET.settled_funding(listing, at) * share, listing.paid_hours


@pytest.mark.parametrize(("venue", "coin"), FUNDED)
async def test_funding_is_what_the_market_settled(venue: str, coin: str) -> None:
    """Three weeks: every settlement once, its rate, sign and period, of the main perpetual."""
    since, until = NOW - 21 * DAY, NOW - 5 * HOUR
    ask = asking_past(venue, coin, since, until, UPSTREAM)
    (row,) = await method(venue, "funding_history")(ask)
    main = MARKET.funding(venue, coin, NOW)
    assert main is not None
    assert main.listing.symbol == row.symbol
    assert [] == ask.shortfalls
    step = (1 if venue == "deribit" else main.listing.paid_hours) * HOUR
    assert list(range(-(-since // step) * step, until, step)) == [rate.ts for rate in row.rates]
    for rate in row.rates:
        expected, hours = truth_of(venue, main.listing, rate.ts)
        assert pytest.approx(expected, rel=1e-9, abs=1e-15) == rate.rate
        assert hours == rate.period_hours


@pytest.mark.parametrize(("venue", "coin"), FUNDED)
async def test_the_edges_of_a_span_do_not_change_what_is_in_it(venue: str, coin: str) -> None:
    """Two halves make the whole: since is inclusive, until exclusive, periods need no neighbour."""
    middle = NOW // (8 * HOUR) * 8 * HOUR - DAY
    spans = [(middle - 2 * DAY, middle), (middle, NOW), (middle - 2 * DAY, NOW)]
    rows = []
    for since, until in spans:
        ask = asking_past(venue, coin, since, until, UPSTREAM)
        rows += await method(venue, "funding_history")(ask)
        assert [] == ask.shortfalls
    first, second, whole = (row.rates for row in rows)
    assert whole == first + second
    assert middle == second[0].ts


@pytest.mark.parametrize(("venue", "coin"), HELD)
@pytest.mark.parametrize(("hours", "minutes"), [(6, 5), (52, None)])
async def test_open_interest_is_what_the_market_held(
    venue: str, coin: str, hours: int, minutes: int | None
) -> None:
    """Coins and dollars of every moment, one-sided, over all perpetuals of the coin."""
    since, until = NOW - hours * HOUR, NOW - HOUR
    ask = asking_past(venue, coin, since, until, UPSTREAM)
    (row,) = await method(venue, "open_interest_history")(ask)
    perps = listed(venue, coin)
    assert [] == ask.shortfalls
    assert tuple(sorted(one.symbol for one in perps)) == row.symbols
    step = row.cadence_ms
    assert minutes is None or minutes * 60_000 == step
    assert list(range(-(-since // step) * step, until, step)) == [point.ts for point in row.points]
    for point in row.points[:: 1 + len(row.points) // 40]:
        coins = usd = 0.0
        for one in perps:
            size, mark = MARKET.held(one, point.ts)
            inverse = one.margin == "inverse"
            worth = size * one.contract_size * (1 if inverse else mark)
            usd += worth
            coins += worth / mark * (1 if inverse else one.multiplier)
        assert pytest.approx((coins, usd), rel=1e-9) == (point.coins, point.usd)


@pytest.mark.parametrize(("venue", "coin"), [("okx", "BTC"), ("gateio", "BTC"), ("kraken", "BTC")])
async def test_the_past_is_asked_once(venue: str, coin: str) -> None:
    """The same question again, and one a little longer in the same windows: no request more."""
    upstream = Simulated()
    counts = []
    for since in (NOW - 5 * HOUR, NOW - 5 * HOUR, NOW - 5 * HOUR + 60_000):
        ask = asking_past(venue, coin, since, NOW, upstream)
        await method(venue, "open_interest_history")(ask)
        await method(venue, "funding_history")(ask)
        counts.append(len(upstream.asked))
    assert counts[0] == counts[1] == counts[2]
    assert len(set(upstream.asked)) == len(upstream.asked)


@pytest.mark.parametrize("capability", [FundingHistory, OpenInterestHistory])
async def test_a_question_through_the_fan_out(capability: type) -> None:
    """An unknown coin is not listed anywhere and no venue is said to have failed."""
    venues = [roll()[name] for name in COINS if isinstance(roll()[name], capability)]
    span = {"since_ms": NOW - 2 * HOUR, "until_ms": NOW}
    async with world() as app:
        found = await gather(app.core(), capability, venues, ("NOPE",), options=span)
        known = await gather(app.core(), capability, venues, ("ETH",), options=span)
    assert ([], [], False) == (found.rows, found.notes, found.partial)
    assert {"NOPE": [venue.id for venue in venues]} == found.not_listed
    assert [venue.id for venue in venues] == [row.venue for row in known.rows]
    assert [] == known.notes
