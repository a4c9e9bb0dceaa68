"""How BitMEX writes moments and lengths of time.

https://www.bitmex.com/api/explorer/
"""

from datetime import UTC, datetime

from mmflow_mcp.clock import HOUR_MS

# A length of time is written as the moment that long after this one.
_LENGTHS_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "not a moment in UTC"
        raise ValueError(msg)
    return moment


def read_moment(text: str) -> int:
    """`2019-12-18T04:00:00.000Z` as epoch milliseconds."""
    return round(_moment(text).timestamp() * 1000)


def read_hours(text: str) -> float:
    """`2000-01-01T08:00:00.000Z` means 8 hours: the time since the first moment of 2000."""
    return (_moment(text) - _LENGTHS_BEGIN).total_seconds() * 1000 / HOUR_MS


def write_moment(at_ms: int) -> str:
    """Epoch milliseconds as `2019-12-18T04:00:00.000Z`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
