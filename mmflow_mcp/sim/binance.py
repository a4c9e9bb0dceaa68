"""Binance: USD-M and COIN-M futures and the spot tickers, rendered from the market.

https://developers.binance.com: USD-M lives on fapi (open interest one symbol at a time, coins of
the base asset), COIN-M on dapi (contracts of 100 USD for BTC, 10 USD for the rest), spot on api.
"""

from collections.abc import Callable
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim import look_alike as like
from mmflow_mcp.sim.binance_positions import ratio_routes
from mmflow_mcp.sim.closing_ws import ClosingStream, served
from mmflow_mcp.sim.fapi_ws import STREAM, BinanceOrders, Silence
from mmflow_mcp.sim.look_alike_candles import depth_handler, klines_handler
from mmflow_mcp.sim.look_alike_spot import spot_routes
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.noise import stream, unit
from mmflow_mcp.sim.wire import (
    Handler,
    Routes,
    SimRequest,
    SimResponse,
    SimSocket,
    Sockets,
    answer,
    fixed,
)

FAPI, DAPI = "fapi.binance.com", "dapi.binance.com"
SPOT = ("api.binance.com", "data-api.binance.vision")
STREAM_HOST = "fstream.binance.com"
HOSTS = (FAPI, DAPI, STREAM_HOST, *SPOT)

not_found = like.not_found

_PERIODS = {
    "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": HOUR_MS, "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS, "6h": 6 * HOUR_MS, "12h": 12 * HOUR_MS, "1d": DAY_MS,
}  # fmt: skip
_UNADJUSTED = ("BTCUSDT", "ETHUSDC", "BTCUSD_PERP", "XRPUSDT")
_UNDERLYING = {"stock": "EQUITY", "commodity": "COMMODITY"}


def routes(market: Market) -> Routes:
    """Every path of the three hosts; USD-M and COIN-M share one weight of 2,400 a minute."""
    meter = like.Meter()
    made = _usdm_routes(market, meter) | _coinm_routes(market, meter)
    for host in SPOT:
        made |= spot_routes(market, "binance", host)
    return made


def sockets(market: Market) -> Sockets:
    """Forced orders; the older address says nothing."""
    paths: dict[tuple[str, str], Callable[[Market, SimSocket], ClosingStream]] = {
        (STREAM_HOST, f"/market/ws/{STREAM}"): BinanceOrders,
        (STREAM_HOST, f"/ws/{STREAM}"): Silence,
    }
    return served(market, paths)


def _usdm_routes(market: Market, meter: like.Meter) -> Routes:
    def listed(now_ms: int) -> list[Listing]:
        items = market.listings("binance", now_ms)
        return [i for i in items if i.kind != "spot" and i.margin == "linear"]

    def bulk(row: like.Row, one: int, every: int) -> Handler:
        return like.rows_handler(market, listed, row, meter, (one, every))

    v1 = "/fapi/v1"
    made = like.clock_routes(FAPI, v1, meter) | ratio_routes(market, listed, FAPI)
    return made | {
        ("GET", FAPI, f"{v1}/exchangeInfo"): _exchange_info(listed, meter, usdm=True),
        ("GET", FAPI, f"{v1}/premiumIndex"): bulk(like.premium_row, 1, 10),
        ("GET", FAPI, f"{v1}/ticker/24hr"): bulk(like.ticker_row, 1, 40),
        ("GET", FAPI, f"{v1}/ticker/price"): bulk(like.price_row, 1, 2),
        ("GET", FAPI, f"{v1}/ticker/bookTicker"): bulk(like.book_row, 2, 5),
        ("GET", FAPI, f"{v1}/openInterest"): like.open_interest_handler(market, listed, meter),
        ("GET", FAPI, f"{v1}/klines"): klines_handler(market, listed, meter),
        ("GET", FAPI, f"{v1}/depth"): depth_handler(market, listed, meter),
        ("GET", FAPI, f"{v1}/fundingInfo"): _funding_info(listed, meter),
        ("GET", FAPI, f"{v1}/fundingRate"): like.funding_history_handler(
            market, listed, meter, _settled_row
        ),
        ("GET", FAPI, "/futures/data/openInterestHist"): _interest_history(market, listed),
    }


def _coinm_routes(market: Market, meter: like.Meter) -> Routes:
    def listed(now_ms: int) -> list[Listing]:
        return [i for i in market.listings("binance", now_ms) if i.margin == "inverse"]

    def bulk(row: like.Row, one: int, every: int) -> Handler:
        return like.rows_handler(market, listed, row, meter, (one, every), listed=True)

    v1 = "/dapi/v1"
    return like.clock_routes(DAPI, v1, meter) | {
        ("GET", DAPI, f"{v1}/exchangeInfo"): _exchange_info(listed, meter, usdm=False),
        ("GET", DAPI, f"{v1}/premiumIndex"): bulk(_coinm_premium, 10, 10),
        ("GET", DAPI, f"{v1}/ticker/24hr"): bulk(_coinm_ticker, 1, 40),
        ("GET", DAPI, f"{v1}/ticker/bookTicker"): bulk(_coinm_book, 2, 5),
        ("GET", DAPI, f"{v1}/openInterest"): like.open_interest_handler(market, listed, meter),
        ("GET", DAPI, f"{v1}/fundingInfo"): _funding_info(listed, meter),
        ("GET", DAPI, f"{v1}/fundingRate"): like.funding_history_handler(
            market, listed, meter, _settled_row
        ),
        ("GET", DAPI, "/futures/data/openInterestHist"): _interest_history(market, listed),
    }


