"""Lighter as the simulated market would be told by it: /api/v1, envelope {"code": 200, ...}.

Open interest is a number in symbol units (1000PEPE counts thousands), prices are partly numbers
and partly text. Three funding units: funding-rates a fraction per 8 hours, with rows of other
exchanges; fundings percent per hour without a sign, the direction says who pays.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.lighter_ws import Trades
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.wire import (
    Routes,
    SimRequest,
    SimResponse,
    SimSocket,
    Sockets,
    answer,
    fixed,
    shortest,
)

HOSTS = ("mainnet.zklighter.elliot.ai",)

_FIRST_SPOT_ID = 2048
_USDC_ID = 3
_OTHERS = ("binance", "bybit", "hyperliquid")
_PAGE = 750
_HOURS = {"stock": "Mon-Fri 09:30-16:00", "forex": "Sun 17:00-Fri 17:00"}
_LATEST_S = 100_000_000_000

Row = dict[str, Any]
View = Callable[[Market, SimRequest], Row]


class _Refused(Exception):
    """What lighter answers with HTTP 400 and a code."""

    code = 20001


def routes(market: Market) -> Routes:
    """Every path of lighter that is simulated."""
    views: dict[str, View] = {
        "orderBookDetails": _show_details,
        "orderBooks": _show_books,
        "funding-rates": _show_rates,
        "fundings": _show_fundings,
        "exchangeStats": _show_stats,
        "assetDetails": _show_assets,
    }
    served: Routes = {("GET", host, "/"): _show_status for host in HOSTS}
    return served | {
        ("GET", host, f"/api/v1/{path}"): partial(_serve, market, view)
        for host in HOSTS
        for path, view in views.items()
    }


def sockets(market: Market) -> Sockets:
    """Trades of markets, with their liquidations."""

    def make(market: Market, socket: SimSocket) -> Trades:
        return Trades(market, socket, _list(market, socket.now_ms()))

    return served(market, {(HOSTS[0], "/stream"): make})


def not_found(request: SimRequest) -> SimResponse:
    """A path that lighter does not have."""
    return answer({"code": 404, "message": f"path not found: {request.path}"}, 404)


def _show_status(request: SimRequest) -> SimResponse:
    """The root tells the server's time and has no `code`."""
    return answer({"status": 200, "network_id": 304, "timestamp": request.now_ms // 1000})


def _serve(market: Market, view: View, request: SimRequest) -> SimResponse:
    try:
        return answer({"code": 200, **view(market, request)})
    except _Refused as refused:
        return answer({"code": refused.code, "message": f"invalid param: {refused}"}, 400)


def _whole(request: SimRequest, name: str, default: int | None = None) -> int:
    text = request.query.get(name, "")
    if not text and default is not None:
        return default
    if not text.isdecimal():
        raise _Refused(name)
    return int(text)


def _list(market: Market, now_ms: int) -> dict[int, Listing]:
    """Listings by market id: perpetuals from 0 (ETH) and 1 (BTC) on, spot from 2048 on."""
    listed = market.listings("lighter", now_ms)
    perps = [i for i in listed if i.kind == "perp"]
    spots = [i for i in listed if i.kind == "spot"]
    return {**dict(enumerate(perps)), **dict(enumerate(spots, _FIRST_SPOT_ID))}


def _status(listing: Listing) -> str:
    return "active" if listing.status == "live" else "inactive"


def _choose(market: Market, request: SimRequest) -> dict[int, Listing]:
    """All markets, or the one of `market_id`; 255 stands for all."""
    listed = _list(market, request.now_ms)
    asked = _whole(request, "market_id", 255)
    if asked == 255:
        return listed
    if asked not in listed:
        raise _Refused("market_id")
    return {asked: listed[asked]}


def _show_details(market: Market, request: SimRequest) -> Row:
    rows = [
        _tell_details(number, market.perp(listing, request.now_ms))
        for number, listing in _choose(market, request).items()
    ]
    return {
        "order_book_details": [row for row in rows if row["market_type"] == "perp"],
        "spot_order_book_details": [row for row in rows if row["market_type"] == "spot"],
    }


def _tell_details(number: int, perp: Perp) -> Row:
    listing = perp.listing
    row = _tell_book(number, listing) | {
        "size_decimals": listing.size_digits,
        "price_decimals": listing.price_digits,
        **_tell_day(perp),
        "daily_price_low": perp.low_24h,
        "daily_price_high": perp.high_24h,
        "daily_chart": {},
    }
    if listing.kind == "spot":
        return row
    session = _HOURS.get(listing.asset, "Sun 18:00-Fri 17:00")
    return row | {
        "quote_multiplier": 1,
        "default_initial_margin_fraction": 500,
        "min_initial_margin_fraction": 200,
        "maintenance_margin_fraction": 120,
        "closeout_margin_fraction": 80,
        "mark_price": fixed(perp.mark, listing.price_digits),
        "index_price": fixed(perp.index, listing.price_digits),
        "open_interest": perp.open_interest,
        "market_config": {
            "market_margin_mode": 0,
            "insurance_fund_account_index": 281474976710655,
            "liquidation_mode": 0,
            "force_reduce_only": False,
            "funding_fee_discounts_enabled": True,
            "trading_hours": "" if listing.asset == "crypto" else session,
            "hidden": False,
        },
        "strategy_index": 0,
    }


def _asset_id(number: int) -> int:
    """ETH is asset 1 and BTC 2; 3 is USDC and is left out."""
    asset = number - _FIRST_SPOT_ID + 1
    return asset if asset < _USDC_ID else asset + 1


def _tell_book(number: int, listing: Listing) -> Row:
    spot = listing.kind == "spot"
    return {
        "symbol": listing.symbol,
        "market_id": number,
        "market_type": listing.kind,
        "base_asset_id": _asset_id(number) if spot else 0,
        "quote_asset_id": _USDC_ID if spot else 0,
        "status": _status(listing),
        "taker_fee": "0.0000",
        "maker_fee": "0.0000",
        "liquidation_fee": "0.0000" if spot else "1.0000",
        "min_base_amount": fixed(10.0**-listing.size_digits, listing.size_digits),
        "min_quote_amount": "10.000000",
        "order_quote_limit": "281474976.710655",
        "supported_size_decimals": listing.size_digits,
        "supported_price_decimals": listing.price_digits,
        "supported_quote_decimals": 6,
    }


def _tell_day(perp: Perp) -> Row:
    """The last 24 hours: numbers, the change in percent, volume in symbol units and USDC."""
    return {
        "last_trade_price": perp.last,
        "daily_trades_count": int(perp.turnover_usd / 900),
        "daily_base_token_volume": perp.volume_coins / perp.listing.multiplier,
        "daily_quote_token_volume": perp.turnover_usd,
        "daily_price_change": (perp.last / perp.open_24h - 1.0) * 100,
    }


def _show_books(market: Market, request: SimRequest) -> Row:
    chosen = _choose(market, request)
    return {"order_books": [_tell_book(number, listing) for number, listing in chosen.items()]}


def _show_stats(market: Market, request: SimRequest) -> Row:
    perps = [market.perp(i, request.now_ms) for i in _list(market, request.now_ms).values()]
    rows = [{"symbol": p.listing.symbol, **_tell_day(p)} for p in perps]
    return {
        "total": len(rows),
        "order_book_stats": rows,
        "daily_usd_volume": sum(p.turnover_usd for p in perps),
        "daily_trades_count": sum(row["daily_trades_count"] for row in rows),
    }


def _show_assets(market: Market, request: SimRequest) -> Row:
    """The assets of the spot markets, for clients that ask for currencies."""
    listed = _list(market, request.now_ms)
    named = [(_USDC_ID, "USDC", 6)]
    named += [(_asset_id(n), i.coin, i.size_digits) for n, i in listed.items() if i.kind == "spot"]
    return {
        "asset_details": [
            {
                "asset_id": number,
                "symbol": symbol,
                "l1_decimals": digits,
                "decimals": digits,
                "min_transfer_amount": "1.000000",
                "min_withdrawal_amount": "1.000000",
                "margin_mode": "enabled" if symbol == "USDC" else "disabled",
            }
            for number, symbol, digits in named
        ]
    }


def _show_rates(market: Market, request: SimRequest) -> Row:
    """Fractions per 8 hours; other exchanges' rates stand beside lighter's own."""
    rows: list[Row] = []
    for number, listing in _list(market, request.now_ms).items():
        if listing.kind != "perp" or listing.status != "live":
            continue
        row = {"market_id": number, "exchange": "", "symbol": listing.symbol, "rate": 0.0}
        if listing.asset == "crypto":
            for other in _OTHERS:
                perp = market.funding(other, listing.coin, request.now_ms)
                if perp is not None:
                    rate = perp.funding_rate * 8 / perp.listing.period_hours
                    rows.append(row | {"exchange": other, "rate": rate})
        own = market.perp(listing, request.now_ms).funding_rate
        rows.append(row | {"exchange": "lighter", "rate": own})
    return {"funding_rates": rows}


def _moment_ms(request: SimRequest, name: str) -> int:
    """A time in seconds or milliseconds: both are understood."""
    said = _whole(request, name)
    return said * 1000 if said < _LATEST_S else said


def _show_fundings(market: Market, request: SimRequest) -> Row:
    """Ascending payments of [start, end), the newest 750; `count_back` looks back from the end."""
    listing = _list(market, request.now_ms).get(_whole(request, "market_id"))
    if listing is None or listing.kind != "perp":
        raise _Refused("market_id")
    resolution = request.query.get("resolution", "")
    step = {"1h": HOUR_MS, "1d": DAY_MS}.get(resolution)
    if step is None:
        raise _Refused("resolution")
    first = _moment_ms(request, "start_timestamp")
    end = min(_moment_ms(request, "end_timestamp"), request.now_ms + 1)
    count = min(_PAGE, _whole(request, "count_back") or _PAGE)
    newest = (end - 1) // step * step
    moments = range(newest, first - 1, -step)[:count]
    rows = [
        _tell_funding(market, listing, at, min(at + step, request.now_ms + 1))
        for at in reversed(moments)
    ]
    told = rows if rows and listing.status == "live" else None
    return {"resolution": resolution, "fundings": told}


def _tell_funding(market: Market, listing: Listing, at_ms: int, stop_ms: int) -> Row:
    """What was paid at a full hour, or so far in the day that begins there."""
    hours = range(at_ms, stop_ms, HOUR_MS)
    percent = sum(market.settled_funding(listing, hour) / 8 * 100 for hour in hours)
    value = abs(percent) / 100 * market.index(listing, at_ms)
    return {
        "timestamp": at_ms // 1000,
        "value": fixed(value, 8),
        "rate": shortest(round(abs(percent), 10)),
        "direction": "short" if percent < 0 else "long",
    }
