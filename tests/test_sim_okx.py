"""The simulated okx tells the market's truth in okx's units, types and errors."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmflow_mcp.clock import DAY_MS, HOUR_MS, FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing, Market

NOW = 1_795_490_745_000
RECORDED = Path(__file__).resolve().parents[1].parent / "shared" / "wire"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return SimApp(Market(1), FixedClock(NOW))


def ask(app: SimApp, path: str, **query: object) -> Row:
    """The envelope of an answer; okx says 200 whatever happens."""
    found = app.reply("GET", "www.okx.com", f"/api/v5/{path}", urlencode(query).encode(), b"")
    assert found.status == 200
    envelope: Row = json.loads(found.body)
    return envelope


def rows(app: SimApp, path: str, **query: object) -> list[Any]:
    """The data of an answer that is no error."""
    envelope = ask(app, path, **query)
    assert ("0", "") == (envelope["code"], envelope["msg"])
    data: list[Any] = envelope["data"]
    return data


def listing(app: SimApp, symbol: str) -> Listing:
    """A listing of the market by its symbol."""
    return next(i for i in app.market.listings("okx", NOW) if i.symbol == symbol)


def live_coins(app: SimApp) -> set[str]:
    """The swaps a careful reader keeps: a plain name, live, on a coin."""
    return {
        r["instId"]
        for r in rows(app, "public/instruments", instType="SWAP")
        if re.fullmatch(r"[A-Z0-9]+-(USDT|USDC|USD)-SWAP", r["instId"])
        and (r["state"], r["instCategory"]) == ("live", "1")
    }


@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "DOGE", "PEPE", "BABYDOGE", "1INCH"])
def test_open_interest_read_as_the_dossier_says_is_the_truth(app: SimApp, coin: str) -> None:
    """oiUsd and oiCcy of a coin's live swaps add up to what the market holds."""
    kept = {name for name in live_coins(app) if name.partition("-")[0] == coin}
    told = [r for r in rows(app, "public/open-interest", instType="SWAP") if r["instId"] in kept]
    truth = app.market.open_interest("okx", coin, NOW)
    assert truth is not None
    assert pytest.approx(truth[0]) == sum(float(r["oiUsd"]) for r in told)
    assert pytest.approx(truth[1]) == sum(float(r["oiCcy"]) for r in told)


def test_contracts_times_ctval_are_the_coins_or_the_usd(app: SimApp) -> None:
    """Linear: oi x ctVal = oiCcy, and x markPx = oiUsd. Inverse: oi x ctVal = oiUsd."""
    kinds = {r["instId"]: r for r in rows(app, "public/instruments", instType="SWAP")}
    marks = {
        r["instId"]: float(r["markPx"]) for r in rows(app, "public/mark-price", instType="SWAP")
    }
    checked = {"linear": 0, "inverse": 0}
    for row in rows(app, "public/open-interest", instType="SWAP"):
        kind = kinds[row["instId"]]
        if kind["state"] != "live":
            continue
        units = float(row["oi"]) * float(kind["ctVal"]) * float(kind["ctMult"])
        coins, usd = float(row["oiCcy"]), float(row["oiUsd"])
        expected = (coins, coins * marks[row["instId"]])
        if kind["ctType"] == "inverse":
            expected = (usd, usd)
        assert pytest.approx(expected) == (units, usd)
        checked[kind["ctType"]] += 1
    assert checked["linear"] > 30
    assert checked["inverse"] == 6


def test_funding_time_is_the_coming_settlement(app: SimApp) -> None:
    """instId=ANY tells each live swap; the period is the distance of the two times."""
    told = {r["instId"]: r for r in rows(app, "public/funding-rate", instId="ANY")}
    assert live_coins(app) <= told.keys()
    hours = set()
    for name in live_coins(app):
        row, item = told[name], listing(app, name)
        perp = app.market.perp(item, NOW)
        assert perp.funding_rate == float(row["fundingRate"])
        assert perp.next_funding_ms == int(row["fundingTime"])
        period = int(row["nextFundingTime"]) - int(row["fundingTime"])
        assert item.period_hours * HOUR_MS == period
        hours.add(item.period_hours)
        settled = app.market.settled_funding(item, int(row["prevFundingTime"]))
        assert settled == float(row["settFundingRate"])
    assert {1, 2, 4, 8} == hours


def test_one_swap_is_asked_by_its_name(app: SimApp) -> None:
    """A single instId gives the same row as ANY."""
    (one,) = rows(app, "public/funding-rate", instId="ETH-USD-SWAP")
    every = rows(app, "public/funding-rate", instId="ANY")
    assert [one] == [r for r in every if r["instId"] == "ETH-USD-SWAP"]


