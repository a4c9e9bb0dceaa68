"""OKX's spot tickers: every pair in one answer.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-tickers
"""

from typing import Any

from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.pairs import (
    USDT_FIRST,
    Pair,
    SpotMarket,
    by_symbol,
    main_pairs,
    pair_of,
    spot_row,
)

API = "https://www.okx.com/api/v5"
TICKERS = get(f"{API}/market/tickers", {"instType": "SPOT"}, fresh=5, label="spot/tickers")
PAIRS = get(
    f"{API}/public/instruments", {"instType": "SPOT"}, fresh=DAY, reference=True, optional=True
)

Row = dict[str, Any]


def ticker(symbol: str) -> Call:
    """The ticker of one pair."""
    url = f"{API}/market/ticker"
    return get(url, {"instId": symbol}, fresh=5, label="spot/tickers", optional=True)


def parse_spot_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The pair that speaks for each coin; `instCategory` other than 1 is about no coin."""

    def read(row: Row) -> Pair | None:
        if row["state"] != "live" or (row.get("instCategory") or "1") != "1":
            return None
        return pair_of(row["instId"], row["baseCcy"], row["quoteCcy"])

    found, bad = each(member(wire.doc, "data"), read)
    return main_pairs(found, USDT_FIRST), bad


def parse_spot_rows(wire: Wire) -> dict[str, Row]:
    """Tickers by symbol."""
    return by_symbol(member(wire.doc, "data"), "instId")


def read_spot(row: Row, pair: Pair, wire: Wire) -> SpotRow:
    """`vol24h` of spot is in coins (`volCcy24h` in the quote); `ts` is when the ticker was made."""
    return spot_row(
        "okx",
        pair,
        wire.fetched_at,
        last=row["last"],
        bid=row.get("bidPx"),
        ask=row.get("askPx"),
        volume=row.get("vol24h"),
        before=row.get("open24h"),
        told_ms=ms(row.get("ts")),
    )


OKX_SPOT = SpotMarket(
    tickers=TICKERS,
    listing=PAIRS,
    single=ticker,
    pairs=parse_spot_pairs,
    rows=parse_spot_rows,
    read=read_spot,
    usual="{}-USDT",
    quote="USDT",
)
