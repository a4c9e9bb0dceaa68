"""For tests of candles and order books: asks over our samples, or over answers put in by hand.

The samples of these questions stand in tests/wire/<venue>-candles.har where there is such a file,
else with the lists of contracts in the venue's own. All were read at 18:59:05.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from wires import SAMPLES, Answers, _find

from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.candles import Candle, CandleSeries, OrderBook
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask

READ_AT = 1_789_412_345_678
HOUR, DAY = 3_600_000, 86_400_000
H18 = 1_789_408_800_000
H8, H15, H16, H17 = H18 - 10 * HOUR, H18 - 3 * HOUR, H18 - 2 * HOUR, H18 - HOUR
MIDNIGHT = 1_789_344_000_000
BOOKED_AT = 1_789_412_345_600

# What samples in files of their own tell of BTC: 15:00 cannot be read, 17:00 comes twice.
HOURS_OF_BTC = [
    Candle(H16, 77_500.0, 77_640.0, 77_490.0, 77_600.0, 150.25),
    Candle(H17, 77_600.0, 77_750.0, 77_580.0, 77_700.0, 200.0),
    Candle(H18, 77_700.0, 77_800.5, 77_650.0, 77_790.1, 120.5),
]
ONE_BAD = "changed: 1 row could not be read"


class Charts(Answers):
    """Our samples of candles and of contracts; `bends` change documents by a part of the address.

    A bend may be a function of the document, or a document. `failing`: errors by a part.
    """

    def __init__(
        self, venue: str, bends: Mapping[str, Any], failing: Mapping[str, VenueError]
    ) -> None:
        own = SAMPLES / f"{venue}-candles.har"
        self._lists = SAMPLES / f"{venue}.har"
        super().__init__(own if own.exists() else self._lists, dict(failing))
        self.calls: list[Call] = []
        self.rounds = 0
        self._bends = bends

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The sample of a chart, a book or a list, bent or failing."""
        self.calls.append(call)
        bend = next((bend for part, bend in self._bends.items() if part in call.url), None)
        if bend is not None and not callable(bend):
            self.asked.append(call.url)
            return hand(bend), None
        wire = _find(self._lists, call)
        if wire is None or any(part in call.url for part in self._failing):
            wire, _ = await super().fetch(call, deadline)
        else:
            self.asked.append(call.url)
        self._known[call.key] = wire
        if bend is not None:
            wire = self._known[call.key] = hand(bend(copy.deepcopy(wire.doc)))
        return wire, None


class ChartAsk(Ask):
    """An `Ask` that counts the rounds in which it had to wait for requests."""

    __slots__ = ("charts", "rounds")

    def __init__(self, venue: str, charts: Charts, coins: tuple[str, ...], **options: Any) -> None:
        upstream: Any = charts
        super().__init__(venue, upstream, coins=coins or None, deadline=1e9, options=options)
        self.charts = charts
        self.rounds = 0

    async def _fetch_all(self, *args: Any) -> None:
        self.rounds += 1
        await super()._fetch_all(*args)


def hand(doc: Any, read_at: int = READ_AT) -> Wire:
    """An answer that holds this document."""
    return Wire(doc, fetched_at=read_at, read=0.0, size=1)


def asking_charts(
    venue: str,
    *coins: str,
    bends: Mapping[str, Any] | None = None,
    failing: Mapping[str, VenueError] | None = None,
    **options: Any,
) -> ChartAsk:
    """A question about candles or books; hours since 15:00 unless `options` say otherwise."""
    options = {"interval": "1h", "since_ms": H15} | options
    return ChartAsk(venue, Charts(venue, bends or {}, failing or {}), coins, **options)


async def series_of(ask: Ask) -> dict[str, CandleSeries]:
    """A venue's series by coin."""
    rows: list[CandleSeries] = await roll()[ask.venue].candles(ask)  # type: ignore[attr-defined]
    assert len({row.coin for row in rows}) == len(rows)
    return {row.coin: row for row in rows}


async def books_of(ask: Ask) -> dict[str, OrderBook]:
    """A venue's books by coin."""
    rows: list[OrderBook] = await roll()[ask.venue].order_book(ask)  # type: ignore[attr-defined]
    assert len({row.coin for row in rows}) == len(rows)
    return {row.coin: row for row in rows}


def changed(path: str, value: Any) -> Callable[[Any], Any]:
    """A bend that puts a value at a dotted path of the document."""

    def bend(doc: Any) -> Any:
        *way, last = (int(key) if key.lstrip("-").isdecimal() else key for key in path.split("."))
        at = doc
        for key in way:
            at = at[key]
        at[last] = value
        return doc

    return bend
