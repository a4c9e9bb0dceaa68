"""Liquidations over Lighter's socket: beside the trades of each market, told by its number.

https://apidocs.lighter.xyz/docs/websocket-reference

The account that is liquidated is always the taker: where the maker did not ask, it sold, and a
long was closed. The answer to a subscription repeats recent ones.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import (
    ALIVE,
    NOISE,
    UNFIT,
    Closing,
    ClosingRule,
    Closings,
    FeedRule,
    Heard,
    Said,
)
from mmflow_mcp.venues.fields import positive
from mmflow_mcp.venues.liquidation_feeds import CHANNEL, IDLE, by_name
from mmflow_mcp.venues.liquidation_tapes import LONG, SHORT

URL = "wss://mainnet.zklighter.elliot.ai/stream"
_KINDS = ("subscribed/trade", "update/trade")
_SIDES = {False: LONG, True: SHORT}
_ALREADY = "Already Subscribed to : trade:"


def closing_rule(contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]) -> ClosingRule:
    """The one socket: 500 subscriptions, 200 messages a minute; silent clients go after 120 s."""
    feed = FeedRule(
        venue="lighter",
        channel=CHANNEL,
        url=URL,
        choose=by_name,
        subscribe=subscribe,
        read=read,
        ping='{"type":"ping"}',
        ping_seconds=30,
        silence_seconds=75,
        pace=2.5,
        limit=480,
        idle_seconds=IDLE,
    )
    return ClosingRule((feed,), contracts, repeats=True)


def subscribe(symbols: Sequence[str]) -> list[str]:
    """One message a market."""
    return [to_json({"type": "subscribe", "channel": f"trade/{s}"}).decode() for s in symbols]


def read(text: str | bytes) -> Heard:
    """One frame."""
    try:
        doc = from_json(text, cache_strings="keys")
        kind = doc.get("type")
        if kind in _KINDS:
            return _read_frame(doc, kind)
        if kind == "ping":
            return Said("alive", reply='{"type":"pong"}')
        if kind in ("connected", "pong"):
            return ALIVE
        if kind == "error" or "error" in doc:
            return _refused(doc.get("error") or doc)
    except UNFIT:
        pass
    return NOISE


def _refused(error: dict[str, Any]) -> Said:
    """Why a subscription was not taken; one that stands already is none."""
    words = str(error["message"])
    if words.startswith(_ALREADY):
        return Said("taken", (words.removeprefix(_ALREADY),))
    return Said("refused", words=f"{error.get('code', '')} {words}".strip()[:200])


def _read_frame(doc: dict[str, Any], kind: str) -> Closings:
    """`size` units of the symbol; deleverages and settlements of a market are none of it."""
    rows = Closings()
    market = doc["channel"].removeprefix("trade:")
    if kind == _KINDS[0]:
        rows.taken = market
    for row in doc.get("liquidation_trades") or ():
        try:
            if row["type"] != "liquidation":
                continue
            side, ts = _SIDES[row["is_maker_ask"]], int(row["timestamp"])
            price, size = positive(row["price"]), positive(row["size"])
            rows.append(Closing(str(row.get("market_id", market)), ts, side, price, size))
        except UNFIT:
            rows.bad += 1
    return rows
