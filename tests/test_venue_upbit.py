"""Upbit: won, codes of quote and base, a change that is read from candles."""

import copy
from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.upbit import (
    MARKETS,
    TICKERS,
    Upbit,
    candles,
    parse_markets,
    parse_tickers,
    price_at,
    read_ticker,
    ticker,
)

VENUE = Upbit()
READ_AT = 1_789_412_345_678
DAY_MS = 86_400_000


def tickers(change: dict[str, dict[str, Any]] | None = None) -> Wire:
    """The sample of all tickers; `change`: market -> what is written over its row."""
    wire = sample("upbit", TICKERS)
    doc = copy.deepcopy(wire.doc)
    for row in doc:
        row.update((change or {}).get(row["market"], {}))
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


def read(coin: str, change: dict[str, Any] | None = None, past: Wire = NOTHING) -> SpotRow:
    """One coin's row of the sample."""
    wire = tickers({f"KRW-{coin}": change or {}})
    return read_ticker(parse_tickers(wire)[0][coin], wire, coin, past)


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


class TestTickers:
    """One row of the list."""

    def test_a_row_in_won(self) -> None:
        """Price as it stands, rolling volume in coins, the time of the last trade."""
        row = read("BTC")
        assert ("BTC", "upbit", "KRW", "KRW-BTC") == (row.coin, row.venue, row.quote, row.symbol)
        assert (104_970_000.0, 429.5) == (row.price, row.volume24h)
        assert (READ_AT - 6_000, READ_AT, None) == (row.venue_time, row.fetched_at, row.stale)
        assert (None, None) == (row.bid, row.ask)

    def test_the_change_of_the_day_is_not_of_24_hours(self) -> None:
        """+1.91 % since 00:00 UTC stands in the row; without candles nothing is told."""
        assert read("BTC").change24h_pct is None

    def test_the_second_part_of_a_code_is_the_coin(self) -> None:
        """BTC-ETH is ether in bitcoin: no price in won."""
        rows, _ = parse_tickers(tickers())
        assert 3_450_000.0 == rows["ETH"]["trade_price"]
        assert ["1INCH", "BTC", "ETH", "PEPE", "SOL", "USDT", "XRP"] == sorted(rows)

    def test_an_old_trade_is_stale(self) -> None:
        """SOL was traded 90.001 s before, 1INCH ten minutes."""
        assert (True, True, None) == (read("SOL").stale, read("1INCH").stale, read("ETH").stale)

    @pytest.mark.parametrize("broken", [None, "", 0, -1, "n/a", float("nan"), 1e308, 3.1e10])
    def test_what_is_no_price_makes_no_row(self, broken: Any) -> None:
        """Never a zero."""
        with pytest.raises((ValueError, TypeError)):
            read("BTC", {"trade_price": broken})

    def test_numbers_may_come_as_text(self) -> None:
        """And a missing volume or time is unknown."""
        change = {"trade_price": "1.5", "acc_trade_volume_24h": None, "trade_timestamp": None}
        row = read("BTC", change)
        assert (1.5, None, None) == (row.price, row.volume24h, row.venue_time)

    def test_a_row_twice_counts_once(self) -> None:
        """The first stands."""
        wire = tickers()
        wire.doc.append({**wire.doc[0], "trade_price": 1.0})
        assert 104_970_000.0 == parse_tickers(wire)[0]["BTC"]["trade_price"]

    @pytest.mark.parametrize("doc", [[], {}, {"error": {}}, [{"market": "BTC-ETH"}], [[1], "x"]])
    def test_a_list_without_won_is_a_change(self, doc: Any) -> None:
        """In maintenance the list may be empty: that is no market without bitcoin."""
        with pytest.raises(VenueChanged):
            parse_tickers(Wire(doc, fetched_at=1, read=0.0, size=0))

    def test_recorded(self) -> None:
        """2026-08-30 and before: the largest recording is 7,517,000 of 2018-07-08."""
        wire = recorded("upbit", ticker("KRW-BTC"))
        row = read_ticker(parse_tickers(wire)[0]["BTC"], wire, "BTC", NOTHING)
        assert (7_517_000.0, 2_492.79203083, None) == (row.price, row.volume24h, row.stale)
        assert 1_531_033_045_000 == row.venue_time


class TestCandles:
    """What was paid 24 h before."""

    def test_the_opening_of_the_candle_that_holds_the_moment(self) -> None:
        """18:59:05 the day before lies in 18:45: 100,000,000; so +4.97 %."""
        row = read("BTC", past=sample("upbit", candles("KRW-BTC")))
        assert pytest.approx(4.97) == row.change24h_pct

    def test_where_nobody_traded_the_close_before_stands(self) -> None:
        """ETH has no candle of 18:45; that of 18:15 closed at 3,450,000: 0 %."""
        wire = sample("upbit", candles("KRW-ETH"))
        assert 3_450_000.0 == price_at(wire, READ_AT - DAY_MS)
        assert 0.0 == read("ETH", past=wire).change24h_pct

    def test_candles_that_do_not_reach_back_tell_nothing(self) -> None:
        """SOL has one candle of now; and old candles say nothing of now."""
        assert read("SOL", past=sample("upbit", candles("KRW-SOL"))).change24h_pct is None
        wire = sample("upbit", candles("KRW-BTC"))
        assert price_at(wire, READ_AT + DAY_MS) is None

    @pytest.mark.parametrize("doc", [None, {}, [], [{"opening_price": 1}], [1, 2]])
    def test_unreadable_candles_cost_only_the_change(self, doc: Any) -> None:
        """The price stands."""
        row = read("BTC", past=Wire(doc, fetched_at=1, read=0.0, size=0))
        assert (104_970_000.0, None) == (row.price, row.change24h_pct)


