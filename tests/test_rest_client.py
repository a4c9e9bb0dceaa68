"""The published Python client library's habits, against our server on real loopback connections."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import anyio
import pytest
import uvicorn
from rests import Asker
from sdk import ApiError, Sdk

from mmflow_mcp.surfaces.http import build_app
from mmflow_mcp.surfaces.stopping import Server


@pytest.fixture(scope="module")
def port(rest_world: Asker) -> Iterator[int]:
    """The application on a port of loopback, as `serve` serves it."""
    listener = socket.create_server(("127.0.0.1", 0))
    number: int = listener.getsockname()[1]
    servers: list[Server] = []
    ended = threading.Event()

    async def start() -> None:
        stopping = anyio.Event()
        asgi = build_app(rest_world.app, "127.0.0.1", stopping)
        config = uvicorn.Config(asgi, log_level="warning", access_log=False)
        servers.append(Server(config, stopping))
        rest_world.app.soon(serve)

    async def serve() -> None:
        await servers[0].serve(sockets=[listener])
        ended.set()

    rest_world.run(start)
    yield number
    servers[0].should_exit = True
    assert ended.wait(10)
    listener.close()


@pytest.fixture
def sdk(port: int) -> Sdk:
    """The client with a base that ends in a slash, as people write it."""
    return Sdk(f"http://127.0.0.1:{port}/api/v1/")


# What the library's methods ask: path, parameters, keys that its users read.
CALLS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/perps/oi", {"coins": ["BTC", "ETH"], "venues": ["hl", "okx"]}, {"coin", "oiUsd"}),
    ("/perps/funding", {"coins": ["BTC"], "venues": None}, {"rate", "periodHours"}),
    ("/perps/liquidations", {"coins": ["BTC"]}, {"long24hUsd", "venues"}),
    ("/perps/positioning", {"coins": ["BTC"], "period": "1h"}, {"view", "longFraction"}),
    ("/perps/oi/history", {"coin": "BTC", "sinceMs": None}, {"points", "cadenceMs"}),
    ("/perps/funding/history", {"coin": "BTC", "sinceMs": "-6h"}, {"points", "enabled"}),
    ("/options/gex", {"underlying": "BTC"}, {"totalGex", "strikes"}),
    ("/options/skew", {"underlying": "BTC"}, {"smileByExpiry", "termStructure"}),
    ("/options/chain", {"underlying": "BTC"}, {"instrument", "markIv"}),
    ("/markets/spot", {"coins": ""}, {"price", "bid"}),
    ("/onchain/valuation", {}, {"nupl"}),
    ("/markets", {"page": 0}, {"venues"}),
]


@pytest.mark.parametrize(("path", "params", "keys"), CALLS, ids=[c[0] for c in CALLS])
def test_its_calls_are_answered(
    sdk: Sdk, path: str, params: dict[str, Any], keys: set[str]
) -> None:
    """Without a key; nothing it leaves out is missed, and commas may come as %2C."""
    answer = sdk.get(path, params)
    first = answer.data[0] if isinstance(answer.data, list) else answer.data
    assert keys <= set(first)
    assert answer.meta["source"]


def test_lists_arrive_whole(sdk: Sdk) -> None:
    """Both coins of an escaped list on both venues."""
    answer = sdk.get("/perps/oi", {"coins": ["BTC", "ETH"], "venues": ["hl", "okx"]})
    assert [("BTC", "hyperliquid"), ("BTC", "okx"), ("ETH", "hyperliquid"), ("ETH", "okx")] == [
        (row["coin"], row["venue"]) for row in answer.data
    ]


def test_its_candles_are_found_from_the_root(port: int, sdk: Sdk) -> None:
    """Also for a base without /api/, of which the whole is the root; rows are six numbers."""
    rows = sdk.candles("BTC", "1h", 24)
    assert 24 <= len(rows) <= 25
    assert all(row["l"] <= min(row["o"], row["c"]) for row in rows)
    assert all(later["t"] - row["t"] == 3_600_000 for row, later in pairwise(rows))
    assert rows == Sdk(f"http://127.0.0.1:{port}").candles("BTC", "1h", 24)


def test_its_errors_have_status_and_body(sdk: Sdk) -> None:
    """Any non-2xx is one, with the envelope as its body."""
    for path, params, status in (
        ("/perps/oi", {"coins": "NOSUCH"}, 400),
        ("/perps/oi", {"venues": "bitmex", "coins": "BTC"}, 410),
        ("/nothing", {}, 404),
        ("/options/gex", {"underlying": 0}, 400),
    ):
        with pytest.raises(ApiError) as caught:
            sdk.get(path, params)
        assert status == caught.value.status
        assert [] == caught.value.body["data"]
        assert caught.value.body["error"]


def test_the_document_comes_as_it_is(sdk: Sdk) -> None:
    """No envelope around it."""
    assert "3.1.0" == sdk.openapi()["openapi"]


def test_a_connection_is_kept_through_all_sorts_of_answers(port: int) -> None:
    """GET, HEAD, OPTIONS, 304, 404 and 414 on one connection, each with the body it says."""
    path = "/api/v1/options/gex?underlying=BTC"
    one = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    seen = []
    tag = ""
    for method, where, headers in (
        ("GET", path, {}),
        ("GET", path, {"Accept-Encoding": "gzip"}),
        ("HEAD", path, {}),
        ("OPTIONS", path, {}),
        ("GET", path, {"If-None-Match": "TAG"}),
        ("GET", "/api/v1/nothing", {}),
        ("GET", f"{path}&x={'y' * 9000}", {}),
        ("GET", path, {}),
    ):
        sent = {name: tag if value == "TAG" else value for name, value in headers.items()}
        one.request(method, where, headers=sent)
        socket_before = one.sock
        answer = one.getresponse()
        body = answer.read()
        seen.append((answer.status, bool(body)))
        tag = tag or str(answer.headers["etag"])
        assert socket_before is one.sock, "the connection was closed"
    one.close()
    assert [
        (200, True),
        (200, True),
        (200, False),
        (204, False),
        (304, False),
        (404, True),
        (414, True),
        (200, True),
    ] == seen


def test_a_body_is_refused_and_does_no_harm(port: int) -> None:
    """What follows it is no second question."""
    with socket.create_connection(("127.0.0.1", port), 15) as line:
        smuggled = b"GET /api/v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        line.sendall(
            b"GET /api/v1/perps/oi?coins=XRP HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled
        )
        said = b""
        while part := line.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 413 ")
    assert 1 == said.count(b"HTTP/1.1 ")


def test_many_connections_lose_nothing(port: int) -> None:
    """32 at once, some hundred questions, every one answered whole."""
    paths = [f"/api/v1/perps/oi?coins={c}&venues=hl,okx" for c in ("BTC", "ETH", "SOL", "DOGE")]

    def ask(number: int) -> int:
        one = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        rows = 0
        for turn in range(8):
            one.request("GET", paths[(number + turn) % len(paths)])
            answer = one.getresponse()
            assert 200 == answer.status
            rows += len(json.loads(answer.read())["data"])
        one.close()
        return rows

    with ThreadPoolExecutor(32) as pool:
        assert [16] * 32 == list(pool.map(ask, range(32)))
