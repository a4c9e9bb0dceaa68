"""Binance, Aster and Bybit where only single symbols, or parts of a list, were recorded."""

from typing import Any

import pytest
from excerpts import AT, HOUR, asked_of, asking_for

from mmflow_mcp.errors import Unrecorded
from mmflow_mcp.upstream.wire import Call
from mmflow_mcp.venues.aster import PERPETUALS, Aster
from mmflow_mcp.venues.binance import COINM, USDM, Binance
from mmflow_mcp.venues.bybit import Bybit, instruments, tickers
from mmflow_mcp.venues.fapi import (
    Line,
    exchange_info,
    forms_of,
    funding_info,
    held_of,
    premium_index,
)

pytestmark = pytest.mark.anyio

BINANCE, ASTER, BYBIT = Binance(), Aster(), Bybit()


# AT is 18:59:05.678.
SIX_PM = AT // HOUR * HOUR
MIDNIGHT, EIGHT_PM, FOUR_PM = SIX_PM + 6 * HOUR, SIX_PM + 2 * HOUR, SIX_PM - 2 * HOUR
HALF_PAST = FOUR_PM - HOUR // 2


def quote(symbol: str, mark: str = "80000", *, at: int = MIDNIGHT) -> dict[str, Any]:
    """A row of premiumIndex that is settled at a time."""
    row = {"symbol": symbol, "markPrice": mark, "lastFundingRate": "0.0001", "time": AT}
    return row | {"interestRate": "0.00010000", "nextFundingTime": at}


def held(symbol: str, units: str) -> dict[str, Any]:
    """An answer of openInterest."""
    return {"symbol": symbol, "openInterest": units, "time": AT}


def listing(*symbols: str) -> dict[str, Any]:
    """A list of USDT perpetuals."""
    rows = [
        {
            "symbol": symbol,
            "baseAsset": symbol.removesuffix("USDT"),
            "quoteAsset": "USDT",
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "underlyingType": "COIN",
        }
        for symbol in symbols
    ]
    return {"symbols": rows}


def only(line: Line, symbol: str, units: str, **how: Any) -> dict[Call, Any]:
    """The single quote and open interest of a contract."""
    return {
        forms_of(line, symbol)[0]: quote(symbol, **how),
        held_of(line, symbol): held(symbol, units),
    }


