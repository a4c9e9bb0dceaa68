"""Candles as every venue's adapter asks for them: all pages at once, then one series a market.

A venue says how it is asked and where its fields are (`CandleSource`); the rest is the same
everywhere. The parts: `candle_spans` (what is requested), `candle_rows` (what is believed).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle, CandleSeries
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import combine, combine_whole
from mmflow_mcp.venues.candle_spans import Page, Paging, Span, keep_past, pages_of, read_span
from mmflow_mcp.venues.traded import Traded

CallPage = Callable[[Traded, Page], Call]


@dataclass(frozen=True, slots=True)
class CandleSource:
    """How a venue tells candles.

    `call`: the request for a page of a market. `parse`: the candles in an answer, in any order,
    and how many rows could not be read. `elsewhere`: another request for the same page, for
    recordings that were made when it was the right one. `gapless`: whether an interval without a
    trade has a candle, so that one that is missing was not told. `capped`: a page of so many rows,
    where more were to be expected, was cut off by the venue at its old end.
    """

    call: CallPage
    parse: Callable[[Wire, Traded, int], tuple[list[Candle], int]]
    paging: Paging
    elsewhere: CallPage | None = None
    gapless: bool = False
    capped: int | None = None


async def ask_candles(
    ask: Ask, traded: Iterable[Traded], source: CandleSource
) -> list[CandleSeries]:
    """A series for each market that has candles in the span; what there is not is said.

    Raises the error of the newest page where nothing could be had at all.
    """
    span = read_span(ask)
    pages, edge = pages_of(span, source.paging)
    markets = list(traded)
    wires = await _ask_pages(ask, markets, pages, source)
    rows = []
    for number, market in enumerate(markets):
        told = wires[number * len(pages) : (number + 1) * len(pages)]
        series = _read_series(ask, market, span, source, list(zip(pages, told, strict=True)))
        if series is not None:
            rows.append(series)
        if edge > span.first_ms and (series is None or series.candles[0].t >= edge):
            ask.short(f"missing: candles of {market.symbol} from before {edge}", coin=market.coin)
    return rows


async def _ask_pages(
    ask: Ask, markets: Sequence[Traded], pages: Sequence[Page], source: CandleSource
) -> list[Wire]:
    """The answers by market, then by page; `NOTHING` for what failed and is said."""

    def calls_of(make: CallPage) -> list[Call]:
        return [
            replace(
                keep_past(make(market, page), page, ask.now_ms),
                optional=True,
                # How old an answer is its newest candles tell.
                reference=page is not pages[0],
            )
            for market in markets
            for page in pages
        ]

    calls, said = calls_of(source.call), len(ask.shortfalls)
    wires = await ask.all(*calls)
    lost = [n for n, wire in enumerate(wires) if not wire]
    if source.elsewhere and any(one.startswith("unrecorded") for one in ask.shortfalls[said:]):
        del ask.shortfalls[said:]
        others = calls_of(source.elsewhere)
        for n, wire in zip(lost, await ask.all(*(others[n] for n in lost)), strict=True):
            wires[n] = wire
    if wires and not any(wires):
        wires[0] = await ask.get(calls[0])
    return wires


def _read_series(
    ask: Ask,
    market: Traded,
    span: Span,
    source: CandleSource,
    told: Sequence[tuple[Page, Wire]],
) -> CandleSeries | None:
    """The candles of the newest pages up to the first that failed: a gap would look like peace."""
    found: dict[int, Candle] = {}
    first = span.until_ms
    for page, wire in told:
        # Why a page failed is said already: its call is optional.
        candles, whole = _read_page(ask, market, page, wire, source) if wire else ({}, False)
        found |= candles
        if not whole:
            first = min(candles, default=first)
            break
        first = page.first_ms
    made = _combined(found, span, source, told)
    if not made:
        ask.short(f"missing: no candles of {market.symbol} in that time", coin=market.coin)
        return None
    if told[-1][0].first_ms < first:
        ask.short(f"missing: candles of {market.symbol} from before {first}", coin=market.coin)
    return CandleSeries(
        coin=market.coin,
        venue=ask.venue,
        symbol=market.symbol,
        market=market.market,
        quote=market.quote,
        interval=span.interval,
        candles=tuple(made),
        fetched_at=told[0][1].fetched_at,
    )


def _combined(
    found: dict[int, Candle],
    span: Span,
    source: CandleSource,
    told: Sequence[tuple[Page, Wire]],
) -> list[Candle]:
    """Ascending candles of the interval asked for."""
    candles = [found[t] for t in sorted(found)]
    if not candles or told[0][0].step_ms == span.step_ms:
        return candles
    if source.gapless:
        page, newest = told[0]
        return combine_whole(candles, page.step_ms, span.step_ms, newest.fetched_at)
    return combine(candles, span.step_ms)


def _read_page(
    ask: Ask, market: Traded, page: Page, wire: Wire, source: CandleSource
) -> tuple[dict[int, Candle], bool]:
    """The candles of a page by opening time, and whether they are all that it has."""
    try:
        candles, bad = wire.parsed(source.parse, market, page.step_ms)
    except VenueChanged as error:
        ask.short(f"{error.reason} ({market.symbol})", coin=market.coin)
        return {}, False
    ask.unread(bad)
    inside = {one.t: one for one in candles if page.first_ms <= one.t < page.until_ms}
    return inside, not source.capped == len(candles) + bad < page.size
