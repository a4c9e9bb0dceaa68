"""Liquidations: what each venue's records mean, in numbers worked out by hand (METHODS 6)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from holdings import READ_AT, asked, sampled, told, wire
from wires import RECORDINGS, recorded

from mmflow_mcp.analytics.liquidations import covered, in_window, total
from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueError, VenueRejected, VenueTimeout
from mmflow_mcp.rows.positions import LiquidationPrint, LiquidationTape
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.gateio_contracts import Books
from mmflow_mcp.venues.gateio_positions import orders, parse_orders
from mmflow_mcp.venues.okx_positions import MAX_PAGES, parse_liquidations

pytestmark = pytest.mark.anyio

BTC = Contract("BTC-USDT-SWAP", "BTC", 1, "USDT", "linear", 0.01)
INVERSE = Contract("BTC-USD-SWAP", "BTC", 1, "USD", "inverse", 100.0)


def now(read_at: int) -> int:
    """Judged against the time of reading."""
    return read_at


async def tapes_of(venue: str, *coins: str) -> dict[str, LiquidationTape]:
    """A venue's tapes by coin over our samples."""
    tapes = await roll()[venue].liquidations(sampled(venue, *coins))  # type: ignore[attr-defined]
    return {tape.coin: tape for tape in tapes}


def detail(**change: Any) -> dict[str, Any]:
    """One record of okx: 1,200 contracts of a long at 64,310.5."""
    row = {"bkPx": "64310.5", "posSide": "long", "side": "sell", "sz": "1200", "ts": str(READ_AT)}
    return {**row, **change}


def answer(*details: dict[str, Any], symbol: str = "BTC-USDT-SWAP") -> Wire:
    """An answer of okx for one swap."""
    group = {"details": list(details), "instId": symbol, "instType": "SWAP"}
    return wire({"code": "0", "data": [group], "msg": ""})


class TestOkx:
    """Details of a family's swap: sz contracts at bkPx."""

    def test_the_worked_numbers(self) -> None:
        """1,200 x 0.01 x 64,310.5 = 771,726.0; 300 x 0.01 x 64,290 = 192,870.0; sum 964,596.0."""
        page = parse_liquidations(answer(detail(), detail(sz="300", bkPx="64290")), BTC)
        usd = [round(one.notional_usd, 6) for one in page.records]
        assert [771_726.0, 192_870.0] == usd
        tape = LiquidationTape("BTC", "okx", 0, READ_AT, page.records)
        row = total("BTC", [tape], now)
        assert (964_596.0, 0.0) == (round(row.long24h_usd, 6), row.short24h_usd)
        assert (771_726.0, 2) == (round(row.max24h_usd, 6), row.records24h)
        assert ("okx",) == row.venues

    def test_inverse_contracts_are_usd(self) -> None:
        """50 contracts of 100 USD are 5,000 USD, whatever the price."""
        (one,) = parse_liquidations(
            answer(detail(sz="50", bkPx="62500"), symbol="BTC-USD-SWAP"), INVERSE
        ).records
        assert (5_000.0, 0.08) == (one.notional_usd, one.size)

    @pytest.mark.parametrize(
        ("position", "order", "side"),
        [
            ("long", "sell", "long"),
            ("short", "buy", "short"),
            ("net", "sell", "long"),
            ("net", "buy", "short"),
        ],
    )
    def test_the_side_is_that_of_the_position(self, position: str, order: str, side: str) -> None:
        """In net mode a sale closes a long."""
        page = parse_liquidations(answer(detail(posSide=position, side=order)), BTC)
        assert [side] == [one.side for one in page.records]

    @pytest.mark.parametrize(
        "change",
        [
            {"sz": "-5"},
            {"sz": "0"},
            {"sz": "NaN"},
            {"bkPx": ""},
            {"bkPx": "1e308"},
            {"posSide": "both"},
            {"posSide": "net", "side": "?"},
            {"ts": "soon"},
            {"ts": "-1"},
            {"ts": "99999999999999"},
        ],
    )
    def test_what_cannot_be_read_is_counted_and_left_out(self, change: dict[str, str]) -> None:
        """One bad record beside two good ones."""
        page = parse_liquidations(answer(detail(), detail(**change), detail(sz="7")), BTC)
        assert (2, 1) == (len(page.records), page.bad)

    async def test_swaps_of_a_coin_are_one_tape(self) -> None:
        """USDT, USDC and inverse swaps, three calls in one round; what is twice counts once."""
        ask = sampled("okx", "BTC")
        (tape,) = await roll()["okx"].liquidations(ask)  # type: ignore[attr-defined]
        assert 1 + 3 == len(asked(ask))
        row = total("BTC", [tape], now)
        # 771,726 + 192,870 and the inverse sale of 20 x 100; 70 x 0.01 x 64,400 and 50 x 100.
        assert pytest.approx(964_596.0 + 2_000.0, rel=1e-12) == row.long24h_usd
        assert pytest.approx(45_080.0 + 5_000.0, rel=1e-12) == row.short24h_usd
        assert (5, READ_AT - DAY_MS, []) == (row.records24h, tape.since_ms, ask.shortfalls)

    async def test_a_coin_without_a_record_has_an_empty_tape(self) -> None:
        """ETH: the venue was asked and tells nothing, so its sum is 0 and the venue is named."""
        tapes = await tapes_of("okx", "ETH", "PEPE")
        row = total("ETH", [tapes["ETH"]], now)
        assert (0.0, 0.0, 0.0, ("okx",)) == (
            row.long24h_usd,
            row.short24h_usd,
            row.max24h_usd,
            row.venues,
        )
        # 3 x 10,000,000 PEPE at 0.00001.
        assert pytest.approx(300.0) == tapes["PEPE"].prints[0].notional_usd
        assert 30_000_000 == round(tapes["PEPE"].prints[0].size)

    async def test_what_is_not_listed_has_no_tape(self) -> None:
        """A stock under the ticker of a coin, and what is suspended."""
        assert {} == await tapes_of("okx", "MOVE", "FTM")


