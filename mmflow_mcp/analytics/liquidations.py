"""What was liquidated in 24 hours: METHODS section 6. Pure functions over tapes of records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmflow_mcp.rows.positions import LiquidationPrint, LiquidationRow, LiquidationTape

WINDOW_MS = 86_400_000
# A window that is cut by less is not worth a word: clocks and requests differ by that.
SLACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the last 24 hours that a venue's tapes cover: from `since_ms` on, less `gaps`."""

    since_ms: int
    hours: float
    gaps: tuple[tuple[int, int], ...] = ()

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
    """By venue, the span that the tapes of all its coins cover: that of the one that covers least.

    `hours` is what is covered, without the gaps.
    """
    spans: dict[str, Span] = {}
    for tape in tapes:
        now = moment(tape.fetched_at)
        since = max(tape.since_ms, now - WINDOW_MS)
        gaps = tuple((max(a, since), min(b, now)) for a, b in tape.gaps if b > since and a < now)
        lost = sum(b - a for a, b in gaps)
        span = Span(since, max(0, now - since - lost) / 3_600_000, gaps)
        known = spans.get(tape.venue)
        if known is None or span.hours < known.hours:
            spans[tape.venue] = span
    return dict(sorted(spans.items()))


def joined(asked: LiquidationTape, heard: LiquidationTape, *, same_keys: bool) -> LiquidationTape:
    """What requests told and what a feed told of one coin, as one tape.

    With `same_keys` a record that both tell is one. Without, nothing tells which are the same, so
    that each moment belongs to one of them: to the feed in the whole seconds in which it listened,
    as requests may tell seconds; else to the requests as far as they reach.
    """
    known = {record.key: record for record in asked.prints}
    live: Iterable[LiquidationPrint] = heard.prints
    if not same_keys:
        seconds = _whole_seconds(_spans(heard))
        reached = _spans(asked)
        known = {k: one for k, one in known.items() if not _is_in(one.ts, seconds)}
        live = [one for one in live if _is_in(one.ts, seconds) or not _is_in(one.ts, reached)]
    known.update({record.key: record for record in live})
    spans = _merged([*_spans(asked), *_spans(heard)])
    return LiquidationTape(
        coin=asked.coin,
        venue=asked.venue,
        since_ms=spans[0][0],
        fetched_at=asked.fetched_at,
        prints=tuple(sorted(known.values(), key=lambda one: -one.ts)),
        gaps=tuple((a[1], b[0]) for a, b in pairwise(spans)),
    )


def _spans(tape: LiquidationTape) -> list[tuple[int, int]]:
    """When a tape covers, oldest first."""
    spans, since = [], tape.since_ms
    for begin, end in tape.gaps:
        if begin > since:
            spans.append((since, begin))
        since = max(since, end)
    return [*spans, (since, max(since, tape.fetched_at))]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _whole_seconds(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    inside = [(-(-a // 1000) * 1000, b // 1000 * 1000) for a, b in spans]
    return [(a, b) for a, b in inside if a < b]


def _is_in(ts: int, spans: list[tuple[int, int]]) -> bool:
    return any(a <= ts < b for a, b in spans)
