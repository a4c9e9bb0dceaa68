"""Kalshi: dollars in text, ladders of strikes, coins first, combinations left out."""

import json
from typing import Any

import pytest
from excerpts import AT, Excerpt
from wires import RECORDINGS, SAMPLES, Answers, sample

from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows.predictions import PredictionPage, PredictionRow
from mmflow_mcp.upstream.har import read_recording
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.kalshi import SERIES, Kalshi, every, parse_page, read_price, series

pytestmark = pytest.mark.anyio

VENUE = Kalshi()
ROW = sample("kalshi", every()).doc["markets"][1]
EMPTY = {"cursor": "", "markets": []}
NO_COINS = dict.fromkeys(map(series, SERIES), EMPTY)


def ask_for(answers: Any, start: int = 0, count: int = 50) -> Ask:
    """A question for a page over some answers."""
    options = {"start": start, "count": count}
    return Ask("kalshi", answers, coins=None, deadline=1e9, options=options)


def asking(failing: dict[str, VenueError] | None = None, **bounds: int) -> Ask:
    """A question over our samples."""
    return ask_for(Answers(SAMPLES / "kalshi.har", failing), **bounds)


async def page_of(ask: Ask) -> PredictionPage:
    """The one page that is answered."""
    (page,) = await VENUE.predictions(ask)
    return page


def wire(doc: Any) -> Wire:
    """An answer that holds this document."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


def listed() -> dict[str, PredictionRow]:
    """The rows of the whole list's sample by ticker."""
    return {row.symbol: row for row in sample("kalshi", every()).parsed(parse_page).rows}


class TestRows:
    """What a market tells."""

    def test_a_rung_of_a_ladder(self) -> None:
        """The strike stands behind the title that all rungs share; volume is in no dollars."""
        row = sample("kalshi", series("KXBTCD")).parsed(parse_page).rows[0]
        assert "Bitcoin price on Sep 14, 2026? - $95,000 or above" == row.label
        assert ("BTC", "Yes", 0.56, None) == (
            row.coin,
            row.outcome,
            row.probability,
            row.volume24h_usd,
        )
        assert 1_789_495_200_000 == row.closes_ms

    def test_a_name_out_of_the_title_is_what_yes_means(self) -> None:
        """In a match the price is that of one side."""
        row = listed()["KXGAME-26SEP14-ROME"]
        assert ("Lima vs Rome", "Rome") == (row.label, row.outcome)

    def test_what_is_no_open_market_is_left_out(self) -> None:
        """Combinations, and what is finalized; a row without a title is counted."""
        page = sample("kalshi", every()).parsed(parse_page)
        assert {
            "KXMARS-99",
            "KXBTCD-26SEP1415-T94999.99",
            "KXGAME-26SEP14-ROME",
            "KXWIDE-26",
            "KXSCALAR-26",
            "KXTEN-26",
            "KXCENTS-26",
        } == {row.symbol for row in page.rows}
        assert (1, 1, "") == (page.bad, page.blurred, page.cursor)

    def test_what_is_no_share_of_a_dollar_has_no_probability(self) -> None:
        """Scalars, contracts that pay ten dollars, and the cents that there were once."""
        rows = listed()
        for ticker in ("KXSCALAR-26", "KXTEN-26", "KXCENTS-26"):
            assert None is rows[ticker].probability
        assert None is rows["KXSCALAR-26"].outcome

    @pytest.mark.parametrize(
        "last,bid,ask,expected",
        [
            ("0.5600", "0.5500", "0.5700", 0.56),
            ("0.1955", "0.1630", "0.1970", 0.1955),
            # A trade outside the book is past: the middle tells.
            ("0.9000", "0.5500", "0.5700", 0.56),
            # No trade yet.
            ("0.0000", "0.4000", "0.4400", 0.42),
            # Empty sides, and sides far apart.
            ("0.0000", "0.0000", "0.0100", None),
            ("0.0000", "0.9900", "1.0000", None),
            ("0.0000", "0.0100", "0.9900", None),
            # A trade beside an empty side.
            ("0.0100", "0.0000", "0.0100", 0.01),
            ("0.9900", "0.9900", "1.0000", 0.99),
            # Nobody quotes it any more: the trade may be of any age.
            ("0.3000", "0.0000", "1.0000", None),
            # An ask of 0 has been recorded where nobody asks.
            ("0.3000", "0.2000", "0.0000", 0.3),
        ],
    )
    def test_the_price_of_yes(self, last: str, bid: str, ask: str, expected: float | None) -> None:
        """The last trade within the book, else the middle of a book worth the name."""
        row = {
            "last_price_dollars": last,
            "yes_bid_dollars": bid,
            "yes_ask_dollars": ask,
        }
        found = read_price(row)
        assert expected == (None if found is None else pytest.approx(found))

    @pytest.mark.parametrize("price", ["NaN", "-0.1000", "56", None, "x", 1e308])
    def test_a_price_beyond_belief_is_null_and_told(self, price: Any) -> None:
        """A cent for a dollar would be 56."""
        page = parse_page(wire({"markets": [ROW | {"last_price_dollars": price}], "cursor": ""}))
        assert (None, 1) == (page.rows[0].probability, page.blurred)

    @pytest.mark.parametrize(
        "change", [{"ticker": ""}, {"ticker": "A B"}, {"title": "\u202e"}, {"title": 4}]
    )
    def test_a_row_without_a_ticker_or_a_title_is_told(self, change: dict[str, Any]) -> None:
        """It is left out and counted."""
        page = parse_page(wire({"markets": [ROW, ROW | change], "cursor": None}))
        assert (1, 1, "") == (len(page.rows), page.bad, page.cursor)

    def test_titles_and_strikes_are_cleaned_and_bounded(self) -> None:
        """Both are written by others."""
        change = {"title": "Will\x1b it\u200b?" + "a" * 500, "yes_sub_title": "b\u202e" * 500}
        row = parse_page(wire({"markets": [ROW | change], "cursor": ""})).rows[0]
        assert row.label.startswith("Will it?aaa")
        assert len(row.label) < 250
        assert row.label.isprintable()


