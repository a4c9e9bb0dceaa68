"""How a shared feed is put together: its sink, what packs its rows, and its moment."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmflow_mcp.tape.feed import Learn, Sink
from mmflow_mcp.tape.following import Moment
from mmflow_mcp.tape.hub import CONTEXTS, TRADES
from mmflow_mcp.tape.packing import ClosingPack, Pack, RatePack, TradePack
from mmflow_mcp.tape.shared import RelaySink, SharedFeed
from mmflow_mcp.venues.feeds import FeedRule

if TYPE_CHECKING:
    from mmflow_mcp.tape.hub import Hub

MakeSink = Callable[[str, str, Callable[[], int]], Sink]


def share(
    hub: "Hub", rule: FeedRule, learn: Learn, sink_of: MakeSink, how: Mapping[str, Any]
) -> SharedFeed:
    """The feed of a rule, shared over the hub's relay."""
    if hub.relay is None:
        msg = "nothing shares the feeds of this hub"
        raise TypeError(msg)
    venue = rule.venue
    moment = Moment(hub.now_ms)
    apart: deque[list[int]] = deque(maxlen=0)
    pack: Pack
    if rule.channel == TRADES:
        pack, apart = TradePack(hub.tape(venue)), hub.tape(venue).apart
    elif rule.channel == CONTEXTS:
        pack = RatePack(hub.rates(venue))
    else:

        def names() -> list[str]:
            return list(feed.symbols)

        pack = ClosingPack(hub.liquidations(venue), names)
    sink = RelaySink(sink_of(venue, rule.channel, moment))
    feed = SharedFeed(
        rule, sink, learn, fleet=hub.relay, pack=pack, moment=moment, apart=apart, **how
    )
    return feed
