"""The cache that replicas share: one flight in the fleet, ages, failures, and Redis that goes."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from cachefleets import Fleet, Held, HourAhead, Replica, fleet, sent, until, venue
from fakes import Scripted, call, in_turn, judged
from servers import NO_SERVER, RedisProcess, redis_process

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.fleet.link import Link
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.upstream.budget import OverBudget
from mmflow_mcp.upstream.wire import Wire, ask_json, get

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shared(redis_server: RedisProcess) -> AsyncIterator[Fleet]:
    """A fleet on the server that all tests share."""
    async with fleet(redis_server) as made:
        yield made


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that went is tried more often than people need it."""
    monkeypatch.setattr("mmflow_mcp.fleet.link.RETRY_SECONDS", 0.1)


@pytest.fixture
def own_server() -> Iterator[RedisProcess]:
    """A server of this test alone, to be stopped."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


async def at_once(*askers: Any) -> list[Any]:
    """What several ask at the same time; errors as they are."""
    found: list[Any] = [None] * len(askers)

    async def one(i: int, asking: Any) -> None:
        try:
            found[i] = await asking
        except VenueError as error:
            found[i] = error

    async with anyio.create_task_group() as tasks:
        for i, asking in enumerate(askers):
            tasks.start_soon(one, i, asking)
    return found


async def copied(shared: Fleet) -> None:
    """Wait until an answer lies in the server."""

    async def lies() -> bool:
        return bool(await shared.keys("copy"))

    await until(lies)


class TestOneFlight:
    """Many replicas, one request."""

    async def test_three_replicas_with_many_askers_send_one_request(self, shared: Fleet) -> None:
        """All get the same answer; in the end nothing but the copy is left in the server."""
        inner = venue()
        replicas = [await shared.replica(inner) for _ in range(3)]
        assert 150 * [1] == await at_once(*(r.ask() for r in replicas for _ in range(50)))
        assert 1 == len(inner.asked)
        await copied(shared)
        assert 1 == len(await shared.keys())
        assert [3, 2] == [sum(r.link.asks for r in replicas), sum(r.link.hits for r in replicas)]

    async def test_other_questions_are_other_flights(self, shared: Fleet) -> None:
        """The address and the body make a question; the label does not."""
        inner = venue()
        replicas = [await shared.replica(inner) for _ in range(2)]
        url = "https://api.venue.test/info"
        asked = [call("/a"), call("/b"), *(ask_json(url, {"n": n}, label="x") for n in (1, 2))]
        await at_once(*(r.ask(one) for r in replicas for one in asked))
        await replicas[0].ask(call("/a", label="another"))
        assert 4 == len(inner.asked)

    async def test_what_is_fresh_in_memory_is_not_looked_for(self, shared: Fleet) -> None:
        """A warm question never goes to the server."""
        replica = await shared.replica(venue())
        await replica.ask()
        assert replica.cache.peek(call()) is not None
        for _ in range(5):
            await replica.ask()
        assert 1 == replica.link.asks

    async def test_a_socket_passes_through(self, shared: Fleet) -> None:
        """What is no call is nobody's copy."""
        replica = await shared.replica(in_turn(httpx2.Response(101)))
        plain = httpx2.Request("GET", "wss://api.venue.test/ws")
        assert 101 == (await replica.cache.handle_async_request(plain)).status_code
        assert 0 == replica.link.asks

    async def test_a_fleet_of_one_answers_like_one_alone(self, shared: Fleet) -> None:
        """Also a question whose answer is never fresh: each is asked."""
        replica = await shared.replica(venue(0))
        assert [1, 2] == [await replica.ask(call(fresh=0)) for _ in range(2)]


