"""Hyperliquid's WebSocket: trades and contexts of every core perpetual.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions

One coin per subscription, no wildcard; 1000 subscriptions and 10 connections an address. The
first data after each subscription repeats recent trades. The server drops a connection to which
nothing was sent for 60 s. The first text may be a plain sentence.
"""

from collections.abc import Sequence
from typing import Any

from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json, to_json

from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.tape import RateTick, TapePrint
from mmflow_mcp.venues.coins import from_hyperliquid
from mmflow_mcp.venues.feeds import (
    ALIVE,
    MAX_PRICE,
    NOISE,
    UNFIT,
    FeedRule,
    Heard,
    Prints,
    Rates,
    Said,
)
from mmflow_mcp.venues.fields import MAX_RATE, MAX_USD

URL = "wss://api.hyperliquid.xyz/ws"
_SIDES = {"B": "buy", "A": "sell"}


def feed(channel: str, wire_name: str) -> FeedRule:
    """The rule of one channel: `trades`, or `activeAssetCtx` for the contexts."""

    def subscribe(symbols: Sequence[str]) -> list[str]:
        return [_subscription(wire_name, symbol) for symbol in symbols]

    return FeedRule(
        venue="hyperliquid",
        channel=channel,
        url=URL,
        choose=choose,
        subscribe=subscribe,
        read=read_fast if channel == "trades" else read,
        ping='{"method":"ping"}',
        ping_seconds=30,
        silence_seconds=60,
        pace=20,
        limit=480,  # two channels share the 1000 of an address
    )


def _subscription(kind: str, symbol: str) -> str:
    wanted = {"type": kind, "coin": symbol}
    return to_json({"method": "subscribe", "subscription": wanted}).decode()


def choose(listed: Sequence[MarketRow]) -> dict[str, str]:
    """The core perpetual of each coin; builder-deployed ones (`xyz:TSLA`) are left out."""
    return {
        row.coin: row.symbol
        for row in listed
        if row.coin is not None and row.kind == "perp" and ":" not in row.symbol
    }


def read(text: str | bytes) -> Heard:
    """One frame of either channel."""
    try:
        doc = from_json(text, cache_strings="keys")
        channel, data = doc["channel"], doc.get("data")
        if channel == "trades":
            return read_trades(data)
        if channel == "activeAssetCtx":
            return read_context(data)
        if channel == "subscriptionResponse":
            return _acknowledged(data)
    except UNFIT:
        hello = isinstance(text, str) and text.startswith("Websocket connection")
        return ALIVE if hello else NOISE
    if channel == "error":
        return _refused(str(data))
    return ALIVE if channel == "pong" else NOISE


def _refused(words: str) -> Said:
    """The words of an error; a subscription that stands already is none."""
    kind, _, rest = words.partition("Already subscribed: ")
    try:
        coin = from_json(rest)["coin"] if not kind and rest else None
    except UNFIT:
        coin = None
    if isinstance(coin, str):
        return Said("taken", (coin,))
    return Said("refused", words=words[:200])


def _acknowledged(data: dict[str, Any]) -> Said:
    if data["method"] != "subscribe":
        return ALIVE
    return Said("taken", (str(data["subscription"]["coin"]),))


class _Names(dict[str, tuple[str, int]]):
    """Symbol -> (coin, how many coins one unit is), worked out once; 0 for what is no core coin."""

    def __missing__(self, symbol: str) -> tuple[str, int]:
        other = ":" in symbol or symbol[0] in "@#" or "/" in symbol
        found = (symbol, 0) if other else from_hyperliquid(symbol)
        if len(self) < _MOST_NAMES:
            self[symbol] = found
        return found


_MOST_NAMES = 5000
_NAMES = _Names()


def read_trades(data: list[dict[str, Any]]) -> Prints:
    """Trades of one coin; `side` is the taker's, a `k` symbol counts in thousands of coins."""
    rows = Prints()
    for row in data:
        try:
            coin, times = _NAMES[row["coin"]]
            price, size = float(row["px"]), float(row["sz"])
            # Written so that NaN fails too.
            if not (0.0 < price < MAX_PRICE and 0.0 < price * size < MAX_USD):
                rows.bad += 1
                continue
            ts, trade_id = int(row["time"]), int(row["tid"])
            if times:
                rows.append(_print(coin, times, ts, _SIDES[row["side"]], price, size, trade_id))
        except UNFIT:
            rows.bad += 1
    return rows


def _print(
    coin: str, times: int, ts: int, side: str, price: float, size: float, trade_id: int
) -> TapePrint:
    usd = price * size
    return TapePrint("hyperliquid", coin, ts, side, price / times, size * times, usd, trade_id)


def _trades_schema() -> core_schema.CoreSchema:
    """A frame of good trades: checked and read in one go, about as fast as decoding it."""
    row = {
        "coin": core_schema.str_schema(strict=True, min_length=1),
        "side": core_schema.literal_schema(list(_SIDES)),
        "px": core_schema.float_schema(gt=0, lt=MAX_PRICE, allow_inf_nan=False),
        "sz": core_schema.float_schema(gt=0, lt=MAX_USD, allow_inf_nan=False),
        "time": core_schema.int_schema(strict=True),
        "tid": core_schema.int_schema(strict=True),
    }
    fields = {name: core_schema.typed_dict_field(kind) for name, kind in row.items()}
    rows = core_schema.list_schema(core_schema.typed_dict_schema(fields, extra_behavior="ignore"))
    frame = {
        "channel": core_schema.typed_dict_field(core_schema.literal_schema(["trades"])),
        "data": core_schema.typed_dict_field(rows),
    }
    return core_schema.typed_dict_schema(frame, extra_behavior="ignore")


_FAST = SchemaValidator(_trades_schema())


def read_fast(text: str | bytes) -> Heard:
    """One frame of the trades channel; what is no frame of good trades is read with care."""
    try:
        data = _FAST.validate_json(text)["data"]
    except ValidationError:
        return read(text)
    rows = Prints()
    for row in data:
        coin, times = _NAMES[row["coin"]]
        price, size = row["px"], row["sz"]
        usd = price * size
        if times != 1:
            if not times:
                continue
            price, size = price / times, size * times
        if usd >= MAX_USD:
            return read(text)
        side = _SIDES[row["side"]]
        rows.append(TapePrint("hyperliquid", coin, row["time"], side, price, size, usd, row["tid"]))
    return rows


def read_context(data: dict[str, Any]) -> Rates:
    """The running numbers of one perpetual: its funding is a fraction per hour."""
    symbol = data["coin"]
    if ":" in symbol:
        return Rates([])
    try:
        rate = float(data["ctx"]["funding"])
        coin, _ = from_hyperliquid(symbol)
        if not abs(rate) <= MAX_RATE:
            return Rates([], 1)
    except UNFIT:
        return Rates([], 1)
    return Rates([RateTick("hyperliquid", symbol, coin, rate, 1)])
