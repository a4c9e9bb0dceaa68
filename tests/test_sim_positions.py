"""The simulated shares and liquidations: functions of time, told in each venue's own shape."""

from typing import Any

import pytest
from sim_shapes import NOW, check_types, get, get_json, listing_of, make_app, recorded

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import closures, liquidated, long_share

APP = make_app()
FAPI, BYBIT, OKX, GATE = "fapi.binance.com", "api.bybit.com", "www.okx.com", "api.gateio.ws"
RUBIK = "/api/v5/rubik/stat/contracts"
USDT = "/api/v4/futures/usdt"


def share(venue: str, view: str, at_ms: int) -> float:
    """The truth of BTC."""
    return long_share(APP.market, venue, "BTC", view, at_ms)


def orders(**query: object) -> list[dict[str, Any]]:
    """Gate's liquidations of contracts in USDT."""
    rows: list[dict[str, Any]] = get_json(APP, GATE, f"{USDT}/liq_orders", **query)
    return rows


class TestTruth:
    """The same for ever, and plausible."""

    def test_another_process_sees_the_same_world(self) -> None:
        """Seed and time decide; another seed is another world."""
        at = NOW - 40 * DAY_MS
        seen = [
            (
                long_share(Market(seed), "okx", "BTC", "top", at),
                liquidated(Market(seed), "okx", "BTC", at),
            )
            for seed in (1, 1, 2)
        ]
        assert seen[0] == seen[1]
        assert seen[0] != seen[2]

    def test_shares_are_shares_and_move(self) -> None:
        """Between 0 and 1 all month, never the same for a day."""
        seen = [share("binance", "global", NOW - hour * HOUR_MS) for hour in range(720)]
        assert all(0.2 < one < 0.85 for one in seen)
        assert len(set(seen[:24])) > 12

    def test_a_day_is_the_sum_of_its_parts(self) -> None:
        """Asked in pieces or at once, the same liquidations; none outside the span."""
        listing = listing_of(APP, "okx", "BTC-USDT-SWAP")
        whole = closures(APP.market, listing, NOW - DAY_MS, NOW)
        half = NOW - DAY_MS // 2
        parts = closures(APP.market, listing, NOW - DAY_MS, half)
        parts += closures(APP.market, listing, half, NOW)
        assert whole == parts
        assert all(NOW - DAY_MS < one.at_ms <= NOW for one in whole)
        assert sorted(whole, key=lambda one: one.at_ms) == whole
        assert len(whole) > 200

    def test_only_live_perpetuals_on_coins_are_liquidated(self) -> None:
        """No stock, no dated future, nothing delisted."""
        for listing in APP.market.listings("okx", NOW):
            if not listing.counted:
                assert [] == closures(APP.market, listing, NOW - DAY_MS, NOW), listing.symbol


class TestBinance:
    """/futures/data on fapi."""

    def test_samples_ascend_on_the_grid(self) -> None:
        """The newest is of the last full hour; shares sum to one; the ratio is their quotient."""
        path = "/futures/data/topLongShortPositionRatio"
        rows = get_json(APP, FAPI, path, symbol="BTCUSDT", period="1h", limit=5)
        full = NOW // HOUR_MS * HOUR_MS
        assert [full - back * HOUR_MS for back in range(4, -1, -1)] == [
            r["timestamp"] for r in rows
        ]
        for row in rows:
            assert f"{share('binance', 'top', row['timestamp']):.4f}" == row["longAccount"]
            longs, shorts = float(row["longAccount"]), float(row["shortAccount"])
            assert pytest.approx(1.0) == longs + shorts
            assert pytest.approx(longs / shorts, abs=1e-4) == float(row["longShortRatio"])

    def test_its_errors(self) -> None:
        """-1102 without period or symbol, -1121 for what does not trade."""
        path = "/futures/data/globalLongShortAccountRatio"
        for query, code in (
            ({"symbol": "BTCUSDT"}, b"-1102"),
            ({"period": "1h"}, b"-1102"),
            ({"symbol": "NOPE", "period": "1h"}, b"-1121"),
        ):
            found = get(APP, FAPI, path, **query)
            assert 400 == found.status
            assert code in found.body

    def test_rows_are_the_real_ones(self) -> None:
        """Names and types of the recordings."""
        path = "/futures/data/globalLongShortAccountRatio"
        ours = get_json(APP, FAPI, path, symbol="BTCUSDT", period="4h")[0]
        check_types(recorded("binance", f"{FAPI}{path}?")[0], ours)


class TestBybit:
    """account-ratio."""

    def test_samples_descend(self) -> None:
        """The newest first, shares of holders; names and types of the recording."""
        path = "/v5/market/account-ratio"
        query = {"category": "linear", "symbol": "BTCUSDT", "period": "15min", "limit": 2}
        found = get_json(APP, BYBIT, path, **query)
        step = HOUR_MS // 4
        full = NOW // step * step
        rows = found["result"]["list"]
        assert [str(full), str(full - step)] == [row["timestamp"] for row in rows]
        assert f"{share('bybit', 'global', full):.4f}" == rows[0]["buyRatio"]
        real = recorded("bybit", "account-ratio")
        check_types(real["result"]["list"][0], rows[0])
        check_types(real["result"], found["result"])

    def test_its_errors(self) -> None:
        """10001 for a period it does not know."""
        query = {"category": "linear", "symbol": "BTCUSDT", "period": "1H"}
        assert 10001 == get_json(APP, BYBIT, "/v5/market/account-ratio", **query)["retCode"]


