"""How fresh samples of positioning are, and how large accounts differ: METHODS section 5."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mmflow_mcp.rows.positions import PERIOD_MS, PositioningRow

# In periods of the sample.
STALE_AFTER, GONE_AFTER = 2, 4


@dataclass(frozen=True, slots=True)
class Old:
    """A sample that is older than it should be; one that is `gone` is in no answer."""

    row: PositioningRow
    age_ms: int
    gone: bool


def judge(
    rows: Iterable[PositioningRow], moment: Callable[[int], int]
) -> tuple[list[PositioningRow], list[Old]]:
    """The rows that may be answered, stale ones marked, and those that are old.

    `moment`: the time against which a wire read at a time is judged, epoch ms.
    """
    kept: list[PositioningRow] = []
    old: list[Old] = []
    for row in rows:
        age, period = moment(row.fetched_at) - row.sampled_at, PERIOD_MS[row.period]
        gone, stale = age > GONE_AFTER * period, age > STALE_AFTER * period
        if stale:
            old.append(Old(row, age, gone))
        if not gone:
            kept.append(replace(row, stale=True) if stale else row)
    return kept, old


def with_divergence(rows: Iterable[PositioningRow]) -> list[PositioningRow]:
    """The rows, with top - global on each top row of a venue that tells both of one time."""
    rows = list(rows)
    everyone = {
        (row.venue, row.coin, row.sampled_at): row.long_fraction
        for row in rows
        if row.view == "global"
    }

    def compared(row: PositioningRow) -> PositioningRow:
        others = everyone.get((row.venue, row.coin, row.sampled_at))
        if row.view != "top" or others is None:
            return row
        return replace(row, divergence=divergence(row.long_fraction, others))

    return [compared(row) for row in rows]


def divergence(top: float, everyone: float) -> float:
    """How much more of the large accounts' share is long, without the noise of a float.

    >>> divergence(0.51, 0.58)
    -0.07
    """
    return round(top - everyone, 12)
