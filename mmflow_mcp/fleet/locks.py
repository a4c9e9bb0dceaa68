"""Locks that the operating system holds, and gives up at the very moment their holder dies."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def lock_now(handle: int) -> None:
        """Lock an open file for this opening alone. Raises `BlockingIOError` when it is taken."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error

else:
    import fcntl

    def lock_now(handle: int) -> None:
        """Lock an open file for this opening alone. Raises `BlockingIOError` when it is taken."""
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def alone_in(folder: Path, patience: float) -> Iterator[None]:
    """Run a block while no other process runs one for the same folder; blocks the thread.

    A folder that cannot be locked (Windows, some network drives) is no error: then there is no
    lock. Raises `TimeoutError` when another has held it for `patience` seconds.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        _wait_for(handle, patience)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            lock_now(handle)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.005)
        except OSError:
            return
        else:
            return
