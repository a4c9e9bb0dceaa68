"""`parse(render(market)) == market` for the past: what was paid and held is the market's.

The simulated market shares no code with the parsers. Its rates are functions of time, so every
settlement of every venue can be compared; BitMEX has no simulated side.
"""

from dataclasses import replace

import pytest
from pasts import DAY, HOUR, MARKET, MINUTE, NOW, Simulated, asking_past, interest_of, rates_of
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.sim.shapes import Listing
from mmflow_mcp.upstream.wire import Call
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import FundingHistory, OpenInterestHistory

pytestmark = pytest.mark.anyio

HELD = ("binance", "bybit", "okx", "gateio", "kraken")
# The period of these is told by the time between their rows.
SPACED = ("hyperliquid", "binance", "aster", "bybit", "okx", "gateio")
FUNDED = (*SPACED, "deribit", "kraken", "lighter")
# Multiples, hourly ones, and the coins that only some venues have.
COINS = {"deribit": ("BTC", "SOL"), "kraken": ("PEPE",)}
# One for all tests that do not count requests: a year of hours need not be rendered each time.
UPSTREAM = Simulated()


def listed(venue: str, coin: str) -> list[Listing]:
    """The live perpetuals of a coin."""
    return [i for i in MARKET.listings(venue, NOW) if i.coin == coin and i.counted]


def paid(venue: str, listing: Listing, at: int) -> tuple[float, float]:
    """(rate, hours) that the market settled at a moment."""
    if venue == "deribit":
        return MARKET.hourly_interest(listing, at), 1
    # Lighter expresses its rate for eight hours and pays an eighth of it.
    share = listing.paid_hours / listing.period_hours
    return MARKET.settled_funding(listing, at) * share, listing.paid_hours


def held(listings: list[Listing], at_ms: int) -> tuple[float, float]:
    """(coins, USD) of a coin's perpetuals at a moment, one-sided."""
    coins = usd = 0.0
    for listing in listings:
        size, mark = MARKET.held(listing, at_ms)
        worth = size * listing.contract_size * (1 if listing.margin == "inverse" else mark)
        usd += worth
        coins += worth / mark * (1 if listing.margin == "inverse" else listing.multiplier)
    return coins, usd


def main_of(venue: str, coin: str) -> Listing:
    """The coin's main perpetual."""
    perp = MARKET.funding(venue, coin, NOW)
    assert perp is not None
    return perp.listing


