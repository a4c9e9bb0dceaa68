"""Open interest of the past, as Binance and Bybit keep it."""

from itertools import pairwise
from typing import Any

import pytest
from holdings import asked, told, wire
from pasts import HALF_PAST, HOUR, MINUTE, READ_AT, SIX_PM, interest_of, minutes, sampled

from mmflow_mcp.errors import VenueBlocked, VenueChanged, VenueError, VenueHttp, VenueTimeout
from mmflow_mcp.rows.history import PastInterest
from mmflow_mcp.venues import binance_past, bybit_past
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.windows import Page

pytestmark = pytest.mark.anyio
FIVE = 5 * MINUTE
DAY = 24 * HOUR
TEN_TO = SIX_PM + 50 * MINUTE

LINEAR = Contract("BTCUSDT", "BTC", 1, "USDT")
PEPE = Contract("1000PEPEUSDT", "PEPE", 1000, "USDT")
INVERSE = Contract("BTCUSD_PERP", "BTC", 1, "USD", "inverse", 100.0)


class TestBinance:
    """Thirty days, USD-M in units, COIN-M in contracts."""

    async def test_the_sum_of_both_lines(self) -> None:
        """18:30: 90,000 + 10,000 BTC, 7.2 bn + 8,000,000 x 100 USD; the USDC one is listed later.

        18:35 lacks COIN-M, 18:40 and 18:45 have all three.
        """
        ask = sampled("binance", "BTC", HALF_PAST, TEN_TO)
        (past,) = await interest_of(ask)
        assert ("BTC", "binance", FIVE, READ_AT) == (
            past.coin,
            past.venue,
            past.cadence_ms,
            past.fetched_at,
        )
        assert ("BTCUSDC", "BTCUSDT", "BTCUSD_PERP") == past.symbols
        assert [
            (30, 100_000.0, 8_000_000_000.0),
            (40, 100_300.0, 8_024_000_000.0),
            (45, 101_500.0, 8_120_000_000.0),
        ] == minutes(past)
        assert ["missing: open interest of BTCUSD_PERP at 1 moment, left out"] == ask.shortfalls
        assert not any("261225" in url for url in asked(ask))

    async def test_multiples_are_multiplied_out(self) -> None:
        """5,000,000 units of 1000PEPE are 5 bn PEPE, worth 50,000 USD as the venue says."""
        ask = sampled("binance", "PEPE", HALF_PAST, TEN_TO)
        (past,) = await interest_of(ask)
        assert (("1000PEPEUSDT",), [(30, 5e9, 50_000.0), (35, 6e9, 60_000.0)]) == (
            past.symbols,
            minutes(past),
        )
        assert [] == ask.shortfalls

    @pytest.mark.parametrize("coin", ["OLD", "NOPE"])
    async def test_what_is_not_listed_has_no_past(self, coin: str) -> None:
        """No row, and nothing to complain of."""
        ask = sampled("binance", coin, HALF_PAST, TEN_TO)
        assert ([], []) == (await interest_of(ask), ask.shortfalls)
        assert coin not in ask.universe

    async def test_a_line_that_fails_makes_no_smaller_sum(self) -> None:
        """COIN-M answers nothing: no moment is whole, none is told."""
        failing: dict[str, VenueError] = {"dapi.binance.com/futures": VenueHttp(503)}
        ask = sampled("binance", "BTC", HALF_PAST, TEN_TO, failing=failing)
        (past,) = await interest_of(ask)
        assert () == past.points
        assert "http 503 (dapi/openInterestHist)" in ask.shortfalls
        assert "missing: open interest of BTCUSD_PERP at 3 moments, left out" in ask.shortfalls

    async def test_a_venue_that_fails_raises_its_own_error(self) -> None:
        """Not an empty past."""
        failing: dict[str, VenueError] = {"openInterestHist": VenueBlocked("geo: http 451")}
        with pytest.raises(VenueBlocked):
            await interest_of(sampled("binance", "BTC", HALF_PAST, TEN_TO, failing=failing))

    async def test_without_lists_a_stranger_is_not_answered(self) -> None:
        """Nobody knows whether it is listed, and that is said."""
        failing: dict[str, VenueError] = {"exchangeInfo": VenueTimeout("timeout: slow")}
        ask = sampled("binance", "NOPE", HALF_PAST, TEN_TO, failing=failing)
        assert [] == await interest_of(ask)
        assert {"NOPE"} == ask.unreadable
        said = "missing: no open interest of NOPE without the list of contracts"
        assert said in ask.shortfalls

    @pytest.mark.parametrize(
        ("days", "period", "pages"),
        [(1, "5m", 1), (2, "5m", 2), (7, "15m", 2), (20, "30m", 2), (29, "1h", 2)],
    )
    async def test_the_cadence_follows_the_span(self, days: int, period: str, pages: int) -> None:
        """A few pages of 500, as fine as they allow; together they cover the window."""
        ask = told("binance", LISTED | {"Hist": []}, "BTC", since_ms=READ_AT - days * DAY)
        (past,) = await interest_of(ask)
        calls = [url for url in asked(ask) if "Hist" in url and "dapi" not in url][::-1]
        assert [True] * pages == [f"period={period}&" in url for url in calls]
        times = [[int(p.split("=")[1]) for p in url.split("&") if "Time" in p] for url in calls]
        assert times[0][0] - (READ_AT - days * DAY) < past.cadence_ms
        assert times[-1][1] >= READ_AT
        assert all(b[0] == a[1] + 1 for a, b in pairwise(times))
        assert all(b - a < 500 * past.cadence_ms for a, b in times)

    async def test_what_the_venue_no_longer_has_is_said(self) -> None:
        """Thirty days; older starts are refused by the venue, so they are not asked for."""
        ask = told("binance", LISTED | {"Hist": []}, "BTC", since_ms=READ_AT - 90 * DAY)
        (past,) = await interest_of(ask)
        starts = [int(u.split("startTime=")[1].split("&")[0]) for u in asked(ask) if "Hist" in u]
        assert READ_AT - 30 * DAY <= min(starts)
        assert HOUR == past.cadence_ms
        said = "missing: open interest of BTC before 2026-08-15 18:59, the venue keeps 30 days"
        assert said in ask.shortfalls

    async def test_what_is_long_gone_is_not_asked_for(self) -> None:
        """A window that ended before those days: a row without points."""
        since = READ_AT - 90 * DAY
        ask = told("binance", LISTED, "BTC", since_ms=since, until_ms=since + DAY)
        (past,) = await interest_of(ask)
        assert () == past.points
        assert not any("Hist" in url for url in asked(ask))

    def test_a_request_weighs_what_its_own_limit_leaves(self) -> None:
        """1,000 in 5 minutes beside 2,400 weight a minute."""
        from mmflow_mcp.venues.binance import COINM

        call = binance_past.interest_hist((COINM, INVERSE), binance_past.CADENCES[0], Page(0, HOUR))
        assert 12 == call.weight
        assert call.url.startswith(
            "https://dapi.binance.com/futures/data/openInterestHist"
            "?pair=BTCUSD&contractType=PERPETUAL&period=5m&startTime=0&"
        )


