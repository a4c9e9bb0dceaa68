"""The simulated hyperliquid speaks POST /info and the WebSocket as the real one does."""

import json
from typing import Any

import anyio
import pytest
from sim_shapes import NOW, check_types, listing_of, make_app, post_json, recorded
from test_sim_app import Talk, run_socket

from mmflow_mcp.clock import HOUR_MS, FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Market

HOST = "api.hyperliquid.xyz"


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def ask(app: SimApp, kind: str, **members: object) -> Any:
    """The answer to one type of question."""
    return post_json(app, HOST, "/info", {"type": kind, **members})


def test_contexts_follow_the_order_of_the_universe(app: SimApp) -> None:
    """Every perpetual's numbers stand where its name stands, delisted ones included."""
    meta, contexts = ask(app, "metaAndAssetCtxs")
    assert len(meta["universe"]) == len(contexts)
    for row, context in zip(meta["universe"], contexts, strict=True):
        perp = app.market.perp(listing_of(app, "hyperliquid", row["name"]), NOW)
        assert perp.mark == float(context["markPx"])
        assert perp.index == float(context["oraclePx"])
        assert perp.open_interest == float(context["openInterest"])
        assert perp.turnover_usd == float(context["dayNtlVlm"])
        if "isDelisted" not in row:
            assert perp.funding_rate == float(context["funding"])


def test_delisted_rows_stand_between_live_ones_and_are_empty(app: SimApp) -> None:
    """Removing them before the join would shift every later row."""
    meta, contexts = ask(app, "metaAndAssetCtxs")
    places = [n for n, row in enumerate(meta["universe"]) if row.get("isDelisted")]
    assert places
    assert places[0] < len(contexts) - 5
    dead = contexts[places[0]]
    assert ("0.0", None, None, None) == (
        dead["openInterest"],
        dead["midPx"],
        dead["premium"],
        dead["impactPxs"],
    )


def test_core_and_hip3_are_asked_apart(app: SimApp) -> None:
    """An empty dex is the core; xyz holds stocks; an unknown dex is null."""
    assert ask(app, "metaAndAssetCtxs") == ask(app, "metaAndAssetCtxs", dex="")
    core = {row["name"] for row in ask(app, "meta")["universe"]}
    stocks = {row["name"] for row in ask(app, "meta", dex="xyz")["universe"]}
    assert not any(":" in name for name in core)
    assert all(name.startswith("xyz:") for name in stocks)
    assert {"xyz:TSLA", "xyz:BB"} <= stocks
    assert {"kPEPE", "KAITO", "KAS"} <= core
    unknown = app.reply("POST", HOST, "/info", b"", b'{"type":"meta","dex":"nope"}')
    assert b"null" == unknown.body


def test_a_question_that_cannot_be_read_is_422(app: SimApp) -> None:
    """Unknown types, missing members and no JSON alike."""
    for body in (b'{"type":"liquidations"}', b'{"type":"fundingHistory","coin":"BTC"}', b"x", b""):
        said = app.reply("POST", HOST, "/info", b"", body)
        assert 422 == said.status
        assert said.body.startswith(b"Failed to deserialize")


def test_numbers_are_written_as_plain_decimals(app: SimApp) -> None:
    """Strings with a decimal point and no exponent, as recorded."""
    text = app.reply("POST", HOST, "/info", b"", b'{"type":"metaAndAssetCtxs"}').body.decode()
    contexts = json.loads(text)[1]
    for context in contexts:
        assert "e" not in context["funding"].lower()
        assert "." in context["openInterest"]


def test_history_agrees_with_the_snapshots(app: SimApp) -> None:
    """Ascending hours, a few ms late, the rate that was predicted just before each."""
    start = NOW - 10 * HOUR_MS
    rows = ask(app, "fundingHistory", coin="kPEPE", startTime=start)
    listing = listing_of(app, "hyperliquid", "kPEPE")
    assert 10 == len(rows)
    for row in rows:
        hour = row["time"] // HOUR_MS * HOUR_MS
        assert 0 <= row["time"] - hour < 100
        assert app.market.settled_funding(listing, hour) == float(row["fundingRate"])
    assert rows == sorted(rows, key=lambda row: row["time"])
    last = rows[-1]["time"] // HOUR_MS * HOUR_MS
    before = app.market.perp(listing, last - 1000).funding_rate
    assert before == pytest.approx(float(rows[-1]["fundingRate"]), abs=1e-7)


