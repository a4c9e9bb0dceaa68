"""Binance: USD-M perpetuals in USDT and USDC on fapi, inverse (COIN-M) ones on dapi.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data
https://developers.binance.com/docs/derivatives/coin-margined-futures/market-data

There is no bulk open interest: each contract costs a request. Stocks and metals trade beside coins
as TRADIFI_PERPETUAL, some under the ticker of a coin.
"""

import re
from math import isclose
from typing import Any

from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.binance_past import ask_interest_history
from mmflow_mcp.venues.binance_positions import ask_positioning
from mmflow_mcp.venues.binance_spot import SPOT_HOSTS, ask_binance_pairs, ask_binance_spot
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fapi import (
    Line,
    base_of,
    exchange_info,
    guess_linear,
    parse_markets,
    read_linear,
    refused,
    status_of,
)
from mmflow_mcp.venues.fapi_candles import ask_line_books, ask_line_candles
from mmflow_mcp.venues.fapi_liquidations import BINANCE, closing_rule
from mmflow_mcp.venues.fapi_past import ask_funding_history
from mmflow_mcp.venues.fapi_perps import ask_funding, ask_open_interest
from mmflow_mcp.venues.fapi_rows import PERIODS
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.fields import number_or_none, positive
from mmflow_mcp.venues.namesakes import is_surely_coin
from mmflow_mcp.venues.singles import ask_some

HOST = "fapi.binance.com"
COIN_HOST = "dapi.binance.com"
STREAM_HOST = "fstream.binance.com"


def is_coin(row: dict[str, Any]) -> bool:
    """Neither a stock or metal, nor an index (BTCDOM, DEFI), nor a coin before its market opens.

    Lists of 2020 lack `underlyingType`; there were only coins.
    """
    kind = row.get("underlyingType", "COIN")
    return bool(kind == "COIN" and row["contractType"] != "TRADIFI_PERPETUAL")


def read_usdm(row: dict[str, Any]) -> Contract | None:
    """A USD-M perpetual of a coin."""
    return read_linear(row, is_coin)


def read_coinm(row: dict[str, Any]) -> Contract | None:
    """A COIN-M perpetual; `contractSize` is the USD in one contract (100 for BTC, else 10)."""
    if row["contractType"] != "PERPETUAL" or status_of(row) != "TRADING" or not is_coin(row):
        return None
    coin, multiplier = canonical(base_of(row))
    size = positive(row["contractSize"])
    return Contract(row["symbol"], coin, multiplier, "USD", "inverse", size)


_USDM = re.compile(r"^([A-Z0-9]+?)(USDT|USDC)$")
_COINM = re.compile(r"^([A-Z0-9]+)USD_PERP$")


def guess_usdm(symbol: str) -> Contract | None:
    """BTCUSDT; dated contracts carry an underscore."""
    return guess_linear(symbol, _USDM)


def guess_coinm(symbol: str) -> Contract | None:
    """BTCUSD_PERP, with the documented contract sizes."""
    parts = _COINM.match(symbol)
    if not parts or not is_surely_coin(parts[1]):
        return None
    size = 100.0 if parts[1] == "BTC" else 10.0
    return Contract(symbol, parts[1], 1, "USD", "inverse", size)


def assume_period(row: dict[str, Any]) -> float | None:
    """`fundingInfo` need not name what is settled every 8 hours.

    Interest is 0.01 % in 8 hours. Quotes of 2023 to 2025 scale it to a shorter period (0.005 % in
    4 hours); nothing is assumed of any other.
    """
    interest = number_or_none(row.get("interestRate")) or 0.0001
    return next((hours for hours in PERIODS if isclose(interest, 0.0001 * hours / 8)), None)


USDM = Line(
    f"https://{HOST}/fapi/v1",
    is_coin,
    read_usdm,
    guess_usdm,
    assume_period,
    aligned=True,
    # 10 is documented; the venue's own count was seen to take 50.
    premium_weight=50,
    steady=frozenset({"BTCUSDT", "ETHUSDT"}),
)
COINM = Line(
    f"https://{COIN_HOST}/dapi/v1",
    is_coin,
    read_coinm,
    guess_coinm,
    assume_period,
    aligned=True,
    premium_weight=10,
    usual="{}USD_PERP",
    prefix="dapi/",
    steady=frozenset({"BTCUSD_PERP", "ETHUSD_PERP"}),
)
LINES = (USDM, COINM)
# Settled rates weigh little and allow 500 requests in 5 minutes: 1/24 of the weight's pace.
RATES_WEIGHT = 24


class Binance(Venue):
    """Binance's perpetuals, USD-M and COIN-M."""

    id = "binance"
    name = "Binance"
    kind = "cex"
    aliases = (
        "BINANCE_SPOT",
        "BINANCE_FUTURES",
        "BINANCE_DELIVERY",
        "BINANCE_COINM",
        "BINANCE_USDM",
        "binance-options",
        "binance-european-options",
        "BinPerp",
    )
    hosts = (HOST, COIN_HOST, STREAM_HOST, *SPOT_HOSTS)
    # USD-M and COIN-M share one weight since 2026-06-30.
    always = ("BTC", "ETH")
    meters = (Meter((HOST, COIN_HOST), 2400, 60), Meter(SPOT_HOSTS, 6000, 60))
    data_source = "Binance futures public REST (USD-M and COIN-M)"
    docs = "https://developers.binance.com/docs/derivatives"
    notes = (
        "Open interest is asked contract by contract; without coins, of the 20 largest by volume.",
        "Liquidations: at most the largest order of a symbol and second is published.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are a status with a code; 451 is a region, 418 a ban, 429 the rate."""
        return refused(status, body)

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """USDT, USDC and COIN-M perpetuals of each coin, summed."""
        if ask.coins is None:
            ask.narrowed = "20 largest by 24 h volume"
        return await ask_open_interest(ask, LINES)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual; COIN-M only where there is no other."""
        return await ask_funding(ask, LINES)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main perpetual paid; COIN-M only where there is no other."""
        return await ask_funding_history(ask, LINES, RATES_WEIGHT)

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """USDT, USDC and COIN-M perpetuals of the coin, summed, of the last 30 days."""
        return await ask_interest_history(ask, LINES)

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Spot tickers in USDT; other dollars where there is no USDT pair."""
        return await ask_binance_spot(ask)

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Shares of accounts and of the top traders' positions, of USD-M contracts."""
        (listed,) = await ask.all(exchange_info(USDM))
        return await ask_positioning(ask, listed, USDM)

    def liquidation_feed(self) -> ClosingRule:
        """Forced orders of both lines over one socket."""
        return closing_rule(self.id, BINANCE, LINES)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main USD-M perpetual."""
        return await ask_line_candles(ask, USDM)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """The order book of each coin's main USD-M perpetual, a thousand levels a side."""
        return await ask_line_books(ask, USDM)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every trading contract, stocks and dated futures among them, and every spot pair."""
        rows = await ask_binance_pairs(ask)
        calls = [*map(exchange_info, LINES)]
        # The mirror of spot answers where the lists of contracts are refused.
        wires = await ask.all(*calls) if rows else await ask_some(ask, calls)
        for line, wire in zip(LINES, wires, strict=True):
            if wire:
                found, bad = wire.parsed(parse_markets, line, self.id)
                ask.unread(bad)
                rows += found
        return rows
