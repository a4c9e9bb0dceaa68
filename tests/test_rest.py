"""REST: the specification's questions, its envelope, and what HTTP adds to them."""

import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from openapis import violations
from rests import BASE, Asker, asking, client_of, served
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.errors import (
    AllVenuesFailed,
    BadQuestion,
    NothingImplemented,
    StoreAway,
    StoreMismatch,
    VenueClosed,
    VenueTimeout,
)
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.call import arguments_of as words_of
from mmflow_mcp.surfaces.call import ask_app
from mmflow_mcp.surfaces.finished import Finished, holds, takes_gzip
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.openapi import address, operations
from mmflow_mcp.surfaces.rest import PARTIAL_TTL, Rest, arguments_of

OI = "/api/v1/perps/oi"
QUICK = f"{OI}?coins=BTC&venues=okx,bybit"
LONGER = f"{OI}?coins=BTC,ETH,SOL,DOGE&venues=okx,bybit"
FAILURE = {"error", "data", "meta"}


def failure(answer: httpx2.Response, status: int) -> str:
    """The words of an answer that must be an error in the envelope."""
    assert status == answer.status_code, answer.text
    document = answer.json()
    assert set(document) == FAILURE
    assert [] == document["data"]
    assert {"fetchedAt", "source", "partial", "sources"} <= set(document["meta"])
    assert "no-store" == answer.headers["cache-control"]
    assert "*" == answer.headers["access-control-allow-origin"]
    assert "etag" not in answer.headers
    return str(document["error"])


