"""get_flow_summary, get_flow_signals and get_etf_proxy over the simulated world."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from statistics import median

import pytest
from worlds import MARKET, NOW, ask, counted, envelope, world

from mmflow_mcp.analytics.pressure import COINBASE, ETF, KIMCHI, Input, score_of
from mmflow_mcp.app import App
from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.core.readings import REFERENCE_SET
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.sim import korea, trades
from mmflow_mcp.sim.shapes import Listing

pytestmark = pytest.mark.anyio

QUOTES = {
    **dict.fromkeys(("coinbase", "kraken", "bitfinex"), ("USD", "USDT")),
    **dict.fromkeys(("binance", "gateio"), ("USDT", "USDC")),
}


@pytest.fixture
async def app() -> AsyncIterator[App]:
    """The simulated world."""
    async with world() as running_app:
        yield running_app


def main_market(venue: str, coin: str) -> Listing:
    """A reference venue's main dollar market of a coin."""
    listed = [
        item
        for item in MARKET.listings(venue, NOW)
        if (item.kind, item.coin, item.asset, item.status) == ("spot", coin, "crypto", "live")
    ]
    return min(listed, key=lambda item: QUOTES[venue].index(item.quote))


def last(venue: str, coin: str, at_ms: int = NOW) -> float:
    """What it traded at last."""
    return MARKET.perp(main_market(venue, coin), at_ms).last


def premium(coin: str, at_ms: int = NOW) -> float:
    """What the market's truth says of Coinbase against the others, bps."""
    others = median(last(venue, coin, at_ms) for venue in REFERENCE_SET if venue != "coinbase")
    return (last("coinbase", coin, at_ms) / others - 1) * 1e4


COINS = ["BTC", "ETH", "SOL"]


def stirred() -> int:
    """A moment at which some coins have a Coinbase premium worth a signal, and some have not."""
    for hours in range(200):
        at = NOW + hours * 3_600_000
        sizes = sorted(abs(premium(coin, at)) for coin in COINS)
        if sizes[0] < 3.5 and sizes[-1] > 5.5:
            return at
    raise AssertionError


