"""METHODS 8: the premium, its words, its two legs, and what is a fault and no premium."""

from datetime import UTC, datetime

import pytest

from mmflow_mcp.analytics.kimchi import interpret, kimchi_of, premium_of
from mmflow_mcp.analytics.spreads import Spread, spread_of
from mmflow_mcp.rows.spot import FxRate, SpotRow

# A Tuesday.
AT = round(datetime(2026, 9, 15, 18, 0, tzinfo=UTC).timestamp() * 1000)
RATE = FxRate("USD", "KRW", 1507.06, "2026-09-15", AT - 1_000_000, "frankfurter")


def won(coin: str, price: float, *, read: int = AT, traded: int | None = None) -> SpotRow:
    """A row in won on upbit."""
    return SpotRow(
        coin, "upbit", price, None, None, 1.0, None, read, "KRW", f"KRW-{coin}",
        traded or read - 2_000,
    )  # fmt: skip


def world(price: float = 68_420.4, read: int = AT) -> Spread:
    """A median of two venues."""
    rows = [
        SpotRow("BTC", v, price, None, None, 1.0, None, read, "USD", "BTC-USD")
        for v in ("coinbase", "kraken")
    ]
    return spread_of("BTC", rows)


LOCAL = [won("BTC", 104_970_000.0), won("USDT", 1528.0)]


class TestWorkedNumbers:
    """The seed's example."""

    def test_the_premium(self) -> None:
        """104,970,000 / 1,507.06 = 69,652.17; against 68,420.4 that is +1.80 %, 180 bps."""
        found = premium_of(104_970_000, 1507.06, 68_420.4)
        assert found.local_usd is not None
        assert 69_652.17 == round(found.local_usd, 2)
        assert found.premium_pct is not None
        assert 1.80 == round(found.premium_pct, 2)
        assert 180.0 == round(100 * found.premium_pct, 1)

    def test_the_two_legs(self) -> None:
        """(1.004052)(1.013895) = 1.018003 at KRW-USDT 1,528."""
        found = premium_of(104_970_000, 1507.06, 68_420.4, 1528.0)
        assert found.over_usdt_pct is not None
        assert found.usdt_pct is not None
        assert found.premium_pct is not None
        assert (0.4052, 1.3895) == (round(found.over_usdt_pct, 4), round(found.usdt_pct, 4))
        product = (1 + found.over_usdt_pct / 100) * (1 + found.usdt_pct / 100)
        assert pytest.approx(1 + found.premium_pct / 100, rel=1e-12) == product
        assert 1.018003 == round(product, 6)

    @pytest.mark.parametrize(
        ("percent", "word"),
        [
            (5.0, "strong_premium"),
            (4.9999, "premium"),
            (0.5, "premium"),
            (0.4999, "neutral"),
            (-0.4999, "neutral"),
            (-0.5, "discount"),
            (-4.9999, "discount"),
            (-5.0, "strong_discount"),
            (None, "unavailable"),
        ],
    )
    def test_words(self, percent: float | None, word: str) -> None:
        """The borders belong to the stronger word."""
        assert word == interpret(percent)


class TestFaults:
    """Beyond 30 % it is a fault."""

    @pytest.mark.parametrize(
        ("local", "rate"), [(104_970_000, 1 / 1507.06), (104_970_000, 1000.0), (70_000.0, 1507.06)]
    )
    def test_an_impossible_premium_is_null(self, local: float, rate: float) -> None:
        """An inverted rate, a wrong one, a price that is in dollars already."""
        found = premium_of(local, rate, 68_420.4, 1528.0)
        assert (None, None, None, None) == (
            found.local_usd,
            found.premium_pct,
            found.over_usdt_pct,
            found.usdt_pct,
        )
        assert found.fault is not None
        assert abs(found.fault) > 30

    def test_the_answer_says_so(self) -> None:
        """Nulls, unavailable, and a note."""
        data, notes = kimchi_of("BTC", "upbit", [won("BTC", 7_517_000.0)], RATE, world())
        assert (None, None, None, "unavailable") == (
            data.local_price_usd,
            data.premium_pct,
            data.premium_bps,
            data.interpretation,
        )
        assert [("flows:kimchi", "error")] == [(n.source, n.status) for n in notes]
        assert "none" == data.state

    def test_nearly_thirty_percent_is_believed(self) -> None:
        """129.99 and 70.01 against 100."""
        assert pytest.approx(29.99) == premium_of(129.99, 1.0, 100.0).premium_pct
        assert pytest.approx(-29.99) == premium_of(70.01, 1.0, 100.0).premium_pct

    def test_a_leg_beyond_belief_is_left_out_alone(self) -> None:
        """KRW-USDT at 15 does not touch the premium by the rate."""
        found = premium_of(104_970_000, 1507.06, 68_420.4, 15.28)
        assert (True, None, None) == (
            found.premium_pct is not None,
            found.over_usdt_pct,
            found.usdt_pct,
        )

    @pytest.mark.parametrize(
        "given", [(None, 1500.0, 70_000.0), (1e8, None, 70_000.0), (1e8, 1500.0, None)]
    )
    def test_without_an_input_there_is_no_premium(
        self, given: tuple[float | None, float | None, float | None]
    ) -> None:
        """Null, never zero."""
        assert premium_of(*given, 1528.0).premium_pct is None


