"""Prices in rows of equal width: which row a price falls in, and a width that suits it. Pure."""

import math

# Half a tenth of a percent of the price: fine enough for a profile, coarse enough to be read.
_BLOCK_SHARE = 0.0005
_NOISE = 1e-9


def block_near(price: float) -> float:
    """The step of 1, 2 or 5 times a power of ten nearest to 0.05 % of a price, by ratio.

    >>> block_near(64_320.5), block_near(3_150.0), block_near(0.24)
    (50.0, 2.0, 0.0001)
    """
    target = price * _BLOCK_SHARE
    power = math.floor(math.log10(target))
    steps = [float(f"{digit}e{power}") for digit in (1, 2, 5, 10)]
    return min(steps, key=lambda step: (abs(math.log(step / target)), step))


def rows_below(price: float, block: float) -> int:
    """floor(price / block), where a quotient within 1e-9 of a whole number is that number.

    >>> rows_below(64_300.0, 50.0), rows_below(0.3, 0.1), rows_below(64_249.9, 50.0)
    (1286, 3, 1284)
    """
    quotient = price / block
    whole = round(quotient)
    return whole if _is_whole(quotient, whole) else math.floor(quotient)


def rows_above(price: float, block: float) -> int:
    """ceil(price / block), where a quotient within 1e-9 of a whole number is that number.

    >>> rows_above(64_300.0, 50.0), rows_above(0.3, 0.1), rows_above(64_249.9, 50.0)
    (1286, 3, 1285)
    """
    quotient = price / block
    whole = round(quotient)
    return whole if _is_whole(quotient, whole) else math.ceil(quotient)


def _is_whole(quotient: float, whole: int) -> bool:
    return abs(quotient - whole) <= _NOISE * max(1.0, abs(quotient))


def row_price(row: int, block: float) -> float:
    """The price at which a row begins, without the noise of the product."""
    return float(f"{row * block:.12g}")
