"""Coinbase's rows of trades, shared by REST and the WebSocket."""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import stream
from mmflow_mcp.sim.trades import Print
from mmflow_mcp.sim.wire import fixed


def iso(at_ms: int) -> str:
    """A moment as the venue writes it, in microseconds that never round up."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}411Z"


def trade_row(one: Print) -> dict[str, Any]:
    """A taker who bought met a maker who sold: the maker's side is written."""
    return {
        "trade_id": one.number,
        "side": "sell" if one.buy else "buy",
        "size": fixed(one.size, 8),
        "price": fixed(one.price, one.listing.price_digits),
        "time": iso(one.at_ms),
    }


def match_row(market: Market, one: Print, kind: str = "match") -> dict[str, Any]:
    """The same trade as the WebSocket tells it."""
    key = stream(market.seed, f"orders/{one.listing.symbol}") ^ one.number

    def order(salt: int) -> str:
        text = f"{(key * 0x9E3779B97F4A7C15 + salt) % 2**128:032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    orders = {"maker_order_id": order(1), "taker_order_id": order(2)}
    told = {"product_id": one.listing.symbol, "sequence": one.number * 7}
    return {"type": kind, **trade_row(one), **orders, **told}