class TestQuestions:
    """What is asked, and how forgiving that is."""

    def test_answers_come_in_full_as_objects(self, rest_world: Asker) -> None:
        """More rows than a tool would show, in compact UTF-8 JSON."""
        answer = rest_world.get(OI)
        assert "application/json" == answer.headers["content-type"]
        text = answer.content.decode("utf-8")
        assert ": " not in re.sub(r'"[^"]*"', "", text)
        rows = answer.json()["data"]
        assert len(rows) > endpoints()["get_oi"].limit
        assert {"coin", "venue", "oiUsd", "oiContracts", "oiCoins"} <= set(rows[0])
        assert answer.json()["meta"]["source"].startswith("sim:hyperliquid")

    @pytest.mark.parametrize(
        "query",
        [
            "exchange=binance&exchange=bybit&coin=BTC",
            "exchange=binance,bybit&coin=BTC",
            "exchange=binance%2Cbybit&coins=BTC",
            "exchange=BINANCE_FUTURES&exchange=Bybit&coins=btc-usdt",
            "exchange=binance,%20bybit&coin=+BTC+&coins=&interval=",
        ],
    )
    def test_lists_may_be_repeated_or_separated_by_commas(
        self, rest_world: Asker, query: str
    ) -> None:
        """All are the same question; the grouping has dots in its name."""
        grouped = "&type=OI_AGG&transform.groupBy.type=GROUP_BY_TYPE_SUM"
        data = rest_world.get(f"/api/v1/points?{query}{grouped}").json()["data"]
        assert ["binance", "bybit"] == data["exchanges"]
        (row,) = data["rows"]
        assert ("BTC", "AGG") == (row["coin"], row["exchange"])
        assert row["value"] == pytest.approx(sum(row["byExchange"].values()))

    def test_empty_is_not_given_and_zero_is(self, rest_world: Asker) -> None:
        """An empty exchange is the catalogue; page 0 is a page, and 0 per page is refused."""
        whole = rest_world.get("/api/v1/markets").json()["data"]["venues"]
        same = rest_world.get("/api/v1/markets?exchange=&page=0&pageSize=%20")
        assert whole == same.json()["data"]["venues"]
        assert "pageSize" in failure(rest_world.get("/api/v1/markets?pageSize=0"), 400)

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("coin=BTC", ("coin: unknown", "Nearest: coins", "Example: /api/v1/perps/oi?coins=")),
            ("limit=5", ("limit: unknown", "Fits: coins, venues")),
            ("detail=full", ("detail: unknown",)),
            ("venues=binanse", ("'binanse'", "Nearest: binance")),
            ("coins=NOSUCH", ("'NOSUCH'",)),
            ("coins=BTC&venues=cme", ("cme cannot answer this",)),
            ("&".join(f"p{i}=1" for i in range(101)), ("more than 100",)),
        ],
    )
    def test_the_callers_mistakes_are_explained(
        self, rest_world: Asker, query: str, words: tuple[str, ...]
    ) -> None:
        """400, with what was wrong, what would fit and an example that works."""
        said = failure(rest_world.get(f"{OI}?{query}"), 400)
        for word in words:
            assert word in said

    @pytest.mark.parametrize(
        ("path", "words", "not_said"),
        [
            ("perps/whales?coin=NOSUCH", "'NOSUCH' is listed by none", "venues=all"),
            ("perps/oi/history?coin=BTC&untilMs=-9d&sinceMs=-8d", "untilMs: it lies before", "?"),
            (
                "flows/venue-spreads?quote=EUR",
                "'eur' does not fit. Fits: usd, or left out.",
                "value",
            ),
            ("perps/oi/history?coin=BTC&kind=set", "Nearest: settled. Fits: sampled, set", "value"),
            (f"flows/history?coin=BTC&metric={'m' * 50}", f"'{'m' * 40}' does not fit", "\n"),
        ],
    )
    def test_an_error_names_what_there_is_to_change(
        self, rest_world: Asker, path: str, words: str, not_said: str
    ) -> None:
        """The argument that was given, and none that the endpoint does not take."""
        said, _, _ = failure(rest_world.get(f"/api/v1/{path}"), 400).partition(" Example: ")
        assert words in said
        assert not_said not in said

    def test_a_closed_venue_has_no_markets(self, rest_world: Asker) -> None:
        """410, with the venues that list some; all of them at once is no question here."""
        said = failure(rest_world.get("/api/v1/markets?exchange=bitmex"), 410)
        assert "2026-09-23" in said
        assert "polymarket" in said
        assert "or all" not in said

    def test_a_scalar_that_is_given_twice_is_refused(self, rest_world: Asker) -> None:
        """Which of the two was meant is not guessed."""
        gex = "/api/v1/options/gex?underlying=BTC&underlying=ETH"
        assert "'BTC,ETH'" in failure(rest_world.get(gex), 400)

    def test_a_closed_venue_is_gone(self, rest_world: Asker) -> None:
        """410 with the date; the others of a list still answer."""
        assert "2026-09-23" in failure(rest_world.get(f"{OI}?coins=BTC&venues=bitmex"), 410)
        both = rest_world.get(f"{OI}?coins=BTC&venues=bitmex,okx").json()
        assert ["okx"] == [row["venue"] for row in both["data"]]

    def test_candles_at_their_older_path(self, rest_world: Asker) -> None:
        """No envelope, the same candles as the endpoint has, defaults of the client libraries."""
        older = rest_world.get("/api/hl/candles?coin=BTC&interval=1h&hours=24").json()
        newer = rest_world.get("/api/v1/markets/candles?coin=BTC&interval=1h&hours=24").json()
        assert {"candles"} == set(older)
        assert older["candles"] == newer["data"]["candles"]
        assert 24 <= len(older["candles"]) <= 25
        assert list("tohlcv") == list(older["candles"][0])
        minutes = rest_world.get("/api/hl/candles?coin=ETH").json()["candles"]
        assert 72 * 60 == pytest.approx(len(minutes), abs=1)
        assert "venue: unknown" in failure(
            rest_world.get("/api/hl/candles?coin=BTC&venue=okx"), 400
        )
        assert "coin" in failure(rest_world.get("/api/hl/candles"), 400)
        assert "5,000" in failure(rest_world.get("/api/hl/candles?coin=BTC&hours=100"), 400)


# A week of every venue takes long: two will do.
REGIME = {"coins": ["BTC"], "venues": ["hl", "okx"]}


def told_in(part: Any, whole: Any, near: float = 0.0) -> bool:
    """Whether all that a part tells is in the whole; members may be left out, never rows.

    `near`: by which fraction a number may be off.
    """
    if isinstance(part, dict) and isinstance(whole, dict):
        # The moment at which history was read is each reader's own.
        return all(
            key == "fetchedAt" or (key in whole and told_in(value, whole[key], near))
            for key, value in part.items()
        )
    if isinstance(part, list) and isinstance(whole, list):
        pairs = zip(part, whole, strict=False)
        return len(part) == len(whole) and all(told_in(a, b, near) for a, b in pairs)
    if near and isinstance(part, float) and isinstance(whole, (int, float)):
        return math.isclose(part, whole, rel_tol=near)
    return bool(part == whole)


