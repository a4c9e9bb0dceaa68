"""Gamma exposure against the test chain of METHODS 3, its edges, and a plain full-grid scan."""

import doctest
import math
import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from mmflow_mcp.analytics import flip, gex, greeks
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.rows import OptionChain, OptionRow

S = 64320.5
NOW = 1_787_000_000_000
DAY = 86_400_000
MONTH = NOW + 30 * DAY
BOOK = [
    (56000.0, 58.0, 10.0, 300.0),
    (60000.0, 53.0, 45.2, 124.5),
    (65000.0, 47.83, 150.0, 80.0),
    (70000.0, 47.0, 218.4, 12.3),
    (75000.0, 49.0, 260.0, 5.0),
]


def option(
    strike: float,
    kind: str,
    oi: float | None,
    iv: float | None = 50.0,
    expiry_ms: int = MONTH,
    forward: float | None = S,
) -> OptionRow:
    """One option of the test underlying."""
    name = f"BTC-{expiry_ms}-{strike:g}-{kind}"
    return OptionRow(name, "BTC", strike, expiry_ms, kind, oi, None, iv, None, forward)


def exposed(
    rows: Iterable[OptionRow], spot: float = S, now_ms: int = NOW, dropped: int = 0
) -> gex.GammaExposure:
    """The exposure of a chain made of these rows."""
    chain = OptionChain("BTC", tuple(rows), spot, now_ms, dropped)
    return gex.gamma_exposure(chain, spot=spot, now_ms=now_ms)


def book() -> list[OptionRow]:
    """The test chain of METHODS 3."""
    return [
        option(strike, kind, oi, iv)
        for strike, iv, calls, puts in BOOK
        for kind, oi in (("C", calls), ("P", puts))
    ]


def test_strikes_of_the_methods_chain() -> None:
    """Every gex of the table of METHODS 3 comes out to its printed digit."""
    strikes = exposed(book()).strikes
    assert [-294120.6, -116149.1, 130987.2, 335413.5, 275952.5] == [
        round(row.gex, 1) for row in strikes
    ]
    assert [(k, calls, puts) for k, _, calls, puts in BOOK] == [
        (row.strike, row.call_oi, row.put_oi) for row in strikes
    ]


def test_totals_walls_flip_and_pain_of_the_methods_chain() -> None:
    """The headline numbers of METHODS 3 come out."""
    answer = exposed(book())
    assert 332083.5 == round(answer.total_gex, 1)
    assert answer.call_wall is not None
    assert answer.put_wall is not None
    assert (70000.0, 335413.5) == (answer.call_wall.strike, round(answer.call_wall.gex, 1))
    assert (56000.0, -294120.6) == (answer.put_wall.strike, round(answer.put_wall.gex, 1))
    assert answer.gamma_flip is not None
    assert 60553.37 == round(answer.gamma_flip, 2)
    assert "reprice" == answer.gamma_flip_method
    assert "calls+puts-" == answer.convention
    assert answer.max_pain == 65000.0
    assert answer.pain == pytest.approx(427_500, rel=1e-12)
    assert not answer.partial


def test_absolute_gex_counts_both_sides_plus() -> None:
    """Absolute exposure is unit gex times calls and puts together."""
    t = 30 / 365
    expected = sum(
        greeks.unit_gex(S, k, iv / 100, t) * (calls + puts) for k, iv, calls, puts in BOOK
    )
    assert pytest.approx(expected, rel=1e-12) == exposed(book()).absolute_gex


def test_revalued_totals_of_the_methods_chain() -> None:
    """The grid values next to the root, and at the ends, are those of METHODS 3."""
    positions = [
        flip.position(S, k, iv / 100, 30 / 365, calls - puts) for k, iv, calls, puts in BOOK
    ]
    at = {round(S * factor, 2): i for i, factor in enumerate(flip.GRID)}
    assert 121 == len(at)
    assert -7524.02 == round(flip.repriced(positions, at[60461.27]), 2)
    assert 18748.76 == round(flip.repriced(positions, at[60782.87]), 2)
    assert -160117 == round(flip.repriced(positions, 0))
    assert 607318 == round(flip.repriced(positions, 120))


def test_the_total_and_not_the_side_of_the_flip_tells_what_hedging_does() -> None:
    """Where the puts lie above, gamma is negative above the flip: the tool's words name no side."""
    other = {"C": "P", "P": "C"}
    answer = exposed(replace(row, type=other[row.type]) for row in book())
    assert answer.gamma_flip is not None
    assert ("reprice", True) == (answer.gamma_flip_method, answer.gamma_flip < S)
    assert answer.total_gex < 0
    words = endpoints()["get_gex"].description
    assert "totalGex > 0: hedging damps" in words
    assert "above gammaFlip" not in words


