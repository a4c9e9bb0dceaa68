"""`/markets/candles`: which candles are asked for, what is told of them, and what is refused."""

from typing import Any

import pytest
from stalls import DOWN, Stall, market, series
from worlds import MARKET, NOW, ask, envelope, skip_waiting, world

from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints import candles
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.sim.bars import bars
from mmflow_mcp.surfaces import questions
from mmflow_mcp.venues import having
from mmflow_mcp.venues.capabilities import Candles

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RUNNING = NOW // HOUR * HOUR


def hourly(first: int, count: int) -> list[Candle]:
    """Candles of an hour, with their number as close."""
    return [
        Candle(t=first + n * HOUR, o=n, h=n + 1.0, l=n - 1.0, c=float(n), v=1.5)
        for n in range(count)
    ]


def stall(*sold: Candle) -> Stall:
    """Hyperliquid with candles of BTC."""
    return Stall("hyperliquid", candles=[series("hyperliquid", sold, "USD")])


async def test_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One market with its symbol and quote, candles oldest first, the running one named."""
    async with market(monkeypatch, stall(*hourly(RUNNING - HOUR, 2))) as app:
        answer = await envelope(app, "get_candles", coin="btc")
    assert {
        "coin": "BTC",
        "venue": "hyperliquid",
        "symbol": "BTCUSD",
        "market": "perp",
        "quote": "USD",
        "interval": "1h",
        "candles": [
            {"t": RUNNING - HOUR, "o": 0, "h": 1, "l": -1, "c": 0, "v": 1.5},
            {"t": RUNNING, "o": 1, "h": 2, "l": 0, "c": 1, "v": 1.5},
        ],
        "fetchedAt": NOW,
        "running": RUNNING,
    } == answer["data"]
    assert not answer["meta"]["partial"]


async def test_no_candle_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the newest is over, and where there is none."""
    async with market(monkeypatch, stall(*hourly(RUNNING - HOUR, 1))) as app:
        assert "running" not in (await envelope(app, "get_candles", coin="BTC"))["data"]
    async with market(monkeypatch, stall()) as app:
        answer = await envelope(app, "get_candles", coin="BTC")
    assert [] == answer["data"]["candles"]
    assert "running" not in answer["data"]


