"""What all candles and books go through: spans, pages, freshness, longer candles, plausibility."""

from typing import Any

import pytest
from excerpts import AT, asking_for

from mmflow_mcp.errors import VenueChanged, VenueHttp
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_rows import combine, combine_whole, read_candle
from mmflow_mcp.venues.candle_series import CandleSource, ask_candles
from mmflow_mcp.venues.candle_spans import STEPS, Page, Paging, keep_past, pages_of, read_span
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.order_books import Sides, level_of, parse_book
from mmflow_mcp.venues.traded import Traded, coins_of, perp_of

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = STEPS["1m"], STEPS["1h"], STEPS["1d"]
# AT is 2026-09-14T18:59:05.678Z.
SIX_PM = AT - AT % HOUR
BTC = Traded("BTC", "BTCUSDT", "perp", "USDT")
PEPE = Traded("PEPE", "1000PEPEUSDT", "perp", "USDT", 1000)


def asked(interval: str, since: int, until: int) -> Ask:
    """A question about candles."""
    ask = asking_for("binance", "BTC", {})
    ask.options = {"interval": interval, "since_ms": since, "until_ms": until}
    return ask


def source(*steps: int, capped: int | None = None, **paging: Any) -> CandleSource:
    """A venue that has these lengths, in pages of a hundred."""

    def call(market: Traded, page: Page) -> Call:
        return get(f"https://venue.test/{market.symbol}/{page.first_ms}")

    def parse(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
        if not isinstance(wire.doc, list):
            raise VenueChanged("changed: a list was expected")
        return [read_candle(at, (1, 1, 1, 1), 1, market, step_ms) for at in wire.doc], 0

    return CandleSource(call, parse, Paging(100, steps=steps, **paging), capped=capped)


class TestSpans:
    """Candles that open at or after `since_ms` and before `until_ms`."""

    def test_since_is_inclusive_and_until_is_not(self) -> None:
        """From 12:00 on the grid until 15:00: three hours."""
        span = read_span(asked("1h", SIX_PM - 6 * HOUR, SIX_PM - 3 * HOUR))
        assert (SIX_PM - 6 * HOUR, SIX_PM - 3 * HOUR) == (span.first_ms, span.until_ms)

    def test_times_off_the_grid_are_the_same_question(self) -> None:
        """12:00:00.001 and 12:59 both begin with 13:00; 15:00:00.001 still holds 15:00."""
        spans = {
            read_span(asked("1h", SIX_PM - 6 * HOUR + late, SIX_PM - 3 * HOUR + late))
            for late in (1, 59 * MINUTE)
        }
        (span,) = spans
        assert (SIX_PM - 5 * HOUR, SIX_PM - 2 * HOUR) == (span.first_ms, span.until_ms)

    def test_nothing_opens_after_now(self) -> None:
        """A question that reaches into tomorrow ends with the running candle."""
        assert SIX_PM + HOUR == read_span(asked("1h", SIX_PM, AT + DAY)).until_ms

    def test_without_words_it_is_the_last_day_by_the_hour(self) -> None:
        """24 hours, the running one among them; without coins the usual ones, and it is said."""
        ask = asking_for("binance", "", {})
        span = read_span(ask)
        assert ("1h", SIX_PM - 23 * HOUR, SIX_PM + HOUR) == (
            span.interval,
            span.first_ms,
            span.until_ms,
        )
        assert (("BTC", "ETH", "SOL"), "BTC, ETH, SOL") == (coins_of(ask), ask.narrowed)
        assert ("BTC",) == coins_of(asking_for("binance", "BTC", {}))

    def test_days_open_at_midnight_utc(self) -> None:
        """The day that runs is that of 00:00."""
        span = read_span(asked("1d", AT - 3 * DAY, AT))
        midnight = AT - AT % DAY
        assert (midnight - 2 * DAY, midnight + DAY) == (span.first_ms, span.until_ms)
        assert {0} == {DAY % step for step in STEPS.values()}


class TestPages:
    """What is requested of a span."""

    def test_pages_are_newest_first_and_meet(self) -> None:
        """250 hours in pages of 100: 100, 100 and 50, without a gap."""
        span = read_span(asked("1h", SIX_PM - 249 * HOUR, AT))
        pages, first = pages_of(span, source(HOUR).paging)
        assert [100, 100, 50] == [page.size for page in pages]
        assert [p.first_ms for p in pages[:-1]] == [p.until_ms for p in pages[1:]]
        assert (span.until_ms, span.first_ms) == (pages[0].until_ms, pages[-1].first_ms)
        assert span.first_ms == first

    def test_the_oldest_is_cut_off_after_so_many_pages(self) -> None:
        """Two pages of 100 of 1,000 hours: the newest 200."""
        span = read_span(asked("1h", SIX_PM - 999 * HOUR, AT))
        pages, first = pages_of(span, source(HOUR, pages=2).paging)
        assert [100, 100] == [page.size for page in pages]
        assert SIX_PM - 199 * HOUR == first == pages[-1].first_ms

    def test_what_a_venue_does_not_keep_has_an_edge(self) -> None:
        """Of 50 kept hours the running one is the last; older ones are asked for all the same."""
        span = read_span(asked("1h", SIX_PM - 99 * HOUR, AT))
        pages, edge = pages_of(span, source(HOUR, reach=50).paging)
        assert ([100], SIX_PM - 49 * HOUR) == ([page.size for page in pages], edge)
        # Where a venue would refuse the whole page, what it keeps is a page by itself.
        strict, same = pages_of(span, source(HOUR, reach=50, strict=True).paging)
        assert ([50, 50], edge, edge) == ([p.size for p in strict], strict[0].first_ms, same)

    def test_a_question_that_ends_before_it_begins_is_empty(self) -> None:
        """No page, and no negative count."""
        span = read_span(asked("1h", SIX_PM, SIX_PM - 2 * HOUR))
        assert [] == pages_of(span, source(HOUR).paging)[0]

    def test_a_lacking_interval_is_asked_as_the_next_smaller_one(self) -> None:
        """4 h of 1 h, not of 15 m; pages begin on the grid of 4 h."""
        span = read_span(asked("4h", AT - 30 * DAY, AT))
        pages, _ = pages_of(span, source(15 * MINUTE, HOUR, DAY).paging)
        assert {HOUR} == {page.step_ms for page in pages}
        assert {0} == {page.first_ms % (4 * HOUR) for page in pages}


class TestSeries:
    """What is made of pages that came and of those that did not."""

    # 250 hours in three pages.
    FIRST = SIX_PM - 249 * HOUR

    async def told(self, *docs: Any) -> tuple[list[int], int, list[str], set[str]]:
        """Opening times, the time of reading, shortfalls and unreadable coins, by page."""
        one = source(HOUR)
        ask = asked("1h", self.FIRST, AT)
        pages, _ = pages_of(read_span(ask), one.paging)
        answers = {one.call(BTC, page): doc for page, doc in zip(pages, docs, strict=True)}
        ask = asking_for("binance", "BTC", answers)
        ask.options = {"interval": "1h", "since_ms": self.FIRST, "until_ms": AT}
        rows = await ask_candles(ask, [BTC], one)
        times = [candle.t for row in rows for candle in row.candles]
        return times, rows[0].fetched_at if rows else 0, ask.shortfalls, ask.unreadable

    async def test_pages_make_one_series(self) -> None:
        """Ascending, each candle once, those outside a page left out; read with the newest page."""
        late, middle, early = SIX_PM, SIX_PM - 120 * HOUR, self.FIRST
        docs = ([late, late], [middle, late], ([early, early - HOUR], AT - DAY))
        assert ([early, middle, late], AT, [], set()) == await self.told(*docs)

    async def test_the_newest_page_tells_how_old_an_answer_is(self) -> None:
        """A page of yesterday that was read yesterday is no older answer."""
        one = source(HOUR)
        ask = asked("1h", self.FIRST, AT)
        pages, _ = pages_of(read_span(ask), one.paging)
        docs: list[Any] = [[SIX_PM], ([], AT - DAY), ([], AT - DAY)]
        days = zip(pages, docs, strict=True)
        answered = asking_for("binance", "BTC", {one.call(BTC, page): doc for page, doc in days})
        answered.options = ask.options
        assert 1 == len(await ask_candles(answered, [BTC], one))
        assert AT == answered.read_at

    @pytest.mark.parametrize("broken", [VenueHttp(503), "<html>"])
    async def test_a_page_that_fails_leaves_no_hole(self, broken: Any) -> None:
        """Without the middle page the series begins after it, and says so."""
        times, _, reasons, _ = await self.told([SIX_PM], broken, [self.FIRST])
        assert [SIX_PM] == times
        assert 2 == len(reasons)
        assert f"missing: candles of BTCUSDT from before {SIX_PM - 99 * HOUR}" == reasons[1]

    @pytest.mark.parametrize(("since", "said"), [(49, False), (50, True), (99, True)])
    async def test_what_a_venue_no_longer_keeps_is_said(self, since: int, *, said: bool) -> None:
        """Of 50 hours kept, the 50th before now is there and the 51st is not."""
        kept = source(HOUR, reach=50)
        first = SIX_PM - since * HOUR
        ((page,), _) = pages_of(read_span(asked("1h", first, AT)), kept.paging)
        ask = asking_for("binance", "BTC", {kept.call(BTC, page): [SIX_PM - 49 * HOUR, SIX_PM]})
        ask.options = {"interval": "1h", "since_ms": first, "until_ms": AT}
        assert 1 == len(await ask_candles(ask, [BTC], kept))
        reason = f"missing: candles of BTCUSDT from before {SIX_PM - 49 * HOUR}"
        assert ([reason] if said else []) == ask.shortfalls

    async def test_a_recording_may_hold_what_a_venue_no_longer_keeps(self) -> None:
        """Candles of long ago are answered, and nothing is said to be missing."""
        kept, first = source(HOUR, reach=50), SIX_PM - 99 * HOUR
        span = asked("1h", first, first + 10 * HOUR)
        ((page,), _) = pages_of(read_span(span), kept.paging)
        ask = asking_for("binance", "BTC", {kept.call(BTC, page): [first]})
        ask.options = span.options
        (row,) = await ask_candles(ask, [BTC], kept)
        assert ([first], []) == ([one.t for one in row.candles], ask.shortfalls)

    @pytest.mark.parametrize(("capped", "edge"), [(3, 2), (4, 249)])
    async def test_a_page_that_was_cut_off_ends_the_series(self, capped: int, edge: int) -> None:
        """Three rows are all there are, or as many as the venue tells: older pages leave a hole."""
        one = source(HOUR, capped=capped)
        ask = asked("1h", self.FIRST, AT)
        pages, _ = pages_of(read_span(ask), one.paging)
        docs = [[SIX_PM - n * HOUR for n in range(3)], [], [self.FIRST]]
        answers = {one.call(BTC, page): doc for page, doc in zip(pages, docs, strict=True)}
        answered = asking_for("binance", "BTC", answers)
        answered.options = ask.options
        (row,) = await ask_candles(answered, [BTC], one)
        first = SIX_PM - edge * HOUR
        reasons = [f"missing: candles of BTCUSDT from before {first}"] if capped == 3 else []
        assert (first, reasons) == (row.candles[0].t, answered.shortfalls)

    async def test_without_the_newest_page_there_is_no_series(self) -> None:
        """What is older would look like the present."""
        times, _, reasons, unreadable = await self.told(VenueHttp(503), [SIX_PM], [self.FIRST])
        assert ([], {"BTC"}) == (times, unreadable)
        assert "http 503" in reasons[0]

    async def test_if_all_pages_fail_the_venue_fails(self) -> None:
        """One reason, that of the newest."""
        with pytest.raises(VenueHttp):
            await self.told(*[VenueHttp(503)] * 3)

    async def test_no_market_asks_nothing(self) -> None:
        """No coin of the question is listed."""
        assert [] == await ask_candles(asked("1h", self.FIRST, AT), [], source(HOUR))


class TestFreshness:
    """How old a copy of a page may be."""

    @pytest.mark.parametrize(
        ("ended_ago", "fresh"), [(-30, 5), (30, 5), (70, 10), (1860, 1800), (90_000, 3600)]
    )
    def test_a_copy_must_be_younger_than_the_end(self, ended_ago: int, fresh: float) -> None:
        """A page read while its last candle ran is not the page of an hour later."""
        page = Page(MINUTE, AT - DAY, AT - ended_ago * 1000)
        call = keep_past(get("https://venue.test/candles"), page, AT)
        assert fresh == call.fresh


def bar(at: int, o: float, h: float, low: float, c: float, v: float) -> Candle:
    """A candle."""
    return Candle(at, o, h, low, c, v)


class TestLongerCandles:
    """Candles of 30 minutes out of 15."""

    def test_open_of_the_first_close_of_the_last(self) -> None:
        """The highest high, the lowest low, the volumes added."""
        pair = [bar(0, 10, 12, 9, 11, 1.5), bar(900_000, 11, 15, 8, 14, 2.0)]
        assert [bar(0, 10, 15, 8, 14, 3.5)] == combine(pair, 1_800_000)

    def test_a_bucket_is_there_if_any_candle_is(self) -> None:
        """The first had no trade in its first half, the second not in its last, the third none."""
        some = [bar(900_000, 1, 1, 1, 1, 5), bar(1_800_000, 2, 2, 2, 2, 6)]
        assert [bar(0, 1, 1, 1, 1, 5), bar(1_800_000, 2, 2, 2, 2, 6)] == combine(some, 1_800_000)

    def test_days_are_those_of_utc(self) -> None:
        """23:00 belongs to the day before 00:00."""
        made = combine([bar(23 * HOUR, 1, 1, 1, 1, 1), bar(DAY, 2, 2, 2, 2, 1)], DAY)
        assert [0, DAY] == [one.t for one in made]

    def test_nothing_makes_nothing(self) -> None:
        """No candles, no candle."""
        assert [] == combine([], HOUR) == combine_whole([], HOUR, DAY, AT)


class TestWholeCandles:
    """Candles of four hours where every hour has one, traded or not."""

    def made(self, hours: Any, now_hour: float) -> list[Candle]:
        """Candles of these hours of a day, as candles of four."""
        hourly = [bar(n * HOUR, n + 1, n + 9, n + 0.5, n + 2, 10.0) for n in hours]
        return combine_whole(hourly, HOUR, 4 * HOUR, round(now_hour * HOUR))

    def test_eight_hours_are_two(self) -> None:
        """Open of the first, close of the last, the volumes added."""
        first, second = bar(0, 1, 12, 0.5, 5, 40.0), bar(4 * HOUR, 5, 16, 4.5, 9, 40.0)
        assert [first, second] == self.made(range(8), 8)

    @pytest.mark.parametrize("lost", range(4))
    def test_one_that_is_over_needs_all_of_its_parts(self, lost: int) -> None:
        """Less would tell a wrong high, low and volume."""
        (only,) = self.made([hour for hour in range(8) if hour != lost], 20)
        assert 4 * HOUR == only.t

    def test_the_running_one_has_what_there_is(self) -> None:
        """From its opening on, without a gap; over, it needs the rest."""
        assert 20.0 == self.made(range(6), 5.99)[-1].v
        assert 1 == len(self.made(range(6), 8))
        assert 1 == len(self.made([0, 1, 2, 3, 5], 5.99))
        assert 1 == len(self.made([0, 1, 2, 3, 4, 6], 7))


class TestCandle:
    """What can be a candle."""

    def test_thousands_are_divided_out(self) -> None:
        """0.01 for a thousand PEPE is 0.00001 each; 5 units are 5,000 coins."""
        made = read_candle(HOUR, ("0.01", "0.02", "0.005", "0.015"), "5", PEPE, HOUR)
        assert pytest.approx(0.00001) == made.o
        assert pytest.approx((0.00002, 0.000005, 0.000015)) == (made.h, made.l, made.c)
        assert 5000 == made.v

    @pytest.mark.parametrize(
        ("at", "prices", "volume"),
        [
            (HOUR + 1, (2, 3, 1, 2), 1),
            (HOUR, (2, 3, 2.5, 2.6), 1),
            (HOUR, (2, 3, 1, 3.5), 1),
            (HOUR, (0, 3, 0, 2), 1),
            (HOUR, (2, "NaN", 1, 2), 1),
            (HOUR, (2, float("inf"), 1, 2), 1),
            (HOUR, (2, 3, 1, None), 1),
            (HOUR, (2, 3, 1, 2), -1),
            (HOUR, (2, 3, 1, 2), ""),
        ],
    )
    def test_what_cannot_be_is_refused(self, at: int, prices: Any, volume: Any) -> None:
        """Off the grid, a low above the open, a close above the high, less than nothing."""
        with pytest.raises(ValueError, match=r"."):
            read_candle(at, prices, volume, BTC, HOUR)

    @pytest.mark.parametrize("turnover", [None, "", 0, "150", 310])
    def test_turnover_tells_the_unit_of_the_volume(self, turnover: Any) -> None:
        """100 units between 1 and 2: where it is told, from 50 to 400; the volume stands."""
        made = read_candle(HOUR, (1, 2, 1, 2), 100, BTC, HOUR, turnover=turnover)
        assert Candle(HOUR, 1.0, 2.0, 1.0, 2.0, 100.0) == made
        for wrong in (49, 401):
            with pytest.raises(ValueError, match="contradict"):
                read_candle(HOUR, (1, 2, 1, 2), 100, BTC, HOUR, turnover=wrong)


def book_of(bids: Any, asks: Any, market: Traded = BTC) -> Any:
    """A book of these sides."""
    wire = Wire({"b": bids, "a": asks}, fetched_at=AT, read=0.0, size=1)
    return parse_book(wire, "binance", market, lambda doc, _: Sides(doc["b"], doc["a"], 7))


class TestBook:
    """What can be a book."""

    def test_sides_are_best_first_whatever_the_venue_does(self) -> None:
        """Bids descend, asks ascend, a price comes once, what has gone is no level."""
        bids = [["9", "1"], ["10", "2"], ["8", "0"], ["10", "2"]]
        made, bad = book_of(bids, [["12", "4"], ["11", "3"]])
        assert (((10, 2), (9, 1)), ((11, 3), (12, 4)), 0) == (made.bids, made.asks, bad)
        assert (7, AT, "perp", "USDT") == (
            made.venue_time,
            made.fetched_at,
            made.market,
            made.quote,
        )

    def test_thousands_are_divided_out(self) -> None:
        """5 units at 0.01 are 5,000 coins at 0.00001."""
        made, _ = book_of([["0.01", "5"]], [["0.02", "1"]], PEPE)
        assert pytest.approx((0.00001, 5000)) == made.bids[0]

    def test_sizes_become_coins(self) -> None:
        """Linear: contracts x size x multiplier. Inverse: USD over the price of a coin."""
        thousand = perp_of(Contract("1000PEPEUSDT", "PEPE", 1000, "USDT", "linear", 10.0))
        inverse = perp_of(Contract("XUSD", "X", 1, "USD", "inverse", 100.0))
        assert (0.002, 50_000.0) == level_of("2", "5", thousand)
        assert (50.0, 40.0) == level_of(50, 20, inverse)
        assert level_of("2", "0", thousand) is None

    def test_contracts_of_unknown_size_are_no_coins(self) -> None:
        """None is guessed."""
        unknown = perp_of(Contract("XUSDT", "X", 1, "USDT", "linear", 0.0))
        with pytest.raises(VenueChanged, match="size of a contract is not known"):
            book_of([["1", "1"]], [["2", "1"]], unknown)

    def test_a_level_that_cannot_be_read_is_counted(self) -> None:
        """A size that is no number, a price of nothing."""
        made, bad = book_of([["10", "1"], ["9", "x"]], [["11", "1"], ["12", "1"], ["0", "1"]])
        assert (1, 2, 2) == (len(made.bids), len(made.asks), bad)

    @pytest.mark.parametrize("bid", ["11", "11.5"])
    def test_a_crossed_book_is_no_book(self, bid: str) -> None:
        """A bid at or above the best ask would have traded."""
        with pytest.raises(VenueChanged, match="crossed"):
            book_of([["10", "1"], [bid, "1"]], [["11", "1"]])

    @pytest.mark.parametrize("sides", [([], [["1", "1"]]), ([["1", "1"]], []), ([], [])])
    def test_a_book_has_two_sides(self, sides: Any) -> None:
        """Half of one has no price."""
        with pytest.raises(VenueChanged, match="lacks a side"):
            book_of(*sides)

    @pytest.mark.parametrize("doc", ["<html>", None, [], {"b": [["1", "1"]]}, {"b": 1, "a": 2}])
    def test_something_else_is_no_book(self, doc: Any) -> None:
        """A page, nothing, a list, one side, numbers."""
        wire = Wire(doc, fetched_at=AT, read=0.0, size=1)
        with pytest.raises(VenueChanged):
            parse_book(wire, "binance", BTC, lambda d, _: Sides(d["b"], d["a"]))