def contract(symbol: str, base: str, **more: Any) -> dict[str, Any]:
    """A row of exchangeInfo."""
    row = {"symbol": symbol, "baseAsset": base, "quoteAsset": "USDT", "contractType": "PERPETUAL"}
    return row | {"status": "TRADING", "underlyingType": "COIN"} | more


LISTED: dict[str, Any] = {
    "fapi/v1/exchangeInfo": {"symbols": [contract("BTCUSDT", "BTC"), contract("ETHUSDT", "ETH")]},
    "dapi/v1/exchangeInfo": {
        "symbols": [
            contract("BTCUSD_PERP", "BTC", contractSize=100),
            contract("ETHUSD_PERP", "ETH", contractSize=10),
        ]
    },
}


def held(at: Any = SIX_PM, **more: Any) -> dict[str, Any]:
    """A row of openInterestHist: 100 units worth 8,000,000."""
    row = {"symbol": "BTCUSDT", "sumOpenInterest": "100", "sumOpenInterestValue": "8000000"}
    return row | {"timestamp": at} | more


class TestBinanceParser:
    """One row, four traps."""

    def test_units_and_usd(self) -> None:
        """USD-M: units of the base asset, and USD; a time may be text."""
        expected = [PastInterest(SIX_PM, 100.0, 8_000_000.0)]
        for at in (SIX_PM, str(SIX_PM)):
            assert (expected, 0) == binance_past.parse_interest(wire([held(at)]), LINEAR)

    def test_contracts_and_coins(self) -> None:
        """COIN-M: 100 contracts of 100 USD; the value is coins, and not USD."""
        row = held(pair="BTCUSD", contractType="PERPETUAL", sumOpenInterestValue="0.125")
        expected = [PastInterest(SIX_PM, 0.125, 10_000.0)]
        assert (expected, 0) == binance_past.parse_interest(wire([row]), INVERSE)

    @pytest.mark.parametrize("kind", ["CURRENT_QUARTER", "NEXT_QUARTER", "ALL", ""])
    def test_dated_contracts_of_a_pair_are_not_the_perpetual(self, kind: str) -> None:
        """Nor is all of the pair together."""
        good = held(SIX_PM + FIVE, pair="BTCUSD", contractType="PERPETUAL")
        rows = [good, held(pair="BTCUSD", contractType=kind)]
        found, bad = binance_past.parse_interest(wire(rows), INVERSE)
        assert ([SIX_PM + FIVE], 1) == ([one.ts for one in found], bad)

    @pytest.mark.parametrize(
        "change",
        [
            {"symbol": "ETHUSDT"},
            {"sumOpenInterest": "NaN"},
            {"sumOpenInterest": "-1"},
            {"sumOpenInterest": ""},
            {"sumOpenInterestValue": None},
            {"sumOpenInterestValue": "1e13"},
            {"timestamp": None},
        ],
    )
    def test_what_cannot_be_is_left_out(self, change: dict[str, Any]) -> None:
        """Counted beside the good row."""
        rows = [held(), held(SIX_PM + FIVE) | change]
        found, bad = binance_past.parse_interest(wire(rows), LINEAR)
        assert ([SIX_PM], 1) == ([one.ts for one in found], bad)

    @pytest.mark.parametrize("doc", [None, "<html>", {"code": -1121}, [{}], [None, 5]])
    def test_another_shape_is_a_change(self, doc: Any) -> None:
        """HTML, an error, rows without members."""
        with pytest.raises(VenueChanged):
            binance_past.parse_interest(wire(doc), LINEAR)

    def test_births_are_read_where_they_are_told(self) -> None:
        """A list without any tells none, and is no worse a list."""
        rows = [{"symbol": "A", "onboardDate": 5}, {"symbol": "B"}, None]
        assert {"A": 5} == binance_past.parse_births(wire({"symbols": rows}))


