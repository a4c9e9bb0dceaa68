"""MCP over stdio: what a desktop client starts. stdout carries the protocol and nothing else."""

import anyio

from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.mcp import build_server


def serve_stdio(settings: Settings) -> int:
    """Serve until the client closes our input."""

    async def serve() -> None:
        async with running(settings) as app:
            app.record_when_used = "light"
            await build_server(app).run_stdio_async()

    anyio.run(serve)
    return 0
