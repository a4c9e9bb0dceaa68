"""Deribit's perpetuals: two units of open interest, funding without a settlement."""

import copy
from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.deribit import Deribit, parse_markets, summary
from mmflow_mcp.venues.deribit_perps import parse_funding, parse_open_interest

LINES = ("BTC", "ETH", "USDC")
VENUE = Deribit()
# When the samples of BTC, ETH and USDC were read.
BTC_AT, ETH_AT, USDC_AT = 1_789_412_345_678, 1_789_412_346_678, 1_789_412_343_678


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def futures(currency: str) -> Wire:
    """The sample of a currency's futures and perpetuals, safe to change."""
    wire = sample("deribit", summary(currency, "future"))
    return remade(wire, copy.deepcopy(wire.doc))


def remade(wire: Wire, doc: Any) -> Wire:
    """The same answer with another document."""
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


def row_of(wire: Wire, name: str) -> dict[str, Any]:
    """The row of an instrument in an answer."""
    return next(row for row in wire.doc["result"] if row["instrument_name"] == name)


def oi_of(*wires: Wire, lines: tuple[str, ...] = LINES, lacking: tuple[str, ...] = ()) -> Any:
    """`parse_open_interest` of these answers."""
    return parse_open_interest(wires[0], wires[1:], lines, lacking)


def funding_of(*wires: Wire, lines: tuple[str, ...] = LINES) -> Any:
    """`parse_funding` of these answers."""
    return parse_funding(wires[0], wires[1:], lines)


