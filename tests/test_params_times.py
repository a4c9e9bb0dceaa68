"""What moments and intervals are understood as."""

from typing import Any

import pytest
from pydantic import Field

from mmflow_mcp.endpoints.params import (
    INTERVAL_MS,
    AskedMoment,
    Moment,
    Query,
    interval_of,
    moment_of,
)
from mmflow_mcp.errors import BadQuestion

NOW = 1_789_453_123_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("given", "at"),
    [
        (1_747_000_000_000, 1_747_000_000_000),
        (1_747_000_000_000.0, 1_747_000_000_000),
        ("1747000000000", 1_747_000_000_000),
        (" 1747000000000 ", 1_747_000_000_000),
        ("1747000000000.0", 1_747_000_000_000),
        (0, 0),
        ("0", 0),
        ("2026-08-22T15:33:00Z", 1_787_412_780_000),
        ("2026-08-22T15:33:00.250Z", 1_787_412_780_250),
        ("2026-08-22T17:33:00+02:00", 1_787_412_780_000),
        ("2026-08-22T15:33:00", 1_787_412_780_000),
        ("2026-08-22 15:33", 1_787_412_780_000),
        ("2026-08-22", 1_787_356_800_000),
        ("now", NOW),
        ("NOW", NOW),
        ("-30s", NOW - 30_000),
        ("-90m", NOW - 90 * MINUTE),
        ("-24h", NOW - DAY),
        ("-24H", NOW - DAY),
        ("-7d", NOW - 7 * DAY),
        ("-2w", NOW - 14 * DAY),
        ("-999999d", 0),
    ],
)
def test_a_moment_comes_in_many_forms(given: Any, at: int) -> None:
    """Milliseconds as number or text, ISO text in UTC unless it tells a zone, ago, and now."""
    found = moment_of(given, "sinceMs")
    assert found is not None
    assert at == found.at(NOW)


@pytest.mark.parametrize("given", [None, "", "  "])
def test_nothing_given_is_no_moment(given: Any) -> None:
    """Left out and empty say the same."""
    assert moment_of(given, "sinceMs") is None


@pytest.mark.parametrize(
    "given",
    [
        -1,
        "-1",
        float("nan"),
        float("inf"),
        "nan",
        "Infinity",
        1.5,
        True,
        [],
        {},
        "yesterday",
        "24h",
        "-24",
        "-h",
        "-1.5h",
        "-24y",
        "2026-13-01",
        "2026-08-22T25:00:00Z",
        "1969-12-31",
        10**17,
        "9" * 30,
        "9" * 500,
        "-9999999999999h",
        "١٢٣",
    ],
)
def test_garbage_is_the_callers_mistake(given: Any) -> None:
    """The error names the argument and what fits, and shows only a bit of what was given."""
    with pytest.raises(BadQuestion, match=r"^sinceMs: .*Fits: epoch milliseconds") as error:
        moment_of(given, "sinceMs")
    assert len(str(error.value)) < 220


@pytest.mark.parametrize("given", [1_747_000_000, "1747000000", 20260822, "20260822"])
def test_seconds_and_bare_dates_are_not_taken_for_milliseconds(given: Any) -> None:
    """Read as milliseconds they would be January 1970."""
    with pytest.raises(BadQuestion, match="is not in milliseconds"):
        moment_of(given, "sinceMs")


def test_a_query_names_the_parameter_at_fault() -> None:
    """The type is used in any query, under any name; its schema is text and nothing else."""

    class Since(Query):
        """A query."""

        fromMs: AskedMoment = Field(default=None, description="Start")  # noqa: N815

    assert Moment(DAY, is_ago=True) == Since.model_validate({"fromMs": "-1d"}).fromMs
    assert Since.model_validate({}).fromMs is None
    with pytest.raises(BadQuestion, match=r"^fromMs: "):
        Since.model_validate({"fromMs": "soon"})
    spec = Since.model_json_schema(mode="validation")["properties"]["fromMs"]
    assert "string" in str(spec)
    assert "$ref" not in str(spec)


@pytest.mark.parametrize(
    ("given", "interval"),
    [("1m", "1m"), ("1h", "1h"), ("1H", "1h"), ("60m", "1h"), ("24h", "1d"), (" 4h ", "4h")],
)
def test_an_interval_by_its_names(given: str, interval: str) -> None:
    """The venues' spellings of the same length."""
    assert interval == interval_of(given)


@pytest.mark.parametrize("given", ["1M", "2m", "", "hour", 60, None, "1w", "1m " * 50])
def test_what_is_no_interval_here(given: Any) -> None:
    """Above all 1M, which is a month elsewhere and never a minute."""
    with pytest.raises(BadQuestion, match="Fits: 1m, 5m, 15m, 30m, 1h, 4h, 1d"):
        interval_of(given)


def test_lengths_of_intervals() -> None:
    """In milliseconds."""
    expected = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, DAY]
    assert expected == list(INTERVAL_MS.values())
