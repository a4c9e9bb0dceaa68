"""Frames of seven venues' liquidations: whose position it was, how much, and what else is said."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wires import RECORDINGS

from mmflow_mcp.rows.positions import LiquidationPrint
from mmflow_mcp.tape.liquidations import Liquidations
from mmflow_mcp.venues import (
    bybit_liquidations,
    capabilities,
    deribit_liquidations,
    fapi_liquidations,
    gateio_liquidations,
    lighter_liquidations,
    okx_liquidations,
    roll,
)
from mmflow_mcp.venues.capabilities import FEEDS, LiquidationFeed
from mmflow_mcp.venues.capabilities import Liquidations as ByRequest
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import ALIVE, NOISE, Closings, Heard, Said

AT = 1_789_412_345_678
Read = Callable[[str | bytes], Heard]
READERS: dict[str, Read] = {
    "binance": fapi_liquidations.read,
    "bybit": bybit_liquidations.read,
    "okx": okx_liquidations.read,
    "gateio": gateio_liquidations.read,
    "lighter": lighter_liquidations.read,
    "deribit": deribit_liquidations.read,
}


def forced(**change: Any) -> str:
    """A forced order of Binance and Aster: 0.014 BTC of a long at 64,310.5."""
    order = {
        "s": "BTCUSDT",
        "S": "SELL",
        "o": "LIMIT",
        "f": "IOC",
        "q": "0.020",
        "p": "63900.1",
        "ap": "64310.5",
        "X": "FILLED",
        "l": "0.004",
        "z": "0.014",
        "T": AT,
    }
    return json.dumps({"e": "forceOrder", "E": AT + 900, "o": {**order, **change}})


def bybit(**change: Any) -> str:
    """A frame of Bybit: 0.5 BTC of a long at 64,000."""
    row = {"T": AT, "s": "BTCUSDT", "S": "Buy", "v": "0.5", "p": "64000", **change}
    told = {"type": "snapshot", "ts": AT + 300, "data": [row]}
    return json.dumps({"topic": f"allLiquidation.{row['s']}", **told})


def okx(**change: Any) -> str:
    """A frame of OKX: 1,200 contracts of a long at 64,310.5."""
    row = {"side": "sell", "posSide": "long", "bkPx": "64310.5", "sz": "1200", "ts": str(AT)}
    symbol = change.pop("instId", "BTC-USDT-SWAP")
    group = {"instId": symbol, "instType": "SWAP", "details": [{**row, **change}]}
    arg = {"channel": "liquidation-orders", "instType": "SWAP"}
    return json.dumps({"arg": arg, "data": [group]})


def gate(**change: Any) -> str:
    """A frame of Gate: 800 contracts of a long at 64,000."""
    row = {"price": "64000", "size": "800", "time": AT, "contract": "BTC_USDT", **change}
    told = {"channel": "futures.public_liquidates", "event": "update", "time": AT // 1000}
    return json.dumps({**told, "time_ms": AT, "result": [row]})


def lighter(kind: str = "update/trade", **change: Any) -> str:
    """A frame of Lighter: 0.5 BTC of a long at 64,000."""
    row = {
        "trade_id": 7,
        "type": "liquidation",
        "market_id": 1,
        "size": "0.5",
        "price": "64000",
        "usd_amount": "32000.0",
        "is_maker_ask": False,
        "timestamp": AT,
        **change,
    }
    trades = [{**row, "type": "trade"}]
    told = {"channel": "trade:1", "trades": trades, "liquidation_trades": [row]}
    return json.dumps({"type": kind, **told})


def deribit(**change: Any) -> str:
    """A frame of Deribit: 5,000 USD of a long."""
    row = {
        "trade_seq": 1,
        "trade_id": "9",
        "timestamp": AT,
        "price": 62500.0,
        "amount": 5000.0,
        "instrument_name": "BTC-PERPETUAL",
        "direction": "sell",
        "liquidation": "T",
        **change,
    }
    plain = {key: value for key, value in row.items() if key != "liquidation"}
    params = {"channel": f"trades.{row['instrument_name']}.100ms", "data": [plain, row]}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


FRAMES: dict[str, Callable[..., str]] = {
    "binance": forced,
    "bybit": bybit,
    "okx": okx,
    "gateio": gate,
    "lighter": lighter,
    "deribit": deribit,
}


def rows_of(venue: str, text: str) -> Closings:
    """The rows of a frame."""
    found = READERS[venue](text)
    assert isinstance(found, Closings), found
    return found


def kept(venue: str, text: str, *contracts: Contract, **names: Contract) -> list[LiquidationPrint]:
    """What the tape makes of a frame, for these contracts."""
    tape = Liquidations(venue)
    known = {contract.symbol: contract for contract in contracts} | names
    tape.learn(known)
    tape.subscribed(known, AT - 1000)
    tape.take(rows_of(venue, text), AT + 1000)
    coins = dict.fromkeys(contract.coin for contract in known.values())
    tapes = [tape.tape_of(coin, AT + 1000) for coin in coins]
    return [one for same in tapes if same is not None for one in same.prints]


class TestSides:
    """The side is that of the position that was closed; every venue says it in its own way."""

    def test_binance_sells_a_long(self) -> None:
        """`S` is the order's: SELL closed a long, BUY a short."""
        sides = [rows_of("binance", forced(S=side))[0].side for side in ("SELL", "BUY")]
        assert ["long", "short"] == sides

    def test_aster_sells_a_long(self) -> None:
        """The same grammar, read by the same reader at its own address."""
        (rule,) = roll()["aster"].liquidation_feed().feeds  # type: ignore[attr-defined]
        assert "wss://fstream.asterdex.com/ws/!forceOrder@arr" == rule.url
        sides = [one.side for S in ("SELL", "BUY") for one in rule.read(forced(S=S))]
        assert ["long", "short"] == sides

    def test_bybit_buys_are_longs(self) -> None:
        """`S` is the position's, against Binance's reading: Buy is a long."""
        sides = [rows_of("bybit", bybit(S=side))[0].side for side in ("Buy", "Sell")]
        assert ["long", "short"] == sides

    @pytest.mark.parametrize(
        ("position", "order", "side"),
        [
            ("long", "sell", "long"),
            ("short", "buy", "short"),
            ("net", "sell", "long"),
            ("net", "buy", "short"),
        ],
    )
    def test_okx_names_the_position(self, position: str, order: str, side: str) -> None:
        """In net mode the order tells."""
        assert side == rows_of("okx", okx(posSide=position, side=order))[0].side

    def test_gateio_signs_the_position(self) -> None:
        """Above 0 a long was closed."""
        sides = [rows_of("gateio", gate(size=size))[0].side for size in ("800", "-800", -3)]
        assert ["long", "short", "short"] == sides

    def test_lighter_liquidates_the_taker(self) -> None:
        """A maker who did not ask bought from a long."""
        sides = [rows_of("lighter", lighter(is_maker_ask=ask))[0].side for ask in (False, True)]
        assert ["long", "short"] == sides

    @pytest.mark.parametrize(
        ("who", "direction", "sides"),
        [
            ("T", "sell", ["long"]),
            ("T", "buy", ["short"]),
            ("M", "sell", ["short"]),
            ("M", "buy", ["long"]),
            ("MT", "sell", ["long", "short"]),
            ("MT", "buy", ["short", "long"]),
        ],
    )
    def test_deribit_flags_who(self, who: str, direction: str, sides: list[str]) -> None:
        """The direction is the taker's; both count once each; a trade without a flag is none."""
        rows = rows_of("deribit", deribit(liquidation=who, direction=direction))
        assert sides == [one.side for one in rows]


