"""Options: the chain, dealer gamma exposure and the volatility surface."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.analytics.gex import GammaExposure, StrikeExposure, Wall, gamma_exposure
from mmflow_mcp.analytics.skew import SmilePoint, TermRow, smiles
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import Query, coin_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows import OptionChain, OptionRow, told
from mmflow_mcp.venues.capabilities import OptionChains

UNDERLYINGS = ("BTC", "ETH", "SOL", "XRP")


def _underlying(value: Any) -> str:
    coin = coin_of(value)
    if coin not in UNDERLYINGS:
        raise BadQuestion(
            "underlying", f"{coin!r} has no option chain here.", fits=", ".join(UNDERLYINGS)
        )
    return coin


class UnderlyingQuery(Query):
    """Whose options."""

    underlying: Annotated[Literal["BTC", "ETH", "SOL", "XRP"], BeforeValidator(_underlying)] = (
        Field(description="BTC, ETH, SOL or XRP")
    )


class ChainQuery(UnderlyingQuery):
    """Whose options."""


class GexQuery(UnderlyingQuery):
    """Whose options."""


class SkewQuery(UnderlyingQuery):
    """Whose options."""


@dataclass(frozen=True, slots=True)
class GexAnswer:
    """Dealer gamma exposure of one underlying."""

    underlying: str = told("as asked")
    spot: float = told("index price, USD")
    total_gex: float = told("all strikes, USD per 1 % move; calls +, puts -", digits="usd")
    call_wall: Wall | None = told("strike with the largest positive gex")
    put_wall: Wall | None = told("strike with the most negative gex")
    gamma_flip: float | None = told("price at which total gex changes sign, USD", digits="usd")
    gamma_flip_method: str | None = told("reprice, cumulative or null")
    convention: str = told("calls+puts-: an assumption about dealers, not their known position")
    absolute_gex: float = told("the same with puts counted +", digits="usd")
    max_pain: float | None = told("strike at which holders receive least, USD")
    strikes: Table[StrikeExposure] = told("by strike, ascending")
    fetched_at: int = told("when the chain was read, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class SkewAnswer:
    """The volatility surface of one underlying."""

    underlying: str = told("as asked")
    spot: float = told("index price, USD", brief=True)
    smile_by_expiry: dict[str, Table[SmilePoint]] = told("expiry label -> out-of-the-money smile")
    term_structure: Table[TermRow] = told("by expiry, ascending", budgeted=False)
    fetched_at: int = told("when the chain was read, epoch ms", brief=False)


async def _chain(core: Core, underlying: str) -> tuple[OptionChain, Gathered]:
    """The chain of an underlying; empty, not an error, where the venue lists none now."""
    found = await ask_venues(core, OptionChains, None, (underlying,), default=("deribit",))
    for chain in found.rows:
        return chain, found
    at = found.fetched_at or core.clock.now_ms()
    return OptionChain(underlying, (), None, at), found


def _spot(chain: OptionChain) -> tuple[float | None, str | None]:
    """The index price; where none can be had the nearest forward, and the words to say so."""
    if chain.index_price is not None:
        return chain.index_price, None
    quoted = [row for row in chain.rows if row.underlying_price is not None]
    if not quoted:
        return None, None
    nearest = min(quoted, key=lambda row: row.expiry_ms)
    return nearest.underlying_price, "forward of the nearest expiry (no index price)"


@endpoint(
    "/options/chain",
    title="Option chain",
    ttl=30,
    example={"underlying": "BTC"},
    keeps="the largest open interest",
)
async def get_option_chain(core: Core, query: ChainQuery) -> Answer[Table[OptionRow]]:
    """Every listed option of an underlying: open interest, volatility, mark.

    Single options on Deribit; for walls use get_gex, for volatility get_skew. oi in coins, markIv
    in percent, markPrice in coins (BTC, ETH) or USDC (SOL, XRP), underlyingPrice the forward, USD.
    """
    chain, found = await _chain(core, query.underlying)
    return Answer(
        Table(OptionRow, chain.rows, matters=lambda row: row.oi or 0.0),
        meta_of(core, found),
        found.until,
    )


@endpoint(
    "/options/gex",
    title="Dealer gamma exposure",
    ttl=30,
    example={"underlying": "BTC"},
    keeps="strikes of largest absolute gex",
    limit=40,
    detail=False,
)
async def get_gex(core: Core, query: GexQuery) -> Answer[GexAnswer]:
    """Dealer gamma exposure (GEX) by strike, call and put wall, gamma flip.

    Where hedging damps (above gammaFlip) or amplifies moves (below); for volatility use get_skew.
    gex: USD of delta change per 1 % move, calls +, puts -: an assumption, not dealers' known
    position. Walls: the most positive and the most negative strike.
    """
    chain, found = await _chain(core, query.underlying)
    spot, instead = _spot(chain)
    now = core.moment(chain.fetched_at)
    surface = gamma_exposure(chain, spot=spot or 0.0, now_ms=now)
    found.partial = found.partial or surface.partial
    meta = meta_of(core, found, spot=instead, rowsSkipped=surface.rows_skipped)
    return Answer(_gex_answer(surface, spot, chain.fetched_at), meta, found.until)


def _gex_answer(surface: GammaExposure, spot: float | None, fetched_at: int) -> GexAnswer:
    return GexAnswer(
        underlying=surface.underlying,
        spot=spot,  # type: ignore[arg-type]
        total_gex=surface.total_gex,
        call_wall=surface.call_wall,
        put_wall=surface.put_wall,
        gamma_flip=surface.gamma_flip,
        gamma_flip_method=surface.gamma_flip_method,
        convention=surface.convention,
        absolute_gex=surface.absolute_gex,
        max_pain=surface.max_pain,
        strikes=Table(StrikeExposure, surface.strikes, matters=lambda row: abs(row.gex)),
        fetched_at=fetched_at,
    )


@endpoint(
    "/options/skew",
    title="Volatility smile and term structure",
    ttl=30,
    example={"underlying": "BTC"},
    keeps="nearest the money of each expiry",
    limit=60,
)
async def get_skew(core: Core, query: SkewQuery) -> Answer[SkewAnswer]:
    """Implied volatility: smile by expiry and term structure at the money.

    For skew and its price; for open interest and gamma use get_gex. iv, atmIv: fractions (0.48 =
    48 %). moneyness: strike / spot. riskReversal25: call - put (negative: puts dearer);
    butterfly25: wings - atm.
    """
    chain, found = await _chain(core, query.underlying)
    spot, instead = _spot(chain)
    now = core.moment(chain.fetched_at)
    surface = smiles(chain, spot=spot or 0.0, now_ms=now)
    found.partial = found.partial or surface.partial
    data = SkewAnswer(
        underlying=chain.underlying,
        spot=spot,  # type: ignore[arg-type]
        smile_by_expiry={
            label: Table(SmilePoint, points, matters=_nearness(points))
            for label, points in surface.smile_by_expiry.items()
        },
        term_structure=Table(TermRow, surface.term_structure, matters=lambda row: -row.dte_days),
        fetched_at=chain.fetched_at,
    )
    meta = meta_of(core, found, spot=instead, rowsSkipped=surface.rows_skipped)
    return Answer(data, meta, found.until)


def _nearness(points: tuple[SmilePoint, ...]) -> Any:
    """Rank inside one expiry: 0 nearest the money, so that a budget takes from every expiry."""
    ordered = sorted(points, key=lambda p: abs(p.forward_moneyness - 1))
    rank = {p.strike: -float(i) for i, p in enumerate(ordered)}
    return lambda p: rank[p.strike]
