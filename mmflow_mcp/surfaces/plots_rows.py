"""Reading rows and telling numbers, for plots."""

import math
from typing import Any

Row = dict[str, Any]


def objects(table: Any) -> list[Row]:
    """The rows of a table as objects, from either form of rows."""
    if isinstance(table, dict) and "columns" in table:
        return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return list(table or ())


def known(value: Any) -> bool:
    """Whether it is a number that can be drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float, digits: int = 2) -> str:
    """A number with separators and no more decimals than asked.

    >>> number(86452.5), number(-46127945.2, 0), number(7)
    ('86,452.5', '-46,127,945', '7')
    """
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: float) -> str:
    """A price with the decimals that its size needs.

    >>> price(86452.516), price(1.2345)
    ('86,452.52', '1.2345')
    """
    return number(value, 4 if abs(value) < 10 else 2)
