"""Deribit, Lighter and BitMEX where only single instruments, or parts of a list, were recorded."""

from typing import Any

import pytest
from excerpts import AT, HOUR, asking_for

from mmflow_mcp.errors import Unrecorded
from mmflow_mcp.upstream.wire import Call
from mmflow_mcp.venues import bitmex, deribit, lighter
from mmflow_mcp.venues.bitmex import Bitmex
from mmflow_mcp.venues.deribit import Deribit, summary
from mmflow_mcp.venues.lighter import Lighter, details_of

pytestmark = pytest.mark.anyio

DERIBIT, LIGHTER, BITMEX = Deribit(), Lighter(), Bitmex()


def perpetual(name: str, held: float, **more: Any) -> dict[str, Any]:
    """A perpetual of Deribit at 50,000 with 0.0001 of the last 8 hours."""
    row = {"instrument_name": name, "open_interest": held, "mark_price": 50_000.0}
    return row | {"funding_8h": 0.0001} | more


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    """Deribit's envelope."""
    return {"jsonrpc": "2.0", "result": list(rows)}


BTC = perpetual("BTC-PERPETUAL", 1_000_000_000.0)


class TestDeribit:
    """Tickers and summaries of one perpetual."""

    @pytest.mark.parametrize("form", [0, 1, 2])
    async def test_a_single_perpetual_answers_for_its_currency(self, form: int) -> None:
        """The ticker stands without a list; the summary with or without its kind."""
        doc = {"result": BTC | {"state": "open"}} if form == 0 else result(BTC)
        answers = {deribit.forms_of("BTC-PERPETUAL")[form]: doc}
        (row,) = await DERIBIT.funding(asking_for("deribit", "BTC", answers))
        assert ("BTC-PERPETUAL", 0.0001, 8) == (row.symbol, row.rate, row.period_hours)
        ask = asking_for("deribit", "BTC", answers)
        (held,) = await DERIBIT.open_interest(ask)
        assert (1_000_000_000.0, 20_000.0) == (held.oi_usd, held.oi_coins)
        assert ("BTC_USDC-PERPETUAL",) == held.not_counted
        assert "missing: no summary of USDC perpetuals" in ask.shortfalls

    async def test_a_closed_perpetual_is_none(self) -> None:
        """Its ticker keeps the last open interest."""
        answers = {deribit.forms_of("BTC-PERPETUAL")[0]: {"result": BTC | {"state": "closed"}}}
        ask = asking_for("deribit", "BTC", answers)
        assert [] == await DERIBIT.open_interest(ask)
        assert {"BTC"} == ask.unreadable

    async def test_what_a_summary_lacks_is_asked_singly(self) -> None:
        """The recorded summary of 2022 holds a dated future only."""
        future = perpetual("BTC-24JUN22", 272_308_070.0)
        answers = {
            summary("BTC", "future"): result(future),
            deribit.forms_of("BTC-PERPETUAL")[2]: result(BTC),
        }
        (row,) = await DERIBIT.open_interest(asking_for("deribit", "BTC", answers))
        assert (1_000_000_000.0, ("BTC-PERPETUAL",)) == (row.oi_usd, row.symbols)
        ask = asking_for("deribit", "BTC", {summary("BTC", "future"): result(future)})
        assert [] == await DERIBIT.funding(ask)
        assert {"BTC"} == ask.unreadable

    async def test_a_summary_of_all_kinds_serves_each(self) -> None:
        """Asked without a kind: perpetuals among options, and options among perpetuals."""
        options = [
            {"instrument_name": f"BTC-25DEC26-100000-{side}", "open_interest": 5.0, "mark_iv": 50.0}
            for side in "CP"
        ]
        answers = {summary("BTC", None): result(BTC, *options)}
        (row,) = await DERIBIT.funding(asking_for("deribit", "BTC", answers))
        assert "BTC-PERPETUAL" == row.symbol
        (chain,) = await DERIBIT.option_chain(asking_for("deribit", "BTC", answers))
        assert ["C", "P"] == [option.type for option in chain.rows]

    async def test_the_linear_perpetual_alone_is_no_row(self) -> None:
        """It is a small part of BTC that would look like the whole."""
        linear = perpetual("BTC_USDC-PERPETUAL", 100.0)
        answers = {deribit.forms_of("BTC_USDC-PERPETUAL")[0]: {"result": linear}}
        ask = asking_for("deribit", "BTC", answers)
        assert [] == await DERIBIT.open_interest(ask)
        assert {"BTC"} == ask.unreadable

    async def test_an_index_of_another_day_is_not_the_spot(self) -> None:
        """The forward of the nearest expiry is nearer to the truth, and the endpoint says so."""
        option = {"instrument_name": "BTC-25DEC26-100000-C", "underlying_price": 81_000.0}
        index = {"result": {"index_price": 10_302.54}}
        answers = {
            summary("BTC", "option"): result(option),
            deribit.index_price("BTC"): (index, AT - 2 * HOUR),
        }
        ask = asking_for("deribit", "BTC", answers)
        (chain,) = await DERIBIT.option_chain(ask)
        assert (None, AT) == (chain.index_price, chain.fetched_at)
        assert "missing: the call or put beside 1 option" in ask.shortfalls


