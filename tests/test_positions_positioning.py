"""Positioning: what each venue's samples mean, in numbers worked out by hand (METHODS 5)."""

from dataclasses import replace
from typing import Any

import pytest
from holdings import FOUR_PM, QUARTER, READ_AT, SIX_PM, asked, sampled, told, wire
from wires import recorded

from mmflow_mcp.analytics.positioning import divergence, judge, with_divergence
from mmflow_mcp.errors import VenueBlocked, VenueChanged, VenueError, VenueRejected, VenueTimeout
from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.binance_positions import parse_accounts
from mmflow_mcp.venues.bybit_positions import account_ratio, parse_ratios
from mmflow_mcp.venues.gateio_positions import parse_stats
from mmflow_mcp.venues.okx_positions import parse_positions
from mmflow_mcp.venues.shares import newest_closed, ratio_of, share_beside, share_of

pytestmark = pytest.mark.anyio
HOUR = 3_600_000


async def rows_of(venue: str, *coins: str, **options: Any) -> list[PositioningRow]:
    """A venue's rows over our samples."""
    rows: list[PositioningRow] = await roll()[venue].positioning(sampled(venue, *coins, **options))  # type: ignore[attr-defined]
    return rows


def brief(rows: list[PositioningRow]) -> list[tuple[str, str, float]]:
    """Coin, view and share."""
    return [(row.coin, row.view, round(row.long_fraction, 6)) for row in rows]


class TestArithmetic:
    """METHODS section 5, with its printed numbers."""

    @pytest.mark.parametrize(("long", "ratio"), [(0.58, 1.38), (0.51, 1.04), (0.46, 0.85)])
    def test_the_worked_numbers(self, long: float, ratio: float) -> None:
        """0.58 -> 1.38, 0.51 -> 1.04, 0.46 -> 0.85 at two decimals, and back."""
        told_ratio = ratio_of(long)
        assert told_ratio is not None
        assert ratio == round(told_ratio, 2)
        assert pytest.approx(long, rel=1e-12) == share_of(told_ratio)

    def test_nobody_short_has_no_ratio(self) -> None:
        """f = 1: null, neither infinity nor an error; nobody long is a ratio of 0."""
        assert (None, 0.0) == (ratio_of(1.0), ratio_of(0.0))

    @pytest.mark.parametrize("long", ["1.2", "-0.1", "NaN", "1e308", "", None, True, "much"])
    def test_what_is_no_share_is_refused(self, long: object) -> None:
        """A share lies between 0 and 1 and is a number."""
        with pytest.raises(ValueError, match=r"."):
            share_beside(long, "0.5")

    def test_shares_that_make_no_whole_are_refused(self) -> None:
        """0.58 beside 0.58 is a mistake of someone's, not a share."""
        with pytest.raises(ValueError, match="whole"):
            share_beside("0.58", "0.58")
        assert 0.58 == share_beside("0.58", "0.4201")

    def test_divergence_is_top_less_global(self) -> None:
        """0.51 - 0.58 = -0.07: large accounts are less long."""
        assert -0.07 == divergence(0.51, 0.58)


