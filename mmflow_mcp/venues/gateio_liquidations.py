"""Liquidations over Gate's sockets: all contracts of a settlement currency at once.

https://www.gate.com/docs/developers/futures/ws/en/#liquidates-api

The sign of `size` is the position's: above 0 a long was closed. `price` is that of the order, and
the requests tell that of the fill, so that the two have no key in common. Before 2026-08-20 times
were seconds, with milliseconds beside them.
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
    SECONDS,
    UNFIT,
    Closing,
    ClosingRule,
    Closings,
    FeedRule,
    Heard,
    Said,
)
from mmflow_mcp.venues.fields import number, positive
from mmflow_mcp.venues.gateio_contracts import QUOTES
from mmflow_mcp.venues.gateio_positions import moment_of
from mmflow_mcp.venues.liquidation_feeds import CHANNEL, IDLE, MANY
from mmflow_mcp.venues.liquidation_tapes import LONG, SHORT

HOST = "fx-ws.gateio.ws"
ORDERS = "futures.public_liquidates"
# Without it parts of contracts are cut off.
_DECIMALS = {"X-Gate-Size-Decimal": "1"}


def closing_rule(contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]) -> ClosingRule:
    """A socket for each settlement currency."""
    feeds = tuple(_feed(settle, quote) for settle, quote in QUOTES.items())
    return ClosingRule(feeds, contracts, same_keys=False)


def _feed(settle: str, quote: str) -> FeedRule:
    def choose(listed: Sequence[tuple[str, Contract]]) -> dict[str, str]:
        return {name: name for name, contract in listed if contract.quote == quote}

    return FeedRule(
        venue="gateio",
        channel=f"{CHANNEL}/{settle}",
        url=f"wss://{HOST}/v4/ws/{settle}",
        choose=choose,
        subscribe=subscribe,
        read=read,
        ping=_timed({"channel": "futures.ping"}),
        ping_seconds=20,
        silence_seconds=60,
        pace=5,
        limit=MANY,
        idle_seconds=IDLE,
        headers=_DECIMALS,
    )


def _timed(message: dict[str, Any]) -> str:
    """A message with the moment it is sent at, in seconds and without quotes."""
    text = to_json({"time": SECONDS, **message}).decode()
    return text.replace(f'"{SECONDS}"', SECONDS)


def subscribe(_: Sequence[str]) -> list[str]:
    """All contracts at once."""
    return [_timed({"channel": ORDERS, "event": "subscribe", "payload": ["!all"]})]


def read(text: str | bytes) -> Heard:
    """One frame."""
    try:
        return _hear(from_json(text, cache_strings="keys"))
    except UNFIT:
        return NOISE


def _hear(doc: dict[str, Any]) -> Heard:
    channel, event = doc["channel"], doc.get("event")
    if channel == "futures.pong":
        return ALIVE
    if doc.get("error"):
        return Said("refused", words=str(doc["error"])[:200])
    if channel != ORDERS:
        return NOISE
    if event == "update":
        return _read_rows(doc["result"])
    taken = event == "subscribe" and doc["result"]["status"] == "success"
    return Said("taken", EVERY) if taken else NOISE


def _read_rows(result: list[dict[str, Any]]) -> Closings:
    """`size` contracts."""
    rows = Closings()
    for row in result:
        try:
            size, price = number(row["size"]), positive(row["price"])
            ts = moment_of(row["time_ms"] if row.get("time_ms") else row["time"])
            side = LONG if size > 0 else SHORT
            rows.append(Closing(str(row["contract"]), ts, side, price, positive(abs(size))))
        except UNFIT:
            rows.bad += 1
    return rows
