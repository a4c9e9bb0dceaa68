"""What the venues' pasts are read to be is what the simulated market holds, moment by moment."""

from typing import Any

import pytest
from worlds import MARKET, NOW, world

from mmflow_mcp.app import App
from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.sim.market import Listing
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import FundingHistory, OpenInterestHistory

pytestmark = pytest.mark.anyio
WEEK = (NOW - 7 * DAY_MS, NOW)
COINS = ("BTC", "PEPE", "SHIB", "TIA", "ADA")


async def past(app: App, capability: type, venue: str, coin: str, window: tuple[int, int]) -> Any:
    """What a venue answers of a coin; one row and nothing to complain of."""
    found = await gathered(app, capability, venue, coin, window)
    assert ([], False, {}) == (found.notes, found.partial, found.not_listed)
    (row,) = found.rows
    return row


async def gathered(
    app: App, capability: type, venue: str, coin: str, window: tuple[int, int]
) -> Gathered:
    """The same with what is said about it."""
    options = {"since_ms": window[0], "until_ms": window[1]}
    return await gather(app.core(), capability, [roll()[venue]], (coin,), options=options)


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_settled_rates_are_the_markets(venue: str) -> None:
    """Every settlement of a week, of the main perpetual, with its rate and its period."""
    async with world() as app:
        for coin in COINS:
            perp = MARKET.funding(venue, coin, NOW)
            assert perp is not None
            row = await past(app, FundingHistory, venue, coin, WEEK)
            period = perp.listing.period_hours * HOUR_MS
            settlements = range(-(-WEEK[0] // period) * period, WEEK[1], period)
            assert (coin, venue, perp.listing.symbol) == (row.coin, row.venue, row.symbol)
            assert list(settlements) == [one.ts for one in row.rates]
            for one in row.rates:
                assert perp.listing.period_hours == one.period_hours
                truth = MARKET.settled_funding(perp.listing, one.ts)
                assert pytest.approx(truth, rel=1e-9, abs=1e-12) == one.rate


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_a_quarter_of_a_year_comes_in_pages(venue: str) -> None:
    """Each settlement once, across all borders of pages; TIA is paid every 1, 2 or 4 hours."""
    since = NOW - 90 * DAY_MS
    async with world() as app:
        row = await past(app, FundingHistory, venue, "TIA", (since, NOW))
    perp = MARKET.funding(venue, "TIA", NOW)
    assert perp is not None
    period = perp.listing.period_hours * HOUR_MS
    assert list(range(-(-since // period) * period, NOW, period)) == [one.ts for one in row.rates]
    assert {float(perp.listing.period_hours)} == {one.period_hours for one in row.rates}


def truth(listings: list[Listing], at_ms: int) -> tuple[float, float]:
    """(coins, USD) of a coin's perpetuals at a moment, one-sided."""
    coins = usd = 0.0
    for listing in listings:
        held, mark = MARKET.held(listing, at_ms)
        worth = held * listing.contract_size * (1 if listing.margin == "inverse" else mark)
        usd += worth
        coins += worth / mark * (1 if listing.margin == "inverse" else listing.multiplier)
    return coins, usd


@pytest.mark.parametrize("venue", ["binance", "bybit"])
@pytest.mark.parametrize(("days", "minutes"), [(1, 5), (7, 15), (25, 60)])
async def test_open_interest_is_the_markets(venue: str, days: int, minutes: int) -> None:
    """Every point: all perpetuals, linear and inverse, at their marks, one-sided, on the grid."""
    since, step = NOW - days * DAY_MS, minutes * 60_000
    async with world() as app:
        for coin in ("BTC", "PEPE", "ADA") if days < 25 else ("BTC",):
            listings = [i for i in MARKET.listings(venue, NOW) if i.coin == coin and i.counted]
            row = await past(app, OpenInterestHistory, venue, coin, (since, NOW))
            assert (tuple(sorted(i.symbol for i in listings)), step) == (
                row.symbols,
                row.cadence_ms,
            )
            moments = [one.ts for one in row.points]
            assert list(range(-(-since // step) * step, NOW, step)) == moments
            for one in row.points[:: max(1, len(moments) // 50)]:
                coins, usd = truth(listings, one.ts)
                assert pytest.approx(coins, rel=1e-9) == one.coins
                assert pytest.approx(usd, rel=1e-9) == one.usd


async def test_bybit_before_the_one_sided_number() -> None:
    """A window across 2026-06-11, from when on it is told: no step of a factor of two."""
    since, until = 1_781_136_000_000 - 30 * HOUR_MS, 1_781_136_000_000 + 30 * HOUR_MS
    listings = [i for i in MARKET.listings("bybit", NOW) if i.coin == "BTC" and i.counted]
    async with world() as app:
        row = await past(app, OpenInterestHistory, "bybit", "BTC", (since, until))
    assert 60 * 12 == len(row.points)
    for one in row.points[::40]:
        assert pytest.approx(truth(listings, one.ts)[0], rel=1e-9) == one.coins


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_an_unknown_coin_is_not_listed(venue: str) -> None:
    """The fan-out knows it from the universe, and nothing is partial."""
    async with world() as app:
        for capability in (FundingHistory, OpenInterestHistory):
            if isinstance(roll()[venue], capability):
                found = await gathered(app, capability, venue, "NOPE", WEEK)
                assert ([], [], {"NOPE": [venue]}) == (found.rows, found.notes, found.not_listed)


async def test_the_same_question_again_asks_nobody() -> None:
    """Answers are shared: of a week that is over for hours."""
    window = (NOW - 9 * DAY_MS, NOW - 2 * DAY_MS)
    async with world() as app:
        for venue in ("binance", "bybit", "hyperliquid"):
            first = await past(app, FundingHistory, venue, "BTC", window)
            before = app.core().upstream.health.all()
            assert first == await past(app, FundingHistory, venue, "BTC", window)
            after = app.core().upstream.health.all()
            assert [h.requests for h in before] == [h.requests for h in after]


async def test_a_fault_of_one_line_is_told() -> None:
    """COIN-M out of order: no smaller sum of USD-M alone, and the venue is named."""
    async with world("binance/BTCUSD&contractType:http=503") as app:
        found = await gathered(app, OpenInterestHistory, "binance", "BTC", WEEK)
    (row,) = found.rows
    assert (True, ()) == (found.partial, row.points)
    (note,) = found.notes
    assert ("binance", True) == (note["source"], "BTCUSD_PERP" in note["reason"])


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_missing_rows_never_make_a_longer_period(venue: str) -> None:
    """A tenth of the rows is lost on the way: what is left has its true rate and period."""
    async with world(f"{venue}/unding:drop=0.1") as app:
        found = await gathered(app, FundingHistory, venue, "SHIB", WEEK)
    perp = MARKET.funding(venue, "SHIB", NOW)
    (row,) = found.rows
    assert perp is not None
    period = perp.listing.period_hours
    assert 0.7 * 168 / period < len(row.rates) < 168 / period
    assert {float(period)} == {one.period_hours for one in row.rates}
    for one in row.rates:
        truth = MARKET.settled_funding(perp.listing, one.ts)
        assert pytest.approx(truth, rel=1e-9, abs=1e-12) == one.rate


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_rows_told_twice_count_once(venue: str) -> None:
    """Every row of every list twice: the same rates and the same sums."""
    async with world() as app, world(f"{venue}:duplicate") as twice:
        for capability in (FundingHistory, OpenInterestHistory):
            if isinstance(roll()[venue], capability):
                window = (NOW - DAY_MS, NOW)
                once = await gathered(app, capability, venue, "BTC", window)
                again = await gathered(twice, capability, venue, "BTC", window)
                assert [once.rows, []] == [again.rows, again.notes]


@pytest.mark.parametrize(
    ("venue", "field"),
    [
        ("hyperliquid", "fundingRate"),
        ("binance", "fundingRate"),
        ("aster", "fundingRate"),
        ("bybit", "fundingRate"),
    ],
)
async def test_absurd_rates_are_left_out_and_told(venue: str, field: str) -> None:
    """1e308, NaN, text: never a rate."""
    async with world(
        f"{venue}/istory:absurd={field}", f"{venue}/fundingRate:absurd={field}"
    ) as app:
        try:
            found = await gathered(app, FundingHistory, venue, "BTC", WEEK)
        except AllVenuesFailed as failure:
            assert "could not be read" in str(failure.sources)  # noqa: PT017
        else:
            assert found.partial
