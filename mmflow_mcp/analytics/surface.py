"""A chain sorted into expiries, and the variance curve of one expiry (METHODS 3 and 4).

Volatility inside an expiry is interpolated as total variance w = iv^2 t, linear in
k = ln(K/F). Implied volatilities are fractions here; a row's `mark_iv` is percent.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from mmflow_mcp.analytics.greeks import years
from mmflow_mcp.rows import OptionChain, OptionRow

MAX_IV_PERCENT = 500.0
# A volatility below this is zero that lost a digit on its way.
MIN_IV_PERCENT = 1e-6
# No price and no number of coins is that large, no price that small: such a number is broken.
ABSURD = 1e15


@dataclass(frozen=True, slots=True)
class Expiry:
    """The live options of one expiry; `forward` in USD is None when no row told it."""

    expiry_ms: int
    years: float
    forward: float | None
    rows: tuple[OptionRow, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """The volatility kept for one strike: `iv` a fraction, `type` the side it came from."""

    strike: float
    iv: float
    type: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Total variance `ws` at log-moneyness `ks` (ascending, at least one point)."""

    years: float
    ks: tuple[float, ...]
    ws: tuple[float, ...]

    def spans(self, k: float) -> bool:
        """Whether k lies between quoted strikes; a single one spans nothing (METHODS 4)."""
        return len(self.ks) > 1 and self.ks[0] <= k <= self.ks[-1]

    def variance(self, k: float) -> float:
        """Total variance at k: linear between strikes, that of the end strike beyond them."""
        i = bisect_right(self.ks, k)
        if i == 0:
            return self.ws[0]
        if i == len(self.ks):
            return self.ws[-1]
        low, high = self.ks[i - 1], self.ks[i]
        share = (k - low) / (high - low)
        return self.ws[i - 1] + share * (self.ws[i] - self.ws[i - 1])

    def iv(self, k: float) -> float:
        """Volatility at k, a fraction; beyond the strikes that of the nearest (see `spans`)."""
        return math.sqrt(self.variance(k) / self.years)


def positive(value: float | None) -> bool:
    """Whether a price is known, above zero and no absurdity."""
    return value is not None and 1 / ABSURD < value < ABSURD


def implied(row: OptionRow) -> float | None:
    """The row's implied volatility as a fraction; None when missing, <= 0 or above 500 %."""
    iv = row.mark_iv
    return iv / 100 if iv is not None and MIN_IV_PERCENT <= iv <= MAX_IV_PERCENT else None


def sound(row: OptionRow) -> bool:
    """Whether strike and type can be used at all."""
    return positive(row.strike) and row.type in ("C", "P")


def forward(rows: Iterable[OptionRow]) -> float | None:
    """The one forward of an expiry: the (lower) median of what its rows say, USD.

    Deribit samples the forward per row, so rows of one answer differ in the last digits.
    """
    known = sorted(
        price for row in rows if (price := row.underlying_price) is not None and positive(price)
    )
    return known[(len(known) - 1) // 2] if known else None


def expiries(chain: OptionChain, now_ms: int) -> tuple[Expiry, ...]:
    """Live expiries by time; past ones and unsound rows are left out.

    A repeated instrument counts once, as it came last.
    """
    groups: dict[int, list[OptionRow]] = {}
    for row in {row.instrument: row for row in chain.rows}.values():
        if row.expiry_ms > now_ms and sound(row):
            groups.setdefault(row.expiry_ms, []).append(row)
    return tuple(
        Expiry(at, years(at, now_ms), forward(rows), tuple(rows))
        for at, rows in sorted(groups.items())
    )


def check_spot(spot: float, live: Iterable[Expiry]) -> None:
    """Raise ValueError when spot is no price in USD although some expiry can be valued."""
    if not positive(spot) and any(expiry.forward is not None for expiry in live):
        message = f"spot must be a positive price, not {spot!r}"
        raise ValueError(message)


def unsound(chain: OptionChain, now_ms: int) -> int:
    """How many live rows `expiries` leaves out because they cannot be understood."""
    return sum(row.expiry_ms > now_ms and not sound(row) for row in chain.rows)


def quotes(expiry: Expiry) -> tuple[Quote, ...]:
    """One volatility per strike, ascending: the out-of-the-money side, else the other.

    Put below the forward, call from it upward. A strike whose two sides lack a good
    volatility is left out; so is everything when the forward is unknown.
    """
    if expiry.forward is None:
        return ()
    kept: dict[float, Quote] = {}
    for row in expiry.rows:
        iv = implied(row)
        if iv is None:
            continue
        outside = row.type == ("P" if row.strike < expiry.forward else "C")
        if outside or row.strike not in kept:
            kept[row.strike] = Quote(row.strike, iv, row.type)
    return tuple(sorted(kept.values(), key=attrgetter("strike")))


def curve(expiry: Expiry) -> Curve | None:
    """The variance curve through `quotes`; None when there is nothing to draw it from."""
    points = quotes(expiry)
    if expiry.forward is None or not points:
        return None
    ks = tuple(math.log(point.strike / expiry.forward) for point in points)
    ws = tuple(point.iv * point.iv * expiry.years for point in points)
    return Curve(expiry.years, ks, ws)
