"""What the tape keeps, tells and forgets: prints each once, bounded, gaps known."""

import math
from collections import deque
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mmflow_mcp.rows.tape import RateTick, TapePrint
from mmflow_mcp.tape.board import Board, Listener, Queue
from mmflow_mcp.tape.cover import Cover, Gap
from mmflow_mcp.tape.rates import FundingListener, Rates
from mmflow_mcp.tape.tape import Keeping, Tape

NOW = 1_789_453_123_000


def one(number: int, *, coin: str = "BTC", ts: int = NOW, usd: float = 1000.0) -> TapePrint:
    """A print of the venue."""
    return TapePrint("hyperliquid", coin, ts, "buy", 100.0, usd / 100.0, usd, number)


def tape_of(*coins: str, fills: bool = False, **keeping: Any) -> Tape:
    """A tape that is subscribed to these coins and has had their first rows."""
    tape = Tape("hyperliquid", Keeping(**keeping), fills=fills)
    tape.subscribed(coins, NOW - 1_000)
    for coin in coins:
        tape.coins[coin].fresh = False
    return tape


def listener(tape: Tape, *coins: str, min_usd: float = 0.0, most: int = 1000) -> Listener:
    """Somebody who listens from now on."""
    made = Listener(coins or None, min_usd, most)
    tape.board.add(made)
    return made


def ids(items: list[TapePrint]) -> list[int]:
    """Their numbers."""
    return [item.trade_id for item in items]


class TestQueue:
    """A bounded queue with one reader."""

    def test_a_slow_listener_loses_the_oldest_and_is_told(self) -> None:
        """What waits is the newest; the loss is told once."""
        queue: Queue[int] = Queue(3)
        for n in range(5):
            queue.put(n)
        batch = queue.take()
        assert ([2, 3, 4], 2) == (batch.items, batch.lost)
        queue.put(9)
        assert ([9], 0) == (queue.take().items, queue.take().lost)

    @pytest.mark.anyio
    async def test_a_batch_waits_for_the_first(self) -> None:
        """Then it is all that has gathered."""
        queue: Queue[int] = Queue(10)
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                queue.put(1)
                queue.put(2)

            tasks.start_soon(write)
            assert [1, 2] == (await queue.batch()).items

    @pytest.mark.anyio
    async def test_a_reader_that_was_cancelled_reads_on(self) -> None:
        """Giving up a wait loses nothing."""
        queue: Queue[int] = Queue(10)
        with anyio.move_on_after(0.01):
            await queue.batch()
        queue.put(7)
        assert [7] == (await queue.batch()).items

    @pytest.mark.anyio
    async def test_closing_wakes_the_reader(self) -> None:
        """With what there is, then with nothing."""
        queue: Queue[int] = Queue(10)
        batches: list[list[int]] = []

        async def read() -> None:
            batches.append((await queue.batch()).items)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.lowlevel.checkpoint()
            queue.close()
        queue.put(1)
        await read()
        await read()
        assert [[], [1], []] == batches


class TestBoard:
    """Listeners by coin and threshold."""

    def test_a_print_finds_those_it_is_for(self) -> None:
        """Thresholds are inclusive; coins and all coins are told alike, by reference."""
        board = Board()
        listeners = {
            (coins, usd): Listener(coins, usd, 10)
            for coins in (None, ("BTC",), ("ETH", "BTC"), ("SOL",))
            for usd in (0.0, 1000.0, 1000.1)
        }
        for made in listeners.values():
            board.add(made)
        print_ = one(1)
        board.tell(print_)
        found = {key for key, made in listeners.items() if made.take().items == [print_]}
        coins = (None, ("BTC",), ("ETH", "BTC"))
        assert {(c, usd) for c in coins for usd in (0.0, 1000.0)} == found

    def test_a_thousand_filters_are_not_a_thousand_checks(self) -> None:
        """Only those whose threshold is met are touched."""
        board = Board()
        touched: list[float] = []

        class Told(Listener):
            def put(self, item: TapePrint) -> None:
                touched.append(self.min_usd)

        for n in range(1000):
            board.add(Told(None, 10.0 * n, 1))
        board.tell(one(1, usd=25.0))
        assert [0.0, 10.0, 20.0] == touched

    def test_removing_leaves_nothing(self) -> None:
        """Also among equals, and the least threshold follows."""
        board = Board()
        made = [Listener(coins, 5.0, 1) for coins in (None, ("BTC",), ("BTC", "ETH"), None)]
        lowest = Listener(("ETH",), 1.0, 1)
        for listener_ in (*made, lowest):
            board.add(listener_)
        assert (5, 1.0) == (len(board), board.least)
        board.remove(lowest)
        assert 5.0 == board.least
        for listener_ in made:
            board.remove(listener_)
        assert (0, math.inf, set()) == (len(board), board.least, board.coins)


