"""`/readyz`: whether this server can answer, and how its parts are.

200 `ready`, or `degraded` when something is missing without which questions are still answered;
503 `starting`, `stopping`, or `failed` when no question could be answered. Looking starts nothing:
a part that nobody has used yet is `off`. Every part is given a moment, all at once.
"""

import logging
from collections import Counter
from typing import Any, Literal

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse

from mmflow_mcp import __version__
from mmflow_mcp.access.ring import KeyRing
from mmflow_mcp.app import App
from mmflow_mcp.checks import Check, Checks, Look
from mmflow_mcp.errors import MmflowError, StoreError
from mmflow_mcp.metrics.declare import samplings
from mmflow_mcp.series.store import SeriesKey, SeriesStore, nameless
from mmflow_mcp.surfaces.fleets import fleet_check

log = logging.getLogger("mmflow_mcp")

# Those who look wait a second, unless they are told otherwise (Kubernetes).
SECONDS = 0.8
# A recorder that has written nothing for so many turns of a sampling is late.
LATE_TURNS = 3
# A series that nobody writes: to read it is to know whether the store can be read.
_NOBODY = SeriesKey("readyz", "none", "NONE", "sampled")

Readiness = Literal["ready", "degraded", "starting", "stopping", "failed"]


class Ready:
    """The page. `started` once the application serves; `checks` are those of its own faces."""

    def __init__(self, app: App, stopping: anyio.Event) -> None:
        self._app = app
        self._stopping = stopping
        self.started = False
        self.checks: Checks = {
            "history": self._history,
            "recorder": self._recorder,
            "tape": self._tape,
            "venues": self._venues,
            "fleet": self._fleet,
        }

    def require_keys(self, ring: KeyRing) -> None:
        """Nobody can be answered while the keys cannot be read."""

        async def look() -> Check:
            try:
                await ring.check()
            except StoreError as error:
                return Check("failed", str(error))
            return Check()

        self.checks["keys"] = look

    async def page(self, _: Request) -> JSONResponse:
        """Answer GET and HEAD."""
        found: dict[str, Check] = {}
        async with anyio.create_task_group() as tasks:
            for name, look in {**self.checks, **self._app.checks}.items():
                tasks.start_soon(_look, name, look, found)
        status = self._status(found)
        body = {
            "status": status,
            "version": __version__,
            "source": self._app.kind,
            "checks": {name: _told(found[name]) for name in sorted(found)},
        }
        return JSONResponse(
            body,
            200 if status in ("ready", "degraded") else 503,
            {"cache-control": "no-store"},
        )

    def _status(self, found: dict[str, Check]) -> Readiness:
        if self._stopping.is_set():
            return "stopping"
        if not self.started:
            return "starting"
        states = {check.status for check in found.values()}
        if "failed" in states:
            return "failed"
        return "degraded" if "degraded" in states else "ready"

    async def _history(self) -> Check:
        core = self._app.built
        if core is None:
            return Check("off", "nobody has used it yet")
        store = core.archive.store
        if store is None:
            return Check("off", "history is not kept here")
        try:
            # Of a stretch that is kept: for another one no store need be asked.
            await store.read(_NOBODY, now := core.clock.now_ms(), now)
        except StoreError as error:
            return Check("degraded", _nameless(str(error), store))
        away: str = getattr(store, "away", "")
        if away:
            return Check("degraded", _nameless(f"samples wait in memory: {away}", store))
        return Check()

    async def _recorder(self) -> Check:
        recorder = self._app.recorder
        if recorder is None:
            return Check("off", "nothing is recorded here")
        health = recorder.health
        last = max(health.last.values(), default=None)
        facts = {"level": health.level, "leading": health.leading, "lastSample": last}
        if not health.leading:
            return Check("ok", "standby: another process records", facts)
        now = self._app.clock.now_ms()
        late = [
            name
            for name, at in sorted(health.last.items())
            if now - at > (LATE_TURNS + 1) * samplings()[name].every_ms
        ]
        if health.failures or late:
            said = [f"{name}: {why}" for name, why in sorted(health.failures.items())]
            said += [f"{name}: nothing for a while" for name in late if name not in health.failures]
            core = self._app.built
            store = None if core is None else core.archive.store
            return Check("degraded", _nameless("; ".join(said), store), facts)
        return Check("ok", facts=facts)

    async def _tape(self) -> Check:
        core = self._app.built
        feeds = [] if core is None else core.tape.feeds()
        if not feeds:
            return Check("off", "nobody listens")
        facts, broken = {}, []
        for feed in feeds:
            state, name = feed.state, f"{feed.rule.venue}.{feed.rule.channel}"
            facts[name] = {
                "connected": state.connected,
                "lastFrame": state.heard_ms,
                "silentSeconds": round(feed.silent, 1),
            }
            if not state.connected:
                broken.append(f"{name}: {state.reason or 'not connected yet'}")
        return Check("degraded" if broken else "ok", "; ".join(broken), {"feeds": facts})

    async def _fleet(self) -> Check:
        return fleet_check(self._app)

    async def _venues(self) -> Check:
        core = self._app.built
        if core is None:
            return Check("off", "none was asked yet")
        states = Counter(health.state for health in core.upstream.health.all())
        if not states:
            return Check("off", "none was asked yet")
        up = states["ok"] + states["slow"]
        facts: dict[str, Any] = {
            "up": up,
            "slow": states["slow"],
            "blocked": states["blocked"],
            "failing": states["failing"] + states["changed"],
        }
        return Check("ok" if up else "degraded", "" if up else "no venue answers", facts)


async def _look(name: str, look: Look, found: dict[str, Check]) -> None:
    """What a check says; one that fails to look, or is too slow, says that."""
    # Without keys nobody is answered: not to know is to fail.
    state: Literal["failed", "degraded"] = "failed" if name == "keys" else "degraded"
    found[name] = Check(state, f"no answer within {SECONDS:g} s")
    with anyio.move_on_after(SECONDS):
        try:
            found[name] = await look()
        except MmflowError as error:
            found[name] = Check(state, str(error))
        except Exception as error:
            log.exception("the check of %s met a fault", name)
            found[name] = Check(state, f"a fault of its own ({type(error).__name__})")


def _told(check: Check) -> dict[str, Any]:
    said = {"reason": check.reason} if check.reason else {}
    return {"status": check.status, **said, **check.facts}


def _nameless(reason: str, store: SeriesStore | None) -> str:
    """A reason without the place it is about: whoever asks here has shown no key."""
    return nameless(reason, "" if store is None else store.name)
