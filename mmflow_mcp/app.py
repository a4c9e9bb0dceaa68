"""The composition root: settings -> clock, client (live, simulated or replayed) -> Core.

Nothing else builds parts. The parts are made at the first question, so that a server which is
only asked for its list of tools starts fast.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from mmflow_mcp import __version__
from mmflow_mcp.bus import Bus
from mmflow_mcp.checks import Checks
from mmflow_mcp.clock import DAY_MS, Clock, PinnedClock, SystemClock
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import Settings, data_folder
from mmflow_mcp.tally import Tally

if TYPE_CHECKING:
    import httpx2
    from anyio.abc import TaskGroup
    from opentelemetry.trace import Tracer

    from mmflow_mcp.core.archive import Archive
    from mmflow_mcp.core.core import Core
    from mmflow_mcp.fleet.link import Link
    from mmflow_mcp.fleet.redis import RedisServer
    from mmflow_mcp.metrics.recorder import Recorder
    from mmflow_mcp.series.store import SeriesStore
    from mmflow_mcp.sim.faults import Fault
    from mmflow_mcp.tape.relay import Relay

    Wrap = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]

STATUS_URI = "mmflow://status"
_EVER_DAYS = 36_525


class App:
    """Owns the parts for as long as it runs. Made by `running`."""

    def __init__(
        self,
        settings: Settings,
        tasks: "TaskGroup",
        wrap: "Wrap | None" = None,
        clock: Clock | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.settings = settings
        self.kind = settings.source.split(":", 1)[0]
        self.clock = clock or clock_of(settings)
        self._wrap = wrap
        self.tracer = tracer
        self.bus = Bus(self.clock)
        # What further parts say of themselves in /readyz, by name; the house's own are there.
        self.checks: Checks = {}
        # Questions by face and endpoint.
        self.asked = Tally()
        self._tasks = tasks
        self._core: Core | None = None
        self._store: SeriesStore | None = None
        self._fleet: RedisServer | None = None
        # What is recorded once somebody has asked something; a face sets it.
        self.record_when_used = "off"
        self.recorder: Recorder | None = None
        # The way to the other replicas, where the store is one that a fleet can share.
        self.link: Link | None = None
        self._keeping = False

    @property
    def built(self) -> "Core | None":
        """The parts, None while nobody has needed them: looking builds nothing."""
        return self._core

    def core(self) -> "Core":
        """The parts, built once."""
        if self._core is None:
            self._core = self._build()
        return self._core

    def _build(self) -> "Core":
        from mmflow_mcp.core.core import Core  # noqa: PLC0415 - parts load at the first question
        from mmflow_mcp.tape.hub import Hub  # noqa: PLC0415
        from mmflow_mcp.upstream.client import Upstream  # noqa: PLC0415
        from mmflow_mcp.upstream.shelf import Shelf  # noqa: PLC0415
        from mmflow_mcp.venues import roll  # noqa: PLC0415

        venues = roll().values()
        base = self._base()
        # A clock that stands in for the machine's makes ages that no other replica knows.
        together = self._shares() and isinstance(self.clock, SystemClock)
        self.link = self._link() if together else None
        upstream = Upstream(
            base if self._wrap is None else self._wrap(base),
            kind=self.kind,
            clock=self.clock,
            tasks=self._tasks,
            # Recordings have no rate to respect.
            meters=tuple(m for venue in venues for m in venue.meters if self.kind != "replay"),
            refusals={host: venue.refusal for venue in venues for host in venue.hosts},
            venues={host: venue.id for venue in venues for host in venue.hosts},
            cache_bytes=self.settings.cache_mb * 1024 * 1024,
            attempt_seconds=max(6.0, self.settings.deadline * 0.75),
            shelf=Shelf(self._kept_in(), kind=self.kind, clock=self.clock),
            tracer=self.tracer,
            link=self.link,
            space=self._market(),
        )
        if self.link is not None:
            self.soon(self.link.run)
        upstream.health.listen(lambda _: self._tell())
        off = frozenset(_venues_off(self.settings.venues_off))
        return Core(
            upstream=upstream,
            clock=self.clock,
            bus=self.bus,
            archive=self._archive(),
            tape=Hub(upstream, self.clock, self._tasks, venues_off=off, relay=self._relay()),
            deadline=self.settings.deadline,
            pinned_now=self.settings.now_ms if self.kind == "replay" else None,
            venues_off=off,
        )

    def _archive(self) -> "Archive":
        from mmflow_mcp.core.archive import Archive  # noqa: PLC0415
        from mmflow_mcp.series.places import open_store  # noqa: PLC0415

        # Recordings are of any age.
        days = self.settings.retention_days if self.kind != "replay" else _EVER_DAYS
        retention_ms = round(days * DAY_MS)
        if self.settings.store != "off":
            self._store = open_store(
                self.settings.store,
                self.kind,
                data_folder(self.settings),
                clock=self.clock,
                retention_ms=retention_ms,
                gone=lambda: self.link.gone if self.link is not None else None,
            )
        return Archive(self._store, clock=self.clock, soon=self.soon, retention_ms=retention_ms)

    def _relay(self) -> "Relay | None":
        """What shares the tape and the notices with other replicas; None where there are none."""
        if not self._shares():
            return None
        from uuid import uuid4  # noqa: PLC0415 - only fleets need it

        from mmflow_mcp.fleet.channel import Channel  # noqa: PLC0415
        from mmflow_mcp.fleet.notices import FleetNotices  # noqa: PLC0415
        from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415
        from mmflow_mcp.tape.relay import Relay  # noqa: PLC0415

        server, me = RedisServer(self.settings.store), uuid4().hex[:16]
        self._fleet = server
        notices = FleetNotices(server, self._market(), me, self.bus.hear)
        self.bus.spread = notices.tell
        relay = Relay(Channel(server, self._market(), me), self.clock)
        self.soon(notices.run)
        self.soon(relay.run)
        return relay

    def _shares(self) -> bool:
        """Whether there may be other replicas that our answers fit.

        Recordings need no venue, and are others for everyone. A moment that is held, faults, and
        what watches the wire belong to this process alone.
        """
        settings = self.settings
        own = settings.now or settings.faults or self._wrap or self.kind == "replay"
        return settings.store.startswith(("redis:", "rediss:")) and not own

    def _market(self) -> str:
        """Whose answers fit ours: a simulated market is one by its seed, or by where it runs."""
        settings = self.settings
        if self.kind == "sim":
            return settings.source if settings.source != "sim" else f"sim:{settings.seed}"
        return self.kind

    def _link(self) -> "Link":
        from mmflow_mcp.fleet.link import Link  # noqa: PLC0415 - only for a fleet
        from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415

        return Link(RedisServer(self.settings.store), self.clock)

    def used(self) -> None:
        """Somebody has asked something: what was waiting for that begins."""
        if not self._keeping and self.kind != "replay" and not self.settings.now:
            self._keeping = True
            self.soon(self._keep_whales)
        if self.record_when_used != "off":
            self.record(self.record_when_used)

    def record(self, default: str) -> "Recorder | None":
        """Begin to record in the background, once, at the level of the settings or the default.

        Recordings do not move on and a pinned clock stands: with those, nothing is recorded.
        """
        level = self.settings.record or default
        self.record_when_used = "off"
        if level == "off" or self.recorder or self.kind == "replay" or self.settings.now:
            return self.recorder
        core = self.core()
        if core.archive.store is None:
            return None
        from mmflow_mcp.metrics.recorder import LEASE_MS, Recorder  # noqa: PLC0415
        from mmflow_mcp.series.places import open_lease  # noqa: PLC0415

        place = (self.settings.store, self.kind, data_folder(self.settings))
        lease = open_lease(*place, "recorder", lifetime_ms=LEASE_MS)
        self.recorder = Recorder(core, level, lease)
        self.soon(self.recorder.run)
        return self.recorder

    async def _keep_whales(self) -> None:
        core = self.core()
        await core.whales.run(core)

    async def hold_tape(self) -> None:
        """Keep every feed running for as long as the app does, whether anybody listens or not."""
        from mmflow_mcp.tape.hub import CONTEXTS, LIQUIDATIONS, TRADES  # noqa: PLC0415

        self.used()
        hub = self.core().tape
        with ExitStack() as held:
            for kind in (TRADES, CONTEXTS, LIQUIDATIONS):
                for venue in hub.able(kind):
                    held.enter_context(hub.hold(venue, kind))
            await anyio.sleep_forever()

    def _kept_in(self) -> Path | None:
        """The folder of last good answers; none while someone watches what goes over the wire."""
        folder = data_folder(self.settings) if self._wrap is None else None
        return folder and folder / "last-good"

    def _tell(self) -> None:
        """A venue's state has changed, as this replica sees it."""
        self.bus.publish(STATUS_URI, everywhere=False)

    def _base(self) -> "httpx2.AsyncBaseTransport":
        """What lies at the bottom of the client: the network, a simulation or recordings."""
        kind, _, where = self.settings.source.partition(":")
        if kind == "replay":
            from mmflow_mcp.upstream.asgi import AsgiTransport  # noqa: PLC0415
            from mmflow_mcp.upstream.replay import Recordings, replay_app  # noqa: PLC0415

            recordings = Recordings([Path(part) for part in where.split(",")])
            return AsgiTransport(replay_app(recordings), self._tasks)
        if kind == "sim" and not where:
            from mmflow_mcp.sim.app import SimApp  # noqa: PLC0415
            from mmflow_mcp.sim.market import market_of  # noqa: PLC0415
            from mmflow_mcp.upstream.asgi import AsgiTransport  # noqa: PLC0415

            faults = read_faults(self.settings.faults.split(";"))
            app = SimApp(market_of(self.settings.seed), self.clock, faults)
            return AsgiTransport(app, self._tasks)
        from mmflow_mcp.upstream.network import NetworkTransport, RemoteSimTransport  # noqa: PLC0415

        if kind == "sim":
            return RemoteSimTransport(where, self.settings.ca_bundle)
        contact = f" ({self.settings.contact})" if self.settings.contact else ""
        return NetworkTransport(
            user_agent=f"mmflow-mcp/{__version__}{contact}",
            proxy=self.settings.proxy or None,
            ca_bundle=self.settings.ca_bundle,
        )

    def soon(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run a function in the background for as long as the app runs."""
        self._tasks.start_soon(function, *args)

    async def end_tape(self) -> None:
        """End the feeds: whoever waits for what they bring has waited long enough."""
        if self._core is not None:
            await self._core.tape.close()

    async def close(self) -> None:
        """End the feeds and close the connections."""
        if self._core is not None:
            if self._keeping:
                await self._core.whales.keep(self._core)
            await self._core.tape.close()
            await self._core.upstream.aclose()
        if self._fleet is not None:
            await self._fleet.close()
        if self._store is not None:
            await self._store.close()


def _venues_off(text: str) -> "tuple[str, ...]":
    """Ids of venues never to ask. Raises `BadQuestion` for what is no venue, and for `all`."""
    from mmflow_mcp.endpoints.params import venues_of  # noqa: PLC0415

    off = venues_of(text, "MMFLOW_VENUES_OFF") or ()
    if off == ("all",):
        raise BadQuestion("MMFLOW_VENUES_OFF", "with every venue off nothing can be answered.")
    return off


def read_faults(specs: Iterable[str]) -> "tuple[Fault, ...]":
    """Faults of a simulation from their text. Raises `BadQuestion` saying what fits."""
    from mmflow_mcp.sim.faults import parse_fault  # noqa: PLC0415

    try:
        return tuple(parse_fault(spec) for spec in specs if spec.strip())
    except ValueError as error:
        raise BadQuestion("fault", f"{error}.", fits="for example bybit:http=503") from None


def clock_of(settings: Settings) -> Clock:
    """The machine's clock; a simulation may be held at a moment."""
    if settings.now_ms is not None and settings.source.startswith("sim"):
        return PinnedClock(settings.now_ms)
    return SystemClock()


@asynccontextmanager
async def running(
    settings: Settings,
    wrap: "Wrap | None" = None,
    clock: Clock | None = None,
    tracer: "Tracer | None" = None,
) -> AsyncIterator[App]:
    """An app whose flights and sockets live until the block ends.

    `wrap` may put one more layer around what lies at the bottom of the client (`capture` does);
    `clock` may stand in for the machine's; `tracer` makes spans of what is asked.
    """
    app: App | None = None
    try:
        async with anyio.create_task_group() as tasks:
            app = App(settings, tasks, wrap, clock, tracer)
            try:
                certificates = app.kind == "live" and settings.ca_bundle
                if app.kind == "replay" or settings.faults or settings.store or certificates:
                    # What cannot be read is told before the first question, not at each.
                    app.core()
                yield app
            finally:
                # What runs in the background ends before what it stands on is closed.
                tasks.cancel_scope.cancel()
    finally:
        if app is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await app.close()
