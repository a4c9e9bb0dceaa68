"""Hyperliquid: one answer in two lists that are joined by position."""

import copy
from typing import Any

import pytest
from bending import Bent
from wires import asking, recorded, sample

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged, VenueRejected
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.hyperliquid import (
    CONTEXTS,
    Hyperliquid,
    parse_funding,
    parse_markets,
    parse_open_interest,
)

pytestmark = pytest.mark.anyio

HYPERLIQUID = Hyperliquid()
AT = 1_789_412_345_678
# 0.0001 in 8 h, or an eighth of it in 1 h: percent.
A_YEAR: Any = pytest.approx(10.95)
# Positions in the sample: MATIC and FTM, which are delisted, stand among the others.
BTC, MATIC, PEPE = 0, 1, 3


def bent(change: Any = None) -> Wire:
    """The sample, changed in place by a function of (universe, states)."""
    whole = sample("hyperliquid", CONTEXTS)
    doc = copy.deepcopy(whole.doc)
    if change:
        change(doc[0]["universe"], doc[1])
    return Wire(doc, fetched_at=whole.fetched_at, read=0.0, size=1)


def open_rows(change: Any = None) -> dict[str, OpenInterestRow]:
    """The open interest of the sample, changed."""
    return parse_open_interest(bent(change))[0]


def funding_rows(change: Any = None) -> dict[str, FundingRow]:
    """The funding of the sample, changed."""
    return parse_funding(bent(change))[0]


class TestOpenInterest:
    """Units of the symbol at the mark."""

    def test_units_are_coins_at_the_mark(self) -> None:
        """30,000.25 BTC x 80,000."""
        btc = open_rows()["BTC"]
        assert (2_400_020_000, 30_000.25, 30_000.25) == (btc.oi_usd, btc.oi_coins, btc.oi_contracts)
        assert (AT, ("BTC",), None) == (btc.fetched_at, btc.symbols, btc.not_counted)

    def test_a_small_k_is_a_thousand_coins(self) -> None:
        """9,000,000 kPEPE at 0.0125 are 9 bn PEPE worth 112,500 USD; KAS is a name."""
        rows = open_rows()
        assert (112_500, 9e9) == (rows["PEPE"].oi_usd, rows["PEPE"].oi_coins)
        assert ("kPEPE",) == rows["PEPE"].symbols
        assert 5_000_000 == rows["KAS"].oi_coins

    def test_the_join_is_by_position_before_anything_is_left_out(self) -> None:
        """ETH stands behind a delisted perpetual and keeps its numbers; delisted ones vanish."""
        rows = open_rows()
        assert 600_000.5 == rows["ETH"].oi_coins
        assert {"BTC", "ETH", "PEPE", "KAS", "SHIB", "SOL"} == set(rows)

    def test_lists_of_different_length_are_not_joined(self) -> None:
        """One state less would give every coin behind it another's numbers."""
        with pytest.raises(VenueChanged, match="differ in length"):
            open_rows(lambda _, states: states.pop(0))

    def test_a_perpetual_without_a_name_is_a_change(self) -> None:
        """Nothing can be said of whose numbers those are."""
        with pytest.raises(VenueChanged, match="no name"):
            open_rows(lambda universe, _: universe[BTC].pop("name"))

    @pytest.mark.parametrize("value", ["NaN", "-1", "1e308", "1e20", "", None, "n/a"])
    async def test_an_absurd_number_is_no_number(self, value: str | None) -> None:
        """The coin has no row, is said to have none, and is not called unlisted."""
        bend = {"info": lambda doc: doc[1][BTC].update(openInterest=value) or doc}
        ask = Bent("hyperliquid", bends=bend).ask("BTC", "ETH")
        (row,) = await HYPERLIQUID.open_interest(ask)
        assert "ETH" == row.coin
        assert {"BTC"} == ask.unreadable
        assert [
            "changed: 1 row could not be read",
            "missing: no open interest of BTC",
        ] == ask.shortfalls

    def test_rows_sent_twice_count_once(self) -> None:
        """Both lists twice, in step."""

        def twice(universe: list[Any], states: list[Any]) -> None:
            universe *= 2
            states *= 2

        assert open_rows() == open_rows(twice)
        assert funding_rows() == funding_rows(twice)

    @pytest.mark.parametrize("doc", [None, [], {}, [{}], [{"universe": []}, {}], [[], []], "x"])
    def test_another_shape_is_a_change(self, doc: Any) -> None:
        """And not a crash."""
        with pytest.raises(VenueChanged):
            parse_open_interest(Wire(doc, fetched_at=AT, read=0, size=1))