class TestAsking:
    """What is asked, and what a failure costs."""

    @pytest.mark.anyio
    async def test_one_request_for_all_prices_and_a_candle_each(self) -> None:
        """In the order asked."""
        ask = asking("upbit", "PEPE", "BTC", "ETH")
        rows = await VENUE.spot(ask)
        assert ["PEPE", "BTC", "ETH"] == [row.coin for row in rows]
        symbols = ("KRW-PEPE", "KRW-BTC", "KRW-ETH")
        assert [TICKERS.url, *(candles(s).url for s in symbols)] == asked(ask)
        assert [] == ask.shortfalls

    @pytest.mark.anyio
    async def test_without_the_change_it_is_one_request(self) -> None:
        """As the kimchi premium asks it."""
        ask = asking("upbit", "BTC", "USDT")
        ask.options = {"change": False}
        assert [104_970_000.0, 1528.0] == [row.price for row in await VENUE.spot(ask)]
        assert ([TICKERS.url], []) == (asked(ask), ask.shortfalls)

    @pytest.mark.anyio
    async def test_many_coins_are_told_without_their_change(self) -> None:
        """Seven requests for candles are too many."""
        ask = asking("upbit", "BTC", "ETH", "SOL", "PEPE", "USDT", "1INCH", "XRP")
        assert 6 == len(await VENUE.spot(ask))
        assert [TICKERS.url] == asked(ask)
        assert ["changed: the ticker of KRW-XRP could not be read"] == ask.shortfalls
        assert {"XRP"} == ask.unreadable

    @pytest.mark.anyio
    async def test_the_usual_coins_and_what_is_not_listed(self) -> None:
        """BTC, ETH and SOL without a name; DOGE is not in the list."""
        assert ["BTC", "ETH", "SOL"] == [row.coin for row in await VENUE.spot(asking("upbit"))]
        ask = asking("upbit", "DOGE")
        assert [] == await VENUE.spot(ask)
        assert "DOGE" not in ask.universe
        assert "BTC" in ask.universe

    @pytest.mark.anyio
    async def test_refused_in_bulk_it_asks_one_by_one(self) -> None:
        """And gives the same answer."""
        failing: dict[str, VenueError] = {"ticker/all": VenueRejected("rejected: no")}
        ask = asking("upbit", "BTC", failing=failing)
        assert await VENUE.spot(asking("upbit", "BTC")) == await VENUE.spot(ask)
        assert [TICKERS.url, ticker("KRW-BTC").url, candles("KRW-BTC").url] == asked(ask)

    @pytest.mark.anyio
    async def test_a_slow_venue_is_not_asked_again(self) -> None:
        """A time-out is no refusal."""
        failing: dict[str, VenueError] = {"ticker/all": VenueTimeout("timeout: no answer")}
        ask = asking("upbit", "BTC", failing=failing)
        with pytest.raises(VenueTimeout):
            await VENUE.spot(ask)
        assert [TICKERS.url] == asked(ask)

    @pytest.mark.anyio
    async def test_replay_answers_what_was_recorded(self) -> None:
        """One market is; the others are said to be missing."""
        ask = asking("upbit", "BTC", "DOGE", real=True)
        (row,) = await VENUE.spot(ask)
        assert ("BTC", 7_517_000.0) == (row.coin, row.price)
        assert ["BTC"] == list(ask.universe)
        assert all(said.startswith("unrecorded") for said in ask.shortfalls)


class TestMarkets:
    """Discovery."""

    @pytest.mark.anyio
    async def test_every_market_with_its_coin(self) -> None:
        """In won, bitcoin and USDT; the row without a code is counted."""
        ask = asking("upbit")
        rows = {row.symbol: row for row in await VENUE.markets(ask)}
        assert [MARKETS.url] == asked(ask)
        assert ("BTC", "spot", "BTC/USDT spot") == (
            rows["USDT-BTC"].coin,
            rows["USDT-BTC"].kind,
            rows["USDT-BTC"].label,
        )
        assert ("ETH", "1INCH") == (rows["BTC-ETH"].coin, rows["KRW-1INCH"].coin)
        assert ["changed: 1 row could not be read"] == ask.shortfalls

    def test_recorded(self) -> None:
        """2021-04: every row is read, 111 of them in won."""
        wire = recorded("upbit", MARKETS)
        rows, bad = parse_markets(wire)
        assert (0, len(wire.doc)) == (bad, len(rows))
        expected = sum(row["market"].startswith("KRW-") for row in wire.doc)
        assert expected == sum(row.symbol.startswith("KRW-") for row in rows)


class TestRefusals:
    """Codes of the body."""

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (404, b'{"error":{"name":404,"message":"Code not found"}}', VenueRejected),
            (418, b'{"error":{"name":"banned","message":"..."}}', VenueRateLimited),
        ],
    )
    def test_a_refusal_is_understood(
        self, status: int, body: bytes, kind: type[VenueError]
    ) -> None:
        """An unknown market, a ban."""
        assert kind is type(VENUE.refusal(status, body))

    def test_an_answer_is_no_refusal(self) -> None:
        """Nor is what the general judge understands."""
        assert VENUE.refusal(200, b"[]") is None
        assert VENUE.refusal(429, b'{"name":"too_many_requests"}') is None
        assert VENUE.refusal(404, b"<html>") is None
