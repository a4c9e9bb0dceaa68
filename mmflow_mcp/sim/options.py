"""The option chains of the simulated deribit: strikes, a smile, Black-76 marks, quotes.

BTC and ETH options are inverse (premium in coins), SOL and XRP ones linear (USDC per coin). Open
interest and volume are in coins. Strikes stand around the forward of the week's first moment, so
the list of instruments is steady within a week.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from math import erf, exp, floor, log, sqrt

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.expiries import expiry_of, option_expiries, written_day
from mmflow_mcp.sim.noise import noise, stream, unit, wave
from mmflow_mcp.sim.shapes import OptionQuote

_YEAR_MS = 365 * DAY_MS
_WEEK_MS = 7 * DAY_MS
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


@dataclass(frozen=True, slots=True)
class _Family:
    """How one underlying's options look: strike steps relative to price, digits, sizes."""

    prefix: str
    inverse: bool
    base_iv: float
    oi: float
    digits: int
    tick: float
    steps: tuple[float, float, float]
    reach: tuple[int, int, int]
    expiries: int
    lot: int


_FAMILIES = {
    "BTC": _Family("BTC", True, 44.0, 5200.0, 6, 0.0001, (500, 1000, 2000), (20, 20, 26), 12, 1),
    "ETH": _Family("ETH", True, 62.0, 52_000.0, 6, 0.0001, (20, 50, 100), (18, 18, 22), 12, 0),
    "SOL": _Family("SOL_USDC", False, 74.0, 24_000.0, 4, 0.01, (2, 4, 10), (8, 8, 11), 6, 0),
    "XRP": _Family(
        "XRP_USDC", False, 80.0, 900_000.0, 6, 0.0001, (0.025, 0.05, 0.125), (8, 8, 11), 6, 0
    ),
    "BTC_USDC": _Family("BTC_USDC", False, 44.0, 60.0, 2, 5.0, (1000, 2000, 4000), (6, 6, 6), 3, 2),
    "ETH_USDC": _Family("ETH_USDC", False, 62.0, 700.0, 2, 0.5, (50, 100, 200), (6, 6, 6), 3, 1),
    "AVAX_USDC": _Family(
        "AVAX_USDC", False, 85.0, 40_000.0, 4, 0.01, (0.5, 1.0, 2.0), (4, 4, 4), 2, 0
    ),
}

LINEAR = ("SOL", "XRP", "BTC_USDC", "ETH_USDC", "AVAX_USDC")
"""The chains that live under deribit's settlement currency USDC."""


def quote_chain(
    seed: int, underlying: str, at_ms: int, spot: Callable[[int], float]
) -> tuple[OptionQuote, ...]:
    """Every listed option of an underlying at a moment; KeyError when it has none."""
    family = _FAMILIES[underlying]
    week = (at_ms - _MONDAY_MS) // _WEEK_MS * _WEEK_MS + _MONDAY_MS
    level = 1.0 + 0.18 * noise(stream(seed, f"vol/{underlying}"), at_ms)
    index = round(spot(at_ms), 4 if spot(at_ms) < 100 else 2)
    out: list[OptionQuote] = []
    for day in option_expiries(at_ms)[: family.expiries]:
        forward = _forward(index, day, at_ms)
        anchor = _forward(spot(week), day, week)
        for strike in _strikes(family, anchor, (expiry_of(day) - at_ms) / DAY_MS):
            about = [(underlying, day, strike, kind) for kind in "CP"]
            out += [_quote(seed, family, one, (level, forward, index, at_ms)) for one in about]
    return tuple(out)


def _forward(index: float, day: date, at_ms: int) -> float:
    years = max(0, expiry_of(day) - at_ms) / _YEAR_MS
    return round(index * (1.0 + 0.045 * years), 4 if index < 100 else 2)


