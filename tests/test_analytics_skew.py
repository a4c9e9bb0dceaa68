"""Smiles, term structure and wings against the worked examples of METHODS 4."""

import doctest
import math
import random
from collections.abc import Iterable

import pytest

from mmflow_mcp.analytics import skew, surface
from mmflow_mcp.analytics.greeks import d1, probability
from mmflow_mcp.rows import OptionChain, OptionRow, camel, columns

S = 64320.5
DAY = 86_400_000
# 27 December 2026, 08:00 UTC, and 42 days before it.
DECEMBER = 1_798_358_400_000
NOW = DECEMBER - 42 * DAY
SMILE = {52000: 64.0, 56000: 58.0, 60000: 53.0, 65000: 47.83, 70000: 47.0, 75000: 49.0, 80000: 53.0}


def option(
    strike: float,
    kind: str,
    iv: float | None,
    expiry_ms: int = DECEMBER,
    forward: float | None = S,
) -> OptionRow:
    """One option of the test underlying."""
    name = f"BTC-{expiry_ms}-{strike:g}-{kind}"
    return OptionRow(name, "BTC", strike, expiry_ms, kind, 1.0, None, iv, None, forward)


def both(ivs: dict[int, float], expiry_ms: int = DECEMBER, forward: float = S) -> list[OptionRow]:
    """Call and put of each strike."""
    return [
        option(float(k), kind, iv, expiry_ms, forward) for k, iv in ivs.items() for kind in "CP"
    ]


def drawn(rows: Iterable[OptionRow], now_ms: int = NOW, spot: float = S) -> skew.Skew:
    """The answer for a chain of these rows."""
    return skew.smiles(OptionChain("BTC", tuple(rows), spot, now_ms), spot=spot, now_ms=now_ms)


def flat(days: int, iv: float) -> list[OptionRow]:
    """An expiry with one volatility at all strikes."""
    return both(dict.fromkeys(range(50_000, 82_000, 2_000), iv), NOW + days * DAY)


def test_at_the_money_is_linear_in_total_variance() -> None:
    """The 60,000 / 65,000 example of METHODS 4 gives 0.494284 after 42 days."""
    row = drawn(both({60000: 58.0, 65000: 48.0})).term_structure[0]
    assert row.atm_iv is not None
    assert 0.494284 == round(row.atm_iv, 6)
    assert (DECEMBER, "27DEC26", 42.0) == (row.expiry_ms, row.expiry_label, row.dte_days)
    assert not row.extrapolated


def test_smile_of_the_specification() -> None:
    """The smile's points have the specification's members, out-of-the-money side only."""
    smile = drawn(both({60000: 58.0, 65000: 48.0})).smile_by_expiry
    assert ["27DEC26"] == list(smile)
    low, high = smile["27DEC26"]
    assert (60000.0, 0.58, "P", 0.9328) == (low.strike, low.iv, low.type, round(low.moneyness, 4))
    assert (65000.0, 0.48, "C", 1.0106) == (
        high.strike,
        high.iv,
        high.type,
        round(high.moneyness, 4),
    )
    assert ["strike", "iv", "type", "moneyness", "forwardMoneyness"] == [
        camel(f.name) for f in columns(skew.SmilePoint)
    ]


def test_wings_and_skews_of_the_methods_example() -> None:
    """Strikes and volatilities at 25 delta, reversal, butterfly and 90/110 skew of METHODS 4."""
    expiry = NOW + 30 * DAY
    rows = both({k: float(iv) for k, iv in SMILE.items()}, expiry)
    chain = OptionChain("BTC", tuple(rows), S, NOW)
    curve = surface.curve(surface.expiries(chain, NOW)[0])
    assert curve is not None
    call, put = skew.wing(curve, skew.CALL_D1), skew.wing(curve, skew.PUT_D1)
    assert call is not None
    assert put is not None
    assert (71162.6, 0.474851) == (round(S * math.exp(call), 1), round(curve.iv(call), 6))
    assert (58572.0, 0.547976) == (round(S * math.exp(put), 1), round(curve.iv(put), 6))
    row = drawn(rows).term_structure[0]
    assert [0.485402, -0.073124, 0.026012, 0.083370] == [
        round(value or 0, 6)
        for value in (row.atm_iv, row.risk_reversal25, row.butterfly25, row.moneyness_skew)
    ]


def test_wings_have_the_delta_they_claim() -> None:
    """At the strikes found, N(d1) is 0.25 and 0.75, on random smiles."""
    rng = random.Random(8)
    checked = 0
    for _ in range(60):
        ivs = {k: rng.uniform(45, 60) for k in range(45_000, 95_000, 5_000)}
        chain = OptionChain("BTC", tuple(both(ivs, NOW + 30 * DAY)), S, NOW)
        curve = surface.curve(surface.expiries(chain, NOW)[0])
        assert curve is not None
        for first, share in ((skew.CALL_D1, 0.25), (skew.PUT_D1, 0.75)):
            k = skew.wing(curve, first)
            if k is not None:
                checked += 1
                own = d1(S, S * math.exp(k), curve.iv(k), 30 / 365)
                assert share == pytest.approx(probability(own), rel=1e-9)
    assert checked > 100


