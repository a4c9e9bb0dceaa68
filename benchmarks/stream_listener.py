"""A listener of a stream as cheap as can be: a raw socket."""

import resource
import socket

# How many wait for their first bytes at a time: a server's backlog is finite.
MOST_OPENING = 50
FILES = 4096


def raise_files() -> None:
    """A thousand sockets are more than some shells allow at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most) if most > 0 else FILES, most))


class Listener:
    """One connection to a stream."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def begun(self) -> None:
        """Wait for the first bytes of the stream. Raises ConnectionError for another answer."""
        head = b""
        while b": connected\n\n" not in head:
            chunk = self.socket.recv(1 << 16)
            head += chunk
            if not chunk or not head.startswith(b"HTTP/1.1 200 "[: len(head)]):
                raise ConnectionError(head.decode("latin-1"))


def open_all(port: int, paths: list[str]) -> list[Listener]:
    """A listener for each path, every one of them connected."""
    found = [Listener(port, path) for path in paths]
    for one in found:
        one.begun()
    return found
