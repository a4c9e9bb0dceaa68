"""Binance: open interest of three contracts of a coin, each in its own unit."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bending import Bend, Bent, changing, without
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    Unrecorded,
    VenueError,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.binance import (
    COINM,
    USDM,
    Binance,
)
from mmflow_mcp.venues.fapi import (
    day_tickers,
    exchange_info,
    parse_contracts,
)
from mmflow_mcp.venues.fapi_rows import Book, parse_largest, shelve

pytestmark = pytest.mark.anyio

BINANCE = Binance()
# When quotes were read; the open interest came 300 ms later, the quotes of COIN-M 1 s before.
AT = 1_789_412_345_678
LISTS = ("exchangeInfo", "fundingInfo")
LATE = VenueTimeout("timeout: no answer within 6 s")
REFUSED = VenueRejected("rejected: the venue rejected the request (code -1102)")
# What the samples list although it must never answer for a coin.
TRAPS = ("FTM", "WEN", "BB", "TSLA", "BTCDOM", "DEFI", "SOMI", "DOT")


async def open_interest(*coins: str, **how: Any) -> tuple[dict[str, OpenInterestRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("binance", **how).ask(*coins)
    return {row.coin: row for row in await BINANCE.open_interest(ask)}, ask


async def funding(*coins: str, **how: Any) -> tuple[dict[str, FundingRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("binance", **how).ask(*coins)
    return {row.coin: row for row in await BINANCE.funding(ask)}, ask


def listing(bend: Any) -> Bend:
    """A bend of the rows of a list of contracts."""
    return lambda doc: doc | {"symbols": bend(doc["symbols"])}


class TestOpenInterest:
    """Linear contracts are units of the base asset, inverse ones a number of USD."""

    async def test_a_coin_is_the_sum_of_its_three_perpetuals(self) -> None:
        """USDT, USDC and COIN-M, each at its own mark; the dated contract is not in it."""
        rows, ask = await open_interest("BTC")
        btc = rows["BTC"]
        # 10,000.5 x 80,000 = 800,040,000; 500.25 x 80,010 = 40,025,002.5; 1,200,000 x 100 USD
        assert pytest.approx(960_065_002.5) == btc.oi_usd
        # 10,000.5 + 500.25 + 120,000,000 / 80,020
        assert pytest.approx(10_500.75 + 1_499.625_093_727) == btc.oi_coins
        assert btc.oi_coins == btc.oi_contracts
        assert ("BTCUSDC", "BTCUSDT", "BTCUSD_PERP") == btc.symbols
        assert (None, []) == (btc.not_counted, ask.shortfalls)

    async def test_multipliers_of_the_name_are_coins(self) -> None:
        """A unit of 1000PEPE is a thousand PEPE, of 1MBABYDOGE a million; USD are right as is."""
        rows, _ = await open_interest("PEPE", "BABYDOGE")
        # 4,000,000 x 0.0125 + 500,000 x 0.01251
        assert pytest.approx(50_000 + 6_255) == rows["PEPE"].oi_usd
        assert pytest.approx(4_500_000 * 1000) == rows["PEPE"].oi_coins
        assert pytest.approx(3_000_000 * 0.002) == rows["BABYDOGE"].oi_usd
        assert pytest.approx(3_000_000 * 1e6) == rows["BABYDOGE"].oi_coins

    async def test_the_two_lunas_are_two_coins(self) -> None:
        """LUNA2 is LUNA; 1000LUNC is the old chain's LUNC."""
        rows, _ = await open_interest("LUNA", "LUNC")
        assert ("LUNA2USDT",) == rows["LUNA"].symbols
        assert 1_000_000 == rows["LUNA"].oi_coins
        assert 2_000_000 * 1000 == rows["LUNC"].oi_coins

    async def test_symbols_in_other_alphabets_are_encoded(self) -> None:
        """The address is ASCII; the row carries the name as it is."""
        rows, ask = await open_interest("币安人生")
        assert 800_000 * 0.25 == rows["币安人生"].oi_usd
        asked = [url for url in ask.answers.asked if "openInterest" in url]
        symbol = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
        assert [f"https://fapi.binance.com/fapi/v1/openInterest?symbol={symbol}"] == asked

    async def test_a_contract_quoted_in_a_coin_is_not_counted(self) -> None:
        """ETHBTC is worth no dollars of its own."""
        rows, _ = await open_interest("ETH")
        assert ("ETHUSDC", "ETHUSDT", "ETHUSD_PERP") == rows["ETH"].symbols

    async def test_what_is_no_live_coin_never_answers(self) -> None:
        """Stocks, indices, delisted, pre-market and settling contracts; nor are they asked."""
        rows, ask = await open_interest("BTC", *TRAPS)
        assert {"BTC"} == set(rows)
        assert not any(coin in ask.universe for coin in TRAPS)
        assert [] == ask.shortfalls
        assert 3 == sum("openInterest" in url for url in ask.answers.asked)

    async def test_a_coin_with_an_inverse_perpetual_alone(self) -> None:
        """250,000 contracts of 10 USD, at 2.5 USD."""
        rows, _ = await open_interest("FIL")
        assert (2_500_000, 1_000_000) == (rows["FIL"].oi_usd, rows["FIL"].oi_coins)

    async def test_a_row_is_as_old_as_the_oldest_answer_behind_it(self) -> None:
        """COIN-M was quoted a second before USD-M."""
        rows, _ = await open_interest("BTC", "PEPE")
        assert (AT - 1000, AT) == (rows["BTC"].fetched_at, rows["PEPE"].fetched_at)

    async def test_the_largest_coins_when_none_is_named(self) -> None:
        """By dollars traded on live contracts of coins: BTC 9.9 bn (two contracts), ETH 9.6 bn."""
        rows, ask = await open_interest()
        assert "20 largest by 24 h volume" == ask.narrowed
        tickers, lists = (
            sample("binance", day_tickers(USDM)),
            sample("binance", exchange_info(USDM)),
        )
        shelf = shelve((Book(USDM, lists, ()),))
        largest = [
            "BTC",
            "ETH",
            "SOL",
            "XRP",
            "BNB",
            "PEPE",
            "币安人生",
            "LUNA",
            "LUNC",
            "BABYDOGE",
        ]
        assert largest == parse_largest(tickers, shelf)
        assert set(largest) == set(rows)

    async def test_no_more_than_twenty_of_them(self) -> None:
        """Twenty-five coins trade; the five smallest are left out."""
        symbols = [f"C{chr(65 + i)}X" for i in range(25)]
        row = sample("binance", exchange_info(USDM)).doc["symbols"][0]
        doc = {"symbols": [row | {"symbol": f"{s}USDT", "baseAsset": s} for s in symbols]}
        listed = Wire(doc, fetched_at=AT, read=0, size=1)
        volumes = [{"symbol": f"{s}USDT", "quoteVolume": str(i)} for i, s in enumerate(symbols)]
        tickers = Wire(volumes, fetched_at=AT, read=0, size=1)
        found = parse_largest(tickers, shelve((Book(USDM, listed, ()),)))
        assert list(reversed(symbols[5:])) == found


