"""What every test may lean on."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from servers import NO_SERVER, RedisProcess, redis_process

if TYPE_CHECKING:
    from rests import Asker


@pytest.fixture
def anyio_backend() -> str:
    """The SDK and the server run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """A real Valkey or Redis server of the whole run; skips where none can be started."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


@pytest.fixture(scope="session")
def rest_world() -> Iterator["Asker"]:
    """One simulated world behind REST that several files ask; what is asked twice is warm."""
    from rests import asking

    with asking(tool_rows="objects") as asker:
        yield asker


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """One browser of the whole run, for tabs that share nothing but its process."""
    from browsers import browsing

    with browsing() as address:
        yield address


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait, for silent venues and for processes."""
    return (os.cpu_count() or 1) + 1
