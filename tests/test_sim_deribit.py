"""The simulated deribit: one settlement currency at a time, three units of open interest."""

import json
from itertools import pairwise
from typing import Any

import pytest
from sim_shapes import NOW, check_types, get, listing_of, make_app, recorded

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.app import SimApp

HOST = "www.deribit.com"


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def ask(app: SimApp, method: str, **query: object) -> Any:
    """The result of a method that succeeds, out of its envelope."""
    found = get(app, HOST, f"/api/v2/public/{method}", **query)
    assert found.status == 200, found.body
    envelope = json.loads(found.body)
    assert ("2.0", False) == (envelope["jsonrpc"], envelope["testnet"])
    assert envelope["usOut"] - envelope["usIn"] == envelope["usDiff"]
    return envelope["result"]


def fail(app: SimApp, method: str, **query: object) -> tuple[int, int, str]:
    """(status, code, parameter) of a method that fails."""
    found = get(app, HOST, f"/api/v2/public/{method}", **query)
    error = json.loads(found.body)["error"]
    return found.status, error["code"], error.get("data", {}).get("param", "")


def summaries(app: SimApp, currency: str, kind: str) -> dict[str, dict[str, Any]]:
    """Summary rows by instrument."""
    rows = ask(app, "get_book_summary_by_currency", currency=currency, kind=kind)
    return {row["instrument_name"]: row for row in rows}


def test_chains_are_the_markets(app: SimApp) -> None:
    """Every quote of a chain once, with its prices, volatility in percent and coins."""
    for underlying, currency in (("BTC", "BTC"), ("ETH", "ETH"), ("SOL", "USDC"), ("XRP", "USDC")):
        rows = summaries(app, currency, "option")
        quotes = app.market.chain(underlying, NOW)
        for quote in quotes:
            row = rows[quote.instrument]
            assert (
                quote.mark_iv, quote.mark_price, quote.bid, quote.ask, quote.oi, quote.volume,
                quote.forward, quote.index,
            ) == tuple(
                row[k]
                for k in (
                    "mark_iv", "mark_price", "bid_price", "ask_price", "open_interest", "volume",
                    "underlying_price", "estimated_delivery_price",
                )
            )  # fmt: skip
        assert underlying != currency or len(quotes) == len(rows)


def test_usdc_holds_every_linear_chain(app: SimApp) -> None:
    """SOL and XRP beside BTC_USDC and AVAX_USDC; the inverse chains are not there."""
    prefixes = {name.partition("-")[0] for name in summaries(app, "USDC", "option")}
    assert {"SOL_USDC", "XRP_USDC", "BTC_USDC", "ETH_USDC", "AVAX_USDC"} == prefixes
    assert {"BTC"} == {name.partition("-")[0] for name in summaries(app, "BTC", "option")}


def test_empty_sides_are_null(app: SimApp) -> None:
    """Bid, ask, middle, last and change can each be missing."""
    rows = summaries(app, "BTC", "option").values()
    for name in ("bid_price", "ask_price", "mid_price", "last", "price_change"):
        assert any(row[name] is None for row in rows), name
    assert all((r["mid_price"] is None) == (None in (r["bid_price"], r["ask_price"])) for r in rows)


def test_combos_are_only_where_they_are_asked_for(app: SimApp) -> None:
    """A spread would look like an option of a strange strike."""
    assert not any("-CS-" in name for name in summaries(app, "BTC", "option"))
    assert all("-CS-" in name for name in summaries(app, "BTC", "option_combo"))


def test_an_expiry_without_future_has_a_synthetic_underlying(app: SimApp) -> None:
    """SYN. stands before what is not listed."""
    listed = set(summaries(app, "BTC", "future"))
    names = {row["underlying_index"] for row in summaries(app, "BTC", "option").values()}
    assert "BTC-25DEC26" in names
    assert any(name.startswith("SYN.BTC-") for name in names)
    assert {name for name in names if not name.startswith("SYN.")} <= listed


def test_open_interest_is_usd_when_inverse_and_coins_when_linear(app: SimApp) -> None:
    """Never contracts."""
    inverse = app.market.perp(listing_of(app, "deribit", "BTC-PERPETUAL"), NOW)
    linear = app.market.perp(listing_of(app, "deribit", "SOL_USDC-PERPETUAL"), NOW)
    btc, usdc = summaries(app, "BTC", "future"), summaries(app, "USDC", "future")
    assert inverse.oi_usd == btc["BTC-PERPETUAL"]["open_interest"]
    assert linear.oi_coins == pytest.approx(usdc["SOL_USDC-PERPETUAL"]["open_interest"], rel=1e-12)
    assert {"BTC-PERPETUAL", "BTC-25DEC26", "BTC-26MAR27"} == set(btc)


def test_funding_is_on_perpetuals_only_and_trailing(app: SimApp) -> None:
    """funding_8h equals the interest_8h of the hour and the value accrued over 8 hours."""
    hour = NOW // HOUR_MS * HOUR_MS
    app_then = make_app(hour)
    row = summaries(app_then, "BTC", "future")["BTC-PERPETUAL"]
    history = ask(
        app_then, "get_funding_rate_history", instrument_name="BTC-PERPETUAL",
        start_timestamp=hour - 8 * HOUR_MS, end_timestamp=hour,
    )  # fmt: skip
    assert row["funding_8h"] == history[-1]["interest_8h"]
    assert row["funding_8h"] == pytest.approx(sum(h["interest_1h"] for h in history[1:]), abs=1e-9)
    value = ask(
        app_then, "get_funding_rate_value", instrument_name="BTC-PERPETUAL",
        start_timestamp=hour - 8 * HOUR_MS, end_timestamp=hour,
    )  # fmt: skip
    assert row["funding_8h"] == pytest.approx(value, abs=1e-9)
    assert "funding_8h" not in summaries(app, "BTC", "future")["BTC-25DEC26"]
    perp = app.market.perp(listing_of(app, "deribit", "BTC-PERPETUAL"), NOW)
    assert perp.funding_rate == summaries(app, "BTC", "future")["BTC-PERPETUAL"]["funding_8h"]


