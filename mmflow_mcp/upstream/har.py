"""Recordings as files: HAR 1.2, and JSON-lines of WebSocket frames.

A HAR entry is one request and its answer; frames of a socket stand in its `_webSocketMessages`
(`type` send or receive, `opcode` 1 text or 2 binary in base64, `data`). A line of a frames file
is `{"url", "dir": "in"|"out", "text", "at"?}`.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pydantic_core

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.upstream.matching import Question, read_question

# An address in a file of either kind, seen without reading the file as JSON. Quotes inside a
# recorded body are escaped, so that addresses in bodies do not look like this.
_ADDRESS = re.compile(rb'"url"\s*:\s*"(?:http|ws)s?:(?:\\?/){2}(?:[^"/?#@\\]*@)?([^"/?#:\\]+)')
# What the caller needs to know of an answer besides its body; the body is kept unpacked.
_KEPT = re.compile(
    r"content-type|content-language|date|retry-after|.*(limit|weight).*", re.IGNORECASE
)


class Answer(NamedTuple):
    """One recorded answer; `read_at` in epoch ms, when its request was made."""

    question: Question
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    read_at: int


class SocketLog(NamedTuple):
    """The frames that a venue sent over one socket, in order; `read_at` where it is known."""

    question: Question
    frames: tuple[str | bytes, ...]
    read_at: int | None


def bad_file(path: Path, what: str) -> BadQuestion:
    """The complaint about a file; its folder is nobody's business."""
    return BadQuestion(
        "source", f"{path.name} {what}", fits="replay:PATH of HAR 1.2 files or folders of them"
    )


def find_hosts(path: Path) -> set[str]:
    """The hosts that a file speaks of, cheaply; BadQuestion when it is no recording."""
    data = read_bytes(path)
    hosts = {host.decode("ascii", "replace").lower() for host in _ADDRESS.findall(data)}
    frames = path.suffix == ".jsonl"
    whole = data.lstrip()[:1] == b"{" and data.rstrip()[-1:] == b"}"
    if not hosts or not whole or not (frames or b'"entries"' in data):
        answers, logs = read_recording(path)
        hosts = {one.question.host for one in answers} | {one.question.host for one in logs}
    return hosts


def read_recording(path: Path) -> tuple[list[Answer], list[SocketLog]]:
    """Everything in a file; BadQuestion when it is not what its name says."""
    data = read_bytes(path)
    if path.suffix == ".jsonl":
        return [], list(_read_frames(path, data))
    try:
        document = pydantic_core.from_json(data)
    except ValueError:
        raise bad_file(path, "is not JSON") from None
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise bad_file(path, "is not a HAR file: it has no log.entries")
    answers: list[Answer] = []
    logs: list[SocketLog] = []
    for number, entry in enumerate(entries, 1):
        try:
            answers.extend(_read_answer(entry))
            logs.extend(_read_log(entry))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise bad_file(path, f"is damaged: entry {number} is no HAR entry") from None
    return answers, logs


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, without a byte order mark."""
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError:
        raise bad_file(path, "cannot be read") from None


def _read_answer(entry: dict[str, Any]) -> Iterator[Answer]:
    """The answer of an entry; none where it failed, was cut off or its body was not kept."""
    request, response = entry["request"], entry["response"]
    content = response.get("content") or {}
    text = content.get("text")
    lost = text is None and content.get("size", 0) > 0
    failed = "_error" in entry or response["status"] < 200
    if failed or lost or "_webSocketMessages" in entry:
        return
    posted = (request.get("postData") or {}).get("text")
    yield Answer(
        read_question(request["method"], request["url"], posted and posted.encode()),
        int(response["status"]),
        tuple(_headers(response.get("headers") or [], content.get("mimeType"))),
        _body(text or "", content.get("encoding")),
        _ms(entry["startedDateTime"]),
    )


def _read_log(entry: dict[str, Any]) -> Iterator[SocketLog]:
    if "_webSocketMessages" in entry:
        yield SocketLog(
            read_question("GET", entry["request"]["url"]),
            tuple(
                base64.b64decode(message["data"]) if message["opcode"] == 2 else message["data"]
                for message in entry["_webSocketMessages"]
                if message["type"] == "receive" and message["opcode"] in (1, 2)
            ),
            _ms(entry["startedDateTime"]),
        )


def _read_frames(path: Path, data: bytes) -> Iterator[SocketLog]:
    """One log per address in the file, dated by the newest frame that tells its time."""
    frames: dict[str, list[str]] = {}
    newest: dict[str, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            frame = pydantic_core.from_json(line)
            url = frame["url"]
            seen = frames.setdefault(url, [])
            if frame["dir"] == "in":
                seen.append(str(frame["text"]))
            if frame.get("at"):
                newest[url] = max(newest.get(url, 0), _ms(frame["at"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise bad_file(path, f"is damaged: line {number} is no frame") from None
    for url, texts in frames.items():
        yield SocketLog(read_question("GET", url), tuple(texts), newest.get(url))


def _headers(recorded: Iterable[dict[str, str]], mime: str | None) -> Iterator[tuple[bytes, bytes]]:
    told = False
    for header in recorded:
        name = header["name"].lower()
        if _KEPT.fullmatch(name):
            told = told or name == "content-type"
            yield name.encode("latin-1"), header["value"].encode("latin-1", "replace")
    if mime and not told:
        yield b"content-type", mime.encode("latin-1", "replace")


def _body(text: str, encoding: str | None) -> bytes:
    if encoding != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _ms(iso: str) -> int:
    """Epoch milliseconds of an ISO time; without a zone it is UTC."""
    moment = datetime.fromisoformat(iso)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