def market(symbol: str, number: int, held: float = 100.0) -> dict[str, Any]:
    """A market of Lighter whose last trade was at 3,000."""
    row = {"symbol": symbol, "market_id": number, "status": "active", "open_interest": held}
    return row | {"last_trade_price": 3000.0}


def details(*rows: dict[str, Any]) -> dict[str, Any]:
    """Lighter's envelope."""
    return {"code": 200, "order_book_details": list(rows)}


class TestLighter:
    """Details of one market, by its number."""

    async def test_single_markets_are_found_by_their_number(self) -> None:
        """ETH is 0, 1000PEPE is 4; nothing is known of a coin without a number."""
        answers = {
            details_of(0): details(market("ETH", 0)),
            details_of(4): details(market("1000PEPE", 4)),
        }
        ask = asking_for("lighter", "ETH PEPE LTC", answers)
        eth, pepe = await LIGHTER.open_interest(ask)
        assert (300_000.0, 100.0) == (eth.oi_usd, eth.oi_coins)
        assert (300_000.0, 100_000.0) == (pepe.oi_usd, pepe.oi_coins)
        assert "missing: no details of LTC" in ask.shortfalls

    async def test_a_number_of_another_market_answers_for_nothing(self) -> None:
        """The symbol in the answer decides."""
        ask = asking_for("lighter", "BTC", {details_of(1): details(market("ETH", 1))})
        assert [] == await LIGHTER.open_interest(ask)
        assert {"BTC"} == ask.unreadable

    @pytest.mark.parametrize("form", lighter.DETAILS_ELSE)
    async def test_all_markets_are_asked_for_in_several_ways(self, form: Call) -> None:
        """By a filter, and by the number that stands for all."""
        answers = {form: details(market("ETH", 0), market("BTC", 1))}
        ask = asking_for("lighter", "BTC", answers)
        assert ["BTC"] == [row.coin for row in await LIGHTER.open_interest(ask)]
        assert [] == ask.shortfalls
        assert 2 == len(await LIGHTER.markets(asking_for("lighter", "", answers)))

    async def test_what_an_excerpt_lacks_is_asked_singly(self) -> None:
        """BTC is always listed: it has an answer of its own, or is said to be missing."""
        eth = {lighter.DETAILS: details(market("ETH", 0))}
        answers = eth | {details_of(1): details(market("BTC", 1))}
        ask = asking_for("lighter", "ETH BTC", answers)
        assert ["ETH", "BTC"] == [row.coin for row in await LIGHTER.open_interest(ask)]
        assert [] == ask.shortfalls
        ask = asking_for("lighter", "BTC", eth)
        assert [] == await LIGHTER.open_interest(ask)
        assert {"BTC"} == ask.unreadable

    async def test_rates_without_a_coin_that_is_always_listed_say_so(self) -> None:
        """The recorded excerpt holds TON and other venues' rows."""
        rates = [{"market_id": 12, "exchange": "lighter", "symbol": "TON", "rate": 0.000096}]
        answers = {lighter.RATES: {"code": 200, "funding_rates": rates}}
        ask = asking_for("lighter", "BTC TON", answers)
        assert ["TON"] == [row.coin for row in await LIGHTER.funding(ask)]
        assert "missing: no funding rate of BTC" in ask.shortfalls


