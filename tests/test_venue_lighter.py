"""Lighter: known coins only, open interest in units of the symbol, funding per 8 hours."""

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
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.lighter import (
    DETAILS,
    RATES,
    Lighter,
    parse_funding,
    parse_markets,
    parse_open_interest,
)

VENUE = Lighter()
# When the samples of orderBookDetails (18:59:05.678) and funding-rates (19:00:00) were read.
DETAILS_AT, RATES_AT = 1_789_412_345_678, 1_789_412_400_000
EIGHT_PM = 1_789_416_000_000


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def details(change: dict[str, dict[str, Any]] | None = None) -> Wire:
    """The sample of orderBookDetails; `change`: symbol -> what is written over its row."""
    wire = sample("lighter", DETAILS)
    doc = copy.deepcopy(wire.doc)
    for row in doc["order_book_details"]:
        row.update((change or {}).get(row["symbol"], {}))
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


def rates(symbol: str = "", **change: Any) -> Wire:
    """The sample of funding-rates; `change` is written over lighter's own row of a symbol."""
    wire = sample("lighter", RATES)
    doc = copy.deepcopy(wire.doc)
    for row in doc["funding_rates"]:
        if (row["exchange"], row["symbol"]) == ("lighter", symbol):
            row.update(change)
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


class TestOpenInterest:
    """Units of the symbol times the mark."""

    def test_it_is_units_times_the_mark(self) -> None:
        """ETH: 20,000.5 at 2,500 = 50,001,250 USD."""
        rows, silent, bad = parse_open_interest(details())
        assert ({}, 0) == (silent, bad)
        row = rows["ETH"]
        assert pytest.approx(50_001_250.0) == row.oi_usd
        assert (20_000.5, 20_000.5) == (row.oi_coins, row.oi_contracts)
        assert (("ETH",), None, DETAILS_AT) == (row.symbols, row.not_counted, row.fetched_at)

    def test_multipliers_are_divided_out(self) -> None:
        """1000PEPE: 9,000,000 x 0.01 = 90,000 USD and 9,000,000,000 coins of PEPE."""
        rows, _, _ = parse_open_interest(details())
        assert "1000PEPE" not in rows
        assert pytest.approx(90_000.0) == rows["PEPE"].oi_usd
        assert 9e9 == rows["PEPE"].oi_coins

    def test_the_last_trade_stands_in_for_the_mark(self) -> None:
        """SOL sends strings and no mark, AAVE an empty one: 4,000.5 x 150 and 100 x 300."""
        rows, _, _ = parse_open_interest(details())
        assert pytest.approx(600_075.0) == rows["SOL"].oi_usd
        assert pytest.approx(30_000.0) == rows["AAVE"].oi_usd

    def test_inactive_markets_are_left_out(self) -> None:
        """PIPPIN is a known coin, inactive, and still shows its last open interest."""
        assert "PIPPIN" not in parse_open_interest(details())[0]
        again = details({"PIPPIN": {"status": "active"}})
        assert "PIPPIN" in parse_open_interest(again)[0]

    def test_stocks_metals_and_currencies_are_left_out(self) -> None:
        """Unknown tickers, tickers with hours of trading, and the stocks named like coins."""
        rows, _, _ = parse_open_interest(details())
        assert ["AAVE", "BTC", "ETH", "PEPE", "SOL"] == list(rows)

    def test_hours_of_trading_are_the_hint(self) -> None:
        """DASH with hours is DoorDash; without them it is the coin."""
        row = {"market_config": {"trading_hours": ""}}
        assert "DASH" in parse_open_interest(details({"DASH": row}))[0]

    def test_bb_and_qnt_are_stocks_here_even_without_the_hint(self) -> None:
        """BounceBit and Quant are known coins elsewhere; here the tickers are BlackBerry's ..."""
        change: dict[str, Any] = {name: {"market_config": {}} for name in ("BB", "QNT")}
        assert not {"BB", "QNT"} & set(parse_open_interest(details(change))[0])

    def test_spot_is_not_open_interest(self) -> None:
        """A row of another market type in the same list is skipped."""
        assert "ETH" not in parse_open_interest(details({"ETH": {"market_type": "spot"}}))[0]

    @pytest.mark.parametrize("broken", [None, "", "many", -1, float("nan"), 1e12])
    def test_what_cannot_be_read_is_named(self, broken: Any) -> None:
        """No zero stands for an open interest that could not be read."""
        rows, silent, bad = parse_open_interest(details({"BTC": {"open_interest": broken}}))
        assert "BTC" not in rows
        assert ({"BTC": ("BTC",)}, 1) == (silent, bad)

    def test_no_price_at_all_is_unreadable(self) -> None:
        """Without a mark and a last trade there are no USD."""
        change = {"BTC": {"mark_price": "0", "last_trade_price": None}}
        assert ({"BTC": ("BTC",)}, 1) == parse_open_interest(details(change))[1:]

    def test_two_symbols_of_a_coin_add_and_the_unread_one_is_named(self) -> None:
        """PEPE beside 1000PEPE: 5 x 0.01 more; unread, it is in not_counted."""
        wire = details()
        extra = {**wire.doc["order_book_details"][0], "symbol": "PEPE", "open_interest": 5}
        wire.doc["order_book_details"].append({**extra, "mark_price": "0.01"})
        rows, _, _ = parse_open_interest(wire)
        assert pytest.approx(90_000.05) == rows["PEPE"].oi_usd
        wire.doc["order_book_details"][-1]["open_interest"] = None
        rows, silent, _ = parse_open_interest(Wire(wire.doc, fetched_at=1, read=0.0, size=0))
        assert (("PEPE",), {"PEPE": ("PEPE",)}) == (rows["PEPE"].not_counted, silent)

    def test_a_duplicated_row_counts_once(self) -> None:
        """The same symbol twice is one market."""
        wire = details()
        wire.doc["order_book_details"].append(dict(wire.doc["order_book_details"][0]))
        assert 20_000.5 == parse_open_interest(wire)[0]["ETH"].oi_coins

    def test_another_shape_is_a_change(self) -> None:
        """An answer without its list is an error, not an empty market."""
        docs: list[Any] = [{"code": 200}, {"order_book_details": {}}, []]
        for doc in docs:
            with pytest.raises(VenueChanged):
                parse_open_interest(Wire(doc, fetched_at=1, read=0.0, size=0))

    def test_recorded(self) -> None:
        """2026-06: "93.0" at a last trade of "3024.66", no mark: 281,293.38 USD."""
        rows, silent, bad = parse_open_interest(recorded("lighter", DETAILS))
        # BTC has been listed since the first day; the excerpt lacks it.
        assert (["ETH"], {"BTC": ("BTC",)}, 0) == (list(rows), silent, bad)
        assert pytest.approx(93 * 3024.66) == rows["ETH"].oi_usd
        assert 93.0 == rows["ETH"].oi_coins


