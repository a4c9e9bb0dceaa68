"""Bithumb as the simulated market would be told by it, in both generations of its interface.

/v1 is shaped like upbit's with epochs that are nine hours ahead, /public answers text inside
{"status": "0000", "data": {...}}, its date among the coins. The day begins at 00:00 in Korea.
"""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.korea import LISTED, Won, won
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer, shortest

HOSTS = ("api.bithumb.com",)

_KOREA_MS = 9 * HOUR_MS
_MOST = 200

Row = dict[str, Any]


def routes(market: Market) -> Routes:
    """Markets and tickers of /v1, the older tickers of /public."""
    served: Routes = {
        ("GET", HOSTS[0], "/v1/market/all"): _show_markets,
        ("GET", HOSTS[0], "/v1/ticker"): lambda request: _show_tickers(market, request),
        ("GET", HOSTS[0], "/public/ticker/*"): lambda request: _show_older(market, request),
    }
    return served


def not_found(_: SimRequest) -> SimResponse:
    """A path that bithumb does not have."""
    return _refuse(404, "Not Found")


def _refuse(status: int, message: str) -> SimResponse:
    return answer({"error": {"name": status, "message": message}}, status)


def _show_markets(_: SimRequest) -> SimResponse:
    codes = [f"KRW-{coin}" for coin in LISTED["bithumb"]] + ["BTC-ETH"]
    rows = [
        {"market": code, "korean_name": f"{code[4:]} 코인", "english_name": code[4:]}
        for code in codes
    ]
    return answer(rows)


def _show_tickers(market: Market, request: SimRequest) -> SimResponse:
    codes = request.query.get("markets", "").split(",")
    if len(codes) > _MOST:
        return _refuse(400, "too many markets")
    listed = {f"KRW-{coin}": coin for coin in LISTED["bithumb"]}
    if not set(codes) <= set(listed):
        return _refuse(404, "Code not found")
    return answer([_tell(won(market, "bithumb", listed[c], request.now_ms)) for c in codes])


def _tell(state: Won) -> Row:
    at = datetime.fromtimestamp(state.traded_ms / 1000, UTC)
    korean = datetime.fromtimestamp((state.traded_ms + _KOREA_MS) / 1000, UTC)
    change = state.price - state.closed
    return {
        "market": state.symbol,
        "trade_date": f"{at:%Y%m%d}",
        "trade_time": f"{at:%H%M%S}",
        "trade_date_kst": f"{korean:%Y%m%d}",
        "trade_time_kst": f"{korean:%H%M%S}",
        "trade_timestamp": state.traded_ms + _KOREA_MS,
        "opening_price": state.opened,
        "high_price": state.high,
        "low_price": state.low,
        "trade_price": state.price,
        "prev_closing_price": state.closed,
        "change": "RISE" if change > 0 else "FALL" if change < 0 else "EVEN",
        "change_price": abs(change),
        "change_rate": round(abs(change) / state.closed, 4),
        "signed_change_price": change,
        "signed_change_rate": round(change / state.closed, 4),
        "trade_volume": 0.0009,
        "acc_trade_price": round(state.turnover * 0.3, 5),
        "acc_trade_price_24h": state.turnover,
        "acc_trade_volume": round(state.volume * 0.3, 8),
        "acc_trade_volume_24h": state.volume,
        "highest_52_week_price": state.high * 1.6,
        "highest_52_week_date": f"{at.year - 1}-10-10",
        "lowest_52_week_price": state.low * 0.7,
        "lowest_52_week_date": f"{at.year}-02-07",
        "timestamp": state.traded_ms + _KOREA_MS,
    }


def _show_older(market: Market, request: SimRequest) -> SimResponse:
    """ALL_KRW, or one pair such as BTC_KRW."""
    name = request.path.rsplit("/", 1)[-1].upper()
    coin = name.removesuffix("_KRW")
    if name not in ("ALL", "ALL_KRW") and coin not in LISTED["bithumb"]:
        return answer({"status": "5500", "message": "Invalid Parameter"})
    date = str(request.now_ms)
    if coin in LISTED["bithumb"]:
        told = _tell_older(won(market, "bithumb", coin, request.now_ms))
        return answer({"status": "0000", "data": {**told, "date": date}})
    coins: Row = {
        coin: _tell_older(won(market, "bithumb", coin, request.now_ms))
        for coin in LISTED["bithumb"]
    }
    return answer({"status": "0000", "data": {**coins, "date": date}})


def _tell_older(state: Won) -> Row:
    """Text; the change over rolling 24 h, in percent."""
    change = state.price - state.day_ago
    return {
        "opening_price": shortest(state.opened),
        "closing_price": shortest(state.price),
        "min_price": shortest(state.low),
        "max_price": shortest(state.high),
        "units_traded": shortest(round(state.volume * 0.3, 8)),
        "acc_trade_value": shortest(round(state.turnover * 0.3, 4)),
        "prev_closing_price": shortest(state.closed),
        "units_traded_24H": shortest(state.volume),
        "acc_trade_value_24H": shortest(state.turnover),
        "fluctate_24H": shortest(round(change, 8)),
        "fluctate_rate_24H": f"{change / state.day_ago * 100:.2f}",
    }
