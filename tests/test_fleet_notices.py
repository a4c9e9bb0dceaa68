"""Notices between replicas: what happens when they cannot be told or heard."""

import logging
from typing import Any

import anyio
import pytest
from cachefleets import until

from mmflow_mcp.errors import StoreAway
from mmflow_mcp.fleet import notices
from mmflow_mcp.fleet.notices import FleetNotices

pytestmark = pytest.mark.anyio


class Broken:
    """A server that fails at every attempt; `tries` counts them."""

    name = "redis://somewhere:6379/0"

    def __init__(self, error: Exception) -> None:
        self.tries = 0
        self._error = error

    def reached(self) -> Any:
        """Fail."""
        self.tries += 1
        raise self._error


@pytest.mark.parametrize("error", [StoreAway("it is gone"), ValueError("no number")], ids=repr)
async def test_what_fails_again_and_again_is_said_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And it ends nobody else's task, whatever it is."""
    monkeypatch.setattr(notices, "RETRY_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "mmflow_mcp")
    server = Broken(error)
    told = FleetNotices(server, "sim", "me", print)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(told.run)
        await until(lambda: server.tries > 5)
        tasks.cancel_scope.cancel()
    assert 1 == len(caplog.records)
