"""The venue catalogue, and what each venue lists."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, choose_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import Query, venue_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows import MarketRow, maybe, told
from mmflow_mcp.rows.predictions import PredictionPage, PredictionRow
from mmflow_mcp.venues import capabilities, listed, roll
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Markets, Predictions
from mmflow_mcp.venues.predictions import DEPTH


def _exchange(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadQuestion(
            "exchange", "a venue id was expected.", fits=", ".join(v.id for v in listed())
        )
    return venue_of(value, "exchange").id


class MarketsQuery(Query):
    """Which venue's markets, and which page of them."""

    exchange: Annotated[str | None, BeforeValidator(_exchange)] = Field(
        default=None, description="Venue id. Left out: the catalogue"
    )
    pageSize: int = Field(  # noqa: N815 - the specification's name
        default=50, ge=1, le=500, description="Markets per page"
    )
    page: int = Field(default=0, ge=0, le=100_000, description="From 0")


@dataclass(frozen=True, slots=True)
class VenueRow:
    """One venue of the catalogue."""

    id: str = told("the id that other tools take")
    name: str = told("display name", brief=False)
    kind: str = told("cex, dex, prediction or tradfi")
    status: str = told("live, planned or closed")
    can: tuple[str, ...] = told("what can be asked of it here")
    capabilities: dict[str, bool] = told("the same, as flags", brief=False)
    data_source: str = told("where the data come from", brief=False)
    notes: tuple[str, ...] | None = maybe("what a reader of its numbers must know")


@dataclass(frozen=True, slots=True)
class MarketsAnswer:
    """The catalogue, or one venue and a page of its markets."""

    venues: Table[VenueRow] = told("the venues")
    exchange: str | None = maybe("the venue that was asked for", brief=True)
    markets: Table[MarketRow] | Table[PredictionRow] | None = maybe(
        "this page of its markets: perpetuals first, then by symbol; predictions most traded first"
        " (kalshi: those on coins, then its own order)",
        brief=True,
    )
    page: int | None = maybe("this page, from 0", brief=True)
    page_size: int | None = maybe("markets per page", brief=True)
    total: int | None = maybe(
        "markets in all; null where the venue does not tell it, as no prediction venue does: they"
        " are counted once the last page was seen",
        brief=True,
    )
    more: bool | None = maybe("whether a next page may hold more", brief=True)


@dataclass(frozen=True, slots=True)
class PredictionsAnswer(MarketsAnswer):
    """The same of a prediction venue: an unknown `total` is there, as null."""

    total: int | None = field(kw_only=True, metadata={"description": "markets in all, or null"})


def venue_row(venue: Venue) -> VenueRow:
    """A venue as the catalogue shows it."""
    flags = capabilities(venue)
    return VenueRow(
        id=venue.id,
        name=venue.name,
        kind=venue.kind,
        status=venue.status,
        can=tuple(name for name, able in flags.items() if able),
        capabilities=flags,
        data_source=venue.data_source,
        notes=venue.notes or None,
    )


def _venues(venues: list[Venue]) -> Table[VenueRow]:
    return Table(VenueRow, [venue_row(v) for v in venues], matters=lambda _: 0.0)


@endpoint(
    "/markets",
    title="Venue catalogue and market discovery",
    ttl=60,
    example={},
    keeps="a page of pageSize markets",
    limit=500,
    budget="pageSize",
)
async def get_markets(core: Core, query: MarketsQuery) -> Answer[MarketsAnswer]:
    """The venues that can be asked and what each can answer; with exchange, what it lists.

    For ids, capabilities and symbols; it holds no prices but probabilities (0..1) of prediction
    markets (polymarket, kalshi), whose labels outsiders wrote. coin: null for what is none.
    """
    if query.exchange is None:
        meta = {
            "fetchedAt": core.clock.now_ms(),
            "source": "mmflow:catalogue",
            "partial": False,
            "sources": [],
        }
        return Answer(MarketsAnswer(_venues(listed())), meta)
    venue = roll()[query.exchange]
    if not isinstance(venue, Markets | Predictions):
        able = ", ".join(v.id for v in listed() if isinstance(v, Markets | Predictions))
        raise BadQuestion("exchange", f"{venue.id} lists no markets here.", fits=able)
    # One a question: what an error says would fit is not `all`.
    choose_venues(core, (Markets, Predictions), (venue.id,), argument="exchange", many=False)
    if isinstance(venue, Predictions):
        return await _list_predictions(core, query, venue)
    found = await ask_venues(core, Markets, (venue.id,), None, default=(venue.id,), whole=True)
    rows = sorted(found.rows, key=lambda row: (row.kind != "perp", row.symbol))
    start = query.page * query.pageSize
    page = rows[start : start + query.pageSize]
    data = MarketsAnswer(
        venues=_venues([venue]),
        exchange=venue.id,
        markets=Table(MarketRow, page, matters=lambda _: 0.0),
        page=query.page,
        page_size=query.pageSize,
        total=len(rows),
        more=start + query.pageSize < len(rows),
    )
    return Answer(data, meta_of(core, found), found.until)


async def _list_predictions(core: Core, query: MarketsQuery, venue: Venue) -> Answer[MarketsAnswer]:
    """A page of a list that is too long to be read whole."""
    start, count = query.page * query.pageSize, query.pageSize
    if start + count > DEPTH:
        raise BadQuestion(
            "page",
            f"{venue.id} has more markets than can be paged through: the first {DEPTH} can.",
            fits=f"0 to {DEPTH // count - 1} with pageSize {count}",
        )
    found = await ask_venues(
        core,
        Predictions,
        (venue.id,),
        None,
        default=(venue.id,),
        options={"start": start, "count": count},
    )
    pages: list[PredictionPage] = found.rows
    rows = [row for page in pages for row in page.rows]
    data = PredictionsAnswer(
        venues=_venues([venue]),
        exchange=venue.id,
        markets=Table(PredictionRow, rows, matters=lambda _: 0.0),
        page=query.page,
        page_size=count,
        total=next((page.total for page in pages), None),
        more=any(page.more for page in pages),
    )
    return Answer(data, meta_of(core, found), found.until)
