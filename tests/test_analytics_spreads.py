"""METHODS 7: the median of venues, who is above it, and what is left out of it."""

import pytest

from mmflow_mcp.analytics.spreads import (
    Spread,
    basis_bps,
    in_dollars,
    mid,
    outliers_of,
    spread_of,
)
from mmflow_mcp.rows.spot import SpotRow

AT = 1_747_400_000_000
# The specification's example: price, bid, ask.
SEED = {
    "coinbase": (64_315.2, 64_314.9, 64_315.5),
    "binance": (64_310.5, 64_310.4, 64_310.6),
    "bitfinex": (64_312.0, 64_311.0, 64_313.5),
    "kraken": (64_309.8, 64_309.0, 64_310.6),
    "gateio": (64_311.7, 64_311.2, 64_312.1),
}


def row(venue: str, price: float, **more: object) -> SpotRow:
    """A spot row of BTC, read at `AT`."""
    given = {"bid": None, "ask": None, "fetched_at": AT, "quote": "USD", "coin": "BTC", **more}
    return SpotRow(
        venue=venue,
        price=price,
        volume24h=1.0,
        change24h_pct=1.4,
        symbol="BTC-USD",
        **given,  # type: ignore[arg-type]
    )


def seed() -> list[SpotRow]:
    """The five rows of the specification."""
    return [row(venue, p, bid=b, ask=a) for venue, (p, b, a) in SEED.items()]


def bases(spread: Spread) -> dict[str, float | None]:
    """Basis by venue, with the two decimals that are printed."""
    return {
        r.venue: None if r.basis_bps is None else round(r.basis_bps, 2) + 0.0 for r in spread.rows
    }


class TestWorkedNumbers:
    """The seed's five prices."""

    def test_median_bases_and_dispersion(self) -> None:
        """m 64,311.7; -0.19 +0.05 +0.54 0.00 -0.30; dispersion 5.4 / 64,311.7 = 0.84 bps."""
        spread = spread_of("BTC", seed())
        assert 64_311.7 == spread.median
        expected = {
            "coinbase": 0.54,
            "binance": -0.19,
            "bitfinex": 0.05,
            "kraken": -0.30,
            "gateio": 0.0,
        }
        assert expected == bases(spread)
        assert spread.dispersion_bps is not None
        assert pytest.approx(5.4 / 64_311.7 * 1e4, rel=1e-9) == spread.dispersion_bps
        assert 0.84 == round(spread.dispersion_bps, 2)
        assert ("coinbase", "kraken") == (spread.strongest_premium, spread.strongest_discount)

    def test_one_venue_at_70000_is_an_outlier(self) -> None:
        """m 64,311.85 as the mean of the middle two; +884.46 bps, left out of the rest."""
        spread = spread_of("BTC", [*seed(), row("other", 70_000.0)])
        assert pytest.approx(64_311.85, rel=1e-12) == spread.median
        assert 884.46 == bases(spread)["other"]
        assert ("other",) == spread.outliers
        assert "coinbase" == spread.strongest_premium
        assert spread.dispersion_bps is not None
        assert 0.84 == round(spread.dispersion_bps, 2)

    def test_basis_points(self) -> None:
        """64,315.2 over 64,311.7: 3.5 / 64,311.7 x 10,000 = 0.5442."""
        assert 0.5442 == round(basis_bps(64_315.2, 64_311.7), 4)


class TestFreshness:
    """What is older than 90 s is shown and not used."""

    def test_a_price_that_the_venue_calls_old_is_left_out(self) -> None:
        """Without coinbase the median is 64,311.1, between binance and gateio."""
        rows = [r for r in seed() if r.venue != "coinbase"]
        spread = spread_of("BTC", [row("coinbase", 64_315.2, stale=True), *rows])
        assert pytest.approx(64_311.1) == spread.median
        first = spread.rows[0]
        assert (True, None, 64_315.2) == (first.stale, first.basis_bps, first.price_usd)
        assert "coinbase" not in spread.fresh
        assert "bitfinex" == spread.strongest_premium

    @pytest.mark.parametrize(("age_ms", "stale"), [(90_000, False), (90_001, True)])
    def test_our_reading_ages_against_the_last_one(self, age_ms: int, stale: bool) -> None:  # noqa: FBT001
        """90 s is still fresh."""
        rows = [row("a", 100.0), row("b", 101.0), row("c", 99.0, fetched_at=AT - age_ms)]
        assert stale == spread_of("BTC", rows).rows[2].stale

    def test_a_given_now_is_what_counts(self) -> None:
        """Recordings asked with --now are old."""
        spread = spread_of("BTC", seed(), AT + 90_001)
        assert (None, ()) == (spread.median, spread.fresh)

    def test_recordings_of_different_days_have_no_median(self) -> None:
        """Only the last of them is fresh, and one price is no median."""
        spread = spread_of("BTC", [row("a", 9_625.9, fetched_at=AT - 10**10), row("b", 64_000.0)])
        assert spread.median is None
        assert [None, None] == [r.basis_bps for r in spread.rows]

    def test_fewer_than_two_fresh_venues_have_no_median(self) -> None:
        """One venue, and none."""
        for rows in ([row("a", 100.0)], []):
            spread = spread_of("BTC", rows)
            assert (None, None, None) == (
                spread.median,
                spread.dispersion_bps,
                spread.strongest_premium,
            )

    def test_it_is_as_old_as_the_oldest_price_used(self) -> None:
        """What is stale does not age it."""
        rows = [
            row("a", 100.0),
            row("b", 101.0, fetched_at=AT - 4_000),
            row("c", 99.0, stale=True, fetched_at=AT - 80_000),
        ]
        assert AT - 4_000 == spread_of("BTC", rows).fetched_at
        assert spread_of("BTC", []).fetched_at is None


