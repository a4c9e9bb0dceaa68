"""The simulated sockets: coinbase's feed, patience of both venues, and the faults of frames."""

import json
from typing import Any

import anyio
import pytest
from leaping import LeapClock
from sim_shapes import NOW, RECORDINGS
from test_sim_app import Talk

from mmflow_mcp.clock import FastClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.trades import list_prints

pytestmark = pytest.mark.anyio
FEED = ("ws-feed.exchange.coinbase.com", "/")
HYPERLIQUID = ("api.hyperliquid.xyz", "/ws")
ASKED = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat"]}
TRADES = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
MARKET = Market(1)


async def talk(
    place: tuple[str, str], *messages: object, faults: tuple[str, ...] = (), steps: int = 0
) -> Talk:
    """Send messages and let `steps` simulated seconds pass."""
    clock = LeapClock(NOW, step=0.2)
    app = SimApp(MARKET, clock, [parse_fault(fault) for fault in faults])
    spoken = Talk(*place, kind="websocket")
    spoken.inbox += [{"type": "websocket.receive", "text": json.dumps(m)} for m in messages]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, spoken.scope, spoken.receive, spoken.send)
        await clock.run(steps + 0.9)
        tasks.cancel_scope.cancel()
    return spoken


def of_type(spoken: Talk, kind: str) -> list[Any]:
    """Frames of one type."""
    return [text for text in spoken.texts if isinstance(text, dict) and text.get("type") == kind]


async def test_coinbase_repeats_the_last_match_then_tells_new_ones() -> None:
    """Acknowledged, the last match, then matches of the truth with a heartbeat a second."""
    spoken = await talk(FEED, ASKED, steps=4)
    (taken,) = of_type(spoken, "subscriptions")
    assert ["matches", "heartbeat"] == [one["name"] for one in taken["channels"]]
    listed = MARKET.listings("coinbase", NOW)
    item = next(one for one in listed if one.symbol == "BTC-USD")
    before = list_prints(MARKET, item, NOW - 600_000, NOW)[-1]
    (last,) = of_type(spoken, "last_match")
    assert before.number == last["trade_id"]
    expected = list_prints(MARKET, item, NOW, NOW + 4_000)
    found = of_type(spoken, "match")
    assert [one.number for one in expected] == [row["trade_id"] for row in found]
    for one, row in zip(expected, found, strict=True):
        assert ("sell" if one.buy else "buy") == row["side"]
        assert pytest.approx(one.price) == float(row["price"])
    beats = of_type(spoken, "heartbeat")
    assert 4 == len(beats)
    assert (found or [last])[-1]["trade_id"] == beats[-1]["last_trade_id"]


async def test_a_match_has_the_recorded_members() -> None:
    """And their types."""
    path = RECORDINGS / "ws" / "coinbase-match.jsonl"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    spoken = await talk(FEED, ASKED)
    (row,) = of_type(spoken, "last_match")
    real = json.loads(json.loads(path.read_text().splitlines()[1])["text"])
    assert {k: type(v) for k, v in real.items()} == {k: type(v) for k, v in row.items()}
    assert len(real["maker_order_id"]) == len(row["maker_order_id"])


@pytest.mark.parametrize(
    "asked",
    [
        {**ASKED, "product_ids": ["NO-USD"]},
        {**ASKED, "channels": ["trades"]},
        {**ASKED, "type": "subscribed"},
        {"type": "subscribe"},
    ],
)
async def test_coinbase_refuses_in_words(asked: object) -> None:
    """An error frame, and nothing is subscribed."""
    spoken = await talk(FEED, asked)
    assert ["error"] == [text["type"] for text in spoken.texts]


async def test_coinbase_does_not_wait_for_a_subscription() -> None:
    """Five seconds, then it hangs up."""
    spoken = await talk(FEED, steps=7)
    assert "websocket.close" == spoken.sent[-1]["type"]


async def test_hyperliquid_drops_who_says_nothing_for_a_minute() -> None:
    """A subscription alone does not keep it; a ping does."""
    for pings, kind in ((False, "websocket.close"), (True, "websocket.send")):
        clock = LeapClock(NOW, step=0.2)
        spoken = Talk(*HYPERLIQUID, kind="websocket")
        spoken.inbox.append({"type": "websocket.receive", "text": json.dumps(TRADES)})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(SimApp(MARKET, clock), spoken.scope, spoken.receive, spoken.send)
            for _ in range(3):
                await clock.run(25)
                if pings:
                    ping = {"type": "websocket.receive", "text": '{"method":"ping"}'}
                    spoken.inbox.append(ping)
            tasks.cancel_scope.cancel()
        assert kind == spoken.sent[-1]["type"]


