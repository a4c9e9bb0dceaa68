"""Coinbase Exchange's WebSocket: matches of chosen products, with a heartbeat a second.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels

A subscription is due within 5 s of connecting. The first match of a product repeats its last
trade (`last_match`). The side of a match is the maker's. The heartbeat of a product tells the
number of its last trade, so that a lost match shows.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.venues.feeds import ALIVE, MAX_PRICE, NOISE, UNFIT, FeedRule, Heard, Prints, Said
from mmflow_mcp.venues.fields import MAX_USD
from mmflow_mcp.venues.pairs import USD_FIRST, main_pairs, pair_of

HOST = "ws-feed.exchange.coinbase.com"
URL = f"wss://{HOST}"
_CHANNELS = ["matches", "heartbeat"]
# A maker who bought met a taker who sold.
_TAKER = {"buy": "sell", "sell": "buy"}


def feed() -> FeedRule:
    """The rule of the one channel."""
    return FeedRule(
        venue="coinbase",
        channel="trades",
        url=URL,
        choose=choose,
        subscribe=subscribe,
        read=read,
        whole=False,
        silence_seconds=15,
        pace=5,
        limit=100,
        fills=True,
    )


def subscribe(symbols: Sequence[str]) -> list[str]:
    """One message for all of them."""
    wanted = {"type": "subscribe", "product_ids": list(symbols), "channels": _CHANNELS}
    return [to_json(wanted).decode()]


def choose(listed: Sequence[MarketRow]) -> Mapping[str, str]:
    """The product that speaks for each coin, dollars first, as for spot prices."""
    pairs = (pair_of(row.symbol, *row.symbol.rsplit("-", 1)) for row in listed if "-" in row.symbol)
    found = main_pairs((pair for pair in pairs if pair is not None), USD_FIRST)
    return {coin: pair.symbol for coin, pair in found.items()}


def read(text: str | bytes) -> Heard:
    """One frame."""
    try:
        doc = from_json(text, cache_strings="keys")
        kind = doc["type"]
        if kind in ("match", "last_match"):
            return read_match(doc)
        if kind == "heartbeat":
            return Said("alive", (str(doc["product_id"]),), newest=int(doc["last_trade_id"]))
        if kind == "subscriptions":
            return _acknowledged(doc["channels"]) if doc["channels"] else NOISE
        if kind == "error":
            words = f"{doc.get('message', '')} {doc.get('reason', '')}".strip()
            return Said("refused", words=words[:200])
    except UNFIT:
        return NOISE
    return ALIVE


def _acknowledged(channels: list[dict[str, Any]]) -> Said:
    """Every answer tells all that is subscribed."""
    taken = [one["product_ids"] for one in channels if one["name"] == "matches"]
    return Said("taken", tuple(str(name) for names in taken for name in names))


def read_match(row: dict[str, Any]) -> Prints:
    """One trade, with the side turned round."""
    rows = Prints()
    try:
        symbol = row["product_id"]
        price, size = float(row["price"]), float(row["size"])
        usd = price * size
        pair = pair_of(symbol, *symbol.rsplit("-", 1))
        # Written so that NaN fails too.
        if not (0.0 < price < MAX_PRICE and 0.0 < usd < MAX_USD):
            rows.bad = 1
        elif pair is not None and pair.quote in USD_FIRST:
            side, ts, number = _TAKER[row["side"].lower()], _moment(row["time"]), row["trade_id"]
            price, size = price / pair.multiplier, size * pair.multiplier
            rows.append(TapePrint("coinbase", pair.coin, ts, side, price, size, usd, int(number)))
    except UNFIT:
        rows.bad = 1
    return rows


def _moment(text: str) -> int:
    """Epoch ms of an ISO time in UTC."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
