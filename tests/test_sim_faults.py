"""Faults break chosen answers of simulated venues in the ways that real venues break."""

import json
from typing import Any

import anyio
import pytest
from sim_shapes import NOW
from test_sim_app import FAPI, TIME, Talk

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import KINDS, parse_fault
from mmflow_mcp.sim.market import Market

PREMIUM = "/fapi/v1/premiumIndex"


def broken(*specs: str) -> SimApp:
    """A world with faults."""
    return SimApp(Market(1), FixedClock(NOW), [parse_fault(spec) for spec in specs])


async def ask(app: SimApp, path: str = PREMIUM, query: str = "", host: str = FAPI) -> Talk:
    """One request through the whole app."""
    talk = Talk(host, path, query)
    await app(talk.scope, talk.receive, talk.send)
    return talk


async def ask_json(app: SimApp, path: str = PREMIUM, query: str = "", host: str = FAPI) -> Any:
    """The parsed body."""
    return json.loads((await ask(app, path, query, host)).said[1])


@pytest.mark.anyio
async def test_an_http_status_with_its_headers() -> None:
    """429 comes with Retry-After and a JSON body, 503 with a page."""
    limited = await ask(broken("binance:http=429,retry_after=3"))
    assert 429 == limited.said[0]
    assert (b"retry-after", b"3") in limited.sent[0]["headers"]
    assert -1003 == json.loads(limited.said[1])["code"]
    down = await ask(broken("*:http=503"))
    assert 503 == down.said[0]
    assert down.said[1].startswith(b"<!DOCTYPE html>")


@pytest.mark.anyio
async def test_only_the_named_venue_and_part_are_hit() -> None:
    """PART is looked for in path, query and body."""
    app = broken("binance/ticker:http=500", "binance/symbol=ETHUSDT:http=502", "okx:http=503")
    assert 200 == (await ask(app)).said[0]
    assert 500 == (await ask(app, "/fapi/v1/ticker/24hr")).said[0]
    assert 502 == (await ask(app, query="symbol=ETHUSDT")).said[0]
    assert 200 == (await ask(app, query="symbol=BTCUSDT")).said[0]


@pytest.mark.anyio
async def test_a_fault_can_end_after_some_requests() -> None:
    """times=2 breaks two requests and no more."""
    app = broken("binance:http=503,times=2")
    assert [503, 503, 200, 200] == [(await ask(app)).said[0] for _ in range(4)]


@pytest.mark.anyio
async def test_a_page_instead_of_json() -> None:
    """Status 200 and HTML: what a firewall does."""
    talk = await ask(broken("binance:html"))
    assert 200 == talk.said[0]
    assert b"<html>" in talk.said[1]
    assert (b"content-type", b"text/html") in talk.sent[0]["headers"]


@pytest.mark.anyio
async def test_a_truncated_answer_says_its_own_length() -> None:
    """The body breaks off inside the JSON."""
    whole, cut = await ask(broken()), await ask(broken("binance:truncate"))
    assert len(whole.said[1]) * 3 // 5 == len(cut.said[1])
    with pytest.raises(ValueError, match=r"."):
        json.loads(cut.said[1])


@pytest.mark.anyio
async def test_dropped_and_doubled_rows() -> None:
    """drop=0 keeps all, drop=1 none; some rows go in between; duplicate doubles."""
    rows = await ask_json(broken())
    assert rows == await ask_json(broken("binance:drop=0"))
    assert [] == await ask_json(broken("binance:drop=1"))
    some = await ask_json(broken("binance:drop=0.3"))
    assert 0.5 < len(some) / len(rows) < 0.9
    assert 2 * len(rows) == len(await ask_json(broken("binance:duplicate")))


@pytest.mark.anyio
async def test_rows_that_are_joined_by_position_are_dropped_together() -> None:
    """Hyperliquid's universe and contexts lose the same places."""
    app = broken("hyperliquid:drop=0.3")
    talk = Talk("api.hyperliquid.xyz", "/info")
    talk.scope["method"] = "POST"
    talk.inbox[0]["body"] = b'{"type":"metaAndAssetCtxs"}'
    await app(talk.scope, talk.receive, talk.send)
    meta, contexts = json.loads(talk.said[1])
    assert len(meta["universe"]) == len(contexts) < 55
    coin = next(i for i in app.market.listings("hyperliquid", NOW) if i.symbol == "ETH")
    place = [row["name"] for row in meta["universe"]].index("ETH")
    assert app.market.perp(coin, NOW).mark == float(contexts[place]["markPx"])