@pytest.mark.parametrize("venue", FUNDED)
async def test_funding_is_what_the_market_settled(venue: str) -> None:
    """Five days: every settlement once, its rate, sign and period, of the main perpetual."""
    since, until = NOW - 5 * DAY, NOW - 5 * HOUR
    for coin in COINS.get(venue, ("PEPE", "TIA")):
        ask = asking_past(venue, coin, since, until, UPSTREAM)
        (row,) = await rates_of(ask)
        main = main_of(venue, coin)
        assert (coin, venue, main.symbol, []) == (row.coin, row.venue, row.symbol, ask.shortfalls)
        step = round(paid(venue, main, NOW)[1] * HOUR)
        assert list(range(-(-since // step) * step, until, step)) == [one.ts for one in row.rates]
        for one in row.rates:
            expected, hours = paid(venue, main, one.ts)
            assert pytest.approx(expected, rel=1e-9, abs=1e-12) == one.rate
            assert hours == one.period_hours


@pytest.mark.parametrize("venue", FUNDED)
async def test_the_edges_of_a_window_do_not_change_what_is_in_it(venue: str) -> None:
    """Two halves make the whole: since is inclusive, until exclusive."""
    middle = NOW // (8 * HOUR) * 8 * HOUR - DAY
    coin = COINS.get(venue, ("PEPE",))[-1]
    spans = [(middle - 2 * DAY, middle), (middle, NOW), (middle - 2 * DAY, NOW)]
    rows = []
    for since, until in spans:
        ask = asking_past(venue, coin, since, until, UPSTREAM)
        rows += await rates_of(ask)
        assert [] == ask.shortfalls
    first, second, whole = (row.rates for row in rows)
    assert whole == first + second
    assert middle == second[0].ts


@pytest.mark.parametrize(
    ("venue", "coin", "days"),
    [("hyperliquid", "TIA", 40), ("okx", "TIA", 60), ("bybit", "TIA", 40), ("bybit", "BTC", 300)],
)
async def test_months_come_in_pages(venue: str, coin: str, days: int) -> None:
    """Each settlement once, across all borders of pages; Bybit beyond 200 days as well."""
    since = NOW - days * DAY
    ask = asking_past(venue, coin, since, NOW, UPSTREAM)
    (row,) = await rates_of(ask)
    hours = main_of(venue, coin).paid_hours
    step = hours * HOUR
    assert list(range(-(-since // step) * step, NOW, step)) == [one.ts for one in row.rates]
    assert ({float(hours)}, []) == ({one.period_hours for one in row.rates}, ask.shortfalls)


@pytest.mark.parametrize("venue", HELD)
@pytest.mark.parametrize(("hours", "coin"), [(6, "PEPE"), (30, "BTC")])
async def test_open_interest_is_what_the_market_held(venue: str, hours: int, coin: str) -> None:
    """Coins and dollars of every moment, one-sided, over all perpetuals of the coin."""
    since, until = NOW - hours * HOUR, NOW - HOUR
    ask = asking_past(venue, coin, since, until, UPSTREAM)
    (row,) = await interest_of(ask)
    perps = listed(venue, coin)
    assert [] == ask.shortfalls
    assert tuple(sorted(one.symbol for one in perps)) == row.symbols
    step = row.cadence_ms
    assert hours > 6 or step == 5 * MINUTE
    assert list(range(-(-since // step) * step, until, step)) == [one.ts for one in row.points]
    for one in row.points[:: 1 + len(row.points) // 20]:
        assert pytest.approx(held(perps, one.ts), rel=1e-9) == (one.coins, one.usd)


@pytest.mark.parametrize("venue", ["binance", "bybit", "kraken"])
async def test_a_month_is_told_by_the_hour(venue: str) -> None:
    """In one answer, whole."""
    since = NOW - 29 * DAY
    ask = asking_past(venue, COINS.get(venue, ("TIA",))[-1], since, NOW, UPSTREAM)
    (row,) = await interest_of(ask)
    assert (HOUR, []) == (row.cadence_ms, ask.shortfalls)
    assert 29 * 24 == len(row.points)


async def test_a_window_beyond_a_reach_is_told_coarser() -> None:
    """OKX: a month by the day; of a week by the hour the venue has five days, and says so."""
    ask = asking_past("okx", "BTC", NOW - 30 * DAY, NOW, UPSTREAM)
    (row,) = await interest_of(ask)
    assert (DAY, 29, []) == (row.cadence_ms, len(row.points), ask.shortfalls)
    ask = asking_past("okx", "BTC", NOW - 7 * DAY, NOW, UPSTREAM)
    (row,) = await interest_of(ask)
    assert (HOUR, 5 * 24 - 1) == (row.cadence_ms, len(row.points))
    assert ["missing: open interest of BTC before 2026-09-10 07:00"] == ask.shortfalls


async def test_bybit_before_the_one_sided_number() -> None:
    """A window across 2026-06-11, from when on it is told: no step of a factor of two."""
    change = 1_781_136_000_000
    ask = asking_past("bybit", "BTC", change - 6 * HOUR, change + 6 * HOUR, UPSTREAM)
    (row,) = await interest_of(ask)
    assert 12 * 12 == len(row.points)
    for one in row.points[::13]:
        assert pytest.approx(held(listed("bybit", "BTC"), one.ts)[0], rel=1e-9) == one.coins


@pytest.mark.parametrize("venue", FUNDED)
async def test_the_past_is_asked_once(venue: str) -> None:
    """The same question again, and one a few seconds later: no request more."""
    upstream = Simulated()
    counts = []
    for since in (NOW - 5 * HOUR, NOW - 5 * HOUR, NOW - 5 * HOUR + 30_000):
        ask = asking_past(venue, "BTC", since, NOW, upstream)
        await rates_of(ask)
        if venue in HELD:
            await interest_of(ask)
        counts.append(len(upstream.calls))
    assert counts[0] == counts[1] == counts[2]
    assert len({call.key for call in upstream.calls}) == len(upstream.calls)


class Aged(Simulated):
    """A simulated venue whose answers to what supports an answer are old."""

    async def fetch(self, call: Call, deadline: float) -> object:  # type: ignore[override]
        """As it is, read five hours ago where it is a reference."""
        wire, stale = await super().fetch(replace(call), deadline)
        if call.reference:
            wire.fetched_at -= 5 * HOUR
        return wire, stale


@pytest.mark.parametrize("venue", FUNDED)
async def test_lists_and_older_pages_do_not_age_an_answer(venue: str) -> None:
    """It is as old as its newest page; many days, so that there are older ones."""
    ask = asking_past(venue, "BTC", NOW - 45 * DAY, NOW, Aged())
    (row,) = await rates_of(ask)
    assert (NOW, NOW) == (row.fetched_at, ask.read_at)
    if venue in HELD:
        ask = asking_past(venue, COINS.get(venue, ("TIA",))[-1], NOW - 2 * DAY, NOW, Aged())
        (past,) = await interest_of(ask)
        assert (NOW, NOW) == (past.fetched_at, ask.read_at)


async def gathered(
    app: App, capability: type, venue: str, coin: str, since: int = NOW - 7 * DAY
) -> Gathered:
    """What the fan-out answers about one venue."""
    options = {"since_ms": since, "until_ms": NOW}
    return await gather(app.core(), capability, [roll()[venue]], (coin,), options=options)


async def test_a_question_through_the_fan_out() -> None:
    """An unknown coin is not listed anywhere and no venue is said to have failed."""
    span = {"since_ms": NOW - 2 * HOUR, "until_ms": NOW}
    async with world() as app:
        for capability, names in ((FundingHistory, FUNDED), (OpenInterestHistory, HELD)):
            venues = [roll()[name] for name in names]
            found = await gather(app.core(), capability, venues, ("NOPE",), options=span)
            known = await gather(app.core(), capability, venues, ("ETH",), options=span)
            assert ([], [], False) == (found.rows, found.notes, found.partial)
            assert {"NOPE": [venue.id for venue in venues]} == found.not_listed
            assert [venue.id for venue in venues] == [row.venue for row in known.rows]
            assert [] == known.notes


async def test_a_fault_of_one_line_is_told() -> None:
    """COIN-M out of order: no smaller sum of USD-M alone, and the venue is named."""
    async with world("binance/BTCUSD&contractType:http=503") as app:
        found = await gathered(app, OpenInterestHistory, "binance", "BTC", NOW - DAY)
    (row,) = found.rows
    assert (True, ()) == (found.partial, row.points)
    (note,) = found.notes
    assert ("binance", True) == (note["source"], "BTCUSD_PERP" in note["reason"])


@pytest.mark.parametrize("venue", SPACED)
async def test_missing_rows_never_make_a_longer_period(venue: str) -> None:
    """A tenth of the rows is lost on the way: what is left has its true rate and period."""
    coin = "SHIB"
    async with world(f"{venue}/unding:drop=0.1") as app:
        found = await gathered(app, FundingHistory, venue, coin)
    (row,) = found.rows
    main = main_of(venue, coin)
    hours = paid(venue, main, NOW)[1]
    assert 0.6 * 168 / hours < len(row.rates) < 168 / hours
    for one in row.rates:
        expected = paid(venue, main, one.ts)
        assert pytest.approx(expected, rel=1e-9, abs=1e-12) == (one.rate, one.period_hours)


@pytest.mark.parametrize("venue", sorted({*SPACED, *HELD} - {"kraken"}))
async def test_rows_told_twice_count_once(venue: str) -> None:
    """Every row of every list twice: the same rates and the same sums."""
    since = NOW - 6 * HOUR
    async with world(f"{venue}:duplicate") as twice:
        for capability, ask_once in (
            (FundingHistory, rates_of),
            (OpenInterestHistory, interest_of),
        ):
            if isinstance(roll()[venue], capability):
                once: object = await ask_once(asking_past(venue, "BTC", since, NOW, UPSTREAM))
                again = await gathered(twice, capability, venue, "BTC", since)
                assert [once, []] == [again.rows, again.notes]


@pytest.mark.parametrize("venue", ["hyperliquid", "binance", "aster", "bybit"])
async def test_absurd_rates_are_left_out_and_told(venue: str) -> None:
    """1e308, NaN, text: never a rate."""
    async with world(
        f"{venue}/istory:absurd=fundingRate", f"{venue}/fundingRate:absurd=fundingRate"
    ) as app:
        try:
            found = await gathered(app, FundingHistory, venue, "BTC")
        except AllVenuesFailed as failure:
            assert "could not be read" in str(failure.sources)  # noqa: PT017
        else:
            assert found.partial
