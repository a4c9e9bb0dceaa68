"""Binance: funding periods that differ by symbol; contracts, refusals and markets."""

from typing import Any

import pytest
from bending import Bent, changing
from wires import asking, recorded, sample

from mmflow_mcp.clock import HOUR_MS, SystemClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows import FundingRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.binance import (
    COIN_HOST,
    COINM,
    HOST,
    USDM,
    Binance,
    guess_coinm,
    guess_usdm,
    is_coin,
)
from mmflow_mcp.venues.fapi import (
    day_tickers,
    exchange_info,
    funding_info,
    held_of,
    parse_contracts,
    parse_periods,
    premium_index,
)
from mmflow_mcp.venues.fapi_rows import read_hours

pytestmark = pytest.mark.anyio

BINANCE = Binance()
# When quotes were read; the open interest came 300 ms later, the quotes of COIN-M 1 s before.
AT = 1_789_412_345_678
# 0.0001 in 8 h, or an eighth of it in 1 h: percent.
A_YEAR: Any = pytest.approx(10.95)
MIDNIGHT = 1_789_430_400_000
EIGHT_PM = 1_789_416_000_000
LATE = VenueTimeout("timeout: no answer within 6 s")
REFUSED = VenueRejected("rejected: the venue rejected the request (code -1102)")
# What the samples list although it must never answer for a coin.
TRAPS = ("FTM", "WEN", "BB", "TSLA", "BTCDOM", "DEFI", "SOMI", "DOT")


async def funding(*coins: str, **how: Any) -> tuple[dict[str, FundingRow], Any]:
    """Rows by coin over our samples, bent or failing, and the question."""
    ask = Bent("binance", **how).ask(*coins)
    return {row.coin: row for row in await BINANCE.funding(ask)}, ask