def test_cumulative_flip_of_the_methods_chain() -> None:
    """The running sum crosses zero at 69,163.26, 7.5 % above the price that matters."""
    strikes = exposed(book()).strikes
    root = flip.cumulative_flip([r.strike for r in strikes], [r.gex for r in strikes], S)
    assert root is not None
    assert 69163.26 == round(root, 2)


def test_flipping_calls_and_puts_mirrors_everything() -> None:
    """Calls and puts exchanged: every gex changes sign, walls swap, the flip stays."""
    here = exposed(book())
    swapped = exposed(replace(r, type="P" if r.type == "C" else "C") for r in book())
    assert pytest.approx(-here.total_gex, rel=1e-12) == swapped.total_gex
    assert here.call_wall is not None
    assert swapped.put_wall is not None
    assert here.call_wall.strike == swapped.put_wall.strike
    assert pytest.approx(here.gamma_flip, rel=1e-12) == swapped.gamma_flip
    assert pytest.approx(here.absolute_gex, rel=1e-12) == swapped.absolute_gex


def plain_flip(rows: list[OptionRow], spot: float, now_ms: int) -> float | None:
    """METHODS 3 (b) written out plainly: all 121 spots, all options, nearest sign change."""
    values = []
    for i in range(121):
        factor = 0.70 + 0.005 * i
        total = 0.0
        for row in rows:
            assert row.underlying_price is not None
            assert row.mark_iv is not None
            t = max(row.expiry_ms - now_ms, 3_600_000) / 31_536_000_000
            spread = row.mark_iv / 100 * math.sqrt(t)
            forward = row.underlying_price * factor
            d1 = (math.log(forward / row.strike) + spread * spread / 2) / spread
            unit = 0.01 * forward * math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) / spread
            total += unit * (row.oi or 0) * (1 if row.type == "C" else -1)
        values.append((spot * factor, total))
    roots = [a + (b - a) * u / (u - v) for (a, u), (b, v) in pairwise(values) if u * v < 0]
    return min(roots, key=lambda root: abs(root - spot), default=None)


def random_rows(rng: random.Random) -> list[OptionRow]:
    """A chain of a few expiries whose exposure changes sign anywhere, or many times."""
    rows = []
    for days in rng.sample((1, 3, 7, 20, 60, 200), rng.randint(1, 3)):
        forward = S * rng.uniform(0.98, 1.05)
        for strike in rng.sample(range(40_000, 100_000, 1_000), rng.randint(2, 12)):
            iv = rng.uniform(25, 120)
            calls, puts = rng.uniform(0, 300), rng.uniform(0, 300)
            when = NOW + days * DAY
            rows.append(option(float(strike), "C", calls, iv, when, forward))
            rows.append(option(float(strike), "P", puts, iv, when, forward))
    return rows


def test_outward_scan_finds_what_the_full_grid_finds() -> None:
    """On 150 random chains the flip is the sign change nearest to spot of the whole grid."""
    rng = random.Random(3)
    found, several = 0, 0
    for _ in range(150):
        rows = random_rows(rng)
        expected = plain_flip(rows, S, NOW)
        answer = exposed(rows)
        if expected is None:
            assert answer.gamma_flip_method in ("cumulative", None)
            continue
        found += 1
        several += abs(expected / S - 1) > 0.1
        assert "reprice" == answer.gamma_flip_method
        assert pytest.approx(expected, rel=1e-9) == answer.gamma_flip
    assert found > 80
    assert several > 5


def test_of_several_sign_changes_the_nearest_counts() -> None:
    """Two roots on one side and one on the other: the nearest to spot is the flip."""
    rows = [
        option(50_000.0, "C", 400.0, 15.0),
        option(58_000.0, "P", 400.0, 15.0),
        option(66_000.0, "C", 400.0, 15.0),
        option(74_000.0, "P", 400.0, 15.0),
    ]
    expected = plain_flip(rows, S, NOW)
    answer = exposed(rows)
    assert expected is not None
    assert pytest.approx(expected, rel=1e-9) == answer.gamma_flip
    assert 58_000 < expected < 66_000
    far = exposed(rows, spot=S * 1.1)
    assert far.gamma_flip is not None
    assert abs(far.gamma_flip / (S * 1.1) - 1) < 0.05


