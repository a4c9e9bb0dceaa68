"""Positioning on Binance: shares of accounts and of the positions of its top traders.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Long-Short-Ratio

A sample tells the moment of its `timestamp`. The share of longs is given, as text; in the variant
of positions too, where older answers say longPosition.
"""

from functools import partial
from typing import Any

from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fapi import Line, parse_contracts
from mmflow_mcp.venues.fields import each
from mmflow_mcp.venues.shares import (
    GLOBAL,
    TOP,
    Sample,
    Samples,
    Series,
    ask_shares,
    guess_speakers,
    share_beside,
    speakers,
    stamp,
)

DATA = "https://fapi.binance.com/futures/data"
ACCOUNTS, POSITIONS = "globalLongShortAccountRatio", "topLongShortPositionRatio"
# These paths weigh nothing and allow 1,000 requests in 5 minutes: a twelfth of the weight's pace.
WEIGHT = 12


def shares(path: str, symbol: str, period: str) -> Call:
    """The newest samples of one contract."""
    params: dict[str, str | int] = {"symbol": symbol, "period": period, "limit": 3}
    return get(f"{DATA}/{path}", params, fresh=60, weight=WEIGHT, optional=True)


def _read_shares(wire: Wire) -> tuple[list[Sample], int]:
    def read(row: dict[str, Any]) -> Sample:
        kind = "Account" if "longAccount" in row else "Position"
        longs = share_beside(row[f"long{kind}"], row[f"short{kind}"])
        return Sample(stamp(row["timestamp"]), longs)

    return each(wire.doc, read)


def parse_accounts(wire: Wire, _: str) -> tuple[Samples, int]:
    """Share of all accounts."""
    found, bad = _read_shares(wire)
    return {GLOBAL: found}, bad


def parse_positions(wire: Wire, _: str) -> tuple[Samples, int]:
    """Share of the position size of the fifth of accounts with the largest margin."""
    found, bad = _read_shares(wire)
    return {TOP: found}, bad


async def ask_positioning(ask: Ask, listed: Wire, line: Line) -> list[PositioningRow]:
    """Both views of each coin's main contract on a line, whose list of contracts is `listed`."""
    if listed:
        symbols = speakers(listed.parsed(parse_contracts, line).contracts.values())
    else:
        symbols = guess_speakers(ask, line.usual)
    return await ask_shares(
        ask,
        symbols,
        Series(partial(shares, ACCOUNTS), parse_accounts),
        Series(partial(shares, POSITIONS), parse_positions),
    )
