"""OKX v5 as the simulated market would be told by it: HTTP 200 always, `code` "0" or an error.

Everything is text. Swaps and futures count in contracts of ctVal coins (linear) or USD (inverse);
rows that are suspended, before their opening or of odd families stand among the others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.closing_ws import served
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.okx_books import show_book, show_candles
from mmflow_mcp.sim.okx_past import BARS, tell_fundings, tell_interest
from mmflow_mcp.sim.okx_positions import PERIODS, tell_liquidations, tell_ratios
from mmflow_mcp.sim.okx_requests import Refused, read_required, read_whole, refuse_unknown
from mmflow_mcp.sim.okx_ws import Liquidations
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, Sockets, answer, fixed, shortest

REST = ("www.okx.com", "openapi.okx.com")
HOSTS = (*REST, "ws.okx.com")

_TYPES = {"perp": "SWAP", "future": "FUTURES", "spot": "SPOT"}
_STATES = {"live": "live", "prelaunch": "preopen", "delisted": "suspend"}
_CATEGORIES = {"crypto": "1", "stock": "3", "index": "3", "commodity": "4", "forex": "5"}
_LISTED = "1700000000000"

# Beside what the market lists: a swap that has not opened, told by its name only, and gold in a
# family of its own that is dated 2031 but charges funding.
_EMPTY_SWAP = "ETH-USD_UM-SWAP"
_GOLD = "XAU-USD_UM_XPERP-310502"
_GOLD_EXPIRY = "1935475200000"


Row = dict[str, Any]
View = Callable[[Market, SimRequest], list[Any]]


def routes(market: Market) -> Routes:
    """Every path of okx that is simulated."""
    views: dict[str, View] = {
        "public/open-interest": _show_open_interest,
        "public/funding-rate": _show_funding,
        "public/funding-rate-history": _show_fundings,
        "public/instruments": _show_instruments,
        "public/liquidation-orders": _show_liquidations,
        "public/mark-price": _show_marks,
        "public/time": _show_time,
        "market/books": show_book,
        "market/candles": partial(show_candles, recent=True),
        "market/history-candles": partial(show_candles, recent=False),
        "market/tickers": _show_tickers,
        "market/ticker": _show_ticker,
        "rubik/stat/contracts/open-interest-history": _show_interest_history,
        "rubik/stat/contracts/long-short-account-ratio-contract": partial(_show_ratios, "global"),
        "rubik/stat/contracts/long-short-position-ratio-contract-top-trader": partial(
            _show_ratios, "top"
        ),
    }
    return {
        ("GET", host, f"/api/v5/{path}"): partial(_serve, market, view)
        for host in REST
        for path, view in views.items()
    }


def sockets(market: Market) -> Sockets:
    """Liquidation orders of all swaps."""
    return served(market, {(HOSTS[-1], "/ws/v5/public"): Liquidations})


def not_found(request: SimRequest) -> SimResponse:
    """A path that okx does not have."""
    return answer({"code": "404", "data": [], "msg": f"{request.path} Not Found"}, 404)


def _serve(market: Market, view: View, request: SimRequest) -> SimResponse:
    try:
        return answer({"code": "0", "msg": "", "data": view(market, request)})
    except Refused as refused:
        return answer({"code": refused.code, "data": [], "msg": str(refused)})


def _type(request: SimRequest, *fitting: str) -> str:
    named = read_required(request, "instType")
    if named not in fitting:
        raise Refused("51000", "Parameter instType error")
    return named


def _family(name: str) -> str:
    """`BTC-USDT-SWAP` and `BTC-USDT-261225` are of the family BTC-USDT."""
    return name.rpartition("-")[0]


def _chosen(request: SimRequest, rows: list[Row]) -> list[Row]:
    """The rows that instId, instFamily and uly ask for; an unknown instId is an error."""
    asked = request.query.get("instId")
    if asked:
        rows = [row for row in rows if row["instId"] == asked]
        if not rows:
            raise refuse_unknown(asked)
    family = request.query.get("instFamily") or request.query.get("uly")
    return [row for row in rows if family in (None, "", _family(row["instId"]))]


def _list(market: Market, kind: str, now_ms: int) -> list[Listing]:
    return [i for i in market.listings("okx", now_ms) if _TYPES[i.kind] == kind]


def _gold(market: Market, now_ms: int) -> Perp:
    """The state of gold's swap, from which the odd gold rows are told."""
    swaps = _list(market, "SWAP", now_ms)
    return market.perp(next(i for i in swaps if i.symbol == "XAU-USDT-SWAP"), now_ms)


