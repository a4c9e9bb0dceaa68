"""get_spot: what the simulated market holds, through every venue's own wire."""

from collections import Counter
from typing import Any

import pytest
from worlds import MARKET, NOW, ask, envelope, world

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.core.fanout import gather
from mmflow_mcp.endpoints.spot import quotes_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.sim.wire import SimResponse
from mmflow_mcp.surfaces import questions
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import Trades

pytestmark = pytest.mark.anyio

FIVE = ("binance", "bitfinex", "coinbase", "gateio", "kraken")
ALL = (*FIVE, "bybit", "okx")
FIRST = {"coinbase": "USD", "kraken": "USD", "bitfinex": "USD"}


def main_listings(venue: str) -> dict[str, Listing]:
    """The live spot market of each coin in the venue's first dollar."""
    found = [i for i in MARKET.listings(venue, NOW) if i.kind == "spot" and i.status == "live"]
    quote = FIRST.get(venue, "USDT")
    return {i.coin: i for i in found if i.quote == quote and i.asset == "crypto"}


@pytest.mark.parametrize("venue", ALL)
async def test_prices_are_the_markets(venue: str) -> None:
    """Every coin of a venue: last trade, book, volume in coins and change in percent."""
    listed = main_listings(venue)
    async with world() as app:
        for chunk in (sorted(listed)[i : i + 20] for i in range(0, len(listed), 20)):
            answer = await ask(app, "get_spot", coins=list(chunk), venues=venue)
            assert [] == answer.meta["sources"]
            assert set(chunk) == {row.coin for row in answer.data.rows}
            for row in answer.data.rows:
                check_row(row, listed[row.coin])


