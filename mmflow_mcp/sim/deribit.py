"""Deribit's public REST methods, rendered from the market.

https://docs.deribit.com: `currency` is the settlement currency (USDC holds every linear product);
open interest is USD for inverse futures and coins for everything else; funding accrues all the
time, so a perpetual has a rate of the last 8 hours and no funding time.
"""

from collections.abc import Callable
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.deribit_books import DEPTHS, LENGTHS, chart, sides
from mmflow_mcp.sim.deribit_rows import (
    instrument,
    kind_of,
    option_instrument,
    option_summary,
    settlement_of,
    summary,
)
from mmflow_mcp.sim.deribit_ws import Trades
from mmflow_mcp.sim.market import Listing, Market, OptionQuote, Perp
from mmflow_mcp.sim.options import LINEAR
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, Sockets, answer

HOSTS = ("www.deribit.com", "history.deribit.com")

SETTLEMENTS = ("BTC", "ETH", "USDC", "USDT", "EURR")
KINDS = ("future", "option", "spot", "future_combo", "option_combo")
_PAGE = 744


def routes(market: Market) -> Routes:
    """`GET /api/v2/public/<method>`; answers come in a JSON-RPC envelope."""
    methods: dict[str, Callable[[Market, SimRequest], SimResponse]] = {
        "get_book_summary_by_currency": _summaries,
        "get_book_summary_by_instrument": _summary,
        "get_instruments": _instruments,
        "get_instrument": _instrument,
        "get_index_price": _index_price,
        "ticker": _ticker,
        "get_order_book": _order_book,
        "get_tradingview_chart_data": _chart,
        "get_funding_rate_history": _funding_history,
        "get_funding_rate_value": _funding_value,
        "get_currencies": _currencies,
        "get_time": _time,
        "status": _status,
    }

    def bind(method: Callable[[Market, SimRequest], SimResponse]) -> Handler:
        return lambda request: method(market, request)

    return {
        ("GET", host, f"/api/v2/public/{name}"): bind(method)
        for host in HOSTS
        for name, method in methods.items()
    }


def sockets(market: Market) -> Sockets:
    """Trades of instruments."""
    return served(market, {(HOSTS[0], "/ws/api/v2"): Trades})


def not_found(request: SimRequest) -> SimResponse:
    """A method that does not exist."""
    return _fail(request, -32601, "Method not found", None, 404)


def _envelope(request: SimRequest, body: dict[str, Any]) -> dict[str, Any]:
    micro = request.now_ms * 1000
    times = {"usIn": micro, "usOut": micro + 351, "usDiff": 351, "testnet": False}
    return {"jsonrpc": "2.0", **body, **times}


def _reply(request: SimRequest, result: Any) -> SimResponse:
    return answer(_envelope(request, {"result": result}))


def _fail(
    request: SimRequest, code: int, message: str, data: dict[str, str] | None, status: int = 400
) -> SimResponse:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return answer(_envelope(request, {"error": error}), status)


def _refuse(request: SimRequest, name: str, reason: str) -> SimResponse:
    return _fail(request, -32602, "Invalid params", {"reason": reason, "param": name})


def _listed(market: Market, now_ms: int, currency: str, kind: str | None) -> list[Listing]:
    return [
        item
        for item in market.listings("deribit", now_ms)
        if currency in ("any", settlement_of(item)) and kind in (None, kind_of(item))
    ]


def _options(market: Market, now_ms: int, currency: str) -> list[OptionQuote]:
    names = [name for name in ("BTC", "ETH") if currency in ("any", name)]
    names += LINEAR if currency in ("any", "USDC") else ()
    return [quote for name in names for quote in market.chain(name, now_ms)]


def _asked(request: SimRequest, usual: str | None = None) -> tuple[str, str | None] | SimResponse:
    """(currency, kind) of a request, or the error it deserves."""
    currency, kind = request.query.get("currency", usual), request.query.get("kind")
    if currency is None:
        return _refuse(request, "currency", "value required")
    if currency not in (*SETTLEMENTS, "any"):
        return _refuse(request, "currency", "invalid currency")
    if kind is not None and kind not in KINDS:
        return _refuse(request, "kind", "value is not valid")
    return currency, kind


def _summaries(market: Market, request: SimRequest) -> SimResponse:
    """Rows of one settlement currency; combos only where they are asked for."""
    asked = _asked(request)
    if isinstance(asked, SimResponse):
        return asked
    currency, kind = asked
    now = request.now_ms
    rows: list[dict[str, Any]] = []
    if kind in (None, "option"):
        dated = _dated(market, now)
        rows += [option_summary(quote, dated, now) for quote in _options(market, now, currency)]
    for item in _listed(market, now, currency, kind):
        rows.append(summary(market.perp(item, now), now))
    if kind in (None, "option_combo") and currency in ("BTC", "any"):
        rows += _combos(market, now)
    return _reply(request, rows)


