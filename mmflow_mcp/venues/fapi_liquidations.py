"""Liquidations over Binance's futures socket, whose grammar Aster speaks too.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams

One stream tells the forced orders of all contracts: at most one a symbol and second. The address
names the stream, and a list of subscriptions, asked now and then, proves that it is heard; the
heartbeat of the protocol is out of sight. `S` is the side of the order: a sale closes a long.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fapi import Line, exchange_info, parse_contracts
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
from mmflow_mcp.venues.fields import number, number_or_none, positive
from mmflow_mcp.venues.liquidation_feeds import CHANNEL, IDLE, MANY, by_name
from mmflow_mcp.venues.liquidation_tapes import LONG, SHORT

STREAM = "!forceOrder@arr"
# USD-M's older addresses, without `/market`, connect and stay silent since 2026-04-23. Contracts of
# both lines come over this one since 2026-06-30.
BINANCE = f"wss://fstream.binance.com/market/ws/{STREAM}"
# Aster has not split its paths.
ASTER = f"wss://fstream.asterdex.com/ws/{STREAM}"
BOUND = "at most the largest order of a symbol and second is published"
_LIST = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
_SIDES = {"SELL": LONG, "BUY": SHORT}


def closing_rule(venue: str, url: str, lines: tuple[Line, ...]) -> ClosingRule:
    """The one socket of a venue; `lines` list its contracts."""
    feed = FeedRule(
        venue=venue,
        channel=CHANNEL,
        url=url,
        choose=by_name,
        subscribe=subscribe,
        read=read,
        ping=_LIST,
        ping_seconds=30,
        silence_seconds=90,
        pace=5,
        limit=MANY,
        idle_seconds=IDLE,
    )
    return ClosingRule((feed,), _contracts_of(lines), bound=BOUND)


def _contracts_of(
    lines: tuple[Line, ...],
) -> Callable[[Ask], Awaitable[Mapping[str, Contract]]]:
    async def ask_contracts(ask: Ask) -> Mapping[str, Contract]:
        found: dict[str, Contract] = {}
        for line in lines:
            listed = await ask.get(exchange_info(line, required=True))
            found |= listed.parsed(parse_contracts, line).contracts
        if not found:
            raise VenueChanged("changed: the venue lists nothing")
        return found

    return ask_contracts


def subscribe(_: Sequence[str]) -> list[str]:
    """The address has asked already; what is left is to see that it was understood."""
    return [_LIST]


def read(text: str | bytes) -> Heard:
    """One frame, of a stream alone or of several together."""
    try:
        doc = from_json(text, cache_strings="keys")
        return _hear(doc["data"] if isinstance(doc, dict) and "stream" in doc else doc)
    except UNFIT:
        return NOISE


def _hear(doc: Any) -> Heard:
    if isinstance(doc, list):
        return _read_orders(doc) if doc and all(map(_is_order, doc)) else NOISE
    if _is_order(doc):
        return _read_orders([doc])
    if "error" in doc:
        return Said("refused", words=str(doc["error"])[:200])
    if "result" in doc:
        return _read_list(doc["result"])
    return ALIVE if "e" in doc else NOISE


def _is_order(doc: Any) -> bool:
    return isinstance(doc, dict) and doc.get("e") == "forceOrder"


def _read_list(result: Any) -> Said:
    """What is subscribed; null only acknowledges something."""
    if result is None:
        return ALIVE
    if STREAM in result:
        return Said("taken", EVERY)
    return Said("refused", words="the stream is not among the subscriptions")


def _read_orders(events: list[Any]) -> Closings:
    rows = Closings()
    for event in events:
        try:
            row = _read_order(event["o"])
        except UNFIT:
            rows.bad += 1
        else:
            rows += [row] if row else []
    return rows


def _read_order(order: dict[str, Any]) -> Closing | None:
    """What was filled, at the average price; None while nothing is. Keys differ by case alone."""
    filled = number(order["z"] if "z" in order else order["q"])
    side, price = _SIDES[order["S"]], number_or_none(order.get("ap")) or positive(order["p"])
    if filled == 0:
        return None
    return Closing(str(order["s"]), int(order["T"]), side, positive(price), positive(filled))
