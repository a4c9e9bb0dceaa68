"""The shelf: the last good answers of sources that stand alone outlive the process."""

import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import HOST, NOW, Scripted, call, in_turn, request

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueTimeout,
)
from mmflow_mcp.upstream.budget import Meter, OverBudget
from mmflow_mcp.upstream.cache import CacheTransport
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.shelf import Shelf
from mmflow_mcp.upstream.wire import DAY, HOUR, Call, Wire, get

pytestmark = pytest.mark.anyio

JSON_BODY = '{"figure": 1.5, "name": "\u20bf"}'.encode()


def kept(path: str = "/daily", **how: Any) -> Call:
    """A call that is kept on disk for a day."""
    return call(path, **{"fresh": DAY, "keep_on_disk": True, **how})


def answer(body: bytes = JSON_BODY, form: str = "json") -> Any:
    """A good answer as the judge hands it up."""
    import httpx2

    doc = body.decode() if form == "text" else json.loads(body)
    return httpx2.Response(200, content=body, extensions={"doc": doc})


class Run:
    """One run of the program over a folder: a cache, a shelf, a clock."""

    def __init__(self, inner: Scripted, tasks: Any, folder: Path | None, **how: Any) -> None:
        self.inner = inner
        self.clock: FixedClock = how.pop("clock", None) or FixedClock(NOW)
        kind = how.pop("kind", "live")
        self.cache = CacheTransport(
            inner,
            clock=self.clock,
            tasks=tasks,
            max_bytes=1_000_000,
            flight_seconds=10.0,
            shelf=Shelf(folder, kind=kind, clock=self.clock),
        )

    async def ask(self, asked: Call) -> tuple[Wire, str | None]:
        """The wire of an answer, and why it is stale."""
        response = await self.cache.handle_async_request(request(asked))
        return response.extensions["wire"], response.extensions["stale"]


@asynccontextmanager
async def run(inner: Scripted, folder: Path | None, **how: Any) -> AsyncIterator[Run]:
    """A run that ends with the block."""
    async with anyio.create_task_group() as tasks:
        yield Run(inner, tasks, folder, **how)
        tasks.cancel_scope.cancel()


def later(seconds: float) -> FixedClock:
    """The clock of a process that starts some seconds after NOW."""
    return FixedClock(NOW + round(seconds * 1000))


def files(folder: Path, ending: str = "json") -> list[Path]:
    """What lies in the folder."""
    return sorted(folder.glob(f"*.{ending}"))


def allow(folder: Path, mode: int) -> None:
    """Who may write there."""
    folder.chmod(mode)


