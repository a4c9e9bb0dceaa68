"""An agent without a model follows each prompt's recipe over stdio and concludes what is true.

The calls are read out of the prompt's own text, the rules are those of its text, and what they come
to is held against the simulated market's own figures (truths.py), which no parser has touched.
"""

import json
import re
import sys
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

import anyio
import pytest
import truths
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from test_surfaces_processes import ENVIRONMENT, SIM
from worlds import MARKET, NOW

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim import korea
from mmflow_mcp.sim.onchain import sessions

pytestmark = pytest.mark.anyio

CALL = re.compile(r"^\d+\. (\w+) (\{.*\})$", re.MULTILINE)
REFERENCE = ("coinbase", "binance", "bitfinex", "kraken", "gateio")


class Answered(NamedTuple):
    """A call of a recipe and what came back."""

    tool: str
    arguments: dict[str, Any]
    data: Any
    meta: dict[str, Any]


class Followed(list[Answered]):
    """The answers of a recipe, in the order of its calls."""

    def of(self, tool: str, **arguments: Any) -> Answered:
        """The answer of a tool; of several, the one with these arguments."""
        (found,) = [
            one for one in self if one.tool == tool and arguments.items() <= one.arguments.items()
        ]
        return found


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """A table as objects."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


async def follow(client: Client, prompt: str, **arguments: str) -> Followed:
    """Get a prompt, read its calls out of its text, and make them all at once."""
    got = await client.get_prompt(prompt, arguments)
    (message,) = got.messages
    calls = CALL.findall(getattr(message.content, "text", ""))
    assert calls, prompt
    found: list[Answered | None] = [None] * len(calls)

    async def make(i: int, tool: str, given: dict[str, Any]) -> None:
        result = await client.call_tool(tool, given)
        assert not result.is_error, (prompt, tool, given, result.content)
        assert result.structured_content is not None
        found[i] = Answered(
            tool, given, result.structured_content["data"], result.structured_content["meta"]
        )

    async with anyio.create_task_group() as tasks:
        for i, (tool, text) in enumerate(calls):
            tasks.start_soon(make, i, tool, json.loads(text))
    answered = Followed(one for one in found if one is not None)
    assert all(one.meta["source"].startswith(("sim:", "mmflow:catalogue")) for one in answered)
    return answered


def server(*words: str) -> StdioServerParameters:
    """The server as a client starts it, at the moment of the tests."""
    child = StdioServerParameters(
        command=sys.executable, args=["-m", "mmflow_mcp", *SIM, "--store", "memory", *words]
    )
    # A busy machine makes no venue late.
    child.env = {**ENVIRONMENT, "MMFLOW_DEADLINE": "30"}
    return child


async def test_every_recipe_comes_to_what_is_true() -> None:
    """Five prompts in one session, as a person would pick them one after the other."""
    async with Client(server()) as client:
        names = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert 6 == len(names)
        await funding_scan(client)
        await options_brief(client)
        await flow_brief(client)
        await squeeze_checks(client)
        await weekly_recap(client)


async def funding_scan(client: Client) -> None:
    """The widest pair, whether it pays for its fees and whether it has lasted."""
    coins = ("BTC", "LDO")
    found = await follow(
        client, "funding_arbitrage_scan", coins=",".join(coins), venues="all", feeBps="4"
    )
    now = found.of("get_funding")
    over = {venue for venue, kind in now.meta.get("kinds", {}).items() if kind == "trailing"}
    verdicts = {}
    for coin in coins:
        told = [r for r in rows(now.data) if r["coin"] == coin and r["venue"] not in over]
        high, low = max(told, key=lambda r: r["apr"]), min(told, key=lambda r: r["apr"])
        spread = high["apr"] - low["apr"]
        week = found.of("get_funding_history", coin=coin).data["meanApr"]
        lasted = [week["hl" if r["venue"] == "hyperliquid" else r["venue"]] for r in (high, low)]
        verdicts[coin] = (
            high["venue"],
            low["venue"],
            round(spread, 1),
            4 * 4 / 100 / spread * 365 < 30,
            lasted[0] - lasted[1] >= spread / 2,
        )
    truth = {}
    for coin in coins:
        top, bottom, spread = truths.best_pair(coin)
        mean = truths.mean_apr(top, coin) - truths.mean_apr(bottom, coin)
        pays = 4 * 4 / 100 / spread * 365 < 30
        truth[coin] = (top, bottom, round(spread, 1), pays, mean >= spread / 2)
    assert truth == verdicts
    largest = {(r["coin"], r["venue"]): r["oiUsd"] for r in rows(found.of("get_oi").data)}
    held = truths.interest("BTC")[truth["BTC"][0]][0]
    assert pytest.approx(held, rel=1e-6) == largest["BTC", truth["BTC"][0]]


async def options_brief(client: Client) -> None:
    """On which side of the flip spot is, the walls, and the slope of volatility."""
    for underlying in ("BTC", "ETH"):
        found = await follow(client, "options_positioning_brief", underlying=underlying.lower())
        gex = found.of("get_gex").data
        term = rows(found.of("get_skew").data["termStructure"])
        verdict = {
            "damps": gex["totalGex"] > 0,
            "call wall": gex["callWall"]["strike"],
            "put wall": gex["putWall"]["strike"],
            "rising": term[-1]["atmIv"] > term[0]["atmIv"],
        }
        truth = truths.gammas(underlying, gex["spot"])
        money = truths.at_the_money(underlying)
        assert {
            "damps": sum(truth.values()) > 0,
            "call wall": max(truth, key=lambda strike: truth[strike]),
            "put wall": min(truth, key=lambda strike: truth[strike]),
            "rising": money[-1] > money[0],
        } == verdict
        flip = gex["gammaFlip"]
        assert flip is not None
        below, above = (
            sum(truths.gammas(underlying, flip * near).values()) for near in (0.99, 1.01)
        )
        assert below < 0 < above
        assert (gex["spot"] > flip) == (gex["totalGex"] > 0)
        assert "assumption" not in gex["convention"]


async def flow_brief(client: Client) -> None:
    """Who buys: the premium on Coinbase and in Korea, and the last session of the ETFs."""
    found = await follow(client, "flow_brief", coins="BTC,ETH", metric="coinbasePremiumBps")
    assert {"coin": "BTC", "metric": "coinbasePremiumBps", "sinceMs": "-24h"} == found.of(
        "get_flow_history"
    ).arguments
    for coin, asset in (("BTC", "bitcoin"), ("ETH", "ethereum")):
        told = found.of("get_etf_proxy", asset=asset).data
        others = median(truths.last(venue, coin) for venue in REFERENCE if venue != "coinbase")
        premium = (truths.last("coinbase", coin) / others - 1) * 1e4
        assert pytest.approx(premium, abs=0.01) == told["coinbaseProxy"]["coinbasePremiumBps"]
        newest = [one for one in sessions(MARKET, asset, NOW) if one.open and one.complete][-1]
        assert pytest.approx(newest.total, abs=0.06) == told["daily"]["latestTotalUsdm"]
        (row,) = [r for r in rows(found.of("get_flow_summary").data["rows"]) if r["coin"] == coin]
        bought = row["flowPressureScore"]
        assert bought is None or -100 <= bought <= 100
    seoul = found.of("get_kimchi").data
    real = korea.coin_premium(MARKET, "upbit", "BTC", NOW) * 100
    assert pytest.approx(real, abs=0.2) == seoul["premiumOverUsdtPct"]


async def squeeze_checks(client: Client) -> None:
    """No setup in BTC; crowded shorts in ASTER, where shorts pay and that is unusual."""
    verdicts = {}
    for coin in ("BTC", "ASTER"):
        found = await follow(client, "squeeze_check", coin=coin)
        held = {r["venue"]: r["oiUsd"] for r in rows(found.of("get_oi").data)}
        paid = {r["venue"]: r["apr"] for r in rows(found.of("get_funding").data)}
        regime = rows(found.of("get_funding_regime").data["rows"])
        shares = [r for r in rows(found.of("get_positioning").data) if r["view"] == "global"]
        verdicts[coin] = judged(
            sum(paid[v] * held[v] for v in paid) / sum(held[v] for v in paid),
            fmean(r["longFraction"] for r in shares),
            [r["regime"] for r in regime],
        )
        grown = fmean(r["oiChange24hPct"] for r in regime if r["oiChange24hPct"] is not None)
        assert pytest.approx(truths.building(coin), abs=0.4) == grown
        (hit,) = rows(found.of("get_liquidations").data)
        longs, shorts = truths.closed(coin)
        # Gate tells an hour, so what is told is at least okx's.
        assert hit["long24hUsd"] >= longs * 0.999
        assert hit["short24hUsd"] >= shorts * 0.999
    truth = {
        coin: judged(truths.cost(coin), truths.crowd(coin), named(truths.unusual(coin).values()))
        for coin in verdicts
    }
    assert truth == verdicts
    assert {"BTC": "none", "ASTER": "short"} == {c: side for c, (side, _) in verdicts.items()}
    assert ["cost", "unusual"] == verdicts["ASTER"][1]["short"]


def named(deviations: Any) -> list[str]:
    """Regimes as the tool names them."""
    words = {True: "longs_crowded", False: "shorts_crowded"}
    return [words[z > 0] if abs(z) >= 2 else "normal" for z in deviations]


def judged(cost: float, crowd: float, regimes: Sequence[str]) -> tuple[str, dict[str, list[str]]]:
    """The recipe's rule: which side has two points of three, and the points of both."""
    points: dict[str, list[str]] = {"long": [], "short": []}
    for name, long, short in (
        ("cost", cost > 20, cost < 0),
        ("crowd", crowd > 0.6, crowd < 0.4),
        (
            "unusual",
            regimes.count("longs_crowded") * 2 >= len(regimes),
            regimes.count("shorts_crowded") * 2 >= len(regimes),
        ),
    ):
        points["long"] += [name] * long
        points["short"] += [name] * short
    return next((side for side, found in points.items() if len(found) >= 2), "none"), points


