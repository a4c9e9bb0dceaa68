"""Market profiles: how long a price was traded, by brackets of time (METHODS 12). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmflow_mcp.analytics.steps import row_price, rows_below

# The value area holds at least 7 of 10 brackets.
_SHARE, _OF = 7, 10


@dataclass(frozen=True, slots=True)
class Profile:
    """The price rows of a session with the number of brackets that touched each.

    `levels` ascend: (price at which the row begins, brackets); rows that no bracket touched between
    others count 0. `poc`, `val` and `vah` are such prices too: the row of most brackets, and the
    outer rows of the value area. `high` and `low` are traded prices. `total`: sum of all counts.
    """

    block: float
    levels: tuple[tuple[float, int], ...]
    poc: float
    val: float
    vah: float
    high: float
    low: float
    total: int


def profile_of(brackets: Iterable[tuple[float, float]], block: float) -> Profile | None:
    """The profile of brackets, each (low, high), in rows of width `block`; None without brackets.

    A bracket counts once in each row that its range touches.
    """
    ranges = list(brackets)
    if not ranges:
        return None
    spans = [(rows_below(low, block), rows_below(high, block)) for low, high in ranges]
    first = min(low for low, _ in spans)
    counts = _counted(spans, first, max(high for _, high in spans))
    poc = point_of_control(counts)
    lower, upper = value_area(counts, poc)

    def price(row: int) -> float:
        return row_price(first + row, block)

    return Profile(
        block=block,
        levels=tuple((price(row), count) for row, count in enumerate(counts)),
        poc=price(poc),
        val=price(lower),
        vah=price(upper),
        high=max(high for _, high in ranges),
        low=min(low for low, _ in ranges),
        total=sum(counts),
    )


def _counted(spans: Sequence[tuple[int, int]], first: int, last: int) -> list[int]:
    """Brackets by row, summed from where each begins and ends."""
    steps = [0] * (last - first + 2)
    for low, high in spans:
        steps[low - first] += 1
        steps[high - first + 1] -= 1
    counts, running = [], 0
    for step in steps[:-1]:
        running += step
        counts.append(running)
    return counts


def point_of_control(counts: Sequence[int]) -> int:
    """The row of most brackets; of several the one nearest the middle of the rows, then the lower.

    >>> point_of_control([1, 2, 4, 6, 5, 3, 2, 1]), point_of_control([3, 1, 1, 3])
    (3, 0)
    """
    middle = (len(counts) - 1) / 2
    return min(range(len(counts)), key=lambda row: (-counts[row], abs(row - middle), row))


def value_area(counts: Sequence[int], poc: int) -> tuple[int, int]:
    """The lowest and the highest row of the value area.

    From the row `poc` on, the next two rows above are compared with the next two below and the
    larger pair is added, whole (tie: above), until the area holds 70 % or more. One row left on
    a side counts alone; a side without rows yields to the other.

    METHODS 12 (rows 100..107: VAL 101, VAH 105):

    >>> value_area([1, 2, 4, 6, 5, 3, 2, 1], 3)
    (1, 5)
    """
    lower = upper = poc
    held, total = counts[poc], sum(counts)
    while held * _OF < total * _SHARE:
        above = counts[upper + 1 : upper + 3]
        below = counts[max(lower - 2, 0) : lower]
        if above and (not below or sum(above) >= sum(below)):
            upper += len(above)
            held += sum(above)
        else:
            lower -= len(below)
            held += sum(below)
    return lower, upper
