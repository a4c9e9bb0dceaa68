"""Arithmetic that perpetual venues share: one coin, several contracts.

METHODS 1 and 2: open interest is one-sided and summed over a coin's perpetuals; funding is that
of the main perpetual and never summed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.venues.fields import MAX_USD

# Which perpetual speaks for a coin: CONTRACT section 3.
USDT_FIRST = ("USDT", "USDC", "USD", "USD1", "inverse")
INVERSE_FIRST = ("inverse", "USDT", "USDC", "USD", "USD1")


@dataclass(frozen=True, slots=True)
class Contract:
    """A live perpetual as the venue's own list describes it.

    `multiplier`: coins in one unit of the symbol (1000 for 1000PEPE). `size`: symbol units in one
    contract (linear), or USD in one contract (inverse). `margin`: linear, inverse or quanto.
    """

    symbol: str
    coin: str
    multiplier: int
    quote: str
    margin: str = "linear"
    size: float = 1.0

    @property
    def rank_key(self) -> str:
        """What the order of preference is about: the quote, or that it is inverse."""
        return self.quote if self.margin == "linear" else "inverse"


@dataclass(frozen=True, slots=True)
class OpenPart:
    """The open interest of one contract, one-sided. `coins` None: its mark is unknown."""

    coin: str
    symbol: str
    usd: float
    coins: float | None

    def __post_init__(self) -> None:
        """Refuse what no contract can hold: the row is unreadable then."""
        if not 0 <= self.usd < MAX_USD or (self.coins is not None and not 0 <= self.coins < 1e21):
            msg = "not an open interest"
            raise ValueError(msg)


def sum_open_interest(
    venue: str,
    parts: Iterable[OpenPart],
    fetched_at: int,
    *,
    missing: Mapping[str, Iterable[str]] | None = None,
    contracts_reported: bool = True,
) -> dict[str, OpenInterestRow]:
    """One row per coin; a contract that comes twice is counted once.

    `missing`: coin -> symbols that are listed and could not be read.
    """
    by_coin: dict[str, list[OpenPart]] = {}
    for part in {part.symbol: part for part in parts}.values():
        by_coin.setdefault(part.coin, []).append(part)
    missing = missing or {}
    rows = {}
    for coin in sorted(by_coin):
        same = by_coin[coin]
        known = [p.coins for p in same if p.coins is not None]
        coins = sum(known) if len(known) == len(same) else None
        rows[coin] = OpenInterestRow(
            coin=coin,
            venue=venue,
            oi_usd=sum(p.usd for p in same),
            oi_contracts=(coins or 0.0) if contracts_reported else 0.0,
            oi_coins=coins,
            fetched_at=fetched_at,
            symbols=tuple(sorted(p.symbol for p in same)),
            not_counted=tuple(sorted(missing[coin])) if missing.get(coin) else None,
        )
    return rows


def funding_row(
    venue: str,
    contract: Contract,
    rate: float,
    period_hours: float,
    fetched_at: int,
    *,
    kind: str = "predicted",
    mark: float | None = None,
    next_ms: int | None = None,
) -> FundingRow:
    """A funding row with its simple yearly rate in percent. `mark` is per coin, not per symbol."""
    if not 0 < period_hours <= 24:
        msg = "not a funding period"
        raise ValueError(msg)
    return FundingRow(
        coin=contract.coin,
        venue=venue,
        rate=rate,
        period_hours=period_hours,
        fetched_at=fetched_at,
        symbol=contract.symbol,
        kind=kind,
        apr=rate * 8760 / period_hours * 100,
        mark_price=None if mark is None else mark / contract.multiplier,
        next_funding_time=next_ms,
    )


def rank_of(contract: Contract, order: tuple[str, ...] = USDT_FIRST) -> tuple[int, int, str]:
    """Where a contract stands among those of its coin: the least one speaks for the coin."""
    key = contract.rank_key
    return order.index(key) if key in order else len(order), contract.multiplier, contract.symbol


def main_contracts(
    contracts: Iterable[Contract], order: tuple[str, ...] = USDT_FIRST
) -> dict[str, Contract]:
    """The main perpetual of each coin, by coin."""
    ranked = sorted(contracts, key=lambda contract: rank_of(contract, order), reverse=True)
    return {contract.coin: contract for contract in ranked}


def main_perpetuals(
    rows: Iterable[tuple[Contract, FundingRow]], order: tuple[str, ...] = USDT_FIRST
) -> dict[str, FundingRow]:
    """The row of each coin's main perpetual, by coin."""
    by_contract: dict[Contract, FundingRow] = {}
    for contract, row in rows:
        by_contract.setdefault(contract, row)
    best = main_contracts(by_contract, order)
    return {coin: by_contract[best[coin]] for coin in sorted(best)}
