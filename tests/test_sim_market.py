"""The simulated market is one truth: a pure, smooth, plausible function of seed and time."""

import subprocess
import sys
from itertools import pairwise
from math import log

import pytest

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.coins import COINS
from mmflow_mcp.sim.expiries import expiry_of, next_last_fridays, option_expiries, written_day
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.noise import noise, splitmix64, stream

NOW = 1_795_485_784_000
VENUES = (
    "hyperliquid",
    "binance",
    "bybit",
    "okx",
    "aster",
    "lighter",
    "deribit",
    "gateio",
    "kraken",
)


@pytest.fixture(scope="module")
def market() -> Market:
    """One world for all tests of this file."""
    return Market(1)


def find(market: Market, venue: str, symbol: str, kind: str = "perp") -> Listing:
    """A listing by venue, symbol and kind."""
    return next(i for i in market.listings(venue, NOW) if (i.symbol, i.kind) == (symbol, kind))


def test_the_hash_is_splitmix64() -> None:
    """The generator's published first outputs for the seed 0, so that every machine agrees."""
    assert 0xE220A8397B1DCDAF == splitmix64(0)
    assert 0x6E789E6AA1B965F4 == splitmix64(0x9E3779B97F4A7C15)


def test_same_seed_and_time_give_the_same_world(market: Market) -> None:
    """Another Market of the seed, asked in another order, has equal states; another seed not."""
    twin, other = Market(1), Market(2)
    listing = find(market, "binance", "BTCUSDT")
    later = twin.perp(listing, NOW + DAY_MS)
    assert market.perp(listing, NOW) == twin.perp(listing, NOW)
    assert market.perp(listing, NOW + DAY_MS) == later
    assert market.perp(listing, NOW) != other.perp(listing, NOW)