class TestAge:
    """How old a copy is, is known without trusting the clock of who read it."""

    async def test_a_copy_is_as_old_as_its_reading(self, shared: Fleet) -> None:
        """It ages on from where it was, and is never taken for younger."""
        inner = venue(0)
        first, later = [await shared.replica(inner) for _ in range(2)]
        read = await first.wire()
        await copied(shared)
        await anyio.sleep(0.3)
        wire = await later.wire()
        # One process, one monotonic clock: the moments can be compared. 2 ms are rounding.
        assert wire.read <= read.read + 0.002
        assert read.read - 5 < wire.read
        assert read.fetched_at == wire.fetched_at

    async def test_what_is_too_old_is_asked_anew(self, shared: Fleet) -> None:
        """Each call says itself how old an answer may be; the new one serves all again."""
        inner = venue(0)
        first, later, third = [await shared.replica(inner) for _ in range(3)]
        await first.ask(call(fresh=30))
        await copied(shared)
        await anyio.sleep(0.15)
        assert 2 == await later.ask(call(fresh=0.1))
        await until(lambda: not later.link.holds)
        assert [2, 2] == [await third.ask(call(fresh=60)), len(inner.asked)]

    async def test_clocks_an_hour_apart_agree_on_the_age(self, shared: Fleet) -> None:
        """Each tells the moment of reading by its own clock, and the age is the true one."""
        inner = venue(0)
        ahead = await shared.replica(inner, clock=HourAhead())
        here = await shared.replica(inner)
        wrong = await ahead.wire()
        await copied(shared)
        right = await here.wire()
        now = SystemClock().now_ms()
        assert 1 == len(inner.asked)
        assert now - 10_000 < right.fetched_at <= now
        assert 3_600_000 == pytest.approx(wrong.fetched_at - right.fetched_at, abs=2_000)
        assert wrong.read - 5 < right.read <= wrong.read + 0.002

    async def test_copies_leave_by_themselves(self, shared: Fleet) -> None:
        """Prices after ten seconds or their freshness, lists that change by the day after one."""
        replica = await shared.replica(venue(0))
        asked = [call("/p"), call("/q", fresh=900), call("/l", fresh=86_400, reference=True)]
        for one in asked:
            await replica.ask(one)
        await until(lambda: not replica.link.holds)
        server = RedisServer(shared.server.url)
        lives = [await server.client.pttl(name) for name in await shared.keys("copy")]
        await server.close()
        for left, most in zip(sorted(lives), (10, 300, 86_400), strict=True):
            assert most * 1000 - 60_000 < left <= most * 1000


FAILURES = [
    VenueRateLimited(429, retry_after=17.5),
    VenueRateLimited(418, "banned"),
    VenueHttp(503, "maintenance"),
    VenueHttp(520),
    VenueBlocked("blocked: http 403, a page instead of data"),
    VenueChanged("changed: a page of HTML came instead of JSON"),
    VenueRejected("rejected: no such symbol"),
]