class TestTape:
    """Taking in, telling, forgetting."""

    def test_each_print_once(self) -> None:
        """An id is known per coin; a repetition is counted."""
        tape = tape_of("BTC", "ETH")
        heard = listener(tape)
        tape.take([one(1), one(2)], NOW)
        tape.take([one(2), one(1, coin="ETH"), one(3)], NOW)
        assert [1, 2, 1, 3] == ids(heard.take().items)
        assert 1 == tape.duplicates
        assert [1, 2, 3, 4] == [p.serial for p in tape.order]

    def test_late_prints_are_told_too(self) -> None:
        """Frames out of order: each once, with its own time."""
        tape = tape_of("BTC")
        heard = listener(tape)
        tape.take([one(2, ts=NOW)], NOW)
        tape.take([one(1, ts=NOW - 3_000)], NOW)
        assert [2, 1] == ids(heard.take().items)

    def test_equal_times_are_told_apart(self) -> None:
        """The id of an event is its time, then the order in which it was told."""
        tape = tape_of("BTC", "ETH")
        heard = listener(tape)
        tape.take([one(1), one(2), one(3, ts=NOW + 1)], NOW)
        tape.take([one(9, coin="ETH")], NOW)
        assert [f"{NOW}", f"{NOW}-1", f"{NOW + 1}", f"{NOW}-2"] == [
            p.event_id for p in heard.take().items
        ]

    def test_a_time_far_ahead_is_no_print(self) -> None:
        """It would push the true ones out; it is counted as unreadable."""
        tape = tape_of("BTC")
        tape.take([one(1, ts=NOW + 3_600_000)], NOW)
        assert ([], 1) == (list(tape.order), tape.unread)

    @pytest.mark.parametrize("ts", [NOW - 26 * 3_600_000, -NOW, 0, 1000])
    def test_a_time_long_ago_is_no_print(self, ts: int) -> None:
        """Neither told nor kept, whether it comes alone or among what a start repeats."""
        tape = tape_of("BTC")
        heard = listener(tape)
        tape.take([one(1, ts=ts, usd=1e6)], NOW)
        assert (0, 0, 1) == (len(tape.order), len(tape.large), tape.unread)
        tape.subscribed(["ETH"], NOW)
        tape.take([one(1, ts=min(ts, 1000), coin="ETH"), one(2, coin="ETH")], NOW)
        assert NOW == tape.coins["ETH"].cover.since
        assert [2] == ids(heard.take().items)

    def test_a_large_print_that_comes_an_hour_late_is_remembered(self) -> None:
        """It is true, and no news."""
        tape = tape_of("BTC")
        heard = listener(tape)
        tape.take([one(1, ts=NOW - 3_600_000, usd=60_000.0), one(2, ts=NOW - 3_600_000)], NOW)
        assert ([], [1], 0) == (heard.take().items, ids(list(tape.large)), tape.unread)

    def test_a_coin_that_the_venue_does_not_list_is_no_coin(self) -> None:
        """A garbled name makes no tape of its own."""
        tape = tape_of("BTC")
        tape.coins.listed = frozenset({"BTC", "ETH"})
        tape.take([one(1, coin="NAN"), one(2, coin="ETH")], NOW)
        assert ({"BTC", "ETH"}, 1) == (set(tape.coins), tape.unread)

    def test_the_first_rows_of_a_start_are_no_news(self) -> None:
        """What a subscription repeats was before; what is as young as it is told."""
        tape = Tape("hyperliquid")
        heard = listener(tape)
        tape.subscribed(["BTC"], NOW)
        tape.take([one(3, ts=NOW + 1), one(1, ts=NOW - 50_000), one(2, ts=NOW - 20_000)], NOW + 10)
        assert [3] == ids(heard.take().items)
        assert [1, 2, 3] == ids(list(tape.order))
        assert NOW - 50_000 == tape.coins["BTC"].cover.since

    def test_what_an_outage_hid_is_told_once(self) -> None:
        """The repetition after a reconnect closes the outage where it reaches back to it."""
        tape = tape_of("BTC")
        heard = listener(tape)
        tape.take([one(1, ts=NOW), one(2, ts=NOW + 1_000)], NOW + 1_000)
        tape.lost(NOW + 1_500)
        tape.subscribed(["BTC"], NOW + 9_000)
        tape.take([one(n, ts=NOW + n * 1_000 - 1_000) for n in (4, 3, 2)], NOW + 9_100)
        tape.take([one(5, ts=NOW + 9_200), one(4, ts=NOW + 3_000)], NOW + 9_300)
        assert [1, 2, 3, 4, 5] == ids(heard.take().items)
        assert NOW - 1_000 == tape.coins["BTC"].cover.complete_since
        assert [] == list(tape.gaps)

    def test_an_outage_that_stays_open_is_a_gap(self) -> None:
        """Where the repetition does not reach back, the cover begins anew and the gap is known."""
        tape = tape_of("BTC", "ETH")
        tape.take([one(1), one(1, coin="ETH")], NOW)
        tape.lost(NOW + 500)
        tape.subscribed(["BTC", "ETH"], NOW + 60_000)
        tape.take([one(8, ts=NOW + 50_000), one(9, ts=NOW + 59_000)], NOW + 60_100)
        tape.take([one(1, coin="ETH")], NOW + 60_100)
        assert [Gap("BTC", NOW + 500, NOW + 50_000)] == list(tape.gaps)
        assert NOW + 50_000 == tape.coins["BTC"].cover.complete_since
        assert NOW - 1_000 == tape.coins["ETH"].cover.complete_since

    def test_a_large_print_of_long_ago_is_remembered_once(self) -> None:
        """A quiet coin repeats hours: nobody is told, large ones are kept, small ones are not."""
        tape = Tape("hyperliquid")
        heard = listener(tape)
        old = [one(1, ts=NOW - 7_200_000, usd=60_000.0), one(2, ts=NOW - 7_000_000)]
        for _ in range(2):
            tape.subscribed(["BTC"], NOW)
            tape.take(old, NOW)
            tape.lost(NOW)
        assert ([], [1]) == (heard.take().items, ids(list(tape.large)))
        assert not tape.order

    def test_large_prints_lie_in_order_of_time(self) -> None:
        """Wherever they come from."""
        tape = tape_of("BTC")
        tape.take([one(n, ts=NOW + n, usd=60_000.0) for n in (1, 5, 3)], NOW)
        tape.remember([one(2, ts=NOW + 2, usd=99_000.0), one(5, usd=60_000.0)], NOW)
        tape.remember([one(7, usd=100.0), one(8, ts=NOW - 100 * 3_600_000, usd=1e6)], NOW)
        assert [1, 2, 3, 5] == ids(list(tape.large))

    def test_old_prints_are_given_up(self) -> None:
        """Ten minutes of all, 25 hours of the large; the ids of the time are forgotten after."""
        tape = tape_of("BTC")
        tape.take([one(1, usd=60_000.0), one(2)], NOW)
        tape.take([one(3, ts=NOW + 601_000)], NOW + 601_000)
        assert ([3], [1]) == (ids(list(tape.order)), ids(list(tape.large)))
        assert [3] == ids(list(tape.coins["BTC"].prints))
        assert NOW == tape.coins["BTC"].cut
        day = NOW + 25 * 3_600_000 + 2_000
        tape.take([one(4, ts=day)], day)
        assert ([4], []) == (ids(list(tape.order)), list(tape.large))

    def test_many_prints_leave_as_much_as_few(self) -> None:
        """Every container is bounded, by number where time does not do it."""
        coins = ("BTC", "ETH", "SOL")
        tape = tape_of(*coins, all_most=20_000, large_most=2_000)
        heard = listener(tape, most=100)

        def sizes() -> list[int]:
            of_coins = [(len(c.prints), len(c.seen) + len(c.before)) for c in tape.coins.values()]
            return [
                len(tape.order),
                len(tape.large),
                len(tape._large_ids),
                len(tape._moments) + len(tape._moments_before),
                len(heard),
                *(sum(column) for column in zip(*of_coins, strict=True)),
                len(tape.unread_at),
            ]

        number = 0
        kept: list[list[int]] = []
        for _ in range(10):
            for _ in range(300):
                now = NOW + number * 2
                usd = 60_000.0 if number % 900 == 0 else 500.0
                frame = [
                    one(number + n, coin=coins[n % 3], ts=now + n, usd=usd) for n in range(100)
                ]
                number += 100
                tape.take(frame, now)
            kept.append(sizes())
        assert 300_000 == tape.serial
        most = [20_400, 4_400, 4_400, 40_500, 100, 20_400, 41_000, 0]
        for found in kept:
            assert all(a <= b for a, b in zip(found, most, strict=True)), found

    def test_a_missed_trade_shows_in_two_heartbeats(self) -> None:
        """One may overtake its trade; what is old news is no alarm."""
        tape = tape_of("BTC", fills=True)
        tape.take([one(10)], NOW)
        assert not tape.told_newest("BTC", 10, NOW + 1)
        assert not tape.told_newest("BTC", 11, NOW + 2)
        tape.take([one(11, ts=NOW + 3)], NOW + 3)
        assert not tape.told_newest("BTC", 11, NOW + 4)
        assert not tape.told_newest("BTC", 12, NOW + 5)
        assert tape.told_newest("BTC", 12, NOW + 6)
        cover = tape.coins["BTC"].cover
        assert (NOW + 3, NOW + 6) == (cover.lost, cover.resumed)