def _dated(market: Market, now_ms: int) -> frozenset[str]:
    """The dated futures there are; other expiries have a synthetic forward."""
    listed = market.listings("deribit", now_ms)
    return frozenset(item.symbol for item in listed if item.kind == "future")


def _row(market: Market, found: Perp | OptionQuote, now_ms: int) -> dict[str, Any]:
    if isinstance(found, Perp):
        return summary(found, now_ms)
    return option_summary(found, _dated(market, now_ms), now_ms)


def _combos(market: Market, now_ms: int) -> list[dict[str, Any]]:
    """A call spread: its name and numbers must not enter a chain."""
    low, high = [q for q in market.chain("BTC", now_ms) if q.type == "C"][:2]
    head, strike, _ = low.instrument.rsplit("-", 2)
    coin, _, day = head.partition("-")
    row = option_summary(low, _dated(market, now_ms), now_ms)
    row["instrument_name"] = f"{coin}-CS-{day}-{strike}_{high.strike:g}"
    return [{**row, "mark_price": round(low.mark_price - high.mark_price, 6), "mark_iv": None}]


def _find(market: Market, request: SimRequest) -> Perp | OptionQuote | SimResponse:
    """The instrument that a request names, or the error it deserves."""
    name = request.query.get("instrument_name")
    if not name:
        return _refuse(request, "instrument_name", "value required")
    now = request.now_ms
    for item in market.listings("deribit", now):
        if item.symbol == name:
            return market.perp(item, now)
    for quote in _options(market, now, "any"):
        if quote.instrument == name:
            return quote
    return _refuse(request, "instrument_name", "instrument not found")


def _summary(market: Market, request: SimRequest) -> SimResponse:
    found = _find(market, request)
    if isinstance(found, SimResponse):
        return found
    return _reply(request, [_row(market, found, request.now_ms)])


def _ticker(market: Market, request: SimRequest) -> SimResponse:
    """One instrument, with best prices under other names than the summary's."""
    found = _find(market, request)
    if isinstance(found, SimResponse):
        return found
    now = request.now_ms
    row = _row(market, found, now)
    names = ("high", "low", "price_change", "volume", "volume_usd")
    index = found.index
    out = {
        "instrument_name": row["instrument_name"],
        "timestamp": now,
        "state": "open",
        "stats": {name: row[name] for name in names},
        "best_bid_price": row["bid_price"] or 0.0,
        "best_ask_price": row["ask_price"] or 0.0,
        "best_bid_amount": 10.0 if row["bid_price"] else 0.0,
        "best_ask_amount": 10.0 if row["ask_price"] else 0.0,
        "last_price": row["last"],
        "mark_price": row["mark_price"],
        "index_price": index,
        "estimated_delivery_price": index,
        "min_price": round(row["mark_price"] * 0.985, 6),
        "max_price": round(row["mark_price"] * 1.015, 6),
    }
    kept: tuple[str, ...] = ("open_interest", "funding_8h", "current_funding")
    if isinstance(found, OptionQuote):
        kept += ("mark_iv", "underlying_price", "underlying_index", "interest_rate")
        out |= {"bid_iv": found.mark_iv if found.bid else 0.0}
        out |= {"ask_iv": found.mark_iv if found.ask else 0.0}
    return _reply(request, out | {name: row[name] for name in kept if name in row})


def _instruments(market: Market, request: SimRequest) -> SimResponse:
    """Every currency when none is named: ccxt asks so, and real markets answer it."""
    asked = _asked(request, "any")
    if isinstance(asked, SimResponse):
        return asked
    currency, kind = asked
    now = request.now_ms
    rows = [instrument(item) for item in _listed(market, now, currency, kind)]
    if kind in (None, "option"):
        rows += [option_instrument(quote) for quote in _options(market, now, currency)]
    return _reply(request, rows)


def _instrument(market: Market, request: SimRequest) -> SimResponse:
    found = _find(market, request)
    if isinstance(found, SimResponse):
        return found
    if isinstance(found, Perp):
        return _reply(request, instrument(found.listing))
    return _reply(request, option_instrument(found))


