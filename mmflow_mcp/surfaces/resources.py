"""The resources: the catalogue, venue health, history, streams; and who completes arguments."""

from time import perf_counter
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from pydantic_core import to_json

from mmflow_mcp.app import App
from mmflow_mcp.errors import BadQuestion, MmflowError
from mmflow_mcp.surfaces.notices import FUNDING, TRADES, WHALES, StreamNotices
from mmflow_mcp.tally import outcome_of

JSON = "application/json"
# A history resource of minutes is told in so many points; REST tells each.
MOST_POINTS = 1_008


def add_resources(server: MCPServer, app: App, notices: StreamNotices) -> None:
    """Offer every resource and template. What they need loads when they are read."""
    _add_catalogue(server, app)
    _add_history(server, app)
    _add_streams(server, app, notices)
    _add_completion(server, app)


def _add_catalogue(server: MCPServer, app: App) -> None:
    @server.resource(
        "mmflow://venues",
        name="venues",
        title="Venue catalogue",
        description="Every venue with its kind, status and capabilities",
        mime_type=JSON,
    )
    async def venues() -> str:
        from mmflow_mcp.endpoints.answer import Shape, written  # noqa: PLC0415
        from mmflow_mcp.endpoints.markets import venue_row  # noqa: PLC0415
        from mmflow_mcp.venues import listed  # noqa: PLC0415

        rows = [written(venue_row(venue), Shape()) for venue in listed()]
        return to_json({"venues": rows}).decode()

    @server.resource(
        "mmflow://venues/{venue}",
        name="venue",
        title="One venue",
        description="What one venue can be asked, what its numbers mean, and how it last behaved",
        mime_type=JSON,
    )
    async def venue(venue: str) -> str:
        from mmflow_mcp.endpoints.params import venue_of  # noqa: PLC0415
        from mmflow_mcp.surfaces.status import venue_page  # noqa: PLC0415

        try:
            found = venue_of(venue, "venue")
        except BadQuestion as error:
            raise ResourceNotFoundError(str(error)) from None
        return to_json(venue_page(app.core(), found)).decode()

    @server.resource(
        "mmflow://status",
        name="status",
        title="Venue health",
        description="How every venue last answered, what is being recorded, which feeds run",
        mime_type=JSON,
    )
    async def status() -> str:
        from mmflow_mcp.surfaces.status import status_facts  # noqa: PLC0415

        return to_json(status_facts(app, recent=False)).decode()


def _add_history(server: MCPServer, app: App) -> None:
    @server.resource(
        "mmflow://history/oi/{coin}",
        name="oi-history",
        title="Open interest history",
        description="Open interest of a coin on every venue: coins, one-sided, all that is kept",
        mime_type=JSON,
    )
    async def oi(coin: str) -> str:
        return await _answered(app, "get_oi_history", {"coin": coin, "venues": "all"})

    @server.resource(
        "mmflow://history/funding/{coin}",
        name="funding-history",
        title="Funding history",
        description="Funding rates of a coin on every venue, all that is kept",
        mime_type=JSON,
    )
    async def funding(coin: str) -> str:
        return await _answered(app, "get_funding_history", {"coin": coin})

    @server.resource(
        "mmflow://history/flows/{coin}/{metric}",
        name="flow-history",
        title="Flow history",
        description=f"A flow metric of a coin in at most {MOST_POINTS:,} points",
        mime_type=JSON,
    )
    async def flows(coin: str, metric: str) -> str:
        question = {"coin": coin, "metric": metric}
        return await _answered(app, "get_flow_history", question, points=MOST_POINTS)


def _add_streams(server: MCPServer, app: App, notices: StreamNotices) -> None:
    @server.resource(
        WHALES,
        name="whale-stream",
        title="Whale prints",
        description="The newest large prints on Hyperliquid; subscribers are told of new ones",
        mime_type=JSON,
    )
    async def whales() -> str:
        notices.need(WHALES)
        return await _answered(app, "get_whales", {"limit": 50})

    @server.resource(
        TRADES + "{coin}",
        name="trade-stream",
        title="Prints of a coin",
        description="The newest prints of a coin on Hyperliquid; subscribers are told of new ones",
        mime_type=JSON,
    )
    async def trades(coin: str) -> str:
        text = await _answered(app, "get_whales", {"coin": coin, "minUsd": 0, "limit": 50})
        notices.need(TRADES + coin)
        return text

    @server.resource(
        FUNDING,
        name="funding-stream",
        title="Funding rates",
        description="Funding on Hyperliquid now; subscribers are told when a rate moves by 0.5 bps",
        mime_type=JSON,
    )
    async def funding() -> str:
        notices.need(FUNDING)
        return await _answered(app, "get_funding", {"venues": "hyperliquid"})


async def _answered(app: App, tool: str, question: dict[str, Any], points: int = 0) -> str:
    """The envelope of a question as text; what is no question is no resource."""
    from mmflow_mcp.endpoints.answer import Shape, written  # noqa: PLC0415
    from mmflow_mcp.surfaces import questions  # noqa: PLC0415

    began, outcome = perf_counter(), outcome_of(500)
    try:
        asked = questions.understand(tool, question)
        found = await questions.answer(app.core(), asked)
        outcome = outcome_of(200, partial=found.meta["partial"])
    except MmflowError as error:
        outcome = outcome_of(error.status)
        raise ResourceNotFoundError(str(error)) from None
    finally:
        app.asked.add(("mcp", tool), outcome, perf_counter() - began)
    data, meta = found.data, found.meta
    if points and asked.endpoint.condense is not None:
        data, said = asked.endpoint.condense(data, points, "objects", asked.query)
        meta = {**meta, "condensed": said} if said else meta
    return to_json({"data": written(data, Shape()), "meta": meta}).decode()


def _add_completion(server: MCPServer, app: App) -> None:
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(ref: Any, argument: Any, context: Any) -> Any:  # noqa: ARG001
        from mmflow_mcp.surfaces.completions import completed  # noqa: PLC0415 - loads when asked

        return await completed(app, ref, argument.name, argument.value)
