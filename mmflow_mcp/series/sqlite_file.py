"""The file of a SQLite history: opening, schema, migration, damage, and what its errors mean.

Write-ahead log, so readers and the writer do not wait for each other; `synchronous=NORMAL`: what
was committed survives the death of the process, and after a power cut the file is whole but may
lack the last moments. A file that is damaged is moved aside and never deleted; a file that is
something else, or holds another kind of source, is refused and left as it is.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mmflow_mcp.errors import StoreAway, StoreError, StoreMismatch, StoreUnwritable
from mmflow_mcp.fleet.locks import alone_in
from mmflow_mcp.series.sqlite_schema import VERSION, create, is_ours, migrate

log = logging.getLogger("mmflow_mcp")

# Two processes that write at once wait for each other this long, seconds.
BUSY_SECONDS = 5.0
READERS = 4
WAL_BYTES = 16 * 1024 * 1024

Report = Callable[[str], None]
# Device and number of a file; None for no file.
Identity = tuple[int, int] | None


class SqliteFile:
    """Connections to one file: one that writes, some that read. For worker threads.

    Only one thread at a time may be in `writing`; any number may be in `reading`. `report` is
    called in the thread that found what it tells.
    """

    def __init__(self, path: Path, kind: str, report: Report = log.warning) -> None:
        self.path = path
        self._kind = kind
        self._report = report
        self._lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        # The file as it was opened: another one under the same name is another store.
        self._identity: Identity = None
        # The file that was looked at last, opened or not.
        self._seen: Identity = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, undone when it fails."""
        with self._meaning(writing=True):
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite itself may have rolled back already, for instance when the disk is full.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write and, until the block ends, sees one state of the file."""
        with self._meaning(writing=False):
            connection, identity = self._reader()
            try:
                # Between two statements another process may give a series' number to another one.
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give_back(connection, identity)

    def close(self) -> None:
        """Close every connection; the last one to leave folds the log into the file."""
        with self._lock:
            for connection in (*self._readers, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._readers.clear()
            self._writer = self._identity = None

    def _open(self) -> sqlite3.Connection:
        """The writing connection, of the file that lies under the name now."""
        with self._lock:
            if self._writer is not None and self._identity != identity_of(self.path):
                self._report(f"{self.path} is another file now; it is opened anew")
                self.close()
            if self._writer is None:
                with suppress(OSError):
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with self._alone():
                    self._writer = self._connected(self._prepare)
                    self._identity = self._seen
            return self._writer

    def _alone(self) -> AbstractContextManager[None]:
        """Nobody else opens the file, or moves it and its log away, during the block."""
        return alone_in(self.path.parent, BUSY_SECONDS)

    def _connected(self, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = connect(str(self.path))
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        finally:
            self._seen = identity_of(self.path)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the file a history of our kind, or refuse it."""
        # Asked first: the file of someone else must not even change its sort of log.
        ours = is_ours(connection, self._kind, self.path)
        settle(connection)
        if ours:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have done it while this one waited.
            if not is_ours(connection, self._kind, self.path):
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if version:
                    migrate(connection, version)
                    self._report(f"{self.path}: migrated from version {version} to {VERSION}")
                else:
                    create(connection, self._kind)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _reader(self) -> tuple[sqlite3.Connection, Identity]:
        """A connection to read from, and the file it belongs to; None: of no use afterwards."""
        with self._lock:
            try:
                self._open()
            except sqlite3.OperationalError as error:
                if primary(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                    raise
                return self._frozen(), None
            if self._readers:
                return self._readers.pop(), self._identity
            with self._alone():
                return self._connected(self._only_read), self._seen

    def _only_read(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only=1")
        # The first question opens the file.
        is_ours(connection, self._kind, self.path)

    def _frozen(self) -> sqlite3.Connection:
        """A connection where nothing can be written: through the log that is there, or without.

        Without a log that another process keeps, SQLite wants to make one, and cannot.
        """
        if not self.path.exists():
            raise StoreAway(f"{self.path} does not exist and cannot be made")
        log_ = self.path.with_name(self.path.name + "-wal")
        logged = log_.exists() and log_.stat().st_size > 0
        # Without its log a file would seem whole and lack the newest points.
        for how in ("mode=ro",) if logged else ("mode=ro", "mode=ro&immutable=1"):
            connection = connect(f"{self.path.absolute().as_uri()}?{how}")
            try:
                ours = is_ours(connection, self._kind, self.path)
            except sqlite3.OperationalError:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            if ours:
                return connection
            connection.close()
            raise StoreMismatch(f"{self.path} is of an older version and cannot be migrated")
        raise StoreAway(f"{self.path} cannot be read")

    def _give_back(self, connection: sqlite3.Connection, identity: Identity) -> None:
        with self._lock:
            ours = identity is not None and identity == self._identity
            if ours and len(self._readers) < READERS:
                self._readers.append(connection)
            else:
                connection.close()

    @contextmanager
    def _meaning(self, *, writing: bool) -> Iterator[None]:
        """Tell what an error of SQLite means for who asked. A damaged file is moved aside."""
        try:
            yield
        except TimeoutError as error:
            raise meaning_of(None, self.path, writing=writing) from error
        except sqlite3.DatabaseError as error:
            code = primary(error)
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                aside = self._set_aside()
                raise Damaged(f"{self.path} was damaged: {aside}") from error
            if code != sqlite3.SQLITE_BUSY:
                # A connection that was opened read-only would stay so when the folder no longer is.
                self.close()
            raise meaning_of(error, self.path, writing=writing) from error

    def _set_aside(self) -> str:
        """Move the damaged file and its log away under a new name; what was done, in words.

        Not when another file lies there by now: then another process has done it.
        """
        with self._lock, self._alone():
            damaged = self._identity or self._seen
            self.close()
            if damaged != identity_of(self.path):
                return "it has been moved aside already"
            aside = _free_name(self.path)
            try:
                for ending in ("-wal", "-shm", ""):
                    with suppress(FileNotFoundError):
                        self.path.with_name(self.path.name + ending).rename(
                            aside.with_name(aside.name + ending)
                        )
            except OSError as error:
                raise StoreAway(f"{self.path} is damaged and cannot be moved aside") from error
            told = f"it is kept as {aside.name}, a new history begins"
            self._report(f"{self.path} is damaged: {told}")
            return told


class Damaged(StoreError):
    """The file was damaged and has been moved aside; the same call finds a new one."""


def connect(place: str) -> sqlite3.Connection:
    """A connection without transactions of its own, to be used by one thread at a time."""
    return sqlite3.connect(
        place,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=place.startswith("file:"),
    )


def settle(connection: sqlite3.Connection) -> None:
    """Switch on the write-ahead log. Of two that do so at once, one is told "busy", and waits."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")


def primary(error: sqlite3.Error) -> int:
    """The primary result code of an error; -1 for one that SQLite itself did not raise."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def meaning_of(error: sqlite3.DatabaseError | None, path: Path, *, writing: bool) -> StoreError:
    """An error of SQLite as one of ours; None: another process has been opening it for too long."""
    code = primary(error) if error else sqlite3.SQLITE_BUSY
    said = {
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_READONLY: "it cannot be written",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
        sqlite3.SQLITE_BUSY: f"another process has held it for {BUSY_SECONDS:g} s",
        sqlite3.SQLITE_IOERR: "the disk fails",
    }.get(code, str(error))
    return (StoreUnwritable if writing else StoreAway)(f"{path}: {said}")


def identity_of(path: Path) -> Identity:
    """Which file lies under a name; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free_name(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    n = 1
    while aside.exists():
        n += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{n}")
    return aside
