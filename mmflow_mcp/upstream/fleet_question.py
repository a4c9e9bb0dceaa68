"""A call as the server of a fleet knows it: its names there, and how long its answer is of use."""

from hashlib import blake2b

from mmflow_mcp.upstream.wire import DAY, Call

# Seconds that a copy is kept: as long as its call finds it fresh, within these. Lists that change
# by the day and sources that stand alone are few, so those may stay.
LEAST, MOST, MOST_LISTED = 10.0, 300.0, DAY


class Question:
    """A call as the server knows it."""

    __slots__ = ("call", "copy", "identity", "lease", "name", "under")

    def __init__(self, under: str, call: Call) -> None:
        self.call = call
        self.under = under
        said = f"{under}\n{call.method} {call.form} {call.url}\n"
        self.identity = said.encode() + (call.body or b"")
        self.name = blake2b(self.identity, digest_size=16).hexdigest()
        self.copy = f"{under}copy:{self.name}"
        self.lease = f"{under}lease:{self.name}"

    @property
    def keep_ms(self) -> int:
        """How long a copy is of use to anybody."""
        call = self.call
        most = MOST_LISTED if call.reference or call.keep_on_disk else MOST
        return round(1000 * min(max(call.fresh, LEAST), most))

    def failed(self, token: str) -> str:
        """The key of what a flight failed with."""
        return f"{self.under}failed:{token}"
