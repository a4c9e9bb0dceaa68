"""Keys in a small SQLite file that only its owner may read.

It is opened for every call and closed again: calls are rare (a running server reads it every few
seconds), and a file that was replaced, restored or removed is seen at once. It is never repaired or
moved aside: a damaged list of keys is an error and not an empty list.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio import to_thread

from mmflow_mcp.access.keys import Key
from mmflow_mcp.errors import StoreAway, StoreMismatch, StoreUnwritable

VERSION = 1
# "mmfk": what makes a SQLite file one of ours.
APPLICATION = 0x6D6D666B
BUSY_SECONDS = 2.0
COLUMNS = "id, digest, name, created, per_minute, used, revoked"
TABLE = """
CREATE TABLE key (
  id TEXT PRIMARY KEY, digest BLOB NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
  per_minute INTEGER, used INTEGER, revoked INTEGER
) WITHOUT ROWID"""


class SqliteKeys:
    """Keeps keys in one file; see `KeyStore`."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    async def keys(self) -> list[Key]:
        """Every key; see `KeyStore`."""
        return await to_thread.run_sync(self._read)

    async def add(self, key: Key) -> None:
        """Keep a new key; see `KeyStore`. The file is made when there is none."""
        row = (key.id, key.digest, key.name, key.created, key.per_minute, key.used, key.revoked)
        await to_thread.run_sync(self._make)
        await to_thread.run_sync(self._write, "INSERT INTO key VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    async def revoke(self, key_id: str, at_ms: int) -> bool:
        """Revoke a key; see `KeyStore`."""
        said = "UPDATE key SET revoked = coalesce(revoked, ?) WHERE id = ?"
        return await to_thread.run_sync(self._write, said, (at_ms, key_id)) > 0

    async def used(self, key_id: str, at_ms: int) -> None:
        """Note when a key was used; see `KeyStore`."""
        said = "UPDATE key SET used = max(coalesce(used, 0), ?) WHERE id = ?"
        await to_thread.run_sync(self._write, said, (at_ms, key_id))

    async def close(self) -> None:
        """Nothing stays open."""

    def _read(self) -> list[Key]:
        if not self._there():
            return []
        with self._opened(writing=False) as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM key ORDER BY created, id")  # noqa: S608
            return [Key(*row) for row in rows]

    def _write(self, said: str, values: tuple[object, ...]) -> int:
        if not self._there():
            return 0
        with self._opened(writing=True) as connection:
            return connection.execute(said, values).rowcount

    def _there(self) -> bool:
        """Whether there is a file. One that cannot be looked at is not the same as none."""
        try:
            self._path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreAway(f"{self._path}: {error.strerror}") from error
        return True

    def _make(self) -> None:
        """Make the file, for its owner alone, and its table."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Before SQLite opens it: the file must at no moment be readable by others.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._path.chmod(0o600)
        except OSError as error:
            raise StoreUnwritable(f"{self._path}: {error.strerror}") from error
        with self._opened(writing=True, fresh=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _is_ours(connection, self._path):
                connection.execute(TABLE)
                connection.execute(f"PRAGMA application_id={APPLICATION}")
                connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")

    @contextmanager
    def _opened(self, *, writing: bool, fresh: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one call; what fails inside the block is a `StoreError`."""
        failed = StoreUnwritable if writing else StoreAway
        try:
            connection = sqlite3.connect(
                # Even to read it must be able to finish what a dying writer began.
                f"{self._path.absolute().as_uri()}?mode=rw",
                timeout=BUSY_SECONDS,
                isolation_level=None,
                uri=True,
            )
            try:
                if not fresh and not _is_ours(connection, self._path):
                    raise StoreMismatch(f"{self._path} holds no keys")
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise failed(f"{self._path}: {error}") from error


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds keys; False: it is empty. Raises `StoreMismatch` for another's."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) == (APPLICATION, VERSION):
        return True
    if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise StoreMismatch(f"{path} is no file of keys, or of a newer version")
    return False
