"""Server-Sent Events: from the venue's frame on a socket to the event at a listener's.

The server is the whole application of `serve` in a process of its own, the crowd another. This
process writes the frames and reads the measured listeners in one loop, so that one clock tells
both times. Frames come as lines over loopback, without the framing of WebSocket, and go through
the venue's reader and the tape.
"""

import contextlib
import json
import os
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common import HERE, ROOT, Figure, free_port
from stream_listener import MOST_OPENING, Listener, open_all, raise_files

from mmflow_mcp.sim.market import Market

LISTENERS = 1000
MEASURED = 20
PRINTS = 2000
SECONDS = 12
# Left out: connections and caches are new.
WARM_SECONDS = 2
COINS = 20
MOST_USD = 100_000
IDLE_PRINTS = 60
# Longer than writes are gathered.
IDLE_PAUSE = 0.13
# A busy venue sends a few trades a frame.
ROWS = (1, 2, 3)
DRAIN = 2.0
_EVENT = re.compile(rb'data: \{"coin":"(\w+)".*?"ts":(\d+),')


@dataclass(slots=True)
class Filter:
    """What a listener asked for. `coin`: None for the whales of all coins."""

    coin: str | None
    min_usd: int

    @property
    def path(self) -> str:
        """Its address."""
        if self.coin is None:
            return f"/api/v1/streams/whales?minUsd={self.min_usd}"
        return f"/api/v1/streams/trades?coin={self.coin}&minUsd={self.min_usd}"

    def wants(self, coin: str, usd: int) -> bool:
        """Whether a print is for it."""
        return self.coin in (None, coin) and usd >= self.min_usd


@dataclass(slots=True)
class Heard:
    """A measured listener: when each print arrived, by coin and time."""

    listener: Listener
    asked: Filter
    at: dict[tuple[str, int], float] = field(default_factory=dict)
    text: bytes = b""

    def read(self) -> None:
        """Take what has come; an event has arrived with its last byte."""
        chunk = self.listener.socket.recv(1 << 16)
        now = time.perf_counter()
        if not chunk:
            raise ConnectionError("a stream ended")
        self.text += chunk
        whole, end, rest = self.text.rpartition(b"\n\n")
        if end:
            self.text = rest
            if b"events lost" in whole:
                raise AssertionError("a listener that reads has lost events")
            for coin, ts in _EVENT.findall(whole):
                key = coin.decode(), int(ts)
                assert key not in self.at, "an event came twice"
                self.at[key] = now


class Venue:
    """Writes frames as the venue does; every print has a time of its own within its coin."""

    def __init__(self, sock: socket.socket, coins: list[str]) -> None:
        self._socket = sock
        self._coins = coins
        self._chance = random.Random(7)
        self._last = dict.fromkeys(coins, 0)
        self._number = 0
        # coin, time -> when it was written, its worth in USD.
        self.sent: dict[tuple[str, int], tuple[float, int]] = {}

    def frame(self, rows_each: int, coin: str | None = None) -> int:
        """Write one frame of that many trades of a coin."""
        coin = coin or self._chance.choice(self._coins)
        rows, made = [], []
        for _ in range(rows_each):
            self._number += 1
            usd = self._chance.randrange(100, MOST_USD)
            ts = self._last[coin] = max(self._last[coin] + 1, int(time.time() * 1000))
            made.append(((coin, ts), usd))
            rows.append(
                {
                    "coin": coin,
                    "side": "BA"[usd % 2],
                    "px": "100.0",
                    "sz": f"{usd / 100}",
                    "time": ts,
                    "hash": f"0x{self._number:064x}",
                    "tid": self._number,
                    "users": [f"0x{usd:040x}", f"0x{ts:040x}"],
                }
            )
        text = json.dumps({"channel": "trades", "data": rows}, separators=(",", ":")) + "\n"
        now = time.perf_counter()
        self._socket.sendall(text.encode())
        for key, usd in made:
            self.sent[key] = now, usd
        return rows_each

    def count(self) -> dict[str, int]:
        """How often the server has encoded prints, and how many."""
        self._socket.sendall(b"count\n")
        said: dict[str, int] = json.loads(self._socket.makefile("rb").readline())
        return said


def coins_of_the_market() -> list[str]:
    """Coins that the simulated venue lists under their own name."""
    listed = Market(1).listings("hyperliquid", int(time.time() * 1000))
    found = [i.coin for i in listed if i.kind == "perp" and i.symbol == i.coin and i.counted]
    return found[:COINS]


def filters(coins: list[str]) -> list[Filter]:
    """A filter for each, no two alike: between two and five prints a second reach them."""
    found = []
    for n in range(LISTENERS):
        part = n / LISTENERS
        if n % 4:
            # A hundred prints of each coin in a second.
            found.append(Filter(coins[n % len(coins)], round(MOST_USD * (0.95 + 0.03 * part))))
        else:
            found.append(Filter(None, round(MOST_USD * (0.9975 + 0.0015 * part))))
    return found