class TestVenues:
    """One capability, four spellings."""

    async def test_binance_gives_the_share_itself(self) -> None:
        """BTC 0.58 of accounts and 0.51 of the top's size at 18:00; 1000PEPE answers for PEPE."""
        rows = await rows_of("binance", "BTC", "PEPE")
        assert [
            ("BTC", "global", 0.58),
            ("BTC", "top", 0.51),
            ("PEPE", "global", 0.64),
            ("PEPE", "top", 0.56),
        ] == brief(rows)
        first = rows[0]
        assert pytest.approx(0.58 / 0.42, rel=1e-12) == first.long_short_ratio
        assert (READ_AT, SIX_PM, "1h") == (first.fetched_at, first.sampled_at, first.period)

    async def test_bybit_gives_the_share_of_holders(self) -> None:
        """BTC 0.5681 global only: there is no top view; the USDC contract is not asked."""
        ask = sampled("bybit", "BTC", "PEPE", "ONLY")
        rows = await roll()["bybit"].positioning(ask)  # type: ignore[attr-defined]
        assert [("BTC", "global", 0.5681), ("PEPE", "global", 0.7)] == brief(rows)
        assert not any("PERP" in url for url in asked(ask))
        assert SIX_PM == rows[0].sampled_at

    async def test_okx_gives_ratios_of_bars_that_are_over(self) -> None:
        """1.38095 -> 0.58 and 0.85185 -> 0.46, of the bar 17:00 to 18:00; 9.9999 still forms."""
        rows = await rows_of("okx", "BTC", "ETH", "PEPE")
        assert [
            ("BTC", "global", 0.58),
            ("BTC", "top", 0.46),
            ("ETH", "global", 0.666667),
            ("ETH", "top", 0.5),
            ("PEPE", "global", 0.75),
            ("PEPE", "top", 0.2),
        ] == brief(rows)
        assert {SIX_PM} == {row.sampled_at for row in rows}

    async def test_gate_gives_both_views_in_one_answer(self) -> None:
        """1.25 -> 0.555556 and 0.6 -> 0.375, of the interval 17:00 to 18:00."""
        ask = sampled("gateio", "BTC")
        rows = await roll()["gateio"].positioning(ask)  # type: ignore[attr-defined]
        assert [("BTC", "global", 0.555556), ("BTC", "top", 0.375)] == brief(rows)
        assert {SIX_PM} == {row.sampled_at for row in rows}
        assert 1 == sum("contract_stats" in url for url in asked(ask))

    async def test_a_zero_of_gate_is_no_data(self) -> None:
        """ETH top is "0" at the newest closed point: the one before speaks, never 0 % long."""
        rows = await rows_of("gateio", "ETH")
        assert [("ETH", "global", 0.75), ("ETH", "top", 0.5)] == brief(rows)
        assert [SIX_PM, SIX_PM - HOUR] == [row.sampled_at for row in rows]

    @pytest.mark.parametrize("venue", ["binance", "bybit", "okx", "gateio"])
    @pytest.mark.parametrize(("period", "end"), [("15m", QUARTER), ("1h", SIX_PM), ("4h", FOUR_PM)])
    async def test_periods_are_spelled_as_the_venue_does(
        self, venue: str, period: str, end: int
    ) -> None:
        """15m, 1h and 4h find their samples, which end at 18:45, 18:00 and 16:00."""
        rows = await rows_of(venue, "BTC", period=period)
        assert {(end, period)} == {(row.sampled_at, row.period) for row in rows}

    @pytest.mark.parametrize("venue", ["binance", "bybit", "okx", "gateio"])
    async def test_stocks_and_what_is_delisted_answer_for_no_coin(self, venue: str) -> None:
        """A stock's contract with a coin's ticker is not listed, and not asked."""
        ask = sampled(venue, "MOVE", "BB", "FTM")
        assert [] == await roll()[venue].positioning(ask)  # type: ignore[attr-defined]
        assert not {"MOVE", "BB", "FTM"} & set(ask.universe)
        assert not any("atio" in url or "stats" in url for url in asked(ask))

    async def test_two_requests_a_coin_in_one_round(self) -> None:
        """The list, then everything at once."""
        ask = sampled("binance", "BTC", "ETH")
        await roll()["binance"].positioning(ask)  # type: ignore[attr-defined]
        assert 1 + 4 == len(asked(ask))

    async def test_without_coins_the_usual_three(self) -> None:
        """BTC, ETH and SOL, and it says so."""
        ask = sampled("okx")
        rows = await roll()["okx"].positioning(ask)  # type: ignore[attr-defined]
        assert {"BTC", "ETH"} == {row.coin for row in rows}
        assert "BTC, ETH, SOL" == ask.narrowed


