"""Prediction markets through the question path: pages, coins, faults, and the simulated truth."""

from dataclasses import fields
from typing import Any

import pytest
from excerpts import Excerpt
from mcp import Client
from wires import RECORDINGS
from worlds import MARKET, NOW, envelope, world

from mmflow_mcp.app import App, running
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.rows import camel
from mmflow_mcp.rows.predictions import PredictionRow
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim import kalshi as sim_kalshi
from mmflow_mcp.sim import polymarket as sim_polymarket
from mmflow_mcp.sim.questions import Question, list_questions
from mmflow_mcp.surfaces.doctor import examine
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import capabilities, roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.predictions import (
    DEPTH,
    MAX_TURNS,
    Listing,
    coin_of,
    cut,
    middle,
    moment,
    share,
    walk,
)

pytestmark = pytest.mark.anyio

VENUES = pytest.mark.parametrize("venue", ["polymarket", "kalshi"])
TICKERS = {"polymarket": sim_polymarket.condition_of, "kalshi": sim_kalshi.ticker_of}
CENT = {"polymarket": 0.0001, "kalshi": 0.0101}


async def page_of(app: App, venue: str, page: int = 0, size: int = 50) -> dict[str, Any]:
    """One page, as any face asks for it."""
    return await envelope(app, "get_markets", exchange=venue, page=page, pageSize=size)


