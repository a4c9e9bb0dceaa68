"""What is believed of a candle, and longer candles out of shorter ones."""

from collections.abc import Iterable
from typing import Any

from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.venues.fields import amount, positive
from mmflow_mcp.venues.traded import Traded

# How far turnover may lie outside volume x price: small ones are rounded, a wrong unit is further.
_FACTOR = 2.0


def read_candle(
    at_ms: int,
    prices: tuple[Any, Any, Any, Any],
    volume: Any,
    market: Traded,
    step_ms: int,
    *,
    turnover: Any = None,
) -> Candle:
    """A candle from wire fields: opening time, (open, high, low, close), volume in symbol units.

    `turnover`: volume in the quote, where it is told. Raises ValueError for what cannot be: a time
    off the grid, a low above the open, a volume that is no number of coins at these prices.
    """
    opened, high, low, closed = map(positive, prices)
    if at_ms % step_ms:
        msg = "not on the grid of the interval"
        raise ValueError(msg)
    if low > min(opened, closed) or high < max(opened, closed):
        msg = "not a candle"
        raise ValueError(msg)
    units, many = amount(volume), market.multiplier
    paid = amount(turnover) if turnover not in (None, "") else 0.0
    if units and paid and not low / _FACTOR <= paid / units <= high * _FACTOR:
        msg = "volume and turnover contradict each other"
        raise ValueError(msg)
    return Candle(
        t=at_ms,
        o=opened / many,
        h=high / many,
        l=low / many,
        c=closed / many,
        v=units * many,
    )


def combine(candles: Iterable[Candle], step_ms: int) -> list[Candle]:
    """Longer candles out of ascending shorter ones, on the UTC grid.

    A long candle is there where any short one is: the others had no trade.
    """
    return [_joined(start, same) for start, same in _grouped(candles, step_ms).items()]


def combine_whole(
    candles: Iterable[Candle], part_ms: int, step_ms: int, now_ms: int
) -> list[Candle]:
    """The same where an interval without a trade has a candle, too.

    A long candle that lacks a part of `part_ms` is left out: its high, low and volume would be
    those of less. That which runs at `now_ms` has the parts from its opening on without a gap.
    """
    return [
        _joined(start, same)
        for start, same in _grouped(candles, step_ms).items()
        if [one.t for one in same] == [start + n * part_ms for n in range(len(same))]
        and (start + step_ms > now_ms or len(same) == step_ms // part_ms)
    ]


def _grouped(candles: Iterable[Candle], step_ms: int) -> dict[int, list[Candle]]:
    by_start: dict[int, list[Candle]] = {}
    for candle in candles:
        by_start.setdefault(candle.t - candle.t % step_ms, []).append(candle)
    return by_start


def _joined(start: int, same: list[Candle]) -> Candle:
    return Candle(
        t=start,
        o=same[0].o,
        h=max(one.h for one in same),
        l=min(one.l for one in same),
        c=same[-1].c,
        v=sum(one.v for one in same),
    )
