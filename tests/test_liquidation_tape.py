"""The tape of liquidations: each record once, for 25 hours, with what was covered and what not."""

from dataclasses import replace

from mmflow_mcp.analytics.liquidations import covered, joined, total
from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows.positions import LiquidationPrint, LiquidationTape
from mmflow_mcp.tape.liquidations import GAPS_KEPT, Liquidations
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import Closing, Closings

NOW = 1_789_412_345_678
BTC = Contract("BTCUSDT", "BTC", 1, "USDT")
BTC_USDC = Contract("BTCUSDC", "BTC", 1, "USDC")
ETH = Contract("ETHUSDT", "ETH", 1, "USDT")
CONTRACTS = {one.symbol: one for one in (BTC, BTC_USDC, ETH)}


def closing(ts: int, count: float = 1.0, symbol: str = "BTCUSDT", side: str = "long") -> Closing:
    """A record of so many coins at 100 USD."""
    return Closing(symbol, ts, side, 100.0, count)


def frame(*rows: Closing, taken: str | None = None) -> Closings:
    """A frame that holds these."""
    made = Closings(rows)
    made.taken = taken
    return made


def begun(at: int = NOW, *, repeats: bool = False, most: int = 1000) -> Liquidations:
    """A tape that listens to all three contracts since then."""
    tape = Liquidations("bybit", repeats=repeats, most=most)
    tape.learn(CONTRACTS)
    tape.subscribed(CONTRACTS, at)
    return tape


def btc(tape: Liquidations, now: int) -> LiquidationTape:
    """What it knows of BTC."""
    found = tape.tape_of("BTC", now)
    assert found is not None
    return found


class TestRecords:
    """METHODS 6: what tells two apart, and how long they are kept."""

    def test_the_same_record_is_kept_once(self) -> None:
        """Another contract, time, side, price or size is another record."""
        tape = begun()
        rows = [
            closing(NOW),
            closing(NOW, symbol="BTCUSDC"),
            closing(NOW + 1),
            closing(NOW, side="short"),
            replace(closing(NOW), price=101.0),
            closing(NOW, 2.0),
        ]
        tape.take(frame(*rows), NOW + 10)
        tape.take(frame(*rows[::-1]), NOW + 20)
        assert (6, 6, 6) == (len(tape), tape.duplicates, len(btc(tape, NOW + 20).prints))

    def test_late_records_enter_by_their_own_time(self) -> None:
        """Newest first in the answer, whatever the order of arrival."""
        tape = begun(NOW - HOUR_MS)
        for ts in (NOW - 5, NOW - 500, NOW - 50, NOW - 3_000_000):
            tape.take(frame(closing(ts)), NOW)
        times = [one.ts for one in btc(tape, NOW).prints]
        assert [NOW - 5, NOW - 50, NOW - 500, NOW - 3_000_000] == times

    def test_records_are_kept_for_25_hours(self) -> None:
        """Older ones go, also those that come too late, and are no complaint."""
        tape = begun()
        tape.take(frame(closing(NOW), closing(NOW + 1, symbol="ETHUSDT")), NOW + 1)
        later = NOW + 25 * HOUR_MS
        tape.take(frame(closing(NOW), closing(later - 10)), later)
        tape.forget(later)
        assert ([later - 10], 2) == ([one.ts for one in btc(tape, later).prints], len(tape))
        tape.forget(later + 1)
        assert (1, 0) == (len(tape), tape.unread)

    def test_memory_is_bounded(self) -> None:
        """Twenty thousand records leave as many as are allowed, and the cover says so."""
        tape = begun(most=1000)
        for n in range(1000):
            rows = (closing(NOW + n * 20 + i) for i in range(20))
            tape.take(frame(*rows), NOW + n * 20 + 20)
            assert len(tape) <= 1020
        last = NOW + 20_000
        found = btc(tape, last)
        assert 900 <= len(found.prints) <= 1020
        assert found.since_ms == min(one.ts for one in found.prints)
        # What is kept is all there was since then.
        assert last - found.since_ms == len(found.prints)

    def test_a_record_of_the_future_is_unreadable(self) -> None:
        """A clock may be off by some minutes, not by more; such a record waits for its time."""
        tape = begun()
        tape.take(frame(closing(NOW + 500_000), closing(NOW + 700_000)), NOW)
        assert (1, 1) == (len(tape), tape.unread)
        row = total("BTC", [btc(tape, NOW)], lambda at: at)
        assert 0 == row.records24h


