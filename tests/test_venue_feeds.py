"""Frames of the venues' sockets: our own samples with their traps, and the recorded ones."""

import json
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from wires import RECORDINGS

from mmflow_mcp.rows import MarketRow
from mmflow_mcp.venues import coinbase_feed, hyperliquid_feed, roll
from mmflow_mcp.venues.capabilities import ContextFeed, TradeFeed
from mmflow_mcp.venues.feeds import ALIVE, NOISE, Heard, Prints, Rates, Said

TRADE = {
    "coin": "BTC",
    "side": "B",
    "px": "64320.5",
    "sz": "1.85",
    "time": 1789453123456,
    "hash": "0x00",
    "tid": 300002,
    "users": ["0x01", "0x02"],
}
MATCH = {
    "type": "match",
    "trade_id": 9001,
    "maker_order_id": "a",
    "taker_order_id": "b",
    "side": "sell",
    "size": "0.25000000",
    "price": "64000.10",
    "product_id": "BTC-USD",
    "sequence": 5,
    "time": "2026-09-15T06:18:43.456789Z",
}
GARBAGE: list[str | bytes] = [
    "",
    "<html><body>Bad gateway</body></html>",
    '{"channel":"trades","data":[{"coi',
    "[]",
    "17",
    "null",
    '"trades"',
    "{}",
    '{"channel":"trades"}',
    '{"channel":"trades","data":7}',
    '{"channel":"activeAssetCtx","data":null}',
    '{"channel":"subscriptionResponse","data":{}}',
    '{"type":"heartbeat"}',
    '{"type":"subscriptions","channels":{}}',
    b"\xff\xfe\x00",
    "[" * 500,
]


def trades(*rows: dict[str, Any], **frame: Any) -> str:
    """A frame of hyperliquid's trades."""
    return json.dumps({"channel": "trades", "data": list(rows), **frame})


def frames(name: str) -> list[str]:
    """What the venue really sent; skips where the recordings are not."""
    path: Path = RECORDINGS / "ws" / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["text"] for row in rows if row["dir"] == "in"]


READERS = pytest.mark.parametrize("read", [hyperliquid_feed.read, hyperliquid_feed.read_fast])