def paged(count: int, spacing_ms: int) -> Callable[[str], Any]:
    """A history of okx: so many records of 1 contract, so far apart, told in pages of 100."""
    times = [READ_AT - 1 - i * spacing_ms for i in range(count)]

    def show(url: str) -> Any:
        query = parse_qs(urlsplit(url).query)
        before = int(query.get("after", [str(READ_AT + 1)])[0])
        family = query["instFamily"][0]
        rows = [detail(ts=str(at), sz="1", bkPx="64000") for at in times if at < before]
        return answer(*rows[:100], symbol=f"{family}-SWAP").doc

    return show


async def over_pages(show: Callable[[str], Any]) -> tuple[LiquidationTape, list[str]]:
    """The tape of BTC in USDT over such a history, and what was asked."""
    swap = {
        "instId": "BTC-USDT-SWAP",
        "ctType": "linear",
        "ctVal": "0.01",
        "ctMult": "1",
        "ctValCcy": "BTC",
        "settleCcy": "USDT",
        "state": "live",
    }
    listed = {"code": "0", "data": [swap]}
    ask = told("okx", {"instruments": listed, "liquidation-orders": show}, "BTC")
    (tape,) = await roll()["okx"].liquidations(ask)  # type: ignore[attr-defined]
    return tape, [url for url in asked(ask) if "liquidation" in url]


