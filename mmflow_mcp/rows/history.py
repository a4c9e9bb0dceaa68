"""Rows of the venues' own histories: what was paid, and what was open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettledRate:
    """A funding rate that was paid: a fraction per `period_hours`, positive = longs paid.

    `ts`: the settlement, epoch ms.
    """

    ts: int
    rate: float
    period_hours: float


@dataclass(frozen=True, slots=True)
class FundingPast:
    """Settled rates of a coin's main perpetual on one venue, oldest first, each settlement once."""

    coin: str
    venue: str
    symbol: str
    rates: tuple[SettledRate, ...]
    fetched_at: int


@dataclass(frozen=True, slots=True)
class PastInterest:
    """One-sided open interest at a moment, epoch ms; `usd` null where the venue does not tell."""

    ts: int
    coins: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class OpenInterestPast:
    """Open interest of a coin on one venue, oldest first: all its perpetuals there, summed.

    A moment at which one of `symbols` has no value is not in it. `cadence_ms`: the venue's own
    distance between two points.
    """

    coin: str
    venue: str
    symbols: tuple[str, ...]
    cadence_ms: int
    points: tuple[PastInterest, ...]
    fetched_at: int