class TestOpenInterest:
    """USD on inverse perpetuals, coins on linear ones, never contracts."""

    def test_a_coin_is_its_inverse_and_its_linear_perpetual(self) -> None:
        """BTC adds the inverse perpetual in USD and the linear one in coins at its mark."""
        rows, silent, bad = oi_of(futures("BTC"), futures("ETH"), futures("USDC"))
        assert ({}, 0) == (silent, bad)
        row = rows["BTC"]
        # 1,000,000,000 USD + 125.5 BTC x 80,010 = 1,000,000,000 + 10,041,255
        assert pytest.approx(1_010_041_255.0) == row.oi_usd
        # 1,000,000,000 / 80,000 = 12,500 and 125.5
        assert pytest.approx(12_625.5) == row.oi_coins
        assert ("BTC-PERPETUAL", "BTC_USDC-PERPETUAL") == row.symbols
        assert row.not_counted is None

    def test_dated_futures_are_not_in_it(self) -> None:
        """ETH-25DEC26 and SOL_USDC-25DEC26 hold open interest that is not counted."""
        rows, _, _ = oi_of(futures("BTC"), futures("ETH"), futures("USDC"))
        # 400,000,000 + 1,000 x 2,501; SOL 20,000 x 150
        assert pytest.approx(402_501_000.0) == rows["ETH"].oi_usd
        assert pytest.approx(3_000_000.0) == rows["SOL"].oi_usd
        assert ("SOL_USDC-PERPETUAL",) == rows["SOL"].symbols

    def test_contracts_are_not_reported(self) -> None:
        """The original API gives 0 for oiContracts here; the coins stand in oiCoins."""
        rows, _, _ = oi_of(futures("BTC"), futures("ETH"), futures("USDC"))
        assert {0.0} == {row.oi_contracts for row in rows.values()}
        assert pytest.approx(3_000_000.0) == rows["XRP"].oi_coins

    def test_a_row_is_as_old_as_the_oldest_answer_behind_it(self) -> None:
        """ETH was read later than USDC; SOL comes from USDC alone."""
        late = remade(futures("USDC"), futures("USDC").doc)
        late.fetched_at = ETH_AT + 5000
        rows, _, _ = oi_of(futures("BTC"), futures("ETH"), late)
        assert [BTC_AT, ETH_AT, ETH_AT + 5000] == [
            rows[coin].fetched_at for coin in ("BTC", "ETH", "SOL")
        ]
        rows, _, _ = oi_of(futures("BTC"), futures("ETH"), futures("USDC"))
        assert USDC_AT == rows["BTC"].fetched_at

    def test_an_inverse_without_a_mark_has_usd_and_no_coins(self) -> None:
        """USD is what the venue tells; coins would need the price."""
        btc = futures("BTC")
        row_of(btc, "BTC-PERPETUAL")["mark_price"] = None
        rows, _, bad = oi_of(btc, futures("ETH"), futures("USDC"))
        assert 0 == bad
        assert pytest.approx(1_010_041_255.0) == rows["BTC"].oi_usd
        assert rows["BTC"].oi_coins is None

    @pytest.mark.parametrize("broken", [None, "", "abc", -5, float("nan"), 1e13, True])
    def test_what_cannot_be_read_is_named_and_not_counted(self, broken: Any) -> None:
        """The sum says which perpetual it lacks; no zero stands for it."""
        btc = futures("BTC")
        row_of(btc, "BTC-PERPETUAL")["open_interest"] = broken
        rows, silent, bad = oi_of(btc, futures("ETH"), futures("USDC"))
        assert ({"BTC": ("BTC-PERPETUAL",)}, 1) == (silent, bad)
        assert ("BTC-PERPETUAL",) == rows["BTC"].not_counted
        assert pytest.approx(10_041_255.0) == rows["BTC"].oi_usd

    def test_an_inverse_perpetual_that_is_not_sent_is_missed(self) -> None:
        """BTC-PERPETUAL always is listed: an answer without it is short."""
        btc = futures("BTC")
        btc.doc["result"].remove(row_of(btc, "BTC-PERPETUAL"))
        rows, silent, bad = oi_of(btc, futures("ETH"), futures("USDC"))
        assert ({"BTC": ("BTC-PERPETUAL",)}, 0) == (silent, bad)
        assert ("BTC-PERPETUAL",) == rows["BTC"].not_counted

    def test_a_coin_of_which_nothing_can_be_read_has_no_row(self) -> None:
        """SOL has one perpetual; without its mark there is nothing to tell."""
        usdc = futures("USDC")
        del row_of(usdc, "SOL_USDC-PERPETUAL")["mark_price"]
        rows, silent, _ = oi_of(futures("BTC"), futures("ETH"), usdc)
        assert "SOL" not in rows
        assert {"SOL": ("SOL_USDC-PERPETUAL",)} == silent

    def test_a_duplicated_row_counts_once(self) -> None:
        """A row sent twice is one perpetual."""
        usdc = futures("USDC")
        usdc.doc["result"].append(dict(row_of(usdc, "SOL_USDC-PERPETUAL")))
        rows, _, _ = oi_of(futures("BTC"), futures("ETH"), usdc)
        assert pytest.approx(20_000.0) == rows["SOL"].oi_coins

    def test_btc_has_no_row_without_its_own_summary(self) -> None:
        """The linear perpetual alone is a small part that would look like the whole."""
        rows, _, _ = oi_of(futures("ETH"), futures("USDC"), lines=("ETH", "USDC"))
        assert ["ETH", "SOL", "XRP"] == sorted(rows)

    def test_nothing_readable_is_a_change(self) -> None:
        """An answer in another shape is an error of the venue, not an empty market."""
        with pytest.raises(VenueChanged):
            oi_of(remade(futures("BTC"), {"result": {"rows": []}}), lines=("BTC",))
        with pytest.raises(VenueChanged):
            oi_of(remade(futures("BTC"), {"jsonrpc": "2.0"}), lines=("BTC",))

    def test_recorded(self) -> None:
        """2019-09-13: 98,839,671 USD at 10,309.01 = 9,587.6977 BTC; the two futures stay out."""
        wire = recorded("deribit", summary("BTC", "future"))
        rows, silent, bad = oi_of(wire, lines=("BTC",), lacking=("USDC",))
        assert ({}, 0, ["BTC"]) == (silent, bad, list(rows))
        assert 98_839_671.0 == rows["BTC"].oi_usd
        assert pytest.approx(98_839_671 / 10_309.01) == rows["BTC"].oi_coins
        assert ("BTC_USDC-PERPETUAL",) == rows["BTC"].not_counted