class TestFunding:
    """Fractions per 8 hours, paid in eighths."""

    def test_the_rate_is_per_eight_hours(self) -> None:
        """0.000096 per 8 h = 10.512 % a year, paid next at the full hour after the reading."""
        rows, _, bad = parse_funding(rates(), details())
        assert 0 == bad
        row = rows["ETH"]
        assert (0.000096, 8, "predicted") == (row.rate, row.period_hours, row.kind)
        assert pytest.approx(0.000096 * 1095 * 100) == row.apr
        # Read at 19:00:00.000 exactly: the next full hour is 20:00.
        assert (EIGHT_PM, 2500.0) == (row.next_funding_time, row.mark_price)

    def test_the_next_hour_is_counted_from_the_reading(self) -> None:
        """A millisecond before the hour it is that hour."""
        wire = rates()
        wire.fetched_at = RATES_AT - 1
        assert RATES_AT == parse_funding(wire, details())[0]["ETH"].next_funding_time

    def test_rates_of_other_venues_are_not_ours(self) -> None:
        """BTC is sent for bybit, lighter and hyperliquid; only -0.0002 is lighter's."""
        rows, _, _ = parse_funding(rates(), details())
        assert (-0.0002, 80_000.0) == (rows["BTC"].rate, rows["BTC"].mark_price)
        assert 0.0 == rows["SOL"].rate

    def test_the_mark_is_per_coin(self) -> None:
        """1000PEPE at 0.01 is PEPE at 0.00001; the rate is not divided."""
        row = parse_funding(rates(), details())[0]["PEPE"]
        assert ("1000PEPE", 0.0004) == (row.symbol, row.rate)
        assert pytest.approx(0.00001) == row.mark_price

    def test_the_age_counts_the_answer_of_the_mark(self) -> None:
        """The details were read first; TON has no mark and is as old as the rates."""
        rows, _, _ = parse_funding(rates(), details())
        assert (DETAILS_AT, RATES_AT) == (rows["ETH"].fetched_at, rows["TON"].fetched_at)

    def test_only_live_perpetuals_on_coins(self) -> None:
        """Inactive, stock, metal and currency rates are sent too; TON is absent from the list."""
        rows, _, _ = parse_funding(rates(), details())
        assert ["BTC", "ETH", "PEPE", "SOL", "TON"] == list(rows)
        assert rows["TON"].mark_price is None

    def test_a_live_market_without_a_rate_is_named(self) -> None:
        """AAVE is listed and no rate is sent for it."""
        assert {"AAVE": ("AAVE",)} == parse_funding(rates(), details())[1]

    def test_without_the_details_only_sure_coins_are_told(self) -> None:
        """No marks, and never a stock: DASH may be DoorDash. What is inactive cannot be known."""
        rows, silent, _ = parse_funding(rates(), NOTHING)
        assert {} == silent
        assert ["BTC", "ETH", "PEPE", "PIPPIN", "SOL", "TON"] == list(rows)
        assert {None} == {row.mark_price for row in rows.values()}

    @pytest.mark.parametrize("broken", [None, "", "n/a", 0.5, -3, float("inf")])
    def test_what_cannot_be_read_is_no_rate(self, broken: Any) -> None:
        """Unknown and absurd rates make no row and are counted."""
        rows, silent, bad = parse_funding(rates("BTC", rate=broken), details())
        assert ("BTC" in rows, 1, ("BTC",)) == (False, bad, silent["BTC"])

    def test_recorded(self) -> None:
        """2026-01-19 03:36: TON 0.000096 (printed 0.00009599999999999999), four foreign rows."""
        wire = recorded("lighter", RATES)
        rows, _, bad = parse_funding(wire, NOTHING)
        assert (["TON"], 0) == (list(rows), bad)
        assert pytest.approx(0.000096) == rows["TON"].rate
        assert 1_768_795_200_000 == rows["TON"].next_funding_time  # 04:00 UTC