class TestStrongest:
    """Only above and below the median."""

    def test_nobody_is_strongest_among_equals(self) -> None:
        """A basis of 0 is neither premium nor discount."""
        spread = spread_of("BTC", [row("a", 100.0), row("b", 100.0)])
        assert (None, None, 0.0) == (
            spread.strongest_premium,
            spread.strongest_discount,
            spread.dispersion_bps,
        )

    def test_ties_go_by_name(self) -> None:
        """zeta and alpha are equally far above."""
        rows = [row("zeta", 101.0), row("mid", 100.0), row("alpha", 101.0), row("m2", 100.0)]
        rows += [row("m3", 100.0)]
        assert "alpha" == spread_of("BTC", rows).strongest_premium

    def test_other_coins_do_not_count(self) -> None:
        """Rows of ETH are no prices of BTC."""
        spread = spread_of("BTC", [*seed(), row("coinbase", 2_000.0, coin="ETH")])
        assert (5, 64_311.7) == (len(spread.rows), spread.median)


class TestOutliers:
    """Beyond 200 bps and 5 MAD."""

    def test_both_tests_must_hold(self) -> None:
        """Bases -300 -150 0 150 300: beyond 200, but MAD is 150 and 300 < 750."""
        wide = {"a": -300.0, "b": -150.0, "c": 0.0, "d": 150.0, "e": 300.0}
        assert frozenset() == outliers_of(wide)
        # -2 -1 0 1 150: MAD 1, 150 > 5 and 150 < 200.
        near = {"a": -2.0, "b": -1.0, "c": 0.0, "d": 1.0, "e": 150.0}
        assert frozenset() == outliers_of(near)
        assert frozenset({"e"}) == outliers_of({**near, "e": 201.0})

    def test_without_deviation_the_first_test_stands_alone(self) -> None:
        """0 0 0 201: MAD 0."""
        assert frozenset({"d"}) == outliers_of({"a": 0.0, "b": 0.0, "c": 0.0, "d": 201.0})
        assert frozenset() == outliers_of({"a": 0.0, "b": 0.0, "c": 0.0, "d": 199.0})
        assert frozenset() == outliers_of({})


class TestDollars:
    """USD is not USDT."""

    def test_tethers_are_converted_on_request(self) -> None:
        """At 0.9990 a USDT price of 64,310.5 is 64,246.19 USD; USD stays as it is."""
        rows = [row("binance", 64_310.5, bid=64_310.4, ask=64_310.6, quote="USDT")]
        (found,) = in_dollars(rows, 0.999)
        assert pytest.approx(64_246.1895) == found.price
        assert pytest.approx(64_246.0896) == found.bid
        assert pytest.approx(64_246.2894) == found.ask
        assert seed() == in_dollars(seed(), 0.999)

    def test_what_cannot_be_converted_is_left_out(self) -> None:
        """USDT without its price, and other quotes."""
        rows = [row("binance", 1.0, quote="USDT"), row("b", 1.0, quote="EUR"), row("c", 1.0)]
        assert ["c"] == [r.venue for r in in_dollars(rows, None)]
        assert ["binance", "c"] == [r.venue for r in in_dollars(rows, 1.0)]

    def test_the_middle_of_a_market(self) -> None:
        """Between bid and ask, else the last trade."""
        assert 0.9995 == mid(row("kraken", 1.0, bid=0.9990, ask=1.0000))
        assert 1.0 == mid(row("kraken", 1.0, ask=1.01))