class TestCover:
    """Since when a coin is complete."""

    def made(self) -> Cover:
        """Subscribed at 1000."""
        cover = Cover("BTC", deque())
        cover.subscribe(1_000)
        return cover

    def test_a_start_reaches_back(self) -> None:
        """To the oldest that was repeated, never forward."""
        cover = self.made()
        assert cover.reach(400, known=False)
        assert cover.reach(700, known=False)
        assert (400, 400) == (cover.since, cover.complete_since)

    def test_nothing_is_complete_while_the_socket_is_broken(self) -> None:
        """And after it only from the new subscription on, until the outage is closed."""
        cover = self.made()
        cover.lose(5_000)
        broken = cover.complete_since
        assert None is broken
        assert not cover.reach(100, known=True)
        cover.subscribe(9_000)
        assert 9_000 == cover.complete_since
        assert cover.reach(4_000, known=False)
        assert 1_000 == cover.complete_since

    def test_two_outages_are_one_until_closed(self) -> None:
        """The gap begins at the first loss."""
        cover = self.made()
        cover.lose(5_000)
        cover.subscribe(6_000)
        cover.lose(7_000)
        cover.subscribe(8_000)
        cover.give_up(7_900)
        assert [Gap("BTC", 5_000, 7_900)] == list(cover.gaps)
        assert (7_900, 1_000) == (cover.complete_since, cover.began)


