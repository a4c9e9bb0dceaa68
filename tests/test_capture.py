"""What was captured can be shown to others, and replays."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.upstream.asgi import App, AsgiTransport, Message, Receive, Send
from mmflow_mcp.upstream.capture import Capture, CaptureTransport
from mmflow_mcp.upstream.replay import Recordings, replay_app

pytestmark = pytest.mark.anyio

HOST = "https://api.venue.example"
NOW = 1_755_846_233_123


async def venue(scope: Message, receive: Receive, send: Send) -> None:
    """Play a small venue: JSON, packed JSON, bytes, an error status and a socket."""
    if scope["type"] == "websocket":
        await play_socket(receive, send)
        return
    asked = (await receive())["body"]
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"sid=hush")]
    status, body = 200, b'{"path": "' + scope["path"].encode() + b'", "px": 1.10, "n": "\xc3\xa9"}'
    if scope["path"] == "/packed":
        headers.append((b"content-encoding", b"gzip"))
        body = gzip.compress(body)
    elif scope["path"] == "/bytes":
        body = bytes(range(256))
    elif scope["path"] == "/busy":
        status, body = 429, b""
        headers += [(b"retry-after", b"3"), (b"x-auth-hint", b"hush")]
    elif scope["path"] == "/refused":
        raise ConnectionRefusedError
    elif asked:
        body = b'{"asked": ' + asked + b"}"
    await send({"type": "http.response.start", "status": status, "headers": headers})
    more = scope["path"] == "/endless"
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def play_socket(receive: Receive, send: Send) -> None:
    """Say back what was said, in text and in bytes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
        await send({"type": "websocket.send", "bytes": b"\x1f\x8b" + message["text"].encode()})