class TestFunding:
    """`lastFundingRate` is the running estimate; its period is the symbol's own."""

    async def test_the_usdt_perpetual_speaks_for_a_coin(self) -> None:
        """0.01 % in 8 h is 0.0001 x 1,095 = 10.95 % a year; 8 h because the list names it not."""
        rows, ask = await funding("BTC")
        assert (
            FundingRow(
                coin="BTC",
                venue="binance",
                rate=0.0001,
                period_hours=8,
                fetched_at=AT,
                symbol="BTCUSDT",
                kind="predicted",
                apr=A_YEAR,
                mark_price=80_000,
                next_funding_time=MIDNIGHT,
            )
            == rows["BTC"]
        )
        assert [] == ask.shortfalls

    async def test_four_hours_where_the_list_says_so(self) -> None:
        """0.0003 in 4 h is 65.7 % a year; the mark is that of one PEPE."""
        rows, _ = await funding("PEPE")
        pepe = rows["PEPE"]
        assert (4, "1000PEPEUSDT", EIGHT_PM) == (
            pepe.period_hours,
            pepe.symbol,
            pepe.next_funding_time,
        )
        assert pytest.approx(65.7) == pepe.apr
        assert pytest.approx(0.0000125) == pepe.mark_price

    async def test_interest_scaled_to_four_hours_tells_the_period(self) -> None:
        """0.005 % of interest is that of 4 h, 0 % (BNB) tells nothing: 8 h."""
        rows, _ = await funding("BABYDOGE", "BNB")
        assert (4, 8) == (rows["BABYDOGE"].period_hours, rows["BNB"].period_hours)

    async def test_a_period_that_cannot_be_known_makes_no_row(self) -> None:
        """LUNC's hours are null in the list; XRP's 4 h cannot end at midnight, 5 h away."""
        rows, ask = await funding("LUNC", "XRP", "BTC")
        assert {"BTC"} == set(rows)
        assert {"LUNC", "XRP"} == ask.unreadable
        assert [
            "missing: no funding rate with a known period of 1000LUNCUSDT, XRPUSDT"
        ] == ask.shortfalls

    async def test_without_any_periods_only_what_is_sure_is_answered(self) -> None:
        """Midnight is 5 h away: 8 h and nothing else. 20:00 is 1 h away: 1, 2 or 4 h, so no row."""
        rows, ask = await funding("BTC", "PEPE", failing={"fapi/v1/fundingInfo": LATE})
        assert {"BTC"} == set(rows)
        assert 8 == rows["BTC"].period_hours
        assert "missing: no funding rate with a known period of 1000PEPEUSDT, 1000PEPEUSDC" in (
            ask.shortfalls
        )

    @pytest.mark.parametrize(
        "listed,next_hour,now_hour,expected",
        [
            ({"X": 8.0}, 16, 9, 8),
            ({"X": 4.0}, 16, 13, 4),
            ({"X": 8.0}, 12, 11, None),  # 8 h periods do not end at noon
            ({"X": 1.0}, 16, 14, None),  # an hour cannot have two left
            ({"X": None}, 16, 9, None),
            ({"Y": 4.0}, 16, 9, 8),  # named are only the others
            ({"Y": 4.0}, 12, 11, None),
            ({}, 16, 9, 8),
            ({}, 12, 9, 4),
            ({}, 13, 12.5, 1),
            ({}, 16, 13, None),  # 4 or 8 h
            ({}, 16, 15.5, None),
        ],
    )
    def test_hours_must_agree_with_the_next_settlement(
        self, listed: dict[str, float | None], next_hour: int, now_hour: float, expected: Any
    ) -> None:
        """Listed, assumed or, without any list, the only length that fits."""
        day = 20_000 * 24 * HOUR_MS
        row = {"symbol": "X", "time": day + round(now_hour * HOUR_MS), "interestRate": "0.0001"}
        assert expected == read_hours(USDM, row, day + next_hour * HOUR_MS, listed)

    async def test_an_inverse_perpetual_speaks_where_there_is_no_other(self) -> None:
        """FIL is asked of COIN-M; BTC, which has a linear one, is not."""
        rows, ask = await funding("FIL")
        assert ("FILUSD_PERP", -0.0001, 8) == (
            rows["FIL"].symbol,
            rows["FIL"].rate,
            rows["FIL"].period_hours,
        )
        assert AT - 1000 == rows["FIL"].fetched_at
        assert any("dapi" in url for url in ask.answers.asked)
        _, ask = await funding("BTC")
        assert not any("dapi" in url for url in ask.answers.asked)

    async def test_coin_m_failing_when_it_is_needed_is_said(self) -> None:
        """BTC is answered; whether FIL is listed nobody knows."""
        rows, ask = await funding("BTC", "FIL", failing={"dapi/v1/premiumIndex": LATE})
        assert {"BTC"} == set(rows)
        assert {"FIL"} == ask.unreadable
        assert "timeout: no answer within 6 s (dapi/premiumIndex)" == ask.shortfalls[0]

    async def test_a_refused_coin_m_answer_is_asked_symbol_by_symbol(self) -> None:
        """FILUSD_PERP alone answers a list of one."""
        rows, _ = await funding("FIL", failing={"dapi/v1/premiumIndex$": REFUSED})
        assert -0.0001 == rows["FIL"].rate

    async def test_the_universe_is_every_coin_with_a_known_period(self) -> None:
        """No stock, index, delisted, dated or pre-market contract is in it."""
        rows, _ = await funding()
        assert {"BTC", "ETH", "SOL", "PEPE", "LUNA", "BABYDOGE", "币安人生", "BNB", "FIL"} == set(
            rows
        )
        assert {"USDT", "PERP"} == {row.symbol[-4:] for row in rows.values()}

    @pytest.mark.parametrize("rate", ["NaN", "1e308", "0.9", "n/a", None])
    async def test_an_absurd_rate_is_no_rate(self, rate: str | None) -> None:
        """It is counted as unreadable, and the other perpetual's row is not passed off silently."""
        bend = {"fapi/v1/premiumIndex": changing("BTCUSDT", lastFundingRate=rate)}
        rows, ask = await funding("BTC", bends=bend)
        assert "BTCUSDC" == rows["BTC"].symbol
        assert [
            "changed: 1 row could not be read",
            "missing: no funding rate with a known period of BTCUSDT",
        ] == ask.shortfalls

    async def test_without_the_list_a_settled_contract_is_not_taken_for_live(self) -> None:
        """FTM is quoted and has no next settlement."""
        rows, _ = await funding(failing={"fapi/v1/exchangeInfo": LATE})
        assert "BTC" in rows
        assert not any(coin in rows for coin in TRAPS if coin != "SOMI")