def _index_price(market: Market, request: SimRequest) -> SimResponse:
    """The index of a coin in USD or USDC; both are the same number here."""
    name = request.query.get("index_name")
    if not name:
        return _refuse(request, "index_name", "value required")
    coin, _, quote = name.partition("_")
    ticker = coin.upper()
    known = {item.coin for item in market.listings("deribit", request.now_ms)}
    if quote not in ("usd", "usdc") or ticker not in known:
        return _refuse(request, "index_name", "index does not exist")
    raw = market.price(ticker, request.now_ms)
    price = round(raw, 4 if raw < 100 else 2)
    return _reply(request, {"index_price": price, "estimated_delivery_price": price})


def _times(request: SimRequest) -> tuple[int, int] | SimResponse:
    """start_timestamp and end_timestamp, both required."""
    made: list[int] = []
    for name in ("start_timestamp", "end_timestamp"):
        text = request.query.get(name, "")
        if not text.isdecimal():
            return _refuse(request, name, "value required")
        made.append(int(text))
    return made[0], made[1]


def _funding_value(market: Market, request: SimRequest) -> SimResponse:
    """Interest accrued between two moments, the newest 31 days of it at most."""
    found, times = _find(market, request), _times(request)
    if isinstance(found, SimResponse):
        return found
    if isinstance(times, SimResponse):
        return times
    if isinstance(found, OptionQuote) or found.listing.kind != "perp":
        return _refuse(request, "instrument_name", "wrong kind of instrument")
    until = min(times[1], request.now_ms)
    first = max(times[0], until - _PAGE * HOUR_MS)
    return _reply(request, market.accrued(found.listing, first, until))


def _funding_history(market: Market, request: SimRequest) -> SimResponse:
    """Hourly rows, ascending, 744 at most, the newest ones when more were asked for."""
    found = _find(market, request)
    if isinstance(found, SimResponse):
        return found
    if isinstance(found, OptionQuote) or found.listing.kind != "perp":
        return _refuse(request, "instrument_name", "wrong kind of instrument")
    times = _times(request)
    if isinstance(times, SimResponse):
        return times
    until = min(times[1], request.now_ms)
    hours = range(-(-times[0] // HOUR_MS) * HOUR_MS, until + 1, HOUR_MS)[-_PAGE:]
    item = found.listing
    rows = [
        {
            "timestamp": hour,
            "index_price": round(market.index(item, hour), item.price_digits),
            "prev_index_price": round(market.index(item, hour - HOUR_MS), item.price_digits),
            "interest_8h": market.settled_funding(item, hour),
            "interest_1h": market.hourly_interest(item, hour),
        }
        for hour in hours
    ]
    return _reply(request, rows)


def _chart(market: Market, request: SimRequest) -> SimResponse:
    """Candles of a future, perpetual or spot pair."""
    found, times = _find(market, request), _times(request)
    if isinstance(found, SimResponse):
        return found
    if isinstance(times, SimResponse):
        return times
    length = LENGTHS.get(request.query.get("resolution", ""))
    if length is None:
        return _refuse(request, "resolution", "value is not valid")
    if isinstance(found, OptionQuote):
        return _refuse(request, "instrument_name", "wrong kind of instrument")
    return _reply(request, chart(market, found.listing, *times, length, request.now_ms))


def _order_book(market: Market, request: SimRequest) -> SimResponse:
    """The ticker of an instrument, with its book."""
    found = _find(market, request)
    if isinstance(found, SimResponse):
        return found
    depth = request.query.get("depth", "5")
    if depth not in map(str, DEPTHS):
        return _refuse(request, "depth", "value is not valid")
    if isinstance(found, OptionQuote):
        return _refuse(request, "instrument_name", "wrong kind of instrument")
    told = sides(market, found.listing, int(depth), request.now_ms)
    row = summary(found, request.now_ms)
    more = {"timestamp": request.now_ms, "state": "open", "change_id": request.now_ms // 100}
    kept = {name: row[name] for name in ("instrument_name", "mark_price")}
    return _reply(request, {**kept, **more, **told, "index_price": found.index})


def _currencies(_: Market, request: SimRequest) -> SimResponse:
    names = {"BTC": "Bitcoin", "ETH": "Ethereum", "USDC": "USD Coin", "USDT": "Tether"}
    rows = [
        {
            "currency": name,
            "currency_long": long,
            "coin_type": "BITCOIN" if name == "BTC" else "ETHER",
            "min_confirmations": 1,
            "withdrawal_fee": 0.0,
            "fee_precision": 4,
            "in_cross_collateral_pool": True,
        }
        for name, long in names.items()
    ]
    return _reply(request, rows)


def _time(_: Market, request: SimRequest) -> SimResponse:
    return _reply(request, request.now_ms)


def _status(_: Market, request: SimRequest) -> SimResponse:
    return _reply(request, {"locked": "false", "locked_indices": []})
