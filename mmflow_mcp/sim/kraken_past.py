"""The histories of Kraken's futures, rendered from the market.

Funding: every hour of a year by its beginning, the running one among them, as money and as a
fraction. Analytics: columns of text, times in seconds. Candles: times in milliseconds.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer, fixed

FUTURES_HOST = "futures.kraken.com"
_CHARTS = "/api/charts/v1"
_KEPT_MS = 366 * DAY_MS
_MOST = 5000
_INTERVALS_S = (60, 300, 900, 1800, 3600, 14400, 43200, 86400, 604800)
_RESOLUTIONS = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "4h": 14400,
    "12h": 43200,
    "1d": 86400,
    "1w": 604800,
}


def past_routes(market: Market) -> Routes:
    """Rates of funding, open interest and candles of the mark price."""

    def show_fundings(request: SimRequest) -> SimResponse:
        return _show_fundings(market, request)

    def show_interest(request: SimRequest) -> SimResponse:
        return _show_interest(market, request)

    def show_marks(request: SimRequest) -> SimResponse:
        return _show_marks(market, request)

    served: dict[str, Handler] = {
        "/derivatives/api/v4/historicalfundingrates": show_fundings,
        "/derivatives/api/v3/historical-funding-rates": show_fundings,
        f"{_CHARTS}/analytics/*": show_interest,
        f"{_CHARTS}/mark/*": show_marks,
    }
    return {("GET", FUTURES_HOST, path): handler for path, handler in served.items()}


def _find(market: Market, symbol: str, now_ms: int) -> Listing | None:
    listed = market.listings("kraken", now_ms)
    return next((i for i in listed if i.kind == "perp" and i.symbol == symbol), None)


def _show_fundings(market: Market, request: SimRequest) -> SimResponse:
    now_ms = request.now_ms
    listing = _find(market, request.query.get("symbol", ""), now_ms)
    said = {"serverTime": _iso(now_ms)}
    if listing is None:
        wrong = {"code": 11, "message": "Argument invalid: symbol"}
        return answer({"status": "BAD_REQUEST", "result": "error", "errors": [wrong], **said})
    running = now_ms - now_ms % HOUR_MS
    hours = range(running - _KEPT_MS, running, HOUR_MS)
    rows = [_tell_funding(market, listing, hour, hour + HOUR_MS) for hour in hours]
    rows.append(_tell_funding(market, listing, running, now_ms))
    return answer({"rates": rows, "result": "success", **said})


@lru_cache(maxsize=65_536)
def _tell_funding(market: Market, listing: Listing, hour_ms: int, at_ms: int) -> dict[str, Any]:
    """The hour that begins at `hour_ms`; the market settles it at its end, `at_ms` once it is over.

    Money is made with the index of the day, which is quicker and as good.
    """
    rate = market.settled_funding(listing, at_ms)
    index = market.index(listing, hour_ms - hour_ms % DAY_MS)
    money = rate / index if listing.margin == "inverse" else rate * index
    return {"timestamp": _iso(hour_ms), "fundingRate": money, "relativeFundingRate": rate}


def _wrong(name: str, text: str) -> SimResponse:
    said = {"severity": "error", "error_class": "EGeneral", "type": name, "msg": text}
    return answer({"result": None, "errors": [said]}, 400)


def _span(request: SimRequest, first: str) -> tuple[int, int]:
    """(first, last) of a question, seconds."""
    asked = request.query
    last = int(asked["to"]) if asked.get("to", "").isdecimal() else request.now_ms // 1000
    since = int(asked[first]) if asked.get(first, "").isdecimal() else last - 86_400
    return since, min(last, request.now_ms // 1000)


def _show_interest(market: Market, request: SimRequest) -> SimResponse:
    """[open, high, low, close] of each interval, in the contract's own unit."""
    symbol, _, kind = request.path.removeprefix(f"{_CHARTS}/analytics/").partition("/")
    listing = _find(market, symbol, request.now_ms)
    text = request.query.get("interval", "")
    if listing is None or kind != "open-interest":
        return _wrong("Not found", "Resource not found")
    if not text.isdecimal() or int(text) not in _INTERVALS_S or "since" not in request.query:
        return _wrong("Invalid arguments", "Invalid interval")
    step = int(text)
    since, last = _span(request, "since")
    moments = range(-(-since // step) * step, last + 1, step)
    rows = [_tell_interval(market, listing, at, step, request.now_ms) for at in moments[:_MOST]]
    more = len(moments) > _MOST
    result = {"timestamp": list(moments[:_MOST]), "data": rows, "more": more}
    return answer({"result": result, "errors": []})


def _tell_interval(
    market: Market, listing: Listing, at_s: int, step_s: int, now_ms: int
) -> list[str]:
    opened = market.held(listing, at_s * 1000)[0]
    closed = market.held(listing, min((at_s + step_s) * 1000, now_ms))[0]
    said = (opened, max(opened, closed), min(opened, closed), closed)
    return [fixed(value, 8) for value in said]


def _show_marks(market: Market, request: SimRequest) -> SimResponse:
    """Candles of the mark price; times in milliseconds."""
    symbol, _, resolution = request.path.removeprefix(f"{_CHARTS}/mark/").partition("/")
    listing, step = _find(market, symbol, request.now_ms), _RESOLUTIONS.get(resolution)
    if listing is None or step is None:
        return answer({"candles": [], "more_candles": False})
    since, last = _span(request, "from")
    moments = range(-(-since // step) * step, last + 1, step)
    candles = [_tell_candle(market, listing, at, step, request.now_ms) for at in moments[:_MOST]]
    return answer({"candles": candles, "more_candles": len(moments) > _MOST})


def _tell_candle(
    market: Market, listing: Listing, at_s: int, step_s: int, now_ms: int
) -> dict[str, Any]:
    opened = market.held(listing, at_s * 1000)[1]
    closed = market.held(listing, min((at_s + step_s) * 1000, now_ms))[1]
    named = {"open": opened, "high": max(opened, closed), "low": min(opened, closed)}
    prices = {name: fixed(value, listing.price_digits) for name, value in named.items()}
    close = fixed(closed, listing.price_digits)
    return {"time": at_s * 1000, **prices, "close": close, "volume": 0}


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
