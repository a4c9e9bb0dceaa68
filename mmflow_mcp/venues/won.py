"""What venues that quote in won share: the code of a market, and a row in won.

A market's code is QUOTE-BASE (KRW-BTC), and the list of markets tells nothing else about it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.fields import amount, each, number, positive

DEFAULT_COINS = ("BTC", "ETH", "SOL")

# METHODS 7: a price whose time is known to be older is stale.
MAX_AGE_MS = 90_000
_CODE = re.compile(r"^([A-Z0-9]{2,10})-([A-Z0-9]{1,20})$")
# A coin of ten million dollars at three thousand won.
_MAX_WON = 3e10
_MAX_CHANGE = 1e6


def split_code(code: Any) -> tuple[str, str]:
    """(quote, base) of a market's code. Raises ValueError for anything else."""
    found = _CODE.match(code) if isinstance(code, str) else None
    if found is None:
        msg = "not the code of a market"
        raise ValueError(msg)
    return found[1], found[2]


def coin_in_won(code: Any) -> str | None:
    """The coin of a market in won, None for a market in anything else."""
    quote, base = split_code(code)
    coin, multiplier = canonical(base)
    return coin if quote == "KRW" and multiplier == 1 else None


def symbol_of(coin: str) -> str:
    """The code of a coin's market in won."""
    return f"KRW-{coin}"


def wanted(ask: Ask) -> Sequence[str]:
    """The coins that a question is about; the usual ones where it names none."""
    return ask.coins or DEFAULT_COINS


def won_row(
    venue: str,
    coin: str,
    symbol: str,
    fetched_at: int,
    *,
    price: Any,
    volume: Any = None,
    change: float | None = None,
    at: int | None = None,
) -> SpotRow:
    """A row in won. `at`: when the last trade was, where that is known.

    Bid and ask are not told beside the price at these venues. Raises ValueError for a price or a
    volume that cannot be read, and for one beyond belief.
    """
    won = positive(price)
    if won > _MAX_WON:
        msg = "not a price in won"
        raise ValueError(msg)
    if change is not None and not -100 <= number(change) < _MAX_CHANGE:
        msg = "not a change"
        raise ValueError(msg)
    return SpotRow(
        coin=coin,
        venue=venue,
        price=won,
        bid=None,
        ask=None,
        volume24h=None if volume is None or volume == "" else amount(volume),
        change24h_pct=change,
        fetched_at=fetched_at,
        quote="KRW",
        symbol=symbol,
        venue_time=at,
        stale=True if at is not None and fetched_at - at > MAX_AGE_MS else None,
    )


def market_rows(venue: str, doc: Iterable[Any]) -> tuple[list[MarketRow], int]:
    """Every market of a list, whatever it is quoted in, and the rows that could not be read."""

    def read(row: dict[str, Any]) -> MarketRow:
        code = row["market"]
        quote, base = split_code(code)
        return MarketRow(venue, code, canonical(base)[0], "spot", f"{base}/{quote} spot")

    rows, bad = each(doc, read)
    return list({row.symbol: row for row in rows}.values()), bad