def test_history_holds_744_hours_at_most(app: SimApp) -> None:
    """Ascending, hour by hour, the newest ones."""
    rows = ask(
        app, "get_funding_rate_history", instrument_name="ETH-PERPETUAL",
        start_timestamp=NOW - 2000 * HOUR_MS, end_timestamp=NOW,
    )  # fmt: skip
    assert 744 == len(rows)
    assert NOW // HOUR_MS * HOUR_MS == rows[-1]["timestamp"]
    assert {HOUR_MS} == {b["timestamp"] - a["timestamp"] for a, b in pairwise(rows)}


def test_wrong_currencies_are_named_in_the_error(app: SimApp) -> None:
    """SOL is no settlement currency; none at all is an error too; USDT holds nothing."""
    method = "get_book_summary_by_currency"
    assert (400, -32602, "currency") == fail(app, method, currency="SOL", kind="option")
    assert (400, -32602, "currency") == fail(app, method, kind="option")
    assert (400, -32602, "kind") == fail(app, method, currency="BTC", kind="perp")
    assert (400, -32602, "instrument_name") == fail(app, "ticker", instrument_name="BTC-1JAN20")
    assert {} == summaries(app, "USDT", "future")


def test_the_index_is_the_markets(app: SimApp) -> None:
    """btc_usd and sol_usdc are known, others are an error."""
    said = ask(app, "get_index_price", index_name="btc_usd")
    assert round(app.market.price("BTC", NOW), 2) == said["index_price"]
    assert app.market.chain("SOL", NOW)[0].index == ask(
        app, "get_index_price", index_name="sol_usdc"
    )["index_price"]  # fmt: skip
    assert (400, -32602, "index_name") == fail(app, "get_index_price", index_name="nope_usd")


def test_instruments_tell_sizes_and_expiries(app: SimApp) -> None:
    """Contract sizes per family; a perpetual expires in the year 3000."""
    rows = {r["instrument_name"]: r for r in ask(app, "get_instruments", currency="any")}
    assert (10.0, "reversed", 32_503_708_800_000) == tuple(
        rows["BTC-PERPETUAL"][k]
        for k in ("contract_size", "instrument_type", "expiration_timestamp")
    )
    assert ("linear", "USDC") == tuple(
        rows["SOL_USDC-PERPETUAL"][k] for k in ("instrument_type", "settlement_currency")
    )
    for quote in app.market.chain("XRP", NOW)[:20]:
        row = rows[quote.instrument]
        assert (quote.strike, quote.expiry_ms) == (row["strike"], row["expiration_timestamp"])
    only = ask(app, "get_instruments", currency="ETH", kind="option")
    assert {"option"} == {row["kind"] for row in only}


def test_tickers_agree_with_summaries(app: SimApp) -> None:
    """One instrument's numbers under the ticker's names, options with their volatility."""
    quote = app.market.chain("ETH", NOW)[40]
    option = ask(app, "ticker", instrument_name=quote.instrument)
    assert (quote.mark_iv, quote.mark_price, quote.oi) == tuple(
        option[k] for k in ("mark_iv", "mark_price", "open_interest")
    )
    row = summaries(app, "BTC", "future")["BTC-PERPETUAL"]
    perp = ask(app, "ticker", instrument_name="BTC-PERPETUAL")
    for name in ("mark_price", "open_interest", "funding_8h", "current_funding"):
        assert row[name] == perp[name]
    single = ask(app, "get_book_summary_by_instrument", instrument_name="BTC-PERPETUAL")
    assert [row] == single


def test_spot_pairs_are_a_kind_of_their_own(app: SimApp) -> None:
    """BTC_USDC settles in USDC and has no open interest."""
    rows = summaries(app, "USDC", "spot")
    assert {"BTC_USDC", "ETH_USDC", "SOL_USDC"} == set(rows)
    assert "open_interest" not in rows["BTC_USDC"]
    assert NOW == ask(app, "get_time")
    assert "BTC" in {row["currency"] for row in ask(app, "get_currencies")}


@pytest.mark.parametrize(
    ("parts", "method", "query"),
    [
        (("summary_by_currency", "ETH", "kind=option"), "get_book_summary_by_currency",
         {"currency": "BTC", "kind": "option"}),
        (("summary_by_instrument", "BTC-PERPETUAL"), "get_book_summary_by_instrument",
         {"instrument_name": "BTC-PERPETUAL"}),
        (("get_funding_rate_history",), "get_funding_rate_history",
         {"instrument_name": "BTC-PERPETUAL", "start_timestamp": NOW - HOUR_MS,
          "end_timestamp": NOW}),
        (("get_index_price", "btc_usd"), "get_index_price", {"index_name": "btc_usd"}),
        (("/ticker?instrument_name=BTC-PERPETUAL",), "ticker",
         {"instrument_name": "BTC-PERPETUAL"}),
    ],
)  # fmt: skip
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, parts: tuple[str, ...], method: str, query: dict[str, object]
) -> None:
    """Field by field against what the venue really sent."""
    real, ours = recorded("deribit", *parts)["result"], ask(app, method, **query)
    assert isinstance(real, list) == isinstance(ours, list)
    lacking = ("interest_value", "settlement_price")
    check_types(
        real[0] if isinstance(real, list) else real,
        ours[0] if isinstance(ours, list) else ours,
        *lacking,
    )
