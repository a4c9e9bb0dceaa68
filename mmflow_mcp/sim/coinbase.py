"""Coinbase Exchange as the simulated market would be told by it: products, tickers, the tape.

Numbers are text, the side of a trade is the maker's, and a ticker's time is that of its last trade.
A product that hardly trades shows an old price that is not the market's any more.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from mmflow_mcp.sim.coinbase_candles import ADVANCED_HOST, QUIET_MS, list_bars, show_book
from mmflow_mcp.sim.coinbase_rows import iso, trade_row
from mmflow_mcp.sim.coinbase_ws import Stream
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.sim.wire import (
    Routes,
    SimRequest,
    SimResponse,
    SimSocket,
    Sockets,
    answer,
    fixed,
)

HOSTS = ("api.exchange.coinbase.com", "ws-feed.exchange.coinbase.com", ADVANCED_HOST)

QUIET = frozenset({"1INCH-USD"})
"""Products whose last trade was a quarter of an hour ago, half a percent off."""

_PAGE = 1000

Row = dict[str, Any]


def routes(market: Market) -> Routes:
    """The products, the statistics of all, and what hangs below one product."""
    host = HOSTS[0]

    def show_products(request: SimRequest) -> SimResponse:
        return answer([_tell_product(i) for i in _list(market, request.now_ms)] + _others())

    def show_stats(request: SimRequest) -> SimResponse:
        live = [i for i in _list(market, request.now_ms) if i.status == "live"]
        return answer({i.symbol: _tell_day(market.perp(i, request.now_ms)) for i in live})

    def show_product(request: SimRequest) -> SimResponse:
        _, _, name, *rest = request.path.split("/")
        listing = next((i for i in _list(market, request.now_ms) if i.symbol == name), None)
        view = _VIEWS.get("/".join(rest))
        if listing is None or view is None or (rest and listing.status != "live"):
            return not_found(request)
        return view(market, listing, request)

    return {
        ("GET", host, "/products"): show_products,
        ("GET", host, "/products/stats"): show_stats,
        ("GET", host, "/products/*"): show_product,
        ("GET", ADVANCED_HOST, "/api/v3/brokerage/market/product_book"): partial(
            show_book, market, _list
        ),
        ("GET", host, "/time"): lambda request: answer(
            {"iso": iso(request.now_ms), "epoch": request.now_ms / 1000}
        ),
    }


def sockets(market: Market) -> Sockets:
    """The feed: matches and heartbeat."""

    async def serve(socket: SimSocket) -> None:
        await Stream(market, socket).run()

    return {(HOSTS[1], "/"): serve}


def not_found(_: SimRequest) -> SimResponse:
    """An unknown path or product."""
    return answer({"message": "NotFound"}, 404)


def _list(market: Market, now_ms: int) -> tuple[Listing, ...]:
    return market.listings("coinbase", now_ms)


def _tell_product(listing: Listing) -> Row:
    base, _, quote = listing.symbol.rpartition("-")
    gone = listing.status != "live"
    return {
        "id": listing.symbol,
        "base_currency": base,
        "quote_currency": quote,
        "quote_increment": fixed(10.0**-listing.price_digits, listing.price_digits),
        "base_increment": fixed(10.0**-listing.size_digits, listing.size_digits),
        "display_name": listing.symbol,
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "delisted" if gone else "online",
        "status_message": "",
        "trading_disabled": gone,
        "fx_stablecoin": base == "USDT",
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }


def _others() -> list[Row]:
    """A market in euros, and one that is only being auctioned."""
    euros = Listing("coinbase", "BTC-EUR", "BTC", "EUR", "spot", "linear", 2, 8)
    auction = Listing("coinbase", "MOVE-USD", "MOVE", "USD", "spot", "linear", 4, 2)
    return [_tell_product(euros), _tell_product(auction) | {"auction_mode": True}]


def _tell_day(perp: Perp) -> Row:
    digits = perp.listing.price_digits
    volume = fixed(perp.volume_coins, 8)
    return {
        "stats_30day": {"volume": fixed(perp.volume_coins * 29.5, 8)},
        "stats_24hour": {
            "open": fixed(perp.open_24h, digits),
            "high": fixed(perp.high_24h, digits),
            "low": fixed(perp.low_24h, digits),
            "last": fixed(perp.last, digits),
            "volume": volume,
            "rfq_volume": "0.000000",
        },
    }


def _show_stats(market: Market, listing: Listing, request: SimRequest) -> SimResponse:
    day = _tell_day(market.perp(listing, request.now_ms))
    return answer({**day["stats_24hour"], "volume_30day": day["stats_30day"]["volume"]})


def _show_ticker(market: Market, listing: Listing, request: SimRequest) -> SimResponse:
    perp, digits = market.perp(listing, request.now_ms), listing.price_digits
    quiet = listing.symbol in QUIET
    at_ms = request.now_ms - (QUIET_MS if quiet else 311)
    row = {
        "ask": fixed(perp.ask, digits),
        "bid": fixed(perp.bid, digits),
        "volume": fixed(perp.volume_coins, 8),
        "trade_id": at_ms,
        "price": fixed(perp.last * 1.005 if quiet else perp.last, digits),
        "size": fixed(10.0**-listing.size_digits, 8),
        "time": iso(at_ms),
        "rfq_volume": "0.000000",
    }
    return answer(row)


def _show_trades(market: Market, listing: Listing, request: SimRequest) -> SimResponse:
    """Newest first; `after` is a trade's number, and what came before it is told."""
    query = request.query
    if any(not query.get(name, "1").isdecimal() for name in ("limit", "after")):
        return answer({"message": "invalid pagination"}, 400)
    limit = min(_PAGE, int(query.get("limit", _PAGE)))
    prints = list_prints(market, listing, request.now_ms - 600_000, request.now_ms)[::-1]
    if "after" in query:
        prints = [one for one in prints if one.number < int(query["after"])]
    return answer([trade_row(one) for one in prints[:limit]])


def _show_candles(market: Market, listing: Listing, request: SimRequest) -> SimResponse:
    return list_bars(market, listing, request, quiet=listing.symbol in QUIET)


_VIEWS: dict[str, Callable[[Market, Listing, SimRequest], SimResponse]] = {
    "": lambda _, listing, __: answer(_tell_product(listing)),
    "ticker": _show_ticker,
    "stats": _show_stats,
    "trades": _show_trades,
    "candles": _show_candles,
}
