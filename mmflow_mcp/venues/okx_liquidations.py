"""Liquidations over OKX's socket: one subscription for all swaps.

https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel

The rows are those of the requests and carry the same keys. They are not in order, the first frame
may repeat old ones, and the venue says itself that it does not tell all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import (
    ALIVE,
    EVERY,
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
from mmflow_mcp.venues.liquidation_feeds import CHANNEL, IDLE, MANY, by_name
from mmflow_mcp.venues.okx_positions import closed_side
from mmflow_mcp.venues.shares import stamp

URL = "wss://ws.okx.com:8443/ws/v5/public"
ORDERS = "liquidation-orders"
BOUND = "the venue publishes a part of its liquidations"


def closing_rule(contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]) -> ClosingRule:
    """The one socket; it is closed after 30 s in which nothing is said."""
    feed = FeedRule(
        venue="okx",
        channel=CHANNEL,
        url=URL,
        choose=by_name,
        subscribe=subscribe,
        read=read,
        ping="ping",
        ping_seconds=20,
        silence_seconds=60,
        # 480 subscriptions an hour are allowed.
        pace=1,
        limit=MANY,
        idle_seconds=IDLE,
    )
    return ClosingRule((feed,), contracts, bound=BOUND)


def subscribe(_: Sequence[str]) -> list[str]:
    """All swaps at once."""
    wanted = {"channel": ORDERS, "instType": "SWAP"}
    return [to_json({"op": "subscribe", "args": [wanted]}).decode()]


def read(text: str | bytes) -> Heard:
    """One frame."""
    if text in ("pong", b"pong"):
        return ALIVE
    try:
        doc = from_json(text, cache_strings="keys")
        event = doc.get("event")
        if event == "error":
            return Said("refused", words=f"{doc.get('code')} {doc.get('msg')}"[:200])
        if event is not None and event != "subscribe":
            return ALIVE
        if doc["arg"]["channel"] != ORDERS:
            return NOISE
        return _read_groups(doc["data"]) if event is None else Said("taken", EVERY)
    except UNFIT:
        return NOISE


def _read_groups(groups: list[dict[str, Any]]) -> Closings:
    """sz contracts at bkPx."""
    rows = Closings()
    for group in groups:
        try:
            symbol, details = group["instId"], list(group["details"])
        except UNFIT:
            rows.bad += 1
            continue
        for row in details:
            try:
                ts, price, size = stamp(row["ts"]), positive(row["bkPx"]), positive(row["sz"])
                rows.append(Closing(str(symbol), ts, closed_side(row), price, size))
            except UNFIT:
                rows.bad += 1
    return rows