def instrument(symbol: str, **more: Any) -> dict[str, Any]:
    """A perpetual of BitMEX: inverse, 400,000,000 contracts of 1 USD worth 4,000 BTC."""
    return {
        "symbol": symbol,
        "typ": bitmex.PERPETUAL,
        "state": "Open",
        "underlying": "XBT",
        "quoteCurrency": "USD",
        "settlCurrency": "XBt",
        "isInverse": True,
        "isQuanto": False,
        "multiplier": -100_000_000,
        "openInterest": 400_000_000,
        "openValue": 400_000_000_000,
        "markPrice": 100_000.0,
        "fundingRate": 0.0001,
        "fundingInterval": "2000-01-01T08:00:00.000Z",
        "fundingTimestamp": "2024-11-25T04:00:00.000Z",
    } | more


ETHUSD = instrument("ETHUSD", underlying="ETH", isInverse=False, isQuanto=True, markPrice=4000.0)


class TestBitmex:
    """Every request that recorders made for the same rows."""

    @pytest.mark.parametrize("form", bitmex.forms_of("XBTUSD"))
    async def test_a_single_instrument_answers_and_the_list_is_missed(self, form: Call) -> None:
        """Which other perpetuals of bitcoin there were is not known: the answer is short."""
        ask = asking_for("bitmex", "BTC", {form: [instrument("XBTUSD")]})
        (row,) = await BITMEX.open_interest(ask)
        assert (400_000_000.0, 4000.0) == (row.oi_usd, row.oi_coins)
        assert "unrecorded: GET www.bitmex.com/api/v1/instrument/active" in ask.shortfalls
        ask = asking_for("bitmex", "BTC", {form: [instrument("XBTUSD")]})
        assert [0.0001] == [row.rate for row in await BITMEX.funding(ask)]
        assert [] == ask.shortfalls

    @pytest.mark.parametrize("form", [bitmex.INSTRUMENTS, *bitmex.INSTRUMENTS_ELSE])
    async def test_every_list_serves(self, form: Call) -> None:
        """4,000 BTC at 100,000 USD are 400,000,000 USD of the quanto contract too."""
        answers = {form: [instrument("XBTUSD"), ETHUSD]}
        ask = asking_for("bitmex", "ETH", answers)
        (row,) = await BITMEX.open_interest(ask)
        assert (400_000_000.0, 100_000.0, []) == (row.oi_usd, row.oi_coins, ask.shortfalls)
        assert 2 == len(await BITMEX.markets(asking_for("bitmex", "", answers)))

    async def test_an_excerpt_without_the_inverse_one_is_short(self) -> None:
        """It is asked singly; a price of another day values nothing."""
        single = bitmex.forms_of("XBTUSD")[0]
        answers = {bitmex.INSTRUMENTS: [ETHUSD], single: ([instrument("XBTUSD")], AT - 5 * HOUR)}
        ask = asking_for("bitmex", "BTC ETH", answers)
        assert ["BTC"] == [row.coin for row in await BITMEX.open_interest(ask)]
        assert {"ETH"} == ask.unreadable
        near = answers | {single: [instrument("XBTUSD")]}
        rows = await BITMEX.open_interest(asking_for("bitmex", "BTC ETH", near))
        assert [400_000_000.0, 400_000_000.0] == [row.oi_usd for row in rows]

    async def test_nothing_recorded_names_the_list(self) -> None:
        """With and without coins."""
        for coins in ("BTC", "ETH LTC", ""):
            with pytest.raises(Unrecorded, match="instrument/active"):
                await BITMEX.funding(asking_for("bitmex", coins, {}))
