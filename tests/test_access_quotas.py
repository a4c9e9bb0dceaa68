"""Quotas: pure arithmetic over a held clock, bounded memory, and a fleet that counts in Redis."""

import random
import time
import tracemalloc
from collections import deque
from pathlib import Path

import anyio
import pytest
from servers import NO_SERVER, RedisProcess, server_binary, silent_server

from mmflow_mcp.access.fleet_quotas import PATIENCE_SECONDS, RETRY_SECONDS, UNDER, FleetQuotas
from mmflow_mcp.access.quotas import CALLERS, OwnQuotas, Window
from mmflow_mcp.clock import FixedClock, SystemClock
from mmflow_mcp.fleet.redis import RedisServer

pytestmark = pytest.mark.anyio

NOW = 1_789_434_000_000


class TestTheWindow:
    """Sixty seconds, counted in slots of five."""

    def test_the_limit_is_reached_and_not_passed(self) -> None:
        """60 questions at once are answered, the 61st is not, nor any in the next 59 seconds."""
        window = Window()
        taken = [window.take(100.0, 60) for _ in range(61)]
        assert [True] * 60 + [False] == [one.allowed for one in taken]
        assert [*range(59, -1, -1), 0] == [one.remaining for one in taken]
        assert not window.take(159.9, 60).allowed
        assert window.take(165.0, 60).allowed

    def test_retry_after_is_true(self) -> None:
        """A second before it is too early; then it is answered."""
        for began in (0.0, 3.2, 4.99):
            window = Window()
            for i in range(7):
                window.take(began + i, 7)
            wait = window.take(began + 7, 7).retry_after
            assert 1 <= wait <= 65
            assert not window.take(began + 6 + wait, 7).allowed
            assert window.take(began + 7 + wait, 7).allowed

    def test_whole_in_is_true(self) -> None:
        """Then every place is free again, and not before."""
        window = Window()
        window.take(12.0, 10)
        whole = window.take(30.0, 10).whole_in
        assert 9 > window.take(30.0 + whole - 1.1, 10).remaining
        window = Window()
        window.take(30.0, 10)
        assert 9 == window.take(30.0 + whole, 10).remaining

    def test_a_lower_limit_waits_for_enough_to_leave(self) -> None:
        """The wait is for the question that makes room, not for the first that leaves."""
        window = Window()
        for at in (0.0, 10.0, 20.0):
            window.take(at, 3)
        assert 85 - 21 == window.take(21.0, 1).retry_after

    @pytest.mark.parametrize("seed", range(20))
    def test_no_minute_ever_holds_more_than_the_limit(self, seed: int) -> None:
        """Whatever the rhythm; and one who keeps below it is never refused."""
        dice = random.Random(seed)
        limit, window, at = dice.randint(1, 30), Window(), 0.0
        allowed: deque[float] = deque()
        for _ in range(3000):
            at += dice.choice((0.0, 0.01, 0.5, dice.expovariate(1), dice.expovariate(0.05)))
            verdict = window.take(at, limit)
            while allowed and allowed[0] <= at - 65:
                allowed.popleft()
            if verdict.allowed:
                allowed.append(at)
                assert sum(1 for one in allowed if one > at - 60) <= limit
            else:
                assert len(allowed) >= limit


class TestTheCallers:
    """Those of one process."""

    async def test_they_do_not_share(self) -> None:
        """One's last question takes nothing from another."""
        quotas = OwnQuotas(FixedClock(NOW))
        assert (await quotas.take("a", 1)).allowed
        assert not (await quotas.take("a", 1)).allowed
        assert (await quotas.take("b", 1)).allowed

    async def test_memory_is_bounded(self) -> None:
        """Of many addresses the latest are held; who keeps asking is not forgotten among them."""
        clock = FixedClock(NOW)
        quotas = OwnQuotas(clock)
        for i in range(CALLERS + 10_000):
            await quotas.take(f"198.{i >> 16}.{i >> 8 & 255}.{i & 255}", 60)
            if i % 500 == 0:
                await quotas.take("the busy one", 40)
        assert CALLERS == len(quotas._windows)
        assert not (await quotas.take("the busy one", 40)).allowed

    async def test_a_window_is_small(self) -> None:
        """A caller who asks all the time has at most 13 slots; ten thousand take a few MB."""
        clock, window = FixedClock(NOW), Window()
        for _ in range(3000):
            window.take(clock.monotonic(), 10_000)
            clock.advance(0.5)
        assert len(window._slots) <= 13
        tracemalloc.start()
        quotas = OwnQuotas(clock)
        for i in range(CALLERS):
            await quotas.take(f"198.0.{i >> 8}.{i & 255}", 60)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size < 6_000_000


