"""CoinGecko as the simulated world would be told by it: treasuries, and prices by the day."""

from datetime import timedelta
from typing import Any

from mmflow_mcp.sim.expiries import date_of
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.onchain import holders, midnight, supply
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer

HOSTS = ("api.coingecko.com",)
_TICKERS = {"bitcoin": "BTC", "ethereum": "ETH"}
# Coins there can ever be, or are: what the percentages are counted of.
_EVER = {"bitcoin": 21_000_000.0, "ethereum": 120_700_000.0}


def routes(market: Market) -> Routes:
    """Treasuries and daily prices of two assets."""
    served: Routes = {}
    for asset in _TICKERS:
        for entity in ("companies", "governments"):
            path = f"/api/v3/{entity}/public_treasury/{asset}"
            served["GET", HOSTS[0], path] = _treasuries(market, asset, entity)
        served["GET", HOSTS[0], f"/api/v3/coins/{asset}/market_chart"] = _chart(market, asset)
    return served


def not_found(request: SimRequest) -> SimResponse:  # noqa: ARG001
    """A coin or a path that does not exist."""
    return answer({"error": "coin not found"}, 404)


def _treasuries(market: Market, asset: str, entity: str) -> Handler:
    def serve(request: SimRequest) -> SimResponse:
        rows = holders(market, asset, request.now_ms) if entity == "companies" else []
        price = market.price(_TICKERS[asset], request.now_ms)
        issued = supply(date_of(request.now_ms)) if asset == "bitcoin" else _EVER[asset]
        listed: list[dict[str, Any]] = [
            {
                "name": row.name,
                "symbol": row.symbol,
                "country": row.country,
                "total_holdings": row.coins,
                "total_entry_value_usd": row.entry_usd,
                "total_current_value_usd": round(row.coins * price, 2),
                "percentage_of_total_supply": round(row.coins / _EVER[asset] * 100, 3),
            }
            for row in rows
        ]
        total = round(sum(row.coins for row in rows), 2)
        return answer(
            {
                "total_holdings": total,
                "total_value_usd": round(total * price, 2),
                "market_cap_dominance": round(total / issued * 100, 2),
                entity: listed,
            }
        )

    return serve


def _chart(market: Market, asset: str) -> Handler:
    """A point at every midnight of the last days, and one of now."""

    def serve(request: SimRequest) -> SimResponse:
        days = request.query.get("days", "1")
        count = int(days) if days.isdecimal() else 1
        today = date_of(request.now_ms)
        moments = [midnight(today - timedelta(days=n)) for n in range(count, -1, -1)]
        points = [*moments, request.now_ms]
        prices = [[at, market.price(_TICKERS[asset], at)] for at in points]
        return answer({"prices": prices, "market_caps": [], "total_volumes": []})

    return serve
