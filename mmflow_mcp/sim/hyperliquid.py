"""Hyperliquid's POST /info and its WebSocket, rendered from the market.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api: one address, the body's `type`
says what is asked; every number is a string; contexts follow the order of `universe`.
"""

from collections.abc import Callable
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.hyperliquid_candles import show_book, show_candles
from mmflow_mcp.sim.hyperliquid_rows import (
    MALFORMED,
    NO_MARKET,
    context,
    decimal,
    find,
    list_mids,
    list_spot,
    mid,
    print_row,
    universe,
)
from mmflow_mcp.sim.hyperliquid_ws import Stream
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.noise import stream, unit
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.sim.wire import (
    Routes,
    SimRequest,
    SimResponse,
    SimSocket,
    Sockets,
    answer,
)

HOSTS = ("api.hyperliquid.xyz",)

FIRST_FUNDING_MS = 1_683_849_600_000  # 2023-05-12, as in the recordings
PAGE = 500
_WRAPPED = {"BTC": "UBTC", "ETH": "UETH", "SOL": "USOL", "PUMP": "UPUMP"}


def routes(market: Market) -> Routes:
    """`POST /info`, by the type in its body; an unknown type or a missing member is 422."""
    questions: dict[str, Callable[[Market, dict[str, Any], int], SimResponse]] = {
        "metaAndAssetCtxs": _meta_and_ctxs,
        "meta": _meta,
        "allPerpMetas": _all_metas,
        "allMids": _all_mids,
        "predictedFundings": _predicted_fundings,
        "fundingHistory": _funding_history,
        "perpDexs": _perp_dexs,
        "perpConciseAnnotations": _annotations,
        "spotMeta": _spot_meta,
        "spotMetaAndAssetCtxs": _spot_meta_and_ctxs,
        "recentTrades": _recent_trades,
        "candleSnapshot": show_candles,
        "l2Book": show_book,
    }

    def info(request: SimRequest) -> SimResponse:
        asked = request.json if isinstance(request.json, dict) else {}
        question = questions.get(str(asked.get("type")))
        return MALFORMED if question is None else question(market, asked, request.now_ms)

    return {("POST", HOSTS[0], "/info"): info}


def sockets(market: Market) -> Sockets:
    """`/ws`: trades, activeAssetCtx, allMids; subscribe is acknowledged, ping answered."""

    async def serve(socket: SimSocket) -> None:
        await Stream(market, socket).run()

    return {(HOSTS[0], "/ws"): serve}


def not_found(_: SimRequest) -> SimResponse:
    """Anything but POST /info, as far as this venue says anything."""
    return SimResponse(404, b"", {"content-type": "text/plain"})


def _describe(item: Listing) -> dict[str, Any]:
    row: dict[str, Any] = {
        "szDecimals": item.size_digits,
        "name": item.symbol,
        "maxLeverage": 40 if item.coin == "BTC" else 10,
        "marginTableId": 56 if item.coin == "BTC" else 10,
    }
    if item.asset != "crypto":
        row |= {"onlyIsolated": True, "marginMode": "strictIsolated", "growthMode": "enabled"}
    if item.status != "live":
        row["isDelisted"] = True
    return row


def _describe_dex(items: list[Listing]) -> dict[str, Any]:
    tiers = [{"lowerBound": "0.0", "maxLeverage": 50}]
    return {
        "universe": [_describe(item) for item in items],
        "marginTables": [[50, {"description": "", "marginTiers": tiers}]],
        "collateralToken": 0,
    }