def test_another_process_sees_the_same_prices(market: Market) -> None:
    """Nothing depends on hash randomisation or on process state."""
    code = (
        "from mmflow_mcp.sim.market import Market; m = Market(1);"
        f"print(repr([m.price(c, {NOW}) for c in ('BTC', 'PEPE', 'HYPE')]), end='')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert repr([market.price(c, NOW) for c in ("BTC", "PEPE", "HYPE")]) == said


def test_nine_venues_and_many_coins(market: Market) -> None:
    """The venues of the contract without bitmex, over thirty coins, the well-known among them."""
    assert VENUES == market.venues()
    assert len(market.coins) > 30
    assert {"BTC", "ETH", "SOL", "XRP", "DOGE", "PEPE", "SHIB", "BONK", "HYPE"} <= set(market.coins)


def test_bitcoin_is_worth_what_bitcoin_is_worth(market: Market) -> None:
    """Over three years and three seeds bitcoin stays between 60 and 110 thousand and moves."""
    for seed in (1, 2, 3):
        prices = [Market(seed).price("BTC", NOW + n * 9 * DAY_MS) for n in range(-60, 60)]
        assert min(prices) > 60_000
        assert max(prices) < 110_000
        assert max(prices) / min(prices) > 1.15


def test_prices_move_smoothly_and_every_day(market: Market) -> None:
    """A second moves bitcoin by less than a basis point, a day by some percent now and then."""
    for hour in range(48):
        at_ms = NOW + hour * HOUR_MS
        assert abs(log(market.price("BTC", at_ms + 1000) / market.price("BTC", at_ms))) < 1e-4
    days = [market.price("BTC", NOW + n * DAY_MS) for n in range(60)]
    moves = [abs(b / a - 1.0) for a, b in pairwise(days)]
    assert 0.015 < max(moves) < 0.15


def test_noise_fills_its_range_and_no_more() -> None:
    """Value noise stays within -1..1 and does not die out."""
    values = [noise(stream(1, "x"), n * 7 * DAY_MS) for n in range(500)]
    assert max(abs(v) for v in values) <= 1.0
    assert max(values) > 0.4
    assert min(values) < -0.4


@pytest.mark.parametrize("venue", VENUES)
def test_states_hold_together(market: Market, venue: str) -> None:
    """Bid below ask, low below high, funding due ahead, truth derived from interest and mark."""
    for listing in market.listings(venue, NOW):
        perp = market.perp(listing, NOW)
        assert 0.0 < perp.bid < perp.ask, listing
        assert perp.low_24h <= min(perp.last, perp.open_24h), listing
        assert perp.high_24h >= max(perp.last, perp.open_24h), listing
        assert abs(perp.mark / perp.index - 1.0) < 0.03, listing
        size = perp.open_interest * listing.contract_size
        if listing.margin == "inverse":
            usd, coins = size, size / perp.mark
        else:
            usd, coins = size * perp.mark, size * listing.multiplier
        assert usd == pytest.approx(perp.oi_usd, rel=1e-12)
        assert coins == pytest.approx(perp.oi_coins, rel=1e-12)
        if listing.kind == "perp":
            period = listing.paid_hours * HOUR_MS
            assert 0 < perp.next_funding_ms - NOW <= period
            assert 0 == perp.next_funding_ms % period
            assert abs(perp.funding_rate) < 0.002
        if listing.counted:
            assert perp.oi_usd > 10_000, listing
            assert perp.turnover_usd == pytest.approx(
                perp.volume_coins / listing.multiplier * perp.last, rel=0.2
            ), listing


@pytest.mark.parametrize("venue", VENUES)
def test_numbers_are_rounded_as_they_are_printed(market: Market, venue: str) -> None:
    """Prices and open interest survive being written with the listing's digits."""
    for listing in market.listings(venue, NOW):
        perp = market.perp(listing, NOW)
        for price in (perp.mark, perp.last, perp.bid, perp.ask, perp.index):
            assert float(f"{price:.{listing.price_digits}f}") == price
        assert float(f"{perp.open_interest:.{listing.size_digits}f}") == perp.open_interest


def test_big_venues_hold_billions_of_bitcoin(market: Market) -> None:
    """Binance's bitcoin is in the billions and the largest; deribit's is about one."""
    held = {venue: market.open_interest(venue, "BTC", NOW) for venue in VENUES}
    usd = {venue: pair[0] for venue, pair in held.items() if pair is not None}
    assert set(VENUES) == set(usd)
    assert 4e9 < usd["binance"] < 16e9
    assert "binance" == max(usd, key=lambda venue: usd[venue])
    assert 0.5e9 < usd["deribit"] < 3e9


def test_open_interest_is_the_sum_of_live_coin_perpetuals(market: Market) -> None:
    """USDT, USDC and COIN-M perpetuals of binance count; dated ones and spot do not."""
    symbols = ("BTCUSDT", "BTCUSDC", "BTCUSD_PERP")
    perps = [market.perp(find(market, "binance", s), NOW) for s in symbols]
    total = (sum(p.oi_usd for p in perps), sum(p.oi_coins for p in perps))
    assert total == market.open_interest("binance", "BTC", NOW)
    assert market.open_interest("binance", "FTM", NOW) is None


def test_a_stock_never_answers_for_its_coin(market: Market) -> None:
    """Where a stock has a coin's ticker the venue does not list the coin."""
    for venue, ticker in (
        ("binance", "BB"),
        ("bybit", "MOVE"),
        ("okx", "BB"),
        ("gateio", "MOVE"),
        ("aster", "QNT"),
        ("lighter", "WEN"),
        ("hyperliquid", "WEN"),
    ):
        assert ticker in COINS
        perps = [i for i in market.listings(venue, NOW) if i.coin == ticker and i.kind == "perp"]
        assert "stock" in {i.asset for i in perps}, venue
        assert market.open_interest(venue, ticker, NOW) is None
        assert market.funding(venue, ticker, NOW) is None


def test_the_main_perpetual_of_each_venue(market: Market) -> None:
    """USDT first, else USDC; deribit's inverse one comes before its linear one."""
    main = {}
    for venue in VENUES:
        perp = market.funding(venue, "BTC", NOW)
        main[venue] = perp and perp.listing.symbol
    assert {
        "hyperliquid": "BTC",
        "binance": "BTCUSDT",
        "bybit": "BTCUSDT",
        "okx": "BTC-USDT-SWAP",
        "aster": "BTCUSDT",
        "lighter": "BTC",
        "deribit": "BTC-PERPETUAL",
        "gateio": "BTC_USDT",
        "kraken": "PF_XBTUSD",
    } == main
    linear = market.funding("deribit", "SOL", NOW)
    assert linear is not None
    assert "SOL_USDC-PERPETUAL" == linear.listing.symbol


def test_the_traps_are_listed(market: Market) -> None:
    """Multipliers in every spelling, real names that look like them, and what must be left out."""
    meant = {
        ("hyperliquid", "kPEPE"): ("PEPE", 1000),
        ("hyperliquid", "KAITO"): ("KAITO", 1),
        ("hyperliquid", "KAS"): ("KAS", 1),
        ("binance", "1000SHIBUSDT"): ("SHIB", 1000),
        ("binance", "1MBABYDOGEUSDT"): ("BABYDOGE", 1_000_000),
        ("binance", "1000000MOGUSDT"): ("MOG", 1_000_000),
        ("binance", "1INCHUSDT"): ("1INCH", 1),
        ("binance", "LUNA2USDT"): ("LUNA", 1),
        ("binance", "币安人生USDT"): ("币安人生", 1),
        ("bybit", "SHIB1000USDT"): ("SHIB", 1000),
        ("bybit", "10000SATSUSDT"): ("SATS", 10_000),
        ("bybit", "BTCPERP"): ("BTC", 1),
        ("bybit", "1000BONKPERP"): ("BONK", 1000),
        ("okx", "PEPE-USDT-SWAP"): ("PEPE", 1),
        ("lighter", "1000PEPE"): ("PEPE", 1000),
        ("gateio", "龙虾_USDT"): ("龙虾", 1),
    }
    for (venue, symbol), (coin, multiplier) in meant.items():
        listing = find(market, venue, symbol)
        assert (coin, multiplier) == (listing.coin, listing.multiplier)
    for venue in VENUES:
        listings = market.listings(venue, NOW)
        assert len({(i.symbol, i.kind) for i in listings}) == len(listings)
        if venue != "deribit":
            assert "delisted" in {i.status for i in listings}, venue
    assert "prelaunch" in {i.status for i in market.listings("bybit", NOW)}
    periods = {i.period_hours for i in market.listings("binance", NOW) if i.counted}
    assert {1, 2, 4, 8} == periods


def test_predicted_funding_converges_to_what_is_settled(market: Market) -> None:
    """In the last second before a settlement the predicted rate is the settled one."""
    for venue in VENUES:
        perp = market.funding(venue, "ETH", NOW)
        assert perp is not None
        settlement = perp.next_funding_ms
        before = market.perp(perp.listing, settlement - 1000).funding_rate
        settled = market.settled_funding(perp.listing, settlement)
        assert before == pytest.approx(settled, abs=2e-7)


def test_eight_hours_of_interest_make_deribits_rate(market: Market) -> None:
    """funding_8h is the sum of the hourly interest; cut hours count by their share."""
    listing = find(market, "deribit", "BTC-PERPETUAL")
    hour = NOW // HOUR_MS * HOUR_MS
    hourly = [market.hourly_interest(listing, hour - n * HOUR_MS) for n in range(8)]
    assert market.settled_funding(listing, hour) == pytest.approx(sum(hourly), abs=1e-9)
    halves = market.accrued(listing, hour, hour + HOUR_MS // 2)
    assert halves == pytest.approx(market.hourly_interest(listing, hour + HOUR_MS) / 2, abs=1e-9)


def test_rates_differ_between_venues(market: Market) -> None:
    """Venues are not copies of each other, though some rest at the base rate."""
    perps = [market.funding(venue, "BTC", NOW) for venue in VENUES]
    assert len({p.funding_rate for p in perps if p is not None}) > 4


def test_dated_futures_follow_the_calendar(market: Market) -> None:
    """Two quarters lie ahead at any moment; a future carries a premium and no funding."""
    for at_ms in (NOW, NOW + 40 * DAY_MS, NOW - 900 * DAY_MS):
        dated = [i for i in market.listings("binance", at_ms) if i.kind == "future"]
        assert 8 == len(dated)
        assert all(i.expiry_ms is not None and i.expiry_ms > at_ms for i in dated)
    future = market.perp(find(market, "binance", "BTCUSDT_261225", "future"), NOW)
    assert future.mark > future.index
    assert (0.0, 0) == (future.funding_rate, future.next_funding_ms)


def test_expiries_are_fridays_at_eight() -> None:
    """The last Friday of a quarter at 08:00 UTC; one minute later the next quarter is first."""
    days = next_last_fridays(NOW, 3, 2)
    assert ["25DEC26", "26MAR27"] == [written_day(day) for day in days]
    expiry = expiry_of(days[0])
    assert 1_798_185_600_000 == expiry
    assert days[0] == next_last_fridays(expiry - 1, 3, 1)[0]
    assert days[1] == next_last_fridays(expiry, 3, 1)[0]
    assert all(expiry_of(day) > expiry for day in option_expiries(expiry))
    assert "4DEC26" in [written_day(day) for day in option_expiries(NOW)]


@pytest.mark.parametrize(
    ("underlying", "least", "most"),
    [("BTC", 800, 1100), ("ETH", 700, 1000), ("SOL", 150, 250), ("XRP", 150, 250)],
)
def test_chains_are_of_real_size_and_hold_together(
    market: Market, underlying: str, least: int, most: int
) -> None:
    """Puts and calls of one strike have one volatility and keep parity; forwards rise with time."""
    chain = market.chain(underlying, NOW)
    assert least <= len(chain) <= most
    assert len(chain) == len({q.instrument for q in chain})
    calls = {(q.expiry_ms, q.strike): q for q in chain if q.type == "C"}
    puts = {(q.expiry_ms, q.strike): q for q in chain if q.type == "P"}
    assert set(calls) == set(puts)
    inverse = underlying in ("BTC", "ETH")
    for key, call in calls.items():
        put = puts[key]
        assert 5.0 < call.mark_iv == put.mark_iv < 400.0
        usd = call.forward if inverse else 1.0
        parity = (call.mark_price - put.mark_price) * usd
        assert parity == pytest.approx(call.forward - call.strike, abs=call.forward * 2e-5)
    assert any(q.bid is None for q in chain)
    assert any(q.oi == 0.0 for q in chain)
    forwards = sorted({(q.expiry_ms, q.forward) for q in chain})
    assert forwards == sorted(forwards, key=lambda pair: pair[1])
    assert all(q.bid is None or q.ask is None or q.bid < q.ask for q in chain)


def test_strikes_surround_the_forward(market: Market) -> None:
    """Each expiry has strikes on both sides of its forward."""
    for underlying in ("BTC", "ETH", "SOL", "XRP"):
        chain = market.chain(underlying, NOW)
        for expiry in {q.expiry_ms for q in chain}:
            row = [q for q in chain if q.expiry_ms == expiry]
            assert sum(q.strike < q.forward for q in row) > 4
            assert sum(q.strike > q.forward for q in row) > 4


def test_strikes_with_decimals_are_written_with_a_d(market: Market) -> None:
    """2.65 is written 2d65."""
    names = {q.instrument.split("-")[2] for q in market.chain("XRP", NOW)}
    assert any("d" in name for name in names)
    assert not any("." in name for name in names)


def test_a_price_stays_cheap_to_compute(market: Market) -> None:
    """A perpetual at a new second takes fewer than three hundred calls."""
    calls = perps = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    listed = [one for venue in VENUES for one in market.listings(venue, NOW + 7000)]
    sys.setprofile(called)
    try:
        for listing in listed:
            market.perp(listing, NOW + 7000)
            perps += 1
    finally:
        sys.setprofile(None)
    assert perps > 300
    assert calls / perps < 300