@pytest.mark.parametrize(
    "e", [e for e in endpoints().values() if e.live is None], ids=lambda e: e.name
)
def test_one_question_has_the_same_data_on_every_face(rest_world: Asker, e: Endpoint) -> None:
    """REST and `call --json` tell equal data, and a real MCP client the same in its columns."""
    question = REGIME if e.name == "get_funding_regime" else e.example
    rest = rest_world.get(address(f"/api/v1{e.path}", question)).json()["data"]
    words = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in question.items()
    ]
    everything: dict[str, Any] = {"limit": {"limit": 1000}, "points": {"points": 0}}
    more = {**everything.get(e.budget, {}), **({"detail": "full"} if e.detail else {})}

    async def called() -> Any:
        _, found = await ask_app(rest_world.app, e.name, words_of(words))
        return json.loads(json.dumps(questions.envelope(found)["data"]))

    async def tool() -> Any:
        async with Client(build_server(rest_world.app), cache=None) as client:
            result = await client.call_tool(e.name, {**question, **more})
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content["data"]

    call, mcp = rest_world.run(called), rest_world.run(tool)
    assert told_in(call, rest)
    assert told_in(rest, call)
    # Where a tool makes a long series short it tells 6 digits, also of all its points.
    assert told_in(mcp, rest, 0.0 if e.condense is None else 5e-6)
    assert rest


def test_less_is_noticed() -> None:
    """The comparison fails on another value, a row less and a member that is not told."""
    assert told_in({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}], "d": 4})
    for part in ({"a": [1]}, {"a": [1, {"b": 3}]}, {"x": 1}, {"a": 1}):
        assert not told_in(part, {"a": [1, {"b": 2}]}, 0.1)
    assert told_in([1.04], [1.0], 0.1)
    assert not told_in([1.04], [1.0])


@pytest.mark.anyio
async def test_what_is_switched_off_is_no_mistake_of_the_caller() -> None:
    """501 where nothing is left that could answer; else 400 with the venues that can."""
    async with served(venues_off="hyperliquid,deribit,farside") as client:
        for path in ("perps/whales", "streams/whales", "options/gex?underlying=BTC"):
            said = failure(await client.get(f"/api/v1/{path}"), 501)
            assert "switched off" in said
            assert "Example" not in said
        assert "farside" in failure(await client.get("/api/v1/onchain/etf-flows"), 501)
        for path in ("perps/oi", "perps/oi/history?coin=BTC", "perps/funding/regime?coins=BTC"):
            said = failure(await client.get(f"/api/v1/{path}"), 400)
            assert "venues: hyperliquid is switched off here. Fits: aster, binance" in said