class TestARestart:
    """What one run has read, the next one knows."""

    async def test_a_fresh_copy_costs_no_request(self, tmp_path: Path) -> None:
        """Read three hours ago, fresh for a day; the time of reading stays."""
        async with run(in_turn(answer()), tmp_path) as one:
            await one.ask(kept())
        async with run(in_turn(VenueTimeout("x")), tmp_path, clock=later(3 * HOUR)) as two:
            wire, stale = await two.ask(kept())
            assert ({"figure": 1.5, "name": "\u20bf"}, NOW, None) == (
                wire.doc,
                wire.fetched_at,
                stale,
            )
            assert [] == two.inner.asked
            assert pytest.approx(3 * HOUR) == two.clock.monotonic() - wire.read
            # It grows old as if it had been read here.
            two.clock.advance(22 * HOUR)
            _, stale = await two.ask(kept())
            assert (1, "x") == (len(two.inner.asked), stale)

    async def test_an_old_copy_stands_in_with_its_age(self, tmp_path: Path) -> None:
        """However old: its age is told."""
        async with run(in_turn(answer()), tmp_path) as one:
            await one.ask(kept())
        down = in_turn(VenueRefused("refused: no connection could be made"))
        async with run(down, tmp_path, clock=later(40 * DAY)) as two:
            wire, stale = await two.ask(kept())
            assert ("refused: no connection could be made", NOW) == (stale, wire.fetched_at)
            assert pytest.approx(40 * DAY) == two.clock.monotonic() - wire.read

    async def test_without_a_copy_the_failure_stands(self, tmp_path: Path) -> None:
        """None: an error."""
        async with run(in_turn(VenueTimeout("timeout: x")), tmp_path) as one:
            with pytest.raises(VenueTimeout):
                await one.ask(kept())

    async def test_a_newer_answer_replaces_the_old(self, tmp_path: Path) -> None:
        """One file per call, whole at every moment, readable by its owner alone."""
        async with run(in_turn(answer(b'{"n":1}'), answer(b'{"n":2}')), tmp_path) as one:
            await one.ask(kept())
            one.clock.advance(DAY + 1)
            await one.ask(kept())
            await one.ask(kept("/other"))
        assert (2, []) == (len(files(tmp_path)), files(tmp_path, "part"))
        assert all(path.name.startswith(HOST) for path in files(tmp_path))
        if sys.platform != "win32":
            assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)}
        async with run(in_turn(VenueTimeout("x")), tmp_path, clock=later(2 * DAY)) as two:
            wire, _ = await two.ask(kept())
        assert {"n": 2} == wire.doc

    async def test_text_is_kept_as_text(self, tmp_path: Path) -> None:
        """A page comes back as it was."""
        page = "<table><tr><td>\u20ac 1</td></tr></table>"
        async with run(in_turn(answer(page.encode(), "text")), tmp_path) as one:
            await one.ask(kept(form="text"))
        async with run(in_turn(VenueTimeout("x")), tmp_path) as two:
            wire, _ = await two.ask(kept(form="text"))
        assert page == wire.doc

    async def test_another_process_may_have_refreshed_it(self, tmp_path: Path) -> None:
        """Before asking, what lies there now is looked at."""
        clock = FixedClock(NOW)
        async with (
            run(in_turn(answer(b'{"n":1}')), tmp_path, clock=clock) as one,
            run(in_turn(answer(b'{"n":2}')), tmp_path, clock=clock) as two,
        ):
            await one.ask(kept())
            clock.advance(DAY + 1)
            await two.ask(kept())
            wire, stale = await one.ask(kept())
        assert ({"n": 2}, None, 1) == (wire.doc, stale, len(one.inner.asked))

    async def test_calls_that_did_not_ask_for_it_are_not_kept(self, tmp_path: Path) -> None:
        """A price of yesterday is no price."""
        async with run(in_turn(answer()), tmp_path) as one:
            await one.ask(call())
        assert [] == files(tmp_path, "*")


class TestOnlyGoodAnswers:
    """What the reader of a call refuses is no answer."""

    async def test_a_document_that_is_refused_leaves_the_old_one(self, tmp_path: Path) -> None:
        """The source has changed its format: the copy before it stands in, here and later."""

        def figure(wire: Wire) -> float:
            return float(wire.doc["figure"])

        asked = kept(check=figure)
        good, odd = answer(b'{"figure":1}'), answer(b'{"other":1}')
        async with run(in_turn(good, odd), tmp_path) as one:
            await one.ask(asked)
            one.clock.advance(DAY + 1)
            wire, stale = await one.ask(asked)
            assert {"figure": 1} == wire.doc
            assert stale == "changed: the answer is not in the documented shape (KeyError)"
        async with run(in_turn(VenueTimeout("x")), tmp_path) as two:
            wire, _ = await two.ask(asked)
        assert {"figure": 1} == wire.doc

    async def test_a_check_that_raises_ours_says_it_itself(self, tmp_path: Path) -> None:
        """A block that only the parser sees is a block."""

        def blocked(wire: Wire) -> None:
            raise VenueBlocked("blocked: no table")

        async with run(in_turn(answer()), tmp_path) as one:
            with pytest.raises(VenueBlocked, match="no table"):
                await one.ask(kept(check=blocked))
        assert [] == files(tmp_path)

    async def test_what_was_checked_is_parsed_once(self, tmp_path: Path) -> None:
        """Large documents in a worker thread, small ones at once; either way memoised."""
        seen: list[int] = []

        def count(wire: Wire) -> int:
            seen.append(1)
            return len(wire.doc)

        for body in (b'"x"', b'"' + b"x" * 200_000 + b'"'):
            seen.clear()
            async with run(in_turn(answer(body)), None) as one:
                wire, _ = await one.ask(call(check=count))
                assert len(body) - 2 == wire.parsed(count)
            assert [1] == seen

    async def test_a_copy_that_todays_reader_refuses_is_no_copy(self, tmp_path: Path) -> None:
        """A newer version reads it differently."""
        async with run(in_turn(answer(b'{"n":1}')), tmp_path) as one:
            await one.ask(kept())

        def figure(wire: Wire) -> float:
            return float(wire.doc["figure"])

        async with run(in_turn(VenueTimeout("timeout: x")), tmp_path) as two:
            with pytest.raises(VenueTimeout):
                await two.ask(kept(check=figure))


