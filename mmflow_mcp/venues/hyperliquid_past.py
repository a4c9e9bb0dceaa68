"""Settled funding rates of Hyperliquid, paid every hour; in its first weeks (2023-05) every eight.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint/perpetuals

A page holds 500 rows, ascending, stamped some ms after the hour. There is no open interest of the
past.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import Call, Wire, ask_json
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fields import each, rate
from mmflow_mcp.venues.settlements import Listed, Payment, Series, ask_settled
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import Page, coin_of

INFO = "https://api.hyperliquid.xyz/info"


def funding_history(symbol: str, page: Page) -> Call:
    """One page of a perpetual's settled rates."""
    asked = {"type": "fundingHistory", "coin": symbol}
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    rows = (page.until_ms - page.since_ms) // HOUR_MS
    call = ask_json(
        INFO, asked | times, label="fundingHistory", fresh=page.fresh, weight=20 + -(-rows // 20)
    )
    return replace(call, reference=page.older, optional=True)


def parse_settled(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """Settlements of one page. `premium` is what the rate was made of, and may be absent."""

    def read(row: dict[str, Any]) -> Payment:
        if row["coin"] != symbol:
            msg = "another perpetual's rate"
            raise ValueError(msg)
        return Payment(stamp(row["time"]), rate(row["fundingRate"]))

    return each(wire.doc, read)


SERIES = Series(10, funding_history, parse_settled, page_hours=500)
LISTED = Listed(hours=1, periods=(1, 8))


async def ask_funding_history(ask: Ask, listed: Iterable[Contract]) -> list[FundingPast]:
    """What the coin's perpetual paid; `listed` is every perpetual that is live."""
    coin = coin_of(ask)
    contracts = sorted(listed, key=rank_of)
    ask.universe = {contract.coin: contract for contract in contracts}
    contract = next((one for one in contracts if one.coin == coin), None)
    if contract is None:
        return []
    return await ask_settled(ask, contract, SERIES, LISTED)