class TestHyperliquid:
    """One coin a frame; B is a taker who bought."""

    @READERS
    def test_a_trade(self, read: Any) -> None:
        """The quick way and the careful one read the same."""
        found = read(trades(TRADE, {**TRADE, "side": "A", "tid": 7, "later": {"x": 1}}))
        assert isinstance(found, Prints)
        assert [(300002, "buy"), (7, "sell")] == [(p.trade_id, p.side) for p in found]
        one = found[0]
        assert ("hyperliquid", "BTC", 1789453123456) == (one.venue, one.coin, one.ts)
        assert (64320.5, 1.85, 64320.5 * 1.85) == (one.price, one.size, one.usd)
        assert 0 == found.bad

    @READERS
    def test_a_k_symbol_counts_thousands(self, read: Any) -> None:
        """kPEPE is 1000 PEPE; KAITO and KAS are themselves; the notional stays."""
        rows = [{**TRADE, "coin": name, "px": "0.01", "sz": "200"} for name in ("kPEPE", "KAS")]
        found = read(trades(*rows))
        assert [("PEPE", 0.00001, 200_000.0, 2.0), ("KAS", 0.01, 200.0, 2.0)] == [
            (p.coin, p.price, p.size, p.usd) for p in found
        ]

    @READERS
    def test_other_markets_are_left_out(self, read: Any) -> None:
        """Stocks of builder-deployed exchanges, spot pairs, outcomes: no rows, no complaint."""
        names = ("xyz:TSLA", "@107", "PURR/USDC", "#10")
        found = read(trades(*({**TRADE, "coin": name} for name in names)))
        assert ([], 0) == (list(found), found.bad)

    @READERS
    @pytest.mark.parametrize(
        ("member", "value"),
        [
            *product(["px"], ["NaN", "-1", "0", "1e308", "inf", "n/a", None, []]),
            *product(["sz"], ["NaN", "-1.85", "0.0", "1e308", "", None]),
            ("side", "X"),
            ("side", None),
            ("tid", "x"),
            ("time", None),
            ("coin", ""),
            ("coin", 5),
        ],
    )
    def test_a_row_that_cannot_be_read_is_counted(self, read: Any, member: str, value: Any) -> None:
        """The others of the frame stay."""
        found = read(trades({**TRADE, member: value}, TRADE))
        assert (1, 1) == (len(found), found.bad)

    @READERS
    def test_a_row_without_a_member_is_counted(self, read: Any) -> None:
        """Any that we need; the hash is none of them."""
        for name in ("coin", "side", "px", "sz", "time", "tid"):
            found = read(trades({k: v for k, v in TRADE.items() if k != name}))
            assert (0, 1) == (len(found), found.bad)
        assert 1 == len(read(trades({k: v for k, v in TRADE.items() if k != "hash"})))

    @READERS
    def test_a_number_in_another_spelling_is_read(self, read: Any) -> None:
        """JSON numbers instead of text, a time with a fraction of zero."""
        found = read(trades({**TRADE, "px": 64320.5, "time": 1789453123456.0}))
        assert (64320.5, 1789453123456) == (found[0].price, found[0].ts)

    @READERS
    def test_words_of_the_venue(self, read: Any) -> None:
        """The greeting and the pong are signs of life, an error is a refusal."""
        assert ALIVE == read("Websocket connection established.")
        assert ALIVE == read('{"channel":"pong"}')
        wanted = {"type": "trades", "coin": "kPEPE"}
        told = {"method": "subscribe", "subscription": wanted}
        taken = read(json.dumps({"channel": "subscriptionResponse", "data": told}))
        assert Said("taken", ("kPEPE",)) == taken
        for words in ("Already subscribed: x", "Invalid subscription", ""):
            error = read(json.dumps({"channel": "error", "data": words}))
            assert Said("refused", words=words) == error
        again = f"Already subscribed: {json.dumps(wanted)}"
        stands = read(json.dumps({"channel": "error", "data": again}))
        assert Said("taken", ("kPEPE",)) == stands

    @READERS
    @pytest.mark.parametrize("text", GARBAGE)
    def test_garbage_is_noise(self, read: Any, text: str | bytes) -> None:
        """It raises nothing and proves nothing."""
        found: Heard = read(text)
        assert NOISE == found

    def test_a_context(self) -> None:
        """The rate is a fraction per hour."""
        data = {"coin": "kPEPE", "ctx": {"funding": "-0.0000125", "markPx": "0.01"}}
        found = hyperliquid_feed.read(json.dumps({"channel": "activeAssetCtx", "data": data}))
        assert isinstance(found, Rates)
        tick = found.ticks[0]
        assert ("PEPE", -0.0000125, 1) == (tick.coin, tick.rate, tick.period_hours)

    @pytest.mark.parametrize("funding", ["NaN", "0.5", "x", None, "1e308"])
    def test_an_absurd_rate_is_counted(self, funding: Any) -> None:
        """No rate of an hour comes near 25 %."""
        data = {"coin": "BTC", "ctx": {"funding": funding}}
        found = hyperliquid_feed.read(json.dumps({"channel": "activeAssetCtx", "data": data}))
        assert isinstance(found, Rates)
        assert ([], 1) == (found.ticks, found.bad)

    def test_one_subscription_a_coin(self) -> None:
        """No lists, no wildcards; two channels stay below the thousand of an address."""
        rule = hyperliquid_feed.feed("contexts", "activeAssetCtx")
        assert [
            {"method": "subscribe", "subscription": {"type": "activeAssetCtx", "coin": name}}
            for name in ("BTC", "kPEPE")
        ] == [json.loads(text) for text in rule.subscribe(["BTC", "kPEPE"])]
        assert rule.limit * 2 < 1000
        assert rule.ping_seconds < 50

    def test_the_universe_is_the_core_perpetuals(self) -> None:
        """By coin, with the venue's own name."""
        rows = [
            MarketRow("hyperliquid", "kPEPE", "PEPE", "perp", ""),
            MarketRow("hyperliquid", "xyz:TSLA", None, "perp", ""),
            MarketRow("hyperliquid", "xyz:BTC", "BTC", "perp", ""),
            MarketRow("hyperliquid", "@1", "HYPE", "spot", ""),
        ]
        assert {"PEPE": "kPEPE"} == hyperliquid_feed.choose(rows)

    def test_the_recorded_trades(self) -> None:
        """All rows, with notionals worked out by hand."""
        for read in (hyperliquid_feed.read, hyperliquid_feed.read_fast):
            told = [read(text) for text in frames("hyperliquid-trades")]
            found = [row for one in told if isinstance(one, Prints) for row in one]
            assert ["FXS", "BTC", "BTC", "BTC", "BTC"] == [p.coin for p in found]
            assert ["sell", "buy", "buy", "buy", "buy"] == [p.side for p in found]
            assert pytest.approx(19.9584, rel=1e-9) == found[0].usd
            assert 696560709859024 == found[-1].trade_id

    def test_the_recorded_context(self) -> None:
        """One coin, its hourly rate."""
        (text,) = frames("hyperliquid-activeAssetCtx")
        found = hyperliquid_feed.read(text)
        assert isinstance(found, Rates)
        assert [("MOODENG", 0.00004863)] == [(t.coin, t.rate) for t in found.ticks]