class TestAsking:
    """What is asked, and what a failure costs."""

    @pytest.mark.anyio
    async def test_open_interest_is_one_request(self) -> None:
        """For some coins and for all."""
        for coins in ((), ("BTC", "ETH", "PEPE")):
            ask = asking("lighter", *coins)
            rows = await VENUE.open_interest(ask)
            assert ([DETAILS.url], []) == (asked(ask), ask.shortfalls)
            assert (coins or ("AAVE", "BTC", "ETH", "PEPE", "SOL")) == tuple(r.coin for r in rows)

    @pytest.mark.anyio
    async def test_funding_is_one_round_of_two(self) -> None:
        """What was asked is complete; over the whole universe AAVE is missed."""
        ask = asking("lighter", "PEPE", "BTC")
        assert ["PEPE", "BTC"] == [row.coin for row in await VENUE.funding(ask)]
        assert ([RATES.url, DETAILS.url], []) == (asked(ask), ask.shortfalls)
        ask = asking("lighter")
        assert 5 == len(await VENUE.funding(ask))
        assert ["missing: no funding rate of AAVE"] == ask.shortfalls

    @pytest.mark.anyio
    async def test_unread_coins_are_not_unlisted(self) -> None:
        """AAVE is listed although it has no rate; DOGE is not listed."""
        ask = asking("lighter", "AAVE", "DOGE")
        assert [] == await VENUE.funding(ask)
        assert {"AAVE"} == ask.unreadable

    @pytest.mark.anyio
    async def test_funding_survives_the_loss_of_the_details(self) -> None:
        """And says so."""
        failing: dict[str, VenueError] = {"orderBookDetails": VenueTimeout("timeout: no answer")}
        ask = asking("lighter", "BTC", failing=failing)
        (row,) = await VENUE.funding(ask)
        assert (-0.0002, None) == (row.rate, row.mark_price)
        assert ["timeout: no answer (orderBookDetails)"] == ask.shortfalls
        with pytest.raises(VenueTimeout):
            await VENUE.open_interest(asking("lighter", "BTC", failing=failing))

    @pytest.mark.anyio
    async def test_replay_answers_what_was_recorded(self) -> None:
        """The recorded details hold ETH alone, the recorded rates TON."""
        (row,) = await VENUE.open_interest(asking("lighter", "ETH", "BTC", real=True))
        assert ("ETH", 93.0) == (row.coin, row.oi_coins)
        (funding,) = await VENUE.funding(asking("lighter", "TON", real=True))
        assert ("TON", None) == (funding.coin, funding.mark_price)