def fleet(url: str, clock: SystemClock | FixedClock | None = None) -> FleetQuotas:
    """A replica's quotas."""
    return FleetQuotas(RedisServer(url), clock or SystemClock())


class TestTheFleet:
    """Replicas on one server."""

    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A busy machine is no server that went away."""
        monkeypatch.setattr("mmflow_mcp.access.fleet_quotas.PATIENCE_SECONDS", 5.0)

    async def test_replicas_share_a_quota(self, redis_server: RedisProcess) -> None:
        """Asked of two at once, exactly the limit is allowed in all, and the numbers add up."""
        one, two = fleet(redis_server.url), fleet(redis_server.url)
        caller = f"key:{time.time_ns()}"
        verdicts = []

        async def ask(replica: FleetQuotas) -> None:
            verdicts.append(await replica.take(caller, 10))

        try:
            async with anyio.create_task_group() as tasks:
                for i in range(24):
                    tasks.start_soon(ask, (one, two)[i % 2])
            life = await one._server.client.pttl(UNDER + caller)
        finally:
            await one.close()
            await two.close()
        allowed = [v for v in verdicts if v.allowed]
        refused = [v for v in verdicts if not v.allowed]
        assert [*range(10)] == sorted(v.remaining for v in allowed)
        assert 14 == len(refused)
        assert all(55 <= v.retry_after <= 65 and 55 <= v.whole_in <= 65 for v in refused)
        assert not one.away
        assert 0 < life <= 65_000

    async def test_many_at_once_are_counted_one_by_one(self, redis_server: RedisProcess) -> None:
        """Many more ask than there are connections: the fleet counts them all, in few calls."""
        quotas = fleet(redis_server.url)
        caller = f"key:{time.time_ns()}"

        async def ask() -> None:
            for _ in range(40):
                await quotas.take(caller, 100_000)
                lost.append(quotas.away)

        lost: list[bool] = []
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(ask)
            last = await quotas.take(caller, 100_000)
        finally:
            await quotas.close()
        assert 100_000 - 40 * 40 - 1 == last.remaining
        assert not any(lost)

    async def test_the_script_counts_as_the_window_does(self, redis_server: RedisProcess) -> None:
        """Slots of the past, put there by hand: those past 13 are gone, a place frees in time."""
        quotas = fleet(redis_server.url)
        client = quotas._server.client
        caller = f"key:{time.time_ns()}"
        seconds, _ = await client.time()
        slot = seconds // 5
        try:
            old = {slot - 13: 50, slot - 12: 2, slot - 3: 1}
            await client.hset(UNDER + caller, mapping=old)
            verdict = await quotas.take(caller, 3)
            kept = {int(k): int(v) for k, v in (await client.hgetall(UNDER + caller)).items()}
        finally:
            await quotas.close()
        # The machine may have stepped into the next slot meanwhile.
        if verdict.allowed:
            assert {slot - 3: 1, slot + 1: 1} == kept
        else:
            assert {slot - 12: 2, slot - 3: 1} == kept
            assert 1 <= verdict.retry_after <= 5
            assert 45 <= verdict.whole_in <= 50

    async def test_without_the_server_each_counts_alone_and_it_heals(self, tmp_path: Path) -> None:
        """No question fails, what was used stays used, and the fleet counts again by itself."""
        binary = server_binary()
        if binary is None:
            pytest.skip(NO_SERVER)
        process = RedisProcess(binary, tmp_path)
        process.start()
        clock = FixedClock(NOW)
        quotas = fleet(process.url, clock)
        try:
            assert 4 == (await quotas.take("a", 5)).remaining
            process.stop()
            assert 3 == (await quotas.take("a", 5)).remaining
            assert quotas.away
            for left in (2, 1, 0):
                assert left == (await quotas.take("a", 5)).remaining
            assert not (await quotas.take("a", 5)).allowed
            process.start()
            assert quotas.away
            clock.advance(RETRY_SECONDS + 0.1)
            assert (await quotas.take("b", 5)).allowed
            assert not quotas.away
        finally:
            await quotas.close()
            process.stop()

    async def test_a_server_that_hangs_holds_nobody_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It answers nothing: one question waits half a second, the next none."""
        monkeypatch.setattr("mmflow_mcp.access.fleet_quotas.PATIENCE_SECONDS", PATIENCE_SECONDS)
        async with silent_server() as (port, connections):
            quotas = fleet(f"redis://127.0.0.1:{port}", FixedClock(NOW))
            try:
                with anyio.fail_after(20):
                    assert (await quotas.take("a", 5)).allowed
                assert (True, 1) == (quotas.away, len(connections))
                assert 3 == (await quotas.take("a", 5)).remaining
                assert 1 == len(connections)
            finally:
                await quotas.close()