def test_a_wing_outside_the_strikes_is_null() -> None:
    """Nothing is extrapolated: wings and 90/110 skew that no strike reaches are null."""
    row = drawn(both({63000: 50.0, 64000: 50.0, 65000: 50.0})).term_structure[0]
    assert row.atm_iv == pytest.approx(0.5, rel=1e-12)
    assert (None, None, None) == (row.risk_reversal25, row.butterfly25, row.moneyness_skew)
    half = drawn(both({60000: 50.0, 65000: 50.0, 90000: 50.0})).term_structure[0]
    assert (None, None) == (half.risk_reversal25, half.moneyness_skew)


@pytest.mark.parametrize(
    ("ivs", "iv"),
    [({66000: 40.0, 70000: 45.0}, 0.40), ({50000: 60.0, 60000: 52.0}, 0.52), ({65000: 48.0}, 0.48)],
)
def test_a_forward_outside_the_strikes_takes_the_nearest(ivs: dict[int, float], iv: float) -> None:
    """Forward above, below or with a single strike: the nearest one's volatility, flagged."""
    row = drawn(both(ivs)).term_structure[0]
    assert row.atm_iv == pytest.approx(iv, rel=1e-12)
    assert row.extrapolated


def test_the_other_side_serves_where_the_outer_one_has_no_volatility() -> None:
    """A strike whose out-of-the-money side lacks a volatility takes the other side's."""
    rows = [
        option(60000.0, "P", None),
        option(60000.0, "C", 57.0),
        option(65000.0, "C", 48.0),
        option(65000.0, "P", 99.0),
        option(70000.0, "C", 0.0),
        option(70000.0, "P", None),
    ]
    points = drawn(rows).smile_by_expiry["27DEC26"]
    assert [(60000.0, "C", 0.57), (65000.0, "C", 0.48)] == [
        (p.strike, p.type, p.iv) for p in points
    ]


def test_a_strike_at_the_forward_counts_as_a_call() -> None:
    """The call is taken from the forward upward, the put below it."""
    point = drawn([option(S, "C", 48.0), option(S, "P", 52.0)]).smile_by_expiry["27DEC26"][0]
    assert ("C", 0.48, 1.0) == (point.type, point.iv, point.forward_moneyness)


def test_moneyness_is_to_spot_and_to_forward() -> None:
    """Spot and forward differ; each has its own moneyness, the side follows the forward."""
    rows = [option(66000.0, kind, 50.0, DECEMBER, 68_000.0) for kind in "CP"]
    point = drawn(rows, spot=64_000.0).smile_by_expiry["27DEC26"][0]
    assert ("P", 66 / 64, 66 / 68) == (point.type, point.moneyness, point.forward_moneyness)


def test_an_expiry_without_volatility_stays_with_null() -> None:
    """No good volatility: an empty smile and a null atmIv, never a zero."""
    answer = drawn([option(65000.0, "C", None), option(70000.0, "C", 900.0)])
    assert {"27DEC26": ()} == answer.smile_by_expiry
    assert answer.term_structure[0].atm_iv is None
    assert not answer.term_structure[0].extrapolated


def test_an_expiry_without_forward_is_left_out_and_counted() -> None:
    """Without a forward neither side nor moneyness is known: the rows are counted as lost."""
    answer = drawn([option(65000.0, "C", 48.0, DECEMBER, None), *flat(7, 50.0)])
    assert [NOW + 7 * DAY] == [row.expiry_ms for row in answer.term_structure]
    assert 1 == answer.rows_skipped
    assert answer.partial


def test_expiries_come_by_time_not_by_label() -> None:
    """5JUN26 comes after 29MAY26 and before 26JUN26; past expiries are gone."""
    days = [1_782_460_800_000, 1_780_041_600_000, 1_780_646_400_000, 1_779_436_800_000]
    rows = [row for day in days for row in both({60000: 50.0, 70000: 50.0}, day)]
    answer = drawn(rows, now_ms=1_779_436_800_000)
    labels = [row.expiry_label for row in answer.term_structure]
    assert ["29MAY26", "5JUN26", "26JUN26"] == labels == list(answer.smile_by_expiry)
    assert [7.0, 14.0, 35.0] == [row.dte_days for row in answer.term_structure]


def test_days_to_expiry_have_two_decimals() -> None:
    """Days to expiry are rounded to 2 decimals, without the floor of one hour."""
    answer = drawn(both({60000: 50.0, 70000: 50.0}), now_ms=DECEMBER - 10 * 60_000)
    assert 0.01 == answer.term_structure[0].dte_days


