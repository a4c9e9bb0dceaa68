"""Funding rates in comparable units (METHODS 1).

A venue prints a fraction paid for one period of some hours; positive means longs pay shorts.
Rates are compared per 8 hours, venues are ranked by APR. APR and APY are percent per year.
"""

import math

HOURS_PER_YEAR = 8760


def hourly(rate: float, period_hours: float) -> float:
    """Rate per hour, a fraction with the sign of `rate`.

    Raises ValueError when the period is not positive or a number is not finite.

    METHODS 1, the Binance and Hyperliquid rows:

    >>> f"{hourly(0.0000832, 8):.5g}", f"{hourly(0.0000125, 1):.5g}"
    ('1.04e-05', '1.25e-05')
    """
    if not (math.isfinite(rate) and math.isfinite(period_hours) and period_hours > 0):
        message = f"no rate per hour from {rate!r} per {period_hours!r} h"
        raise ValueError(message)
    return rate / period_hours


def rate8h(rate: float, period_hours: float) -> float:
    """Rate per 8 hours, a fraction with the sign of `rate`; errors as in `hourly`.

    METHODS 1, the Hyperliquid and the 4 h rows:

    >>> f"{rate8h(0.0000125, 1):.5g}", f"{rate8h(0.0003, 4):.5g}"
    ('0.0001', '0.0006')
    """
    return 8 * hourly(rate, period_hours)


def apr(rate: float, period_hours: float) -> float:
    """Yearly rate without compounding, percent; errors as in `hourly`.

    METHODS 1, the Binance and the -0.0005 rows:

    >>> f"{apr(0.0000832, 8):.4f}", f"{apr(-0.0005, 8):.2f}"
    ('9.1104', '-54.75')
    """
    return HOURS_PER_YEAR * hourly(rate, period_hours) * 100


def apy(rate: float, period_hours: float) -> float | None:
    """Yearly rate with every payment compounded, percent; errors as in `hourly`.

    None where compounding has no finite value: a loss above the whole stake, or an overflow.

    METHODS 1, the Hyperliquid and the -0.0005 rows:

    >>> f"{apy(0.0000125, 1):.4f}", f"{apy(-0.0005, 8):.2f}"
    ('11.5719', '-42.17')
    """
    hourly(rate, period_hours)
    if rate < -1:
        return None
    if rate == -1:
        return -100.0
    try:
        return math.expm1(HOURS_PER_YEAR / period_hours * math.log1p(rate)) * 100
    except OverflowError:
        return None
