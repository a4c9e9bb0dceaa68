"""Liquidations over Deribit's socket: trades that carry a flag, perpetual by perpetual.

https://docs.deribit.com/subscriptions/trades/tradesinstrument_nameinterval

`liquidation` tells who was liquidated: T the taker, M the maker, MT both; `direction` is the
taker's. `amount` is USD of inverse perpetuals and coins of linear ones.
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

URL = "wss://www.deribit.com/ws/api/v2"
_TEST = '{"jsonrpc":"2.0","id":2,"method":"public/test","params":{}}'
# Whoever sold was long.
_TAKER = {"sell": LONG, "buy": SHORT}
_MAKER = {"sell": SHORT, "buy": LONG}
_WHO = {"T": (_TAKER,), "M": (_MAKER,), "MT": (_TAKER, _MAKER)}


def closing_rule(contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]) -> ClosingRule:
    """The one socket: 500 channels a message, about three messages a second."""
    feed = FeedRule(
        venue="deribit",
        channel=CHANNEL,
        url=URL,
        choose=by_name,
        subscribe=subscribe,
        read=read,
        ping=_TEST,
        ping_seconds=20,
        silence_seconds=60,
        pace=2,
        chunk=100,
        idle_seconds=IDLE,
    )
    return ClosingRule((feed,), contracts)


def subscribe(symbols: Sequence[str]) -> list[str]:
    """One message for all of them."""
    wanted = {"channels": [f"trades.{symbol}.100ms" for symbol in symbols]}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": wanted}
    return [to_json(asked).decode()]


def read(text: str | bytes) -> Heard:
    """One frame."""
    try:
        doc = from_json(text, cache_strings="keys")
        if doc.get("method") == "subscription":
            told = doc["params"]
            return _read_trades(told["data"]) if told["channel"].startswith("trades.") else NOISE
        if doc.get("method") == "heartbeat":
            asks = doc["params"]["type"] == "test_request"
            return Said("alive", reply=_TEST if asks else None)
        if "error" in doc:
            error = doc["error"]
            return Said("refused", words=f"{error['code']} {error['message']}"[:200])
        return _acknowledged(doc["result"])
    except UNFIT:
        return NOISE


def _acknowledged(result: Any) -> Said:
    """The channels that were taken: what was refused is silently not among them."""
    if not isinstance(result, list):
        return ALIVE
    return Said("taken", tuple(name.split(".")[1] for name in result))


def _read_trades(data: list[dict[str, Any]]) -> Closings:
    rows = Closings()
    for row in data:
        try:
            if not row.get("liquidation"):
                continue
            ts, symbol = int(row["timestamp"]), str(row["instrument_name"])
            price, amount = positive(row["price"]), positive(row["amount"])
            for sides in _WHO[row["liquidation"]]:
                rows.append(Closing(symbol, ts, sides[row["direction"]], price, amount))
        except UNFIT:
            rows.bad += 1
    return rows