class TestBybit:
    """Years, two-sided and one-sided, without USD."""

    async def test_the_sum_of_both_categories(self) -> None:
        """18:30: 54,000 / 2 BTC and 160,000,000 / 2 USD at 80,000; BTCPERP is listed at 18:40.

        18:35: the one-sided fields are empty and zero. 18:40 lacks BTCUSD. 18:45: 30,000 + 100
        coins and 160,000,000 USD, one-sided.
        """
        ask = sampled("bybit", "BTC", HALF_PAST, TEN_TO)
        (past,) = await interest_of(ask)
        assert (("BTCPERP", "BTCUSD", "BTCUSDT"), FIVE) == (past.symbols, past.cadence_ms)
        assert [
            (30, 27_000.0 + 1_000.0, 27_000 * 80_000.0 + 80_000_000),
            (35, 28_000.0 + 1_000.0, 28_000 * 80_000.0 + 80_000_000),
            (45, 30_100.0 + 2_000.0, 30_000 * 80_000.0 + 100 * 80_100 + 160_000_000),
        ] == minutes(past)
        assert ["missing: open interest of BTCUSD at 1 moment, left out"] == ask.shortfalls
        assert {"open-interest", "mark-price-kline"} == set(ask.labels)

    async def test_without_marks_linear_coins_are_known_and_usd_is_not(self) -> None:
        """SHIB1000USDT: half a million units are half a billion SHIB; null, not zero, USD."""
        ask = sampled("bybit", "SHIB", HALF_PAST, TEN_TO)
        (past,) = await interest_of(ask)
        assert [(30, 5e8, None), (35, 1e9, None)] == minutes(past)

    async def test_without_marks_inverse_coins_are_not_known(self) -> None:
        """No moment of BTC is whole then: no smaller sum of the linear ones."""
        failing: dict[str, VenueError] = {"mark-price-kline": VenueHttp(500)}
        ask = sampled("bybit", "BTC", HALF_PAST, TEN_TO, failing=failing)
        (past,) = await interest_of(ask)
        assert () == past.points
        assert "http 500 (mark-price-kline)" in ask.shortfalls
        assert "missing: open interest of BTCUSD at 3 moments, left out" in ask.shortfalls

    async def test_a_venue_that_fails_raises_its_own_error(self) -> None:
        """Marks alone are no open interest."""
        failing: dict[str, VenueError] = {"open-interest": VenueBlocked("geo: http 403")}
        with pytest.raises(VenueBlocked):
            await interest_of(sampled("bybit", "BTC", HALF_PAST, TEN_TO, failing=failing))

    @pytest.mark.parametrize("coin", ["TSLA", "NOPE"])
    async def test_what_is_no_coin_has_no_past(self, coin: str) -> None:
        """A stock, and what is not listed."""
        ask = sampled("bybit", coin, HALF_PAST, TEN_TO)
        assert ([], []) == (await interest_of(ask), ask.shortfalls)
        assert coin not in ask.unreadable

    async def test_without_lists_a_stranger_is_not_answered(self) -> None:
        """Nobody knows whether it is listed, and that is said."""
        failing: dict[str, VenueError] = {"instruments-info": VenueTimeout("timeout: slow")}
        ask = sampled("bybit", "NOPE", HALF_PAST, TEN_TO, failing=failing)
        assert [] == await interest_of(ask)
        said = "missing: no open interest of NOPE without the list of contracts"
        assert said in ask.shortfalls

    async def test_the_future_is_not_asked_for(self) -> None:
        """A row without points."""
        ask = sampled("bybit", "BTC", READ_AT + HOUR, READ_AT + 2 * HOUR)
        (past,) = await interest_of(ask)
        assert () == past.points
        assert not any("open-interest" in url for url in asked(ask))

    @pytest.mark.parametrize(
        ("days", "period", "candles", "pages"),
        [(2, "5min", "5", 3), (7, "15min", "15", 4), (30, "1h", "60", 4), (365, "1d", "D", 2)],
    )
    async def test_the_cadence_follows_the_span(
        self, days: int, period: str, candles: str, pages: int
    ) -> None:
        """Pages of 200 and one answer of candles over all of them."""
        ask = told("bybit", ON_BYBIT, "SOL", since_ms=READ_AT - days * DAY)
        await interest_of(ask)
        held = [url for url in asked(ask) if "open-interest" in url]
        priced = [url for url in asked(ask) if "mark-price" in url]
        assert [True] * pages == [f"intervalTime={period}&" in url for url in held]
        (call,) = priced
        first, last = held[-1], held[0]
        assert f"&interval={candles}&" in call
        assert first.split("startTime=")[1].split("&")[0] == call.split("start=")[1].split("&")[0]
        assert last.split("endTime=")[1].split("&")[0] == call.split("end=")[1].split("&")[0]

    async def test_what_took_too_many_pages_is_said(self) -> None:
        """Four pages of 200 days, and candles of the same days."""
        ask = told("bybit", ON_BYBIT, "SOL", since_ms=READ_AT - 2050 * DAY)
        await interest_of(ask)
        assert 4 == sum("open-interest" in url for url in asked(ask))
        assert any("one answer goes no further" in reason for reason in ask.shortfalls)


