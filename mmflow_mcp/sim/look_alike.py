"""Rows that binance's USD-M futures and aster's look-alike API write the same way.

https://developers.binance.com/docs/derivatives/usds-margined-futures: numbers are strings with the
symbol's decimals, times are integers in ms, an unknown symbol is 400 with code -1121.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.wire import Handler, SimRequest, SimResponse, answer, fixed

Lister = Callable[[int], Sequence[Listing]]
Row = Callable[[Listing, Perp, int], dict[str, Any]]

FIRST_MS = 1_569_398_400_000  # 2019-09-25: nothing is older
NO_SYMBOL = ({"code": -1121, "msg": "Invalid symbol."}, 400)
_MISSING = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
_NOT_TRADING = {
    "code": -4108,
    "msg": "Symbol is on delivering or delivered or settling or closed or pre-trading.",
}


class Meter:
    """The used weight that answers carry; it starts anew each minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._used = 0

    def say(self, weight: int, now_ms: int) -> dict[str, str]:
        """Add a request's weight; the header as it stands then."""
        if now_ms // 60_000 != self._minute:
            self._minute, self._used = now_ms // 60_000, 0
        self._used += weight
        return {"x-mbx-used-weight-1m": str(self._used)}


def missing(name: str) -> tuple[dict[str, Any], int]:
    """The error of a parameter that must be there."""
    return {"code": -1102, "msg": _MISSING.format(name)}, 400


def not_found(_: SimRequest) -> SimResponse:
    """An unknown path, as these venues' gateways answer it."""
    page = b"<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>"
    return SimResponse(404, page, {"content-type": "text/html"})


def find(items: Sequence[Listing], symbol: str) -> Listing | None:
    """The listing of that symbol."""
    return next((item for item in items if item.symbol == symbol), None)


def rows_handler(
    market: Market,
    lister: Lister,
    row: Row,
    meter: Meter,
    weights: tuple[int, int],
    *,
    listed: bool = False,
) -> Handler:
    """One row for `symbol`, else all of them; weights are (one, all).

    `listed` venues answer a list for one symbol as well, and take `pair` (COIN-M).
    """

    def handle(request: SimRequest) -> SimResponse:
        items = lister(request.now_ms)
        symbol, pair = request.query.get("symbol"), request.query.get("pair")
        headers = meter.say(weights[0] if symbol else weights[1], request.now_ms)
        chosen = [i for i in items if i.symbol == symbol] if symbol else list(items)
        if listed and pair:
            chosen = [i for i in chosen if pair_of(i) == pair]
        if not chosen and (symbol or pair):
            return answer(*NO_SYMBOL, headers)
        rows = [row(i, market.perp(i, request.now_ms), request.now_ms) for i in chosen]
        return answer(rows[0] if symbol and not listed else rows, 200, headers)

    return handle


def pair_of(item: Listing) -> str:
    """BTCUSD of BTCUSD_PERP, BTCUSDT of BTCUSDT_261225."""
    return item.symbol.partition("_")[0]


def base_of(item: Listing) -> str:
    """The base asset: the pair without its quote, multiplier included (1000PEPE)."""
    return pair_of(item).removesuffix(item.quote)


