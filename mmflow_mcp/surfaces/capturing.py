"""`mmflow-mcp capture`: the wire traffic behind questions, for a bug report or a test."""

import shlex
import sys
from pathlib import Path

import anyio

from mmflow_mcp.app import App, clock_of, running
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.call import arguments_of, ask_app
from mmflow_mcp.upstream.capture import Capture, CaptureTransport

DEFAULT = (
    "get_funding coins=BTC,ETH venues=all",
    "get_oi coins=BTC,ETH venues=all",
    "get_option_chain underlying=BTC",
)


def run_capture(settings: Settings, file: str, questions: list[str]) -> int:
    """Ask the questions, write what went over the wire; 1 when nothing was answered."""
    sink = Capture(clock_of(settings))

    async def run() -> int:
        async with running(settings, lambda base: CaptureTransport(base, sink)) as app:
            return await _ask_all(app, questions or list(DEFAULT))

    failed = anyio.run(run)
    sink.save(Path(file))
    sys.stdout.write(f"{len(sink)} answers saved to {Path(file).name}\n")
    return 1 if failed or not len(sink) else 0


async def _ask_all(app: App, questions: list[str]) -> int:
    failed = 0
    for question in questions:
        tool, *words = shlex.split(question)
        try:
            await ask_app(app, tool, arguments_of(words))
        except AllVenuesFailed as error:
            # What failed on the wire is worth keeping too.
            failed += 1
            sys.stderr.write(f"{question}: {error}\n")
    return failed