def instrument(symbol: str, coin: str, quote: str, kind: str) -> dict[str, Any]:
    """A row of instruments-info."""
    row = {"symbol": symbol, "baseCoin": coin, "quoteCoin": quote, "contractType": kind}
    return row | {"status": "Trading", "symbolType": ""}


# SOL has one contract.
ON_BYBIT: dict[str, Any] = {
    f"instruments-info?category={category}": {
        "result": {
            "category": category,
            "list": [instrument(f"{coin}{quote}", coin, quote, kind) for coin in coins.split()],
        }
    }
    for category, quote, kind, coins in (
        ("linear", "USDT", "LinearPerpetual", "BTC ETH SOL"),
        ("inverse", "USD", "InversePerpetual", "BTC ETH"),
    )
} | {"v5": {"result": {"list": []}}}


def both(at: int = SIX_PM, **more: Any) -> dict[str, Any]:
    """A row of open-interest: 200 on both sides, 100 on one."""
    row = {"openInterest": "200", "singleOpenInterest": "100", "timestamp": str(at)}
    return row | more


def listed(*rows: Any) -> Any:
    """An answer with these rows."""
    return wire({"retCode": 0, "result": {"list": list(rows)}})


def of_bybit(row: dict[str, Any], which: Contract, mark: float | None) -> list[PastInterest]:
    """The points of one row, priced or not."""
    prices = {} if mark is None else {SIX_PM: mark}
    return bybit_past.parse_interest(listed(row), which, prices)[0]


