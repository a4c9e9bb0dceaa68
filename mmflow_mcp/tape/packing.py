"""What goes from the replica that holds a socket to the others, as plain lists and numbers.

Of each sort of feed: the rows that were heard, how the coins (or contracts) stand, and what the
venue lists. A list of another replica is taken in through the same door as a frame of one's own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from typing import Any, Protocol

from mmflow_mcp.rows.tape import RateTick, TapePrint
from mmflow_mcp.tape.feed import Sink
from mmflow_mcp.tape.fills import merge
from mmflow_mcp.tape.liquidations import Liquidations
from mmflow_mcp.tape.rates import Rates
from mmflow_mcp.tape.tape import Tape
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import Closing, Closings, Prints, Rows
from mmflow_mcp.venues.feeds import Rates as RateRows

# Entries of rates tell changes only, and what a replica that joins needs is told beside them.
_RATES_MS = 60_000


class Pack(Protocol):
    """How one sort of feed is told.

    `keep_ms`, `most`: how long and how many entries are kept. `rows_stand`: rows change how all
    stands, beside what is acknowledged, broken and closed. `lasts`: what a holder that is gone has
    heard is still worth knowing.
    """

    keep_ms: int
    most: int
    rows_stand: bool
    lasts: bool

    def rows(self, rows: Rows) -> Any:
        """Rows that were just taken in; None where they are news to nobody."""

    def hear(self, data: Any, sink: Sink) -> None:
        """Take in rows as they come."""

    def catch_up(self, data: Any, now_ms: int) -> None:
        """Take in rows of before we joined."""

    def covers(self) -> Any:
        """Since when all is complete."""

    def adopt(self, covers: Any, since_ms: int, now_ms: int) -> None:
        """Another's cover is ours from `since_ms` on: what it heard since then has come."""

    def listed(self) -> Any:
        """What must be known of what the venue lists, beside its names."""

    def learn(self, listed: Any) -> None:
        """Know it."""

    def mend(self, kind: str, parts: list[Any], now_ms: int) -> None:
        """What another closed (`m`, see `fills.merge`) or could not close (`g`)."""


class TradePack:
    """Prints: all are numbered before they are told, so that their ids are the whole fleet's."""

    rows_stand = False
    lasts = True

    def __init__(self, tape: Tape) -> None:
        self.keep_ms = tape.keeping.all_ms
        self.most = 30_000
        self._tape = tape

    def rows(self, rows: Rows) -> Any:
        """See `Pack`."""
        return [rows.bad, self.prints(rows)] if isinstance(rows, Prints) else None

    def prints(self, rows: Iterable[TapePrint]) -> list[list[Any]]:
        """Prints as lists; what was taken in (and has a place in an order) is numbered."""
        number = self._tape.number
        found = []
        for one in rows:
            if one.nth < 0 and hasattr(one, "serial"):
                number(one)
            told = [one.coin, one.ts, one.side, one.price, one.size, one.usd, one.trade_id, one.nth]
            found.append(told)
        return found

    def unpacked(self, data: Iterable[list[Any]]) -> Prints:
        """Prints with the numbers of who told them."""
        rows, venue = Prints(), self._tape.venue
        for coin, ts, side, price, size, usd, trade_id, nth in data:
            one = TapePrint(venue, coin, ts, side, price, size, usd, trade_id)
            one.nth = nth
            rows.append(one)
        return rows

    def hear(self, data: Any, sink: Sink) -> None:
        """See `Pack`."""
        rows = self.unpacked(data[1])
        rows.bad = data[0]
        sink.heard(rows)
        self._tape.mark(rows)

    def catch_up(self, data: Any, now_ms: int) -> None:
        """See `Pack`."""
        rows = self.unpacked(data[1])
        self._tape.catch_up(rows, now_ms)
        self._tape.mark(rows)

    def covers(self) -> Any:
        """Coin -> complete since, whether it repeats next, whether something is open."""
        return {
            name: [one.cover.complete_since, one.fresh, one.cover.lost is not None]
            for name, one in self._tape.coins.items()
            if one.cover.since is not None
        }

    def adopt(self, covers: Any, since_ms: int, now_ms: int) -> None:
        """See `Pack`."""
        tape = self._tape
        if tape.began is None:
            tape.began = now_ms
        for name, (since, fresh, is_open) in covers.items():
            try:
                coin = tape.coins[name]
            except KeyError:
                continue
            if since is None:
                continue
            coin.fresh = fresh
            coin.cover.subscribe(max(now_ms, since_ms))
            reach = max(since, since_ms)
            if not coin.cover.reach(reach, known=False) and not is_open:
                coin.cover.give_up(reach)

    def listed(self) -> Any:
        """Nothing but names."""

    def learn(self, listed: Any) -> None:
        """Nothing but names."""

    def mend(self, kind: str, parts: list[Any], now_ms: int) -> None:
        """See `Pack`."""
        if kind == "m":
            name, prints, reach, closes = parts
            rows = self.unpacked(prints)
            merge(self._tape, name, rows, now_ms, reach, closes=closes)
            self._tape.mark(rows)
        elif kind == "g":
            for name in parts[0]:
                self._tape.coins[name].cover.give_up()


