"""The guard of `serve`: who asks, whether they may, and how much.

One layer around the whole application, REST and `/mcp` alike. It answers by itself what it turns
away and lets everything else pass untouched, streams included. Only questions count: REST requests
under `/api/`, `tools/call` and `resources/read` of MCP. A question counts when it is asked, so
HEAD, a 304 and a mistake count as well: each costs the same to answer. Opening a stream is free.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmflow_mcp.access.addresses import Network, client_of, networks_of
from mmflow_mcp.access.keys import Key
from mmflow_mcp.access.quotas import OwnQuotas, Quotas, Verdict
from mmflow_mcp.access.ring import KeyRing
from mmflow_mcp.access.store import open_keys
from mmflow_mcp.app import App
from mmflow_mcp.clock import Clock, SystemClock
from mmflow_mcp.errors import BadQuestion, KeyRefused, StoreError
from mmflow_mcp.settings import Settings, data_folder
from mmflow_mcp.surfaces.peeking import NOTHING, Peeked, peek
from mmflow_mcp.surfaces.refusals import Refusal, answered
from mmflow_mcp.surfaces.stopping import ENDS

MCP = "/mcp"
API = "/api/"
STREAMS = "/api/v1/streams/"
# Asked by whoever looks at the house from outside; a key is neither needed nor looked at.
FREE = frozenset(
    {"/", "/docs", "/status", "/healthz", "/readyz", "/favicon.ico", "/api/v1/openapi"}
)
# What those pages load.
FREE_BELOW = ("/assets/", "/docs/examples/")
_WHY = {429: "quota", 503: "keys away"}
CHALLENGE = (b"www-authenticate", b'Bearer realm="mmflow-mcp"')


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say. Questions a minute, 0: no limit."""

    anonymous: int = 60
    key: int = 300
    required: bool = False
    trusted: tuple[Network, ...] = ()


def guarded(inner: ASGIApp, app: App, max_body: int) -> "Guard":
    """The application behind its guard, as the settings of the app say."""
    settings, clock = app.settings, SystemClock()
    limits = Limits(
        settings.anon_per_minute,
        settings.key_per_minute,
        settings.require_key,
        networks_of(settings.trusted_proxies),
    )
    try:
        store = open_keys(settings.store, data_folder(settings))
    except BadQuestion:
        # No folder: no keys, and every key is unknown.
        store = None
    ring = KeyRing(store, clock, app.soon, required=settings.require_key)
    return Guard(inner, ring, _quotas(settings, clock), limits, clock, max_body)


def _quotas(settings: Settings, clock: Clock) -> Quotas:
    if settings.store.partition(":")[0] not in ("redis", "rediss"):
        return OwnQuotas(clock)
    from mmflow_mcp.access.fleet_quotas import FleetQuotas  # noqa: PLC0415 - optional
    from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415

    return FleetQuotas(RedisServer(settings.store), clock)


def openness(settings: Settings, *, loopback: bool) -> str:
    """What is open to whom, in a few words for the line that `serve` begins with."""
    reach = "this machine only" if loopback else "OPEN TO THE NETWORK"
    anonymous, key = (
        f"{n} questions a minute" if n else "no limit"
        for n in (settings.anon_per_minute, settings.key_per_minute)
    )
    if settings.require_key:
        return f"{reach}, keys required: {key} each"
    without = "" if loopback else ", no keys needed"
    return f"{reach}{without}: {anonymous} per address, {key} with a key"