class TestAnswer:
    """Rows in, the answer out."""

    def test_the_whole_answer(self) -> None:
        """Every field of the specification, and what ours say beside them."""
        data, notes = kimchi_of("BTC", "upbit", LOCAL, RATE, world())
        assert [] == notes
        assert ("KR", "upbit", "KRW-BTC") == (data.region, data.local_venue, data.local_pair)
        assert (104_970_000, 1507.06, 68_420.4) == (
            data.local_price_krw,
            data.usd_krw,
            data.global_median_usd,
        )
        assert ("premium", None, AT) == (
            data.interpretation,
            data.bid_ask_pressure,
            data.fetched_at,
        )
        assert ("2026-09-15", False, "fresh", "frankfurter") == (
            data.fx_date,
            data.fx_stale,
            data.fx_state,
            data.fx_source,
        )
        assert (1528.0, ("coinbase", "kraken"), "live") == (
            data.krw_usdt,
            data.global_venues,
            data.state,
        )

    def test_without_a_rate_usdt_stands_in_and_says_so(self) -> None:
        """104,970,000 / 1,528 / 68,420.4: +0.4052 %, net of USDT's own premium."""
        data, _ = kimchi_of("BTC", "upbit", LOCAL, None, world())
        assert (1528.0, "upbit:KRW-USDT", None) == (data.usd_krw, data.fx_source, data.fx_date)
        assert data.premium_pct is not None
        assert 0.4052 == round(data.premium_pct, 4)
        assert (True, "none", "stale") == (data.fx_stale, data.fx_state, data.state)
        assert (None, None) == (data.premium_over_usdt_pct, data.usdt_premium_pct)

    def test_without_rate_and_usdt_there_is_no_premium(self) -> None:
        """Null all along."""
        data, _ = kimchi_of("BTC", "upbit", LOCAL[:1], None, world())
        assert (None, None, "unavailable") == (
            data.usd_krw,
            data.premium_pct,
            data.interpretation,
        )
        data, _ = kimchi_of("USDT", "upbit", LOCAL[1:], None, world(1.0))
        assert data.usd_krw is None

    def test_without_a_local_price_the_rest_is_told(self) -> None:
        """The market of an unlisted coin is still named."""
        data, _ = kimchi_of("BTC", "upbit", [], RATE, world())
        assert (None, 1507.06, 68_420.4, None, "KRW-BTC") == (
            data.local_price_krw,
            data.usd_krw,
            data.global_median_usd,
            data.premium_pct,
            data.local_pair,
        )

    def test_one_venue_alone_is_no_median(self) -> None:
        """And is not told as one of those in it."""
        alone = SpotRow("BTC", "kraken", 68_420.4, None, None, 1.0, None, AT, "USD", "BTC-USD")
        data, _ = kimchi_of("BTC", "upbit", LOCAL, RATE, spread_of("BTC", [alone]))
        assert (None, None) == (data.global_median_usd, data.global_venues)

    @pytest.mark.parametrize(("age_ms", "stale"), [(120_000, None), (120_001, True)])
    def test_an_old_trade_makes_it_stale(self, age_ms: int, stale: bool | None) -> None:  # noqa: FBT001
        """Upbit in maintenance keeps its last price: told, and counted half."""
        local = [won("BTC", 104_970_000.0, traded=AT - age_ms), LOCAL[1]]
        data, notes = kimchi_of("BTC", "upbit", local, RATE, world())
        assert stale == data.stale
        assert ("stale" if stale else "live") == data.state
        assert bool(stale) == any(n.status == "stale" for n in notes)
        assert data.premium_pct is not None

    def test_an_old_usdt_is_no_leg(self) -> None:
        """Neither a leg nor a stand-in."""
        local = [LOCAL[0], won("USDT", 1528.0, traded=AT - 120_001)]
        data, _ = kimchi_of("BTC", "upbit", local, RATE, world())
        assert data.usdt_premium_pct is None
        assert kimchi_of("BTC", "upbit", local, None, world())[0].usd_krw is None

    def test_prices_read_at_different_times_are_not_compared(self) -> None:
        """Recordings of two days: both prices, no premium, and the reason."""
        data, notes = kimchi_of("BTC", "upbit", LOCAL, RATE, world(read=AT - 86_400_000))
        assert (68_420.4, None) == (data.global_median_usd, data.premium_pct)
        assert ["missing"] == [n.status for n in notes]

    @pytest.mark.parametrize(
        ("day", "used"),
        [("2026-09-17", False), ("2026-09-16", True), ("2026-08-16", True), ("2026-08-15", False)],
    )
    def test_a_rate_of_another_time_is_not_used(self, day: str, used: bool) -> None:  # noqa: FBT001
        """One of the next day may be out already; one of a later day, or of a month ago, not."""
        rate = FxRate("USD", "KRW", 1507.06, day, AT, "frankfurter")
        data, notes = kimchi_of("BTC", "upbit", LOCAL[:1], rate, world())
        assert used == (data.usd_krw is not None)
        assert used == all(n.status != "missing" for n in notes)

    def test_a_stale_rate_is_used_and_told(self) -> None:
        """Five days old in mid-week: half the weight."""
        rate = FxRate("USD", "KRW", 1507.06, "2026-09-10", AT, "frankfurter")
        data, notes = kimchi_of("BTC", "upbit", LOCAL, rate, world())
        assert (True, "stale", "stale") == (data.fx_stale, data.fx_state, data.state)
        assert [("frankfurter", "stale")] == [(n.source, n.status) for n in notes]

    def test_a_weekend_is_not_stale(self) -> None:
        """Friday's rate on Sunday."""
        sunday = AT - 2 * 86_400_000
        local = [won("BTC", 104_970_000.0, read=sunday)]
        rate = FxRate("USD", "KRW", 1507.06, "2026-09-11", sunday, "frankfurter")
        data, notes = kimchi_of("BTC", "upbit", local, rate, world(read=sunday))
        assert ("carried", False, "live", []) == (data.fx_state, data.fx_stale, data.state, notes)
