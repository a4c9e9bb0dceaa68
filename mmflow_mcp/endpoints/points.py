"""One kind of number over many exchanges, by coin: `/points`, with the specification's words."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import gather
from mmflow_mcp.core.parts import merged, parts
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import Chosen, choose_venues, judge, meta_of
from mmflow_mcp.endpoints.candles import read_series
from mmflow_mcp.endpoints.composed import prefixed
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import (
    INTERVAL_MS,
    UNTOLD,
    Coins,
    Interval,
    Query,
    coins_of,
    venues_of,
)
from mmflow_mcp.endpoints.point_levels import funding_rows, interest_rows, spot_rows
from mmflow_mcp.endpoints.point_rows import NONE, SUM, PointRow, Reading
from mmflow_mcp.endpoints.point_shapes import (
    bar_rows,
    bar_window,
    book_rows,
    profile_rows,
    profile_window,
)
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.venues.candle_spans import MINUTE_MS
from mmflow_mcp.venues.capabilities import Candles, Funding, OpenInterest, OrderBooks, Spot

DEFAULT_COINS = ("BTC", "ETH", "SOL")
MAX_COINS, MAX_COINS_DEEP = 20, 5

OI, FUNDING, SPOT = "OI_AGG", "FUNDING_AGG", "SPOT"
BARS, PROFILE, BOOK = "TRADE_SIDE_AGNOSTIC_AGG", "TPO_AGG", "BLOCK_BOOK_SNAPSHOT_AGG"
CAPABILITY: dict[str, type] = {
    OI: OpenInterest,
    FUNDING: Funding,
    SPOT: Spot,
    BARS: Candles,
    PROFILE: Candles,
    BOOK: OrderBooks,
}
# The longer names of the vocabulary that the specification's are taken from.
_SAME_TYPE = {"OPEN_INTEREST_AGG": OI, "FUNDING_RATE_AGG": FUNDING}
# Which types a parameter says something about.
_MEANT_FOR = {
    "blockSize": (PROFILE, BOOK),
    "session": (PROFILE,),
    "bracketMinutes": (PROFILE,),
    "interval": (BARS,),
    "gapfill": (BARS,),
}
_BRACKETS = {5: "5m", 30: "30m", 60: "1h", 240: "4h"}
_GROUPS = {"SUM": SUM, "NONE": NONE, SUM: SUM, NONE: NONE}
GROUP_BY = "transform.groupBy.type"


def _type(value: Any) -> str:
    text = str(value).strip().upper()
    text = _SAME_TYPE.get(text, text)
    if text not in CAPABILITY:
        raise BadQuestion("type", f"{text[:40]!r} is unknown.", fits=", ".join(CAPABILITY))
    return text


def _exchanges(value: Any) -> tuple[str, ...]:
    found = venues_of(value, "exchange")
    if found is None:
        raise BadQuestion("exchange", "is required.", fits='["binance","bybit"] or "all"')
    return found


def _group(value: Any) -> str:
    text = str(value).strip().upper()
    if text not in _GROUPS:
        raise BadQuestion(GROUP_BY, f"{text[:40]!r} is unknown.", fits=f"{SUM}, {NONE}")
    return _GROUPS[text]


def _block(value: Any) -> float | None:
    try:
        width = None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        width = None
    if value is not None and (width is None or not 0 < width < math.inf):
        raise BadQuestion("blockSize", f"{str(value)[:40]!r} is no width.", fits="USD, above 0")
    return width


def _session(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in ("daily", "weekly", "monthly"):
        raise BadQuestion("session", f"{text[:40]!r} is unknown.", fits="daily, weekly, monthly")
    return text


def _brackets(value: Any) -> int:
    text = str(value).strip().removesuffix("m")
    if text not in {str(minutes) for minutes in _BRACKETS}:
        raise BadQuestion("bracketMinutes", f"{text[:40]!r} does not fit.", fits="5, 30, 60, 240")
    return int(text)


class PointsQuery(Query):
    """Which number, of which coins, on which exchanges, alone or folded."""

    model_config = ConfigDict(populate_by_name=True)

    type: Annotated[
        Literal[
            "OI_AGG",
            "FUNDING_AGG",
            "SPOT",
            "TRADE_SIDE_AGNOSTIC_AGG",
            "TPO_AGG",
            "BLOCK_BOOK_SNAPSHOT_AGG",
        ],
        BeforeValidator(_type),
    ] = Field(description="Which number")
    exchange: Annotated[
        tuple[str, ...], BeforeValidator(_exchanges, json_schema_input_type=list[str])
    ] = Field(description="Ids, or all")
    coin: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(lambda value: coins_of(value, "coin"), json_schema_input_type=str),
    ] = Field(default=None, description="Ticker", json_schema_extra=UNTOLD)
    coins: Coins = Field(default=None, description="Default BTC,ETH,SOL")
    groupBy: Annotated[str, BeforeValidator(_group)] = Field(  # noqa: N815 - a short name, too
        # A factory, so that the schema is not longer by what the description says.
        default_factory=lambda: NONE,
        alias="transform.groupBy.type",
        description=f"{SUM} folds exchanges",
    )
    blockSize: Annotated[float | None, BeforeValidator(_block)] = Field(  # noqa: N815
        default=None, description="USD; TPO, BOOK"
    )
    session: Annotated[Literal["daily", "weekly", "monthly"], BeforeValidator(_session)] = Field(
        default="daily", description="UTC; TPO"
    )
    bracketMinutes: Annotated[Literal[5, 30, 60, 240], BeforeValidator(_brackets)] = Field(  # noqa: N815
        default=30, description="TPO"
    )
    interval: Interval = Field(default="1h", description="TRADE")
    gapfill: bool | None = Field(
        default=None, description="TRADE: fill gaps", json_schema_extra=UNTOLD
    )

    @model_validator(mode="before")
    @classmethod
    def _one_group(cls, given: Any) -> Any:
        """The grouping by any of its names; several may be given, if they say the same.

        A model that takes the dots for members sends `{"transform": {"groupBy": {"type": ...}}}`.
        """
        if not isinstance(given, dict):
            return given
        found = dict(given)
        match found.get("transform"):
            case {"groupBy": {"type": value, **rest}, **others} if not (rest or others):
                found["groupBy"] = found.get("groupBy", value)
                said = [value]
                del found["transform"]
            case _:
                said = []
        said += [found[name] for name in (GROUP_BY, "groupBy") if name in found]
        if len({_group(one) for one in said}) > 1:
            raise BadQuestion("groupBy", f"{GROUP_BY} says something else.", fits="one of them")
        if GROUP_BY in found:
            found.pop("groupBy", None)
        return found

    @model_validator(mode="after")
    def _judge(self) -> "PointsQuery":
        for name, types in _MEANT_FOR.items():
            # Who sends what holds anyway has not asked for anything.
            usual = type(self).model_fields[name].get_default()
            if getattr(self, name) != usual and self.type not in types:
                raise BadQuestion(name, f"says nothing about {self.type}.", fits=", ".join(types))
        most = MAX_COINS_DEEP if self.type in (PROFILE, BOOK) else MAX_COINS
        if len(self.tickers) > most:
            raise BadQuestion(
                "coins",
                f"{len(self.tickers)} coins are too many for {self.type}.",
                fits=f"up to {most} coins",
            )
        if (self.session, self.bracketMinutes) == ("monthly", 5):
            raise BadQuestion("bracketMinutes", "5 is too fine for a month.", fits="30, 60, 240")
        return self

    @property
    def asked(self) -> tuple[str, ...] | None:
        """The coins that were named, by either parameter."""
        return tuple(dict.fromkeys((*(self.coin or ()), *(self.coins or ())))) or None

    @property
    def tickers(self) -> tuple[str, ...]:
        """The coins that are asked for."""
        return self.asked or DEFAULT_COINS

    @property
    def folded(self) -> bool:
        """Whether exchanges become one row."""
        return self.groupBy == SUM


@dataclass(frozen=True, slots=True)
class PointsAnswer:
    """Rows of one type."""

    type: str = told("as asked")
    exchanges: tuple[str, ...] = told("who was asked")
    group_by: str = told("GROUP_BY_TYPE_NONE or GROUP_BY_TYPE_SUM")
    unit: str | None = told("of value, or where it is told")
    rows: Table[PointRow] = told("by coin and exchange")
    interval: str | None = maybe("length of a bar", brief=True)
    session: str | None = maybe("daily, weekly or monthly: the running one, UTC", brief=True)
    bracket_minutes: int | None = maybe("length of a bracket", brief=True)


@endpoint(
    "/points",
    title="One number over many exchanges",
    ttl=15,
    example={
        "type": "OI_AGG",
        "exchange": ["binance", "bybit"],
        "coin": "BTC",
        GROUP_BY: SUM,
    },
    keeps="the largest",
    detail=False,
)
async def get_points(core: Core, query: PointsQuery) -> Answer[PointsAnswer]:
    """Totals over exchanges: OI, funding, price, last OHLCV bar, market profile, book blocks.

    By venue use get_oi, get_funding, get_spot; history get_candles. SUM: OI in USD, funding
    weighted by it (per 8 h), median price. partial: one is missing.
    """
    everyone = query.exchange == ("all",)
    chosen = choose_venues(core, CAPABILITY[query.type], query.exchange, argument="exchange")
    reading = await _read(core, query, chosen, everyone=everyone)
    if not reading.whole.answered:
        raise AllVenuesFailed(reading.whole.notes, _meta(reading, partial=True))
    argument = "coin" if query.coin and not query.coins else "coins"
    elsewhere = " or exchange=all to look everywhere"
    judge(core, reading.whole, chosen, query.asked, argument=argument, elsewhere=elsewhere)
    rows = _ROWS[query.type](reading, query)
    ids = tuple(venue.id for venue in chosen.venues) if everyone else query.exchange
    ranked = query.type in (OI, FUNDING)
    data = PointsAnswer(
        type=query.type,
        exchanges=ids,
        group_by=query.groupBy,
        unit=_unit(rows),
        rows=Table(PointRow, rows, matters=_size if ranked else lambda _: 0.0, sparse=True),
        interval=query.interval if query.type == BARS else None,
        session=query.session if query.type == PROFILE else None,
        bracket_minutes=query.bracketMinutes if query.type == PROFILE else None,
    )
    return Answer(data, _meta(reading), reading.whole.until)


def _size(row: PointRow) -> float:
    return abs(row.value or 0.0)


def _unit(rows: list[PointRow]) -> str | None:
    units = {row.unit for row in rows}
    return "as quoted: meta.quotes" if len(units) > 1 else next(iter(units), None)


def _meta(reading: Reading, *, partial: bool = False) -> dict[str, Any]:
    meta = meta_of(reading.core, reading.whole, **reading.told)
    meta["source"] = prefixed(reading.core, f"points:{reading.type.lower()}")
    meta["partial"] = meta["partial"] or partial
    return meta


async def _read(core: Core, query: PointsQuery, chosen: Chosen, *, everyone: bool) -> Reading:
    """Put the question to the venues; of funding that is folded, its weights with it."""
    coins, kind = query.tickers, query.type

    def reading(rows: Any, whole: Any, **more: Any) -> Reading:
        return Reading(core, kind, coins, chosen, everyone, rows, whole, **more)

    if kind in (BARS, PROFILE):
        interval = _BRACKETS[query.bracketMinutes] if kind == PROFILE else query.interval
        read = await read_series(
            core, chosen.venues, coins, interval, _window(query), notes=chosen.notes
        )
        return reading(read.series, read.found, now=read.now)
    asked = [gather(core, CAPABILITY[kind], chosen.venues, coins, notes=chosen.notes)]
    if kind == FUNDING and query.folded:
        able = [venue for venue in chosen.venues if isinstance(venue, OpenInterest)]
        asked += [gather(core, OpenInterest, able, coins)] if able else []
    main, *weights = await parts(*asked)
    whole = merged(main, *weights)
    # What is listed and answered is judged by the question, not by its weights.
    whole.rows, whole.answered = main.rows, main.answered
    whole.not_listed, whole.universe = main.not_listed, main.universe
    return reading(main.rows, whole, weights=[row for found in weights for row in found.rows])


def _window(query: PointsQuery) -> Callable[[int], tuple[int, int]]:
    if query.type == BARS:
        return bar_window(INTERVAL_MS[query.interval], gapfill=bool(query.gapfill))
    return profile_window(query.session, query.bracketMinutes * MINUTE_MS)


_ROWS: dict[str, Callable[[Reading, PointsQuery], list[PointRow]]] = {
    OI: lambda reading, query: interest_rows(reading, folded=query.folded),
    FUNDING: lambda reading, query: funding_rows(reading, folded=query.folded),
    SPOT: lambda reading, query: spot_rows(reading, folded=query.folded),
    BARS: lambda reading, query: bar_rows(
        reading, INTERVAL_MS[query.interval], gapfill=bool(query.gapfill), folded=query.folded
    ),
    PROFILE: lambda reading, query: profile_rows(
        reading, query.session, query.blockSize, folded=query.folded
    ),
    BOOK: lambda reading, query: book_rows(reading, query.blockSize, folded=query.folded),
}
