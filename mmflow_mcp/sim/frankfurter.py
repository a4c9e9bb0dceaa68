"""Frankfurter, and the open endpoint of ExchangeRate-API, as the simulated world has rates.

A fixing is of a working day and stands until the next one; the open endpoint makes one a day.
"""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.korea import fixing, usd_krw
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer

_HOST, _DAILY = "api.frankfurter.dev", "open.er-api.com"
HOSTS = (_HOST, _DAILY)

_CACHED = {"cache-control": "public, max-age=86400"}


def routes(market: Market) -> Routes:
    """The newest rate of the won in three forms."""

    def latest(request: SimRequest) -> SimResponse:
        base, wanted = request.query.get("base", "EUR"), request.query.get("symbols", "")
        if base == wanted:
            return answer({"message": "bad currency pair"}, 422)
        if (base, wanted) != ("USD", "KRW"):
            return answer({"message": "not found"}, 404)
        day, rate = fixing(market, request.now_ms)
        told = {"amount": 1.0, "base": base, "date": day.isoformat(), "rates": {"KRW": rate}}
        return answer(told, 200, _CACHED)

    def blended(request: SimRequest) -> SimResponse:
        if (request.query.get("base"), request.query.get("quotes")) != ("USD", "KRW"):
            return answer({"message": "not found"}, 404)
        day, rate = fixing(market, request.now_ms)
        told = {"date": day.isoformat(), "base": "USD", "quote": "KRW", "rate": round(rate, 1)}
        return answer([told])

    return {
        ("GET", _HOST, "/v1/latest"): latest,
        ("GET", _HOST, "/v2/rates"): blended,
        ("GET", _DAILY, "/v6/latest/USD"): lambda request: _daily(market, request),
    }


def not_found(_: SimRequest) -> SimResponse:
    """A path that is not there."""
    return answer({"message": "not found"}, 404)


def _daily(market: Market, request: SimRequest) -> SimResponse:
    """One update a day, just after midnight, weekends included."""
    made = request.now_ms - request.now_ms % DAY_MS + 151_000
    made -= DAY_MS if made > request.now_ms else 0
    return answer(
        {
            "result": "success",
            "provider": "https://www.exchangerate-api.com",
            "documentation": "https://www.exchangerate-api.com/docs/free",
            "terms_of_use": "https://www.exchangerate-api.com/terms",
            "time_last_update_unix": made // 1000,
            "time_last_update_utc": _said(made),
            "time_next_update_unix": (made + DAY_MS) // 1000,
            "time_next_update_utc": _said(made + DAY_MS),
            "time_eol_unix": 0,
            "base_code": "USD",
            "rates": _rates(market, made),
        }
    )


def _rates(market: Market, made_ms: int) -> dict[str, Any]:
    return {"USD": 1, "EUR": 0.862144, "KRW": round(usd_krw(market, made_ms), 4)}


def _said(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%a, %d %b %Y %H:%M:%S} +0000"
