"""An ASGI app below the client behaves as a network would."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from httpx2.websockets import (
    WebSocketDisconnect,
    WebSocketNetworkError,
    WebSocketUpgradeError,
)

from mmflow_mcp.upstream.asgi import App, AsgiTransport, Message, Receive, Send

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    """Make a client whose every request runs the app."""
    async with anyio.create_task_group() as tasks:
        transport = AsgiTransport(app, tasks)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            yield client
        tasks.cancel_scope.cancel()


async def say(send: Send, body: bytes = b"", status: int = 200, **more: Any) -> None:
    """Send one whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": [], **more})
    await send({"type": "http.response.body", "body": body})


async def hear(receive: Receive, until: Callable[[Message], bool]) -> Message:
    """Receive until a message fits."""
    while True:
        message = await receive()
        if until(message):
            return message


def left(message: Message) -> bool:
    """Whether a message tells that the other side has gone."""
    return bool(message["type"].endswith(".disconnect"))


async def test_a_request_arrives_whole() -> None:
    """Method, host, path, query and body reach the app as they were sent."""
    seen: list[Any] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        host = dict(scope["headers"])[b"host"]
        seen.extend((scope["method"], host, scope["path"], scope["query_string"], message["body"]))
        await say(send, b"ok", 201)

    async with client_of(app) as client:
        response = await client.post("https://venue.example/a%20b?c=d%26e", content=b"body")

    assert [201, b"ok"] == [response.status_code, response.content]
    assert ["POST", b"venue.example", "/a b", b"c=d%26e", b"body"] == seen


async def test_a_host_header_is_added_to_a_request_without_one() -> None:
    """A request built around a stream has no Host header; the app gets one all the same."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await say(send, dict(scope["headers"])[b"host"])

    async def stream() -> AsyncIterator[bytes]:
        yield b"x"

    async with client_of(app) as client:
        request = httpx2.Request("POST", "https://venue.example:8443/", content=stream())
        del request.headers["host"]
        response = await client.send(request)

    assert b"venue.example:8443" == response.content


async def test_the_moment_of_reading_is_passed_on() -> None:
    """`read_at` of the start message becomes an extension of the response."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await say(send, read_at=1_755_846_233_000)

    async with client_of(app) as client:
        response = await client.get("https://venue.example/")

    assert 1_755_846_233_000 == response.extensions["read_at"]


async def test_a_body_streams_as_it_is_produced() -> None:
    """The reader has the first part while the app still waits to produce the second."""
    go_on = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"two"})

    parts: list[bytes] = []
    with anyio.fail_after(5):
        async with client_of(app) as client, client.stream("GET", "https://v.example/") as answer:
            async for part in answer.aiter_raw():
                parts.append(part)
                go_on.set()

    assert [b"one", b"two"] == parts


async def test_an_endless_body_waits_for_its_reader() -> None:
    """An app that is far ahead of its reader is held, so that memory stays bounded."""
    sent = 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            sent += 1

    async with client_of(app) as client, client.stream("GET", "https://v.example/"):
        await anyio.sleep(0.02)

    assert 0 < sent < 100


@pytest.mark.parametrize("kind", [ConnectionRefusedError, ConnectionError])
async def test_a_refused_connection_is_a_connect_error(kind: type[Exception]) -> None:
    """ConnectionError before the answer begins is what a closed port would be."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise kind("private words")

    async with client_of(app) as client:
        with pytest.raises(httpx2.ConnectError) as caught:
            await client.get("https://venue.example/")

    assert "private" not in str(caught.value)


async def test_a_fault_of_the_app_is_a_read_error_without_its_words() -> None:
    """Whatever an app raises reaches the client as a broken connection, and nothing leaks."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise KeyError("private words")

    async with client_of(app) as client:
        with pytest.raises(httpx2.ReadError) as caught:
            await client.get("https://venue.example/")

    assert "private" not in str(caught.value)


