"""A warm REST question, against a bare Starlette route that returns the same bytes.

The load is our own: a few connections that are kept alive, each with one request under way. It
reads raw bytes, so that most of the time is the server's.
"""

import contextlib
import json
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

    def ask(self, path: str, headers: str = HEADERS) -> None:
        """Send a question."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())

    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the answer; raises when it is no 200."""
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._read()
        head, _, body = data.partition(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode("latin-1"))
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
def listening(arguments: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, once it listens."""
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield
    finally:
        child.terminate()
        child.wait(timeout=20)


def once(port: int, path: str) -> tuple[bytes, bytes]:
    """One question on a connection of its own."""
    connection = Connection(port)
    try:
        connection.ask(path)
        return connection.answer()
    finally:
        connection.close()


def rate(port: int, path: str) -> float:
    """Answers a second, over some connections for a while."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    try:
        for connection in connections:
            connection.ask(path)
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < BATCH_SECONDS:
            for connection in connections:
                connection.answer()
                connection.ask(path)
            done += len(connections)
        spent = time.perf_counter() - started
        for connection in connections:
            connection.answer()
    finally:
        for connection in connections:
            connection.close()
    return done / spent


def compare(ours: int, path: str, folder: Path) -> tuple[float, float, int]:
    """Answers a second of ours and of the bare route, and the size of the answer."""
    _, body = once(ours, path)
    kept, bare = folder / "body.json", free_port()
    kept.write_bytes(body)
    mine, theirs = [], []
    with listening([str(HERE / "bare_server.py"), str(bare), str(kept)], bare):
        for turn in range(ROUNDS):
            # Batches in turn, so that a drift of the machine meets both; fetched anew before.
            once(ours, path)
            rates = rate(ours, path), rate(bare, "/constant")
            if turn:
                mine.append(rates[0])
                theirs.append(rates[1])
    # The best of each: what slows a batch is the neighbours of this process, not the server.
    return max(mine), max(theirs), len(body)


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Bodies small and large."""
    figures = []
    with simulated_venues() as base, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        serve = ["serve", "--port", str(port), "--source", f"sim:{base}", "--record", "off"]
        with listening([*SERVER, *serve], port):
            for name, path in QUESTIONS.items():
                mine, theirs, size = compare(port, path, Path(folder))
                json.loads(once(port, path)[1])
                say(f"rest {name}: ours {mine:.0f}/s, bare {theirs:.0f}/s, {size} bytes")
                figures.append(
                    Figure(
                        f"bare route / warm REST, {name}",
                        theirs / mine,
                        1.25,
                        "x",
                        f"{size:,} bytes, {CONNECTIONS} connections; 1.25 = 0.8 x the requests",
                    )
                )
    return figures
