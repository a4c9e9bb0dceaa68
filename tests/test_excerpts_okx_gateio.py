"""OKX and Gate where only single contracts, or parts of a list, were recorded."""

from typing import Any

import pytest
from excerpts import AT, HOUR, asked_of, asking_for

from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected, VenueTimeout
from mmflow_mcp.upstream.wire import Call
from mmflow_mcp.venues import gateio, okx
from mmflow_mcp.venues.gateio import Gateio, contract, contracts
from mmflow_mcp.venues.gateio import tickers as gate_tickers
from mmflow_mcp.venues.okx import Okx, funding_of, instruments, mark_of, open_interest_of

pytestmark = pytest.mark.anyio

OKX, GATE = Okx(), Gateio()


def data(*rows: dict[str, Any]) -> dict[str, Any]:
    """OKX's envelope."""
    return {"code": "0", "msg": "", "data": list(rows)}


def held(symbol: str, oi: str, **more: str) -> dict[str, str]:
    """A row of OKX's open interest."""
    return {"instType": "SWAP", "instId": symbol, "oi": oi, "ts": "1"} | more


def paid(symbol: str, rate: str = "0.0001") -> dict[str, str]:
    """A row of OKX's funding: next at 1,789,430,400,000, then 8 hours later."""
    times = {"fundingTime": "1789430400000", "nextFundingTime": "1789459200000"}
    return {"instType": "SWAP", "instId": symbol, "fundingRate": rate} | times


LINEAR = held("BTC-USDT-SWAP", "2000000", oiCcy="20000", oiUsd="1600000000")
INVERSE = held("BTC-USD-SWAP", "4000000", oiCcy="5000")


