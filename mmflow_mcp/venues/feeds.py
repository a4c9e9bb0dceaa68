"""How a venue's socket is spoken to: what its file declares so that the tape can keep it open."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.rows.tape import RateTick, TapePrint
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract

# In place of symbols: all that was asked for on this socket.
EVERY = ("*",)
# Stands in a message for the moment it is sent at, epoch seconds.
SECONDS = "@seconds"


@dataclass(frozen=True, slots=True)
class Said:
    """What a frame without rows says.

    `kind`: `alive` (a greeting, a pong, a heartbeat), `taken` (these symbols are subscribed),
    `refused` (a subscription was not taken, `words` say why; `symbols` stand already) or `noise`
    (not what the venue documents: it proves nothing, not even that the venue is alive).
    `newest`: the id of the last trade of `symbols[0]`, where a heartbeat tells it.
    `answers`: the mark of the message that is taken or refused, where no symbol is named.
    `reply`: what the venue wants to hear at once.
    """

    kind: str
    symbols: tuple[str, ...] = ()
    words: str = ""
    newest: int | None = None
    answers: str | None = None
    reply: str | None = None


class Prints(list[TapePrint]):
    """The trades of one frame; `bad` counts those that could not be read."""

    bad = 0


@dataclass(slots=True)
class Rates:
    """The funding rates of one frame; `bad` counts those that could not be read."""

    ticks: list[RateTick]
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Closing:
    """A position closed by force, in the units of the venue.

    `symbol`: what the socket calls the contract. `ts`: the venue's time, epoch ms. `side`: that of
    the position, long or short. `price`: USD per unit of the symbol. `count`: contracts, which are
    units of the symbol (or USD, inverse) where the contract has no size.
    """

    symbol: str
    ts: int
    side: str
    price: float
    count: float


class Closings(list[Closing]):
    """The liquidations of one frame; `bad` counts those that could not be read.

    `taken`: the symbol that this frame acknowledges by repeating what was.
    """

    bad = 0
    taken: str | None = None


# How a row fails that is not what the venue documents.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
# No price of a print is believed beyond this.
MAX_PRICE = 1e12

ALIVE = Said("alive")
NOISE = Said("noise")

Rows = Prints | Rates | Closings
Heard = Said | Rows


@dataclass(frozen=True, slots=True)
class FeedRule:
    """One channel of one venue's WebSocket.

    `choose`: what the venue lists (market rows; of liquidations contracts with their names) ->
    symbol by coin (of liquidations by contract). `subscribe`: the messages that ask for some
    symbols. `read`: one frame -> what it says; pure, raises nothing.
    `whole`: the whole universe is subscribed at once; else the coins that somebody needs.
    `ping`: what is sent every `ping_seconds`; None where the venue's own heartbeat suffices.
    `silence_seconds`: without an understood frame for that long the socket is dead.
    `pace`: messages that may be sent a second. `limit`: symbols that one socket may hold.
    `fills`: the venue's `Trades` answer is asked for what a start or an outage left open.
    `chunk`: symbols of one message, where one that is refused takes the others along: what was not
    taken is asked again in smaller ones. `mark`: how the answer to a message names it.
    `idle_seconds`: how long it is kept at least when nobody needs it. `headers`: of the handshake.
    """

    venue: str
    channel: str
    url: str
    choose: Callable[[Sequence[Any]], Mapping[str, str]]
    subscribe: Callable[[Sequence[str]], list[str]]
    read: Callable[[str | bytes], Heard]
    whole: bool = True
    ping: str | None = None
    ping_seconds: float = 30.0
    silence_seconds: float = 60.0
    pace: float = 20.0
    limit: int = 1000
    fills: bool = False
    chunk: int | None = None
    mark: Callable[[Sequence[str]], str] | None = None
    idle_seconds: float = 0.0
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ClosingRule:
    """How a venue tells liquidations live.

    `feeds`: its sockets. `contracts`: the live perpetuals on coins by the name that the sockets
    call them, asked of the venue's lists. `bound`: why the records are fewer than there were, as
    the venue says, or None. `repeats`: the first frame of a contract reaches back, without a hole.
    `same_keys`: records by request agree with those of the feed in everything.
    """

    feeds: tuple[FeedRule, ...]
    contracts: Callable[[Ask], Awaitable[Mapping[str, Contract]]]
    bound: str | None = None
    repeats: bool = False
    same_keys: bool = True