def premium_row(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """Mark, index and the rate of the running period; no rate on what is dated or not live."""
    runs = item.kind == "perp" and item.status == "live"
    rate = fixed(perp.funding_rate, 8) if runs else "0" if item.status == "delisted" else ""
    return {
        "symbol": item.symbol,
        "markPrice": fixed(perp.mark, max(8, item.price_digits)),
        "indexPrice": fixed(perp.index, max(8, item.price_digits)),
        "estimatedSettlePrice": fixed(perp.index, max(8, item.price_digits)),
        "lastFundingRate": rate,
        "interestRate": "0.00010000" if runs else rate and "0",
        "nextFundingTime": perp.next_funding_ms if runs else 0,
        "time": now_ms,
    }


def units(perp: Perp) -> float:
    """24 h volume in symbol units (coins of the base asset, thousands for 1000PEPE)."""
    return round(perp.volume_coins / perp.listing.multiplier, perp.listing.size_digits)


def ticker_row(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """24 h statistics of a linear contract; no bid and ask here."""
    return {
        **change_fields(item, perp, now_ms),
        "volume": fixed(units(perp), item.size_digits),
        "quoteVolume": fixed(perp.turnover_usd, 4),
    }


def change_fields(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """What every 24 h row has: prices, change in percent, times, counts."""
    digits = item.price_digits
    change = perp.last - perp.open_24h
    first = now_ms // 1000
    return {
        "symbol": item.symbol,
        "priceChange": fixed(change, digits),
        "priceChangePercent": fixed(change / perp.open_24h * 100.0, 3),
        "weightedAvgPrice": fixed((perp.open_24h + perp.last) / 2, digits),
        "lastPrice": fixed(perp.last, digits),
        "lastQty": fixed(10.0**-item.size_digits, item.size_digits),
        "openPrice": fixed(perp.open_24h, digits),
        "highPrice": fixed(perp.high_24h, digits),
        "lowPrice": fixed(perp.low_24h, digits),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": first,
        "lastId": first + 4999,
        "count": 5000,
    }


def price_row(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """The last price."""
    price = fixed(perp.last, item.price_digits)
    return {"symbol": item.symbol, "price": price, "time": now_ms}


def book_row(item: Listing, perp: Perp, now_ms: int) -> dict[str, Any]:
    """Best bid and ask with sizes in symbol units (contracts when inverse)."""
    size = fixed(max(1.0, round(1000.0 / perp.last)), item.size_digits)
    return {
        "symbol": item.symbol,
        "bidPrice": fixed(perp.bid, item.price_digits),
        "bidQty": size,
        "askPrice": fixed(perp.ask, item.price_digits),
        "askQty": size,
        "time": now_ms,
        "lastUpdateId": now_ms * 10,
    }


def open_interest_handler(market: Market, lister: Lister, meter: Meter) -> Handler:
    """Open interest of one symbol: symbol units when linear, contracts when inverse."""

    def handle(request: SimRequest) -> SimResponse:
        headers = meter.say(1, request.now_ms)
        symbol = request.query.get("symbol")
        if not symbol:
            return answer(*missing("symbol"), headers)
        item = find(lister(request.now_ms), symbol)
        if item is None:
            return answer(*NO_SYMBOL, headers)
        if item.status != "live":
            return answer(_NOT_TRADING, 400, headers)
        held = fixed(market.held(item, request.now_ms)[0], item.size_digits)
        row: dict[str, Any] = {
            "symbol": symbol,
            "openInterest": held,
            "time": request.now_ms,
        }
        if item.margin == "inverse":
            row |= {"pair": pair_of(item), "contractType": contract_type(item, request.now_ms)}
        return answer(row, 200, headers)

    return handle


def contract_type(item: Listing, now_ms: int) -> str:
    """PERPETUAL, TRADIFI_PERPETUAL, the nearer or the farther quarter; empty before trading."""
    if item.status == "prelaunch":
        return ""
    if item.expiry_ms is not None:
        return "CURRENT_QUARTER" if item.expiry_ms - now_ms < 92 * DAY_MS else "NEXT_QUARTER"
    return "PERPETUAL" if item.asset == "crypto" else "TRADIFI_PERPETUAL"


def funding_history_handler(
    market: Market,
    lister: Lister,
    meter: Meter,
    row: Callable[[Market, Listing, int], dict[str, Any]],
) -> Handler:
    """Settled rates of one symbol or all, ascending, 100 rows unless `limit` says up to 1,000.

    With startTime the oldest rows from there on, without it the newest.
    """

    def handle(request: SimRequest) -> SimResponse:
        headers = meter.say(1, request.now_ms)
        symbol = request.query.get("symbol")
        items = [i for i in lister(request.now_ms) if i.kind == "perp" and i.status == "live"]
        chosen = [i for i in items if symbol in (None, i.symbol)]
        if not chosen:
            return answer(*NO_SYMBOL, headers)
        limit, start = limit_of(request, 100, 1000), number(request, "startTime")
        until = min(number(request, "endTime") or request.now_ms, request.now_ms)
        due = [(hour, item) for item in chosen for hour in _settlements(item, start, until, limit)]
        due.sort(key=lambda one: one[0])
        due = due[:limit] if start is not None else due[-limit:]
        return answer([row(market, item, hour) for hour, item in due], 200, headers)

    return handle


def _settlements(item: Listing, start: int | None, until_ms: int, limit: int) -> range:
    """At most `limit` payment times up to a moment: the first from `start` on, else the last."""
    period = item.period_hours * HOUR_MS
    if start is None:
        return range(until_ms // period * period - (limit - 1) * period, until_ms + 1, period)
    first = -(-max(start, FIRST_MS) // period) * period
    return range(first, min(until_ms + 1, first + limit * period), period)


def number(request: SimRequest, name: str) -> int | None:
    """A whole number of the query; None when absent or not one."""
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() else None


def limit_of(request: SimRequest, usual: int, most: int) -> int:
    """The page size, at most what the venue allows."""
    return min(number(request, "limit") or usual, most)


def filters(item: Listing) -> list[dict[str, Any]]:
    """Price and lot filters; clients read tick and step sizes from them."""
    tick, step = fixed(10.0**-item.price_digits, item.price_digits), 10.0**-item.size_digits
    lot = fixed(step, item.size_digits)
    return [
        {"filterType": "PRICE_FILTER", "maxPrice": "4529764", "minPrice": tick, "tickSize": tick},
        {"filterType": "LOT_SIZE", "maxQty": "1000000", "minQty": lot, "stepSize": lot},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": "120000", "minQty": lot, "stepSize": lot},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ]


def contract_row(item: Listing, now_ms: int) -> dict[str, Any]:
    """What exchangeInfo tells of every contract; the venue adds its own members."""
    return {
        "symbol": item.symbol,
        "pair": pair_of(item),
        "contractType": contract_type(item, now_ms),
        "deliveryDate": item.expiry_ms or 4_133_404_800_000,
        "onboardDate": FIRST_MS,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base_of(item),
        "quoteAsset": item.quote,
        "pricePrecision": item.price_digits,
        "quantityPrecision": item.size_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": filters(item),
        "orderTypes": ["LIMIT", "MARKET", "STOP", "TAKE_PROFIT"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


STATUS = {"live": "TRADING", "delisted": "SETTLING", "prelaunch": "PENDING_TRADING"}
"""A listing's status in these venues' words."""


def rate_limits(weight: int) -> list[dict[str, Any]]:
    """The rateLimits member of exchangeInfo."""
    minute = {"interval": "MINUTE", "intervalNum": 1}
    return [
        {"rateLimitType": "REQUEST_WEIGHT", **minute, "limit": weight},
        {"rateLimitType": "ORDERS", **minute, "limit": 1200},
    ]


def clock_routes(host: str, prefix: str, meter: Meter) -> dict[tuple[str, str, str], Handler]:
    """`ping` and `time`."""

    def ping(request: SimRequest) -> SimResponse:
        return answer({}, 200, meter.say(1, request.now_ms))

    def tell_time(request: SimRequest) -> SimResponse:
        return answer({"serverTime": request.now_ms}, 200, meter.say(1, request.now_ms))

    return {("GET", host, f"{prefix}/ping"): ping, ("GET", host, f"{prefix}/time"): tell_time}
