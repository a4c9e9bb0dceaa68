"""bitcoin-data.com: five figures of their own days, a quota, and a check by the price."""

from typing import Any

import pytest
from bending import Bent
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.wire import DAY, Wire
from mmflow_mcp.venues.bitcoin_data import CALLS, READERS, BitcoinData, Figure

VENUE = BitcoinData()


def figure(slug: str, doc: Any) -> Figure:
    """What is read of a document."""
    return READERS[slug](Wire(doc, fetched_at=1, read=0.0, size=1))


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("mvrv-zscore", Figure("2026-09-13", 1.9)),
        ("nupl", Figure("2026-09-13", 0.25)),
        ("puell-multiple", Figure("2026-09-12", 0.95)),
        ("reserve-risk", Figure("2026-09-13", 0.002)),
        ("realized-cap", Figure("2026-09-13", 1.215e12)),
    ],
)
def test_figures_come_in_every_shape(slug: str, expected: Figure) -> None:
    """Text or number, object, list or page; a day without its figure yet is stepped back over."""
    assert expected == READERS[slug](sample("bitcoin-data", CALLS[slug]))


@pytest.mark.parametrize(
    ("slug", "day", "value"),
    [("mvrv-zscore", "2026-07-26", 0.3954), ("nupl", "2026-07-26", 0.1977)],
)
def test_the_recordings(slug: str, day: str, value: float) -> None:
    """Recorded on 27 July 2026: the figures are the day before's."""
    assert Figure(day, value) == READERS[slug](recorded("bitcoin-data", CALLS[slug]))


def test_the_only_other_number_is_the_figure() -> None:
    """Whatever its name; of two nobody knows which."""
    assert Figure("2026-09-13", 0.3) == figure("nupl", {"d": "2026-09-13", "value": "0.3"})
    with pytest.raises(VenueChanged, match="missing"):
        figure("nupl", {"d": "2026-09-13", "a": 0.3, "b": 0.4})


@pytest.mark.parametrize("nothing", [None, "", "NaN", "nan", "null"])
def test_no_figure_yet_is_no_zero(nothing: Any) -> None:
    """It is a failure of that figure, so that the copy of the day before can stand in."""
    with pytest.raises(VenueChanged, match="no figure yet"):
        figure("nupl", {"d": "2026-09-13", "nupl": nothing})


@pytest.mark.parametrize(
    ("slug", "name", "value"),
    [
        ("nupl", "nupl", 1.0),
        ("nupl", "nupl", 58.0),
        ("realized-cap", "realizedCap", 581.2),
        ("puell-multiple", "puellMultiple", -0.5),
        ("reserve-risk", "reserveRisk", 42),
        ("mvrv-zscore", "mvrvZscore", 1e308),
    ],
)
def test_what_cannot_be_believed_is_refused(slug: str, name: str, value: float) -> None:
    """Percent for a fraction, millions for dollars, a negative multiple."""
    with pytest.raises(VenueChanged, match="beyond belief"):
        figure(slug, {"d": "2026-09-13", name: value})


@pytest.mark.parametrize(
    "doc", [None, [], {}, [[]], {"d": "yesterday", "nupl": 0.1}, "x", {"d": 5}]
)
def test_another_shape_raises(doc: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises((VenueChanged, LookupError, TypeError, ValueError, AttributeError)):
        figure("nupl", doc)


def test_the_quota_in_both_shapes() -> None:
    """An hour's returns within one, the day's within six; a retry before that is useless."""
    shapes = {
        b'{"error":{"code":"RATE_LIMIT_HOUR_EXCEEDED","message":"m"}}': 3600.0,
        b'{"code":"RATE_LIMIT_HOUR_EXCEEDED"}': 3600.0,
        b'{"error":{"code":"RATE_LIMIT_DAY_EXCEEDED"}}': 21600.0,
        b"Too many": 3600.0,
        b'{"error":"too many"}': 3600.0,
    }
    for body, pause in shapes.items():
        error = VENUE.refusal(429, body)
        assert isinstance(error, VenueRateLimited)
        assert pause == error.retry_after


def test_an_empty_answer_wants_a_key() -> None:
    """HTTP 200 with nothing in it, as callers without one have seen."""
    assert isinstance(VENUE.refusal(200, b" \n"), VenueRejected)
    assert VENUE.refusal(200, b"{}") is None


def test_each_figure_is_asked_once_a_day() -> None:
    """Five calls of the fifteen, kept on disk, refusals remembered."""
    assert 5 == len(CALLS)
    for call in CALLS.values():
        assert (DAY, True, True, True) == (
            call.fresh,
            call.keep_on_disk,
            call.optional,
            call.patience >= 3600,
        )
    assert {(8, 3600), (15, 86_400)} == {(m.capacity, m.seconds) for m in VENUE.meters}


@pytest.mark.anyio
class TestTheAnswer:
    """Five figures and what is known of them."""

    async def test_all_figures(self) -> None:
        """The date is the oldest of them; the price is that of NUPL's day."""
        ask = asking("bitcoin-data")
        (row,) = await VENUE.valuation(ask)
        assert (1.9, 0.25, 0.95, 0.002, 1.215e12) == (
            row.mvrv_z_score,
            row.nupl,
            row.puell_multiple,
            row.reserve_risk,
            row.realized_cap,
        )
        assert ("2026-09-12", 81000.25, []) == (row.as_of_date, row.spot, ask.shortfalls)
        assert "2026-09-13" == (row.as_of_by_metric or {})["nupl"]
        assert 6 == len(ask._upstream.asked)  # type: ignore[attr-defined]

    async def test_a_missing_figure_is_null_and_said(self) -> None:
        """Without the realised cap there is nothing to check, and no price is asked."""
        failing: dict[str, VenueError] = {"realized-cap": VenueTimeout("timeout: no answer")}
        ask = asking("bitcoin-data", failing=failing)
        (row,) = await VENUE.valuation(ask)
        assert (None, 0.25, None) == (row.realized_cap, row.nupl, row.spot)
        assert ["timeout: no answer (realized-cap)"] == ask.shortfalls
        assert not any("coingecko" in url for url in ask._upstream.asked)  # type: ignore[attr-defined]

    async def test_the_price_is_no_part_of_the_answer(self) -> None:
        """Where it cannot be had nothing is checked, and nothing is short."""
        ask = asking("bitcoin-data", failing={"coingecko": VenueTimeout("timeout: no answer")})
        (row,) = await VENUE.valuation(ask)
        assert (None, []) == (row.spot, ask.shortfalls)

    async def test_figures_of_two_days_are_not_checked(self) -> None:
        """NUPL of the 12th says nothing about the realised cap of the 13th."""
        bent = Bent("bitcoin-data", bends={"/nupl/": lambda doc: {**doc, "d": "2026-09-12"}})
        (row,) = await VENUE.valuation(bent.ask())
        assert row.spot is None

    async def test_no_figure_at_all_is_no_row(self) -> None:
        """The reasons are said; the fan-out makes a failure of it."""
        ask = asking("bitcoin-data", failing={"bitcoin-data.com": VenueTimeout("timeout: x")})
        assert [] == await VENUE.valuation(ask)
        assert 5 == len(ask.shortfalls)
