"""Candles of one market, and how candles of several are read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.core.parts import merged, part
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import choose_venues, judge, meta_of
from mmflow_mcp.endpoints.composed import prefixed
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import (
    INTERVAL_MS,
    AskedMoment,
    Interval,
    Query,
    coin_of,
    venue_of,
)
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.rows.candles import Candle, CandleSeries
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Candles

MOST_CANDLES = 5_000
DEFAULT_CANDLES = 100
MOST_HOURS = 1e6
DEFAULT_VENUE = "hyperliquid"

# From the moment of the question to the times that candles must open in: from, and before.
Window = Callable[[int], tuple[int, int]]


@dataclass(slots=True)
class SeriesRead:
    """Candles of several venues. `now`: the moment each one's window was counted from, epoch ms."""

    found: Gathered
    now: dict[str, int] = field(default_factory=dict)

    @property
    def series(self) -> Sequence[CandleSeries]:
        """A series for each coin and venue that has one."""
        return self.found.rows


async def read_series(
    core: Core,
    venues: Sequence[Venue],
    coins: tuple[str, ...],
    interval: str,
    window: Window,
    notes: Sequence[dict[str, Any]] = (),
) -> SeriesRead:
    """Candles of a window that ends about now. Failures are notes, never raised.

    A recording counts as read at its own time, so its window is counted from there: it is asked
    twice, first for that time.
    """

    def options(now: int) -> dict[str, Any]:
        since, until = window(now)
        return {"interval": interval, "since_ms": since, "until_ms": until}

    async def read(asked: Sequence[Venue], now: int) -> Gathered:
        return await part(gather(core, Candles, asked, coins, options=options(now)))

    now = core.clock.now_ms() if core.pinned_now is None else core.pinned_now
    if core.upstream.kind != "replay" or core.pinned_now is not None:
        found, moments = await read(venues, now), dict.fromkeys((v.id for v in venues), now)
    else:
        parts, moments = [], {}
        for venue in venues:
            moments[venue.id] = await _recorded_at(core, venue, coins, options(now), now)
            parts.append(await read([venue], moments[venue.id]))
        found = merged(*parts)
    found.notes[:0] = notes
    return SeriesRead(found, moments)


async def _recorded_at(
    core: Core, venue: Venue, coins: tuple[str, ...], options: dict[str, Any], now: int
) -> int:
    """When a recorded answer was read, whatever candles it holds; `now` where there is none."""
    try:
        found = await gather(core, Candles, [venue], coins, options=options)
    except AllVenuesFailed as error:
        return int(error.meta["fetchedAt"])
    return found.fetched_at or now


def _venue(value: Any) -> str:
    if not isinstance(value, str):
        raise BadQuestion("venue", "a venue id was expected.", fits="for example hyperliquid")
    return venue_of(value, "venue").id


def hours_of(value: Any) -> float | None:
    """A span in hours, above 0; None where none is given. Raises `BadQuestion`."""
    try:
        hours = None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        hours = None
    if value is not None and (hours is None or not 0 < hours <= MOST_HOURS):
        fits = f"hours above 0, up to {MOST_HOURS:,.0f}"
        raise BadQuestion("hours", f"{str(value)[:40]!r} is no span.", fits=fits)
    return hours


