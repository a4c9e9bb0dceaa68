"""Settled funding rates as four venues tell them: over our samples, and over bad input."""

from typing import Any
from urllib.parse import parse_qs

import pytest
from holdings import asked, told, wire
from pasts import HOUR, MIDNIGHT, READ_AT, SIX_PM, hours, rates_of, sampled

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.wire import Call
from mmflow_mcp.venues import bybit_past, fapi_past, hyperliquid_past
from mmflow_mcp.venues.aster import PERPETUALS
from mmflow_mcp.venues.binance import RATES_WEIGHT, USDM
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.windows import Page

pytestmark = pytest.mark.anyio
TWO_PM = SIX_PM - 4 * HOUR


class TestHyperliquid:
    """Hourly, a few ms after the hour."""

    async def test_each_hour_once_on_the_hour(self) -> None:
        """14, 15, 17 (told twice), 18 h; 16 h is missing and 17 h is still for one hour."""
        ask = sampled("hyperliquid", "BTC", TWO_PM)
        (past,) = await rates_of(ask)
        assert ("BTC", "hyperliquid", "BTC", READ_AT) == (
            past.coin,
            past.venue,
            past.symbol,
            past.fetched_at,
        )
        assert [
            (14, 0.0000125, 1),
            (15, -0.0000081, 1),
            (17, 0.0000125, 1),
            (18, 0.00002, 1),
        ] == hours(past)
        assert [] == ask.shortfalls
        assert ["fundingHistory"] == ask.labels

    async def test_a_small_k_is_the_coins_perpetual(self) -> None:
        """kPEPE answers for PEPE: a rate needs no multiplier; two bad rows are left out."""
        ask = sampled("hyperliquid", "PEPE", TWO_PM)
        (past,) = await rates_of(ask)
        assert "kPEPE" == past.symbol
        assert [(15, 0.00002, 1), (16, 0.00001, 1), (18, -0.00003, 1)] == hours(past)
        assert ["changed: 2 rows could not be read"] == ask.shortfalls

    @pytest.mark.parametrize("coin", ["MATIC", "NOPE"])
    async def test_what_is_not_listed_has_no_past(self, coin: str) -> None:
        """Delisted or unknown: no row, nothing asked, nothing to complain of."""
        ask = sampled("hyperliquid", coin, TWO_PM)
        assert [] == await rates_of(ask)
        assert ({"BTC", "ETH", "PEPE"}, []) == (set(ask.universe), ask.shortfalls)
        assert 1 == len(asked(ask))

    def test_the_weight_grows_with_the_rows(self) -> None:
        """20, and 1 for every 20 rows: a week and its neighbours weigh 30, a whole page 45."""
        for rows, weight in ((192, 30), (500, 45), (1, 21)):
            page = Page(MIDNIGHT, MIDNIGHT + rows * HOUR, 60)
            assert weight == hyperliquid_past.funding_history("BTC", page).weight


