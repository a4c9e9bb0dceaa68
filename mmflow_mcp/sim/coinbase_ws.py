"""Coinbase Exchange's WebSocket: matches, their heartbeat, and the five seconds of patience.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels: a subscription is due within 5 s;
the last match comes first; the side is the maker's; a heartbeat a second tells the last trade.
"""

import json
from typing import Any

from mmflow_mcp.sim.coinbase_rows import iso, match_row
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.trades import Print, list_prints
from mmflow_mcp.sim.wire import SimSocket

_CHANNELS = ("matches", "heartbeat", "ticker", "level2")
_PATIENCE_MS = 5_000
_BACK_MS = 600_000


class Stream:
    """One connection: products by channel, and how far their matches have been sent."""

    def __init__(self, market: Market, socket: SimSocket) -> None:
        self._market = market
        self._socket = socket
        self._taken: dict[str, list[str]] = {}
        self._sent: dict[str, int] = {}
        self._last: dict[str, int] = {}

    async def run(self) -> None:
        """Answer messages and push what is new, once a simulated second."""
        opened = self._socket.now_ms()
        while self._taken or self._socket.now_ms() - opened <= _PATIENCE_MS:
            text = await self._socket.receive(timeout=0.2)
            if text is not None:
                await self._heed(text)
            now = self._socket.now_ms()
            for product, since in list(self._sent.items()):
                if now > since:
                    self._sent[product] = now
                    await self._push(product, since, now)

    async def _heed(self, text: str) -> None:
        try:
            asked = json.loads(text)
            method, products, channels = asked["type"], asked["product_ids"], asked["channels"]
            names = [one["name"] if isinstance(one, dict) else one for one in channels]
        except (ValueError, KeyError, TypeError):
            await self._fail("Malformed JSON")
            return
        listed = {item.symbol for item in self._listed()}
        unknown = next((name for name in products if name not in listed), None)
        if method not in ("subscribe", "unsubscribe") or not set(names) <= set(_CHANNELS):
            await self._fail("Failed to subscribe", "channel is not valid")
        elif unknown is not None or self._socket.refusing:
            await self._fail("Failed to subscribe", f"{unknown or products[0]} is not valid")
        else:
            await self._change(method, products, names)

    def _listed(self) -> list[Listing]:
        listed = self._market.listings("coinbase", self._socket.now_ms())
        return [item for item in listed if item.status == "live"]

    async def _change(self, method: str, products: list[str], names: list[str]) -> None:
        for name in names:
            known = self._taken.get(name, [])
            kept = [one for one in known if one not in products]
            self._taken[name] = kept + (list(products) if method == "subscribe" else [])
        taken = [{"name": k, "product_ids": v} for k, v in self._taken.items() if v]
        await self._socket.send({"type": "subscriptions", "channels": taken})
        now = self._socket.now_ms()
        for product in products:
            if method == "unsubscribe":
                self._sent.pop(product, None)
            elif product not in self._sent:
                self._sent[product] = now
                await self._repeat_last(product, now)

    async def _repeat_last(self, product: str, now: int) -> None:
        for one in self._prints(product, now - _BACK_MS, now)[-1:]:
            self._last[product] = one.number
            if product in self._taken.get("matches", ()):
                await self._socket.send(match_row(self._market, one, kind="last_match"))

    async def _push(self, product: str, since: int, now: int) -> None:
        for one in self._prints(product, since, now):
            self._last[product] = one.number
            if product in self._taken.get("matches", ()):
                await self._socket.send(match_row(self._market, one))
        if product in self._taken.get("heartbeat", ()) and product in self._last:
            last = self._last[product]
            told = {"sequence": last * 7, "last_trade_id": last, "product_id": product}
            await self._socket.send({"type": "heartbeat", **told, "time": iso(now)})

    def _prints(self, product: str, since: int, now: int) -> list[Print]:
        item = next((one for one in self._listed() if one.symbol == product), None)
        return [] if item is None else list_prints(self._market, item, since, now)

    async def _fail(self, words: str, reason: str = "") -> None:
        told: dict[str, Any] = {"type": "error", "message": words}
        await self._socket.send(told | ({"reason": reason} if reason else {}))
