"""The whole vocabulary of what a venue can be asked: one Protocol per capability.

A venue has a capability exactly when its class implements the method; the catalogue, the fan-out,
`doctor` and the tests all derive from that. Every method takes an `Ask` and returns rows.
"""

from typing import Protocol, runtime_checkable

from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow, OptionChain
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.rows.onchain import EtfTable, TreasuryTable, Valuation
from mmflow_mcp.rows.positions import LiquidationTape, PositioningRow
from mmflow_mcp.rows.predictions import PredictionPage
from mmflow_mcp.rows.spot import FxRate, SpotRow, TradePrint
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.feeds import ClosingRule, FeedRule


@runtime_checkable
class OpenInterest(Protocol):
    """Open interest of coins, one-sided, all perpetuals of a coin summed."""

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Rows for `ask.coins`, or for the venue's universe."""
        ...


@runtime_checkable
class Funding(Protocol):
    """The funding rate of each coin's main perpetual."""

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """Rows for `ask.coins`, or for the venue's universe."""
        ...


@runtime_checkable
class OptionChains(Protocol):
    """Whole option chains; `ask.coins` holds the one underlying."""

    async def option_chain(self, ask: Ask) -> list[OptionChain]:
        """One chain, or none where the venue does not list the underlying."""
        ...


@runtime_checkable
class Markets(Protocol):
    """Discovery: what the venue lists."""

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live market, by symbol."""
        ...


@runtime_checkable
class Predictions(Protocol):
    """Discovery where there are tens of thousands of markets: page by page."""

    async def predictions(self, ask: Ask) -> list[PredictionPage]:
        """One page of the open markets: `ask.options["count"]` (50) from `["start"]` (0) on.

        They come in an order that holds while pages are turned, each market once, what matters
        most first where the venue can sort. Reaches as deep as `predictions.DEPTH`.
        """
        ...


@runtime_checkable
class Spot(Protocol):
    """Spot tickers of coins in their main dollar market (won where the venue has only won)."""

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Rows for `ask.coins`."""
        ...


@runtime_checkable
class Trades(Protocol):
    """Recent public trades of one coin: spot, or the perpetual where the venue has only that."""

    async def trades(self, ask: Ask) -> list[TradePrint]:
        """Prints of `ask.coins[0]` back to `ask.options["since_ms"]`, newest first."""
        ...


@runtime_checkable
class Candles(Protocol):
    """Candles of a coin's main market: the perpetual, or spot where the venue has only that."""

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """A series for each of `ask.coins`.

        `ask.options`: `interval` (1m, 5m, 15m, 30m, 1h, 4h, 1d), and candles that open at or after
        `since_ms` and before `until_ms`. What a page limit cuts off is said with `ask.short`.
        """
        ...


@runtime_checkable
class OrderBooks(Protocol):
    """Order books of a coin's main market, the same one as `Candles`."""

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """A book for each of `ask.coins`, as deep as one request brings it."""
        ...


@runtime_checkable
class FundingHistory(Protocol):
    """What a coin's main perpetual really paid."""

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """Settled rates of `ask.coins[0]`: `ask.options["since_ms"]` <= ts < `["until_ms"]`."""
        ...


@runtime_checkable
class OpenInterestHistory(Protocol):
    """Open interest as the venue itself recorded it."""

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """Points of `ask.coins[0]`: `ask.options["since_ms"]` <= ts < `["until_ms"]`."""
        ...


@runtime_checkable
class Positioning(Protocol):
    """Long and short shares of the holders of perpetuals."""

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Rows for `ask.coins` at `ask.options["period"]` (15m, 1h or 4h)."""
        ...


@runtime_checkable
class Liquidations(Protocol):
    """Liquidations that the venue's REST interface still reports."""

    async def liquidations(self, ask: Ask) -> list[LiquidationTape]:
        """A tape for each of `ask.coins`: the last 24 hours, as far back as the venue goes."""
        ...


@runtime_checkable
class EtfFlows(Protocol):
    """Daily net flows of spot ETFs; `ask.options["asset"]` is bitcoin or ethereum."""

    async def etf_flows(self, ask: Ask) -> list[EtfTable]:
        """One table."""
        ...


@runtime_checkable
class Treasuries(Protocol):
    """Coins held by public companies; `ask.options["asset"]` is bitcoin or ethereum."""

    async def treasuries(self, ask: Ask) -> list[TreasuryTable]:
        """One table."""
        ...


@runtime_checkable
class OnchainValuation(Protocol):
    """On-chain valuation of bitcoin."""

    async def valuation(self, ask: Ask) -> list[Valuation]:
        """One set of figures."""
        ...


@runtime_checkable
class FxRates(Protocol):
    """Daily exchange rates; `ask.options["pair"]` is for example USDKRW."""

    async def fx_rate(self, ask: Ask) -> list[FxRate]:
        """One rate."""
        ...


@runtime_checkable
class TradeFeed(Protocol):
    """Every public trade as it happens, over a WebSocket."""

    def trade_feed(self) -> FeedRule:
        """How its socket is spoken to."""
        ...


@runtime_checkable
class ContextFeed(Protocol):
    """The running state of perpetuals (funding rates) as it changes, over a WebSocket."""

    def context_feed(self) -> FeedRule:
        """How its socket is spoken to."""
        ...


@runtime_checkable
class LiquidationFeed(Protocol):
    """Liquidations as they happen, over one or more WebSockets."""

    def liquidation_feed(self) -> ClosingRule:
        """How its sockets are spoken to."""
        ...


# Catalogue name -> another capability that answers the same question.
FEEDS: dict[str, type] = {"liquidations": LiquidationFeed}

# Catalogue name -> capability.
CAPABILITIES: dict[str, type] = {
    "oi": OpenInterest,
    "funding": Funding,
    "spot": Spot,
    "liquidations": Liquidations,
    "options": OptionChains,
    "predictions": Predictions,
    "positioning": Positioning,
    "trades": Trades,
    "candles": Candles,
    "book": OrderBooks,
    "fundingHistory": FundingHistory,
    "oiHistory": OpenInterestHistory,
    "etfFlows": EtfFlows,
    "treasuries": Treasuries,
    "valuation": OnchainValuation,
    "fx": FxRates,
    "markets": Markets,
}
