"""The advanced types of `/points` (METHODS 12): bars, market profiles and order-book blocks."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from mmflow_mcp.analytics import bars
from mmflow_mcp.analytics.blocks import Blocks, Side, blocks_of, mid
from mmflow_mcp.analytics.profiles import Profile, profile_of
from mmflow_mcp.analytics.steps import block_near
from mmflow_mcp.endpoints.point_levels import USD
from mmflow_mcp.endpoints.point_rows import DOLLARS, PointRow, Reading, by_market
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows.candles import Candle, CandleSeries, OrderBook

# Rows of a profile; a block must not make more of them, nor swallow the price.
MOST_ROWS = 5_000
WIDEST = 0.1
GAP_CANDLES = 50


def last_closed(now_ms: int, step: int) -> int:
    """When the last interval that is over has begun."""
    return now_ms // step * step - step


def bar_window(step: int, *, gapfill: bool) -> Callable[[int], tuple[int, int]]:
    """What must be read for the last closed bar.

    The running one too, which tells that a venue is up to date; and older ones to fill a gap from.
    """

    def window(now_ms: int) -> tuple[int, int]:
        t = last_closed(now_ms, step)
        return t - (GAP_CANDLES * step if gapfill else 0), t + 2 * step

    return window


def bar_rows(reading: Reading, step: int, *, gapfill: bool, folded: bool) -> list[PointRow]:
    """The last closed bar; folded, volume adds and prices are the largest exchange's."""
    _tell_markets(reading)
    if not folded:
        return [_bar(reading, series, step, gapfill=gapfill) for series in reading.each()]
    found = []
    for coin in reading.coins:
        every: list[CandleSeries] = reading.dollars(coin)
        if every:
            found.append(_merged_bar(reading, every, step, gapfill=gapfill))
    return found


def _bar(reading: Reading, series: CandleSeries, step: int, *, gapfill: bool) -> PointRow:
    t = last_closed(reading.now[series.venue], step)
    candle = bars.at(series.candles, t)
    filled = bars.gap_filled(series.candles, t) if candle is None and gapfill else None
    close = None if (best := candle or filled) is None else best.c
    more = _prices(best, t)
    return reading.one(series, close, series.quote, gapfilled=bool(filled) or None, **more)


def _prices(candle: Candle | None, t: int) -> dict[str, Any]:
    if candle is None:
        return {"t": t}
    return {"t": t, "open": candle.o, "high": candle.h, "low": candle.l, "volume": candle.v}


def _merged_bar(
    reading: Reading, every: Sequence[CandleSeries], step: int, *, gapfill: bool
) -> PointRow:
    t = max(last_closed(reading.now[series.venue], step) for series in every)
    traded = {s.venue: c for s in every if (c := bars.at(s.candles, t)) is not None}
    # A venue that tells of later trades had none then; of another nobody knows.
    late = any(s.venue not in traded and all(candle.t < t for candle in s.candles) for s in every)
    filled = {}
    if gapfill and not traded:
        filled = {s.venue: c for s in every if (c := bars.gap_filled(s.candles, t)) is not None}
    best = bars.merge(traded or filled)
    parts = {venue: candle.c for venue, candle in (traded or filled).items()}
    return reading.folded(
        every,
        None if best is None else best.candle.c,
        USD,
        parts,
        partial=late,
        gapfilled=bool(filled) or None,
        prices_from=None if best is None else best.venue,
        **_prices(None if best is None else best.candle, t),
    )


def session_start(now_ms: int, session: str) -> int:
    """When the running session began: the UTC day, the week (Monday) or the month, epoch ms."""
    day = datetime.fromtimestamp(now_ms / 1000, UTC).replace(hour=0, minute=0, second=0)
    day = day.replace(microsecond=0)
    if session == "weekly":
        day -= timedelta(days=day.weekday())
    elif session == "monthly":
        day = day.replace(day=1)
    return int(day.timestamp()) * 1000