def check_row(row: SpotRow, listing: Listing) -> None:
    """One row against the truth of its listing."""
    truth, many = MARKET.perp(listing, NOW), listing.multiplier
    assert (listing.symbol, listing.quote) == (row.symbol, row.quote)
    last = truth.last
    if listing.symbol == "1INCH-USD":
        # Its last trade is a quarter of an hour old and half a percent off.
        last = (truth.bid + truth.ask) / 2
    assert pytest.approx(last / many, rel=1e-12) == row.price
    assert pytest.approx((truth.bid / many, truth.ask / many), rel=1e-12) == (row.bid, row.ask)
    assert pytest.approx(truth.volume_coins, rel=1e-9) == row.volume24h
    before = truth.open_24h
    if row.venue == "kraken":
        before = MARKET.held(listing, (NOW - DAY_MS) // 300_000 * 300_000)[1]
    assert pytest.approx((last / before - 1) * 100, abs=0.006) == row.change24h_pct
    assert row.stale is None


async def test_without_arguments_three_coins_on_five_venues() -> None:
    """The reference set; coins in their order, venues by id inside a coin."""
    async with world() as app:
        answer = await ask(app, "get_spot")
    assert [(coin, venue) for coin in ("BTC", "ETH", "SOL") for venue in FIVE] == [
        (row.coin, row.venue) for row in answer.data.rows
    ]
    assert {
        "binance": "USDT",
        "bitfinex": "USD",
        "coinbase": "USD",
        "gateio": "USDT",
        "kraken": "USD",
    } == answer.meta["quotes"]
    source = "binance:ticker/24hr+bitfinex:tickers+coinbase:ticker+gateio:spot/tickers"
    assert f"sim:{source}+kraken:Ticker" == answer.meta["source"]


async def test_the_specifications_fields() -> None:
    """coin, venue, price, bid, ask, volume24h, change24hPct, fetchedAt, named as it names them."""
    async with world() as app:
        told = await envelope(app, "get_spot", coins="BTC", venues="coinbase")
    (row,) = told["data"]
    named = ["coin", "venue", "price", "bid", "ask", "volume24h", "change24hPct", "fetchedAt"]
    assert named == list(row)[:8]
    assert {"quote": "USD", "symbol": "BTC-USD"}.items() <= row.items()
    # Percent to two decimals; the price as the venue writes it.
    assert row["change24hPct"] == round(row["change24hPct"], 2)
    assert row["price"] == MARKET.perp(main_listings("coinbase")["BTC"], NOW).last


async def test_requests_are_few_and_repeated_questions_cost_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cold: a list and a ticker at binance and gateio, two at bitfinex, five at the others."""
    asked: list[str] = []
    reply = SimApp.reply

    def count(app: SimApp, method: str, host: str, *rest: Any) -> SimResponse:
        asked.append(next(v for v in FIVE if host in roll()[v].hosts))
        return reply(app, method, host, *rest)

    monkeypatch.setattr(SimApp, "reply", count)
    async with world() as app:
        await ask(app, "get_spot")
        expected = {"binance": 2, "bitfinex": 2, "coinbase": 5, "gateio": 2, "kraken": 5}
        assert expected == dict(Counter(asked))
        await ask(app, "get_spot")
        assert expected == dict(Counter(asked))


async def test_a_coin_that_a_venue_does_not_list_is_no_fault() -> None:
    """HYPE is at coinbase and not at kraken: meta says where it is not."""
    async with world() as app:
        answer = await ask(app, "get_spot", coins="HYPE", venues="coinbase,kraken")
    assert ["coinbase"] == [row.venue for row in answer.data.rows]
    assert ({"HYPE": ["kraken"]}, False) == (answer.meta["notListed"], answer.meta["partial"])


async def test_a_coin_that_nobody_lists_is_the_callers_mistake() -> None:
    """Named, with coins that are near; the default coins are nobody's mistake."""
    async with world() as app:
        with pytest.raises(BadQuestion, match=r"PEPEE.*Nearest: PEPE"):
            await ask(app, "get_spot", coins="PEPEE")
        # Delisted everywhere.
        with pytest.raises(BadQuestion, match="FTM"):
            await ask(app, "get_spot", coins="FTM", venues=",".join(ALL))


@pytest.mark.parametrize("coins", ["", [], None])
async def test_nothing_given_is_the_default(coins: object) -> None:
    """An empty list asks for the default coins."""
    query = questions.understand("get_spot", {"coins": coins}).query
    assert query.coins is None


def test_more_than_twenty_coins_are_too_many() -> None:
    """The specification's bound; twenty fit."""
    twenty = [f"AB{i}" for i in range(20)]
    assert 20 == len(questions.understand("get_spot", {"coins": twenty}).query.coins)
    with pytest.raises(BadQuestion, match=r"21 coins are too many here.*up to 20"):
        questions.understand("get_spot", {"coins": [*twenty, "XYZ"]})


async def test_a_venue_without_spot_is_named() -> None:
    """And those that have it."""
    async with world() as app:
        with pytest.raises(BadQuestion, match=r"deribit.* cannot answer this.*coinbase"):
            await ask(app, "get_spot", venues="deribit")


@pytest.mark.parametrize(
    ("fault", "venue"),
    [
        ("coinbase:http=503", "coinbase"),
        ("kraken:http=429,retry_after=30", "kraken"),
        ("bitfinex:html", "bitfinex"),
        ("gateio:truncate", "gateio"),
        ("binance:refused", "binance"),
        ("binance:absurd=lastPrice", "binance"),
        ("coinbase:missing=price", "coinbase"),
        ("gateio:missing=last", "gateio"),
    ],
)
async def test_one_venue_down_leaves_the_others(fault: str, venue: str) -> None:
    """Its rows are missing, with the reason; nothing is made up."""
    async with world(fault) as app:
        answer = await ask(app, "get_spot", coins="BTC")
    assert set(FIVE) - {venue} == {row.venue for row in answer.data.rows}
    assert answer.meta["partial"]
    assert [venue] == [note["source"] for note in answer.meta["sources"]]


@pytest.mark.parametrize("fault", ["*:duplicate", "*:extra", "*:drop=0"])
async def test_harmless_faults_harm_nothing(fault: str) -> None:
    """Rows told twice and fields nobody knows."""
    async with world() as app:
        good = await ask(app, "get_spot")
    async with world(fault) as app:
        bent = await ask(app, "get_spot")
    assert list(good.data.rows) == list(bent.data.rows)


async def test_a_row_budget_keeps_the_largest_turnover() -> None:
    """Two rows of fifteen: binance trades most in the simulated market."""
    async with world() as app:
        asked = questions.understand("get_spot", {"limit": 2})
        told = questions.result(asked, await questions.answer(app.core(), asked), "columns")
    columns = told["data"]["columns"]
    assert ["coin", "venue", "price", "bid", "ask", "volume24h", "change24hPct"] == columns
    assert [["BTC", "binance"], ["ETH", "binance"]] == [row[:2] for row in told["data"]["rows"]]
    assert (15, True) == (told["meta"]["total"], told["meta"]["truncated"])


async def test_the_tape_is_the_markets() -> None:
    """Five minutes of coinbase: every print once, the taker's side, newest first."""
    listing = main_listings("coinbase")["BTC"]
    truth = list_prints(MARKET, listing, NOW - 300_001, NOW)[::-1]
    async with world() as app:
        options = {"since_ms": NOW - 300_000}
        found = await gather(app.core(), Trades, [roll()["coinbase"]], ("BTC",), options=options)
    assert [] == found.notes
    assert [(p.at_ms, p.price, "buy" if p.buy else "sell", str(p.number)) for p in truth] == [
        (p.ts, p.price, p.side, p.trade_id) for p in found.rows
    ]
    expected = sum(p.price * p.size * (1 if p.buy else -1) for p in truth)
    told = sum(p.price * p.size * (1 if p.side == "buy" else -1) for p in found.rows)
    assert pytest.approx(expected, rel=1e-6) == told


async def test_a_tape_behind_a_fault_is_no_short_tape() -> None:
    """One unreadable page: an error, not a smaller sum."""
    async with world("coinbase/trades:truncate") as app:
        with pytest.raises(Exception, match="changed"):
            await gather(app.core(), Trades, [roll()["coinbase"]], ("BTC",))


def test_quotes_are_told_by_market_where_a_venue_has_several() -> None:
    """A dollar is not a tether."""

    def row(coin: str, venue: str, quote: str) -> SpotRow:
        return SpotRow(coin, venue, 1.0, None, None, None, None, NOW, quote, coin)

    rows = [row("BTC", "okx", "USDT"), row("OKB", "okx", "USDC"), row("BTC", "kraken", "USD")]
    assert {"okx": {"BTC": "USDT", "OKB": "USDC"}, "kraken": "USD"} == quotes_of(rows)


async def test_a_budget_ranks_won_and_dollars_alike() -> None:
    """A won is a fourteen-hundredth of a dollar: no Korean market is the largest for that."""
    async with world() as app:
        every = (await ask(app, "get_spot", coins="BTC,ETH,DOGE", venues="all")).data
        sizes = {(r.coin, r.venue): every.matters(r) for r in every.rows}
        dollars = {
            (r.coin, r.venue): MARKET.price(r.coin, NOW) * (r.volume24h or 0.0) for r in every.rows
        }
    assert {"KRW", "USD", "USDT"} == {row.quote for row in every.rows}
    for pair, size in sizes.items():
        assert pytest.approx(dollars[pair], rel=0.1) == size
