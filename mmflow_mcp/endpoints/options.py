"""Options: the chain, dealer gamma exposure and the volatility surface."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.analytics.gex import StrikeExposure, Wall, gamma_exposure
from mmflow_mcp.analytics.skew import SmilePoint, TermRow, smiles
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import Query, coin_of
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows import OptionChain, OptionRow, told
from mmflow_mcp.venues.capabilities import OptionChains

UNDERLYINGS = ("BTC", "ETH", "SOL", "XRP")


def _underlying(value: Any) -> str:
    coin = coin_of(value, "underlying", ", ".join(UNDERLYINGS))
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


@dataclass(frozen=True, slots=True)
class GexAnswer:
    """Dealer gamma exposure of one underlying."""

    underlying: str = told("as asked")
    spot: float | None = told("index price, USD; null for an empty chain")
    total_gex: float = told("all strikes, USD per 1 % move; calls +, puts -", digits="usd")
    call_wall: Wall | None = told("strike with the largest positive gex")
    put_wall: Wall | None = told("strike with the most negative gex")
    gamma_flip: float | None = told(
        "price nearest to spot at which total gex changes sign, either way, USD", digits="mean"
    )
    gamma_flip_method: str | None = told(
        "reprice; cumulative: total gex keeps its sign within 30 % of spot, and the flip is where"
        " its running sum over strikes changes; or null"
    )
    convention: str = told("calls+puts-: an assumption about dealers, not their known position")
    absolute_gex: float = told("the same with puts counted +", digits="usd")
    max_pain: float | None = told("strike at which holders receive least, USD")
    strikes: Table[StrikeExposure] = told("by strike, ascending")
    fetched_at: int = told("when the chain was read, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class SkewAnswer:
    """The volatility surface of one underlying."""

    underlying: str = told("as asked")
    spot: float | None = told("index price, USD; null for an empty chain")
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


# A venue now and then lacks a figure of an option; past this share it has changed its format.
TOLERATED = 0.2


def _lacking(chain: OptionChain) -> list[str]:
    """What is missing from too many options of a chain to be a quirk of a few."""
    return [
        f"{missing} of {len(chain.rows)} options have no {words}"
        for name, words in (
            ("oi", "open interest"),
            ("mark_iv", "volatility"),
            ("underlying_price", "forward"),
        )
        if (missing := sum(getattr(row, name) is None for row in chain.rows))
        > TOLERATED * len(chain.rows)
    ]


def _note(core: Core, found: Gathered, reasons: list[str], *, fatal: bool) -> None:
    """Say in `meta` what the chain lacks; a surface that is made of nothing is an error."""
    if reasons or fatal:
        reason = "changed: " + ("; ".join(reasons) or "no option could be valued")
        found.notes.append({"source": "deribit", "status": "error", "reason": reason})
        found.partial = True
    if fatal:
        raise AllVenuesFailed(found.notes, meta_of(core, found))


def _spot(chain: OptionChain) -> tuple[float | None, str | None]:
    """The index price; where none can be had the nearest forward, and the words to say so."""
    if chain.index_price is not None:
        return chain.index_price, None
    quoted = [row for row in chain.rows if row.underlying_price is not None]
    if not quoted:
        return None, None
    nearest = min(quoted, key=lambda row: row.expiry_ms)
    return nearest.underlying_price, "forward of the nearest expiry (no index price)"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A chain with what its surface is computed against: the spot and the moment."""

    chain: OptionChain
    found: Gathered
    spot: float | None
    instead: str | None
    now: int

    def meta(self, core: Core, *, partial: bool, skipped: int, valued: bool) -> dict[str, Any]:
        """The envelope's meta: what stood in for the spot, and rows that could not be placed.

        Raises `AllVenuesFailed` when the chain has options and none could be `valued`.
        """
        self.found.partial = self.found.partial or partial
        _note(core, self.found, _lacking(self.chain), fatal=bool(self.chain.rows) and not valued)
        return meta_of(core, self.found, spot=self.instead, rowsSkipped=skipped)


