"""What REST is compared against: a bare Starlette route that returns a file's bytes."""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = Path(sys.argv[2]).read_bytes()


async def constant(request: Request) -> Response:
    """The constant."""
    return Response(BODY, media_type="application/json")


uvicorn.run(
    Starlette(routes=[Route("/constant", constant)]),
    port=int(sys.argv[1]),
    log_level="warning",
    access_log=False,
)
