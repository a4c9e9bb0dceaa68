"""Kraken: answers under other names, errors in HTTP 200, and what 24 hours ago is."""

from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.kraken import (
    PAIRS,
    Kraken,
    candles,
    parse_markets,
    parse_pairs,
    price_at,
    read_ticker,
    tickers,
)
from mmflow_mcp.venues.pairs import Pair

pytestmark = pytest.mark.anyio

VENUE = Kraken()
AT = 1_789_412_345_678
# 24 h before it: 2026-09-13T18:59:05.678Z, in the candle of 18:55.
DAY_BEFORE, CANDLE_S = AT - 86_400_000, 1_789_325_700


def asked(ask: Ask) -> list[str]:
    """The paths that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.partition("/public/")[2] for url in urls]


async def rows(*coins: str, failing: dict[str, VenueError] | None = None) -> dict[str, SpotRow]:
    """The spot rows of coins over our samples."""
    return {r.coin: r for r in await VENUE.spot(asking("kraken", *coins, failing=failing))}


class TestPairs:
    """What the list of pairs tells."""

    def test_a_coin_is_known_by_its_readable_name(self) -> None:
        """XBT is BTC, XDG is DOGE; LUNA is the old chain there and LUNA2 the new one."""
        pairs, bad = sample("kraken", PAIRS).parsed(parse_pairs)
        assert {
            "BTC": "XXBTZUSD",
            "DOGE": "XDGUSD",
            "ETH": "XETHZUSD",
            "LUNA": "LUNA2USD",
            "LUNC": "LUNAUSD",
            "SOL": "SOLUSD",
            "USDT": "USDTZUSD",
        } == {coin: pair.symbol for coin, pair in pairs.items()}
        assert 0 == bad

    def test_what_is_no_coin_in_dollars_is_left_out(self) -> None:
        """Money, tokenised stocks, dark pools, halted pairs."""
        pairs, _ = sample("kraken", PAIRS).parsed(parse_pairs)
        assert not {"EUR", "AAPL", "AAPLX", "AAPLx", "XMR"} & pairs.keys()
        assert "XXBTZUSD.d" not in {pair.symbol for pair in pairs.values()}

    def test_discovery_tells_what_trades(self) -> None:
        """Stocks and money without a coin, halted pairs and dark pools not at all."""
        found, bad = sample("kraken", PAIRS).parsed(parse_markets)
        coins = {row.symbol: row.coin for row in found}
        assert (None, None, "BTC") == (coins["AAPLxUSD"], coins["ZEURZUSD"], coins["XXBTZEUR"])
        assert not {"XXMRZUSD", "XXBTZUSD.d"} & coins.keys()
        assert 0 == bad

    def test_the_recorded_list(self) -> None:
        """2018, without a status: bitcoin in dollars, dark pools left out."""
        pairs, bad = recorded("kraken", PAIRS).parsed(parse_pairs)
        assert ("XXBTZUSD", "XBTUSD", "USD") == (
            pairs["BTC"].symbol,
            pairs["BTC"].alias,
            pairs["BTC"].quote,
        )
        assert 0 == bad

    @pytest.mark.parametrize("doc", [{}, {"result": []}, [], {"result": {"X": {"wsname": 5}}}])
    def test_a_changed_list_is_refused(self, doc: Any) -> None:
        """Not a list of other things."""
        with pytest.raises(VenueChanged):
            Wire(doc, fetched_at=AT, read=0.0, size=0).parsed(parse_pairs)


class TestSpot:
    """Tickers of several pairs in one answer."""

    async def test_a_ticker(self) -> None:
        """Last, bid and ask; index 1 of the volumes is of 24 hours."""
        btc = (await rows("BTC", "ETH", "SOL"))["BTC"]
        assert (80005.0, 80000.0, 80010.0, 400.25) == (btc.price, btc.bid, btc.ask, btc.volume24h)
        assert ("USD", "XXBTZUSD", AT, None) == (
            btc.quote,
            btc.symbol,
            btc.fetched_at,
            btc.venue_time,
        )

    async def test_the_change_is_not_since_midnight(self) -> None:
        """80,005 against 78,438.2 at 18:55 the day before: +1.9975 %; `o` would say +14.29 %."""
        btc = (await rows("BTC", "ETH", "SOL"))["BTC"]
        assert pytest.approx((80005.0 / 78438.2 - 1) * 100) == btc.change24h_pct
        assert pytest.approx(1.9975, abs=1e-4) == btc.change24h_pct

    async def test_no_candle_no_change(self) -> None:
        """A gap where 24 h ago should be, or no candles at all: null."""
        found = await rows("BTC", "ETH", "SOL")
        assert (None, None) == (found["ETH"].change24h_pct, found["SOL"].change24h_pct)

    async def test_an_answer_under_another_name_is_found(self) -> None:
        """XETHZUSD was asked and ETHUSD came."""
        eth = (await rows("BTC", "ETH", "SOL"))["ETH"]
        assert (2000.1, 5000.75, "XETHZUSD") == (eth.price, eth.volume24h, eth.symbol)

    async def test_a_coin_of_the_venues_own_name(self) -> None:
        """LUNA there is LUNC; tether in dollars is a market like any other."""
        assert 0.000045 == (await rows("LUNC"))["LUNC"].price
        usdt = (await rows("USDT"))["USDT"]
        assert (0.9991, 0.9990, 0.9992) == (usdt.price, usdt.bid, usdt.ask)

    async def test_a_last_trade_outside_the_book_is_not_the_price(self) -> None:
        """DOGE last traded at 0.25 over an ask of 0.2001: (0.2000 + 0.2001) / 2."""
        assert pytest.approx(0.20005) == (await rows("DOGE"))["DOGE"].price

    async def test_one_request_for_all_tickers_and_a_candle_each(self) -> None:
        """Two rounds; the candles last half a day and are not named as a source."""
        ask = asking("kraken", "BTC", "ETH", "SOL")
        await VENUE.spot(ask)
        assert "AssetPairs" == asked(ask)[0]
        assert {
            "Ticker?pair=XXBTZUSD%2CXETHZUSD%2CSOLUSD",
            "OHLC?pair=XXBTZUSD&interval=5",
            "OHLC?pair=XETHZUSD&interval=5",
            "OHLC?pair=SOLUSD&interval=5",
        } == set(asked(ask)[1:])
        assert ["Ticker"] == ask.labels
        assert 12 * 3600 == candles("XXBTZUSD").fresh
        # An older copy than that is no stand-in.
        assert 0 == candles("XXBTZUSD").keep

    async def test_a_pair_that_has_gone_does_not_take_the_others_with_it(self) -> None:
        """The venue refuses all where it does not know one; then each is asked."""
        gone = VenueRejected("rejected: the venue knows no such pair")
        ask = asking("kraken", "BTC", "ETH", "DOGE", failing={"pair=XETHZUSD": gone, "%2C": gone})
        assert ["BTC", "DOGE"] == [row.coin for row in await VENUE.spot(ask)]
        assert "missing: no ticker of XETHZUSD" in ask.shortfalls
        assert "ETH" in ask.universe

    async def test_candles_that_fail_leave_the_change_unknown(self) -> None:
        """The price is told; the reason is noted."""
        ask = asking("kraken", "BTC", failing={"OHLC": VenueHttp(503)})
        (btc,) = await VENUE.spot(ask)
        assert (80005.0, None) == (btc.price, btc.change24h_pct)
        assert ["http 503 (OHLC)"] == ask.shortfalls

    async def test_well_known_coins_do_without_the_list(self) -> None:
        """XBTUSD is asked and XXBTZUSD comes back."""
        ask = asking("kraken", "BTC", failing={"AssetPairs": VenueTimeout("timeout: 6 s")})
        (btc,) = await VENUE.spot(ask)
        assert (80005.0, "XBTUSD") == (btc.price, btc.symbol)
        assert "timeout: 6 s (AssetPairs)" in ask.shortfalls

    async def test_unknown_coins_cost_nothing(self) -> None:
        """No request but the list."""
        ask = asking("kraken", "NOSUCH", "AAPL")
        assert [] == await VENUE.spot(ask)
        assert ["AssetPairs"] == asked(ask)

    async def test_a_failed_ticker_fails_the_venue(self) -> None:
        """Not a row without a price."""
        with pytest.raises(VenueTimeout):
            await VENUE.spot(asking("kraken", "BTC", failing={"Ticker": VenueTimeout("timeout")}))

    @pytest.mark.parametrize("name", ["a", "b", "c", "v"])
    async def test_missing_members_make_no_row(self, name: str) -> None:
        """A ticker without its last price, book or volumes is not guessed at."""
        call = tickers(("XXBTZUSD",))
        wire = sample("kraken", call)
        row = {k: v for k, v in wire.doc["result"]["XXBTZUSD"].items() if k != name}
        doc = {"error": [], "result": {"XXBTZUSD": row}}
        pair = Pair("XXBTZUSD", "BTC", 1, "USD", "XBTUSD")
        with pytest.raises(KeyError):
            read_ticker(Wire(doc, fetched_at=AT, read=0.0, size=0), pair, NOTHING)


class TestCandles:
    """The price at a moment in the past."""

    @pytest.mark.parametrize(
        ("at_s", "expected"),
        [
            (CANDLE_S - 301, None),
            (CANDLE_S - 300, 79000.0),
            (CANDLE_S - 1, 79000.0),
            (CANDLE_S, 78438.2),
            (CANDLE_S + 299, 78438.2),
            (CANDLE_S + 599, 78500.0),
            (CANDLE_S + 600, None),
        ],
    )
    def test_the_candle_that_holds_the_moment(self, at_s: int, expected: float | None) -> None:
        """Its opening price; before the first and after the last there is none."""
        assert expected == price_at(sample("kraken", candles("XXBTZUSD")), at_s * 1000)

    @pytest.mark.parametrize(
        "doc", [{}, {"result": {}}, {"result": {"X": [[1]]}}, [], {"result": {"X": 5, "last": 1}}]
    )
    def test_candles_in_another_shape_tell_nothing(self, doc: Any) -> None:
        """The change is unknown then, the price is not."""
        assert price_at(Wire(doc, fetched_at=AT, read=0.0, size=0), DAY_BEFORE) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":["EGeneral:Too many requests"]}', VenueRateLimited),
        (b'{"error":["EAPI:Rate limit exceeded"]}', VenueRateLimited),
        (b'{"error":["EGeneral:Temporary lockout"]}', VenueRateLimited),
        (b'{"error":["EService:Unavailable"]}', VenueHttp),
        (b'{"error":["EService:Busy"]}', VenueHttp),
        (b'{"error":["EQuery:Unknown asset pair"]}', VenueRejected),
        (b'{"error":["EGeneral:Invalid arguments"],"result":{}}', VenueRejected),
        (b'{"error":[],"result":{}}', type(None)),
    ],
)
def test_errors_come_with_http_200(body: bytes, kind: type) -> None:
    """The throttle too: a status alone tells nothing there."""
    assert kind is type(VENUE.refusal(200, body))


def test_a_recorded_ticker() -> None:
    """BCHEUR of 2017: 24 h of volume are 4,433.77 and not the 23.19 since midnight."""
    wire = recorded("kraken", tickers(("BCHEUR",)))
    row = read_ticker(wire, Pair("BCHEUR", "BCH", 1, "EUR"), NOTHING)
    assert row is not None
    assert (355.4, 354.3, 355.4) == (row.price, row.bid, row.ask)
    assert (4433.77288826, None) == (row.volume24h, row.change24h_pct)


def test_it_stands_in_the_roll() -> None:
    """Found by its file, named as the contract names it."""
    venue = roll()["kraken"]
    assert ("Kraken", "cex", "live") == (venue.name, venue.kind, venue.status)