async def weekly_recap(client: Client) -> None:
    """Price and open interest over the week, what longs paid, what the ETFs took."""
    found = await follow(client, "weekly_recap", coin="BTC")
    bars = rows(found.of("get_candles").data["candles"])
    held = {one["venue"]: rows(one["points"]) for one in found.of("get_oi_history").data["series"]}
    paid = found.of("get_funding_history").data["meanApr"]
    perp = MARKET.funding("hyperliquid", "BTC", NOW)
    assert perp is not None
    start, now = (MARKET.mark(perp.listing, t) for t in (bars[0]["t"], NOW))
    change = bars[-1]["c"] / bars[0]["o"] - 1
    assert pytest.approx(now / start - 1, abs=0.004) == change
    for venue in ("binance", "bybit"):
        told = held[venue][-1]["v"] / held[venue][0]["v"] - 1
        spans = [held[venue][0]["t"], held[venue][1]["t"]], [held[venue][-1]["t"], NOW]
        first, last = (fmean(interest(venue, *span)) for span in spans)
        assert pytest.approx(last / first - 1, abs=0.005) == told
    for venue in set(MARKET.venues()) - {"hyperliquid"}:
        assert pytest.approx(truths.mean_apr(venue, "BTC"), abs=0.02) == paid[venue]
    flows = rows(found.of("get_etf_flows").data["rows"])
    real = [one for one in sessions(MARKET, "bitcoin", NOW) if one.open and one.complete][-5:]
    told = sum(r["total"] for r in flows if not r["partial"])
    assert pytest.approx(sum(one.total for one in real[-len(flows) :]), abs=0.3) == told