class TestParts:
    """Contracts, guesses, refusals, markets."""

    def test_lists_are_read_by_their_members(self) -> None:
        """Margin, multiplier, quote and contract size."""
        usdm = parse_contracts(sample("binance", exchange_info(USDM)), USDM).contracts
        coinm = parse_contracts(sample("binance", exchange_info(COINM)), COINM).contracts
        pepe = usdm["1000PEPEUSDC"]
        assert ("PEPE", 1000, "USDC", "linear") == (
            pepe.coin,
            pepe.multiplier,
            pepe.quote,
            pepe.margin,
        )
        assert {"BTCUSD_PERP": 100, "ETHUSD_PERP": 10, "SOLUSD_PERP": 10, "FILUSD_PERP": 10} == {
            symbol: contract.size for symbol, contract in coinm.items()
        }

    def test_a_list_that_lost_its_members_has_changed(self) -> None:
        """Not one row can be read."""
        rows = [{"symbol": "BTCUSDT", "status": "TRADING"}]
        with pytest.raises(VenueChanged):
            parse_contracts(Wire({"symbols": rows}, fetched_at=0, read=0, size=1), USDM)

    @pytest.mark.parametrize(
        "row,expected",
        [
            ({"contractType": "PERPETUAL", "underlyingType": "COIN"}, True),
            ({"contractType": "PERPETUAL"}, True),
            ({"contractType": "TRADIFI_PERPETUAL", "underlyingType": "COIN"}, False),
            ({"contractType": "TRADIFI_PERPETUAL"}, False),
            ({"contractType": "PERPETUAL", "underlyingType": "INDEX"}, False),
            ({"contractType": "PERPETUAL", "underlyingType": "PREMARKET"}, False),
        ],
    )
    def test_what_a_coin_is(self, row: dict[str, str], *, expected: bool) -> None:
        """Either member may tell that it is none; lists of 2020 lack one of them."""
        assert expected is is_coin(row)

    def test_weights_are_those_that_the_venue_counts(self) -> None:
        """Fifty for all quotes (the documentation says ten), one for one; COIN-M ten either way."""
        assert (50, 1) == (premium_index(USDM).weight, premium_index(USDM, "BTCUSDT").weight)
        assert 10 == premium_index(COINM, "BTCUSD_PERP").weight
        assert (1, 40) == (held_of(USDM, "BTCUSDT").weight, day_tickers(USDM).weight)
        meter = BINANCE.meters[0]
        assert (2400, 60, {HOST, COIN_HOST}) == (meter.capacity, meter.seconds, set(meter.hosts))

    def test_hours_that_are_no_number_are_unknown(self) -> None:
        """Named with nothing readable is not the same as not named."""
        rows = [{"symbol": "A", "fundingIntervalHours": 4}, {"symbol": "B"}]
        rows.append({"symbol": "C", "fundingIntervalHours": "soon"})
        wire = Wire(rows, fetched_at=0, read=0, size=1)
        assert {"A": 4.0, "B": None, "C": None} == parse_periods(wire)

    @pytest.mark.parametrize(
        "symbol,coin",
        [
            ("BTCUSDT", "BTC"),
            ("1000PEPEUSDC", "PEPE"),
            ("LUNA2USDT", "LUNA"),
            ("BTCUSDT_261225", None),
            ("BTCDOMUSDT", None),
            ("BBUSDT", None),
            ("ETHBTC", None),
            ("TSLAUSDT", None),
        ],
    )
    def test_symbols_tell_only_what_is_surely_a_coin(self, symbol: str, coin: str | None) -> None:
        """No dated contract, no index, no stock and no ticker that is both."""
        guess = guess_usdm(symbol)
        assert coin == (guess.coin if guess else None)
        assert guess_coinm(symbol) is None

    @pytest.mark.parametrize(
        "status,body,expected",
        [
            (200, b'{"code":0}', None),
            (400, b'{"code":-1121,"msg":"Invalid symbol."}', VenueRejected),
            (400, b'{"code":-4108,"msg":"Symbol is on delivering"}', VenueRejected),
            (
                451,
                b'{"code":0,"msg":"Service unavailable from a restricted location"}',
                VenueBlocked,
            ),
            (403, b"<html>Service unavailable from a restricted location</html>", VenueBlocked),
            (403, b"<html>Request blocked</html>", None),
            (418, b'{"code":-1003,"msg":"Way too much request weight used; IP banned."}', None),
            (429, b'{"code":-1003,"msg":"Too many requests."}', None),
            (503, b'{"code":-1,"msg":"Unknown error"}', None),
        ],
    )
    def test_refusals(self, status: int, body: bytes, expected: type | None) -> None:
        """None leaves the status, and its Retry-After, to the reader of statuses."""
        error = BINANCE.refusal(status, body)
        assert expected == (type(error) if error else None)

    def test_a_ban_lasts_as_long_as_it_says(self) -> None:
        """The end stands in the text; a ban that has ended is left to its status."""
        now = SystemClock().now_ms()
        text = '{"code":-1003,"msg":"Way too much request weight used; IP banned until %d. Use"}'
        error = BINANCE.refusal(418, (text % (now + 120_000)).encode())
        assert isinstance(error, VenueRateLimited)
        assert error.retry_after is not None
        assert 115 < error.retry_after <= 120
        assert error.reason.startswith("http 418: banned until 20")
        assert BINANCE.refusal(418, (text % (now - 1)).encode()) is None

    async def test_markets_are_all_that_trades(self) -> None:
        """Dated futures and stocks too, the latter without a coin."""
        rows = {row.symbol: row for row in await BINANCE.markets(asking("binance"))}
        assert not {"FTMUSDT", "WENUSDT", "DOTUSD_PERP"} & set(rows)
        assert ("future", "BTC") == (rows["BTCUSDT_261225"].kind, rows["BTCUSDT_261225"].coin)
        assert ("perp", None) == (rows["BBUSDT"].kind, rows["BBUSDT"].coin)
        assert ("perp", "PEPE") == (rows["1000PEPEUSDT"].kind, rows["1000PEPEUSDT"].coin)
        assert None is rows["BTCDOMUSDT"].coin
        assert ("perp", "BTC") == (rows["BTCUSD_PERP"].kind, rows["BTCUSD_PERP"].coin)

    async def test_markets_without_coin_m_are_short(self) -> None:
        """USD-M is answered."""
        ask = Bent("binance", failing={"dapi": VenueHttp(503)}).ask()
        rows = await BINANCE.markets(ask)
        assert rows
        assert "http 503 (dapi/exchangeInfo)" == ask.shortfalls[-1]


