"""Rows of `/points`: one number of a coin on an exchange, or of all of them as AGG."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.parts import note
from mmflow_mcp.endpoints.asking import Chosen
from mmflow_mcp.rows import maybe, told

AGG = "AGG"
SUM, NONE = "GROUP_BY_TYPE_SUM", "GROUP_BY_TYPE_NONE"
# What a USD, a USDT and a USDC cost is compared as quoted; a won is no dollar.
DOLLARS = frozenset({"USD", "USDT", "USDC"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRow:
    """One coin on one exchange, or on all (AGG). What a type does not have is absent."""

    type: str = told("as asked", brief=False)
    coin: str = told("canonical ticker")
    exchange: str = told("venue id, or AGG: all of them")
    value: float | None = told(
        "OI_AGG: one-sided open interest; FUNDING_AGG: rate per 8 h, AGG weighted by open interest;"
        " SPOT: price, AGG the median; TRADE_SIDE_AGNOSTIC_AGG: close; TPO_AGG: point of control;"
        " BLOCK_BOOK_SNAPSHOT_AGG: mid. Null: no trades, or an empty side"
    )
    unit: str = told("USD, RATE_8H, or what the exchange quotes in", brief=False)
    by_exchange: dict[str, float] | None = maybe("value by exchange of AGG", brief=True)
    fetched_at: int = told("when the oldest wire used was read, epoch ms", brief=False)
    partial: bool | None = maybe("true: an exchange that was asked is not in it", brief=True)
    stale: bool | None = maybe("true: the price is older than 90 s", brief=True)
    weights: str | None = maybe(
        "of a mean: oi, or equal where an open interest is missing", brief=True
    )
    rate: float | None = maybe("fraction per periodHours; positive = longs pay", brief=True)
    period_hours: float | None = maybe("the exchange's own funding period", brief=True)
    t: int | None = maybe("opening time of the bar, epoch ms", brief=True)
    open: float | None = maybe("first trade", brief=True)
    high: float | None = maybe("highest trade", brief=True)
    low: float | None = maybe("lowest trade", brief=True)
    volume: float | None = maybe("coins; AGG: of all exchanges", brief=True, digits="coins")
    gapfilled: bool | None = maybe("true: no trades, the last close stands", brief=True)
    val: float | None = maybe("lower edge of the value area's lowest row", brief=True)
    vah: float | None = maybe("lower edge of the value area's highest row", brief=True)
    total: int | None = maybe("brackets counted over all rows", brief=True)
    brackets: int | None = maybe("brackets of the session so far", brief=True)
    session_start: int | None = maybe("start of the session, epoch ms", brief=True)
    block_size: float | None = maybe("width of a price row or bucket", brief=True)
    prices_from: str | None = maybe(
        "the exchange of largest volume, whose prices AGG has", brief=True
    )
    levels: tuple[tuple[float, int], ...] | None = maybe(
        "[lower edge of a price row, brackets], ascending"
    )
    bids: tuple[tuple[float, float], ...] | None = maybe(
        "[lower edge of a bucket, coins], descending; a tool shows the nearest 10",
        brief=True,
        first=10,
    )
    asks: tuple[tuple[float, float], ...] | None = maybe(
        "[upper edge of a bucket, coins], ascending", brief=True, first=10
    )
    complete_from: float | None = maybe(
        "below it a book that was read ends: bids are short", brief=True
    )
    complete_to: float | None = maybe("above it asks are short", brief=True)


@dataclass(slots=True)
class Reading:
    """What a question was put to and what came of it. `rows`: as the capability tells them.

    `whole` collects what `meta` will say. `told`: what else it says, left out where empty. `now`:
    by venue, the moment that its candles were counted from.
    """

    core: Core
    type: str
    coins: tuple[str, ...]
    chosen: Chosen
    everyone: bool
    rows: Sequence[Any]
    whole: Gathered
    weights: Sequence[Any] = ()
    now: Mapping[str, int] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    def of(self, coin: str) -> list[Any]:
        """The rows of a coin, by venue."""
        return sorted((row for row in self.rows if row.coin == coin), key=lambda row: row.venue)

    def each(self) -> Iterable[Any]:
        """All rows: coins as they were asked, venues by id inside a coin."""
        return (row for coin in self.coins for row in self.of(coin))

    def dollars(self, coin: str) -> list[Any]:
        """The rows of a coin whose prices are in dollars, and a word about the others."""
        every = self.of(coin)
        fit = [row for row in every if row.quote in DOLLARS]
        for row in every:
            if row not in fit and not (self.everyone and fit):
                reason = f"missing: {coin} is quoted in {row.quote} there, not in dollars"
                note(self.whole, row.venue, "missing", reason)
        return fit

    def misses(self, coin: str, used: Iterable[str]) -> bool:
        """Whether an exchange that was asked, and that may list the coin, is not among these.

        Of `all`, those that quote it in something else than dollars are not meant.
        """
        rows = [row for row in self.of(coin) if hasattr(row, "quote")]
        foreign = {row.venue for row in rows if row.quote not in DOLLARS} if self.everyone else ()
        asked = {*self.chosen.closed, *(venue.id for venue in self.chosen.venues)}
        return bool(asked - set(used) - set(self.whole.not_listed.get(coin, ())) - set(foreign))

    def is_short(self, venue: str) -> bool:
        """Whether an exchange has told less than was asked of it."""
        return any(n["source"] == venue and n["status"] != "stale" for n in self.whole.notes)

    def one(self, row: Any, value: float | None, unit: str, **more: Any) -> PointRow:
        """A row of one exchange."""
        return PointRow(
            type=self.type,
            coin=row.coin,
            exchange=row.venue,
            value=value,
            unit=unit,
            fetched_at=row.fetched_at,
            **more,
        )

    def folded(
        self,
        used: Sequence[Any],
        value: float | None,
        unit: str,
        by_exchange: Mapping[str, float],
        *,
        partial: bool = False,
        **more: Any,
    ) -> PointRow:
        """A row of all exchanges: `used` are the rows that are in it, of one coin."""
        coin = used[0].coin
        self._note_apart(used)
        missing = partial or self.misses(coin, (row.venue for row in used))
        self.whole.partial = self.whole.partial or missing
        return PointRow(
            type=self.type,
            coin=coin,
            exchange=AGG,
            value=value,
            unit=unit,
            by_exchange={venue: digits12(part) for venue, part in by_exchange.items()},
            fetched_at=min(row.fetched_at for row in used),
            partial=missing or None,
            **more,
        )

    def _note_apart(self, used: Sequence[Any]) -> None:
        """Say which of the parts are of another time: answers never are, recordings may be."""
        newest = max(row.fetched_at for row in used)
        for row in used:
            if (age := newest - row.fetched_at) > HOUR_MS:
                reason = f"stale: read {age / DAY_MS:.1f} days before the newest part of the sum"
                note(self.whole, row.venue, "stale", reason)


def by_market(rows: Iterable[Any], name: str) -> dict[str, Any]:
    """What a field says by venue; by coin where it differs on one."""
    every = [(row.venue, row.coin, getattr(row, name)) for row in rows]
    differs = {v for v, _, said in every if any(v == w and said != s for w, _, s in every)}
    told: dict[str, Any] = {}
    for venue, coin, said in every:
        if venue in differs:
            told.setdefault(venue, {})[coin] = said
        else:
            told[venue] = said
    return told


def digits12(value: float) -> float:
    """A number with at most 12 digits, as rates and prices are printed."""
    return float(f"{value:.12g}")
