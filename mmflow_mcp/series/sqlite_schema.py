"""The tables of a SQLite history, and how older ones become these.

A point is (series, slot, value, extra): the series by its number, the time as minutes since 2020
(three bytes until 2035), the extra by its number among the extras of its series, NULL for none.
The table is its own index, ordered by series and slot: a week of one series lies together.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from mmflow_mcp.errors import StoreMismatch
from mmflow_mcp.series.store import MINUTE_MS

VERSION = 2
# "mmfl": what makes a SQLite file one of ours.
APPLICATION = 0x6D6D666C
SLOT_ZERO = 1_577_836_800_000 // MINUTE_MS

ABOUT = "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
SERIES = """
CREATE TABLE series (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, cadence INTEGER NOT NULL
)"""
EXTRA = """
CREATE TABLE extra (
  series INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (series, id), UNIQUE (series, text)
) WITHOUT ROWID"""
POINT = """
CREATE TABLE point (
  series INTEGER NOT NULL, slot INTEGER NOT NULL, value REAL NOT NULL, extra INTEGER,
  PRIMARY KEY (series, slot)
) WITHOUT ROWID"""


# Version 1 kept points by name, milliseconds and period: three times the size.
FROM_1 = (
    """
INSERT INTO series (key, cadence)
  SELECT metric || '|' || venue || '|' || coin || '|' || kind, min(cadence)
  FROM points GROUP BY metric, venue, coin, kind ORDER BY 1""",
    """
CREATE TEMP VIEW old AS
  SELECT id AS series, t / 60000 - 26297280 AS slot, v AS value,
    CASE
      WHEN period IS NULL THEN NULL
      WHEN period = CAST(period AS INTEGER)
        THEN '{"periodHours":' || CAST(period AS INTEGER) || '}'
      ELSE '{"periodHours":' || period || '}'
    END AS text
  FROM points JOIN series ON key = metric || '|' || venue || '|' || coin || '|' || kind
  WHERE v IS NOT NULL""",
    """
INSERT INTO extra
  SELECT series, row_number() OVER (PARTITION BY series ORDER BY text), text
  FROM (SELECT DISTINCT series, text FROM old WHERE text IS NOT NULL)""",
    """
INSERT OR REPLACE INTO point
  SELECT old.series, slot, value, id
  FROM old LEFT JOIN extra ON extra.series = old.series AND extra.text = old.text""",
    "DROP VIEW old",
    "DROP TABLE points",
)


def slot_of(ms: int) -> int:
    """The slot of a moment, which may lie outside of all time."""
    return ms // MINUTE_MS - SLOT_ZERO


def is_ours(connection: sqlite3.Connection, kind: str, path: Path) -> bool:
    """Whether the file is a history of this version; False: it is empty, or older.

    Raises `StoreMismatch` for what must not be touched: a file of someone else, of a newer
    version, or of another kind of source.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if not application and not version:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreMismatch(f"{path} is a database, but no history of mmflow-mcp.")
        return False
    if application != APPLICATION:
        raise StoreMismatch(f"{path} is a database of another program.")
    if version > VERSION:
        raise StoreMismatch(
            f"{path} has version {version}, this program knows {VERSION}: update it."
        )
    row = connection.execute("SELECT value FROM about WHERE name = 'kind'").fetchone()
    held = row[0] if row else "nothing known"
    if held != kind:
        raise StoreMismatch(f"{path} holds what came from {held}; {kind} needs a store of its own.")
    return bool(version == VERSION)


def create(connection: sqlite3.Connection, kind: str) -> None:
    """Make the tables, inside a transaction."""
    for table in (ABOUT, SERIES, EXTRA, POINT):
        connection.execute(table)
    connection.execute("INSERT INTO about VALUES ('kind', ?)", (kind,))
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring older tables to this version, inside a transaction: all of it or nothing."""
    while version < VERSION:
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(f"PRAGMA user_version={version}")


def _from_1(connection: sqlite3.Connection) -> None:
    """To points by number, and extras of any sort."""
    for statement in (SERIES, EXTRA, POINT, *FROM_1):
        connection.execute(statement)


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
