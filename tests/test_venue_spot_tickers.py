"""Spot at binance, gateio, bybit and okx: units, halted pairs, and what is no coin."""

from typing import Any

import pytest
from wires import RECORDINGS, SAMPLES, Answers, recorded, sample
from worlds import MARKET, NOW, envelope, world

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import binance_spot, bybit_spot, gateio_spot, okx_spot, roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.pairs import Pair

pytestmark = pytest.mark.anyio

AT = 1_789_412_345_678
REJECTED = VenueRejected("rejected: not in bulk")


def asking(venue: str, *coins: str, failing: dict[str, VenueError] | None = None) -> Ask:
    """An ask over our samples of spot."""
    answers = Answers(SAMPLES / f"{venue}-spot.har", failing)
    return Ask(venue, answers, coins=coins, deadline=1e9)  # type: ignore[arg-type]


def asked(ask: Ask) -> list[str]:
    """The paths that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.split("/", 3)[3] for url in urls]


async def ask_rows(ask: Ask) -> dict[str, SpotRow]:
    """The rows by coin."""
    return {row.coin: row for row in await roll()[ask.venue].spot(ask)}  # type: ignore[attr-defined]


async def rows(venue: str, *coins: str) -> dict[str, SpotRow]:
    """The rows of coins over our samples."""
    return await ask_rows(asking(venue, *coins))


def wire(doc: Any) -> Wire:
    """An answer that holds this document."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


class TestBinance:
    """Percent, a list of symbols, closeTime."""

    async def test_a_ticker(self) -> None:
        """`priceChangePercent` is in percent already; volume in coins."""
        btc = (await rows("binance", "BTC", "ETH", "SOL"))["BTC"]
        assert (80000.01, 80000.0, 80000.02) == (btc.price, btc.bid, btc.ask)
        assert (28412.1, 1.42, "USDT") == (btc.volume24h, btc.change24h_pct, btc.quote)
        assert ("BTCUSDT", 1_789_412_345_000, None) == (btc.symbol, btc.venue_time, btc.stale)

    async def test_an_old_ticker_is_stale(self) -> None:
        """closeTime 145 s before it was read: kept and marked."""
        sol = (await rows("binance", "BTC", "ETH", "SOL"))["SOL"]
        assert (150.0, True) == (sol.price, sol.stale)

    async def test_a_thousand_of_them(self) -> None:
        """1000SATS at 0.000028: SATS at 0.000000028, a million units are a billion coins."""
        sats = (await rows("binance", "SATS"))["SATS"]
        assert pytest.approx((2.8e-8, 2.79e-8, 1e9)) == (sats.price, sats.bid, sats.volume24h)

    async def test_what_is_no_live_coin_is_not_listed(self) -> None:
        """Halted, not for spot, money, leveraged tokens: nothing is asked about them."""
        ask = asking("binance", "FTM", "XYZ", "EUR", "BTC3L")
        assert {} == await ask_rows(ask)
        assert 1 == len(asked(ask))
        assert not {"FTM", "XYZ", "EUR", "BTC3L"} & set(ask.universe)
        assert {"BTC", "USDC", "币安人生"} <= set(ask.universe)

    async def test_two_rounds_of_one_request(self) -> None:
        """The slim list of what trades, then the tickers asked for: weight 2 and not 80."""
        ask = asking("binance", "BTC", "ETH", "SOL")
        await ask_rows(ask)
        first, second = asked(ask)
        assert "api/v3/exchangeInfo?showPermissionSets=false&symbolStatus=TRADING" == first
        symbols = "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%2C%22SOLUSDT%22%5D"
        assert f"api/v3/ticker/24hr?{symbols}" == second
        call = binance_spot.spot_tickers(binance_spot.SPOT_HOST, ("BTCUSDT",) * 20)
        assert (2, 40) == (
            call.weight,
            binance_spot.spot_tickers(binance_spot.SPOT_HOST, ("BTCUSDT",) * 21).weight,
        )

    async def test_one_by_one_where_several_are_refused(self) -> None:
        """The same rows; the one that fails is said."""
        ask = asking("binance", "BTC", "ETH", "SOL", failing={"symbols=": REJECTED})
        found = await ask_rows(ask)
        assert {"BTC": 80000.01, "SOL": 150.0} == {c: r.price for c, r in found.items()}
        assert "missing: no ticker of ETHUSDT" in ask.shortfalls

    async def test_the_mirror_answers_where_the_venue_does_not_serve(self) -> None:
        """Market data only, by the venue itself."""
        geo = VenueBlocked("geo: http 451, the venue does not serve this location")
        ask = asking("binance", "BTC", failing={"//api.binance.com": geo})
        assert 80000.01 == (await ask_rows(ask))["BTC"].price
        assert [] == ask.shortfalls

    async def test_a_place_that_both_refuse_is_blocked(self) -> None:
        """The reason is told as such."""
        geo = VenueBlocked("geo: http 451, the venue does not serve this location")
        with pytest.raises(VenueBlocked):
            await ask_rows(asking("binance", "BTC", failing={"https://": geo}))

    async def test_without_the_list(self) -> None:
        """Well-known coins by their usual symbol."""
        ask = asking(
            "binance", "BTC", "MOVE", failing={"exchangeInfo": VenueTimeout("timeout: 6 s")}
        )
        assert ["BTC"] == list(await ask_rows(ask))
        assert [
            "timeout: 6 s (spot/exchangeInfo)",
            "missing: no price of MOVE without the list of pairs",
        ] == ask.shortfalls

    async def test_the_recordings(self) -> None:
        """April 2026: 67,773.99, -2.364 %; November 2024: two in one answer."""
        answers = recorded_answers("binance")
        ask = Ask("binance", answers, coins=("BTC", "ETH"), deadline=1e9)
        found = await ask_rows(ask)
        assert (69624.0, 69624.0, 69624.01) == (
            found["BTC"].price,
            found["BTC"].bid,
            found["BTC"].ask,
        )
        single = recorded("binance", binance_spot.spot_ticker("api.binance.com", "BTCUSDT"))
        row = binance_spot.read_spot(
            binance_spot.parse_spot_rows(single)["BTCUSDT"],
            Pair("BTCUSDT", "BTC", 1, "USDT"),
            single,
        )
        assert (67773.99, -2.364) == (row.price, row.change24h_pct)


