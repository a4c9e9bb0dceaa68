"""The whole application of `serve`, whose tape is fed over a socket: `stream_server.py PORT FEED`.

On FEED it takes lines, each a frame as the venue sends it, and hands them to the reader and the
sink of the venue's trades, as the feed does; it answers a line `count` with how often a print was
encoded and how many prints that were. The feed of the simulated venue itself is ended.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import uvicorn
from stream_listener import raise_files

from mmflow_mcp.app import App, running
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces import sse
from mmflow_mcp.surfaces.http import build_app, spare_collector
from mmflow_mcp.surfaces.stopping import Server
from mmflow_mcp.tape.hub import TRADES
from mmflow_mcp.tape.sinks import TradeSink
from mmflow_mcp.venues.feeds import Rows, Said
from mmflow_mcp.venues.hyperliquid_feed import read_fast

VENUE = "hyperliquid"


def counting() -> Counter[tuple[str, str, int]]:
    """How often each print is encoded from now on, by the name of the event."""
    counted: Counter[tuple[str, str, int]] = Counter()
    encode = sse._encode  # noqa: SLF001 - counted where it happens

    def count(name: str, row: Callable[[Any], Any], item: Any) -> bytes:
        if isinstance(item, TapePrint):
            counted[name, item.coin, item.trade_id] += 1
        return encode(name, row, item)

    sse._encode = count  # noqa: SLF001
    return counted


async def feed(port: int, app: App, counted: Counter[tuple[str, str, int]]) -> None:
    """Take frames until the other side closes."""
    hub = app.core().tape
    sink = TradeSink(hub.tape(VENUE), hub.now_ms, lambda _: None)
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line == b"count":
                    said = {"encoded": counted.total(), "prints": len(counted)}
                    await stream.send(json.dumps(said).encode() + b"\n")
                    continue
                heard: Said | Rows = read_fast(line)
                assert not isinstance(heard, Said)
                sink.heard(heard)


async def serve(port: int, feed_port: int) -> None:
    """Serve until stopped."""
    settings = from_environment({}, source="sim", store="off", record="off")
    async with running(settings) as app:
        hub = app.core().tape
        with hub.hold(VENUE, TRADES):
            own = hub.feed(VENUE)
            assert own is not None
            own.stop()
            app.soon(feed, feed_port, app, counting())
            stopping = anyio.Event()
            asgi = build_app(app, "127.0.0.1", stopping)
            spare_collector()
            config = uvicorn.Config(
                asgi,
                port=port,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=5,
                proxy_headers=False,
            )
            await Server(config, stopping).serve()


if __name__ == "__main__":
    raise_files()
    anyio.run(serve, int(sys.argv[1]), int(sys.argv[2]))
