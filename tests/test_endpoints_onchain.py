"""ETF flows, treasuries and valuation: the market's truth through every layer, and its failures."""

from pathlib import Path
from typing import Any, Self

import pytest
from wires import RECORDINGS
from worlds import MARKET, NOW, envelope, world

from mmflow_mcp.analytics.valuation import mvrv_of
from mmflow_mcp.app import running
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.expiries import date_of
from mmflow_mcp.sim.onchain import funds, holders, sessions, valuation
from mmflow_mcp.surfaces import questions
from mmflow_mcp.upstream.wire import DAY

pytestmark = pytest.mark.anyio

ASSETS = ("bitcoin", "ethereum")
HOUR_MS = 3_600_000


def reasons(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """(status, reason) of what needs attention."""
    return [(note["status"], note["reason"]) for note in answer["meta"]["sources"]]


def inside(folder: Path) -> list[Path]:
    """What lies in a folder."""
    return list(folder.iterdir())


class TestEtfFlows:
    """`/onchain/etf-flows`."""

    @pytest.mark.parametrize("asset", ASSETS)
    async def test_it_is_the_markets_truth(self, asset: str) -> None:
        """Every session, fund and sum since the first, oldest first; days off are none."""
        async with world() as app:
            answer = await envelope(app, "get_etf_flows", asset=asset)
        truth = [row for row in sessions(MARKET, asset, NOW) if row.open]
        data, meta = answer["data"], answer["meta"]
        assert list(funds(asset)) == data["tickers"]
        assert [row.day_ms for row in truth] == [row["dateMs"] for row in data["rows"]]
        assert [row.values for row in truth] == [row["values"] for row in data["rows"]]
        assert [row.total for row in truth] == [row["total"] for row in data["rows"]]
        assert truth[-1].total == data["latestTotalUsdm"]
        assert truth[-1].day_ms == data["latestDateMs"]
        assert pytest.approx(sum(row.total for row in truth)) == data["cumulativeUsdm"]
        assert (False, []) == (meta["partial"], meta["sources"])
        assert "sim:farside:etf-flow-all-data" == meta["source"]

    @pytest.mark.parametrize("asset", ASSETS)
    async def test_an_open_session_is_shown_and_not_counted(self, asset: str) -> None:
        """At 02:40 UTC the largest fund has not reported: the session before is the latest."""
        early = NOW - NOW % (24 * HOUR_MS) + 2 * HOUR_MS + 40 * 60_000
        truth = [row for row in sessions(MARKET, asset, early) if row.open]
        assert [False, True] == [truth[-1].complete, truth[-2].complete]
        async with world(now=str(early)) as app:
            data = (await envelope(app, "get_etf_flows", asset=asset))["data"]
        assert truth[-1].values == data["rows"][-1]["values"]
        assert (True, truth[-2].total) == (data["rows"][-1]["partial"], data["latestTotalUsdm"])
        assert pytest.approx(sum(row.total for row in truth[:-1])) == data["cumulativeUsdm"]

    @pytest.mark.parametrize("fault", ["http=403", "html", "truncate", "refused"])
    async def test_a_blocked_page_is_partial_and_names_who_answered(self, fault: str) -> None:
        """403, a challenge, half a page, no connection: TFTC's figures, never zeros."""
        async with world(f"farside/etf-flow-all-data:{fault}", f"farside/btc/:{fault}") as app:
            answer = await envelope(app, "get_etf_flows")
        truth = [row for row in sessions(MARKET, "bitcoin", NOW) if row.open]
        assert "sim:tftc:bitcoin-etf-flows" == answer["meta"]["source"]
        assert True is answer["meta"]["partial"]
        assert "tftc:bitcoin-etf-flows answered instead" in reasons(answer)[0][1]
        assert pytest.approx(truth[-1].total) == answer["data"]["latestTotalUsdm"]
        assert [row.values for row in truth] == [row["values"] for row in answer["data"]["rows"]]

    async def test_ether_is_answered_by_the_mirror(self) -> None:
        """The same figures as text."""
        async with world("farside/etf-flow-all-data:http=403") as app:
            answer = await envelope(app, "get_etf_flows", asset="ETH")
        truth = [row for row in sessions(MARKET, "ethereum", NOW) if row.open]
        assert "sim:github:haturatu/crypto-etf-flow" == answer["meta"]["source"]
        assert pytest.approx(truth[-1].total) == answer["data"]["latestTotalUsdm"]

    @pytest.mark.parametrize("fault", ["http=403", "html", "timeout", "truncate"])
    async def test_nobody_is_an_error(self, fault: str) -> None:
        """No empty table, no zeros."""
        async with world(f"farside:{fault}", deadline=0.6) as app:
            with pytest.raises(AllVenuesFailed):
                await envelope(app, "get_etf_flows")

    async def test_a_model_reads_the_newest_sessions(self) -> None:
        """Ten of them, with the scalars beside."""
        async with world() as app:
            asked = questions.understand("get_etf_flows", {"asset": "btc"})
            found = await questions.answer(app.core(), asked)
        result = questions.result(asked, found, "columns")
        assert ["dateLabel", "values", "total", "partial"] == result["data"]["rows"]["columns"]
        assert "14 Sep 2026" == result["data"]["rows"]["rows"][-1][0]
        assert (10, True) == (len(result["data"]["rows"]["rows"]), result["meta"]["truncated"])

    async def test_an_old_table_is_said_to_be_old(self) -> None:
        """A replay of a page whose newest session is weeks behind the given moment."""
        if not RECORDINGS.exists():
            pytest.skip("the recordings are not on this machine")
        given = {"source": f"replay:{RECORDINGS / 'farside.har'}", "now": "2026-08-20T12:00:00Z"}
        async with running(from_environment({}, **given)) as app:
            answer = await envelope(app, "get_etf_flows")
        assert ("stale", "stale: the newest session is not in the table") in reasons(answer)
        given["now"] = "2026-07-23T17:30:27Z"
        async with running(from_environment({}, **given)) as app:
            answer = await envelope(app, "get_etf_flows")
        assert ["missing"] == [status for status, _ in reasons(answer)]
        assert (69.1, "replay:farside:btc") == (
            answer["data"]["latestTotalUsdm"],
            answer["meta"]["source"],
        )


class TestTreasuries:
    """`/onchain/treasuries`."""

    @pytest.mark.parametrize("asset", ASSETS)
    async def test_it_is_the_markets_truth(self, asset: str) -> None:
        """Coins, cost and value of every company, and the totals."""
        async with world() as app:
            answer = await envelope(app, "get_treasuries", asset=asset)
        truth = holders(MARKET, asset, NOW)
        price = MARKET.price({"bitcoin": "BTC", "ethereum": "ETH"}[asset], NOW)
        data = answer["data"]
        assert [(h.name, h.symbol, h.coins) for h in truth] == [
            (row["name"], row["symbol"], row["totalHoldings"]) for row in data["companies"]
        ]
        for holder, row in zip(truth, data["companies"], strict=True):
            assert (holder.entry_usd or None) == row["totalEntryValueUsd"]
            assert pytest.approx(holder.coins * price) == row["totalCurrentValueUsd"]
        assert pytest.approx(sum(h.coins for h in truth)) == data["totalHoldings"]
        assert ("sim:coingecko:public_treasury", []) == (
            answer["meta"]["source"],
            answer["meta"]["sources"],
        )

    async def test_the_fields_of_the_specification(self) -> None:
        """By name."""
        async with world() as app:
            data = (await envelope(app, "get_treasuries"))["data"]
        named = {"asset", "totalHoldings", "totalValueUsd", "marketCapDominance", "companies"}
        assert named | {"fetchedAt"} == set(data)
        assert {
            *("name", "symbol", "country", "totalHoldings", "totalEntryValueUsd"),
            *("totalCurrentValueUsd", "percentageOfTotalSupply"),
        } == set(data["companies"][0])

    @pytest.mark.parametrize("fault", ["http=500", "http=429", "html", "truncate"])
    async def test_a_failing_source_is_an_error(self, fault: str) -> None:
        """502 of the only source there is."""
        async with world(f"coingecko:{fault}") as app:
            with pytest.raises(AllVenuesFailed) as caught:
                await envelope(app, "get_treasuries")
        assert 502 == caught.value.status


class TestValuation:
    """`/onchain/valuation`."""

    async def test_it_is_the_markets_truth(self) -> None:
        """Yesterday's five figures, whose implied price is the market's."""
        truth = valuation(MARKET, date_of(NOW - 24 * HOUR_MS))
        async with world() as app:
            answer = await envelope(app, "get_valuation")
        data = answer["data"]
        assert (
            truth.mvrv_z_score,
            truth.nupl,
            truth.puell_multiple,
            truth.reserve_risk,
            truth.realized_cap,
            "2026-09-14",
        ) == (
            data["mvrvZScore"],
            data["nupl"],
            data["puellMultiple"],
            data["reserveRisk"],
            data["realizedCap"],
            data["asOfDate"],
        )
        assert pytest.approx(mvrv_of(truth.nupl), abs=1e-4) == data["mvrv"]
        assert pytest.approx(data["spot"], rel=2e-3) == data["impliedPrice"]
        assert ("sim:bitcoin-data.com", False, []) == (
            answer["meta"]["source"],
            answer["meta"]["partial"],
            answer["meta"]["sources"],
        )

    async def test_a_figure_that_is_not_to_be_had_is_null(self) -> None:
        """And the answer says that it is partial."""
        async with world("bitcoin-data/nupl:http=404") as app:
            answer = await envelope(app, "get_valuation")
        assert (None, True) == (answer["data"]["nupl"], answer["meta"]["partial"])
        assert reasons(answer)[0][1].startswith("http 404")
        assert "impliedPrice" not in answer["data"]

    @pytest.mark.parametrize("absurd", ["huge", "nan", "negative", "text"])
    async def test_an_absurd_figure_is_null(self, absurd: str) -> None:
        """Never a number that looks right."""
        async with world(f"bitcoin-data:absurd=realizedCap,as={absurd}") as app:
            answer = await envelope(app, "get_valuation")
        assert (None, True) == (answer["data"]["realizedCap"], answer["meta"]["partial"])

    async def test_a_price_that_contradicts_is_told(self) -> None:
        """The price of another market: more than 3 % from what NUPL and realised cap imply."""
        lower = Answered(0.9)
        async with running(from_environment({}, source="sim", now=str(NOW)), lower) as app:
            answer = await envelope(app, "get_valuation")
        assert True is answer["meta"]["partial"]
        ((status, reason),) = reasons(answer)
        assert ("error", "doubtful: nupl and realizedCap imply a price +11.1 % off the spot") == (
            status,
            reason,
        )

    async def test_no_price_no_check(self) -> None:
        """The figures are whole without it."""
        async with world("coingecko:http=500") as app:
            answer = await envelope(app, "get_valuation")
        assert (False, True) == (answer["meta"]["partial"], "spot" not in answer["data"])

    async def test_nothing_at_all_is_an_error(self) -> None:
        """An empty answer, as callers without a key have seen, or a refusal."""
        for fault in ("http=429", "html", "refused"):
            async with world(f"bitcoin-data:{fault}") as app:
                with pytest.raises(AllVenuesFailed):
                    await envelope(app, "get_valuation")

    async def test_the_recordings(self) -> None:
        """MVRV-Z and NUPL of 26 July 2026; the three others were not recorded."""
        if not RECORDINGS.exists():
            pytest.skip("the recordings are not on this machine")
        source = f"replay:{RECORDINGS / 'bitcoin-data.har'}"
        async with running(from_environment({}, source=source)) as app:
            answer = await envelope(app, "get_valuation")
        assert (0.3954, 0.1977, None, "2026-07-26") == (
            answer["data"]["mvrvZScore"],
            answer["data"]["nupl"],
            answer["data"]["realizedCap"],
            answer["data"]["asOfDate"],
        )
        # MVRV was recorded too: 1.2465.
        assert pytest.approx(1.2465, abs=2e-4) == answer["data"]["mvrv"]


class Answered:
    """A layer at the bottom that multiplies the prices of CoinGecko's chart."""

    def __init__(self, times: float) -> None:
        self.times = times

    def __call__(self, base: Any) -> Any:
        """Wrap what lies there."""
        import httpx2
        from pydantic_core import from_json, to_json

        times = self.times

        class Changed(httpx2.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                response: httpx2.Response = await base.handle_async_request(request)
                if "market_chart" not in request.url.path:
                    return response
                doc = from_json(await response.aread())
                doc["prices"] = [[at, usd * times] for at, usd in doc["prices"]]
                return httpx2.Response(200, content=to_json(doc))

        return Changed()


class TestAnOlderCopy:
    """CONTRACT 10, one source behind an endpoint: 200, partial, stale, with its age."""

    @pytest.mark.parametrize(
        ("tool", "fault", "seconds", "member"),
        [
            ("get_etf_flows", "farside:http=403", 3600.0, "latestTotalUsdm"),
            ("get_treasuries", "coingecko:http=503", 3600.0, "totalHoldings"),
            ("get_valuation", "bitcoin-data:http=503", DAY, "nupl"),
        ],
    )
    async def test_it_answers_and_says_so(
        self, tool: str, fault: str, seconds: float, member: str
    ) -> None:
        """After the source went down the last good answer stands in; the age is told."""
        async with world() as app:
            before = await envelope(app, tool)
        async with Aging(fault) as aging:
            assert before["data"] == (await aging.ask(tool))["data"]
            aging.later(seconds + 60)
            after = await aging.ask(tool)
        assert before["data"][member] == after["data"][member]
        assert True is after["meta"]["partial"]
        note = next(n for n in after["meta"]["sources"] if n["status"] == "stale")
        assert pytest.approx((seconds + 60) * 1000, abs=5000) == note["ageMs"]
        assert before["meta"]["fetchedAt"] == after["meta"]["fetchedAt"]


class Aging:
    """An app on the simulation whose monotonic time can be moved, and which fails from then on."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.ahead = 0.0

    async def __aenter__(self) -> Self:
        self._context = world()
        self.app = await self._context.__aenter__()
        self.app.core()
        clock: Any = self.app.clock
        own = clock.monotonic
        clock.monotonic = lambda: own() + self.ahead
        return self

    async def __aexit__(self, *told: object) -> None:
        await self._context.__aexit__(None, None, None)

    async def ask(self, tool: str) -> dict[str, Any]:
        """One question."""
        return await envelope(self.app, tool)

    def later(self, seconds: float) -> None:
        """Move on, and break the source."""
        from mmflow_mcp.sim.faults import Faults, parse_fault

        self.ahead += seconds
        transport: Any = self.app.core().upstream._cache
        while not hasattr(transport, "_app"):
            transport = transport._inner
        transport._app.faults = Faults([parse_fault(self.fault)])


class TestTheQuestion:
    """What may be asked."""

    @pytest.mark.parametrize("tool", ["get_etf_flows", "get_treasuries"])
    async def test_assets_are_two_with_their_tickers(self, tool: str) -> None:
        """BTC, Bitcoin and eth are understood; solana is refused with what fits."""
        for given, meant in (("BTC", "bitcoin"), (" Bitcoin ", "bitcoin"), ("eth", "ethereum")):
            assert meant == questions.understand(tool, {"asset": given}).query.asset
        assert "bitcoin" == questions.understand(tool, {}).query.asset
        for wrong in ("solana", "", 5, ["bitcoin"]):
            with pytest.raises(BadQuestion, match="bitcoin or ethereum"):
                questions.understand(tool, {"asset": wrong})

    async def test_valuation_takes_nothing(self) -> None:
        """There is one asset and one row."""
        for extra in ({"asset": "bitcoin"}, {"limit": 5}):
            with pytest.raises(BadQuestion, match="unknown"):
                questions.understand("get_valuation", extra)

    async def test_the_paths_are_the_contracts(self) -> None:
        """CONTRACT section 1."""
        known = endpoints()
        for name in ("etf-flows", "treasuries", "valuation"):
            assert f"/onchain/{name}" == known[f"get_{name.replace('-', '_')}"].path


async def test_live_copies_lie_in_the_users_folder(tmp_path: Path) -> None:
    """`MMFLOW_DATA`/last-good; simulated and captured runs keep nothing there."""
    given = {"data": str(tmp_path)}
    async with running(from_environment({}, **given)) as app:
        assert tmp_path / "last-good" == app._kept_in()
    async with running(from_environment({}, **given), lambda base: base) as app:
        assert app._kept_in() is None
    async with world(**given) as app:
        await envelope(app, "get_treasuries")
    assert [] == inside(tmp_path)
