"""Gate v4 as the simulated market would be told by it: lists without an envelope, times in seconds.

Sizes are contracts of quanto_multiplier coins; the inverse BTC_USD has quanto_multiplier "0" and
contracts of 1 USD. `position_size` of a contract counts one side, `total_size` of a ticker and
`open_interest` of contract_stats count both (in the recordings of 2026 each is twice the first).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.expiries import expiry_of, next_last_fridays
from mmflow_mcp.sim.gateio_books import show_book, show_candles
from mmflow_mcp.sim.gateio_past import tell_fundings, tell_stats
from mmflow_mcp.sim.gateio_positions import hour_before, tell_orders
from mmflow_mcp.sim.gateio_requests import (
    INTERVALS_S,
    SETTLED_IN,
    Refused,
    count,
    find_asked,
    find_listing,
    list_contracts,
    read_whole,
    say,
)
from mmflow_mcp.sim.gateio_ws import SETTLES, Liquidations
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, Sockets, answer, fixed, shortest

REST = ("api.gateio.ws", "fx-api.gateio.ws")
HOSTS = (*REST, "fx-ws.gateio.ws")

_TYPES = {
    "crypto": "",
    "stock": "stocks",
    "commodity": "metals",
    "forex": "forex",
    "index": "indices",
}
_STATUS = {"live": "trading", "prelaunch": "prelaunch", "delisted": "delisting"}
_CREATED_S = 1_700_000_000

Row = dict[str, Any]
View = Callable[[Market, SimRequest], Any]


def routes(market: Market) -> Routes:
    """Every path of gate that is simulated."""
    views: dict[str, View] = {
        "/spot/currency_pairs": _show_pairs,
        "/spot/tickers": _show_spot,
        "/spot/currencies": _show_currencies,
        "/spot/time": lambda _, request: {"server_time": request.now_ms},
        "/margin/currency_pairs": lambda _, __: [],
        "/options/underlyings": lambda _, __: [],
        "/delivery/usdt/contracts": _show_deliveries,
    }
    for settle in SETTLED_IN:
        views[f"/futures/{settle}/contracts"] = partial(_show_contracts, settle)
        views[f"/futures/{settle}/contracts/*"] = partial(_show_contract, settle)
        views[f"/futures/{settle}/tickers"] = partial(_show_tickers, settle)
        views[f"/futures/{settle}/funding_rate"] = partial(_show_fundings, settle)
        views[f"/futures/{settle}/contract_stats"] = partial(_show_stats, settle)
        views[f"/futures/{settle}/candlesticks"] = partial(show_candles, settle)
        views[f"/futures/{settle}/order_book"] = partial(show_book, settle)
        views[f"/futures/{settle}/liq_orders"] = partial(_show_orders, settle)
    return {
        ("GET", host, f"/api/v4{path}"): partial(_serve, market, view)
        for host in REST
        for path, view in views.items()
    }


def sockets(market: Market) -> Sockets:
    """Liquidations, a socket for each settlement currency."""
    paths = {
        (HOSTS[-1], f"/v4/ws/{settle}"): partial(Liquidations, settle=settle) for settle in SETTLES
    }
    return served(market, paths)


def not_found(request: SimRequest) -> SimResponse:
    """A path that gate does not have."""
    return answer({"label": "NOT_FOUND", "message": f"{request.path} not found"}, 404)


def _serve(market: Market, view: View, request: SimRequest) -> SimResponse:
    try:
        return answer(view(market, request))
    except Refused as refused:
        return answer({"label": refused.label, "message": str(refused)}, refused.status)


def _quanto(listing: Listing) -> str:
    return "0" if listing.margin == "inverse" else shortest(listing.contract_size)


def _show_contracts(settle: str, market: Market, request: SimRequest) -> list[Row]:
    listed = list_contracts(market, settle, request.now_ms)
    first = read_whole(request, "offset", 0)
    limit = read_whole(request, "limit", len(listed), 1000)
    return [_tell_contract(market, i, request.now_ms) for i in listed[first : first + limit]]


def _show_contract(settle: str, market: Market, request: SimRequest) -> Row:
    name = request.path.rpartition("/")[2]
    return _tell_contract(
        market, find_listing(market, settle, name, request.now_ms), request.now_ms
    )


def _tell_contract(market: Market, listing: Listing, now_ms: int) -> Row:
    perp = market.perp(listing, now_ms)
    period_s = listing.period_hours * 3600
    pre = listing.status == "prelaunch"
    rate = "0" if pre else shortest(perp.funding_rate)
    users = 40 + int(perp.oi_usd / 40_000)
    return {
        "name": listing.symbol,
        "type": "inverse" if listing.margin == "inverse" else "direct",
        "contract_type": _TYPES[listing.asset],
        "quanto_multiplier": _quanto(listing),
        **_tell_limits(listing),
        **_tell_prices(perp, pre=pre),
        "mark_type": "index",
        "funding_rate": rate,
        "funding_rate_indicative": rate,
        "funding_interval": period_s,
        "funding_next_apply": perp.next_funding_ms // 1000,
        "funding_offset": 0,
        "funding_cap_ratio": "0.75",
        "funding_rate_limit": "0.003",
        "funding_impact_value": "30000",
        "interest_rate": "0.0003",
        "position_size": count(perp.open_interest),
        "trade_size": int(perp.turnover_usd) * 90,
        "long_users": users if perp.open_interest else 0,
        "short_users": users * 4 // 5 if perp.open_interest else 0,
        "in_delisting": listing.status == "delisted",
        "is_pre_market": pre,
        "status": _STATUS[listing.status],
        "create_time": _CREATED_S,
        "launch_time": _CREATED_S,
        "config_change_time": _CREATED_S,
    }


def _tell_limits(listing: Listing) -> Row:
    tick = say(10.0**-listing.price_digits, listing.price_digits)
    return {
        "order_price_round": tick,
        "mark_price_round": tick,
        "order_price_deviate": "0.04",
        "order_size_min": 1,
        "order_size_max": 1_000_000,
        "orders_limit": 100,
        "market_order_size_max": "1000000",
        "leverage_min": "1",
        "leverage_max": "100",
        "cross_leverage_default": "10",
        "maintenance_rate": "0.005",
        "maker_fee_rate": "-0.00005",
        "taker_fee_rate": "0.00075",
        "risk_limit_base": "200000",
        "risk_limit_step": "199800000",
        "risk_limit_max": "200000000",
        "enable_bonus": True,
        "enable_credit": True,
        "enable_decimal": False,
        "enable_circuit_breaker": False,
    }


def _tell_prices(perp: Perp, *, pre: bool) -> Row:
    digits = perp.listing.price_digits
    told = {"last_price": perp.last, "mark_price": perp.mark, "index_price": perp.index}
    return {name: "" if pre else say(price, digits) for name, price in told.items()}


def _show_tickers(settle: str, market: Market, request: SimRequest) -> list[Row]:
    if request.query.get("contract"):
        shown = [find_asked(market, settle, request)]
    else:
        shown = list_contracts(market, settle, request.now_ms)
    perps = [market.perp(i, request.now_ms) for i in shown if i.status == "live"]
    return [_tell_ticker(perp) for perp in perps]


def _tell_ticker(perp: Perp) -> Row:
    listing, digits = perp.listing, perp.listing.price_digits
    inverse = listing.margin == "inverse"
    usd, coins = str(round(perp.turnover_usd)), str(round(perp.volume_coins))
    traded = perp.turnover_usd if inverse else perp.volume_coins / listing.contract_size
    row = {
        "contract": listing.symbol,
        "last": say(perp.last, digits),
        "low_24h": say(perp.low_24h, digits),
        "high_24h": say(perp.high_24h, digits),
        **_tell_change(perp),
        "volume_24h": str(round(traded)),
        "volume_24h_base": coins,
        "volume_24h_quote": usd,
        "volume_24h_settle": coins if inverse else usd,
        "mark_price": say(perp.mark, digits),
        "index_price": say(perp.index, digits),
        "funding_rate": shortest(perp.funding_rate),
        "funding_rate_indicative": shortest(perp.funding_rate),
        "total_size": shortest(2 * perp.open_interest),
        "highest_bid": say(perp.bid, digits),
        "highest_size": "2500",
        "lowest_ask": say(perp.ask, digits),
        "lowest_size": "1900",
        "quanto_multiplier": _quanto(listing),
    }
    if inverse:
        row |= {"volume_24h_btc": coins, "volume_24h_usd": usd}
    return row


def _tell_change(perp: Perp) -> Row:
    """Percent, and the same as a difference of prices."""
    percent = (perp.last / perp.open_24h - 1.0) * 100
    change = perp.last - perp.open_24h
    return {
        "change_percentage": fixed(percent, 2),
        "change_price": say(change, perp.listing.price_digits),
    }


def _show_fundings(settle: str, market: Market, request: SimRequest) -> list[Row]:
    listing = find_asked(market, settle, request)
    limit = read_whole(request, "limit", 100, 1000)
    first = read_whole(request, "from", 0)
    last = min(request.now_ms // 1000, read_whole(request, "to", request.now_ms // 1000))
    return tell_fundings(market, listing, first, last, limit)


def _show_stats(settle: str, market: Market, request: SimRequest) -> list[Row]:
    listing = find_asked(market, settle, request)
    step = INTERVALS_S.get(request.query.get("interval") or "5m")
    if step is None:
        raise Refused("INVALID_PARAM_VALUE", "Invalid value for interval")
    limit = read_whole(request, "limit", 30, 100)
    last = request.now_ms // 1000 // step * step
    first = read_whole(request, "from", last - (limit - 1) * step)
    return tell_stats(market, listing, step, first, limit, request.now_ms)


def _show_orders(settle: str, market: Market, request: SimRequest) -> list[Row]:
    """Of one contract for an hour at most, or of all contracts for the last one."""
    alone = [find_asked(market, settle, request)] if request.query.get("contract") else None
    now_s, limit = request.now_ms // 1000, read_whole(request, "limit", 100, 1000)
    last = read_whole(request, "to", now_s) if alone else now_s
    first = (
        read_whole(request, "from", last - 3599) if alone else hour_before(request.now_ms) // 1000
    )
    if last - first > 3600:
        raise Refused("INVALID_PARAM_VALUE", "Invalid range of from and to")
    listed = alone or list_contracts(market, settle, request.now_ms)
    return tell_orders(market, listed, first * 1000, last * 1000 + 999, limit)


def _show_pairs(market: Market, request: SimRequest) -> list[Row]:
    pairs = [_tell_pair(i) for i in _spots(market, request.now_ms)]
    leveraged = pairs[0] | {"id": "BTC3L_USDT", "base": "BTC3L", "base_name": "BTC3L"}
    closed = pairs[0] | {"id": "FTM_USDT", "base": "FTM", "trade_status": "untradable"}
    return [*pairs, leveraged, closed]


def _tell_pair(listing: Listing) -> Row:
    base = listing.symbol.partition("_")[0]
    return {
        "id": listing.symbol,
        "base": base,
        "base_name": base,
        "quote": listing.quote,
        "quote_name": "Tether",
        "fee": "0.2",
        "min_base_amount": shortest(10.0**-listing.size_digits),
        "min_quote_amount": "3",
        "max_quote_amount": "5000000",
        "amount_precision": listing.size_digits,
        "precision": listing.price_digits,
        "trade_status": "tradable",
        "sell_start": 0,
        "buy_start": 0,
        "st_tag": False,
        "type": "normal",
    }


def _spots(market: Market, now_ms: int) -> list[Listing]:
    return [i for i in market.listings("gateio", now_ms) if i.kind == "spot"]


def _show_currencies(market: Market, request: SimRequest) -> list[Row]:
    coins = [i.symbol.partition("_")[0] for i in _spots(market, request.now_ms)]
    named = {"delisted": False, "withdraw_disabled": False, "deposit_disabled": False}
    return [{"currency": c, "name": c, **named, "chains": []} for c in ("USDT", *coins)]


def _show_spot(market: Market, request: SimRequest) -> list[Row]:
    rows = [_tell_spot(market.perp(i, request.now_ms)) for i in _spots(market, request.now_ms)]
    fund = {"etf_net_value": "1.2", "etf_leverage": "3.04", "etf_pre_timestamp": 1_700_000_000}
    rows.append(rows[0] | {"currency_pair": "BTC3L_USDT", "last": "1.2"} | fund)
    asked = request.query.get("currency_pair")
    if not asked:
        return rows
    found = [row for row in rows if row["currency_pair"] == asked]
    if not found:
        raise Refused("INVALID_CURRENCY_PAIR", f"Invalid currency pair {asked}")
    return found


def _tell_spot(perp: Perp) -> Row:
    digits = perp.listing.price_digits
    return {
        "currency_pair": perp.listing.symbol,
        "last": say(perp.last, digits),
        "lowest_ask": say(perp.ask, digits),
        "highest_bid": say(perp.bid, digits),
        "change_percentage": _tell_change(perp)["change_percentage"],
        "base_volume": shortest(perp.volume_coins),
        "quote_volume": shortest(perp.turnover_usd),
        "high_24h": say(perp.high_24h, digits),
        "low_24h": say(perp.low_24h, digits),
    }


def _show_deliveries(market: Market, request: SimRequest) -> list[Row]:
    """Dated contracts of BTC and ETH on the next two quarter ends."""
    swaps = {i.symbol: i for i in list_contracts(market, "usdt", request.now_ms)}
    rows = []
    for day in next_last_fridays(request.now_ms, 3, 2):
        for name in ("BTC_USDT", "ETH_USDT"):
            dated = replace(
                swaps[name],
                symbol=f"{name}_{day:%Y%m%d}",
                kind="future",
                expiry_ms=expiry_of(day),
            )
            rows.append(_tell_delivery(market.perp(dated, request.now_ms), name))
    return rows


def _tell_delivery(perp: Perp, underlying: str) -> Row:
    listing = perp.listing
    return {
        "name": listing.symbol,
        "underlying": underlying,
        "cycle": "QUARTERLY",
        "type": "direct",
        "quanto_multiplier": _quanto(listing),
        **_tell_limits(listing),
        **_tell_prices(perp, pre=False),
        "mark_type": "index",
        "basis_rate": fixed(perp.mark / perp.index - 1.0, 6),
        "basis_value": say(perp.mark - perp.index, listing.price_digits),
        "expire_time": (listing.expiry_ms or 0) // 1000,
        "settle_price": "0",
        "settle_price_interval": 60,
        "settle_price_duration": 1800,
        "position_size": count(perp.open_interest),
        "trade_size": int(perp.turnover_usd) * 90,
        "in_delisting": False,
        "config_change_time": _CREATED_S,
    }