class TestGateio:
    """Percent, funds that carry a coin's name, untradable pairs."""

    async def test_a_ticker(self) -> None:
        """`change_percentage` is in percent already; the venue tells no time."""
        btc = (await rows("gateio", "BTC"))["BTC"]
        assert (80001.0, 80000.0, 80001.0, 921.4) == (btc.price, btc.bid, btc.ask, btc.volume24h)
        assert (1.4, "USDT", "BTC_USDT", None) == (
            btc.change24h_pct,
            btc.quote,
            btc.symbol,
            btc.venue_time,
        )

    async def test_a_last_trade_outside_the_book(self) -> None:
        """2,010 over 2,000.2: (2000 + 2000.2) / 2; an empty book leaves the last trade."""
        found = await rows("gateio", "ETH", "SOL")
        assert (2000.1, 150.0) == (found["ETH"].price, found["SOL"].price)
        assert (None, None) == (found["SOL"].bid, found["SOL"].ask)

    async def test_what_is_no_live_coin_is_not_listed(self) -> None:
        """Leveraged tokens, untradable pairs, pre-markets."""
        ask = asking("gateio", "BTC3L", "FTM", "NEW")
        assert {} == await ask_rows(ask)
        assert not {"BTC3L", "FTM", "NEW"} & set(ask.universe)

    async def test_one_round_of_two_requests(self) -> None:
        """Every ticker beside the list."""
        ask = asking("gateio", "BTC", "ETH")
        await ask_rows(ask)
        assert {"api/v4/spot/tickers", "api/v4/spot/currency_pairs"} == set(asked(ask))
        assert ["spot/tickers"] == ask.labels

    async def test_a_pair_without_a_row_is_asked_alone(self) -> None:
        """DOGE is listed, and the bulk answer has lost it."""
        assert 0.2 == (await rows("gateio", "BTC", "DOGE"))["DOGE"].price

    async def test_a_piece_of_the_list_is_no_list(self) -> None:
        """The recording of 2026 has no bitcoin in its list and none in its bulk tickers.

        The ticker of BTC_USDT alone: last 66,790.9 is 12 bps over the ask, so the midpoint of
        66,709.9 and 66,710 counts.
        """
        answers = recorded_answers("gateio")
        ask = Ask("gateio", answers, coins=("BTC",), deadline=1e9)
        btc = (await ask_rows(ask))["BTC"]
        assert (66709.95, -1.45) == (btc.price, btc.change24h_pct)
        assert ["missing: most of the list of pairs"] == ask.shortfalls