class TestBinance:
    """The period is the symbol's own and changes."""

    async def test_a_period_that_was_shortened(self) -> None:
        """8 hours until 08:00, then 4; the list of today (4) does not reach back."""
        ask = sampled("binance", "PEPE", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert "1000PEPEUSDT" == past.symbol
        assert [(0, 0.00008, 8), (8, 0.0003, 8), (12, 0.00004, 4), (16, -0.00005, 4)] == hours(past)
        assert [] == ask.shortfalls

    async def test_the_main_perpetual_is_that_of_the_running_rate(self) -> None:
        """USDT before USDC and COIN-M, which are not asked."""
        ask = sampled("binance", "BTC", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert "BTCUSDT" == past.symbol
        assert [(0, 0.00003, 8), (8, -0.00004, 8), (16, 0.0001, 8)] == hours(past)
        rates = [url for url in asked(ask) if "fundingRate" in url]
        assert 1 == len(rates)
        assert not any("dapi" in url for url in asked(ask))

    async def test_coin_m_where_there_is_no_other(self) -> None:
        """FIL is listed there only; its first rate takes its successor's period."""
        ask = sampled("binance", "FIL", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert "FILUSD_PERP" == past.symbol
        assert [(0, 0.00005, 8), (8, 0.0001, 8), (16, 0.0002, 8)] == hours(past)
        assert {"BTC", "ETH", "PEPE", "FIL"} == set(ask.universe)

    @pytest.mark.parametrize("coin", ["OLD", "NOPE"])
    async def test_what_is_not_listed_has_no_past(self, coin: str) -> None:
        """Neither line lists it."""
        ask = sampled("binance", coin, MIDNIGHT)
        assert [] == await rates_of(ask)
        assert coin not in ask.universe
        assert coin not in ask.unreadable
        assert not any("fundingRate" in url for url in asked(ask))

    async def test_without_lists_only_sure_coins_are_asked(self) -> None:
        """BTC by its usual symbol; of a stranger nobody knows, and that is said."""
        failing: dict[str, VenueError] = {"exchangeInfo": VenueTimeout("timeout: slow")}
        (past,) = await rates_of(sampled("binance", "BTC", MIDNIGHT, failing=failing))
        assert ("BTCUSDT", 3) == (past.symbol, len(past.rates))
        ask = sampled("binance", "NOPE", MIDNIGHT, failing=failing)
        assert [] == await rates_of(ask)
        assert {"NOPE"} == ask.unreadable
        said = "missing: no settled funding rates of NOPE without the list of contracts"
        assert said in ask.shortfalls

    def test_a_request_weighs_what_its_own_limit_leaves(self) -> None:
        """500 in 5 minutes beside 2,400 weight a minute: 24; the page ends a ms before the next."""
        page = Page(MIDNIGHT, MIDNIGHT + HOUR, 60)
        call = fapi_past.funding_rates(USDM, RATES_WEIGHT, "BTCUSDT", page)
        assert (24, 60, True) == (call.weight, call.fresh, call.optional)
        assert call.url.endswith(
            f"symbol=BTCUSDT&startTime={MIDNIGHT}&endTime={MIDNIGHT + HOUR - 1}&limit=1000"
        )


class TestAster:
    """The same grammar."""

    async def test_rates_of_the_main_perpetual(self) -> None:
        """USDT before USD1; the first one takes its successor's period."""
        ask = sampled("aster", "BTC", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert ("BTCUSDT", "aster") == (past.symbol, past.venue)
        assert [(0, 0.0001, 8), (8, -0.00002, 8), (16, 0.00005, 8)] == hours(past)
        assert [] == ask.shortfalls

    async def test_one_alone_has_the_period_that_is_listed(self) -> None:
        """GNS is settled every 2 hours."""
        (past,) = await rates_of(sampled("aster", "GNS", MIDNIGHT))
        assert ("GNSUSD", [(16, 0.00001, 2)]) == (past.symbol, hours(past))

    async def test_one_alone_without_a_list_is_left_out(self) -> None:
        """Its period is not known, 8 is not assumed."""
        failing: dict[str, VenueError] = {"fundingInfo": VenueHttp(500)}
        ask = sampled("aster", "GNS", MIDNIGHT, failing=failing)
        (past,) = await rates_of(ask)
        assert () == past.rates
        assert "missing: 1 rate of GNSUSD without a known hour or period" in ask.shortfalls

    async def test_commodities_have_no_past_here(self) -> None:
        """CLUSD1 is crude oil, no coin."""
        assert [] == await rates_of(sampled("aster", "CL", MIDNIGHT))

    def test_it_has_no_open_interest_of_the_past(self) -> None:
        """The venue keeps none, and does not claim to."""
        from mmflow_mcp.venues import capabilities, roll

        able = {
            venue: (
                capabilities(roll()[venue])["fundingHistory"],
                capabilities(roll()[venue])["oiHistory"],
            )
            for venue in ("hyperliquid", "aster", "binance", "bybit")
        }
        only, both = (True, False), (True, True)
        assert {"hyperliquid": only, "aster": only, "binance": both, "bybit": both} == able


class TestBybit:
    """Newest first."""

    async def test_newest_first_becomes_ascending(self) -> None:
        """BTCUSDT, every 8 hours."""
        ask = sampled("bybit", "BTC", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert ("BTCUSDT", [(0, 0.0001, 8), (8, -0.00001, 8), (16, 0.00005, 8)]) == (
            past.symbol,
            hours(past),
        )
        assert [] == ask.shortfalls

    async def test_a_period_cut_to_an_hour_at_the_cap(self) -> None:
        """SHIB1000USDT: 8 hours until 16:00, then every hour."""
        (past,) = await rates_of(sampled("bybit", "SHIB", MIDNIGHT))
        assert "SHIB1000USDT" == past.symbol
        assert [(0, 0.0006, 8), (8, 0.0008, 8), (16, 0.001, 8)] == hours(past)[:3]
        assert [(17, 0.00002, 1), (18, 0.00001, 1)] == hours(past)[3:]

    async def test_inverse_where_there_is_no_other(self) -> None:
        """XRPUSD here; the minutes of the list (480) are 8 hours."""
        (past,) = await rates_of(sampled("bybit", "XRP", MIDNIGHT))
        assert ("XRPUSD", [(16, 0.0003, 8)]) == (past.symbol, hours(past))

    async def test_a_coin_without_a_settlement_is_listed_all_the_same(self) -> None:
        """A new contract: a row without rates."""
        ask = sampled("bybit", "ONLY", MIDNIGHT)
        (past,) = await rates_of(ask)
        assert ("ONLYPERP", ()) == (past.symbol, past.rates)
        assert [] == ask.shortfalls

    @pytest.mark.parametrize("coin", ["TSLA", "NOPE"])
    async def test_what_is_no_coin_has_no_past(self, coin: str) -> None:
        """A stock, and what is not listed at all."""
        ask = sampled("bybit", coin, MIDNIGHT)
        assert [] == await rates_of(ask)
        assert coin not in ask.universe
        assert coin not in ask.unreadable
        assert [] == ask.shortfalls

    def test_a_start_comes_with_an_end(self) -> None:
        """The venue refuses one without the other."""
        page = Page(MIDNIGHT, MIDNIGHT + HOUR, 60)
        call = bybit_past.fundings(Contract("BTCUSD", "BTC", 1, "USD", "inverse"), page)
        assert call.url.endswith(
            "category=inverse&symbol=BTCUSD"
            f"&startTime={MIDNIGHT}&endTime={MIDNIGHT + HOUR - 1}&limit=200"
        )


VENUES = ("hyperliquid", "binance", "aster", "bybit")
PARTS = {
    "hyperliquid": "info",
    "binance": "fundingRate",
    "aster": "fundingRate",
    "bybit": "funding/",
}


class TestFailure:
    """What fails is said, and nothing is made up in its place."""

    @pytest.mark.parametrize("venue", VENUES[1:])
    @pytest.mark.parametrize(
        "error", [VenueBlocked("geo: http 451"), VenueTimeout("timeout: no"), VenueRejected("no")]
    )
    async def test_a_venue_that_fails_raises_its_own_error(
        self, venue: str, error: VenueError
    ) -> None:
        """Not an empty past."""
        ask = sampled(venue, "BTC", MIDNIGHT, failing={PARTS[venue]: error})
        with pytest.raises(type(error)):
            await rates_of(ask)

    async def test_a_page_that_fails_leaves_its_hours_out(self) -> None:
        """Two pages of 1,000 hours, the older one fails: the newer one answers, and it is said."""
        since = MIDNIGHT - 1500 * HOUR

        def page(url: str) -> Any:
            start = int(parse_qs(url)["startTime"][0])
            if start < since + 500 * HOUR:
                return VenueHttp(503)
            return [
                {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": MIDNIGHT + k * HOUR}
                for k in (0, 8, 16)
            ]

        info = {"exchangeInfo": VenueTimeout("timeout"), "fundingInfo": [], "fundingRate": page}
        ask = told("binance", info, "BTC", since_ms=since)
        (past,) = await rates_of(ask)
        assert [(0, 0.0001, 8), (8, 0.0001, 8), (16, 0.0001, 8)] == hours(past)
        assert "http 503 (fundingRate)" in ask.shortfalls

    async def test_what_took_too_many_pages_is_said(self) -> None:
        """Ten pages of 1,000 hours, the newest ones."""
        answers = {"exchangeInfo": VenueTimeout("timeout"), "fundingInfo": [], "fundingRate": []}
        ask = told("binance", answers, "BTC", since_ms=0)
        await rates_of(ask)
        assert 10 == sum("fundingRate" in url for url in asked(ask))
        assert any("one answer goes no further" in reason for reason in ask.shortfalls)

    async def test_the_future_is_not_asked_for(self) -> None:
        """A window that has not begun: a row without rates, no request for any."""
        ask = sampled("binance", "BTC", READ_AT + HOUR, READ_AT + 2 * HOUR)
        (past,) = await rates_of(ask)
        assert () == past.rates
        assert not any("fundingRate" in url for url in asked(ask))


def bad(call: str, value: Any) -> list[dict[str, Any]]:
    """A good row of each venue's members with one of them replaced."""
    rows = {
        "rate": {"fundingRate": value},
        "time": {"time": value, "fundingTime": value, "fundingRateTimestamp": value},
        "name": {"coin": value, "symbol": value},
    }
    return [GOOD | rows[call]]


GOOD = {
    "coin": "BTC",
    "symbol": "BTC",
    "fundingRate": "0.0001",
    "time": MIDNIGHT,
    "fundingTime": MIDNIGHT,
    "fundingRateTimestamp": str(MIDNIGHT),
}
PARSERS = [
    (hyperliquid_past.parse_settled, lambda rows: rows),
    (fapi_past.parse_settled, lambda rows: rows),
    (bybit_past.parse_settled, lambda rows: {"retCode": 0, "result": {"list": rows}}),
]


@pytest.mark.parametrize(("parse", "wrap"), PARSERS, ids=["hyperliquid", "fapi", "bybit"])
class TestBadInput:
    """No parser believes what cannot be."""

    def test_a_good_row_is_read(self, parse: Any, wrap: Any) -> None:
        """The others differ from it in one member."""
        assert ([(MIDNIGHT, 0.0001, None)], 0) == parse(wire(wrap([GOOD])), "BTC")

    @pytest.mark.parametrize("rate", ["NaN", "Infinity", "", None, "0.3", "-9", True, "much", {}])
    def test_what_is_no_rate_is_left_out(self, parse: Any, wrap: Any, rate: Any) -> None:
        """And counted beside the good rows."""
        rows = [GOOD, *bad("rate", rate)]
        assert ([(MIDNIGHT, 0.0001, None)], 1) == parse(wire(wrap(rows)), "BTC")

    @pytest.mark.parametrize("time", ["", None, 0, "soon"])
    def test_what_has_no_time_is_left_out(self, parse: Any, wrap: Any, time: Any) -> None:
        """A rate of no moment."""
        rows = [GOOD, *bad("time", time)]
        assert ([(MIDNIGHT, 0.0001, None)], 1) == parse(wire(wrap(rows)), "BTC")

    def test_another_contracts_rate_is_left_out(self, parse: Any, wrap: Any) -> None:
        """ETH's rate does not speak for BTC."""
        rows = [GOOD, *bad("name", "ETH")]
        assert ([(MIDNIGHT, 0.0001, None)], 1) == parse(wire(wrap(rows)), "BTC")

    def test_rows_without_their_members_are_a_change(self, parse: Any, wrap: Any) -> None:
        """The venue has another format."""
        with pytest.raises(VenueChanged):
            parse(wire(wrap([{"x": 1}, [], None])), "BTC")

    @pytest.mark.parametrize("doc", [None, "<html>", 5, {"code": 1}])
    def test_what_is_no_list_is_a_change(self, parse: Any, wrap: Any, doc: Any) -> None:
        """HTML, an error, a number."""
        with pytest.raises(VenueChanged):
            parse(wire(wrap(doc)), "BTC")

    def test_an_empty_list_is_no_rate(self, parse: Any, wrap: Any) -> None:
        """And no error."""
        assert ([], 0) == parse(wire(wrap([])), "BTC")


def test_a_dividend_is_no_funding() -> None:
    """Rows of the type Special are neither rates nor bad."""
    rows = [GOOD | {"rateType": "Special"}, GOOD | {"rateType": "Regular"}]
    assert ([(MIDNIGHT, 0.0001, None)], 0) == fapi_past.parse_settled(wire(rows), "BTC")


def test_aster_asks_its_own_host() -> None:
    """At the weight it publishes."""
    call: Call = fapi_past.funding_rates(PERPETUALS, 1, "BTCUSDT", Page(0, HOUR, 60))
    assert call.url.startswith("https://fapi.asterdex.com/fapi/v1/fundingRate?symbol=BTCUSDT&")
    assert 1 == call.weight