class TestOkx:
    """Swap by swap, and what a list without a swap means."""

    async def test_open_interest_of_single_swaps_without_the_list(self) -> None:
        """1,600,000,000 USD of the USDT swap, 4,000,000 contracts of 100 USD of the inverse one."""
        answers = {
            open_interest_of("BTC-USDT-SWAP")[0]: data(LINEAR),
            open_interest_of("BTC-USD-SWAP")[0]: data(INVERSE),
        }
        ask = asking_for("okx", "BTC", answers)
        (row,) = await OKX.open_interest(ask)
        assert (2_000_000_000.0, 25_000.0) == (row.oi_usd, row.oi_coins)
        assert row.not_counted is None
        assert any("instruments" in reason for reason in ask.shortfalls)

    async def test_a_single_swap_is_named_with_its_underlying_by_some(self) -> None:
        """`uly` beside `instId`: the same question."""
        ask = asking_for("okx", "BTC", {open_interest_of("BTC-USDT-SWAP")[1]: data(LINEAR)})
        (row,) = await OKX.open_interest(ask)
        assert (("BTC-USDT-SWAP",), ("BTC-USD-SWAP",)) == (row.symbols, row.not_counted)

    async def test_what_the_bulk_answer_lacks_is_asked_singly(self) -> None:
        """The excerpt holds the inverse swap; the USDT one has an answer of its own."""
        answers = {
            okx.OPEN_INTEREST: data(INVERSE),
            open_interest_of("BTC-USDT-SWAP")[0]: data(LINEAR),
        }
        (row,) = await OKX.open_interest(asking_for("okx", "BTC", answers))
        assert (("BTC-USD-SWAP", "BTC-USDT-SWAP"), None) == (row.symbols, row.not_counted)

    async def test_a_sum_says_when_its_parts_are_of_different_days(self) -> None:
        """Two days between the inverse swap and the USDT one."""
        answers = {
            okx.OPEN_INTEREST: (data(INVERSE), AT - 48 * HOUR),
            open_interest_of("BTC-USDT-SWAP")[0]: data(LINEAR),
        }
        ask = asking_for("okx", "BTC", answers)
        (row,) = await OKX.open_interest(ask)
        assert AT - 48 * HOUR == row.fetched_at
        assert "stale: the contracts of BTC were read up to 2.0 days apart" in ask.shortfalls

    async def test_an_excerpt_of_the_list_does_not_hide_a_sure_coin(self) -> None:
        """The list names the inverse swap only; BTC-USDT-SWAP can be nothing but BTC's."""
        inverse = {
            "instId": "BTC-USD-SWAP",
            "state": "live",
            "ctType": "inverse",
            "settleCcy": "BTC",
            "ctVal": "100",
            "ctMult": "1",
        }
        answers = {okx.OPEN_INTEREST: data(INVERSE, LINEAR), instruments("SWAP"): data(inverse)}
        ask = asking_for("okx", "BTC", answers)
        (row,) = await OKX.open_interest(ask)
        assert 2_000_000_000.0 == row.oi_usd
        lost = "BTC-USDT-SWAP, ETH-USDT-SWAP, ETH-USD-SWAP"
        assert [f"missing: the list of swaps lacks {lost}"] == ask.shortfalls

    async def test_a_linear_swap_without_usd_takes_the_price_of_the_inverse_one(self) -> None:
        """400,000,000 USD over 5,000 BTC is 80,000: 20,000 BTC are 1,600,000,000 USD."""
        linear = held("BTC-USDT-SWAP", "2000000", oiCcy="20000")
        stale = data({"instType": "SWAP", "instId": "BTC-USDT-SWAP", "markPx": "200"})
        answers = {
            okx.OPEN_INTEREST: data(INVERSE, linear),
            okx.MARKS: (stale, AT - 1000 * HOUR),
        }
        (row,) = await OKX.open_interest(asking_for("okx", "BTC", answers))
        assert pytest.approx(2_000_000_000.0) == row.oi_usd

    async def test_a_mark_of_another_time_prices_nothing(self) -> None:
        """SOL has no inverse swap here: its own mark of the hour, or no row."""
        sol = data(held("SOL-USDT-SWAP", "500000", oiCcy="500000"))
        price = data({"instType": "SWAP", "instId": "SOL-USDT-SWAP", "markPx": "150"})
        old: dict[Call, Any] = {okx.OPEN_INTEREST: sol, okx.MARKS: (price, AT - 2 * HOUR)}
        ask = asking_for("okx", "SOL", old)
        assert [] == await OKX.open_interest(ask)
        assert {"SOL"} == ask.unreadable
        new = {okx.OPEN_INTEREST: sol, mark_of("SOL-USDT-SWAP"): (price, AT - HOUR // 2)}
        (row,) = await OKX.open_interest(asking_for("okx", "SOL", new))
        assert (75_000_000.0, 500_000.0) == (row.oi_usd, row.oi_coins)

    async def test_funding_of_one_swap(self) -> None:
        """The USDT swap alone; without it the inverse one under its own name, and it is said."""
        ask = asking_for("okx", "BTC", {funding_of("BTC-USDT-SWAP"): data(paid("BTC-USDT-SWAP"))})
        assert ["BTC-USDT-SWAP"] == [row.symbol for row in await OKX.funding(ask)]
        ask = asking_for("okx", "BTC", {funding_of("BTC-USD-SWAP"): data(paid("BTC-USD-SWAP"))})
        assert ["BTC-USD-SWAP"] == [row.symbol for row in await OKX.funding(ask)]
        assert "missing: no funding rate of BTC-USDT-SWAP" in ask.shortfalls

    async def test_funding_that_the_bulk_answer_lacks_is_asked_singly(self) -> None:
        """The excerpt holds SOL; BTC has an answer of its own, ETH has none and is named."""
        answers = {
            okx.FUNDING: data(paid("SOL-USDT-SWAP")),
            funding_of("BTC-USDT-SWAP"): data(paid("BTC-USDT-SWAP")),
        }
        ask = asking_for("okx", "BTC ETH SOL", answers)
        assert ["BTC", "SOL"] == [row.coin for row in await OKX.funding(ask)]
        assert {"ETH"} == ask.unreadable

    async def test_a_swap_that_the_venue_does_not_know_is_no_shortfall(self) -> None:
        """DOGE has no inverse swap: the rejection of that guess is nobody's loss."""
        no = VenueRejected("rejected: code 51001")
        forms: dict[Call, Any] = dict.fromkeys(open_interest_of("DOGE-USD-SWAP"), no)
        doge = data(held("DOGE-USDT-SWAP", "1", oiCcy="1000", oiUsd="250"))
        forms[open_interest_of("DOGE-USDT-SWAP")[0]] = doge
        ask = asking_for("okx", "DOGE", forms)
        (row,) = await OKX.open_interest(ask)
        assert (250.0, None) == (row.oi_usd, row.not_counted)
        assert not any("51001" in reason for reason in ask.shortfalls)

    async def test_nothing_recorded_is_the_refusal_of_the_bulk_answer(self) -> None:
        """It names what was not recorded."""
        with pytest.raises(Unrecorded, match="instId=ANY"):
            await OKX.funding(asking_for("okx", "BTC", {}))
        with pytest.raises(Unrecorded, match=r"instType=SWAP$"):
            await OKX.open_interest(asking_for("okx", "BTC PEPE", {}))


def row_of(name: str, **more: Any) -> dict[str, Any]:
    """A contract of Gate: 250,000 of 0.0001 coins at 80,000 USD, paid every 8 hours."""
    return {
        "name": name,
        "type": "direct",
        "quanto_multiplier": "0.0001",
        "mark_price": "80000",
        "position_size": 250_000,
        "funding_rate": "0.0001",
        "funding_interval": 28_800,
        "funding_next_apply": 1_789_430_400,
        "in_delisting": False,
        "status": "trading",
        "contract_type": "",
    } | more


def ticker_of(name: str, total: str, quanto: str = "0.0001") -> dict[str, str]:
    """A ticker of Gate: both sides of the open interest, no period."""
    return {
        "contract": name,
        "total_size": total,
        "quanto_multiplier": quanto,
        "mark_price": "80000",
        "funding_rate": "0.0001",
    }


BTC_USD = row_of("BTC_USD", type="inverse", quanto_multiplier="0", position_size=9_000_000)


class TestGate:
    """Lists without names, single contracts, tickers."""

    async def test_a_contract_without_its_name_is_the_one_that_was_asked_for(self) -> None:
        """A recorder blanked the names: 25 BTC at 80,000 are 2,000,000 USD."""
        ask = asking_for("gateio", "BTC", {contract("BTC_USDT"): row_of("")})
        (row,) = await GATE.open_interest(ask)
        assert (2_000_000.0, ("BTC_USDT",)) == (row.oi_usd, row.symbols)
        assert ("BTC_USD",) == row.not_counted
        (rate,) = await GATE.funding(
            asking_for("gateio", "BTC", {contract("BTC_USDT"): row_of("")})
        )
        assert ("BTC_USDT", 8.0) == (rate.symbol, rate.period_hours)

    async def test_an_answer_about_another_contract_is_not_taken(self) -> None:
        """It has a name, and it is not the one asked for."""
        ask = asking_for("gateio", "BTC", {contract("BTC_USDT"): row_of("ETH_USDT")})
        with pytest.raises(Unrecorded):
            await GATE.open_interest(ask)

    async def test_an_inverse_contract_without_a_name_is_the_one_there_is(self) -> None:
        """What is inverse and settled in BTC is BTC_USD: 9,000,000 USD at 80,000 are 112.5 BTC."""
        ask = asking_for("gateio", "BTC", {contracts("btc"): [BTC_USD | {"name": ""}]})
        (row,) = await GATE.open_interest(ask)
        assert (9_000_000.0, 112.5) == (row.oi_usd, row.oi_coins)
        assert (("BTC_USD",), ("BTC_USDT",)) == (row.symbols, row.not_counted)

    async def test_a_list_without_names_does_not_spoil_the_single_contract(self) -> None:
        """The list is said to be unreadable, and BTC is answered."""
        nameless = [row_of(""), row_of("")]
        answers = {contracts("usdt"): nameless, contract("BTC_USDT"): row_of("BTC_USDT")}
        ask = asking_for("gateio", "BTC", answers)
        assert [2_000_000.0] == [row.oi_usd for row in await GATE.open_interest(ask)]
        assert "changed: 2 of 2 rows could not be read (contracts)" in ask.shortfalls

    @pytest.mark.parametrize("form", [gate_tickers("usdt", "BTC_USDT"), gate_tickers("usdt")])
    async def test_tickers_count_both_sides(self, form: Call) -> None:
        """500,000 contracts both ways are 250,000 one way; EWJ is a fund and no coin."""
        rows = [ticker_of("BTC_USDT", "500000"), ticker_of("EWJ_USDT", "82442")]
        ask = asking_for("gateio", "BTC EWJ", {form: rows})
        (row,) = await GATE.open_interest(ask)
        assert ("BTC", 2_000_000.0, 25.0) == (row.coin, row.oi_usd, row.oi_coins)

    async def test_an_inverse_ticker_is_in_usd(self) -> None:
        """18,000,000 both ways; a ticker without a multiplier may be a quanto contract's."""
        rows = [ticker_of("BTC_USD", "18000000", "0")]
        (row,) = await GATE.open_interest(asking_for("gateio", "BTC", {gate_tickers("btc"): rows}))
        assert (9_000_000.0, ("BTC_USDT",)) == (row.oi_usd, row.not_counted)
        del rows[0]["quanto_multiplier"]
        with pytest.raises(Unrecorded):
            await GATE.open_interest(asking_for("gateio", "BTC", {gate_tickers("btc"): rows}))

    async def test_an_odd_number_is_not_both_sides(self) -> None:
        """Tickers of 2022 count something else: no row rather than half of it."""
        rows = [ticker_of("BTC_USDT", "754413619")]
        with pytest.raises(Unrecorded):
            await GATE.open_interest(asking_for("gateio", "BTC", {gate_tickers("usdt"): rows}))

    async def test_tickers_tell_no_funding_period(self) -> None:
        """A rate without its period is no answer."""
        rows = [ticker_of("BTC_USDT", "500000")]
        ask = asking_for("gateio", "BTC", {gate_tickers("usdt", "BTC_USDT"): rows})
        with pytest.raises(Unrecorded):
            await GATE.funding(ask)

    async def test_one_list_is_enough_for_markets(self) -> None:
        """The others are said to be missing."""
        ask = asking_for(
            "gateio",
            "",
            {
                gateio.PAIRS: [
                    {"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "trade_status": "tradable"}
                ]
            },
        )
        assert ["BTC_USDT"] == [row.symbol for row in await GATE.markets(ask)]
        assert 4 == len(ask.shortfalls)
        nameless = {contracts("usdt"): [row_of("")], contracts("btc"): [BTC_USD]}
        ask = asking_for("gateio", "", nameless)
        assert ["BTC_USD"] == [row.symbol for row in await GATE.markets(ask)]

    async def test_a_failing_network_is_asked_once(self) -> None:
        """The list is not recorded; the first contract times out, and the rest is not tried."""
        slow: VenueError = VenueTimeout("timeout: no answer within 6 s")
        ask = asking_for("gateio", "BTC ETH SOL", {contract("BTC_USDT"): slow})
        with pytest.raises(Unrecorded):
            await GATE.funding(ask)
        assert not any("ETH_USDT" in url for url in asked_of(ask))
