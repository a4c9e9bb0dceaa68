"""Everything that can go wrong, as one tree.

    MmflowError                    code, status, retryable
    ├── BadQuestion                400  the caller's own mistake; says what would fit
    ├── KeyRefused                 401  an API key that is none, unknown or revoked
    ├── NothingImplemented         501  asked for something no venue here can do
    ├── AllVenuesFailed            502  every venue that was asked failed; carries the notes
    ├── StoreError                 503  a store (history, keys) failed; says which and why
    │   ├── StoreAway                   it cannot be reached or opened, so it cannot be read either
    │   ├── StoreUnwritable             it can be read but not written: disk full, read-only, busy
    │   └── StoreMismatch               what lies there is not ours, or of another kind of source
    └── VenueError                 one source failed; becomes an entry of meta.sources
        ├── VenueTimeout           no answer within the time allowed
        ├── VenueRefused           no connection
        ├── VenueHttp              an HTTP status that is no answer (reason "http 503")
        │   └── VenueRateLimited   429 / 418, or the venue's own word for it; retry_after seconds
        ├── VenueBlocked           the venue does not serve this place (reason "geo" or "blocked")
        ├── VenueChanged           an answer that is not in the venue's documented shape
        ├── VenueRejected          the venue answered that the request itself was wrong
        ├── VenueClosed            the venue no longer exists
        └── Unrecorded             replay holds no answer to this request

A reason is one plain sentence that begins with a code (`timeout`, `http 451`, `geo`, `blocked`,
`refused`, `changed`, `rejected`, `closed`, `unrecorded`, ...). No internal address belongs in it.
"""

from collections.abc import Sequence
from typing import Any


class MmflowError(Exception):
    """Root of the tree."""

    code = "error"
    status = 500
    retryable = False


class BadQuestion(MmflowError):
    """The question cannot be answered as it was put.

    `argument` is the parameter at fault, `fits` says in words what would be accepted, and
    `nearest` lists values close to what was given.
    """

    code = "bad_question"
    status = 400

    def __init__(
        self, argument: str, message: str, *, fits: str = "", nearest: Sequence[str] = ()
    ) -> None:
        self.argument = argument
        self.fits = fits
        self.nearest = tuple(nearest)
        text = f"{argument}: {message}" if argument else message
        if not text.endswith((".", "?", "!")):
            text += "."
        if self.nearest:
            text += f" Nearest: {', '.join(self.nearest)}."
        if fits:
            text += f" Fits: {fits}."
        super().__init__(text)


class KeyRefused(MmflowError):
    """An API key that is none, is unknown or was revoked. The message never repeats it."""

    code = "key_refused"
    status = 401


class NothingImplemented(MmflowError):
    """No part of this server can answer that kind of question."""

    code = "not_implemented"
    status = 501


class AllVenuesFailed(MmflowError):
    """Every source that was asked failed; `sources` is what meta.sources would have said."""

    code = "all_sources_failed"
    status = 502
    retryable = True

    def __init__(self, sources: Sequence[dict[str, Any]], meta: dict[str, Any]) -> None:
        self.sources = list(sources)
        self.meta = meta
        said = "; ".join(f"{s['source']}: {s['reason']}" for s in self.sources)
        super().__init__(f"No source could answer. {said}")


class StoreError(MmflowError):
    """A store failed. The message names the store and never holds a password."""

    code = "store_error"
    status = 503
    retryable = True


class StoreAway(StoreError):
    """The store cannot be reached or opened: neither reads nor writes work, later they may."""

    code = "store_away"


class StoreUnwritable(StoreError):
    """Nothing can be written now (disk full, read-only, held by another); reads may go on."""

    code = "store_unwritable"


class StoreMismatch(StoreError):
    """The place holds something else: another kind of source, a newer version, not a store."""

    code = "store_mismatch"
    status = 409
    retryable = False


class VenueError(MmflowError):
    """One venue failed. `reason` is the sentence that meta.sources carries."""

    code = "venue_error"
    status = 502
    retryable = True
    note_status = "error"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def fresh(self) -> "VenueError":
        """A copy to raise in another task: one exception object must not be raised twice."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.args = self.args
        return twin


class VenueTimeout(VenueError):
    """No answer within the time allowed."""

    code = "timeout"
    status = 504


class VenueRefused(VenueError):
    """No connection could be made, or it broke before an answer came."""

    code = "refused"


class VenueHttp(VenueError):
    """An HTTP status that carries no answer."""

    code = "http"

    def __init__(self, http_status: int, detail: str = "") -> None:
        self.http_status = http_status
        self.retryable = http_status in (500, 502, 503, 504)
        super().__init__(f"http {http_status}{': ' + detail if detail else ''}")


class VenueRateLimited(VenueHttp):
    """The venue asks for fewer requests; `retry_after` in seconds when it said how long."""

    def __init__(
        self, http_status: int, detail: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(http_status, detail or "the venue asks for fewer requests")
        self.retry_after = retry_after
        self.retryable = True


class VenueBlocked(VenueError):
    """The venue does not serve this place; asking again soon is useless."""

    code = "geo"
    retryable = False


class VenueChanged(VenueError):
    """The answer is not in the shape the venue documents."""

    code = "changed"
    retryable = False


class VenueRejected(VenueError):
    """The venue says that the request itself was wrong (unknown symbol, bad parameter)."""

    code = "rejected"
    retryable = False


class VenueClosed(VenueError):
    """The venue no longer exists."""

    code = "closed"
    status = 410
    retryable = False
    note_status = "missing"


class Unrecorded(VenueError):
    """The replayed recordings hold no answer to this request."""

    code = "unrecorded"
    retryable = False
    note_status = "missing"
