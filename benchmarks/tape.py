"""The tape: frames read and dealt out, against merely decoding the same frames.

Both run in turn on small batches in this one process, and the fastest batch of each counts, so
that a drift of the machine meets both.
"""

import json
import time
from collections.abc import Callable

from common import Figure
from pydantic_core import from_json

from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.sim.hyperliquid_rows import print_row
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.tape.board import Listener
from mmflow_mcp.tape.tape import Tape
from mmflow_mcp.venues.feeds import Prints
from mmflow_mcp.venues.hyperliquid_feed import read_fast

START = 1_789_453_123_000
SECONDS = 40
ROUNDS = 60
LISTENERS = 1000
# A busy venue sends a few trades a frame: one large order meets several.
SIZES = (1, 3)


def frames(rows_each: int) -> list[str]:
    """Frames as the venue sends them, with that many trades each."""
    market = Market(1)
    listed = market.listings("hyperliquid", START)
    core = [one for one in listed if one.counted and ":" not in one.symbol][:20]
    found: list[str] = []
    for item in core:
        rows = [
            print_row(market, one)
            for one in list_prints(market, item, START, START + SECONDS * 1000)
        ]
        for at in range(0, len(rows), rows_each):
            frame = {"channel": "trades", "data": rows[at : at + rows_each]}
            found.append(json.dumps(frame, separators=(",", ":")))
    return found


def listening(tape: Tape) -> None:
    """A thousand listeners, each with a filter of its own, most of them above these prints."""
    for n in range(LISTENERS):
        coins = (("BTC", "ETH", "SOL", "XRP")[n % 4],) if n % 2 else None
        tape.board.add(Listener(coins, 50_000.0 + 100.0 * n, 100))


def _spent(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(rows_each: int) -> tuple[float, float, float, int]:
    """Microseconds a frame: decoding, decoding with the standard library, the tape; trades."""
    tape = Tape("hyperliquid")
    listening(tape)
    now = START + SECONDS * 1000
    decoding, standard, taking = [], [], []
    count = 0
    batch = frames(rows_each)
    for _ in range(ROUNDS):
        batch = _renumbered(batch)

        def decode(batch: list[str] = batch) -> None:
            for text in batch:
                from_json(text)

        def decode_standard(batch: list[str] = batch) -> None:
            for text in batch:
                json.loads(text)

        def take(batch: list[str] = batch) -> None:
            for text in batch:
                heard = read_fast(text)
                if isinstance(heard, Prints):
                    tape.take(heard, now)

        decoding.append(_spent(decode) / len(batch))
        taking.append(_spent(take) / len(batch))
        standard.append(_spent(decode_standard) / len(batch))
        count += len(batch)
    assert not tape.duplicates
    assert tape.serial >= count
    return min(decoding) * 1e6, min(standard) * 1e6, min(taking) * 1e6, tape.serial


def _renumbered(batch: list[str]) -> list[str]:
    """The same frames with new ids."""
    changed = []
    for text in batch:
        frame = json.loads(text)
        for row in frame["data"]:
            row["tid"] += 10**12
        changed.append(json.dumps(frame, separators=(",", ":")))
    return changed


def fan_out() -> float:
    """Microseconds that a print costs more with a thousand listeners it is not for."""
    times = []
    for crowd in (False, True):
        tape = Tape("hyperliquid")
        if crowd:
            listening(tape)
        spent = []
        for round_ in range(ROUNDS):
            prints = [
                TapePrint("hyperliquid", "BTC", START, "buy", 1.0, 1.0, 1.0, round_ * 1000 + n)
                for n in range(1000)
            ]
            spent.append(_spent(lambda prints=prints, tape=tape: tape.take(prints, START)))  # type: ignore[misc]
        times.append(min(spent) / 1000 * 1e6)
    return times[1] - times[0]


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Frames of one trade, of three, and the price of a crowd."""
    figures = []
    for rows_each in SIZES:
        bare, standard, ours, count = compare(rows_each)
        say(
            f"tape: {rows_each} trade(s) a frame: decoding {bare:.2f} us, standard library "
            f"{standard:.2f} us, read and dealt out {ours:.2f} us "
            f"({1e6 / ours:,.0f} frames/s, {count} trades)"
        )
        name = f"tape, frames of {rows_each}"
        meaning = f"time against decoding them; {bare / ours:.0%} of its throughput"
        figures.append(Figure(name, ours / bare, 2.5, "x", meaning))
        against = f"against the standard library's decoding; {standard / ours:.0%}"
        figures.append(Figure(f"{name}, json", ours / standard, 2.5, "x", against))
    crowd = fan_out()
    figures.append(Figure("a print nobody wants", crowd, 0.2, "us", f"{LISTENERS} listeners more"))
    return figures