def _states(market: Market, kind: str, now_ms: int) -> list[tuple[str, Perp | None]]:
    """(instId, state) of all instruments of a type; None where trading has not begun."""
    states: list[tuple[str, Perp | None]] = [
        (item.symbol, None if item.status == "prelaunch" else market.perp(item, now_ms))
        for item in _list(market, kind, now_ms)
    ]
    if kind == "SWAP":
        states.append((_EMPTY_SWAP, None))
    elif kind == "FUTURES":
        states.append((_GOLD, _gold(market, now_ms)))
    return states


def _show_time(_: Market, request: SimRequest) -> list[Any]:
    return [{"ts": str(request.now_ms)}]


def _show_open_interest(market: Market, request: SimRequest) -> list[Any]:
    kind = _type(request, "SWAP", "FUTURES", "OPTION")
    if kind == "OPTION":
        if not {"instFamily", "uly", "instId"} & request.query.keys():
            raise Refused("50014", "Parameter instFamily can not be empty.")
        return []
    rows = []
    for name, perp in _states(market, kind, request.now_ms):
        row = {"instId": name, "instType": kind, "oi": "", "oiCcy": "", "oiUsd": ""}
        if perp is not None:
            row |= _tell_interest(perp)
        rows.append(row | {"ts": str(request.now_ms)})
    return _chosen(request, rows)


def _tell_interest(perp: Perp) -> Row:
    """Contracts, coins and USD, one-sided."""
    return {
        "oi": shortest(perp.open_interest),
        "oiCcy": shortest(perp.oi_coins),
        "oiUsd": shortest(perp.oi_usd),
    }


def _swap(market: Market, name: str, now_ms: int) -> Listing:
    """The live swap of a name; without one an error."""
    listed = _list(market, "SWAP", now_ms)
    found = next((i for i in listed if i.symbol == name and i.status == "live"), None)
    if found is None:
        raise refuse_unknown(name)
    return found


def _show_fundings(market: Market, request: SimRequest) -> list[Any]:
    """`after` asks for what is older, `before` for what is newer."""
    listing = _swap(market, read_required(request, "instId"), request.now_ms)
    limit = min(400, max(1, read_whole(request, "limit", 100)))
    before = min(request.now_ms + 1, read_whole(request, "after", request.now_ms + 1))
    return tell_fundings(
        market, listing, read_whole(request, "before", -1) + 1, before, limit, request.now_ms
    )


def _show_interest_history(market: Market, request: SimRequest) -> list[Any]:
    """`end` is exclusive."""
    asked = read_required(request, "instId")
    period = request.query.get("period") or "5m"
    if period.removesuffix("utc") not in BARS:
        raise Refused("51000", "Parameter period error")
    listed = [i for i in market.listings("okx", request.now_ms) if i.kind != "spot"]
    listing = next((i for i in listed if i.symbol == asked and i.status == "live"), None)
    if listing is None:
        raise refuse_unknown(asked)
    limit = min(100, max(1, read_whole(request, "limit", 100)))
    before = min(request.now_ms + 1, read_whole(request, "end", request.now_ms + 1))
    return tell_interest(
        market, listing, period, read_whole(request, "begin", 0), before, limit, request.now_ms
    )


def _show_funding(market: Market, request: SimRequest) -> list[Any]:
    asked = read_required(request, "instId")
    swaps = _list(market, "SWAP", request.now_ms)
    rows = [_tell_funding(market, i, request.now_ms) for i in swaps if i.status == "live"]
    gold = next(row for row in rows if row["instId"] == "XAU-USDT-SWAP")
    rows.append(gold | {"instId": _GOLD, "instType": "FUTURES"})
    if asked == "ANY":
        return rows
    found = [row for row in rows if row["instId"] == asked]
    if not found:
        raise refuse_unknown(asked)
    return found