class TestSizes:
    """USD and coins, worked out by hand."""

    @pytest.mark.parametrize(
        ("venue", "text", "contract", "price", "coins", "usd"),
        [
            ("binance", forced(), Contract("BTCUSDT", "BTC", 1, "USDT"), 64310.5, 0.014, 900.347),
            # What was filled counts, at the order's price where no average is told.
            (
                "binance",
                forced(ap="0"),
                Contract("BTCUSDT", "BTC", 1, "USDT"),
                *(63900.1, 0.014, 894.6014),
            ),
            (
                "binance",
                forced(s="1000PEPEUSDT", z="5000", ap="0.0102"),
                Contract("1000PEPEUSDT", "PEPE", 1000, "USDT"),
                *(0.0000102, 5_000_000.0, 51.0),
            ),
            # 30 contracts of 100 USD.
            (
                "binance",
                forced(s="BTCUSD_PERP", z="30", ap="60000"),
                Contract("BTCUSD_PERP", "BTC", 1, "USD", "inverse", 100.0),
                *(60000.0, 0.05, 3000.0),
            ),
            ("bybit", bybit(), Contract("BTCUSDT", "BTC", 1, "USDT"), 64000.0, 0.5, 32000.0),
            (
                "bybit",
                bybit(s="SHIB1000USDT", v="2000", p="0.0125"),
                Contract("SHIB1000USDT", "SHIB", 1000, "USDT"),
                *(0.0000125, 2_000_000.0, 25.0),
            ),
            (
                "bybit",
                bybit(s="BTCUSD", v="3200"),
                Contract("BTCUSD", "BTC", 1, "USD", "inverse"),
                *(64000.0, 0.05, 3200.0),
            ),
            (
                "okx",
                okx(),
                Contract("BTC-USDT-SWAP", "BTC", 1, "USDT", "linear", 0.01),
                *(64310.5, 12.0, 771_726.0),
            ),
            (
                "okx",
                okx(instId="BTC-USD-SWAP", sz="50", bkPx="62500"),
                Contract("BTC-USD-SWAP", "BTC", 1, "USD", "inverse", 100.0),
                *(62500.0, 0.08, 5000.0),
            ),
            (
                "gateio",
                gate(size="800.5"),
                Contract("BTC_USDT", "BTC", 1, "USDT", "linear", 0.0001),
                *(64000.0, 0.08005, 5123.2),
            ),
            (
                "gateio",
                gate(contract="BTC_USD", size="-1500"),
                Contract("BTC_USD", "BTC", 1, "USD", "inverse"),
                *(64000.0, 0.0234375, 1500.0),
            ),
            (
                "deribit",
                deribit(),
                Contract("BTC-PERPETUAL", "BTC", 1, "USD", "inverse"),
                *(62500.0, 0.08, 5000.0),
            ),
            (
                "deribit",
                deribit(instrument_name="SOL_USDC-PERPETUAL", price=150.0, amount=20),
                Contract("SOL_USDC-PERPETUAL", "SOL", 1, "USDC"),
                *(150.0, 20.0, 3000.0),
            ),
        ],
    )
    def test_a_record(
        self, venue: str, text: str, contract: Contract, price: float, coins: float, usd: float
    ) -> None:
        """Contract sizes, multipliers, inverse contracts."""
        (one,) = kept(venue, text, contract)
        assert (venue, contract.symbol, AT) == (one.venue, one.symbol, one.ts)
        assert pytest.approx((price, coins, usd), rel=1e-12) == (
            one.price,
            one.size,
            one.notional_usd,
        )

    def test_lighter_counts_units_of_the_market_of_that_number(self) -> None:
        """The market's number leads to the contract: 0.5 of 1000PEPE's units are 500 coins."""
        market = Contract("1000PEPE", "PEPE", 1000, "USDC")
        (one,) = kept("lighter", lighter(price="0.01"), **{"1": market})
        assert ("PEPE", 0.005) == (one.coin, one.notional_usd)
        assert pytest.approx((500.0, 0.00001), rel=1e-12) == (one.size, one.price)

    @pytest.mark.parametrize(
        ("venue", "name"),
        [
            ("binance", "s"),
            ("bybit", "s"),
            ("okx", "instId"),
            ("gateio", "contract"),
            ("lighter", "market_id"),
            ("deribit", "instrument_name"),
        ],
    )
    def test_a_namesake_never_counts(self, venue: str, name: str) -> None:
        """What the list of contracts does not hold as a coin's is left out, without a complaint."""
        bitcoin = Contract("BTCUSDT", "BTC", 1, "USDT")
        tape = Liquidations(venue)
        tape.learn({"other": bitcoin})
        tape.take(rows_of(venue, FRAMES[venue](**{name: "QNTUSDT"})), AT)
        assert (0, 1, 0) == (len(tape), tape.others, tape.unread)

    def test_what_was_not_filled_is_nothing(self) -> None:
        """No row, and nothing unreadable."""
        rows = rows_of("binance", forced(z="0"))
        assert ([], 0) == (list(rows), rows.bad)

    def test_a_deleverage_is_no_liquidation(self) -> None:
        """Nor is the settlement of a market."""
        for kind in ("deleverage", "market-settlement"):
            rows = rows_of("lighter", lighter(type=kind))
            assert ([], 0) == (list(rows), rows.bad)

    def test_gates_times_of_before_are_seconds(self) -> None:
        """With the milliseconds beside them; later ones are milliseconds."""
        old = rows_of("gateio", gate(time=AT // 1000, time_ms=AT))
        assert [AT, AT] == [one.ts for one in [*old, *rows_of("gateio", gate())]]

    @pytest.mark.parametrize(
        ("venue", "member"),
        [
            *(("binance", name) for name in ("z", "ap", "S", "T")),
            *(("bybit", name) for name in ("v", "p", "S", "T")),
            *(("okx", name) for name in ("sz", "bkPx", "posSide", "ts")),
            *(("gateio", name) for name in ("size", "price", "time")),
            *(("lighter", name) for name in ("size", "price", "timestamp")),
            *(("deribit", name) for name in ("amount", "price", "direction", "timestamp")),
        ],
    )
    @pytest.mark.parametrize("value", ["NaN", "-1x", "1e400", [], {}])
    def test_what_cannot_be_read_is_counted(self, venue: str, member: str, value: Any) -> None:
        """And left out."""
        rows = rows_of(venue, FRAMES[venue](**{member: value}))
        assert ([], 1) == (list(rows), rows.bad)

    @pytest.mark.parametrize("venue", FRAMES)
    def test_an_absurd_size_is_no_record(self, venue: str) -> None:
        """A trillion dollars at once, or a time of another year, is unreadable."""
        name = {"binance": "z", "bybit": "v", "okx": "sz", "deribit": "amount"}.get(venue, "size")
        ts = {"binance": "T", "bybit": "T", "okx": "ts", "gateio": "time"}.get(venue, "timestamp")
        symbol = rows_of(venue, FRAMES[venue]())[0].symbol
        for change in ({name: 9e11}, {ts: AT + 10**9}):
            tape = Liquidations(venue)
            tape.learn({symbol: Contract(symbol, "BTC", 1, "USDT", "linear", 100.0)})
            tape.take(rows_of(venue, FRAMES[venue](**change)), AT)
            assert (0, 1) == (len(tape), tape.unread), change


class TestWords:
    """Subscriptions, what answers them, and signs of life."""

    @pytest.mark.parametrize("venue", READERS)
    @pytest.mark.parametrize(
        "text",
        [
            *("", "<html><body>Bad gateway</body></html>", '{"e":"forceOr', "[]", "17", "null"),
            *('"x"', "{}", '{"topic":"tickers.BTCUSDT","data":{}}', '{"channel":"x"}', b"\xff"),
            *("[" * 500, '{"type":"update/trade"}', '{"method":"subscription","params":{}}'),
        ],
    )
    def test_garbage_is_noise(self, venue: str, text: str | bytes) -> None:
        """It proves nothing, not even that the venue is alive."""
        assert NOISE == READERS[venue](text)

    def test_binance_lists_what_it_serves(self) -> None:
        """The address subscribes and the list proves it; without the stream it is refused."""
        (rule,) = roll()["binance"].liquidation_feed().feeds  # type: ignore[attr-defined]
        # The path of market data: the older one is silent.
        assert "wss://fstream.binance.com/market/ws/!forceOrder@arr" == rule.url
        assert [rule.ping] == rule.subscribe(["BTCUSDT", "ETHUSDT"])
        assert Said("taken", ("*",)) == rule.read('{"result":["!forceOrder@arr"],"id":1}')
        assert ALIVE == rule.read('{"result":null,"id":1}')
        assert "refused" == rule.read('{"result":[],"id":1}').kind
        assert "refused" == rule.read('{"error":{"code":2,"msg":"Invalid request"}}').kind
        wrapped = json.dumps({"stream": "!forceOrder@arr", "data": json.loads(forced())})
        assert rule.read(forced()) == rule.read(wrapped)

    def test_bybit_tells_a_message_by_its_mark(self) -> None:
        """The answer names no topic; a refusal brings the venue's words."""
        linear, inverse = roll()["bybit"].liquidation_feed().feeds  # type: ignore[attr-defined]
        assert linear.url.endswith("/linear")
        assert inverse.url.endswith("/inverse")
        (message,) = linear.subscribe(["BTCUSDT", "1000PEPEUSDT"])
        asked = json.loads(message)
        assert ["allLiquidation.BTCUSDT", "allLiquidation.1000PEPEUSDT"] == asked["args"]
        mark = asked["req_id"]
        assert linear.mark(["BTCUSDT", "1000PEPEUSDT"]) == mark
        told = {"success": True, "ret_msg": "", "conn_id": "a", "req_id": mark, "op": "subscribe"}
        assert Said("taken", answers=mark) == linear.read(json.dumps(told))
        bad = {**told, "success": False, "ret_msg": "error:handler not found"}
        assert Said("refused", words="error:handler not found", answers=mark) == linear.read(
            json.dumps(bad)
        )
        again = {**bad, "ret_msg": "error:already subscribed,topic:allLiquidation.BTCUSDT"}
        heard = linear.read(json.dumps(again))
        assert isinstance(heard, Said)
        assert ("refused", ("BTCUSDT",), mark) == (heard.kind, heard.symbols, heard.answers)
        for pong in ('{"success":true,"ret_msg":"pong","op":"ping"}', '{"op":"pong"}'):
            assert ALIVE == linear.read(pong)

    def test_okx_takes_all_swaps_at_once(self) -> None:
        """One argument; the text ping, its pong, notices and errors."""
        (message,) = okx_liquidations.subscribe(["BTC-USDT-SWAP", "ETH-USDT-SWAP"])
        arg = {"channel": "liquidation-orders", "instType": "SWAP"}
        assert {"op": "subscribe", "args": [arg]} == json.loads(message)
        read = okx_liquidations.read
        assert ALIVE == read("pong")
        assert Said("taken", ("*",)) == read(json.dumps({"event": "subscribe", "arg": arg}))
        assert ALIVE == read('{"event":"notice","code":"64008","msg":"upgrade"}')
        assert Said("refused", words="60018 Wrong") == read(
            '{"event":"error","code":"60018","msg":"Wrong"}'
        )

    def test_gate_carries_the_time(self) -> None:
        """Messages with the second they are sent in, a number; a socket a settlement currency."""
        feeds = roll()["gateio"].liquidation_feed().feeds  # type: ignore[attr-defined]
        assert ["usdt", "btc", "usd1"] == [feed.url.rpartition("/")[2] for feed in feeds]
        assert all("fx-ws.gateio.ws" in feed.url for feed in feeds)
        (message,) = feeds[0].subscribe(["BTC_USDT"])
        for text in (message, feeds[0].ping):
            assert 1789412345 == json.loads(text.replace("@seconds", "1789412345"))["time"]
        asked = json.loads(message.replace("@seconds", "1"))
        assert (["!all"], "subscribe") == (asked["payload"], asked["event"])
        told = {"time": 1, "channel": "futures.public_liquidates", "event": "subscribe"}
        taken = {**told, "error": None, "result": {"status": "success"}}
        assert Said("taken", ("*",)) == feeds[0].read(json.dumps(taken))
        refused = {**told, "error": {"code": 2, "message": "unknown"}, "result": None}
        assert "refused" == feeds[0].read(json.dumps(refused)).kind
        assert ALIVE == feeds[0].read('{"time":1,"channel":"futures.pong","event":""}')

    def test_lighter_answers_signs_of_life(self) -> None:
        """A ping of the server wants a pong; the first frame of a market acknowledges it."""
        read = lighter_liquidations.read
        assert ['{"type":"subscribe","channel":"trade/1"}'] == lighter_liquidations.subscribe(["1"])
        assert Said("alive", reply='{"type":"pong"}') == read('{"type":"ping"}')
        assert ALIVE == read('{"type":"connected","session_id":"x"}')
        assert "1" == rows_of("lighter", lighter("subscribed/trade")).taken
        assert None is rows_of("lighter", lighter()).taken
        already = {"error": {"code": 30003, "message": "Already Subscribed to : trade:3"}}
        assert Said("taken", ("3",)) == read(json.dumps(already))
        other = {"type": "error", "code": 30009, "message": "Too Many Messages!"}
        assert Said("refused", words="30009 Too Many Messages!") == read(json.dumps(other))
        quiet = read('{"channel":"trade:0","type":"update/trade","trades":[]}')
        assert isinstance(quiet, Closings)
        assert [] == quiet

    def test_deribit_accepts_by_name(self) -> None:
        """What is refused is silently not among them; a test request wants a test."""
        read = deribit_liquidations.read
        (message,) = deribit_liquidations.subscribe(["BTC-PERPETUAL", "SOL_USDC-PERPETUAL"])
        asked = json.loads(message)["params"]["channels"]
        assert ["trades.BTC-PERPETUAL.100ms", "trades.SOL_USDC-PERPETUAL.100ms"] == asked
        taken = {"jsonrpc": "2.0", "id": 1, "result": asked[:1]}
        assert Said("taken", ("BTC-PERPETUAL",)) == read(json.dumps(taken))
        assert ALIVE == read('{"jsonrpc":"2.0","id":2,"result":{"version":"1.2.26"}}')
        beat = {"method": "heartbeat", "params": {"type": "test_request"}}
        heard = read(json.dumps(beat))
        assert isinstance(heard, Said)
        assert "public/test" == json.loads(heard.reply or "")["method"]
        error = '{"jsonrpc":"2.0","id":1,"error":{"code":10028,"message":"too_many_requests"}}'
        assert Said("refused", words="10028 too_many_requests") == read(error)

    @pytest.mark.parametrize("venue", roll())
    def test_rules_keep_to_what_is_known(self, venue: str) -> None:
        """Pings come often enough for each venue's patience, and silence is longer than a ping."""
        one = roll()[venue]
        if not isinstance(one, LiquidationFeed):
            return
        patience = {"okx": 30, "lighter": 120, "bybit": 600}
        for rule in one.liquidation_feed().feeds:
            assert venue == rule.venue
            assert rule.ping is not None
            assert rule.ping_seconds < patience.get(venue, 60)
            assert 2 * rule.ping_seconds < rule.silence_seconds
            assert rule.url.split("/")[2].partition(":")[0] in one.hosts


RECORDED = {
    "binance-forceOrder": (
        "binance",
        [
            ("BTCUSD_200925", "long", 3.0, 9352.7),
            ("ILVUSDT", "long", 116.5, 3.85642),
            ("XRPUSDT", "short", 127.2, 1.4912),
            ("MANTAUSDT", "long", 2049.1, 0.0722187),
            ("BTCUSDT", "short", 0.014, 4706.04),
            ("BTCUSDT", "long", 0.014, 9910.12345678),
        ],
    ),
    "aster-forceOrder": ("binance", [("BTCUSDT", "short", 0.014, 4706.04)]),
    "bybit-allLiquidation": (
        "bybit",
        [
            ("PIPPINUSDT", "short", 2846.0, 0.02456),
            ("BTCUSDT", "long", 0.006, 82396.9),
            ("BTCUSDT", "long", 0.038, 82394.3),
            ("ICPUSDT", "long", 19.7, 2.585),
            ("MARSCOINUSDT", "short", 2380.0, 0.12734),
        ],
    ),
    "okx-liquidation-orders": (
        "okx",
        [
            ("GRASS-USDT-SWAP", "long", 338.0, 0.6806),
            ("CELO-USDT-SWAP", "short", 19979.0, 0.09583),
            ("CNPY-USDT-SWAP", "short", 2137.0, 0.4162),
        ],
    ),
    # A short was closed: its size before was negative. It was told twice.
    "lighter-trade": ("lighter", [("1", "short", 0.01664, 75602.8)] * 2),
    # The maker was liquidated by a taker who bought.
    "deribit-trades": ("deribit", [("BTC-PERPETUAL", "long", 2500.0, 4458.5)]),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_the_venues_really_sent(name: str) -> None:
    """Every recorded frame is read, none is noise, and no row is lost."""
    path = RECORDINGS / "ws" / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    venue, expected = RECORDED[name]
    texts = [json.loads(line) for line in path.read_text().splitlines()]
    heard = [READERS[venue](row["text"]) for row in texts if row["dir"] == "in"]
    rows = [one for one in heard if isinstance(one, Closings)]
    assert len(heard) == len(rows)
    assert 0 == sum(one.bad for one in rows)
    found = [(one.symbol, one.side, one.count, one.price) for same in rows for one in same]
    assert expected == found


def test_the_flag_is_true_for_either_source() -> None:
    """Requests or a feed: the catalogue says `liquidations` of both."""
    able = {venue.id for venue in roll().values() if capabilities(venue)["liquidations"]}
    fed = {venue.id for venue in roll().values() if isinstance(venue, LiquidationFeed)}
    asked = {venue.id for venue in roll().values() if isinstance(venue, ByRequest)}
    assert {"aster", "binance", "bybit", "deribit", "gateio", "lighter", "okx"} == fed
    assert {"gateio", "okx"} == asked
    assert able == fed | asked
    assert {"liquidations": LiquidationFeed} == FEEDS