class TestFunding:
    """funding_8h, trailing."""

    def test_it_is_the_rate_of_the_last_eight_hours(self) -> None:
        """current_funding is the rate of an instant and is not it; there is no next payment."""
        rows, silent, bad = funding_of(futures("BTC"), futures("ETH"), futures("USDC"))
        assert ({}, 0) == (silent, bad)
        row = rows["BTC"]
        assert (0.00001742, 8, "trailing", None) == (
            row.rate,
            row.period_hours,
            row.kind,
            row.next_funding_time,
        )
        # 0.00001742 x 8760 / 8 x 100
        assert pytest.approx(1.90749) == row.apr
        assert (80_000.0, BTC_AT) == (row.mark_price, row.fetched_at)

    def test_the_inverse_perpetual_speaks_for_btc_and_eth(self) -> None:
        """BTC_USDC-PERPETUAL pays another rate; SOL has only a linear one."""
        rows, _, _ = funding_of(futures("BTC"), futures("ETH"), futures("USDC"))
        assert ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL"] == [
            row.symbol for row in rows.values()
        ]
        assert -0.00002 == rows["ETH"].rate
        assert 0.0 == rows["XRP"].rate

    def test_a_linear_perpetual_never_stands_in(self) -> None:
        """Without a readable BTC-PERPETUAL there is no row of BTC, and it is said."""
        btc = futures("BTC")
        row_of(btc, "BTC-PERPETUAL")["funding_8h"] = None
        rows, silent, bad = funding_of(btc, futures("ETH"), futures("USDC"))
        assert "BTC" not in rows
        assert ({"BTC": ("BTC-PERPETUAL",)}, 1) == (silent, bad)

    @pytest.mark.parametrize("absurd", [0.9, -17, "0.0.1", float("inf")])
    def test_absurd_rates_are_unreadable(self, absurd: Any) -> None:
        """A rate beyond belief is no rate."""
        usdc = futures("USDC")
        row_of(usdc, "SOL_USDC-PERPETUAL")["funding_8h"] = absurd
        rows, silent, bad = funding_of(futures("BTC"), futures("ETH"), usdc)
        assert "SOL" not in rows
        assert ({"SOL": ("SOL_USDC-PERPETUAL",)}, 1) == (silent, bad)

    def test_a_missing_mark_leaves_the_rate(self) -> None:
        """The mark price is an extra; unknown is None."""
        btc = futures("BTC")
        del row_of(btc, "BTC-PERPETUAL")["mark_price"]
        rows, _, _ = funding_of(btc, lines=("BTC",))
        assert (0.00001742, None) == (rows["BTC"].rate, rows["BTC"].mark_price)

    def test_recorded(self) -> None:
        """2019-09-13: funding_8h 0.00034042 while current_funding was 0.000128."""
        wire = recorded("deribit", summary("BTC", "future"))
        rows, _, _ = funding_of(wire, lines=("BTC",))
        assert (0.00034042, 10_309.01) == (rows["BTC"].rate, rows["BTC"].mark_price)
        assert pytest.approx(0.00034042 * 1095 * 100) == rows["BTC"].apr


class TestAsking:
    """What is asked, and what a failure costs."""

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("coins", "currencies"),
        [
            ((), ["BTC", "ETH", "USDC"]),
            (("BTC",), ["BTC", "USDC"]),
            (("ETH", "BTC"), ["BTC", "ETH", "USDC"]),
            (("SOL",), ["USDC"]),
            (("PEPE",), ["USDC"]),
        ],
    )
    async def test_open_interest_asks_only_what_holds_the_coins(
        self, coins: tuple[str, ...], currencies: list[str]
    ) -> None:
        """One request per settlement currency that can hold a coin asked."""
        ask = asking("deribit", *coins)
        await VENUE.open_interest(ask)
        assert [summary(c, "future").url for c in currencies] == asked(ask)

    @pytest.mark.anyio
    async def test_funding_of_btc_and_eth_needs_no_usdc(self) -> None:
        """Their linear perpetuals are not what is answered."""
        ask = asking("deribit", "BTC", "ETH")
        rows = await VENUE.funding(ask)
        assert ["BTC-PERPETUAL", "ETH-PERPETUAL"] == [row.symbol for row in rows]
        assert [summary(c, "future").url for c in ("BTC", "ETH")] == asked(ask)
        assert [] == ask.shortfalls

    @pytest.mark.anyio
    async def test_rows_come_in_the_order_asked(self) -> None:
        """And a coin that is not listed has none."""
        ask = asking("deribit", "SOL", "PEPE", "BTC")
        assert ["SOL", "BTC"] == [row.coin for row in await VENUE.open_interest(ask)]
        assert ("PEPE" in ask.universe, "PEPE" in ask.unreadable) == (False, False)

    @pytest.mark.anyio
    async def test_without_usdc_the_sum_of_btc_names_what_it_lacks(self) -> None:
        """SOL is not called unlisted: its currency could not be read."""
        failing: dict[str, VenueError] = {"currency=USDC": VenueTimeout("timeout: no answer")}
        ask = asking("deribit", "BTC", "SOL", failing=failing)
        (row,) = await VENUE.open_interest(ask)
        assert ("BTC", ("BTC_USDC-PERPETUAL",)) == (row.coin, row.not_counted)
        assert {"BTC", "SOL"} == ask.unreadable
        assert "missing: no summary of USDC perpetuals" in ask.shortfalls

    @pytest.mark.anyio
    async def test_one_currency_failing_leaves_the_others(self) -> None:
        """ETH keeps its row when the summary of BTC fails; BTC has none and is not unlisted."""
        failing: dict[str, VenueError] = {"currency=BTC": VenueHttp(503)}
        ask = asking("deribit", "BTC", "ETH", failing=failing)
        assert ["ETH"] == [row.coin for row in await VENUE.open_interest(ask)]
        assert {"BTC"} == ask.unreadable
        ask = asking("deribit", "BTC", "ETH", failing=failing)
        assert ["ETH"] == [row.coin for row in await VENUE.funding(ask)]

    @pytest.mark.anyio
    async def test_all_failing_is_the_venue_failing(self) -> None:
        """The error is the venue's own, not an empty answer."""
        failing: dict[str, VenueError] = {"deribit": VenueTimeout("timeout: no answer")}
        with pytest.raises(VenueTimeout):
            await VENUE.open_interest(asking("deribit", "BTC", "ETH", failing=failing))
        with pytest.raises(VenueTimeout):
            await VENUE.funding(asking("deribit", "SOL", failing=failing))
        with pytest.raises(VenueTimeout):
            await VENUE.markets(asking("deribit", failing=failing))

    @pytest.mark.anyio
    async def test_replay_answers_what_was_recorded(self) -> None:
        """BTC stands in the recordings, ETH and USDC do not."""
        ask = asking("deribit", "BTC", "ETH", real=True)
        assert ["BTC"] == [row.coin for row in await VENUE.funding(ask)]
        assert {"ETH"} == ask.unreadable
        with pytest.raises(Unrecorded):
            await VENUE.funding(asking("deribit", "ETH", real=True))