def test_falling_total_variance_is_flagged_and_kept() -> None:
    """Less total variance later than earlier is a calendar arbitrage: flagged, not repaired."""
    answer = drawn([*flat(7, 80.0), *flat(14, 50.0), *flat(42, 50.0)])
    assert [False, True, False] == [r.calendar_arbitrage for r in answer.term_structure]
    assert answer.calendar_arbitrage
    assert [0.8, 0.5, 0.5] == [round(r.atm_iv or 0, 12) for r in answer.term_structure]
    assert not drawn([*flat(7, 52.0), *flat(42, 49.0)]).calendar_arbitrage


def test_constant_maturity_of_the_methods_example() -> None:
    """7 d 0.52 and 42 d 0.49 give 0.492467 at 30 d, from a chain as from the numbers."""
    answer = drawn([*flat(7, 52.0), *flat(42, 49.0)])
    pairs = skew.maturities(answer.term_structure, NOW)
    between = skew.constant_maturity(pairs, 30)
    assert between is not None
    assert 0.492467 == round(between, 6)
    assert skew.constant_maturity([(42, 0.49), (7, 0.52)], 30) == pytest.approx(between, rel=1e-9)


def test_constant_maturity_is_null_outside_the_expiries() -> None:
    """Before the first and after the last expiry nothing is made up; on one it is exact."""
    pairs = [(7.0, 0.52), (42.0, 0.49)]
    assert skew.constant_maturity(pairs, 6.9) is None
    assert skew.constant_maturity(pairs, 42.1) is None
    assert skew.constant_maturity([], 30) is None
    assert skew.constant_maturity(pairs, 42) == pytest.approx(0.49, rel=1e-12)


def test_extrapolated_rows_feed_no_constant_maturity() -> None:
    """A volatility off the money is not used as one at the money."""
    rows = [*both({80000: 40.0, 90000: 40.0}, NOW + 7 * DAY), *flat(42, 49.0)]
    assert [(42.0, 0.49)] == [
        (days, round(iv, 12)) for days, iv in skew.maturities(drawn(rows).term_structure, NOW)
    ]


def test_an_empty_chain_is_an_answer() -> None:
    """No options: no smiles, no term structure, nothing partial."""
    answer = drawn([])
    assert ({}, (), False) == (answer.smile_by_expiry, answer.term_structure, answer.partial)


@pytest.mark.parametrize("spot", [0.0, -1.0, math.nan, math.inf])
def test_a_spot_that_is_no_price_is_an_error(spot: float) -> None:
    """The caller must bring a price as soon as there is something to value."""
    chain = OptionChain("BTC", (option(65000.0, "C", 48.0),), None, NOW)
    with pytest.raises(ValueError, match="spot must be a positive price"):
        skew.smiles(chain, spot=spot, now_ms=NOW)


def test_a_chain_without_any_price_needs_no_spot() -> None:
    """Neither index nor forward anywhere: an answer that says nothing, not an error."""
    assert not skew.smiles(OptionChain("BTC", (), None, NOW), spot=0.0, now_ms=NOW).partial
    rows = (option(65000.0, "C", 48.0, forward=None),)
    assert skew.smiles(OptionChain("BTC", rows, None, NOW), spot=0.0, now_ms=NOW).partial


@pytest.mark.parametrize("absurd", [1e-9, 1.0, 1e9, 1e300, 0.0, -5.0, math.nan, None])
def test_one_absurd_forward_does_not_move_its_expiry(absurd: float | None) -> None:
    """The forward of an expiry is the median of its rows."""
    rows = [*both({60000: 58.0, 65000: 48.0}), option(70000.0, "C", 48.0, DECEMBER, absurd)]
    row = drawn(rows).term_structure[0]
    assert row.atm_iv is not None
    assert 0.494284 == round(row.atm_iv, 6)


def test_every_number_is_finite_under_absurd_input() -> None:
    """Whatever a broken venue sends, no NaN and no Infinity comes out."""
    rng = random.Random(9)
    odd = [None, 0.0, -1.0, 1e-300, 1e-6, 50.0, 499.0, 1e300, math.nan, math.inf, S]
    for _ in range(200):
        rows = [
            option(
                rng.choice([1e-300, 1e-9, 1.0, S, 7e4, 1e14, math.nan]),
                rng.choice("CP"),
                rng.choice(odd),
                rng.choice([NOW, NOW + 1, DECEMBER]),
                rng.choice(odd),
            )
            for _ in range(12)
        ]
        answer = drawn(rows)
        numbers: list[float | None] = []
        for row in answer.term_structure:
            numbers += [row.atm_iv, row.risk_reversal25, row.butterfly25, row.moneyness_skew]
        for points in answer.smile_by_expiry.values():
            for p in points:
                numbers += [p.strike, p.iv, p.moneyness, p.forward_moneyness]
        assert all(math.isfinite(n) for n in numbers if n is not None)


def test_examples_in_the_modules_hold() -> None:
    """Every doctest of the modules runs and passes."""
    failed, attempted = doctest.testmod(skew)
    assert failed == 0
    assert attempted >= 2
    assert 0 == doctest.testmod(surface).failed