def test_history_pages_forward_five_hundred_at_a_time(app: SimApp) -> None:
    """The oldest 500 from startTime; the next page begins one ms after the last row."""
    start = NOW - 700 * HOUR_MS
    first = ask(app, "fundingHistory", coin="BTC", startTime=start)
    second = ask(app, "fundingHistory", coin="BTC", startTime=first[-1]["time"] + 1)
    assert (500, 200) == (len(first), len(second))
    hours = [row["time"] // HOUR_MS for row in first + second]
    assert list(range(hours[0], hours[0] + 700)) == hours
    bounded = ask(app, "fundingHistory", coin="BTC", startTime=start, endTime=start + HOUR_MS)
    assert 1 == len(bounded)
    unknown = b'{"type":"fundingHistory","coin":"btc","startTime":1}'
    assert b"null" == app.reply("POST", HOST, "/info", b"", unknown).body


def test_relayed_rates_are_not_the_venues_own(app: SimApp) -> None:
    """What it says of binance is old; a coin binance lacks is null; periods may be unsaid."""
    rows = {coin: dict(venues) for coin, venues in ask(app, "predictedFundings")}
    own = app.market.funding("hyperliquid", "BTC", NOW)
    theirs = app.market.funding("binance", "BTC", NOW)
    assert own is not None
    assert theirs is not None
    assert own.funding_rate == float(rows["BTC"]["HlPerp"]["fundingRate"])
    assert own.next_funding_ms == rows["BTC"]["HlPerp"]["nextFundingTime"]
    relayed = [
        float(row["BinPerp"]["fundingRate"]) for row in rows.values() if row["BinPerp"] is not None
    ]
    mine = [app.market.funding("binance", c.removeprefix("k"), NOW) for c in rows]
    assert relayed != [p.funding_rate for p in mine if p is not None]
    assert any(row["BybitPerp"] is None for row in rows.values())
    assert any(r["BinPerp"] and "fundingIntervalHours" not in r["BinPerp"] for r in rows.values())


def test_mids_hold_perpetuals_and_spot(app: SimApp) -> None:
    """Between bid and ask; delisted names are absent."""
    mids = ask(app, "allMids")
    perp = app.market.perp(listing_of(app, "hyperliquid", "BTC"), NOW)
    assert (perp.bid + perp.ask) / 2 == pytest.approx(float(mids["BTC"]), rel=1e-6)
    assert {"@107", "PURR/USDC", "kPEPE"} <= set(mids)
    assert "FTM" not in mids
    assert {"xyz:TSLA"} < set(ask(app, "allMids", dex="xyz"))


def test_spot_is_joined_by_name_and_declared_index(app: SimApp) -> None:
    """Contexts come in another order, and some tokens do not stand where their index says."""
    meta, contexts = ask(app, "spotMetaAndAssetCtxs")
    assert [p["name"] for p in meta["universe"]] != [c["coin"] for c in contexts]
    assert {p["name"] for p in meta["universe"]} == {c["coin"] for c in contexts}
    assert any(n != token["index"] for n, token in enumerate(meta["tokens"]))
    names = {token["index"]: token["name"] for token in meta["tokens"]}
    bases = {p["name"]: names[p["tokens"][0]] for p in meta["universe"]}
    assert ("UBTC", "HYPE") == (bases["@142"], bases["@107"])
    assert meta == ask(app, "spotMeta")


def test_dexs_begin_with_null_for_the_core(app: SimApp) -> None:
    """And every asset of the other one is annotated as no coin."""
    core, xyz = ask(app, "perpDexs")
    assert core is None
    assert "xyz" == xyz["name"]
    categories = dict(ask(app, "perpConciseAnnotations"))
    assert "stocks" == categories["xyz:TSLA"]["category"]
    assert "crypto" not in {row["category"] for row in categories.values()}


def test_rows_have_the_recorded_fields_and_types(app: SimApp) -> None:
    """Field by field against what the venue really sent."""
    meta, contexts = recorded("hyperliquid", '$ {"type":"metaAndAssetCtxs"}')
    ours, our_contexts = ask(app, "metaAndAssetCtxs")
    check_types(meta["universe"][0], ours["universe"][0])
    check_types(contexts[0], our_contexts[0])
    check_types(
        recorded("hyperliquid", '"fundingHistory"')[0],
        ask(app, "fundingHistory", coin="BTC", startTime=NOW - HOUR_MS)[0],
    )
    check_types(
        recorded("hyperliquid", '"recentTrades"')[0], ask(app, "recentTrades", coin="BTC")[0]
    )
    check_types(recorded("hyperliquid", '"perpDexs"')[1], ask(app, "perpDexs")[1])
    theirs = dict(recorded("hyperliquid", '"predictedFundings"'))["BTC"]
    check_types(
        dict(theirs)["BinPerp"], dict(dict(ask(app, "predictedFundings"))["BTC"])["BinPerp"]
    )


def test_recent_trades_come_newest_first(app: SimApp) -> None:
    """Unique ids, sides A and B, users as buyer and seller."""
    rows = ask(app, "recentTrades", coin="BTC")
    assert rows == sorted(rows, key=lambda row: -row["time"])
    assert len({row["tid"] for row in rows}) == len(rows)
    assert {row["side"] for row in rows} <= {"A", "B"}
    assert all(len(row["users"]) == 2 for row in rows)


TRADES = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}