class TestShortfalls:
    """What cannot be read is named, and never counted as nothing."""

    async def test_a_contract_that_fails_shortens_the_row(self) -> None:
        """The sum without BTCUSDC names BTCUSDC."""
        rows, ask = await open_interest("BTC", failing={"openInterest?symbol=BTCUSDC": LATE})
        assert pytest.approx(920_040_000) == rows["BTC"].oi_usd
        assert ("BTCUSDC",) == rows["BTC"].not_counted
        assert [
            "timeout: no answer within 6 s (openInterest)",
            "missing: no open interest of BTCUSDC",
        ] == ask.shortfalls

    async def test_a_coin_of_which_nothing_can_be_read_has_no_row(self) -> None:
        """It is said, and the coin is not called unlisted."""
        rows, ask = await open_interest("PEPE", "XRP", failing={"1000PEPE": LATE})
        assert {"XRP"} == set(rows)
        assert {"PEPE"} == ask.unreadable
        assert "missing: no open interest of 1000PEPEUSDT, 1000PEPEUSDC" in ask.shortfalls

    @pytest.mark.parametrize(
        "change",
        [
            {"openInterest": "NaN"},
            {"openInterest": "-5"},
            {"openInterest": "1e308"},
            {"openInterest": "15000000.1"},  # x 80,000 is more than 1e12 USD
            {"openInterest": None},
            {"openInterest": ""},
            {"symbol": "ETHUSDT"},
        ],
    )
    async def test_an_absurd_number_is_no_number(self, change: dict[str, Any]) -> None:
        """The contract is not counted; the others are."""
        bend = {"openInterest?symbol=BTCUSDT": lambda doc: doc | change}
        rows, _ = await open_interest("BTC", bends=bend)
        assert ("BTCUSDT",) == rows["BTC"].not_counted
        assert pytest.approx(160_025_002.5) == rows["BTC"].oi_usd

    @pytest.mark.parametrize("mark", ["NaN", "0", "-1", "", None])
    async def test_a_linear_contract_without_a_mark_is_not_counted(self, mark: str | None) -> None:
        """No other contract's price stands in for it."""
        bend = {"fapi/v1/premiumIndex": changing("BTCUSDC", markPrice=mark)}
        rows, _ = await open_interest("BTC", bends=bend)
        assert ("BTCUSDC",) == rows["BTC"].not_counted

    async def test_without_the_marks_of_coin_m_its_coins_take_the_linear_mark(self) -> None:
        """120,000,000 USD / 80,000; the USD are the same."""
        rows, ask = await open_interest("BTC", failing={"dapi/v1/premiumIndex": LATE})
        assert pytest.approx(960_065_002.5) == rows["BTC"].oi_usd
        assert pytest.approx(10_500.75 + 1_500) == rows["BTC"].oi_coins
        assert ["timeout: no answer within 6 s (dapi/premiumIndex)"] == ask.shortfalls
        assert rows["BTC"].fetched_at == AT

    async def test_coins_are_unknown_without_any_mark(self) -> None:
        """FIL has no linear contract to borrow from: USD without coins."""
        rows, _ = await open_interest("FIL", failing={"dapi/v1/premiumIndex": LATE})
        assert (2_500_000, None) == (rows["FIL"].oi_usd, rows["FIL"].oi_coins)

    async def test_the_venue_fails_when_its_quotes_do(self) -> None:
        """A network failure is no reason to ask symbol by symbol."""
        ask = Bent("binance", failing={"fapi/v1/premiumIndex": LATE}).ask("BTC")
        with pytest.raises(VenueTimeout):
            await BINANCE.open_interest(ask)
        assert not any("symbol=" in url for url in ask.answers.asked)

    async def test_rows_sent_twice_count_once(self) -> None:
        """In the list and in the quotes."""
        twice = {
            "exchangeInfo": listing(lambda rows: rows * 2),
            "premiumIndex": lambda doc: doc * 2,
        }
        plain, _ = await open_interest("BTC", "ETH")
        doubled, ask = await open_interest("BTC", "ETH", bends=twice)
        assert plain == doubled
        assert [] == ask.shortfalls


