"""One number from the numbers of many venues. Pure."""

import math
from collections.abc import Mapping


def weighted_mean(
    values: Mapping[str, float], weights: Mapping[str, float | None]
) -> tuple[float, bool] | None:
    """The mean of values by name, and whether their weights were used.

    Where a weight is missing, negative or not finite, or all are 0, every value counts the same
    and the flag is False. None for no values.

    METHODS 1, two of its venues with equal and with unequal weights:

    >>> weighted_mean({"a": 8.32e-5, "b": 7.21e-5}, {"a": 3.0, "b": 1.0})
    (8.0425e-05, True)
    >>> weighted_mean({"a": 8.32e-5, "b": 7.21e-5}, {"a": 3.0, "b": None})
    (7.765e-05, False)
    """
    if not values:
        return None
    known = {
        name: weight
        for name in values
        if (weight := weights.get(name)) is not None and math.isfinite(weight) and weight >= 0
    }
    total = math.fsum(known.values())
    if len(known) == len(values) and total > 0:
        return math.fsum(values[name] * known[name] for name in values) / total, True
    return math.fsum(values.values()) / len(values), False
