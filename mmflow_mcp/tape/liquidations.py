"""The liquidations of one venue as its feed told them: each once, kept for 25 hours.

What tells two records apart is METHODS section 6: venue, contract, time, side, price and size.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping

from mmflow_mcp.rows.positions import LiquidationPrint, LiquidationTape
from mmflow_mcp.tape.tape import AHEAD_MS, UNREAD_KEPT
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import Closing, Closings
from mmflow_mcp.venues.liquidation_tapes import KEPT_MS, liquidation

# Records that are kept of a venue; the oldest go first.
MOST = 100_000
# Gaps that are kept of a contract; beyond it the oldest two become one.
GAPS_KEPT = 50
# How often old records are looked for.
FORGET_MS = 60_000

Span = tuple[int, int]
Covers = Mapping[str, tuple[int | None, bool]]


class Attention:
    """Since when a contract has been listened to, epoch ms, and when not.

    `lost`: since when it is not, now. `fresh`: the venue has not repeated anything yet.
    """

    __slots__ = ("fresh", "gaps", "lost", "since")

    def __init__(self, now_ms: int) -> None:
        self.fresh = True
        self.since = now_ms
        self.lost: int | None = None
        self.gaps: list[Span] = []

    def lose(self, heard_ms: int) -> None:
        """The socket broke; it was last heard then."""
        if self.lost is None:
            self.lost = max(heard_ms, self.since)

    def resume(self, now_ms: int) -> None:
        """The venue listens to us again."""
        if self.lost is None:
            return
        self.gaps.append((self.lost, max(now_ms, self.lost)))
        self.lost, self.fresh = None, True
        if len(self.gaps) > GAPS_KEPT:
            self.gaps[:2] = [(self.gaps[0][0], self.gaps[1][1])]

    def reach(self, oldest_ms: int, *, known: bool) -> None:
        """What the venue repeats is whole from `oldest_ms` on; `known`: it joins what we had."""
        if not self.fresh or self.lost is not None:
            return
        self.fresh = False
        while self.gaps and (known or oldest_ms <= self.gaps[-1][0]):
            self.gaps.pop()
            known = False
        if not self.gaps:
            self.since = min(self.since, oldest_ms)

    @property
    def complete_since(self) -> int | None:
        """From when on nothing is missing up to now; None while it is not listened to."""
        if self.lost is not None:
            return None
        return self.gaps[-1][1] if self.gaps else self.since

    def join(self, since_ms: int) -> None:
        """Another has listened without a hole since then, and what it heard has come."""
        while self.gaps and since_ms <= self.gaps[-1][0]:
            self.gaps.pop()
        if not self.gaps:
            self.since = min(self.since, since_ms)
        elif since_ms < self.gaps[-1][1]:
            self.gaps[-1] = (self.gaps[-1][0], since_ms)

    def until(self, now_ms: int) -> tuple[Span, ...]:
        """The gaps up to now, with the one that is open."""
        open_one = () if self.lost is None else ((self.lost, max(now_ms, self.lost)),)
        return (*self.gaps, *open_one)

    def forget(self, horizon_ms: int) -> None:
        """Give up gaps that ended before; the cover begins behind them."""
        while self.gaps and self.gaps[0][1] <= horizon_ms:
            self.since = self.gaps.pop(0)[1]


class _Records:
    """The records of one coin, oldest first."""

    __slots__ = ("keys", "prints")

    def __init__(self) -> None:
        self.prints: list[LiquidationPrint] = []
        self.keys: set[tuple[object, ...]] = set()

    def add(self, record: LiquidationPrint) -> bool:
        if record.key in self.keys:
            return False
        self.keys.add(record.key)
        if self.prints and self.prints[-1].ts > record.ts:
            insort(self.prints, record, key=lambda one: one.ts)
        else:
            self.prints.append(record)
        return True

    def forget(self, horizon_ms: int) -> int:
        """Give up what is not younger; how many went."""
        old = next((i for i, one in enumerate(self.prints) if one.ts > horizon_ms), None)
        gone = self.prints[:old]
        del self.prints[:old]
        self.keys.difference_update(one.key for one in gone)
        return len(gone)


class Liquidations:
    """What is kept of one venue. `contracts`: by the name that its sockets call them.

    `duplicates`: records that came again. `others`: rows of what is no contract on a coin.
    `unread`: rows, or whole frames, that could not be read, `unread_at` when. `cut`: the time of
    the newest record that had to be given up early; older ones are not whole.
    """

    def __init__(self, venue: str, *, repeats: bool = False, most: int = MOST) -> None:
        self.venue = venue
        self.contracts: Mapping[str, Contract] = {}
        self.duplicates = 0
        self.others = 0
        self.unread = 0
        self.unread_at: deque[int] = deque(maxlen=UNREAD_KEPT)
        self.cut = 0
        self._repeats = repeats
        self._most = most
        self._count = 0
        self._records: dict[str, _Records] = {}
        self._attention: dict[str, Attention] = {}
        self._forget_at = 0

    @property
    def kept_ms(self) -> int:
        """How long a record is kept."""
        return KEPT_MS

    def __len__(self) -> int:
        """How many records are kept."""
        return self._count

    def learn(self, contracts: Mapping[str, Contract]) -> None:
        """What the venue lists now; what has gone is listened to no more."""
        self.contracts = dict(contracts)
        for name in self._attention.keys() - contracts.keys():
            del self._attention[name]

    def take(self, rows: Closings, now_ms: int) -> None:
        """Take in what a frame brought."""
        self.misread(rows.bad, now_ms)
        known = [self._take(row, now_ms) for row in dict.fromkeys(rows)]
        attention = self._attention.get(rows.taken or "")
        if self._repeats and attention is not None and rows:
            attention.reach(min(row.ts for row in rows), known=any(known))
        if now_ms >= self._forget_at or self._count > self._most:
            self.forget(now_ms)

    def _take(self, row: Closing, now_ms: int) -> bool:
        """Keep a record; whether it was there before."""
        contract = self.contracts.get(row.symbol)
        if contract is None:
            self.others += 1
            return False
        if row.ts <= now_ms - KEPT_MS:
            return False
        try:
            record = _record(self.venue, contract, row, now_ms)
        except ValueError:
            self.misread(1, now_ms)
            return False
        if self._records.setdefault(contract.coin, _Records()).add(record):
            self._count += 1
            return False
        self.duplicates += 1
        return True

    def misread(self, count: int, now_ms: int) -> None:
        """So many rows, or a whole frame, could not be read."""
        self.unread += count
        self.unread_at.extend([now_ms] * min(count, UNREAD_KEPT))

    def subscribed(self, names: Iterable[str], now_ms: int) -> None:
        """The venue has acknowledged these contracts."""
        for name in names:
            if name in self._attention:
                self._attention[name].resume(now_ms)
            else:
                self._attention[name] = Attention(now_ms)

    def lost(self, names: Iterable[str], heard_ms: int) -> None:
        """The socket of these contracts broke; it was last heard then."""
        for name in names:
            if name in self._attention:
                self._attention[name].lose(heard_ms)

    def covers(self, names: Iterable[str]) -> Covers:
        """Since when each of these contracts is whole, and whether it is still to be repeated."""
        return {
            name: (one.complete_since, one.fresh)
            for name in names
            if (one := self._attention.get(name)) is not None
        }

    def adopt(self, covers: Covers, since_ms: int, now_ms: int) -> None:
        """What another heard has come from `since_ms` on: its cover is ours from there."""
        for name, (since, fresh) in covers.items():
            if since is None:
                continue
            self.subscribed((name,), now_ms)
            attention = self._attention[name]
            attention.join(max(since, since_ms, self.cut + 1))
            attention.fresh = fresh

    def forget(self, now_ms: int) -> None:
        """Give up what is too old or too much."""
        self._forget_at = now_ms + FORGET_MS
        horizon = now_ms - KEPT_MS
        if self._count > self._most:
            times = sorted(one.ts for kept in self._records.values() for one in kept.prints)
            # A tenth at once, so that it is not looked for at every record.
            self.cut = times[len(times) - self._most + self._most // 10]
            horizon = max(horizon, self.cut)
        for coin, kept in list(self._records.items()):
            self._count -= kept.forget(horizon)
            if not kept.prints:
                del self._records[coin]
        for attention in self._attention.values():
            attention.forget(horizon)

    def tape_of(self, coin: str, now_ms: int) -> LiquidationTape | None:
        """What is known of a coin; None while one of its contracts was never listened to."""
        names = [name for name, contract in self.contracts.items() if contract.coin == coin]
        heard = [self._attention[name] for name in names if name in self._attention]
        if not names or len(heard) < len(names):
            return None
        kept = self._records.get(coin)
        since = max(one.since for one in heard)
        gaps = sorted({gap for one in heard for gap in one.until(now_ms)})
        return LiquidationTape(
            coin=coin,
            venue=self.venue,
            since_ms=max(since, self.cut + 1),
            fetched_at=now_ms,
            prints=tuple(reversed(kept.prints)) if kept else (),
            gaps=tuple(_joined(gap for gap in gaps if gap[1] > since)),
        )


def _record(venue: str, contract: Contract, row: Closing, now_ms: int) -> LiquidationPrint:
    if row.ts > now_ms + AHEAD_MS:
        msg = "of the future"
        raise ValueError(msg)
    return liquidation(
        venue,
        contract,
        ts=row.ts,
        side=row.side,
        price=row.price,
        count=row.count,
        fetched_at=now_ms,
    )


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that touch, made one; they come in order."""
    found: list[Span] = []
    for begin, end in spans:
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found
