"""Where history is kept: from a text to a store, or a sentence that says what fits."""

import subprocess
import sys
from pathlib import Path

import pytest
from servers import RedisProcess
from stores import NOW, OI, batch, sampled

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import BadQuestion, StoreMismatch
from mmflow_mcp.fleet.lease import FileLease, OwnLease, RedisLease
from mmflow_mcp.series.places import open_lease, open_store, place_of

ROOT = Path(__file__).resolve().parents[1]
DATA = Path("data")
CLOCK = FixedClock(NOW)


@pytest.mark.parametrize(
    ("text", "kind", "folder", "expected"),
    [
        ("", "live", DATA, ("sqlite", DATA / "history.sqlite")),
        ("", "live", None, ("memory", None)),
        ("", "sim", DATA, ("memory", None)),
        ("", "replay", DATA, ("memory", None)),
        ("memory", "live", DATA, ("memory", None)),
        ("sqlite:h.db", "sim", DATA, ("sqlite", Path("h.db"))),
        ("sqlite:C:/data/h.db", "live", None, ("sqlite", Path("C:/data/h.db"))),
        ("redis://localhost:6379/1", "live", DATA, ("redis", None)),
        ("rediss://:pw@db.test", "sim", None, ("redis", None)),
    ],
)
def test_a_text_names_a_place(
    text: str, kind: str, folder: Path | None, expected: tuple[str, Path | None]
) -> None:
    """By default live history is a file of the user, and everything else stays in memory."""
    assert expected == place_of(text, kind, folder)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite",
        "sqlite:",
        "sqlite::memory:",
        "Memory",
        "memory:x",
        "postgres://h/db",
        "h.db",
        "redis",
    ],
)
def test_a_text_that_names_none_says_what_fits(text: str) -> None:
    """The caller's own mistake, with the ways to put it right."""
    with pytest.raises(BadQuestion, match=r"Fits: sqlite:PATH, redis://.* or memory") as told:
        open_store(text, "live", DATA, clock=CLOCK)
    assert "store" == told.value.argument


def test_a_misspelt_address_is_not_repeated() -> None:
    """It may hold a password."""
    with pytest.raises(BadQuestion) as told:
        open_store("reddis://:s3cret@db.test", "live", DATA, clock=CLOCK)
    assert "s3cret" not in str(told.value)


@pytest.mark.anyio
async def test_a_named_file_keeps_its_kind(tmp_path: Path) -> None:
    """A simulation may have a file of its own, and then it is no place for live history."""
    text = f"sqlite:{tmp_path / 'h.sqlite'}"
    sim = open_store(text, "sim", None, clock=CLOCK)
    await sim.write([batch(sampled([1.0]))])
    await sim.close()
    live = open_store(text, "live", None, clock=CLOCK)
    with pytest.raises(StoreMismatch):
        await live.read(OI)
    with pytest.raises(StoreMismatch):
        await live.write([batch(sampled([1.0]))])
    await live.close()


@pytest.mark.anyio
async def test_every_sort_of_store_opens(tmp_path: Path, redis_server: RedisProcess) -> None:
    """And keeps what is written to it, under a name that says where."""
    names = []
    for text in ("", "memory", redis_server.url):
        store = open_store(text, "live", tmp_path, clock=CLOCK)
        await store.write([batch(sampled([1.0]))])
        assert sampled([1.0]) == await store.read(OI)
        await store.delete(OI)
        names.append(store.name)
        await store.close()
    assert [f"sqlite:{tmp_path / 'history.sqlite'}", "memory", redis_server.url] == names


def test_every_sort_of_store_has_its_lease(tmp_path: Path) -> None:
    """Beside a file another file, in a server a key, and in memory there is nobody else."""
    texts = ("", "memory", "redis://localhost")
    leases = [open_lease(t, "live", tmp_path, "sampler", lifetime_ms=60_000) for t in texts]
    assert [FileLease, OwnLease, RedisLease] == [type(lease) for lease in leases]
    assert [] == list(tmp_path.iterdir())


def test_naming_a_store_loads_no_database() -> None:
    """sqlite3 and redis load when a store of that sort is opened, not with the contract."""
    code = (
        "import sys\n"
        "import mmflow_mcp.series.places, mmflow_mcp.series.store, mmflow_mcp.series.memory\n"
        "print(sorted({'sqlite3', 'redis', 'mmflow_mcp.fleet.redis'} & set(sys.modules)))\n"
        "import mmflow_mcp.fleet.lease\n"
        "print(sorted({'sqlite3', 'redis'} & set(sys.modules)))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ["[]", "[]"] == out.stdout.split("\n")[:2]
