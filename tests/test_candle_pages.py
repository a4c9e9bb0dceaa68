"""What candles of all venues have in common: spans on full intervals, pages, longer candles."""

from typing import Any

import pytest
from charts import (
    H15,
    H16,
    H17,
    H18,
    HOUR,
    MIDNIGHT,
    READ_AT,
    asking_charts,
    books_of,
    series_of,
)

from mmflow_mcp.errors import VenueTimeout
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.venues.candle_groups import group_candles
from mmflow_mcp.venues.candle_pages import MAX_PAGES, STEPS_MS, Span, candle_of, pages_of, span_of
from mmflow_mcp.venues.contracts import USDT_FIRST, Contract, main_contracts
from mmflow_mcp.venues.order_books import level_of

pytestmark = pytest.mark.anyio

LATE = VenueTimeout("timeout: no answer within 6 s")
PLAIN = Contract("BTCUSDT", "BTC", 1, "USDT")
MINUTE = 60_000


def asked(**options: Any) -> tuple[int, int]:
    """The span of a question: first and until."""
    span = span_of(asking_charts("bybit", "BTC", **options))
    return span.first_ms, span.until_ms


class TestSpans:
    """`since_ms` is inclusive and `until_ms` exclusive, both on opening times."""

    def test_the_ends_lie_on_full_intervals(self) -> None:
        """Questions within the same interval are the same question."""
        assert (H16, H18) == asked(since_ms=H16, until_ms=H18)
        assert (H16, H18) == asked(since_ms=H15 + 1, until_ms=H17 + 1)
        assert (H16, H18 + HOUR) == asked(since_ms=H16 - 59 * MINUTE, until_ms=H18 + 1)

    def test_nothing_is_asked_of_the_future(self) -> None:
        """The running candle is the last, whatever the question says."""
        assert (H16, H18 + HOUR) == asked(since_ms=H16, until_ms=H18 + 9 * HOUR)
        assert (MIDNIGHT, MIDNIGHT + 24 * HOUR) == asked(
            interval="1d", since_ms=MIDNIGHT, until_ms=H18 + 99 * HOUR
        )

    def test_a_question_that_ends_before_it_begins_is_empty(self) -> None:
        """No candle, and no negative count."""
        span = span_of(asking_charts("bybit", "BTC", since_ms=H18, until_ms=H16))
        assert (0, ()) == (span.count, pages_of(span, 10, READ_AT))

    async def test_until_is_exclusive_in_the_answer_too(self) -> None:
        """The answer holds 18:00; asked until 18:00 it is not told."""
        bends = {
            "kline": {
                "result": {
                    "list": [[str(at), "1", "2", "1", "2", "0", "0"] for at in (H18, H17, H16)]
                }
            }
        }
        ask = asking_charts("bybit", "BTC", bends=bends, since_ms=H17, until_ms=H18)
        assert [H17] == [candle.t for candle in (await series_of(ask))["BTC"].candles]

    async def test_the_largest_coins_are_answered_where_none_is_named(self) -> None:
        """BTC, ETH and SOL; the answer says so."""
        ask = asking_charts("bybit", failing={"orderbook": LATE})
        assert {} == await books_of(ask)
        assert ("BTC, ETH, SOL", {"BTC", "ETH", "SOL"}) == (ask.narrowed, ask.unreadable)