class TestBybit:
    """Fractions, stocks by symbolType, empty strings."""

    async def test_a_ticker(self) -> None:
        """`price24hPcnt` is a fraction: 0.0127 is 1.27 %."""
        btc = (await rows("bybit", "BTC"))["BTC"]
        assert (80002.5, 80002.0, 80003.0, 7000.5) == (btc.price, btc.bid, btc.ask, btc.volume24h)
        assert pytest.approx(1.27) == btc.change24h_pct
        assert ("USDT", "BTCUSDT", 1_789_412_345_600) == (btc.quote, btc.symbol, btc.venue_time)

    async def test_zeros_and_empty_strings_are_nothing(self) -> None:
        """A book of zeros is none; without a last trade the midpoint is the price."""
        found = await rows("bybit", "ETH", "PNUT")
        assert (2000.0, None, None) == (found["ETH"].price, found["ETH"].bid, found["ETH"].ask)
        pnut = found["PNUT"]
        assert pytest.approx(0.1001) == pnut.price
        assert (None, None) == (pnut.volume24h, pnut.change24h_pct)

    async def test_stocks_and_what_does_not_trade_are_not_listed(self) -> None:
        """MOVE is a stock there, SOL is before its launch, BTC3L is leveraged."""
        ask = asking("bybit", "MOVE", "SOL", "BTC3L")
        assert {} == await ask_rows(ask)
        assert not {"MOVE", "SOL", "BTC3L"} & set(ask.universe)

    def test_a_recorded_answer(self) -> None:
        """March 2023: BTC 22,418.78 with 0.0037 up, which is 0.37 %."""
        found = recorded("bybit", bybit_spot.TICKERS)
        pair = Pair("BTCUSDT", "BTC", 1, "USDT")
        row = bybit_spot.read_spot(bybit_spot.parse_spot_rows(found)["BTCUSDT"], pair, found)
        assert (22418.78, 22418.78, 22419.85) == (row.price, row.bid, row.ask)
        assert pytest.approx(0.37) == row.change24h_pct
        assert 3210.626453 == row.volume24h


class TestOkx:
    """vol24h in coins, no percent, categories."""

    async def test_a_ticker(self) -> None:
        """80,000 against 78,125 is +2.4 %; `vol24h` counts coins, `volCcy24h` dollars."""
        btc = (await rows("okx", "BTC"))["BTC"]
        assert (80000.0, 79999.9, 80000.1, 8000.5) == (btc.price, btc.bid, btc.ask, btc.volume24h)
        assert pytest.approx(2.4) == btc.change24h_pct
        assert ("USDT", "BTC-USDT", 1_789_412_345_100) == (btc.quote, btc.symbol, btc.venue_time)

    async def test_what_is_not_told_is_null(self) -> None:
        """No opening price, no change; an old ticker is marked."""
        found = await rows("okx", "ETH", "SOL")
        assert found["ETH"].change24h_pct is None
        assert (True, 0.0) == (found["SOL"].stale, found["SOL"].change24h_pct)

    async def test_other_dollars_where_there_is_no_tether(self) -> None:
        """OKB has a market in USDC alone; its ticker is empty: missing, not zero."""
        ask = asking("okx", "OKB", "BTC")
        assert ["BTC"] == list(await ask_rows(ask))
        assert ["changed: the ticker of OKB-USDC could not be read"] == ask.shortfalls

    async def test_stocks_and_suspended_pairs_are_not_listed(self) -> None:
        """instCategory 3 is a stock."""
        ask = asking("okx", "TSLA", "FTM")
        assert {} == await ask_rows(ask)
        assert not {"TSLA", "FTM"} & set(ask.universe)

    def test_a_recorded_answer(self) -> None:
        """November 2022: MDT 0.0238 against 0.02388."""
        found = recorded("okx", okx_spot.TICKERS)
        pair = Pair("MDT-USDT", "MDT", 1, "USDT")
        row = okx_spot.read_spot(okx_spot.parse_spot_rows(found)["MDT-USDT"], pair, found)
        assert (0.0238, 0.02377, 0.02382, 4336149.56134) == (
            row.price,
            row.bid,
            row.ask,
            row.volume24h,
        )
        assert pytest.approx((0.0238 / 0.02388 - 1) * 100) == row.change24h_pct