class TestFunding:
    """The estimate of the running hour, paid at the next full hour."""

    def test_an_hourly_rate(self) -> None:
        """0.0000125 an hour is 10.95 % a year, paid at 19:00."""
        assert (
            FundingRow(
                coin="BTC",
                venue="hyperliquid",
                rate=0.0000125,
                period_hours=1,
                fetched_at=AT,
                symbol="BTC",
                kind="predicted",
                apr=A_YEAR,
                mark_price=80_000,
                next_funding_time=1_789_412_400_000,
            )
            == funding_rows()["BTC"]
        )

    def test_shorts_pay_when_it_is_negative(self) -> None:
        """-0.000005 x 8,760 = -4.38 %."""
        assert pytest.approx(-4.38) == funding_rows()["ETH"].apr

    def test_the_mark_is_that_of_one_coin(self) -> None:
        """KPEPE at 0.0125."""
        assert pytest.approx(0.0000125) == funding_rows()["PEPE"].mark_price

    def test_at_the_full_hour_the_next_one_is_an_hour_away(self) -> None:
        """The time of reading decides, no clock."""
        hour = 497_059 * HOUR_MS
        wire = Wire(sample("hyperliquid", CONTEXTS).doc, fetched_at=hour, read=0, size=1)
        assert hour + HOUR_MS == parse_funding(wire)[0]["BTC"].next_funding_time

    @pytest.mark.parametrize("value", ["NaN", "0.3", "1e308", "", None])
    async def test_an_absurd_rate_is_no_rate(self, value: str | None) -> None:
        """No row, and it is said."""
        bend = {"info": lambda doc: doc[1][PEPE].update(funding=value) or doc}
        ask = Bent("hyperliquid", bends=bend).ask("PEPE")
        assert [] == await HYPERLIQUID.funding(ask)
        assert {"PEPE"} == ask.unreadable


class TestVenue:
    """What is asked and refused."""

    async def test_one_request_answers_both_questions(self) -> None:
        """And a coin that is not there is simply not listed."""
        inner = Bent("hyperliquid")
        ask = inner.ask("BTC", "NOPE", "MATIC")
        assert ["BTC"] == [row.coin for row in await HYPERLIQUID.funding(ask)]
        assert ["BTC"] == [row.coin for row in await HYPERLIQUID.open_interest(ask)]
        assert (1, set(), []) == (len(inner.asked), ask.unreadable, ask.shortfalls)

    def test_refusals(self) -> None:
        """422 is a malformed request, null an unknown market; the rest is left to the status."""
        assert isinstance(HYPERLIQUID.refusal(422, b"Failed to deserialize"), VenueRejected)
        assert isinstance(HYPERLIQUID.refusal(200, b"null"), VenueRejected)
        assert HYPERLIQUID.refusal(200, b"[]") is None
        assert HYPERLIQUID.refusal(429, b"null") is None

    async def test_markets_are_the_live_core_perpetuals(self) -> None:
        """Under the venue's own names."""
        rows = await HYPERLIQUID.markets(asking("hyperliquid"))
        assert ["BTC", "ETH", "kPEPE", "KAS", "kSHIB", "SOL"] == [row.symbol for row in rows]
        assert "PEPE" == rows[2].coin


class TestRecorded:
    """What the venue really sent, August 2025."""

    def test_open_interest_and_funding(self) -> None:
        """Checked against the raw body, joined here by position."""
        wire = recorded("hyperliquid", CONTEXTS)
        universe, states = wire.doc[0]["universe"], wire.doc[1]
        raw = {meta["name"]: state for meta, state in zip(universe, states, strict=True)}
        rows, bad = parse_open_interest(wire)
        btc, pepe = raw["BTC"], raw["kPEPE"]
        assert pytest.approx(float(btc["openInterest"]) * float(btc["markPx"])) == (
            rows["BTC"].oi_usd
        )
        assert pytest.approx(float(pepe["openInterest"]) * 1000) == rows["PEPE"].oi_coins
        assert 0 == bad
        rates, bad = parse_funding(wire)
        assert (float(btc["funding"]), 0) == (rates["BTC"].rate, bad)
        live = [meta["name"] for meta in universe if not meta.get("isDelisted")]
        assert len(live) == len(rows) == len(rates)
        assert "MATIC" not in rows
        assert live == [row.symbol for row in parse_markets(wire)]