class TestSummary:
    """Everything about flows at a glance."""

    async def test_the_parts_are_the_markets(self, app: App) -> None:
        """Premiums, dispersion and score follow from the simulated truth."""
        answer = await ask(app, "get_flow_summary")
        assert ["BTC", "ETH", "SOL"] == [row.coin for row in answer.data.rows.rows]
        assert not answer.meta["partial"]
        for row in answer.data.rows.rows:
            assert pytest.approx(premium(row.coin), abs=1e-9) == row.coinbase_premium_bps
            prices = [last(venue, row.coin) for venue in REFERENCE_SET]
            middle = median(prices)
            apart = (max(prices) - min(prices)) / middle * 1e4
            assert pytest.approx(apart, abs=1e-9) == row.venue_spread_dispersion_bps
            inputs = {
                COINBASE: Input(row.coinbase_premium_bps, "live"),
                KIMCHI: Input(row.kimchi_premium_pct, "live"),
                ETF: Input(row.etf_latest_total_usdm, "live"),
            }
            assert score_of(row.coin, inputs) == row.flow_pressure_score

    async def test_korea_and_funds_are_what_their_own_tools_say(self, app: App) -> None:
        """The same readings, so the same numbers."""
        summary = await ask(app, "get_flow_summary", coins="BTC,ETH")
        for row, asset in zip(summary.data.rows.rows, ("bitcoin", "ethereum"), strict=True):
            kimchi = await ask(app, "get_kimchi", coin=row.coin)
            assert kimchi.data.premium_pct == row.kimchi_premium_pct
            funds = await ask(app, "get_etf_flows", asset=asset)
            assert funds.data.latest_total_usdm == row.etf_latest_total_usdm

    async def test_the_envelope_is_the_specifications(self, app: App) -> None:
        """Names, words of coverage and the form of the source."""
        told = await envelope(app, "get_flow_summary", coins=["BTC", "SOL"])
        assert ["coins", "rows", "signals", "fetchedAt"] == list(told["data"])
        bitcoin, solana = told["data"]["rows"]
        expected = {"globalSpot": "full", "kimchi": "live", "etfProxy": "live", "hlMicro": "none"}
        assert expected == bitcoin["coverage"]
        assert ["coin", "coverage", "flowPressureScore", "headline"] == list(bitcoin)[:4]
        # No fund holds it: no such number, rather than a zero.
        assert "none" == solana["coverage"]["etfProxy"]
        assert "etfLatestTotalUsdm" not in solana
        assert "ETF" not in solana["headline"]
        assert "sim:flows:summary" == told["meta"]["source"]

    async def test_each_payload_is_read_once(self) -> None:
        """However many parts of the summary read it; and no tape page is waited for."""
        async with counted() as (app, asked):
            await ask(app, "get_flow_summary")
            await ask(app, "get_flow_signals")
        assert {1} == set(asked.values())
        assert not any("/trades" in url for url in asked)
        # The short pages of the fund tables: the long ones are thirty times as large.
        assert {"/btc/", "/eth/"} == {url[-5:] for url in asked if "farside" in url}
        # Nothing is asked for a change over 24 h that no part shows.
        assert not any("OHLC" in url or url.endswith("/stats") for url in asked)

    async def test_a_coin_that_korea_does_not_list_has_no_korean_part(self, app: App) -> None:
        """Its other parts stand; nothing is said to be missing."""
        coins = {item.coin for item in MARKET.listings("coinbase", NOW) if item.kind == "spot"}
        coin = min(coins - set(korea.LISTED["upbit"]) - {"USDT", "USDC"})
        answer = await ask(app, "get_flow_summary", coins=coin)
        (row,) = answer.data.rows.rows
        assert "none" == row.coverage["kimchi"]
        assert row.kimchi_premium_pct is None

    @pytest.mark.parametrize(
        ("fault", "part", "expected"),
        [
            ("upbit:http=503", "kimchi", "none"),
            ("farside:http=503", "etfProxy", "none"),
            ("coinbase:timeout", "globalSpot", "full"),
            ("*:html", "", ""),
        ],
    )
    async def test_a_source_that_fails_is_a_missing_part(
        self, fault: str, part: str, expected: str
    ) -> None:
        """Its part is none and told; the score rests on the others."""
        async with world(fault, deadline=1.5) as app:
            if not part:
                with pytest.raises(AllVenuesFailed):
                    await ask(app, "get_flow_summary")
                return
            answer = await ask(app, "get_flow_summary", coins="BTC")
        (row,) = answer.data.rows.rows
        assert expected == row.coverage[part]
        assert answer.meta["partial"] or part == "etfProxy"
        assert row.flow_pressure_score is not None
        if fault.startswith("coinbase"):
            assert row.coinbase_premium_bps is None
            assert "Coinbase" not in row.headline

    async def test_an_unknown_coin_is_an_error(self, app: App) -> None:
        """With the nearest names; a default coin never is."""
        with pytest.raises(BadQuestion, match="DOGX"):
            await ask(app, "get_flow_summary", coins=["DOGX"])

    async def test_too_many_coins_are_refused(self, app: App) -> None:
        """Twenty fit."""
        with pytest.raises(BadQuestion, match="up to 20"):
            await ask(app, "get_flow_summary", coins=[f"C{i}" for i in range(21)])


class TestSignals:
    """Alerts."""

    async def test_the_list_is_the_summarys(self) -> None:
        """Both look with one memory: the same ids, strongest first, as the truth has them."""
        at = stirred()
        async with world(now=str(at)) as app:
            alerts = await ask(app, "get_flow_signals", coins=COINS)
            summary = await ask(app, "get_flow_summary", coins=COINS)
        assert list(alerts.data.rows) == list(summary.data.signals.rows)
        expected = {c for c in COINS if abs(premium(c, at)) >= 5}
        assert 0 < len(expected) < len(COINS)
        fired = {s.coin for s in alerts.data.rows if s.id.split(":")[1].startswith("coinbase-")}
        assert expected == fired
        assert {at - at % 60_000} == {s.ts for s in alerts.data.rows}
        strength = ["hot", "watch", "info"]
        ranks = [strength.index(s.severity) for s in alerts.data.rows]
        assert sorted(ranks) == ranks

    async def test_calm_is_an_empty_list(self) -> None:
        """Not an error; the source says which reading it was."""
        at = stirred()
        calm = min(COINS, key=lambda coin: abs(premium(coin, at)))
        assert abs(premium(calm, at)) < 4
        async with world("farside:html", "upbit:http=503", now=str(at)) as app:
            told = await envelope(app, "get_flow_signals", coins=[calm])
        assert [] == told["data"]
        assert "sim:flows:signals" == told["meta"]["source"]