class TestBinance:
    """Single contracts, excerpts of GoCryptoTrader's recorder, and the two lines."""

    async def test_single_contracts_of_both_lines(self) -> None:
        """90,000 x 80,000 and 12,000,000 x 100 USD; the bulk answers were not recorded."""
        answers = only(USDM, "BTCUSDT", "90000") | only(COINM, "BTCUSD_PERP", "12000000")
        ask = asking_for("binance", "BTC", answers)
        (row,) = await BINANCE.open_interest(ask)
        assert pytest.approx(7_200_000_000 + 1_200_000_000) == row.oi_usd
        assert pytest.approx(90_000 + 15_000) == row.oi_coins
        assert (("BTCUSDT", "BTCUSD_PERP"), None) == (row.symbols, row.not_counted)
        assert any("exchangeInfo" in reason for reason in ask.shortfalls)

    async def test_multiples_have_their_usual_symbol(self) -> None:
        """PEPE is asked for as 1000PEPEUSDT: 1,000 units at 0.01 are 10 USD and 1,000,000 coins."""
        ask = asking_for("binance", "PEPE", only(USDM, "1000PEPEUSDT", "1000", mark="0.01"))
        (row,) = await BINANCE.open_interest(ask)
        assert (10.0, 1_000_000.0) == (row.oi_usd, row.oi_coins)
        assert not any(url.endswith("=PEPEUSDT") for url in asked_of(ask))

    async def test_an_excerpt_of_the_bulk_quotes_is_filled_up(self) -> None:
        """Five symbols of hundreds were kept; BTC has answers of its own, ETH has none."""
        answers = only(USDM, "BTCUSDT", "90000") | {
            premium_index(USDM): [quote("YFIUSDT", "2637"), quote("NFPUSDT", "0.1")],
            exchange_info(USDM): listing("BCHUSDT", "XRPUSDT"),
        }
        ask = asking_for("binance", "BTC ETH", answers)
        (row,) = await BINANCE.open_interest(ask)
        assert (("BTCUSDT",), ("BTCUSD_PERP",)) == (row.symbols, row.not_counted)
        assert {"ETH"} <= ask.unreadable

    async def test_a_list_without_the_largest_contracts_is_an_excerpt(self) -> None:
        """XRP is listed in it; whether SOL is listed no one can tell from it."""
        answers = {
            premium_index(USDM): [quote("XRPUSDT", "2")],
            exchange_info(USDM): listing("BCHUSDT", "XRPUSDT"),
            held_of(USDM, "XRPUSDT"): held("XRPUSDT", "50"),
        }
        ask = asking_for("binance", "XRP SOL", answers)
        assert [100.0] == [row.oi_usd for row in await BINANCE.open_interest(ask)]
        assert "missing: the list of contracts lacks BTCUSDT, ETHUSDT (exchangeInfo)" in (
            ask.shortfalls
        )
        assert {"SOL"} == ask.unreadable

    async def test_the_mark_nearest_in_time_is_taken(self) -> None:
        """The bulk quotes are of another year; the single one is of the same minute."""
        answers = only(USDM, "BTCUSDT", "90000") | {
            premium_index(USDM): ([quote("BTCUSDT", "50000")], AT - 9000 * HOUR)
        }
        ask = asking_for("binance", "BTC", answers)
        (row,) = await BINANCE.open_interest(ask)
        assert (7_200_000_000.0, AT) == (row.oi_usd, row.fetched_at)
        assert not any(reason.startswith("stale") for reason in ask.shortfalls)

    async def test_a_mark_of_another_time_is_said_to_be_one(self) -> None:
        """There is no other: the row is as old as the mark, and marked."""
        answers = {
            premium_index(USDM): ([quote("BTCUSDT", "50000")], AT - 9000 * HOUR),
            held_of(USDM, "BTCUSDT"): held("BTCUSDT", "90000"),
        }
        ask = asking_for("binance", "BTC", answers)
        (row,) = await BINANCE.open_interest(ask)
        assert (4_500_000_000.0, AT - 9000 * HOUR) == (row.oi_usd, row.fetched_at)
        said = "stale: open interest of BTCUSDT is priced at a mark of another time"
        assert said in ask.shortfalls

    async def test_coin_m_open_interest_needs_no_mark(self) -> None:
        """12,000,000 contracts of 100 USD; how many coins that is, is unknown."""
        ask = asking_for(
            "binance", "BTC", {held_of(COINM, "BTCUSD_PERP"): held("BTCUSD_PERP", "12000000")}
        )
        (row,) = await BINANCE.open_interest(ask)
        assert (1_200_000_000.0, None) == (row.oi_usd, row.oi_coins)
        assert ("BTCUSDT",) == row.not_counted

    @pytest.mark.parametrize("form", forms_of(COINM, "BTCUSD_PERP"))
    async def test_coin_m_is_asked_by_symbol_and_by_pair(self, form: Call) -> None:
        """The pair brings dated contracts too: they have no settlement and speak for nothing."""
        dated = quote("BTCUSD_261225") | {"nextFundingTime": 0, "lastFundingRate": ""}
        ask = asking_for("binance", "BTC", {form: [quote("BTCUSD_PERP"), dated]})
        (row,) = await BINANCE.funding(ask)
        assert ("BTCUSD_PERP", 0.0001, 8.0) == (row.symbol, row.rate, row.period_hours)
        assert any("BTCUSDT" in reason for reason in ask.shortfalls)

    async def test_bitcoin_is_settled_every_eight_hours_without_a_list(self) -> None:
        """An hour before the settlement of 16:00 SOL's period may be 1, 2, 4 or 8 hours."""
        answers = {
            forms_of(USDM, f"{coin}USDT")[0]: quote(f"{coin}USDT", at=FOUR_PM) | {"time": HALF_PAST}
            for coin in ("BTC", "SOL")
        }
        ask = asking_for("binance", "BTC SOL", answers)
        assert [("BTC", 8.0)] == [(r.coin, r.period_hours) for r in await BINANCE.funding(ask)]
        assert {"SOL"} == ask.unreadable

    async def test_markets_of_one_line_are_markets(self) -> None:
        """Neither the list of COIN-M nor that of spot pairs was recorded."""
        ask = asking_for("binance", "", {exchange_info(USDM): listing("BTCUSDT")})
        assert ["BTCUSDT"] == [row.symbol for row in await BINANCE.markets(ask)]
        assert 2 == len(ask.shortfalls)

    async def test_nothing_recorded_is_the_refusal_of_the_bulk_quotes(self) -> None:
        """It names what was not recorded."""
        for method in (BINANCE.funding, BINANCE.open_interest):
            with pytest.raises(Unrecorded, match=r"fapi/v1/premiumIndex$"):
                await method(asking_for("binance", "BTC", {}))


EXAMPLE = {"symbols": [listing("DOGEUSDT")["symbols"][0] | {"baseAsset": "BLZ"}]}


class TestAster:
    """The only recorded list of contracts is an example about another coin."""

    async def test_a_sure_coin_is_answered_beside_a_list_of_something_else(self) -> None:
        """6,196.323 BTC at 80,000; DOGEUSDT is not BLZ."""
        answers = only(PERPETUALS, "BTCUSDT", "6196.323")
        answers[exchange_info(PERPETUALS)] = EXAMPLE
        ask = asking_for("aster", "BTC BLZ", answers)
        (row,) = await ASTER.open_interest(ask)
        assert pytest.approx(6196.323 * 80_000) == row.oi_usd
        assert "changed: 1 of 1 rows could not be read (exchangeInfo)" in ask.shortfalls

    async def test_doge_is_not_blz(self) -> None:
        """Quoted in bulk, DOGEUSDT answers for DOGE and never for BLZ."""
        answers = {
            premium_index(PERPETUALS): [quote("DOGEUSDT", "0.25")],
            exchange_info(PERPETUALS): EXAMPLE,
            funding_info(PERPETUALS): [{"symbol": "DOGEUSDT", "fundingIntervalHours": 8}],
        }
        rows = await ASTER.funding(asking_for("aster", "DOGE BLZ", answers))
        assert ["DOGE"] == [row.coin for row in rows]


