"""The prints of one venue: each once, kept for a while, handed to those who listen.

Everything is bounded: all prints for ten minutes and by number, large ones for 25 hours and by
number, ids for as long as a venue may repeat them.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.spot import TradePrint
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.tape.board import Board
from mmflow_mcp.tape.cover import GAPS_KEPT, Cover, Gap, Gaps

# A print from further ahead than this, or that is older, is no print of this world.
AHEAD_MS = 600_000
OLD_MS = 30 * DAY_MS
# What a first subscription repeats is news only where it is this young.
YOUNG_MS = 5_000
# The times of so many unreadable rows are remembered.
UNREAD_KEPT = 1000
# How often old prints are looked for.
FORGET_MS = 1_000


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much is kept: prints of any size for `all_ms`, those of `large_usd` for `large_ms`."""

    all_ms: int = 600_000
    all_most: int = 200_000
    large_usd: float = 50_000.0
    large_ms: int = 25 * HOUR_MS
    large_most: int = 100_000


class CoinTape:
    """The kept prints of one coin, in order of arrival, and the ids that were seen.

    `fresh`: the next rows may repeat old trades. `cut`: time of the newest print that was given up
    already. `top`: the highest id, `suspect` one that a heartbeat told and that has not come.
    """

    __slots__ = ("before", "cover", "cut", "fresh", "prints", "seen", "suspect", "top")

    def __init__(self, cover: Cover) -> None:
        self.cover = cover
        self.fresh = False
        self.prints: deque[TapePrint] = deque()
        self.seen: set[int] = set()
        self.before: set[int] = set()
        self.cut = 0
        self.top = 0
        self.suspect = 0


class _Coins(dict[str, CoinTape]):
    """The tape of each coin, made when it is first named.

    `listed`: the coins that the venue lists, None where that is not known. KeyError for another.
    """

    def __init__(self, gaps: deque[Gap]) -> None:
        super().__init__()
        self.listed: frozenset[str] | None = None
        self._gaps = gaps

    def __missing__(self, name: str) -> CoinTape:
        if self.listed is not None and name not in self.listed:
            raise KeyError(name)
        made = self[name] = CoinTape(Cover(name, self._gaps))
        return made