async def _place(core: Core, underlying: str) -> _Placed:
    chain, found = await _chain(core, underlying)
    spot, instead = _spot(chain)
    return _Placed(chain, found, spot, instead, core.moment(chain.fetched_at))


@endpoint(
    "/options/chain",
    title="Option chain",
    ttl=30,
    example={"underlying": "BTC"},
    keeps="the largest open interest",
)
async def get_option_chain(core: Core, query: UnderlyingQuery) -> Answer[Table[OptionRow]]:
    """Every listed option of an underlying: open interest, volatility, mark.

    Deribit; for walls use get_gex, for volatility get_skew. oi in coins, markIv in percent,
    markPrice in coins (BTC, ETH) or USDC, underlyingPrice the forward, USD.
    """
    chain, found = await _chain(core, query.underlying)
    _note(core, found, _lacking(chain), fatal=False)
    rows = sorted(chain.rows, key=lambda row: (row.expiry_ms, row.strike, row.type))
    return Answer(
        Table(OptionRow, rows, matters=lambda row: row.oi or 0.0),
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
async def get_gex(core: Core, query: UnderlyingQuery) -> Answer[GexAnswer]:
    """Dealer gamma exposure (GEX) by strike, call and put wall, gamma flip.

    totalGex > 0: hedging damps moves, < 0: amplifies; gammaFlip: the nearest price where that
    changes (method cumulative: none is near). For volatility use get_skew. gex: USD of delta per
    1 % move, calls +, puts -: an assumption, not dealers' known position.
    """
    at = await _place(core, query.underlying)
    surface = gamma_exposure(at.chain, spot=at.spot or 0.0, now_ms=at.now)
    data = GexAnswer(
        underlying=surface.underlying,
        spot=at.spot,
        total_gex=surface.total_gex,
        call_wall=surface.call_wall,
        put_wall=surface.put_wall,
        gamma_flip=surface.gamma_flip,
        gamma_flip_method=surface.gamma_flip_method,
        convention=surface.convention,
        absolute_gex=surface.absolute_gex,
        max_pain=surface.max_pain,
        strikes=Table(StrikeExposure, surface.strikes, matters=lambda row: abs(row.gex)),
        fetched_at=at.chain.fetched_at,
    )
    meta = at.meta(
        core,
        partial=surface.partial,
        skipped=surface.rows_skipped,
        valued=surface.absolute_gex > 0,
    )
    return Answer(data, meta, at.found.until)


@endpoint(
    "/options/skew",
    title="Volatility smile and term structure",
    ttl=30,
    example={"underlying": "BTC"},
    keeps="nearest the money of each expiry",
    limit=60,
    detail=False,
)
async def get_skew(core: Core, query: UnderlyingQuery) -> Answer[SkewAnswer]:
    """Implied volatility: smile by expiry and term structure at the money.

    For gamma use get_gex. iv, atmIv: fractions (0.48 = 48 %). moneyness: strike / spot.
    riskReversal25: call - put (negative: puts dearer); butterfly25: wings - atm.
    """
    at = await _place(core, query.underlying)
    surface = smiles(at.chain, spot=at.spot or 0.0, now_ms=at.now)
    data = SkewAnswer(
        underlying=surface.underlying,
        spot=at.spot,
        smile_by_expiry={
            label: Table(SmilePoint, points, matters=_nearness(points))
            for label, points in surface.smile_by_expiry.items()
        },
        term_structure=Table(TermRow, surface.term_structure, matters=lambda row: -row.dte_days),
        fetched_at=at.chain.fetched_at,
    )
    valued = any(row.atm_iv is not None for row in surface.term_structure)
    meta = at.meta(core, partial=surface.partial, skipped=surface.rows_skipped, valued=valued)
    return Answer(data, meta, at.found.until)


def _nearness(points: tuple[SmilePoint, ...]) -> Any:
    """Rank inside one expiry: 0 nearest the money, so that a budget takes from every expiry."""
    ordered = sorted(points, key=lambda p: abs(p.forward_moneyness - 1))
    rank = {p.strike: -float(i) for i, p in enumerate(ordered)}
    return lambda p: rank[p.strike]
