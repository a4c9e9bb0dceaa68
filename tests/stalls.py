"""Venues for tests that sell whatever a test lays out: rows of any capability, without wire."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from worlds import NOW, world

from mmflow_mcp.app import App
from mmflow_mcp.endpoints import asking
from mmflow_mcp.errors import VenueError, VenueHttp
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.rows.candles import Candle, CandleSeries, OrderBook
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue

DOWN = VenueHttp(503)


class Stall(Venue):
    """A venue under a real one's id; `goods` are its rows by capability, or how it fails.

    `short`: why its answers are less than was asked.
    """

    kind = "cex"

    def __init__(self, name: str, short: str = "", **goods: list[Any] | VenueError) -> None:
        self.id = name  # type: ignore[misc]
        self.name = name  # type: ignore[misc]
        self.goods = goods
        self.short = short
        self.asked: list[dict[str, Any]] = []

    def _sell(self, ask: Ask, what: str) -> list[Any]:
        self.asked.append(dict(ask.options))
        found = self.goods.get(what, [])
        if isinstance(found, VenueError):
            raise found.fresh()
        if self.short:
            ask.short(self.short)
        return ask.pick({row.coin: row for row in found})

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """As laid out."""
        return self._sell(ask, "oi")

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """As laid out."""
        return self._sell(ask, "funding")

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """As laid out."""
        return self._sell(ask, "spot")

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """As laid out."""
        return self._sell(ask, "book")

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Those of the window, as the capability promises."""
        since, until = ask.options["since_ms"], ask.options["until_ms"]
        every = self._sell(ask, "candles")
        return [
            CandleSeries(
                s.coin,
                s.venue,
                s.symbol,
                s.market,
                s.quote,
                ask.options["interval"],
                tuple(c for c in s.candles if since <= c.t < until),
                s.fetched_at,
            )
            for s in every
        ]


@asynccontextmanager
async def market(monkeypatch: pytest.MonkeyPatch, *stalls: Stall) -> AsyncIterator[App]:
    """A world in which only these can be asked."""

    def having(capability: type) -> tuple[Venue, ...]:
        return tuple(stall for stall in stalls if isinstance(stall, capability))

    monkeypatch.setattr(asking, "having", having)
    async with world() as app:
        yield app


def oi(venue: str, usd: float, coin: str = "BTC", **more: Any) -> OpenInterestRow:
    """An open interest in USD."""
    return OpenInterestRow(coin, venue, usd, 0.0, None, NOW, (f"{coin}USDT",), **more)


def funding(
    venue: str, rate: float, hours: float = 8, coin: str = "BTC", kind: str = "predicted"
) -> FundingRow:
    """A funding rate."""
    apr = rate * 8760 / hours * 100
    return FundingRow(coin, venue, rate, hours, NOW, f"{coin}USDT", kind, apr)


def spot(venue: str, price: float, quote: str = "USD", coin: str = "BTC", at: int = NOW) -> SpotRow:
    """A spot price."""
    return SpotRow(coin, venue, price, None, None, 1.0, None, at, quote, coin + quote)


def series(
    venue: str, candles: Iterable[Candle], quote: str = "USDT", coin: str = "BTC"
) -> CandleSeries:
    """Candles of a perpetual."""
    return CandleSeries(coin, venue, coin + quote, "perp", quote, "1h", tuple(candles), NOW)


def book(
    venue: str,
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    quote: str = "USDT",
    coin: str = "BTC",
) -> OrderBook:
    """An order book of a perpetual."""
    return OrderBook(coin, venue, coin + quote, "perp", quote, tuple(bids), tuple(asks), NOW)