class TestWithoutLists:
    """What is asked and answered while a list of contracts is missing or odd."""

    async def test_known_coins_are_answered_from_their_symbols(self) -> None:
        """The same sums; nothing else, for a symbol alone does not tell a coin from a stock."""
        whole, _ = await open_interest("BTC", "PEPE")
        rows, ask = await open_interest(
            "BTC", "PEPE", "BB", "FTM", "币安人生", failing={"fapi/v1/exchangeInfo": LATE}
        )
        assert whole == rows
        assert {"BB", "FTM", "币安人生"} == ask.unreadable
        # FTM is quoted and has no next settlement: it is settled, and not asked.
        assert not any("FTM" in url for url in ask.answers.asked)
        assert "timeout: no answer within 6 s (exchangeInfo)" in ask.shortfalls
        assert "missing: no open interest of BB without the list of contracts" in ask.shortfalls

    async def test_coin_m_sizes_are_the_documented_ones(self) -> None:
        """100 USD for BTC, 10 for the others."""
        whole, _ = await open_interest("BTC", "ETH")
        rows, _ = await open_interest("BTC", "ETH", failing={"dapi/v1/exchangeInfo": LATE})
        assert whole == rows

    async def test_a_coin_m_list_that_cannot_be_read_spoils_nothing_else(self) -> None:
        """It is said, and the contracts are guessed."""
        whole, _ = await open_interest("BTC")
        rows, ask = await open_interest("BTC", bends={"dapi/v1/exchangeInfo": lambda _: {}})
        assert whole == rows
        assert ["changed: symbols is missing from the answer (dapi/exchangeInfo)"] == ask.shortfalls

    async def test_an_empty_list_lists_nothing(self) -> None:
        """It was reached: nothing is guessed of XRP, whose symbol it does not name."""
        nothing = {"exchangeInfo": listing(lambda _: []), "premiumIndex": lambda _: []}
        rows, ask = await open_interest("XRP", bends=nothing)
        assert ({}, [], set()) == (rows, ask.shortfalls, ask.unreadable)

    async def test_a_list_of_something_else_is_none(self) -> None:
        """When it names nothing that is quoted, it is said and not believed."""
        other = {"symbol": "DOGEUSDT", "baseAsset": "BLZ"}

        def bend_of(other: dict[str, str]) -> Any:
            return listing(lambda rows: [rows[0] | other])

        rows, ask = await open_interest("XRP", bends={"fapi/v1/exchangeInfo": bend_of(other)})
        assert 2_000_000 == rows["XRP"].oi_usd
        # Nor is DOGEUSDT, whose base cannot be BLZ.
        assert ["changed: 1 of 1 rows could not be read (exchangeInfo)"] == ask.shortfalls
        other = {"symbol": "ZILUSDT", "baseAsset": "ZIL"}
        rows, ask = await open_interest("XRP", bends={"fapi/v1/exchangeInfo": bend_of(other)})
        assert 2_000_000 == rows["XRP"].oi_usd
        assert [
            "changed: the list of contracts is not that of what is quoted (exchangeInfo)"
        ] == ask.shortfalls

    async def test_a_contract_listed_since_this_morning_is_counted(self) -> None:
        """It is quoted, and its symbol can only be that of a known coin."""
        whole, _ = await open_interest("BTC")
        drop = listing(lambda rows: without(rows, "BTCUSDC"))
        rows, _ = await open_interest("BTC", bends={"fapi/v1/exchangeInfo": drop})
        assert whole == rows

    async def test_a_coin_is_not_answered_without_its_main_contract(self) -> None:
        """Neither listed nor quoted in bulk, BTCUSDT is asked alone, and found."""
        whole, _ = await open_interest("BTC")
        bends = {
            "fapi/v1/exchangeInfo": listing(lambda rows: without(rows, "BTCUSDT")),
            "fapi/v1/premiumIndex$": lambda rows: without(rows, "BTCUSDT"),
        }
        rows, ask = await open_interest("BTC", bends=bends)
        assert whole == rows
        assert any(url.endswith("premiumIndex?symbol=BTCUSDT") for url in ask.answers.asked)

    @pytest.mark.parametrize("error", [REFUSED, Unrecorded("unrecorded: GET premiumIndex")])
    async def test_a_refused_bulk_answer_is_asked_symbol_by_symbol(self, error: VenueError) -> None:
        """The same answer, for the coins asked for."""
        fails = {"fapi/v1/premiumIndex$": error}
        whole, _ = await open_interest("BTC")
        linear = {"dapi/v1/exchangeInfo": listing(lambda _: [])}
        one, _ = await open_interest("BTC", failing=fails, bends=linear)
        assert whole["BTC"].oi_usd == one["BTC"].oi_usd
        rows, _ = await open_interest("BTC", failing=fails)
        assert whole["BTC"].oi_usd == rows["BTC"].oi_usd
        assert whole["BTC"].oi_coins == rows["BTC"].oi_coins
        rates, _ = await funding("BTC", failing=fails)
        assert 0.0001 == rates["BTC"].rate

    async def test_a_refused_bulk_answer_without_coins_is_the_venues_failure(self) -> None:
        """The whole universe is not asked symbol by symbol."""
        ask = Bent("binance", failing={"fapi/v1/premiumIndex$": REFUSED}).ask()
        with pytest.raises(VenueRejected):
            await BINANCE.funding(ask)


