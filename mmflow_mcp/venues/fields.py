"""Reading wire fields: what is a number, what is nothing, and what cannot be believed."""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from mmflow_mcp.errors import VenueChanged

T = TypeVar("T")

# No funding rate of one period comes near this; no venue's open interest in one coin does either.
MAX_RATE = 0.25
MAX_USD = 1e12


def number(value: Any) -> float:
    """A finite number, from a JSON number or a decimal string. Raises ValueError otherwise."""
    if value is None or isinstance(value, bool) or value == "":
        msg = "not a number"
        raise ValueError(msg)
    result = float(value)
    if not math.isfinite(result):
        msg = "not finite"
        raise ValueError(msg)
    return result


def number_or_none(value: Any) -> float | None:
    """A finite number, or None where the venue says nothing ("", null)."""
    return None if value is None or value == "" else number(value)


def positive(value: Any) -> float:
    """A number above zero and not beyond belief: prices, sizes of contracts."""
    result = number(value)
    if not 0 < result < 1e12:
        msg = "not positive"
        raise ValueError(msg)
    return result


def positive_or_none(value: Any) -> float | None:
    """A number above zero, or None where there is none."""
    result = number_or_none(value)
    return result if result is not None and 0 < result < 1e12 else None


def amount(value: Any) -> float:
    """A quantity: zero or more, and not beyond belief."""
    result = number(value)
    if not 0 <= result < 1e21:
        msg = "not a quantity"
        raise ValueError(msg)
    return result


def rate(value: Any) -> float:
    """A funding rate of one period, as a fraction."""
    result = number(value)
    if abs(result) > MAX_RATE:
        msg = "not a funding rate"
        raise ValueError(msg)
    return result


def ms(value: Any) -> int | None:
    """An epoch time in milliseconds, None for "", "0", 0 and null."""
    result = number_or_none(value)
    return round(result) if result else None


def each(
    raw: Iterable[Any], read: Callable[[Any], T | None], *, tolerate: float = 0.5
) -> tuple[list[T], int]:
    """Read every row; rows that cannot be read are left out and counted.

    `read` returns None for rows that do not concern us. When more than `tolerate` of the others
    cannot be read the venue has changed its format: `VenueChanged`.
    """
    good: list[T] = []
    bad = 0
    if not isinstance(raw, list):
        raise VenueChanged("changed: a list was expected")
    for row in raw:
        try:
            result = read(row)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            bad += 1
            continue
        if result is not None:
            good.append(result)
    if bad and bad > tolerate * (bad + len(good)):
        raise VenueChanged(f"changed: {bad} of {bad + len(good)} rows could not be read")
    return good, bad


def member(doc: Any, *path: str) -> Any:
    """A nested member of a JSON document. Raises `VenueChanged` naming the one that is missing."""
    for key in path:
        if not isinstance(doc, dict) or key not in doc:
            raise VenueChanged(f"changed: {key} is missing from the answer")
        doc = doc[key]
    return doc