class Guard:
    """The outer layer; closes what it holds when the application ends."""

    def __init__(
        self,
        inner: ASGIApp,
        ring: KeyRing,
        quotas: Quotas,
        limits: Limits,
        clock: Clock,
        max_body: int = 1 << 20,
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._clock = clock
        self._max_body = max_body
        self.ring = ring
        self.quotas = quotas
        # How many were turned away, by why: quota, key, or keys that could not be checked.
        self.refused: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] == "lifespan":
            try:
                await self._inner(scope, receive, send)
            finally:
                await self.close()
        elif scope["type"] == "http":
            path = scope["path"]
            asks_leave = scope["method"] == "OPTIONS" and path.startswith(API)
            if path in FREE or path.startswith(FREE_BELOW) or asks_leave:
                await self._inner(scope, receive, send)
            else:
                await self._guard(scope, receive, send)
        elif not self._limits.required:
            await self._inner(scope, receive, send)
        else:
            # No socket is offered; behind keys none shall be by accident.
            await send({"type": "websocket.close", "code": 1008})

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = NOTHING
        try:
            key = await self._key(scope)
            if scope["path"] == MCP and scope["method"] == "POST":
                asked, receive = await peek(scope, receive, self._max_body)
                counts = asked.counts
                scope[ENDS] = not asked.listens
            else:
                counts = scope["path"].startswith(API) and not scope["path"].startswith(STREAMS)
            verdict = await self._count(scope, key) if counts else None
        except Refusal as refusal:
            await self._refuse(scope, send, refusal, asked)
            return
        if key is not None:
            scope.setdefault("state", {})["principal"] = key.id
            if scope["path"] == MCP:
                scope["user"] = owner_of(key.id)
        if verdict is not None or self._limits.required:
            send = self._telling(send, verdict)
        await self._inner(scope, receive, send)

    async def _key(self, scope: Scope) -> Key | None:
        """The key that is shown; None for none, where none is needed."""
        text = shown(scope["headers"])
        if text is None:
            if self._limits.required:
                said = "A key is required here: Authorization: Bearer KEY, or X-API-Key: KEY."
                raise Refusal(401, said, headers=(CHALLENGE,))
            return None
        try:
            return await self.ring.find(text)
        except KeyRefused as error:
            headers = ((CHALLENGE[0], CHALLENGE[1] + b', error="invalid_token"'),)
            raise Refusal(401, str(error), headers=headers) from None
        except StoreError:
            said = "Keys cannot be checked now; try again soon."
            if not self._limits.required:
                said = "Keys cannot be checked now; try again soon, or ask without one."
            raise Refusal(503, said, headers=((b"retry-after", b"2"),)) from None

    async def _count(self, scope: Scope, key: Key | None) -> Verdict | None:
        """Count a question. None: there is no limit. Raises `Refusal` past it."""
        if key is None:
            limit = self._limits.anonymous
        else:
            limit = self._limits.key if key.per_minute is None else key.per_minute
        if not limit:
            return None
        if key is None:
            peer = scope.get("client")
            caller = client_of(peer[0] if peer else None, scope["headers"], self._limits.trusted)
        else:
            caller = f"key:{key.id}"
        verdict = await self.quotas.take(caller, limit)
        if verdict.allowed:
            return verdict
        whose = "this address" if key is None else "this key"
        said = f"{limit} questions a minute are allowed for {whose} and all are used."
        said += f" Ask again in {verdict.retry_after} s."
        if key is None and (self._limits.key > limit or not self._limits.key):
            said += " A key allows more: Authorization: Bearer KEY."
        retry = (b"retry-after", str(verdict.retry_after).encode())
        raise Refusal(429, said, headers=(retry, *self._told(verdict)))

    def _told(self, verdict: Verdict) -> tuple[tuple[bytes, bytes], ...]:
        # Rounded up, as what is left is: who asks again then must not be too early.
        reset = -(-self._clock.now_ms() // 1000) + verdict.whole_in
        return (
            (b"x-ratelimit-limit", b"%d" % verdict.limit),
            (b"x-ratelimit-remaining", b"%d" % verdict.remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
        )

    def _telling(self, send: Send, verdict: Verdict | None) -> Send:
        """A `send` that adds what is left; behind keys, no shared cache may keep an answer."""
        more = () if verdict is None else self._told(verdict)
        private = self._limits.required

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                if private:
                    headers = [kept_private(one) for one in headers]
                message["headers"] = [*headers, *more]
            await send(message)

        return tell

    async def _refuse(self, scope: Scope, send: Send, refusal: Refusal, asked: Peeked) -> None:
        self.refused[_WHY.get(refusal.status, "key")] += 1
        on_mcp = scope["path"] == MCP
        for message in answered(refusal, asked, on_mcp=on_mcp, now_ms=self._clock.now_ms()):
            await send(message)

    async def close(self) -> None:
        """Close the connections."""
        await self.ring.close()
        await self.quotas.close()


@lru_cache(maxsize=1024)
def owner_of(key_id: str) -> AuthenticatedUser:
    """Whose a session of MCP is: the SDK answers 404 to every other key. The token is the id."""
    return AuthenticatedUser(AccessToken(token=key_id, client_id=key_id, scopes=[]))


def shown(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The key in the headers; None when there is none.

    Raises `Refusal`: 400 for two that differ, 401 for an Authorization that is no Bearer.
    """
    found: str | None = None
    for name, value in headers:
        if name == b"x-api-key":
            text = value.strip().decode("latin-1")
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            if scheme.lower() != b"bearer":
                said = "Authorization must be: Bearer KEY."
                raise Refusal(401, said, headers=(CHALLENGE,))
            text = rest.strip().decode("latin-1")
        else:
            continue
        if found is not None and found != text:
            said = "Two keys are given and they differ: send one, in Authorization or X-API-Key."
            raise Refusal(400, said)
        found = text
    return found


def kept_private(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A header of an answer; a Cache-Control that lets shared caches keep it does so no more."""
    name, value = header
    if name.lower() != b"cache-control":
        return header
    parts = [part.strip() for part in value.split(b",")]
    kept = [p for p in parts if p not in (b"public", b"private") and not p.startswith(b"s-maxage")]
    return name, b", ".join([b"private", *kept])
