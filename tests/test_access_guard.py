"""The guard in process: keys, quotas, what counts, what passes untouched."""

import json
from typing import Any

import anyio
import pytest
from guards import NOW, OI, House, bearer, message
from starlette.types import Message, Receive, Scope, Send

from mmflow_mcp.access.ring import REFRESH_SECONDS, TRUSTED_SECONDS
from mmflow_mcp.surfaces.guarding import Guard
from mmflow_mcp.surfaces.peeking import question_of

pytestmark = pytest.mark.anyio


class TestQuotas:
    """Anonymous by address, with a key by key."""

    async def test_the_answer_tells_what_is_left(self) -> None:
        """Limit, remaining, and the epoch second when all is free again; then 429."""
        house = House(anonymous=2)
        first, second, third = [await house.ask() for _ in range(3)]
        assert [200, 200, 429] == [a.status_code for a in (first, second, third)]
        told = [a.headers["x-ratelimit-remaining"] for a in (first, second, third)]
        assert ["1", "0", "0"] == told
        assert ["2"] * 3 == [a.headers["x-ratelimit-limit"] for a in (first, second, third)]
        reset = int(first.headers["x-ratelimit-reset"])
        assert NOW // 1000 + 60 <= reset <= NOW // 1000 + 65
        assert 60 <= int(third.headers["retry-after"]) <= 65
        assert 2 == len(house.reached)

    @pytest.mark.parametrize("late_ms", [0, 1, 500, 999])
    async def test_the_second_of_the_reset_is_not_too_early(self, late_ms: int) -> None:
        """Whoever asks again in that second is answered, wherever in a second the first fell."""
        house = House(anonymous=1, now=NOW + late_ms)
        reset = int((await house.ask()).headers["x-ratelimit-reset"])
        house.clock.advance(reset - house.clock.now_ms() / 1000)
        assert reset * 1000 == house.clock.now_ms()
        assert 200 == (await house.ask()).status_code

    async def test_past_it_the_envelope_teaches(self) -> None:
        """The specification's envelope, readable for pages of any origin, kept by no cache."""
        house = House(anonymous=1)
        await house.ask()
        refused = await house.ask()
        body = refused.json()
        assert ["error", "data", "meta"] == list(body)
        assert [] == body["data"]
        assert NOW == body["meta"]["fetchedAt"]
        assert "1 questions a minute are allowed for this address" in body["error"]
        assert "A key allows more" in body["error"]
        assert "*" == refused.headers["access-control-allow-origin"]
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
        assert "no-store" == refused.headers["cache-control"]

    async def test_after_the_wait_it_answers_again(self) -> None:
        """Retry-After is true."""
        house = House(anonymous=1)
        await house.ask()
        house.clock.advance(int((await house.ask()).headers["retry-after"]) - 1)
        assert 429 == (await house.ask()).status_code
        house.clock.advance(1)
        assert 200 == (await house.ask()).status_code

    async def test_addresses_do_not_share_and_a_64_does(self) -> None:
        """Another IPv4 address is another client; another address of one /64 is not."""
        house = House(anonymous=1)
        peers = ["203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
        answers = [(await house.ask(peer=peer)).status_code for peer in peers]
        assert [200, 200, 200, 429, 200] == answers

    async def test_a_key_has_its_own_allowance(self) -> None:
        """From any address, beside that of the address; its own number wins over the settings'."""
        house = House(anonymous=1, key=2)
        plain, own, free = house.store.make(), house.store.make(1), house.store.make(0)
        await house.ask()
        assert 429 == (await house.ask()).status_code
        ask = house.ask
        two = [(await ask(headers=bearer(plain), peer=f"198.51.100.{i}")) for i in range(3)]
        assert [200, 200, 429] == [a.status_code for a in two]
        assert "for this key" in two[2].json()["error"]
        assert [200, 429] == [(await ask(headers=bearer(own))).status_code for _ in range(2)]
        many = [await ask(headers=[("x-api-key", free)]) for _ in range(5)]
        assert [200] * 5 == [a.status_code for a in many]
        assert "x-ratelimit-limit" not in many[0].headers

    async def test_0_is_no_limit(self) -> None:
        """And no headers about one."""
        house = House(anonymous=0)
        answers = [await house.ask() for _ in range(100)]
        assert {200} == {a.status_code for a in answers}
        assert not [h for h in answers[0].headers if h.startswith("x-ratelimit")]

    async def test_a_forged_address_gains_nothing(self) -> None:
        """X-Forwarded-For of a stranger is not read; of a trusted proxy it is."""
        house = House(anonymous=1, trusted="10.0.0.0/8")
        forged = [[("x-forwarded-for", f"1.1.1.{i}")] for i in range(2)]
        assert [200, 429] == [(await house.ask(headers=h)).status_code for h in forged]
        proxied = [(await house.ask(headers=h, peer="10.0.0.1")).status_code for h in forged]
        assert [200, 200] == proxied


class TestWhatCounts:
    """Questions, and nothing else."""

    @pytest.mark.parametrize(
        "method,path,expected",
        [
            ("GET", OI, True),
            ("HEAD", OI, True),
            ("GET", "/api/hl/candles", True),
            ("GET", "/api/v1/nosuch", True),
            ("OPTIONS", OI, False),
            ("GET", "/api/v1/openapi", False),
            ("GET", "/api/v1/streams/whales", False),
            ("GET", "/healthz", False),
            ("GET", "/readyz", False),
            ("GET", "/", False),
            ("GET", "/metrics", False),
            ("GET", "/mcp", False),
            ("DELETE", "/mcp", False),
        ],
    )
    async def test_requests(self, method: str, path: str, expected: bool) -> None:  # noqa: FBT001
        """Mistakes are questions too; health, pages, the document and streams are not."""
        house = House()
        answer = await house.ask(path, method=method)
        assert expected is ("x-ratelimit-limit" in answer.headers)

    async def test_a_304_counts(self) -> None:
        """To know that nothing changed, the question is answered."""
        house = House()
        answer = await house.ask(headers=[("if-none-match", '"x"')])
        assert (304, "59") == (answer.status_code, answer.headers["x-ratelimit-remaining"])

    @pytest.mark.parametrize(
        "method,expected",
        [
            ("tools/call", True),
            ("resources/read", True),
            ("initialize", False),
            ("server/discover", False),
            ("ping", False),
            ("tools/list", False),
            ("resources/list", False),
            ("resources/templates/list", False),
            ("resources/subscribe", False),
            ("subscriptions/listen", False),
            ("completion/complete", False),
            ("notifications/initialized", False),
        ],
    )
    async def test_messages(self, method: str, expected: bool) -> None:  # noqa: FBT001
        """Calls and reads; the body arrives as it was sent."""
        house = House()
        sent = json.dumps(message(method, name="x")).encode()
        answer = await house.ask("/mcp", method="POST", content=sent)
        assert expected is ("x-ratelimit-limit" in answer.headers)
        assert [("/mcp", sent)] == house.reached

    @pytest.mark.parametrize(
        "body",
        [
            b'{"jsonrpc":"2.0","id":1,"method":"tools\\/call"}',
            b'{"jsonrpc":"2.0","id":1,"method":"\\u0074ools/call"}',
            b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
            b' \n{"method":"tools/call","id":1.0,"jsonrpc":"2.0"}',
            b'{"jsonrpc":"2.0","id":true,"method":"tools/call"}',
            '{"jsonrpc":"2.0","id":1,"method":"tools/call"}'.encode("utf-16"),
            '\ufeff{"jsonrpc":"2.0","id":1,"method":"tools/call"}'.encode(),
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","x":"\\ud800"}',
        ],
    )
    async def test_no_spelling_of_a_question_is_free(self, body: bytes) -> None:
        """Escapes, doubled members, odd ids, other encodings: what the server may read counts."""
        house = House(anonymous=1)
        answers = [await house.ask("/mcp", method="POST", content=body) for _ in range(2)]
        assert 1 == len(house.reached)
        assert "1" == answers[1].headers["x-ratelimit-limit"]

    @pytest.mark.parametrize("body", [b"[]", b"null", b'[{"method":"tools/call","id":1}]', b"7"])
    def test_what_the_server_refuses_asks_nothing(self, body: bytes) -> None:
        """It reads single messages only."""
        assert not question_of(body).counts


class TestOverMcp:
    """Refusals as an MCP client reads them."""

    async def test_a_call_past_the_quota_is_a_tool_result(self) -> None:
        """Status 200, isError, the sentence for the model, the headers of a 429."""
        house = House(anonymous=1)
        await house.ask("/mcp", method="POST", json=message("tools/call", 1))
        old = await house.ask("/mcp", method="POST", json=message("tools/call", "seven"))
        modern = await house.ask(
            "/mcp",
            method="POST",
            json=message("tools/call", 8),
            headers=[("mcp-protocol-version", "2026-07-28")],
        )
        assert [200, 200] == [old.status_code, modern.status_code]
        assert ["seven", 8] == [old.json()["id"], modern.json()["id"]]
        assert "resultType" not in old.json()["result"]
        assert "complete" == modern.json()["result"]["resultType"]
        result = old.json()["result"]
        assert result["isError"] is True
        wait = old.headers["retry-after"]
        assert f"Ask again in {wait} s." in result["content"][0]["text"]
        assert "0" == old.headers["x-ratelimit-remaining"]

    async def test_a_read_past_the_quota_is_an_error(self) -> None:
        """429, a JSON-RPC error with the request's id; lists go on."""
        house = House(anonymous=1)
        await house.ask("/mcp", method="POST", json=message("resources/read", 1))
        refused = await house.ask("/mcp", method="POST", json=message("resources/read", 5))
        assert 429 == refused.status_code
        assert (5, 429) == (refused.json()["id"], refused.json()["error"]["code"])
        listed = await house.ask("/mcp", method="POST", json=message("tools/list"))
        assert 200 == listed.status_code

    async def test_rest_and_mcp_share_the_quota(self) -> None:
        """One allowance for both faces."""
        house = House(anonymous=1)
        await house.ask()
        call = await house.ask("/mcp", method="POST", json=message("tools/call"))
        assert call.json()["result"]["isError"] is True

    async def test_a_wrong_key_is_401_for_every_message(self) -> None:
        """initialize and streams too: a JSON-RPC error beside the challenge."""
        house = House()
        for method in ("POST", "GET"):
            refused = await house.ask(
                "/mcp", method=method, headers=bearer("mmf_no"), json=message("initialize")
            )
            assert 401 == refused.status_code
            assert 401 == refused.json()["error"]["code"]
            assert refused.headers["www-authenticate"].startswith("Bearer ")


class TestKeys:
    """Shown in a header, judged before anything else."""

    async def test_both_headers_are_understood(self) -> None:
        """Bearer in any case, X-API-Key, or both alike; the application is told whose it is."""
        house = House()
        key = house.store.make()
        for headers in (
            bearer(key),
            [("authorization", f"bearer  {key} ")],
            [("x-api-key", key)],
            [("x-api-key", key), *bearer(key)],
        ):
            answer = await house.ask(headers=headers)
            assert (200, "300") == (answer.status_code, answer.headers["x-ratelimit-limit"])
            assert key[4:12] == answer.json()["meta"]["by"]
        assert (await house.ask()).json()["meta"]["by"] is None

    async def test_two_that_differ_are_400(self) -> None:
        """Whichever is right: it is not known which was meant."""
        house = House()
        one, two = house.store.make(), house.store.make()
        refused = await house.ask(headers=[("x-api-key", one), *bearer(two)])
        assert 400 == refused.status_code
        assert 400 == (await house.ask(headers=[*bearer(one), *bearer(two)])).status_code
        assert [] == house.reached

    @pytest.mark.parametrize(
        "headers",
        [
            bearer(""),
            bearer("mmf_short"),
            [("x-api-key", "")],
            [("authorization", "Basic bWU6eW91")],
            [("authorization", "mmf_without_scheme")],
        ],
    )
    async def test_what_is_no_key_is_401(self, headers: list[tuple[str, str]]) -> None:
        """In the envelope, with a challenge; never taken for somebody without a key."""
        house = House()
        refused = await house.ask(headers=headers)
        assert 401 == refused.status_code
        assert ["error", "data", "meta"] == list(refused.json())
        assert refused.headers["www-authenticate"].startswith('Bearer realm="mmflow-mcp"')
        assert 0 == house.store.reads
        assert [] == house.reached

    async def test_unknown_and_revoked_keys_are_401(self) -> None:
        """A whole key of another house; one that was revoked; one with another's id."""
        house = House()
        stranger = House().store.make()
        known, revoked = house.store.make(), house.store.make(revoked=NOW)
        assert 401 == (await house.ask(headers=bearer(stranger))).status_code
        gone = await house.ask(headers=bearer(revoked))
        assert (401, True) == (gone.status_code, "revoked" in gone.json()["error"])
        house.store.held[stranger[4:12]] = house.store.held[known[4:12]]
        assert 401 == (await house.ask(headers=bearer(stranger))).status_code
        for refused in (gone, await house.ask(headers=bearer(stranger))):
            assert "invalid_token" in refused.headers["www-authenticate"]

    async def test_keys_are_read_once_in_two_seconds(self) -> None:
        """Not at each question; what was made or revoked elsewhere counts then."""
        house = House()
        key = house.store.make()
        for _ in range(20):
            assert 200 == (await house.ask(headers=bearer(key))).status_code
        assert 1 == house.store.reads
        await house.store.revoke(key[4:12], NOW)
        late = house.store.make()
        house.clock.advance(REFRESH_SECONDS)
        assert 401 == (await house.ask(headers=bearer(key))).status_code
        assert 200 == (await house.ask(headers=bearer(late))).status_code
        assert 2 == house.store.reads

    async def test_many_at_once_read_once(self) -> None:
        """One reads for all who wait."""
        house = House()
        key = house.store.make()
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(lambda: house.ask(headers=bearer(key)))
        assert (30, 1) == (len(house.reached), house.store.reads)

    async def test_last_used_is_noted_once_a_minute(self) -> None:
        """In the background."""
        house = House()
        key = house.store.make()
        for _ in range(5):
            await house.ask(headers=bearer(key))
        house.clock.advance(61)
        await house.ask(headers=bearer(key))
        for function, *arguments in house.soon:
            await function(*arguments)
        assert [(key[4:12], NOW), (key[4:12], NOW + 61_000)] == house.store.noted

    async def test_where_there_is_no_place_for_keys_none_is_known(self) -> None:
        """A user without a home, no folder given: a key is refused, and nobody is let in by it."""
        house = House(required=True)
        key = house.store.make()
        house.guard.ring._store = None
        assert 401 == (await house.ask(headers=bearer(key))).status_code
        assert [] == house.reached


class TestFailingClosed:
    """Behind keys nothing opens by accident."""

    async def test_no_key_is_401_where_one_is_required(self) -> None:
        """Everything but health, pages and the document; sockets too."""
        house = House(required=True)
        for path in (OI, "/mcp", "/metrics", "/nosuch", "/api/v1/streams/whales", "/docs/"):
            refused = await house.ask(path)
            assert (401, True) == (refused.status_code, "www-authenticate" in refused.headers)
        for path in ("/healthz", "/readyz", "/", "/api/v1/openapi"):
            assert 200 == (await house.ask(path)).status_code
        sent: list[Message] = []

        async def send(one: Message) -> None:
            sent.append(one)

        scope: Scope = {"type": "websocket", "path": "/mcp", "headers": []}
        await house.guard(scope, _nothing, send)
        assert ["websocket.close"] == [one["type"] for one in sent]

    async def test_unreadable_keys_are_503(self) -> None:
        """Never open: not with a key, not without, not later; then it heals by itself."""
        house = House(required=True)
        key = house.store.make()
        house.store.away = True
        for _ in range(3):
            refused = await house.ask(headers=bearer(key))
            assert (503, "2") == (refused.status_code, refused.headers["retry-after"])
            assert ["error", "data", "meta"] == list(refused.json())
            assert 401 == (await house.ask()).status_code
            house.clock.advance(30)
        assert [] == house.reached
        house.store.away = False
        house.clock.advance(REFRESH_SECONDS)
        assert 200 == (await house.ask(headers=bearer(key))).status_code

    async def test_the_last_copy_serves_for_seconds_only(self) -> None:
        """A key revoked while the store is away must not stay good."""
        house = House(required=True)
        key = house.store.make()
        assert 200 == (await house.ask(headers=bearer(key))).status_code
        house.store.away = True
        house.clock.advance(TRUSTED_SECONDS - 1)
        assert 200 == (await house.ask(headers=bearer(key))).status_code
        house.clock.advance(2)
        assert 503 == (await house.ask(headers=bearer(key))).status_code

    async def test_where_no_key_is_needed_the_last_copy_goes_on(self) -> None:
        """It only raises a quota. Never read, a key cannot be checked; anyone may ask without."""
        house = House()
        key = house.store.make()
        house.store.away = True
        refused = await house.ask(headers=bearer(key))
        assert (503, True) == (refused.status_code, "ask without" in refused.json()["error"])
        assert 200 == (await house.ask()).status_code
        house.store.away = False
        house.clock.advance(REFRESH_SECONDS)
        await house.ask(headers=bearer(key))
        house.store.away = True
        house.clock.advance(3600)
        assert 200 == (await house.ask(headers=bearer(key))).status_code

    async def test_shared_caches_keep_nothing_that_needs_a_key(self) -> None:
        """`public` becomes `private`; without required keys it stays."""
        house = House(required=True)
        answer = await house.ask(headers=bearer(house.store.make()))
        assert "private, max-age=30" == answer.headers["cache-control"]
        assert "public" in (await House().ask()).headers["cache-control"]


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class TestTheWayThrough:
    """What passes is not touched."""

    async def test_a_body_in_pieces_arrives_whole_and_the_stream_flows(self) -> None:
        """Answers are handed on as they are made, and `receive` goes on after the body."""
        pieces = [b'{"jsonrpc":"2.0",', b'"id":1,"method":"to', b'ols/call"}']
        got: list[Any] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            message = await receive()
            while message["type"] == "http.request":
                got.append(message["body"])
                message = await receive()
            got.append(message["type"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in (b"a", b"b"):
                await send({"type": "http.response.body", "body": part, "more_body": True})

        sent = await passed(inner, [*pieces])
        assert [*pieces, "http.disconnect"] == got
        assert [b"a", b"b"] == [m["body"] for m in sent[1:]]
        assert (b"x-ratelimit-limit", b"60") in sent[0]["headers"]

    async def test_a_body_that_is_too_large_is_not_held(self) -> None:
        """It is passed on after a megabyte; refusing it is the server's part."""
        read: list[int] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            read.append(len(fed))
            await send({"type": "http.response.start", "status": 413, "headers": []})

        fed = [b"x" * 65_536] * 64
        await passed(inner, fed)
        assert 64 - 17 == read[0]

    async def test_a_client_that_leaves_midway_is_passed_on(self) -> None:
        """The application sees what came, and the end."""
        got: list[str] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            got.extend([(await receive())["type"], (await receive())["type"]])

        await passed(inner, [b'{"method":'], whole=False)
        assert ["http.request", "http.disconnect"] == got

    async def test_the_end_closes_what_it_holds(self) -> None:
        """With the application's lifespan."""
        house = House()
        closed: list[str] = []

        async def close() -> None:
            closed.append("keys")

        house.store.close = close  # type: ignore[method-assign]

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            assert [] == closed

        guard = Guard(inner, house.guard.ring, house.quotas, house.guard._limits, house.clock)
        await guard({"type": "lifespan"}, _nothing, lambda _: _nothing())  # type: ignore[arg-type,return-value]
        assert ["keys"] == closed


async def passed(inner: Any, pieces: list[bytes], *, whole: bool = True) -> list[Message]:
    """What an application sends that is given a POST to /mcp in pieces."""
    house = House()
    guard = Guard(inner, house.guard.ring, house.quotas, house.guard._limits, house.clock, 1 << 20)
    sent: list[Message] = []

    async def receive() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        part = pieces.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(pieces) or not whole}

    async def send(one: Message) -> None:
        sent.append(one)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": [],
        "client": ("203.0.113.9", 1),
    }
    await guard(scope, receive, send)
    return sent