def test_rows_before_the_opening_are_empty(app: SimApp) -> None:
    """Preopen swaps have a name, a type and a state; their numbers are ""."""
    kinds = {r["instId"]: r for r in rows(app, "public/instruments", instType="SWAP")}
    held = {r["instId"]: r for r in rows(app, "public/open-interest", instType="SWAP")}
    for name in ("MOG-USDT-SWAP", "ETH-USD_UM-SWAP"):
        said = {k: v for k, v in kinds[name].items() if v}
        assert {"instId": name, "instType": "SWAP", "state": "preopen"} == said
        assert ("", "", "") == (held[name]["oi"], held[name]["oiCcy"], held[name]["oiUsd"])
        assert "" == rows(app, "market/ticker", instId=name)[0]["last"]


def test_odd_gold_is_told_among_futures_and_fundings(app: SimApp) -> None:
    """XAU of the XPERP family is a FUTURES row that charges funding."""
    name = "XAU-USD_UM_XPERP-310502"
    for path in ("public/open-interest", "public/instruments", "market/tickers"):
        assert name in {r["instId"] for r in rows(app, path, instType="FUTURES")}
    (row,) = rows(app, "public/funding-rate", instId=name)
    assert "FUTURES" == row["instType"]


def test_stocks_and_suspended_swaps_stand_among_the_coins(app: SimApp) -> None:
    """Only instCategory and state tell BB the stock and FTM the delisted from coins."""
    kinds = {r["instId"]: r for r in rows(app, "public/instruments", instType="SWAP")}
    assert ("3", "4") == (
        kinds["BB-USDT-SWAP"]["instCategory"],
        kinds["XAU-USDT-SWAP"]["instCategory"],
    )
    assert "suspend" == kinds["FTM-USDT-SWAP"]["state"]
    (held,) = rows(app, "public/open-interest", instType="SWAP", instId="FTM-USDT-SWAP")
    assert "0" == held["oi"]


def test_volume_changes_its_unit_between_spot_and_swap(app: SimApp) -> None:
    """Spot: vol24h base, volCcy24h quote. Swap: vol24h contracts, volCcy24h coins."""
    (spot,) = rows(app, "market/ticker", instId="BTC-USDT")
    truth = app.market.perp(listing(app, "BTC-USDT"), NOW)
    expected = pytest.approx((truth.volume_coins, truth.turnover_usd))
    assert expected == (float(spot["vol24h"]), float(spot["volCcy24h"]))
    for name, size in (("BTC-USDT-SWAP", 0.01), ("BTC-USD-SWAP", 100.0)):
        (row,) = rows(app, "market/ticker", instId=name)
        truth = app.market.perp(listing(app, name), NOW)
        traded = truth.turnover_usd if size == 100.0 else truth.volume_coins
        expected = pytest.approx((traded / size, truth.volume_coins))
        assert expected == (float(row["vol24h"]), float(row["volCcy24h"]))


def test_dated_futures_carry_their_expiry(app: SimApp) -> None:
    """FUTURES rows of instruments say when they end, in ms."""
    told = {r["instId"]: r["expTime"] for r in rows(app, "public/instruments", instType="FUTURES")}
    dated = [i for i in app.market.listings("okx", NOW) if i.kind == "future"]
    assert dated
    assert {i.symbol: str(i.expiry_ms) for i in dated} == {
        name: told[name] for name in told if "_UM" not in name
    }


def test_funding_history_pages_backwards_with_after(app: SimApp) -> None:
    """`after` gives what is older and `before` what is newer, newest first, as it was settled."""
    item = listing(app, "PEPE-USDT-SWAP")
    asked = {"instId": item.symbol, "limit": 3}
    first = rows(app, "public/funding-rate-history", **asked)
    times = [int(r["fundingTime"]) for r in first]
    period = item.period_hours * HOUR_MS
    assert [NOW - NOW % period - n * period for n in range(3)] == times
    assert [app.market.settled_funding(item, t) for t in times] == [
        float(r["realizedRate"]) for r in first
    ]
    older = rows(app, "public/funding-rate-history", **asked, after=times[-1])
    assert times[-1] - period == int(older[0]["fundingTime"])
    newer = rows(app, "public/funding-rate-history", **asked, before=times[1])
    assert times[:1] == [int(r["fundingTime"]) for r in newer]
    gone = rows(app, "public/funding-rate-history", **asked, after=NOW - 120 * DAY_MS)
    assert [] == gone


