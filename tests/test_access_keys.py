"""API keys: their text, what is stored of them, the places they are kept in."""

import ast
import inspect
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from servers import RedisProcess

from mmflow_mcp.access import keys as module
from mmflow_mcp.access.keys import ALPHABET, LENGTH, PREFIX, digest_of, is_whole, make_key, matches
from mmflow_mcp.access.redis_keys import KEYS, REVOKED, USED
from mmflow_mcp.access.sqlite_keys import SqliteKeys
from mmflow_mcp.access.store import FILE, KeyStore, open_keys
from mmflow_mcp.errors import BadQuestion, StoreError, StoreMismatch
from mmflow_mcp.fleet.redis import RedisServer

pytestmark = pytest.mark.anyio

NOW = 1_789_434_000_000


class TestTheText:
    """mmf_, an id, a secret, a checksum."""

    def test_a_key_is_long_and_never_the_same(self) -> None:
        """43 letters of 62 are 256 bits; nothing of them is in what is stored."""
        made = [make_key("a", NOW) for _ in range(50)]
        assert 50 == len({text for text, _ in made})
        for text, key in made:
            assert (LENGTH, True) == (len(text), text.startswith(PREFIX))
            assert is_whole(text)
            assert text[4:12] == key.id
            assert text[12:] not in repr(key)
            assert digest_of(text) == key.digest
        assert 62**43 > 2**256

    def test_every_typo_is_told_by_the_checksum(self) -> None:
        """Any one letter changed, two neighbours swapped, one lost or one more."""
        text, _ = make_key("a", NOW)
        for i in range(LENGTH):
            other = ALPHABET[(ALPHABET.find(text[i]) + 7) % 62]
            assert not is_whole(text[:i] + other + text[i + 1 :])
            assert not is_whole(text[:i] + text[i + 1 :])
            assert not is_whole(text[:i] + "x" + text[i:])
        for i in range(4, LENGTH - 7):
            if text[i] != text[i + 1]:
                assert not is_whole(text[:i] + text[i + 1] + text[i] + text[i + 2 :])

    @pytest.mark.parametrize("text", ["", "mmf_", "Bearer", "é" * LENGTH, "x" * 100_000])
    def test_what_is_no_key_is_none(self, text: str) -> None:
        """Without an error, whatever it is."""
        assert not is_whole(text)

    def test_only_the_very_key_matches(self) -> None:
        """Not another, and not the absence of one."""
        text, key = make_key("a", NOW)
        other, _ = make_key("b", NOW)
        assert matches(text, key)
        assert not matches(other, key)
        assert not matches(text, None)

    def test_digests_are_compared_in_constant_time(self) -> None:
        """By hmac.compare_digest, for an unknown id as well; nothing else compares a digest."""
        called = [
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(inspect.getsource(matches)))
            if isinstance(node, ast.Call)
        ]
        assert "hmac.compare_digest" in called
        folder = Path(module.__file__).parent
        for path in (*folder.glob("*.py"), folder.parent / "surfaces" / "guarding.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Compare):
                    assert "digest" not in ast.unparse(node), path


@pytest.fixture(params=["sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyStore]:
    """An empty place of each sort."""
    where = ""
    if request.param == "redis":
        server: RedisProcess = request.getfixturevalue("redis_server")
        where = server.url
        clean = RedisServer(where)
        await clean.client.delete(KEYS, REVOKED, USED)
        await clean.close()
    found = open_keys(where, tmp_path)
    yield found
    await found.close()


class TestAPlaceForKeys:
    """The contract, in a file and in Redis alike."""

    async def test_it_keeps_what_it_was_given(self, store: KeyStore) -> None:
        """Oldest first, with names, quotas and times."""
        _, late = make_key("späte Nacht; DROP TABLE key", NOW + 1, 0)
        _, early = make_key("", NOW, 5)
        assert [] == await store.keys()
        await store.add(late)
        await store.add(early)
        assert [early, late] == await store.keys()

    async def test_what_is_stored_holds_no_key(self, store: KeyStore, tmp_path: Path) -> None:
        """Neither its text nor its secret."""
        text, key = make_key("a", NOW)
        await store.add(key)
        assert text[12:] not in repr(await store.keys())
        file = tmp_path / FILE
        assert not file.exists() or text[12:30].encode() not in file.read_bytes()

    async def test_a_key_is_revoked_once(self, store: KeyStore) -> None:
        """The first moment stays; an unknown id is told."""
        _, key = make_key("a", NOW)
        assert not await store.revoke(key.id, NOW)
        await store.add(key)
        assert await store.revoke(key.id, NOW + 5)
        assert await store.revoke(key.id, NOW + 9)
        assert not await store.revoke("nosuch", NOW)
        assert [NOW + 5] == [one.revoked for one in await store.keys()]

    async def test_last_used_never_steps_back(self, store: KeyStore) -> None:
        """Replicas note in any order."""
        _, key = make_key("a", NOW)
        await store.add(key)
        for at in (NOW + 50, NOW + 90, NOW + 70):
            await store.used(key.id, at)
        assert [NOW + 90] == [one.used for one in await store.keys()]

    async def test_an_id_is_kept_once(self, store: KeyStore) -> None:
        """A second key of the same id is refused, the first stays."""
        _, key = make_key("a", NOW)
        await store.add(key)
        with pytest.raises(StoreError):
            await store.add(key)
        assert [key] == await store.keys()


class TestTheFile:
    """keys.sqlite in the data folder."""

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
    async def test_only_its_owner_may_read_it(self, tmp_path: Path) -> None:
        """0600, even where the umask is open or the file was laxer before."""
        before = os.umask(0)
        try:
            place = open_keys("sqlite:elsewhere.sqlite", tmp_path / "new")
            await place.add(make_key("a", NOW)[1])
        finally:
            os.umask(before)
        path = tmp_path / "new" / FILE
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        path.chmod(0o644)
        await place.add(make_key("b", NOW)[1])
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)

    async def test_reading_makes_no_file(self, tmp_path: Path) -> None:
        """A server without keys leaves nothing behind."""
        place = SqliteKeys(tmp_path / FILE)
        assert [] == await place.keys()
        await place.used("x", NOW)
        assert not await place.revoke("x", NOW)
        assert not (tmp_path / FILE).exists()

    async def test_a_damaged_or_foreign_file_is_an_error(self, tmp_path: Path) -> None:
        """Never an empty list of keys, and never moved or overwritten."""
        damaged, foreign = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
        damaged.write_bytes(b"no database at all" * 300)
        with sqlite3.connect(foreign) as other:
            other.execute("CREATE TABLE key (id)")
        other.close()
        held = {path: path.read_bytes() for path in (damaged, foreign)}
        for path in held:
            with pytest.raises(StoreError):
                await SqliteKeys(path).keys()
            with pytest.raises(StoreError):
                await SqliteKeys(path).add(make_key("a", NOW)[1])
        assert held == {path: path.read_bytes() for path in held}

    async def test_an_emptied_file_is_an_error(self, tmp_path: Path) -> None:
        """It has held keys, or somebody made it: it is no list of none."""
        (tmp_path / FILE).touch()
        with pytest.raises(StoreMismatch):
            await SqliteKeys(tmp_path / FILE).keys()

    def test_without_a_folder_there_is_no_place(self) -> None:
        """And it says what would be one."""
        with pytest.raises(BadQuestion, match="redis://HOST"):
            open_keys("", None)