@asynccontextmanager
async def client_of(app: App, sink: Capture | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Make a client of an app, with what passes captured into the sink."""
    async with anyio.create_task_group() as tasks:
        transport: httpx2.AsyncBaseTransport = AsgiTransport(app, tasks)
        if sink is not None:
            transport = CaptureTransport(transport, sink)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            yield client
        tasks.cancel_scope.cancel()


def saved(sink: Capture, folder: Path) -> list[dict[str, Any]]:
    """Save what was captured and read the entries of the file."""
    sink.save(folder / "wire.har")
    document = json.loads((folder / "wire.har").read_text())
    assert document["log"]["version"] == "1.2"
    entries: list[dict[str, Any]] = document["log"]["entries"]
    return entries


async def test_what_was_captured_replays(tmp_path: Path) -> None:
    """Every kind of answer comes back from the file with the same bytes, status and time."""
    questions: list[tuple[str, str, Any]] = [
        ("GET", "/plain?symbol=BTC&limit=5", None),
        ("GET", "/packed", None),
        ("GET", "/bytes", None),
        ("GET", "/busy", None),
        ("POST", "/info", {"type": "meta", "req": {"coin": "BTC", "startTime": 1}}),
    ]
    sink = Capture(FixedClock(NOW))
    live, replayed = [], []
    async with client_of(venue, sink) as client:
        for method, path, body in questions:
            answer = await client.request(method, HOST + path, json=body)
            live.append((answer.status_code, answer.content, answer.headers["content-type"]))
    sink.save(tmp_path / "wire.har")
    async with client_of(replay_app(Recordings([tmp_path / "wire.har"]))) as client:
        for method, path, body in questions:
            answer = await client.request(method, HOST + path, json=body)
            replayed.append((answer.status_code, answer.content, answer.headers["content-type"]))
            assert answer.extensions["read_at"] == NOW

    assert len(questions) == len(sink)
    assert live == replayed


async def test_capturing_changes_nothing(tmp_path: Path) -> None:
    """The client sees the same headers, bytes and stream with and without a sink."""
    async with client_of(venue) as bare, client_of(venue, Capture()) as tapped:
        one, other = [await client.get(f"{HOST}/packed") for client in (bare, tapped)]

    assert one.content == other.content
    assert one.headers.multi_items() == other.headers.multi_items()


async def test_an_entry_tells_the_exchange(tmp_path: Path) -> None:
    """Request, query, body, status, headers and times stand where HAR 1.2 has them."""
    clock = FixedClock(NOW)

    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        clock.advance(0.25)
        await venue(scope, receive, send)

    sink = Capture(clock)
    async with client_of(slow, sink) as client:
        await client.post(f"{HOST}/info?a=b%20c&d=", content=b'{"px": 1.10}')
    (entry,) = saved(sink, tmp_path)
    request, response = entry["request"], entry["response"]

    assert entry["startedDateTime"] == "2025-08-22T07:03:53.123Z"
    assert [250, {"send": 0, "wait": 250, "receive": 0}] == [entry["time"], entry["timings"]]
    assert ["POST", f"{HOST}/info?a=b%20c&d="] == [request["method"], request["url"]]
    assert [{"name": "a", "value": "b c"}, {"name": "d", "value": ""}] == request["queryString"]
    assert request["postData"]["text"] == '{"px": 1.10}'
    assert [200, "OK"] == [response["status"], response["statusText"]]
    assert response["content"]["text"] == '{"asked": {"px": 1.10}}'
    assert "_error" not in entry


async def test_bytes_are_stored_in_base64(tmp_path: Path) -> None:
    """A body that is no UTF-8 is kept in base64; a packed one is unpacked first."""
    sink = Capture()
    async with client_of(venue, sink) as client:
        await client.get(f"{HOST}/bytes")
        await client.get(f"{HOST}/packed")
    contents = [entry["response"]["content"] for entry in saved(sink, tmp_path)]

    assert "base64" == contents[0]["encoding"]
    assert bytes(range(256)) == base64.b64decode(contents[0]["text"])
    assert '{"path": "/packed", "px": 1.10, "n": "é"}' == contents[1]["text"]


async def test_credentials_are_never_stored(tmp_path: Path) -> None:
    """No cookie, key, token or secret of either side is in the file, wherever it stood."""
    sink = Capture()
    headers = {
        "authorization": "Bearer hush",
        "x-mbx-apikey": "hush",
        "cookie": "sid=hush",
        "x-session-token": "hush",
        "accept": "application/json",
    }
    body = {"type": "meta", "secret": "hush", "nested": [{"apiKey": "hush", "coin": "BTC"}]}
    async with client_of(venue, sink) as client:
        url = "https://user:hush@api.venue.example/busy?keys=ALL&api_key=hush&token_id=1&token=hush"
        await client.post(url, headers=headers, json=body)
    (entry,) = saved(sink, tmp_path)

    assert "hush" not in (tmp_path / "wire.har").read_text()
    assert f"{HOST}/busy?keys=ALL&token_id=1" == entry["request"]["url"]
    assert {"type": "meta", "nested": [{"coin": "BTC"}]} == json.loads(
        entry["request"]["postData"]["text"]
    )
    kept = {header["name"] for header in entry["request"]["headers"]}
    assert {"accept", "content-type", "user-agent"} == kept
    told = {header["name"] for header in entry["response"]["headers"]}
    assert {"content-type", "retry-after"} == told


async def test_a_question_with_a_credential_replays_without_it(tmp_path: Path) -> None:
    """The key that was left out of the file does not hinder the match."""
    sink = Capture()
    async with client_of(venue, sink) as client:
        live = await client.get(f"{HOST}/plain?symbol=BTC&api_key=one")
    sink.save(tmp_path / "wire.har")
    async with client_of(replay_app(Recordings([tmp_path]))) as client:
        replayed = await client.get(f"{HOST}/plain?symbol=BTC&api_key=other")

    assert live.content == replayed.content


async def test_a_failure_is_kept_and_does_not_replay(tmp_path: Path) -> None:
    """No connection and a body that was cut off are told in the file, and unrecorded after."""
    sink = Capture()
    async with client_of(venue, sink) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"{HOST}/refused")
        with pytest.raises(httpx2.ReadError):
            await client.get(f"{HOST}/endless")
    entries = saved(sink, tmp_path)
    async with client_of(replay_app(Recordings([tmp_path]))) as client:
        statuses = [
            (await client.get(HOST + path)).status_code for path in ("/refused", "/endless")
        ]

    assert ["ConnectError", "cut off before its end"] == [entry["_error"] for entry in entries]
    assert [0, 200] == [entry["response"]["status"] for entry in entries]
    assert [599, 599] == statuses


async def test_frames_of_a_socket_are_captured_and_replay(tmp_path: Path) -> None:
    """Both directions stand in `_webSocketMessages`; the venue's side comes back on replay."""
    url = "wss://ws.venue.example/ws?streams=btc"
    sink = Capture(FixedClock(NOW))
    async with client_of(venue, sink) as client, client.websocket(url) as socket:
        await socket.send_text("hé")
        live = [await socket.receive_text(), await socket.receive_bytes()]
    (entry,) = saved(sink, tmp_path)
    async with (
        client_of(replay_app(Recordings([tmp_path]))) as client,
        client.websocket(url) as socket,
    ):
        replayed = [await socket.receive_text(), await socket.receive_bytes()]

    seconds = NOW / 1000
    binary = base64.b64encode(b"\x1f\x8bh\xc3\xa9").decode()
    assert ["hé", b"\x1f\x8bh\xc3\xa9"] == live
    assert live == replayed
    assert [
        {"type": "send", "time": seconds, "opcode": 1, "data": "hé"},
        {"type": "receive", "time": seconds, "opcode": 1, "data": "hé"},
        {"type": "receive", "time": seconds, "opcode": 2, "data": binary},
    ] == entry["_webSocketMessages"]
    assert 101 == entry["response"]["status"]


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Saving into a folder that does not exist is the caller's mistake, without its path."""
    with pytest.raises(BadQuestion) as caught:
        Capture().save(tmp_path / "missing" / "wire.har")

    assert "wire.har" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