class TestFailures:
    """One series, one coin or the list missing: the rest still answers."""

    async def test_one_view_that_fails_leaves_the_other(self) -> None:
        """Binance may want a key for the top view: the global one stays, and the reason is told."""
        ask = sampled("binance", "BTC", failing={"topLong": VenueRejected("rejected: code -2014")})
        rows = await roll()["binance"].positioning(ask)  # type: ignore[attr-defined]
        assert [("BTC", "global", 0.58)] == brief(rows)
        assert ["rejected: code -2014 (topLongShortPositionRatio)"] == ask.shortfalls

    @pytest.mark.parametrize("venue", ["binance", "bybit", "okx", "gateio"])
    async def test_without_the_list_sure_coins_answer(self, venue: str) -> None:
        """BTC has its usual symbol; BB might be a stock, so it is said to be missing."""
        lists = ("exchangeInfo", "instruments-info", "public/instruments", "usdt/contracts")
        failing: dict[str, VenueError] = {part: VenueTimeout("timeout") for part in lists}
        ask = sampled(venue, "BTC", "BB", failing=failing)
        rows = await roll()[venue].positioning(ask)  # type: ignore[attr-defined]
        assert {"BTC"} == {row.coin for row in rows}
        assert "BB" in ask.unreadable
        assert any("nothing of BB without the list" in reason for reason in ask.shortfalls)

    async def test_a_blocked_venue_is_no_empty_answer(self) -> None:
        """Nothing could be had: no row, and the coin counts as unread, not as unlisted."""
        ask = told("okx", {"": VenueBlocked("geo: blocked")}, "BTC")
        assert [] == await roll()["okx"].positioning(ask)  # type: ignore[attr-defined]
        assert {"BTC"} == ask.unreadable
        assert "geo: blocked" in ask.shortfalls[0]

    @pytest.mark.parametrize(
        "doc",
        [
            {"code": "0"},
            {"code": "0", "data": {}},
            {"code": "0", "data": [["x", "y"], ["z", "w"]]},
            [],
            None,
        ],
    )
    async def test_another_shape_is_a_change_and_no_number(self, doc: Any) -> None:
        """The coin has no row, and why is told."""
        listed = sampled("okx", "BTC")
        await roll()["okx"].positioning(listed)  # type: ignore[attr-defined]
        instruments = listed._upstream._known  # type: ignore[attr-defined]
        swaps = next(w.doc for key, w in instruments.items() if "instruments" in key[0])
        ask = told("okx", {"instruments": swaps, "rubik": doc}, "BTC")
        assert [] == await roll()["okx"].positioning(ask)  # type: ignore[attr-defined]
        assert ask.shortfalls[0].startswith("changed")

    def test_bad_rows_are_counted_and_left_out(self) -> None:
        """A share of 1.7 and a missing one are no samples; the third is."""
        good = {"longAccount": "0.58", "shortAccount": "0.42", "timestamp": SIX_PM}
        bad = {**good, "longAccount": "1.7"}
        doc = [bad, good, {**good, "timestamp": SIX_PM - HOUR}, {"timestamp": SIX_PM}, good]
        found, unread = parse_accounts(wire(doc), "1h")
        assert 2 == unread
        assert [0.58] * 3 == [sample.long for sample in found["global"]]

    def test_an_answer_of_bad_rows_is_a_change(self) -> None:
        """More bad rows than good ones."""
        with pytest.raises(VenueChanged):
            parse_positions(wire({"code": "0", "data": [["1", "-3"]]}), "1h")

    def test_no_closed_sample_is_none(self) -> None:
        """A venue's newest bar alone says nothing yet."""
        samples, _ = parse_positions(wire({"code": "0", "data": [[str(SIX_PM), "2"]]}), "1h")
        assert newest_closed(samples["top"], READ_AT) is None
        assert newest_closed(samples["top"], SIX_PM + HOUR) is not None