class TestMarkets:
    """Discovery."""

    @pytest.mark.anyio
    async def test_active_markets_with_the_coin_where_it_is_one(self) -> None:
        """Stocks, metals and currencies have no coin; inactive markets are not there."""
        ask = asking("lighter")
        rows = {row.symbol: row for row in await VENUE.markets(ask)}
        assert [DETAILS.url] == asked(ask)
        assert ("perp", "PEPE") == (rows["1000PEPE"].kind, rows["1000PEPE"].coin)
        assert ("spot", "ETH") == (rows["ETH/USDC"].kind, rows["ETH/USDC"].coin)
        assert [None] * 5 == [rows[name].coin for name in ("EURUSD", "DASH", "BB", "QNT", "NVDA")]
        assert not {"PIPPIN", "LIT/USDC"} & set(rows)

    def test_an_answer_without_spot_is_whole(self) -> None:
        """Older answers have no spot list."""
        wire = details()
        del wire.doc["spot_order_book_details"]
        rows, bad = parse_markets(wire)
        assert (10, 0) == (len(rows), bad)


class TestRefusals:
    """Codes of the body."""

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (200, b'{"code":23000,"message":"Too Many Requests!"}', VenueRateLimited),
            (400, b'{"code":23000,"message":"Too Many Requests!"}', VenueRateLimited),
            (400, b'{"code":20001,"message":"invalid param : market_id"}', VenueRejected),
            (200, b'{"code":21100,"message":"x"}', VenueRejected),
            (405, b" <!doctype html>", VenueRateLimited),
        ],
    )
    def test_a_refusal_is_one_of_our_errors(
        self, status: int, body: bytes, kind: type[VenueError]
    ) -> None:
        """A code that is not 200, at any status, and the firewall's page."""
        assert kind is type(VENUE.refusal(status, body))

    def test_the_firewall_pauses_for_a_minute(self) -> None:
        """It is no block of the place, which would be remembered for hours."""
        for status in (403, 405):
            error = VENUE.refusal(status, b"<html>")
            assert isinstance(error, VenueRateLimited)
            assert 60 == error.retry_after

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b'{"code":200,"order_book_details":[]}'),
            (429, b'{"code":23000,"message":"Too Many Requests!"}'),
            (418, b'{"code":-1003,"msg":"x"}'),
            (451, b'{"code":0,"msg":"x"}'),
            (502, b"<html>"),
            (403, b'{"message":"no"}'),
            (404, b"404 page not found"),
        ],
    )
    def test_the_rest_is_left_to_the_judge(self, status: int, body: bytes) -> None:
        """Answers, plain statuses, and a 429 whose Retry-After must be read."""
        assert VENUE.refusal(status, body) is None


def test_it_stands_in_the_roll_and_says_what_it_leaves_out() -> None:
    """The catalogue tells that only known coins are answered."""
    venue = roll()["lighter"]
    assert ("dex", "live", None) == (venue.kind, venue.status, venue.default_coins)
    assert "left out" in venue.notes[0]