class TestRequests:
    """One open interest costs one request: nothing else may be asked twice or for nothing."""

    async def test_funding_and_open_interest_of_three_coins(self) -> None:
        """14 requests at first; 12 later, when only what changes by the day is known."""
        bent = Bent("binance")
        await BINANCE.funding(bent.ask("BTC", "ETH", "SOL"))
        first = bent.ask("BTC", "ETH", "SOL")
        await BINANCE.open_interest(first)
        asked = [url.partition(".com/")[2] for url in bent.asked]
        symbols = [f"{coin}{end}" for coin in ("BTC", "ETH", "SOL") for end in ("USDT", "USDC")]
        assert sorted(
            [
                *(f"fapi/v1/{name}" for name in ("exchangeInfo", "premiumIndex", "fundingInfo")),
                *(f"dapi/v1/{name}" for name in ("exchangeInfo", "premiumIndex")),
                *(f"fapi/v1/openInterest?symbol={symbol}" for symbol in symbols),
                *(f"dapi/v1/openInterest?symbol={c}USD_PERP" for c in ("BTC", "ETH", "SOL")),
            ]
        ) == sorted(asked)
        assert 2 == first.rounds
        bent.forget(but=("exchangeInfo",))
        later = bent.ask("BTC", "ETH", "SOL")
        await BINANCE.open_interest(later)
        await BINANCE.funding(bent.ask("BTC", "ETH", "SOL"))
        assert (12, 1) == (len(bent.asked), later.rounds)

    async def test_coin_m_is_left_alone_where_it_has_nothing(self) -> None:
        """With the lists known, a coin without an inverse contract costs no request there."""
        bent = Bent("binance")
        await BINANCE.open_interest(bent.ask("XRP"))
        bent.forget(but=LISTS)
        await BINANCE.open_interest(bent.ask("XRP"))
        assert ["premiumIndex", "openInterest?symbol=XRPUSDT"] == [
            url.rpartition("/")[2] for url in bent.asked
        ]

    async def test_the_universes_rates_take_one_round(self) -> None:
        """Both product lines at once."""
        ask = Bent("binance").ask()
        await BINANCE.funding(ask)
        assert (1, 6) == (ask.rounds, len(ask.answers.asked))

    async def test_the_largest_take_one_round_once_the_ranking_is_known(self) -> None:
        """The ranking serves for ten minutes."""
        bent = Bent("binance")
        first = bent.ask()
        await BINANCE.open_interest(first)
        bent.forget(but=(*LISTS, "ticker/24hr"))
        later = bent.ask()
        await BINANCE.open_interest(later)
        assert (2, 1) == (first.rounds, later.rounds)


