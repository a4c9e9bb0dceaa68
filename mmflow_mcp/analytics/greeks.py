"""Black-76 values and greeks at zero interest (METHODS 3).

Every function takes the forward and the strike in USD, sigma as a fraction per year (0.4783 for
47.83 %) and t in years. All must be positive: zero or less raises ValueError or ZeroDivisionError.
Results are for one coin of the underlying. They hold for coin-settled options too, because
max(S-K, 0)/S coins are worth max(S-K, 0) USD; only the delta in coin accounting differs
(`premium_adjusted_delta`).

The examples are the one of METHODS 3: F 64,320.5, K 65,000, IV 47.83 %, 30 days.
"""

import math

YEAR_MS = 31_536_000_000
FLOOR_MS = 3_600_000
ROOT_2 = math.sqrt(2)
ROOT_2PI = math.sqrt(2 * math.pi)


def years(expiry_ms: int, now_ms: int) -> float:
    """Time to expiry in years of 365 days, never less than one hour.

    The floor stands because delivery is an average over the last half hour: true gamma fades
    there while the formula's grows without bound.

    >>> years(31_536_000_000, 0), years(60_000, 0) == years(3_600_000, 0)
    (1.0, True)
    """
    return max(expiry_ms - now_ms, FLOOR_MS) / YEAR_MS


def density(x: float) -> float:
    """Standard normal density."""
    return math.exp(-0.5 * x * x) / ROOT_2PI


def probability(x: float) -> float:
    """Standard normal distribution N(x), exact in both tails."""
    return 0.5 * math.erfc(-x / ROOT_2)


def d1(forward: float, strike: float, sigma: float, t: float) -> float:
    """The d1 of Black-76: (ln(F/K) + sigma^2 t / 2) / (sigma sqrt t), a pure number.

    >>> f"{d1(64320.5, 65000, 0.4783, 30 / 365):.6g}"
    '-0.00807536'
    """
    spread = sigma * math.sqrt(t)
    return math.log(forward / strike) / spread + spread / 2


def call_value(forward: float, strike: float, sigma: float, t: float) -> float:
    """Value of a call in USD, undiscounted.

    >>> f"{call_value(64320.5, 65000, 0.4783, 30 / 365):.2f}"
    '3205.06'
    """
    first = d1(forward, strike, sigma, t)
    second = first - sigma * math.sqrt(t)
    return forward * probability(first) - strike * probability(second)


def put_value(forward: float, strike: float, sigma: float, t: float) -> float:
    """Value of a put in USD, undiscounted: the call less F - K.

    >>> f"{put_value(64320.5, 65000, 0.4783, 30 / 365):.2f}"
    '3884.56'
    """
    first = d1(forward, strike, sigma, t)
    second = first - sigma * math.sqrt(t)
    return strike * probability(-second) - forward * probability(-first)


def delta(forward: float, strike: float, sigma: float, t: float, kind: str) -> float:
    """USD of value per USD of the forward: N(d1) for kind C, N(d1) - 1 for P.

    >>> f"{delta(64320.5, 65000, 0.4783, 30 / 365, 'C'):.6f}"
    '0.496778'
    """
    first = d1(forward, strike, sigma, t)
    return probability(first) if kind == "C" else -probability(-first)


def premium_adjusted_delta(
    forward: float, strike: float, sigma: float, t: float, kind: str
) -> float:
    """Delta less the premium held in coins: delta - V/F, for options settled in the coin.

    >>> f"{premium_adjusted_delta(64320.5, 65000, 0.4783, 30 / 365, 'C'):.6f}"
    '0.446949'
    """
    value = call_value if kind == "C" else put_value
    paid = value(forward, strike, sigma, t) / forward
    return delta(forward, strike, sigma, t, kind) - paid


def gamma(forward: float, strike: float, sigma: float, t: float) -> float:
    """Change of delta per USD of the forward, in 1/USD; calls and puts alike, never negative.

    >>> f"{gamma(64320.5, 65000, 0.4783, 30 / 365):.6e}"
    '4.523056e-05'
    """
    first = d1(forward, strike, sigma, t)
    return density(first) / (forward * sigma * math.sqrt(t))


def vega(forward: float, strike: float, sigma: float, t: float) -> float:
    """USD per one point (1 %) of volatility, as Deribit prints it; calls and puts alike.

    The textbook vega is per 1.00 of volatility: a hundred times this.

    >>> f"{vega(64320.5, 65000, 0.4783, 30 / 365):.4f}"
    '73.5630'
    """
    return 0.01 * forward * density(d1(forward, strike, sigma, t)) * math.sqrt(t)


def unit_gex(forward: float, strike: float, sigma: float, t: float) -> float:
    """USD of delta change per 1 % move of the underlying, for one coin of open interest.

    0.01 F^2 gamma; never negative, the sign of a position is the caller's.

    >>> f"{unit_gex(64320.5, 65000, 0.4783, 30 / 365):.3f}"
    '1871.245'
    """
    first = d1(forward, strike, sigma, t)
    return 0.01 * forward * density(first) / (sigma * math.sqrt(t))
