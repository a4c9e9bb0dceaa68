"""OKX's candles and order books, rendered from the market.

Rows are text, newest first: [time, open, high, low, close, contracts, coins, quote, confirm].
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.bars import MINUTE_MS, Bar, bar, book
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.okx_requests import Refused, read_required, read_whole, refuse_unknown
from mmflow_mcp.sim.wire import SimRequest, fixed, shortest

_EIGHT_HOURS_EAST = 8 * HOUR_MS
_LENGTHS = {f"{n}m": n * MINUTE_MS for n in (1, 3, 5, 15, 30)}
_LENGTHS |= {f"{n}H": n * HOUR_MS for n in (1, 2, 4, 6, 12)} | {"1D": DAY_MS}
_RECENT = 1440
_SINCE_MS = 4 * 365 * DAY_MS


def _find(market: Market, request: SimRequest) -> Listing:
    asked = read_required(request, "instId")
    for listing in market.listings("okx", request.now_ms):
        if listing.symbol == asked and listing.status == "live":
            return listing
    raise refuse_unknown(asked)


def show_candles(market: Market, request: SimRequest, *, recent: bool) -> list[Any]:
    """Candles older than `after` and newer than `before`, the newest 1,440 or what is closed.

    Those of six hours and more begin on the UTC+8 clock unless the bar ends in "utc".
    """
    listing = _find(market, request)
    asked = request.query.get("bar") or "1m"
    name = asked.removesuffix("utc")
    length = _LENGTHS.get(name, 0)
    if not length or (name != asked and length < 6 * HOUR_MS):
        raise Refused("51000", "Parameter bar error")
    shift = _EIGHT_HOURS_EAST if length >= 6 * HOUR_MS and name == asked else 0
    limit = min(300, max(1, read_whole(request, "limit", 100)))
    now = request.now_ms
    oldest = now - (_RECENT * length if recent else _SINCE_MS)
    last = min(now - (0 if recent else length), read_whole(request, "after", now + 1) - 1)
    first = max(oldest, read_whole(request, "before", -1) + 1)
    openings = range(last - (last + shift) % length, first - 1, -length)[:limit]
    found = (bar(market, listing, opening, length, now) for opening in openings)
    return [_tell(listing, one) for one in found if one is not None]


def _tell(listing: Listing, one: Bar) -> list[str]:
    prices = (one.open, one.high, one.low, one.close)
    coins = one.units * listing.multiplier
    spot = listing.kind == "spot"
    traded = one.turnover if listing.margin == "inverse" else one.units
    contracts = one.units if spot else round(traded / listing.contract_size, 8)
    return [
        str(one.start_ms),
        *(fixed(price, listing.price_digits) for price in prices),
        shortest(contracts),
        shortest(one.turnover if spot else coins),
        shortest(one.turnover),
        "1" if one.closed else "0",
    ]


def show_book(market: Market, request: SimRequest) -> list[Any]:
    """One book of levels [price, contracts, "0", orders]."""
    listing = _find(market, request)
    depth = read_whole(request, "sz", 1)
    if not 1 <= depth <= 400:
        raise Refused("51000", "Parameter sz error")
    told = book(market, listing, request.now_ms, depth)

    def side(levels: tuple[tuple[float, float], ...]) -> list[list[str]]:
        rows = []
        for n, (price, size) in enumerate(levels):
            traded = size * price if listing.margin == "inverse" else size
            contracts = shortest(round(traded / listing.contract_size, 8))
            rows.append([fixed(price, listing.price_digits), contracts, "0", str(n % 7 + 1)])
        return rows

    row = {"asks": side(told.asks), "bids": side(told.bids), "ts": str(request.now_ms)}
    return [row | {"seqId": request.now_ms // 1000}]