async def test_an_app_that_says_nothing_is_a_read_error() -> None:
    """An app that returns without an answer is a connection closed without one."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()

    async with client_of(app) as client:
        with pytest.raises(httpx2.ReadError):
            await client.get("https://venue.example/")


@pytest.mark.parametrize("fails", [True, False])
async def test_a_body_that_breaks_off_is_no_whole_body(fails: bool) -> None:  # noqa: FBT001
    """A part of a body is never taken for the whole: reading it ends in an error."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"list":[', "more_body": True})
        if fails:
            raise ConnectionResetError

    async with client_of(app) as client:
        with pytest.raises(httpx2.ReadError):
            await client.get("https://venue.example/")


async def test_one_failing_request_leaves_others_alone() -> None:
    """An exception in one task does not cancel the tasks of other requests."""
    go_on = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/bad":
            raise RuntimeError
        await go_on.wait()
        await say(send, b"good")

    good: list[bytes] = []
    async with client_of(app) as client:

        async def ask() -> None:
            good.append((await client.get("https://venue.example/good")).content)

        async with anyio.create_task_group() as asking:
            asking.start_soon(ask)
            with pytest.raises(httpx2.ReadError):
                await client.get("https://venue.example/bad")
            go_on.set()

    assert [b"good"] == good


async def test_a_cancelled_request_is_a_disconnect() -> None:
    """The app's `receive` says http.disconnect when the asker stops waiting."""
    heard: list[str] = []
    done = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        heard.append((await hear(receive, left))["type"])
        with pytest.raises(OSError):  # noqa: PT011 - ASGI asks for no more than an OSError
            await say(send)
        done.set()

    async with client_of(app) as client:
        with anyio.move_on_after(0.01):
            await client.get("https://venue.example/")
        with anyio.fail_after(5):
            await done.wait()

    assert ["http.disconnect"] == heard


async def test_a_cancelled_request_cancels_a_deaf_app() -> None:
    """An app that does not listen is cancelled, soon and alone."""
    ended = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep(math.inf)
        finally:
            ended.set()

    async with client_of(app) as client:
        with anyio.move_on_after(0.01):
            await client.get("https://venue.example/")
        with anyio.fail_after(1):
            await ended.wait()


async def test_a_stream_that_is_left_early_ends_its_app() -> None:
    """Closing a response before its end is a disconnect too."""
    heard = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await hear(receive, left)
        heard.set()

    async with client_of(app) as client:
        async with client.stream("GET", "https://venue.example/") as answer:
            assert await anext(answer.aiter_raw()) == b"x"
        with anyio.fail_after(1):
            await heard.wait()


async def test_work_after_the_answer_is_not_cancelled() -> None:
    """An app that has answered may go on, as behind a server."""
    done = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await say(send)
        await anyio.sleep(0.15)
        done.set()

    async with client_of(app) as client:
        await client.get("https://venue.example/")
        with anyio.fail_after(5):
            await done.wait()


async def test_a_read_time_out_is_kept() -> None:
    """The time-out of the request bounds the wait, as on a network."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await hear(receive, left)

    async with client_of(app) as client:
        for path in ("/none", "/half"):
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"https://venue.example{path}", timeout=0.02)


async def test_many_requests_run_side_by_side() -> None:
    """A hundred requests are under way at once and each gets its own answer."""
    waiting = 0
    all_here = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 100:
            all_here.set()
        await all_here.wait()
        await say(send, scope["path"].encode())

    answers: list[bytes] = []
    async with client_of(app) as client:

        async def ask(number: int) -> None:
            answers.append((await client.get(f"https://venue.example/{number}")).content)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as asking:
                for number in range(100):
                    asking.start_soon(ask, number)

    assert {f"/{number}".encode() for number in range(100)} == set(answers)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Serve a socket that says everything back, with its own path in front of texts."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": f"{scope['path']} {message['text']}"})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def test_a_socket_carries_texts_and_bytes() -> None:
    """Messages of both kinds go both ways, larger ones than one frame buffer too."""
    large = "x" * 200_000
    async with (
        client_of(echo) as client,
        client.websocket("wss://v.example/ws", max_message_size_bytes=10**6) as socket,
    ):
        await socket.send_text(large)
        text = await socket.receive_text()
        await socket.send_bytes(b"\x00\xff")
        data = await socket.receive_bytes()

    assert [f"/ws {large}", b"\x00\xff"] == [text, data]


async def test_sockets_do_not_mix() -> None:
    """Two sockets open at once each reach their own path."""
    async with (
        client_of(echo) as client,
        client.websocket("wss://v.example/a") as one,
        client.websocket("wss://v.example/b") as two,
    ):
        await one.send_text("1")
        await two.send_text("2")
        said = [await two.receive_text(), await one.receive_text()]

    assert ["/b 2", "/a 1"] == said


async def test_a_ping_is_answered() -> None:
    """The keep-alive of the client gets its pong without the app."""
    async with client_of(echo) as client, client.websocket("wss://v.example/") as socket:
        pong = await socket.ping()
        with anyio.fail_after(1):
            await pong.wait()


async def test_leaving_a_socket_is_a_disconnect() -> None:
    """The app hears websocket.disconnect with the code of the client's goodbye."""
    heard: list[Message] = []
    done = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        heard.append(await hear(receive, left))
        with pytest.raises(OSError):  # noqa: PT011 - ASGI asks for no more than an OSError
            await send({"type": "websocket.send", "text": "late"})
        done.set()

    async with client_of(app) as client:
        async with client.websocket("wss://v.example/"):
            pass
        with anyio.fail_after(1):
            await done.wait()

    assert ["websocket.disconnect", 1000] == [heard[0]["type"], heard[0]["code"]]


