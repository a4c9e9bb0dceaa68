"""One WebSocket of the simulated venues, with the faults that it was given."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.sim.faults import Fault
from mmflow_mcp.sim.noise import unit
from mmflow_mcp.sim.wire import SocketClosed, dump

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GARBAGE = ('{"channel":"trades","data":[{"coi', "<html><body>upgrading</body></html>", "[]", "17")
_DROP_KEY = 0xF7A3


class Line:
    """A WebSocket of the ASGI server, as the venue modules see it."""

    def __init__(
        self, scope: Message, receive: Receive, send: Send, clock: Clock, faults: Sequence[Fault]
    ) -> None:
        query = parse_qsl(scope["query_string"].decode("ascii", "replace"))
        self.query: dict[str, str] = dict(query)
        self.refusing = any(fault.kind == "unsubscribed" for fault in faults)
        self._receive = receive
        self._send = send
        self._clock = clock
        self._faults = faults
        self._opened = clock.monotonic()
        self._frames = 0
        self._held: str | None = None

    def now_ms(self) -> int:
        """The simulated moment, whole seconds in epoch ms."""
        now = self._clock.now_ms()
        return now - now % 1000

    async def receive(self, timeout: float | None = None) -> str | None:
        """The next message; None when `timeout` seconds pass without one; SocketClosed."""
        message = await self._next(timeout)
        self._break()
        while self._is_dead() and message.get("type") != "websocket.disconnect":
            message = await self._receive()
        if message.get("type") == "websocket.disconnect":
            raise SocketClosed
        if not message:
            return None
        text = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"").decode()

    async def _next(self, timeout: float | None) -> Message:
        """The next message, empty when the time is over."""
        message: Message = {}
        if timeout is None:
            return await self._receive()
        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                await self._clock.sleep(timeout)
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            message = await self._receive()
            tasks.cancel_scope.cancel()
        return message

    async def send(self, value: Any) -> None:
        """Send a text as it is, anything else as JSON; SocketClosed."""
        self._break()
        text = value if isinstance(value, str) else dump(value).decode()
        if self._is_dead():
            return
        for frame in self._spoiled(text) if self._faults else (text,):
            try:
                await self._send({"type": "websocket.send", "text": frame})
            except OSError as error:
                raise SocketClosed from error

    def _lived(self) -> float:
        return self._clock.monotonic() - self._opened

    def _is_dead(self) -> bool:
        return any(f.kind == "dead_socket" and self._lived() >= f.after for f in self._faults)

    def _break(self) -> None:
        """ConnectionResetError is what a server in process makes of a cable that is pulled."""
        if any(f.kind == "hang_up" and self._lived() >= f.number for f in self._faults):
            raise ConnectionResetError("simulated: the connection broke")

    def _spoiled(self, text: str) -> Iterator[str]:
        """The frames that are sent instead of one."""
        self._frames += 1
        turn, kinds = self._frames, {fault.kind for fault in self._faults}
        for fault in self._faults:
            rewritten = fault.kind in ("missing", "extra", "absurd") and text[:1] in "{["
            if rewritten or (fault.kind == "truncate" and turn % 5 == 0):
                text = fault.spoil_text(text)
            elif fault.kind == "drop" and unit(_DROP_KEY, turn) < fault.number:
                return
        if "garbage" in kinds and turn % 3 == 0:
            yield _GARBAGE[turn // 3 % len(_GARBAGE)]
        if "shuffle" in kinds and self._held is None:
            self._held = text
            return
        yield text
        if "duplicate" in kinds:
            yield text
        if self._held is not None:
            held, self._held = self._held, None
            yield held
