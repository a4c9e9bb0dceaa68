"""Gate's sockets: public_liquidates of all contracts of a settlement currency.

https://www.gate.com/docs/developers/futures/ws/en/#liquidates-api: sizes are signed like the
position, prices are those of the orders, times milliseconds since 2026-08-20.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream
from mmflow_mcp.sim.gateio_positions import tell_order_price
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import Closure
from mmflow_mcp.sim.wire import SimSocket, shortest

SETTLES = {"usdt": "USDT", "btc": "USD", "usd1": "USD1"}
_CHANNEL = "futures.public_liquidates"


class Liquidations(ClosingStream):
    """One connection of one settlement currency."""

    venue = "gateio"

    def __init__(self, market: Market, socket: SimSocket, settle: str) -> None:
        super().__init__(market, socket)
        self._quote = SETTLES[settle]
        self._taken = False

    async def heed(self, asked: Any) -> None:
        """Subscriptions and pings carry the time in seconds."""
        now = self.socket.now_ms()
        stamped = {"time": now // 1000, "time_ms": now}
        if not isinstance(asked, dict) or not isinstance(asked.get("time"), int):
            error = {"code": 1, "message": "invalid request"}
            await self.socket.send({**stamped, "channel": "", "event": "", "error": error})
        elif asked["channel"] == "futures.ping":
            pong = {"channel": "futures.pong", "event": "", "result": None}
            await self.socket.send({**stamped, **pong})
        elif asked["channel"] != _CHANNEL or self.socket.refusing:
            error = {"code": 2, "message": f"unknown channel {asked['channel']}"}
            told = {"channel": asked["channel"], "event": "subscribe", "error": error}
            await self.socket.send({**stamped, **told, "result": None})
        else:
            self._taken = asked["payload"] == ["!all"]
            told = {"channel": _CHANNEL, "event": "subscribe", "error": None}
            await self.socket.send({**stamped, **told, "result": {"status": "success"}})

    async def push(self, news: list[Closure], now: int) -> None:
        """A frame for each contract."""
        groups: dict[str, list[Closure]] = {}
        for one in news if self._taken else []:
            if one.listing.quote == self._quote:
                groups.setdefault(one.listing.symbol, []).append(one)
        for symbol, same in groups.items():
            rows = [
                {
                    "price": tell_order_price(one),
                    "size": shortest(one.size if one.long else -one.size),
                    "time": one.at_ms,
                    "contract": symbol,
                }
                for one in same
            ]
            told = {"channel": _CHANNEL, "event": "update", "time": now // 1000, "time_ms": now}
            await self.socket.send({**told, "result": rows})
