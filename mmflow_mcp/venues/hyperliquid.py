"""Hyperliquid: perpetuals on its own chain, one POST endpoint for everything.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint

One answer (`metaAndAssetCtxs`) carries funding and open interest of the whole core exchange. The
builder-deployed exchanges (HIP-3) hold mostly stocks and metals under coins' tickers, and are
not asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged, VenueError, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.rows.spot import TradePrint
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import HOUR, Wire, ask_json
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.coins import from_hyperliquid
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_contracts,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.feeds import FeedRule
from mmflow_mcp.venues.fields import amount, each, positive, rate
from mmflow_mcp.venues.hyperliquid_candles import BOOKS, CANDLES, INFO
from mmflow_mcp.venues.hyperliquid_feed import feed
from mmflow_mcp.venues.hyperliquid_past import ask_funding_history
from mmflow_mcp.venues.hyperliquid_trades import fetch_trades
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.traded import Traded, perps_of

HOST = "api.hyperliquid.xyz"
CONTEXTS = ask_json(
    INFO, {"type": "metaAndAssetCtxs"}, label="metaAndAssetCtxs", fresh=5, weight=20
)
# The same answer where only the names in it count.
CONTRACTS = replace(CONTEXTS, fresh=HOUR, reference=True)


class Hyperliquid(Venue):
    """The core perpetuals of Hyperliquid, quoted in USD, margined in USDC."""

    id = "hyperliquid"
    name = "Hyperliquid"
    kind = "dex"
    aliases = ("hl", "HlPerp", "hyperliquid-perp", "HYPERLIQUID_FUTURES")
    hosts = (HOST,)
    always = ("BTC", "ETH")
    meters = (Meter((HOST,), 1200, 60),)
    data_source = "Hyperliquid public info endpoint"
    docs = "https://hyperliquid.gitbook.io/hyperliquid-docs"
    notes = (
        "Open interest as published, taken as one-sided; some hold that it adds both sides.",
        "Order books reach 20 levels a side, candles 5,000 intervals back.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """A malformed request is 422 with a sentence; an unknown market may answer null."""
        if status == 422:
            return VenueRejected("rejected: the venue could not read the request")
        if status == 200 and body.strip() == b"null":
            return VenueRejected("rejected: the venue knows no such market")
        return None

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Open interest of every core perpetual, one request."""
        wire = await ask.get(CONTEXTS)
        rows, bad = wire.parsed(parse_open_interest)
        _note_gaps(ask, wire, rows, bad, "open interest")
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The hourly rate of every core perpetual, one request."""
        wire = await ask.get(CONTEXTS)
        rows, bad = wire.parsed(parse_funding)
        _note_gaps(ask, wire, rows, bad, "funding rate")
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's core perpetual paid, hour by hour."""
        wire = await ask.get(CONTRACTS)
        return await ask_funding_history(ask, [contract for contract, _ in contexts(wire.doc)])

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's core perpetual, the newest 5,000 of an interval."""
        return await ask_candles(ask, await _ask_traded(ask), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """The 20 best levels of each coin's core perpetual."""
        return await ask_books(ask, await _ask_traded(ask), BOOKS)

    async def trades(self, ask: Ask) -> list[TradePrint]:
        """The newest trades of one coin; short of `since_ms` it says so."""
        wire = await ask.get(CONTEXTS)
        ask.universe = symbols = wire.parsed(parse_symbols)
        coin = (ask.coins or ("BTC",))[0]
        return await fetch_trades(ask, coin, symbols[coin]) if coin in symbols else []

    def trade_feed(self) -> FeedRule:
        """Trades of every core perpetual."""
        return feed("trades", "trades")

    def context_feed(self) -> FeedRule:
        """Funding of every core perpetual."""
        return feed("contexts", "activeAssetCtx")

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every core perpetual that is not delisted."""
        wire = await ask.get(CONTEXTS)
        return wire.parsed(parse_markets)


def _note_gaps(ask: Ask, wire: Wire, rows: Mapping[str, object], bad: int, what: str) -> None:
    """Say which perpetuals are listed and gave nothing: they are not unknown to the venue."""
    ask.unread(bad)
    silent = {c.coin: c.symbol for c, _ in contexts(wire.doc) if c.coin not in rows} if bad else {}
    for coin in ask.wants(silent):
        ask.short(f"missing: no {what} of {silent[coin]}", coin=coin)


async def _ask_traded(ask: Ask) -> list[Traded]:
    """The perpetuals of the coins asked for."""
    return perps_of(ask, (await ask.get(CONTRACTS)).parsed(parse_mains))


def parse_mains(wire: Wire) -> dict[str, Contract]:
    """Each coin's main perpetual."""
    return main_contracts(contract for contract, _ in contexts(wire.doc))


def contexts(doc: Any) -> Iterator[tuple[Contract, dict[str, Any]]]:
    """Live core perpetuals with their state, joined by position before anything is left out."""
    if not (isinstance(doc, list) and len(doc) == 2 and isinstance(doc[0], dict)):
        raise VenueChanged("changed: a pair of universe and contexts was expected")
    universe, states = doc[0].get("universe"), doc[1]
    if not isinstance(universe, list) or not isinstance(states, list):
        raise VenueChanged("changed: universe or contexts are missing")
    # The join is by position, so lists of different length cannot be joined at all.
    if len(universe) != len(states):
        raise VenueChanged("changed: universe and contexts differ in length")
    for meta, state in zip(universe, states, strict=True):
        if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
            raise VenueChanged("changed: a perpetual of the universe has no name")
        if not meta.get("isDelisted"):
            coin, multiplier = from_hyperliquid(meta["name"])
            yield Contract(meta["name"], coin, multiplier, "USD"), state


def parse_open_interest(wire: Wire) -> tuple[dict[str, OpenInterestRow], int]:
    """Open interest is in units of the symbol (kPEPE: thousands of PEPE), priced at the mark."""

    def read(pair: tuple[Contract, dict[str, Any]]) -> OpenPart:
        contract, state = pair
        units = amount(state["openInterest"])
        return OpenPart(
            contract.coin,
            contract.symbol,
            usd=units * positive(state["markPx"]),
            coins=units * contract.multiplier,
        )

    parts, bad = each(list(contexts(wire.doc)), read)
    return sum_open_interest("hyperliquid", parts, wire.fetched_at), bad


def parse_funding(wire: Wire) -> tuple[dict[str, FundingRow], int]:
    """`funding` is the estimate for the running hour, paid at the next full hour."""
    next_hour = (wire.fetched_at // HOUR_MS + 1) * HOUR_MS

    def read(pair: tuple[Contract, dict[str, Any]]) -> tuple[Contract, FundingRow]:
        contract, state = pair
        row = funding_row(
            "hyperliquid",
            contract,
            rate(state["funding"]),
            1,
            wire.fetched_at,
            mark=positive(state["markPx"]),
            next_ms=next_hour,
        )
        return contract, row

    rows, bad = each(list(contexts(wire.doc)), read)
    return main_perpetuals(rows), bad


def parse_symbols(wire: Wire) -> dict[str, str]:
    """The symbol of each coin."""
    return {contract.coin: contract.symbol for contract, _ in contexts(wire.doc)}


def parse_markets(wire: Wire) -> list[MarketRow]:
    """The live core perpetuals."""
    return [
        MarketRow("hyperliquid", c.symbol, c.coin, "perp", f"{c.symbol} perpetual (USD)")
        for c, _ in contexts(wire.doc)
    ]