class TestHttp:
    """Methods, paths, sizes, headers."""

    @pytest.mark.parametrize(
        ("path", "near"),
        [
            ("/api/v1/perps/io", "/api/v1/perps/oi"),
            ("/api/v1/option/chain", "/api/v1/options/chain"),
            ("/api/v1/perps/oi/", "/api/v1/perps/oi"),
            ("/api/hl/candle", "/api/hl/candles"),
            ("/api/v1", ""),
            ("/api/v1/%00%22%3Cb%3E", ""),
            ("/api/v1/perps/oi%0a", "/api/v1/perps/oi"),
            ("/api/v1/perps%0a/oi", "/api/v1/perps/oi"),
        ],
    )
    def test_a_path_that_is_none_is_told_the_nearest(
        self, rest_world: Asker, path: str, near: str
    ) -> None:
        """404 in the envelope, with where to read on."""
        said = failure(rest_world.get(path), 404)
        assert f"Nearest: {near}" in said
        assert "/api/v1/openapi" in said

    @pytest.mark.parametrize(
        "path", ["/api/v1/perps/oi%0A", "/mcp%0A", "/api/v1/perps/oi%E2%80%8B"]
    )
    def test_what_is_hidden_in_a_path_is_shown(self, rest_world: Asker, path: str) -> None:
        """Or it would seem that nothing is where something is."""
        assert f"Nothing is at {path}. " in failure(rest_world.get(path), 404)

    @pytest.mark.anyio
    async def test_it_is_read_only(self) -> None:
        """Other methods are 405 and say which there are; HEAD is GET without the body."""
        async with served() as client:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                answer = await client.request(method, OI, content=b"{}")
                assert "GET, HEAD, OPTIONS" in failure(answer, 405)
                assert "GET, HEAD, OPTIONS" == answer.headers["allow"]
            whole, head = await client.get(QUICK), await client.head(QUICK)
            lost = await client.head("/api/v1/nothing")
        assert b"" == head.content
        assert whole.headers == head.headers
        assert str(len(whole.content)) == head.headers["content-length"]
        assert (200, 404, b"") == (head.status_code, lost.status_code, lost.content)

    @pytest.mark.anyio
    async def test_sizes_are_bounded(self) -> None:
        """A query of 8 KB is read and one byte more is not; a question has no body."""
        async with served() as client:
            base = "coins=BTC&venues=okx&sinceMs="
            fits = await client.get(f"{OI}?{base}{'1' * (8192 - len(base))}")
            over = await client.get(f"{OI}?{base}{'1' * (8193 - len(base))}")
            body = await client.request("GET", OI, content=b"x")
            assert 200 == (await client.get(QUICK)).status_code
            warm = await client.request("GET", QUICK, content=b"x")
        failure(fits, 400)
        assert "no body" in failure(warm, 413)
        assert "8,192" in failure(over, 414)
        assert "no body" in failure(body, 413)

    @pytest.mark.anyio
    async def test_pages_of_other_origins_may_read(self) -> None:
        """The preflight is answered anywhere; keys may be sent, quota and tag be read."""
        async with served() as client:
            asks = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
            preflight = await client.options(OI, headers=asks)
            answer = await client.get(QUICK, headers={"origin": "https://elsewhere.example"})
        assert 204 == preflight.status_code
        assert "*" == preflight.headers["access-control-allow-origin"]
        assert "GET, HEAD, OPTIONS" == preflight.headers["access-control-allow-methods"]
        allowed = preflight.headers["access-control-allow-headers"]
        assert {"*", "Authorization", "X-API-Key"} == set(allowed.split(", "))
        assert "*" == answer.headers["access-control-allow-origin"]
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        wanted = {"ETag", "Retry-After", "Mcp-Session-Id", "X-RateLimit-Limit"}
        assert wanted | {"X-RateLimit-Remaining", "X-RateLimit-Reset"} == exposed

    @pytest.mark.anyio
    async def test_only_our_own_names_are_served(self) -> None:
        """A Host that is none of ours is 421 on every face (more in test_hosts)."""
        async with world() as app, client_of(app) as client:
            for host in ("127.0.0.1:8787", "localhost", "[::1]:80", "LOCALHOST:1"):
                assert 200 == (await client.get(QUICK, headers={"host": host})).status_code
            for host in ("evil.example", "127.0.0.1.evil.example", "localhost:x", ""):
                for path in (QUICK, "/healthz", "/mcp"):
                    answer = await client.get(path, headers={"host": host})
                    assert "Host" in failure(answer, 421)

    @pytest.mark.anyio
    async def test_layers_and_routes_of_others_find_their_place(self) -> None:
        """Layers stand before all faces, the first outermost; a route may lie under /api."""
        seen: list[str] = []

        def layer(name: str) -> Callable[[ASGIApp], ASGIApp]:
            def around(inner: ASGIApp) -> ASGIApp:
                async def called(scope: Scope, receive: Receive, send: Send) -> None:
                    seen.append(name)
                    await inner(scope, receive, send)

                return called

            return around

        async def stream(_: Request) -> PlainTextResponse:
            return PlainTextResponse("event")

        routes = [Route("/api/v1/of-others/page", stream)]
        async with (
            world() as app,
            client_of(app, layers=[layer("a"), layer("b")], routes=routes) as client,
        ):
            assert "event" == (await client.get("/api/v1/of-others/page")).text
            for path in (QUICK, "/healthz", "/api/v1/streams/nothing"):
                await client.get(path)
        assert ["a", "b"] * 4 == seen


