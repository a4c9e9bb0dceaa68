"""Order books in buckets of price (METHODS 12). Pure: levels in, buckets out."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mmflow_mcp.analytics.steps import row_price, rows_above, rows_below

Level = tuple[float, float]
# How far from the middle buckets are kept, and how many of both sides together.
REACH = 0.05
MOST_BUCKETS = 80


@dataclass(frozen=True, slots=True)
class Side:
    """The two sides of one book: (price, size in coins), best first."""

    bids: Sequence[Level]
    asks: Sequence[Level]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A book in buckets: (price, coins), bids descending, asks ascending.

    A bid's bucket is named by its lower edge, an ask's by its upper edge. Between `complete_from`
    and `complete_to` every order of every book is in it: beyond them a book that was read ends.
    """

    block: float
    middle: float | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    complete_from: float | None
    complete_to: float | None


def mid(book: Side) -> float | None:
    """Between the best bid and the best ask; None where a side is empty."""
    if not (book.bids and book.asks):
        return None
    return (max(price for price, _ in book.bids) + min(price for price, _ in book.asks)) / 2


def blocks_of(
    books: Iterable[Side], block: float, middle: float | None, most: int = MOST_BUCKETS
) -> Blocks:
    """Books added up by bucket, within 5 % of `middle`; whole buckets only.

    The nearest `most` / 2 buckets of each side are kept. Buckets of different books may cross: they
    are kept. Without a middle (no book has two sides) the reach is not cut.
    """
    every = list(books)
    low = -math.inf if middle is None else middle * (1 - REACH)
    high = math.inf if middle is None else middle * (1 + REACH)
    bids = _added((level for book in every for level in book.bids), block, rows_below)
    asks = _added((level for book in every for level in book.asks), block, rows_above)
    ends = [min(price for price, _ in book.bids) for book in every if book.bids]
    tops = [max(price for price, _ in book.asks) for book in every if book.asks]
    return Blocks(
        block=block,
        middle=middle,
        bids=tuple(level for level in reversed(bids) if level[0] >= low)[: most // 2],
        asks=tuple(level for level in asks if level[0] <= high)[: most // 2],
        complete_from=max(ends, default=None),
        complete_to=min(tops, default=None),
    )


def _added(
    levels: Iterable[Level], block: float, row_of: Callable[[float, float], int]
) -> list[Level]:
    """Sizes by bucket, ascending."""
    sizes: dict[int, list[float]] = {}
    for price, size in levels:
        sizes.setdefault(row_of(price, block), []).append(size)
    return [(row_price(row, block), math.fsum(sizes[row])) for row in sorted(sizes)]
