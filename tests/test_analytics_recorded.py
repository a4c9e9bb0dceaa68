"""The arithmetic of options on the full chains that Deribit sent on 2026-08-22."""

import json
import math
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mmflow_mcp.analytics import flip, gex, greeks, skew
from mmflow_mcp.rows import OptionChain, OptionRow

WIRE = Path(__file__).resolve().parents[1].parent / "shared" / "wire" / "deribit.har"
pytestmark = pytest.mark.skipif(not WIRE.exists(), reason="the recordings are not beside the tree")

NAME = re.compile(r"(BTC|ETH)-(\d{1,2})([A-Z]{3})(\d{2})-(\d+)-([CP])")
SIZES = {"BTC": 1038, "ETH": 932}


@cache
def entries() -> list[dict[str, Any]]:
    """The recorded answers of the venue."""
    found: list[dict[str, Any]] = json.loads(WIRE.read_text("utf-8"))["log"]["entries"]
    return found


def result(entry: dict[str, Any]) -> Any:
    """What the venue answered."""
    return json.loads(entry["response"]["content"]["text"])["result"]


@cache
def entry_of(underlying: str) -> dict[str, Any]:
    """The answer that holds the full chain of an underlying."""
    wanted = f"get_book_summary_by_currency?currency={underlying}&kind=option"
    return next(
        e for e in entries() if "_venue_greeks" in e and e["request"]["url"].endswith(wanted)
    )


def row_of(wire: dict[str, Any]) -> OptionRow:
    """One line of the answer: volatility in percent, open interest in coins."""
    match = NAME.fullmatch(wire["instrument_name"])
    assert match is not None
    underlying, day, month, year, strike, kind = match.groups()
    at = datetime(2000 + int(year), skew.MONTHS.index(month) + 1, int(day), 8, tzinfo=UTC)
    return OptionRow(
        instrument=wire["instrument_name"],
        underlying=underlying,
        strike=float(strike),
        expiry_ms=int(at.timestamp() * 1000),
        type=kind,
        oi=wire["open_interest"],
        volume24h=wire["volume"],
        mark_iv=wire["mark_iv"],
        mark_price=wire["mark_price"],
        underlying_price=wire["underlying_price"],
    )


@cache
def chain_of(underlying: str) -> OptionChain:
    """The recorded chain, with the index price recorded beside it."""
    entry = entry_of(underlying)
    at = datetime.fromisoformat(entry["startedDateTime"])
    index = next(
        e
        for e in entries()
        if e["request"]["url"].endswith(f"index_name={underlying.lower()}_usd")
        and e["startedDateTime"] == entry["startedDateTime"]
    )
    return OptionChain(
        underlying=underlying,
        rows=tuple(row_of(wire) for wire in result(entry)),
        index_price=result(index)["index_price"],
        fetched_at=round(at.timestamp() * 1000),
    )


def spot_of(chain: OptionChain) -> float:
    """The index price, which these recordings have."""
    assert chain.index_price is not None
    return chain.index_price


def terms_of(chain: OptionChain, row: OptionRow) -> tuple[float, float, float, float]:
    """Forward, strike, sigma and t of one row, as the formulas want them."""
    assert row.underlying_price is not None
    assert row.mark_iv is not None
    t = greeks.years(row.expiry_ms, chain.fetched_at)
    return row.underlying_price, row.strike, row.mark_iv / 100, t


@pytest.mark.parametrize(
    ("underlying", "total", "flipped"), [("BTC", 241.7, 63_164.9), ("ETH", 25.4, 1_879.9)]
)
def test_total_gex_equals_the_ruling(underlying: str, total: float, flipped: float) -> None:
    """The recorded chains give the totals that CONTRACT section 10 fixes, and nothing is lost."""
    chain = chain_of(underlying)
    answer = gex.gamma_exposure(chain, spot=spot_of(chain), now_ms=chain.fetched_at)
    assert SIZES[underlying] == len(chain.rows)
    assert total == round(answer.total_gex / 1e6, 1)
    assert (flipped, "reprice") == (round(answer.gamma_flip or 0, 1), answer.gamma_flip_method)
    assert not answer.partial
    assert 0 == answer.rows_filled + answer.rows_extended
    assert sum(row.oi or 0 for row in chain.rows) == pytest.approx(
        sum((s.call_oi or 0) + (s.put_oi or 0) for s in answer.strikes), rel=1e-12
    )


@pytest.mark.parametrize(("underlying", "total"), [("BTC", 241.0), ("ETH", 25.4)])
def test_total_gex_from_the_venues_vegas_is_the_same(underlying: str, total: float) -> None:
    """Gamma computed back from Deribit's own vegas gives the ruling's second number."""
    chain = chain_of(underlying)
    theirs = entry_of(underlying)["_venue_greeks"]["rows"]
    theirs_total = 0.0
    for row in chain.rows:
        forward, _, sigma, t = terms_of(chain, row)
        gamma = 100 * theirs[row.instrument][1] / (forward**2 * sigma * t)
        sign = 1 if row.type == "C" else -1
        theirs_total += sign * 0.01 * forward**2 * gamma * (row.oi or 0)
    ours = gex.gamma_exposure(chain, spot=spot_of(chain), now_ms=chain.fetched_at).total_gex
    assert total == round(theirs_total / 1e6, 1)
    assert pytest.approx(theirs_total, rel=4e-3) == ours


