"""Upbit as the simulated market would be told by it: bare lists, errors in {"error": {...}}.

Changes count from 00:00 UTC. Candles come newest first, with times without a zone; where nobody
traded there is none.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.korea import IN_BITCOIN, LISTED, Won, won, won_price
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import splitmix64
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer

HOSTS = ("api.upbit.com",)

_MINUTES = (1, 3, 5, 10, 15, 30, 60, 240)
_HEADERS = {"remaining-req": "group=default; min=600; sec=9"}

Row = dict[str, Any]


class _Refused(Exception):
    """What upbit answers with HTTP 400 or 404."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def routes(market: Market) -> Routes:
    """Markets, tickers and candles."""
    views = {
        "market/all": _show_markets,
        "ticker/all": _show_all,
        "ticker": _show_some,
        **{f"candles/minutes/{n}": partial(_show_candles, n) for n in _MINUTES},
    }
    return {
        ("GET", host, f"/v1/{path}"): _serve(market, view)
        for host in HOSTS
        for path, view in views.items()
    }


def not_found(_: SimRequest) -> SimResponse:
    """A path that upbit does not have."""
    return answer({"timestamp": 0, "status": 404, "error": "Not Found"}, 404)


def _serve(market: Market, view: Any) -> Handler:
    def serve(request: SimRequest) -> SimResponse:
        try:
            return answer(view(market, request), 200, _HEADERS)
        except _Refused as refused:
            body = {"error": {"name": refused.status, "message": str(refused)}}
            return answer(body, refused.status, _HEADERS)

    return serve


def _show_markets(_: Market, request: SimRequest) -> list[Row]:
    codes = [f"KRW-{coin}" for coin in LISTED["upbit"]]
    codes += [f"BTC-{coin}" for coin in IN_BITCOIN] + ["USDT-BTC"]
    rows: list[Row] = []
    for code in codes:
        name = code.split("-")[1]
        row: Row = {"market": code, "korean_name": f"{name} 코인", "english_name": name}
        if request.query.get("is_details") == "true":
            row["market_event"] = {"warning": False, "caution": {"PRICE_FLUCTUATIONS": False}}
        rows.append(row)
    return rows


def _show_all(market: Market, request: SimRequest) -> list[Row]:
    asked = request.query.get("quote_currencies", "").upper().split(",")
    rows: list[Row] = []
    if "KRW" in asked:
        rows += [_tell(won(market, "upbit", c, request.now_ms), request) for c in LISTED["upbit"]]
    if "BTC" in asked:
        rows += [_in_bitcoin(market, coin, request) for coin in IN_BITCOIN]
    if not rows:
        raise _Refused(400, "quote_currencies is missing")
    return rows


def _show_some(market: Market, request: SimRequest) -> list[Row]:
    codes = request.query.get("markets", "").split(",")
    return [_tell(won(market, "upbit", _coin(code), request.now_ms), request) for code in codes]


def _coin(code: str) -> str:
    quote, _, coin = code.partition("-")
    if quote != "KRW" or coin not in LISTED["upbit"]:
        raise _Refused(404, "Code not found")
    return coin


def _in_bitcoin(market: Market, coin: str, request: SimRequest) -> Row:
    """A market in BTC, beside those in won."""
    ratio = market.price(coin, request.now_ms) / market.price("BTC", request.now_ms)
    row = _tell(won(market, "upbit", coin, request.now_ms), request)
    return row | {"market": f"BTC-{coin}", "trade_price": round(ratio, 8)}


def _clock(at_ms: int, ahead_ms: int = 0) -> tuple[str, str]:
    at = datetime.fromtimestamp((at_ms + ahead_ms) / 1000, UTC)
    return f"{at:%Y%m%d}", f"{at:%H%M%S}"


def _tell(state: Won, request: SimRequest) -> Row:
    day, time = _clock(state.traded_ms)
    korean_day, korean_time = _clock(state.traded_ms, 9 * HOUR_MS)
    change = state.price - state.closed
    year = datetime.fromtimestamp(request.now_ms / 1000, UTC).year
    return {
        "market": state.symbol,
        "trade_date": day,
        "trade_time": time,
        "trade_date_kst": korean_day,
        "trade_time_kst": korean_time,
        "trade_timestamp": state.traded_ms,
        "opening_price": state.opened,
        "high_price": state.high,
        "low_price": state.low,
        "trade_price": state.price,
        "prev_closing_price": state.closed,
        "change": "RISE" if change > 0 else "FALL" if change < 0 else "EVEN",
        "change_price": abs(change),
        "change_rate": round(abs(change) / state.closed, 10),
        "signed_change_price": change,
        "signed_change_rate": round(change / state.closed, 10),
        "trade_volume": 0.00064468,
        "acc_trade_price": round(state.turnover * 0.4, 5),
        "acc_trade_price_24h": state.turnover,
        "acc_trade_volume": round(state.volume * 0.4, 8),
        "acc_trade_volume_24h": state.volume,
        "highest_52_week_price": state.high * 1.6,
        "highest_52_week_date": f"{year - 1}-10-09",
        "lowest_52_week_price": state.low * 0.7,
        "lowest_52_week_date": f"{year}-02-14",
        "timestamp": request.now_ms,
    }


def _show_candles(minutes: int, market: Market, request: SimRequest) -> list[Row]:
    """Newest first; about one quarter of an hour in forty has no trade."""
    coin = _coin(request.query.get("market", ""))
    said = request.query.get("count", "1")
    if not said.isdecimal() or not 1 <= int(said) <= 200:
        raise _Refused(400, "count is at most 200")
    step = minutes * 60_000
    newest = request.now_ms - request.now_ms % step
    rows: list[Row] = []
    start = newest
    while len(rows) < int(said):
        if splitmix64(start // step) % 40:
            rows.append(_candle(market, coin, start, min(start + step, request.now_ms), minutes))
        start -= step
    return rows


def _candle(market: Market, coin: str, start: int, end: int, minutes: int) -> Row:
    opened = won_price(market, "upbit", coin, start)
    closed = won_price(market, "upbit", coin, max(start, end - 1000))
    at = datetime.fromtimestamp(start / 1000, UTC)
    korean = datetime.fromtimestamp((start + 9 * HOUR_MS) / 1000, UTC)
    return {
        "market": f"KRW-{coin}",
        "candle_date_time_utc": f"{at:%Y-%m-%dT%H:%M:%S}",
        "candle_date_time_kst": f"{korean:%Y-%m-%dT%H:%M:%S}",
        "opening_price": opened,
        "high_price": max(opened, closed),
        "low_price": min(opened, closed),
        "trade_price": closed,
        "timestamp": end,
        "candle_acc_trade_price": round(closed * 1.5, 5),
        "candle_acc_trade_volume": 1.5,
        "unit": minutes,
    }