class TestKinds:
    """Live, simulated and replayed answers never mix."""

    @pytest.mark.parametrize("kind", ["sim", "replay"])
    async def test_only_live_answers_are_written(self, kind: str, tmp_path: Path) -> None:
        """The others stay in memory, where they do stand in."""
        inner = in_turn(answer(), VenueTimeout("timeout: x"))
        async with run(inner, tmp_path, kind=kind) as one:
            await one.ask(kept())
            one.clock.advance(DAY + 1)
            wire, stale = await one.ask(kept())
        assert ("timeout: x", 1.5) == (stale, wire.doc["figure"])
        assert [] == files(tmp_path, "*")

    @pytest.mark.parametrize("member", ["kind", "url"])
    async def test_a_file_of_another_kind_or_call_is_not_read(
        self, member: str, tmp_path: Path
    ) -> None:
        """Every file says what it is."""
        async with run(in_turn(answer()), tmp_path) as one:
            await one.ask(kept())
        (path,) = files(tmp_path)
        record = json.loads(path.read_text("utf-8"))
        assert ("live", kept().url) == (record["kind"], record["url"])
        path.write_text(json.dumps({**record, member: "sim"}), "utf-8")
        async with run(in_turn(VenueTimeout("timeout: x")), tmp_path) as two:
            with pytest.raises(VenueTimeout):
                await two.ask(kept())


class TestBadFolders:
    """A folder that cannot be used is no error: memory is left."""

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b'{"kind":"live"}', b"\xff\xfe", b'{"body":1,"readAt":"x"}'],
    )
    async def test_a_damaged_file_is_no_copy(self, content: bytes, tmp_path: Path) -> None:
        """And it is replaced by the next good answer."""
        async with run(in_turn(answer()), tmp_path) as one:
            await one.ask(kept())
        (path,) = files(tmp_path)
        whole = json.loads(path.read_text("utf-8"))
        if content.startswith(b'{"body"'):
            content = json.dumps({**whole, **json.loads(content)}).encode()
        path.write_bytes(content)
        async with run(in_turn(answer(b'{"n":3}')), tmp_path) as two:
            wire, _ = await two.ask(kept())
        assert ({"n": 3}, "live") == (wire.doc, json.loads(path.read_text("utf-8"))["kind"])

    async def test_a_file_in_place_of_the_folder_leaves_memory(self, tmp_path: Path) -> None:
        """Answers come and stand in as ever."""
        place = tmp_path / "taken"
        place.write_text("x")
        inner = in_turn(answer(), VenueTimeout("timeout: x"))
        async with run(inner, place / "last-good") as one:
            await one.ask(kept())
            one.clock.advance(DAY + 1)
            _, stale = await one.ask(kept())
        assert "timeout: x" == stale

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
    async def test_a_folder_without_permission_leaves_memory(self, tmp_path: Path) -> None:
        """The same."""
        allow(tmp_path, 0o500)
        async with run(in_turn(answer()), tmp_path / "x") as one:
            wire, _ = await one.ask(kept())
        allow(tmp_path, 0o700)
        assert 1.5 == wire.doc["figure"]

    async def test_a_copy_from_the_future_is_not_fresh(self, tmp_path: Path) -> None:
        """Written while the clock was ahead: it stands in, and is asked anew."""
        async with run(in_turn(answer(b'{"n":1}')), tmp_path, clock=later(400 * DAY)) as one:
            await one.ask(kept())
        async with run(in_turn(answer(b'{"n":2}')), tmp_path) as two:
            wire, _ = await two.ask(kept())
        assert {"n": 2} == wire.doc


