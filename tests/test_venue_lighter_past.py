"""Lighter's past: percent without a sign, who paid beside it, pages of unknown length."""

from typing import Any

import pytest
from pasts import HOUR, Sampled, asking_past, requests_of

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.lighter import Lighter
from mmflow_mcp.venues.lighter_past import MAX_REQUESTS, parse_fundings

pytestmark = pytest.mark.anyio

VENUE = Lighter()
AT = 1_789_412_345_678
# 2026-09-14 18:00 UTC.
SIX = 1_789_408_800_000


def asking(coin: str, since: int, until: int = AT, /, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    return asking_past("lighter", coin, since, until, Sampled("lighter", "lighter-past", told=told))


def told(*rows: Any) -> Wire:
    """An answer by hand."""
    return Wire({"code": 200, "fundings": list(rows)}, fetched_at=AT, read=0.0, size=1)


def paid(rate: Any, direction: str = "long", at: int = SIX) -> dict[str, Any]:
    """A row of fundings."""
    return {"timestamp": at // 1000, "value": "1", "rate": rate, "direction": direction}


@pytest.mark.parametrize(
    ("rate", "direction", "expected"),
    [
        # The dossier's proof of the unit: 0.02707872 USDC of 2256.56 USD are 0.0012 %.
        ("0.0012", "long", 0.000012),
        ("0.0002", "short", -0.000002),
        ("0", "short", 0.0),
    ],
)
def test_percent_and_direction_make_a_signed_fraction(
    rate: str, direction: str, expected: float
) -> None:
    """Longs paid when it says long; 0.0012 is percent per hour."""
    ((payment,), bad) = parse_fundings(told(paid(rate, direction)))
    assert (SIX, expected, 1) == (payment.ts, payment.rate, payment.hours)
    assert 0 == bad


async def test_every_hour_is_a_settlement() -> None:
    """The rate of an hour with the period of an hour, not that of eight; a signed rate is bad."""
    ask = asking("BTC", SIX - 3 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "lighter", "BTC") == (row.coin, row.venue, row.symbol)
    assert (
        SettledRate(SIX - 3 * HOUR, 0.000012, 1),
        SettledRate(SIX - 2 * HOUR, -0.000002, 1),
        SettledRate(SIX, 0.0, 1),
    ) == row.rates
    assert ["changed: 1 row could not be read"] == ask.shortfalls


async def test_until_is_exclusive() -> None:
    """The hour of `until` belongs to the next question."""
    (row,) = await VENUE.funding_history(asking("BTC", SIX - 3 * HOUR, SIX - 2 * HOUR))
    assert [SIX - 3 * HOUR] == [rate.ts for rate in row.rates]


async def test_what_a_short_page_lacks_is_asked_again() -> None:
    """Pages of one and of two rows, until one is empty: three hours without a gap."""
    ask = asking("PEPE", SIX - 4 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert "1000PEPE" == row.symbol
    assert [-0.000006, 0.000007, -0.000008] == [rate.rate for rate in row.rates]
    assert 3 == sum("fundings" in url for url in requests_of(ask))


async def test_the_same_rows_again_end_the_asking() -> None:
    """A recording answers every window alike: no progress is no reason to go on."""
    ask = asking("BTC", SIX - 40 * HOUR, fundings=told(paid("0.001")).doc)
    (row,) = await VENUE.funding_history(ask)
    assert 1 == len(row.rates)
    assert 3 > sum("fundings" in url for url in requests_of(ask))


async def test_requests_are_bounded_and_the_rest_is_told() -> None:
    """Of 60 requests a minute, a question takes twelve at most."""

    class Drop(Sampled):
        """Pages of the newest row of their window only."""

        async def fetch(self, call: Any, deadline: float) -> Any:
            """One row, an hour before the end of what was asked."""
            if "fundings" in call.url:
                end = int(call.url.split("end_timestamp=")[1].split("&")[0])
                self._told = {call.url: told(paid("0.001", at=(end - 3600) * 1000)).doc}
            return await super().fetch(call, deadline)

    ask = asking_past("lighter", "BTC", SIX - 40 * HOUR, AT, Drop("lighter"))
    (row,) = await VENUE.funding_history(ask)
    assert MAX_REQUESTS == len(row.rates)
    assert MAX_REQUESTS == sum("fundings" in url for url in requests_of(ask))
    assert ["missing: fundings that 12 requests did not bring"] == ask.shortfalls


async def test_a_page_that_fails_later_is_told() -> None:
    """What was had is answered; a first page that fails is the venue's failure."""
    failed = VenueTimeout("timeout: no answer")
    ask = asking("PEPE", SIX - 4 * HOUR, **{f"end_timestamp={SIX // 1000}&": failed})
    (row,) = await VENUE.funding_history(ask)
    assert [SIX] == [rate.ts for rate in row.rates]
    assert ["timeout: no answer (fundings)"] == ask.shortfalls
    with pytest.raises(VenueTimeout):
        await VENUE.funding_history(asking("PEPE", SIX - 4 * HOUR, fundings=failed))


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is."""
    ask = asking("NOPE", SIX)
    assert [] == await VENUE.funding_history(ask)
    assert (True, False) == ("BTC" in ask.universe, "NOPE" in ask.universe)
    assert 1 == len(requests_of(ask))


@pytest.mark.parametrize("doc", [[], {}, "<html>", {"code": 200, "fundings": {}}])
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history; null is one."""
    with pytest.raises(VenueChanged):
        parse_fundings(Wire(doc, fetched_at=AT, read=0.0, size=1))
    empty = Wire({"code": 200, "fundings": None}, fetched_at=AT, read=0.0, size=1)
    assert ([], 0) == parse_fundings(empty)


def test_bad_rows_are_dropped_and_counted() -> None:
    """No direction, NaN, a sign of its own, beyond belief."""
    rows = [paid("0.1", ""), paid("NaN"), paid("-0.1"), paid("26"), *[paid("0.1")] * 4]
    found, bad = parse_fundings(told(*rows))
    assert (4, 4) == (len(found), bad)
