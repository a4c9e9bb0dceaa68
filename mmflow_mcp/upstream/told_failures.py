"""A failure of one replica's flight as text, and back in another that waited for it."""

from typing import Any

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueRejected,
    VenueTimeout,
)

# What the venue did. What a replica decides by itself (its budget, its circuit) is not told, nor
# that its place is not served: another replica may be in another country.
TOLD: dict[str, type[VenueError]] = {
    kind.__name__: kind
    for kind in (
        *(VenueTimeout, VenueRefused, VenueHttp, VenueRateLimited),
        *(VenueBlocked, VenueChanged, VenueRejected),
    )
}
MOST_WORDS = 500


def written(error: VenueError) -> dict[str, Any] | None:
    """An error as plain values; None for one that is not told."""
    if TOLD.get(type(error).__name__) is not type(error) or error.reason.startswith("geo"):
        return None
    return {
        "kind": type(error).__name__,
        "reason": error.reason[:MOST_WORDS],
        "retryable": error.retryable,
        "status": getattr(error, "http_status", None),
        "after": getattr(error, "retry_after", None),
    }


def read(told: Any) -> VenueError | None:
    """The error again, of the same class with the same words; None for what is none."""
    try:
        kind, reason, status, after = (told[k] for k in ("kind", "reason", "status", "after"))
        made = TOLD[kind].__new__(TOLD[kind])
        if issubclass(TOLD[kind], VenueHttp):
            made.__dict__["http_status"] = int(status)
            made.retryable = bool(told["retryable"])
        if issubclass(TOLD[kind], VenueRateLimited):
            made.__dict__["retry_after"] = None if after is None else float(after)
        made.reason = str(reason)[:MOST_WORDS]
    except (LookupError, TypeError, ValueError):
        return None
    made.args = (made.reason,)
    return made
