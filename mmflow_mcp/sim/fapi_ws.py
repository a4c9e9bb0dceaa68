"""Forced orders over the sockets of Binance's futures and of Aster's.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams: the
address names the stream; of a symbol the largest order of each second is told, no other.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream, Row
from mmflow_mcp.sim.positions import Closure
from mmflow_mcp.sim.wire import fixed, shortest

STREAM = "!forceOrder@arr"


def largest(news: list[Closure]) -> list[Closure]:
    """The largest of each symbol and second."""
    found: dict[tuple[str, int], Closure] = {}
    for one in news:
        key = (one.listing.symbol, (one.at_ms - 1) // 1000)
        if key not in found or one.usd > found[key].usd:
            found[key] = one
    return list(found.values())


class BinanceOrders(ClosingStream):
    """USD-M and COIN-M together; `st` tells which."""

    venue = "binance"

    async def heed(self, asked: Any) -> None:
        """The list of subscriptions is all that a client asks here."""
        if not isinstance(asked, dict) or asked.get("method") != "LIST_SUBSCRIPTIONS":
            await self.socket.send({"error": {"code": 2, "msg": "Invalid request: unknown"}})
            return
        taken = [] if self.socket.refusing else [STREAM]
        await self.socket.send({"result": taken, "id": asked.get("id")})

    async def push(self, news: list[Closure], now: int) -> None:
        """An event each."""
        for one in [] if self.socket.refusing else largest(news):
            await self.socket.send({"e": "forceOrder", "E": now, "o": self.order(one)})

    def order(self, one: Closure) -> Row:
        """`S` is the side of the order, `p` its price and `ap` that of what was filled."""
        size, digits = shortest(one.size), one.listing.price_digits
        return {
            "s": one.listing.symbol,
            "S": "SELL" if one.long else "BUY",
            "o": "LIMIT",
            "f": "IOC",
            "q": size,
            "p": fixed(one.price * (0.994 if one.long else 1.006), digits),
            "ap": fixed(one.price, digits),
            "X": "FILLED",
            "l": shortest(one.listing.contract_size / 1000),
            "z": size,
            "T": one.at_ms,
        } | self.more(one)

    def more(self, one: Closure) -> Row:
        """What Aster does not tell."""
        coinm = one.listing.margin == "inverse"
        pair = one.listing.symbol.removesuffix("_PERP")
        return {"ps": pair, "st": 2 if coinm else 1}


class AsterOrders(BinanceOrders):
    """The grammar of before 2026."""

    venue = "aster"

    def more(self, one: Closure) -> Row:  # noqa: ARG002 - the grammar of the two differs here
        """Nothing."""
        return {}


class Silence(ClosingStream):
    """The older addresses of USD-M: they connect and never say anything."""

    venue = "binance"

    async def heed(self, asked: Any) -> None:
        """Nothing."""

    async def push(self, news: list[Closure], now: int) -> None:
        """Nothing."""
