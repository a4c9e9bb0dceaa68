"""A look at the JSON-RPC message of a POST to /mcp, which then goes on as it came."""

from collections import deque
from typing import Any, NamedTuple

from pydantic_core import from_json
from starlette.types import Message, Receive, Scope

QUESTIONS = ("tools/call", "resources/read")


class Peeked(NamedTuple):
    """What a message asks: whether it counts, its method and id; of the 2026 era or before.

    `listens`: it opens a stream that does not end by itself.
    """

    counts: bool
    method: str = ""
    id: str | int | None = None
    modern: bool = False
    listens: bool = False


LISTEN = "subscriptions/listen"
NOTHING = Peeked(False)
LISTENING = Peeked(False, listens=True)
# What is no JSON to us might be to the server, in another encoding: it counts.
UNREADABLE = Peeked(True)


async def peek(scope: Scope, receive: Receive, max_body: int) -> tuple[Peeked, Receive]:
    """What the body asks, and a `receive` that gives it again from the beginning.

    Bodies of more than `max_body` bytes are not read on: the server refuses them.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > max_body:
            return NOTHING, receive
    messages: deque[Message] = deque()
    parts: list[bytes] = []
    size, whole = 0, False
    while not whole and size <= max_body:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            break
        part = message.get("body", b"")
        size += len(part)
        parts.append(part)
        whole = not message.get("more_body", False)

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    if not whole or size > max_body:
        return NOTHING, again
    version = next((v for k, v in scope["headers"] if k == b"mcp-protocol-version"), b"")
    return question_of(b"".join(parts), modern=version >= b"2026"), again


def question_of(body: bytes, *, modern: bool = False) -> Peeked:
    """What a JSON-RPC body asks; a batch, which the server refuses, asks nothing.

    Whatever the id is, a question counts: which ids the server takes is not for us to know.
    """
    try:
        message: Any = from_json(body)
    except ValueError:
        return UNREADABLE
    if not isinstance(message, dict):
        return NOTHING
    method, number = message.get("method"), message.get("id")
    if method not in QUESTIONS:
        return LISTENING if method == LISTEN else NOTHING
    named = isinstance(number, (str, int)) and not isinstance(number, bool)
    return Peeked(True, method, number if named else None, modern)
