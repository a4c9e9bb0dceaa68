"""The judge: whatever comes back is an answer or the error it really is."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from fakes import HOST, NOW, Answer, Scripted, call, in_turn, request

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream import judge as judging
from mmflow_mcp.upstream import replay
from mmflow_mcp.upstream.health import Health, HealthLedger
from mmflow_mcp.upstream.judge import JudgeTransport, Refusal

pytestmark = pytest.mark.anyio

PAGE = b"\n <!DOCTYPE html><html><body>Request blocked.</body></html>"
GEO_PAGE = b"<HTML>... is configured to block access from your country.</HTML>"


class World:
    """The judge over a double."""

    def __init__(
        self, *answers: Answer, refusal: Refusal | None = None, seconds: float = 5.0
    ) -> None:
        self.clock = FixedClock(NOW)
        self.health = HealthLedger(self.clock)
        self.inner = in_turn(*answers) if answers else Scripted(lambda _: AssertionError())
        self.judge = JudgeTransport(
            self.inner,
            clock=self.clock,
            health=self.health,
            refusals={HOST: refusal} if refusal else {},
            venues={HOST: "venue"},
            attempt_seconds=seconds,
        )

    async def ask(self, deadline: float | None = None) -> httpx2.Response:
        """One attempt."""
        return await self.judge.handle_async_request(request(call(), deadline=deadline))

    async def failure(self, deadline: float | None = None) -> VenueError:
        """The error of one attempt."""
        with pytest.raises(VenueError) as failure:
            await self.ask(deadline)
        return failure.value


class Body(httpx2.AsyncByteStream):
    """A body in parts; an exception among them is raised, None stalls for ever."""

    def __init__(self, *parts: bytes | Exception | None) -> None:
        self.closed = False
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if part is None:
                await anyio.sleep_forever()
            elif isinstance(part, Exception):
                raise part
            else:
                yield part

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


def answer(status: int, body: bytes = b"{}", **headers: str) -> httpx2.Response:
    """A response whose body streams, as from a network."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, stream=Body(body))


def said(status: int, body: bytes = b"{}", **headers: str) -> Callable[[], httpx2.Response]:
    """Such a response, made when it is needed: each can be read once."""
    return partial(answer, status, body, **headers)


