"""Aster: binance's grammar under /fapi/v1 and /fapi/v3, rendered from the market.

https://github.com/asterdex/api-docs: every contract is linear (USDT, USD, USD1); fundingInfo lists
every symbol with caps that are numbers or null; stocks hide in underlyingSubType.
"""

from typing import Any

from mmflow_mcp.sim import look_alike as like
from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.fapi_ws import STREAM, AsterOrders
from mmflow_mcp.sim.look_alike_candles import depth_handler, klines_handler
from mmflow_mcp.sim.look_alike_spot import spot_routes
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, Sockets, answer, fixed

FAPI, SPOT = "fapi.asterdex.com", "sapi.asterdex.com"
STREAM_HOST = "fstream.asterdex.com"
HOSTS = (FAPI, STREAM_HOST, SPOT)

not_found = like.not_found

_SUB_TYPES = {"stock": ["STOCK"], "commodity": ["Commodities"], "crypto": ["Layer-1"]}


def routes(market: Market) -> Routes:
    """The same answers under both versions; one weight of 2,400 a minute."""
    meter = like.Meter()

    def listed(now_ms: int) -> list[Listing]:
        return [i for i in market.listings("aster", now_ms) if i.kind != "spot"]

    def bulk(row: like.Row, one: int, every: int) -> Handler:
        return like.rows_handler(market, listed, row, meter, (one, every))

    handlers = {
        "exchangeInfo": _exchange_info(listed, meter),
        "premiumIndex": bulk(like.premium_row, 1, 1),
        "fundingInfo": _funding_info(listed, meter),
        "openInterest": like.open_interest_handler(market, listed, meter),
        "fundingRate": like.funding_history_handler(market, listed, meter, _settled_row),
        "klines": klines_handler(market, listed, meter),
        "depth": depth_handler(market, listed, meter),
        "ticker/24hr": bulk(like.ticker_row, 1, 40),
        "ticker/price": bulk(like.price_row, 1, 2),
        "ticker/bookTicker": bulk(like.book_row, 1, 2),
    }
    made = spot_routes(market, "aster", SPOT)
    for version in ("/fapi/v1", "/fapi/v3"):
        made |= like.clock_routes(FAPI, version, meter)
        made |= {("GET", FAPI, f"{version}/{name}"): h for name, h in handlers.items()}
    return made


def sockets(market: Market) -> Sockets:
    """Forced orders."""
    return served(market, {(STREAM_HOST, f"/ws/{STREAM}"): AsterOrders})


def _exchange_info(listed: like.Lister, meter: like.Meter) -> Handler:
    """underlyingType says COIN for everything; symbolType 1 and the sub type tell stocks."""

    def describe(item: Listing, now_ms: int) -> dict[str, Any]:
        crypto = item.asset == "crypto"
        return like.contract_row(item, now_ms) | {
            "contractType": "PERPETUAL",
            "status": like.STATUS[item.status],
            "marginAsset": item.quote,
            "underlyingType": "COIN",
            "underlyingSubType": _SUB_TYPES[item.asset],
            "settlePlan": 0,
            "symbolType": 0 if crypto else 1,
        }

    def handle(request: SimRequest) -> SimResponse:
        now = request.now_ms
        body = {
            "timezone": "UTC",
            "serverTime": now,
            "futuresType": "U_MARGINED",
            "rateLimits": like.rate_limits(2400),
            "exchangeFilters": [],
            "assets": [
                {"asset": name, "marginAvailable": True, "autoAssetExchange": 0}
                for name in ("USDT", "USD", "USD1")
            ],
            "symbols": [describe(item, now) for item in listed(now)],
        }
        return answer(body, 200, meter.say(1, now))

    return handle


def _funding_info(listed: like.Lister, meter: like.Meter) -> Handler:
    def handle(request: SimRequest) -> SimResponse:
        rows = [
            {
                "symbol": item.symbol,
                "interestRate": "0.00010000",
                "time": request.now_ms,
                "fundingIntervalHours": item.period_hours,
                "fundingFeeCap": None if item.period_hours == 8 else 0.02,
                "fundingFeeFloor": None if item.period_hours == 8 else -0.02,
            }
            for item in listed(request.now_ms)
        ]
        return answer(rows, 200, meter.say(1, request.now_ms))

    return handle


def _settled_row(market: Market, item: Listing, hour_ms: int) -> dict[str, Any]:
    rate = fixed(market.settled_funding(item, hour_ms), 8)
    return {"symbol": item.symbol, "fundingTime": hour_ms, "fundingRate": rate}
