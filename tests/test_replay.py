"""Recordings answer the questions that were recorded, and no others."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from httpx2.websockets import WebSocketUpgradeError
from wires import RECORDINGS

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.upstream.asgi import AsgiTransport
from mmflow_mcp.upstream.replay import Recordings, replay_app

HOST = "https://api.venue.example"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings are not on this machine"
)


@asynccontextmanager
async def replaying(*paths: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Make a client that reaches nothing but the recordings."""
    async with anyio.create_task_group() as tasks:
        transport = AsgiTransport(replay_app(Recordings(paths)), tasks)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            yield client
        tasks.cancel_scope.cancel()


def entry(
    url: str,
    text: str = "{}",
    *,
    at: str = "2026-01-02T03:04:05.678Z",
    post: Any = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Make a HAR entry; `post` is the JSON body of a POST, `more` joins the content."""
    request: dict[str, Any] = {"method": "GET" if post is None else "POST", "url": url}
    if post is not None:
        request["postData"] = {"mimeType": "application/json", "text": json.dumps(post)}
    told = [{"name": name, "value": value} for name, value in (headers or {}).items()]
    content = {"size": len(text), "mimeType": "application/json", "text": text, **more}
    response = {"status": status, "headers": told, "content": content}
    return {"startedDateTime": at, "time": 0, "request": request, "response": response}


def har(path: Path, *entries: dict[str, Any]) -> Path:
    """Write a HAR file."""
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


@pytest.mark.anyio
async def test_the_largest_then_the_newest_answers(tmp_path: Path) -> None:
    """Of several fitting entries the largest body wins, and among equals the newest."""
    file = har(
        tmp_path / "a.har",
        entry(f"{HOST}/t?limit=1", "[1]", at="2026-03-01T00:00:00Z"),
        entry(f"{HOST}/t?limit=9", "[1,2,3]", at="2026-01-01T00:00:00Z"),
        entry(f"{HOST}/t", "[4,5,6]", at="2026-02-01T00:00:00Z"),
        entry(f"{HOST}/t?limit=9", "[7,8,9]", at="2025-02-01T00:00:00Z"),
    )
    async with replaying(file) as client:
        response = await client.get(f"{HOST}/t?limit=1")

    assert [4, 5, 6] == response.json()
    assert 1_769_904_000_000 == response.extensions["read_at"]


@pytest.mark.anyio
async def test_pages_that_were_recorded_are_told_apart(tmp_path: Path) -> None:
    """A list of several recorded pages replays page by page, whichever is the largest."""
    file = har(
        tmp_path / "a.har",
        entry(f"{HOST}/t", '{"next":"b"}'),
        entry(f"{HOST}/t?cursor=b", '{"next":"","rows":[1,2,3]}'),
        entry(f"{HOST}/p", "1", post={"page": 1}),
        entry(f"{HOST}/p", "22", post={"page": 2}),
    )
    async with replaying(file) as client:
        pages = [(await client.get(f"{HOST}/t{query}")).text for query in ("", "?cursor=b")]
        posted = [(await client.post(f"{HOST}/p", json={"page": n})).text for n in (1, 2, 3)]

    assert ['{"next":"b"}', '{"next":"","rows":[1,2,3]}'] == pages
    assert ["1", "22", "22"] == posted


@pytest.mark.anyio
async def test_an_answer_is_as_it_was_recorded(tmp_path: Path) -> None:
    """Status, body and telling headers come back; what described the packed body does not."""
    headers = {
        "Content-Type": "text/html",
        "Retry-After": "7",
        "X-MBX-USED-WEIGHT-1M": "2400",
        "X-Bapi-Limit-Status": "0",
        "Content-Encoding": "gzip",
        "Content-Length": "99999",
        "Set-Cookie": "a=b",
    }
    file = har(tmp_path / "a.har", entry(f"{HOST}/t", "<p>é", status=429, headers=headers))
    async with replaying(file) as client:
        response = await client.get(f"{HOST}/t")

    assert [429, "<p>é".encode()] == [response.status_code, response.content]
    assert {
        "content-type": "text/html",
        "retry-after": "7",
        "x-mbx-used-weight-1m": "2400",
        "x-bapi-limit-status": "0",
    } == dict(response.headers)
    assert 1_767_323_045_678 == response.extensions["read_at"]


@pytest.mark.anyio
async def test_a_base64_body_is_decoded(tmp_path: Path) -> None:
    """Bytes that are no text survive."""
    raw = bytes(range(256))
    text = base64.b64encode(raw).decode()
    file = har(tmp_path / "a.har", entry(f"{HOST}/t", text, encoding="base64"))
    async with replaying(file) as client:
        response = await client.get(f"{HOST}/t")

    assert raw == response.content


@pytest.mark.anyio
async def test_what_was_not_recorded_is_named(tmp_path: Path) -> None:
    """The refusal is 599, empty, and names method, host, path, query and body in ASCII."""
    file = har(tmp_path / "a.har", entry(f"{HOST}/t?symbol=BTC"))
    async with replaying(file) as client:
        got = await client.get(f"{HOST}/t?symbol=ETH%20x&limit=5")
        posted = await client.post(f"{HOST}/info", json={"type": "é"})
        foreign = await client.get("https://else.example/")

    header = "x-mmflow-unrecorded"
    assert [599, b""] == [got.status_code, got.content]
    assert "GET api.venue.example/t?symbol=ETH%20x&limit=5" == got.headers[header]
    assert 'POST api.venue.example/info {"type":"%C3%A9"}' == posted.headers[header]
    assert "GET else.example/" == foreign.headers[header]


@pytest.mark.anyio
async def test_entries_without_a_whole_answer_do_not_answer(tmp_path: Path) -> None:
    """A failed request, a cut body and a body that was not kept are unrecorded."""
    failed = entry(f"{HOST}/failed", "", status=0)
    cut = {**entry(f"{HOST}/cut", "[1"), "_error": "cut off"}
    dropped = entry(f"{HOST}/dropped", "[1]")
    del dropped["response"]["content"]["text"]
    file = har(tmp_path / "a.har", failed, cut, dropped)
    async with replaying(file) as client:
        statuses = [
            (await client.get(f"{HOST}/{path}")).status_code
            for path in ("failed", "cut", "dropped")
        ]

    assert [599, 599, 599] == statuses


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        '{"log": {}}',
        '{"log": {"entries": {}}}',
        '{"log": {"entries": [1]}}',
        '{"log": {"entries": [{"request": {"url": "https://a.example/"',
    ],
)
def test_a_file_that_is_no_recording_is_named(tmp_path: Path, content: str) -> None:
    """The complaint says `source`, the name of the file and what is wrong, not its folder."""
    file = tmp_path / "bad.har"
    file.write_text(content)
    with pytest.raises(BadQuestion) as caught:
        Recordings([file])

    assert "source" == caught.value.argument
    assert "bad.har" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_path_without_recordings_is_named(tmp_path: Path) -> None:
    """A path that does not exist and a folder without recordings are the caller's mistake."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.bin").write_bytes(b"\x00")
    for name in ("missing.har", "empty"):
        with pytest.raises(BadQuestion) as caught:
            Recordings([tmp_path / name])
        assert name in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(("cut", "complaint"), [(0, "is damaged: entry 1"), (2, "is not JSON")])
async def test_damage_found_late_is_an_unrecorded_answer(
    tmp_path: Path, cut: int, complaint: str
) -> None:
    """A file whose damage the first look misses says so where its host is asked, only there."""
    file = tmp_path / "bad.har"
    damaged = entry(f"{HOST}/t")
    del damaged["startedDateTime"]
    har(file, damaged)
    text = file.read_text()
    file.write_text(text[: len(text) - cut] + "}" * (cut > 0))
    good = har(tmp_path / "good.har", entry("https://good.example/t"))
    async with replaying(file, good) as client:
        bad, fine = await client.get(f"{HOST}/t"), await client.get("https://good.example/t")

    assert [599, 200] == [bad.status_code, fine.status_code]
    assert f"bad.har {complaint}" in bad.headers["x-mmflow-unrecorded"]


@pytest.mark.anyio
async def test_files_and_folders_are_read_once_and_together(tmp_path: Path) -> None:
    """A folder gives its .har files, a file given beside its folder counts once."""
    one = har(tmp_path / "one.har", entry(f"{HOST}/1", "[1]"))
    har(tmp_path / "two.har", entry(f"{HOST}/2", "[2]"))
    (tmp_path / "reserve.bin").write_bytes(b"Salted__\x00\xff")
    async with replaying(tmp_path, one) as client:
        bodies = [(await client.get(f"{HOST}/{n}")).json() for n in (1, 2)]

    assert [[1], [2]] == bodies


@pytest.mark.anyio
async def test_only_files_of_asked_hosts_are_read(tmp_path: Path) -> None:
    """A file whose hosts nobody asks is not read after the first look."""
    har(tmp_path / "a.har", entry("https://a.example/", "[1]"))
    unasked = har(tmp_path / "b.har", entry("https://b.example/", "[2]"))
    async with anyio.create_task_group() as tasks:
        app = replay_app(Recordings([tmp_path]))
        unasked.unlink()
        transport = AsgiTransport(app, tasks)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            asked = await client.get("https://a.example/")
            gone = await client.get("https://b.example/")

    assert [200, 599] == [asked.status_code, gone.status_code]
    assert "b.har cannot be read" in gone.headers["x-mmflow-unrecorded"]


def frames(path: Path, *lines: dict[str, Any]) -> Path:
    """Write a file of socket frames."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.anyio
async def test_a_socket_sends_its_frames_and_falls_silent(tmp_path: Path) -> None:
    """The venue's frames come in order, ours do not, and the socket stays open after them."""
    url = "wss://ws.venue.example/ws"
    frames(
        tmp_path / "ws" / "a.jsonl",
        {"url": url, "dir": "in", "text": "1", "at": "2026-01-01T00:00:00.000Z"},
        {"url": url, "dir": "out", "text": "subscribe"},
        {"url": "wss://ws.venue.example/other", "dir": "in", "text": "foreign"},
        {"url": url, "dir": "in", "text": "2", "at": "2026-01-01T00:00:01.500Z"},
    )
    frames(tmp_path / "ws" / "b.jsonl", {"url": url, "dir": "in", "text": "3"})
    async with replaying(tmp_path) as client, client.websocket(f"{url}?streams=x") as socket:
        await socket.send_text("subscribe")
        said = [await socket.receive_text() for _ in range(3)]
        with pytest.raises(TimeoutError):
            await socket.receive_text(timeout=0.05)
        await socket.send_text("still open")
        assert socket.response is not None
        read_at = socket.response.extensions["read_at"]

    assert ["1", "2", "3"] == said
    assert 1_767_225_601_500 == read_at


@pytest.mark.anyio
async def test_frames_of_a_har_replay(tmp_path: Path) -> None:
    """`_webSocketMessages`: received text and binary frames, by the query they were asked with."""
    url = "wss://ws.venue.example/stream?streams=btc"
    socket_entry = entry(url, "", status=101)
    binary = base64.b64encode(b"\x1f\x8b").decode()
    socket_entry["_webSocketMessages"] = [
        {"type": "send", "time": 1.0, "opcode": 1, "data": "hello"},
        {"type": "receive", "time": 1.0, "opcode": 1, "data": "text"},
        {"type": "receive", "time": 1.0, "opcode": 2, "data": binary},
        {"type": "receive", "time": 1.0, "opcode": 9, "data": "ping"},
    ]
    async with replaying(har(tmp_path / "a.har", socket_entry)) as client:
        async with client.websocket(url) as socket:
            said = [await socket.receive_text(), await socket.receive_bytes()]
        with pytest.raises(WebSocketUpgradeError) as caught:
            async with client.websocket(url.replace("btc", "eth")):
                pass

    assert ["text", b"\x1f\x8b"] == said
    refusal = caught.value.response
    expected = "WEBSOCKET ws.venue.example/stream?streams=eth"
    assert [599, expected] == [refusal.status_code, refusal.headers["x-mmflow-unrecorded"]]


def test_a_damaged_frames_file_is_named(tmp_path: Path) -> None:
    """A line that is no frame is told with its number."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"dir": "in"}\n')
    with pytest.raises(BadQuestion, match=r"a\.jsonl is damaged: line 1"):
        Recordings([file])


HYPERLIQUID = "https://api.hyperliquid.xyz/info"
CANDLES = {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 7}}


@needs_recordings
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "body", "size", "month"),
    [
        (HYPERLIQUID, {"type": "metaAndAssetCtxs"}, 63_221, "2025-08"),
        (HYPERLIQUID, CANDLES, 1_084, "2026-09"),
        ("https://api.bybit.com/v5/market/tickers?category=linear", None, 118_390, "2023-03"),
        (
            "https://api.bybit.com/v5/market/instruments-info?category=linear&limit=1000",
            None,
            113_779,
            "2023-02",
        ),
        ("https://www.okx.com/api/v5/public/open-interest?instType=SWAP", None, 258, "2022-06"),
        ("https://fapi.binance.com/fapi/v1/premiumIndex", None, 83_989, "2024-11"),
        ("https://fapi.binance.com/fapi/v1/premiumIndex?symbol=BTCUSDT", None, 232, "2026-03"),
    ],
)
async def test_the_recordings_answer(
    url: str, body: dict[str, Any] | None, size: int, month: str
) -> None:
    """Known questions reach the known entries of the shared recordings."""
    async with replaying(RECORDINGS) as client:
        method = "GET" if body is None else "POST"
        response = await client.request(method, url, json=body)

    read_at = response.extensions["read_at"] / 1000
    assert [200, size] == [response.status_code, len(response.content)]
    assert month == time.strftime("%Y-%m", time.gmtime(read_at))


@needs_recordings
@pytest.mark.anyio
async def test_the_recordings_do_not_answer_for_others() -> None:
    """Another dex, another kind and an unknown path of a recorded host are unrecorded."""
    async with replaying(RECORDINGS) as client:
        statuses = [
            (await client.post(HYPERLIQUID, json={"type": "metaAndAssetCtxs", "dex": "flx"})),
            (await client.get("https://www.okx.com/api/v5/public/open-interest?instType=MARGIN")),
            (await client.get("https://fapi.binance.com/fapi/v1/nothing")),
        ]

    assert [599, 599, 599] == [response.status_code for response in statuses]


@needs_recordings
@pytest.mark.anyio
async def test_every_recorded_request_is_answered() -> None:
    """Each entry's own request gets an entry of its method, host and path, at least as large."""
    asked = 0
    async with replaying(RECORDINGS) as client:
        for file in sorted(RECORDINGS.glob("*.har")):
            for one in json.loads(file.read_text())["log"]["entries"]:
                request = one["request"]
                text = request.get("postData", {}).get("text")
                response = await client.request(request["method"], request["url"], content=text)
                recorded = one["response"]["content"]["text"].encode()
                assert response.status_code == 200, request["url"]
                assert len(recorded) <= len(response.content), request["url"]
                asked += 1

    assert asked > 500


@needs_recordings
@pytest.mark.anyio
async def test_recorded_sockets_answer() -> None:
    """The trades of Hyperliquid come from the frames beside the HAR files."""
    url = "wss://api.hyperliquid.xyz/ws"
    channels = set()
    async with (
        replaying(RECORDINGS) as client,
        client.websocket(url, max_message_size_bytes=10**6) as socket,
    ):
        while "trades" not in channels:
            channels.add(json.loads(await socket.receive_text(timeout=5))["channel"])

    assert {"activeAssetCtx", "allMids", "bbo", "l2Book", "trades"} <= channels


@needs_recordings
def test_the_first_look_at_the_recordings_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which hosts are in ten megabytes is told without decoding a file."""

    def read(path: Path) -> Any:
        pytest.fail(f"{path} was decoded")

    monkeypatch.setattr("mmflow_mcp.upstream.har.read_recording", read)
    hosts = Recordings([RECORDINGS]).hosts

    assert {"fapi.binance.com", "api.hyperliquid.xyz", "ws.okx.com"} <= hosts
