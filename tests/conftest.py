"""What every test may lean on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The SDK and the server run on asyncio."""
    return "asyncio"