class TestCaching:
    """What is remembered here, and what clients may keep."""

    @pytest.mark.anyio
    async def test_a_tag_that_holds_is_not_modified(self) -> None:
        """304 without a body for the exact bytes, in either encoding; another tag is answered."""
        async with served() as client:
            plain = {"accept-encoding": "identity"}
            first = await client.get(LONGER, headers=plain)
            packed = await client.get(LONGER, headers={"accept-encoding": "gzip"})
            tags = first.headers["etag"], packed.headers["etag"]
            for sent in (tags[0], f'"x", W/{tags[0]}', "*"):
                again = await client.get(LONGER, headers={**plain, "if-none-match": sent})
                assert (304, b"") == (again.status_code, again.content)
                assert tags[0] == again.headers["etag"]
                assert first.headers["cache-control"] == again.headers["cache-control"]
                assert "content-type" not in again.headers
            other = await client.get(LONGER, headers={**plain, "if-none-match": '"x"'})
            zipped = await client.get(
                LONGER, headers={"accept-encoding": "gzip", "if-none-match": tags[1]}
            )
        assert (200, 304) == (other.status_code, zipped.status_code)
        assert tags[0] != tags[1]
        assert re.fullmatch(r'"[0-9a-f]{24}"', tags[0])

    @pytest.mark.anyio
    async def test_long_answers_are_packed_where_that_is_taken(self) -> None:
        """Over about 1 KB, and the same when unpacked; a cache is told what it depends on."""
        async with served() as client:
            plain = await client.get(OI, headers={"accept-encoding": "identity"})
            packed = await client.get(OI, headers={"accept-encoding": "br, gzip;q=0.5"})
            short = await client.get("/api/v1/onchain/valuation?coin=x")
        assert "gzip" == packed.headers["content-encoding"]
        assert "content-encoding" not in plain.headers
        assert "content-encoding" not in short.headers
        assert int(packed.headers["content-length"]) < len(plain.content) / 3
        assert plain.content == packed.content
        assert {"Accept-Encoding"} == {a.headers["vary"] for a in (plain, packed, short)}

    @pytest.mark.anyio
    async def test_a_warm_answer_is_the_same_bytes_without_a_request(self) -> None:
        """And a client may keep it for the time that its endpoint declares."""
        async with world() as app, client_of(app) as client:
            first = await client.get(QUICK)
            before = sum(h.requests for h in app.core().upstream.health.all())
            again = await client.get(QUICK)
            assert before == sum(h.requests for h in app.core().upstream.health.all())
        assert first.content == again.content
        ttl = endpoints()["get_oi"].ttl
        assert f"public, max-age={ttl}" == first.headers["cache-control"]

    @pytest.mark.anyio
    async def test_what_is_partial_is_kept_shortly_and_not_remembered(self) -> None:
        """One venue down is an answer; the next question asks it again."""
        async with served("okx:http=503,times=6") as client:
            first, again = await client.get(QUICK), await client.get(QUICK)
        assert (200, True) == (first.status_code, first.json()["meta"]["partial"])
        assert "okx" == first.json()["meta"]["sources"][0]["source"]
        assert f"public, max-age={PARTIAL_TTL}" == first.headers["cache-control"]
        assert (2, False) == (len(again.json()["data"]), again.json()["meta"]["partial"])

    @pytest.mark.anyio
    async def test_what_holds_for_ever_is_made_anew_after_its_time(self) -> None:
        """No answer is remembered for longer than a client may keep it."""
        async with world() as app:
            rest = Rest(app)
            now = app.clock.monotonic()
            _, until = rest._public({}, 30, float("inf"))
            _, sooner = rest._public({}, 30, now + 1)
        assert now + 30 == pytest.approx(until, abs=5)
        assert now + 1 == sooner

    @pytest.mark.parametrize(
        ("accepted", "takes"),
        [
            (b"gzip", True),
            (b"deflate, GZIP;q=0.1", True),
            (b"*", True),
            (b"", False),
            (b"br", False),
            (b"gzip;q=0", False),
            (b"*;q=0", False),
            (b"gzip; q=0, *", False),
            (b"gzip;q=x", False),
            (b"identity;q=1, *;q=0.5", True),
        ],
    )
    def test_gzip_is_taken_or_not(self, accepted: bytes, *, takes: bool) -> None:
        """A weight of 0 is a refusal; what is named goes before the wildcard."""
        assert takes == takes_gzip(accepted)

    def test_tags_are_compared_whole(self) -> None:
        """A part of a tag is another tag."""
        assert holds(b'W/"a" , "b"', b'"b"')
        assert not holds(b'"ab"', b'"b"')
        assert not holds(b'"*"', b'"b"')

    def test_other_bytes_have_another_tag(self) -> None:
        """Also when only `fetchedAt` differs: the age a client shows must be true."""
        one, two = (Finished(b'{"fetchedAt":%d}' % at)._plain[1] for at in (1, 2))
        assert one != two