class TestCover:
    """Since when, with which gaps."""

    def test_no_record_is_a_zero_where_it_was_listened(self) -> None:
        """An empty tape that covers a second says 0 of that second."""
        found = btc(begun(), NOW + 1000)
        assert ((), NOW, NOW + 1000, ()) == (
            found.prints,
            found.since_ms,
            found.fetched_at,
            found.gaps,
        )

    def test_a_coin_of_which_one_contract_is_not_heard_is_not_covered(self) -> None:
        """Half of a coin is no sum."""
        tape = Liquidations("bybit")
        tape.learn(CONTRACTS)
        tape.subscribed(["BTCUSDT", "ETHUSDT"], NOW)
        assert None is tape.tape_of("BTC", NOW + 1000)
        tape.subscribed(["BTCUSDC"], NOW + 500)
        assert NOW + 500 == btc(tape, NOW + 1000).since_ms
        assert None is tape.tape_of("NOPE", NOW)

    def test_an_outage_is_a_gap_from_the_last_sign_of_life(self) -> None:
        """Open while it lasts; gaps of a coin's contracts that overlap are one."""
        tape = begun()
        tape.lost(CONTRACTS, NOW + 1000)
        assert ((NOW + 1000, NOW + 3000),) == btc(tape, NOW + 3000).gaps
        tape.subscribed(["BTCUSDT"], NOW + 4000)
        tape.subscribed(["BTCUSDC"], NOW + 9000)
        assert ((NOW + 1000, NOW + 9000),) == btc(tape, NOW + 20_000).gaps
        span = covered([btc(tape, NOW + 20_000)], lambda at: at)["bybit"]
        assert 12_000 == round(span.hours * HOUR_MS)

    def test_gaps_are_forgotten_and_bounded(self) -> None:
        """Past 25 hours the cover begins behind them; of very many the oldest become one."""
        tape = begun()
        for n in range(GAPS_KEPT + 10):
            tape.lost(CONTRACTS, NOW + n * 1000 + 500)
            tape.subscribed(CONTRACTS, NOW + n * 1000 + 600)
        gaps = btc(tape, NOW + 100_000).gaps
        assert GAPS_KEPT == len(gaps)
        assert (NOW + 500, NOW + 10_600) == gaps[0]
        later = NOW + 25 * HOUR_MS + 30_000
        tape.forget(later)
        found = btc(tape, later)
        assert NOW + 29_600 == found.since_ms
        assert all(begin > found.since_ms for begin, _ in found.gaps)

    def test_what_is_repeated_closes_a_gap_that_it_reaches_over(self) -> None:
        """It must reach back before it, or join what was known; nothing repeated proves nothing."""
        for rows, closed in (
            ([closing(NOW + 900), closing(NOW + 1500)], True),
            ([closing(NOW + 500, 7.0), closing(NOW + 1500)], True),
            ([closing(NOW + 1500)], False),
            ([], False),
        ):
            tape = begun(repeats=True)
            tape.take(frame(closing(NOW + 500, 7.0)), NOW + 600)
            tape.lost(CONTRACTS, NOW + 1000)
            tape.subscribed(CONTRACTS, NOW + 2000)
            for name in ("BTCUSDT", "BTCUSDC"):
                same = [replace(row, symbol=name) for row in rows]
                tape.take(frame(*same, taken=name), NOW + 2001)
            expected = () if closed else ((NOW + 1000, NOW + 2000),)
            assert expected == btc(tape, NOW + 3000).gaps, rows

    def test_a_repetition_counts_once_a_subscription(self) -> None:
        """The same frame twice closes no older gap."""
        tape = begun(repeats=True)
        tape.learn({"BTCUSDT": BTC})
        for at in (1000, 5000):
            tape.lost(["BTCUSDT"], NOW + at)
            tape.subscribed(["BTCUSDT"], NOW + at + 1000)
        again = frame(closing(NOW + 4000), taken="BTCUSDT")
        tape.take(again, NOW + 6001)
        tape.take(again, NOW + 6002)
        assert ((NOW + 1000, NOW + 2000),) == btc(tape, NOW + 7000).gaps

    def test_the_first_repetition_reaches_back(self) -> None:
        """What the venue repeats at first was whole since its oldest."""
        tape = begun(repeats=True)
        tape.learn({"BTCUSDT": BTC})
        tape.take(frame(closing(NOW - 60_000), taken="BTCUSDT"), NOW + 1)
        assert NOW - 60_000 == btc(tape, NOW + 1).since_ms


