"""OKX's socket: liquidation-orders of all swaps.

https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel: the details are
those of the requests; the first frame repeats old ones; nobody is silent for 30 seconds.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream, Row
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.okx_positions import tell_detail
from mmflow_mcp.sim.positions import Closure, closures_of_venue
from mmflow_mcp.sim.wire import SimSocket

_ARG = {"channel": "liquidation-orders", "instType": "SWAP"}
_REPEATED_MS = 120_000


class Liquidations(ClosingStream):
    """One connection."""

    venue = "okx"
    patience_ms = 30_000

    def __init__(self, market: Market, socket: SimSocket) -> None:
        super().__init__(market, socket)
        self._taken = False

    async def heed(self, asked: Any) -> None:
        """Subscriptions, and the text `ping`."""
        if asked == "ping":
            await self.socket.send("pong")
        elif not isinstance(asked, dict) or asked.get("args") != [_ARG] or self.socket.refusing:
            said = {"event": "error", "code": "60018", "msg": "The channel does not exist."}
            await self.socket.send({**said, "connId": "a4d3ae55"})
        else:
            await self.socket.send({"event": "subscribe", "arg": _ARG, "connId": "a4d3ae55"})
            self._taken = True
            now = self.socket.now_ms()
            await self.push(closures_of_venue(self.market, "okx", now - _REPEATED_MS, now), now)

    async def push(self, news: list[Closure], now: int) -> None:  # noqa: ARG002 - no time is told
        """A frame for each swap, in no order."""
        groups: dict[str, list[Closure]] = {}
        for one in reversed(news if self._taken else []):
            groups.setdefault(one.listing.symbol, []).append(one)
        for symbol, same in groups.items():
            family = symbol.removesuffix("-SWAP")
            group: Row = {
                "details": [tell_detail(one) for one in same],
                "instFamily": family,
                "instId": symbol,
                "instType": "SWAP",
                "uly": family,
            }
            await self.socket.send({"arg": _ARG, "data": [group]})