class TestRecorded:
    """What the venue really sent, in part years apart."""

    async def test_funding_of_november_2024(self) -> None:
        """Majors at 8 h, 1000PEPE divided out, FIDA's 4 h told by its interest of 0.005 %."""
        ask = asking("binance", "BTC", "PEPE", "FIDA", real=True)
        rows = {row.coin: row for row in await BINANCE.funding(ask)}
        assert (0.00013062, 8) == (rows["BTC"].rate, rows["BTC"].period_hours)
        assert pytest.approx(0.0183524 / 1000) == rows["PEPE"].mark_price
        assert (0.00008799, 4) == (rows["FIDA"].rate, rows["FIDA"].period_hours)
        assert 1_732_723_200_000 == rows["BTC"].next_funding_time

    def test_recorded_interest_agrees_with_recorded_periods(self) -> None:
        """Where the period's list of 2025 names a symbol that was not changed since, both agree."""
        listed = parse_periods(recorded("binance", funding_info(USDM)))
        quotes = {row["symbol"]: row for row in recorded("binance", premium_index(USDM)).doc}
        told = {s: USDM.assume(quotes[s]) for s in listed if s in quotes}
        changed = {symbol for symbol, hours in told.items() if hours != listed[symbol]}
        # ARKUSDT was moved to 4 h in February 2025, after the quotes.
        assert {"ARKUSDT"} == changed
        assert len(told) > 20
