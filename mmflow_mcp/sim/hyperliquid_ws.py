"""Hyperliquid's WebSocket: subscriptions, the replay after each, pushes once a second.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions: one
coin per message, no wildcard; the first data after a subscription repeats recent trades; who says
nothing for a minute is dropped.
"""

import json
from typing import Any

from mmflow_mcp.sim.hyperliquid_rows import context, find, list_mids, print_row
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.sim.wire import SimSocket

_CHANNELS = ("trades", "activeAssetCtx", "allMids")
REPLAYED = 30
REPLAYED_MS = 60_000
_PATIENCE_MS = 60_000


class Stream:
    """One connection: its subscriptions and how far their trades have been sent."""

    def __init__(self, market: Market, socket: SimSocket) -> None:
        self._market = market
        self._socket = socket
        self._sent: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Answer messages and push what is new, once a simulated second."""
        await self._socket.send("Websocket connection established.")
        heard = self._socket.now_ms()
        while self._socket.now_ms() - heard <= _PATIENCE_MS:
            text = await self._socket.receive(timeout=0.2)
            if text is not None:
                heard = self._socket.now_ms()
                await self._heed(text)
            now = self._socket.now_ms()
            for (kind, coin), since in list(self._sent.items()):
                if now > since:
                    self._sent[kind, coin] = now
                    await self._push(kind, coin, since, now)

    async def _heed(self, text: str) -> None:
        try:
            asked = json.loads(text)
            method, wanted = asked["method"], asked.get("subscription", {})
            kind, coin = wanted.get("type", ""), wanted.get("coin", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            await self._fail(f"Error parsing JSON into valid websocket request: {text}")
            return
        if method == "ping":
            await self._socket.send({"channel": "pong"})
        elif method not in ("subscribe", "unsubscribe") or kind not in _CHANNELS:
            await self._fail(f"Error parsing JSON into valid websocket request: {text}")
        elif self._socket.refusing:
            await self._fail(f"Cannot subscribe: {json.dumps(wanted, separators=(',', ':'))}")
        elif method == "unsubscribe":
            self._sent.pop((kind, coin), None)
            await self._acknowledge(method, wanted)
        elif (kind, coin) in self._sent:
            await self._fail(f"Already subscribed: {json.dumps(wanted, separators=(',', ':'))}")
        else:
            await self._open(kind, coin, wanted)

    async def _open(self, kind: str, coin: str, wanted: dict[str, Any]) -> None:
        """Acknowledge and replay; a coin that is not listed gets no answer at all."""
        now = self._socket.now_ms()
        if kind != "allMids" and find(self._market, coin, now) is None:
            return
        await self._acknowledge("subscribe", wanted)
        self._sent[kind, coin] = now
        await self._push(kind, coin, now - REPLAYED_MS, now, most=REPLAYED)

    async def _acknowledge(self, method: str, wanted: dict[str, Any]) -> None:
        data = {"method": method, "subscription": wanted}
        await self._socket.send({"channel": "subscriptionResponse", "data": data})

    async def _fail(self, words: str) -> None:
        await self._socket.send({"channel": "error", "data": words})

    async def _push(self, kind: str, coin: str, since: int, now: int, most: int = 0) -> None:
        """What is new after `since`; of trades the last `most`, 0 for all."""
        item = find(self._market, coin, now)
        if kind == "allMids":
            data: Any = {"mids": list_mids(self._market, "", now)}
        elif item is None:
            return
        elif kind == "trades":
            prints = list_prints(self._market, item, since, now)[-most:]
            data = [print_row(self._market, one) for one in prints]
        else:
            data = {"coin": coin, "ctx": context(self._market.perp(item, now))}
        if data:
            await self._socket.send({"channel": kind, "data": data})