def test_the_nearest_root_is_taken_from_any_list() -> None:
    """Nearest to spot, the lower of two equally near, none of none; for running sums too."""
    assert 104.0 == flip.nearest([90.0, 104.0, 120.0], 100.0)
    assert 95.0 == flip.nearest([105.0, 95.0], 100.0)
    assert flip.nearest([], 100.0) is None
    sums = [-1.0, 2.0, -2.0, 2.0]
    assert 115.0 == flip.cumulative_flip([90.0, 100.0, 110.0, 120.0], sums, 118.0)


def test_tails_decide_where_every_option_is_out_of_reach() -> None:
    """Between two far strikes of low volatility the flip is still the plain grid's."""
    soon = NOW + DAY
    rows = [
        option(61_000.0, "P", 40.0, 10.0, soon),
        option(68_500.0, "C", 3.0, 10.0, soon),
    ]
    assert pytest.approx(plain_flip(rows, S, NOW), rel=1e-9) == exposed(rows).gamma_flip


def test_total_is_positive_exactly_when_spot_is_above_the_lone_flip() -> None:
    """With one root, the sign of the total tells on which side of the flip spot lies."""
    rng = random.Random(4)
    checked = 0
    for _ in range(60):
        puts, calls = rng.uniform(50_000, 62_000), rng.uniform(66_000, 80_000)
        rows = [option(puts, "P", rng.uniform(1, 99)), option(calls, "C", rng.uniform(1, 99))]
        answer = exposed(rows)
        if answer.gamma_flip_method == "reprice":
            assert answer.gamma_flip is not None
            checked += 1
            assert (answer.total_gex > 0) == (answer.gamma_flip < S)
    assert checked > 20


def test_the_running_sum_is_the_second_choice() -> None:
    """Without a sign change inside the grid the flip comes from the strikes, and says so."""
    rows = [
        option(64_000.0, "P", 1.0, 50.0, NOW + 300 * DAY),
        option(66_000.0, "C", 40.0, 50.0, NOW + 300 * DAY),
    ]
    answer = exposed(rows)
    assert plain_flip(rows, S, NOW) is None
    assert "cumulative" == answer.gamma_flip_method
    assert answer.gamma_flip is not None
    assert 64_000 < answer.gamma_flip < 66_000


def test_calls_alone_have_no_flip_and_no_put_wall() -> None:
    """Where nothing is negative there is no flip, no put wall and no method."""
    answer = exposed([option(60_000.0, "C", 5.0), option(70_000.0, "C", 5.0)])
    assert answer.put_wall is None
    assert answer.gamma_flip is None
    assert answer.gamma_flip_method is None
    assert answer.call_wall is not None


def test_an_empty_chain_is_an_answer() -> None:
    """No options: total 0, null walls, null flip, null max pain, no strikes, not partial."""
    answer = exposed([])
    assert 0.0 == answer.total_gex
    assert 0.0 == answer.absolute_gex
    assert (None, None, None, None) == (
        answer.call_wall,
        answer.put_wall,
        answer.gamma_flip,
        answer.gamma_flip_method,
    )
    assert (None, None) == (answer.max_pain, answer.pain)
    assert () == answer.strikes
    assert not answer.partial


def test_balanced_open_interest_has_no_flip() -> None:
    """Calls that cancel puts everywhere leave a measured zero without walls or flip."""
    answer = exposed([option(65_000.0, kind, 7.0) for kind in "CP"])
    assert 0.0 == answer.total_gex
    assert answer.absolute_gex > 0
    assert (None, None, None) == (answer.call_wall, answer.put_wall, answer.gamma_flip)


def test_a_flip_in_a_dead_stretch_lies_in_its_middle() -> None:
    """Where gamma is nil for several spots on end, the middle of the stretch is the root."""
    assert [3.0] == flip.crossings([1, 2, 3, 4, 5], [-1.0, 0.0, 0.0, 0.0, 2.0])
    assert [2.0] == flip.crossings([1, 2, 3], [-1.0, 0.0, 9.0])
    assert [] == flip.crossings([1, 2, 3], [1.0, 0.0, 9.0])
    assert [] == flip.crossings([1, 2], [0.0, 1.0])
    soon = NOW + 60_000
    rows = [
        option(48_000.0, "P", 9.0, 10.0, soon, S),
        option(82_000.0, "C", 9.0, 10.0, soon, S),
    ]
    answer = exposed(rows)
    assert answer.gamma_flip is not None
    assert 50_000 < answer.gamma_flip < 80_000


def test_equal_walls_go_to_the_strike_near_spot_then_the_lower() -> None:
    """Of strikes with equal gex the nearer to spot stands, then the lower one."""
    near = [gex.StrikeExposure(k, 1.0, 0.0, 5.0) for k in (90.0, 99.0, 104.0)]
    assert gex.Wall(99.0, 5.0) == gex.wall(near, 100.0, 1)
    even = [gex.StrikeExposure(k, 1.0, 0.0, 5.0) for k in (105.0, 95.0)]
    assert gex.Wall(95.0, 5.0) == gex.wall(even, 100.0, 1)
    assert gex.wall(even, 100.0, -1) is None


