"""Polymarket: prediction markets, most traded first.

https://docs.polymarket.com/api-reference/markets/list-markets

The list is paged by keyset: the next page is asked with `after_cursor` (`cursor` is ignored and
gives the first page for ever). Lists inside a market are JSON within text. `active` stays true
when a market has closed.
"""

import re
from functools import partial
from typing import Any

import pydantic_core

from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.rows.predictions import PredictionPage, PredictionRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import amount, each, member
from mmflow_mcp.venues.outsiders import text
from mmflow_mcp.venues.predictions import (
    FRESH,
    MAX_SPREAD,
    MAX_TITLE,
    Blurs,
    Listing,
    coin_of,
    cut,
    middle,
    moment,
    share,
    tell_losses,
    walk,
)
from mmflow_mcp.venues.singles import REFUSALS

HOST = "gamma-api.polymarket.com"
API = f"https://{HOST}/markets"
PAGE = 100
# Names in snake case are ignored without a word.
_OPEN: dict[str, str | int] = {"closed": "false", "order": "volume24hr", "ascending": "false"}

Row = dict[str, Any]


def keyset(cursor: str = "") -> Call:
    """A page of the open markets, most traded in 24 h first."""
    params = {"limit": PAGE, **_OPEN} | ({"after_cursor": cursor} if cursor else {})
    return get(f"{API}/keyset", params, fresh=FRESH, label="markets")


# The list by offset, which the venue has announced to end, and its barest form.
OLD = get(API, {"limit": PAGE, **_OPEN}, fresh=FRESH, label="markets")
BARE = get(API, {"limit": PAGE}, fresh=FRESH, label="markets")


class Polymarket(Venue):
    """Polymarket's open prediction markets."""

    id = "polymarket"
    name = "Polymarket"
    kind = "prediction"
    hosts = (HOST,)
    aliases = ("POLYMARKET_CLOB", "POLYMARKET_GAMMA")
    # 300 requests in 10 seconds for lists of markets.
    meters = (Meter((HOST,), 300, 10),)
    data_source = "Polymarket Gamma public REST"
    docs = "https://docs.polymarket.com"
    notes = (
        "Prices are probabilities: a share pays 1 USD (USDC). Most traded in 24 h first.",
        "A question with many answers is one market per answer.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """`{"type":"validation error","error":"..."}` with 422."""
        if status == 422 or (status == 400 and b"validation error" in body[:200]):
            return VenueRejected(f"rejected: the venue refuses the request (http {status})")
        return None

    async def predictions(self, ask: Ask) -> list[PredictionPage]:
        """A page of the open markets, by 24 h volume in USD."""
        try:
            return [await walk(ask, keyset, parse_page)]
        except REFUSALS as error:
            return [await _ask_old(ask, error)]


async def _ask_old(ask: Ask, refusal: VenueError) -> PredictionPage:
    """What the list by offset tells in one page; it is no way to turn pages."""
    try:
        wire = await ask.get(OLD)
    except Unrecorded:
        wire = await ask.get(BARE)
    page = wire.parsed(parse_old)
    tell_losses(ask, (page,))
    rows = sorted(page.rows, key=lambda row: (-(row.volume24h_usd or 0.0), row.symbol))
    ask.short(f"{refusal.reason}; one page of its older list instead")
    return cut(ask, rows, ended=False, broken=True)


def parse_page(wire: Wire) -> Listing:
    """A page of the keyset list; `next_cursor` is absent on the last."""
    cursor = wire.doc.get("next_cursor") if isinstance(wire.doc, dict) else None
    return _read_all(member(wire.doc, "markets"), str(cursor or ""))


def parse_old(wire: Wire) -> Listing:
    """The list by offset: a bare array."""
    return _read_all(wire.doc, "")


def _read_all(raw: Any, cursor: str) -> Listing:
    blurs = Blurs()
    rows, bad = each(raw, partial(_read, blurs))
    return Listing(tuple(rows), bad, blurs.count, cursor)


_CONDITION = re.compile(r"0x[0-9a-fA-F]{64}")


def _is_open(row: Row) -> bool:
    trades = row.get("active", True) is True and row.get("acceptingOrders", True) is True
    return row["closed"] is False and trades and not row.get("archived")


def _read(blurs: Blurs, row: Row) -> PredictionRow | None:
    if not _is_open(row):
        return None
    symbol = row["conditionId"]
    if not _CONDITION.fullmatch(symbol):
        msg = "not a condition id"
        raise ValueError(msg)
    title = text(row["question"], MAX_TITLE)
    outcome, probability = blurs.read(read_price, row) or (None, None)
    volume = row.get("volume24hr")
    return PredictionRow(
        exchange="polymarket",
        symbol=symbol,
        coin=coin_of(title),
        kind="prediction",
        label=title,
        outcome=outcome,
        probability=probability,
        volume24h_usd=None if volume is None else blurs.read(amount, volume),
        closes_ms=blurs.read(moment, row.get("endDate")),
    )


def read_price(row: Row) -> tuple[str, float | None]:
    """The outcome Yes, else the first one, and its price; None where there is none.

    The venue prices the middle of the book, an empty side taken for 0 or 1: without orders that
    is 0.5, which nobody quotes. So a book that is wide is passed over for the last trade within
    it. Book and trade are the first outcome's; prices that do not add up to one are none.
    """
    names = [text(name, 40) for name in _inner(row["outcomes"])]
    index = next((i for i, name in enumerate(names) if name.casefold() == "yes"), 0)
    if not row.keys() & {"bestBid", "bestAsk", "spread"}:
        msg = "nothing is told of the book"
        raise ValueError(msg)
    low, high = share(row.get("bestBid") or 0), share(row.get("bestAsk") or 1)
    if high - low > MAX_SPREAD:
        last = share(row.get("lastTradePrice") or 0)
        return names[index], last if index == 0 and last > 0 and low <= last <= high else None
    told = row.get("outcomePrices")
    prices = [share(price) for price in _inner(told)] if told else []
    if len(prices) == len(names) and abs(sum(prices) - 1) <= 0.05:
        return names[index], prices[index]
    return names[index], middle(low, high) if index == 0 else None


def _inner(value: Any) -> list[Any]:
    """A list that is written as JSON within text."""
    found = pydantic_core.from_json(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        msg = "not a list"
        raise TypeError(msg)
    return found
