"""Gamma exposure of a chain by strike, its walls and its flip (METHODS 3).

Exposures are USD of delta change per 1 % move of the underlying, calls counted +, puts -: an
assumption about who holds what, not the dealers' known position. Open interest is in coins and
the contract size is 1. Nothing is rounded here; answers print USD with one decimal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmflow_mcp.analytics import flip, surface
from mmflow_mcp.rows import OptionChain, OptionRow, told

FlipMethod = Literal["reprice", "cumulative"]
CONVENTION = "calls+puts-"


@dataclass(frozen=True, slots=True)
class StrikeExposure:
    """Open interest and exposure of one strike over all expiries."""

    strike: float = told("strike price, USD")
    call_oi: float | None = told(
        "open interest of the calls, coins; null = not told", digits="coins"
    )
    put_oi: float | None = told("open interest of the puts, coins; null = not told", digits="coins")
    gex: float = told("USD of delta change per 1 % move; calls +, puts -", digits="usd")


@dataclass(frozen=True, slots=True)
class Wall:
    """The strike that stands out on one side."""

    strike: float = told("strike price, USD")
    gex: float = told("USD of delta change per 1 % move; calls +, puts -", digits="usd")


@dataclass(frozen=True, slots=True)
class GammaExposure:
    """What a chain says about gamma; raw floats, to be rounded when they are printed.

    `pain` is None exactly when `max_pain` is: nobody holds anything.
    """

    underlying: str = told("BTC, ETH, SOL or XRP")
    spot: float = told("index price, USD")
    total_gex: float = told("sum over strikes, USD of delta change per 1 % move; calls +, puts -")
    call_wall: Wall | None = told("strike with the largest positive gex; null = none positive")
    put_wall: Wall | None = told("strike with the most negative gex; null = none negative")
    gamma_flip: float | None = told("price at which total gex changes sign, USD; null = none")
    gamma_flip_method: FlipMethod | None = told(
        "reprice = chain revalued at other spots, cumulative = running sum over strikes"
    )
    convention: str = told("calls+puts- = dealers assumed long calls and short puts")
    absolute_gex: float = told("the same with puts counted + too: all gamma, USD per 1 % move")
    max_pain: float | None = told("strike at which holders of all expiries receive least, USD")
    pain: float | None = told("what they receive there, USD")
    strikes: tuple[StrikeExposure, ...] = told("strikes with open interest, ascending")
    rows_skipped: int = told("rows left out of gex: no volatility, no forward or unreadable")
    rows_filled: int = told("rows valued at a volatility interpolated from their expiry")
    rows_extended: int = told("rows valued at that of the nearest quoted strike of their expiry")
    rows_without_oi: int = told("rows whose open interest was not told")

    @property
    def partial(self) -> bool:
        """Whether something that should be in the sums is not."""
        return self.rows_skipped > 0 or self.rows_without_oi > 0


@dataclass(slots=True)
class _Sums:
    """Everything one walk over the chain gathers; keys of open interest are strike and type."""

    oi: dict[tuple[float, str], float] = field(default_factory=dict)
    untold: set[tuple[float, str]] = field(default_factory=set)
    gex: dict[float, float] = field(default_factory=dict)
    absolute: float = 0.0
    positions: list[flip.Position] = field(default_factory=list)
    skipped: int = 0
    filled: int = 0
    extended: int = 0
    without_oi: int = 0

    def strikes(self) -> tuple[StrikeExposure, ...]:
        """Strikes on which somebody holds something, ascending."""
        held = sorted({strike for (strike, _), oi in self.oi.items() if oi > 0})
        return tuple(
            StrikeExposure(k, self.side(k, "C"), self.side(k, "P"), self.gex.get(k, 0.0))
            for k in held
        )

    def side(self, strike: float, kind: str) -> float | None:
        """Open interest of one side: the told rows' sum, None when none of its rows told."""
        unknown = None if (strike, kind) in self.untold else 0.0
        return self.oi.get((strike, kind), unknown)


def gamma_exposure(chain: OptionChain, *, spot: float, now_ms: int) -> GammaExposure:
    """Exposure by strike, total, walls, flip and max pain of all live options.

    `spot` is the index price in USD (ValueError unless a positive price, except where no row has
    a forward and so nothing can be valued); options with expiry_ms <= now_ms are dropped. An
    empty chain has total 0, null walls and no strikes. Rows the parser could
    not read (`chain.dropped`) are not counted again here.
    """
    live = surface.expiries(chain, now_ms)
    surface.check_spot(spot, live)
    sums = _Sums(skipped=surface.unsound(chain, now_ms))
    for expiry in live:
        _add_expiry(sums, expiry)
    strikes = sums.strikes()
    flipped, method = gamma_flip(strikes, sums.positions, spot)
    least = max_pain(strikes, spot)
    return GammaExposure(
        underlying=chain.underlying,
        spot=spot,
        total_gex=math.fsum(row.gex for row in strikes),
        call_wall=wall(strikes, spot, 1),
        put_wall=wall(strikes, spot, -1),
        gamma_flip=flipped,
        gamma_flip_method=method,
        convention=CONVENTION,
        absolute_gex=sums.absolute,
        max_pain=least[0] if least else None,
        pain=least[1] if least else None,
        strikes=strikes,
        rows_skipped=sums.skipped,
        rows_filled=sums.filled,
        rows_extended=sums.extended,
        rows_without_oi=sums.without_oi,
    )


