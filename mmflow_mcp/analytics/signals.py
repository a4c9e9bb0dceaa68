"""Flow signals: rules on one coin's flow readings, with memory (METHODS 11). Pure.

A signal keeps its id while its condition holds, and its condition holds until it falls below 80 %
of what began it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mmflow_mcp.analytics.pressure import COINBASE, ETF, HL, KIMCHI, Input, part_in_words, scale_of
from mmflow_mcp.analytics.states import LIVE, STALE
from mmflow_mcp.rows.told import told

SPOT = "spot"
MINUTE_MS = 60_000
# What was seen longer ago tells nothing of what held in between.
_REMEMBERED_MS = 15 * MINUTE_MS
_LEAVE = 0.8
_RANK = {"hot": 0, "watch": 1, "info": 2}
WATCH, HOT = "watch", "hot"


@dataclass(frozen=True, slots=True)
class Signal:
    """Something worth a trader's look, and since when."""

    id: str = told("COIN:slug:ts, stable while the condition holds")
    coin: str = told("canonical ticker", brief=False)
    layer: str = told("spot, kimchi, etf, hl or composite", brief=False)
    severity: str = told("info, watch or hot")
    title: str = told("what it is, in words", brief=False)
    message: str = told("the readings behind it")
    confidence: str = told(
        "high: inputs live and seen twice in a row; medium: one stale, or seen once; low: less"
    )
    ts: int = told("minute in which the condition began, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of a condition that holds: since when, how strong, how often seen."""

    began_ms: int
    severity: str
    seen: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One coin's flow readings: the score's inputs, and `SPOT` (dispersion of venues, bps)."""

    coin: str
    inputs: Mapping[str, Input]

    def value(self, name: str) -> float | None:
        """The value of an input, or None."""
        return self.inputs.get(name, Input()).value

    def scaled(self, name: str, share: float) -> float | None:
        """A share of an input's scale for this coin; None where it has none."""
        scale = scale_of(self.coin, name)
        return None if scale is None else share * scale


@dataclass(frozen=True, slots=True)
class _Found:
    """A condition that holds: which, how strong, and on what."""

    slug: str
    severity: str
    inputs: tuple[str, ...]


# From where on a condition is worth watching, and from where on it is hot.
_Bounds = tuple[float, float] | None
_Thresholds = Callable[[Reading], _Bounds]
# A rule tells what holds, given how far its thresholds are lowered for a slug and severity.
_Ease = Callable[[str, str], float]
_Rule = Callable[[Reading, _Ease], Iterator[_Found]]


def _level(name: str, slugs: tuple[str, str], thresholds: _Thresholds) -> _Rule:
    """A rule on one input's size: watch from the first threshold on, hot from the second."""

    def rule(reading: Reading, ease: _Ease) -> Iterator[_Found]:
        value, bounds = reading.value(name), thresholds(reading)
        if value is None or bounds is None or value == 0:
            return
        slug = slugs[0] if value > 0 else slugs[1]
        for severity, bound in ((HOT, bounds[1]), (WATCH, bounds[0])):
            if abs(value) >= bound * ease(slug, severity):
                yield _Found(slug, severity, (name,))
                return

    return rule


def _of_scale(name: str, watch: float, hot: float) -> _Thresholds:
    def thresholds(reading: Reading) -> _Bounds:
        low, high = reading.scaled(name, watch), reading.scaled(name, hot)
        return None if low is None or high is None else (low, high)

    return thresholds


def _spot_led(reading: Reading, ease: _Ease) -> Iterator[_Found]:
    """Coinbase, Korea and Hyperliquid all on one side."""
    bounds = {COINBASE: 3.0, KIMCHI: 0.5, HL: reading.scaled(HL, 0.25)}
    values = {name: reading.value(name) for name in bounds}
    for slug, sign in (("spot-led-demand", 1.0), ("spot-led-supply", -1.0)):
        lowered = ease(slug, HOT)
        if all(
            bound is not None and (v := values[name]) is not None and sign * v >= bound * lowered
            for name, bound in bounds.items()
        ):
            yield _Found(slug, HOT, tuple(bounds))


def _perp_led(reading: Reading, ease: _Ease) -> Iterator[_Found]:
    """Coinbase and Hyperliquid on opposite sides."""
    spot, perp, bound = reading.value(COINBASE), reading.value(HL), reading.scaled(HL, 0.25)
    if spot is None or perp is None or bound is None or spot * perp >= 0:
        return
    lowered = ease("perp-led-move", WATCH)
    if abs(spot) >= 3.0 * lowered and abs(perp) >= bound * lowered:
        yield _Found("perp-led-move", WATCH, (COINBASE, HL))


_RULES: tuple[_Rule, ...] = (
    _spot_led,
    _level(COINBASE, ("coinbase-premium", "coinbase-discount"), lambda _: (5.0, 10.0)),
    _level(KIMCHI, ("kimchi-premium", "kimchi-discount"), lambda _: (3.0, 5.0)),
    _level(ETF, ("etf-inflow", "etf-outflow"), _of_scale(ETF, 0.5, 1.0)),
    _level(HL, ("hl-net-buying", "hl-net-selling"), _of_scale(HL, 0.5, 1.0)),
    _perp_led,
    _level(SPOT, ("venue-dispersion", "venue-dispersion"), lambda _: (15.0, 40.0)),
)

_TITLES = {
    "spot-led-demand": ("composite", "Spot-led demand with Korea confirmation"),
    "spot-led-supply": ("composite", "Spot-led supply with Korea confirmation"),
    "coinbase-premium": ("spot", "Coinbase premium"),
    "coinbase-discount": ("spot", "Coinbase discount"),
    "kimchi-premium": ("kimchi", "Korean premium"),
    "kimchi-discount": ("kimchi", "Korean discount"),
    "etf-inflow": ("etf", "ETF inflow"),
    "etf-outflow": ("etf", "ETF outflow"),
    "hl-net-buying": ("hl", "Net taker buying on Hyperliquid"),
    "hl-net-selling": ("hl", "Net taker selling on Hyperliquid"),
    "perp-led-move": ("composite", "Perpetuals move against spot"),
    "venue-dispersion": ("spot", "Venues disagree on the price"),
}


def judge(
    reading: Reading, at_ms: int, before: Mapping[str, Held]
) -> tuple[list[Signal], dict[str, Held]]:
    """The signals of one coin at a moment, sorted, and what to remember of them.

    `before`: what was remembered, by slug. Samples of one minute count as one.
    """
    minute = at_ms - at_ms % MINUTE_MS
    known = {s: h for s, h in before.items() if 0 <= minute - h.last_ms <= _REMEMBERED_MS}

    def ease(slug: str, severity: str) -> float:
        held = known.get(slug)
        return _LEAVE if held and _RANK[held.severity] <= _RANK[severity] else 1.0

    now: dict[str, Held] = {}
    signals = []
    for rule in _RULES:
        for found in rule(reading, ease):
            held = _held(known.get(found.slug), found.severity, minute)
            now[found.slug] = held
            signals.append(_signal(reading, found, held))
    return ranked(signals), now


def ranked(signals: list[Signal]) -> list[Signal]:
    """Hot first, then the newest, then by id."""
    return sorted(signals, key=lambda s: (_RANK[s.severity], -s.ts, s.id))


def _held(before: Held | None, severity: str, minute: int) -> Held:
    if before is None:
        return Held(minute, severity, 1, minute)
    seen = before.seen + (minute > before.last_ms)
    return Held(before.began_ms, severity, seen, minute)


def _signal(reading: Reading, found: _Found, held: Held) -> Signal:
    layer, title = _TITLES[found.slug]
    return Signal(
        id=f"{reading.coin}:{found.slug}:{held.began_ms}",
        coin=reading.coin,
        layer=layer,
        severity=found.severity,
        title=title,
        message=", ".join(_words(reading, name) for name in found.inputs),
        confidence=_confidence([reading.inputs[n].state for n in found.inputs], held.seen),
        ts=held.began_ms,
    )


def _words(reading: Reading, name: str) -> str:
    value = reading.value(name) or 0.0
    if name == SPOT:
        return f"venues {value:.1f} bps apart"
    return part_in_words(name, value)


def _confidence(states: list[str], seen: int) -> str:
    doubts = sum(state != LIVE for state in states) + (seen < 2)
    if not doubts:
        return "high"
    return "medium" if doubts == 1 and all(state in (LIVE, STALE) for state in states) else "low"