def bybit(*rows: dict[str, Any]) -> dict[str, Any]:
    """Bybit's envelope."""
    return {
        "retCode": 0,
        "result": {"category": "linear", "list": list(rows), "nextPageCursor": ""},
    }


def ticker(symbol: str, *, at: int = MIDNIGHT, **more: str) -> dict[str, Any]:
    """A ticker of before 2026: 40 coins and 3,200,000 USD both ways, no period."""
    row = {"symbol": symbol, "openInterest": "40", "openInterestValue": "3200000"}
    times = {"fundingRate": "0.0001", "nextFundingTime": str(at), "markPrice": "80000"}
    return row | times | more


INVERSE = ticker("BTCUSD", openInterest="3200000", openInterestValue="40")


class TestBybit:
    """Tickers of one contract, of one category, and lists that are excerpts."""

    async def test_single_tickers_of_both_categories(self) -> None:
        """20 coins and 1,600,000 USD one way, on each side."""
        answers = {
            tickers("linear", "BTCUSDT"): bybit(ticker("BTCUSDT")),
            tickers("inverse", "BTCUSD"): bybit(INVERSE),
        }
        (row,) = await BYBIT.open_interest(asking_for("bybit", "BTC", answers))
        assert (3_200_000.0, 40.0, None) == (row.oi_usd, row.oi_coins, row.not_counted)

    async def test_one_category_in_bulk_is_counted_and_the_other_missed(self) -> None:
        """Only the inverse tickers were recorded."""
        ask = asking_for("bybit", "BTC", {tickers("inverse"): bybit(INVERSE)})
        (row,) = await BYBIT.open_interest(ask)
        assert (1_600_000.0, ("BTCUSDT",)) == (row.oi_usd, row.not_counted)

    async def test_multiples_have_their_usual_symbols(self) -> None:
        """SHIB1000USDT and 1000PEPEUSDT: 20,000 coins each."""
        answers = {
            tickers("linear", symbol): bybit(ticker(symbol))
            for symbol in ("SHIB1000USDT", "1000PEPEUSDT")
        }
        rows = await BYBIT.open_interest(asking_for("bybit", "SHIB PEPE", answers))
        assert [20_000.0, 20_000.0] == [row.oi_coins for row in rows]

    async def test_an_excerpt_of_the_list_does_not_hide_a_sure_coin(self) -> None:
        """The list names ADA alone; BTCUSDT has a ticker, and whether SOL is listed is unknown."""
        listed = {
            "symbol": "ADAUSDT",
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": "ADA",
            "quoteCoin": "USDT",
        }
        answers = {
            tickers("linear"): bybit(ticker("BTCUSDT"), ticker("ADAUSDT")),
            instruments("linear"): bybit(listed),
        }
        ask = asking_for("bybit", "BTC SOL", answers)
        assert ["BTC"] == [row.coin for row in await BYBIT.open_interest(ask)]
        assert {"SOL"} <= ask.unreadable
        assert "missing: the list of linear contracts is an excerpt" in ask.shortfalls

    async def test_a_period_that_only_one_length_explains_needs_no_list(self) -> None:
        """Settled in 5 hours is every 8; in 1 hour it may be any, and no row is a change.

        BTC has been settled every 8 hours ever since.
        """
        late = (ticker(symbol, at=EIGHT_PM) for symbol in ("BTCUSDT", "ADAUSDT"))
        ask = asking_for(
            "bybit", "BTC SOL ADA", {tickers("linear"): bybit(*late, ticker("SOLUSDT"))}
        )
        rows = await BYBIT.funding(ask)
        assert [("BTC", 8.0), ("SOL", 8.0)] == [(row.coin, row.period_hours) for row in rows]
        assert {"ADA"} == ask.unreadable
        assert not any(reason.startswith("changed") for reason in ask.shortfalls)

    async def test_a_sum_says_when_its_parts_are_of_different_days(self) -> None:
        """The inverse tickers were recorded a day before."""
        answers = {
            tickers("linear"): bybit(ticker("BTCUSDT")),
            tickers("inverse"): (bybit(INVERSE), AT - 24 * HOUR),
        }
        ask = asking_for("bybit", "BTC", answers)
        (row,) = await BYBIT.open_interest(ask)
        assert AT - 24 * HOUR == row.fetched_at
        assert "stale: the contracts of BTC were read up to 1.0 days apart" in ask.shortfalls