class CandlesQuery(Query):
    """Which market, in which steps, over which time."""

    coin: Annotated[str, BeforeValidator(coin_of)] = Field(description="Ticker")
    venue: Annotated[str, BeforeValidator(_venue)] = Field(
        default_factory=lambda: DEFAULT_VENUE, description="Default hl"
    )
    interval: Interval = Field(default="1h", description="Length")
    hours: Annotated[float | None, BeforeValidator(hours_of)] = Field(
        default=None, description="Default: 100 candles"
    )
    sinceMs: AskedMoment = Field(  # noqa: N815 - as the specification names times
        default=None, description="Or start: ms, ISO, -24h"
    )
    untilMs: AskedMoment = Field(  # noqa: N815
        default=None, description="Default now"
    )

    def window(self, now_ms: int) -> tuple[int, int]:
        """The times that candles must open in, on the grid: from, and before.

        Raises `BadQuestion` for times that make no span, or one of more than 5,000 candles.
        """
        step = INTERVAL_MS[self.interval]
        if self.hours is not None and self.sinceMs is not None:
            raise BadQuestion("hours", "sinceMs says the same.", fits="one of the two")
        until = now_ms if self.untilMs is None else min(self.untilMs.at(now_ms), now_ms)
        end = _ceil(until, step)
        since = self._since(now_ms, until, end - DEFAULT_CANDLES * step)
        if since >= until:
            at_fault = "sinceMs" if self.sinceMs is not None else "untilMs"
            raise BadQuestion(at_fault, "no time lies between start and end.", fits="-24h to now")
        start = _ceil(since, step)
        if start >= end:
            raise BadQuestion(
                "interval",
                f"no candle of {self.interval} opens in that time.",
                fits="a shorter interval, or more time",
            )
        if (count := (end - start) // step) > MOST_CANDLES:
            raise BadQuestion(
                "interval",
                f"{count:,} candles are too many for one answer.",
                fits=f"up to {MOST_CANDLES:,}: a longer interval, or less time",
            )
        return start, end

    def _since(self, now_ms: int, until: int, default: int) -> int:
        if self.sinceMs is not None:
            return self.sinceMs.at(now_ms)
        if self.hours is not None:
            return max(until - round(self.hours * HOUR_MS), 0)
        return max(default, 0)


def _ceil(at_ms: int, step: int) -> int:
    return math.ceil(at_ms / step) * step


@dataclass(frozen=True, slots=True)
class CandlesAnswer:
    """The candles of one market."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    symbol: str = told("the venue's name of the market")
    market: str = told("perp or spot")
    quote: str = told("what prices are in: a dollar is not a USDT")
    interval: str = told("length of a candle")
    candles: Table[Candle] = told("oldest first; an interval without trades is absent")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    running: int | None = maybe("t of the candle whose interval is not over", brief=True)


@endpoint(
    "/markets/candles",
    title="Candles of one market",
    ttl=10,
    example={"coin": "BTC", "interval": "1h"},
    keeps="the newest",
    detail=False,
)
async def get_candles(core: Core, query: CandlesQuery) -> Answer[CandlesAnswer]:
    """Price history of a coin on one venue: OHLCV candles.

    The perpetual, else spot; for prices now use get_spot, totals get_points. t: opening time, v:
    coins, running: the unfinished one.
    """
    venues = (query.venue,)
    chosen = choose_venues(core, Candles, venues, argument="venue", many=False)
    coins = (query.coin,)
    read = await read_series(core, chosen.venues, coins, query.interval, query.window)
    found = read.found
    judge(core, found, chosen, coins, argument="coin", elsewhere=", or another venue")
    if not found.rows:
        raise _nothing(core, query, found)
    series: CandleSeries = found.rows[0]
    last = series.candles[-1] if series.candles else None
    over = core.moment(series.fetched_at)
    runs = last is not None and last.t + INTERVAL_MS[query.interval] > over
    data = CandlesAnswer(
        coin=series.coin,
        venue=series.venue,
        symbol=series.symbol,
        market=series.market,
        quote=series.quote,
        interval=series.interval,
        candles=Table(Candle, series.candles, matters=lambda candle: candle.t),
        fetched_at=series.fetched_at,
        running=last.t if last is not None and runs else None,
    )
    return Answer(data, meta_of(core, found), found.until)


def _nothing(core: Core, query: CandlesQuery, found: Gathered) -> AllVenuesFailed:
    """What to raise where the venue gave no series of a coin that it may list."""
    if not found.notes:
        reason = f"missing: no candles of {query.coin}"
        found.notes.append({"source": query.venue, "status": "missing", "reason": reason})
    meta = meta_of(core, found)
    meta["source"] = meta["source"] or prefixed(core, query.venue)
    meta["partial"] = True
    return AllVenuesFailed(found.notes, meta)
