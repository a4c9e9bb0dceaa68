"""A warm get_funding of 24 rows over stdio, against a tool that returns a constant."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import CONSTANT, SERVER, Figure, RawClient, client, median_ms, simulated_venues

BATCH = 40
ROUNDS = 25
QUESTION = {"coins": ["BTC", "ETH", "SOL"], "venues": ["all"]}


def batch(raw: RawClient, tool: str) -> list[float]:
    """Seconds of each round trip of one batch."""
    spent = []
    params = {"name": tool, "arguments": QUESTION}
    for _ in range(BATCH):
        started = time.perf_counter()
        raw.ask("tools/call", params)
        spent.append(time.perf_counter() - started)
    return spent


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Batches in turn, so that a drift of the machine meets both."""
    with simulated_venues() as base, client([*SERVER, "--source", f"sim:{base}"]) as ours:
        result = ours.call("get_funding", QUESTION)
        rows = len(result["structuredContent"]["data"]["rows"])
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "result.json"
            kept.write_text(json.dumps(result))
            with client([*CONSTANT, str(kept)]) as theirs:
                mine: list[float] = []
                constant: list[float] = []
                for turn in range(ROUNDS):
                    # Fetch anew before each batch, so that all of it is answered from the cache.
                    ours.call("get_funding", QUESTION)
                    spent = batch(ours, "get_funding"), batch(theirs, "get_constant_0")
                    if turn:
                        mine += spent[0]
                        constant += spent[1]
    a, b = median_ms(mine), median_ms(constant)
    say(f"warm: ours {a:.2f} ms, constant {b:.2f} ms, {rows} rows, {len(mine)} calls each")
    return [Figure("warm get_funding", a / b, 1.2, "x", f"{rows} rows, raw JSON-RPC over stdio")]
