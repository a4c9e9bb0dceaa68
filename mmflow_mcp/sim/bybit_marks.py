"""Candles of Bybit's mark price, rendered from the market.

https://bybit-exchange.github.io/docs/v5/market/mark-kline: start, open, high, low and close as
text, newest first; the candle that still runs is among them.
"""

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import fixed

LENGTHS = {
    **{str(n): n * 60_000 for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY_MS,
}


def list_marks(
    market: Market, listing: Listing, length_ms: int, span: tuple[int, int], limit: int, now_ms: int
) -> list[list[str]]:
    """The newest `limit` candles that open from the first to the last moment of `span`."""
    first, last = -(-span[0] // length_ms), span[1] // length_ms
    opens = range(last, max(first, last - limit + 1) - 1, -1)
    return [_candle(market, listing, n * length_ms, length_ms, now_ms) for n in opens]


def _candle(
    market: Market, listing: Listing, start_ms: int, length_ms: int, now_ms: int
) -> list[str]:
    """Its high and low are those of a few moments: nobody reads more out of a mark price."""
    end = min(start_ms + length_ms, now_ms)
    moments = (start_ms, start_ms + (end - start_ms) // 2, end)
    prices = [market.held(listing, at)[1] for at in moments]
    told = (prices[0], max(prices), min(prices), prices[-1])
    return [str(start_ms), *(fixed(price, listing.price_digits) for price in told)]
