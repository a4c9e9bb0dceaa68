"""Bithumb: two generations, times nine hours ahead, a change of 24 h from the older one."""

import copy
from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bithumb import (
    DAYS,
    MARKETS,
    Bithumb,
    moment,
    parse_days,
    parse_tickers,
    read_row,
    ticker,
    tickers,
)

VENUE = Bithumb()
READ_AT = 1_789_412_345_678
HOUR_MS = 3_600_000
THREE = ("KRW-BTC", "KRW-ETH", "KRW-PEPE")


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def wire_of(doc: Any, at: int = READ_AT) -> Wire:
    """An answer."""
    return Wire(doc, fetched_at=at, read=0.0, size=0)


class TestTimes:
    """Korean wall time written as if it were UTC."""

    @pytest.mark.parametrize(
        ("ahead_ms", "expected"),
        [
            (9 * HOUR_MS - 4_000, -4_000),
            (9 * HOUR_MS - 30 * 60_000, -30 * 60_000),
            (30 * 60_000, 30 * 60_000 - 9 * HOUR_MS),  # traded eight and a half hours ago
            (0, 0),  # what the venue once corrects
            (200_000, 200_000),  # clocks differ
            (-5_000, -5_000),
        ],
    )
    def test_what_lies_ahead_is_nine_hours_too_late(self, ahead_ms: int, expected: int) -> None:
        """Nothing was traded in the future."""
        assert READ_AT + expected == moment(READ_AT + ahead_ms, READ_AT)

    def test_no_time_is_unknown(self) -> None:
        """Null and empty."""
        assert (None, None) == (moment(None, READ_AT), moment("", READ_AT))


class TestTickers:
    """The newer generation."""

    @pytest.mark.anyio
    async def test_a_row_in_won(self) -> None:
        """Price and time of the newer one, change of the older one: +4.9 %."""
        rows = {row.coin: row for row in await VENUE.spot(asking("bithumb", "BTC", "ETH", "PEPE"))}
        row = rows["BTC"]
        assert (104_900_000.0, 360.35, 4.9) == (row.price, row.volume24h, row.change24h_pct)
        assert (READ_AT - 4_000, None, "KRW-BTC") == (row.venue_time, row.stale, row.symbol)
        assert -1.25 == rows["ETH"].change24h_pct
        # Traded 8.5 hours ago, which it writes as half an hour ahead; unknown to the older one.
        assert (True, None) == (rows["PEPE"].stale, rows["PEPE"].change24h_pct)

    def test_three_shapes_are_one(self) -> None:
        """A list, an object by market, and one object."""
        row = sample("bithumb", ticker("KRW-BTC")).doc[0]
        expected = {"KRW-BTC": row}, 0
        for doc in ([row], {"KRW-BTC": row}, row):
            assert expected == parse_tickers(wire_of(doc))

    def test_another_shape_is_a_change(self) -> None:
        """Text, numbers, rows of something else."""
        docs: list[Any] = ["x", 5, None, [{"a": 1}]]
        for doc in docs:
            with pytest.raises(VenueChanged):
                parse_tickers(wire_of(doc))

    def test_recorded(self) -> None:
        """2026-08-30: 108,553,000 won, 360.34694815 coins; the recording is at the body's time."""
        wire = recorded("bithumb", ticker("KRW-BTC"))
        row = parse_tickers(wire)[0]["KRW-BTC"]
        found = read_row("BTC", "KRW-BTC", (row, wire), None, NOTHING)
        assert (108_553_000.0, 360.34694815) == (found.price, found.volume24h)
        assert (1_788_096_372_643, None) == (found.venue_time, found.stale)


class TestOlder:
    """The older generation."""

    def test_the_date_among_the_coins_is_no_coin(self) -> None:
        """It is text beside objects."""
        assert ["BTC", "DASH", "ETH", "SOL", "USDT", "XRP"] == sorted(
            parse_days(sample("bithumb", DAYS))
        )

    def test_a_row_without_its_change(self) -> None:
        """DASH is written as in 2017."""
        wire = sample("bithumb", DAYS)
        row = read_row("DASH", "KRW-DASH", None, parse_days(wire)["DASH"], wire)
        assert (45_100.0, 12.0, None, None) == (
            row.price,
            row.volume24h,
            row.change24h_pct,
            row.venue_time,
        )

    def test_a_change_of_another_day_is_not_told(self) -> None:
        """Recordings: the price is of 2026, the change of 2021."""
        told = sample("bithumb", ticker("KRW-BTC"))
        pair = parse_tickers(told)[0]["KRW-BTC"], told
        day = sample("bithumb", DAYS)
        late = Wire(day.doc, fetched_at=READ_AT - 600_001, read=0.0, size=0)
        row = parse_days(day)["BTC"]
        assert read_row("BTC", "KRW-BTC", pair, row, late).change24h_pct is None
        assert 4.9 == read_row("BTC", "KRW-BTC", pair, row, day).change24h_pct

    def test_recorded(self) -> None:
        """2021-06-01: BTC 43,232,000 won, -1.63 %, 3,919.14 coins; ETH -2.54 %."""
        wire = recorded("bithumb", DAYS)
        rows = parse_days(wire)
        row = read_row("BTC", "KRW-BTC", None, rows["BTC"], wire)
        assert (43_232_000.0, -1.63) == (row.price, row.change24h_pct)
        assert 3_919.13944524 == row.volume24h
        assert -2.54 == read_row("ETH", "KRW-ETH", None, rows["ETH"], wire).change24h_pct


