"""`mmflow-mcp call`: one question; a table or a plot for people, or the envelope as JSON."""

import io
import shutil
import sys
from typing import Any, TextIO

import anyio
from pydantic_core import to_json

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import SystemClock
from mmflow_mcp.endpoints.answer import Answer
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, MmflowError
from mmflow_mcp.settings import Settings, colour_wanted
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.plots import check_plotted, plot
from mmflow_mcp.surfaces.plots_pen import LEAST_WIDTH, LETTERS, Pen
from mmflow_mcp.surfaces.tables import for_people


def arguments_of(words: list[str]) -> dict[str, Any]:
    """name=value words as arguments; a name given twice makes a list."""
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadQuestion(
                "arguments", f"{word!r} is no name=value.", fits="coins=BTC,ETH venues=all"
            )
        given[name] = f"{given[name]},{value}" if name in given else value
    return given


def run_call(settings: Settings, tool: str, words: list[str], form: str) -> int:
    """Ask and print; 0 when answered, 1 when the venues failed, 2 when the question was wrong.

    `form`: table, plot or json.
    """
    as_json = form == "json"
    if form == "plot":
        check_plotted(tool)

    async def ask() -> int:
        async with running(settings) as app:
            try:
                app.core()
                asked, found = await ask_app(app, tool, arguments_of(words))
            except MmflowError as error:
                return _report(tool, error, as_json=as_json)
            if as_json:
                _print_json(questions.envelope(found))
            elif form == "plot":
                answer = questions.result(asked, found, "columns")
                sys.stdout.write(plot(tool, answer, pen_of(sys.stdout)) + "\n")
            else:
                sys.stdout.write(for_people(asked, found) + "\n")
            return 0

    return anyio.run(ask)


def pen_of(out: TextIO) -> Pen:
    """A pen as wide as the terminal; it draws in ASCII where `out` cannot show finer letters."""
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
    try:
        LETTERS.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        fine = False
    else:
        fine = True
    return Pen(width, fine, out.isatty() and colour_wanted())


def _print_json(value: Any) -> None:
    """One line of JSON, UTF-8 whatever the terminal's encoding is."""
    line = to_json(value) + b"\n"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.buffer.write(line)
    else:
        sys.stdout.write(line.decode())


async def ask_app(
    app: App, tool: str, arguments: dict[str, Any]
) -> tuple[questions.Asked, Answer[Any]]:
    """Understand and answer one question."""
    asked = questions.understand(tool, arguments)
    return asked, await questions.answer(app.core(), asked)


def _report(tool: str, error: MmflowError, *, as_json: bool) -> int:
    if as_json:
        _print_json(questions.failure(error, str(error), SystemClock().now_ms()))
    else:
        sys.stderr.write(f"mmflow-mcp: {questions.said(tool, error)}\n")
    return 1 if isinstance(error, AllVenuesFailed) else 2
