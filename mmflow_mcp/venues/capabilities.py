"""The whole vocabulary of what a venue can be asked: one Protocol per capability.

A venue has a capability exactly when its class implements the method; the catalogue, the fan-out,
`doctor` and the tests all derive from that. Every method takes an `Ask` and returns rows.
"""

from typing import Protocol, runtime_checkable

from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow, OptionChain
from mmflow_mcp.venues.ask import Ask


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


# Catalogue name -> capability.
CAPABILITIES: dict[str, type] = {
    "oi": OpenInterest,
    "funding": Funding,
    "options": OptionChains,
    "markets": Markets,
}