class TestFaults:
    """What can happen to frames."""

    async def test_subscriptions_are_refused_in_the_venues_words(self) -> None:
        """An error frame instead of the acknowledgement."""
        hyperliquid = await talk(HYPERLIQUID, TRADES, faults=("hyperliquid:unsubscribed",))
        assert "error" == hyperliquid.texts[1]["channel"]
        coinbase = await talk(FEED, ASKED, faults=("coinbase:unsubscribed",))
        assert ["error"] == [text["type"] for text in coinbase.texts]

    async def test_a_socket_breaks_without_a_word(self) -> None:
        """After so many seconds, and not by closing."""
        clock = LeapClock(NOW)
        app = SimApp(MARKET, clock, [parse_fault("hyperliquid:hang_up=2")])
        spoken = Talk(*HYPERLIQUID, kind="websocket")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.run, 3)
            with pytest.raises(ConnectionResetError):
                await app(spoken.scope, spoken.receive, spoken.send)
        assert "websocket.close" not in {m["type"] for m in spoken.sent}

    async def test_a_socket_falls_silent_after_a_while(self) -> None:
        """It spoke before, stays open, and does not even answer a ping."""
        faults = ("hyperliquid:dead_socket,after=2",)
        spoken = await talk(HYPERLIQUID, TRADES, faults=faults, steps=4)
        silent = await talk(HYPERLIQUID, TRADES, faults=("hyperliquid:dead_socket",), steps=1)
        assert spoken.texts
        assert [{"type": "websocket.accept"}] == silent.sent
        assert "websocket.close" not in {m["type"] for m in spoken.sent}
        whole = await talk(HYPERLIQUID, TRADES, steps=4)
        assert len(spoken.texts) < len(whole.texts)

    async def test_frames_are_doubled_shuffled_cut_and_lost(self) -> None:
        """Each in its way, and the same each time."""
        asked = [
            {"method": "subscribe", "subscription": {"type": "trades", "coin": coin}}
            for coin in ("BTC", "ETH", "SOL", "XRP", "DOGE")
        ]
        whole = [m["text"] for m in (await talk(HYPERLIQUID, *asked)).sent[1:]]

        async def with_fault(kind: str) -> list[str]:
            found = await talk(HYPERLIQUID, *asked, faults=(f"hyperliquid:{kind}",))
            return [m["text"] for m in found.sent[1:]]

        assert [text for text in whole for _ in range(2)] == await with_fault("duplicate")
        shuffled = await with_fault("shuffle")
        assert whole != shuffled
        assert [whole[1], whole[0]] == shuffled[:2]
        cut = await with_fault("truncate")
        assert [4, 9] == [n for n, (a, b) in enumerate(zip(whole, cut, strict=True)) if a != b]
        assert whole[4].startswith(cut[4])
        lost = await with_fault("drop=0.5")
        assert 0 < len(lost) < len(whole)
        assert lost == await with_fault("drop=0.5")
        noisy = await with_fault("garbage")
        assert whole == [text for text in noisy if text in whole]
        assert len(whole) // 3 == len(noisy) - len(whole)

    async def test_members_change_in_frames_too(self) -> None:
        """As in answers; what is no JSON passes."""
        spoken = await talk(HYPERLIQUID, TRADES, faults=("hyperliquid:missing=px",))
        rows = next(
            t["data"] for t in spoken.texts if isinstance(t, dict) and "trades" in t.values()
        )
        assert all("px" not in row and "sz" in row for row in rows)
        assert "Websocket connection established." == spoken.texts[0]

    @pytest.mark.parametrize(
        "spec", ["okx:hang_up=x", "okx:hang_up", "okx:garbage=1", "okx:garbage,after=3"]
    )
    def test_a_misspelt_fault_says_what_fits(self, spec: str) -> None:
        """Like the others."""
        with pytest.raises(ValueError, match=r"hang_up|garbage"):
            parse_fault(spec)


async def test_a_fast_clock_runs_fast() -> None:
    """Its time, its seconds and its sleep agree."""
    clock = FastClock(NOW, 1000.0)
    before = clock.monotonic(), clock.now_ms()
    with anyio.fail_after(5):
        await clock.sleep(50.0)
    assert clock.monotonic() - before[0] >= 50.0
    assert clock.now_ms() - before[1] >= 50_000
