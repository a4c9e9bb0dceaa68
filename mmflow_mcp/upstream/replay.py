"""Recorded answers instead of venues: HAR files as an ASGI app.

A request is answered by an entry that asks the same question (`matching`): of several the one
with the largest body, then the newest. Where the request names a page that was recorded, or none
and the first was, only that page is considered: a list must not repeat itself. What was not
recorded is answered with status 599, no body and the header

    x-mmflow-unrecorded: METHOD host/path?query body

(a WebSocket refuses its handshake so, with METHOD `WEBSOCKET`), percent-encoded to ASCII and cut
to 400 characters. `read_at` of every answer is the moment of its recording.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.upstream.asgi import App, Message, Receive, Send
from mmflow_mcp.upstream.har import Answer, SocketLog, bad_file, find_hosts, read_recording
from mmflow_mcp.upstream.matching import Question, read_question

UNRECORDED_STATUS = 599
UNRECORDED_HEADER = b"x-mmflow-unrecorded"
_NO_QUERY = read_question("GET", "").asked


class Recordings:
    """HAR files, JSON-lines of frames, and folders of both (frames also in its `ws`).

    Making it looks which hosts each file holds; a file is read when one of its hosts is asked
    for the first time. Raises BadQuestion, naming the file, for a path that does not exist or
    holds no recording.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._unread: dict[str, list[Path]] = defaultdict(list)
        self._answers: dict[tuple[str, str, str, str], list[Answer]] = defaultdict(list)
        self._logs: dict[tuple[str, str], list[SocketLog]] = defaultdict(list)
        self._read: set[Path] = set()
        for path in _files(paths):
            for host in find_hosts(path):
                self._unread[host].append(path)
        self.hosts = frozenset(self._unread)

    def answer(self, question: Question) -> Answer | None:
        """The best recorded answer, None when nothing was recorded.

        Raises BadQuestion for a damaged file.
        """
        self._load(question.host)
        fitting = self._answers.get(question[:4], [])
        paged = [one for one in fitting if one.question.page == question.page]
        return max(paged or fitting, key=lambda one: (len(one.body), one.read_at), default=None)

    def socket(self, question: Question) -> SocketLog | None:
        """The frames of all recorded sockets of that address, in order; None when there is none.

        A socket that was recorded with its query answers that query only; one that was recorded
        without answers any.
        """
        self._load(question.host)
        logs = [
            log
            for log in self._logs.get((question.host, question.path), [])
            if log.question.asked in (_NO_QUERY, question.asked)
        ]
        if not logs:
            return None
        dates = [log.read_at for log in logs if log.read_at is not None]
        frames = tuple(frame for log in logs for frame in log.frames)
        return SocketLog(question, frames, max(dates, default=None))

    def _load(self, host: str) -> None:
        while waiting := self._unread.get(host):
            path = waiting[0]
            if path not in self._read:
                answers, logs = read_recording(path)
                self._read.add(path)
                for answer in answers:
                    self._answers[answer.question[:4]].append(answer)
                for log in logs:
                    self._logs[log.question.host, log.question.path].append(log)
            waiting.pop(0)


def _files(paths: Sequence[Path]) -> Iterable[Path]:
    """The files behind the paths, each once, in order of name within a folder."""
    seen: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [
                *sorted(path.glob("*.har")),
                *sorted(path.glob("*.jsonl")),
                *sorted(path.glob("ws/*.jsonl")),
            ]
            if not inside:
                raise bad_file(path, "holds no .har file")
            seen |= dict.fromkeys(one.resolve() for one in inside)
        elif path.exists():
            seen[path.resolve()] = None
        else:
            raise bad_file(path, "does not exist")
    return seen


def replay_app(recordings: Recordings) -> App:
    """An ASGI app, HTTP and WebSocket, that answers for every recorded host."""

    async def replay(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _answer_request(recordings, scope, receive, send)
        elif scope["type"] == "websocket":
            await _answer_socket(recordings, scope, receive, send)

    return replay


async def _answer_request(
    recordings: Recordings, scope: Message, receive: Receive, send: Send
) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    address, trouble = _address(scope), ""
    try:
        found = recordings.answer(read_question(scope["method"], f"https://{address}", body))
    except BadQuestion as error:
        found, trouble = None, str(error)
    if found is None:
        asked = f"{scope['method']} {address}" + (
            f" {body.decode(errors='replace')}" if body else ""
        )
        await _refuse(send, "http.response", asked, trouble)
        return
    await send(
        {
            "type": "http.response.start",
            "status": found.status,
            "headers": list(found.headers),
            "read_at": found.read_at,
        }
    )
    await send({"type": "http.response.body", "body": found.body})


async def _answer_socket(
    recordings: Recordings, scope: Message, receive: Receive, send: Send
) -> None:
    """Send what the venue sent, then stay silent until the client leaves."""
    await receive()
    address, trouble = _address(scope), ""
    try:
        log = recordings.socket(read_question("GET", f"wss://{address}"))
    except BadQuestion as error:
        log, trouble = None, str(error)
    if log is None:
        await _refuse(send, "websocket.http.response", f"WEBSOCKET {address}", trouble)
        return
    dated = {} if log.read_at is None else {"read_at": log.read_at}
    await send({"type": "websocket.accept", **dated})
    for frame in log.frames:
        kind = "text" if isinstance(frame, str) else "bytes"
        await send({"type": "websocket.send", kind: frame})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _refuse(send: Send, kind: str, asked: str, trouble: str) -> None:
    said = asked if not trouble else f"{asked} ({trouble})"
    value = quote(said, safe=" !\"#$%&'()*+,/:;<=>?@[]{}|~")[:400].encode("ascii")
    headers = [(UNRECORDED_HEADER, value), (b"content-length", b"0")]
    await send({"type": f"{kind}.start", "status": UNRECORDED_STATUS, "headers": headers})
    await send({"type": f"{kind}.body", "body": b""})


def _address(scope: Message) -> str:
    """host/path?query as it was asked; the host of the Host header, else of the connection."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    if not host and scope.get("server"):
        host = scope["server"][0]
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return f"{host}{raw.decode('latin-1')}" + (f"?{query.decode('latin-1')}" if query else "")