class RatePack:
    """Funding rates: those that changed."""

    rows_stand = True
    lasts = False

    def __init__(self, rates: Rates) -> None:
        self.keep_ms = _RATES_MS
        self.most = 5_000
        self._rates = rates
        self._told: dict[str, float] = {}

    def rows(self, rows: Rows) -> Any:
        """See `Pack`."""
        if not isinstance(rows, RateRows):
            return None
        new = [tick for tick in rows.ticks if self._told.get(tick.coin) != tick.rate]
        self._told |= {tick.coin: tick.rate for tick in new}
        return [rows.bad, [_rate(tick) for tick in new]] if new or rows.bad else None

    def hear(self, data: Any, sink: Sink) -> None:
        """See `Pack`."""
        sink.heard(RateRows(self._ticks(data[1]), data[0]))

    def catch_up(self, data: Any, now_ms: int) -> None:
        """The rates of now are told beside."""

    def covers(self) -> Any:
        """The rates of now."""
        self._told = {tick.coin: tick.rate for tick in self._rates.latest.values()}
        return [_rate(tick) for tick in self._rates.latest.values()]

    def adopt(self, covers: Any, since_ms: int, now_ms: int) -> None:  # noqa: ARG002 - see `Pack`
        """See `Pack`."""
        self._rates.take(self._ticks(covers), now_ms)

    def listed(self) -> Any:
        """Nothing but names."""

    def learn(self, listed: Any) -> None:
        """Nothing but names."""

    def mend(self, kind: str, parts: list[Any], now_ms: int) -> None:
        """Rates are never filled."""

    def _ticks(self, data: Iterable[list[Any]]) -> list[RateTick]:
        return [RateTick(self._rates.venue, *row) for row in data]


class ClosingPack:
    """Liquidations of one socket, in the venue's units; `names` are its contracts."""

    rows_stand = False
    lasts = True

    def __init__(self, kept: Liquidations, names: Callable[[], Iterable[str]]) -> None:
        self.keep_ms = kept.kept_ms
        self.most = 50_000
        self._kept = kept
        self._names = names

    def rows(self, rows: Rows) -> Any:
        """See `Pack`."""
        if not isinstance(rows, Closings) or not (rows or rows.bad or rows.taken):
            return None
        return [rows.bad, rows.taken, [astuple(row) for row in rows]]

    def hear(self, data: Any, sink: Sink) -> None:
        """See `Pack`."""
        rows = Closings(Closing(*row) for row in data[2])
        rows.bad, rows.taken = data[0], data[1]
        sink.heard(rows)

    def catch_up(self, data: Any, now_ms: int) -> None:
        """See `Pack`."""
        self._kept.take(Closings(Closing(*row) for row in data[2]), now_ms)

    def covers(self) -> Any:
        """Contract -> complete since, whether it repeats next."""
        return self._kept.covers(self._names())

    def adopt(self, covers: Any, since_ms: int, now_ms: int) -> None:
        """See `Pack`."""
        self._kept.adopt(covers, since_ms, now_ms)

    def listed(self) -> Mapping[str, Any]:
        """The contracts behind the names."""
        return {name: astuple(one) for name, one in self._kept.contracts.items()}

    def learn(self, listed: Mapping[str, Any]) -> None:
        """See `Pack`."""
        self._kept.learn({name: Contract(*parts) for name, parts in listed.items()})

    def mend(self, kind: str, parts: list[Any], now_ms: int) -> None:
        """Liquidations are never filled."""


def _rate(tick: RateTick) -> list[Any]:
    return [tick.symbol, tick.coin, tick.rate, tick.period_hours]