def _coinm_premium(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    return {**like.premium_row(item, perp, now_ms), "pair": like.pair_of(item)}


def _coinm_ticker(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """Volume in contracts, baseVolume in coins."""
    return {
        **like.change_fields(item, perp, now_ms),
        "pair": like.pair_of(item),
        "volume": str(round(perp.turnover_usd / item.contract_size)),
        "baseVolume": fixed(perp.volume_coins, 8),
    }


def _coinm_book(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    return {**like.book_row(item, perp, now_ms), "pair": like.pair_of(item)}


def _exchange_info(listed: like.Lister, meter: like.Meter, *, usdm: bool) -> Handler:
    """The contracts; COIN-M calls the status contractStatus and states contractSize."""

    def describe(item: Listing, now_ms: int) -> dict[str, Any]:
        row = like.contract_row(item, now_ms)
        row["underlyingType"] = _UNDERLYING.get(item.asset, "COIN")
        row["underlyingSubType"] = ["TradFi"] if item.asset != "crypto" else ["Layer-1"]
        status = like.STATUS[item.status]
        if usdm:
            return row | {"marginAsset": item.quote, "status": status}
        size = {"contractSize": int(item.contract_size), "equalQtyPrecision": 4}
        return row | {"marginAsset": item.coin, "contractStatus": status} | size

    def handle(request: SimRequest) -> SimResponse:
        now = request.now_ms
        assets = [{"asset": name, "marginAvailable": True} for name in ("USDT", "USDC", "BTC")]
        usdm_only: dict[str, Any] = {"futuresType": "U_MARGINED", "assets": assets} if usdm else {}
        body = {
            "timezone": "UTC",
            "serverTime": now,
            **usdm_only,
            "rateLimits": like.rate_limits(2400),
            "exchangeFilters": [],
            "symbols": [describe(item, now) for item in listed(now)],
        }
        return answer(body, 200, meter.say(1, now))

    return handle


def _funding_info(listed: like.Lister, meter: like.Meter) -> Handler:
    """Periods of the perpetuals; BTCUSDT and what is rarely adjusted are left out: 8 h."""

    def handle(request: SimRequest) -> SimResponse:
        rows = [
            {
                "symbol": item.symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": item.period_hours,
                "disclaimer": False,
                "updateTime": 1_752_854_309_429,
            }
            for item in listed(request.now_ms)
            if item.kind == "perp" and item.status == "live" and item.symbol not in _UNADJUSTED
        ]
        return answer(rows, 200, meter.say(0, request.now_ms))

    return handle


def _settled_row(market: Market, item: Listing, hour_ms: int) -> dict[str, Any]:
    """One payment, a few ms after its hour, with the mark of that moment."""
    late = int(unit(stream(market.seed, f"settled/{item.symbol}"), hour_ms // HOUR_MS) * 9)
    return {
        "symbol": item.symbol,
        "fundingRate": fixed(market.settled_funding(item, hour_ms), 8),
        "fundingTime": hour_ms + late,
        "markPrice": fixed(market.held(item, hour_ms)[1], 8),
    }


def _interest_history(market: Market, listed: like.Lister) -> Handler:
    """Open interest on the period's grid, of the last 30 days; no weight, no header.

    Of a pair on COIN-M the sums are contracts and coins (not USD).
    """

    def handle(request: SimRequest) -> SimResponse:
        period = _PERIODS.get(request.query.get("period", ""))
        if period is None:
            return answer(*like.missing("period"))
        symbol, pair = request.query.get("symbol"), request.query.get("pair")
        kind = request.query.get("contractType", "PERPETUAL")
        live = [i for i in listed(request.now_ms) if i.status == "live"]
        chosen = [i for i in live if i.symbol == symbol]
        if pair:
            kinds = {like.contract_type(i, request.now_ms): i for i in live if _is_of(i, pair)}
            chosen = [item for name, item in kinds.items() if kind in ("ALL", name)]
        if not chosen:
            return answer(*(like.NO_SYMBOL if symbol or pair else like.missing("symbol")))
        moments = _grid(request, period)
        if moments is None:
            return answer({"code": -1130, "msg": "parameter 'startTime' is invalid."}, 400)
        return answer([_interest_row(market, chosen, at_ms, pair, kind) for at_ms in moments])

    return handle


def _is_of(item: Listing, pair: str) -> bool:
    return like.pair_of(item) == pair


def _grid(request: SimRequest, period: int) -> list[int] | None:
    """The newest grid points asked for (the oldest when only startTime says); None: too old."""
    start, end = like.number(request, "startTime"), like.number(request, "endTime")
    limit = like.limit_of(request, 30, 500)
    oldest = request.now_ms - 30 * DAY_MS
    if start is not None and start < oldest - DAY_MS:
        return None
    until = min(end if end is not None else request.now_ms, request.now_ms)
    first = max(oldest, start if start is not None else until - limit * period)
    moments = list(range(-(-first // period) * period, until + 1, period))
    return moments[:limit] if start is not None and end is None else moments[-limit:]


def _interest_row(
    market: Market, items: list[Listing], at_ms: int, pair: str | None, kind: str
) -> dict[str, Any]:
    states = [(item, *market.held(item, at_ms)) for item in items]
    held = sum(oi for _, oi, _ in states)
    if pair is not None:
        coins = sum(oi * item.contract_size / mark for item, oi, mark in states)
        named = {"pair": pair, "contractType": kind}
        value = coins
    else:
        named = {"symbol": items[0].symbol, "CMCCirculatingSupply": "19900000.00000000"}
        value = sum(oi * mark for _, oi, mark in states)
    return {
        **named,
        "sumOpenInterest": fixed(held, 8),
        "sumOpenInterestValue": fixed(value, 8),
        "timestamp": at_ms,
    }
