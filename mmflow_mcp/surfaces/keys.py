"""`mmflow-mcp keys`: make a key, list the keys there are, revoke one."""

import argparse
import sys
from datetime import UTC, datetime

import anyio

from mmflow_mcp.access.keys import NAME_LENGTH, PREFIX, Key, id_of, is_whole, make_key
from mmflow_mcp.access.store import KeyStore, open_keys
from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import BadQuestion, StoreError
from mmflow_mcp.settings import Settings, data_folder
from mmflow_mcp.surfaces.tables import table

MOST_PER_MINUTE = 100_000


def run_keys(settings: Settings, chosen: argparse.Namespace) -> int:
    """Do what was chosen: 0, or 1 when the keys could not be read or written."""

    async def run() -> int:
        store = open_keys(settings.store, data_folder(settings))
        try:
            if chosen.action == "create":
                await create(store, settings, name=chosen.name, per_minute=chosen.per_minute)
            elif chosen.action == "revoke":
                await revoke(store, chosen.id)
            else:
                await show(store, settings)
        except StoreError as error:
            sys.stderr.write(f"mmflow-mcp: {error}\n")
            return 1
        finally:
            await store.close()
        return 0

    return anyio.run(run)


async def create(store: KeyStore, settings: Settings, *, name: str, per_minute: int | None) -> None:
    """Make a key. It alone goes to stdout, once; what there is to know about it to stderr."""
    if per_minute is not None and not 0 <= per_minute <= MOST_PER_MINUTE:
        fits = f"0 (no limit) to {MOST_PER_MINUTE}"
        raise BadQuestion("per-minute", f"{per_minute} is out of range.", fits=fits)
    if len(name) > NAME_LENGTH or not (name.isprintable() or not name):
        raise BadQuestion("name", "it does not fit.", fits=f"one line of {NAME_LENGTH} letters")
    text, key = make_key(name, SystemClock().now_ms(), per_minute)
    await store.add(key)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    sys.stderr.write(
        f"mmflow-mcp: key {key.id} ({_quota(key, settings)}), kept in {store.name}.\n"
        "This is the only time it is shown. Send it as Authorization: Bearer KEY, or X-API-Key.\n"
    )


async def revoke(store: KeyStore, given: str) -> None:
    """Revoke a key by its id; the whole key is understood as well, and not repeated."""
    key_id = id_of(given) if is_whole(given) else given
    if not await store.revoke(key_id, SystemClock().now_ms()):
        said = "this key" if given.startswith(PREFIX) else repr(given[:40])
        raise BadQuestion("id", f"{said} is not known.", fits="an id that `keys list` shows")
    sys.stdout.write(f"key {key_id} is revoked; running servers know within seconds\n")


async def show(store: KeyStore, settings: Settings) -> None:
    """The keys as a table, and where they lie."""
    keys = await store.keys()
    names = ["id", "name", "created", "last used", "per minute", "revoked"]
    rows: list[list[object]] = [
        [
            key.id,
            key.name,
            _when(key.created),
            _when(key.used),
            _quota(key, settings),
            _when(key.revoked),
        ]
        for key in keys
    ]
    if rows:
        sys.stdout.write(table(names, rows) + "\n\n")
    sys.stdout.write(f"{len(keys)} keys in {store.name}\n")


def _quota(key: Key, settings: Settings) -> str:
    limit = settings.key_per_minute if key.per_minute is None else key.per_minute
    return f"{limit} a minute" if limit else "no limit"


def _when(ms: int | None) -> str:
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