def record(ts: int, usd: float, venue: str = "okx") -> LiquidationPrint:
    """A record of BTC."""
    return LiquidationPrint("BTC", venue, "BTC-USDT", ts, "long", 100.0, usd / 100, usd, NOW)


def tape_of(
    since: int, until: int, *records: LiquidationPrint, gaps: tuple[tuple[int, int], ...] = ()
) -> LiquidationTape:
    """A tape of BTC."""
    return LiquidationTape("BTC", "okx", since, until, records, gaps)


class TestBothSides:
    """Requests and feed of one venue as one tape."""

    def test_records_with_the_same_keys_are_one(self) -> None:
        """OKX: what both tell counts once, and the cover is that of the two together."""
        asked = tape_of(
            NOW - 50_000, NOW - 10_000, record(NOW - 20_000, 5), record(NOW - 15_000, 6)
        )
        heard = tape_of(NOW - 30_000, NOW, record(NOW - 15_000, 6), record(NOW - 1000, 7))
        both = joined(asked, heard, same_keys=True)
        assert [7, 6, 5] == [one.notional_usd for one in both.prints]
        assert (NOW - 50_000, ()) == (both.since_ms, both.gaps)

    def test_what_lies_between_them_is_a_gap(self) -> None:
        """A feed that ended hours ago, and the last hour by request."""
        asked = tape_of(NOW - HOUR_MS, NOW)
        heard = tape_of(NOW - 20 * HOUR_MS, NOW, gaps=((NOW - 9 * HOUR_MS, NOW),))
        both = joined(asked, heard, same_keys=False)
        assert ((NOW - 9 * HOUR_MS, NOW - HOUR_MS),) == both.gaps
        span = covered([both], lambda at: at)["okx"]
        assert (NOW - 20 * HOUR_MS, 12.0) == (span.since_ms, round(span.hours, 6))

    def test_without_common_keys_each_moment_has_one_source(self) -> None:
        """Gate tells one event at two prices: it counts once, whichever side of a second it is.

        The feed listens from 10.5 s to 20.5 s: seconds 11 to 19 are its own.
        """
        at = NOW // 1000 * 1000
        events = [at + ms for ms in (5_200, 10_200, 10_700, 11_000, 15_300, 19_999, 20_200, 20_700)]
        asked = tape_of(
            at, at + 30_000, *(record(ts // 1000 * 1000, 100 + i) for i, ts in enumerate(events))
        )
        live = [(i, ts) for i, ts in enumerate(events) if at + 10_500 <= ts <= at + 20_500]
        heard = tape_of(
            at + 10_500,
            at + 30_000,
            *(record(ts, 200 + i) for i, ts in live),
            gaps=((at + 20_500, at + 30_000),),
        )
        both = joined(asked, heard, same_keys=False)
        told = sorted(one.notional_usd for one in both.prints)
        assert [100, 101, 102, 106, 107, 203, 204, 205] == told

    def test_what_a_feed_heard_beyond_the_requests_counts(self) -> None:
        """Gate's requests reach back an hour: older seconds of the feed stay, cut ones too."""
        heard = tape_of(
            NOW - 5 * HOUR_MS, NOW, record(NOW - 4 * HOUR_MS, 9), record(NOW - 5 * HOUR_MS, 8)
        )
        both = joined(tape_of(NOW - HOUR_MS, NOW), heard, same_keys=False)
        assert [9, 8] == [one.notional_usd for one in both.prints]