class TestBybitParser:
    """One side of two, coins or USD."""

    @pytest.mark.parametrize("single", ["100", "", None, "0"])
    def test_two_sided_interest_is_halved_where_no_single_is_told(self, single: Any) -> None:
        """The one-sided number, else half of the two-sided one."""
        row = both(singleOpenInterest=single)
        assert [PastInterest(SIX_PM, 100.0, 8_000_000.0)] == of_bybit(row, LINEAR, 80_000.0)
        del row["singleOpenInterest"]
        assert [PastInterest(SIX_PM, 100.0, 8_000_000.0)] == of_bybit(row, LINEAR, 80_000.0)

    def test_the_one_sided_number_is_taken_as_it_is(self) -> None:
        """26,631.431 beside 53,262.861: not the half of what was rounded."""
        row = both(openInterest="53262.861", singleOpenInterest="26631.431")
        assert 26631.431 == of_bybit(row, LINEAR, None)[0].coins

    def test_nothing_held_is_zero(self) -> None:
        """Measured, and not unknown."""
        row = both(openInterest="0", singleOpenInterest="0")
        assert [PastInterest(SIX_PM, 0.0, 0.0)] == of_bybit(row, LINEAR, 80_000.0)

    def test_inverse_interest_is_usd(self) -> None:
        """100 USD at 80,000 are 0.00125 coins; without a mark there is no point."""
        assert [PastInterest(SIX_PM, 0.00125, 100.0)] == of_bybit(both(), INVERSE, 80_000.0)
        assert [] == of_bybit(both(), INVERSE, None)

    def test_multiples_are_multiplied_out_and_priced_per_unit(self) -> None:
        """100 units of 1000PEPE at 0.01 are 100,000 PEPE and 1 USD."""
        assert [PastInterest(SIX_PM, 100_000.0, 1.0)] == of_bybit(both(), PEPE, 0.01)

    @pytest.mark.parametrize(
        "change",
        [
            {"singleOpenInterest": "NaN"},
            {"singleOpenInterest": None, "openInterest": ""},
            {"singleOpenInterest": "-5"},
            {"timestamp": ""},
        ],
    )
    @pytest.mark.parametrize("which", [LINEAR, INVERSE])
    def test_what_cannot_be_is_left_out(self, change: dict[str, Any], which: Contract) -> None:
        """Counted beside the good row."""
        prices = {SIX_PM: 80_000.0, SIX_PM + FIVE: 80_000.0}
        rows = listed(both(), both(SIX_PM + FIVE) | change)
        found, bad = bybit_past.parse_interest(rows, which, prices)
        assert ([SIX_PM], 1) == ([one.ts for one in found], bad)

    @pytest.mark.parametrize("doc", [None, "<html>", {"result": {}}, {"result": {"list": {}}}])
    def test_another_shape_is_a_change(self, doc: Any) -> None:
        """HTML, a result without a list."""
        with pytest.raises(VenueChanged):
            bybit_past.parse_interest(wire(doc), LINEAR, {})
        with pytest.raises(VenueChanged):
            bybit_past.parse_marks(wire(doc))

    def test_the_open_of_a_candle_is_the_mark_of_its_moment(self) -> None:
        """Not its high, low or close; a candle without a price is left out."""
        good = [str(SIX_PM), "80000.5", "90000", "70000", "80001"]
        rows = [good, [str(SIX_PM + FIVE), "NaN", "1", "1", "1"]]
        assert ({SIX_PM: 80000.5}, 1) == bybit_past.parse_marks(listed(*rows))

    def test_births_are_read_where_they_are_told(self) -> None:
        """Text in ms; "0" and "" tell nothing."""
        rows = [{"symbol": s, "launchTime": at} for s, at in (("A", "5"), ("B", "0"), ("C", ""))]
        assert {"A": 5} == bybit_past.parse_births(listed(*rows, None))