def _add_expiry(sums: _Sums, expiry: surface.Expiry) -> None:
    """Add one expiry, netting calls and puts of one strike and volatility."""
    nets: dict[tuple[float, float], tuple[float, float]] = {}
    drawn: surface.Curve | None = None
    for row in expiry.rows:
        oi = _held(sums, row)
        if not oi:
            continue
        iv = surface.implied(row)
        if iv is None and expiry.forward is not None:
            drawn = drawn or surface.curve(expiry)
            iv = _lend(sums, drawn, math.log(row.strike / expiry.forward))
        if iv is None or expiry.forward is None:
            sums.skipped += 1
            continue
        net, gross = nets.get((row.strike, iv), (0.0, 0.0))
        nets[row.strike, iv] = (net + oi if row.type == "C" else net - oi, gross + oi)
    if expiry.forward is None:
        return
    for (strike, iv), (net, gross) in nets.items():
        one = flip.position(expiry.forward, strike, iv, expiry.years, 1.0)
        unit = flip.exposure(one)
        sums.gex[strike] = sums.gex.get(strike, 0.0) + unit * net
        sums.absolute += unit * gross
        if net:
            sums.positions.append(one._replace(peak=one.peak * net))


def _held(sums: _Sums, row: OptionRow) -> float:
    """Note a row's open interest in coins; 0 when there is none or it is not told."""
    key = (row.strike, row.type)
    if row.oi is None or not 0 <= row.oi < surface.ABSURD:
        sums.untold.add(key)
        sums.without_oi += 1
        return 0.0
    sums.oi[key] = sums.oi.get(key, 0.0) + row.oi
    return row.oi


def _lend(sums: _Sums, drawn: surface.Curve | None, k: float) -> float | None:
    """A volatility from the expiry's curve for a row without one; None when there is no curve.

    Beyond the quoted strikes, or with a single one, it is that of the nearest quoted strike.
    """
    if drawn is None:
        return None
    if drawn.spans(k) or k in drawn.ks:
        sums.filled += 1
    else:
        sums.extended += 1
    return drawn.iv(k)


def wall(strikes: Sequence[StrikeExposure], spot: float, sign: int) -> Wall | None:
    """The strike of the largest gex of that sign (+1, -1); None when no strike has it.

    Of equal ones the nearer to spot, then the lower.
    """
    sided = [row for row in strikes if row.gex * sign > 0]
    if not sided:
        return None
    best = min(sided, key=lambda row: (-row.gex * sign, abs(row.strike - spot), row.strike))
    return Wall(best.strike, best.gex)


def gamma_flip(
    strikes: Sequence[StrikeExposure], positions: Sequence[flip.Position], spot: float
) -> tuple[float | None, FlipMethod | None]:
    """The price where total gex changes sign, USD, and how it was found.

    Revaluing comes first, because only then does the sign of the total agree with the side of
    the flip on which spot lies; the running sum over strikes is the second choice.
    """
    root = flip.repriced_flip(positions, spot)
    if root is not None:
        return root, "reprice"
    root = flip.cumulative_flip([s.strike for s in strikes], [s.gex for s in strikes], spot)
    return root, None if root is None else "cumulative"


def max_pain(strikes: Sequence[StrikeExposure], spot: float) -> tuple[float, float] | None:
    """The listed strike at which all holders together receive least, and that sum, both USD.

    Every expiry is taken as if it settled at that strike; open interest that was not told
    counts as none. Of equal strikes the nearer to spot, then the lower; None without strikes.
    """
    calls = coins = 0.0
    paid: list[float] = []
    for i, row in enumerate(strikes):
        if i:
            calls += coins * (row.strike - strikes[i - 1].strike)
        paid.append(calls)
        coins += row.call_oi or 0.0
    puts = coins = 0.0
    for i in range(len(strikes) - 1, -1, -1):
        if i < len(strikes) - 1:
            puts += coins * (strikes[i + 1].strike - strikes[i].strike)
        paid[i] += puts
        coins += strikes[i].put_oi or 0.0
    if not paid:
        return None
    best = min(
        range(len(paid)),
        key=lambda i: (paid[i], abs(strikes[i].strike - spot), strikes[i].strike),
    )
    return strikes[best].strike, paid[best]
