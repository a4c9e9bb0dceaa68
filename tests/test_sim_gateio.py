"""The simulated gate tells the market's truth in gate's units, types and errors."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing, Market

NOW = 1_795_490_745_000
RECORDED = Path(__file__).resolve().parents[1].parent / "shared" / "wire" / "gateio.har"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return SimApp(Market(1), FixedClock(NOW))


def ask(app: SimApp, path: str, **query: object) -> Any:
    """The body of a good answer."""
    found = app.reply("GET", "api.gateio.ws", f"/api/v4{path}", urlencode(query).encode(), b"")
    assert found.status == 200, found.body
    return json.loads(found.body)


def listing(app: SimApp, symbol: str) -> Listing:
    """A perpetual of the market by its symbol."""
    listed = app.market.listings("gateio", NOW)
    return next(i for i in listed if (i.symbol, i.kind) == (symbol, "perp"))


def kept(row: Row) -> bool:
    """Whether a careful reader counts a contract: trading, on a coin."""
    return (row["status"], row["contract_type"], row["in_delisting"]) == ("trading", "", False)


@pytest.mark.parametrize("coin", ["BTC", "ETH", "PEPE", "BABYDOGE", "SHIB", "BB", "WEN", "龙虾"])
def test_open_interest_read_as_the_dossier_says_is_the_truth(app: SimApp, coin: str) -> None:
    """position_size x quanto x mark (direct) and position_size (inverse) add up to the truth."""
    usd = coins = 0.0
    for settle in ("usdt", "btc", "usd1"):
        for row in ask(app, f"/futures/{settle}/contracts"):
            if row["name"].partition("_")[0] != coin or not kept(row):
                continue
            mark = float(row["mark_price"])
            units = row["position_size"] * float(row["quanto_multiplier"])
            if row["type"] == "inverse":
                assert "0" == row["quanto_multiplier"]
                units = row["position_size"] / mark
            coins += units
            usd += units * mark
    truth = app.market.open_interest("gateio", coin, NOW)
    assert truth is not None
    assert pytest.approx(truth) == (usd, coins)


@pytest.mark.parametrize("settle", ["usdt", "btc", "usd1"])
def test_tickers_count_both_sides(app: SimApp, settle: str) -> None:
    """total_size, a text, is twice position_size, a number, wherever there is a ticker."""
    sizes = {r["name"]: r["position_size"] for r in ask(app, f"/futures/{settle}/contracts")}
    tickers = ask(app, f"/futures/{settle}/tickers")
    assert tickers
    for row in tickers:
        assert str(2 * sizes[row["contract"]]) == row["total_size"]


def test_stats_count_both_sides_and_agree_with_the_snapshots(app: SimApp) -> None:
    """contract_stats ascend; open_interest is twice the position_size of that moment."""
    told = ask(app, "/futures/usdt/contract_stats", contract="BTC_USDT", interval="1h", limit=3)
    last = NOW // 1000 - NOW // 1000 % 3600
    assert [last - 7200, last - 3600, last] == [r["time"] for r in told]
    for row in told:
        perp = app.market.perp(listing(app, "BTC_USDT"), row["time"] * 1000)
        assert 2 * perp.open_interest == row["open_interest"]
        assert pytest.approx(2 * perp.oi_usd) == row["open_interest_usd"]
        assert perp.mark == row["mark_price"]
    begun = ask(
        app, "/futures/usdt/contract_stats",
        contract="BTC_USDT", interval="5m", limit=2, **{"from": last - 7200},
    )  # fmt: skip
    assert [last - 7200, last - 6900] == [r["time"] for r in begun]


def test_funding_is_in_seconds(app: SimApp) -> None:
    """Rate as text, next payment and period as whole seconds; periods differ by contract."""
    periods = set()
    for row in ask(app, "/futures/usdt/contracts"):
        if not kept(row):
            continue
        perp = app.market.perp(listing(app, row["name"]), NOW)
        assert perp.funding_rate == float(row["funding_rate"])
        assert perp.next_funding_ms // 1000 == row["funding_next_apply"]
        assert perp.listing.period_hours * 3600 == row["funding_interval"]
        periods.add(row["funding_interval"])
    assert {3600, 7200, 14400, 28800} == periods


def test_funding_history_is_what_was_settled(app: SimApp) -> None:
    """Newest first, at the settlement or a second after it."""
    item = listing(app, "PEPE_USDT")
    told = ask(app, "/futures/usdt/funding_rate", contract=item.symbol, limit=6)
    period = item.period_hours * 3600
    newest = NOW // 1000 // period * period
    late = [row["t"] - (newest - n * period) for n, row in enumerate(told)]
    assert {0, 1} == set(late)
    assert [app.market.settled_funding(item, (newest - n * period) * 1000) for n in range(6)] == [
        float(row["r"]) for row in told
    ]


def test_delisted_and_early_contracts_are_flagged(app: SimApp) -> None:
    """in_delisting and is_pre_market rows stay in the list, hold nothing and have no ticker."""
    told = {r["name"]: r for r in ask(app, "/futures/usdt/contracts")}
    gone, early = told["FTM_USDT"], told["QNT_USDT"]
    assert (True, False, "delisting", 0) == (
        gone["in_delisting"], gone["is_pre_market"], gone["status"], gone["position_size"],
    )  # fmt: skip
    assert (False, True, "prelaunch", "") == (
        early["in_delisting"], early["is_pre_market"], early["status"], early["mark_price"],
    )  # fmt: skip
    tickers = {r["contract"] for r in ask(app, "/futures/usdt/tickers")}
    assert set() == {"FTM_USDT", "QNT_USDT"} & tickers


def test_stocks_stand_among_the_coins(app: SimApp) -> None:
    """MOVE is a stock here: only contract_type tells it from the coin."""
    types = {r["name"]: r["contract_type"] for r in ask(app, "/futures/usdt/contracts")}
    assert ["stocks", "metals", "forex", "indices", ""] == [
        types[f"{name}_USDT"] for name in ("MOVE", "XAU", "EURUSD", "SPX500", "BTC")
    ]


def test_one_contract_is_asked_by_its_name(app: SimApp) -> None:
    """A single contract, also one that is not ASCII, is the row of the list."""
    listed = {r["name"]: r for r in ask(app, "/futures/usdt/contracts")}
    for name in ("BTC_USDT", "龙虾_USDT"):
        assert listed[name] == ask(app, f"/futures/usdt/contracts/{name}")


def test_contracts_are_paged_only_when_asked(app: SimApp) -> None:
    """Without parameters everything comes; limit and offset cut it."""
    whole = ask(app, "/futures/usdt/contracts")
    paged = [
        row
        for offset in range(0, len(whole), 20)
        for row in ask(app, "/futures/usdt/contracts", limit=20, offset=offset)
    ]
    assert whole == paged


def test_spot_has_percent_and_leveraged_tokens(app: SimApp) -> None:
    """Change is percent; a 3L token carries etf_ fields; pairs tell what may be traded."""
    told = {r["currency_pair"]: r for r in ask(app, "/spot/tickers")}
    spot = next(i for i in app.market.listings("gateio", NOW) if i.kind == "spot")
    perp = app.market.perp(spot, NOW)
    change = (perp.last / perp.open_24h - 1) * 100
    assert pytest.approx(change, abs=0.005) == float(told["BTC_USDT"]["change_percentage"])
    assert "etf_net_value" in told["BTC3L_USDT"]
    assert [told["ETH_USDT"]] == ask(app, "/spot/tickers", currency_pair="ETH_USDT")
    pairs = {r["id"]: r["trade_status"] for r in ask(app, "/spot/currency_pairs")}
    assert ("tradable", "untradable") == (pairs["BTC_USDT"], pairs["FTM_USDT"])


def test_deliveries_are_elsewhere(app: SimApp) -> None:
    """Dated contracts have their own list, with their expiry in seconds at 08:00 UTC."""
    told = ask(app, "/delivery/usdt/contracts")
    assert {"BTC_USDT", "ETH_USDT"} == {r["underlying"] for r in told}
    assert {8 * 3600} == {r["expire_time"] % 86400 for r in told}
    perpetuals = {r["name"] for r in ask(app, "/futures/usdt/contracts")}
    assert set() == perpetuals & {r["name"] for r in told}


@pytest.mark.parametrize(
    ("label", "path", "query"),
    [
        ("CONTRACT_NOT_FOUND", "/futures/usdt/contracts/NO_USDT", {}),
        ("CONTRACT_NOT_FOUND", "/futures/usdt/tickers", {"contract": "NO_USDT"}),
        ("CONTRACT_NOT_FOUND", "/futures/btc/funding_rate", {"contract": "BTC_USDT"}),
        ("MISSING_REQUIRED_PARAM", "/futures/usdt/contract_stats", {}),
        ("INVALID_PARAM_VALUE", "/futures/usdt/contracts", {"limit": "many"}),
        ("INVALID_CURRENCY_PAIR", "/spot/tickers", {"currency_pair": "NO_USDT"}),
    ],
)
def test_errors_are_a_status_with_a_label(app: SimApp, label: str, path: str, query: Row) -> None:
    """A wrong question gets HTTP 400 with label and message."""
    found = app.reply("GET", "api.gateio.ws", f"/api/v4{path}", urlencode(query).encode(), b"")
    said = json.loads(found.body)
    assert (400, label) == (found.status, said["label"])
    assert said["message"]


def test_unknown_path_is_a_404_in_gates_envelope(app: SimApp) -> None:
    """A path that does not exist answers 404 with label and message."""
    found = app.reply("GET", "api.gateio.ws", "/api/v4/nothing", b"", b"")
    assert (404, {"label", "message"}) == (found.status, json.loads(found.body).keys())


@pytest.mark.parametrize(
    ("part", "path", "query", "unserved"),
    [
        (
            "futures/usdt/contracts/BTC_USDT",
            "/futures/usdt/contracts",
            {},
            {
                "orderbook_id", "trade_id", "ref_rebate_rate", "ref_discount_rate",
                "voucher_leverage", "market_order_slip_ratio",
            },
        ),
        ("futures/usdt/tickers", "/futures/usdt/tickers", {"contract": "BTC_USDT"}, set()),
        ("futures/btc/tickers", "/futures/btc/tickers", {}, set()),
        (
            "futures/usdt/funding_rate",
            "/futures/usdt/funding_rate",
            {"contract": "BTC_USDT"},
            set(),
        ),
        ("spot/tickers?currency", "/spot/tickers", {}, {"highest_size", "lowest_size"}),
    ],
)  # fmt: skip
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, part: str, path: str, query: Row, unserved: set[str]
) -> None:
    """Every field of the newest recorded row but the named ones is there, as the same type."""
    if not RECORDED.exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads(RECORDED.read_text())["log"]["entries"]
    fitting = [e for e in entries if part in e["request"]["url"]]
    newest = max(fitting, key=lambda e: str(e["startedDateTime"]))
    real = json.loads(newest["response"]["content"]["text"])
    real = real[0] if isinstance(real, list) else real
    ours = ask(app, path, **query)[0]
    expected = {k: type(v) for k, v in real.items() if k not in unserved}
    assert expected == {k: type(ours.get(k)) for k in expected}
