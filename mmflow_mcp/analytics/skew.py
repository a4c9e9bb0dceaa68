"""Smiles, at-the-money term structure and wings of a chain (METHODS 4).

Volatilities are fractions (0.4783), not percent as in the chain. Deltas are undiscounted forward
deltas N(d1), not premium-adjusted, although BTC options are often quoted by the latter.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from mmflow_mcp.analytics import surface
from mmflow_mcp.analytics.surface import Curve, Expiry
from mmflow_mcp.rows import OptionChain, told

DAY_MS = 86_400_000
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# d1 of a 25-delta call; the 25-delta put has N(d1) = 0.75, the same number above zero.
CALL_D1 = -0.6744897501960817
PUT_D1 = 0.6744897501960817
HALVINGS = 64


@dataclass(frozen=True, slots=True)
class SmilePoint:
    """One strike of one expiry: its out-of-the-money side, else the other."""

    strike: float = told("strike price, USD")
    iv: float = told("implied volatility of the mark, a fraction (0.48 = 48 %)")
    type: str = told("C = call, P = put: the side the volatility was taken from")
    moneyness: float = told("strike / spot", digits="ratio")
    forward_moneyness: float = told("strike / forward of the expiry", brief=False, digits="ratio")


@dataclass(frozen=True, slots=True)
class TermRow:
    """One expiry of the term structure."""

    expiry_ms: int = told("expiry, epoch ms (08:00 UTC)")
    expiry_label: str = told("day of expiry as the venue writes it, e.g. 5JUN26")
    dte_days: float = told("days to expiry, two decimals")
    atm_iv: float | None = told(
        "volatility at strike = forward, a fraction; null = none quoted", digits="fine"
    )
    extrapolated: bool = told(
        "the forward lies outside the quoted strikes: atmIv is that of the nearest", brief=False
    )
    risk_reversal25: float | None = told(
        "25-delta call less put, fractions; negative = puts dearer; null = a wing not reached",
        digits="fine",
    )
    butterfly25: float | None = told(
        "mean of the 25-delta wings less atmIv, a fraction", digits="fine"
    )
    moneyness_skew: float | None = told(
        "iv at 0.9 forward less iv at 1.1 forward, a fraction", digits="fine"
    )
    calendar_arbitrage: bool = told(
        "total variance at the money is below that of the expiry before", brief=False
    )


@dataclass(frozen=True, slots=True)
class Skew:
    """Smiles by expiry label and the term structure, both in order of expiry; not rounded."""

    underlying: str
    spot: float
    smile_by_expiry: dict[str, tuple[SmilePoint, ...]]
    term_structure: tuple[TermRow, ...]
    calendar_arbitrage: bool
    rows_skipped: int

    @property
    def partial(self) -> bool:
        """Whether a live option could not be placed for want of a strike, type or forward."""
        return self.rows_skipped > 0


def smiles(chain: OptionChain, *, spot: float, now_ms: int) -> Skew:
    """Smile, at-the-money volatility and wings of every live expiry.

    `spot` is the index price in USD (ValueError unless a positive price, except where no row has
    a forward). An expiry without any forward is left out and its rows are counted; one without
    volatilities stays, with null.
    """
    live = surface.expiries(chain, now_ms)
    surface.check_spot(spot, live)
    skipped = surface.unsound(chain, now_ms)
    smile: dict[str, tuple[SmilePoint, ...]] = {}
    term: list[TermRow] = []
    before: float | None = None
    for expiry in live:
        if expiry.forward is None:
            skipped += len(expiry.rows)
            continue
        label = expiry_label(expiry.expiry_ms)
        smile[label] = smile.get(label, ()) + _points(expiry, expiry.forward, spot)
        drawn = surface.curve(expiry)
        term.append(_term_row(expiry, drawn, now_ms, before))
        if drawn is not None and drawn.spans(0.0):
            before = drawn.variance(0.0)
    falling = any(row.calendar_arbitrage for row in term)
    return Skew(chain.underlying, spot, smile, tuple(term), falling, skipped)


def expiry_label(expiry_ms: int) -> str:
    """The UTC day as Deribit writes it, no leading zero.

    >>> expiry_label(1_798_358_400_000), expiry_label(1_780_646_400_000)
    ('27DEC26', '5JUN26')
    """
    day = datetime.fromtimestamp(expiry_ms / 1000, UTC)
    return f"{day.day}{MONTHS[day.month - 1]}{day.year % 100:02d}"


def wing(drawn: Curve, first: float) -> float | None:
    """The k = ln(K/F) inside the quoted strikes at which d1 equals `first`; None when not reached.

    Of several (a curve with arbitrage in it) the nearest to the forward.
    """
    gaps = [_gap(drawn, k, first) for k in drawn.ks]
    found = [
        _root(drawn, first, low, high, rising=at_high > at_low)
        for (low, at_low), (high, at_high) in pairwise(zip(drawn.ks, gaps, strict=True))
        if at_low * at_high <= 0
    ]
    return min(found, key=abs, default=None)


def _gap(drawn: Curve, k: float, first: float) -> float:
    """How far d1 at k lies above `first`."""
    w = drawn.variance(k)
    return (w / 2 - k) / math.sqrt(w) - first


def _root(drawn: Curve, first: float, low: float, high: float, *, rising: bool) -> float:
    """Halve an interval whose ends have gaps of opposite sign until a double cannot tell more."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if (_gap(drawn, middle, first) > 0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def constant_maturity(points: Iterable[tuple[float, float]], days: float) -> float | None:
    """At-the-money volatility (fraction) at a maturity between expiries, None outside them.

    `points` are (days to expiry, volatility as a fraction); total variance is linear in time.
    The example is the one of METHODS 4:

    >>> f"{constant_maturity([(7, 0.52), (42, 0.49)], 30):.6f}"
    '0.492467'
    """
    known = sorted((t, iv * iv * t) for t, iv in points if t > 0)
    for t, w in known:
        if t == days:
            return math.sqrt(w / t)
    for (t0, w0), (t1, w1) in pairwise(known):
        if t0 < days < t1:
            return math.sqrt((w0 + (w1 - w0) * (days - t0) / (t1 - t0)) / days)
    return None