class TestAsking:
    """What is asked, and what a failure costs."""

    @pytest.mark.anyio
    async def test_two_rounds(self) -> None:
        """The list and the older answer, then the tickers together."""
        ask = asking("bithumb", "BTC", "ETH", "PEPE")
        assert 3 == len(await VENUE.spot(ask))
        assert [MARKETS.url, DAYS.url, tickers(THREE).url] == asked(ask)
        assert [] == ask.shortfalls

    @pytest.mark.anyio
    async def test_without_the_change_the_older_one_is_not_asked(self) -> None:
        """As the kimchi premium asks it."""
        ask = asking("bithumb", "BTC", "USDT")
        ask.options = {"change": False}
        assert [104_900_000.0, 1527.0] == [row.price for row in await VENUE.spot(ask)]
        assert [MARKETS.url, tickers(("KRW-BTC", "KRW-USDT")).url] == asked(ask)

    @pytest.mark.anyio
    async def test_what_is_not_listed_is_not_asked(self) -> None:
        """One unknown market would have all of them refused."""
        ask = asking("bithumb", "DOGE", "BTC")
        assert ["BTC"] == [row.coin for row in await VENUE.spot(ask)]
        assert tickers(("KRW-BTC",)).url == asked(ask)[-1]
        assert "DOGE" not in ask.universe

    @pytest.mark.anyio
    async def test_refused_together_it_asks_one_by_one(self) -> None:
        """PEPE has no sample alone; it is said to be missing."""
        failing: dict[str, VenueError] = {"KRW-BTC,KRW-ETH": VenueRejected("rejected: no")}
        ask = asking("bithumb", "BTC", "ETH", "PEPE", failing=failing)
        assert ["BTC", "ETH"] == [row.coin for row in await VENUE.spot(ask)]
        assert "missing: no ticker of KRW-PEPE" in ask.shortfalls

    @pytest.mark.anyio
    async def test_the_older_generation_stands_in(self) -> None:
        """While the newer one fails, its prices are told without their time."""
        failing: dict[str, VenueError] = {"/v1/ticker": VenueTimeout("timeout: no answer")}
        ask = asking("bithumb", "BTC", "ETH", failing=failing)
        rows = await VENUE.spot(ask)
        assert [(104_900_000.0, None), (3_449_000.0, None)] == [
            (row.price, row.venue_time) for row in rows
        ]
        assert ["timeout: no answer (ticker)"] == ask.shortfalls
        ask = asking("bithumb", "PEPE", failing=failing)
        with pytest.raises(VenueTimeout):
            await VENUE.spot(ask)

    @pytest.mark.anyio
    async def test_without_the_list_the_usual_codes_are_asked(self) -> None:
        """What has no price then is not listed."""
        failing: dict[str, VenueError] = {"market/all": VenueTimeout("timeout: no answer")}
        ask = asking("bithumb", "BTC", "DOGE", failing=failing)
        assert ["BTC"] == [row.coin for row in await VENUE.spot(ask)]
        assert ["BTC"] == list(ask.universe)

    @pytest.mark.anyio
    async def test_a_garbled_row_is_said(self) -> None:
        """Its price is no number."""
        ask = asking("bithumb", "BTC")
        wire = sample("bithumb", ticker("KRW-BTC"))
        doc = copy.deepcopy(wire.doc)
        doc[0]["trade_price"] = "NaN"
        ask._upstream._known[tickers(("KRW-BTC",)).key] = wire_of(doc)  # type: ignore[attr-defined]
        assert [] == await VENUE.spot(ask)
        assert ["changed: the ticker of KRW-BTC could not be read"] == ask.shortfalls
        assert {"BTC"} == ask.unreadable

    @pytest.mark.anyio
    async def test_replay_answers_what_was_recorded(self) -> None:
        """BTC of 2026 without a change of 2021, ETH of 2021."""
        rows = await VENUE.spot(asking("bithumb", "BTC", "ETH", real=True))
        assert [("BTC", 108_553_000.0, None), ("ETH", 3_104_000.0, -2.54)] == [
            (row.coin, row.price, row.change24h_pct) for row in rows
        ]

    @pytest.mark.anyio
    async def test_markets(self) -> None:
        """In won and in bitcoin."""
        rows = {row.symbol: row.coin for row in await VENUE.markets(asking("bithumb"))}
        assert ("PEPE", "ETH") == (rows["KRW-PEPE"], rows["BTC-ETH"])


class TestRefusals:
    """Codes of the body, inside HTTP 200 too."""

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (200, '{"status":"5300","message":"점검중"}'.encode(), VenueHttp),
            (200, b'{"status": "5500", "message": "Invalid Parameter"}', VenueRejected),
            (404, b'{"error":{"name":404,"message":"Code not found"}}', VenueRejected),
            (400, b'{"error":{"name":"invalid","message":"too many markets"}}', VenueRejected),
        ],
    )
    def test_a_refusal_is_understood(
        self, status: int, body: bytes, kind: type[VenueError]
    ) -> None:
        """Maintenance, a bad parameter, an unknown market."""
        assert kind is type(VENUE.refusal(status, body))

    def test_an_answer_is_no_refusal(self) -> None:
        """0000, and what has no status."""
        assert VENUE.refusal(200, b'{"status":"0000","data":{}}') is None
        assert VENUE.refusal(200, b'[{"market":"KRW-BTC"}]') is None