class WithoutBulk(Answers):
    """Answers that refuse the tickers of all, and let the ticker of one pair through."""

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The sample, unless everything is asked at once."""
        if call in (gateio_spot.TICKERS, bybit_spot.TICKERS):
            self.asked.append(call.url)
            raise REJECTED
        return await super().fetch(call, deadline)


@pytest.mark.parametrize("venue", ["gateio", "bybit"])
async def test_one_by_one_where_the_bulk_is_refused(venue: str) -> None:
    """The same row from the ticker of one pair."""
    whole = await rows(venue, "BTC")
    answers = WithoutBulk(SAMPLES / f"{venue}-spot.har")
    ask = Ask(venue, answers, coins=("BTC",), deadline=1e9)  # type: ignore[arg-type]
    assert whole == await ask_rows(ask)
    assert [] == ask.shortfalls
    assert asked(ask)[-1].endswith(("currency_pair=BTC_USDT", "symbol=BTCUSDT"))


async def test_a_refusal_without_a_way_round_is_the_venues() -> None:
    """Nothing single is recorded: the refusal of the bulk answer stands."""
    ask = asking("okx", "BTC", failing={"instType=SPOT": REJECTED})
    with pytest.raises(VenueRejected):
        await ask_rows(ask)


@pytest.mark.parametrize("venue", ["gateio", "bybit", "okx"])
async def test_a_broken_connection_is_not_asked_again_one_by_one(venue: str) -> None:
    """Only a refusal is a reason for that."""
    ask = asking(venue, "BTC", failing={"ticker": VenueTimeout("timeout: 6 s")})
    with pytest.raises(VenueTimeout):
        await ask_rows(ask)


@pytest.mark.parametrize("venue", ["gateio", "bybit", "okx"])
async def test_without_the_list_well_known_coins_are_answered(venue: str) -> None:
    """By their usual symbol; a ticker of a name that may be a stock is not shown for a coin."""
    lists = {"currency_pairs": VenueHttp(503), "instruments": VenueHttp(503)}
    ask = asking(venue, "BTC", "MOVE", failing=dict(lists))
    assert ["BTC"] == list(await ask_rows(ask))
    assert "missing: no price of MOVE without the list of pairs" in ask.shortfalls


@pytest.mark.parametrize(
    ("parse", "doc"),
    [
        (gateio_spot.parse_spot_rows, {"label": "?"}),
        (bybit_spot.parse_spot_rows, {"retCode": 0, "result": {}}),
        (okx_spot.parse_spot_rows, {"code": "0"}),
        (binance_spot.parse_spot_pairs, []),
        (gateio_spot.parse_spot_pairs, [{"id": "BTC_USDT"}]),
        (bybit_spot.parse_spot_pairs, {"result": {"list": [{"symbol": "BTCUSDT"}]}}),
        (okx_spot.parse_spot_pairs, {"data": [{"instId": "BTC-USDT"}]}),
    ],
)
def test_a_changed_answer_is_refused(parse: Any, doc: Any) -> None:
    """Never read as an empty market."""
    with pytest.raises((VenueChanged, TypeError)):
        wire(doc).parsed(parse)


def recorded_answers(venue: str) -> Any:
    """The recordings of a venue, answered as the replay does; skips where they are absent."""
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    return Answers(path)


class TestMarkets:
    """Spot pairs as venues list them."""

    async def test_binance_lists_pairs(self) -> None:
        """Pairs that trade; money and leveraged tokens have no coin, 1000SATS is SATS."""
        ask = asking("binance")
        found = {row.symbol: row for row in await binance_spot.ask_binance_pairs(ask)}
        assert ("spot", "BTC", "BTC/USDT spot") == told(found["BTCUSDT"])
        assert ("spot", "ETH", "ETH/BTC spot") == told(found["ETHBTC"])
        assert "SATS" == found["1000SATSUSDT"].coin
        assert [None, None] == [found[name].coin for name in ("EURUSDT", "BTC3LUSDT")]
        assert [] == ask.shortfalls

    async def test_the_mirror_lists_them_where_binance_refuses_the_place(self) -> None:
        """The contracts are refused there, and said to be; pairs of the mirror remain."""
        geo = VenueBlocked("geo: http 451")
        ask = asking("binance", failing={"api.binance.com": geo})
        ask.coins = None
        found = await roll()["binance"].markets(ask)  # type: ignore[attr-defined]
        assert {"spot"} == {row.kind for row in found}
        assert 2 == len(ask.shortfalls)

    async def test_without_any_list_binance_fails(self) -> None:
        """Nothing is answered for an empty list of markets."""
        ask = asking("binance", failing={"binance": VenueHttp(503)})
        with pytest.raises(VenueHttp):
            await roll()["binance"].markets(ask)  # type: ignore[attr-defined]

    async def test_bybit_lists_pairs(self) -> None:
        """A stock has no coin, what does not trade yet is not listed."""
        found, bad = wire(sample_of("bybit", bybit_spot.PAIRS)).parsed(
            bybit_spot.parse_spot_markets
        )
        rows = {row.symbol: row for row in found}
        assert 0 == bad
        assert ("spot", "BTC", "BTC/USDT spot") == told(rows["BTCUSDT"])
        assert [None, None] == [rows[name].coin for name in ("MOVEUSDT", "BTC3LUSDT")]
        assert "SOLUSDT" not in rows

    @pytest.mark.parametrize("doc", [{"symbols": [{}, {}]}, {"result": {"list": [1]}}, []])
    async def test_a_list_that_cannot_be_read_is_told(self, doc: Any) -> None:
        """It shortens the answer and leaves the contracts theirs."""
        ask = asking("bybit")
        assert [] == bybit_spot.read_spot_list(ask, wire(doc))
        assert ask.shortfalls[0].startswith("changed")

    @pytest.mark.parametrize("venue", ["binance", "bybit"])
    async def test_the_simulated_markets_spot_is_listed(self, venue: str) -> None:
        """Every live pair of the market, each once, beside the contracts of the same name."""
        truth = {i.symbol for i in MARKET.listings(venue, NOW) if i.kind == "spot"}
        live = {i.symbol for i in MARKET.listings(venue, NOW) if (i.kind, i.status) == LIVE}
        async with world() as app:
            rows: list[dict[str, Any]] = []
            for page in range(2):
                found = await envelope(app, "get_markets", exchange=venue, pageSize=500, page=page)
                rows += found["data"]["markets"]
            assert not found["meta"]["partial"]
        spot = [row["symbol"] for row in rows if row["kind"] == "spot"]
        assert sorted(spot) == sorted(set(spot))
        assert live == set(spot) & truth


LIVE = ("spot", "live")


def told(row: Any) -> tuple[str, str | None, str]:
    """What a row of a list says."""
    return row.kind, row.coin, row.label


def sample_of(venue: str, call: Call) -> Any:
    """The document of a sample of spot."""
    return sample(f"{venue}-spot", call).doc
