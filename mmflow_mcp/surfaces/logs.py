"""What is logged, on stderr: lines of text or of JSON, one for each record, without secrets.

Everything that is written goes through `redacted`, arguments and tracebacks too: API keys of ours,
values of Authorization and X-API-Key, ids of sessions, user and password in addresses. It takes
more rather than less. `serve` logs a line for each request at INFO, those that only look whether
it lives at DEBUG. Who asked is told as `anonymous` or by the id of the key, never by the key or an
address, for a log is kept longer than it is thought of.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from mmflow_mcp.settings import Settings

access = logging.getLogger("mmflow_mcp.access")

# The request that is being answered; what is logged on its behalf carries it.
REQUEST: ContextVar[str] = ContextVar("request", default="")

GONE = "[redacted]"
_HIDDEN = (
    (re.compile(r"mmf_[0-9A-Za-z]+"), f"mmf_{GONE}"),
    # Whoever knows the id of a session speaks in it.
    (re.compile(r"(session.{0,12}?\b[0-9a-f]{8})[0-9a-f]{24}", re.IGNORECASE), rf"\1{GONE}"),
    (re.compile(r"://[^\s'\"<>]*@"), f"://{GONE}@"),
    (
        re.compile(
            r"((?:proxy-)?authorization|x-api-key|api[-_]?key|set-cookie|cookie)"
            r"(['\"]?\s*[:=,]\s*(?:b?['\"])?)((?:bearer|basic|digest)\s+)?[^\s'\",)}\]]+",
            re.IGNORECASE,
        ),
        rf"\1\2\3{GONE}",
    ),
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{12,}", re.IGNORECASE), rf"\1 {GONE}"),
)
# Members that a record may carry beside its message (`extra=`), as they are told in JSON.
_FIELDS = (
    *("venue", "endpoint", "outcome", "method", "path", "status", "ms", "caller", "sampling"),
)
_PROBES = ("/healthz", "/readyz", "/metrics")
_CONTROL = {i: f"\\x{i:02x}" for i in (*range(32), 127)} | {9: "\\t", 10: "\\n", 13: "\\r"}


def redacted(text: str) -> str:
    """A text without what must not be kept."""
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str) -> str:
    """A text whose control characters are told instead of obeyed: nobody writes lines of ours."""
    return text.translate(_CONTROL)


class Lines(logging.Formatter):
    """Text: level, logger, message; a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line of a record."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Everything of a record."""
        return redacted(super().format(record))


class Objects(logging.Formatter):
    """JSON: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Everything of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := REQUEST.get():
            told["request"] = request
        told |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        clean = {k: redacted(v) if isinstance(v, str) else v for k, v in told.items()}
        return json.dumps(clean, ensure_ascii=False, default=lambda value: redacted(str(value)))


def set_up(settings: Settings) -> None:
    """Have everything logged to stderr, stdout is the protocol's; before the SDK sets up its own.

    Where somebody has set up logging already, it is left alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Objects() if settings.log_format == "json" else Lines())
    logging.basicConfig(handlers=[handler], level=settings.log)
    # At INFO it tells every request with its whole address.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def logged(inner: Callable[..., Any]) -> Callable[..., Any]:
    """An ASGI application with a line for each request that it has answered.

    Without INFO it is the application itself, and costs nothing.
    """
    if not access.isEnabledFor(logging.INFO):
        return inner

    async def tell(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        status, began = 500, perf_counter()

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = REQUEST.set(os.urandom(8).hex())
        try:
            await inner(scope, receive, told)
        finally:
            _line(scope, status, (perf_counter() - began) * 1000)
            REQUEST.reset(token)

    return tell


def _line(scope: Any, status: int, ms: float) -> None:
    key = scope.get("state", {}).get("principal")
    said = {
        "method": scope["method"][:20],
        "path": scope["path"][:200],
        "status": status,
        "ms": round(ms, 1),
        "caller": f"key:{key}" if key else "anonymous",
    }
    # Probes come every few seconds.
    level = logging.DEBUG if said["path"] in _PROBES and status < 400 else logging.INFO
    access.log(level, "%(method)s %(path)s %(status)d %(ms).1f ms %(caller)s", said, extra=said)