class TestPages:
    """Back to the beginning of the window, and no farther."""

    async def test_pages_are_followed_until_the_window_is_full(self) -> None:
        """300 records in 30 hours: 240 of them within 24, three pages, each record once."""
        tape, calls = await over_pages(paged(300, 360_000))
        assert (3, READ_AT - DAY_MS) == (len(calls), tape.since_ms)
        assert 240 == total("BTC", [tape], now).records24h

    async def test_a_short_page_is_the_last(self) -> None:
        """150 records in all: two pages, and the window is whole although none is a day old."""
        tape, calls = await over_pages(paged(150, 1000))
        assert (2, 150, READ_AT - DAY_MS) == (len(calls), len(tape.prints), tape.since_ms)

    async def test_what_is_beyond_the_last_page_shortens_the_span(self) -> None:
        """A record a second: ten pages reach back a quarter of an hour, and that is what is said.

        A page begins with the oldest record of the one before it, so that none is lost.
        """
        tape, calls = await over_pages(paged(5000, 1000))
        assert MAX_PAGES == len(calls)
        records = 100 + (MAX_PAGES - 1) * 99
        assert records == len(tape.prints)
        assert READ_AT - 1 - (records - 1) * 1000 == tape.since_ms
        assert not covered([tape], now)["okx"].whole

    async def test_a_page_that_comes_again_ends_it(self) -> None:
        """A venue (or a recording) that knows no pages is not asked for ever."""
        rows = answer(*(detail(ts=str(READ_AT - i), sz=str(i + 1)) for i in range(100))).doc
        tape, calls = await over_pages(lambda _: rows)
        assert (3, 100, READ_AT - 99) == (len(calls), len(tape.prints), tape.since_ms)

    async def test_more_than_a_page_of_one_moment_is_passed(self) -> None:
        """150 records of one millisecond: 100 can be had, and what is older comes after them."""
        history = paged(40, 60_000)

        def show(url: str) -> Any:
            doc = history(url)
            before = int(parse_qs(urlsplit(url).query).get("after", ["9" * 13])[0])
            crowd = [detail(ts=str(READ_AT), sz=str(i + 2)) for i in range(150)]
            if before > READ_AT:
                doc["data"][0]["details"] = crowd[:100]
            return doc

        tape, calls = await over_pages(show)
        assert (140, READ_AT - DAY_MS) == (len(tape.prints), tape.since_ms)
        assert 3 == len(calls)

    async def test_a_page_that_fails_leaves_the_others(self) -> None:
        """What was read before it counts, and the span says how far."""
        history = paged(500, 1000)

        def show(url: str) -> Any:
            return VenueTimeout("timeout") if "after=" in url else history(url)

        tape, _ = await over_pages(show)
        assert (100, READ_AT - 1 - 99_000) == (len(tape.prints), tape.since_ms)


GATE = {
    "usdt": [{"name": "BTC_USDT", "type": "direct", "quanto_multiplier": "0.0001"}],
    "btc": [{"name": "BTC_USD", "type": "inverse", "quanto_multiplier": "0"}],
}
BOOKS: Books = tuple((settle, wire(rows)) for settle, rows in GATE.items())


