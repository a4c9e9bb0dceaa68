"""Spot tickers as binance and aster write them, rendered from the market.

https://developers.binance.com/docs/binance-spot-api-docs: base and quote volumes, bid and ask in
the 24 h row; `symbols` takes a JSON list.
"""

import json
from typing import Any

from mmflow_mcp.sim import look_alike as like
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer, fixed


def spot_routes(market: Market, venue: str, host: str) -> Routes:
    """exchangeInfo and the tickers of one spot host, 6,000 weight a minute of its own."""
    meter = like.Meter()

    def listed(now_ms: int) -> list[Listing]:
        return [i for i in market.listings(venue, now_ms) if i.kind == "spot"]

    def bulk(row: like.Row, one: int, every: int) -> Handler:
        plain = like.rows_handler(market, listed, row, meter, (one, every))

        def handle(request: SimRequest) -> SimResponse:
            if "symbols" not in request.query:
                return plain(request)
            return _some(market, listed(request.now_ms), row, request, meter)

        return handle

    return like.clock_routes(host, "/api/v3", meter) | {
        ("GET", host, "/api/v3/exchangeInfo"): _spot_info(listed, meter),
        ("GET", host, "/api/v3/ticker/24hr"): bulk(_spot_ticker, 2, 80),
        ("GET", host, "/api/v3/ticker/price"): bulk(_spot_price, 2, 4),
        ("GET", host, "/api/v3/ticker/bookTicker"): bulk(_spot_book, 2, 4),
    }


def _some(
    market: Market, items: list[Listing], row: like.Row, request: SimRequest, meter: like.Meter
) -> SimResponse:
    """A JSON list of symbols, all of which must exist."""
    headers = meter.say(40, request.now_ms)
    try:
        names = json.loads(request.query["symbols"])
    except ValueError:
        names = None
    if not isinstance(names, list):
        return answer(*like.missing("symbols"), headers)
    found = [like.find(items, str(name)) for name in names]
    rows = [
        row(item, market.perp(item, request.now_ms), request.now_ms)
        for item in found
        if item is not None
    ]
    if len(rows) != len(names):
        return answer(*like.NO_SYMBOL, headers)
    return answer(rows, 200, headers)


def _spot_ticker(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """24 h statistics with bid and ask; volume in base units, quoteVolume in USDT."""
    book = _spot_book(item, perp, now_ms)
    return {
        **like.change_fields(item, perp, now_ms),
        "prevClosePrice": fixed(perp.open_24h, item.price_digits),
        "bidPrice": book["bidPrice"],
        "bidQty": book["bidQty"],
        "askPrice": book["askPrice"],
        "askQty": book["askQty"],
        "volume": fixed(like.units(perp), 8),
        "quoteVolume": fixed(perp.turnover_usd, 8),
    }


def _spot_price(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    row = like.price_row(item, perp, now_ms)
    return {"symbol": row["symbol"], "price": row["price"]}


def _spot_book(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    row = like.book_row(item, perp, now_ms)
    return {key: row[key] for key in ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")}


def _spot_info(listed: like.Lister, meter: like.Meter) -> Handler:
    def handle(request: SimRequest) -> SimResponse:
        symbols = [
            {
                "symbol": item.symbol,
                "status": "TRADING",
                "baseAsset": like.base_of(item),
                "baseAssetPrecision": 8,
                "quoteAsset": item.quote,
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "MARKET"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": like.filters(item),
                "permissions": [],
                "permissionSets": [["SPOT"]],
            }
            for item in listed(request.now_ms)
        ]
        body = {
            "timezone": "UTC",
            "serverTime": request.now_ms,
            "rateLimits": like.rate_limits(6000),
            "exchangeFilters": [],
            "symbols": symbols,
        }
        return answer(body, 200, meter.say(20, request.now_ms))

    return handle
