"""The lease that elects one of several processes: the same tests beside a file and in Redis."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from servers import RedisProcess

from mmflow_mcp.errors import StoreAway, StoreUnwritable
from mmflow_mcp.fleet.lease import FileLease, Lease, OwnLease, RedisLease
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.series.places import open_lease

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[1]
LIFETIME_MS = 400


class Office:
    """Where leases of one sort are to be had."""

    def __init__(self, text: str, folder: Path) -> None:
        self.text = text
        self.folder = folder
        self._leases: list[Lease] = []

    def lease(self, name: str = "sampler") -> Lease:
        """A lease as another process would ask for it."""
        made = open_lease(self.text, "live", self.folder, name, lifetime_ms=LIFETIME_MS)
        self._leases.append(made)
        return made

    async def close(self) -> None:
        """Give up everything."""
        for lease in self._leases:
            await lease.release()


@pytest.fixture(params=["file", "redis"])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    """Both sorts."""
    text = ""
    if request.param == "redis":
        server: RedisProcess = request.getfixturevalue("redis_server")
        text = server.url
    made = Office(text, tmp_path)
    yield made
    await made.close()


async def test_one_of_many_gets_it(office: Office) -> None:
    """However many ask at once."""
    leases = [office.lease() for _ in range(6)]
    got: list[bool] = []

    async def ask(lease: Lease) -> None:
        got.append(await lease.acquire())

    async with anyio.create_task_group() as tasks:
        for lease in leases:
            tasks.start_soon(ask, lease)
    assert [False] * 5 + [True] == sorted(got)


async def test_who_has_it_keeps_it(office: Office) -> None:
    """Asking again is no loss, renewing neither, and nobody else gets in between."""
    first, second = office.lease(), office.lease()
    assert [True, True, True] == [
        await first.acquire(),
        await first.acquire(),
        await first.renew(),
    ]
    assert [False, False] == [await second.acquire(), await second.renew()]


async def test_renewing_outlasts_a_lifetime(office: Office) -> None:
    """Thrice a lifetime is often enough."""
    first, second = office.lease(), office.lease()
    assert await first.acquire()
    until = time.monotonic() + 2 * LIFETIME_MS / 1000
    while time.monotonic() < until:
        assert await first.renew()
        assert not await second.acquire()
        await anyio.sleep(LIFETIME_MS / 8000)


async def test_who_gives_it_up_lets_another_have_it(office: Office) -> None:
    """At once; and who does not have it gives up nothing."""
    first, second = office.lease(), office.lease()
    assert await first.acquire()
    await second.release()
    assert not await second.acquire()
    await first.release()
    assert not await first.renew()
    assert await second.acquire()


async def test_names_are_apart(office: Office) -> None:
    """The sampler's lease is not the back-filler's."""
    assert await office.lease("sampler").acquire()
    assert await office.lease("backfill").acquire()


def holder_of(office: Office) -> subprocess.Popen[str]:
    """Another process that takes the lease and renews it."""
    program = [sys.executable, "tests/lease_holder.py", office.text, str(office.folder)]
    return subprocess.Popen(
        [*program, str(LIFETIME_MS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )


async def test_it_passes_on_when_its_holder_is_killed(office: Office) -> None:
    """Within one lifetime, in another process, without anybody's help."""
    holder = holder_of(office)
    assert holder.stdout is not None
    assert "True\n" == holder.stdout.readline()
    lease = office.lease()
    until = time.monotonic() + 1.5 * LIFETIME_MS / 1000
    while time.monotonic() < until:
        assert not await lease.acquire()
        await anyio.sleep(0.02)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    killed = time.monotonic()
    while not await lease.acquire():
        assert time.monotonic() - killed < LIFETIME_MS / 1000 + 1
        await anyio.sleep(0.02)


async def test_a_key_that_expired_is_not_renewed(redis_server: RedisProcess) -> None:
    """Who slept too long learns that its time is over, and does not take it from the next."""
    slow, quick = (
        RedisLease(RedisServer(redis_server.url), "mmflow:test:lease:slow", 60) for _ in range(2)
    )
    assert await slow.acquire()
    await anyio.sleep(0.2)
    assert not await slow.renew()
    assert await quick.acquire()
    assert not await slow.acquire()
    await slow.release()
    await quick.release()


async def test_without_the_server_nobody_can_tell() -> None:
    """That is an error, neither yes nor no."""
    lease = RedisLease(RedisServer("redis://127.0.0.1:1"), "mmflow:test:lease:none", 1000)
    for call in (lease.acquire, lease.renew, lease.release):
        with pytest.raises(StoreAway, match="cannot be reached"):
            await call()


async def test_without_a_place_for_the_file_nobody_can_tell(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreUnwritable, match="cannot be made"):
        await FileLease(tmp_path / "data" / "h.sampler").acquire()


async def test_what_is_not_shared_is_always_ours() -> None:
    """A history in memory has one writer."""
    lease = OwnLease()
    await lease.release()
    assert [True, True] == [await lease.acquire(), await lease.renew()]
