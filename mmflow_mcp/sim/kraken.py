"""Kraken as the simulated market would be told by it: {"error": [], "result": {...}}.

A pair may be asked by its key or its altname and is answered under its key. Index 0 of volumes and
extremes is of the day since 00:00 UTC, index 1 of 24 hours; `o` is the price at 00:00 UTC.
"""

from functools import partial
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.bars import Bar, bar, book
from mmflow_mcp.sim.kraken_futures import FUTURES_HOST, futures_not_found, futures_routes
from mmflow_mcp.sim.kraken_past import past_routes
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.spot_listings import KRAKEN_BASES
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer, fixed

SPOT_HOST = "api.kraken.com"
HOSTS = (SPOT_HOST, FUTURES_HOST)

_CANDLES = 720
_LEVELS = 500
_INTERVALS = ("1", "5", "15", "30", "60", "240", "1440")

Row = dict[str, Any]


class _Refused(Exception):
    """What kraken answers with HTTP 200 and a list of errors."""


def routes(market: Market) -> Routes:
    """The pairs, their tickers, candles and books."""
    views = {
        "AssetPairs": _show_pairs,
        "Ticker": _show_tickers,
        "OHLC": _show_candles,
        "Depth": _show_depth,
        "Time": _show_time,
        "SystemStatus": lambda _, __: {"status": "online"},
    }
    served = {
        ("GET", SPOT_HOST, f"/0/public/{path}"): partial(_serve, market, view)
        for path, view in views.items()
    }
    return served | futures_routes(market) | past_routes(market)


def not_found(request: SimRequest) -> SimResponse:
    """A path that kraken does not have."""
    if request.host == FUTURES_HOST:
        return futures_not_found(request)
    return answer({"error": ["EGeneral:Unknown method"]})


def _serve(market: Market, view: Any, request: SimRequest) -> SimResponse:
    try:
        return answer({"error": [], "result": view(market, request)})
    except _Refused as refused:
        return answer({"error": [str(refused)]})


def _list(market: Market, now_ms: int) -> dict[str, Listing]:
    return {i.symbol: i for i in market.listings("kraken", now_ms) if i.kind == "spot"}


def _base(listing: Listing) -> str:
    if listing.asset != "crypto":
        return f"{listing.coin}x"
    return KRAKEN_BASES.get(listing.coin, listing.coin)


def _find(market: Market, request: SimRequest, name: str) -> Listing:
    for key, listing in _list(market, request.now_ms).items():
        if name in (key, f"{_base(listing)}{listing.quote}") and listing.status == "live":
            return listing
    raise _Refused("EQuery:Unknown asset pair")


def _show_time(_: Market, request: SimRequest) -> Row:
    return {"unixtime": request.now_ms // 1000, "rfc1123": ""}


def _show_pairs(market: Market, request: SimRequest) -> Row:
    """Every pair; euros against dollars are a pair like any other."""
    pairs = {key: _tell_pair(i) for key, i in _list(market, request.now_ms).items()}
    money = pairs["XXBTZUSD"] | {"altname": "EURUSD", "wsname": "EUR/USD", "base": "ZEUR"}
    dark = pairs["XXBTZUSD"] | {"altname": "XBTUSD.d"}
    del dark["wsname"]
    return {**pairs, "ZEURZUSD": money, "XXBTZUSD.d": dark}


def _tell_pair(listing: Listing) -> Row:
    base, old = _base(listing), listing.symbol.startswith("X") and listing.quote == "USD"
    return {
        "altname": f"{base}{listing.quote}",
        "wsname": f"{base}/{listing.quote}",
        "aclass_base": "currency" if listing.asset == "crypto" else "tokenized_asset",
        "base": f"X{base}" if old else base,
        "aclass_quote": "currency",
        "quote": "ZUSD" if listing.quote == "USD" else listing.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": listing.price_digits,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": fixed(10.0**-listing.price_digits, listing.price_digits),
        "status": "online" if listing.status == "live" else "cancel_only",
    }


def _show_tickers(market: Market, request: SimRequest) -> Row:
    names = request.query.get("pair", "")
    if names:
        found = [_find(market, request, name) for name in names.split(",")]
    else:
        listed = _list(market, request.now_ms).values()
        found = [i for i in listed if i.status == "live" and i.asset == "crypto"]
    return {i.symbol: _tell_ticker(market, i, request.now_ms) for i in found}


def _tell_ticker(market: Market, listing: Listing, now_ms: int) -> Row:
    perp: Perp = market.perp(listing, now_ms)
    midnight = market.perp(listing, now_ms - now_ms % DAY_MS).last
    part = now_ms % DAY_MS / DAY_MS

    def say(price: float) -> str:
        return fixed(price, listing.price_digits)

    mean = perp.turnover_usd / perp.volume_coins if perp.volume_coins else perp.last
    low, high = min(midnight, perp.last), max(midnight, perp.last)
    return {
        "a": [say(perp.ask), "1", "1.000"],
        "b": [say(perp.bid), "2", "2.000"],
        "c": [say(perp.last), "0.00100000"],
        "v": [fixed(perp.volume_coins * part, 8), fixed(perp.volume_coins, 8)],
        "p": [say(mean), say(mean)],
        "t": [int(41_000 * part), 41_000],
        "l": [say(low), say(min(low, perp.low_24h))],
        "h": [say(high), say(max(high, perp.high_24h))],
        "o": say(midnight),
    }


def _show_candles(market: Market, request: SimRequest) -> Row:
    """The last 720 candles, the running one among them; `since` (s) is exclusive.

    Without it, high and low are those of open and close: reading 720 candles of many pairs in
    detail, for a look back at one of them, would take seconds.
    """
    listing = _find(market, request, request.query.get("pair", ""))
    interval, since = request.query.get("interval", "1"), request.query.get("since", "0")
    if interval not in _INTERVALS or not since.isdecimal():
        raise _Refused("EGeneral:Invalid arguments")
    step, now = int(interval) * 60_000, request.now_ms
    last = now - now % step
    first = max(last - (_CANDLES - 1) * step, (int(since) + 1) * 1000)
    starts = range(-(-first // step) * step, last + step, step)
    looks: dict[str, int] = {} if "since" in request.query else {"looks": 1}
    told = (bar(market, listing, at, step, now, **looks) for at in starts)
    rows = [_tell_bar(listing, one) for one in told if one is not None]
    return {listing.symbol: rows, "last": (last - step) // 1000}


def _tell_bar(listing: Listing, one: Bar) -> list[Any]:
    digits = listing.price_digits
    prices = [fixed(price, digits) for price in (one.open, one.high, one.low, one.close)]
    mean = fixed(one.turnover / one.units if one.units else one.open, digits)
    return [one.start_ms // 1000, *prices, mean, fixed(one.units, 8), one.trades]


def _show_depth(market: Market, request: SimRequest) -> Row:
    """Up to 500 levels a side, each with the second in which it last changed."""
    listing = _find(market, request, request.query.get("pair", ""))
    count = request.query.get("count", "100")
    if not count.isdecimal() or not 1 <= int(count) <= _LEVELS:
        raise _Refused("EGeneral:Invalid arguments")
    told = book(market, listing, request.now_ms, int(count))

    def say(levels: tuple[tuple[float, float], ...]) -> list[list[Any]]:
        digits, at = listing.price_digits, told.at_ms // 1000
        return [
            [fixed(price, digits), fixed(size, 8), at - number % 60]
            for number, (price, size) in enumerate(levels)
        ]

    return {listing.symbol: {"asks": say(told.asks), "bids": say(told.bids)}}
