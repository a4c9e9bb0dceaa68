"""The log: text or JSON on stderr, a line for each request, and never a secret in it."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rests import client_of
from test_surfaces_processes import ENVIRONMENT
from worlds import world

from mmflow_mcp.access.keys import make_key
from mmflow_mcp.access.sqlite_keys import SqliteKeys
from mmflow_mcp.access.store import FILE
from mmflow_mcp.surfaces.logs import GONE, REQUEST, Lines, Objects, one_line, redacted

# Of the form of one, and the same in every process that collects these tests.
KEY = "mmf_" + "0OPO8TV7" + "TpoKoOiOfx5WPp2Ndw5S8y4LcA3WeRLH8a0OBLikK97" + "thNvJ0"
FORMS = pytest.mark.parametrize("form", [Lines(), Objects()], ids=["text", "json"])


def written(form: logging.Formatter, message: str, *args: Any, **extra: Any) -> str:
    """A record as it is written, with the exception that is being handled."""
    raised = sys.exc_info()
    told = None if raised[0] is None else raised
    record = logging.LogRecord("mmflow_mcp", logging.ERROR, "f.py", 1, message, args, told)
    record.__dict__.update(extra)
    return form.format(record)


class TestSecrets:
    """In messages, arguments, tracebacks and members, in either form."""

    @FORMS
    @pytest.mark.parametrize(
        "said,secret,kept",
        [
            (f"the key {KEY} is new", KEY, "the key mmf_"),
            (f"cut: {KEY[:30]}", KEY[4:30], "cut: mmf_"),
            (f"Authorization: Bearer {KEY}", KEY, "Authorization: Bearer"),
            ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "authorization=Basic"),
            ("{'x-api-key': 'other-secret-1'}", "other-secret-1", "x-api-key"),
            ("[(b'authorization', b'Bearer abc.def-1')]", "abc.def-1", "authorization"),
            ("sent Bearer eyJhbGciOi.J9.abc_def", "eyJhbGciOi", "sent Bearer"),
            ("api_key=abcdef1 and more", "abcdef1", "and more"),
            ("at redis://user:pa55@host:6379/0 now", "pa55", "host:6379/0 now"),
            ("at redis://:p@5/5w@host:6379/0", "p@5", "host:6379/0"),
            ("session ID: 39791dece65641d7a678bb33e00582c6.", "c65641d7", "session ID: 39791dec"),
            ("via http://tok3n@proxy:8080", "tok3n", "proxy:8080"),
        ],
        ids=str,
    )
    def test_are_taken_out(
        self, form: logging.Formatter, said: str, secret: str, kept: str
    ) -> None:
        """What is around them stays, so that the line still tells something."""
        for text in (written(form, said), written(form, "%s!", said)):
            assert (False, True, True) == (secret in text, kept in text, GONE in text)
        assert secret not in written(form, "x", path=said)
        try:
            raise ValueError(said)
        except ValueError:
            text = written(form, "failed")
        assert secret not in text
        assert "Traceback" in text
        assert kept in text

    @pytest.mark.parametrize(
        "said",
        [
            "okx answered http 503: the venue asks for fewer requests",
            "Authorization must be a Bearer with a key",
            "GET https://api.bybit.com/v5/market/tickers?category=linear 200",
            "mail me@example.org",
        ],
    )
    def test_what_is_none_stays(self, said: str) -> None:
        """A log that hides everything tells nothing."""
        assert said == redacted(said)


class TestForms:
    """Lines and objects."""

    def test_nobody_writes_lines_of_ours(self) -> None:
        """Control characters of a message are told, not obeyed; a traceback keeps its lines."""
        assert "ERROR mmflow_mcp: a\\nERROR b\\x1b[2J" == written(Lines(), "a\nERROR b\x1b[2J")
        assert "\\r\\t\\x00" == one_line("\r\t\0")

    def test_an_object_has_time_level_logger_message_and_members(self) -> None:
        """And the request that it belongs to; the exception as text."""
        token = REQUEST.set("abc")
        try:
            raise LookupError("odd")
        except LookupError:
            told = json.loads(written(Objects(), "%s failed", "x", venue="okx", status=3))
        finally:
            REQUEST.reset(token)
        error = told.pop("exception")
        assert error.endswith("LookupError: odd")
        assert "1970" < told.pop("time")[:4]
        assert {
            "level": "ERROR",
            "logger": "mmflow_mcp",
            "message": "x failed",
            "request": "abc",
            "venue": "okx",
            "status": 3,
        } == told
        assert "request" not in json.loads(written(Objects(), "x"))

    def test_what_is_no_json_is_told_as_text(self) -> None:
        """A log line must not fail."""
        assert "('a', 'b')" != json.loads(written(Objects(), "x", path=Path("/a")))["path"]


@pytest.mark.anyio
async def test_every_request_has_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Method, path without query, status, time, and who: anonymous or the id of a key."""
    caplog.set_level(logging.INFO, "mmflow_mcp")
    key, stored = make_key("test", 1_789_434_000_000)
    keys = SqliteKeys(tmp_path / FILE)
    await keys.add(stored)
    await keys.close()
    async with world(data=str(tmp_path)) as app, client_of(app) as client:
        await client.get("/api/v1/perps/oi?coins=BTC&venues=bybit&secret=1")
        await client.get("/api/v1/perps/oi?venues=bybit", headers={"x-api-key": key})
        await client.head("/healthz", headers={"host": "evil.example"})
        await client.get("/healthz")
        await client.get("/no%0Asuch", headers={"x-api-key": key[:-1] + "-"})
    found = [r for r in caplog.records if r.name == "mmflow_mcp.access"]
    told = [(r.__dict__["method"], r.__dict__["path"], r.__dict__["status"]) for r in found]
    assert [
        ("GET", "/api/v1/perps/oi", 400),
        ("GET", "/api/v1/perps/oi", 200),
        ("HEAD", "/healthz", 421),
        ("GET", "/no\nsuch", 401),
    ] == told
    callers = ["anonymous", f"key:{stored.id}", "anonymous", "anonymous"]
    assert callers == [r.__dict__["caller"] for r in found]
    assert all(0 <= r.__dict__["ms"] < 60_000 for r in found)
    text = [Lines().format(record) for record in found]
    assert "INFO mmflow_mcp.access: GET /no\\nsuch 401" in text[3]
    assert not [line for line in text if "secret" in line or key in line or "127.0.0.1" in line]


@pytest.mark.anyio
async def test_without_info_there_are_none(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing stands in the way of a request."""
    with caplog.at_level(logging.WARNING, "mmflow_mcp"):
        async with world() as app, client_of(app) as client:
            await client.get("/healthz")
    assert [] == [r for r in caplog.records if r.name == "mmflow_mcp.access"]


def test_a_process_logs_objects() -> None:
    """Every line at full volume is JSON, of libraries too; stdout is untouched."""
    code = (
        "import logging\n"
        "from mmflow_mcp.settings import from_environment\n"
        "from mmflow_mcp.surfaces import logs\n"
        "logs.set_up(from_environment())\n"
        "logging.getLogger('uvicorn.error').warning('a\\nb')\n"
        "logging.getLogger('httpx2').info('hidden')\n"
        "logging.getLogger('x').debug('Bearer %s', 'abcdefghijkl')\n"
    )
    given = {**ENVIRONMENT, "MMFLOW_LOG": "debug", "MMFLOW_LOG_FORMAT": "json"}
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=given,
    )
    told = [json.loads(line)["message"] for line in child.stderr.splitlines()]
    assert ["a\nb", f"Bearer {GONE}"] == told
    assert "" == child.stdout
