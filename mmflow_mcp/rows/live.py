"""Rows of the live endpoints: prints, and changes of funding rates."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import maybe, told


@dataclass(frozen=True, slots=True)
class WhaleRow:
    """One large print."""

    coin: str = told("canonical ticker")
    side: str = told("the taker's: buy or sell")
    notional_usd: float = told("size x price, USD", digits="usd")
    price: float = told("USD per coin")
    ts: int = told("time of the print, epoch ms")
    venue: str = told("venue id", brief=False)
    size: float | None = maybe("coins", digits="coins")


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One print of any size."""

    coin: str = told("canonical ticker", brief=False)
    side: str = told("the taker's: buy or sell")
    price: float = told("USD per coin")
    size: float = told("coins", digits="coins")
    notional_usd: float = told("size x price, USD", digits="usd")
    ts: int = told("time of the print, epoch ms")
    venue: str = told("venue id", brief=False)


@dataclass(frozen=True, slots=True)
class FundingChangeRow:
    """A funding rate that has moved far enough."""

    coin: str = told("canonical ticker")
    rate: float = told("fraction per periodHours, + = longs pay")
    period_hours: float = told("hours of a period", brief=False)
    prev_rate: float = told("the rate told last")
    delta: float = told("rate - prevRate")
    ts: int = told("when it was seen, epoch ms")
    venue: str = told("venue id", brief=False)
