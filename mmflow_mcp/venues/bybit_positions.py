"""Positioning on Bybit: the share of holders who are long, of USDT contracts.

https://bybit-exchange.github.io/docs/v5/market/long-short-ratio

A sample tells the moment of its `timestamp`: at a quarter past, the newest hourly one is that of
the full hour and does not change any more. There is no view of top traders.
"""

from typing import Any

from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bybit_tickers import Book, contracts_of, list_of
from mmflow_mcp.venues.fields import each
from mmflow_mcp.venues.shares import (
    GLOBAL,
    Sample,
    Samples,
    Series,
    ask_shares,
    guess_speakers,
    share_beside,
    speakers,
    stamp,
)

RATIO = "https://api.bybit.com/v5/market/account-ratio"
_SPELLED = {"15m": "15min"}


def account_ratio(symbol: str, period: str) -> Call:
    """The newest samples of one contract."""
    spelled = _SPELLED.get(period, period)
    params: dict[str, str | int] = {"category": "linear", "symbol": symbol, "period": spelled}
    return get(RATIO, {**params, "limit": 3}, fresh=60, optional=True)


def parse_ratios(wire: Wire, _: str) -> tuple[Samples, int]:
    """Shares of the holders of a contract."""

    def read(row: dict[str, Any]) -> Sample:
        longs = share_beside(row["buyRatio"], row["sellRatio"])
        return Sample(stamp(row["timestamp"]), longs)

    found, bad = each(list_of(wire), read)
    return {GLOBAL: found}, bad


async def ask_positioning(ask: Ask, pages: tuple[Wire, ...]) -> list[PositioningRow]:
    """The view of all accounts; `pages` is the list of linear contracts, () without it."""
    contracts = contracts_of(Book("linear", (), pages))
    if contracts is None:
        symbols = guess_speakers(ask, "{}USDT")
    else:
        symbols = speakers(contracts.values(), ("USDT",))
    return await ask_shares(ask, symbols, Series(account_ratio, parse_ratios))
