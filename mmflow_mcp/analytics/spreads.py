"""What venues pay for a coin against their median (METHODS 7). Pure: rows in, rows out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median

from mmflow_mcp.rows import maybe, told
from mmflow_mcp.rows.spot import SpotRow

MAX_AGE_MS = 90_000
LEAST_VENUES = 2
_OUTLIER_BPS = 200.0
_OUTLIER_MADS = 5.0


@dataclass(frozen=True, slots=True)
class SpreadRow:
    """One venue's price of a coin against the median of all."""

    venue: str = told("venue id")
    price_usd: float = told("USD, or USDT where the venue quotes it (quote)")
    basis_bps: float | None = told(
        "price / median - 1, basis points; null while stale", digits="percent"
    )
    bid: float | None = told("best bid")
    ask: float | None = told("best ask")
    volume24h: float | None = told("24 h volume in coins", digits="coins")
    change24h_pct: float | None = told("rolling 24 h change, percent", digits="percent")
    stale: bool = told("older than 90 s: not in the median")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    quote: str = told("what the venue quotes in: a dollar is not a USDT", brief=False)
    outlier: bool | None = maybe("true: beyond 200 bps and 5 MAD; not in dispersion")


@dataclass(frozen=True, slots=True)
class Spread:
    """A coin's prices on several venues. `median` is null with fewer than two fresh venues."""

    coin: str
    median: float | None
    rows: tuple[SpreadRow, ...]
    dispersion_bps: float | None
    strongest_premium: str | None
    strongest_discount: str | None

    @property
    def fresh(self) -> tuple[str, ...]:
        """The venues in the median."""
        return tuple(row.venue for row in self.rows if not row.stale)

    @property
    def outliers(self) -> tuple[str, ...]:
        """The venues whose price is beyond belief against the others'."""
        return tuple(row.venue for row in self.rows if row.outlier)

    @property
    def fetched_at(self) -> int | None:
        """When the oldest price in the median was read; of all, where there is no median."""
        used = [r.fetched_at for r in self.rows if self.median is None or not r.stale]
        return min(used, default=None)


def spread_of(coin: str, rows: Iterable[SpotRow], now_ms: int | None = None) -> Spread:
    """The spread of one coin's spot rows, in their order.

    A row is one venue's; prices are compared as they are (`in_dollars` converts them before). Ages
    are counted from `now_ms`, else from when the last of the prices was read: recordings of
    different days are not prices of one moment.
    """
    own = [row for row in rows if row.coin == coin]
    last = max((row.fetched_at for row in own), default=0)
    stale = {row.venue for row in own if is_stale(row, last if now_ms is None else now_ms)}
    fresh = {row.venue: row.price for row in own if row.venue not in stale}
    middle = median(fresh.values()) if len(fresh) >= LEAST_VENUES else None
    bases = {} if middle is None else {v: basis_bps(price, middle) for v, price in fresh.items()}
    odd = outliers_of(bases)
    believed = {venue: basis for venue, basis in bases.items() if venue not in odd}
    return Spread(
        coin=coin,
        median=middle,
        rows=tuple(
            _row(row, bases.get(row.venue), row.venue in stale, row.venue in odd) for row in own
        ),
        dispersion_bps=max(believed.values()) - min(believed.values()) if believed else None,
        strongest_premium=_strongest(believed, 1.0),
        strongest_discount=_strongest(believed, -1.0),
    )


def basis_bps(price: float, middle: float) -> float:
    """How far a price lies from another, basis points."""
    return (price / middle - 1) * 1e4


def is_stale(row: SpotRow, now_ms: int) -> bool:
    """Whether a price is older than 90 s, by our reading or by the venue's own time."""
    return bool(row.stale) or now_ms - row.fetched_at > MAX_AGE_MS


def outliers_of(bases: Mapping[str, float]) -> frozenset[str]:
    """Venues beyond 200 bps and 5 MAD of the bases; where that is 0, beyond 200 bps."""
    if not bases:
        return frozenset()
    middle = median(bases.values())
    mad = median(abs(basis - middle) for basis in bases.values())
    return frozenset(
        venue
        for venue, basis in bases.items()
        if abs(basis) > _OUTLIER_BPS and (mad == 0 or abs(basis) > _OUTLIER_MADS * mad)
    )


def _strongest(bases: Mapping[str, float], sign: float) -> str | None:
    """The venue farthest above (sign +) or below; ties go to the first by name."""
    ranked = sorted((-sign * basis, venue) for venue, basis in bases.items())
    return ranked[0][1] if ranked and ranked[0][0] < 0 else None


def _row(row: SpotRow, basis: float | None, stale: bool, odd: bool) -> SpreadRow:  # noqa: FBT001
    return SpreadRow(
        venue=row.venue,
        price_usd=row.price,
        basis_bps=basis,
        bid=row.bid,
        ask=row.ask,
        volume24h=row.volume24h,
        change24h_pct=row.change24h_pct,
        stale=stale,
        fetched_at=row.fetched_at,
        quote=row.quote,
        outlier=odd or None,
    )


def mid(row: SpotRow) -> float:
    """Between bid and ask; the last trade where the book is not told."""
    return row.price if row.bid is None or row.ask is None else (row.bid + row.ask) / 2


def in_dollars(rows: Iterable[SpotRow], usd_per_usdt: float | None) -> list[SpotRow]:
    """Rows with their prices in USD; what is quoted in anything but USD and USDT is left out.

    `usd_per_usdt`: the mid of a market of USDT against USD; None leaves out what is in USDT.
    """
    found: list[SpotRow] = []
    for row in rows:
        if row.quote == "USD":
            found.append(row)
        elif row.quote == "USDT" and usd_per_usdt is not None:
            found.append(_times(row, usd_per_usdt))
    return found


def _times(row: SpotRow, factor: float) -> SpotRow:
    return replace(
        row,
        price=row.price * factor,
        bid=None if row.bid is None else row.bid * factor,
        ask=None if row.ask is None else row.ask * factor,
    )
