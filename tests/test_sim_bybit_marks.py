"""Candles of the mark price that the simulated Bybit tells."""

import json
from typing import Any

import pytest
from worlds import MARKET, NOW

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.bybit import routes
from mmflow_mcp.sim.wire import SimRequest

PATH = "/v5/market/mark-price-kline"
ROUTE = routes(MARKET)["GET", "api.bybit.com", PATH]


def show(**query: Any) -> dict[str, Any]:
    """The answer to a question about BTCUSD's candles."""
    asked = {"category": "inverse", "symbol": "BTCUSD", "interval": "60"} | query
    words = {name: str(value) for name, value in asked.items()}
    request = SimRequest("GET", "api.bybit.com", PATH, words, None, NOW)
    doc: dict[str, Any] = json.loads(ROUTE(request).body)
    return doc


def test_newest_first_with_the_running_candle() -> None:
    """The newest one began at the full hour; opens and closes are the marks of their moments."""
    rows = show(limit=3)["result"]["list"]
    hour = NOW // HOUR_MS * HOUR_MS
    assert [hour, hour - HOUR_MS, hour - 2 * HOUR_MS] == [int(row[0]) for row in rows]
    (listing,) = (i for i in MARKET.listings("bybit", NOW) if i.symbol == "BTCUSD")
    for row in rows:
        start, opened, high, low, closed = map(float, row)
        assert MARKET.held(listing, int(start))[1] == opened
        assert MARKET.held(listing, min(int(start) + HOUR_MS, NOW))[1] == closed
        assert low <= min(opened, closed) <= max(opened, closed) <= high


def test_a_window_holds_the_candles_that_open_in_it() -> None:
    """`end` itself included, 200 rows where no limit is named, 1,000 at most."""
    hour = NOW // HOUR_MS * HOUR_MS
    rows = show(start=hour - 5 * HOUR_MS + 1, end=hour - 2 * HOUR_MS)["result"]["list"]
    assert [hour - n * HOUR_MS for n in (2, 3, 4)] == [int(row[0]) for row in rows]
    assert (200, 1000) == tuple(
        len(show(interval="1", **more)["result"]["list"]) for more in ({}, {"limit": 5000})
    )


@pytest.mark.parametrize("query", [{"interval": "7"}, {"symbol": "NOPE"}, {"category": "spot"}])
def test_what_it_does_not_know_is_refused(query: dict[str, str]) -> None:
    """HTTP 200 with a retCode."""
    assert 10001 == show(**query)["retCode"]
