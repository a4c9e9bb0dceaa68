"""Python: the same questions from a script or a notebook, without a server.

`Markets` is for plain scripts, `AsyncMarkets` for code that awaits. Both answer what REST answers:
the envelope `{"data", "meta"}` with every row as a dictionary, units and signs as declared.
"""

from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from mmflow_mcp.app import App, running
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces import questions

Envelope = dict[str, Any]


class AsyncMarkets:
    """All venues, for code that awaits: `async with AsyncMarkets() as markets: ...`.

    Options are the fields of `Settings` (`source="sim"`, `deadline=3.0`, ...) and win over the
    environment. Raises `BadQuestion` for a value that means nothing.
    """

    def __init__(self, **options: Any) -> None:
        self._settings = from_environment(**options)
        self._stack = AsyncExitStack()
        self._app: App | None = None

    async def __aenter__(self) -> Self:
        """Start: nothing is asked of any venue yet."""
        self._app = await self._stack.enter_async_context(running(self._settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End: connections are closed."""
        self._app = None
        # The block's own exception is not shown to the task group, which would wrap it.
        await self._stack.aclose()

    async def ask(self, tool: str, **arguments: Any) -> Envelope:
        """One question by its tool's name, for instance `ask("get_funding", coins=["BTC"])`.

        Dotted parameters go in a dictionary: `ask("get_points", **{"group.by": ...})`. Raises
        `BadQuestion` (what would fit is in its text), `AllVenuesFailed` when every source failed.
        A venue that failed beside others that answered is in `meta["sources"]`.
        """
        if self._app is None:
            raise BadQuestion("markets", "is not open.", fits="async with AsyncMarkets() as ...")
        asked = questions.understand(tool, arguments)
        return questions.envelope(await questions.answer(self._app.core(), asked))


class Markets:
    """All venues, for plain scripts and notebooks: `with Markets() as markets: ...`.

    The questions run in a thread of their own, so it also works where a loop runs already.
    Options as for `AsyncMarkets`.
    """

    def __init__(self, **options: Any) -> None:
        self._markets = AsyncMarkets(**options)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        """Start: nothing is asked of any venue yet."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._markets))
            self._portal = portal
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End: connections are closed and the thread is over."""
        self._portal = None
        self._stack.close()

    def ask(self, tool: str, **arguments: Any) -> Envelope:
        """One question by its tool's name; see `AsyncMarkets.ask`."""
        if self._portal is None:
            raise BadQuestion("markets", "is not open.", fits="with Markets() as markets: ...")
        return self._portal.call(partial(self._markets.ask, tool, **arguments))