def test_interest_history_agrees_with_the_snapshots(app: SimApp) -> None:
    """Rows are [ts, contracts, coins, USD], newest first; `end` is exclusive."""
    asked = {"instId": "BTC-USDT-SWAP", "period": "1H", "limit": 3}
    path = "rubik/stat/contracts/open-interest-history"
    told = rows(app, path, **asked)
    assert [str(NOW - NOW % HOUR_MS - n * HOUR_MS) for n in range(3)] == [r[0] for r in told]
    for at, contracts, coins, usd in told:
        perp = app.market.perp(listing(app, "BTC-USDT-SWAP"), int(at))
        expected = pytest.approx((perp.open_interest, perp.oi_coins, perp.oi_usd))
        assert expected == (float(contracts), float(coins), float(usd))
    assert told[1] == rows(app, path, **asked, end=told[0][0])[0]


def test_days_of_the_history_begin_at_16_utc(app: SimApp) -> None:
    """1D bars run on the UTC+8 clock, 1Dutc bars on UTC; about a hundred are kept."""
    path = "rubik/stat/contracts/open-interest-history"
    east = rows(app, path, instId="BTC-USDT-SWAP", period="1D")
    utc = rows(app, path, instId="BTC-USDT-SWAP", period="1Dutc")
    assert {16 * HOUR_MS} == {int(r[0]) % DAY_MS for r in east}
    assert {0} == {int(r[0]) % DAY_MS for r in utc}
    assert 100 == len(east)
    fine = rows(app, path, instId="BTC-USDT-SWAP", period="5m", end=NOW - 4 * DAY_MS)
    assert [] == fine


@pytest.mark.parametrize(
    ("code", "path", "query"),
    [
        ("51001", "public/open-interest", {"instType": "SWAP", "instId": "NO-USDT-SWAP"}),
        ("51001", "public/funding-rate", {"instId": "NO-USDT-SWAP"}),
        ("51001", "public/funding-rate-history", {"instId": "NO-USDT-SWAP"}),
        ("51001", "market/ticker", {"instId": "NO-USDT"}),
        ("51001", "rubik/stat/contracts/open-interest-history", {"instId": "NO-USDT-SWAP"}),
        ("51000", "public/open-interest", {"instType": "SWAPS"}),
        ("50014", "public/instruments", {}),
        ("50014", "public/open-interest", {"instType": "OPTION"}),
    ],
)
def test_errors_are_told_inside_http_200(app: SimApp, code: str, path: str, query: Row) -> None:
    """A wrong question gets a code other than "0", a message and no data."""
    envelope = ask(app, path, **query)
    assert (code, []) == (envelope["code"], envelope["data"])
    assert envelope["msg"]


def test_unknown_path_is_a_404_in_okxs_envelope(app: SimApp) -> None:
    """A path that does not exist answers 404 with code, data and msg."""
    found = app.reply("GET", "www.okx.com", "/api/v5/nothing", b"", b"")
    assert (404, {"code", "data", "msg"}) == (found.status, json.loads(found.body).keys())


def test_everything_but_lists_is_text(app: SimApp) -> None:
    """Numbers of okx are strings throughout, in every table."""
    for kind in ("SPOT", "SWAP", "FUTURES"):
        for path in ("public/instruments", "market/tickers"):
            for row in rows(app, path, instType=kind):
                assert {str} == {type(v) for v in row.values()}
    assert {str} == {type(v) for v in rows(app, "public/funding-rate", instId="ANY")[0].values()}
    assert [{"ts": str(NOW)}] == rows(app, "public/time")


@pytest.mark.parametrize(
    ("part", "path", "query"),
    [
        ("open-interest?instType=SWAP", "public/open-interest", {"instType": "SWAP"}),
        ("public/funding-rate?", "public/funding-rate", {"instId": "BTC-USDT-SWAP"}),
        ("funding-rate-history", "public/funding-rate-history", {"instId": "BTC-USDT-SWAP"}),
        ("instruments?instType=FUTURES", "public/instruments", {"instType": "FUTURES"}),
        ("instruments?instType=SPOT", "public/instruments", {"instType": "SPOT"}),
        ("mark-price", "public/mark-price", {"instType": "SWAP"}),
        ("tickers?instType=SWAP", "market/tickers", {"instType": "SWAP"}),
        ("market/ticker?", "market/ticker", {"instId": "BTC-USDT"}),
    ],
)
def test_rows_have_the_recorded_fields(app: SimApp, part: str, path: str, query: Row) -> None:
    """Every field of the newest recorded row is there."""
    if not (RECORDED / "okx.har").exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads((RECORDED / "okx.har").read_text())["log"]["entries"]
    fitting = [e for e in entries if part in e["request"]["url"]]
    newest = max(fitting, key=lambda e: str(e["startedDateTime"]))
    real = json.loads(newest["response"]["content"]["text"])["data"][0]
    assert set() == real.keys() - rows(app, path, **query)[0].keys()
