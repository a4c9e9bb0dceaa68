"""Large prints that outlive the process: those of a minute are one point of the history store."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mmflow_mcp.errors import StoreError
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.series.store import MINUTE_MS, Batch, Point, SeriesKey, cell

if TYPE_CHECKING:
    from mmflow_mcp.core.core import Core
    from mmflow_mcp.series.store import SeriesStore
    from mmflow_mcp.tape.tape import Tape

log = logging.getLogger("mmflow_mcp")

METRIC = "whales"
VENUE = "hyperliquid"
SECONDS = 30.0


class WhaleShelf:
    """Puts the tape's large prints into the store, and back into the tape of a new process."""

    def __init__(self) -> None:
        self._restored = False
        self._next_try = 0.0
        self._away = False
        # How many prints of a coin's minute lie in the store already.
        self._kept: dict[tuple[str, int], int] = {}

    async def run(self, core: "Core") -> None:
        """Keep what comes, twice a minute, until this is cancelled."""
        while True:
            await self.restore(core)
            await core.clock.sleep(SECONDS)
            await self.keep(core)

    async def restore(self, core: "Core") -> None:
        """Take the prints of the last 25 hours back into the tape, once they can be read."""
        store = core.archive.store
        if self._restored or store is None or VENUE not in core.tape.able():
            return
        if core.clock.monotonic() < self._next_try:
            return
        self._restored = True
        now = core.clock.now_ms()
        tape = core.tape.tape(VENUE)
        try:
            for one in await store.series():
                if one.key.metric == METRIC and one.key.venue == VENUE:
                    points = await store.read(one.key, now - tape.keeping.large_ms, now)
                    tape.remember(_prints(one.key.coin, points), now)
        except StoreError as error:
            self._restored = False
            self._next_try = core.clock.monotonic() + SECONDS
            self._failed("the large prints of earlier runs could not be read", error)
        else:
            self._away = False

    def _failed(self, what: str, error: StoreError) -> None:
        """Log what did not work; once until something has."""
        if not self._away:
            log.warning("%s: %s", what, error)
        self._away = True

    async def keep(self, core: "Core") -> None:
        """Write the minutes that have new large prints, unless another replica does."""
        store = core.archive.store
        if store is None or VENUE not in core.tape.able():
            return
        feed = core.tape.feed(VENUE)
        if feed is not None and not feed.holds_socket:
            return
        changed = self._changed(core.tape.tape(VENUE))
        counts = {(coin, p.t): int(p.v or 0) for coin, points in changed.items() for p in points}
        try:
            if core.tape.relay is not None:
                changed = {coin: await _joined(store, coin, p) for coin, p in changed.items()}
            batches = [
                Batch(SeriesKey(METRIC, VENUE, coin, "sampled"), MINUTE_MS, points)
                for coin, points in changed.items()
            ]
            if batches:
                await store.write(batches, backfill=True)
        except StoreError as error:
            self._failed("large prints could not be kept", error)
            return
        self._away = self._away and not batches
        self._kept |= counts

    def _changed(self, tape: "Tape") -> dict[str, list[Point]]:
        minutes: dict[tuple[str, int], list[TapePrint]] = defaultdict(list)
        for one in tape.large:
            minutes[one.coin, cell(one.ts, MINUTE_MS)].append(one)
        # What the tape has given up need not be remembered either.
        self._kept = {key: count for key, count in self._kept.items() if key in minutes}
        found: dict[str, list[Point]] = defaultdict(list)
        for (coin, minute), prints in minutes.items():
            if self._kept.get((coin, minute)) != len(prints):
                extra = {"prints": [_packed(one) for one in prints]}
                found[coin].append(Point(minute, float(len(prints)), extra))
        return found


async def _joined(store: "SeriesStore", coin: str, points: list[Point]) -> list[Point]:
    """These minutes with what lies there already: another replica may have heard more of them."""
    key = SeriesKey(METRIC, VENUE, coin, "sampled")
    times = [point.t for point in points]
    stored = {one.t: one for one in await store.read(key, min(times), max(times))}
    return [_union(point, stored.get(point.t)) for point in points]


def _union(point: Point, stored: Point | None) -> Point:
    if stored is None:
        return point
    rows = [*(stored.extra or {}).get("prints", ()), *(point.extra or {}).get("prints", ())]
    prints = list({row[4]: row for row in rows}.values())
    return Point(point.t, float(len(prints)), {"prints": prints})


def _packed(one: TapePrint) -> list[Any]:
    return [one.ts, one.side, one.price, one.size, one.trade_id]


def _prints(coin: str, points: Sequence[Point]) -> Iterable[TapePrint]:
    for point in points:
        for ts, side, price, size, trade_id in (point.extra or {}).get("prints", ()):
            yield TapePrint(VENUE, coin, ts, side, price, size, price * size, trade_id)
