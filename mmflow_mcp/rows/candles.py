"""Rows of candles and order books: what traded in an interval, and what waits to trade."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import told


@dataclass(frozen=True, slots=True)
class Candle:
    """One interval of trading. Prices in the series' quote, per coin."""

    t: int = told("opening time, epoch ms UTC")
    o: float = told("first trade")
    h: float = told("highest trade")
    l: float = told("lowest trade")  # noqa: E741 - the field's usual name
    c: float = told("last trade; of the running interval so far")
    v: float = told("volume, coins, each trade counted once", digits="coins")


@dataclass(frozen=True, slots=True)
class CandleSeries:
    """Candles of one coin on one venue, oldest first, by opening time; gaps are absence.

    `market`: perp or spot. `interval`: 1m ... 1d. `quote`: what prices are in (USD, USDT, ...).
    The last candle may be of the running interval.
    """

    coin: str
    venue: str
    symbol: str
    market: str
    quote: str
    interval: str
    candles: tuple[Candle, ...]
    fetched_at: int


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The resting orders of one coin on one venue.

    `bids` descend, `asks` ascend; a level is (price in `quote` per coin, size in coins).
    `venue_time`: the venue's own time of the book, epoch ms, where it tells one.
    """

    coin: str
    venue: str
    symbol: str
    market: str
    quote: str
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    fetched_at: int
    venue_time: int | None = None
