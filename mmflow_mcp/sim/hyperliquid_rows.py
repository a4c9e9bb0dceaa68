"""Hyperliquid's rows and names, shared by POST /info and the WebSocket."""

from typing import Any

from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.noise import stream, unit
from mmflow_mcp.sim.trades import Print
from mmflow_mcp.sim.wire import SimResponse, answer, shortest

MALFORMED = SimResponse(
    422,
    b"Failed to deserialize the JSON body into the target type",
    {"content-type": "text/plain; charset=utf-8"},
)
NO_MARKET = answer(None, 500)


def decimal(value: float) -> str:
    """A number as this venue writes it: `61964.0`, `0.0000125`."""
    text = shortest(value)
    return text if "." in text else f"{text}.0"


def universe(market: Market, dex: str, now_ms: int) -> list[Listing] | None:
    """The perpetuals of a dex in its own order, delisted ones in between; None: no such dex."""
    perps = [item for item in market.listings("hyperliquid", now_ms) if item.kind == "perp"]
    if dex == "":
        core = [item for item in perps if ":" not in item.symbol]
        dead = [item for item in core if item.status != "live"]
        live = [item for item in core if item.status == "live"]
        return live[:3] + dead + live[3:]
    return [item for item in perps if item.symbol.startswith(f"{dex}:")] or None


def context(perp: Perp) -> dict[str, Any]:
    """The running numbers of one perpetual; a delisted one has no mid, premium or impact."""
    item = perp.listing
    live = item.status == "live"
    premium = (perp.mark - perp.index) / perp.index
    return {
        "funding": decimal(perp.funding_rate if live else 0.0),
        "openInterest": decimal(perp.open_interest),
        "prevDayPx": decimal(perp.open_24h),
        "dayNtlVlm": decimal(perp.turnover_usd),
        "premium": decimal(round(premium, 10)) if live else None,
        "oraclePx": decimal(perp.index),
        "markPx": decimal(perp.mark),
        "midPx": decimal(mid(perp)) if live else None,
        "impactPxs": [decimal(perp.bid), decimal(perp.ask)] if live else None,
        "dayBaseVlm": decimal(round(perp.volume_coins / item.multiplier, item.size_digits)),
    }


def mid(perp: Perp) -> float:
    """Between bid and ask, with one digit more than prices have."""
    return round((perp.bid + perp.ask) / 2, perp.listing.price_digits + 1)


def list_mids(market: Market, dex: str, now_ms: int) -> dict[str, str]:
    """Perpetuals of a dex and, for the core one, spot pairs; delisted ones are left out."""
    items = [i for i in universe(market, dex, now_ms) or [] if i.status == "live"]
    if dex == "":
        items += list_spot(market, now_ms)
    return {item.symbol: decimal(mid(market.perp(item, now_ms))) for item in items}


def list_spot(market: Market, now_ms: int) -> list[Listing]:
    """The spot pairs: PURR/USDC and @numbers."""
    return [item for item in market.listings("hyperliquid", now_ms) if item.kind == "spot"]


def find(market: Market, coin: str, now_ms: int) -> Listing | None:
    """The listing of that name, upper and lower case told apart."""
    listed = market.listings("hyperliquid", now_ms)
    return next((item for item in listed if item.symbol == coin), None)


def print_row(market: Market, one: Print) -> dict[str, Any]:
    """One trade; `side` is the taker's, B or A; some system prints carry a zero hash."""
    key = stream(market.seed, one.listing.symbol)
    zero = one.number % 16 == 0
    buyer = unit(key, one.number * 2)
    seller = unit(key, one.number * 2 + 1)
    return {
        "coin": one.listing.symbol,
        "side": "B" if one.buy else "A",
        "px": decimal(one.price),
        "sz": decimal(one.size),
        "time": one.at_ms,
        "hash": f"0x{0 if zero else (key << 64) + one.number:064x}",
        "tid": one.number,
        "users": [f"0x{int(buyer * 2**40):040x}", f"0x{int(seller * 2**40):040x}"],
    }
