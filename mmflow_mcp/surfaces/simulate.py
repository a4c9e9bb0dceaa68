"""`mmflow-mcp sim`: the simulated venues on loopback, for any client library."""

import sys

from mmflow_mcp.app import read_faults
from mmflow_mcp.sim.server import serve


def run_sim(port: int, seed: int, specs: list[str]) -> int:
    """Serve until stopped."""
    faults = read_faults(specs)
    sys.stderr.write(
        f"simulated venues (seed {seed}) at http://127.0.0.1:{port}/HOST/PATH, for example\n"
        f"http://127.0.0.1:{port}/fapi.binance.com/fapi/v1/premiumIndex\n"
    )
    sys.stderr.flush()
    serve(port=port, seed=seed, faults=faults)
    return 0