def _strikes(family: _Family, anchor: float, days: float) -> list[float]:
    """Dense near the forward, four times sparser in the wings; far expiries reach farther."""
    slot = 0 if days < 5 else 1 if days < 40 else 2
    step, reach = family.steps[slot], family.reach[slot]
    centre = floor(anchor / step)
    near = {round(float((centre + n) * step), 6) for n in range(-reach // 2, reach // 2 + 1)}
    wide = step * 4
    middle = floor(anchor / wide)
    near |= {round(float((middle + n) * wide), 6) for n in range(-reach // 2, reach // 2 + 1)}
    return sorted(strike for strike in near if strike > anchor * 0.15)


def _written_strike(strike: float) -> str:
    """`d` is the decimal point: 0d625."""
    return f"{strike:.6f}".rstrip("0").rstrip(".").replace(".", "d")


def _smile(family: _Family, level: float, moneyness: float, years: float) -> float:
    """Implied volatility in percent: skewed to the puts, steeper for near expiries."""
    term = 1.0 + 0.10 * exp(-years * 12.0)
    x = moneyness / (sqrt(years) + 0.08)
    wings = 0.045 * x * x / (1.0 + 0.12 * x * x)
    return round(family.base_iv * level * term * (1.0 - 0.055 * x / (1.0 + abs(x)) + wings), 2)


def _normal(x: float) -> float:
    return 0.5 * (1.0 + erf(x / 1.4142135623730951))


def _black76(forward: float, strike: float, iv: float, years: float, kind: str) -> float:
    """Undiscounted value of a European option, USD per coin; `iv` a fraction."""
    width = iv * sqrt(years)
    d1 = log(forward / strike) / width + width / 2.0
    call = forward * _normal(d1) - strike * _normal(d1 - width)
    return max(0.0, call if kind == "C" else call - forward + strike)


def _quote(
    seed: int,
    family: _Family,
    about: tuple[str, date, float, str],
    moment: tuple[float, float, float, int],
) -> OptionQuote:
    underlying, day, strike, kind = about
    level, forward, index, at_ms = moment
    name = f"{family.prefix}-{written_day(day)}-{_written_strike(strike)}-{kind}"
    key = stream(seed, f"option/{name}")
    expiry = expiry_of(day)
    years = max(expiry - at_ms, 60_000) / _YEAR_MS
    iv = _smile(family, level, log(strike / forward), years)
    value = _black76(forward, strike, iv / 100.0, years, kind)
    mark = round(value / forward if family.inverse else value, family.digits)
    oi, volume = _sizes(family, key, strike / forward, years, at_ms)
    bid, ask = _book(family, key, mark, at_ms)
    return OptionQuote(
        name, underlying, strike, expiry, kind, oi, volume, iv, mark, bid, ask, forward, index
    )


def _sizes(
    family: _Family, key: int, moneyness: float, years: float, at_ms: int
) -> tuple[float, float]:
    """Open interest and 24 h volume in coins; some strikes hold nothing."""
    taste = unit(key, 1)
    if taste < 0.06:
        return 0.0, 0.0
    shape = exp(-((moneyness - 1.0) ** 2) / (0.02 + 0.25 * years)) + 0.05
    size = family.oi * taste**3 * shape * min(1.0, 0.15 + 4.0 * years)
    oi = round(size * (1.0 + 0.25 * wave(key, at_ms, 12 * HOUR_MS)), family.lot)
    traded = oi * max(0.0, 0.08 + 0.12 * wave(key, at_ms, 8 * HOUR_MS, 1))
    return oi, round(traded, family.lot)


def _book(family: _Family, key: int, mark: float, at_ms: int) -> tuple[float | None, float | None]:
    """Best bid and ask on the price grid; cheap options have no bid, some have no ask."""
    tick = family.tick * (5 if family.inverse and mark > 0.005 else 1)
    half = max(tick, mark * 0.012)
    bid = floor((mark - half) / tick) * tick
    ask = floor((mark + half) / tick + 1) * tick
    nobody = unit(key, at_ms // HOUR_MS)
    return (
        round(bid, 6) if bid > 0.0 and nobody > 0.02 else None,
        round(ask, 6) if nobody < 0.97 else None,
    )