@pytest.mark.anyio
async def test_a_subscription_is_acknowledged_and_replayed() -> None:
    """Plain text first, then the acknowledgement, then trades that lie before it."""
    talk = await run_socket(make_app(), [TRADES, {"method": "ping"}])
    hello, acknowledged, trades, pong = talk.texts
    assert "Websocket connection established." == hello
    assert TRADES == acknowledged["data"]
    assert "trades" == trades["channel"]
    assert all(NOW - 60_000 < row["time"] <= NOW for row in trades["data"])
    assert {"channel": "pong"} == pong


@pytest.mark.anyio
async def test_new_trades_follow_the_clock_without_repeats() -> None:
    """What is pushed later is newer than the replay, each trade once."""
    clock = FixedClock(NOW)
    app = SimApp(Market(1), clock)
    talk = Talk(HOST, "/ws", kind="websocket")
    talk.inbox.append({"type": "websocket.receive", "text": json.dumps(TRADES)})
    with anyio.move_on_after(2.0):
        async with anyio.create_task_group() as group:
            group.start_soon(app, talk.scope, talk.receive, talk.send)
            for _ in range(5):
                await anyio.sleep(0.25)
                clock.advance(3)
            await anyio.sleep(0.3)
            group.cancel_scope.cancel()
    frames = [t["data"] for t in talk.texts if isinstance(t, dict) and t["channel"] == "trades"]
    assert len(frames) > 2
    ids = [row["tid"] for frame in frames for row in frame]
    assert sorted(set(ids)) == ids
    assert min(row["time"] for row in frames[1]) > NOW


@pytest.mark.anyio
async def test_bad_messages_are_answered_with_words() -> None:
    """Twice the same, an invented type, no JSON: an error each; an unknown coin: silence."""
    invented = {"method": "subscribe", "subscription": {"type": "liquidations", "coin": "BTC"}}
    lower = {"method": "subscribe", "subscription": {"type": "trades", "coin": "btc"}}
    talk = await run_socket(make_app(), [TRADES, TRADES, invented, lower])
    errors = [t["data"] for t in talk.texts if isinstance(t, dict) and t["channel"] == "error"]
    assert 2 == len(errors)
    assert errors[0].startswith("Already subscribed")
    assert errors[1].startswith("Error parsing JSON")
    assert 5 == len(talk.texts)


@pytest.mark.anyio
async def test_contexts_and_mids_are_pushed_too() -> None:
    """activeAssetCtx carries the same numbers as the REST answer; unsubscribing ends it."""
    wanted = {"type": "activeAssetCtx", "coin": "ETH"}
    app = make_app()
    talk = await run_socket(
        app,
        [
            {"method": "subscribe", "subscription": wanted},
            {"method": "subscribe", "subscription": {"type": "allMids"}},
            {"method": "unsubscribe", "subscription": wanted},
        ],
    )
    by_channel = {t["channel"]: t["data"] for t in talk.texts if isinstance(t, dict)}
    perp = app.market.perp(listing_of(app, "hyperliquid", "ETH"), NOW)
    assert perp.mark == float(by_channel["activeAssetCtx"]["ctx"]["markPx"])
    assert "BTC" in by_channel["allMids"]["mids"]
    assert "unsubscribe" == by_channel["subscriptionResponse"]["method"]