class TestPages:
    """Coins first, then the venue's own list."""

    async def test_coins_come_first_by_contracts_traded(self) -> None:
        """Then the rest in the venue's order, each market once."""
        page = await page_of(asking())
        assert [
            "KXBTCD-26SEP1415-T95099.99",
            "KXETH-26SEP1415-B2725",
            "KXBTCD-26SEP1415-T94999.99",
            "KXMARS-99",
            "KXGAME-26SEP14-ROME",
            "KXWIDE-26",
            "KXSCALAR-26",
            "KXTEN-26",
            "KXCENTS-26",
        ] == [row.symbol for row in page.rows]
        assert (False, 9) == (page.more, page.total)

    async def test_the_long_list_is_asked_only_where_it_is_needed(self) -> None:
        """A page of coins costs the series about coins."""
        answers = Answers(SAMPLES / "kalshi.har")
        page = await page_of(ask_for(answers, 0, 3))
        assert [series(name).url for name in SERIES] == answers.asked
        assert (3, True, None) == (len(page.rows), page.more, page.total)

    async def test_pages_follow_the_cursor(self) -> None:
        """Each is asked with that of the one before; an empty one ends the list."""
        rows = [ROW | {"ticker": f"KXA-{n}"} for n in range(6)]
        answers = Excerpt(
            NO_COINS
            | {
                every(): {"cursor": "c1", "markets": rows[:2]},
                every("c1"): {"cursor": "c2", "markets": []},
                every("c2"): {"cursor": "", "markets": rows[1:]},
            }
        )
        first, second = [await page_of(ask_for(answers, start, 4)) for start in (0, 4)]
        assert rows == [
            ROW | {"ticker": row.symbol} for page in (first, second) for row in page.rows
        ]
        assert [(True, 6), (False, 6)] == [(page.more, page.total) for page in (first, second)]

    async def test_a_series_that_fails_is_told(self) -> None:
        """The others and the long list answer."""
        ask = asking({"KXETH&": VenueHttp(503)})
        page = await page_of(ask)
        assert "KXETH-26SEP1415-B2725" not in {row.symbol for row in page.rows}
        assert "http 503 (markets)" == ask.shortfalls[0]

    async def test_a_series_in_another_shape_is_told(self) -> None:
        """It does not take the others along."""
        answers = NO_COINS | {series("KXETH"): {"markets": 1}, every(): {"markets": [ROW]}}
        ask = ask_for(Excerpt(answers))
        assert ["KXMARS-99"] == [row.symbol for row in (await page_of(ask)).rows]
        assert ask.shortfalls[0].startswith("changed")

    async def test_where_the_long_list_is_refused_coins_are_answered(self) -> None:
        """It says so, and offers no next page that could not be had."""
        ask = asking({"mve_filter": VenueRejected("rejected: no")}, start=0, count=50)
        page = await page_of(ask)
        assert (3, False, None) == (len(page.rows), page.more, page.total)
        assert ["rejected: no"] == ask.shortfalls
        ask = asking({"mve_filter": VenueRejected("rejected: no")}, start=50)
        assert () == (await page_of(ask)).rows
        assert ["rejected: no; only the series about coins"] == ask.shortfalls

    async def test_nothing_at_all_is_an_error(self) -> None:
        """Every list failed."""
        with pytest.raises(VenueHttp):
            await page_of(asking({"kalshi": VenueHttp(503)}))
        with pytest.raises(Unrecorded):
            await page_of(ask_for(Excerpt({})))

    @pytest.mark.parametrize("doc", [[], {}, {"markets": {}}, {"markets": [3]}, None])
    async def test_another_shape_is_a_change(self, doc: Any) -> None:
        """Not an empty answer."""
        with pytest.raises(VenueChanged):
            await page_of(ask_for(Excerpt(NO_COINS | {every(): doc})))


