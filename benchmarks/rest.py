"""A warm REST question, against a bare Starlette route that returns the same bytes.

The load is our own: a few connections that are kept alive, each with one request under way. It
reads raw bytes, so that most of the time is the server's.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import HERE, ROOT, SERVER, Figure, free_port, simulated_venues

CONNECTIONS = 8
BATCH_SECONDS = 0.5
ROUNDS = 9
QUESTIONS = {
    "funding": "/api/v1/perps/funding?coins=BTC,ETH,SOL&venues=all",
    "chain": "/api/v1/options/chain?underlying=BTC",
}
HEADERS = "Host: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: benchmark\r\n"


class Connection:
    """One connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def ask(self, request: bytes) -> None:
        """Send a question."""
        self._socket.sendall(request)

    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the answer; raises when it is no 200."""
        head, body = self.any_answer()
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode("latin-1"))
        return head, body

    def any_answer(self) -> tuple[bytes, bytes]:
        """Head and body of the answer, whatever its status."""
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._read()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        parts, have = [body], len(body)
        while have < length:
            parts.append(self._read())
            have += len(parts[-1])
        whole = b"".join(parts)
        self._left = whole[length:]
        return head, whole[:length]

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            message = "the server closed the connection"
            raise RuntimeError(message)
        return data

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@contextlib.contextmanager
def listening(arguments: list[str], port: int, **environment: str) -> Iterator[int]:
    """A server in a process of its own, once it listens; its process id."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield child.pid
    finally:
        child.terminate()
        child.wait(timeout=20)


def get(path: str, headers: str = HEADERS) -> bytes:
    """A question as it is sent."""
    return f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()


def once(port: int, request: bytes) -> tuple[bytes, bytes]:
    """One question on a connection of its own."""
    connection = Connection(port)
    try:
        connection.ask(request)
        return connection.answer()
    finally:
        connection.close()


def rate(port: int, request: bytes) -> float:
    """Answers a second, over some connections for a while."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    try:
        for connection in connections:
            connection.ask(request)
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < BATCH_SECONDS:
            for connection in connections:
                connection.answer()
                connection.ask(request)
            done += len(connections)
        spent = time.perf_counter() - started
        for connection in connections:
            connection.answer()
    finally:
        for connection in connections:
            connection.close()
    return done / spent


def compare(ours: tuple[int, bytes], constant: tuple[int, bytes]) -> tuple[float, float]:
    """Answers a second of ours and of a constant, each a port and the question put to it."""
    mine, theirs = [], []
    for turn in range(ROUNDS):
        # Batches in turn, so that a drift of the machine meets both; fetched anew before.
        once(*ours)
        rates = rate(*ours), rate(*constant)
        if turn:
            mine.append(rates[0])
            theirs.append(rates[1])
    # The best of each: what slows a batch is the neighbours of this process, not the server.
    return max(mine), max(theirs)


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """`serve` on simulated venues, each in a process of its own, without quota; its port."""
    port = free_port()
    with simulated_venues() as base:
        serve = ["serve", "--port", str(port), "--source", f"sim:{base}", "--record", "off"]
        with listening([*SERVER, *serve], port, MMFLOW_ANON_PER_MINUTE="0"):
            yield port


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Bodies small and large."""
    figures = []
    with serving() as port, tempfile.TemporaryDirectory() as folder:
        for name, path in QUESTIONS.items():
            _, body = once(port, get(path))
            json.loads(body)
            kept, bare = Path(folder) / "body.json", free_port()
            kept.write_bytes(body)
            with listening([str(HERE / "bare_server.py"), str(bare), str(kept)], bare):
                mine, theirs = compare((port, get(path)), (bare, get("/constant")))
            say(f"rest {name}: ours {mine:.0f}/s, bare {theirs:.0f}/s, {len(body)} bytes")
            figures.append(
                Figure(
                    f"bare route / warm REST, {name}",
                    theirs / mine,
                    1.25,
                    "x",
                    f"{len(body):,} bytes, {CONNECTIONS} connections; 1.25 = 0.8 x the requests",
                )
            )
    return figures
