"""Rows of the live tape: prints and funding rates as they come over a venue's socket."""

from collections.abc import Callable
from dataclasses import dataclass


class TapePrint:
    """One public trade, shared by reference between all who read it: never change a fact of it.

    `ts`: the venue's time, epoch ms. `side`: the taker's, buy or sell. `price`: quote currency per
    coin. `size`: coins, multipliers divided out. `usd`: price x size. `trade_id`: the venue's own,
    unique within the coin's market.

    The tape numbers what it takes in: `serial` counts arrivals on one venue. Of those it has
    handed to somebody, `nth` is how many before it had the same `ts`; -1 for the others.
    """

    # Thousands are made in a second: no dataclass, and nothing is set that may be set later.
    __slots__ = (
        *("venue", "coin", "ts", "side", "price", "size", "usd", "trade_id"),
        *("serial", "nth", "_made"),
    )

    venue: str
    coin: str
    ts: int
    side: str
    price: float
    size: float
    usd: float
    trade_id: int
    serial: int
    nth: int
    _made: dict[str, bytes]

    def __init__(
        self,
        venue: str,
        coin: str,
        ts: int,
        side: str,
        price: float,
        size: float,
        usd: float,
        trade_id: int,
    ) -> None:
        self.venue = venue
        self.coin = coin
        self.ts = ts
        self.side = side
        self.price = price
        self.size = size
        self.usd = usd
        self.trade_id = trade_id
        self.nth = -1

    def __repr__(self) -> str:
        return f"<{self.venue} {self.coin} {self.side} {self.size:g} at {self.price:g}, {self.ts}>"

    @property
    def event_id(self) -> str:
        """`ts`, with the order of arrival behind it where several prints share one: `ts-1`."""
        return f"{self.ts}-{self.nth}" if self.nth > 0 else str(self.ts)

    def encoded(self, form: str, encode: Callable[["TapePrint"], bytes]) -> bytes:
        """`encode(self)`, worked out once for each name of a form."""
        try:
            made = self._made
        except AttributeError:
            made = self._made = {}
        found = made.get(form)
        if found is None:
            found = made[form] = encode(self)
        return found


@dataclass(slots=True, eq=False)
class RateTick:
    """The funding rate of a perpetual as a socket tells it: a fraction per `period_hours`.

    The venue puts no time on it: `ts` is when the tape took it in, epoch ms.
    """

    venue: str
    symbol: str
    coin: str
    rate: float
    period_hours: float
    ts: int = 0


@dataclass(slots=True, eq=False)
class FundingChange:
    """A change of a funding rate that is large enough for its listener.

    `prev_rate`: the rate that this listener was told last (its first one is told to nobody);
    `delta` = rate - prev_rate, fractions per period. `ts`: when it was seen, epoch ms.
    """

    coin: str
    venue: str
    rate: float
    period_hours: float
    prev_rate: float
    delta: float
    ts: int