@pytest.mark.parametrize(
    "status,body,expected",
    [
        (429, b'{"error":{"code":"too_many_requests","message":"slow down"}}', VenueRateLimited),
        (404, b'{"error":{"code":"not_found","message":"not found"}}', VenueRejected),
        (400, b'{"error":{"code":"invalid_cursor","message":"x"}}', VenueRejected),
        (401, b'{"error":{"code":"unauthorized","message":"x"}}', None),
        (503, b'{"error":{"code":"maintenance","message":"x"}}', None),
        (200, b'{"markets":[]}', None),
        (400, b"<html>", None),
    ],
)
def test_refusals(status: int, body: bytes, expected: type[VenueError] | None) -> None:
    """The venue's own codes; the rest is read like any venue's."""
    found = VENUE.refusal(status, body)
    assert expected is (None if found is None else type(found))


def test_every_recorded_list_is_read() -> None:
    """The ladder of July 2026 is BTC's, the two markets on Mars are nobody's coin."""
    path = RECORDINGS / "kalshi.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    answers, _ = read_recording(path)
    seen: dict[str, tuple[str | None, float | None]] = {}
    for answer in answers:
        if answer.question.path.endswith("/v2/markets"):
            page = parse_page(wire(json.loads(answer.body)))
            assert (0, 0) == (page.bad, page.blurred)
            seen |= {row.symbol: (row.coin, row.probability) for row in page.rows}
    assert {
        "KXBTCD-26JUL2502-T74299.99": ("BTC", None),
        "KXBTCD-26JUL2502-T74199.99": ("BTC", None),
        "KXBTCD-26JUL2502-T74099.99": ("BTC", None),
        "KXELONMARS-99": (None, 0.1),
        "KXCOLONIZEMARS-50": (None, 0.195),
    } == seen