@pytest.mark.anyio
async def test_missing_and_unheard_of_fields() -> None:
    """A named field is nowhere; extra ones are in every row."""
    assert all(
        "markPrice" not in row for row in await ask_json(broken("binance:missing=markPrice"))
    )
    row = (await ask_json(broken("binance:extra")))[0]
    assert {"unheardOf", "x", "symbol", "markPrice"} <= set(row)


@pytest.mark.anyio
async def test_absurd_numbers_keep_their_type_or_lose_it() -> None:
    """Huge, NaN, negative and text in turn, or one kind of them."""
    rows = await ask_json(broken("binance:absurd=markPrice"))
    assert ["1e308", "NaN"] == [row["markPrice"] for row in rows[:2]]
    assert rows[2]["markPrice"].startswith("-")
    assert "n/a" == rows[3]["markPrice"]
    negative = await ask_json(broken("binance:absurd=serverTime,as=negative"), TIME)
    assert -NOW == negative["serverTime"]


@pytest.mark.anyio
async def test_latency_delays_and_other_faults_add_up() -> None:
    """Two faults meet one request: late and broken."""
    app = broken("binance:latency=0.2", "binance:http=500")
    started = anyio.current_time()
    talk = await ask(app)
    assert 500 == talk.said[0]
    assert anyio.current_time() - started >= 0.19


@pytest.mark.anyio
async def test_a_refused_connection_raises_before_any_answer() -> None:
    """In process the transport sees ConnectionRefusedError."""
    talk = Talk(FAPI, TIME)
    with pytest.raises(ConnectionRefusedError):
        await broken("binance:refused")(talk.scope, talk.receive, talk.send)
    assert [] == talk.sent


@pytest.mark.anyio
async def test_a_hanging_request_ends_when_the_asker_leaves() -> None:
    """No answer while it waits, none after."""
    talk = Talk(FAPI, TIME)
    talk.inbox.append({"type": "http.disconnect"})
    with anyio.fail_after(2):
        await broken("binance:timeout")(talk.scope, talk.receive, talk.send)
    assert [] == talk.sent


@pytest.mark.anyio
async def test_body_faults_do_not_touch_sockets() -> None:
    """And dead_socket does not touch requests, nor use up its count on them."""
    app = broken("hyperliquid:html,times=1", "hyperliquid:dead_socket,times=1")
    socket = Talk("api.hyperliquid.xyz", "/ws", kind="websocket")
    with anyio.move_on_after(0.3):
        await app(socket.scope, socket.receive, socket.send)
    assert [{"type": "websocket.accept"}] == socket.sent
    page = await ask(app, "/nothing", host="api.hyperliquid.xyz")
    assert b"<html>" in page.said[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_written(kind: str) -> None:
    """Each documented kind parses, with a value where it takes one."""
    values = {"latency": "0.1", "http": "500", "drop": "0.5", "missing": "a", "absurd": "a"}
    values |= {"hang_up": "30"}
    spec = f"*:{kind}={values[kind]}" if kind in values else f"*:{kind}"
    assert kind == parse_fault(spec).kind


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("bybit", "VENUE"),
        (":http=500", "VENUE"),
        ("mtgox:http=500", "binance"),
        ("binance:explode", "latency"),
        ("binance:http", "http=429"),
        ("binance:http=200", "400 to 599"),
        ("binance:drop=2", "0 to 1"),
        ("binance:latency=fast", "seconds"),
        ("binance:html=1", "no value"),
        ("binance:http=500,until=3", "times=N"),
        ("binance:html,retry_after=3", "times=N"),
        ("binance:absurd=x,as=odd", "huge|nan|negative|text"),
        ("binance:missing=", "field name"),
    ],
)
def test_a_bad_spec_names_what_fits(spec: str, fits: str) -> None:
    """ValueError repeats the spec and says what would be accepted."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_fault(spec)
    assert repr(spec) in str(caught.value)
    assert fits in str(caught.value)
