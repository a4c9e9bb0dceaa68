"""A minute of 32 connections with every kind of question: nothing is lost or left behind."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from common import SERVER, Figure, free_port, memory_mb, simulated_venues
from mcp_http import called
from rest import Connection, get, listening

from mmflow_mcp.endpoints.declare import endpoints

CONNECTIONS = 32
SECONDS = float(os.environ.get("LOAD_SECONDS", "60"))
# The caches fill in this part of the time.
WARM_UP = 0.3
MOST_MB = 24


def questions() -> list[bytes]:
    """The example of every endpoint over REST but the streams, and one call over MCP."""
    found = [called("get_funding"), get("/api/v1/markets"), get("/healthz")]
    for e in endpoints().values():
        if e.path.startswith("/streams/"):
            continue
        words = [
            f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
            for name, value in e.example.items()
        ]
        found.append(get(f"/api/v1{e.path}?{'&'.join(words)}"))
    return found


class Load:
    """Askers in threads, each with a connection of its own, and what came back."""

    def __init__(self, port: int) -> None:
        self.said: Counter[str] = Counter()
        self.until = time.monotonic() + SECONDS
        self._port = port
        self._lock = threading.Lock()

    def ask(self, number: int) -> None:
        """Ask one after the other until the time is over."""
        mine: Counter[str] = Counter()
        asked = questions()
        connection = Connection(self._port)
        try:
            turn = number
            while time.monotonic() < self.until:
                question = asked[turn % len(asked)]
                connection.ask(question)
                mine[_told(question, *connection.any_answer())] += 1
                turn += 1
        except (OSError, RuntimeError) as error:
            mine[f"lost: {str(error).splitlines()[0][:60]}"] += 1
        finally:
            connection.close()
            with self._lock:
                self.said += mine


def _told(question: bytes, head: bytes, body: bytes) -> str:
    """`answered`, or what was wrong with the answer."""
    document = json.loads(body)
    answered = document.get("result", document)
    whole = "data" in answered or "structuredContent" in answered or "status" in answered
    if b" 200 " in head[:20] and whole and not answered.get("isError"):
        return "answered"
    path = question.split(b" ", 2)[1].decode()
    return f"{head[9:12].decode()} {path[:60]}: {str(answered.get('error'))[:160]}"


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Run the load; memory and file descriptors after the warm-up and at the end."""
    port = free_port()
    with simulated_venues() as base:
        serve = ["serve", "--port", str(port), "--source", f"sim:{base}", "--store", "memory"]
        with listening([*SERVER, *serve], port, MMFLOW_ANON_PER_MINUTE="0") as pid:
            # The first of each: what loads late and what only the venues know is there before.
            first = Connection(port)
            for question in questions():
                first.ask(question)
                first.any_answer()
            first.close()
            load = Load(port)
            askers = [threading.Thread(target=load.ask, args=(n,)) for n in range(CONNECTIONS)]
            for asker in askers:
                asker.start()
            time.sleep(SECONDS * WARM_UP)
            warm, opened = memory_mb(pid), _open(pid)
            for asker in askers:
                asker.join()
            time.sleep(1)
            grown, left = memory_mb(pid) - warm, _open(pid)
    answered = load.said.pop("answered", 0)
    say(f"load: {answered} answers, {dict(load.said)}, {warm:.0f} MB then {warm + grown:.0f} MB")
    say(f"load: {opened} file descriptors under load, {left} after")
    meaning = f"of {answered:,} in {SECONDS:g} s, {CONNECTIONS} connections, every endpoint"
    return [
        Figure("answers lost or wrong under load", sum(load.said.values()), 0, "", meaning),
        Figure("memory gained under load", max(0.0, grown), MOST_MB, "MB", "after the warm-up"),
        Figure("descriptors left open", max(0, left - opened), 0, "", f"{opened} under load"),
    ]


def _open(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
