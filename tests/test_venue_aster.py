"""Aster: all linear, three quotes, stocks under coins' tickers, periods of one and two hours."""

from typing import Any

import pytest
from bending import Bent, changing, without
from wires import asking, recorded, sample

from mmflow_mcp.errors import VenueRateLimited, VenueRejected, VenueTimeout
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.aster import PERPETUALS, Aster, guess_perpetual, is_coin
from mmflow_mcp.venues.fapi import (
    day_tickers,
    exchange_info,
    funding_info,
    held_of,
    parse_contracts,
    parse_periods,
    premium_index,
)
from mmflow_mcp.venues.fapi_rows import Book, parse_largest, shelve

pytestmark = pytest.mark.anyio

ASTER = Aster()
AT = 1_789_412_345_678
LATE = VenueTimeout("timeout: no answer within 6 s")
GONE = ASTER.refusal(404, b"<html>404 Not Found</html>")
# What the samples list although it must never answer for a coin.
TRAPS = ("QNT", "CL", "SPY", "FTM", "MOG")


async def open_interest(*coins: str, **how: Any) -> tuple[dict[str, OpenInterestRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("aster", **how).ask(*coins)
    return {row.coin: row for row in await ASTER.open_interest(ask)}, ask


async def funding(*coins: str, **how: Any) -> tuple[dict[str, FundingRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("aster", **how).ask(*coins)
    return {row.coin: row for row in await ASTER.funding(ask)}, ask


class TestOpenInterest:
    """Units of the base asset at the mark, whatever the quote."""

    async def test_usd_and_usd1_perpetuals_are_linear_and_summed(self) -> None:
        """BTCUSD is no inverse contract here."""
        rows, ask = await open_interest("BTC")
        # 6,000.5 x 80,000 + 10 x 80,008 + 20 x 79,992
        assert pytest.approx(480_040_000 + 800_080 + 1_599_840) == rows["BTC"].oi_usd
        assert pytest.approx(6_030.5) == rows["BTC"].oi_coins
        assert ("BTCUSD", "BTCUSD1", "BTCUSDT") == rows["BTC"].symbols
        assert ([], AT) == (ask.shortfalls, rows["BTC"].fetched_at)

    async def test_multipliers_of_the_name_are_coins(self) -> None:
        """400,000 units of 1000PEPE at 0.0125."""
        rows, _ = await open_interest("PEPE")
        assert pytest.approx(5_000) == rows["PEPE"].oi_usd
        assert 400_000_000 == rows["PEPE"].oi_coins

    async def test_stocks_and_commodities_never_answer_for_coins(self) -> None:
        """QNT is Quantinuum here; CLUSD1 is oil quoted in USD1; FTM settles, MOG has not begun."""
        rows, ask = await open_interest("BTC", *TRAPS)
        assert {"BTC"} == set(rows)
        assert not any(coin in ask.universe for coin in TRAPS)
        assert [] == ask.shortfalls

    async def test_the_largest_coins_when_none_is_named(self) -> None:
        """By volume of live contracts of coins; a stock's nine billion do not count."""
        rows, ask = await open_interest()
        shelf = shelve((Book(PERPETUALS, sample("aster", exchange_info(PERPETUALS)), ()),))
        largest = parse_largest(sample("aster", day_tickers(PERPETUALS)), shelf)
        assert ["ETH", "BTC", "ASTER", "SOL", "PEPE", "GNS"] == largest
        assert set(largest) == set(rows)
        assert "20 largest by 24 h volume" == ask.narrowed

    async def test_an_address_that_vanished_is_named_so(self) -> None:
        """A 404 tells that the address is undocumented; no row is made."""
        assert isinstance(GONE, VenueRejected)
        rows, ask = await open_interest("BTC", failing={"openInterest": GONE})
        assert {} == rows
        assert ask.shortfalls[0].startswith("http 404: ")
        assert "open interest is undocumented" in ask.shortfalls[0]
        assert {"BTC"} == ask.unreadable

    async def test_one_request_a_contract_and_two_lists(self) -> None:
        """Five at first, in two rounds; later four in one."""
        bent = Bent("aster")
        first = bent.ask("BTC")
        await ASTER.open_interest(first)
        assert (5, 2) == (len(bent.asked), first.rounds)
        bent.forget(but=("exchangeInfo",))
        later = bent.ask("BTC")
        await ASTER.open_interest(later)
        assert (4, 1) == (len(bent.asked), later.rounds)
        assert not any("symbol" not in url for url in bent.asked if "openInterest" in url)

    async def test_without_the_list_only_sure_coins_are_answered(self) -> None:
        """BTCUSD1 is BTC in USD1; QNT could be the stock."""
        whole, _ = await open_interest("BTC", "PEPE")
        rows, ask = await open_interest("BTC", "PEPE", "QNT", failing={"exchangeInfo": LATE})
        assert whole == rows
        assert {"QNT"} == ask.unreadable

    async def test_a_sum_does_not_silently_lack_its_main_contract(self) -> None:
        """BTCUSDT is neither listed nor quoted in bulk; asked alone, it is there."""
        whole, _ = await open_interest("BTC")
        bends = {
            "exchangeInfo": lambda doc: doc | {"symbols": without(doc["symbols"], "BTCUSDT")},
            "premiumIndex$": lambda rows: without(rows, "BTCUSDT"),
        }
        rows, _ = await open_interest("BTC", bends=bends)
        assert whole == rows


class TestFunding:
    """`fundingInfo` names every perpetual: nothing is assumed of one that it does not name."""

    async def test_the_usdt_perpetual_speaks_for_a_coin(self) -> None:
        """0.0001 in 8 h is 10.95 % a year; USD and USD1 have rates of their own."""
        rows, _ = await funding("BTC")
        btc = rows["BTC"]
        assert ("BTCUSDT", 0.0001, 8) == (btc.symbol, btc.rate, btc.period_hours)
        assert pytest.approx(10.95) == btc.apr
        assert (80_000, 1_789_430_400_000) == (btc.mark_price, btc.next_funding_time)

    async def test_periods_are_the_symbols_own(self) -> None:
        """ETH 4 h, ASTER 2 h, PEPE 1 h: -0.00008 in 4 h is -17.52 % a year."""
        rows, _ = await funding("ETH", "ASTER", "PEPE")
        assert (4, 2, 1) == tuple(rows[coin].period_hours for coin in ("ETH", "ASTER", "PEPE"))
        assert pytest.approx(-17.52) == rows["ETH"].apr
        assert pytest.approx(0.0000125) == rows["PEPE"].mark_price

    async def test_no_period_no_row(self) -> None:
        """SOL is not named, XRP's 4 h cannot end in 5 h."""
        rows, ask = await funding("SOL", "XRP", "BTC")
        assert {"BTC"} == set(rows)
        assert {"SOL", "XRP"} == ask.unreadable
        assert [
            "missing: no funding rate with a known period of SOLUSDT, XRPUSDT"
        ] == ask.shortfalls

    async def test_without_periods_only_what_one_period_explains_is_answered(self) -> None:
        """BTC is settled in 5 h, so every 8; ETH in 1 h, and hours need not be round here."""
        rows, ask = await funding("BTC", "ETH", failing={"fundingInfo": LATE})
        assert {"BTC": 8.0} == {coin: row.period_hours for coin, row in rows.items()}
        assert {"ETH"} == ask.unreadable

    async def test_a_coin_without_usdt_is_spoken_for_by_usd(self) -> None:
        """GNSUSD pays nothing: a measured zero."""
        rows, ask = await funding("GNS")
        assert ("GNSUSD", 0.0, 0.0) == (rows["GNS"].symbol, rows["GNS"].rate, rows["GNS"].apr)
        assert [] == ask.shortfalls

    async def test_the_universe_is_every_coin_with_a_known_period(self) -> None:
        """Three requests, one round."""
        rows, ask = await funding()
        assert {"BTC", "ETH", "PEPE", "GNS", "ASTER"} == set(rows)
        assert (3, 1) == (len(ask.answers.asked), ask.rounds)

    @pytest.mark.parametrize("hours", [0, -8, 48, "NaN", None])
    async def test_an_absurd_period_is_no_period(self, hours: Any) -> None:
        """Zero, negative and beyond a day."""
        bend = {"fundingInfo": changing("ETHUSDT", fundingIntervalHours=hours)}
        rows, ask = await funding("ETH", bends=bend)
        assert ({}, {"ETH"}) == (rows, ask.unreadable)


class TestParts:
    """Contracts, guesses, refusals, markets."""

    @pytest.mark.parametrize(
        "row,expected",
        [
            ({"underlyingSubType": ["Layer-1"], "symbolType": 0}, True),
            ({"underlyingSubType": []}, True),
            ({}, True),
            ({"underlyingSubType": ["Layer-1"], "symbolType": 1}, False),
            ({"underlyingSubType": ["STOCK"]}, False),
            ({"underlyingSubType": ["ETF"], "symbolType": 0}, False),
            ({"underlyingSubType": ["Commodities"]}, False),
            ({"underlyingSubType": ["Pre-Market"]}, False),
        ],
    )
    def test_what_a_coin_is(self, row: dict[str, Any], *, expected: bool) -> None:
        """`underlyingType` says COIN of everything."""
        assert expected is is_coin({"underlyingType": "COIN", **row})

    @pytest.mark.parametrize(
        "symbol,coin,quote",
        [
            ("BTCUSDT", "BTC", "USDT"),
            ("BTCUSD", "BTC", "USD"),
            ("BTCUSD1", "BTC", "USD1"),
            ("1000PEPEUSDT", "PEPE", "USDT"),
            ("CLUSD1", None, None),
            ("QNTUSDT", None, None),
        ],
    )
    def test_symbols_tell_only_what_is_surely_a_coin(
        self, symbol: str, coin: str | None, quote: str | None
    ) -> None:
        """The longest quote is taken: USD1 is not USD and a 1."""
        guess = guess_perpetual(symbol)
        assert (coin, quote) == ((guess.coin, guess.quote) if guess else (None, None))

    def test_a_contract_margined_in_its_coin_cannot_be_sized(self) -> None:
        """No list tells the size of such a contract: the row is unreadable, not wrong."""
        rows = sample("aster", exchange_info(PERPETUALS)).doc["symbols"]
        doc = {"symbols": [rows[0], rows[3], rows[1] | {"marginAsset": "BTC"}]}
        listed = parse_contracts(Wire(doc, fetched_at=0, read=0, size=1), PERPETUALS)
        assert ({"BTCUSDT", "ETHUSDT"}, 1) == (set(listed.contracts), listed.bad)

    def test_refusals(self) -> None:
        """Binance's envelopes; the rate limit is left to its status and Retry-After."""
        invalid = ASTER.refusal(400, b'{"code":-1121,"msg":"Invalid symbol."}')
        assert isinstance(invalid, VenueRejected)
        assert "rejected: the venue knows no such symbol (code -1121)" == invalid.reason
        limited = ASTER.refusal(400, b'{"code":-1003,"msg":"Too many requests."}')
        assert isinstance(limited, VenueRateLimited)
        assert ASTER.refusal(429, b'{"code":-1003,"msg":"Too many requests."}') is None
        assert ASTER.refusal(200, b"[]") is None

    async def test_markets_are_all_that_trades(self) -> None:
        """Stocks and commodities without a coin."""
        rows = {row.symbol: row for row in await ASTER.markets(asking("aster"))}
        assert not {"FTMUSDT", "MOGUSDT"} & set(rows)
        assert [None, None, None] == [rows[s].coin for s in ("QNTUSDT", "CLUSD1", "SPYUSDT")]
        assert ("perp", "BTC") == (rows["BTCUSD1"].kind, rows["BTCUSD1"].coin)


class TestRecorded:
    """Excerpts; the only recorded list of contracts is an example of the documentation."""

    async def test_funding_of_september_2025(self) -> None:
        """The list is of something else: only what is surely a coin is answered."""
        ask = asking("aster", real=True)
        (row,) = await ASTER.funding(ask)
        assert ("INJ", 0.0001, 8, 12.24330596) == (
            row.coin,
            row.rate,
            row.period_hours,
            row.mark_price,
        )
        assert 1_758_787_200_000 == row.next_funding_time
        assert "changed: 1 of 1 rows could not be read (exchangeInfo)" == ask.shortfalls[0]

    def test_recorded_answers_have_the_shapes_that_are_read(self) -> None:
        """Caps may be null, hours are whole, open interest is text."""
        hours = parse_periods(recorded("aster", funding_info(PERPETUALS)))
        assert {"GNSUSD": 8.0, "EGL1USD": 8.0, "INJUSDT": 8.0} == hours
        held = recorded("aster", held_of(PERPETUALS, "BTCUSDT")).doc
        assert {"symbol": "BTCUSDT", "openInterest": "6196.323", "time": 1787059914451} == held
        assert 3 == len(recorded("aster", premium_index(PERPETUALS)).doc)

    async def test_open_interest_at_a_price_of_another_time_says_so(self) -> None:
        """6,196.323 BTC of 2026 at the only mark recorded, of 2020: as old as that, and marked."""
        ask = asking("aster", "BTC", real=True)
        (row,) = await ASTER.open_interest(ask)
        assert pytest.approx(6_196.323 * 11_793.63104562) == row.oi_usd
        assert (6_196.323, 1_597_370_495_002) == (row.oi_coins, row.fetched_at)
        said = "stale: open interest of BTCUSDT is priced at a mark of another time"
        assert said in ask.shortfalls

    async def test_funding_of_a_single_quote(self) -> None:
        """Neither list nor bulk holds BTCUSDT; asked alone, it is settled in 6 h: every 8."""
        ask = asking("aster", "BTC", real=True)
        (row,) = await ASTER.funding(ask)
        assert (0.00038246, 8.0) == (row.rate, row.period_hours)
        assert (1_597_392_000_000, 11_793.63104562) == (row.next_funding_time, row.mark_price)
