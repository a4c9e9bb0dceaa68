"""Every block of the cookbook runs as it stands, on simulated venues."""

import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from rests import Asker, asking
from worlds import NOW, world

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.mcp import build_server

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cookbook.md"
TEXT = PAGE.read_text("utf-8")
RECIPES = re.split(r"^## ", TEXT, flags=re.MULTILINE)
BASE = "http://127.0.0.1:8787"


def blocks(language: str) -> list[Any]:
    """The blocks of a language, each named by its recipe."""
    numbers = count()
    return [
        pytest.param(block, id=f"{recipe.split(chr(10), 1)[0].split('.')[0][:12]}-{next(numbers)}")
        for recipe in RECIPES
        for block in re.findall(rf"^```{language}\n(.*?)^```$", recipe, re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[Asker]:
    """One simulated world over HTTP for all recipes; its streams say bye after a second."""
    with asking(anon_per_minute=0, stream_seconds=1.0) as asker:
        yield asker


def test_every_recipe_has_all_three() -> None:
    """A dozen questions at least, each through MCP, REST and Python."""
    recipes = RECIPES[1:]
    assert len(recipes) >= 12
    for recipe in recipes:
        languages = set(re.findall(r"^```(\w+)$", recipe, re.MULTILINE))
        assert {"json", "sh", "python"} == languages, recipe[:40]


@pytest.mark.anyio
async def test_tool_calls_are_answered() -> None:
    """What a model sends: a name and arguments; data comes back, whole."""
    calls = [json.loads(block.values[0]) for block in blocks("json")]
    async with world() as app, Client(build_server(app)) as client:
        for call in calls:
            assert {"name", "arguments"} == set(call)
            result = await client.call_tool(call["name"], call["arguments"])
            assert not result.is_error, result.content
            assert result.structured_content is not None
            assert result.structured_content["data"] or call["name"].startswith("watch_")
    assert {call["name"] for call in calls} <= set(endpoints())


def test_what_was_paid_is_asked_as_such() -> None:
    """Samples every ten minutes, once there are enough, would be added up as if they were paid."""
    asked = [
        block.values[0]
        for language in ("json", "sh", "python")
        for block in blocks(language)
        if re.search(r"get_funding_history|funding/history", block.values[0])
    ]
    assert 3 == len(asked)
    assert [] == [one for one in asked if "settled" not in one]


@pytest.mark.parametrize("block", blocks("sh"))
def test_curl_lines_are_answered(block: str, server: Asker) -> None:
    """Each line is one GET of our own server: 200, with data, nothing missing."""
    for line in block.splitlines():
        found = re.fullmatch(rf'curl (-N )?"{re.escape(BASE)}(/[^"]+)"', line)
        assert found is not None, line
        answer = server.get(found[2])
        assert 200 == answer.status_code, answer.text
        if found[1]:
            assert "event: bye" in answer.text
            continue
        assert answer.json()["data"]
        assert answer.json()["meta"]["partial"] is False


@pytest.mark.parametrize("block", blocks("python"))
def test_scripts_run(
    block: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand; only the environment says that the venues are simulated."""
    monkeypatch.setenv("MMFLOW_SOURCE", "sim")
    monkeypatch.setenv("MMFLOW_NOW", str(NOW))
    exec(compile(block, str(PAGE), "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page
    said = capsys.readouterr().out
    assert said.strip()
    assert "None" not in said
