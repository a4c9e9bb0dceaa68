"""An HTTP answer as finished bytes: written once, sent many times, with what a cache needs to know.

The ETag is of the exact bytes, `fetchedAt` in them included: a client that is told "not modified"
goes on showing the age it has, so the same numbers read anew must not pass for the old ones.
"""

import gzip
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from starlette.types import Scope, Send

from mmflow_mcp.tally import outcome_of

Headers = list[tuple[bytes, bytes]]

# Below this, gzip saves no packet.
WORTH_GZIP = 1_000
METHODS = b"GET, HEAD, OPTIONS"
# A browser hides from pages of other origins what is not named here.
EXPOSED = (
    b"ETag, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
    b" Mcp-Session-Id"
)
CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED),
]
PREFLIGHT: Headers = [
    *CORS,
    (b"access-control-allow-methods", METHODS),
    # The wildcard does not cover Authorization.
    (b"access-control-allow-headers", b"*, Authorization, X-API-Key"),
    (b"access-control-max-age", b"86400"),
    (b"allow", METHODS),
]
JSON: Headers = [
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"Accept-Encoding"),
    *CORS,
]


class Finished:
    """A body with its status and headers; `cache` is its Cache-Control, `base` tells what it is.

    `outcome` is how it is counted; `partial`: something that was asked is missing in it.
    """

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        cache: str = "no-store",
        more: Sequence[tuple[bytes, bytes]] = (),
        base: Headers = JSON,
        partial: bool = False,
    ) -> None:
        self.status = status
        self.outcome = outcome_of(status, partial=partial)
        self.body = body
        self._headers: Headers = [*base, (b"cache-control", cache.encode()), *more]
        self._tag = blake2b(body, digest_size=12).hexdigest().encode() if status == 200 else b""
        self._plain = self._form(body, b'"%b"')
        self._zipped: _Form | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about: the body, and the body in gzip."""
        return 1_000 + len(self.body) * 5 // 4

    def _form(self, body: bytes, tag: bytes, *more: tuple[bytes, bytes]) -> "_Form":
        etag = tag % self._tag if self._tag else b""
        headers = [*self._headers, (b"content-length", b"%d" % len(body)), *more]
        if etag:
            headers.append((b"etag", etag))
        return body, etag, headers

    def _gzipped(self) -> "_Form":
        """The same in gzip, under a tag of its own: its bytes are others."""
        if self._zipped is None:
            packed = gzip.compress(self.body, 6, mtime=0)
            self._zipped = self._form(packed, b'"%b-gz"', (b"content-encoding", b"gzip"))
        return self._zipped

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer a request: in gzip where it is taken, 304 for a tag that still holds."""
        encodings = tags = None
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                encodings = value
            elif name == b"if-none-match":
                tags = value
        zip_it = encodings is not None and len(self.body) >= WORTH_GZIP and takes_gzip(encodings)
        body, etag, headers = self._gzipped() if zip_it else self._plain
        if tags is not None and etag and holds(tags, etag):
            unsaid = (b"content-type", b"content-length", b"content-encoding")
            kept = [(name, value) for name, value in headers if name not in unsaid]
            await send({"type": "http.response.start", "status": 304, "headers": kept})
            await send({"type": "http.response.body", "body": b""})
            return
        # Layers may add to the headers of a message: each gets its own.
        await send(
            {"type": "http.response.start", "status": self.status, "headers": headers.copy()}
        )
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )


# A body, its tag and its headers.
_Form = tuple[bytes, bytes, Headers]


@lru_cache(256)
def takes_gzip(accepted: bytes) -> bool:
    """Whether an Accept-Encoding takes gzip."""
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        name, _, said = part.partition(";")
        _, _, q = said.partition("q=")
        try:
            weights[name.strip()] = float(q) if q.strip() else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def holds(tags: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match names a tag, or `*`."""
    named = [tag.strip().removeprefix(b"W/") for tag in tags.split(b",")]
    return etag in named or named == [b"*"]
