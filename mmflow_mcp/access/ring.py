"""The keys as a running server holds them: read anew every two seconds while keys are shown.

So a key that was made or revoked elsewhere counts within seconds, and a question waits for no
disk and no server. When the keys cannot be read, the last copy serves for a while: ten seconds
where a key is required, longer where it only raises a quota. Never read: a key is refused as one
that cannot be checked.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

import anyio

from mmflow_mcp.access.keys import Key, id_of, is_whole, matches
from mmflow_mcp.access.store import KeyStore
from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import KeyRefused, StoreAway, StoreError

log = logging.getLogger("mmflow_mcp")

REFRESH_SECONDS = 2.0
TRUSTED_SECONDS = 10.0
PATIENCE_SECONDS = 1.0
# How exactly `last used` is known.
USED_MS = 60_000

Soon = Callable[..., None]


class KeyRing:
    """Finds the key that a text is. `required`: whoever has none is turned away.

    `soon` runs a coroutine function in the background; `store` None: there is no place for keys.
    """

    def __init__(self, store: KeyStore | None, clock: Clock, soon: Soon, *, required: bool) -> None:
        self._store = store
        self._clock = clock
        self._soon = soon
        self._required = required
        self._lock = anyio.Lock()
        self._keys: dict[str, Key] = {}
        self._read_at: float | None = None
        self._next_read = 0.0
        self._noted: dict[str, int] = {}
        self.away = False

    async def find(self, text: str) -> Key:
        """The key. Raises `KeyRefused` for what is none, `StoreAway` when nobody can tell."""
        if not is_whole(text):
            raise KeyRefused("This is no key of mmflow-mcp: its checksum is wrong. Is it whole?")
        await self._refresh()
        key = self._keys.get(id_of(text))
        if not matches(text, key) or key is None:
            raise KeyRefused("This key is not known here.")
        if key.revoked is not None:
            raise KeyRefused("This key has been revoked.")
        self._note(key)
        return key

    async def check(self) -> None:
        """Raise `StoreAway` when no key could be judged now."""
        if self._store is None:
            raise StoreAway("There is no place for keys: no data folder.")
        if self._read_at is None or self._clock.monotonic() - self._read_at > TRUSTED_SECONDS:
            await self._refresh()
        else:
            # The copy would serve: that is not waited for.
            self._soon(self._renew)

    async def _renew(self) -> None:
        with suppress(StoreError):
            await self._refresh()

    async def _refresh(self) -> None:
        """Read the keys when the copy is old; one does so for all who wait."""
        if self._store is None:
            return
        if self._clock.monotonic() >= self._next_read or self._read_at is None:
            async with self._lock:
                if self._clock.monotonic() >= self._next_read:
                    await self._read(self._store)
        if self._read_at is None:
            raise StoreAway("The keys cannot be read now.")
        if self._required and self._clock.monotonic() - self._read_at > TRUSTED_SECONDS:
            raise StoreAway("The keys cannot be read now.")

    async def _read(self, store: KeyStore) -> None:
        began = self._clock.monotonic()
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                keys = await store.keys()
        except (StoreError, TimeoutError) as error:
            self._next_read = self._clock.monotonic() + REFRESH_SECONDS / 2
            if not self.away:
                why = str(error) or f"{store.name} does not answer in time"
                log.warning("the keys cannot be read: %s", why)
            self.away = True
            return
        if self.away:
            log.warning("the keys can be read again")
        self.away = False
        self._keys = {key.id: key for key in keys}
        # When reading began: what was revoked meanwhile may be missing.
        self._read_at = began
        self._next_read = began + REFRESH_SECONDS

    def _note(self, key: Key) -> None:
        """Have it stored that the key is used, once a minute."""
        now = self._clock.now_ms()
        if now - max(self._noted.get(key.id, 0), key.used or 0) >= USED_MS:
            self._noted[key.id] = now
            self._soon(self._store_used, key.id, now)

    async def _store_used(self, key_id: str, at_ms: int) -> None:
        if self._store is not None:
            try:
                await self._store.used(key_id, at_ms)
            except StoreError as error:
                log.info("when key %s was used cannot be noted: %s", key_id, error)

    async def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            await self._store.close()
