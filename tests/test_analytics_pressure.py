"""The flow pressure score (METHODS 10): its worked table, its properties, its words."""

import random

import pytest

from mmflow_mcp.analytics.pressure import (
    COINBASE,
    ETF,
    HL,
    KIMCHI,
    WEIGHTS,
    Input,
    headline_of,
    scale_of,
    score_of,
    spot_coverage,
)

LIVE, STALE, NONE = "live", "stale", "none"
SEED = {
    COINBASE: Input(8.4, LIVE),
    KIMCHI: Input(2.10, LIVE),
    ETF: Input(412.0, LIVE),
    HL: Input(38.0, LIVE),
}


def seed(**changed: Input) -> dict[str, Input]:
    """The specification's example, with parts changed."""
    return {**SEED, **changed}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (SEED, 68),
        (seed(etf=Input(412.0, STALE)), 69),
        (seed(etf=Input()), 69),
        (seed(etf=Input(), hl=Input()), 69),
        ({COINBASE: SEED[COINBASE]}, 48),
        ({KIMCHI: SEED[KIMCHI]}, 27),
        (
            {
                COINBASE: Input(-3, LIVE),
                KIMCHI: Input(0.2, LIVE),
                ETF: Input(-220, LIVE),
                HL: Input(5, LIVE),
            },
            -17,
        ),
    ],
)
def test_the_worked_table(inputs: dict[str, Input], expected: int) -> None:
    """Each row of METHODS section 10."""
    assert expected == score_of("BTC", inputs)


def test_nothing_known_is_no_score() -> None:
    """Not zero: null; a part that is named none weighs nothing whatever it says."""
    assert score_of("BTC", {}) is None
    assert score_of("BTC", {COINBASE: Input(5.0, NONE)}) is None
    # No fund holds it, so that part cannot count for it.
    assert score_of("DOGE", {ETF: Input(100.0, LIVE)}) is None


def test_zero_is_measured() -> None:
    """All parts at 0 are a balanced market."""
    assert score_of("BTC", {name: Input(0.0, LIVE) for name in WEIGHTS}) == 0


def drawn(luck: random.Random) -> dict[str, Input]:
    """Random inputs, some of them stale or missing."""
    states = [LIVE, LIVE, STALE, NONE]
    return {
        name: Input(luck.gauss(0, 2) * (scale_of("BTC", name) or 1), luck.choice(states))
        for name in WEIGHTS
    }


def test_it_is_odd_bounded_and_monotone() -> None:
    """All negated: negated. Never beyond 100. A part that rises never lowers it."""
    luck = random.Random(7)
    for _ in range(500):
        inputs = drawn(luck)
        score = score_of("BTC", inputs)
        mirrored = {n: Input(-(i.value or 0.0), i.state) for n, i in inputs.items()}
        other = score_of("BTC", mirrored)
        if score is None:
            assert other is None
            continue
        assert -score == other
        assert abs(score) <= 100
        name = luck.choice(list(WEIGHTS))
        more = inputs | {name: Input((inputs[name].value or 0.0) + 50, inputs[name].state)}
        assert score <= (score_of("BTC", more) or 0)


def test_thin_evidence_pulls_to_zero() -> None:
    """One part alone never speaks as loud as two that say the same."""
    alone = score_of("BTC", {KIMCHI: Input(25.0, LIVE)})
    both = score_of("BTC", {KIMCHI: Input(25.0, LIVE), COINBASE: Input(100.0, LIVE)})
    assert (40, 100) == (alone, both)


def test_the_headline_is_the_specifications() -> None:
    """Parts joined by a middle dot, signs always shown, then the word for the score."""
    expected = (
        "Coinbase +8.4 bps · Kimchi +2.10% · ETF +$412M · HL +$38.0M · positive flow pressure"
    )
    assert expected == headline_of(68, SEED)


@pytest.mark.parametrize(
    ("inputs", "score", "expected"),
    [
        ({HL: Input(0.84, LIVE)}, 5, "HL +$840K · balanced flow pressure"),
        ({HL: Input(-0.84, LIVE)}, -20, "HL -$840K · negative flow pressure"),
        ({HL: Input(0.9996, LIVE)}, 0, "HL +$1.0M · balanced flow pressure"),
        ({HL: Input(-0.0001, LIVE)}, 0, "HL +$0K · balanced flow pressure"),
        ({ETF: Input(-220.4, LIVE)}, -19, "ETF -$220M · balanced flow pressure"),
        ({ETF: Input(4.25, STALE)}, 20, "ETF +$4.2M · positive flow pressure"),
        ({COINBASE: Input(-0.04, LIVE)}, 0, "Coinbase +0.0 bps · balanced flow pressure"),
        ({KIMCHI: Input(-1.234, LIVE)}, -21, "Kimchi -1.23% · negative flow pressure"),
        ({KIMCHI: Input()}, None, "insufficient data"),
    ],
)
def test_other_headlines(inputs: dict[str, Input], score: int | None, expected: str) -> None:
    """Small amounts in thousands, minus as -, what rounds to nothing is no minus."""
    assert expected == headline_of(score, inputs)


def test_coverage_words() -> None:
    """Of the five: four are full, two partial, one none."""
    assert ["none", "none", "partial", "partial", "full", "full"] == [
        spot_coverage(fresh) for fresh in range(6)
    ]
