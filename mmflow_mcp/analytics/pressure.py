"""The flow pressure score of a coin and its headline (METHODS 10). Pure.

Weights and scales are judgement, not fitted; a premium is a level, not a flow; the ETF total is
yesterday's. The score describes pressure, it forecasts nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmflow_mcp.analytics.states import LIVE, NONE, STALE

COINBASE, KIMCHI, ETF, HL = "coinbase", "kimchi", "etf", "hl"
WEIGHTS = {COINBASE: 0.35, KIMCHI: 0.20, ETF: 0.25, HL: 0.20}
QUALITY = {LIVE: 1.0, STALE: 0.5, NONE: 0.0}
# Evidence below this weight pulls the score to 0 instead of letting one part shout.
FULL_EVIDENCE = 0.5
STRONG = 20

# The value at which a component counts 76 %: bps, percent, US$M, US$M. None: it has no such part.
_SCALES: dict[str, dict[str, float]] = {
    "BTC": {COINBASE: 10, KIMCHI: 2.5, ETF: 500, HL: 45},
    "ETH": {COINBASE: 10, KIMCHI: 2.5, ETF: 150, HL: 25},
    "SOL": {COINBASE: 12, KIMCHI: 2.5, HL: 8},
}
_OTHERS = {COINBASE: 15, KIMCHI: 3, HL: 2}


@dataclass(frozen=True, slots=True)
class Input:
    """One component: `value` in its unit (bps, percent, US$M, US$M), and live, stale or none."""

    value: float | None = None
    state: str = NONE


def scale_of(coin: str, component: str) -> float | None:
    """The scale of a component for a coin; None where the coin has no such part."""
    return _SCALES.get(coin, _OTHERS).get(component)


def score_of(coin: str, inputs: Mapping[str, Input]) -> int | None:
    """The score, -100 to +100; null when nothing is known."""
    evidence = total = 0.0
    for component, weight in WEIGHTS.items():
        one, scale = inputs.get(component, Input()), scale_of(coin, component)
        if one.value is None or scale is None:
            continue
        share = weight * QUALITY[one.state]
        evidence += share
        total += share * math.tanh(one.value / scale)
    if evidence == 0:
        return None
    return round(100 * total / evidence * min(1.0, evidence / FULL_EVIDENCE))


def _signed(value: float, digits: int) -> str:
    """With its sign, `-` for minus; what rounds to zero is +0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def _dollars(millions: float) -> str:
    digits = 0 if abs(millions) >= 10 else 1
    sign, amount = ("-", -millions) if round(millions, digits) < 0 else ("+", abs(millions))
    return f"{sign}${amount:.{digits}f}M"


def _flow(millions: float) -> str:
    sign = "-" if millions < 0 and round(millions, 3) else "+"
    amount = abs(millions)
    return f"{sign}${amount:.1f}M" if amount >= 0.9995 else f"{sign}${amount * 1000:.0f}K"


_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    COINBASE: ("Coinbase", lambda v: f"{_signed(v, 1)} bps"),
    KIMCHI: ("Kimchi", lambda v: f"{_signed(v, 2)}%"),
    ETF: ("ETF", _dollars),
    HL: ("HL", _flow),
}


def part_in_words(component: str, value: float) -> str:
    """A component as the headline tells it: `Coinbase +8.4 bps`."""
    name, write = _WORDS[component]
    return f"{name} {write(value)}"


def headline_of(score: int | None, inputs: Mapping[str, Input]) -> str:
    """The components that are known, and what they amount to."""
    if score is None:
        return "insufficient data"
    said = [
        part_in_words(component, one.value)
        for component in WEIGHTS
        if (one := inputs.get(component, Input())).value is not None and one.state != NONE
    ]
    word = "positive" if score >= STRONG else "negative" if score <= -STRONG else "balanced"
    return " · ".join([*said, f"{word} flow pressure"])


def spot_coverage(fresh: int) -> str:
    """full, partial or none: how much of the reference set of five is fresh."""
    return "full" if fresh >= 4 else "partial" if fresh >= 2 else NONE