def interest(venue: str, since: int, until: int) -> list[float]:
    """Coins that are open on a venue, by the hour."""
    found = [MARKET.open_interest(venue, "BTC", t) for t in range(since, until, HOUR_MS)]
    return [one[1] for one in found if one is not None]


async def test_the_health_check_names_who_fails() -> None:
    """Two venues fail in their own ways: both are named with their reasons, and nobody else."""
    faults = ("--fault", "okx:http=503", "--fault", "gateio:html")
    async with Client(server(*faults), mode="legacy") as client:
        found = await follow(client, "venue_health")
    catalogue = {r["id"]: r for r in rows(found.of("get_markets").data["venues"])}
    failing: dict[str, str] = {}
    fine: set[str] = set()
    for tool, capability in (("get_funding", "funding"), ("get_oi", "oi"), ("get_spot", "spot")):
        answer = found.of(tool)
        assert answer.meta["partial"]
        notes = [one for one in answer.meta["sources"] if one["status"] == "error"]
        failing |= {one["source"]: one["reason"] for one in notes}
        asked = {name for name, r in catalogue.items() if capability in r["can"]}
        told = {r["venue"] for r in rows(answer.data)}
        assert told <= asked
        fine |= told
    assert {"okx", "gateio"} == set(failing)
    assert "http 503" in failing["okx"]
    assert "html" in failing["gateio"].lower()
    assert set(MARKET.venues()) - {"okx", "gateio"} <= fine
    assert ["bitmex"] == [name for name, r in catalogue.items() if r["status"] == "closed"]
