"""What every test may lean on."""

from collections.abc import Iterator

import pytest
from servers import NO_SERVER, RedisProcess, redis_process


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