class TestCoinbase:
    """Matches tell the maker's side."""

    def test_a_match_with_the_side_turned_round(self) -> None:
        """A maker who sold met a taker who bought; the time is UTC."""
        found = coinbase_feed.read(json.dumps(MATCH))
        assert isinstance(found, Prints)
        one = found[0]
        assert ("BTC", "buy", 9001, 1789453123457) == (one.coin, one.side, one.trade_id, one.ts)
        assert (64000.1, 0.25, 16000.025) == (one.price, one.size, one.usd)
        last = coinbase_feed.read(json.dumps({**MATCH, "type": "last_match", "side": "buy"}))
        assert isinstance(last, Prints)
        assert ["sell"] == [p.side for p in last]

    @pytest.mark.parametrize("name", ["BTC-EUR", "ETH-BTC", "EUR-USD"])
    def test_what_is_not_in_dollars_is_left_out(self, name: str) -> None:
        """Its price is no price in USD."""
        found = coinbase_feed.read(json.dumps({**MATCH, "product_id": name}))
        assert isinstance(found, Prints)
        assert ([], 0) == (list(found), found.bad)

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("price", "NaN"),
            ("price", "0"),
            ("size", "-1"),
            ("size", "1e308"),
            ("side", "up"),
            ("time", "yesterday"),
            ("trade_id", None),
            ("product_id", 7),
        ],
    )
    def test_a_match_that_cannot_be_read_is_counted(self, member: str, value: Any) -> None:
        """It is no print."""
        found = coinbase_feed.read(json.dumps({**MATCH, member: value}))
        assert isinstance(found, Prints)
        assert ([], 1) == (list(found), found.bad)

    def test_words_of_the_venue(self) -> None:
        """Acknowledgement, heartbeat, refusal."""
        channels = [
            {"name": "heartbeat", "product_ids": ["BTC-USD"]},
            {"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]},
        ]
        told = coinbase_feed.read(json.dumps({"type": "subscriptions", "channels": channels}))
        assert Said("taken", ("BTC-USD", "ETH-USD")) == told
        beat = {"type": "heartbeat", "sequence": 9, "last_trade_id": 77, "product_id": "BTC-USD"}
        found = coinbase_feed.read(json.dumps(beat))
        assert Said("alive", ("BTC-USD",), newest=77) == found
        error = {"type": "error", "message": "Failed to subscribe", "reason": "X is not valid"}
        refused = coinbase_feed.read(json.dumps(error))
        assert Said("refused", words="Failed to subscribe X is not valid") == refused

    @pytest.mark.parametrize("text", GARBAGE)
    def test_garbage_is_noise(self, text: str | bytes) -> None:
        """It raises nothing and proves nothing."""
        assert NOISE == coinbase_feed.read(text)

    def test_the_dollar_product_speaks_for_a_coin(self) -> None:
        """As for spot prices; one message subscribes all."""
        names = ("BTC-USDC", "BTC-USD", "BTC-EUR", "FOO-USDT", "EUR-USD", "odd")
        rows = [MarketRow("coinbase", name, None, "spot", "") for name in names]
        assert {"BTC": "BTC-USD", "FOO": "FOO-USDT"} == coinbase_feed.choose(rows)
        (message,) = coinbase_feed.subscribe(["BTC-USD", "ETH-USD"])
        assert {
            "type": "subscribe",
            "product_ids": ["BTC-USD", "ETH-USD"],
            "channels": ["matches", "heartbeat"],
        } == json.loads(message)

    def test_the_recorded_matches(self) -> None:
        """Those in dollars, and the taker's side against the tick: a rising price was bought."""
        found = [coinbase_feed.read(text) for text in frames("coinbase-match")]
        assert all(isinstance(one, Prints) and not one.bad for one in found)
        prints = [p for one in found if isinstance(one, Prints) for p in one]
        assert {"SKL"} == {p.coin for p in prints}
        assert 14 <= len(prints)
        assert sorted(p.trade_id for p in prints) == [p.trade_id for p in prints]
        ticks = list(pairwise(prints))
        agree = sum(
            (b.price > a.price) == (b.side == "buy") for a, b in ticks if a.price != b.price
        )
        moved = sum(a.price != b.price for a, b in ticks)
        assert agree > moved / 2


def test_capabilities_are_what_is_implemented() -> None:
    """The venues with feeds."""
    able = {kind: [v.id for v in roll().values() if isinstance(v, kind)] for kind in FEEDS}
    assert {TradeFeed: ["coinbase", "hyperliquid"], ContextFeed: ["hyperliquid"]} == able


FEEDS: tuple[Any, ...] = (TradeFeed, ContextFeed)
