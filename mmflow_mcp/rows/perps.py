"""Rows of perpetual futures."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import maybe, told


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
    rate: float = told("fraction per period; positive = longs pay shorts", digits="rate")
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
