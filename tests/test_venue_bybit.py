"""Bybit: one side of two, roles that swap on inverse contracts, lists in pages."""

import json
from typing import Any

import pytest
from bending import Bent, changing, without
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.bybit import Bybit, instruments, tickers
from mmflow_mcp.venues.bybit_tickers import guess_contract, open_part, parse_contracts

pytestmark = pytest.mark.anyio

BYBIT = Bybit()
# When the linear tickers were read; the inverse ones a second before.
AT = 1_789_412_345_678
# 0.0001 in 8 h, or an eighth of it in 1 h: percent.
A_YEAR: Any = pytest.approx(10.95)
MIDNIGHT = 1_789_430_400_000
LATE = VenueTimeout("timeout: no answer within 6 s")
REFUSED = VenueRejected("rejected: retCode 10001")
# What the samples list although it must never answer for a coin.
TRAPS = ("TSLA", "MOVE", "XAU", "WEN", "FTM")


async def open_interest(*coins: str, **how: Any) -> tuple[dict[str, OpenInterestRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("bybit", **how).ask(*coins)
    return {row.coin: row for row in await BYBIT.open_interest(ask)}, ask


async def funding(*coins: str, **how: Any) -> tuple[dict[str, FundingRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("bybit", **how).ask(*coins)
    return {row.coin: row for row in await BYBIT.funding(ask)}, ask


def rows(bend: Any) -> Any:
    """A bend of the rows of an answer."""
    return lambda doc: doc | {"result": doc["result"] | {"list": bend(doc["result"]["list"])}}


class TestOpenInterest:
    """Each contract counted once; `value` is USD on linear and coins on inverse contracts."""

    async def test_a_coin_is_the_sum_of_its_three_perpetuals(self) -> None:
        """USDT, USDC and inverse; the dated contracts are not in it."""
        found, ask = await open_interest("BTC")
        btc = found["BTC"]
        # 2,130,514,480 + 8,041,005 USD, and 160,040,000 contracts of one USD
        assert pytest.approx(2_298_595_485) == btc.oi_usd
        # 26,631.431 + 100.5 + 2,000 coins
        assert pytest.approx(28_731.931) == btc.oi_coins
        assert ("BTCPERP", "BTCUSD", "BTCUSDT") == btc.symbols
        assert (AT - 1000, None, []) == (btc.fetched_at, btc.not_counted, ask.shortfalls)

    async def test_the_two_sided_number_is_halved_where_it_stands_alone(self) -> None:
        """300,000.5 / 2 ETH and 750,001,250 / 2 USD, with 50,000,000 / 2 USD and 20,000 / 2 ETH."""
        found, _ = await open_interest("ETH")
        assert pytest.approx(375_000_625 + 25_000_000) == found["ETH"].oi_usd
        assert pytest.approx(150_000.25 + 10_000) == found["ETH"].oi_coins

    async def test_multipliers_before_and_behind_are_coins(self) -> None:
        """1000PEPE, SHIB1000, 1000BONK in USDC, 10000SATS; 1INCH is a whole name."""
        found, _ = await open_interest("PEPE", "SHIB", "BONK", "SATS", "1INCH")
        coins = {coin: row.oi_coins for coin, row in found.items()}
        expected = {"PEPE": 8e9, "SHIB": 5e8, "BONK": 1e6, "SATS": 2e10, "1INCH": 1000}
        assert expected == coins
        assert 100_000 == found["PEPE"].oi_usd
        assert (AT, ("1000PEPEUSDT",)) == (found["PEPE"].fetched_at, found["PEPE"].symbols)

    async def test_what_is_no_live_coin_never_answers(self) -> None:
        """Stocks under coins' tickers, metals, pre-market and closed contracts."""
        found, ask = await open_interest("BTC", *TRAPS)
        assert {"BTC"} == set(found)
        assert (set(), []) == (ask.unreadable, ask.shortfalls)

    async def test_the_universe_is_every_live_coin(self) -> None:
        """EOS has an inverse perpetual alone; SOL is listed and has no ticker: said, not zero."""
        found, ask = await open_interest()
        assert {"BTC", "ETH", "PEPE", "SHIB", "BONK", "SATS", "1INCH", "EOS"} == set(found)
        assert (100_000, 200_000) == (found["EOS"].oi_usd, found["EOS"].oi_coins)
        assert ["missing: no open interest of SOLUSDT"] == ask.shortfalls

    async def test_a_listed_contract_without_a_ticker_shortens_the_row(self) -> None:
        """The sum without BTCPERP names BTCPERP."""
        bend = {"tickers?category=linear": rows(lambda rows: without(rows, "BTCPERP"))}
        found, ask = await open_interest("BTC", bends=bend)
        assert ("BTCPERP",) == found["BTC"].not_counted
        assert pytest.approx(2_290_554_480) == found["BTC"].oi_usd
        assert ["missing: no open interest of BTCPERP"] == ask.shortfalls

    async def test_a_phase_before_the_market_is_not_counted(self) -> None:
        """Whatever its row says of open interest."""
        bend = {"category=linear": rows(changing("BTCPERP", curPreListingPhase="CallAuction"))}
        found, _ = await open_interest("BTC", bends=bend)
        assert ("BTCUSD", "BTCUSDT") == found["BTC"].symbols

    async def test_inverse_tickers_that_fail_shorten_the_rows(self) -> None:
        """The linear contracts are answered, the inverse one is named."""
        found, ask = await open_interest("BTC", "EOS", failing={"tickers?category=inverse": LATE})
        assert ("BTCUSD",) == found["BTC"].not_counted
        assert {"BTC", "EOS"} == ask.unreadable
        assert {"BTC"} == set(found)

    @pytest.mark.parametrize("value", ["NaN", "-1", "1e308", "1e12", "n/a"])
    async def test_an_absurd_number_is_no_number(self, value: str) -> None:
        """The contract is not counted; the two-sided number does not stand in for it."""
        bend = {"category=linear": rows(changing("BTCUSDT", singleOpenInterestValue=value))}
        found, ask = await open_interest("BTC", bends=bend)
        assert ("BTCUSDT",) == found["BTC"].not_counted
        assert [
            "changed: 1 row could not be read",
            "missing: no open interest of BTCUSDT",
        ] == ask.shortfalls

    async def test_rows_sent_twice_count_once(self) -> None:
        """In the lists and in the tickers."""
        plain, _ = await open_interest("BTC", "ETH")
        doubled, ask = await open_interest("BTC", "ETH", bends={"v5": rows(lambda r: r * 2)})
        assert plain == doubled
        assert [] == ask.shortfalls

    async def test_the_sample_of_the_dossier(self) -> None:
        """2026-09-11: 53,262.861 both ways is 26,631.431 one way, at 77,750 about 2.07 bn USD."""
        row = {
            "openInterest": "53262.861",
            "openInterestValue": "4142076932.53",
            "singleOpenInterest": "26631.431",
            "singleOpenInterestValue": "2071038505.15",
        }
        contract = guess_contract("BTCUSDT", "linear")
        assert contract is not None
        part = open_part(contract, row)
        assert (2_071_038_505.15, 26_631.431) == (part.usd, part.coins)


class TestLists:
    """What tells coins from stocks: lists in pages, and what is done without them."""

    async def test_without_the_list_only_sure_coins_are_answered(self) -> None:
        """The same sums; MOVE could be the stock (it is), and whether FTM is listed is unknown."""
        whole, _ = await open_interest("BTC", "PEPE", "SHIB")
        found, ask = await open_interest(
            "BTC", "PEPE", "SHIB", "MOVE", "FTM", failing={"instruments-info": LATE}
        )
        assert whole == found
        assert {"MOVE", "FTM"} == ask.unreadable
        assert "missing: no open interest of MOVE without the list of contracts" in ask.shortfalls

    async def test_the_pages_of_a_list_belong_together(self) -> None:
        """The second page holds what the first does not."""
        listed = sample("bybit", instruments("linear")).doc

        def page(doc: Any, cursor: str, *, first: bool) -> Any:
            half = listed["result"]["list"][:2] if first else listed["result"]["list"][2:]
            return doc | {"result": doc["result"] | {"list": half, "nextPageCursor": cursor}}

        bends = {
            "category=linear&limit=1000$": lambda doc: page(doc, "a%3D1", first=True),
            "cursor=a%253D1": lambda doc: page(doc, "", first=False),
        }
        whole, _ = await open_interest("BTC", "ETH")
        found, ask = await open_interest("BTC", "ETH", bends=bends)
        assert whole == found
        assert 5 == len(ask.answers.asked)

    async def test_half_a_list_is_none(self) -> None:
        """What is on the page that failed must not look unlisted."""
        more = {
            "instruments-info?category=linear": lambda doc: (
                doc | {"result": doc["result"] | {"nextPageCursor": "next"}}
            )
        }
        found, ask = await open_interest("ETH", bends=more, failing={"cursor=": LATE})
        assert pytest.approx(400_000_625) == found["ETH"].oi_usd
        assert [] != ask.shortfalls
        _, ask = await open_interest("MOVE", bends=more, failing={"cursor=": LATE})
        assert {"MOVE"} == ask.unreadable

    async def test_a_cursor_that_leads_nowhere_ends(self) -> None:
        """The same page again and again is no list."""
        again = {
            "instruments-info": lambda doc: (
                doc | {"result": doc["result"] | {"nextPageCursor": "x"}}
            )
        }
        found, ask = await open_interest("BTC", bends=again)
        assert {"BTC"} == set(found)
        assert len(ask.answers.asked) < 50

    async def test_a_refused_bulk_answer_is_asked_symbol_by_symbol(self) -> None:
        """The same answer, for the coins asked for."""
        whole, _ = await open_interest("BTC")
        refused = {"tickers?category=linear$": REFUSED}
        found, _ = await open_interest("BTC", failing=refused)
        assert whole == found
        rates, _ = await funding("BTC", failing=refused)
        assert 0.0001 == rates["BTC"].rate
        ask = Bent("bybit", failing=refused).ask()
        with pytest.raises(VenueRejected):
            await BYBIT.funding(ask)

    async def test_the_venue_fails_when_its_tickers_do(self) -> None:
        """A network failure is no reason to ask symbol by symbol."""
        ask = Bent("bybit", failing={"tickers?category=linear": LATE}).ask("BTC")
        with pytest.raises(VenueTimeout):
            await BYBIT.open_interest(ask)
        assert not any("symbol=" in url for url in ask.answers.asked)

    async def test_four_requests_at_first_and_two_later(self) -> None:
        """Funding and open interest share the tickers; the lists serve for a day."""
        bent = Bent("bybit")
        await BYBIT.funding(bent.ask("BTC", "ETH"))
        ask = bent.ask("BTC", "ETH")
        await BYBIT.open_interest(ask)
        assert (4, 1) == (len(bent.asked), ask.rounds)
        bent.forget(but=("instruments-info",))
        await BYBIT.open_interest(bent.ask("BTC", "ETH"))
        await BYBIT.funding(bent.ask("BTC", "ETH"))
        assert 2 == len(bent.asked)


class TestFunding:
    """The rate of the running period, charged at `nextFundingTime`."""

    async def test_the_usdt_perpetual_speaks_for_a_coin(self) -> None:
        """0.0001 in 8 h is 10.95 % a year."""
        found, ask = await funding("BTC")
        assert (
            FundingRow(
                coin="BTC",
                venue="bybit",
                rate=0.0001,
                period_hours=8,
                fetched_at=AT,
                symbol="BTCUSDT",
                kind="predicted",
                apr=A_YEAR,
                mark_price=80_000,
                next_funding_time=MIDNIGHT,
            )
            == found["BTC"]
        )
        assert [] == ask.shortfalls

    async def test_periods_are_the_symbols_own(self) -> None:
        """PEPE 4 h, SATS 1 h; SHIB 240 minutes of the list, for its ticker says nothing."""
        found, _ = await funding("PEPE", "SATS", "SHIB")
        assert {"PEPE": 4, "SATS": 1, "SHIB": 4} == {c: r.period_hours for c, r in found.items()}
        # 0.0003 x 8,760 / 4 x 100
        assert pytest.approx(65.7) == found["PEPE"].apr
        assert pytest.approx(0.0000125) == found["PEPE"].mark_price
        assert pytest.approx(0.00002) == found["SHIB"].mark_price

    async def test_a_period_that_nobody_tells_makes_no_row(self) -> None:
        """Without the list SHIB's period is unknown."""
        found, ask = await funding("SHIB", "BTC", failing={"instruments-info": LATE})
        assert {"BTC"} == set(found)
        assert {"SHIB"} == ask.unreadable

    async def test_a_usdc_or_inverse_perpetual_speaks_where_there_is_no_other(self) -> None:
        """BONK in USDC; EOS inverse, for which the inverse category is asked."""
        found, ask = await funding("BONK")
        assert "1000BONKPERP" == found["BONK"].symbol
        assert pytest.approx(0.00003) == found["BONK"].mark_price
        assert not any("inverse" in url for url in ask.answers.asked)
        found, ask = await funding("EOS")
        assert ("EOSUSD", -0.0001, AT - 1000) == (
            found["EOS"].symbol,
            found["EOS"].rate,
            found["EOS"].fetched_at,
        )

    async def test_inverse_failing_when_it_is_needed_is_said(self) -> None:
        """BTC is answered; whether EOS is listed nobody knows."""
        found, ask = await funding("BTC", "EOS", failing={"tickers?category=inverse": LATE})
        assert {"BTC"} == set(found)
        assert {"EOS"} == ask.unreadable
        assert "timeout: no answer within 6 s (tickers, inverse)" == ask.shortfalls[0]

    async def test_the_universe_takes_one_round(self) -> None:
        """Both categories at once; no dated, stock, pre-market or closed contract."""
        found, ask = await funding()
        assert {"BTC", "ETH", "PEPE", "SHIB", "BONK", "SATS", "1INCH", "EOS"} == set(found)
        assert (1, 4) == (ask.rounds, len(ask.answers.asked))

    @pytest.mark.parametrize("rate", ["NaN", "1e308", "0.9", "", "n/a"])
    async def test_an_absurd_rate_is_no_rate(self, rate: str) -> None:
        """PEPE has no other perpetual: no row, and it is not called unlisted."""
        bend = {"category=linear": rows(changing("1000PEPEUSDT", fundingRate=rate))}
        found, ask = await funding("PEPE", bends=bend)
        assert ({}, {"PEPE"}) == (found, ask.unreadable)


class TestParts:
    """Contracts, guesses, refusals, markets."""

    @pytest.mark.parametrize(
        "symbol,category,coin,quote",
        [
            ("BTCUSDT", "linear", "BTC", "USDT"),
            ("BTCPERP", "linear", "BTC", "USDC"),
            ("SHIB1000USDT", "linear", "SHIB", "USDT"),
            ("1000BONKPERP", "linear", "BONK", "USDC"),
            ("BTCUSD", "inverse", "BTC", "USD"),
            ("BTCUSDU26", "inverse", None, None),
            ("BTCUSDT-18SEP26", "linear", None, None),
            ("MOVEUSDT", "linear", None, None),
            ("TSLAUSDT", "linear", None, None),
        ],
    )
    def test_symbols_tell_only_what_is_surely_a_coin(
        self, symbol: str, category: str, coin: str | None, quote: str | None
    ) -> None:
        """No dated contract, no stock and no ticker that is both."""
        guess = guess_contract(symbol, category)
        assert (coin, quote) == ((guess.coin, guess.quote) if guess else (None, None))

    def test_a_list_that_lost_its_members_has_changed(self) -> None:
        """Not one row can be read."""
        doc = {"retCode": 0, "result": {"list": [{"symbol": "BTCUSDT"}]}}
        with pytest.raises(VenueChanged):
            parse_contracts(Wire(doc, fetched_at=0, read=0, size=1), ())

    @pytest.mark.parametrize(
        "code,expected",
        [
            (0, None),
            (10001, VenueRejected),
            (10006, VenueRateLimited),
            (10009, VenueBlocked),
            (10016, VenueHttp),
            (10024, VenueBlocked),
        ],
    )
    def test_errors_inside_http_200(self, code: int, expected: type | None) -> None:
        """Whatever white space the envelope has."""
        envelope = {"retCode": code, "retMsg": "said", "result": {}}
        for text in (json.dumps(envelope), json.dumps(envelope, separators=(",", ":"))):
            error = BYBIT.refusal(200, text.encode())
            assert expected == (type(error) if error else None)

    def test_a_403_is_a_region_or_a_pause(self) -> None:
        """Ten minutes for too many requests; a page about a country is a location."""
        pause = BYBIT.refusal(403, b"403, access too frequent")
        assert isinstance(pause, VenueRateLimited)
        assert 600 == pause.retry_after
        page = b"<html>The distribution is configured to block access from your country.</html>"
        assert isinstance(BYBIT.refusal(403, page), VenueBlocked)
        assert BYBIT.refusal(403, b"<html>Request blocked</html>") is None

    async def test_markets_are_all_that_trades(self) -> None:
        """Dated futures and stocks too, the latter without a coin."""
        found = {row.symbol: row for row in await BYBIT.markets(asking("bybit"))}
        assert not {"WENUSDT", "FTMUSDT"} & set(found)
        assert ("future", "BTC") == (found["BTCUSDT-18SEP26"].kind, found["BTCUSDT-18SEP26"].coin)
        assert ("perp", None) == (found["MOVEUSDT"].kind, found["MOVEUSDT"].coin)
        assert ("perp", "BTC") == (found["BTCUSD"].kind, found["BTCUSD"].coin)


class TestRecorded:
    """What the venue really sent."""

    async def test_open_interest_of_2023_is_halved(self) -> None:
        """Only the two-sided number existed; quoteCoin USD is the USDC perpetual."""
        doc = recorded("bybit", tickers("linear")).doc["result"]["list"]
        raw = {row["symbol"]: row for row in doc}
        inverse = recorded("bybit", tickers("inverse")).doc["result"]["list"][0]
        ask = asking("bybit", "BTC", real=True)
        (row,) = await BYBIT.open_interest(ask)
        values = [float(raw[s]["openInterestValue"]) / 2 for s in ("BTCUSDT", "BTCPERP")]
        assert pytest.approx(sum(values) + 373_504_107 / 2) == row.oi_usd
        assert "373504107" == inverse["openInterest"]
        coins = [float(raw[s]["openInterest"]) / 2 for s in ("BTCUSDT", "BTCPERP")]
        assert pytest.approx(sum(coins) + 22_505.67 / 2) == row.oi_coins

    async def test_funding_of_2023_takes_its_period_from_the_list(self) -> None:
        """480 minutes; every perpetual quoted has a row but four that the list does not name."""
        ask = asking("bybit", "BTC", "NFT", real=True)
        found = {row.coin: row for row in await BYBIT.funding(ask)}
        assert (0.0001, 8, 22_421.12) == (
            found["BTC"].rate,
            found["BTC"].period_hours,
            found["BTC"].mark_price,
        )
        assert pytest.approx(0.004525 / 10_000) == found["NFT"].mark_price

    def test_a_ticker_of_2026_has_both_sides(self) -> None:
        """BTCUSDT: 56,399.823 both ways, 28,199.912 one way."""
        row = recorded("bybit", tickers("linear", "BTCUSDT")).doc["result"]["list"][0]
        contract = guess_contract("BTCUSDT", "linear")
        assert contract is not None
        part = open_part(contract, row)
        assert (2_212_915_902.43, 28_199.912) == (part.usd, part.coins)
