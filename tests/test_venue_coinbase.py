"""Coinbase: dollar prices product by product, and a tape that tells the maker's side."""

import copy
from typing import Any

import pytest
from wires import SAMPLES, Answers, asking, recorded, sample

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import SpotRow, TradePrint
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.coinbase import (
    MAX_PAGES,
    PRODUCTS,
    Coinbase,
    parse_markets,
    parse_pairs,
    parse_trades,
    read_day,
    read_ticker,
    stats,
    tape,
    ticker,
)
from mmflow_mcp.venues.pairs import Pair

pytestmark = pytest.mark.anyio

VENUE = Coinbase()
AT = 1_789_412_345_678
BTC = Pair("BTC-USD", "BTC", 1, "USD")


def asked(ask: Ask) -> list[str]:
    """The paths that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.partition(".com")[2] for url in urls]


def since(since_ms: int | None, *coins: str, failing: dict[str, VenueError] | None = None) -> Ask:
    """An ask for a tape."""
    answers = Answers(SAMPLES / "coinbase.har", failing)
    options = {} if since_ms is None else {"since_ms": since_ms}
    return Ask("coinbase", answers, coins=coins, deadline=1e9, options=options)  # type: ignore[arg-type]


async def rows(*coins: str, failing: dict[str, VenueError] | None = None) -> dict[str, SpotRow]:
    """The spot rows of coins over our samples."""
    return {r.coin: r for r in await VENUE.spot(asking("coinbase", *coins, failing=failing))}


class TestProducts:
    """What the list of products tells."""

    def test_the_dollar_market_speaks_for_a_coin(self) -> None:
        """BTC-USD before BTC-USDT, never BTC-EUR; halted products are none."""
        pairs, bad = sample("coinbase", PRODUCTS).parsed(parse_pairs)
        assert {
            "BTC": "BTC-USD",
            "ETH": "ETH-USD",
            "LCX": "LCX-USDC",
            "PEPE": "PEPE-USD",
            "SOL": "SOL-USD",
            "USDT": "USDT-USD",
        } == {coin: pair.symbol for coin, pair in pairs.items()}
        assert 0 == bad

    def test_a_recorded_list_has_the_majors(self) -> None:
        """The full list of 2021: BTC, ETH and LTC in dollars; tether too."""
        pairs, bad = recorded("coinbase", PRODUCTS).parsed(parse_pairs)
        assert 0 == bad
        assert {"BTC-USD", "ETH-USD", "LTC-USD"} <= {p.symbol for p in pairs.values()}
        assert {"USD"} == {p.quote for c, p in pairs.items() if c in ("BTC", "ETH", "LTC")}

    def test_discovery_tells_what_trades(self) -> None:
        """Money has no coin; what is halted is not listed."""
        found, _ = sample("coinbase", PRODUCTS).parsed(parse_markets)
        coins = {row.symbol: row.coin for row in found}
        assert ("BTC", None) == (coins["BTC-EUR"], coins["EUR-USD"])
        assert not {"FTM-USD", "MOVE-USD", "XLM-USD", "ZRX-USD"} & coins.keys()
        assert {"spot"} == {row.kind for row in found}


class TestSpot:
    """Tickers, one by one, with the statistics of all."""

    async def test_a_ticker_with_its_change(self) -> None:
        """80,800 against 80,000 a day ago is +1 %; volume in coins; the time of the trade."""
        btc = (await rows("BTC"))["BTC"]
        assert (80800.0, 80799.99, 80800.01) == (btc.price, btc.bid, btc.ask)
        assert pytest.approx(1.0) == btc.change24h_pct
        assert (5973.7611196, "USD", "BTC-USD") == (btc.volume24h, btc.quote, btc.symbol)
        assert (AT, 1_789_412_344_123, None) == (btc.fetched_at, btc.venue_time, btc.stale)

    async def test_a_trade_outside_the_book_is_not_the_price(self) -> None:
        """2,010 over an ask of 2,004.10 is 29 bps outside: (2003.90 + 2004.10) / 2."""
        eth = (await rows("ETH"))["ETH"]
        assert (2004.0, None) == (eth.price, eth.venue_time)
        # 2004 / 2000 - 1
        assert pytest.approx(0.2) == eth.change24h_pct

    async def test_an_old_trade_is_not_the_price(self) -> None:
        """Traded 125.7 s ago: (150.00 + 150.10) / 2. Its opening price is not told."""
        sol = (await rows("SOL"))["SOL"]
        assert pytest.approx(150.05) == sol.price
        assert (None, None, None) == (sol.stale, sol.change24h_pct, sol.venue_time)

    async def test_an_old_trade_without_a_book_is_stale(self) -> None:
        """There is nothing better than the last trade, and it says how old it is."""
        pepe = (await rows("PEPE"))["PEPE"]
        assert (0.0000101, True, 1_789_412_220_000) == (pepe.price, pepe.stale, pepe.venue_time)
        assert pytest.approx(1.0) == pepe.change24h_pct

    async def test_a_crossed_book_is_left_out(self) -> None:
        """LCX is bid at 0.06 and asked at 0.04."""
        lcx = (await rows("LCX"))["LCX"]
        assert (0.05, None, None, "USDC") == (lcx.price, lcx.bid, lcx.ask, lcx.quote)

    async def test_two_rounds_and_a_request_a_coin(self) -> None:
        """The list and the statistics of all, then a ticker for each coin."""
        ask = asking("coinbase", "BTC", "ETH", "SOL")
        assert ["BTC", "ETH", "SOL"] == [row.coin for row in await VENUE.spot(ask)]
        assert {"/products", "/products/stats"} == set(asked(ask)[:2])
        assert {f"/products/{c}-USD/ticker" for c in ("BTC", "ETH", "SOL")} == set(asked(ask)[2:])
        assert ["ticker"] == ask.labels

    async def test_statistics_are_asked_one_by_one_where_all_are_refused(self) -> None:
        """The same change, from the documented path."""
        refused = VenueRejected("rejected: the venue knows no such product")
        ask = asking("coinbase", "BTC", "ETH", failing={"/products/stats": refused})
        found = {row.coin: row for row in await VENUE.spot(ask)}
        assert pytest.approx((1.0, 0.2)) == (
            found["BTC"].change24h_pct,
            found["ETH"].change24h_pct,
        )
        assert [] == ask.shortfalls
        assert {"/products/BTC-USD/stats", "/products/ETH-USD/stats"} <= set(asked(ask))

    async def test_statistics_that_time_out_leave_the_change_unknown(self) -> None:
        """The price is told, the change is null, and the reason is noted."""
        ask = asking("coinbase", "BTC", failing={"/products/stats": VenueTimeout("timeout: 6 s")})
        (btc,) = await VENUE.spot(ask)
        assert (80800.0, None) == (btc.price, btc.change24h_pct)
        assert ["timeout: 6 s (stats)"] == ask.shortfalls

    async def test_a_ticker_that_fails_leaves_the_others(self) -> None:
        """One coin is missing and is said to be; it is not unlisted."""
        ask = asking("coinbase", "BTC", "ETH", failing={"ETH-USD/ticker": VenueHttp(503)})
        assert ["BTC"] == [row.coin for row in await VENUE.spot(ask)]
        assert ["http 503 (ticker)", "missing: no ticker of ETH-USD"] == ask.shortfalls
        assert "ETH" in ask.universe

    async def test_halted_and_unknown_coins_are_not_listed(self) -> None:
        """Neither a row nor a request."""
        ask = asking("coinbase", "FTM", "MOVE", "NOSUCH")
        assert [] == await VENUE.spot(ask)
        assert ["/products", "/products/stats"] == sorted(asked(ask))
        assert not {"FTM", "MOVE", "NOSUCH"} & set(ask.universe)

    async def test_well_known_coins_do_without_the_list(self) -> None:
        """BTC-USD is asked by its usual name; a name that may be a stock is not guessed."""
        ask = asking("coinbase", "BTC", "MOVE")
        ask._upstream = Unlisted(ask._upstream)  # type: ignore[assignment]
        assert [80800.0] == [row.price for row in await VENUE.spot(ask)]
        assert "timeout: 6 s (products)" in ask.shortfalls
        assert "missing: no price of MOVE without the list of pairs" in ask.shortfalls

    @pytest.mark.parametrize("price", ["abc", "-1", "NaN", "1e308", None, []])
    def test_absurd_prices_make_no_row(self, price: Any) -> None:
        """A ticker that cannot be read raises, and the caller says so."""
        doc = {**sample("coinbase", ticker("BTC-USD")).doc, "price": price, "bid": "", "ask": ""}
        wire = Wire(doc, fetched_at=AT, read=0.0, size=0)
        with pytest.raises((ValueError, TypeError)):
            read_ticker(wire, BTC, {})

    def test_a_recorded_ticker(self) -> None:
        """27 June 2026: 60,479.56 against 59,929 is +0.9187 %, by the venue's own numbers."""
        wire = recorded("coinbase", ticker("BTC-USD"))
        day = read_day(NOTHING, recorded("coinbase", stats("BTC-USD")), "BTC-USD")
        row = read_ticker(wire, BTC, day)
        assert (60479.56, 60481.64, 60481.65) == (row.price, row.bid, row.ask)
        assert pytest.approx(0.918687, abs=1e-6) == row.change24h_pct
        # 67.01 more were traded by quotation; the book's own volume counts.
        assert 5973.7611196 == row.volume24h

    @pytest.mark.parametrize("doc", [{}, [], None, {"BTC-USD": None}, {"BTC-USD": {"x": 1}}])
    def test_statistics_in_another_shape_tell_nothing(self, doc: Any) -> None:
        """The change is unknown then."""
        assert {} == read_day(Wire(doc, fetched_at=AT, read=0.0, size=0), NOTHING, "BTC-USD")


