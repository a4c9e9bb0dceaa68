"""Rows of spot markets."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import maybe, told


@dataclass(frozen=True, slots=True)
class SpotRow:
    """The spot ticker of one coin on one venue, in its main dollar market."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    price: float = told("last trade, in the quote currency; the midpoint where that is too old")
    bid: float | None = told("best bid; null where the venue does not tell it in bulk")
    ask: float | None = told("best ask")
    volume24h: float | None = told("24 h volume in coins", digits="coins")
    change24h_pct: float | None = told("rolling 24 h change, percent", digits="percent")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    quote: str = told("USD, USDT, USDC or KRW: a dollar is not a USDT", brief=False)
    symbol: str = told("the venue's name of the market", brief=False)
    venue_time: int | None = maybe("the venue's own time of the price, epoch ms")
    stale: bool | None = maybe("true when the price is older than 90 s")


@dataclass(frozen=True, slots=True)
class TradePrint:
    """One public trade."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    ts: int = told("time of the trade, epoch ms")
    side: str = told("side of the taker: buy or sell")
    price: float = told("price in the quote currency")
    size: float = told("coins", digits="coins")
    trade_id: str = told("the venue's id of the print", brief=False)


@dataclass(frozen=True, slots=True)
class FxRate:
    """A daily exchange rate. `rate`: units of `quote` per one unit of `base`.

    `date`: the day of its fixing, YYYY-MM-DD. `source`: who was asked, as `meta.source` names it.
    """

    base: str
    quote: str
    rate: float
    date: str
    fetched_at: int
    source: str = ""