def maturities(term: Sequence[TermRow], now_ms: int) -> list[tuple[float, float]]:
    """The (days, volatility) pairs of a term structure that `constant_maturity` may use.

    Rows without a volatility, or with one from a strike off the money, are left out.
    """
    return [
        ((row.expiry_ms - now_ms) / DAY_MS, row.atm_iv)
        for row in term
        if row.atm_iv is not None and not row.extrapolated
    ]


def _points(expiry: Expiry, forward: float, spot: float) -> tuple[SmilePoint, ...]:
    """The smile of one expiry by ascending strike."""
    return tuple(
        SmilePoint(q.strike, q.iv, q.type, q.strike / spot, q.strike / forward)
        for q in surface.quotes(expiry)
    )


def _term_row(expiry: Expiry, drawn: Curve | None, now_ms: int, before: float | None) -> TermRow:
    """The row of one expiry; `before` is the at-the-money variance of an earlier one."""
    inside = drawn is not None and drawn.spans(0.0)
    reversal, butterfly = _wings(drawn) if drawn is not None else (None, None)
    return TermRow(
        expiry_ms=expiry.expiry_ms,
        expiry_label=expiry_label(expiry.expiry_ms),
        dte_days=round((expiry.expiry_ms - now_ms) / DAY_MS, 2),
        atm_iv=drawn.iv(0.0) if drawn is not None else None,
        extrapolated=drawn is not None and not inside,
        risk_reversal25=reversal,
        butterfly25=butterfly,
        moneyness_skew=_moneyness_skew(drawn) if drawn is not None else None,
        calendar_arbitrage=drawn is not None
        and inside
        and before is not None
        and drawn.variance(0.0) < before,
    )


def _wings(drawn: Curve) -> tuple[float | None, float | None]:
    """Risk reversal (call less put) and butterfly at 25 delta; null where a wing is missing."""
    call, put = wing(drawn, CALL_D1), wing(drawn, PUT_D1)
    if call is None or put is None:
        return None, None
    call_iv, put_iv = drawn.iv(call), drawn.iv(put)
    if not drawn.spans(0.0):
        return call_iv - put_iv, None
    return call_iv - put_iv, (call_iv + put_iv) / 2 - drawn.iv(0.0)


def _moneyness_skew(drawn: Curve) -> float | None:
    """Volatility at 0.9 F less that at 1.1 F; None when either lies outside the strikes."""
    low, high = math.log(0.9), math.log(1.1)
    if not (drawn.spans(low) and drawn.spans(high)):
        return None
    return drawn.iv(low) - drawn.iv(high)