class Unlisted:
    """An upstream whose list of products cannot be had."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.clock = inner.clock

    def peek(self, call: Any) -> Any:
        """What the inner one knows."""
        return self._inner.peek(call)

    async def fetch(self, call: Any, deadline: float) -> Any:
        """The inner one's answer, but for the list."""
        if call is PRODUCTS:
            raise VenueTimeout("timeout: 6 s")
        return await self._inner.fetch(call, deadline)


class TestTape:
    """Trades: the side is the taker's, and the pages reach back far enough or say so."""

    def test_the_makers_side_is_turned_round(self) -> None:
        """A maker who bought met a taker who sold."""
        found, bad = sample("coinbase", tape("BTC-USD")).parsed(parse_trades, "BTC")
        assert 0 == bad
        assert [("109", "sell"), ("108", "buy"), ("107", "buy")] == [
            (one.trade_id, one.side) for one in found
        ]
        assert (80800.0, 0.5, 1_789_412_344_123) == (found[0].price, found[0].size, found[0].ts)

    def test_the_side_follows_the_tick(self) -> None:
        """In the recording of 2018 the price rose 39 times: 38 of them a taker bought."""
        wire = recorded("coinbase", type(PRODUCTS)(f"{PRODUCTS.url}/btc-usd/trades"))
        found, _ = wire.parsed(parse_trades, "BTC")
        pairs = zip(found[1:], found, strict=False)
        up = [now.side for before, now in pairs if now.price > before.price]
        assert (38, 1) == (up.count("buy"), up.count("sell"))

    async def test_pages_are_walked_back_to_the_time(self) -> None:
        """300 s before the first page was read is 18:54:05.678: six trades less the last one."""
        ask = since(None, "BTC")
        found = await VENUE.trades(ask)
        assert ["109", "108", "107", "106", "105"] == [one.trade_id for one in found]
        assert [] == ask.shortfalls
        assert ["/products", "/products/BTC-USD/trades?limit=1000"] == asked(ask)[:2]
        assert ["/products/BTC-USD/trades?limit=1000&after=107"] == asked(ask)[2:]

    async def test_the_first_page_may_do(self) -> None:
        """A trade older than the time ends the walk; what is not older counts."""
        ask = since(1_789_412_300_000, "BTC")
        assert ["109", "108"] == [one.trade_id for one in await VENUE.trades(ask)]
        assert 2 == len(asked(ask))

    async def test_an_empty_page_is_the_beginning_of_history(self) -> None:
        """All there ever was is told: nothing is missing."""
        ask = since(0, "ETH")
        assert ["11", "10"] == [one.trade_id for one in await VENUE.trades(ask)]
        assert [] == ask.shortfalls

    async def test_a_page_without_an_older_trade_leaves_the_tape_short(self) -> None:
        """A recording answers every page with the same trades: they count once, and it says so."""
        ask = since(0, "SOL")
        assert ["5"] == [one.trade_id for one in await VENUE.trades(ask)]
        back = "missing: the tape of SOL-USD reaches back only to 2026-09-14 18:59:00"
        assert [back] == ask.shortfalls

    async def test_the_walk_is_bounded(self) -> None:
        """After so many pages the tape is short, never endless."""
        ask = since(0, "BTC")
        ask._upstream = Endless(ask._upstream)  # type: ignore[assignment]
        found: list[TradePrint] = await VENUE.trades(ask)
        assert MAX_PAGES == len(found)
        assert 1 == len(ask.shortfalls)

    async def test_an_unreadable_trade_is_said(self) -> None:
        """A sum over the rest would look right and be short."""
        wire = sample("coinbase", tape("BTC-USD"))
        doc = copy.deepcopy(wire.doc)
        doc[1]["side"] = "hold"
        found, bad = Wire(doc, fetched_at=AT, read=0.0, size=0).parsed(parse_trades, "BTC")
        assert (["109", "107"], 1) == ([one.trade_id for one in found], bad)

    def test_a_trade_told_twice_counts_once(self) -> None:
        """By its number."""
        doc = sample("coinbase", tape("BTC-USD")).doc
        found, _ = Wire([*doc, *doc], fetched_at=AT, read=0.0, size=0).parsed(parse_trades, "BTC")
        assert ["109", "108", "107"] == [one.trade_id for one in found]

    def test_a_changed_tape_is_refused(self) -> None:
        """An object instead of a list, or rows without sides."""
        for doc in ({"message": "?"}, [{"trade_id": 1}]):
            with pytest.raises(VenueChanged):
                Wire(doc, fetched_at=AT, read=0.0, size=0).parsed(parse_trades, "BTC")

    async def test_an_unknown_coin_has_no_tape(self) -> None:
        """No row, no request but the list."""
        ask = since(0, "NOSUCH")
        assert [] == await VENUE.trades(ask)
        assert ["/products"] == asked(ask)