class TestEtfProxy:
    """Yesterday's funds beside today's Coinbase."""

    async def test_the_live_side_is_the_markets(self, app: App) -> None:
        """Premium, share and the taker delta of the last 300 s, as the truth has them."""
        answer = await ask(app, "get_etf_proxy", asset="ethereum")
        proxy = answer.data.coinbase_proxy
        assert pytest.approx(premium("ETH"), abs=1e-9) == proxy.coinbase_premium_bps
        prints = trades.list_prints(MARKET, main_market("coinbase", "ETH"), NOW - 300_001, NOW)
        delta = sum((1 if p.buy else -1) * p.price * p.size for p in prints)
        assert prints
        assert pytest.approx(delta, rel=1e-9) == proxy.coinbase_tape_delta_usd5m
        assert proxy.coinbase_tape_delta_usd5m == proxy.coinbase_net_trade_usd5m
        volumes = {
            venue: MARKET.perp(main_market(venue, "ETH"), NOW).volume_coins * last(venue, "ETH")
            for venue in REFERENCE_SET
        }
        share = volumes["coinbase"] / sum(volumes.values())
        assert pytest.approx(share, rel=1e-6) == proxy.coinbase_volume_share
        # 2026-09-15 05:38 UTC, before the open.
        assert "medium" == proxy.confidence

    async def test_the_daily_side_is_the_newest_complete_session(self, app: App) -> None:
        """The same figures as get_etf_flows, and the date they are of."""
        answer = await ask(app, "get_etf_proxy")
        funds = await ask(app, "get_etf_flows")
        daily = answer.data.daily
        assert funds.data.latest_total_usdm == daily.latest_total_usdm
        assert funds.data.latest_date_ms == daily.latest_date_ms
        assert pytest.approx(funds.data.cumulative_usdm, abs=1.0) == daily.cumulative_usdm
        day = datetime.fromtimestamp(daily.latest_date_ms / 1000, UTC)
        assert (0, 0) == (day.hour, day.minute)
        assert 0 < NOW - daily.latest_date_ms < 5 * DAY_MS

    async def test_the_envelope_is_the_specifications(self, app: App) -> None:
        """Names in the specification's order, its label, its form of source."""
        told = await envelope(app, "get_etf_proxy", asset="bitcoin")
        assert ["asset", "daily", "coinbaseProxy", "fetchedAt"] == list(told["data"])
        daily = ["latestTotalUsdm", "cumulativeUsdm", "latestDateMs", "source"]
        assert daily == list(told["data"]["daily"])
        proxy = told["data"]["coinbaseProxy"]
        names = ["coinbasePremiumBps", "coinbaseVolumeShare", "coinbaseTapeDeltaUsd5m"]
        names += ["coinbaseNetTradeUsd5m", "confidence", "label", "reference"]
        assert names == list(proxy)
        label = "Coinbase proxy-only venue pressure read; not ETF attribution"
        assert (label, "median ex-coinbase") == (proxy["label"], proxy["reference"])
        assert "sim:flows:etf-proxy:farside+coinbase" == told["meta"]["source"]

    async def test_without_the_tape_the_delta_is_null(self) -> None:
        """A refused tape leaves the premium; nothing shorter is passed off as five minutes."""
        async with world("coinbase/trades:http=503") as app:
            answer = await ask(app, "get_etf_proxy")
        proxy = answer.data.coinbase_proxy
        assert proxy.coinbase_tape_delta_usd5m is None
        assert proxy.coinbase_premium_bps is not None
        assert answer.meta["partial"]

    async def test_without_the_table_the_daily_side_is_null(self) -> None:
        """And says so; the live side stands."""
        async with world("farside:html") as app:
            answer = await ask(app, "get_etf_proxy")
        assert answer.data.daily is None or "farside" != answer.data.daily.source
        assert any(note["source"] == "farside" for note in answer.meta["sources"])
        assert answer.data.coinbase_proxy.coinbase_premium_bps is not None

    async def test_everything_down_is_an_error(self) -> None:
        """Which names its sources."""
        async with world("*:http=503") as app:
            with pytest.raises(AllVenuesFailed) as failed:
                await ask(app, "get_etf_proxy")
        assert "sim:flows:etf-proxy:farside+coinbase" == failed.value.meta["source"]

    async def test_other_assets_are_refused(self, app: App) -> None:
        """With what fits."""
        with pytest.raises(BadQuestion, match="bitcoin or ethereum"):
            await ask(app, "get_etf_proxy", asset="solana")