def order(**change: Any) -> dict[str, Any]:
    """One record of gate: 80 contracts of a long at 67,405, now."""
    row = {"contract": "BTC_USDT", "fill_price": "67405", "order_size": -80, "size": 80, "left": 0}
    return {**row, "order_price": "67217.4", "time": READ_AT // 1000, **change}


class TestGate:
    """Orders of the last hour: signed positions, contracts of quanto_multiplier coins."""

    def test_a_positive_size_is_a_long(self) -> None:
        """80 x 0.0001 x 67,405 = 539.24 USD long, 299 x 0.0001 x 67,590.1 = 2,020.94 short."""
        short = order(size=-299, order_size=299, fill_price="67590.1")
        found = parse_orders(wire([order(), short]), BOOKS).records["BTC_USDT"]
        assert [("long", 539.24), ("short", 2020.94399)] == [
            (one.side, round(one.notional_usd, 6)) for one in found
        ]

    def test_what_was_traded_counts(self) -> None:
        """Of a position of 400 contracts 100 were traded: 100 x 0.0001 x 64,200 = 642 USD."""
        part = order(size=400, order_size=-100, fill_price="64200", left=300)
        (one,) = parse_orders(wire([part]), BOOKS).records["BTC_USDT"]
        assert pytest.approx(642.0) == one.notional_usd
        (whole,) = parse_orders(wire([order(order_size=None)]), BOOKS).records["BTC_USDT"]
        assert pytest.approx(539.24) == whole.notional_usd

    def test_the_inverse_contract_is_a_dollar(self) -> None:
        """1,500 contracts are 1,500 USD."""
        inverse = order(contract="BTC_USD", size=-1500, order_size=1500, fill_price="64350")
        (one,) = parse_orders(wire([inverse]), BOOKS).records["BTC_USD"]
        assert ("short", 1500.0) == (one.side, one.notional_usd)

    def test_times_are_seconds_or_milliseconds(self) -> None:
        """The feed tells milliseconds since 2026; both mean the same moment."""
        later = order(time=READ_AT)
        found = parse_orders(wire([order(), later]), BOOKS).records["BTC_USDT"]
        assert [READ_AT // 1000 * 1000, READ_AT] == [one.ts for one in found]

    @pytest.mark.parametrize(
        "change",
        [{"size": 0}, {"fill_price": "0"}, {"fill_price": None}, {"time": None}, {"size": "many"}],
    )
    def test_what_cannot_be_read_is_counted_and_left_out(self, change: dict[str, Any]) -> None:
        """One bad record beside a good one."""
        heard = parse_orders(wire([order(), order(**change)]), BOOKS)
        assert (1, 1) == (len(heard.records["BTC_USDT"]), heard.bad)

    def test_it_covers_about_an_hour(self) -> None:
        """Also when nothing happened; a full page covers what it reaches."""
        assert READ_AT - HOUR_MS == parse_orders(wire([]), BOOKS).since_ms
        crowd = [order(time=READ_AT // 1000 - i // 10, size=i + 1) for i in range(1000)]
        heard = parse_orders(wire(crowd), BOOKS)
        assert (True, READ_AT // 1000 * 1000 - 99_000) == (heard.full, heard.since_ms)

    async def test_one_request_a_settlement_currency(self) -> None:
        """BTC: contracts in USDT, BTC and USD1; three lists and three answers for any coins."""
        ask = sampled("gateio", "BTC", "ETH", "PEPE")
        tapes = await roll()["gateio"].liquidations(ask)  # type: ignore[attr-defined]
        assert (3 + 3, []) == (len(asked(ask)), ask.shortfalls)
        btc, eth, pepe = (total(tape.coin, [tape], now) for tape in tapes)
        # 299 contracts short and 1,500 inverse; 80 long once, and 100 of the 400.
        assert pytest.approx(299 * 0.0001 * 64_390.1 + 1_500) == btc.short24h_usd
        assert pytest.approx(80 * 0.0001 * 64_305 + 642) == btc.long24h_usd
        assert (0, 0.0, ("gateio",)) == (eth.records24h, eth.long24h_usd, eth.venues)
        assert pytest.approx(2 * 10_000_000 * 0.00001) == pepe.long24h_usd

    async def test_a_stock_counts_for_no_coin(self) -> None:
        """Its liquidations stand among the others."""
        assert {} == await tapes_of("gateio", "MOVE")

    @pytest.mark.parametrize("reason", ["refused", "full"])
    async def test_contracts_alone_where_the_whole_is_refused_or_full(self, reason: str) -> None:
        """The same answer from a request for each contract."""
        crowd = [order(time=READ_AT // 1000 - 5, size=i + 1, order_size=0) for i in range(1000)]
        bulk = VenueRejected("rejected: INVALID_PARAM_VALUE") if reason == "refused" else crowd
        lists = {f"{settle}/contracts": rows for settle, rows in GATE.items()}
        ask = told(
            "gateio",
            {
                **lists,
                "usd1/contracts": [],
                "contract=BTC_USDT": [order()],
                "usdt/liq": bulk,
                "btc/liq": [],
            },
            "BTC",
        )
        (tape,) = await roll()["gateio"].liquidations(ask)  # type: ignore[attr-defined]
        assert [539.24] == [round(one.notional_usd, 6) for one in tape.prints]
        assert READ_AT - HOUR_MS == tape.since_ms

    async def test_a_list_that_fails_is_named(self) -> None:
        """The inverse contract is not heard of: the rest counts, and what is missing is told."""
        failing: dict[str, VenueError] = {"btc/liq_orders": VenueTimeout("timeout")}
        ask = sampled("gateio", "BTC", failing=failing)
        (tape,) = await roll()["gateio"].liquidations(ask)  # type: ignore[attr-defined]
        assert {"BTC_USDT"} == {one.symbol for one in tape.prints}
        assert ["timeout (btc/liq_orders)", "missing: liquidations of BTC_USD"] == ask.shortfalls

    async def test_without_contract_sizes_there_is_no_sum(self) -> None:
        """A number of contracts is no number of dollars."""
        for venue, part in (("gateio", "contracts"), ("okx", "instruments")):
            ask = sampled(venue, "BTC", failing={part: VenueTimeout("timeout")})
            assert [] == await roll()[venue].liquidations(ask)  # type: ignore[attr-defined]
            assert {"BTC"} == ask.unreadable

    def test_what_gate_really_sent(self) -> None:
        """Four records of 2026-04-05: 4, 33 and 80 contracts of longs, 299 of a short."""
        url = "https://api.gateio.ws/api/v4/futures/usdt/liq_orders?contract=BTC_USDT"
        call = replace(orders("usdt"), url=f"{url}&from=1775422171&limit=100&to=1775423971")
        got = recorded("gateio", call)
        assert RECORDINGS.exists()
        found = parse_orders(got, BOOKS).records["BTC_USDT"]
        longs = 0.0001 * (4 * 67_399.9 + 33 * 67_387.1 + 80 * 67_405)
        tape = LiquidationTape("BTC", "gateio", 0, got.fetched_at, found)
        row = total("BTC", [tape], now)
        assert pytest.approx(longs, rel=1e-12) == row.long24h_usd
        assert pytest.approx(299 * 0.0001 * 67_590.1, rel=1e-12) == row.short24h_usd
        assert (4, 1_775_423_597_000) == (row.records24h, found[0].ts)


def record(ts: int, usd: float = 100.0, side: str = "long", venue: str = "okx") -> LiquidationPrint:
    """A record of BTC."""
    return LiquidationPrint("BTC", venue, "BTC-USDT", ts, side, 100.0, usd / 100, usd, READ_AT)


def tape(*records: LiquidationPrint, venue: str = "okx", hours: float = 24.0) -> LiquidationTape:
    """A tape that covers so many hours."""
    return LiquidationTape("BTC", venue, READ_AT - round(hours * HOUR_MS), READ_AT, records)


class TestWindow:
    """(now - 24 h, now], each record once."""

    def test_the_window_is_open_at_its_beginning_and_closed_at_its_end(self) -> None:
        """A record a day old to the millisecond is out, one of this moment in, a later one out."""
        at = (READ_AT - DAY_MS, READ_AT - DAY_MS + 1, READ_AT, READ_AT + 1)
        assert [False, True, True, False] == [in_window(ts, READ_AT) for ts in at]
        row = total("BTC", [tape(*map(record, at))], now)
        assert (2, 200.0) == (row.records24h, row.long24h_usd)

    def test_late_records_enter_by_their_own_time(self) -> None:
        """Judged an hour later, the oldest have left the window."""
        given = tape(record(READ_AT - DAY_MS + 1), record(READ_AT - HOUR_MS))
        assert 1 == total("BTC", [given], lambda at: at + HOUR_MS).records24h

    def test_the_same_record_counts_once(self) -> None:
        """From two requests, or from a request and a feed; another size is another record."""
        twice = [tape(record(READ_AT)), tape(record(READ_AT), record(READ_AT, 200.0))]
        row = total("BTC", twice, now)
        assert (300.0, 200.0, 2, ("okx",)) == (
            row.long24h_usd,
            row.max24h_usd,
            row.records24h,
            row.venues,
        )

    def test_venues_add_and_are_named_also_with_nothing(self) -> None:
        """A venue whose sum is 0 has contributed that."""
        row = total(
            "BTC",
            [tape(record(READ_AT, side="short")), tape(venue="gateio")],
            now,
        )
        assert (0.0, 100.0, ("gateio", "okx")) == (row.long24h_usd, row.short24h_usd, row.venues)

    def test_the_span_is_that_of_the_youngest_tape(self) -> None:
        """A day is whole; an hour is told as an hour; nothing reaches back farther than a day."""
        spans = covered([tape(), tape(hours=30), tape(venue="gateio", hours=1)], now)
        assert (["gateio", "okx"], 1.0, 24.0) == (
            list(spans),
            spans["gateio"].hours,
            spans["okx"].hours,
        )
        assert (False, True) == (spans["gateio"].whole, spans["okx"].whole)
        assert READ_AT - DAY_MS == spans["okx"].since_ms