@pytest.fixture(scope="module")
def dull() -> Iterator[Asker]:
    """A world with a deadline so short that a route of our own can miss it."""
    with asking(deadline=0.05) as asker:
        yield asker


SOURCES = [{"source": "okx", "status": "error", "reason": "http 503"}]
META = {"fetchedAt": 1, "source": "sim:okx", "partial": True, "sources": SOURCES}


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (BadQuestion("coins", "no"), 400, "Example: /api/v1/perps/oi?"),
        (VenueClosed("closed: it ended"), 410, "closed: it ended"),
        (NothingImplemented("nothing does that"), 501, "nothing does that"),
        (AllVenuesFailed(SOURCES, META), 502, "okx: http 503"),
        (VenueTimeout("timeout: slow"), 504, "timeout: slow"),
        (StoreAway("away"), 503, "away"),
        (StoreMismatch("another"), 409, "another"),
        (RuntimeError("secret /etc/place"), 500, "logged"),
        (TimeoutError(), 504, "too long"),
    ],
)
def test_each_failure_has_its_status(
    dull: Asker, error: Exception, status: int, words: str
) -> None:
    """The error's own; what went wrong inside is not told outside."""

    async def fails(given: dict[str, str]) -> tuple[Finished, float]:
        raise error

    answer = dull.run(lambda: one_answer(dull.app, fails))
    said = failure(answer, status)
    assert [] == violations("/perps/oi", status, answer.json())
    assert words in said
    assert "secret" not in said
    assert (status == 503) == ("retry-after" in answer.headers)
    if isinstance(error, AllVenuesFailed):
        assert META == answer.json()["meta"]


def test_a_question_without_end_is_ended(dull: Asker) -> None:
    """After a few deadlines it is 504."""
    answer = dull.run(lambda: one_answer(dull.app, lambda _: anyio.sleep_forever()))
    assert "too long" in failure(answer, 504)


@pytest.mark.anyio
async def test_too_many_questions_at_once_are_told_to_come_again() -> None:
    """503 with Retry-After for what would wait; what is warm is still answered."""
    async with world() as app:
        rest = Rest(app, most_at_once=1)
        transport = httpx2.ASGITransport(app=rest)
        gate, inside = anyio.Event(), anyio.Event()
        route = rest._routes["/api/v1/perps/funding"]

        async def slow(given: dict[str, str]) -> tuple[Finished, float]:
            inside.set()
            await gate.wait()
            return await route(given)

        rest._routes["/api/v1/perps/funding"] = slow
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            await client.get(QUICK)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, "/api/v1/perps/funding?coins=BTC&venues=okx")
                await inside.wait()
                refused = await client.get(f"{OI}?coins=ETH")
                warm = await client.get(QUICK)
                gate.set()
            free = await client.get(f"{OI}?coins=ETH&venues=okx")
    assert "again" in failure(refused, 503)
    assert "1" == refused.headers["retry-after"]
    assert (200, 200) == (warm.status_code, free.status_code)


async def one_answer(app: App, route: Callable[[dict[str, str]], Awaitable[Any]]) -> Any:
    """What REST makes of a route of our own."""
    rest = Rest(app)
    rest._routes[OI] = route
    transport = httpx2.ASGITransport(app=rest)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        return await client.get(OI)


def test_arguments_of_a_query() -> None:
    """Names and values unescaped, repeated ones joined, empty ones left out, zeros kept."""
    query = b"a=1&a=2&b=&c=%2C&d=0&e=x+y&f&transform.groupBy.type=S&%C3%A9=%E2%82%AC&g=%ff"
    assert {
        "a": "1,2",
        "c": ",",
        "d": "0",
        "e": "x y",
        "transform.groupBy.type": "S",
        "é": "€",
        "g": "\ufffd",
    } == arguments_of(query)


def test_every_operation_has_a_route() -> None:
    """The routes are the declarations, the older path and the document."""
    wanted = {*operations(), "/api/v1/openapi"}
    live = [e for e in endpoints().values() if e.live is not None]
    assert len(endpoints()) - len(live) + 2 == len(wanted)


@pytest.mark.anyio
async def test_paths_are_the_operations() -> None:
    """What the application hands to REST directly is what REST declares."""
    async with world() as app:
        assert {*operations(), "/api/v1/openapi"} == Rest(app).paths