def test_expired_options_are_dropped() -> None:
    """An option that expires now or earlier is in no number."""
    past = [option(65_000.0, "C", 500.0, 50.0, NOW), option(65_000.0, "P", 9.0, 50.0, NOW - 1)]
    assert exposed([*book(), *past]) == exposed(book())


def test_a_minute_before_expiry_counts_as_an_hour() -> None:
    """The time floor keeps an option about to expire from drowning the chain."""
    answer = exposed([option(S, "C", 1.0, 50.0, NOW + 60_000)])
    assert 48_033 == round(answer.total_gex)


def test_a_strike_stays_listed_when_one_side_has_open_interest() -> None:
    """No open interest adds nothing; the strike is listed while the other side has some."""
    rows = [
        option(60_000.0, "C", 0.0),
        option(60_000.0, "P", 3.0),
        option(65_000.0, "C", None),
        option(65_000.0, "P", 2.0),
        option(70_000.0, "C", 0.0),
        option(70_000.0, "P", 0.0),
        option(75_000.0, "C", 4.0),
    ]
    answer = exposed(rows)
    assert [(60_000.0, 0.0, 3.0), (65_000.0, None, 2.0), (75_000.0, 4.0, 0.0)] == [
        (row.strike, row.call_oi, row.put_oi) for row in answer.strikes
    ]
    assert 1 == answer.rows_without_oi
    assert answer.partial


@pytest.mark.parametrize("iv", [None, 0.0, -3.0, 500.1, math.nan, math.inf])
def test_a_bad_volatility_is_interpolated_in_total_variance(iv: float | None) -> None:
    """A missing or absurd volatility between good ones is read off the expiry's own curve."""
    rows = [
        option(60_000.0, "P", 1.0, 58.0, NOW + 42 * DAY),
        option(S, "C", 10.0, iv, NOW + 42 * DAY),
        option(65_000.0, "C", 1.0, 48.0, NOW + 42 * DAY),
    ]
    answer = exposed(rows)
    middle = next(row for row in answer.strikes if row.strike == S)
    # METHODS 4: the same two points give 0.494284 at the forward.
    assert middle.gex == pytest.approx(10 * greeks.unit_gex(S, S, 0.494284, 42 / 365), rel=1e-6)
    assert (1, 0, 0) == (answer.rows_filled, answer.rows_extended, answer.rows_skipped)
    assert not answer.partial


def test_a_side_without_volatility_takes_the_other_sides() -> None:
    """Where the put of a strike lacks a volatility, the call's is used as it is."""
    whole = exposed(book())
    holed = exposed(
        replace(r, mark_iv=None) if (r.strike, r.type) == (56000.0, "P") else r for r in book()
    )
    assert pytest.approx(whole.total_gex, rel=1e-12) == holed.total_gex
    assert (1, 0) == (holed.rows_filled, holed.rows_extended)


def test_beyond_the_quoted_strikes_the_nearest_volatility_serves() -> None:
    """Outside the good strikes, and with a single good one, the nearest is used and counted."""
    rows = [option(60_000.0, "P", 1.0, 58.0), option(80_000.0, "C", 2.0, None)]
    answer = exposed(rows)
    last = answer.strikes[-1]
    assert pytest.approx(2 * greeks.unit_gex(S, 80_000, 0.58, 30 / 365), rel=1e-12) == last.gex
    assert (0, 1, 0) == (answer.rows_filled, answer.rows_extended, answer.rows_skipped)


def test_an_expiry_without_volatility_keeps_its_open_interest() -> None:
    """Rows that cannot be valued add open interest, no gex, and make the answer partial."""
    other = NOW + 7 * DAY
    lost = [option(65_000.0, "C", 50.0, None, other), option(66_000.0, "C", 6.0, 0.0, other)]
    answer = exposed([*book(), *lost])
    at = {row.strike: row for row in answer.strikes}
    assert pytest.approx(exposed(book()).total_gex, rel=1e-12) == answer.total_gex
    assert 200.0 == at[65_000.0].call_oi
    assert (6.0, 0.0) == (at[66_000.0].call_oi, at[66_000.0].gex)
    assert 2 == answer.rows_skipped
    assert answer.partial


