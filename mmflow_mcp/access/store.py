"""Where keys are kept: one contract, and the place that the settings name for it."""

from pathlib import Path
from typing import Protocol

from mmflow_mcp.access.keys import Key
from mmflow_mcp.errors import BadQuestion

FILE = "keys.sqlite"


class KeyStore(Protocol):
    """Every method raises `StoreError` when the place cannot be read or written."""

    name: str

    async def keys(self) -> list[Key]:
        """Every key there is, the revoked ones too, oldest first; none where none was made."""
        ...

    async def add(self, key: Key) -> None:
        """Keep a new key."""
        ...

    async def revoke(self, key_id: str, at_ms: int) -> bool:
        """Revoke a key; the first time stays. False when there is no such key."""
        ...

    async def used(self, key_id: str, at_ms: int) -> None:
        """Note when a key was used; an earlier time than the one that is known is nothing."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def open_keys(store: str, folder: Path | None) -> KeyStore:
    """The keys of an installation: of a fleet in its Redis, else one file in the data folder.

    `store` is the setting. Nothing is connected or written yet. Raises `BadQuestion` where there
    is neither.
    """
    if store.partition(":")[0] in ("redis", "rediss"):
        from mmflow_mcp.access.redis_keys import RedisKeys  # noqa: PLC0415 - optional
        from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415

        return RedisKeys(RedisServer(store))
    if folder is None:
        raise BadQuestion(
            "MMFLOW_DATA", "there is no folder for keys.", fits="a folder, or --store redis://HOST"
        )
    from mmflow_mcp.access.sqlite_keys import SqliteKeys  # noqa: PLC0415 - when it is used

    return SqliteKeys(folder / FILE)
