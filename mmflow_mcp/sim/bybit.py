"""Bybit v5 as the simulated market would be told by it: /v5/market, HTTP 200 even on errors.

Open interest is told twice: `openInterest` counts longs and shorts, `singleOpenInterest` each
contract once. On inverse contracts size is USD and value is coins.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.bybit_books import show_book, show_candles
from mmflow_mcp.sim.bybit_marks import LENGTHS, list_marks
from mmflow_mcp.sim.bybit_requests import (
    Refused,
    find_listing,
    list_contracts,
    read_category,
    read_whole,
)
from mmflow_mcp.sim.bybit_ws import Liquidations
from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.positions import long_share
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, Sockets, answer, fixed, shortest

REST = ("api.bybit.com", "api.bytick.com")
HOSTS = (*REST, "stream.bybit.com")

SINGLE_SINCE_MS = 1_781_136_000_000
"""2026-06-11: older rows of the history know only the two-sided number."""

_INTERVALS = {
    "5min": HOUR_MS // 12,
    "15min": HOUR_MS // 4,
    "30min": HOUR_MS // 2,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "1d": DAY_MS,
}
_STATUS = {"live": "Trading", "prelaunch": "PreLaunch", "delisted": "Closed"}
_INNOVATION = frozenset({"FARTCOIN", "PUMP", "BABYDOGE", "XPL"})
_INDEXED = frozenset({"BTC", "ETH", "SOL", "XRP"})
_LAUNCHED = "1700000000000"

Row = dict[str, Any]
View = Callable[[Market, SimRequest], Row]


def routes(market: Market) -> Routes:
    """Every path of bybit that is simulated."""
    views: dict[str, View] = {
        "/v5/market/tickers": _show_tickers,
        "/v5/market/instruments-info": _show_instruments,
        "/v5/market/open-interest": _show_open_interest,
        "/v5/market/account-ratio": _show_ratios,
        "/v5/market/funding/history": _show_fundings,
        "/v5/market/mark-price-kline": _show_marks,
        "/v5/market/kline": show_candles,
        "/v5/market/orderbook": show_book,
        "/v5/market/time": _show_time,
    }
    return {
        ("GET", host, path): partial(_serve, market, view)
        for host in REST
        for path, view in views.items()
    }


def sockets(market: Market) -> Sockets:
    """Liquidations, linear and inverse apart."""
    paths = {
        (HOSTS[-1], f"/v5/public/{name}"): partial(Liquidations, category=name)
        for name in ("linear", "inverse")
    }
    return served(market, paths)


def not_found(request: SimRequest) -> SimResponse:
    """A path that bybit does not have."""
    return _wrap(request, {}, 404, "Cannot find path", status=404)


def _serve(market: Market, view: View, request: SimRequest) -> SimResponse:
    try:
        return _wrap(request, view(market, request))
    except Refused as refused:
        return _wrap(request, {}, refused.code, str(refused))


def _wrap(
    request: SimRequest, result: Row, code: int = 0, text: str = "OK", status: int = 200
) -> SimResponse:
    return answer(
        {
            "retCode": code,
            "retMsg": text,
            "result": result,
            "retExtInfo": {},
            "time": request.now_ms,
        },
        status,
    )


def _show_time(_: Market, request: SimRequest) -> Row:
    return {"timeSecond": str(request.now_ms // 1000), "timeNano": f"{request.now_ms}000000"}


def _show_tickers(market: Market, request: SimRequest) -> Row:
    category = read_category(request, "linear", "inverse", "spot", "option")
    if category == "option":
        if not {"baseCoin", "symbol"} & request.query.keys():
            raise Refused(10001, "params error: baseCoin or symbol is required")
        return {"category": category, "list": []}
    if "symbol" in request.query:
        shown = [find_listing(market, request, category)]
    else:
        listed = list_contracts(market, category, request.now_ms)
        shown = [listing for listing in listed if listing.status != "delisted"]
    tell = _tell_spot if category == "spot" else _tell_contract
    return {"category": category, "list": [tell(market, i, request.now_ms) for i in shown]}


def _tell_prices(perp: Perp) -> Row:
    digits, sizes = perp.listing.price_digits, perp.listing.size_digits
    size = fixed(25.0 / 10**sizes if sizes else 25, sizes)
    return {
        "lastPrice": fixed(perp.last, digits),
        "prevPrice24h": fixed(perp.open_24h, digits),
        "price24hPcnt": shortest(round(perp.last / perp.open_24h - 1.0, 6)),
        "highPrice24h": fixed(perp.high_24h, digits),
        "lowPrice24h": fixed(perp.low_24h, digits),
        "ask1Size": size,
        "bid1Price": fixed(perp.bid, digits),
        "ask1Price": fixed(perp.ask, digits),
        "bid1Size": size,
    }


def _tell_spot(market: Market, listing: Listing, now_ms: int) -> Row:
    perp = market.perp(listing, now_ms)
    indexed = listing.coin in _INDEXED
    return {
        "symbol": listing.symbol,
        **_tell_prices(perp),
        "turnover24h": shortest(perp.turnover_usd),
        "volume24h": shortest(perp.volume_coins / listing.multiplier),
        "usdIndexPrice": shortest(round(perp.index, 8)) if indexed else "",
    }


_ONLY_FUTURES = ("predictedDeliveryPrice", "basisRate", "basis", "basisRateYear", "deliveryFeeRate")
_ONLY_PRELAUNCH = ("preOpenPrice", "preQty", "curPreListingPhase")
_ONLY_LIVE = (
    "lastPrice", "indexPrice", "markPrice", "prevPrice24h", "price24hPcnt", "highPrice24h",
    "lowPrice24h", "prevPrice1h", "openInterest", "openInterestValue", "singleOpenInterest",
    "singleOpenInterestValue", "turnover24h", "volume24h", "fundingRate", "nextFundingTime",
    "ask1Size", "bid1Price", "ask1Price", "bid1Size", "fundingIntervalHour", "fundingCap",
)  # fmt: skip


def _tell_contract(market: Market, listing: Listing, now_ms: int) -> Row:
    row: Row = {"symbol": listing.symbol}
    row |= dict.fromkeys((*_ONLY_LIVE, *_ONLY_FUTURES, *_ONLY_PRELAUNCH), "")
    row["deliveryTime"] = str(listing.expiry_ms or 0)
    if listing.status == "prelaunch":
        return row | {"curPreListingPhase": "CallAuction"}
    perp = market.perp(listing, now_ms)
    digits = listing.price_digits
    row |= _tell_prices(perp) | _tell_interest(perp) | _tell_volume(perp)
    row["indexPrice"] = fixed(perp.index, digits)
    row["markPrice"] = fixed(perp.mark, digits)
    row["prevPrice1h"] = fixed(market.perp(listing, now_ms - HOUR_MS).last, digits)
    if listing.kind == "perp":
        row["fundingRate"] = shortest(perp.funding_rate)
        row["nextFundingTime"] = str(perp.next_funding_ms)
        row["fundingIntervalHour"] = str(listing.period_hours)
        row["fundingCap"] = "0.005"
    else:
        years = max(1, (listing.expiry_ms or now_ms) - now_ms) / (365 * DAY_MS)
        rate = perp.mark / perp.index - 1.0
        row["nextFundingTime"] = "0"
        row["deliveryFeeRate"] = "0.0005"
        row["basis"] = fixed(perp.mark - perp.index, digits)
        row["basisRate"] = fixed(rate, 8)
        row["basisRateYear"] = fixed(rate / years, 8)
    return row


def _tell_interest(perp: Perp) -> Row:
    """Both sides and one side; linear: coins and USD, inverse: USD and coins."""
    sizes = perp.listing.size_digits
    inverse = perp.listing.margin == "inverse"
    value = perp.oi_coins if inverse else perp.oi_usd
    return {
        "openInterest": fixed(2 * perp.open_interest, sizes),
        "openInterestValue": fixed(2 * value, 8),
        "singleOpenInterest": fixed(perp.open_interest, sizes),
        "singleOpenInterestValue": fixed(value, 8),
    }


def _tell_volume(perp: Perp) -> Row:
    units = shortest(perp.volume_coins / perp.listing.multiplier)
    usd = shortest(perp.turnover_usd)
    if perp.listing.margin == "inverse":
        return {"turnover24h": units, "volume24h": usd}
    return {"turnover24h": usd, "volume24h": units}


def _show_instruments(market: Market, request: SimRequest) -> Row:
    category = read_category(request, "linear", "inverse", "spot", "option")
    status = request.query.get("status", "Trading")
    asked = {"symbol": request.query.get("symbol"), "baseCoin": request.query.get("baseCoin")}
    tell = _tell_pair if category == "spot" else _tell_instrument
    rows = [
        row
        for row in map(tell, list_contracts(market, category, request.now_ms))
        if row["status"] == status
        and all(wanted in (None, "", row[name]) for name, wanted in asked.items())
    ]
    if category == "spot":
        return {"category": category, "list": rows, "nextPageCursor": ""}
    limit = min(1000, max(1, read_whole(request, "limit", 500)))
    # "first=A&last=B", percent-encoded in the answer and taken back in either form
    after = unquote(request.query.get("cursor", "")).rpartition("last=")[2]
    rows = [row for row in rows if row["symbol"] > after]
    page, rest = rows[:limit], rows[limit:]
    cursor = quote(f"first={page[0]['symbol']}&last={page[-1]['symbol']}") if rest else ""
    return {"category": category, "list": page, "nextPageCursor": cursor}


def _tell_pair(listing: Listing) -> Row:
    step = shortest(10.0**-listing.size_digits)
    return {
        "symbol": listing.symbol,
        "baseCoin": listing.symbol.removesuffix(listing.quote),
        "quoteCoin": listing.quote,
        "innovation": "0",
        "symbolType": "",
        "status": _STATUS[listing.status],
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": step,
            "quotePrecision": "0.0000001",
            "minOrderQty": step,
            "maxOrderQty": "1000000000",
            "minOrderAmt": "5",
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": fixed(10.0**-listing.price_digits, listing.price_digits)},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }


def _tell_instrument(listing: Listing) -> Row:
    inverse, perpetual = listing.margin == "inverse", listing.kind == "perp"
    pre = listing.status == "prelaunch"
    # the multiplier is part of baseCoin: 1000PEPE, SHIB1000
    suffix = "PERP" if listing.quote == "USDC" else listing.quote
    base = listing.symbol.removesuffix(suffix) if perpetual else listing.coin
    innovation = "innovation" if listing.coin in _INNOVATION else ""
    tick = fixed(10.0**-listing.price_digits, listing.price_digits)
    step = "1" if inverse else shortest(10.0**-listing.size_digits)
    return {
        "symbol": listing.symbol,
        "contractType": ("Inverse" if inverse else "Linear")
        + ("Perpetual" if perpetual else "Futures"),
        "status": _STATUS[listing.status],
        "baseCoin": base,
        "quoteCoin": listing.quote,
        "settleCoin": listing.coin if inverse else listing.quote,
        "symbolType": innovation if listing.asset == "crypto" else listing.asset,
        "launchTime": _LAUNCHED,
        "deliveryTime": str(listing.expiry_ms or 0),
        "deliveryFeeRate": "" if perpetual else "0.0005",
        "priceScale": str(listing.price_digits),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": "1000000000",
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": "1000000000",
            "maxMktOrderQty": "500000000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": listing.period_hours * 60 if perpetual else 0,
        "copyTrading": "none",
        "upperFundingRate": "0.005" if perpetual else "",
        "lowerFundingRate": "-0.005" if perpetual else "",
        "isPreListing": pre,
        "preListingInfo": {"curAuctionPhase": "CallAuction"} if pre else None,
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
        "displayName": "",
    }


def _show_open_interest(market: Market, request: SimRequest) -> Row:
    category = read_category(request, "linear", "inverse")
    listing = find_listing(market, request, category)
    step = _INTERVALS.get(request.query.get("intervalTime", ""))
    if step is None:
        raise Refused(10001, "params error: intervalTime is invalid")
    limit = min(200, max(1, read_whole(request, "limit", 50)))
    begin = read_whole(request, "startTime", 0)
    end = min(request.now_ms, read_whole(request, "endTime", request.now_ms))
    before = unquote(request.query.get("cursor", "")).rpartition("lasttime=")[2]
    if before.isdecimal():
        end = min(end, int(before) * 1000 - 1)
    moments = range(end - end % step, begin - 1, -step)[:limit]
    more = bool(moments) and moments[-1] - step >= max(begin, 1) and len(moments) == limit
    cursor = quote(f"lastid=0&lasttime={moments[-1] // 1000}") if more else ""
    return {
        "symbol": listing.symbol,
        "category": category,
        "list": [_tell_history(market.held(listing, t)[0], t) for t in moments],
        "nextPageCursor": cursor,
    }


def _tell_history(one_side: float, at_ms: int) -> Row:
    row = {"openInterest": fixed(2 * one_side, 8)}
    if at_ms >= SINGLE_SINCE_MS:
        row["singleOpenInterest"] = shortest(one_side)
    return row | {"timestamp": str(at_ms)}


def _show_fundings(market: Market, request: SimRequest) -> Row:
    category = read_category(request, "linear", "inverse")
    listing = find_listing(market, request, category)
    if "startTime" in request.query and "endTime" not in request.query:
        raise Refused(10001, "params error: endTime is required with startTime")
    limit = min(200, max(1, read_whole(request, "limit", 200)))
    begin = read_whole(request, "startTime", 0)
    end = min(request.now_ms, read_whole(request, "endTime", request.now_ms))
    period = listing.period_hours * HOUR_MS
    settled = range(end - end % period, begin - 1, -period)[:limit]
    if listing.kind != "perp" or listing.status != "live":
        settled = range(0)
    return {
        "category": category,
        "list": [
            {
                "symbol": listing.symbol,
                "fundingRate": shortest(market.settled_funding(listing, at_ms)),
                "fundingRateTimestamp": str(at_ms),
            }
            for at_ms in settled
        ],
    }


def _show_marks(market: Market, request: SimRequest) -> Row:
    category = read_category(request, "linear", "inverse")
    listing = find_listing(market, request, category)
    length = LENGTHS.get(request.query.get("interval", ""))
    if length is None:
        raise Refused(10001, "params error: interval is invalid")
    limit = min(1000, max(1, read_whole(request, "limit", 200)))
    end = min(request.now_ms, read_whole(request, "end", request.now_ms))
    span = (read_whole(request, "start", 0), end)
    rows = list_marks(market, listing, length, span, limit, request.now_ms)
    return {"symbol": listing.symbol, "category": category, "list": rows}


def _show_ratios(market: Market, request: SimRequest) -> Row:
    """Shares of holders at full periods, newest first."""
    listing = find_listing(market, request, read_category(request, "linear", "inverse"))
    step = _INTERVALS.get(request.query.get("period", ""))
    if step is None:
        raise Refused(10001, "params error: period is invalid")
    limit = min(500, max(1, read_whole(request, "limit", 50)))
    end = min(request.now_ms, read_whole(request, "endTime", request.now_ms))
    moments = range(end - end % step, read_whole(request, "startTime", 0) - 1, -step)[:limit]
    shares = [(at, long_share(market, "bybit", listing.coin, "global", at)) for at in moments]
    return {
        "list": [
            {
                "symbol": listing.symbol,
                "buyRatio": fixed(longs, 4),
                "sellRatio": fixed(1.0 - longs, 4),
                "timestamp": str(at),
            }
            for at, longs in shares
        ],
        "nextPageCursor": f"lastid%3D0%26lasttime%3D{moments[-1] // 1000}" if moments else "",
    }
