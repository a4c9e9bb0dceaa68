"""The Korean side of the simulated world: won per dollar, and what coins cost in won.

Like the market a pure function of seed and time: a coin in won is its price in dollars, times won
per dollar, times what Koreans pay above for USDT, times what they pay above for the coin. The rate
that is published is a fixing of the last working day; the dollar moves on without it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import exp, floor, log10

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.coins import COINS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import noise, stream, unit, wave

_UPBIT = """
BTC ETH XRP SOL DOGE USDT ADA AVAX LINK TRX SUI APT NEAR BCH DOT UNI AAVE SHIB PEPE BONK ETC SEI
ONDO PENGU VIRTUAL KAITO MOVE
"""
_BITHUMB = "BTC ETH XRP SOL USDT DOGE ADA AVAX LINK TRX SUI SHIB PEPE WLD TAO FLOKI LUNC QNT"

LISTED = {"upbit": _UPBIT.split(), "bithumb": _BITHUMB.split()}
"""Coins with a market in won, by venue."""

IN_BITCOIN = ("ETH", "XRP", "SOL")
QUIET = frozenset({"QNT", "MOVE", "KAITO"})
"""Coins of which nobody has traded for minutes."""

# Days from Monday to Friday without a fixing: TARGET's holidays.
_SHUT = """
2024 0101 0329 0401 0501 1225 1226
2025 0101 0418 0421 0501 1225 1226
2026 0101 0403 0406 0501 1225
2027 0101 0326 0329
2028 0414 0417 0501 1225 1226
"""
_SHUT_DAYS = frozenset(
    f"{line[:4]}{day}" for line in _SHUT.strip().split("\n") for day in line.split()[1:]
)
_PUBLISHED_HOUR = 15


@dataclass(frozen=True, slots=True)
class Won:
    """One market in won at a moment; prices as the venue prints them, volume in coins.

    `traded_ms`: when the last trade was; `day_ago` what was paid 24 h before; `opened` the price
    when the venue's day began and `closed` the last one before that.
    """

    symbol: str
    coin: str
    price: float
    traded_ms: int
    day_ago: float
    opened: float
    closed: float
    high: float
    low: float
    volume: float
    turnover: float


def usd_krw(market: Market, at_ms: int) -> float:
    """Won per dollar as banks trade it, also on weekends."""
    return 1420.0 * exp(0.05 * noise(stream(market.seed, "fx/USDKRW"), at_ms))


def fixing(market: Market, at_ms: int) -> tuple[date, float]:
    """The newest published fixing: its day, and won per dollar with two decimals."""
    day = datetime.fromtimestamp((at_ms - _PUBLISHED_HOUR * HOUR_MS) / 1000, UTC).date()
    while day.weekday() >= 5 or f"{day:%Y%m%d}" in _SHUT_DAYS:
        day -= timedelta(days=1)
    made = datetime(day.year, day.month, day.day, 13, 15, tzinfo=UTC)
    return day, round(usd_krw(market, round(made.timestamp() * 1000)), 2)


def usdt_premium(market: Market, at_ms: int) -> float:
    """What Koreans pay for USDT above the dollar, a fraction; of either sign."""
    return 0.011 + 0.02 * noise(stream(market.seed, "korea/USDT"), at_ms)


def coin_premium(market: Market, venue: str, coin: str, at_ms: int) -> float:
    """What a coin costs above its price in USDT there, a fraction."""
    if coin == "USDT":
        return 0.0
    own = wave(stream(market.seed, f"korea/{venue}/{coin}"), at_ms, 40 * 60_000)
    return 0.002 + 0.003 * noise(stream(market.seed, "korea/coins"), at_ms) + 0.0008 * own


def won_exact(market: Market, venue: str, coin: str, at_ms: int) -> float:
    """A coin in won before rounding."""
    dollars = market.price(coin, at_ms) * usd_krw(market, at_ms)
    paid = 1.0 + coin_premium(market, venue, coin, at_ms)
    return dollars * (1.0 + usdt_premium(market, at_ms)) * paid


def won_price(market: Market, venue: str, coin: str, at_ms: int) -> float:
    """A coin in won in the venue's ticks: thousands for bitcoin, millionths for a meme."""
    price = won_exact(market, venue, coin, at_ms)
    magnitude = floor(log10(price))
    digits = -3 if magnitude >= 7 else max(0, 3 - magnitude)
    return round(price, digits)


def won(market: Market, venue: str, coin: str, at_ms: int) -> Won:
    """The state of a market in won. The day begins at 00:00 UTC on upbit, in Korea on bithumb."""
    ahead = 0 if venue == "upbit" else 9 * HOUR_MS
    began = at_ms - (at_ms + ahead) % DAY_MS
    traded = at_ms - _quiet_ms(market, venue, coin)
    price = won_price(market, venue, coin, traded)
    hours = range(began, traded, HOUR_MS)
    swept = [*(won_price(market, venue, coin, at) for at in hours), price]
    usd = 4e4 * COINS[coin].oi * exp(wave(stream(market.seed, f"{venue}/{coin}"), at_ms, DAY_MS))
    volume = round(usd / market.price(coin, at_ms), 8)
    return Won(
        symbol=f"KRW-{coin}",
        coin=coin,
        price=price,
        traded_ms=traded,
        day_ago=won_price(market, venue, coin, at_ms - DAY_MS),
        opened=swept[0],
        closed=won_price(market, venue, coin, began - 1000),
        high=max(swept),
        low=min(swept),
        volume=volume,
        turnover=round(volume * price, 4),
    )


def _quiet_ms(market: Market, venue: str, coin: str) -> int:
    """How long ago the last trade was: seconds, or minutes where few trade."""
    share = unit(stream(market.seed, f"{venue}/{coin}/quiet"), 0)
    return round((600 + 300 * share) * 1000 if coin in QUIET else 9_000 * share)
