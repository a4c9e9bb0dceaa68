"""What the simulated market itself says, for the conclusions of the prompts: no parser in between.

Rates per 8 hours, apr in percent a year, open interest in USD or coins, as named.
"""

from math import exp, log, pi, sqrt
from statistics import fmean, pstdev

from worlds import MARKET, NOW

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.positions import closed_share, liquidated

FOUR = ("binance", "bybit", "hyperliquid", "okx")
YEAR_HOURS = 8_760


def aprs(coin: str) -> dict[str, float]:
    """What longs pay now, by venue."""
    found = {venue: MARKET.funding(venue, coin, NOW) for venue in MARKET.venues()}
    return {
        venue: perp.funding_rate * YEAR_HOURS / perp.listing.period_hours * 100
        for venue, perp in found.items()
        if perp is not None
    }


def paid(venue: str, coin: str, days: int = 7) -> dict[int, float]:
    """What longs paid at each settlement, as a rate per 8 hours."""
    perp = MARKET.funding(venue, coin, NOW)
    assert perp is not None
    one = perp.listing
    if venue == "deribit":
        hours = range(NOW - NOW % HOUR_MS - days * 24 * HOUR_MS + HOUR_MS, NOW, HOUR_MS)
        return {t: MARKET.hourly_interest(one, t) * 8 for t in hours}
    period = one.paid_hours * HOUR_MS
    first = -(-(NOW - days * DAY_MS) // period) * period
    times = range(first, NOW + 1, period)
    return {t: MARKET.settled_funding(one, t) * 8 / one.period_hours for t in times}


def mean_apr(venue: str, coin: str) -> float:
    """What longs paid in the last week on average."""
    return fmean(paid(venue, coin).values()) / 8 * YEAR_HOURS * 100


def best_pair(coin: str) -> tuple[str, str, float]:
    """(where longs pay most, where least, points a year), without what is over (deribit)."""
    known = {venue: apr for venue, apr in aprs(coin).items() if venue != "deribit"}
    high, low = max(known, key=lambda v: known[v]), min(known, key=lambda v: known[v])
    return high, low, known[high] - known[low]


def interest(coin: str, at_ms: int = NOW) -> dict[str, tuple[float, float]]:
    """(USD, coins) that are open, by venue."""
    found = {venue: MARKET.open_interest(venue, coin, at_ms) for venue in MARKET.venues()}
    return {venue: held for venue, held in found.items() if held is not None}


def cost(coin: str) -> float:
    """Mean apr, weighted by what is open."""
    held, rates = interest(coin), aprs(coin)
    return sum(rates[v] * held[v][0] for v in rates) / sum(held[v][0] for v in rates)


def crowd(coin: str) -> float:
    """Mean share of accounts that are long, over the venues that tell it."""
    venues = ("binance", "bybit", "gateio", "okx")
    listed = [venue for venue in venues if MARKET.funding(venue, coin, NOW) is not None]
    return fmean(closed_share(MARKET, v, coin, "global", HOUR_MS, NOW)[0] for v in listed)


def unusual(coin: str) -> dict[str, float]:
    """How far the newest payment stands from the week's mean, in deviations, by venue."""
    found = {}
    for venue in FOUR:
        rates = list(paid(venue, coin).values())
        near = abs(rates[-1] - fmean(rates)) * 1e4 < 0.2
        found[venue] = 0.0 if near else (rates[-1] - fmean(rates)) / pstdev(rates)
    return found


def closed(coin: str) -> tuple[float, float]:
    """(longs, shorts) closed by force in 24 h on okx, USD: the venue that tells all of it."""
    return liquidated(MARKET, "okx", coin, NOW)[:2]


def gammas(underlying: str, spot: float) -> dict[float, float]:
    """Gamma by strike at a price, USD per 1 %: calls +, puts -; forwards move with spot."""
    found: dict[float, float] = {}
    for one in MARKET.chain(underlying, NOW):
        years = (one.expiry_ms - NOW) / (365 * DAY_MS)
        forward = one.forward * spot / one.index
        width = one.mark_iv / 100 * sqrt(years)
        d1 = log(forward / one.strike) / width + width / 2
        gamma = exp(-d1 * d1 / 2) / sqrt(2 * pi) / (forward * width)
        signed = (1 if one.type == "C" else -1) * one.oi * gamma * spot * spot * 0.01
        found[one.strike] = found.get(one.strike, 0.0) + signed
    return found


def at_the_money(underlying: str) -> list[float]:
    """Volatility at the money by expiry, percent: of the strike nearest to the forward."""
    chain = MARKET.chain(underlying, NOW)
    nearest = {}
    for one in sorted(chain, key=lambda o: (o.expiry_ms, -abs(o.strike / o.forward - 1))):
        nearest[one.expiry_ms] = one.mark_iv
    return list(nearest.values())


def last(venue: str, coin: str) -> float:
    """The last price of a coin's first spot market on a venue, as quoted."""
    order = {"coinbase": ("USD",), "bitfinex": ("USD",), "kraken": ("USD",)}
    quotes = order.get(venue, ("USDT",))
    (found,) = [
        one
        for one in MARKET.listings(venue, NOW)
        if one.kind == "spot" and one.coin == coin and one.quote in quotes
    ]
    return MARKET.perp(found, NOW).last


def building(coin: str) -> float:
    """Mean change of open interest over 24 h on the venues that keep a record, percent of coins."""
    then, now = interest(coin, NOW - DAY_MS), interest(coin)
    return fmean((now[v][1] / then[v][1] - 1) * 100 for v in ("binance", "bybit", "okx"))
