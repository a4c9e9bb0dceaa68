"""The eight flow metrics, every minute."""

from typing import Any

from mmflow_mcp.analytics.pressure import COINBASE, ETF, HL, KIMCHI
from mmflow_mcp.analytics.states import STALE
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.history import flow_key
from mmflow_mcp.core.pulse import CoinPulse, Pulse, flow_pulse
from mmflow_mcp.core.readings import FLOW_COINS, coinbase_delta
from mmflow_mcp.metrics.declare import FULL, Sample, sampling

MINUTE_MS = 60_000

FLOW_METRICS = {
    "flowPressureScore": "-100 selling .. +100 buying",
    "coinbasePremiumBps": "Coinbase over the other venues, bps",
    "kimchiPremiumBps": "Korean premium, bps",
    "etfLatestTotalUsdm": "newest complete session, US$ millions",
    "coinbaseTapeDeltaUsd5m": "taker buys - sells on Coinbase, USD in 300 s",
    "hlMicroNetUsd5m": "taker buys - sells on Hyperliquid, USD in 300 s",
    "venueSpreadDispersionBps": "largest less smallest basis of the venues, bps",
    "sourcePartial": "1 where a source was missing in that minute, else 0",
}


@sampling(
    metrics=FLOW_METRICS,
    every_ms=MINUTE_MS,
    level=FULL,
    uri="mmflow://history/flows/{coin}/{metric}",
)
async def flows(core: Core, level: str) -> list[Sample]:  # noqa: ARG001 - only the full level
    """The readings of the flow summary, for its default coins; none when no price was to be had."""
    pulse = await flow_pulse(core, FLOW_COINS)
    if not pulse.prices.answered:
        return []
    deltas = {coin: (await coinbase_delta(core, coin))[0] for coin in FLOW_COINS}
    return [
        Sample(flow_key(name, one.coin), value, _as_it_was(pulse, one))
        for one in pulse.coins
        for name, value in _values(pulse, one, deltas[one.coin]).items()
    ]


def _values(pulse: Pulse, one: CoinPulse, delta: float | None) -> dict[str, float | None]:
    kimchi, hl = one.inputs[KIMCHI].value, one.inputs[HL].value
    return {
        "flowPressureScore": one.score,
        "coinbasePremiumBps": one.inputs[COINBASE].value,
        "kimchiPremiumBps": None if kimchi is None else kimchi * 100,
        "etfLatestTotalUsdm": one.inputs[ETF].value,
        "coinbaseTapeDeltaUsd5m": delta,
        "hlMicroNetUsd5m": None if hl is None else hl * 1e6,
        "venueSpreadDispersionBps": one.spread.dispersion_bps,
        "sourcePartial": float(pulse.whole.partial),
    }


def _as_it_was(pulse: Pulse, one: CoinPulse) -> dict[str, Any]:
    """What a point keeps for ever: how good its sources were in that minute."""
    return {
        "partial": pulse.whole.partial,
        "stale": STALE in one.coverage.values(),
        "source": "flows:summary",
        "sources": sorted({note["source"] for note in pulse.whole.notes}),
        "coverage": one.coverage,
    }