def _tell_funding(market: Market, listing: Listing, now_ms: int) -> Row:
    """`fundingTime` is the coming settlement, `nextFundingTime` the one after it."""
    perp = market.perp(listing, now_ms)
    period = listing.period_hours * HOUR_MS
    settled_ms = perp.next_funding_ms - period
    return {
        "instType": "SWAP",
        "instId": listing.symbol,
        "method": "current_period",
        "formulaType": "withRate",
        "fundingRate": shortest(perp.funding_rate),
        "fundingTime": str(perp.next_funding_ms),
        "nextFundingRate": "",
        "nextFundingTime": str(perp.next_funding_ms + period),
        "prevFundingTime": str(settled_ms),
        "settFundingRate": shortest(market.settled_funding(listing, settled_ms)),
        "settState": "settled",
        "premium": shortest(round(perp.mark / perp.index - 1.0, 10)),
        "interestRate": "0.0001",
        "impactValue": "20000",
        "minFundingRate": "-0.00375",
        "maxFundingRate": "0.00375",
        "ts": str(now_ms),
    }


_INSTRUMENT_FIELDS = (
    "alias", "auctionEndTime", "baseCcy", "category", "contTdSwTime", "ctMult", "ctType", "ctVal",
    "ctValCcy", "expTime", "instCategory", "instFamily", "instId", "instType", "lever", "listTime",
    "lotSz", "maxIcebergSz", "maxLmtAmt", "maxLmtSz", "maxMktAmt", "maxMktSz", "maxStopSz",
    "maxTriggerSz", "maxTwapSz", "minSz", "optType", "quoteCcy", "ruleType", "settleCcy", "state",
    "stk", "tickSz", "uly",
)  # fmt: skip


def _show_instruments(market: Market, request: SimRequest) -> list[Any]:
    kind = _type(request, "SPOT", "SWAP", "FUTURES", "OPTION", "MARGIN")
    rows = [_tell_instrument(i) for i in _list(market, kind, request.now_ms)]
    blank = dict.fromkeys(_INSTRUMENT_FIELDS, "")
    if kind == "SWAP":
        rows.append(blank | {"instId": _EMPTY_SWAP, "instType": "SWAP", "state": "preopen"})
    elif kind == "FUTURES":
        gold = _tell_instrument(_gold(market, request.now_ms).listing)
        odd = {"instId": _GOLD, "instType": "FUTURES", "expTime": _GOLD_EXPIRY}
        odd |= {"instFamily": "XAU-USD_UM_XPERP", "uly": "XAU-USD", "settleCcy": "USD"}
        rows.append(gold | odd)
    return _chosen(request, rows)


def _tell_instrument(listing: Listing) -> Row:
    row: Row = dict.fromkeys(_INSTRUMENT_FIELDS, "")
    row |= {"instId": listing.symbol, "instType": _TYPES[listing.kind]}
    row["state"] = _STATES[listing.status]
    if listing.status == "prelaunch":
        return row
    step = shortest(10.0**-listing.size_digits)
    row |= dict.fromkeys(("maxIcebergSz", "maxLmtSz", "maxTriggerSz", "maxTwapSz"), "100000000")
    row |= dict.fromkeys(("maxMktSz", "maxStopSz"), "1000000") | {"maxLmtAmt": "20000000"}
    row |= {"category": "1", "instCategory": _CATEGORIES[listing.asset], "ruleType": "normal"}
    row |= {"listTime": _LISTED, "contTdSwTime": _LISTED, "lever": "50"}
    row |= {"lotSz": step, "minSz": step}
    row["tickSz"] = fixed(10.0**-listing.price_digits, listing.price_digits)
    base, pair = listing.symbol.partition("-")[0], _family(listing.symbol)
    if listing.kind == "spot":
        return row | {"baseCcy": base, "quoteCcy": listing.quote}
    inverse = listing.margin == "inverse"
    row |= {"instFamily": pair, "uly": pair, "ctMult": "1", "ctType": listing.margin}
    row |= {"ctVal": shortest(listing.contract_size), "ctValCcy": "USD" if inverse else base}
    row["settleCcy"] = base if inverse else listing.quote
    if listing.expiry_ms is not None:
        row |= {"expTime": str(listing.expiry_ms), "alias": "quarter"}
    return row