async def all_of(app: App, venue: str, size: int) -> list[dict[str, Any]]:
    """Every row, page after page for as long as there are more."""
    rows: list[dict[str, Any]] = []
    for page in range(DEPTH // size):
        data = (await page_of(app, venue, page, size))["data"]
        rows += data["markets"]
        if not data["more"]:
            assert len(rows) == data["total"]
            return rows
        assert data["total"] in (None, len(truth(venue)))
    raise AssertionError("the list has no end")


_KEPT: dict[str, list[dict[str, Any]]] = {}


async def rows_of(venue: str) -> list[dict[str, Any]]:
    """Every row of a venue in the world of `NOW`, read once for all tests."""
    if venue not in _KEPT:
        async with world() as app:
            _KEPT[venue] = await all_of(app, venue, 500)
    return _KEPT[venue]


def truth(venue: str) -> dict[str, Question]:
    """The open questions of the simulated world by the venue's own id."""
    every = list_questions(MARKET, NOW)
    return {TICKERS[venue](q): q for q in every if q.state != "closed"}


class TestCoins:
    """Which coin a title is about."""

    @pytest.mark.parametrize(
        "title,coin",
        [
            ("Will BTC close above $100k in 2026?", "BTC"),
            ("Bitcoin price on Sep 14, 2026? - $95,000 or above", "BTC"),
            ("Will bitcoin's price fall?", "BTC"),
            ("$BTC above 90,000?", "BTC"),
            ("ETH above 3,000?", "ETH"),
            ("Will Ether reach a new high?", "ETH"),
            ("Ethereum Up or Down?", "ETH"),
            ("Solana above 200?", "SOL"),
            ("XRP ETF approved?", "XRP"),
        ],
    )
    def test_a_title_that_names_one(self, title: str, coin: str) -> None:
        """As a whole word: tickers in capitals, names in any case."""
        assert coin == coin_of(title)

    @pytest.mark.parametrize(
        "title",
        [
            "Which doubles first, Bitcoin or Ethereum?",
            "ETH/BTC above 0.05?",
            "Will Bitcoin Cash trade above $900?",
            "Ethereum Classic above 30?",
            "Will ETH Zürich lead the ranking?",
            "El sol sale mañana?",
            "Will the Sol mission land?",
            "Is it ethereal, or together with other things?",
            "WBTC, stETH and cbBTC: which is largest?",
            "Will DOGE outperform BTC?",
            "Will BTC or BNB rise more?",
            "Solana Beach: rain on Friday?",
            "Who will win?",
            "",
        ],
    )
    def test_a_title_that_names_none_or_more(self, title: str) -> None:
        """A wrong coin is worse than none."""
        assert None is coin_of(title)


class TestFields:
    """Shares of a dollar, books, times."""

    def test_a_share_is_between_nothing_and_a_dollar(self) -> None:
        """Cents, percents and what is no number are none."""
        assert [0, 0.5, 1] == [share(value) for value in ("0", 0.5, "1.0000")]
        for value in (-0.01, 1.01, 56, "NaN", None, "", True, "x"):
            with pytest.raises((ValueError, TypeError)):
                share(value)

    @pytest.mark.parametrize(
        "bid,ask,expected",
        [
            (0.4, 0.44, 0.42),
            (0.4, 0.5, 0.45),
            (0.4, 0.51, None),
            (0.0, 0.01, None),
            (0.99, 1.0, None),
            (0.5, 0.5, None),
            (0.5, 0.4, None),
            (None, 0.4, None),
            ("", "", None),
        ],
    )
    def test_the_middle_of_a_book(self, bid: Any, ask: Any, expected: float | None) -> None:
        """Only of two sides that are near each other."""
        found = middle(bid, ask)
        assert expected == (None if found is None else pytest.approx(found))

    def test_moments(self) -> None:
        """With and without a zone, as a date alone, none where none is told."""
        texts = ("2026-09-14T18:59:05Z", "2026-09-14T18:59:05", "2026-09-14", "", None)
        assert [1_789_412_345_000, 1_789_412_345_000, 1_789_344_000_000, None, None] == [
            moment(text) for text in texts
        ]


async def test_a_list_without_open_markets_is_not_walked_for_ever() -> None:
    """So many pages of closed ones, and no more."""
    calls = [Call(f"https://venue.example/{n}") for n in range(MAX_TURNS + 5)]
    answers = Excerpt({call: {} for call in calls})
    ask = Ask("kalshi", answers, coins=None, deadline=1e9)  # type: ignore[arg-type]
    turned = iter(range(MAX_TURNS + 5))
    row = PredictionRow("kalshi", "A", None, "prediction", "A")

    def parse(_: Wire) -> Listing:
        return Listing((), 0, 0, f"c{next(turned)}")

    page = await walk(ask, lambda cursor: calls[int(cursor[1:] or -1) + 1], parse, [row])
    assert ((row,), False) == (page.rows, page.more)
    assert MAX_TURNS + 1 == len(answers.asked)
    assert ask.shortfalls[0].startswith(f"changed: {MAX_TURNS} pages")


def test_the_depth_is_an_end_that_is_told() -> None:
    """The last page that can be asked for offers no next one; `meta` says that there is more."""
    options = {"start": DEPTH - 50, "count": 50}
    ask = Ask("kalshi", Excerpt({}), coins=None, deadline=1e9, options=options)  # type: ignore[arg-type]
    rows = [PredictionRow("kalshi", f"A{n}", None, "prediction", "A") for n in range(DEPTH + 1)]
    page = cut(ask, rows[:-1], ended=True)
    assert (50, False, DEPTH) == (len(page.rows), page.more, page.total)
    assert None is ask.narrowed
    page = cut(ask, rows, ended=False)
    assert (50, False, None) == (len(page.rows), page.more, page.total)
    assert f"the first {DEPTH} markets; the venue has more" == ask.narrowed


class TestSimulated:
    """What the question path makes of the simulated venues."""

    @VENUES
    async def test_every_market_comes_exactly_once(self, venue: str) -> None:
        """Over all pages, whatever their size; closed ones and combinations never."""
        async with world() as app:
            lists = [await all_of(app, venue, size) for size in (120, 333, 500)]
        for rows in lists:
            symbols = [row["symbol"] for row in rows]
            assert len(symbols) == len(set(symbols))
            assert set(truth(venue)) == set(symbols)
        assert lists[0] == lists[1] == lists[2]
        assert len(lists[0]) > 700

    @VENUES
    async def test_rows_are_the_markets_truth(self, venue: str) -> None:
        """Coin, probability within a tick, USD of 24 h where the venue counts them, the end."""
        asked = truth(venue)
        for row in await rows_of(venue):
            question = asked[row["symbol"]]
            assert question.coin == row["coin"]
            assert question.closes_ms == row["closesMs"]
            assert ("prediction", venue) == (row["kind"], row["exchange"])
            if question.probability is None:
                assert "probability" not in row
                continue
            assert pytest.approx(question.probability, abs=CENT[venue]) == row["probability"]
            if venue == "polymarket":
                assert pytest.approx(question.volume_usd, abs=0.06) == row["volume24hUsd"]
            else:
                assert "volume24hUsd" not in row

    async def test_polymarket_is_sorted_by_volume(self) -> None:
        """Over the pages, not only within one."""
        volumes = [row["volume24hUsd"] for row in await rows_of("polymarket")]
        assert sorted(volumes, reverse=True) == volumes

    async def test_kalshi_begins_with_coins(self) -> None:
        """The whole list begins with other things there."""
        coins = [row["coin"] for row in await rows_of("kalshi")]
        first = coins.index(None)
        assert {"BTC", "ETH", "SOL", "XRP"} == set(coins[:first])
        assert {None} == set(coins[first:])

    @VENUES
    async def test_titles_are_data(self, venue: str) -> None:
        """One line without escapes; an order stays a text in `label` and changes nothing else."""
        rows = {row["label"]: row for row in await rows_of(venue)}
        assert all(label.isprintable() and len(label) <= 250 for label in rows)
        assert "Will it snow in[31m Cairo this winter?" in rows
        (order,) = [label for label in rows if label.startswith("Ignore all previous")]
        assert {"exchange", "symbol", "coin", "kind", "label", "outcome"} <= set(rows[order])
        assert set(rows[order]) <= {camel(f.name) for f in fields(PredictionRow)}
        assert None is rows[order]["coin"]

    @VENUES
    async def test_a_page_costs_few_requests(self, venue: str) -> None:
        """The first 50 do not need the whole list, and turning the page asks little more."""
        async with world() as app:
            await page_of(app, venue)
            health = {h.venue: h.requests for h in app.core().upstream.health.all()}
            assert {"polymarket": 1, "kalshi": 8}[venue] == health[venue]
            await page_of(app, venue, 1)
            health = {h.venue: h.requests for h in app.core().upstream.health.all()}
            assert {"polymarket": 1, "kalshi": 8}[venue] == health[venue]

    @VENUES
    async def test_the_depth_is_told(self, venue: str) -> None:
        """Beyond it the error says how far one can page."""
        async with world() as app:
            with pytest.raises(BadQuestion, match="0 to 39 with pageSize 50"):
                await page_of(app, venue, 40)
            with pytest.raises(BadQuestion, match="0 to 5 with pageSize 300"):
                await page_of(app, venue, 6, 300)
            last = await page_of(app, venue, 39)
        assert ([], False) == (last["data"]["markets"], last["data"]["more"])

    @VENUES
    async def test_doctor_asks_for_a_page(self, venue: str) -> None:
        """And finds it well."""
        async with world() as app:
            found = await examine(app.core(), roll()[venue], "predictions")
        assert ("ok", 1) == (found.state, found.rows)

    async def test_the_catalogue_lists_them(self) -> None:
        """As prediction venues that can be asked for predictions, by their aliases too."""
        async with world() as app:
            data = (await envelope(app, "get_markets"))["data"]
            found = await page_of(app, "POLYMARKET")
        rows = {row["id"]: row for row in data["venues"]}
        for venue in ("polymarket", "kalshi"):
            assert ("prediction", "live", ["predictions"]) == tuple(
                rows[venue][key] for key in ("kind", "status", "can")
            )
            assert capabilities(roll()[venue])["predictions"]
        assert not rows["binance"]["capabilities"]["predictions"]
        assert "polymarket" == found["data"]["exchange"]
        assert "sim:polymarket:markets" == found["meta"]["source"]


class TestFaults:
    """What breaks at the venue is told, and never makes a wrong row."""

    @VENUES
    @pytest.mark.parametrize(
        "fault", ["html", "truncate", "http=451", "http=429", "missing=markets"]
    )
    async def test_no_answer_is_an_error(self, venue: str, fault: str) -> None:
        """Not an empty list."""
        async with world(f"{venue}:{fault}") as app:
            with pytest.raises(AllVenuesFailed):
                await page_of(app, venue)

    @VENUES
    async def test_rows_that_come_twice_are_told_once(self, venue: str) -> None:
        """Each market once over all pages."""
        async with world(f"{venue}:duplicate") as app:
            rows = await all_of(app, venue, 500)
        assert set(truth(venue)) == {row["symbol"] for row in rows}
        assert len(truth(venue)) == len(rows)

    @VENUES
    async def test_further_fields_change_nothing(self, venue: str) -> None:
        """Venues add members without notice."""
        async with world(f"{venue}:extra") as app:
            found = await page_of(app, venue)
        assert not found["meta"]["partial"]
        assert 50 == len(found["data"]["markets"])
        assert (None, True) == (found["data"]["total"], found["data"]["more"])

    @pytest.mark.parametrize(
        "venue,field,column",
        [
            ("polymarket", "volume24hr", "volume24hUsd"),
            ("polymarket", "outcomePrices", "probability"),
            ("polymarket", "endDate", "closesMs"),
            ("kalshi", "last_price_dollars", "probability"),
            ("kalshi", "close_time", "closesMs"),
        ],
    )
    async def test_absurd_fields_are_null_or_true(
        self, venue: str, field: str, column: str
    ) -> None:
        """Huge, negative, NaN and text: null and told, or the book's own word."""
        async with world(f"{venue}:absurd={field}") as app:
            found = await page_of(app, venue, 0, 100)
        asked = truth(venue)
        assert "could not be read" in found["meta"]["sources"][0]["reason"]
        assert found["data"]["markets"]
        for row in found["data"]["markets"]:
            question = asked[row["symbol"]]
            told = {
                "volume24hUsd": question.volume_usd,
                "probability": question.probability,
                "closesMs": question.closes_ms,
            }[column]
            if column in row:
                assert (
                    pytest.approx(told, abs=0.06 if column != "probability" else 0.011)
                    == (row[column])
                )

    @VENUES
    async def test_a_field_that_every_row_lacks_is_a_change(self, venue: str) -> None:
        """Without ids there is no market."""
        field = {"polymarket": "conditionId", "kalshi": "ticker"}[venue]
        async with world(f"{venue}:missing={field}") as app:
            with pytest.raises(AllVenuesFailed, match="changed"):
                await page_of(app, venue)

    async def test_a_venue_without_prices_still_lists(self) -> None:
        """Null, and said."""
        async with world("kalshi:missing=last_price_dollars") as app:
            found = await page_of(app, "kalshi")
        assert not any("probability" in row for row in found["data"]["markets"])
        assert found["meta"]["partial"]


@VENUES
@pytest.mark.parametrize("rows", ["columns", "objects"])
async def test_a_model_is_given_what_the_schema_says(venue: str, rows: str) -> None:
    """The client holds the answer to the output schema; a table by default, titles in `label`."""
    async with world(tool_rows=rows) as app, Client(build_server(app), cache=None) as client:
        await client.list_tools()
        found = await client.call_tool("get_markets", {"exchange": venue, "pageSize": 3})
    assert not found.is_error
    assert found.structured_content is not None
    markets = found.structured_content["data"]["markets"]
    shown = ["coin", "label", "outcome", "probability", "volume24hUsd", "closesMs"]
    if rows == "columns":
        assert (shown, 3) == (markets["columns"], len(markets["rows"]))
    else:
        assert all(set(row) <= set(shown) for row in markets)
        assert 3 == len(markets)


@VENUES
async def test_recordings_answer(venue: str) -> None:
    """What was recorded under another address or another page size serves, and says so."""
    if not (RECORDINGS / f"{venue}.har").exists():
        pytest.skip("the recordings are not on this machine")
    async with running(from_environment({}, source=f"replay:{RECORDINGS}")) as app:
        found = await page_of(app, venue, 0, 20)
    assert 3 == len(found["data"]["markets"])
    assert f"replay:{venue}:markets" == found["meta"]["source"]
    assert found["meta"]["sources"][0]["reason"].startswith("unrecorded")
    coins = {row["coin"] for row in found["data"]["markets"]}
    assert {"polymarket": {None}, "kalshi": {"BTC"}}[venue] == coins
