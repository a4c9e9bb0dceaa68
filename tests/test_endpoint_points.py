"""`/points`: what each type answers, alone and folded, and how it says that one is missing."""

import json
from typing import Any

import pytest
from stalls import DOWN, Stall, book, funding, market, oi, series, spot
from worlds import NOW, ask, envelope, skip_waiting, world

from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.schema import input_schema

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
# The hour that was over last at NOW, 06:18:43 UTC.
LAST = NOW // HOUR * HOUR - HOUR
SUM = {"transform.groupBy.type": "GROUP_BY_TYPE_SUM"}
BINANCE = Stall(
    "binance", oi=[oi("binance", 9_821_030_410.2)], funding=[funding("binance", 0.0000832)]
)
BYBIT = Stall("bybit", oi=[oi("bybit", 4_291_832_104.8)], funding=[funding("bybit", 0.0000721)])
HYPERLIQUID = Stall(
    "hyperliquid",
    oi=[oi("hyperliquid", 1_294_823_041.2)],
    funding=[funding("hyperliquid", 0.0000125, 1)],
)


def only(answer: dict[str, Any]) -> dict[str, Any]:
    """The one row of an envelope."""
    (row,) = answer["data"]["rows"]
    assert isinstance(row, dict)
    return row


class TestOpenInterest:
    """OI_AGG."""

    async def test_the_specifications_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """9,821,030,410.2 + 4,291,832,104.8 = 14,112,862,515.0, in its very shape."""
        async with market(monkeypatch, BINANCE, BYBIT) as app:
            answer = await envelope(
                app, "get_points", type="OI_AGG", exchange="binance,bybit", coin="BTC", **SUM
            )
        assert {
            "type": "OI_AGG",
            "exchanges": ["binance", "bybit"],
            "groupBy": "GROUP_BY_TYPE_SUM",
            "unit": "USD",
            "rows": [
                {
                    "type": "OI_AGG",
                    "coin": "BTC",
                    "exchange": "AGG",
                    "value": 14_112_862_515,
                    "unit": "USD",
                    "byExchange": {"binance": 9_821_030_410.2, "bybit": 4_291_832_104.8},
                    "fetchedAt": NOW,
                }
            ],
        } == answer["data"]
        assert ("sim:points:oi_agg", False, []) == (
            answer["meta"]["source"],
            answer["meta"]["partial"],
            answer["meta"]["sources"],
        )

    async def test_alone_there_is_a_row_by_coin_and_exchange(self) -> None:
        """The default grouping: what get_oi answers, coins as asked, exchanges by id."""
        async with world() as app:
            answer = await envelope(
                app, "get_points", type="oi_agg", exchange=["bybit", "binance"], coins="ETH,BTC"
            )
            rows = (await envelope(app, "get_oi", venues="binance,bybit", coins="ETH,BTC"))["data"]
        assert "GROUP_BY_TYPE_NONE" == answer["data"]["groupBy"]
        assert ["bybit", "binance"] == answer["data"]["exchanges"]
        expected = [(row["coin"], row["venue"], row["oiUsd"]) for row in rows]
        told = [(row["coin"], row["exchange"], row["value"]) for row in answer["data"]["rows"]]
        assert expected == told

    async def test_a_missing_exchange_is_flagged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The row says partial, byExchange what is in it, meta who is not."""
        down = Stall("bybit", oi=DOWN)
        async with market(monkeypatch, BINANCE, down) as app:
            answer = await envelope(
                app, "get_points", type="OI_AGG", exchange="binance,bybit", coin="BTC", **SUM
            )
        row = only(answer)
        assert (True, 9_821_030_410.2, {"binance": 9_821_030_410.2}) == (
            row["partial"],
            row["value"],
            row["byExchange"],
        )
        assert answer["meta"]["partial"]
        assert ["bybit"] == [note["source"] for note in answer["meta"]["sources"]]

    async def test_a_coin_that_is_not_listed_is_not_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sum is whole: the exchange has none of it."""
        other = Stall("bybit", oi=[oi("bybit", 5.0, "ETH")])
        async with market(monkeypatch, BINANCE, other) as app:
            answer = await envelope(
                app, "get_points", type="OI_AGG", exchange="all", coin="BTC", **SUM
            )
        assert "partial" not in only(answer)
        assert ({"BTC": ["bybit"]}, False) == (
            answer["meta"]["notListed"],
            answer["meta"]["partial"],
        )

    async def test_a_sum_short_of_a_contract_is_flagged(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A perpetual that could not be read makes every sum over it partial."""
        short = Stall("bybit", oi=[oi("bybit", 5.0, not_counted=("BTCPERP",))])
        async with market(monkeypatch, BINANCE, short) as app:
            for more in (SUM, {}):
                answer = await envelope(
                    app, "get_points", type="OI_AGG", exchange="all", coin="BTC", **more
                )
                assert answer["data"]["rows"][-1]["partial"] is True

    async def test_all_down_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With its notes, under the name of the question."""
        async with market(monkeypatch, Stall("bybit", oi=DOWN)) as app:
            with pytest.raises(AllVenuesFailed, match="bybit: http 503") as error:
                await ask(app, "get_points", type="OI_AGG", exchange="bybit")
        assert ("sim:points:oi_agg", True) == (
            error.value.meta["source"],
            error.value.meta["partial"],
        )

    async def test_a_closed_exchange_that_was_named_is_missing(self) -> None:
        """In `all` it is told once; named, the sum is partial; alone, it is an error."""
        async with world() as app:
            named = await envelope(
                app, "get_points", type="OI_AGG", exchange="bitmex,bybit", coin="BTC", **SUM
            )
            every = await envelope(
                app, "get_points", type="OI_AGG", exchange="all", coin="BTC", **SUM
            )
            with pytest.raises(Exception, match=r"ended trading on 2026-09-23.*or all"):
                await ask(app, "get_points", type="OI_AGG", exchange="BITMEX", coin="BTC")
        assert only(named)["partial"] is True
        assert named["meta"]["partial"]
        assert "partial" not in only(every)
        assert "bitmex" not in every["data"]["exchanges"]


class TestFunding:
    """FUNDING_AGG."""

    async def test_alone_the_rate_per_eight_hours_and_the_exchanges_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Hyperliquid's 1.25e-5 an hour is 1e-4 per 8 hours (METHODS 1)."""
        async with market(monkeypatch, HYPERLIQUID) as app:
            answer = await envelope(
                app, "get_points", type="FUNDING_AGG", exchange="HYPERLIQUID_FUTURES", coin="BTC"
            )
        row = only(answer)
        assert (1e-4, "RATE_8H", 1.25e-5, 1) == (
            row["value"],
            row["unit"],
            row["rate"],
            row["periodHours"],
        )

    async def test_folded_the_mean_by_open_interest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """METHODS 1: 8.15199e-5."""
        async with market(monkeypatch, BINANCE, BYBIT, HYPERLIQUID) as app:
            answer = await envelope(
                app, "get_points", type="FUNDING_AGG", exchange="all", coin="BTC", **SUM
            )
        row = only(answer)
        assert (8.15199e-5, "RATE_8H", "oi") == (
            float(f"{row['value']:.6g}"),
            row["unit"],
            row["weights"],
        )
        assert {"binance": 8.32e-5, "bybit": 7.21e-5, "hyperliquid": 1e-4} == row["byExchange"]
        assert not answer["meta"]["partial"]

    @pytest.mark.parametrize("interest", [DOWN, [], [oi("bybit", 5.0, not_counted=("BTCPERP",))]])
    async def test_a_missing_weight_makes_all_equal(
        self, monkeypatch: pytest.MonkeyPatch, interest: Any
    ) -> None:
        """And the row says so; an open interest that is short is no weight either."""
        bybit = Stall("bybit", oi=interest, funding=[funding("bybit", 0.0000721)])
        async with market(monkeypatch, BINANCE, bybit) as app:
            answer = await envelope(
                app, "get_points", type="FUNDING_AGG", exchange="all", coin="BTC", **SUM
            )
        row = only(answer)
        assert (pytest.approx(7.765e-5, rel=1e-9), "equal") == (row["value"], row["weights"])
        assert "partial" not in row

    async def test_kinds_of_rates_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is no prediction is named by exchange."""
        deribit = Stall("deribit", funding=[funding("deribit", 1e-5, kind="trailing")])
        async with market(monkeypatch, BINANCE, deribit) as app:
            answer = await envelope(app, "get_points", type="FUNDING_AGG", exchange="all")
        assert {"deribit": "trailing"} == answer["meta"]["kinds"]

    async def test_weights_are_the_simulated_markets(self) -> None:
        """Over the whole world: the mean by get_oi's USD of get_funding's rates."""
        async with world() as app:
            answer = await envelope(
                app, "get_points", type="FUNDING_AGG", exchange="all", coins="BTC,SOL", **SUM
            )
            rates = (await envelope(app, "get_funding", venues="all", coins="BTC,SOL"))["data"]
            sizes = (await envelope(app, "get_oi", venues="all", coins="BTC,SOL"))["data"]
        size = {(row["coin"], row["venue"]): row["oiUsd"] for row in sizes}
        for row in answer["data"]["rows"]:
            own = [r for r in rates if r["coin"] == row["coin"]]
            weights = [size[r["coin"], r["venue"]] for r in own]
            each = [8 * r["rate"] / r["periodHours"] for r in own]
            mean = sum(a * b for a, b in zip(each, weights, strict=True)) / sum(weights)
            assert mean == pytest.approx(row["value"], rel=1e-9)
            assert "oi" == row["weights"]


class TestSpot:
    """SPOT."""

    FIVE = (
        Stall("coinbase", spot=[spot("coinbase", 64_315.2)]),
        Stall("binance", spot=[spot("binance", 64_310.5, "USDT")]),
        Stall("bitfinex", spot=[spot("bitfinex", 64_312.0)]),
        Stall("kraken", spot=[spot("kraken", 64_309.8)]),
        Stall("gateio", spot=[spot("gateio", 64_311.7, "USDT")]),
    )
    UPBIT = Stall("upbit", spot=[spot("upbit", 104_970_000.0, "KRW")])

    async def test_folded_the_median(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """METHODS 7: 64,311.7, a sum would mean nothing; quotes are told."""
        async with market(monkeypatch, *self.FIVE) as app:
            answer = await envelope(
                app, "get_points", type="SPOT", exchange="all", coin="BTC", **SUM
            )
        row = only(answer)
        assert (64_311.7, "USD", 5) == (row["value"], row["unit"], len(row["byExchange"]))
        assert {"binance": "USDT", "kraken": "USD"}.items() <= answer["meta"]["quotes"].items()

    async def test_alone_prices_in_their_own_quote(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A dollar is not a USDT, and neither is a won."""
        async with market(monkeypatch, *self.FIVE, self.UPBIT) as app:
            answer = await envelope(app, "get_points", type="SPOT", exchange="all", coin="BTC")
        units = {row["exchange"]: row["unit"] for row in answer["data"]["rows"]}
        assert {"upbit": "KRW", "binance": "USDT", "coinbase": "USD"}.items() <= units.items()
        assert "as quoted: meta.quotes" == answer["data"]["unit"]

    async def test_a_won_is_in_no_median_of_dollars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of `all` it is not meant; named it is missing, and said to be."""
        async with market(monkeypatch, *self.FIVE, self.UPBIT) as app:
            every = await envelope(
                app, "get_points", type="SPOT", exchange="all", coin="BTC", **SUM
            )
            named = await envelope(
                app, "get_points", type="SPOT", exchange="kraken,upbit", coin="BTC", **SUM
            )
            alone = await envelope(
                app, "get_points", type="SPOT", exchange="upbit", coin="BTC", **SUM
            )
        assert (64_311.7, False) == (only(every)["value"], every["meta"]["partial"])
        assert (64_309.8, True) == (only(named)["value"], only(named)["partial"])
        assert [] == alone["data"]["rows"]
        for answer in (named, alone):
            (note,) = answer["meta"]["sources"]
            assert ("upbit", True) == (note["source"], answer["meta"]["partial"])
            assert "KRW" in note["reason"]

    async def test_a_stale_price_is_not_in_the_median(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stays a row of its own, marked; folded, its exchange is missing."""
        old = Stall("okx", spot=[spot("okx", 50_000.0, at=NOW - 91_000)])
        async with market(monkeypatch, *self.FIVE, old) as app:
            folded = await envelope(
                app, "get_points", type="SPOT", exchange="all", coin="BTC", **SUM
            )
            rows = (await envelope(app, "get_points", type="SPOT", exchange="all", coin="BTC"))[
                "data"
            ]["rows"]
        assert (64_311.7, True) == (only(folded)["value"], only(folded)["partial"])
        assert {"okx": True} == {r["exchange"]: r["stale"] for r in rows if "stale" in r}
        assert [("okx", "stale")] == [
            (note["source"], note["status"]) for note in folded["meta"]["sources"]
        ]


def bar(t: int, close: float, volume: float, **more: float) -> Candle:
    """A candle that closes at a price."""
    given = {"o": close - 1, "h": close + 5, "l": close - 5, **more}
    return Candle(t=t, c=close, v=volume, **given)


class TestBars:
    """TRADE_SIDE_AGNOSTIC_AGG."""

    BIG = Stall(
        "binance",
        candles=[
            series("binance", [bar(LAST - HOUR, 90, 1), bar(LAST, 100, 5), bar(LAST + HOUR, 1, 9)])
        ],
    )
    SMALL = Stall("bybit", candles=[series("bybit", [bar(LAST, 120, 2), bar(LAST + HOUR, 1, 9)])])
    QUIET = Stall("okx", candles=[series("okx", [bar(LAST - HOUR, 95, 1), bar(LAST + HOUR, 1, 1)])])

    async def bars(
        self, monkeypatch: pytest.MonkeyPatch, *stalls: Stall, **more: Any
    ) -> dict[str, Any]:
        """The answer about BTC at all of them."""
        async with market(monkeypatch, *stalls) as app:
            return await envelope(
                app,
                "get_points",
                type="TRADE_SIDE_AGNOSTIC_AGG",
                exchange="all",
                coin="BTC",
                **more,
            )

    async def test_the_last_closed_interval(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not the running one; value is the close, volume in coins, quote and market told."""
        answer = await self.bars(monkeypatch, self.BIG)
        assert {
            "type": "TRADE_SIDE_AGNOSTIC_AGG",
            "coin": "BTC",
            "exchange": "binance",
            "value": 100,
            "unit": "USDT",
            "fetchedAt": NOW,
            "t": LAST,
            "open": 99,
            "high": 105,
            "low": 95,
            "volume": 5,
        } == only(answer)
        assert "1h" == answer["data"]["interval"]
        assert {"binance": "perp"} == answer["meta"]["markets"]

    async def test_folded_volume_adds_and_prices_are_the_largest(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never the highest of several highs; a quiet exchange is not missing."""
        answer = await self.bars(monkeypatch, self.BIG, self.SMALL, self.QUIET, **SUM)
        row = only(answer)
        assert (100, 99, 105, 95, 7, "binance", "USD") == (
            row["value"],
            row["open"],
            row["high"],
            row["low"],
            row["volume"],
            row["pricesFrom"],
            row["unit"],
        )
        assert {"binance": 100, "bybit": 120} == row["byExchange"]
        assert "partial" not in row

    async def test_an_exchange_that_may_be_late_is_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing newer is known of it: no trades or not told yet, nobody knows."""
        late = Stall("okx", candles=[series("okx", [bar(LAST - HOUR, 95, 1)])])
        row = only(await self.bars(monkeypatch, self.BIG, late, **SUM))
        assert (True, 5) == (row["partial"], row["volume"])

    async def test_without_trades_null(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No number is made up; gap-fill repeats the last close on request, without volume."""
        row = only(await self.bars(monkeypatch, self.QUIET))
        assert (None, LAST) == (row["value"], row["t"])
        assert not {"open", "volume", "gapfilled"} & set(row)
        row = only(await self.bars(monkeypatch, self.QUIET, **SUM))
        assert (None, {}) == (row["value"], row["byExchange"])
        for more in ({}, SUM):
            row = only(await self.bars(monkeypatch, self.QUIET, gapfill=True, **more))
            expected = (95, 95, 95, 95, 0, True)
            names = ("value", "open", "high", "low", "volume", "gapfilled")
            assert expected == tuple(row[name] for name in names)

    async def test_gaps_are_not_filled_where_others_traded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Folded, a bar is made of trades as long as there is one."""
        row = only(await self.bars(monkeypatch, self.SMALL, self.QUIET, gapfill=True, **SUM))
        assert (120, {"bybit": 120}) == (row["value"], row["byExchange"])
        assert "gapfilled" not in row

    async def test_candles_are_asked_as_the_capability_says(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Interval and a window on its grid: the closed one and the running one."""
        stall = Stall("binance", candles=[])
        async with market(monkeypatch, stall) as app:
            await ask(
                app,
                "get_points",
                type="TRADE_SIDE_AGNOSTIC_AGG",
                exchange="binance",
                interval="5m",
            )
        step = 300_000
        last = NOW // step * step - step
        expected = {"interval": "5m", "since_ms": last, "until_ms": last + 2 * step}
        assert expected == stall.asked[0]


class TestProfiles:
    """TPO_AGG."""

    START = NOW // 86_400_000 * 86_400_000
    # METHODS 12's rows 100..107, as brackets of half an hour.
    COUNTS = (1, 2, 4, 6, 5, 3, 2, 1)

    def day(self, volume: float = 1.0, shift: float = 0.0) -> list[Candle]:
        """Brackets of the running day that touch one row each."""
        rows = [100 + row for row, count in enumerate(self.COUNTS) for _ in range(count)]
        # The simulated day has 13 brackets so far; the week before it has as many as are wanted.
        return [
            Candle(
                t=NOW // 1_800_000 * 1_800_000 - n * 1_800_000,
                o=price + shift + 0.25,
                h=price + shift + 0.5,
                l=price + shift + 0.0,
                c=price + shift + 0.25,
                v=volume,
            )
            for n, price in reversed(list(enumerate(rows)))
        ]

    async def profile(
        self, monkeypatch: pytest.MonkeyPatch, *stalls: Stall, **more: Any
    ) -> dict[str, Any]:
        """The weekly answer about BTC at all of them."""
        given = {"session": "weekly", "blockSize": 1, **more}
        async with market(monkeypatch, *stalls) as app:
            return await envelope(
                app, "get_points", type="TPO_AGG", exchange="all", coin="BTC", **given
            )

    async def test_the_worked_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """POC 103, VAL 101, VAH 105, 24 brackets counted."""
        stall = Stall("binance", candles=[series("binance", self.day())])
        answer = await self.profile(monkeypatch, stall)
        row = only(answer)
        told = (row["value"], row["val"], row["vah"], row["total"], row["brackets"])
        assert (103, 101, 105, 24, 24) == told
        assert (107.5, 100, 1, "USDT") == (row["high"], row["low"], row["blockSize"], row["unit"])
        assert [[100 + n, count] for n, count in enumerate(self.COUNTS)] == json.loads(
            json.dumps(row["levels"])
        )
        assert ("weekly", 30) == (answer["data"]["session"], answer["data"]["bracketMinutes"])
        assert self.START - 86_400_000 == row["sessionStart"]  # NOW is a Tuesday

    async def test_folded_the_profile_of_the_largest_volume(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Profiles are not merged: every exchange's own POC is told."""
        small = Stall("binance", candles=[series("binance", self.day(1.0))])
        large = Stall("bybit", candles=[series("bybit", self.day(2.0, 10.0))])
        row = only(await self.profile(monkeypatch, small, large, **SUM))
        assert (113, 111, 115, "bybit") == (
            row["value"],
            row["val"],
            row["vah"],
            row["pricesFrom"],
        )
        assert {"binance": 103, "bybit": 113} == row["byExchange"]

    async def test_half_a_session_is_flagged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page limit that cut the session off makes the profile partial, alone and folded."""
        cut = Stall("okx", short="cut: 300 candles of 700", candles=[series("okx", self.day(9.0))])
        whole = Stall("binance", candles=[series("binance", self.day(1.0))])
        answer = await self.profile(monkeypatch, cut, whole)
        assert [None, True] == [row.get("partial") for row in answer["data"]["rows"]]
        row = only(await self.profile(monkeypatch, cut, whole, **SUM))
        assert ("okx", True) == (row["pricesFrom"], row["partial"])

    async def test_nothing_traded_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row of null, alone and folded."""
        stall = Stall("binance", candles=[series("binance", [])])
        for more in ({}, SUM):
            row = only(await self.profile(monkeypatch, stall, **more))
            assert row["value"] is None
            assert "val" not in row

    @pytest.mark.parametrize(
        ("session", "start"),
        [
            ("daily", START),
            ("weekly", START - 86_400_000),
            ("monthly", START - 14 * 86_400_000),
        ],
    )
    @pytest.mark.parametrize(("minutes", "interval"), [(30, "30m"), (240, "4h")])
    async def test_sessions_begin_at_midnight_utc(
        self,
        monkeypatch: pytest.MonkeyPatch,
        session: str,
        start: int,
        minutes: int,
        interval: str,
    ) -> None:
        """The day, Monday, the first: NOW is Tuesday 15 September 2026."""
        stall = Stall("binance", candles=[series("binance", [])])
        await self.profile(monkeypatch, stall, session=session, bracketMinutes=minutes)
        step = minutes * 60_000
        expected = {
            "interval": interval,
            "since_ms": start,
            "until_ms": (NOW // step + 1) * step,
        }
        assert expected == stall.asked[0]

    async def test_a_block_that_suits_the_price(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Near 0.05 % of it unless asked, and told; absurd ones are refused with what fits."""
        stall = Stall("binance", candles=[series("binance", self.day())])
        assert 0.05 == only(await self.profile(monkeypatch, stall, blockSize=None))["blockSize"]
        given = {"type": "TPO_AGG", "exchange": "all", "coin": "BTC", "session": "weekly"}
        async with market(monkeypatch, stall) as app:
            with pytest.raises(BadQuestion, match=r"^blockSize: 50 does not suit.*BTC.*up to 10"):
                await ask(app, "get_points", blockSize=50, **given)
            with pytest.raises(BadQuestion, match=r"^blockSize: 1e-06 does.*at least 0\.0015"):
                await ask(app, "get_points", blockSize=1e-6, **given)


class TestBooks:
    """BLOCK_BOOK_SNAPSHOT_AGG."""

    BIDS = [(64_310.4, 1.2), (64_290.0, 0.5), (64_249.9, 2.0)]  # noqa: RUF012
    ASKS = [(64_310.6, 1.0), (64_349.0, 0.25), (64_350.5, 2.0)]  # noqa: RUF012
    ONE = Stall("binance", book=[book("binance", BIDS, ASKS)])

    async def blocks(
        self, monkeypatch: pytest.MonkeyPatch, *stalls: Stall, **more: Any
    ) -> dict[str, Any]:
        """The answer about BTC at all of them."""
        async with market(monkeypatch, *stalls) as app:
            answer = await envelope(
                app,
                "get_points",
                type="BLOCK_BOOK_SNAPSHOT_AGG",
                exchange="all",
                coin="BTC",
                **more,
            )
        found: dict[str, Any] = json.loads(json.dumps(answer))
        return found

    async def test_the_worked_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """b = 50, which is also what suits the price: 64,300, 64,250, 64,200; value is the mid."""
        row = only(await self.blocks(monkeypatch, self.ONE))
        assert [[64_300, 1.2], [64_250, 0.5], [64_200, 2]] == row["bids"]
        assert [[64_350, 1.25], [64_400, 2]] == row["asks"]
        assert (64_310.5, 50, "USDT") == (row["value"], row["blockSize"], row["unit"])
        assert (64_249.9, 64_350.5) == (row["completeFrom"], row["completeTo"])

    async def test_folded_buckets_add(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Crossed buckets of different exchanges are kept; value is the median of the mids."""
        other = Stall("bybit", book=[book("bybit", [(64_410.0, 1.0)], [(64_411.0, 3.0)])])
        row = only(await self.blocks(monkeypatch, self.ONE, other, blockSize=50, **SUM))
        assert [[64_400, 1], [64_300, 1.2], [64_250, 0.5], [64_200, 2]] == row["bids"]
        assert [[64_350, 1.25], [64_400, 2], [64_450, 3]] == row["asks"]
        assert {"binance": 64_310.5, "bybit": 64_410.5} == row["byExchange"]
        assert (64_360.5, 64_410, 64_350.5) == (
            row["value"],
            row["completeFrom"],
            row["completeTo"],
        )

    async def test_won_are_no_dollars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Alone in blocks of won; never added to dollars."""
        won = Stall("upbit", book=[book("upbit", [(9e7, 1.0)], [(9.001e7, 1.0)], "KRW")])
        answer = await self.blocks(monkeypatch, self.ONE, won)
        assert [50, 50_000] == [row["blockSize"] for row in answer["data"]["rows"]]
        row = only(await self.blocks(monkeypatch, self.ONE, won, **SUM))
        assert {"binance": 64_310.5} == row["byExchange"]

    async def test_an_empty_book_and_an_empty_side(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No mid; an empty book folded is a missing exchange."""
        empty = Stall("okx", book=[book("okx", [], [])])
        row = only(await self.blocks(monkeypatch, empty))
        assert row["value"] is None
        row = only(await self.blocks(monkeypatch, empty, **SUM))
        assert row["value"] is None
        row = only(await self.blocks(monkeypatch, self.ONE, empty, **SUM))
        assert (64_310.5, True) == (row["value"], row["partial"])
        half = Stall("okx", book=[book("okx", self.BIDS, [])])
        row = only(await self.blocks(monkeypatch, half))
        assert (None, 3, []) == (row["value"], len(row["bids"]), row["asks"])

    async def test_a_tool_shows_the_nearest_ten_buckets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The envelope has all eighty; larger blocks bring what is farther away."""
        bids = [(1_000.0 - n, 1.0) for n in range(49)]
        asks = [(1_001.0 + n, 1.0) for n in range(49)]
        stall = Stall("binance", book=[book("binance", bids, asks)])
        async with market(monkeypatch, stall) as app:
            asked = questions.understand(
                "get_points",
                {"type": "BLOCK_BOOK_SNAPSHOT_AGG", "exchange": "all", "coin": "BTC"},
            )
            found = await questions.answer(app.core(), asked)
        told = questions.result(asked, found, "columns")["data"]["rows"]
        row = dict(zip(told["columns"], told["rows"][0], strict=True))
        assert ((1_000, 1), 10) == (tuple(row["bids"][0]), len(row["bids"]))
        (whole,) = questions.envelope(found)["data"]["rows"]
        assert (40, 40) == (len(whole["bids"]), len(whole["asks"]))


class TestTheQuestion:
    """Parameters, their names and their mistakes."""

    @pytest.mark.parametrize(
        "given",
        [
            {"exchange": ["binance", "bybit"]},
            {"exchange": "BINANCE_FUTURES,BYBIT"},
            {"exchange": '["binanceusdm","BYBIT_SPOT"]'},
        ],
    )
    def test_exchanges_by_any_name(self, given: dict[str, Any]) -> None:
        """Lists, comma text, the vocabulary's ids."""
        query = questions.understand("get_points", {"type": "SPOT", **given}).query
        assert ("binance", "bybit") == query.exchange

    def test_the_ids_of_the_vocabulary(self) -> None:
        """Product lines fold into their venue."""
        given = "OKEX_SWAP,GATE_IO_FUTURES,HYPERLIQUID_FUTURES,BINANCE_DELIVERY,hl"
        query = questions.understand("get_points", {"type": "SPOT", "exchange": given}).query
        assert ("okx", "gateio", "hyperliquid", "binance") == query.exchange

    @pytest.mark.parametrize(
        "given",
        [
            {"transform.groupBy.type": "GROUP_BY_TYPE_SUM"},
            {"groupBy": "GROUP_BY_TYPE_SUM"},
            {"groupBy": "sum"},
            {"transform.groupBy.type": "SUM", "groupBy": "group_by_type_sum"},
            {"transform": {"groupBy": {"type": "GROUP_BY_TYPE_SUM"}}},
            {"transform": {"groupBy": {"type": "SUM"}}, "transform.groupBy.type": "SUM"},
        ],
    )
    def test_the_grouping_has_two_names(self, given: dict[str, Any]) -> None:
        """The specification's and a short one; its dots may be taken for members."""
        arguments = {"type": "OI_AGG", "exchange": "all", **given}
        assert questions.understand("get_points", arguments).query.folded

    def test_coins_by_either_name(self) -> None:
        """Together, each once; without any three."""
        common = {"type": "OI_AGG", "exchange": "all"}
        query = questions.understand(
            "get_points", {**common, "coin": "eth", "coins": ["BTC", "ETH-USDT"]}
        ).query
        assert ("ETH", "BTC") == query.tickers
        assert ("BTC", "ETH", "SOL") == questions.understand("get_points", common).query.tickers

    def test_what_holds_anyway_may_be_said(self) -> None:
        """A client that fills in every default has asked for nothing of another type."""
        plain = {"type": "OI_AGG", "exchange": "all"}
        filled = {**plain, "session": "daily", "bracketMinutes": 30, "interval": "1h"}
        one, other = (questions.understand("get_points", given).query for given in (plain, filled))
        assert one.model_dump() == other.model_dump()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"exchange": "all"}, r"type: is required.*OI_AGG, FUNDING_AGG, SPOT, TRADE"),
            ({"type": "OI_AGG"}, r"exchange: is required.*all"),
            ({"type": "OI_AGG", "exchange": ""}, r"exchange: is required.*all"),
            ({"type": "OI", "exchange": "all"}, r"type: 'OI' is unknown.*OI_AGG, FUNDING_AGG"),
            ({"type": "SPOT", "exchange": "binanse"}, r"exchange: .*Nearest: binance.*or all"),
            ({"type": "SPOT", "exchange": ["bybit", ""]}, r"exchange: an empty name"),
            ({"type": "SPOT", "exchange": 5}, r"exchange: a list of venues"),
            (
                {"type": "SPOT", "exchange": "all", "groupBy": "MEAN"},
                r"transform\.groupBy\.type: 'MEAN'.*GROUP_BY_TYPE_SUM, GROUP_BY_TYPE_NONE",
            ),
            (
                {"type": "SPOT", "exchange": "all", "groupBy": "NONE", **SUM},
                r"groupBy: transform\.groupBy\.type says something else",
            ),
            (
                {
                    "type": "SPOT",
                    "exchange": "all",
                    "groupBy": "NONE",
                    "transform": {"groupBy": {"type": "SUM"}},
                },
                r"groupBy: transform\.groupBy\.type says something else",
            ),
            (
                {"type": "SPOT", "exchange": "all", "transform": {"normalize": "USD"}},
                r"transform: unknown argument",
            ),
            (
                {"type": "SPOT", "exchange": "all", "groupby": "SUM"},
                r"groupby: unknown argument.*transform\.groupBy\.type",
            ),
            (
                {"type": "SPOT", "exchange": "all", "blockSize": 5},
                r"blockSize: says nothing about SPOT.*TPO_AGG, BLOCK_BOOK_SNAPSHOT_AGG",
            ),
            (
                {"type": "TPO_AGG", "exchange": "all", "interval": "5m"},
                r"interval: says nothing about TPO_AGG.*TRADE_SIDE_AGNOSTIC_AGG",
            ),
            ({"type": "TPO_AGG", "exchange": "all", "blockSize": 0}, r"blockSize: '0' is no wid"),
            ({"type": "TPO_AGG", "exchange": "all", "blockSize": "NaN"}, r"blockSize: 'NaN'"),
            ({"type": "TPO_AGG", "exchange": "all", "session": "hourly"}, r"session: 'hourly'"),
            (
                {"type": "TPO_AGG", "exchange": "all", "bracketMinutes": 15},
                r"bracketMinutes: '15' does not fit.*5, 30, 60, 240",
            ),
            (
                {
                    "type": "TPO_AGG",
                    "exchange": "all",
                    "bracketMinutes": 5,
                    "session": "monthly",
                },
                r"bracketMinutes: 5 is too fine.*30, 60, 240",
            ),
            (
                {"type": "TPO_AGG", "exchange": "all", "coins": "A,B,C,D,E,F"},
                r"coins: 6 coins are too many for TPO_AGG.*up to 5",
            ),
            (
                {"type": "SPOT", "exchange": "all", "coins": [f"AB{n}" for n in range(21)]},
                r"coins: 21 coins are too many for SPOT.*up to 20",
            ),
            (
                {"type": "SPOT", "exchange": "all", "gapfill": True},
                r"gapfill: says nothing about SPOT",
            ),
        ],
    )
    def test_mistakes_teach(self, arguments: dict[str, Any], said: str) -> None:
        """Which argument, what was given, what fits."""
        with pytest.raises(BadQuestion, match=said):
            questions.understand("get_points", arguments)

    async def test_an_exchange_that_cannot_answer(self) -> None:
        """Named, with those that can."""
        async with world() as app:
            with pytest.raises(BadQuestion, match=r"^exchange: upbit cannot.*binance.*or all"):
                await ask(app, "get_points", type="OI_AGG", exchange="upbit")

    async def test_a_coin_that_nobody_lists(self) -> None:
        """The parameter it came in, with what is near."""
        async with world() as app:
            with pytest.raises(BadQuestion, match=r"^coin: 'PEPEE'.*PEPE.*exchange=all"):
                await ask(app, "get_points", type="OI_AGG", exchange="bybit", coin="PEPEE")
            with pytest.raises(BadQuestion, match=r"^coins: 'PEPEE'"):
                await ask(app, "get_points", type="OI_AGG", exchange="all", coins="PEPEE", **SUM)

    def test_the_schema_is_flat(self) -> None:
        """The specification's names, no arms, no references."""
        schema = input_schema(questions.find("get_points"))
        names = ["type", "exchange", "coins", "transform.groupBy.type"]
        assert names == list(schema["properties"])[:4]
        assert ["type", "exchange"] == schema["required"]
        assert not {"anyOf", "$ref", "oneOf"} & set(str(schema).replace("'", " ").split())

    @pytest.mark.parametrize(("tool", "most"), [("get_points", 330), ("get_candles", 190)])
    def test_definitions_stay_small(self, tool: str, most: int) -> None:
        """A token is about four characters."""
        e = questions.find(tool)
        schema = json.dumps(input_schema(e), separators=(",", ":"))
        assert (len(tool) + len(" ".join(e.description.split())) + len(schema)) / 4 < most

    async def test_a_client_may_use_the_dotted_name(self) -> None:
        """Through MCP, in columns: only those that have something to say."""
        from mcp import Client

        arguments = {"type": "FUNDING_AGG", "exchange": ["binance"], "coins": ["BTC"], **SUM}
        async with world() as app, Client(build_server(app)) as client:
            result = await client.call_tool("get_points", arguments)
        assert not result.is_error
        assert result.structured_content is not None
        rows = result.structured_content["data"]["rows"]
        assert ["coin", "exchange", "value", "byExchange", "weights"] == rows["columns"]
        assert ["BTC", "AGG"] == rows["rows"][0][:2]

    async def test_a_row_budget_keeps_the_largest(self) -> None:
        """Of open interest; prices are kept in their order."""
        async with world() as app:
            for kind, expected in (("OI_AGG", "binance"), ("SPOT", "binance")):
                asked = questions.understand(
                    "get_points", {"type": kind, "exchange": "bybit,binance", "limit": 1}
                )
                told = questions.result(asked, await questions.answer(app.core(), asked), "columns")
                assert [["BTC", expected]] == [row[:2] for row in told["data"]["rows"]["rows"]]
                assert (6, True) == (told["meta"]["total"], told["meta"]["truncated"])


class TestSimulatedCandles:
    """On the simulated market, as soon as a venue has candles and books."""

    async def test_bars_are_what_get_candles_says(self) -> None:
        """The candle before the running one, at every exchange; folded, their volume."""
        skip_waiting("get_candles")
        async with world() as app:
            given = {"type": "TRADE_SIDE_AGNOSTIC_AGG", "exchange": "all", "coin": "BTC"}
            rows = (await envelope(app, "get_points", **given))["data"]["rows"]
            folded = only(await envelope(app, "get_points", **given, **SUM))
            for row in rows:
                one = await envelope(app, "get_candles", coin="BTC", venue=row["exchange"], hours=3)
                last = one["data"]["candles"][-2]
                assert LAST == last["t"] == row["t"]
                assert (last["c"], last["h"], last["v"]) == (
                    row["value"],
                    row["high"],
                    row["volume"],
                )
        dollars = [row for row in rows if row["unit"] != "KRW"]
        assert len(dollars) == len(folded["byExchange"])
        assert folded["volume"] == pytest.approx(sum(row["volume"] for row in dollars), rel=1e-9)

    async def test_a_profile_is_made_of_the_days_brackets(self) -> None:
        """Thirteen since midnight; the value area lies around the point of control."""
        skip_waiting("get_candles")
        async with world() as app:
            answer = await envelope(
                app, "get_points", type="TPO_AGG", exchange="all", coins="BTC,ETH"
            )
        assert answer["data"]["rows"]
        for row in answer["data"]["rows"]:
            assert 13 == row["brackets"]
            assert row["low"] - row["blockSize"] <= row["val"] <= row["value"] <= row["vah"]
            assert row["vah"] <= row["high"]
            assert row["total"] == sum(count for _, count in row["levels"])

    async def test_books_fold_to_the_sum_of_their_blocks(self) -> None:
        """Bucket by bucket, in blocks of one width."""
        skip_waiting("order books")
        async with world() as app:
            given = {"type": "BLOCK_BOOK_SNAPSHOT_AGG", "exchange": "all", "coin": "BTC"}
            rows = (await envelope(app, "get_points", **given))["data"]["rows"]
            folded = only(await envelope(app, "get_points", **given, **SUM))
        dollars = [row for row in rows if row["unit"] != "KRW"]
        assert {folded["blockSize"]} == {row["blockSize"] for row in dollars}
        best = folded["bids"][0][0]
        same = [size for row in dollars for price, size in row["bids"] if price == best]
        assert folded["bids"][0][1] == pytest.approx(sum(same), rel=1e-8)