def _meta_and_ctxs(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    items = universe(market, str(asked.get("dex") or ""), now_ms)
    if items is None:
        return NO_MARKET
    return answer([_describe_dex(items), [context(market.perp(i, now_ms)) for i in items]])


def _meta(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    items = universe(market, str(asked.get("dex") or ""), now_ms)
    return NO_MARKET if items is None else answer(_describe_dex(items))


def _all_metas(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    return answer([_describe_dex(universe(market, dex, now_ms) or []) for dex in ("", "xyz")])


def _all_mids(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    return answer(list_mids(market, str(asked.get("dex") or ""), now_ms))


def _predicted_fundings(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    """Own rates, and what it relays of binance and bybit: theirs of ten minutes ago."""
    out: list[Any] = []
    for item in universe(market, "", now_ms) or []:
        if item.status == "live":
            own = market.perp(item, now_ms)
            rows = [["BinPerp", _relayed(market, "binance", item.coin, now_ms)]]
            rows.append(["HlPerp", _predicted(own, own.funding_rate, 1)])
            rows.append(["BybitPerp", _relayed(market, "bybit", item.coin, now_ms)])
            out.append([item.symbol, rows])
    return answer(out)


def _relayed(market: Market, venue: str, coin: str, now_ms: int) -> dict[str, Any] | None:
    perp = market.funding(venue, coin, now_ms)
    if perp is None:
        return None
    earlier = market.perp(perp.listing, now_ms - 600_000)
    hours = perp.listing.period_hours
    return _predicted(perp, earlier.funding_rate, None if hours == 2 else hours)


def _predicted(perp: Perp, rate: float, hours: int | None) -> dict[str, Any]:
    row = {"fundingRate": decimal(rate), "nextFundingTime": perp.next_funding_ms}
    return row if hours is None else {**row, "fundingIntervalHours": hours}


def _funding_history(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    """Ascending, 500 rows at most, a few ms after each hour."""
    coin, start = asked.get("coin"), asked.get("startTime")
    end = asked.get("endTime") or now_ms
    if not isinstance(coin, str) or not isinstance(start, int) or not isinstance(end, int):
        return MALFORMED
    item = find(market, coin, now_ms)
    if item is None:
        return NO_MARKET
    until = min(end, now_ms)
    hour = max(start, FIRST_FUNDING_MS) // HOUR_MS * HOUR_MS
    jitter = stream(market.seed, f"settled/{coin}")
    rows: list[dict[str, Any]] = []
    while hour <= until and len(rows) < PAGE:
        at_ms = hour + int(unit(jitter, hour // HOUR_MS) * 90)
        if start <= at_ms <= until:
            premium = market.held(item, hour)[1] / market.index(item, hour) - 1.0
            rate = decimal(market.settled_funding(item, hour))
            premiums = {"premium": decimal(round(premium, 10))}
            rows.append({"coin": coin, "fundingRate": rate, **premiums, "time": at_ms})
        hour += HOUR_MS
    return answer(rows)


def _perp_dexs(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    items = universe(market, "xyz", now_ms) or []
    dex = {
        "name": "xyz",
        "fullName": "XYZ",
        "deployer": "0x88806a71d74ad0a510b350545c9ae490912f0888",
        "oracleUpdater": None,
        "feeRecipient": "0x97f46f90c04efb91d0d740bd263e76683ca6f904",
        "assetToStreamingOiCap": [[item.symbol, "25000000.0"] for item in items],
        "deployerFeeScale": "1.0",
        "lastDeployerFeeScaleChangeTime": "1970-01-01T00:00:00",
        "assetToFundingMultiplier": [[item.symbol, "0.5"] for item in items],
    }
    return answer([None, dex])


def _annotations(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    names = {"stock": "stocks", "commodity": "commodities", "forex": "fx", "index": "indices"}
    items = universe(market, "xyz", now_ms) or []
    return answer([[item.symbol, {"category": names[item.asset]}] for item in items])


def _describe_spot(market: Market, now_ms: int) -> dict[str, Any]:
    """Tokens by declared index; the last ones do not stand where their index says."""
    tokens = [("USDC", 0, 8)]
    pairs: list[dict[str, Any]] = []
    for number, item in enumerate(list_spot(market, now_ms), 1):
        tokens.append((_WRAPPED.get(item.coin, item.coin), number, item.size_digits))
        index = int(item.symbol[1:]) if item.symbol[0] == "@" else 0
        canonical = index == 0
        pairs.append(
            {"tokens": [number, 0], "name": item.symbol, "index": index, "isCanonical": canonical}
        )
    tokens += [("USDH", 360, 2), ("USDE", 235, 2), ("USDT0", 268, 2)]
    return {
        "tokens": [
            {
                "name": name,
                "szDecimals": digits,
                "weiDecimals": 8,
                "index": index,
                "tokenId": f"0x{stream(market.seed, name):032x}",
                "isCanonical": index < 2,
                "evmContract": None,
                "fullName": None,
                "deployerTradingFeeShare": "0.0",
            }
            for name, index, digits in tokens
        ],
        "universe": pairs,
    }


def _spot_meta(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    return answer(_describe_spot(market, now_ms))


def _spot_meta_and_ctxs(market: Market, _: dict[str, Any], now_ms: int) -> SimResponse:
    """The contexts stand in another order than the pairs: they are joined by `coin`."""
    rows = []
    for item in reversed(list_spot(market, now_ms)):
        perp = market.perp(item, now_ms)
        rows.append(
            {
                "prevDayPx": decimal(perp.open_24h),
                "dayNtlVlm": decimal(perp.turnover_usd),
                "markPx": decimal(perp.mark),
                "midPx": decimal(mid(perp)),
                "circulatingSupply": "596400647.8014800549",
                "coin": item.symbol,
                "totalSupply": "596400654.3242599964",
                "dayBaseVlm": decimal(perp.volume_coins),
            }
        )
    return answer([_describe_spot(market, now_ms), rows])


def _recent_trades(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    if not isinstance(asked.get("coin"), str):
        return MALFORMED
    item = find(market, asked["coin"], now_ms)
    if item is None:
        return NO_MARKET
    prints = list_prints(market, item, now_ms - 60_000, now_ms)[-10:]
    return answer([print_row(market, one) for one in reversed(prints)])
