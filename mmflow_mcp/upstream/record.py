"""One request and its answer as a HAR 1.2 entry, without anything that could be a credential.

Of the request headers only accept, content-type and user-agent are kept; no cookies; no header
with auth, key, token or secret in its name, and no parameter of the query or of a JSON body that
holds one (`matching.is_secret`).
"""

import base64
import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit, urlunsplit

import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.upstream.matching import is_secret

_REQUEST_HEADERS = ("accept", "content-type", "user-agent")
_PRIVATE = ("cookie", "auth", "key", "token", "secret")


class Record:
    """One entry of the HAR in the making. Until its answer is whole it carries an `_error`."""

    def __init__(
        self, entry: dict[str, Any], clock: Clock, request: httpx2.Request, body: bytes
    ) -> None:
        self._entry = entry
        self._clock = clock
        self._asked = clock.monotonic()
        self._began = self._asked
        entry["startedDateTime"] = _iso(clock.now_ms())
        entry["time"] = 0
        entry["request"] = _request(request, body)
        entry["response"] = _response(0, [], b"")
        entry["cache"] = {}
        entry["timings"] = {"send": 0, "wait": 0, "receive": 0}
        entry["_error"] = "no answer"

    def fail(self, name: str) -> None:
        """Tell that no answer came; `name` is the kind of error."""
        self._entry["_error"] = name
        self._time()

    def begin(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Tell that the answer begins. A socket is whole now, a body when it has been read.

        An answer that says when it was read (simulation, replay) keeps that time.
        """
        self._began = self._clock.monotonic()
        entry, read_at = self._entry, response.extensions.get("read_at")
        if read_at is not None:
            entry["startedDateTime"] = _iso(read_at)
        entry["request"]["headers"] = _request_headers(request)
        entry["response"] = _response(response.status_code, _headers(response), b"")
        entry["_error"] = "cut off before its end"
        if response.status_code == 101:
            entry["_webSocketMessages"] = []
            del entry["_error"]
        self._time()

    def finish(self, headers: httpx2.Headers, raw: bytes) -> None:
        """Take the body, `raw` as it was sent."""
        response = self._entry["response"]
        try:
            body = httpx2.Response(200, headers=headers, content=raw).content
        except httpx2.DecodingError:
            body = raw
            response["comment"] = "the body could not be unpacked; it is stored as it came"
        response["content"] = _content(headers.get("content-type", ""), body)
        response["bodySize"] = len(raw)
        del self._entry["_error"]
        self._time()

    def message(self, kind: str, data: str | bytes) -> None:
        """Add a frame of a socket; `kind` is send or receive."""
        binary = isinstance(data, bytes)
        self._entry["_webSocketMessages"].append(
            {
                "type": kind,
                "time": self._clock.now_ms() / 1000,
                "opcode": 2 if binary else 1,
                "data": base64.b64encode(data).decode() if isinstance(data, bytes) else data,
            }
        )

    def _time(self) -> None:
        now = self._clock.monotonic()
        wait = max(0.0, self._began - self._asked)
        timings = {"send": 0, "wait": _ms(wait), "receive": _ms(max(0.0, now - self._began))}
        self._entry["timings"] = timings
        self._entry["time"] = round(timings["wait"] + timings["receive"], 3)


def _request(request: httpx2.Request, body: bytes) -> dict[str, Any]:
    url = _public_url(str(request.url))
    told: dict[str, Any] = {
        "method": request.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _request_headers(request),
        "queryString": _pairs(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": len(body),
    }
    if body:
        kind = request.headers.get("content-type", "")
        told["postData"] = {"mimeType": kind, "params": [], "text": _public_body(body)}
    return told


def _response(status: int, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
    known = status in HTTPStatus.__members__.values()
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if known else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": _content("", body),
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    }


def _content(mime: str, body: bytes) -> dict[str, Any]:
    content: dict[str, Any] = {"size": len(body), "mimeType": mime}
    try:
        return {**content, "text": body.decode()}
    except UnicodeDecodeError:
        return {**content, "text": base64.b64encode(body).decode(), "encoding": "base64"}


def _pairs(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _request_headers(request: httpx2.Request) -> list[dict[str, str]]:
    kept = [name for name in _REQUEST_HEADERS if name in request.headers]
    return _pairs([(name, request.headers[name]) for name in kept])


def _headers(response: httpx2.Response) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in response.headers.multi_items()
        if not any(part in name.lower() for part in _PRIVATE)
    ]


def _public_url(url: str) -> str:
    """Leave out user and password, and parameters that hold a credential."""
    parts = urlsplit(url)
    query = "&".join(
        pair
        for pair in parts.query.split("&")
        if not is_secret(unquote_plus(pair.partition("=")[0]))
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _public_body(body: bytes) -> str:
    """Give the body as it was sent, or written again without the credentials in it."""
    text = body.decode("utf-8", "replace")
    try:
        members = json.loads(body)
    except ValueError:
        return text
    public = _public(members)
    return text if public == members else json.dumps(public, separators=(",", ":"))


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _public(member) for name, member in value.items() if not is_secret(name)}
    if isinstance(value, list):
        return [_public(member) for member in value]
    return value


def _iso(epoch_ms: int) -> str:
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
