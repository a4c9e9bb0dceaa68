"""Bitfinex as the simulated market would be told by it: arrays of numbers without names.

Beside the markets of coins stand funding (`f`), perpetuals (F0), paper markets (TEST) and money.
"""

from typing import Any

from mmflow_mcp.sim.market import Market, Perp
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer

HOSTS = ("api-pub.bitfinex.com",)

_NAMES = [
    ["AAA", "TESTAAA"], ["ALG", "ALGO"], ["ATO", "ATOM"], ["IOT", "IOTA"], ["LUNA", "LUNC"],
    ["LUNA2", "LUNA"], ["UDC", "USDC"], ["UST", "USDt"],
]  # fmt: skip

Rows = list[list[Any]]


def routes(market: Market) -> Routes:
    """Tickers, the list of names and the state of the platform."""
    host = HOSTS[0]

    def show_tickers(request: SimRequest) -> SimResponse:
        rows = {row[0]: row for row in _list_tickers(market, request.now_ms)}
        asked = request.query.get("symbols", "")
        if not asked:
            return answer(["error", 10020, "symbols: invalid"], 500)
        if asked == "ALL":
            return answer(list(rows.values()))
        return answer([rows[name] for name in asked.split(",") if name in rows])

    return {
        ("GET", host, "/v2/tickers"): show_tickers,
        ("GET", host, "/v2/conf/pub:map:currency:sym"): lambda _: answer([_NAMES]),
        ("GET", host, "/v2/platform/status"): lambda _: answer([1]),
    }


def not_found(_: SimRequest) -> SimResponse:
    """A path that bitfinex does not have."""
    return answer({"error": "Not found"}, 404)


def _list_tickers(market: Market, now_ms: int) -> Rows:
    listed = market.listings("bitfinex", now_ms)
    rows = [_tell(market.perp(i, now_ms), i.symbol) for i in listed]
    bitcoin = market.perp(listed[0], now_ms)
    others = [_tell(bitcoin, name) for name in ("tBTCF0:USTF0", "tTESTBTC:TESTUSD", "tBTCEUR")]
    money = ["tEURUST", 1.159, 900, 1.161, 800, 0.001, 0.0009, 1.16, 21000, 1.17, 1.15]
    funding = [
        "fUSD", 0.00021, 0.0002, 30, 1.5e6, 0.00022, 2, 4.1e5, 0.00001, 0.05, 0.00021, 9e7, 0.0004,
        0.0001, None, None, 2.1e6,
    ]  # fmt: skip
    return [*rows, *others, money, funding]


def _tell(perp: Perp, symbol: str) -> list[Any]:
    """Bid, ask, change, change as a fraction, last, volume in coins, high, low."""
    return [
        symbol,
        perp.bid,
        12.5,
        perp.ask,
        11.25,
        round(perp.last - perp.open_24h, perp.listing.price_digits),
        round(perp.last / perp.open_24h - 1.0, 8),
        perp.last,
        perp.volume_coins,
        perp.high_24h,
        perp.low_24h,
    ]