def test_an_expiry_without_forward_is_skipped() -> None:
    """No forward in a whole expiry: no gex from it; one row's is enough for the others."""
    other = NOW + 7 * DAY
    lost = exposed([*book(), option(65_000.0, "C", 50.0, 50.0, other, None)])
    assert 1 == lost.rows_skipped
    assert pytest.approx(exposed(book()).total_gex, rel=1e-12) == lost.total_gex
    lent = [replace(r, underlying_price=None) if r.type == "P" else r for r in book()]
    assert exposed(book()) == exposed(lent)


def test_unreadable_rows_are_left_out_and_counted() -> None:
    """A strike of zero, a type that is no type, absurd open interest: dropped, never fatal."""
    bad = [
        option(0.0, "C", 5.0),
        option(math.nan, "C", 5.0),
        option(65_000.0, "X", 5.0),
        option(math.inf, "P", 5.0),
    ]
    answer = exposed([*book(), *bad])
    assert 4 == answer.rows_skipped
    assert exposed(book()).strikes == answer.strikes
    for oi in (math.nan, math.inf, -1.0, 1e300):
        spoilt = exposed([*book(), option(90_000.0, "C", oi)])
        assert 1 == spoilt.rows_without_oi
        assert exposed(book()).total_gex == spoilt.total_gex


def test_a_repeated_row_counts_once() -> None:
    """A venue that sends a row twice does not double its open interest."""
    assert exposed(book()) == exposed([*book(), *book()[:4]])


def test_max_pain_over_expiries_equals_a_plain_sum() -> None:
    """Max pain is the strike of least intrinsic value to all holders together."""
    rng = random.Random(5)
    for _ in range(50):
        rows = random_rows(rng)
        answer = exposed(rows)
        sums = {
            settled.strike: sum(
                (row.oi or 0) * max((settled.strike - row.strike) * (1, -1)[row.type == "P"], 0)
                for row in rows
            )
            for settled in answer.strikes
        }
        assert answer.pain == pytest.approx(min(sums.values()), rel=1e-9)
        assert answer.max_pain == min(sums, key=lambda k: sums[k])


def test_gex_is_the_same_in_any_order_of_rows() -> None:
    """The order in which a venue lists its options changes no digit that is printed."""
    rng = random.Random(6)
    rows = random_rows(rng)
    here = exposed(rows)
    rng.shuffle(rows)
    there = exposed(rows)
    assert pytest.approx(here.total_gex, rel=1e-12) == there.total_gex
    assert pytest.approx(here.gamma_flip, rel=1e-12) == there.gamma_flip
    assert [row.strike for row in here.strikes] == [row.strike for row in there.strikes]


@pytest.mark.parametrize("spot", [0.0, -1.0, math.nan, math.inf])
def test_a_spot_that_is_no_price_is_an_error(spot: float) -> None:
    """The caller must bring a price as soon as there is something to value."""
    chain = OptionChain("BTC", (option(65000.0, "C", 48.0),), None, NOW)
    with pytest.raises(ValueError, match="spot must be a positive price"):
        gex.gamma_exposure(chain, spot=spot, now_ms=NOW)


def test_a_chain_without_any_price_needs_no_spot() -> None:
    """Neither index nor forward anywhere: an answer that says nothing, not an error."""
    assert not gex.gamma_exposure(OptionChain("BTC", (), None, NOW), spot=0.0, now_ms=NOW).partial
    rows = (option(65000.0, "C", 48.0, forward=None),)
    assert gex.gamma_exposure(OptionChain("BTC", rows, None, NOW), spot=0.0, now_ms=NOW).partial


def test_every_number_is_finite_under_absurd_input() -> None:
    """Whatever a broken venue sends, no NaN and no Infinity comes out."""
    rng = random.Random(7)
    odd = [None, 0.0, -1.0, 1e-300, 1e-9, 1e9, 1e300, math.nan, math.inf, 50.0, S]
    for _ in range(200):
        rows = [
            option(
                rng.choice([1e-300, 1e-9, 1.0, S, 1e14, 1e300, math.nan]),
                rng.choice("CP"),
                rng.choice(odd),
                rng.choice(odd),
                rng.choice([NOW, NOW + 1, MONTH, NOW + 10**14]),
                rng.choice(odd),
            )
            for _ in range(12)
        ]
        answer = exposed(rows)
        numbers = [answer.total_gex, answer.absolute_gex]
        numbers += [n for n in (answer.gamma_flip, answer.max_pain, answer.pain) if n is not None]
        numbers += [row.gex for row in answer.strikes]
        assert all(math.isfinite(number) for number in numbers)


def test_examples_in_the_modules_hold() -> None:
    """No doctest of the modules fails."""
    assert 0 == doctest.testmod(gex).failed + doctest.testmod(flip).failed