@pytest.mark.parametrize(
    ("given", "since", "until"),
    [
        # 100 candles with the running one.
        ({}, RUNNING - 99 * HOUR, RUNNING + HOUR),
        ({"interval": "1d"}, NOW // DAY * DAY - 99 * DAY, NOW // DAY * DAY + DAY),
        ({"interval": "1m"}, NOW // MINUTE * MINUTE - 99 * MINUTE, NOW // MINUTE * MINUTE + MINUTE),
        # What opens inside the span, no more.
        ({"hours": 24}, RUNNING - 23 * HOUR, RUNNING + HOUR),
        ({"hours": "0.5", "interval": "15m"}, NOW - 1_800_000, None),
        ({"sinceMs": "-24h"}, RUNNING - 23 * HOUR, RUNNING + HOUR),
        ({"sinceMs": RUNNING - 5 * HOUR}, RUNNING - 5 * HOUR, RUNNING + HOUR),
        ({"sinceMs": RUNNING - 5 * HOUR + 1}, RUNNING - 4 * HOUR, RUNNING + HOUR),
        (
            {"sinceMs": "2026-09-14T00:00:00Z", "untilMs": "2026-09-14T06:00:00Z"},
            1_789_344_000_000,
            1_789_344_000_000 + 6 * HOUR,
        ),
        ({"hours": 6, "untilMs": "2026-09-14T06:00:00Z"}, 1_789_344_000_000, None),
        ({"untilMs": "-10h"}, RUNNING - 10 * HOUR - 99 * HOUR, RUNNING - 9 * HOUR),
        # Nothing lies after now.
        ({"hours": 2, "untilMs": "2030-01-01"}, RUNNING - HOUR, RUNNING + HOUR),
    ],
)
async def test_the_window_is_on_the_grid(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], since: int, until: int | None
) -> None:
    """What opens at or after the start and before the end: the same wire for the same candles."""
    one = stall()
    async with market(monkeypatch, one) as app:
        await ask(app, "get_candles", coin="BTC", **given)
    step = {"1h": HOUR, "1d": DAY, "1m": MINUTE, "15m": 15 * MINUTE}[given.get("interval", "1h")]
    asked = one.asked[0]
    assert 0 == asked["since_ms"] % step == asked["until_ms"] % step
    assert -(-since // step) * step == asked["since_ms"]
    if until is not None:
        assert until == asked["until_ms"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"coin": ""}, r"^coin: an empty name"),
        ({}, r"^coin: is required"),
        ({"coin": "BTC", "venue": "all"}, r"^venue: 'all' is no venue"),
        ({"coin": "BTC", "venue": ["hl"]}, r"^venue: a venue id was expected"),
        ({"coin": "BTC", "venue": "hyperliquit"}, r"^venue: .*Nearest: hyperliquid"),
        ({"coin": "BTC", "interval": "1M"}, r"^interval: '1M' is no interval here"),
        ({"coin": "BTC", "hours": 0}, r"^hours: '0' is no span"),
        ({"coin": "BTC", "hours": "nan"}, r"^hours: 'nan' is no span"),
        ({"coin": "BTC", "hours": True}, r"^hours: 'True' is no span"),
        ({"coin": "BTC", "sinceMs": "soon"}, r"^sinceMs: 'soon' is no time"),
        ({"coin": "BTC", "untilMs": -5}, r"^untilMs: '-5' is no time"),
        ({"coin": "BTC", "coins": "BTC"}, r"^coins: unknown argument. Nearest: coin"),
        ({"coin": "BTC", "detail": "full"}, r"^detail: unknown argument"),
    ],
)
def test_mistakes_teach(given: dict[str, Any], said: str) -> None:
    """Which argument, what was given, what fits."""
    with pytest.raises(BadQuestion, match=said):
        questions.understand("get_candles", given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hours": 5, "sinceMs": "-5h"}, r"^hours: sinceMs says the same"),
        ({"sinceMs": "now"}, r"^sinceMs: no time lies between"),
        ({"sinceMs": "2030-01-01"}, r"^sinceMs: no time lies between"),
        ({"sinceMs": "-2h", "untilMs": "-3h"}, r"^sinceMs: no time lies between"),
        ({"hours": 5_001}, r"^interval: 5,001 candles are too many.*up to 5,000"),
        ({"interval": "1m", "hours": 84}, r"^interval: 5,040 candles"),
        ({"interval": "1d", "hours": 0.01}, r"^interval: no candle of 1d opens.*or more time"),
        ({"sinceMs": 0, "interval": "1d"}, r"^interval: .* candles are too many"),
        ({"venue": "deribit"}, r"^venue: deribit cannot answer this. Fits: hyperliquid\.$"),
        ({"coin": "PEPEE"}, r"^coin: 'PEPEE' is listed by none.*or another venue"),
    ],
)
async def test_spans_are_bounded(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    """5,000 candles at most, and a start before the end; 5,000 are answered."""
    async with market(monkeypatch, stall()) as app:
        await ask(app, "get_candles", coin="BTC", hours=5_000)
        with pytest.raises(BadQuestion, match=said):
            await ask(app, "get_candles", **{"coin": "BTC", **given})


async def test_a_venue_that_is_down_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One venue was asked: there is nothing else to answer from."""
    async with market(monkeypatch, Stall("hyperliquid", candles=DOWN)) as app:
        with pytest.raises(AllVenuesFailed, match="hyperliquid: http 503") as error:
            await ask(app, "get_candles", coin="BTC")
    assert error.value.meta["partial"]


async def test_a_tool_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty unless asked, oldest first, and meta says that there are more."""
    async with market(monkeypatch, stall(*hourly(RUNNING - 99 * HOUR, 100))) as app:
        for limit, kept in ((None, 50), (3, 3), ("100", 100)):
            asked = questions.understand("get_candles", {"coin": "BTC", "limit": limit})
            told = questions.result(asked, await questions.answer(app.core(), asked), "columns")
            table = told["data"]["candles"]
            assert ["t", "o", "h", "l", "c", "v"] == table["columns"]
            times = [row[0] for row in table["rows"]]
            assert [RUNNING - n * HOUR for n in reversed(range(kept))] == times
            assert (100, kept < 100) == (told["meta"]["total"], "truncated" in told["meta"])


@pytest.mark.parametrize("holds", [True, False])
async def test_a_recording_is_counted_from_its_own_time(
    monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    """Asked twice: for when it was read, whatever it holds, and then for its own window."""
    at = 1_747_400_000_000
    windows: list[tuple[int, int]] = []

    async def gather(*_: Any, options: dict[str, Any]) -> Gathered:
        windows.append((options["since_ms"], options["until_ms"]))
        if len(windows) == 1 and not holds:
            raise AllVenuesFailed([], {"fetchedAt": at})
        return Gathered(fetched_at=at, answered=["hyperliquid"])

    monkeypatch.setattr(candles, "gather", gather)
    one = stall()
    async with market(monkeypatch, one) as app:
        core = app.core()
        core.upstream.kind = "replay"
        read = await candles.read_series(core, [one], ("BTC",), "1h", lambda now: (now - 1, now))
        assert [(NOW - 1, NOW), (at - 1, at)] == windows
        assert {"hyperliquid": at} == read.now


class TestSimulated:
    """On the simulated market, as soon as a venue has candles."""

    @pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
    async def test_candles_are_the_markets(self, interval: str) -> None:
        """Every venue's last six of BTC, the running one among them."""
        skip_waiting("get_candles")
        step = {"1m": MINUTE, "1h": HOUR, "1d": DAY}[interval]
        async with world() as app:
            for venue in having(Candles):
                if venue.closed_on:
                    continue
                since = NOW // step * step - 5 * step
                asked = {"coin": "BTC", "venue": venue.id, "interval": interval}
                answer = await envelope(app, "get_candles", sinceMs=since, **asked)
                data = answer["data"]
                times = [candle["t"] for candle in data["candles"]]
                assert sorted(set(times)) == times, venue.id
                assert NOW // step * step == times[-1] == data["running"], venue.id
                assert since == times[0], venue.id
                listing = next(
                    one
                    for one in MARKET.listings(venue.id, NOW)
                    if one.symbol == data["symbol"] and one.kind == data["market"]
                )
                start = times[-2]
                (truth,) = bars(MARKET, listing, start, start + step, step, NOW)
                told = data["candles"][-2]
                assert (truth.open, truth.high, truth.low, truth.close) == pytest.approx(
                    (told["o"], told["h"], told["l"], told["c"]), rel=1e-6
                ), venue.id
