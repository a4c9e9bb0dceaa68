"""What the benchmarks share: a raw JSON-RPC client over stdio, and simulated venues in a process.

Raw, because most of the SDK client's round trip is its own validation of the result, which would
hide the difference that is to be measured.
"""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SERVER = ["-m", "mmflow_mcp"]
CONSTANT = [str(HERE / "constant_server.py")]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, the figure, the bound, what it means."""

    name: str
    value: float
    bound: float
    unit: str
    meaning: str

    @property
    def holds(self) -> bool:
        """Whether the figure is within its bound."""
        return self.value <= self.bound


class RawClient:
    """JSON-RPC lines to a child process, of the 2025 era."""

    def __init__(self, arguments: list[str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        self._id = 0

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def send(self, message: dict[str, Any]) -> None:
        """Write one line."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        self._child.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """One request; the raw line that answers it."""
        self._id += 1
        self.send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self._child.stdout is not None
        mark = f'"id":{self._id}'.encode()
        while True:
            line = self._child.stdout.readline()
            if not line:
                message = "the server ended"
                raise RuntimeError(message)
            if mark in line[:80] or json.loads(line).get("id") == self._id:
                return line

    def open(self) -> None:
        """The handshake."""
        self.ask(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "benchmark", "version": "1"},
            },
        )
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool; the result."""
        answer = json.loads(self.ask("tools/call", {"name": tool, "arguments": arguments}))
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """End the child."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(timeout=10)
        assert self._child.stdout is not None
        self._child.stdout.close()


@contextlib.contextmanager
def client(arguments: list[str]) -> Iterator[RawClient]:
    """A child that speaks MCP, with its handshake done."""
    raw = RawClient(arguments)
    try:
        raw.open()
        yield raw
    finally:
        raw.close()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def simulated_venues(*faults: str) -> Iterator[str]:
    """The simulated venues in a process of their own; its address."""
    port = free_port()
    options = [word for fault in faults for word in ("--fault", fault)]
    child = subprocess.Popen(
        [sys.executable, *SERVER, "sim", "--port", str(port), *options],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(timeout=10)


def median_ms(times: list[float]) -> float:
    """Median of seconds, as milliseconds."""
    return statistics.median(times) * 1000


def memory_mb(pid: int) -> float:
    """Resident memory of a process (Linux), MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