@pytest.mark.parametrize(
    "response,kind,reason",
    [
        (said(400, b'{"msg":"no"}'), VenueRejected, "http 400: the venue rejected the request"),
        (said(401), VenueRejected, "http 401: the venue rejected the request"),
        (said(403, b"{}"), VenueBlocked, "blocked: http 403"),
        (said(403, PAGE), VenueBlocked, "blocked: http 403, a page instead of data"),
        (
            said(403, GEO_PAGE),
            VenueBlocked,
            "geo: http 403, the venue does not serve this location",
        ),
        (said(404, PAGE), VenueRejected, "http 404: the venue rejected the request"),
        (said(407), VenueRefused, "refused: the proxy wants credentials"),
        (said(418), VenueRateLimited, "http 418: the venue asks for fewer requests"),
        (said(429, PAGE), VenueRateLimited, "http 429: the venue asks for fewer requests"),
        (said(451), VenueBlocked, "geo: http 451, the venue does not serve this location"),
        (said(451, PAGE), VenueBlocked, "geo: http 451, the venue does not serve this location"),
        (said(500), VenueHttp, "http 500"),
        (said(502, PAGE), VenueHttp, "http 502"),
        (said(503), VenueHttp, "http 503"),
        (
            said(503, retry_after="9"),
            VenueRateLimited,
            "http 503: the venue asks to come back later",
        ),
        (said(522, PAGE), VenueHttp, "http 522"),
        (said(599), VenueHttp, "http 599"),
        (said(302), VenueHttp, "http 302"),
        (said(204, b""), VenueHttp, "http 204"),
        (said(206), VenueHttp, "http 206"),
        (said(200, PAGE), VenueChanged, "changed: a page of HTML came instead of JSON"),
        (said(200, b""), VenueChanged, "changed: the answer is not JSON, or was cut short"),
        (said(200, b'{"a":'), VenueChanged, "changed: the answer is not JSON, or was cut short"),
        (said(200, b"[NaN]"), VenueChanged, "changed: the answer is not JSON, or was cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_answer_is_the_error_it_is(
    response: Callable[[], httpx2.Response], kind: type[VenueError], reason: str
) -> None:
    """Every status and every false answer has one error and one reason with its code."""
    error = await World(response()).failure()
    assert (kind, reason) == (type(error), error.reason)


async def test_a_good_answer_carries_its_document() -> None:
    """The decoded document, the bytes it came in, and the moment of reading where one is given."""
    response = httpx2.Response(
        200, stream=Body(b'{"a":', b"[1]}"), extensions={"read_at": 1_755_876_780_000}
    )
    found = await World(response).ask()
    assert {"doc": {"a": [1]}, "read_at": 1_755_876_780_000} == found.extensions
    assert b'{"a":[1]}' == found.content


class TestUnrecorded:
    """What replay does not hold."""

    async def test_it_says_what_was_asked(self) -> None:
        """Status 599 with the header is a missing recording, whatever hook the venue has."""
        hook: Refusal = lambda *_: VenueHttp(500)
        response = answer(599, b"", **{replay.UNRECORDED_HEADER.decode(): "GET host/path?a=1"})
        error = await World(response, refusal=hook).failure()
        assert (Unrecorded, "unrecorded: GET host/path?a=1", "missing") == (
            type(error),
            error.reason,
            error.note_status,
        )

    async def test_the_header_alone_is_nothing(self) -> None:
        """A venue that sends the header with an answer does not speak for our recordings."""
        response = answer(200, b"[]", **{judging.UNRECORDED_HEADER: "x"})
        assert [] == (await World(response).ask()).extensions["doc"]

    def test_replay_and_judge_mean_the_same(self) -> None:
        """One status, one header."""
        assert (replay.UNRECORDED_STATUS, replay.UNRECORDED_HEADER.decode()) == (
            judging.UNRECORDED_STATUS,
            judging.UNRECORDED_HEADER,
        )


def transport_errors() -> list[type[Exception]]:
    """Every exception of httpx2 that a request can end with, from httpx2 itself."""
    roots = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL)
    known = {kind for kind in vars(httpx2).values() if isinstance(kind, type)}
    waiting: list[type[Exception]] = [kind for kind in known if issubclass(kind, roots)]
    found: set[type[Exception]] = set()
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += [sub for sub in kind.__subclasses__() if sub not in found]
    return sorted(found, key=lambda kind: kind.__name__)


def made(kind: type[Exception]) -> Exception:
    """An instance, whatever its constructor wants."""
    error = kind.__new__(kind)
    Exception.__init__(error, "10.0.0.7:443 said no")
    return error


CODES = {
    httpx2.TimeoutException: "timeout",
    httpx2.DecodingError: "changed",
    httpx2.ProxyError: "refused",
    Exception: "refused",
}


@pytest.mark.parametrize("kind", transport_errors(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("when", ["before", "within"])
async def test_no_transport_exception_leaks(kind: type[Exception], when: str) -> None:
    """Each becomes ours, before the answer or in the middle of it, without internal addresses."""
    error = made(kind)
    first: Answer = error
    if when == "within":
        first = httpx2.Response(200, stream=Body(b'{"a"', error))
    failure = await World(first).failure()
    expected = next(code for base, code in CODES.items() if issubclass(kind, base))
    assert expected == failure.reason.split(":")[0] == failure.code
    assert "10.0.0.7" not in failure.reason


def test_the_enumeration_sees_the_classes_of_httpx2() -> None:
    """The list above is not empty by accident."""
    assert {httpx2.ConnectError, httpx2.PoolTimeout, httpx2.StreamClosed} <= set(transport_errors())


@pytest.mark.parametrize("error", [OSError("x"), ConnectionResetError(), TimeoutError()])
async def test_errors_of_the_system_are_ours_too(error: OSError) -> None:
    """A certificate file that is missing, a reset: not every transport wraps them."""
    failure = await World(error).failure()
    expected = VenueTimeout if isinstance(error, TimeoutError) else VenueRefused
    assert expected is type(failure)


class TestTime:
    """One attempt is bounded, whatever the venue does."""

    async def test_headers_and_then_silence(self) -> None:
        """A connection that stalls in the middle of the body ends with the attempt."""
        body = Body(b'{"a":', None)
        world = World(httpx2.Response(200, stream=body), seconds=0.05)
        with anyio.fail_after(1):
            error = await world.failure()
        assert (VenueTimeout, "timeout: no answer within 0.05 s") == (type(error), error.reason)
        assert body.closed

    async def test_drops_that_never_end(self) -> None:
        """A byte now and then does not extend the attempt."""

        class Drops(Body):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                while True:
                    await anyio.sleep(0.01)
                    yield b" "

        world = World(httpx2.Response(200, stream=Drops()), seconds=0.05)
        with anyio.fail_after(1):
            assert VenueTimeout is type(await world.failure())

    @pytest.mark.parametrize(
        "deadline,expected", [(0.2, "0.2"), (0.1, "0.09"), (60.0, "0.3"), (None, "0.3")]
    )
    async def test_an_attempt_ends_before_the_question_does(
        self, deadline: float | None, expected: str
    ) -> None:
        """So that its failure is known while somebody can still use an older copy."""

        async def never(_: httpx2.Request) -> httpx2.Response:
            await anyio.sleep_forever()
            raise AssertionError

        world = World(seconds=0.3)
        world.inner._script = never
        with anyio.fail_after(2):
            error = await world.failure(deadline)
        assert f"timeout: no answer within {expected} s" == error.reason

    async def test_being_cancelled_is_no_failure_of_the_venue(self) -> None:
        """Askers who leave write nothing into the ledger."""
        world = World(httpx2.Response(200, stream=Body(None)))
        with anyio.move_on_after(0.01):
            await world.ask()
        assert [] == world.health.all()


class TestBodies:
    """Size and compression."""

    async def test_a_body_beyond_the_bound_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not read to its end, and closed."""
        monkeypatch.setattr(judging, "MAX_BYTES", 10)
        body = Body(b"[12345", b"67890]", AssertionError("read on"))
        error = await World(httpx2.Response(200, stream=body)).failure()
        assert "changed: the answer is unreasonably large" == error.reason
        assert body.closed

    async def test_the_bound_is_of_what_was_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small packet may hold a large answer."""
        monkeypatch.setattr(judging, "MAX_BYTES", 5_000)
        packed = gzip.compress(b'["' + b"x" * 100_000 + b'"]')
        error = await World(answer(200, packed, content_encoding="gzip")).failure()
        assert (True, "changed: the answer is unreasonably large") == (
            len(packed) < 5_000,
            error.reason,
        )

    @pytest.mark.parametrize("name,pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
    async def test_compressed_answers_are_unpacked(self, name: str, pack: Any) -> None:
        """The document and the bytes are those of the answer, not of its packing."""
        found = await World(answer(200, pack(b'{"a": 1}'), content_encoding=name)).ask()
        assert ({"a": 1}, b'{"a": 1}') == (found.extensions["doc"], found.content)

    async def test_a_broken_packing_is_a_change(self) -> None:
        """Bytes that are not gzip under that name."""
        error = await World(answer(200, b"no gzip", content_encoding="gzip")).failure()
        assert "changed: the body could not be decompressed" == error.reason

    async def test_a_packing_that_was_cut_is_a_change(self) -> None:
        """Half a gzip stream gives half a document."""
        packed = gzip.compress(b'{"rows": [1, 2, 3]}')[:-12]
        assert VenueChanged is type(
            await World(answer(200, packed, content_encoding="gzip")).failure()
        )


class TestRefusals:
    """The venue's own words come first."""

    async def test_an_error_inside_200_is_no_answer(self) -> None:
        """Valid JSON with status 200 whose code says rate-limited is a rate limit."""

        def refusal(status: int, body: bytes) -> VenueError | None:
            limited = status == 200 and b'"code":50011' in body
            return VenueRateLimited(200, "code 50011") if limited else None

        world = World(answer(200, b'{"code":50011}'), answer(200, b'{"code":0}'), refusal=refusal)
        assert "http 200: code 50011" == (await world.failure()).reason
        assert {"code": 0} == (await world.ask()).extensions["doc"]

    async def test_it_may_overrule_a_status(self) -> None:
        """A 403 that is a pause and no block."""
        hook: Refusal = lambda status, _: VenueRateLimited(status, "pause", 60)
        error = await World(answer(403, PAGE), refusal=hook).failure()
        assert "http 403: pause" == error.reason

    async def test_retry_after_counts_where_the_hook_names_no_time(self) -> None:
        """The header of the same answer."""
        hook: Refusal = lambda status, _: VenueRateLimited(status, "code 10006")
        error = await World(answer(200, retry_after="7"), refusal=hook).failure()
        assert isinstance(error, VenueRateLimited)
        assert 7 == error.retry_after

    async def test_the_time_of_the_hook_stands(self) -> None:
        """It knows the venue."""
        hook: Refusal = lambda *_: VenueRateLimited(429, "x", 60)
        error = await World(answer(429, retry_after="7"), refusal=hook).failure()
        assert isinstance(error, VenueRateLimited)
        assert 60 == error.retry_after

    @pytest.mark.parametrize("fault", [KeyError("code"), TypeError(), ValueError()])
    async def test_a_hook_that_stumbles_is_a_change(self, fault: Exception) -> None:
        """An error in an unknown shape, and not a crash."""

        def refusal(status: int, body: bytes) -> VenueError | None:
            raise fault

        error = await World(answer(200, b"[]"), refusal=refusal).failure()
        assert "changed: an error in a shape that is not documented" == error.reason

    async def test_hooks_are_of_their_host(self) -> None:
        """Another host's answer is not judged by it."""
        hook: Refusal = lambda *_: VenueRejected("rejected: x")
        world = World(answer(200, b"[]"), refusal=hook)
        other = request(call(host="other.test"))
        assert [] == (await world.judge.handle_async_request(other)).extensions["doc"]


class TestHealth:
    """What the ledger learns."""

    async def state_after(self, *answers: Answer) -> Health:
        """The venue after these attempts."""
        world = World(*answers)
        for _ in answers:
            with suppress(VenueError):
                await world.ask()
        return world.health.of("venue")

    @pytest.mark.parametrize(
        "response,state",
        [
            (said(200, b"[]"), "ok"),
            (said(451), "blocked"),
            (said(403), "blocked"),
            (said(200, PAGE), "changed"),
            (said(200, b'{"cut":'), "changed"),
            (said(503), "failing"),
            (lambda: httpx2.ConnectError("x"), "failing"),
            (lambda: httpx2.ReadTimeout("x"), "failing"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_each_answer_gives_a_state(
        self, response: Callable[[], Answer], state: str
    ) -> None:
        """By venue id, with the reason where there is one."""
        health = await self.state_after(response())
        assert (state, 1, int(state != "ok")) == (health.state, health.requests, health.failures)
        assert (state == "ok") is (health.reason is None)
        assert (NOW if state == "ok" else None) == health.last_ok
        assert (None if state == "ok" else NOW) == health.last_error

    async def test_an_answer_makes_it_well_again(self) -> None:
        """State and reason are of the last attempt, the counts of all."""
        health = await self.state_after(answer(503), answer(200, b"[]"))
        assert ("ok", None, 2, 1) == (
            health.state,
            health.reason,
            health.requests,
            health.failures,
        )

    async def test_slowness_is_of_several_answers(self) -> None:
        """The latency is a moving average; over two seconds the venue is slow."""
        world = World()

        def slowly(_: httpx2.Request) -> httpx2.Response:
            world.clock.advance(3)
            return httpx2.Response(200, content=b"[]")

        world.inner._script = lambda _: httpx2.Response(200, content=b"[]")
        await world.ask()
        world.inner._script = slowly
        seen = []
        for _ in range(4):
            await world.ask()
            health = world.health.of("venue")
            seen.append((round(health.latency_ms or 0), health.state))
        assert [(900, "ok"), (1530, "ok"), (1971, "ok"), (2280, "slow")] == seen

    async def test_listeners_hear_of_changes_only(self) -> None:
        """Not of every answer."""
        world = World(answer(200, b"[]"), answer(200, b"[]"), answer(503), answer(200, b"[]"))
        heard: list[str] = []
        world.health.listen(lambda health: heard.append(health.state))
        for _ in range(4):
            with suppress(VenueHttp):
                await world.ask()
        assert ["ok", "failing", "ok"] == heard

    async def test_a_venue_that_was_never_asked_is_unknown(self) -> None:
        """And not in the list."""
        ledger = HealthLedger(FixedClock(NOW))
        assert ("unknown", []) == (ledger.of("venue").state, ledger.all())

    async def test_the_moment_of_sending_is_noted_once(self) -> None:
        """The breaker tells slowness by it; a second attempt does not move it."""
        world = World(answer(503), answer(200, b"[]"))
        asked = request()
        with pytest.raises(VenueHttp):
            await world.judge.handle_async_request(asked)
        world.clock.advance(4)
        await world.judge.handle_async_request(asked)
        assert 0.0 == asked.extensions["sent_at"]


async def test_sockets_are_not_judged() -> None:
    """A handshake comes back as it is, and the ledger knows nothing of it."""
    world = World(httpx2.Response(403))
    plain = httpx2.Request("GET", f"wss://{HOST}/ws")
    assert 403 == (await world.judge.handle_async_request(plain)).status_code
    assert [] == world.health.all()
