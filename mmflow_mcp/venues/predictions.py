"""What prediction venues share: pages of a long list, prices that are probabilities, coins.

A venue hands its list out page by page, each with a cursor to the next. A page of a question is
cut out of the venue's pages from the first one on, each market once, so that it does not depend
on the page size; the venue's pages are kept for `FRESH` seconds, so that turning pages stays in
one order that long.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows.predictions import PredictionPage, PredictionRow
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.coins import KNOWN_COINS
from mmflow_mcp.venues.fields import number, number_or_none

T = TypeVar("T")

FRESH = 120.0
# How many markets of a venue can be paged through, and how many of its pages that may take.
DEPTH = 2000
MAX_TURNS = 40
MAX_TITLE = 160
# A book wider than this quotes nothing (10 cents, and what the last binary digit may add).
MAX_SPREAD = 0.10 + 1e-9


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a venue: `blurred` counts fields that were told and could not be read.

    `cursor` leads to the next page, empty on the last.
    """

    rows: tuple[PredictionRow, ...]
    bad: int
    blurred: int
    cursor: str


class Blurs:
    """Reads fields that a row can do without, and counts what could not be read."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, field: Callable[..., T], *given: Any) -> T | None:
        """The field, None where it cannot be read."""
        try:
            return field(*given)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            self.count += 1
            return None


def tell_losses(ask: Ask, listings: Iterable[Listing]) -> None:
    """Say what could not be read of these pages."""
    pages = list(listings)
    ask.unread(sum(page.bad for page in pages))
    blurred = sum(page.blurred for page in pages)
    if blurred:
        ask.short(f"changed: {blurred} field{'s' * (blurred > 1)} could not be read, told as null")


def cut(
    ask: Ask, rows: Iterable[PredictionRow], *, ended: bool, broken: bool = False
) -> PredictionPage:
    """The page that was asked for, out of the rows read so far, each market once.

    `ended`: they are all there are; `broken`: no further ones can be had.
    """
    every = tuple({row.symbol: row for row in rows}.values())
    start, end = _bounds(ask)
    more = len(every) > end or not (ended or broken)
    if more and end + end - start > DEPTH:
        ask.narrowed = f"the first {DEPTH} markets; the venue has more"
        more = False
    return PredictionPage(every[start:end], more, len(every) if ended else None)


async def walk(
    ask: Ask,
    turn: Callable[[str], Call],
    parse: Callable[[Wire], Listing],
    first: Iterable[PredictionRow] = (),
) -> PredictionPage:
    """The page that was asked for: `first`, then the venue's pages one after the other.

    What fails after rows of the page were read shortens it; before, it is raised.
    """
    start, end = _bounds(ask)
    rows = {row.symbol: row for row in first}
    pages: list[Listing] = []
    cursor, seen = "", {""}
    ended = broken = False
    while len(rows) < end and not ended and not broken:
        try:
            page = (await ask.get(turn(cursor))).parsed(parse)
            _check_turn(page, seen, len(pages))
        except VenueError as error:
            if len(rows) <= start:
                raise
            ask.short(error.reason)
            broken = True
            continue
        pages.append(page)
        for row in page.rows:
            rows.setdefault(row.symbol, row)
        cursor, ended = page.cursor, not page.cursor
        seen.add(cursor)
    tell_losses(ask, pages)
    if not rows:
        ask.short("changed: the venue lists no open market")
    return cut(ask, rows.values(), ended=ended, broken=broken)


def _bounds(ask: Ask) -> tuple[int, int]:
    start = int(ask.options.get("start", 0))
    return start, start + int(ask.options.get("count", 50))


def _check_turn(page: Listing, seen: set[str], turned: int) -> None:
    """Refuse a list that leads in a circle, or that goes on without open markets."""
    if page.cursor and page.cursor in seen:
        raise VenueChanged("changed: the venue's list leads back to a page that was read")
    if turned >= MAX_TURNS:
        raise VenueChanged(f"changed: {MAX_TURNS} pages of the venue's list hold too few markets")


def share(value: Any) -> float:
    """A price of a share that pays one dollar: 0..1. Raises ValueError otherwise."""
    result = number(value)
    if not 0 <= result <= 1:
        msg = "not a probability"
        raise ValueError(msg)
    return result


def middle(bid: Any, ask: Any) -> float | None:
    """The midpoint of a book; None where a side is empty (0, 1) or the sides are far apart."""
    low, high = number_or_none(bid), number_or_none(ask)
    if low is None or high is None or not 0 < share(low) < share(high) < 1:
        return None
    return (low + high) / 2 if high - low <= MAX_SPREAD else None


def moment(text: Any) -> int | None:
    """Epoch ms of an ISO time; None where none is told."""
    if text is None or text == "":
        return None
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


_COINS = {
    "BTC": re.compile(r"\b(?:BTC|(?i:bitcoin))\b"),
    "ETH": re.compile(r"\b(?:ETH|(?i:ethereum|ether))\b"),
    "SOL": re.compile(r"\b(?:SOL|(?i:solana))\b"),
    "XRP": re.compile(r"\bXRP\b"),
}
# Another coin, or something else that bears a coin's name.
_OTHERS = re.compile(
    r"\b(?:bitcoin (?:cash|sv|gold|depot)|ethereum classic|eth z(?:u|ü)rich|solana beach"
    r"|doge(?:coin)?|cardano|litecoin|monero|zcash|hyperliquid|chainlink|avalanche|polkadot|tron)\b",
    re.IGNORECASE,
)
_TICKER = re.compile(r"\b[A-Z0-9]{3,}\b")


def coin_of(title: str) -> str | None:
    """The one coin that a title names as a whole word; None for none, for two, and when in doubt.

    A wrong coin is worse than none.
    """
    named = [coin for coin, pattern in _COINS.items() if pattern.search(title)]
    if len(named) != 1 or _OTHERS.search(title):
        return None
    tickers = set(_TICKER.findall(title)) & KNOWN_COINS
    return named[0] if tickers <= {named[0]} else None
