"""Gate's candles and order books of perpetuals, rendered from the market.

Times are seconds, sizes whole contracts. `sum` is the quote; of the inverse contract it is the
contracts again, which are USD.
"""

from typing import Any

from mmflow_mcp.sim.bars import Bar, bars, book
from mmflow_mcp.sim.gateio_requests import INTERVALS_S, Refused, count, find_asked, read_whole, say
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimRequest, shortest

_MOST = 2000
_KEPT = 10_000


def show_candles(settle: str, market: Market, request: SimRequest) -> list[dict[str, Any]]:
    """Ascending candles that open from `from` to `to`, both included, or the newest `limit`.

    What is more than 10,000 intervals old is refused, and so is a span of too many candles.
    """
    listing = find_asked(market, settle, request)
    step = INTERVALS_S.get(request.query.get("interval") or "5m")
    if step is None:
        raise Refused("INVALID_PARAM_VALUE", "Invalid value for interval")
    spanned = bool({"from", "to"} & request.query.keys())
    if spanned and "limit" in request.query:
        raise Refused("INVALID_PARAM_VALUE", "limit conflicts with from and to")
    now = request.now_ms // 1000
    limit = read_whole(request, "limit", 100, _MOST)
    last = read_whole(request, "to", now)
    first = read_whole(request, "from", last // step * step - (limit - 1) * step)
    if first < now // step * step - _KEPT * step:
        text = "Candlestick too long ago. Maximum 10000 points recently are allowed"
        raise Refused("INVALID_PARAM_VALUE", text)
    if (last - first) // step >= _MOST:
        text = f"Candlestick range too broad. Maximum {_MOST} data points are allowed per request"
        raise Refused("INVALID_PARAM_VALUE", text)
    until_ms = last * 1000 + 1
    found = bars(market, listing, first * 1000, until_ms, step * 1000, request.now_ms)
    return [_tell(listing, one) for one in found]


def _tell(listing: Listing, one: Bar) -> dict[str, Any]:
    digits = listing.price_digits
    inverse = listing.margin == "inverse"
    contracts = round(one.turnover if inverse else one.units / listing.contract_size)
    return {
        "o": say(one.open, digits),
        "v": contracts,
        "t": one.start_ms // 1000,
        "c": say(one.close, digits),
        "l": say(one.low, digits),
        "h": say(one.high, digits),
        "sum": str(contracts) if inverse else shortest(one.turnover),
    }


def show_book(settle: str, market: Market, request: SimRequest) -> dict[str, Any]:
    """Levels {p, s} of whole contracts; at least one waits at each."""
    listing = find_asked(market, settle, request)
    told = book(market, listing, request.now_ms, read_whole(request, "limit", 10, 300))

    def side(levels: tuple[tuple[float, float], ...]) -> list[dict[str, Any]]:
        rows = []
        for price, size in levels:
            traded = size * price if listing.margin == "inverse" else size
            contracts = max(1, round(traded / listing.contract_size))
            rows.append({"s": count(contracts), "p": say(price, listing.price_digits)})
        return rows

    now = request.now_ms / 1000
    answer: dict[str, Any] = {"current": now, "update": now - 0.002}
    answer |= {"asks": side(told.asks), "bids": side(told.bids)}
    if request.query.get("with_id") == "true":
        answer["id"] = request.now_ms // 100
    return answer