@pytest.mark.parametrize(
    ("underlying", "typical_delta", "worst_delta", "typical_vega"),
    [("BTC", 3e-4, 0.03, 2e-3), ("ETH", 3e-4, 0.011, 1e-3)],
)
def test_greeks_agree_with_the_venues_own(
    underlying: str, typical_delta: float, worst_delta: float, typical_vega: float
) -> None:
    """Deltas and vegas of every option lie beside Deribit's, which were read minutes later."""
    chain = chain_of(underlying)
    theirs = entry_of(underlying)["_venue_greeks"]["rows"]
    deltas, vegas = [], []
    for row in chain.rows:
        terms = terms_of(chain, row)
        delta, vega = theirs[row.instrument]
        deltas.append(abs(greeks.delta(*terms, row.type) - delta))
        if vega > 1:
            vegas.append(abs(greeks.vega(*terms) / vega - 1))
    assert SIZES[underlying] == len(deltas)
    assert sorted(deltas)[len(deltas) // 2] < typical_delta
    assert max(deltas) < worst_delta
    assert sorted(vegas)[len(vegas) // 2] < typical_vega


@pytest.mark.parametrize("underlying", ["BTC", "ETH"])
def test_flip_of_the_recorded_chain_is_the_full_grids(underlying: str) -> None:
    """Revaluing every option one by one on the whole grid finds the same price."""
    chain = chain_of(underlying)
    spot = spot_of(chain)
    totals = []
    held = [(row, terms_of(chain, row)) for row in chain.rows if row.oi]
    for factor in flip.GRID:
        total = 0.0
        for row, (forward, strike, sigma, t) in held:
            unit = greeks.unit_gex(forward * factor, strike, sigma, t)
            total += unit * (row.oi or 0) * (1 if row.type == "C" else -1)
        totals.append(total)
    answer = gex.gamma_exposure(chain, spot=spot, now_ms=chain.fetched_at)
    roots = flip.crossings([factor * spot for factor in flip.GRID], totals)
    # Rows carry forwards that differ by a cent or two; the answer uses one per expiry.
    assert pytest.approx(flip.nearest(roots, spot), rel=1e-5) == answer.gamma_flip
    assert answer.total_gex == pytest.approx(totals[flip.CENTRE], rel=1e-4)


@pytest.mark.parametrize(("underlying", "volatility"), [("BTC", 0.4006), ("ETH", 0.5426)])
def test_term_structure_of_the_recorded_chain(underlying: str, volatility: float) -> None:
    """Twelve expiries in order of time, every wing reached, 30-day volatility in between."""
    chain = chain_of(underlying)
    answer = skew.smiles(chain, spot=spot_of(chain), now_ms=chain.fetched_at)
    labels = [row.expiry_label for row in answer.term_structure]
    assert ["23AUG26", "24AUG26"] == labels[:2]
    assert ["4SEP26", "11SEP26"] == labels[5:7]
    assert labels == list(answer.smile_by_expiry)
    assert 12 == len(labels)
    assert not answer.partial
    for row in answer.term_structure:
        assert row.atm_iv is not None
        assert not row.extrapolated
        assert row.risk_reversal25 is not None
        assert row.butterfly25 is not None
        assert row.butterfly25 > 0
    pairs = skew.maturities(answer.term_structure, chain.fetched_at)
    between = skew.constant_maturity(pairs, 30)
    assert between is not None
    assert volatility == round(between, 4)


@pytest.mark.parametrize("underlying", ["BTC", "ETH"])
def test_the_flip_values_no_spot_twice_and_none_behind_the_root(
    underlying: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk outward ends with the ring of the first root; calls and puts are one position."""
    chain = chain_of(underlying)
    spot, valued, sizes = spot_of(chain), list[int](), set[int]()
    real = flip.repriced

    def counted(positions: list[flip.Position], i: int) -> float:
        valued.append(i)
        sizes.add(len(positions))
        return real(positions, i)

    monkeypatch.setattr(flip, "repriced", counted)
    answer = gex.gamma_exposure(chain, spot=spot, now_ms=chain.fetched_at)
    strikes = {(row.expiry_ms, row.strike) for row in chain.rows}
    assert max(sizes) <= len(strikes) < len(chain.rows)
    assert len(set(valued)) == len(valued)
    assert answer.gamma_flip is not None
    if answer.gamma_flip_method == "cumulative":
        assert set(range(121)) == set(valued)
        return
    rings = {abs(i - flip.CENTRE) for i in valued}
    away = abs(answer.gamma_flip / spot - 1) / 0.005
    assert max(rings) == math.ceil(away)
