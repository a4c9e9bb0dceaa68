"""Liquidations over Bybit's sockets: every one, told twice a second, a topic for each contract.

https://bybit-exchange.github.io/docs/v5/websocket/public/all-liquidation

`S` is the side of the position, not of the order: Buy says that a long was closed. One topic that
does not exist, or that stands already, refuses its whole message. The older topic `liquidation`
means the other side.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

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
from mmflow_mcp.venues.liquidation_feeds import CHANNEL, IDLE
from mmflow_mcp.venues.liquidation_tapes import LONG, SHORT

HOST = "stream.bybit.com"
TOPIC = "allLiquidation."
_ALREADY = f"already subscribed,topic:{TOPIC}"
_SIDES = {"Buy": LONG, "Sell": SHORT}


def closing_rule(contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]) -> ClosingRule:
    """A socket for linear contracts and one for inverse ones."""
    return ClosingRule((_feed("linear"), _feed("inverse")), contracts)


def _feed(category: str) -> FeedRule:
    def choose(listed: Sequence[tuple[str, Contract]]) -> dict[str, str]:
        return {name: name for name, contract in listed if contract.margin == category}

    return FeedRule(
        venue="bybit",
        channel=f"{CHANNEL}/{category}",
        url=f"wss://{HOST}/v5/public/{category}",
        choose=choose,
        subscribe=subscribe,
        read=read,
        ping='{"op":"ping"}',
        ping_seconds=20,
        silence_seconds=60,
        pace=5,
        # 21,000 characters of topics, and 833 of them, are known to be taken.
        limit=833,
        chunk=200,
        mark=mark,
        idle_seconds=IDLE,
    )


def mark(symbols: Sequence[str]) -> str:
    """What a message of these topics is called in its answer."""
    return f"{crc32(' '.join(symbols).encode()):08x}"


def subscribe(symbols: Sequence[str]) -> list[str]:
    """One message for all of them."""
    topics = [f"{TOPIC}{symbol}" for symbol in symbols]
    return [to_json({"req_id": mark(symbols), "op": "subscribe", "args": topics}).decode()]


def read(text: str | bytes) -> Heard:
    """One frame."""
    try:
        doc = from_json(text, cache_strings="keys")
        if "topic" in doc:
            return _read_rows(doc["data"]) if doc["topic"].startswith(TOPIC) else NOISE
        if doc["op"] in ("ping", "pong"):
            return ALIVE
        if doc["op"] != "subscribe":
            return NOISE
        if doc["success"] is not True:
            return _refused(str(doc.get("ret_msg"))[:200], str(doc.get("req_id")))
        return Said("taken", answers=str(doc["req_id"]))
    except UNFIT:
        return NOISE


def _refused(words: str, answers: str) -> Said:
    """Why a message was not taken: a topic that stands already spoils it as well."""
    _, already, symbol = words.partition(_ALREADY)
    return Said("refused", (symbol,) if already else (), words, answers=answers)


def _read_rows(data: list[dict[str, Any]]) -> Closings:
    """`v` at the bankruptcy price `p`: coins, or USD on inverse contracts."""
    rows = Closings()
    for row in data:
        try:
            price, size = positive(row["p"]), positive(row["v"])
            side, ts = _SIDES[row["S"]], int(row["T"])
            rows.append(Closing(str(row["s"]), ts, side, price, size))
        except UNFIT:
            rows.bad += 1
    return rows