def profile_window(session: str, step: int) -> Callable[[int], tuple[int, int]]:
    """What must be read for the profile of the running session."""

    def window(now_ms: int) -> tuple[int, int]:
        return session_start(now_ms, session), (now_ms // step + 1) * step

    return window


def profile_rows(
    reading: Reading, session: str, block_size: float | None, *, folded: bool
) -> list[PointRow]:
    """The running session's market profile; folded, that of the exchange of largest volume.

    Touched rows of several exchanges are not merged: their prices differ by more than a row is
    wide, and the merged profile would show where they differ instead of where they traded.
    """
    _tell_markets(reading)
    found = []
    for coin in reading.coins:
        every: list[CandleSeries] = reading.of(coin)
        closes = [(s.quote, s.candles[-1].c) for s in every if s.candles]
        blocks = _Steps(block_size, closes)
        if not folded:
            found += [_profile_row(reading, series, session, blocks) for series in every]
        elif dollars := reading.dollars(coin):
            found.append(_folded_profile(reading, dollars, session, blocks))
    return found


def _profile(series: CandleSeries, block: float) -> Profile:
    low, high = min(c.l for c in series.candles), max(c.h for c in series.candles)
    if (high - low) / block > MOST_ROWS:
        _refuse_block(series.coin, block, f"at least {(high - low) / MOST_ROWS:.3g} there")
    found = profile_of(((candle.l, candle.h) for candle in series.candles), block)
    if found is None:
        raise ValueError("a profile needs a candle")
    return found


def _extras(
    reading: Reading, series: CandleSeries, profile: Profile, session: str
) -> dict[str, Any]:
    return {
        "high": profile.high,
        "low": profile.low,
        "val": profile.val,
        "vah": profile.vah,
        "total": profile.total,
        "brackets": len(series.candles),
        "session_start": session_start(reading.now[series.venue], session),
        "block_size": profile.block,
        "levels": profile.levels,
    }


def _profile_row(
    reading: Reading, series: CandleSeries, session: str, blocks: "_Steps"
) -> PointRow:
    if not series.candles:
        return reading.one(series, None, series.quote)
    profile = _profile(series, blocks.of(series.coin, series.quote))
    more = _extras(reading, series, profile, session)
    short = reading.is_short(series.venue) or None
    return reading.one(series, profile.poc, series.quote, partial=short, **more)


def _folded_profile(
    reading: Reading, every: Sequence[CandleSeries], session: str, blocks: "_Steps"
) -> PointRow:
    by_venue = {s.venue: _profile(s, blocks.of(s.coin, s.quote)) for s in every if s.candles}
    if not by_venue:
        return reading.folded(every, None, USD, {})
    leader = bars.largest({s.venue: sum(c.v for c in s.candles) for s in every if s.candles})
    series = next(s for s in every if s.venue == leader)
    profile = by_venue[leader]
    return reading.folded(
        every,
        profile.poc,
        USD,
        {venue: one.poc for venue, one in by_venue.items()},
        # Half a session decides neither its profile nor whose volume is the largest.
        partial=any(reading.is_short(venue) for venue in by_venue),
        prices_from=leader,
        **_extras(reading, series, profile, session),
    )


def book_rows(reading: Reading, block_size: float | None, *, folded: bool) -> list[PointRow]:
    """Order books in buckets of price; folded, added up by bucket."""
    _tell_markets(reading)
    found = []
    for coin in reading.coins:
        every: list[OrderBook] = reading.of(coin)
        steps = _Steps(block_size, [(b.quote, p) for b in every if (p := _about(b)) is not None])
        if not folded:
            found += [_book_row(reading, book, steps) for book in every]
        elif dollars := reading.dollars(coin):
            found.append(_folded_book(reading, dollars, steps))
    return found


def _book_row(reading: Reading, book: OrderBook, steps: "_Steps") -> PointRow:
    if _about(book) is None:
        return reading.one(book, None, book.quote)
    blocks = _blocks([book], steps.of(book.coin, book.quote))
    return reading.one(book, blocks.middle, book.quote, **_sides(blocks))


def _folded_book(reading: Reading, books: Sequence[OrderBook], steps: "_Steps") -> PointRow:
    full = [book for book in books if _about(book) is not None]
    if not full:
        return reading.folded(books, None, USD, {})
    blocks = _blocks(full, steps.of(full[0].coin, USD))
    mids = {book.venue: m for book in full if (m := mid(_side(book))) is not None}
    return reading.folded(full, blocks.middle, USD, mids, **_sides(blocks))


def _side(book: OrderBook) -> Side:
    return Side(book.bids, book.asks)


def _about(book: OrderBook) -> float | None:
    """A price near the middle of a book; None of an empty one."""
    best = [side[0][0] for side in (book.bids, book.asks) if side]
    return median(best) if best else None


def _blocks(books: Sequence[OrderBook], block: float) -> Blocks:
    mids = [m for book in books if (m := mid(_side(book))) is not None]
    middle = median(mids) if mids else None
    return blocks_of([_side(book) for book in books], block, middle)


def _sides(blocks: Blocks) -> dict[str, Any]:
    return {
        "block_size": blocks.block,
        "bids": tuple((price, float(f"{size:.10g}")) for price, size in blocks.bids),
        "asks": tuple((price, float(f"{size:.10g}")) for price, size in blocks.asks),
        "complete_from": blocks.complete_from,
        "complete_to": blocks.complete_to,
    }


class _Steps:
    """The width of price rows of one coin: as asked, else what suits its price.

    The exchanges that quote in dollars share one width, so that their rows can be compared.
    """

    def __init__(self, asked: float | None, prices: Sequence[tuple[str, float]]) -> None:
        self._asked = asked
        self._prices: dict[str, list[float]] = {}
        for quote, price in prices:
            self._prices.setdefault(_kind(quote), []).append(price)

    def of(self, coin: str, quote: str) -> float:
        """The width in a quote. Raises `BadQuestion` for one that swallows the price."""
        price = median(self._prices[_kind(quote)])
        if self._asked is None:
            return block_near(price)
        if self._asked > price * WIDEST:
            _refuse_block(coin, self._asked, f"up to {price * WIDEST:.3g} there")
        return self._asked


def _kind(quote: str) -> str:
    return USD if quote in DOLLARS else quote


def _refuse_block(coin: str, block: float, fits: str) -> None:
    raise BadQuestion("blockSize", f"{block:g} does not suit the price of {coin}.", fits=fits)


def _tell_markets(reading: Reading) -> None:
    """Whose prices are of perpetuals and whose of spot, and what they are quoted in."""
    every = list(reading.each())
    reading.told["quotes"] = by_market(every, "quote")
    reading.told["markets"] = by_market(every, "market")
