"""Aster: perpetuals of a chain of its own, in the grammar of Binance's USD-M futures.

https://github.com/asterdex/api-docs

All contracts are linear, in USDT, USD and USD1. Stocks and commodities are told apart only by
`underlyingSubType` and `symbolType`. The address of open interest is in no documentation and
may vanish.
"""

import re
from typing import Any

from mmflow_mcp.errors import VenueError, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fapi import (
    Line,
    exchange_info,
    guess_linear,
    parse_markets,
    read_linear,
    refused,
)
from mmflow_mcp.venues.fapi_candles import ask_line_books, ask_line_candles
from mmflow_mcp.venues.fapi_liquidations import ASTER, closing_rule
from mmflow_mcp.venues.fapi_past import ask_funding_history
from mmflow_mcp.venues.fapi_perps import ask_funding, ask_open_interest
from mmflow_mcp.venues.feeds import ClosingRule

HOST = "fapi.asterdex.com"
STREAM_HOST = "fstream.asterdex.com"

# `underlyingSubType`, in lower case without `-` and blanks, of what is no coin or not open yet.
_NO_COINS = frozenset(
    {"stock", "stocks", "etf", "commodity", "commodities", "index", "forex", "fx", "metal"}
    | {"metals", "tradfi", "rwa", "premarket"}
)


def is_coin(row: dict[str, Any]) -> bool:
    """`underlyingType` says COIN of everything; a `symbolType` other than 0 is a stock or such."""
    kinds = {re.sub(r"[-\s]", "", str(kind)).lower() for kind in row.get("underlyingSubType") or ()}
    return row.get("symbolType") in (None, 0, "0", "") and not kinds & _NO_COINS


def read_perpetual(row: dict[str, Any]) -> Contract | None:
    """A perpetual of a coin; BTCUSD is as linear as BTCUSDT."""
    return read_linear(row, is_coin)


_SYMBOL = re.compile(r"^([A-Z0-9]+?)(USDT|USD1|USD)$")


def guess_perpetual(symbol: str) -> Contract | None:
    """BTCUSDT, BTCUSD, BTCUSD1."""
    return guess_linear(symbol, _SYMBOL)


def assume_period(_: dict[str, Any]) -> float | None:
    """`fundingInfo` names every perpetual, periods of 1 and 2 hours among them: no default."""
    return None


PERPETUALS = Line(
    f"https://{HOST}/fapi/v1",
    is_coin,
    read_perpetual,
    guess_perpetual,
    assume_period,
    aligned=False,
    premium_weight=1,
)


class Aster(Venue):
    """Aster's perpetuals."""

    id = "aster"
    name = "Aster"
    kind = "dex"
    aliases = ("asterdex", "aster-futures", "aster-perps", "apollox")
    hosts = (HOST, STREAM_HOST)
    always = ("BTC", "ETH")
    meters = (Meter((HOST,), 2400, 60),)
    data_source = "Aster public REST"
    docs = "https://github.com/asterdex/api-docs"
    notes = (
        "Open interest as the venue publishes it, taken as one-sided; the venue does not say.",
        "Open interest is asked contract by contract; without coins, of the 20 largest by volume.",
        "Liquidations: at most the largest order of a symbol and second is published.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Binance's error envelopes; a 404 is most likely the undocumented open interest, gone."""
        if status == 404:
            return VenueRejected(
                "http 404: the venue has no such address; that of open interest is undocumented"
            )
        return refused(status, body)

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """USDT, USD and USD1 perpetuals of each coin, summed."""
        if ask.coins is None:
            ask.narrowed = "20 largest by 24 h volume"
        return await ask_open_interest(ask, (PERPETUALS,))

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual."""
        return await ask_funding(ask, (PERPETUALS,))

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main perpetual paid."""
        return await ask_funding_history(ask, (PERPETUALS,), 1)

    def liquidation_feed(self) -> ClosingRule:
        """Forced orders of all contracts over one socket."""
        return closing_rule(self.id, ASTER, (PERPETUALS,))

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main perpetual."""
        return await ask_line_candles(ask, PERPETUALS)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """The order book of each coin's main perpetual, a thousand levels a side."""
        return await ask_line_books(ask, PERPETUALS)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every trading contract, stocks and commodities among them."""
        wire = await ask.get(exchange_info(PERPETUALS, required=True))
        rows, bad = wire.parsed(parse_markets, PERPETUALS, self.id)
        ask.unread(bad)
        return rows