class TestRates:
    """METHODS section 1: told when the rate has moved far enough since it was told last."""

    def tick(self, rate: float, coin: str = "BTC") -> RateTick:
        """A rate of the venue."""
        return RateTick("hyperliquid", coin, coin, rate, 1)

    def heard(self, rates: Rates, *coins: str, bps: float = 0.5) -> FundingListener:
        """Somebody who listens."""
        made = FundingListener(coins or None, bps, 100)
        rates.add(made)
        return made

    def test_the_threshold_is_inclusive_and_counts_from_the_last_told(self) -> None:
        """0.0000125 -> 0.0000625 is 0.5 bps; small steps add up."""
        rates = Rates("hyperliquid")
        heard = self.heard(rates)
        for rate in (0.0000125, 0.0000625, 0.00009, 0.000112, 0.0001125, 0.00008):
            rates.take([self.tick(rate)], NOW)
        told = [(c.prev_rate, c.rate, c.delta, c.ts) for c in heard.take().items]
        assert [
            (0.0000125, 0.0000625, 0.00005, NOW),
            (0.0000625, 0.0001125, 0.00005, NOW),
        ] == told

    def test_each_listener_counts_from_what_it_was_told(self) -> None:
        """Thresholds and the time of coming differ; what is known is the first rate."""
        rates = Rates("hyperliquid")
        fine = self.heard(rates, bps=0.01)
        coarse = self.heard(rates, "BTC", bps=0.5)
        rates.take([self.tick(0.00001), self.tick(0.00001, "ETH")], NOW)
        rates.take([self.tick(0.00004), self.tick(0.00002, "ETH")], NOW)
        late = self.heard(rates, "BTC", bps=0.5)
        rates.take([self.tick(0.00007)], NOW)
        assert [0.00004, 0.00002, 0.00007] == [c.rate for c in fine.take().items]
        assert [(0.00001, 0.00007)] == [(c.prev_rate, c.rate) for c in coarse.take().items]
        assert [] == late.take().items

    def test_a_threshold_of_zero_tells_every_change_and_no_repetition(self) -> None:
        """A rate that stands is no change."""
        rates = Rates("hyperliquid")
        heard = self.heard(rates, bps=0.0)
        for rate in (0.00001, 0.00001, 0.0000100001, 0.0000100001):
            rates.take([self.tick(rate)], NOW)
        assert [0.0000100001] == [c.rate for c in heard.take().items]

    def test_who_leaves_leaves_nothing(self) -> None:
        """Coming and going, named and unnamed."""
        rates = Rates("hyperliquid")
        for coins in ((), ("BTC",), ("BTC", "ETH")):
            heard = self.heard(rates, *coins)
            assert 1 == len(rates)
            rates.remove(heard)
        assert (0, {}) == (len(rates), rates._by_coin)


def test_a_print_is_encoded_once_for_each_form() -> None:
    """However many read it."""
    calls: list[int] = []

    def encode(print_: TapePrint) -> bytes:
        calls.append(print_.trade_id)
        return b"x"

    print_ = one(5)
    assert {b"x"} == {print_.encoded(form, encode) for form in ("whale", "trade", "whale")}
    assert [5, 5] == calls
