"""Our bus told to MCP subscribers of both eras."""

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from mcp.server import MCPServer
from mcp.shared.subscriptions import ResourceUpdated, ServerEvent
from mcp.types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from mmflow_mcp.bus import Bus


class BusBridge:
    """Our bus in the shape the SDK asks for (2026 listen streams)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._other: list[Callable[[ServerEvent], None]] = []

    @property
    def listening(self) -> bool:
        """Whether a listen stream is open."""
        return bool(self._other)

    async def publish(self, event: ServerEvent) -> None:
        """Publish through our bus what names a resource; pass on anything else."""
        if isinstance(event, ResourceUpdated):
            self._bus.publish(event.uri)
            return
        for told in tuple(self._other):
            told(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Tell a listener of every changed resource until the returned function is called."""
        stop = self._bus.listen(lambda uri: listener(ResourceUpdated(uri=uri)))
        self._other.append(listener)

        def unsubscribe() -> None:
            stop()
            self._other.remove(listener)

        return unsubscribe


def serve_subscriptions(
    server: MCPServer, bus: Bus, soon: Callable[..., None], wanted: Callable[[str], None]
) -> Callable[[], bool]:
    """`resources/subscribe` of the 2025 era, which MCPServer leaves out.

    `wanted` is told of every URI that is subscribed to; the result tells whether any is.

    Connections are held weakly: one that has ended is forgotten with its subscriptions.
    """
    subscribers: dict[str, WeakSet[Any]] = {}

    async def tell(uri: str) -> None:
        for connection in tuple(subscribers.get(uri, ())):
            await connection.send_resource_updated(uri)

    async def subscribe(ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
        subscribers.setdefault(str(params.uri), WeakSet()).add(_connection(ctx))
        wanted(str(params.uri))
        return EmptyResult()

    async def unsubscribe(ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        subscribers.get(str(params.uri), WeakSet()).discard(_connection(ctx))
        return EmptyResult()

    def changed(uri: str) -> None:
        if subscribers.get(uri):
            soon(tell, uri)

    low = server._lowlevel_server  # noqa: SLF001 - no public way yet; the SDK is pinned below 3
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    bus.listen(changed)
    return lambda: any(subscribers.values())


def _connection(ctx: Any) -> Any:
    """What outlives the request: the session of a request is made anew for each."""
    return ctx.session._connection  # noqa: SLF001 - the SDK has no public name for it
