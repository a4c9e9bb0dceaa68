"""What was liquidated in 24 hours: METHODS section 6. Pure functions over tapes of records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mmflow_mcp.rows.positions import LiquidationRow, LiquidationTape

WINDOW_MS = 86_400_000
# A window that is cut by less is not worth a word: clocks and requests differ by that.
SLACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the last 24 hours that a venue's tapes cover."""

    since_ms: int
    hours: float

    @property
    def whole(self) -> bool:
        """Whether it is all of it."""
        return self.hours * 3_600_000 >= WINDOW_MS - SLACK_MS


def in_window(ts: int, now_ms: int) -> bool:
    """Within (now - 24 h, now]."""
    return now_ms - WINDOW_MS < ts <= now_ms


def total(
    coin: str, tapes: Sequence[LiquidationTape], moment: Callable[[int], int]
) -> LiquidationRow:
    """The sums of one coin over the venues of its tapes, USD.

    `moment`: the time against which a wire read at a time is judged, epoch ms; a window ends there.
    """
    counted = {
        record.key: record
        for tape in tapes
        for record in tape.prints
        if in_window(record.ts, moment(tape.fetched_at))
    }.values()
    sums = {
        side: sum(record.notional_usd for record in counted if record.side == side)
        for side in ("long", "short")
    }
    return LiquidationRow(
        coin=coin,
        long24h_usd=float(sums["long"]),
        short24h_usd=float(sums["short"]),
        max24h_usd=max((record.notional_usd for record in counted), default=0.0),
        venues=tuple(sorted({tape.venue for tape in tapes})),
        fetched_at=min(tape.fetched_at for tape in tapes),
        records24h=len(counted),
    )


def covered(tapes: Iterable[LiquidationTape], moment: Callable[[int], int]) -> dict[str, Span]:
    """By venue, the span that the tapes of all its coins cover: that of the youngest."""
    spans: dict[str, Span] = {}
    for tape in tapes:
        now = moment(tape.fetched_at)
        since = max(tape.since_ms, now - WINDOW_MS)
        span = Span(since, max(0, now - since) / 3_600_000)
        known = spans.get(tape.venue)
        if known is None or span.hours < known.hours:
            spans[tape.venue] = span
    return dict(sorted(spans.items()))