class TestRefusals:
    """A source that has refused is left alone for the patience of the call."""

    @pytest.mark.parametrize(
        "error",
        [VenueBlocked("blocked: http 403"), VenueChanged("changed: x"), VenueHttp(404)],
    )
    async def test_it_is_remembered_here_and_by_the_next_run(
        self, error: VenueError, tmp_path: Path
    ) -> None:
        """One request in four hours, whoever asks; then it is asked again."""
        asked = kept(patience=4 * HOUR)
        async with run(in_turn(error), tmp_path) as one:
            for _ in range(3):
                with pytest.raises(VenueError, match=error.reason):
                    await one.ask(asked)
            assert 1 == len(one.inner.asked)
        async with run(in_turn(answer()), tmp_path, clock=later(3 * HOUR)) as two:
            with pytest.raises(VenueError, match=error.reason):
                await two.ask(asked)
            assert [] == two.inner.asked
            two.clock.advance(HOUR + 1)
            wire, _ = await two.ask(asked)
        assert (1.5, []) == (wire.doc["figure"], files(tmp_path, "refused"))

    async def test_a_limit_that_names_a_longer_pause_is_obeyed(self, tmp_path: Path) -> None:
        """Six hours, although the call has patience for one."""
        limit = VenueRateLimited(429, retry_after=6 * HOUR)
        async with run(in_turn(limit), tmp_path) as one:
            with pytest.raises(VenueRateLimited):
                await one.ask(kept(patience=HOUR))
        async with run(in_turn(answer()), tmp_path, clock=later(5 * HOUR)) as two:
            with pytest.raises(VenueError, match="http 429"):
                await two.ask(kept(patience=HOUR))

    @pytest.mark.parametrize(
        "error", [VenueTimeout("timeout: x"), VenueRefused("refused: x"), VenueHttp(503)]
    )
    async def test_a_broken_connection_is_not(self, error: VenueError, tmp_path: Path) -> None:
        """The next question may find it mended."""
        async with run(in_turn(error, answer()), tmp_path) as one:
            with pytest.raises(type(error)):
                await one.ask(kept(patience=HOUR))
            wire, _ = await one.ask(kept(patience=HOUR))
        assert 1.5 == wire.doc["figure"]

    async def test_an_old_copy_stands_in_meanwhile(self, tmp_path: Path) -> None:
        """With the reason of the refusal."""
        inner = in_turn(answer(), VenueBlocked("blocked: http 403"))
        async with run(inner, tmp_path) as one:
            await one.ask(kept(patience=HOUR))
            one.clock.advance(DAY + 1)
            said = [(await one.ask(kept(patience=HOUR)))[1] for _ in range(3)]
        assert (["blocked: http 403"] * 3, 2) == (said, len(one.inner.asked))


async def test_fifteen_calls_a_day_and_eight_an_hour_across_restarts(tmp_path: Path) -> None:
    """Five daily figures of a source that refuses, asked every half hour by ever new processes."""
    meters = (Meter((HOST,), 8, 3600), Meter((HOST,), 15, 86_400))
    calls = [
        get(
            f"https://{HOST}/v1/{n}",
            fresh=DAY,
            keep_on_disk=True,
            patience=8 * HOUR,
            label=str(n),
        )
        for n in range(5)
    ]
    sent: list[float] = []
    for half_hour in range(48):
        clock = later(half_hour * 1800)
        at = half_hour * 1800.0

        def answering(_: Any, at: float = at) -> Any:
            import httpx2

            sent.append(at)
            return httpx2.Response(404, content=b"{}")

        async with anyio.create_task_group() as tasks:
            upstream = Upstream(
                Scripted(answering),
                kind="live",
                clock=clock,
                tasks=tasks,
                meters=meters,
                shelf=Shelf(tmp_path, kind="live", clock=clock),
            )
            for one in calls:
                with pytest.raises((VenueError, OverBudget)):
                    await upstream.fetch(one, clock.monotonic() + 8)
            await upstream.aclose()
            tasks.cancel_scope.cancel()
    assert 15 == len(sent)
    assert max(sum(at <= s < at + 3600 for s in sent) for at in sent) <= 8