class TestFailures:
    """A failing venue is not asked by every replica in turn."""

    @pytest.mark.parametrize("error", FAILURES, ids=lambda e: f"{type(e).__name__}-{e.reason[:8]}")
    async def test_who_waited_fails_with_the_same(self, shared: Fleet, error: VenueError) -> None:
        """The same class, words, status, pause; the next question is asked again."""

        def fail() -> httpx2.Response:
            raise error.fresh()

        held = Held(fail)
        replicas = [await shared.replica(held.inner) for _ in range(3)]
        failed: list[Any] = []

        async def ask(replica: Replica) -> None:
            failed.extend(await at_once(replica.ask()))

        async with anyio.create_task_group() as tasks:
            for replica in replicas:
                tasks.start_soon(ask, replica)
            await until(lambda: all(r.link.asks for r in replicas))
            await anyio.sleep(0.05)
            held.open.set()
        assert 1 == held.asked
        told = {(type(e), e.args, *sorted(vars(e).items())) for e in failed}
        assert {(type(error), error.args, *sorted(vars(error).items()))} == told
        await at_once(replicas[0].ask())
        assert 2 == held.asked

    @pytest.mark.parametrize(
        "error",
        [OverBudget("budget: no room"), VenueBlocked("geo: http 451, not served here")],
        ids=lambda e: e.code,
    )
    async def test_what_is_a_replicas_own_is_not_told(
        self, shared: Fleet, error: VenueError
    ) -> None:
        """Its budget, its open circuit or its country says nothing of the venue: another asks."""
        begun = anyio.Event()

        async def refuse(_: httpx2.Request) -> httpx2.Response:
            begun.set()
            await anyio.sleep(0.1)
            raise error

        first = await shared.replica(sent(refuse))
        other = await shared.replica(venue())
        found: list[Any] = []

        async def ask() -> None:
            found.extend(await at_once(first.ask()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await begun.wait()
            assert 1 == await other.ask()
        assert [type(error)] == [type(e) for e in found]
        assert not any(flown.error for flown in other.learnt)

    async def test_a_flight_cut_short_by_its_asker_is_no_failure_for_others(
        self, shared: Fleet
    ) -> None:
        """Who has more time left asks with that."""

        async def late(_: httpx2.Request) -> httpx2.Response:
            await anyio.sleep(0.1)
            raise VenueTimeout("timeout: no answer within 0.1 s")

        hasty = await shared.replica(sent(late))
        patient = await shared.replica(venue())
        found = await at_once(hasty.ask(), patient.ask())
        assert isinstance(found[0], VenueTimeout) or found[0] == 1
        assert 1 == found[1]

    async def test_replicas_learn_what_flights_of_others_came_to(self, shared: Fleet) -> None:
        """Whether they waited or not; of their own they are told nothing."""
        first = await shared.replica(in_turn(judged("well")))
        failing = await shared.replica(sent(_down))
        third = await shared.replica(venue())
        await first.ask(call("/a", weight=3.0))
        await at_once(failing.ask(call("/b", weight=2.0)))
        await until(lambda: 2 == len(third.learnt))
        good, bad = third.learnt
        assert ("api.venue.test", 3.0, None, True) == (
            *(good.host, good.weight),
            *(good.error, good.answered),
        )
        assert (2.0, VenueHttp, False) == (bad.weight, type(bad.error), bad.answered)
        assert [bad.host] == [flown.host for flown in first.learnt]


async def _down(_: httpx2.Request) -> httpx2.Response:
    raise VenueHttp(502)


class TestHandingOver:
    """A flight whose replica leaves costs the others nothing but time."""

    async def test_a_flyer_that_is_cancelled_hands_over(self, shared: Fleet) -> None:
        """Nobody waits there any more: another replica flies, long before the lease ends."""
        held = Held()
        first = await shared.replica(held.inner)
        other = await shared.replica(venue())
        leaving = anyio.CancelScope()
        answers: list[Any] = []

        async def leave() -> None:
            with leaving:
                await first.ask()

        async def ask() -> None:
            answers.append(await other.ask())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            await until(lambda: 1 == held.asked)
            tasks.start_soon(ask)
            await until(lambda: 1 == other.link.asks)
            await anyio.sleep(0.1)
            assert [] == answers
            leaving.cancel()
        assert [1] == answers
        assert [] == await shared.keys("lease")

    async def test_a_replica_that_ends_hands_over(self, shared: Fleet) -> None:
        """Its flights are cancelled with it, and the others are told."""
        held = Held()
        other = await shared.replica(venue())
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await other.ask())

        async with anyio.create_task_group() as tasks, shared.alone(held.inner) as ending:
            tasks.start_soon(at_once, ending.ask())
            await until(lambda: 1 == held.asked)
            tasks.start_soon(ask)
            await until(lambda: 1 == other.link.asks)
        assert [1] == answers

    async def test_a_flyer_that_was_killed_is_taken_over(self, shared: Fleet) -> None:
        """Its lease ends within two seconds; then one of those who wait flies, not all."""
        inner = venue()
        replicas = [await shared.replica(inner) for _ in range(3)]
        await replicas[0].ask()
        await until(lambda: not replicas[0].link.holds)
        (copy,) = await shared.keys("copy")
        server = RedisServer(shared.server.url)
        await server.client.set(copy.replace(":copy:", ":lease:"), "of-the-dead", px=500)
        await server.client.delete(copy)
        await server.close()
        began = anyio.current_time()
        assert [2, 2] == await at_once(*(r.ask(call(fresh=5)) for r in replicas[1:]))
        assert 0.3 < anyio.current_time() - began < 6.0
        assert 2 == len(inner.asked)

    async def test_a_lease_is_renewed_while_the_flight_lasts(self, shared: Fleet) -> None:
        """A slow venue is not asked by a second replica."""
        held = Held()
        first, other = [await shared.replica(held.inner) for _ in range(2)]
        server = RedisServer(shared.server.url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.ask)
            tasks.start_soon(other.ask)
            await until(lambda: 1 == held.asked)
            (lease,) = await shared.keys("lease")
            left = [await server.client.pttl(lease)]

            async def grew() -> bool:
                left.append(await server.client.pttl(lease))
                return bool(left[-1] > left[-2])

            await until(grew)
            held.open.set()
        await server.close()
        assert 1 == held.asked

    async def test_who_waits_gives_up_at_its_own_deadline(self, shared: Fleet) -> None:
        """The flight of another goes on."""
        held = Held()
        first, hasty = [await shared.replica(held.inner) for _ in range(2)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.ask)
            await until(lambda: 1 == held.asked)
            with pytest.raises(VenueTimeout, match="timeout: no answer within"):
                await hasty.ask(seconds=0.2)
            held.open.set()
        assert "let" == await hasty.ask()
        assert 1 == held.asked


class TestServerAway:
    """Without the server each replica is on its own, loses no answer, and comes back."""

    async def test_it_dies_in_the_middle_of_a_flight(self, own_server: RedisProcess) -> None:
        """Who flies gets its answer, who waited asks by itself."""
        async with fleet(own_server) as made:
            held = Held()
            replicas = [await made.replica(held.inner) for _ in range(2)]
            found: list[Any] = []

            async def ask(replica: Replica) -> None:
                found.append(await replica.ask())

            async with anyio.create_task_group() as tasks:
                for replica in replicas:
                    tasks.start_soon(ask, replica)
                await until(lambda: all(r.link.asks for r in replicas))
                await until(lambda: 1 == held.asked)
                own_server.stop()
                await until(lambda: 2 == held.asked)
                held.open.set()
            assert ["let", "let"] == found
            assert {"alone"} == {r.link.state for r in replicas}

    async def test_it_is_away_and_comes_back(self, own_server: RedisProcess) -> None:
        """Each alone at once and with a reason; together again without a restart."""
        async with fleet(own_server) as made:
            inner = venue(0.02)
            replicas = [await made.replica(inner) for _ in range(3)]
            turns: list[str] = []
            replicas[0].link.on_turn(lambda: turns.append(replicas[0].link.state))
            assert [1, 1, 1] == await at_once(*(r.ask() for r in replicas))
            own_server.stop()
            await until(lambda: not any(r.link.together for r in replicas))
            assert [2, 3, 4] == sorted(await at_once(*(r.ask(call("/away")) for r in replicas)))
            assert {"the fleet's server cannot be reached"} == {r.link.reason for r in replicas}
            own_server.start()
            await until(lambda: all(r.link.together for r in replicas))
            assert [5, 5, 5] == await at_once(*(r.ask(call("/back")) for r in replicas))
            assert ["alone", "together"] == turns

    async def test_it_hangs(self, own_server: RedisProcess) -> None:
        """The first question waits a moment for it, those after it not at all."""
        async with fleet(own_server) as made:
            replica = await made.replica(venue(0), patience=0.25)
            assert own_server._child is not None
            os.kill(own_server._child.pid, signal.SIGSTOP)
            try:
                asked = [call(f"/{n}") for n in range(20)]
                with anyio.fail_after(30):
                    assert 20 == len(await at_once(*(replica.ask(one) for one in asked)))
                await until(lambda: not replica.link.together)
                assert (replica.link.reason or "").endswith("does not answer in time")
                asks = replica.link.asks
                await replica.ask(call("/later"))
                assert asks == replica.link.asks
            finally:
                os.kill(own_server._child.pid, signal.SIGCONT)
            await until(lambda: replica.link.together)

    async def test_a_process_that_stands_still_has_not_lost_it(self, shared: Fleet) -> None:
        """An answer that has arrived meanwhile is in time, however long nobody could look."""
        replica = await shared.replica(venue(0), patience=0.25)

        async def stand_still() -> None:
            for _ in range(3):
                time.sleep(0.3)  # noqa: ASYNC251 - that is the point
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(replica.ask)
            tasks.start_soon(stand_still)
        assert [True, 1] == [replica.link.together, replica.link.asks]

    @pytest.mark.parametrize(
        ("spoil", "mend", "why"),
        [
            ("CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0", "used memory > 'maxmemory'"),
            ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "against a read only replica"),
        ],
        ids=["full", "read-only"],
    )
    async def test_it_takes_nothing(
        self,
        own_server: RedisProcess,
        monkeypatch: pytest.MonkeyPatch,
        spoil: str,
        mend: str,
        why: str,
    ) -> None:
        """A server that only answers is none to share with, however often it is tried."""
        tried = 0

        async def open_line(self: Link, client: Any) -> Any:
            nonlocal tried
            tried += 1
            return await opened(self, client)

        opened = Link._open_line
        monkeypatch.setattr(Link, "_open_line", open_line)
        async with fleet(own_server) as made:
            replica = await made.replica(venue(0))
            turns: list[str] = []
            replica.link.on_turn(lambda: turns.append(replica.link.state))
            server = RedisServer(own_server.url)
            await server.client.execute_command(*spoil.split())
            assert 1 == await replica.ask()
            assert (replica.link.reason or "").endswith(why), replica.link.reason
            # It can be read.
            assert replica.link.gone is None
            before = tried
            await until(lambda: tried >= before + 3)
            assert ["alone"] == turns
            await server.client.execute_command(*mend.split())
            await server.close()
            await until(lambda: replica.link.together)
            assert ["alone", "together"] == turns

    async def test_it_forgets_its_scripts(self, shared: Fleet) -> None:
        """Another server behind the same address, or one that was emptied: they are sent again."""
        replica = await shared.replica(venue(0))
        await replica.ask()
        server = RedisServer(shared.server.url)
        await server.client.script_flush()
        await server.close()
        assert 2 == await replica.ask(call("/other"))
        assert replica.link.together