class Endless:
    """An upstream whose tape always has one older trade."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.clock = inner.clock

    def peek(self, call: Any) -> Any:
        """Nothing is known."""
        return None

    async def fetch(self, call: Any, deadline: float) -> Any:
        """One trade before the number asked for."""
        if "/trades" not in call.url:
            return await self._inner.fetch(call, deadline)
        number = int(call.url.rpartition("after=")[2]) if "after=" in call.url else 1000
        one = {
            "trade_id": number - 1,
            "side": "buy",
            "size": "1",
            "price": "1",
            "time": "2026-09-14T18:59:00Z",
        }
        return Wire([one], fetched_at=AT, read=0.0, size=0), None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"message":"NotFound"}', VenueRejected),
        (429, b'{"message":"Public rate limit exceeded"}', VenueRateLimited),
        (503, b"<html>down for maintenance</html>", VenueHttp),
        (200, b"[]", type(None)),
        (403, b"<html>blocked</html>", type(None)),
    ],
)
def test_refusals(status: int, body: bytes, kind: type) -> None:
    """The venue's own words; plain statuses are left to be read as such."""
    error = VENUE.refusal(status, body)
    assert kind is type(error)
    assert not isinstance(error, VenueBlocked)


def test_it_stands_in_the_roll() -> None:
    """Found by its file, named as the contract names it."""
    venue = roll()["coinbase"]
    assert ("Coinbase", "cex", "live") == (venue.name, venue.kind, venue.status)
