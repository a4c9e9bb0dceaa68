"""The markets that candles and order books are of: a coin's main perpetual, or its spot pair."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.pairs import Pair
from mmflow_mcp.venues.shares import USUAL_COINS


@dataclass(frozen=True, slots=True)
class Traded:
    """The market that candles or a book are of; `market` is perp or spot.

    `multiplier`: coins in one unit of the symbol (1000 for 1000PEPE). `size`: what one of the
    venue's sizes is, in symbol units, or in USD where the contract is `inverse`; 0 where that is
    not known. `alias`: another name under which an answer may come.
    """

    coin: str
    symbol: str
    market: str
    quote: str
    multiplier: int = 1
    size: float = 1.0
    inverse: bool = False
    alias: str = ""


def perp_of(contract: Contract) -> Traded:
    """A perpetual."""
    return Traded(
        contract.coin,
        contract.symbol,
        "perp",
        contract.quote,
        contract.multiplier,
        contract.size,
        contract.margin == "inverse",
    )


def spot_of(pair: Pair) -> Traded:
    """A spot pair."""
    return Traded(pair.coin, pair.symbol, "spot", pair.quote, pair.multiplier, alias=pair.alias)


def coins_of(ask: Ask) -> tuple[str, ...]:
    """The coins asked for; of a question that names none, the usual ones."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    return ask.coins or USUAL_COINS


def perps_of(ask: Ask, mains: Mapping[str, Contract]) -> list[Traded]:
    """The perpetuals of the coins asked for, out of the main one of every coin that is listed."""
    ask.universe = mains
    return [perp_of(mains[coin]) for coin in coins_of(ask) if coin in mains]