class TestMarkets:
    """Discovery."""

    @pytest.mark.anyio
    async def test_every_instrument_in_one_round_of_six(self) -> None:
        """Perpetuals, futures and options of BTC, ETH and USDC; each once, no combination."""
        ask = asking("deribit")
        rows = await VENUE.markets(ask)
        assert (6, []) == (len(asked(ask)), ask.shortfalls)
        kinds = {row.symbol: (row.kind, row.coin) for row in rows}
        assert len(kinds) == len(rows)
        assert ("perp", "BTC") == kinds["BTC_USDC-PERPETUAL"]
        assert ("future", "SOL") == kinds["SOL_USDC-25DEC26"]
        assert ("option", "XRP") == kinds["XRP_USDC-25DEC26-0d625-C"]
        assert "BTC-CS-25DEC26-70000_75000" not in kinds

    def test_unreadable_rows_are_counted(self) -> None:
        """A row without a name is no market."""
        wire = Wire(
            {"result": [{"instrument_name": "BTC-PERPETUAL"}, {"instrument_name": 7}]},
            fetched_at=1,
            read=0.0,
            size=0,
        )
        rows, bad = parse_markets(wire)
        assert (["BTC-PERPETUAL"], 1) == ([row.symbol for row in rows], bad)


class TestRefusals:
    """JSON-RPC errors."""

    @staticmethod
    def body(code: int) -> bytes:
        """An error as the venue sends it."""
        return (
            b'{"jsonrpc":"2.0","error":{"message":"m","data":{"reason":"r"},"code":%d},"usIn":1}'
            % code
        )

    @pytest.mark.parametrize(
        ("code", "kind", "retryable"),
        [
            (10028, VenueRateLimited, True),
            (10047, VenueRateLimited, True),
            (10040, VenueHttp, True),
            (10041, VenueHttp, True),
            (11051, VenueHttp, False),
            (-32602, VenueRejected, False),
            (10020, VenueRejected, False),
        ],
    )
    def test_a_code_is_one_of_our_errors(
        self, code: int, kind: type[VenueError], *, retryable: bool
    ) -> None:
        """With the code in the reason."""
        error = VENUE.refusal(400, self.body(code))
        assert kind is type(error)
        assert error is not None
        assert retryable == error.retryable
        assert f"code {code}" in error.reason

    def test_what_is_not_its_own_word_is_left_to_the_judge(self) -> None:
        """Answers, HTML, and a 429 whose Retry-After must be read."""
        assert VENUE.refusal(200, b'{"jsonrpc":"2.0","result":[]}') is None
        assert VENUE.refusal(503, b"<html>error</html>") is None
        assert VENUE.refusal(429, self.body(10028)) is None
        assert VENUE.refusal(451, self.body(0)) is None
        assert VENUE.refusal(500, self.body(13888)) is None

    def test_an_error_inside_200_is_an_error(self) -> None:
        """Whatever the status says."""
        assert isinstance(VENUE.refusal(200, self.body(-32602)), VenueRejected)


def test_it_stands_in_the_roll() -> None:
    """Found by path, with BTC and ETH as what is answered when no coin is named."""
    venue = roll()["deribit"]
    assert (("BTC", "ETH"), "live", "cex") == (venue.default_coins, venue.status, venue.kind)
