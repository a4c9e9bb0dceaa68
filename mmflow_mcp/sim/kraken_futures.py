"""Kraken's futures as the simulated market would be told by them: numbers, money per hour.

Linear contracts (PF) are of one coin, inverse ones (PI, FI) of one dollar. `fundingRate` is in
dollars per coin (PF) or in coins per dollar (PI), for the running hour.
"""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer

FUTURES_HOST = "futures.kraken.com"
_API = "/derivatives/api/v3"

Row = dict[str, Any]


def futures_routes(market: Market) -> Routes:
    """Every ticker, and the list of contracts."""

    def show_tickers(request: SimRequest) -> SimResponse:
        now_ms = request.now_ms
        rows = [_tell_ticker(market.perp(i, now_ms), now_ms) for i in _list(market, now_ms)]
        at = {"last": 1.0, "lastTime": _iso(now_ms)}
        rows += [{"symbol": "in_xbtusd", **at}, {"symbol": "rr_xbtusd", **at}]
        return _told(request, "tickers", rows)

    def show_instruments(request: SimRequest) -> SimResponse:
        return _told(
            request, "instruments", [_tell_contract(i) for i in _list(market, request.now_ms)]
        )

    return {
        ("GET", FUTURES_HOST, f"{_API}/tickers"): show_tickers,
        ("GET", FUTURES_HOST, f"{_API}/instruments"): show_instruments,
    }


def futures_not_found(request: SimRequest) -> SimResponse:
    """An error in HTTP 200."""
    said = {"result": "error", "error": "notFound", "serverTime": _iso(request.now_ms)}
    return answer(said)


def _told(request: SimRequest, name: str, rows: list[Row]) -> SimResponse:
    return answer({"result": "success", name: rows, "serverTime": _iso(request.now_ms)})


def _list(market: Market, now_ms: int) -> list[Listing]:
    return [i for i in market.listings("kraken", now_ms) if i.kind != "spot"]


def _base(listing: Listing) -> str:
    if listing.asset == "stock":
        return f"{listing.coin}x"
    if listing.asset == "forex":
        return "EUR"
    return "XBT" if listing.coin == "BTC" else listing.coin


def _tell_contract(listing: Listing) -> Row:
    inverse = listing.margin == "inverse"
    base = _base(listing)
    row: Row = {
        "symbol": listing.symbol,
        "type": "futures_inverse" if inverse else "flexible_futures",
        "tickSize": 10.0**-listing.price_digits,
        "contractSize": 1,
        "tradeable": listing.status == "live",
        "base": "BTC" if base == "XBT" else base,
        "quote": "USD",
        "pair": f"{'BTC' if base == 'XBT' else base}:USD",
        "maxRelativeFundingRate": 0.0025,
        "openingDate": "2022-01-01T00:00:00.000Z",
    }
    if listing.expiry_ms is not None:
        row["lastTradingTime"] = _iso(listing.expiry_ms)
    return row


def _tell_ticker(perp: Perp, now_ms: int) -> Row:
    listing = perp.listing
    inverse = listing.margin == "inverse"
    row: Row = {
        "symbol": listing.symbol,
        "last": perp.last,
        "lastTime": _iso(now_ms - 700),
        "tag": "perpetual" if listing.kind == "perp" else "quarter",
        "pair": f"{_base(listing)}:USD",
        "markPrice": perp.mark,
        "bid": perp.bid,
        "bidSize": 0.8052,
        "ask": perp.ask,
        "askSize": 0.0017,
        "vol24h": perp.turnover_usd if inverse else perp.volume_coins,
        "volumeQuote": perp.turnover_usd,
        "openInterest": perp.open_interest,
        "open24h": perp.open_24h,
        "high24h": perp.high_24h,
        "low24h": perp.low_24h,
        "lastSize": 0.0012,
        "suspended": listing.status != "live",
        "indexPrice": perp.index,
        "postOnly": False,
        "change24h": round((perp.last / perp.open_24h - 1) * 100, 2),
    }
    if listing.kind == "perp":
        money = perp.funding_rate / perp.index if inverse else perp.funding_rate * perp.index
        row |= {"fundingRate": money, "fundingRatePrediction": money * 1.1}
    return row


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