class TestOkx:
    """rubik and liquidation-orders."""

    def test_the_newest_bar_is_forming(self) -> None:
        """It begins at the full hour and shows what is now; the next is closed and stays."""
        path = f"{RUBIK}/long-short-account-ratio-contract"
        query = {"instId": "BTC-USDT-SWAP", "period": "1H", "limit": 2}
        (first, last), full = get_json(APP, OKX, path, **query)["data"], NOW // HOUR_MS * HOUR_MS
        assert (str(full), str(full - HOUR_MS)) == (first[0], last[0])
        now, then = share("okx", "global", NOW), share("okx", "global", full)
        assert pytest.approx(now / (1 - now), abs=1e-7) == float(first[1])
        assert pytest.approx(then / (1 - then), abs=1e-7) == float(last[1])
        assert now != then

    def test_pages_of_liquidations_join(self) -> None:
        """`after` asks for what is older: all pages together are the market's, newest first."""
        listing = listing_of(APP, "okx", "BTC-USDT-SWAP")
        told: list[int] = []
        before = NOW + 1
        while len(told) < 1000:
            query = {"instType": "SWAP", "state": "filled", "instFamily": "BTC-USDT"}
            data = get_json(
                APP, OKX, "/api/v5/public/liquidation-orders", **query, limit=100, after=before
            )["data"]
            times = [int(row["ts"]) for group in data for row in group["details"]]
            told += times
            if len(times) < 100:
                break
            # Where a moment is cut in two, its records come with the page after it.
            cut = times[-1]
            told = [at for at in told if at > cut]
            before = cut + 1
        truth = closures(APP.market, listing, NOW - DAY_MS, NOW)
        assert [one.at_ms for one in reversed(truth)] == [at for at in told if at > NOW - DAY_MS]

    def test_a_family_without_liquidations_has_no_group(self) -> None:
        """Nothing in `data`, and no error; another family than a swap's neither."""
        query = {"instType": "SWAP", "state": "filled", "instFamily": "NOPE-USDT"}
        found = get_json(APP, OKX, "/api/v5/public/liquidation-orders", **query)
        assert ("0", []) == (found["code"], found["data"])

    def test_its_errors(self) -> None:
        """51001 for an unknown swap, 51000 for another spelling of a period, 50014 for nothing."""
        ratio = f"{RUBIK}/long-short-position-ratio-contract-top-trader"
        for path, query, code in (
            (ratio, {"instId": "NOPE", "period": "1H"}, "51001"),
            (ratio, {"instId": "BTC-USDT-SWAP", "period": "1h"}, "51000"),
            (ratio, {}, "50014"),
            ("/api/v5/public/liquidation-orders", {"instType": "SWAP"}, "50014"),
        ):
            assert code == get_json(APP, OKX, path, **query)["code"]


class TestGate:
    """contract_stats and liq_orders."""

    def test_points_begin_at_their_time(self) -> None:
        """The last forms; those before it hold the share of their end; names of the recording."""
        query = {"contract": "BTC_USDT", "interval": "1h", "limit": 2}
        closed, forming = get_json(APP, GATE, f"{USDT}/contract_stats", **query)
        full = NOW // HOUR_MS * HOUR_MS
        assert (full, full - HOUR_MS) == (forming["time"] * 1000, closed["time"] * 1000)
        for row, at in ((closed, full), (forming, NOW)):
            longs = share("gateio", "global", at)
            assert pytest.approx(longs / (1 - longs)) == row["lsr_account"]
        lacking = [f"{side}_liq_usd_new" for side in ("long", "short")]
        lacking += [f"top_{s}_{w}" for s in ("long", "short") for w in ("size", "account")]
        lacking += ["long_taker_size", "short_taker_size", "last_funding_rate"]
        check_types(recorded("gateio", "contract_stats", "interval=1h")[0], closed, *lacking)

    def test_what_an_interval_liquidated_is_the_sum_of_its_orders(self) -> None:
        """Of one hour: the USD of longs in contract_stats and in liq_orders."""
        begin = NOW // HOUR_MS * HOUR_MS // 1000 - 3600
        stats = get_json(
            APP, GATE, f"{USDT}/contract_stats", contract="BTC_USDT", interval="1h", limit=2
        )[0]
        rows = orders(contract="BTC_USDT", **{"from": begin, "to": begin + 3599}, limit=1000)
        usd = sum(
            abs(row["order_size"]) * 0.0001 * float(row["fill_price"])
            for row in rows
            if row["size"] > 0
        )
        assert rows
        assert pytest.approx(usd, abs=1e-4) == stats["long_liq_usd"]

    def test_without_a_contract_it_is_the_last_hour_of_all(self) -> None:
        """Whatever from and to say; newest first; the position's sign is not the order's."""
        rows = orders(**{"from": 1, "to": 2}, limit=1000)
        times = [row["time"] for row in rows]
        assert sorted(times, reverse=True) == times
        assert all(NOW - HOUR_MS < at * 1000 <= NOW for at in times)
        assert len({row["contract"] for row in rows}) > 3
        assert all(row["size"] * row["order_size"] < 0 for row in rows)
        assert any(abs(row["size"]) > abs(row["order_size"]) for row in rows)
        check_types(recorded("gateio", "liq_orders")[0], rows[0])

    def test_its_errors(self) -> None:
        """More than an hour at once, and an unknown contract."""
        for query, label in (
            ({"contract": "BTC_USDT", "from": 1, "to": 7200}, b"INVALID_PARAM_VALUE"),
            ({"contract": "NOPE_USDT"}, b"CONTRACT_NOT_FOUND"),
            ({"limit": 1001}, b"INVALID_PARAM_VALUE"),
        ):
            found = get(APP, GATE, f"{USDT}/liq_orders", **query)
            assert 400 == found.status
            assert label in found.body
