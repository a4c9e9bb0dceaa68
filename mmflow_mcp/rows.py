"""What this server answers: the rows, with the unit and sign of every number.

Attributes are snake_case here and camelCase on every face (`names` maps one to the other).
Unknown is None, never zero. Times are epoch milliseconds UTC, `fetched_at` is when our process
finished reading the wire a row came from.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any


def told(
    description: str, *, brief: bool = True, digits: str = "number", budgeted: bool = True
) -> Any:
    """A field with the words that tell its meaning.

    `brief` fields are the columns a tool shows by default. `digits` says how a float is printed:
    usd (1 decimal), percent (2), ratio (4), fine (6), coins (10 significant) or number (12
    significant). A row budget leaves tables alone that are not `budgeted`.
    """
    return field(
        metadata={
            "description": description,
            "brief": brief,
            "digits": digits,
            "budgeted": budgeted,
        }
    )


def maybe(description: str, *, brief: bool = False, digits: str = "number") -> Any:
    """A field that may be unknown: None unless it was read, and then left out of objects."""
    return field(
        default=None, metadata={"description": description, "brief": brief, "digits": digits}
    )


@dataclass(frozen=True, slots=True)
class OpenInterestRow:
    """Open interest of one coin on one venue: all its perpetuals there, one-sided, summed."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    oi_usd: float = told("open interest in USD, one-sided", digits="usd")
    oi_contracts: float = told(
        "coin quantity as the original API names it; 0 = not reported (bitmex, deribit, gateio)",
        brief=False,
        digits="coins",
    )
    oi_coins: float | None = told("open interest in coins, one-sided", digits="coins")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    symbols: tuple[str, ...] = told("the venue's perpetuals counted here", brief=False)
    not_counted: tuple[str, ...] | None = maybe(
        "perpetuals of the coin that could not be read; the sum is short by these"
    )


@dataclass(frozen=True, slots=True)
class FundingRow:
    """The funding rate of a coin's main perpetual on one venue."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    rate: float = told("fraction per period; positive = longs pay shorts")
    period_hours: float = told("length of the funding period in hours")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    symbol: str = told("the venue's name of the perpetual", brief=False)
    kind: str = told(
        "predicted (for the running period), trailing (last 8 h) or fixed", brief=False
    )
    apr: float = told(
        "simple yearly rate, percent: rate x 8760 / periodHours x 100", digits="percent"
    )
    mark_price: float | None = maybe("mark price of the perpetual, USD")
    next_funding_time: int | None = maybe("next settlement, epoch ms; null where it accrues")


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One listed option."""

    instrument: str = told("the venue's name, e.g. BTC-25DEC26-100000-C")
    underlying: str = told("BTC, ETH, SOL or XRP", brief=False)
    strike: float = told("strike price, USD")
    expiry_ms: int = told("expiry, epoch ms (08:00 UTC)")
    type: str = told("C = call, P = put")
    oi: float | None = told("open interest in coins of the underlying")
    volume24h: float | None = told("24 h volume in coins", brief=False)
    mark_iv: float | None = told("implied volatility of the mark, percent")
    mark_price: float | None = told(
        "mark: in coins of the underlying for BTC and ETH, in USDC per coin for SOL and XRP"
    )
    underlying_price: float | None = told("forward of this expiry, USD")


@dataclass(frozen=True, slots=True)
class OptionChain:
    """All options of one underlying at one moment.

    `index_price` is the spot index the venue settles against (None where it could not be read);
    `dropped` counts rows that could not be understood.
    """

    underlying: str
    rows: tuple[OptionRow, ...]
    index_price: float | None
    fetched_at: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One market that a venue lists."""

    exchange: str = told("venue id", brief=False)
    symbol: str = told("the venue's own name of the market")
    coin: str | None = told("canonical ticker, null for what is no coin (stocks, metals, FX)")
    kind: str = told("perp, future, option, spot or prediction")
    label: str = told("readable name", brief=False)


@cache
def camel(name: str) -> str:
    """`oi_usd` -> `oiUsd`: the spelling on every face."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


@cache
def columns(row: Any, *, brief: bool = False) -> tuple[Field[Any], ...]:
    """The fields of a row type, or only the ones a tool shows by default."""
    return tuple(f for f in fields(row) if not brief or f.metadata.get("brief", True))


@cache
def getter(row: Any, *, brief: bool = False) -> Callable[[Any], tuple[Any, ...]]:
    """A fast reader of those fields, in order."""
    return attrgetter(*(f.name for f in columns(row, brief=brief)))
