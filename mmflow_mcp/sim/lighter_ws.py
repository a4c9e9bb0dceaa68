"""Lighter's socket: trades of a market with its liquidations beside them.

https://apidocs.lighter.xyz/docs/websocket-reference: the answer to a subscription repeats recent
ones; who says nothing for two minutes is dropped; the server asks for signs of life as well.
"""

from typing import Any

from mmflow_mcp.sim.closing_ws import ClosingStream, Row
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.positions import Closure, closures
from mmflow_mcp.sim.wire import SimSocket, fixed, shortest

_REPEATED_MS = 600_000
_ASKS_MS = 60_000


class Trades(ClosingStream):
    """One connection; `listed`: markets by their numbers."""

    venue = "lighter"
    patience_ms = 120_000
    greeting: Row | None = {"type": "connected", "session_id": "s1"}  # noqa: RUF012 - a constant

    def __init__(self, market: Market, socket: SimSocket, listed: dict[int, Listing]) -> None:
        super().__init__(market, socket)
        self._listed = {str(number): listing for number, listing in listed.items()}
        self._numbers = {listing.symbol: number for number, listing in self._listed.items()}
        self._taken: set[str] = set()
        self._nonce = 10_000

    async def heed(self, asked: Any) -> None:
        """Subscriptions, pings and pongs."""
        kind = asked.get("type") if isinstance(asked, dict) else None
        if kind == "ping":
            await self.socket.send({"type": "pong"})
        if kind in ("ping", "pong"):
            return
        number = str(asked["channel"]).removeprefix("trade/") if kind == "subscribe" else ""
        if number in self._taken:
            await self._fail(30003, f"Already Subscribed to : trade:{number}")
        elif number not in self._listed or self.socket.refusing:
            await self._fail(30005, f"Invalid Channel: {asked}")
        else:
            self._taken.add(number)
            now = self.socket.now_ms()
            news = closures(self.market, self._listed[number], now - _REPEATED_MS, now)
            await self._tell("subscribed/trade", number, news)

    async def _fail(self, code: int, words: str) -> None:
        await self.socket.send({"error": {"code": code, "message": words}})

    async def push(self, news: list[Closure], now: int) -> None:
        """A frame for each market, and now and then a question whether anybody is there."""
        if now % _ASKS_MS == 0:
            await self.socket.send({"type": "ping"})
        groups: dict[str, list[Closure]] = {}
        for one in news:
            groups.setdefault(self._numbers[one.listing.symbol], []).append(one)
        for number, same in groups.items():
            if number in self._taken:
                await self._tell("update/trade", number, same)

    async def _tell(self, kind: str, number: str, news: list[Closure]) -> None:
        self._nonce += 1
        frame: Row = {"type": kind, "channel": f"trade:{number}", "nonce": self._nonce}
        rows = [_row(one, int(number)) for one in news]
        other = {"type": "deleverage", "is_maker_ask": True, "size": "1", "price": "1"}
        frame["trades"] = []
        if rows:
            frame["liquidation_trades"] = [*rows, {**rows[0], **other}]
        await self.socket.send(frame)


def _row(one: Closure, number: int) -> Row:
    """The one who is liquidated is the taker."""
    return {
        "trade_id": one.at_ms * 8 + number % 8,
        "type": "liquidation",
        "market_id": number,
        "size": shortest(one.size),
        "price": fixed(one.price, one.listing.price_digits),
        "usd_amount": fixed(one.usd, 6),
        "is_maker_ask": not one.long,
        "timestamp": one.at_ms,
        "taker_fee": 10000,
    }
