"""bitcoin-data.com as the simulated market would be valued by it: one figure per path.

A day's figures appear an hour after its end; some are numbers, some text.
"""

from datetime import timedelta

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.expiries import date_of
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.onchain import midnight, valuation
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer

HOSTS = ("bitcoin-data.com",)

# Path -> (name on the wire, attribute, whether it comes as text).
_METRICS = {
    "mvrv-zscore": ("mvrvZscore", "mvrv_z_score", True),
    "nupl": ("nupl", "nupl", False),
    "puell-multiple": ("puellMultiple", "puell_multiple", True),
    "reserve-risk": ("reserveRisk", "reserve_risk", False),
    "realized-cap": ("realizedCap", "realized_cap", False),
}


def routes(market: Market) -> Routes:
    """The newest figure of each metric."""
    return {
        ("GET", HOSTS[0], f"/v1/{slug}/last"): _last(market, *how) for slug, how in _METRICS.items()
    }


def not_found(request: SimRequest) -> SimResponse:
    """A metric that does not exist."""
    return answer({"error": "Not Found", "status": 404, "path": request.path}, 404)


def _last(market: Market, name: str, attribute: str, as_text: bool) -> Handler:  # noqa: FBT001
    def serve(request: SimRequest) -> SimResponse:
        day = date_of(request.now_ms - HOUR_MS) - timedelta(days=1)
        value = getattr(valuation(market, day), attribute)
        said = str(value) if as_text else value
        return answer({"d": day.isoformat(), "unixTs": midnight(day) // 1000, name: said})

    return serve
