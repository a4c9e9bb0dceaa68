"""A crowd that listens and throws away what it hears: `stream_crowd.py PORT < paths`.

Says `ready` once every listener has its first bytes, and ends when its standard input does.
"""

import selectors
import sys

from stream_listener import MOST_OPENING, Listener, open_all, raise_files


def main(port: int) -> None:
    """Open, say so, read until the end."""
    raise_files()
    paths = iter(sys.stdin.readline, "\n")
    with selectors.DefaultSelector() as ready:
        crowd: list[Listener] = []
        wanted = [path.strip() for path in paths]
        for start in range(0, len(wanted), MOST_OPENING):
            crowd += open_all(port, wanted[start : start + MOST_OPENING])
        for one in crowd:
            ready.register(one.socket, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            for key, _ in ready.select():
                if key.fileobj is sys.stdin:
                    return
                if not key.fileobj.recv(1 << 16):  # type: ignore[union-attr]
                    raise ConnectionError("a stream ended")


if __name__ == "__main__":
    main(int(sys.argv[1]))
