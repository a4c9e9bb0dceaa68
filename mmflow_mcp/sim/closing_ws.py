"""What the sockets that tell liquidations have in common: a loop that heeds and pushes."""

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import Closure, closures_of_venue
from mmflow_mcp.sim.wire import SimSocket, Sockets

Row = dict[str, Any]


class ClosingStream(ABC):
    """One connection. A venue says what a message means and what a push looks like.

    `patience_ms`: who says nothing for so long is dropped; None: the venue waits for ever.
    `greeting`: what the venue says first, if anything.
    """

    venue = ""
    patience_ms: int | None = None
    greeting: Row | None = None

    def __init__(self, market: Market, socket: SimSocket) -> None:
        self.market = market
        self.socket = socket
        self._told_ms = socket.now_ms()

    async def run(self) -> None:
        """Answer messages and push what is new, once a simulated second."""
        if self.greeting is not None:
            await self.socket.send(self.greeting)
        heard = self.socket.now_ms()
        while self.patience_ms is None or self.socket.now_ms() - heard <= self.patience_ms:
            text = await self.socket.receive(timeout=0.2)
            if text is not None:
                heard = self.socket.now_ms()
                await self._read(text)
            now, since = self.socket.now_ms(), self._told_ms
            if now > since:
                self._told_ms = now
                await self.push(closures_of_venue(self.market, self.venue, since, now), now)

    async def _read(self, text: str) -> None:
        try:
            asked = json.loads(text)
        except ValueError:
            asked = text
        await self.heed(asked)

    @abstractmethod
    async def heed(self, asked: Any) -> None:
        """One message: a JSON document, or the text that is none."""

    @abstractmethod
    async def push(self, news: list[Closure], now: int) -> None:
        """What has been closed since the last push."""


def served(
    market: Market, paths: Mapping[tuple[str, str], Callable[[Market, SimSocket], ClosingStream]]
) -> Sockets:
    """The handlers of some sockets."""

    def handler(
        make: Callable[[Market, SimSocket], ClosingStream],
    ) -> Callable[[SimSocket], Awaitable[None]]:
        async def serve(socket: SimSocket) -> None:
            await make(market, socket).run()

        return serve

    return {place: handler(make) for place, make in paths.items()}
