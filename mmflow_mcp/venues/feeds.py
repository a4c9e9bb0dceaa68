"""How a venue's socket is spoken to: what its file declares so that the tape can keep it open."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.tape import RateTick, TapePrint


@dataclass(frozen=True, slots=True)
class Said:
    """What a frame without rows says.

    `kind`: `alive` (a greeting, a pong, a heartbeat), `taken` (these symbols are subscribed),
    `refused` (a subscription was not taken, `words` say why) or `noise` (not what the venue
    documents: it proves nothing, not even that the venue is alive).
    `newest`: the id of the last trade of `symbols[0]`, where a heartbeat tells it.
    """

    kind: str
    symbols: tuple[str, ...] = ()
    words: str = ""
    newest: int | None = None


class Prints(list[TapePrint]):
    """The trades of one frame; `bad` counts those that could not be read."""

    bad = 0


@dataclass(slots=True)
class Rates:
    """The funding rates of one frame; `bad` counts those that could not be read."""

    ticks: list[RateTick]
    bad: int = 0


# How a row fails that is not what the venue documents.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
# No price of a print is believed beyond this.
MAX_PRICE = 1e12

ALIVE = Said("alive")
NOISE = Said("noise")

Heard = Said | Prints | Rates


@dataclass(frozen=True, slots=True)
class FeedRule:
    """One channel of one venue's WebSocket.

    `choose`: what the venue lists -> symbol by coin. `subscribe`: the messages that ask for some
    symbols. `read`: one frame -> what it says; pure, raises nothing.
    `whole`: the whole universe is subscribed at once; else the coins that somebody needs.
    `ping`: what is sent every `ping_seconds`; None where the venue's own heartbeat suffices.
    `silence_seconds`: without an understood frame for that long the socket is dead.
    `pace`: messages that may be sent a second. `limit`: symbols that one socket may hold.
    `fills`: the venue's `Trades` answer is asked for what a start or an outage left open.
    """

    venue: str
    channel: str
    url: str
    choose: Callable[[Sequence[MarketRow]], Mapping[str, str]]
    subscribe: Callable[[Sequence[str]], list[str]]
    read: Callable[[str | bytes], Heard]
    whole: bool = True
    ping: str | None = None
    ping_seconds: float = 30.0
    silence_seconds: float = 60.0
    pace: float = 20.0
    limit: int = 1000
    fills: bool = False