class TestWhatLiesThere:
    """What comes from the server is examined like any wire."""

    @pytest.mark.parametrize(
        "spoil", ["truncated", "bit", "stamp", "empty", "garbage", "list", "other", "future"]
    )
    async def test_what_is_damaged_is_fetched_anew(self, shared: Fleet, spoil: str) -> None:
        """Never an error to who asks, never another number; the next finds a good copy."""
        rows = [{"row": n, "price": 1000 + n} for n in range(200)]
        inner = Scripted(lambda _: judged(rows))
        first, later, third = [await shared.replica(inner) for _ in range(3)]
        await first.ask()
        await first.ask(call("/other"))
        await until(lambda: not first.link.holds)
        server = RedisServer(shared.server.url)
        for name in await shared.keys("copy"):
            whole = await server.client.get(name)
            await server.client.delete(name)
            if spoil == "list":
                await server.client.rpush(name, whole)
                continue
            await server.client.set(name, SPOILT[spoil](whole))
        assert [rows, 3] == [await later.ask(), len(inner.asked)]
        await until(lambda: not later.link.holds)
        assert [rows, 3] == [await third.ask(), len(inner.asked)]
        assert all(r.link.together for r in (first, later, third))
        await server.close()

    async def test_a_copy_of_another_question_is_none(self, shared: Fleet) -> None:
        """A good parcel under the wrong key, or of another kind of source, is not believed."""
        inner = in_turn(judged("a"), judged("b"), judged("b again"))
        first, later = [await shared.replica(inner) for _ in range(2)]
        await first.ask(call("/a"))
        await until(lambda: not first.link.holds)
        server = RedisServer(shared.server.url)
        (of_a,) = await shared.keys("copy")
        blob = await server.client.get(of_a)
        await first.ask(call("/b"))
        await until(lambda: not first.link.holds)
        (of_b,) = set(await shared.keys("copy")) - {of_a}
        await server.client.set(of_b, blob)
        assert "b again" == await later.ask(call("/b"))
        await server.close()

    async def test_kinds_of_sources_do_not_mix(self, shared: Fleet) -> None:
        """A simulated answer is nothing to a replica that asks the live market."""
        live = await shared.replica(in_turn(judged("live")), space=f"live-{shared.space}")
        sim = await shared.replica(in_turn(judged("sim")), space=f"sim-{shared.space}")
        assert ["sim", "live"] == [await sim.ask(), await live.ask()]
        assert 2 == len(await shared.keys("copy"))

    async def test_a_copy_that_the_call_refuses_is_fetched_anew(self, shared: Fleet) -> None:
        """As when a newer version reads more strictly than the one that kept it."""

        def strict(wire: Wire) -> None:
            if wire.doc != "new":
                raise VenueChanged("changed: not what is expected")

        inner = in_turn(judged("old"), judged("new"))
        first, later = [await shared.replica(inner) for _ in range(2)]
        await first.ask(call())
        await copied(shared)
        assert "new" == await later.ask(call(check=strict))

    async def test_what_the_call_refuses_is_kept_nowhere(self, shared: Fleet) -> None:
        """An answer that is none is a failure, here and for who waited."""

        def refuse(_: Wire) -> None:
            raise VenueChanged("changed: not what is expected")

        replica = await shared.replica(venue(0))
        with pytest.raises(VenueChanged):
            await replica.ask(call(check=refuse))
        assert [] == await shared.keys("copy")

    async def test_large_answers(self, shared: Fleet) -> None:
        """What packs well is shared; what is too large each replica fetches, without queueing."""
        noise = os.urandom(3 << 20).hex()
        inner = Scripted(
            lambda asked: judged(noise if asked.url.path == "/noise" else "x" * 3_000_000)
        )
        first, later = [await shared.replica(inner) for _ in range(2)]
        assert 3_000_000 == len(await first.ask(call("/plain")))
        await until(lambda: not first.link.holds)
        assert 3_000_000 == len(await later.ask(call("/plain")))
        assert 1 == len(inner.asked)
        assert [noise, noise] == await at_once(*(r.ask(call("/noise")) for r in (first, later)))
        assert 3 == len(inner.asked)
        assert [] == await shared.keys("lease")

    async def test_text_is_text(self, shared: Fleet) -> None:
        """A page comes back with every letter, also those that are none."""
        body = "<table>Ω</table>".encode() + b"\xff"
        page = httpx2.Response(
            200, content=body, extensions={"doc": body.decode("utf-8", "replace")}
        )
        first, later = [await shared.replica(in_turn(page)) for _ in range(2)]
        asked = get("https://api.venue.test/page", form="text")
        await first.ask(asked)
        await copied(shared)
        assert "<table>Ω</table>\ufffd" == await later.ask(asked)

    @pytest.mark.parametrize("message", [b"\xff", b"[]", b"{}", b'{"host": 1}', b'{"error": 3}'])
    async def test_what_is_said_beside_the_point_is_not_heard(
        self, shared: Fleet, message: bytes
    ) -> None:
        """A message that is none changes nothing."""
        replica = await shared.replica(venue(0))
        replica.shared._told(message)
        assert [] == replica.learnt
        assert 1 == await replica.ask()

    async def test_a_lease_without_an_end_holds_nobody(self, shared: Fleet) -> None:
        """A key that is no lease of ours is taken over at once."""
        inner = venue(0)
        replica = await shared.replica(inner)
        await replica.ask()
        await until(lambda: not replica.link.holds)
        (copy,) = await shared.keys("copy")
        server = RedisServer(shared.server.url)
        await server.client.set(copy.replace(":copy:", ":lease:"), "for ever")
        await server.close()
        with anyio.fail_after(5):
            assert 2 == await replica.ask(call(fresh=0))


SPOILT: dict[str, Any] = {
    "truncated": lambda whole: whole[: len(whole) * 2 // 3],
    "bit": lambda whole: whole[:-40] + bytes([whole[-40] ^ 4]) + whole[-39:],
    "stamp": lambda whole: b"%013d" % (int(whole[:13]) + 1_000_000) + whole[13:],
    "empty": lambda _: b"",
    "garbage": lambda whole: whole[:13] + os.urandom(200),
    "other": lambda whole: whole[:13] + whole[13:14] + b"\0" * 12 + whole[26:],
    "future": lambda whole: b"9999999999999" + whole[13:],
}