class Tape:
    """One venue's tape. `duplicates` and `unread` count what was not taken in, `unread_at` when.

    `order`: the kept prints in order of arrival; `large`: the large ones in order of time,
    `large_since`: from when on none of those was given up. `gaps`: the last known gaps.
    `fills`: what an outage left open may still be closed by asking the venue. `apart`: times
    [from, until] in which a replica of a fleet listened alone and numbered its prints by itself.
    """

    def __init__(self, venue: str, keeping: Keeping | None = None, *, fills: bool = False) -> None:
        self.venue = venue
        self.fills = fills
        self.keeping = keeping or Keeping()
        self.board = Board()
        self.gaps = Gaps()
        self.coins = _Coins(self.gaps)
        self.order: deque[TapePrint] = deque()
        self.large: deque[TapePrint] = deque()
        self.large_since = 0
        self.began: int | None = None
        self.duplicates = 0
        self.unread = 0
        self.unread_at: deque[int] = deque(maxlen=UNREAD_KEPT)
        self.apart: deque[list[int]] = deque(maxlen=GAPS_KEPT)
        self.serial = 0
        self._large_ids: set[tuple[str, int]] = set()
        self._moments: dict[int, int] = {}
        self._moments_before: dict[int, int] = {}
        # Rotation of the ids: when, at which arrival; ids of prints up to `_forgotten` are gone.
        self._rotated = 0
        self._rotated_serial = 0
        self._forgotten = 0
        self._newest_rotated = 0
        # When, and from how many prints on, the old ones are looked for.
        self._forget_at = 0
        self._brim = self.keeping.all_most + self.keeping.all_most // 50

    @property
    def newest(self) -> int:
        """The time of the newest of the last prints, epoch ms; 0 without any."""
        return max((one.ts for one in islice(reversed(self.order), 200)), default=0)

    def take(self, prints: Sequence[TapePrint], now_ms: int) -> None:
        """Take in what a frame brought: each print once, told to those who listen.

        This is where the time goes when much is traded, so it calls little.
        """
        coins, order, fills, serial = self.coins, self.order, self.fills, self.serial
        latest, earliest = now_ms + AHEAD_MS, now_ms - self.keeping.all_ms
        large, least = self.keeping.large_usd, self.board.least
        for place, one in enumerate(prints):
            try:
                coin = coins[one.coin]
            except KeyError:
                self.misread(1, now_ms)
                continue
            if coin.fresh:
                self.serial = serial
                self._take_repeated(prints[place:], now_ms)
                return
            number = one.trade_id
            if number in coin.seen or number in coin.before:
                self.duplicates += 1
                continue
            if not earliest <= one.ts <= latest:
                self._doubt(one, now_ms)
                continue
            coin.seen.add(number)
            if fills and number > coin.top:
                coin.top = number
            serial += 1
            one.serial = serial
            coin.prints.append(one)
            order.append(one)
            if one.usd >= large:
                self._keep_large(one)
            if one.usd >= least:
                self.tell(one)
        self.serial = serial
        if now_ms >= self._forget_at or len(order) > self._brim:
            self.forget(now_ms)

    def _doubt(self, one: TapePrint, now_ms: int) -> None:
        """A print at an odd time is no news: a large one of the past is remembered."""
        if one.ts < now_ms - self.keeping.large_ms or one.ts > now_ms:
            self.misread(1, now_ms)
        else:
            self.remember([one], now_ms)

    def _take_repeated(self, prints: Sequence[TapePrint], now_ms: int) -> None:
        """The first rows after a subscription: they repeat what was, and may close an outage."""
        by_coin: dict[str, list[TapePrint]] = {}
        for one in prints:
            by_coin.setdefault(one.coin, []).append(one)
        for name, rows in by_coin.items():
            coin = self.coins.get(name)
            if coin is None or not coin.fresh:
                self.take(rows, now_ms)
                continue
            coin.fresh = False
            oldest, known = self.merge(coin, rows, now_ms)
            if oldest is not None and not coin.cover.reach(oldest, known=known) and not self.fills:
                coin.cover.give_up(oldest)

    def merge(
        self, coin: CoinTape, prints: Iterable[TapePrint], now_ms: int
    ) -> tuple[int | None, bool]:
        """Take in old trades: news only from where this tape began.

        Returns the time of the oldest and whether any was known before.
        """
        horizon, news = self._horizons(now_ms)
        oldest: int | None = None
        known = False
        for one in sorted(prints, key=lambda p: p.ts):
            if not now_ms - OLD_MS <= one.ts <= now_ms + AHEAD_MS:
                self.misread(1, now_ms)
                continue
            oldest = one.ts if oldest is None else oldest
            known |= self._merge_one(coin, one, now_ms, horizon, news)
        self.forget(now_ms)
        return oldest, known

    def catch_up(self, prints: Iterable[TapePrint], now_ms: int) -> None:
        """Take in, in this order, what another tape took in before: news as in `merge`."""
        horizon, news = self._horizons(now_ms)
        for one in prints:
            try:
                coin = self.coins[one.coin]
            except KeyError:
                continue
            if now_ms - OLD_MS <= one.ts <= now_ms + AHEAD_MS:
                self._merge_one(coin, one, now_ms, horizon, news)
        self.forget(now_ms)

    def _horizons(self, now_ms: int) -> tuple[int, float]:
        """From when on prints are kept, and from when on they are news, epoch ms."""
        horizon = max(now_ms - self.keeping.all_ms, self._forgotten + 1)
        return horizon, math.inf if self.began is None else max(self.began - YOUNG_MS, horizon)

    def _merge_one(
        self, coin: CoinTape, one: TapePrint, now_ms: int, horizon: int, news: float
    ) -> bool:
        """Take in an old trade; whether it was known before."""
        if one.trade_id in coin.seen or one.trade_id in coin.before:
            self.duplicates += 1
            return True
        if one.ts < horizon:
            # Its id may be forgotten already; a large one is remembered for longer.
            coin.cut = max(coin.cut, one.ts)
            self.remember([one], now_ms)
        else:
            self._keep(coin, one)
            if one.ts >= news:
                self.tell(one)
        return False

    def _keep(self, coin: CoinTape, one: TapePrint) -> None:
        """Add a print that is new, as `take` does."""
        coin.seen.add(one.trade_id)
        coin.top = max(coin.top, one.trade_id)
        self.serial = one.serial = self.serial + 1
        coin.prints.append(one)
        self.order.append(one)
        if one.usd >= self.keeping.large_usd:
            self._keep_large(one)

    def tell(self, one: TapePrint) -> None:
        """Hand a print to those it is for."""
        self.number(one)
        self.board.tell(one)

    def number(self, one: TapePrint) -> None:
        """Tell it apart from others of the same time, in the order in which they are numbered."""
        if one.nth < 0:
            ts = one.ts
            one.nth = self._moments.get(ts) or self._moments_before.get(ts, 0)
            self._moments[ts] = one.nth + 1

    def mark(self, prints: Iterable[TapePrint]) -> None:
        """These were numbered by another tape: what is numbered here goes on behind them."""
        for one in prints:
            if one.nth >= self._moments.get(one.ts, 0):
                self._moments[one.ts] = one.nth + 1

    def _keep_large(self, one: TapePrint) -> None:
        key = (one.coin, one.trade_id)
        if key in self._large_ids:
            return
        self._large_ids.add(key)
        large = self.large
        place = len(large)
        while place and large[place - 1].ts > one.ts:
            place -= 1
        large.insert(place, one)

    def remember(self, prints: Iterable[TapePrint], now_ms: int) -> None:
        """Take in large prints of the past (a store's, a venue's), without telling anybody."""
        horizon = now_ms - self.keeping.large_ms
        for one in prints:
            if one.usd >= self.keeping.large_usd and horizon <= one.ts <= now_ms + AHEAD_MS:
                # It has no place in the order of arrival.
                one.serial = 0
                self._keep_large(one)

    def forget(self, now_ms: int) -> None:
        """Give up what is too old or too much."""
        keeping, order, coins = self.keeping, self.order, self.coins
        self._forget_at = now_ms + FORGET_MS
        horizon = now_ms - keeping.all_ms
        while order and (order[0].ts < horizon or len(order) > keeping.all_most):
            gone = order.popleft()
            coin = coins[gone.coin]
            coin.prints.popleft()
            coin.cut = max(coin.cut, gone.ts)
        large, horizon = self.large, now_ms - keeping.large_ms
        while large and (large[0].ts < horizon or len(large) > keeping.large_most):
            gone = large.popleft()
            self._large_ids.discard((gone.coin, gone.trade_id))
            self.large_since = gone.ts + 1
        arrived = self.serial - self._rotated_serial
        if now_ms - self._rotated > keeping.all_ms or arrived > keeping.all_most:
            self._rotate(now_ms)

    def _rotate(self, now_ms: int) -> None:
        """Forget the older half of the ids."""
        self._rotated, self._rotated_serial = now_ms, self.serial
        self._forgotten, self._newest_rotated = self._newest_rotated, self.newest
        self._moments_before, self._moments = self._moments, {}
        for coin in self.coins.values():
            coin.before, coin.seen = coin.seen, set()

    def misread(self, count: int, now_ms: int) -> None:
        """So many rows, or a whole frame, could not be read."""
        if count:
            self.unread += count
            self.unread_at.extend([now_ms] * min(count, UNREAD_KEPT))

    def subscribed(self, coins: Iterable[str], now_ms: int) -> None:
        """The venue has acknowledged these coins."""
        if self.began is None:
            self.began = now_ms
        for name in coins:
            coin = self.coins[name]
            coin.fresh = True
            coin.cover.subscribe(now_ms)

    def lost(self, heard_ms: int) -> None:
        """The socket broke; it was last heard then."""
        for coin in self.coins.values():
            coin.fresh = False
            coin.suspect = 0
            coin.cover.lose(heard_ms)

    def ended(self) -> None:
        """Nobody needed the feed any more: what comes later begins anew."""
        self.began = None
        for name, coin in self.coins.items():
            coin.cover = Cover(name, self.gaps)

    def told_newest(self, name: str, newest: int, now_ms: int) -> bool:
        """A heartbeat tells the id of the last trade; True when one was missed.

        One heartbeat may overtake its trade, two do not.
        """
        coin = self.coins[name]
        if coin.fresh or newest <= coin.top:
            coin.suspect = 0
            return False
        if not coin.suspect or coin.top >= coin.suspect:
            coin.suspect = newest
            return False
        coin.suspect = 0
        coin.cover.lose(coin.prints[-1].ts if coin.prints else now_ms)
        coin.cover.resumed = now_ms
        return True


def print_of(row: TradePrint) -> TapePrint:
    """A trade of a venue's answer as the tape keeps it."""
    usd = row.price * row.size
    return TapePrint(
        row.venue, row.coin, row.ts, row.side, row.price, row.size, usd, int(row.trade_id)
    )