def _show_marks(market: Market, request: SimRequest) -> list[Any]:
    kind = _type(request, "SWAP", "FUTURES", "OPTION")
    rows: list[Row] = [
        {
            "instType": kind,
            "instId": name,
            "markPx": fixed(perp.mark, perp.listing.price_digits),
            "ts": str(request.now_ms),
        }
        for name, perp in (_states(market, kind, request.now_ms) if kind != "OPTION" else ())
        if perp is not None
    ]
    return _chosen(request, rows)


def _show_tickers(market: Market, request: SimRequest) -> list[Any]:
    kind = _type(request, "SPOT", "SWAP", "FUTURES", "OPTION")
    if kind == "OPTION":
        return []
    states = _states(market, kind, request.now_ms)
    return _chosen(request, [_tell_ticker(kind, *state, request.now_ms) for state in states])


def _show_ticker(market: Market, request: SimRequest) -> list[Any]:
    asked = read_required(request, "instId")
    for kind in _TYPES.values():
        for name, perp in _states(market, kind, request.now_ms):
            if name == asked:
                return [_tell_ticker(kind, name, perp, request.now_ms)]
    raise refuse_unknown(asked)


_TICKER_NUMBERS = (
    "last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h",
    "volCcy24h", "vol24h", "sodUtc0", "sodUtc8",
)  # fmt: skip


def _tell_ticker(kind: str, name: str, perp: Perp | None, now_ms: int) -> Row:
    """Spot: vol24h base, volCcy24h quote. Swaps and futures: vol24h contracts, volCcy24h coins."""
    row: Row = {"instType": kind, "instId": name, **dict.fromkeys(_TICKER_NUMBERS, "")}
    row["ts"] = str(now_ms)
    if perp is None:
        return row
    listing = perp.listing
    told = {
        "last": perp.last,
        "askPx": perp.ask,
        "bidPx": perp.bid,
        "open24h": perp.open_24h,
        "high24h": perp.high_24h,
        "low24h": perp.low_24h,
        "sodUtc0": perp.open_24h,
        "sodUtc8": perp.open_24h,
    }
    row |= {field: fixed(price, listing.price_digits) for field, price in told.items()}
    size = shortest(10.0**-listing.size_digits)
    row |= {"lastSz": size, "askSz": size, "bidSz": size}
    row["vol24h"] = shortest(perp.volume_coins)
    row["volCcy24h"] = shortest(perp.turnover_usd)
    if listing.kind != "spot":
        traded = perp.turnover_usd if listing.margin == "inverse" else perp.volume_coins
        row["vol24h"] = shortest(round(traded / listing.contract_size, 8))
        row["volCcy24h"] = shortest(perp.volume_coins)
    return row


def _show_ratios(view: str, market: Market, request: SimRequest) -> list[Any]:
    asked = read_required(request, "instId")
    step = PERIODS.get(request.query.get("period") or "5m")
    if step is None:
        raise Refused("51000", "Parameter period error")
    swaps = _list(market, "SWAP", request.now_ms)
    listing = next((i for i in swaps if i.symbol == asked and i.status == "live"), None)
    if listing is None:
        raise refuse_unknown(asked)
    return tell_ratios(
        market, listing, view, step, request, min(100, read_whole(request, "limit", 100))
    )


def _show_liquidations(market: Market, request: SimRequest) -> list[Any]:
    kind = _type(request, "SWAP", "FUTURES", "MARGIN", "OPTION")
    family = request.query.get("instFamily") or read_required(request, "uly")
    listed = _list(market, kind, request.now_ms) if kind == "SWAP" else []
    same = [i for i in listed if _family(i.symbol) == family]
    before = read_whole(request, "after", request.now_ms + 1)
    return tell_liquidations(
        market, same, before, request, min(100, read_whole(request, "limit", 100))
    )
