"""Retry-After in its two forms: seconds and dates."""

from email.utils import formatdate

import pytest
from fakes import NOW

from mmflow_mcp.errors import VenueRateLimited
from mmflow_mcp.upstream.judge import judge, retry_after


@pytest.mark.parametrize(
    "text,expected",
    [
        ("30", 30.0),
        (" 2 ", 2.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_seconds(text: str, expected: float | None) -> None:
    """Finite seconds, never negative; anything else says nothing."""
    assert expected == retry_after({"retry-after": text}, NOW)


@pytest.mark.parametrize(
    "date",
    [
        formatdate(NOW / 1000 + 90, usegmt=True),
        "Tuesday, 15-Sep-26 06:20:13 GMT",
        "Tue Sep 15 06:20:13 2026",
        "Tue, 15 Sep 2026 08:20:13 +0200",
    ],
)
def test_a_date_is_the_seconds_until_it(date: str) -> None:
    """In every form that HTTP knows, and without a zone in UTC."""
    assert 90.0 == retry_after({"retry-after": date}, NOW)


def test_a_date_is_counted_from_the_answers_own_date() -> None:
    """The venue's clock against itself: ours may be wrong or pinned."""
    headers = {
        "retry-after": formatdate(1_000_000_060, usegmt=True),
        "date": formatdate(1_000_000_000, usegmt=True),
    }
    assert (60.0, 60.0) == (retry_after(headers, NOW), retry_after(headers))


def test_a_date_without_anything_to_count_from_says_nothing() -> None:
    """And one that has passed is now."""
    past = {"retry-after": formatdate(1_000_000_000, usegmt=True)}
    assert (None, 0.0) == (retry_after(past), retry_after(past, NOW))


def test_it_reaches_the_error() -> None:
    """For 429 and 418 alike."""
    for status in (418, 429):
        error = judge(status, {"retry-after": "12"}, b"")
        assert isinstance(error, VenueRateLimited)
        assert 12.0 == error.retry_after
