"""Computing: gamma exposure of a full chain, its re-priced flip included."""

import statistics
import time
from collections.abc import Callable

import anyio
from common import Figure

from mmflow_mcp.analytics.gex import gamma_exposure
from mmflow_mcp.app import running
from mmflow_mcp.core.fanout import gather
from mmflow_mcp.rows import OptionChain
from mmflow_mcp.settings import from_environment
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import OptionChains

RUNS = 31


async def full_chain() -> OptionChain:
    """The simulated BTC chain."""
    async with running(from_environment({}, source="sim")) as app:
        found = await gather(app.core(), OptionChains, [roll()["deribit"]], ("BTC",))
        chain: OptionChain = found.rows[0]
        return chain


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Median of many runs, in process."""
    chain = anyio.run(full_chain)
    spot = chain.index_price or 0.0
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        gamma_exposure(chain, spot=spot, now_ms=chain.fetched_at)
        times.append(time.perf_counter() - started)
    spent = statistics.median(times) * 1000
    say(f"gex: {len(chain.rows)} instruments, {spent:.1f} ms")
    return [Figure("get_gex, computing", spent, 12, "ms", f"{len(chain.rows)} instruments")]
