"""Deribit's socket: trades of instruments, some of which carry the flag of a liquidation.

https://docs.deribit.com/subscriptions/trades/tradesinstrument_nameinterval: `direction` is the
taker's, `liquidation` who was liquidated; names that are refused are not among those accepted.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream, Row
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import Closure
from mmflow_mcp.sim.wire import SimSocket


class Trades(ClosingStream):
    """One connection."""

    venue = "deribit"

    def __init__(self, market: Market, socket: SimSocket) -> None:
        super().__init__(market, socket)
        self._channels: set[str] = set()

    async def heed(self, asked: Any) -> None:
        """JSON-RPC."""
        method = asked.get("method") if isinstance(asked, dict) else None
        if method == "public/test":
            await self._answer(asked, result={"version": "1.2.26"})
        elif method == "public/subscribe" and not self.socket.refusing:
            listed = self.market.listings("deribit", self.socket.now_ms())
            names = {f"trades.{i.symbol}.100ms" for i in listed}
            taken = [name for name in asked["params"]["channels"] if name in names]
            self._channels |= set(taken)
            await self._answer(asked, result=taken)
        else:
            await self._answer(asked, error={"code": -32601, "message": "Method not found"})

    async def _answer(self, asked: Row, **told: Any) -> None:
        await self.socket.send({"jsonrpc": "2.0", "id": asked.get("id"), **told})

    async def push(self, news: list[Closure], now: int) -> None:  # noqa: ARG002 - trades have times
        """A frame for each instrument."""
        groups: dict[str, list[Closure]] = {}
        for one in news:
            groups.setdefault(f"trades.{one.listing.symbol}.100ms", []).append(one)
        for channel, same in groups.items():
            if channel in self._channels:
                plain = _row(same[0])
                del plain["liquidation"]
                told = {"channel": channel, "data": [plain, *map(_row, same)]}
                frame = {"jsonrpc": "2.0", "method": "subscription", "params": told}
                await self.socket.send(frame)


def _row(one: Closure) -> Row:
    """Every third time it was the maker who was liquidated: the taker bought what a long sold."""
    maker = one.at_ms % 3 == 0
    return {
        "trade_seq": one.at_ms // 1000,
        "trade_id": str(one.at_ms),
        "timestamp": one.at_ms,
        "tick_direction": 2,
        "price": one.price,
        "mark_price": one.price,
        "index_price": one.price,
        "instrument_name": one.listing.symbol,
        "direction": "sell" if one.long != maker else "buy",
        "contracts": one.size,
        "amount": round(one.size * one.listing.contract_size, 10),
        "liquidation": "M" if maker else "T",
    }
