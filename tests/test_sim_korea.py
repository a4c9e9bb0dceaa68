"""The simulated Korean venues and rates: shapes as recorded, traps in place, one truth."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from sim_shapes import NOW, check_types, get, get_json, make_app, recorded

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim import korea
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Market

UPBIT, BITHUMB = "api.upbit.com", "api.bithumb.com"
RATES, DAILY = "api.frankfurter.dev", "open.er-api.com"


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def moment(text: str) -> int:
    """A moment in UTC, epoch ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class TestTruth:
    """A coin in won."""

    def test_it_is_the_product_of_its_parts(self) -> None:
        """Dollars x won per dollar x what is paid above for USDT x for the coin."""
        market = Market(1)
        for venue, coins in korea.LISTED.items():
            for coin in coins:
                exact = (
                    market.price(coin, NOW)
                    * korea.usd_krw(market, NOW)
                    * (1 + korea.usdt_premium(market, NOW))
                    * (1 + korea.coin_premium(market, venue, coin, NOW))
                )
                assert pytest.approx(exact, rel=1e-12) == korea.won_exact(market, venue, coin, NOW)
                # A tick is at most a thousandth.
                printed = korea.won_price(market, venue, coin, NOW)
                assert pytest.approx(exact, rel=1e-3) == printed

    def test_it_depends_on_seed_and_time_alone(self) -> None:
        """Two markets of one seed agree, of two seeds do not."""
        one, same, other = Market(1), Market(1), Market(2)
        assert korea.won(one, "upbit", "BTC", NOW) == korea.won(same, "upbit", "BTC", NOW)
        assert korea.won(one, "upbit", "BTC", NOW) != korea.won(other, "upbit", "BTC", NOW)

    def test_premiums_stay_believable_and_change_sign(self) -> None:
        """Over three years: within 10 %, above and below."""
        market = Market(1)
        moments = [NOW - n * 5 * DAY_MS for n in range(220)]
        legs = [korea.usdt_premium(market, at) for at in moments]
        assert -0.1 < min(legs) < 0 < max(legs) < 0.1
        coins = [korea.coin_premium(market, "upbit", "BTC", at) for at in moments]
        assert -0.02 < min(coins) < 0 < max(coins) < 0.02

    @pytest.mark.parametrize(
        ("at", "day"),
        [
            ("2026-11-24T12:00", "2026-11-23"),
            ("2026-11-24T15:00", "2026-11-24"),
            ("2026-11-22T12:00", "2026-11-20"),
            ("2026-04-07T12:00", "2026-04-02"),
        ],
    )
    def test_a_fixing_is_of_a_working_day(self, at: str, day: str) -> None:
        """Weekends and Easter carry the last one."""
        market = Market(1)
        fixed_on, rate = korea.fixing(market, moment(at))
        assert date.fromisoformat(day) == fixed_on
        assert 1_200 < rate < 1_700


class TestUpbit:
    """Bare lists."""

    def test_tickers_are_as_recorded(self, app: SimApp) -> None:
        """Every recorded field with its type."""
        (real,) = recorded("upbit", "/v1/ticker?markets=KRW-BTC$")
        (ours,) = get_json(app, UPBIT, "/v1/ticker", markets="KRW-BTC")
        check_types(real, ours)
        assert korea.won(app.market, "upbit", "BTC", NOW).price == ours["trade_price"]
        assert NOW == ours["timestamp"] >= ours["trade_timestamp"]

    def test_all_tickers_of_a_quote(self, app: SimApp) -> None:
        """In won, and those in bitcoin beside them when they are asked."""
        rows = get_json(app, UPBIT, "/v1/ticker/all", quote_currencies="KRW")
        assert [f"KRW-{coin}" for coin in korea.LISTED["upbit"]] == [r["market"] for r in rows]
        both = get_json(app, UPBIT, "/v1/ticker/all", quote_currencies="KRW,BTC")
        assert "BTC-ETH" in [row["market"] for row in both]
        assert 400 == get(app, UPBIT, "/v1/ticker/all").status

    def test_the_list_is_as_recorded(self, app: SimApp) -> None:
        """Code and names."""
        real, ours = recorded("upbit", "/v1/market/all$"), get_json(app, UPBIT, "/v1/market/all")
        check_types(real[0], ours[0])

    def test_an_unknown_market_refuses_all(self, app: SimApp) -> None:
        """404 in the venue's envelope."""
        found = get(app, UPBIT, "/v1/ticker", markets="KRW-BTC,KRW-NONE")
        assert (404, True) == (found.status, b'"error":{"name":404' in found.body)

    def test_candles_come_newest_first_with_gaps(self, app: SimApp) -> None:
        """200 at most; their openings are the price of that moment."""
        path = "/v1/candles/minutes/15"
        rows = get_json(app, UPBIT, path, market="KRW-BTC", count=200)
        starts = [moment(row["candle_date_time_utc"]) for row in rows]
        assert (200, True) == (len(rows), starts == sorted(starts, reverse=True))
        assert len({a - b for a, b in pairwise(starts)}) > 1
        for start, row in zip(starts[:20], rows, strict=False):
            expected = korea.won_price(app.market, "upbit", "BTC", start)
            assert expected == row["opening_price"]
        assert 400 == get(app, UPBIT, path, market="KRW-BTC", count=201).status


