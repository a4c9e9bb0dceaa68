"""`mmflow-mcp sim`: the simulated venues on loopback, for any client library."""

import socket
import sys

from mmflow_mcp.app import read_faults
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.sim.server import serve


def run_sim(port: int, seed: int, specs: list[str]) -> int:
    """Serve until stopped; says where, once it listens. Raises `BadQuestion` for a taken port."""
    faults = read_faults(specs)
    try:
        listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    except OSError as error:
        why = f"{port} cannot be listened on: {error.strerror}."
        raise BadQuestion(
            "port", why, fits="--port of another number, 0 for any free one"
        ) from None
    port = listening.getsockname()[1]
    sys.stderr.write(
        f"simulated venues (seed {seed}) at http://127.0.0.1:{port}/HOST/PATH, for example\n"
        f"http://127.0.0.1:{port}/fapi.binance.com/fapi/v1/premiumIndex\n"
    )
    sys.stderr.flush()
    serve(seed=seed, faults=faults, sock=listening)
    return 0