class TestPages:
    """Known beforehand, asked at once; what is past is not asked again soon."""

    def test_pages_touch_and_the_last_may_be_short(self) -> None:
        """Ten hours in pages of four."""
        pages = pages_of(Span("1h", 0, 10 * HOUR), 4, READ_AT)
        assert [(0, 4), (4, 8), (8, 10)] == [
            (page.first_ms // HOUR, page.until_ms // HOUR) for page in pages
        ]
        assert [4, 4, 2] == [page.count for page in pages]

    def test_too_many_pages_lose_their_oldest(self) -> None:
        """The newest candles are those that matter."""
        pages = pages_of(Span("1h", 0, 1000 * HOUR), 10, READ_AT)
        assert MAX_PAGES == len(pages)
        assert ((1000 - 10 * MAX_PAGES) * HOUR, 1000 * HOUR) == (
            pages[0].first_ms,
            pages[-1].until_ms,
        )

    async def test_what_a_page_limit_cuts_off_is_told(self) -> None:
        """10,000 minutes are ten pages of a thousand, eight of which are asked."""
        since = READ_AT - 10_000 * MINUTE
        bends: dict[str, Any] = {"kline": {"result": {"list": []}}}
        ask = asking_charts("bybit", "BTC", bends=bends, interval="1m", since_ms=since)
        await series_of(ask)
        assert "missing: the oldest 2000 candles of 1m, beyond what is asked" == ask.shortfalls[0]

    def test_a_page_is_past_a_minute_after_its_end(self) -> None:
        """The last trades of an interval are in its candle by then."""
        (page,) = pages_of(Span("1h", H17, H18), 10, H18 + MINUTE)
        assert page.past
        (page,) = pages_of(Span("1h", H17, H18), 10, H18 + MINUTE - 1)
        assert not page.past

    async def test_past_pages_stay_fresh_and_the_running_one_does_not(self) -> None:
        """Two pages in one round after the list; only the running one tells its age."""
        since = READ_AT - 1500 * MINUTE
        bends = {
            "kline": {
                "result": {"list": [[str(H18 + 59 * MINUTE), "1", "2", "1", "2", "0", "0"]]},
            }
        }
        ask = asking_charts("bybit", "BTC", bends=bends, interval="1m", since_ms=since)
        await series_of(ask)
        charts = [call for call in ask.charts.calls if "kline" in call.url]
        assert [(3600, True), (5, False)] == [(call.fresh, call.reference) for call in charts]
        assert (2, ["kline"], []) == (ask.rounds, ask.labels, ask.shortfalls)

    async def test_a_page_that_fails_is_told_and_the_others_stay(self) -> None:
        """A gap is absence, and why it is there is said."""
        since = READ_AT - 1500 * MINUTE
        first = -(-since // MINUTE) * MINUTE
        row = [str(H18 + 59 * MINUTE), "1", "2", "1", "2", "0", "0"]
        ask = asking_charts(
            "bybit",
            "BTC",
            bends={f"start={first + 1000 * MINUTE}": {"result": {"list": [row]}}},
            failing={f"start={first}&": LATE},
            interval="1m",
            since_ms=since,
        )
        assert 1 == len((await series_of(ask))["BTC"].candles)
        assert [
            "timeout: no answer within 6 s (kline)",
            "missing: some candles of BTCUSDT",
        ] == ask.shortfalls


class TestCandle:
    """What no candle can be is refused."""

    @pytest.mark.parametrize(
        ("prices", "units", "opening"),
        [
            ((1, 1, 1, 2), 0, H18),
            ((2, 3, 2.5, 3), 0, H18),
            ((0, 1, 0, 1), 0, H18),
            ((1, "inf", 1, 1), 0, H18),
            ((1, 2, 1, 2), -1, H18),
            ((1, 2, 1, 2), "NaN", H18),
            ((1, 2, 1, 2), None, H18),
            ((1, 2, 1, True), 1, H18),
            ((1, 2, 1, 2), 1, H18 + 1),
        ],
    )
    def test_impossible_candles(self, prices: Any, units: Any, opening: int) -> None:
        """Close above the high, open below the low, zero, infinite, negative, off the grid."""
        with pytest.raises(ValueError, match=r"."):
            candle_of(opening, prices, units, PLAIN, HOUR)

    @pytest.mark.parametrize("turnover", [None, "", 0, "150", 310])
    def test_turnover_must_be_about_volume_times_price(self, turnover: object) -> None:
        """100 units between 1 and 2: where it is told, from 50 to 400; the volume stands."""
        made = candle_of(H18, (1, 2, 1, 2), 100, PLAIN, HOUR, turnover=turnover)
        assert Candle(H18, 1.0, 2.0, 1.0, 2.0, 100.0) == made
        with pytest.raises(ValueError, match="contradict"):
            candle_of(H18, (1, 2, 1, 2), 100, PLAIN, HOUR, turnover=49)

    def test_every_interval_divides_a_day(self) -> None:
        """So that days of UTC begin with a candle of each."""
        assert [0] * 7 == [STEPS_MS["1d"] % step for step in STEPS_MS.values()]


class TestGroups:
    """Longer candles out of shorter ones."""

    def parts(self, *hours: int) -> list[Candle]:
        """Candles of these hours of a day."""
        return [Candle(MIDNIGHT + n * HOUR, n + 1, n + 9, n + 0.5, n + 2, 10.0) for n in hours]

    def groups(self, hours: Any, now_ms: int) -> list[Candle]:
        """Those hours as candles of four."""
        return group_candles(self.parts(*hours), HOUR, 4 * HOUR, now_ms)

    def test_open_close_high_low_and_sum(self) -> None:
        """Hours 0 to 7 are two candles."""
        first, second = self.groups(range(8), MIDNIGHT + 8 * HOUR)
        assert Candle(MIDNIGHT, 1, 12, 0.5, 5, 40.0) == first
        assert Candle(MIDNIGHT + 4 * HOUR, 5, 16, 4.5, 9, 40.0) == second

    @pytest.mark.parametrize("lost", range(4))
    def test_one_that_is_over_needs_all_of_its_parts(self, lost: int) -> None:
        """Less would tell a wrong high, low and volume."""
        hours = [hour for hour in range(8) if hour != lost]
        (only,) = self.groups(hours, MIDNIGHT + 20 * HOUR)
        assert MIDNIGHT + 4 * HOUR == only.t

    def test_the_running_one_has_what_there_is(self) -> None:
        """From its opening on, without a gap; over, it needs the rest."""
        now = MIDNIGHT + 6 * HOUR - 1
        assert 20.0 == self.groups(range(6), now)[-1].v
        assert 1 == len(self.groups(range(6), MIDNIGHT + 8 * HOUR))
        assert 1 == len(self.groups([0, 1, 2, 3, 5], now))
        assert 1 == len(self.groups([0, 1, 2, 3, 4, 6], MIDNIGHT + 7 * HOUR))


class TestMain:
    """Which contract speaks for a coin, and what its levels hold."""

    def test_usdt_then_usdc_then_usd_then_inverse(self) -> None:
        """The same order as funding's; fewer coins in one unit go first."""
        quotes = [
            Contract("I", "BTC", 1, "USD", "inverse"),
            Contract("D", "BTC", 1, "USD"),
            Contract("C", "BTC", 1, "USDC"),
            Contract("K", "BTC", 1000, "USDT"),
            Contract("T", "BTC", 1, "USDT"),
        ]
        order = []
        while quotes:
            order.append(main_contracts(quotes)["BTC"].symbol)
            quotes = [contract for contract in quotes if contract.symbol != order[-1]]
        assert ["T", "K", "C", "D", "I"] == order
        assert "inverse" == USDT_FIRST[-1]

    def test_levels_in_coins(self) -> None:
        """Linear: contracts x size x multiplier. Inverse: USD over the price of a coin."""
        thousand = Contract("1000PEPEUSDT", "PEPE", 1000, "USDT", "linear", 10.0)
        assert (0.002, 50_000.0) == level_of("2", "5", thousand)
        assert (50.0, 40.0) == level_of(50, 20, Contract("XUSD", "X", 1, "USD", "inverse", 100.0))
        assert level_of("2", "0", thousand) is None
        with pytest.raises(ValueError, match="positive"):
            level_of("2", "5", Contract("X", "X", 1, "USDT", "linear", 0.0))
