"""Gate's spot tickers: every pair in one answer.

https://www.gate.com/docs/developers/apiv4/en/#get-currency-pair-ticker-information
"""

from typing import Any
from urllib.parse import quote

from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.fields import each
from mmflow_mcp.venues.pairs import (
    USDT_FIRST,
    Pair,
    SpotMarket,
    by_symbol,
    main_pairs,
    pair_of,
    spot_row,
)

API = "https://api.gateio.ws/api/v4/spot"
TICKERS = get(f"{API}/tickers", fresh=5, label="spot/tickers")
PAIRS = get(f"{API}/currency_pairs", fresh=DAY, reference=True, optional=True)

Row = dict[str, Any]


def ticker(symbol: str) -> Call:
    """The ticker of one pair."""
    url = f"{API}/tickers?currency_pair={quote(symbol)}"
    return get(url, fresh=5, label="spot/tickers", optional=True)


def parse_spot_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The pair that speaks for each coin; leveraged tokens and pre-markets are none."""

    def read(row: Row) -> Pair | None:
        if row["trade_status"] != "tradable" or row.get("type", "normal") != "normal":
            return None
        return pair_of(row["id"], row["base"], row["quote"])

    found, bad = each(wire.doc, read)
    return main_pairs(found, USDT_FIRST), bad


def parse_spot_rows(wire: Wire) -> dict[str, Row]:
    """Tickers by pair; those with a net value are funds that only carry a coin's name."""
    rows = by_symbol(wire.doc, "currency_pair")
    return {name: row for name, row in rows.items() if not row.get("etf_net_value")}


def read_spot(row: Row, pair: Pair, wire: Wire) -> SpotRow:
    """`change_percentage` is in percent, `base_volume` in coins."""
    return spot_row(
        "gateio",
        pair,
        wire.fetched_at,
        last=row["last"],
        bid=row.get("highest_bid"),
        ask=row.get("lowest_ask"),
        volume=row.get("base_volume"),
        change=row.get("change_percentage"),
    )


GATEIO_SPOT = SpotMarket(
    tickers=TICKERS,
    listing=PAIRS,
    single=ticker,
    pairs=parse_spot_pairs,
    rows=parse_spot_rows,
    read=read_spot,
    usual="{}_USDT",
    quote="USDT",
)