@contextlib.contextmanager
def server() -> Iterator[tuple[int, socket.socket, int]]:
    """The server: its port, the socket of its feed, its process id."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        waiting.settimeout(30)
        script = str(HERE / "stream_server.py")
        ports = [str(port), str(waiting.getsockname()[1])]
        child = subprocess.Popen([sys.executable, script, *ports], cwd=ROOT)
        try:
            feed, _ = waiting.accept()
            feed.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(400):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            with feed:
                yield port, feed, child.pid
        finally:
            child.terminate()
            child.wait(timeout=20)


@contextlib.contextmanager
def crowd(port: int, asked: list[Filter]) -> Iterator[None]:
    """Listeners in a process of their own that throws away what they hear."""
    child = subprocess.Popen(
        [sys.executable, str(HERE / "stream_crowd.py"), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write("".join(one.path + "\n" for one in asked) + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ready\n"
        yield
        assert child.poll() is None, "a stream of the crowd ended"
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=20)


def listen(port: int, asked: list[Filter]) -> list[Heard]:
    """The listeners that are measured."""
    found: list[Heard] = []
    for start in range(0, len(asked), MOST_OPENING):
        part = asked[start : start + MOST_OPENING]
        opened = open_all(port, [one.path for one in part])
        found += map(Heard, opened, part)
    return found


def run(heard: list[Heard], seconds: float, write: Callable[[float], float]) -> None:
    """Read the listeners; `write` is told the seconds since the start and says when it is due."""
    with selectors.DefaultSelector() as ready:
        for one in heard:
            ready.register(one.listener.socket, selectors.EVENT_READ, one)
        started = time.perf_counter()
        due = 0.0
        while (now := time.perf_counter() - started) < seconds:
            if now >= due:
                due = write(now)
            for key, _ in ready.select(max(0.0, min(due, seconds) - now)):
                key.data.read()


def delays(heard: list[Heard], venue: Venue, since: float = 0.0) -> tuple[list[float], int]:
    """Seconds from the frame to the event, and how many prints did not reach a listener."""
    found, missing = [], 0
    for one in heard:
        for (coin, ts), (sent, usd) in venue.sent.items():
            if sent < since or not one.asked.wants(coin, usd):
                continue
            if (coin, ts) in one.at:
                found.append(one.at[coin, ts] - sent)
            else:
                missing += 1
        assert all(one.asked.wants(key[0], venue.sent[key][1]) for key in one.at), "not asked for"
    return found, missing


def alone(port: int, feed: socket.socket, coin: str) -> list[float]:
    """Delays of one listener, with pauses in which nothing is gathered."""
    venue = Venue(feed, [coin])
    heard = listen(port, [Filter(coin, 0)])

    def write(now: float) -> float:
        venue.frame(1)
        # Not in step with any timer.
        return now + IDLE_PAUSE * (1 + venue_chance.random() / 4)

    venue_chance = random.Random(3)
    run(heard, IDLE_PRINTS * IDLE_PAUSE * 1.125, write)
    run(heard, 0.3, lambda now: now + 1)
    found, missing = delays(heard, venue)
    heard[0].listener.socket.close()
    assert not missing
    return found


def crowded(port: int, feed: socket.socket, coins: list[str], pid: int) -> dict[str, Any]:
    """Delays of some of a thousand listeners while two thousand prints come in a second."""
    asked = filters(coins)
    step = LISTENERS // MEASURED
    # Not only whales, nor only one coin.
    chosen = {n * step + n % step for n in range(MEASURED)}
    measured = [one for n, one in enumerate(asked) if n in chosen]
    before = time.perf_counter()
    with crowd(port, [one for n, one in enumerate(asked) if n not in chosen]):
        heard = listen(port, measured)
        opened = time.perf_counter() - before
        venue, sizes, done = Venue(feed, coins), random.Random(5), 0
        base = venue.count()

        def write(now: float) -> float:
            nonlocal done
            while done / PRINTS <= now:
                done += venue.frame(sizes.choice(ROWS))
            return done / PRINTS

        started, spent = time.perf_counter(), cpu_seconds(pid)
        run(heard, SECONDS, write)
        lasted, spent = time.perf_counter() - started, cpu_seconds(pid) - spent
        run(heard, DRAIN, lambda now: now + 1)
        after = venue.count()
        found, missing = delays(heard, venue, started + WARM_SECONDS)
        for one in heard:
            one.listener.socket.close()
    return {
        "delays": found,
        "missing": missing,
        "rate": done / lasted,
        "each": len(found) / MEASURED / (SECONDS - WARM_SECONDS),
        "encoded": after["encoded"] - base["encoded"],
        "prints": after["prints"] - base["prints"],
        "opened": opened,
        "cpu": spent / lasted,
    }


def cpu_seconds(pid: int) -> float:
    """Processor time of a process (Linux); 0.0 elsewhere."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def percentile(values: list[float], part: float) -> float:
    """That part of the values is no greater."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(say: Callable[[str], None]) -> list[Figure]:
    """One listener, then a thousand."""
    raise_files()
    coins = coins_of_the_market()
    with server() as (port, feed, pid):
        idle = alone(port, feed, coins[0])
        median = statistics.median(idle) * 1000
        say(f"streams: alone: median {median:.2f} ms, longest {max(idle) * 1000:.1f} ms")
        many = crowded(port, feed, coins, pid)
    found = many["delays"]
    p50, p99 = (percentile(found, part) * 1000 for part in (0.5, 0.99))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    say(
        f"streams: {LISTENERS} opened in {many['opened']:.1f} s; {many['rate']:.0f} prints/s, "
        f"{many['each']:.1f}/s to each, delay median {p50:.0f} ms, 99 % {p99:.0f} ms, longest "
        f"{max(found) * 1000:.0f} ms, {len(found)} events; server {many['cpu']:.0%} of a core; "
        f"load {load}"
    )
    told = f"on {MEASURED}; {many['rate']:,.0f} prints/s, {many['each']:.1f}/s to each"
    ratio = many["encoded"] / many["prints"]
    return [
        Figure("socket to event, one listener", median, 5, "ms", f"median of {len(idle)}"),
        Figure(f"{LISTENERS:,} listeners, 99th percentile", p99, 250, "ms", told),
        Figure("prints that did not reach them", many["missing"], 0, "", f"of {len(found)}"),
        Figure(
            "encodings of a print and form", ratio, 1, "", f"{many['prints']:,} trades and whales"
        ),
    ]