class TestRecorded:
    """What the venue really sent, in part years apart."""

    async def test_open_interest_of_btc(self) -> None:
        """OI of March 2026 at the single mark a day later: the bulk one is of November 2024."""
        ask = asking("binance", "BTC", real=True)
        (row,) = await BINANCE.open_interest(ask)
        # 92,820.809 x 71,607.5028913 + 11,907,908 x 100
        assert pytest.approx(92_820.809 * 71_607.5028913 + 1_190_790_800) == row.oi_usd
        assert pytest.approx(92_820.809 + 1_190_790_800 / 71_607.5028913) == row.oi_coins
        assert "2026-03-17" == f"{datetime.fromtimestamp(row.fetched_at / 1000, UTC):%Y-%m-%d}"
        assert ("BTCBUSD", "BTCUSDC") == row.not_counted
        said = "stale: open interest of BTCUSDT is priced at a mark of another time"
        assert said in ask.shortfalls

    def test_every_recorded_list_can_be_read(self) -> None:
        """115 USDT and 2 BUSD perpetuals of 2021, without 2 indices, 2 dated, 1 not yet trading."""
        listed = parse_contracts(recorded("binance", exchange_info(USDM)), USDM)
        assert (117, 0, 122) == (len(listed.contracts), listed.bad, len(listed.symbols))
        coinm = parse_contracts(recorded("binance", exchange_info(COINM)), COINM)
        assert (18, 0) == (len(coinm.contracts), coinm.bad)
