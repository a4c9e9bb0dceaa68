"""The hub: what the rest of the house uses of the tape.

    with hub.listen("hyperliquid", coins=["BTC"], min_usd=100_000) as listener:
        batch = await listener.batch()             # batch.items, batch.lost

    with hub.listen_funding("hyperliquid", None, min_delta_bps=0.5) as listener: ...
    with hub.hold("hyperliquid", "trades"): ...    # keep a feed running without listening
    await hub.fill("hyperliquid", ["BTC"])         # the venue's recent trades, at a cold start

A feed starts when somebody needs it and stops when nobody has for a while. Questions to what it
holds are in `readings.py`.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.tape.board import Listener
from mmflow_mcp.tape.feed import Feed, Learn, Sink, Timing
from mmflow_mcp.tape.fills import Fills, foreseen
from mmflow_mcp.tape.liquidations import Liquidations
from mmflow_mcp.tape.rates import FundingListener, Rates
from mmflow_mcp.tape.sinks import ClosingSink, RateSink, TradeSink
from mmflow_mcp.tape.tape import Keeping, Tape
from mmflow_mcp.venues import having, roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import (
    ContextFeed,
    LiquidationFeed,
    Markets,
    TradeFeed,
)
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import ClosingRule, FeedRule

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from mmflow_mcp.tape.relay import Relay
    from mmflow_mcp.upstream.client import Upstream

TRADES, CONTEXTS, LIQUIDATIONS = "trades", "contexts", "liquidations"
CAPABILITIES = {TRADES: TradeFeed, CONTEXTS: ContextFeed, LIQUIDATIONS: LiquidationFeed}
# The coins of a feed that does not bring its whole universe, where none is named.
MAIN_COINS = ("BTC", "ETH", "SOL")
QUEUE = 1000


class Hub:
    """All feeds, tapes and listeners of one app.

    `tasks`: where feeds run. `venues_off`: ids that this installation does not ask. `relay`: what
    shares the feeds with other replicas, None where there are none. `chance`, `timing` and
    `keeping` are for tests and for installations with little room.
    """

    def __init__(
        self,
        upstream: "Upstream",
        clock: Clock,
        tasks: "TaskGroup",
        *,
        venues_off: Iterable[str] = (),
        timing: Timing | None = None,
        keeping: Keeping | None = None,
        relay: "Relay | None" = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.timing = timing or Timing()
        self._upstream = upstream
        self._clock = clock
        self._tasks = tasks
        self._off = frozenset(venues_off)
        self._keeping = keeping or Keeping()
        self.sleep = clock.sleep
        self._chance = chance
        self._tapes: dict[str, Tape] = {}
        self._rates: dict[str, Rates] = {}
        self._liquidations: dict[str, Liquidations] = {}
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._done: dict[int, anyio.Event] = {}
        self.closed = False
        self.relay = relay
        self._fills = Fills(self)

    def now_ms(self) -> int:
        """The moment of the tape: the clock's, or under replay that of the newest print."""
        if self._upstream.kind != "replay":
            return self._clock.now_ms()
        return max((tape.newest for tape in self._tapes.values()), default=0)

    def able(self, channel: str = TRADES) -> list[str]:
        """The venues that have such a feed and are asked here."""
        return [v.id for v in having(CAPABILITIES[channel]) if v.id not in self._off]

    def tape(self, venue: str) -> Tape:
        """The prints of a venue. Raises KeyError for one without such a feed."""
        if venue not in self._tapes:
            rule = self._rule(venue, TRADES)
            self._tapes[venue] = Tape(venue, self._keeping, fills=rule.fills)
        return self._tapes[venue]

    def rates(self, venue: str) -> Rates:
        """The funding rates of a venue. Raises KeyError for one without such a feed."""
        if venue not in self._rates:
            self._rule(venue, CONTEXTS)
            self._rates[venue] = Rates(venue)
        return self._rates[venue]

    def liquidations(self, venue: str) -> Liquidations:
        """The liquidations of a venue. Raises KeyError for one without such a feed."""
        if venue not in self._liquidations:
            rule = self.closing_rule(venue)
            self._liquidations[venue] = Liquidations(venue, repeats=rule.repeats)
        return self._liquidations[venue]

    def closing_rule(self, venue: str) -> ClosingRule:
        """How a venue tells liquidations. Raises KeyError for one without such a feed."""
        one = roll()[venue]
        if venue in self._off or not isinstance(one, LiquidationFeed):
            raise KeyError(f"{venue} has no feed of {LIQUIDATIONS} here")
        return one.liquidation_feed()

    def channels(self, venue: str, channel: str) -> list[str]:
        """The sockets behind a channel: liquidations may come over several."""
        if channel != LIQUIDATIONS:
            return [channel]
        return [rule.channel for rule in self.closing_rule(venue).feeds]

    def feed(self, venue: str, channel: str = TRADES) -> Feed | None:
        """A feed that is running, None where nobody needs it."""
        return self._feeds.get((venue, channel))

    def feeds(self) -> list[Feed]:
        """Those that are running."""
        return list(self._feeds.values())

    def need(self, venue: str, coins: Iterable[str] | None = None, channel: str = TRADES) -> Feed:
        """Start a feed, or keep it for another while. Raises KeyError for what there is not."""
        feed = self._feeds.get((venue, channel)) or self._start(venue, channel)
        feed.touch(MAIN_COINS if coins is None else coins)
        return feed

    @contextmanager
    def hold(
        self, venue: str, channel: str = TRADES, coins: Iterable[str] | None = None
    ) -> Iterator[None]:
        """Keep a feed for as long as the block runs. Raises KeyError for what there is not."""
        held = coins if coins is None else tuple(coins)
        keys = [(venue, name) for name in self.channels(venue, channel)]
        for key in keys:
            self.need(venue, held, key[1])
            self._need_more(key, 1)
        try:
            yield
        finally:
            for key in keys:
                self._need_more(key, -1)

    @contextmanager
    def listen(
        self,
        venue: str,
        coins: Iterable[str] | None = None,
        min_usd: float = 0.0,
        most: int = QUEUE,
    ) -> Iterator[Listener]:
        """Listen to new prints of `coins` (None: all) worth `min_usd` or more, inclusive.

        The queue holds `most`; older ones are lost and counted. What an outage delayed comes late,
        with its own time. Raises KeyError for a venue without such a feed.
        """
        listener = Listener(coins, min_usd, most)
        board = self.tape(venue).board
        with self.hold(venue, TRADES, listener.coins):
            board.add(listener)
            try:
                yield listener
            finally:
                board.remove(listener)

    @contextmanager
    def listen_funding(
        self,
        venue: str,
        coins: Iterable[str] | None = None,
        min_delta_bps: float = 0.5,
        most: int = QUEUE,
    ) -> Iterator[FundingListener]:
        """Listen to changes of funding rates by `min_delta_bps` or more, inclusive (METHODS 1)."""
        listener = FundingListener(coins, min_delta_bps, most)
        rates = self.rates(venue)
        with self.hold(venue, CONTEXTS, listener.coins):
            rates.add(listener)
            try:
                yield listener
            finally:
                rates.remove(listener)

    async def fill(
        self,
        venue: str,
        coins: Iterable[str],
        since_ms: int | None = None,
        *,
        closes: bool = False,
    ) -> list[str]:
        """Ask the venue for recent trades of coins and merge them; why they are short.

        What comes is not told to listeners unless it belongs to the time of the feed. `closes`:
        the answer is newer than the subscription, so that it proves what it covers.
        """
        return await self._fills.fill(venue, coins, since_ms, closes=closes)

    async def settle(
        self, venue: str, coins: Iterable[str] = (), seconds: float = 2.0, channel: str = TRADES
    ) -> str | None:
        """Start a feed and wait until it has these coins, or has failed, or `seconds` are over.

        Returns why it has not, None when it has. Raises KeyError for what there is not.
        """
        wanted = tuple(coins)
        feed = self.need(venue, wanted or None, channel)
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            if feed.taken and feed.taken.issuperset(c for c in wanted if c in feed.symbols):
                return None
            if feed.state.reason is not None:
                return feed.state.reason
            await self.sleep(min(seconds / 20, 0.05))
        return "timeout: the feed has not begun yet"

    async def close(self) -> None:
        """End every feed and wake every listener for the last time."""
        self.closed = True
        for feed in self._feeds.values():
            feed.stop()
        for tape in self._tapes.values():
            tape.board.close()
        for rates in self._rates.values():
            rates.close()
        for done in list(self._done.values()):
            await done.wait()

    def _need_more(self, key: tuple[str, str], by: int) -> None:
        feed = self._feeds.get(key)
        if feed is not None:
            feed.needs += by
            feed.touch()

    def _rule(self, venue: str, channel: str) -> FeedRule:
        one = roll()[venue]
        if venue not in self._off:
            if channel == TRADES and isinstance(one, TradeFeed):
                return one.trade_feed()
            if channel == CONTEXTS and isinstance(one, ContextFeed):
                return one.context_feed()
            if isinstance(one, LiquidationFeed):
                for rule in one.liquidation_feed().feeds:
                    if rule.channel == channel:
                        return rule
        raise KeyError(f"{venue} has no feed of {channel} here")

    def _start(self, venue: str, channel: str) -> Feed:
        rule = self._rule(venue, channel)

        async def learn() -> Mapping[str, str]:
            if channel not in (TRADES, CONTEXTS):
                return rule.choose(await foreseen(self._contracts(venue)))
            return rule.choose(await foreseen(self._markets(roll()[venue])))

        how: dict[str, Any] = {
            "upstream": self._upstream,
            "clock": self._clock,
            "now_ms": self.now_ms,
            "timing": self.timing,
            "chance": self._chance,
        }
        if self.relay is None:
            feed = Feed(rule, self._sink(venue, channel, self.now_ms), learn, **how)
        else:
            feed = self._shared(venue, channel, learn, how)
        self._feeds[venue, channel] = feed
        if not self.closed:
            self._tasks.start_soon(self._run, (venue, channel), feed)
        return feed

    def _sink(self, venue: str, channel: str, now_ms: Callable[[], int]) -> Sink:
        if channel == CONTEXTS:
            return RateSink(self.rates(venue), now_ms)
        if channel != TRADES:
            return ClosingSink(self.liquidations(venue), now_ms)
        fill = partial(self.fill_soon, venue)
        replayed = self._upstream.kind == "replay"
        return TradeSink(self.tape(venue), now_ms, fill, replayed=replayed)

    def _shared(self, venue: str, channel: str, learn: Learn, how: Mapping[str, Any]) -> Feed:
        """A feed of which one replica holds the socket."""
        from mmflow_mcp.tape.sharing import share  # noqa: PLC0415 - only fleets need it

        return share(self, self._rule(venue, channel), learn, self._sink, how)

    async def _run(self, key: tuple[str, str], feed: Feed) -> None:
        done = self._done[id(feed)] = anyio.Event()
        try:
            await feed.run()
        finally:
            done.set()
            del self._done[id(feed)]
            # A recording that lacks the feed will lack it again: its state is kept, and tells.
            kept = feed.needs > 0 or self._upstream.kind == "replay"
            if not kept and self._feeds.get(key) is feed:
                del self._feeds[key]

    def ask(self, venue: str, coins: tuple[str, ...] | None, since: int | None = None) -> Ask:
        """A question of the tape to a venue; `since`: from when its trades are wanted, epoch ms."""
        options: dict[str, Any] = {} if since is None else {"since_ms": since}
        deadline = self._clock.monotonic() + self.timing.patience
        return Ask(venue, self._upstream, coins=coins, deadline=deadline, options=options)

    async def _markets(self, venue: Venue) -> list[MarketRow]:
        if not isinstance(venue, Markets):
            return []
        return await venue.markets(self.ask(venue.id, None))

    async def _contracts(self, venue: str) -> list[tuple[str, Contract]]:
        contracts = await self.closing_rule(venue).contracts(self.ask(venue, None))
        self.liquidations(venue).learn(contracts)
        return list(contracts.items())

    def fill_soon(self, venue: str, coins: Iterable[str]) -> None:
        """Close in the background what a start or an outage left open."""
        feed = self._feeds.get((venue, TRADES))
        if feed is None or not feed.holds_socket:
            return
        if not self.closed and self._upstream.kind != "replay":
            self._tasks.start_soon(self._fills.close_open, venue, tuple(coins), feed)
