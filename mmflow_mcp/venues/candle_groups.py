"""Longer candles made of shorter ones, for intervals that a venue does not tell itself."""

from collections.abc import Iterable

from mmflow_mcp.rows.candles import Candle


def group_candles(
    parts: Iterable[Candle], part_ms: int, whole_ms: int, now_ms: int
) -> list[Candle]:
    """Candles of `whole_ms` out of ascending ones of `part_ms`, by full intervals of UTC.

    One that lacks a part is left out: its high, low and volume would be those of less. That which
    runs at `now_ms` has those parts that there are, from its opening on without a gap.
    """
    groups: dict[int, list[Candle]] = {}
    for part in parts:
        groups.setdefault(part.t // whole_ms * whole_ms, []).append(part)
    return [
        _joined(opening, group)
        for opening, group in groups.items()
        if _is_whole(group, opening, part_ms, whole_ms // part_ms, now_ms - whole_ms)
    ]


def _is_whole(group: list[Candle], opening: int, part_ms: int, count: int, over_ms: int) -> bool:
    """Whether the parts follow each other from the opening on, to the end where it is over."""
    told = [part.t for part in group]
    runs = opening > over_ms
    return told == [opening + n * part_ms for n in range(len(told))] and (
        runs or len(told) == count
    )


def _joined(opening: int, group: list[Candle]) -> Candle:
    return Candle(
        t=opening,
        o=group[0].o,
        h=max(part.h for part in group),
        l=min(part.l for part in group),
        c=group[-1].c,
        v=sum(part.v for part in group),
    )
