"""Bybit's sockets: `allLiquidation.{symbol}`, linear and inverse apart.

https://bybit-exchange.github.io/docs/v5/websocket/public/all-liquidation: `S` is the side of the
position; one topic that does not exist, or that stands already, refuses the whole message.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import Closure
from mmflow_mcp.sim.wire import SimSocket, fixed, shortest

TOPIC = "allLiquidation."


class Liquidations(ClosingStream):
    """One connection of one category; `topics`: what is subscribed."""

    venue = "bybit"
    patience_ms = 600_000

    def __init__(self, market: Market, socket: SimSocket, category: str) -> None:
        super().__init__(market, socket)
        self._category = category
        self.topics: set[str] = set()

    async def heed(self, asked: Any) -> None:
        """Subscriptions and pings."""
        op = asked.get("op") if isinstance(asked, dict) else None
        told = {"conn_id": "a1", "req_id": asked.get("req_id", "") if op else "", "op": op}
        if op == "ping":
            await self.socket.send({"success": True, "ret_msg": "pong", **told})
            return
        listed = self.market.listings("bybit", self.socket.now_ms())
        names = {f"{TOPIC}{i.symbol}" for i in listed if i.margin == self._category}
        wrong = next((topic for topic in asked["args"] if topic not in names), None)
        again = next((topic for topic in asked["args"] if topic in self.topics), None)
        if again is not None and op == "subscribe":
            said = f"error:already subscribed,topic:{again}"
            await self.socket.send({"success": False, "ret_msg": said, **told})
            return
        if op != "subscribe" or wrong is not None or self.socket.refusing:
            said = f"error:handler not found,topic:{wrong or asked['args'][0]}"
            await self.socket.send({"success": False, "ret_msg": said, **told})
            return
        self.topics |= set(asked["args"])
        await self.socket.send({"success": True, "ret_msg": "", **told})

    async def push(self, news: list[Closure], now: int) -> None:
        """A frame for each contract."""
        by_topic: dict[str, list[Closure]] = {}
        for one in news:
            by_topic.setdefault(f"{TOPIC}{one.listing.symbol}", []).append(one)
        for topic, same in by_topic.items():
            if topic in self.topics:
                rows = [
                    {
                        "T": one.at_ms,
                        "s": one.listing.symbol,
                        "S": "Buy" if one.long else "Sell",
                        "v": shortest(one.size),
                        "p": fixed(one.price, one.listing.price_digits),
                    }
                    for one in same
                ]
                await self.socket.send(
                    {"topic": topic, "type": "snapshot", "ts": now, "data": rows}
                )
