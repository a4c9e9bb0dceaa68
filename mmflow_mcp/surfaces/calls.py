"""Calls of tools over MCP: answered, remembered while fresh, counted, logged and traced."""

import logging
from time import perf_counter
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent
from pydantic_core import to_json

from mmflow_mcp.app import App
from mmflow_mcp.surfaces.remembered import Remembered
from mmflow_mcp.tally import Outcome, outcome_of

log = logging.getLogger("mmflow_mcp")

Ended = tuple[CallToolResult, Outcome]
Arguments = dict[str, Any]


class Calls:
    """Answers the calls of one server, with rows in the form that the settings name."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._form = app.settings.tool_rows
        self._known = Remembered(app.clock)
        if app.link is not None:
            # What is kept says whether there is a fleet.
            app.link.on_turn(self._known.clear)

    async def answer(self, name: str, args: Arguments, ctx: Context[Any, Any]) -> CallToolResult:
        """Answer one call; every failure is an error result whose text tells what to do.

        While venues are awaited their number is sent as progress, where the client asked for it.
        """
        if self._app.tracer is None:
            return (await self._counted(name, args, ctx))[0]
        from mmflow_mcp.surfaces.tracing import counting, tell  # noqa: PLC0415 - where it is wanted

        with counting() as asked:
            result, outcome = await self._counted(name, args, ctx)
        tell(name, outcome, asked)
        return result

    async def _counted(self, name: str, args: Arguments, ctx: Context[Any, Any]) -> Ended:
        asked, began, outcome = self._app.asked, perf_counter(), outcome_of(500)
        asked.running["mcp"] += 1
        try:
            result, outcome = await self._ended(name, args, ctx)
        finally:
            asked.running["mcp"] -= 1
            spent = perf_counter() - began
            asked.add(("mcp", name), outcome, spent)
            said = {"endpoint": name, "outcome": outcome, "ms": round(spent * 1000, 1)}
            log.info("%(endpoint)s %(outcome)s %(ms).1f ms", said, extra=said)
        return result, outcome

    async def _ended(self, name: str, args: Arguments, ctx: Context[Any, Any]) -> Ended:
        self._app.used()
        question = (name, to_json(args))
        remembered: Ended | None = self._known.get(question)
        if remembered is not None:
            return remembered
        from mmflow_mcp.core.fanout import PROGRESS, Progress  # noqa: PLC0415 - loads venues
        from mmflow_mcp.surfaces import questions  # noqa: PLC0415 - loads endpoints and models

        PROGRESS.set(Progress(ctx.report_progress))
        try:
            asked = questions.understand(name, args)
            found = await questions.answer(self._app.core(), asked)
            structured = questions.result(asked, found, self._form)
        except Exception as error:  # noqa: BLE001 - the last line before the client; `said` logs it
            text = questions.said(name, error)
            said = CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
            return said, outcome_of(getattr(error, "status", 500))
        text = to_json(structured).decode()
        result = CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=structured
        )
        ended = result, outcome_of(200, partial=found.meta["partial"])
        self._known.keep(question, ended, found.until)
        return ended
