"""A finished result holds exactly as long as what it was made of."""

import pytest
from mcp import Client
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.clock import FixedClock
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.remembered import MOST, Remembered

pytestmark = pytest.mark.anyio

QUESTION = {"coins": ["BTC"], "venues": ["okx", "bybit"]}


def test_a_result_ends_with_its_first_wire() -> None:
    """It is given until its time and not after; what has no time is not kept."""
    clock = FixedClock(0)
    known = Remembered(clock)
    known.keep("a", "answer", 5.0)
    known.keep("b", "failed", 0.0)
    assert ("answer", None) == (known.get("a"), known.get("b"))
    clock.advance(5.0)
    assert "answer" == known.get("a")
    clock.advance(0.001)
    assert known.get("a") is None


def test_the_least_recently_asked_leave_first() -> None:
    """The memory is bounded."""
    known = Remembered(FixedClock(0))
    for i in range(MOST + 10):
        known.keep(i, i, 1.0)
        known.get(0)
    assert known.get(0) == 0
    assert known.get(5) is None


def test_sizes_are_bounded_where_they_are_told() -> None:
    """What is kept adds up to the bound at most; what alone is over it is not kept."""
    known = Remembered(FixedClock(0), most=10, size=len)
    known.keep("a", b"123456", 1.0)
    known.keep("huge", b"12345678901", 1.0)
    assert (b"123456", None) == (known.get("a"), known.get("huge"))
    known.keep("b", b"12345", 1.0)
    assert (None, b"12345") == (known.get("a"), known.get("b"))


def fetched(app: App) -> int:
    """Requests that reached the simulated venues."""
    ledger = app.core().upstream.health
    return sum(health.requests for health in ledger.all())


async def test_a_repeated_question_is_the_same_answer_without_a_request() -> None:
    """Asked again while fresh, nothing is fetched, and it is the same to the letter."""
    async with world() as app, Client(build_server(app), cache=None) as client:
        first = await client.call_tool("get_funding", QUESTION)
        before = fetched(app)
        again = await client.call_tool("get_funding", QUESTION)
        assert before == fetched(app)
    assert first.structured_content == again.structured_content


async def test_a_partial_answer_is_not_remembered() -> None:
    """What failed may heal at any moment: the venue is asked again at the next question."""
    async with (
        world("okx:http=503,times=6") as app,
        Client(build_server(app), cache=None) as client,
    ):
        first = await client.call_tool("get_funding", QUESTION)
        again = await client.call_tool("get_funding", QUESTION)
    assert first.structured_content is not None
    assert again.structured_content is not None
    assert first.structured_content["meta"]["partial"] is True
    assert again.structured_content["meta"]["partial"] is False
    assert 2 == len(again.structured_content["data"]["rows"])