async def test_a_socket_left_without_a_goodbye_is_a_disconnect() -> None:
    """A client that drops the connection is heard as code 1006."""
    heard: list[Message] = []
    done = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        heard.append(await hear(receive, left))
        done.set()

    async with client_of(app) as client:
        async with client.stream("GET", "wss://v.example/") as response:
            assert response.status_code == 101
        with anyio.fail_after(1):
            await done.wait()

    assert 1006 == heard[0]["code"]


async def test_cancelling_a_socket_ends_its_app() -> None:
    """A cancelled reader leaves, and an app that does not listen is cancelled."""
    ended = anyio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "websocket.accept"})
            await anyio.sleep(math.inf)
        finally:
            ended.set()

    async with client_of(app) as client:
        with anyio.move_on_after(0.02):
            async with client.websocket("wss://v.example/") as socket:
                await socket.receive_text()
        with anyio.fail_after(1):
            await ended.wait()


async def test_a_goodbye_of_the_venue_arrives() -> None:
    """The close code of the app reaches the client, after the messages before it."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": "v1"})
        await send({"type": "websocket.send", "text": "last"})
        await send({"type": "websocket.close", "code": 1012, "reason": "restart"})

    async with (
        client_of(app) as client,
        client.websocket("wss://v.example/", subprotocols=["v1"]) as socket,
    ):
        text, chosen = await socket.receive_text(), socket.subprotocol
        with pytest.raises(WebSocketDisconnect) as caught:
            await socket.receive_text()

    assert ["last", "v1", 1012] == [text, chosen, caught.value.code]


async def test_a_socket_that_breaks_is_a_network_error() -> None:
    """An app that fails after it accepted is a connection that broke."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise ConnectionResetError

    async with client_of(app) as client, client.websocket("wss://v.example/") as socket:
        with pytest.raises(WebSocketNetworkError):
            await socket.receive_text()


async def test_a_socket_may_be_refused() -> None:
    """A close before the accept is 403; an app may also answer in HTTP, or refuse to connect."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/refused":
            raise ConnectionRefusedError
        if scope["path"] == "/closed":
            await send({"type": "websocket.close"})
            return
        headers = [(b"x-why", b"not here")]
        start = {"type": "websocket.http.response.start", "status": 451, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"words"})

    async with client_of(app) as client:
        statuses = []
        for path in ("/closed", "/denied"):
            with pytest.raises(WebSocketUpgradeError) as caught:
                async with client.websocket(f"wss://v.example{path}"):
                    pass
            response = caught.value.response
            statuses.append((response.status_code, response.headers.get("x-why")))
        with pytest.raises(httpx2.ConnectError):
            async with client.websocket("wss://v.example/refused"):
                pass

    assert [(403, None), (451, "not here")] == statuses