class TestRecordings:
    """What the venues really sent."""

    def test_bybits_hour(self) -> None:
        """0.5681 to 0.4319 at 23:00, read at 23:14:35: 0.5681 / 0.4319 = 1.3153."""
        got = recorded("bybit", account_ratio("BTCUSDT", "1h"))
        samples, bad = parse_ratios(got, "1h")
        sample = newest_closed(samples["global"], got.fetched_at)
        assert sample is not None
        assert (0, 0.5681, 1_788_908_400_000) == (bad, sample.long, sample.end_ms)
        assert 1.3154 == round(ratio_of(sample.long) or 0, 4)

    def test_gates_hours(self) -> None:
        """Read at 00:00: the interval that began at 23:00 is over; 1.31782 -> 0.568559."""
        url = "https://api.gateio.ws/api/v4/futures/usdt/contract_stats"
        call = replace(account_ratio("x", "1h"), url=f"{url}?contract=BTC_USDT&interval=1h")
        got = recorded("gateio", call)
        samples, bad = parse_stats(got, "1h")
        everyone = newest_closed(samples["global"], got.fetched_at)
        top = newest_closed(samples["top"], got.fetched_at)
        assert everyone is not None
        assert top is not None
        assert (0, 1_788_912_000_000) == (bad, everyone.end_ms)
        ratio = 1.3178167862980599
        assert pytest.approx(ratio / (1 + ratio), rel=1e-12) == everyone.long
        # Users are told as well: 18,543 long and 14,071 short.
        assert pytest.approx(18_543 / (18_543 + 14_071), rel=1e-9) == everyone.long
        assert pytest.approx(30_110_508 / (30_110_508 + 29_371_957), rel=1e-9) == top.long


def row(view: str, long: float, sampled_at: int, period: str = "1h") -> PositioningRow:
    """A row of binance BTC."""
    return PositioningRow("BTC", "binance", view, long, ratio_of(long), READ_AT, sampled_at, period)


class TestAge:
    """Older than 2 periods is stale, older than 4 is left out."""

    @pytest.mark.parametrize(
        ("age", "stale"),
        [(HOUR, None), (2 * HOUR, None), (2 * HOUR + 1, True), (4 * HOUR, True)],
    )
    def test_stale_is_past_two_periods(self, age: int, stale: bool | None) -> None:  # noqa: FBT001
        """Two periods to the millisecond are not stale yet; four are not gone yet."""
        rows, old = judge([row("global", 0.58, READ_AT - age)], lambda at: at)
        assert [stale] == [one.stale for one in rows]
        assert [age] * bool(stale) == [one.age_ms for one in old]

    def test_what_is_older_than_four_periods_is_left_out(self) -> None:
        """It is named, and not answered."""
        rows, old = judge([row("global", 0.58, READ_AT - 4 * HOUR - 1)], lambda at: at)
        assert ([], True, 4 * HOUR + 1) == (rows, old[0].gone, old[0].age_ms)

    def test_periods_are_the_samples_own(self) -> None:
        """Three hours are nothing for a sample of 4 h, and too much for one of 15 m."""
        at = READ_AT - 3 * HOUR
        given = [row("global", 0.5, at, "4h"), row("global", 0.5, at, "15m")]
        rows, _ = judge(given, lambda read_at: read_at)
        assert [given[0]] == rows

    def test_divergence_compares_samples_of_one_time(self) -> None:
        """On the top row only; views of different hours are not compared."""
        rows = with_divergence([row("global", 0.58, SIX_PM), row("top", 0.51, SIX_PM)])
        assert [None, -0.07] == [one.divergence for one in rows]
        apart = with_divergence([row("global", 0.58, SIX_PM), row("top", 0.51, SIX_PM - HOUR)])
        assert [None, None] == [one.divergence for one in apart]
