"""What an endpoint is handed: the parts it may use, without behaviour of its own."""

from dataclasses import dataclass, field

from mmflow_mcp.bus import Bus
from mmflow_mcp.clock import Clock
from mmflow_mcp.core.archive import Archive
from mmflow_mcp.core.signal_book import SignalBook
from mmflow_mcp.core.whale_shelf import WhaleShelf
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.upstream.client import Upstream


@dataclass(frozen=True, slots=True)
class Core:
    """The parts behind every answer.

    `archive`: history, recorded and back-filled. `tape`: the live feeds. `deadline`: seconds a
    question may take. `pinned_now`: the moment that option times and ages are computed against
    (`--now`), else each wire's own reading time. `venues_off`: ids that this installation does not
    ask. `signals`: which flow signals held at the last look. `whales`: what keeps large prints.
    """

    upstream: Upstream
    clock: Clock
    bus: Bus
    archive: Archive
    tape: Hub
    deadline: float = 8.0
    pinned_now: int | None = None
    venues_off: frozenset[str] = field(default_factory=frozenset)
    signals: SignalBook = field(default_factory=SignalBook)
    whales: WhaleShelf = field(default_factory=WhaleShelf)

    def moment(self, fetched_at: int) -> int:
        """The time against which a wire read at `fetched_at` is judged, epoch ms."""
        return fetched_at if self.pinned_now is None else self.pinned_now