class TestBithumb:
    """Two generations."""

    def test_tickers_are_as_recorded_and_nine_hours_ahead(self, app: SimApp) -> None:
        """The date and time of the trade are right, its epoch is not."""
        (real,) = recorded("bithumb", "/v1/ticker?markets=KRW-BTC$")
        (ours,) = get_json(app, BITHUMB, "/v1/ticker", markets="KRW-BTC")
        check_types(real, ours)
        state = korea.won(app.market, "bithumb", "BTC", NOW)
        assert state.traded_ms + 9 * HOUR_MS == ours["trade_timestamp"]
        at = datetime.fromtimestamp(state.traded_ms / 1000, UTC)
        assert f"{at:%H%M%S}" == ours["trade_time"]

    def test_the_older_one_is_text_with_a_date_among_the_coins(self, app: SimApp) -> None:
        """As recorded in 2021."""
        real = recorded("bithumb", "/public/ticker/ALL_KRW$")
        ours = get_json(app, BITHUMB, "/public/ticker/ALL_KRW")
        check_types(real["data"]["BTC"], ours["data"]["BTC"])
        assert ("0000", str(NOW)) == (ours["status"], ours["data"]["date"])
        state = korea.won(app.market, "bithumb", "BTC", NOW)
        expected = (state.price / state.day_ago - 1) * 100
        assert f"{expected:.2f}" == ours["data"]["BTC"]["fluctate_rate_24H"]

    def test_refusals(self, app: SimApp) -> None:
        """404 in the newer one, a status inside 200 in the older one."""
        assert 404 == get(app, BITHUMB, "/v1/ticker", markets="KRW-NONE").status
        assert "5500" == get_json(app, BITHUMB, "/public/ticker/NONE_KRW")["status"]


class TestRates:
    """One number in three shapes."""

    def test_the_fixing_is_as_recorded(self, app: SimApp) -> None:
        """Amount, base, date, rates."""
        real = recorded("frankfurter", "symbols=KRW$")
        ours = get_json(app, RATES, "/v1/latest", base="USD", symbols="KRW")
        check_types(real, ours)
        day, rate = korea.fixing(app.market, NOW)
        assert (day.isoformat(), rate) == (ours["date"], ours["rates"]["KRW"])
        (row,) = get_json(app, RATES, "/v2/rates", base="USD", quotes="KRW")
        assert (day.isoformat(), round(rate, 1)) == (row["date"], row["rate"])

    def test_the_open_endpoint_is_of_this_day(self, app: SimApp) -> None:
        """Made a few minutes after midnight, also on weekends."""
        told = get_json(app, DAILY, "/v6/latest/USD")
        made = datetime.fromtimestamp(told["time_last_update_unix"], UTC)
        today = datetime.fromtimestamp(NOW / 1000, UTC).date()
        assert made.date() in (today, today - timedelta(days=1))
        assert ("success", "USD") == (told["result"], told["base_code"])

    def test_refusals(self, app: SimApp) -> None:
        """A pair of one currency, and a currency that is not there."""
        assert 422 == get(app, RATES, "/v1/latest", base="USD", symbols="USD").status
        assert 404 == get(app, RATES, "/v1/latest", base="USD", symbols="XYZ").status
