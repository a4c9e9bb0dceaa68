"""Live: large prints so far, and streams of prints and funding changes.

A stream is declared once: `events` yields what happens, and every face tells it in its own way: as
Server-Sent Events, as a tool that watches for a while, as a resource that changes.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import anyio
from pydantic import BeforeValidator, Field

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import PROGRESS, gather
from mmflow_mcp.core.parts import part
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import refuse_unknown
from mmflow_mcp.endpoints.composed import fleet_note, prefixed
from mmflow_mcp.endpoints.declare import Live, endpoint
from mmflow_mcp.endpoints.params import AskedMoment, Coins, Query, coin_of
from mmflow_mcp.errors import AllVenuesFailed, NothingImplemented
from mmflow_mcp.rows import told
from mmflow_mcp.rows.live import FundingChangeRow, TradeRow, WhaleRow
from mmflow_mcp.rows.tape import FundingChange, TapePrint
from mmflow_mcp.tape.board import Batch, Queue
from mmflow_mcp.tape.hub import CONTEXTS, MAIN_COINS, TRADES
from mmflow_mcp.tape.readings import Seen, recent_prints
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Funding

VENUE = "hyperliquid"
WHALE_USD = 100_000.0
MOST_SECONDS = 55
# An empty list after less than this says little.
LISTENED_MS = 300_000

Kind = TypeVar("Kind", bound="Watched")


def _coin(value: Any) -> str | None:
    return None if value is None or value == "" else coin_of(value)


MaybeCoin = Annotated[str | None, BeforeValidator(_coin, json_schema_input_type=str)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class WhalesQuery(Query):
    """Which prints."""

    minUsd: Usd = Field(default=WHALE_USD, description="Least notional, USD")  # noqa: N815
    coin: MaybeCoin = Field(default=None, description="Ticker. Left out: all")
    sinceMs: AskedMoment = Field(  # noqa: N815 - the specification's name
        default=None, description="ms, ISO or -15m"
    )
    limit: int = Field(default=200, ge=1, le=1000, description="Most prints")


class WatchQuery(Query):
    """For how long, and how much at most."""

    seconds: float = Field(
        default=20, ge=0.2, le=MOST_SECONDS, allow_inf_nan=False, description="How long"
    )
    maxEvents: int = Field(  # noqa: N815 - beside minUsd
        default=50, ge=1, le=1000, description="Ends it sooner"
    )


class WatchWhalesQuery(WatchQuery):
    """Which prints."""

    minUsd: Usd = Field(default=WHALE_USD, description="Least notional, USD")  # noqa: N815
    coin: MaybeCoin = Field(default=None, description="Ticker. Left out: all")


class WatchTradesQuery(WatchQuery):
    """Whose prints."""

    coin: Annotated[str, BeforeValidator(coin_of)] = Field(description="Ticker")
    minUsd: Usd = Field(default=0, description="Least notional, USD")  # noqa: N815


class WatchFundingQuery(WatchQuery):
    """Whose rates, and how far they must move."""

    coins: Coins = Field(default=None, description="Tickers. Left out: all")
    minDeltaBps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(  # noqa: N815
        default=0.5, description="Least move, bps per period"
    )


@dataclass(frozen=True, slots=True)
class Watched:
    """What happened while it was watched."""

    events: Table[Any] = told("in order of arrival", budgeted=False)
    seconds: float = told("how long it was watched", digits="percent")
    ended: str = told("why: seconds, maxEvents or closed")
    lost: int = told("events lost because we were too slow; 0 is the rule", brief=False)
    fetched_at: int = told("when it ended, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class WatchedWhales(Watched):
    """Large prints."""

    events: Table[WhaleRow] = told("in order of arrival", budgeted=False)


@dataclass(frozen=True, slots=True)
class WatchedTrades(Watched):
    """Prints of one coin."""

    events: Table[TradeRow] = told("in order of arrival", budgeted=False)


@dataclass(frozen=True, slots=True)
class WatchedFunding(Watched):
    """Changes of rates."""

    events: Table[FundingChangeRow] = told("in order of arrival", budgeted=False)


def whale_row(one: TapePrint) -> WhaleRow:
    """A print as the whale endpoints tell it."""
    return WhaleRow(one.coin, one.side, one.usd, one.price, one.ts, one.venue, one.size)


def trade_row(one: TapePrint) -> TradeRow:
    """A print as the trade stream tells it."""
    return TradeRow(one.coin, one.side, one.price, one.size, one.usd, one.ts, one.venue)


def change_row(one: FundingChange) -> FundingChangeRow:
    """A change as the funding stream tells it."""
    return FundingChangeRow(
        one.coin, one.rate, one.period_hours, one.prev_rate, one.delta, one.ts, one.venue
    )


def _asked(core: Core) -> Venue:
    """The venue of the tape. Raises `NothingImplemented` where it is switched off."""
    if VENUE in core.venues_off:
        said = f"Nothing here can answer this: only {VENUE} has a tape, and it is switched off."
        raise NothingImplemented(said)
    return roll()[VENUE]


async def _refuse_unlisted(core: Core, coins: tuple[str, ...], argument: str) -> None:
    """A coin that the venue does not list will never print."""
    venue = _asked(core)
    found = await part(gather(core, Funding, [venue], coins))
    refuse_unknown(found, coins, [venue], argument, elsewhere="")


@endpoint(
    "/perps/whales",
    title="Whale tape",
    ttl=2,
    example={"minUsd": 50000},
    keeps="the newest",
    limit=50,
    detail=False,
)
async def get_whales(core: Core, query: WhalesQuery) -> Answer[Table[WhaleRow]]:
    """Large prints on Hyperliquid, newest first.

    To wait for the next ones use watch_whales. side: the taker's. Complete for meta.covered only.
    """
    coins = (query.coin,) if query.coin else None
    if coins:
        await _refuse_unlisted(core, coins, "coin")
    else:
        _asked(core)
    await core.whales.restore(core)
    now = core.tape.now_ms() or core.clock.now_ms()
    since = query.sinceMs.at(now) if query.sinceMs else None

    def look() -> Seen:
        return recent_prints(core.tape, VENUE, query.coin, query.minUsd, since, query.limit)

    seen = look()
    short: list[str] = []
    if seen.since is None:
        # A cold start: what the venue itself still tells of its newest trades.
        short = await core.tape.fill(VENUE, coins or MAIN_COINS)
        seen = look()
    rows = [whale_row(one) for one in seen.prints]
    meta = _meta_of(core, seen, since, short)
    if not rows and seen.since is None and short and not short[0].startswith("missing"):
        meta["sources"] = [{"source": VENUE, "status": "error", "reason": short[0]}]
        raise AllVenuesFailed(meta["sources"], meta)
    return Answer(Table(WhaleRow, rows, matters=lambda row: float(row.ts)), meta)


def _meta_of(core: Core, seen: Seen, since: int | None, short: Sequence[str]) -> dict[str, Any]:
    now = core.clock.now_ms()
    wanted = now - LISTENED_MS if since is None else since
    late = seen.since is None or seen.since > wanted
    notes = []
    reason = seen.reason or next(iter(short), None)
    if late or seen.reason or seen.gaps:
        said = reason or _listened(seen, now)
        notes.append({"source": VENUE, "status": "missing", "reason": said})
    meta: dict[str, Any] = {
        "fetchedAt": now,
        "source": prefixed(core, f"{VENUE}:whale-tape"),
        "partial": bool(notes),
        "sources": notes,
        "covered": {"since": seen.since, "until": seen.until},
        **fleet_note(core),
    }
    if seen.gaps:
        meta["covered"]["gaps"] = [[gap.since, gap.until] for gap in seen.gaps[-10:]]
    if seen.total > len(seen.prints):
        meta["total"] = seen.total
    return meta


def _listened(seen: Seen, now: int) -> str:
    if seen.since is None:
        return "missing: the tape has only begun to listen"
    seconds = max(0, now - seen.since) // 1000
    if seen.gaps:
        return f"missing: {len(seen.gaps)} gaps in the {seconds} s that the tape has listened"
    return f"missing: the tape has listened for {seconds} s"


@dataclass(slots=True)
class _Collected:
    """What a watch has gathered."""

    items: list[Any] = field(default_factory=list)
    lost: int = 0
    ended: str = "seconds"


async def _collect(queue: Queue[Any], query: WatchQuery) -> tuple[_Collected, float]:
    """Events until the time is over, enough have come, or the tape ends; tells progress."""
    found = _Collected()
    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tell, query.seconds, found)
        with anyio.move_on_after(query.seconds):
            while len(found.items) < query.maxEvents:
                batch: Batch[Any] = await queue.batch()
                found.lost += batch.lost
                found.items += batch.items
                if queue.closed:
                    found.ended = "closed"
                    break
            else:
                found.ended = "maxEvents"
        tasks.cancel_scope.cancel()
    del found.items[query.maxEvents :]
    return found, anyio.current_time() - started


async def _tell(seconds: float, found: _Collected) -> None:
    """Progress once a second, where somebody wants it."""
    progress = PROGRESS.get()
    if progress is None:
        return
    tell = progress.part(math.ceil(seconds))
    for _ in range(math.ceil(seconds)):
        await anyio.sleep(1)
        await tell(f"{len(found.items)} events")


async def _watched(
    core: Core,
    query: WatchQuery,
    queue: Queue[Any],
    row: Callable[[Any], Any],
    answer: type[Kind],
    channel: str,
) -> Answer[Kind]:
    found, spent = await _collect(queue, query)
    rows = [row(one) for one in found.items]
    now = core.clock.now_ms()
    feed = core.tape.feed(VENUE, channel)
    reason = feed.state.reason if feed is not None else "closed: the tape has ended"
    notes = [{"source": VENUE, "status": "missing", "reason": reason}] if reason else []
    meta = {
        "fetchedAt": now,
        "source": prefixed(core, f"{VENUE}:{channel}"),
        "partial": bool(notes) or found.lost > 0,
        "sources": notes,
        **fleet_note(core),
    }
    kind = get_args(get_type_hints(answer)["events"])[0]
    data = answer(
        events=Table(kind, rows, matters=lambda one: float(one.ts)),
        seconds=spent,
        ended=found.ended,
        lost=found.lost,
        fetched_at=now,
    )
    return Answer(data, meta)


def _listen_whales(core: Core, query: WatchWhalesQuery) -> AbstractContextManager[Queue[Any]]:
    coins = (query.coin,) if query.coin else None
    return core.tape.listen(VENUE, coins, query.minUsd)


def _listen_trades(core: Core, query: WatchTradesQuery) -> AbstractContextManager[Queue[Any]]:
    return core.tape.listen(VENUE, (query.coin,), query.minUsd)


def _listen_funding(core: Core, query: WatchFundingQuery) -> AbstractContextManager[Queue[Any]]:
    return core.tape.listen_funding(VENUE, query.coins, query.minDeltaBps)


def _named(query: Any) -> tuple[str, ...]:
    return tuple(getattr(query, "coins", None) or filter(None, (getattr(query, "coin", None),)))


async def check_stream(core: Core, query: Any) -> None:
    """Refuse a stream that could never tell anything: `BadQuestion`, `NothingImplemented`."""
    _asked(core)
    if named := _named(query):
        await _refuse_unlisted(core, named, "coins" if hasattr(query, "coins") else "coin")


@endpoint(
    "/streams/whales",
    title="Watch large prints",
    ttl=0,
    example={"minUsd": 50000, "seconds": 1},
    keeps="",
    budget="",
    detail=False,
    live=Live("whale", _listen_whales, whale_row, heartbeat=15),
)
async def watch_whales(core: Core, query: WatchWhalesQuery) -> Answer[WatchedWhales]:
    """Wait for large prints on Hyperliquid and tell them.

    For those before use get_whales.
    """
    await check_stream(core, query)
    with _listen_whales(core, query) as queue:
        return await _watched(core, query, queue, whale_row, WatchedWhales, TRADES)


@endpoint(
    "/streams/trades",
    title="Watch prints of a coin",
    ttl=0,
    example={"coin": "BTC", "seconds": 1},
    keeps="",
    budget="",
    detail=False,
    live=Live("trade", _listen_trades, trade_row, heartbeat=15),
)
async def watch_trades(core: Core, query: WatchTradesQuery) -> Answer[WatchedTrades]:
    """Wait for prints of one coin on Hyperliquid and tell them, of any size.

    For large ones of all coins use watch_whales.
    """
    await check_stream(core, query)
    with _listen_trades(core, query) as queue:
        return await _watched(core, query, queue, trade_row, WatchedTrades, TRADES)


@endpoint(
    "/streams/funding",
    title="Watch funding changes",
    ttl=0,
    example={"coins": ["BTC", "ETH"], "seconds": 1},
    keeps="",
    budget="",
    detail=False,
    live=Live("funding", _listen_funding, change_row, heartbeat=30),
)
async def watch_funding(core: Core, query: WatchFundingQuery) -> Answer[WatchedFunding]:
    """Wait for funding rates on Hyperliquid to move and tell the changes.

    For rates now use get_funding.
    """
    await check_stream(core, query)
    with _listen_funding(core, query) as queue:
        return await _watched(core, query, queue, change_row, WatchedFunding, CONTEXTS)
