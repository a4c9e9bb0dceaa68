"""Answers that are text: pages and tables pass, pages that keep programs out do not."""

from typing import Any

import anyio
import httpx2
import pytest
from fakes import HOST, NOW, Scripted, call, in_turn

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.judge import judge
from mmflow_mcp.upstream.wire import Call, Wire

pytestmark = pytest.mark.anyio

TABLE = "<html><table class='etf'><tr><td>\u20bf 1\u00a0</td></tr></table></html>"
CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


async def fetch(response: httpx2.Response, asked: Call) -> tuple[Any, httpx2.Request]:
    """The document of an answer that passes every layer, and the request that was sent."""
    base = in_turn(response)
    found: Wire | VenueError
    async with anyio.create_task_group() as tasks:
        upstream = Upstream(base, kind="live", clock=FixedClock(NOW), tasks=tasks)
        try:
            found, _ = await upstream.fetch(asked, 8.0)
        except VenueError as error:
            found = error
        await upstream.aclose()
        tasks.cancel_scope.cancel()
    if isinstance(found, VenueError):
        raise found
    return found.doc, base.asked[0]


async def test_a_page_is_an_answer_to_a_call_for_text() -> None:
    """As it was, blanks of its own included; we say that we take pages."""
    doc, sent = await fetch(httpx2.Response(200, content=TABLE.encode()), call(form="text"))
    assert TABLE == doc
    assert sent.headers["accept"].startswith("text/html")


async def test_a_call_for_json_still_refuses_pages() -> None:
    """What it wants has not changed."""
    with pytest.raises(VenueChanged, match="HTML"):
        await fetch(httpx2.Response(200, content=TABLE.encode()), call())


async def test_bytes_that_are_no_utf8_do_not_break_a_page() -> None:
    """One odd character in a footer is not worth the table."""
    doc, _ = await fetch(httpx2.Response(200, content=b"a\xe9b"), call(form="text"))
    assert "a\ufffdb" == doc


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "says"),
    [
        (200, {}, CHALLENGE, VenueBlocked, "keeps programs out"),
        (503, {}, CHALLENGE, VenueBlocked, "keeps programs out"),
        (429, {}, CHALLENGE, VenueBlocked, "keeps programs out"),
        (403, {}, CHALLENGE, VenueBlocked, "http 403, a page"),
        (403, {}, b"from your country", VenueBlocked, "geo"),
        (200, {}, b"<title>Attention Required! | Cloudflare</title>", VenueBlocked, "keeps"),
        (200, {}, b"<script src=https://challenges.cloudflare.com/x>", VenueBlocked, "keeps"),
        (200, {"cf-mitigated": "challenge"}, b"<table></table>", VenueBlocked, "keeps"),
        (200, {}, b" \n", VenueChanged, "empty"),
        (429, {"retry-after": "9"}, b"slow", VenueRateLimited, "429"),
        (404, {}, b"<html>", VenueRejected, "404"),
        (500, {}, b"<html>", VenueHttp, "500"),
        (301, {"location": "https://elsewhere"}, b"", VenueHttp, "301"),
    ],
)
def test_what_is_no_answer(
    status: int, headers: dict[str, str], body: bytes, kind: type[VenueError], says: str
) -> None:
    """Blocks whatever their status, limits, nothing at all."""
    error = judge(status, headers, body, form="text")
    assert error is not None
    assert (kind, True) == (type(error), says in error.reason)


def test_a_page_of_data_may_carry_the_scripts_of_its_proxy() -> None:
    """Every page behind it does; where there is a table the page is one of data."""
    page = TABLE.encode() + b"<script src='/cdn-cgi/challenge-platform/cf-chl.js'></script>"
    assert judge(200, {}, page, form="text") is None


async def test_a_block_is_not_asked_again_at_once() -> None:
    """The breaker knows it like any other block."""
    base = Scripted(lambda _: httpx2.Response(200, content=CHALLENGE))
    async with anyio.create_task_group() as tasks:
        upstream = Upstream(base, kind="live", clock=FixedClock(NOW), tasks=tasks)
        for _ in range(3):
            with pytest.raises(VenueBlocked):
                await upstream.fetch(call(form="text", host=HOST), 8.0)
        tasks.cancel_scope.cancel()
    assert 1 == len(base.asked)
