"""get_venue_spreads and get_kimchi over the simulated world, whole and broken."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from wires import RECORDINGS
from worlds import MARKET, NOW, ask, counted, envelope, world

from mmflow_mcp.app import App, running
from mmflow_mcp.core.readings import REFERENCE_SET
from mmflow_mcp.endpoints.flows import CoinSpread
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim import korea
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.tables import for_people

pytestmark = pytest.mark.anyio

ORDER = {
    **dict.fromkeys(("coinbase", "kraken", "bitfinex"), ("USD", "USDT")),
    **dict.fromkeys(("binance", "gateio"), ("USDT", "USDC")),
}


def last(venue: str, coin: str) -> float:
    """What a reference venue's main dollar market traded at last."""
    listed = [
        item
        for item in MARKET.listings(venue, NOW)
        if (item.kind, item.coin, item.asset, item.status) == ("spot", coin, "crypto", "live")
    ]
    main = min(listed, key=lambda item: ORDER[venue].index(item.quote))
    return MARKET.perp(main, NOW).last


@pytest.fixture
async def app() -> AsyncIterator[App]:
    """The simulated world."""
    async with world() as running_app:
        yield running_app


def all_spot(fault: str) -> list[str]:
    """A fault at every venue of the reference set."""
    return [f"{venue}:{fault}" for venue in REFERENCE_SET]


class TestSpreads:
    """Venue price pressure."""

    async def test_median_and_bases_are_the_markets(self, app: App) -> None:
        """Every venue's last trade against the middle one of five."""
        answer = await ask(app, "get_venue_spreads")
        assert ["BTC", "ETH", "SOL"] == [one.coin for one in answer.data]
        for one in answer.data:
            prices = {venue: last(venue, one.coin) for venue in REFERENCE_SET}
            middle = median(prices.values())
            assert pytest.approx(middle, rel=1e-12) == one.global_median_usd
            assert list(REFERENCE_SET) == [row.venue for row in one.rows.rows]
            bases = {row.venue: row.basis_bps for row in one.rows.rows}
            for venue, price in prices.items():
                assert pytest.approx((price / middle - 1) * 1e4, abs=1e-9) == bases[venue]
            assert max(bases, key=lambda v: bases[v]) == one.strongest_premium_venue
            assert min(bases, key=lambda v: bases[v]) == one.strongest_discount_venue
            spread = max(bases.values()) - min(bases.values())
            assert pytest.approx(spread, abs=1e-9) == one.dispersion_bps

    async def test_the_answer_names_what_each_venue_quotes_in(self, app: App) -> None:
        """As quoted, a USDT is no dollar; where all was converted there is nothing to name."""
        told = await ask(app, "get_venue_spreads", coins="BTC")
        assert ("USDT", "USD") == (told.meta["quotes"]["binance"], told.meta["quotes"]["coinbase"])
        converted = await ask(app, "get_venue_spreads", coins="BTC", quote="usd")
        assert "quotes" not in converted.meta

    async def test_the_envelope_is_the_specifications(self, app: App) -> None:
        """A list by coin; names, types and the form of the source."""
        told = await envelope(app, "get_venue_spreads", coins="BTC")
        (one,) = told["data"]
        specified = ["coin", "globalMedianUsd", "rows", "strongestPremiumVenue"]
        assert [*specified, "strongestDiscountVenue", "dispersionBps", "fetchedAt"] == list(one)
        row = one["rows"][0]
        numbers = ("priceUsd", "basisBps", "bid", "ask", "volume24h", "change24hPct", "fetchedAt")
        assert all(isinstance(row[name], (int, float)) for name in numbers)
        assert ("coinbase", False) == (row["venue"], row["stale"])
        expected = "sim:flows:venue-spreads:coinbase+binance+bitfinex+kraken+gateio"
        assert (expected, False, []) == (
            told["meta"]["source"],
            told["meta"]["partial"],
            told["meta"]["sources"],
        )

    async def test_a_venue_that_is_down_is_left_out_and_told(self) -> None:
        """The median of four is the mean of the middle two."""
        async with world("coinbase:http=503") as app:
            answer = await ask(app, "get_venue_spreads", coins="BTC")
        (one,) = answer.data
        prices = [last(venue, "BTC") for venue in REFERENCE_SET if venue != "coinbase"]
        assert pytest.approx(median(prices), rel=1e-12) == one.global_median_usd
        assert answer.meta["partial"]
        assert ["coinbase"] == [note["source"] for note in answer.meta["sources"]]
        assert "sim:flows:venue-spreads:binance+bitfinex+kraken+gateio" == answer.meta["source"]

    async def test_one_venue_alone_has_no_median(self) -> None:
        """Null bases, a price, and partial."""
        faults = [f"{venue}:html" for venue in REFERENCE_SET if venue != "kraken"]
        async with world(*faults) as app:
            answer = await ask(app, "get_venue_spreads", coins="BTC")
        (one,) = answer.data
        assert (None, None, None) == (
            one.global_median_usd,
            one.strongest_premium_venue,
            one.dispersion_bps,
        )
        assert [("kraken", None)] == [(row.venue, row.basis_bps) for row in one.rows.rows]
        assert answer.meta["partial"]

    async def test_all_down_is_an_error(self) -> None:
        """Which names every one of them."""
        async with world(*all_spot("http=503")) as app:
            with pytest.raises(AllVenuesFailed) as failed:
                await ask(app, "get_venue_spreads")
        assert set(REFERENCE_SET) == {note["source"] for note in failed.value.sources}
        assert failed.value.meta["source"].startswith("sim:flows:venue-spreads:coinbase+")

    async def test_an_unlisted_coin_is_told_or_refused(self, app: App) -> None:
        """On some venues it is told, on none it is refused."""
        answer = await ask(app, "get_venue_spreads", coins="USDT")
        assert {"USDT": ["binance", "gateio"]} == answer.meta["notListed"]
        assert not answer.meta["partial"]
        with pytest.raises(BadQuestion, match="'NOSUCH' is listed by none"):
            await ask(app, "get_venue_spreads", coins="BTC,NOSUCH")

    async def test_too_many_coins_are_refused(self, app: App) -> None:
        """Up to twenty."""
        with pytest.raises(BadQuestion, match="up to 20"):
            await ask(app, "get_venue_spreads", coins=[f"C{n}A" for n in range(21)])

    async def test_tethers_become_dollars_on_request(self, app: App) -> None:
        """Kraken's USDT-USD; venues in USD keep their prices."""
        plain = (await ask(app, "get_venue_spreads", coins="BTC")).data[0]
        usd = (await ask(app, "get_venue_spreads", coins="BTC", quote="usd")).data[0]
        rate = next(i for i in MARKET.listings("kraken", NOW) if i.symbol == "USDTZUSD")
        state = MARKET.perp(rate, NOW)
        factor = (state.bid + state.ask) / 2
        for before, after in zip(plain.rows.rows, usd.rows.rows, strict=True):
            times = factor if before.quote == "USDT" else 1.0
            assert pytest.approx(before.price_usd * times, rel=1e-12) == after.price_usd
        prices = [row.price_usd for row in usd.rows.rows]
        assert pytest.approx(median(prices), rel=1e-12) == usd.global_median_usd

    async def test_without_the_price_of_usdt_those_venues_are_left_out(self) -> None:
        """Rather than taken for dollars."""
        async with world("kraken:http=503") as app:
            answer = await ask(app, "get_venue_spreads", coins="BTC", quote="usd")
        (one,) = answer.data
        assert ["coinbase", "bitfinex"] == [row.venue for row in one.rows.rows]
        assert answer.meta["partial"]

    async def test_a_budget_keeps_the_widest(self, app: App) -> None:
        """Over all coins together, and says what is left."""
        asked = questions.understand("get_venue_spreads", {"limit": 3})
        found = await questions.answer(app.core(), asked)
        told = questions.result(asked, found, "columns")
        assert (15, True) == (told["meta"]["total"], told["meta"]["truncated"])
        assert 3 == sum(len(one["rows"]["rows"]) for one in told["data"])
        assert ["BTC", "ETH", "SOL"] == [one["coin"] for one in told["data"]]

    async def test_people_read_a_table_a_coin(self, app: App) -> None:
        """With its median above it."""
        asked = questions.understand("get_venue_spreads", {"coins": "BTC,ETH"})
        page = for_people(asked, await questions.answer(app.core(), asked))
        assert 2 == page.count("globalMedianUsd")
        assert 2 == page.count("basisBps")

    async def test_a_switched_off_venue_is_missing(self) -> None:
        """The set is fixed."""
        async with world(venues_off="gateio") as app:
            answer = await ask(app, "get_venue_spreads", coins="BTC")
        one: CoinSpread = answer.data[0]
        assert 4 == len(one.rows.rows)
        assert [("gateio", "missing")] == [
            (note["source"], note["status"]) for note in answer.meta["sources"]
        ]
        assert answer.meta["partial"]


class TestKimchi:
    """The Korean premium."""

    @pytest.mark.parametrize("venue", ["upbit", "bithumb"])
    @pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "PEPE"])
    async def test_it_is_the_markets(self, app: App, venue: str, coin: str) -> None:
        """Won, rate and median are the truth's, and so are the premium and its legs."""
        data = (await ask(app, "get_kimchi", coin=coin, venue=venue)).data
        local = korea.won(MARKET, venue, coin, NOW)
        usdt = korea.won(MARKET, venue, "USDT", NOW)
        day, rate = korea.fixing(MARKET, NOW)
        prices = [last(v, coin) for v in REFERENCE_SET if v in (data.global_venues or ())]
        middle = median(prices)
        assert (local.price, usdt.price, rate) == (
            data.local_price_krw,
            data.krw_usdt,
            data.usd_krw,
        )
        assert (day.isoformat(), local.traded_ms) == (data.fx_date, data.local_time)
        assert pytest.approx(middle, rel=1e-12) == data.global_median_usd
        premium = local.price / rate / middle - 1
        assert pytest.approx(premium * 100, rel=1e-9) == data.premium_pct
        assert pytest.approx(premium * 1e4, rel=1e-9) == data.premium_bps
        over = local.price / usdt.price / middle - 1
        assert pytest.approx(over * 100, abs=1e-9) == data.premium_over_usdt_pct
        # What Koreans really pay above: the venues' noise and won's ticks are the difference.
        real = korea.coin_premium(MARKET, venue, coin, local.traded_ms) * 100
        assert pytest.approx(real, abs=0.15) == data.premium_over_usdt_pct

    async def test_the_envelope_is_the_specifications(self, app: App) -> None:
        """Names in order, null where the order book is not read, the form of the source."""
        told = await envelope(app, "get_kimchi")
        assert [
            *("coin", "region", "localVenue", "localPair", "localPriceKrw", "usdKrw"),
            *("localPriceUsd", "globalMedianUsd", "premiumPct", "premiumBps"),
            *("bidAskPressure", "interpretation", "fetchedAt"),
        ] == list(told["data"])[:13]
        assert ("BTC", "KR", "upbit", "KRW-BTC", None) == (
            told["data"]["coin"],
            told["data"]["region"],
            told["data"]["localVenue"],
            told["data"]["localPair"],
            told["data"]["bidAskPressure"],
        )
        assert ("sim:flows:kimchi:upbit+frankfurter", False, []) == (
            told["meta"]["source"],
            told["meta"]["partial"],
            told["meta"]["sources"],
        )

    async def test_a_weekend_carries_fridays_rate(self) -> None:
        """On a Sunday it is told with its date and is not stale."""
        sunday = datetime.fromtimestamp(NOW / 1000, UTC)
        sunday += timedelta(days=6 - sunday.weekday())
        moment = round(sunday.timestamp() * 1000)
        async with world(now=str(moment)) as app:
            data = (await ask(app, "get_kimchi")).data
        friday = (sunday - timedelta(days=2)).date().isoformat()
        assert (friday, "carried", False) == (data.fx_date, data.fx_state, data.fx_stale)

    async def test_without_a_rate_usdt_stands_in(self) -> None:
        """Labelled, partial, and net of USDT's own premium."""
        async with world("frankfurter:http=503") as app:
            answer = await ask(app, "get_kimchi")
        data = answer.data
        usdt = korea.won(MARKET, "upbit", "USDT", NOW).price
        assert (usdt, "upbit:KRW-USDT", None, True) == (
            data.usd_krw,
            data.fx_source,
            data.fx_date,
            data.fx_stale,
        )
        assert data.premium_pct is not None
        assert answer.meta["partial"]
        assert "sim:flows:kimchi:upbit" == answer.meta["source"]
        assert ["frankfurter", "flows:kimchi"] == [n["source"] for n in answer.meta["sources"]]
        assert "net of USDT's own" in answer.meta["sources"][1]["reason"]

    async def test_a_summary_says_so_too(self) -> None:
        """Its premium has no fxSource beside it; one word for all coins."""
        async with world("frankfurter:http=503") as app:
            answer = await ask(app, "get_flow_summary")
        said = [n for n in answer.meta["sources"] if n["source"] == "flows:kimchi"]
        assert ["missing"] == [n["status"] for n in said]
        assert "upbit:KRW-USDT stands in: the premium is net of USDT's own" in said[0]["reason"]

    async def test_the_open_endpoint_stands_in_and_is_named(self) -> None:
        """While both versions of Frankfurter fail."""
        faults = ("frankfurter/v1/latest:html", "frankfurter/v2:truncate")
        async with world(*faults) as app:
            answer = await ask(app, "get_kimchi")
        assert "er-api" == answer.data.fx_source
        assert "sim:flows:kimchi:upbit+er-api" == answer.meta["source"]
        assert answer.meta["partial"]

    async def test_without_korea_the_rest_is_told(self) -> None:
        """A null part, and partial."""
        async with world("upbit:html") as app:
            answer = await ask(app, "get_kimchi")
        data = answer.data
        assert (None, None, "unavailable") == (
            data.local_price_krw,
            data.premium_pct,
            data.interpretation,
        )
        assert data.global_median_usd is not None
        assert data.usd_krw is not None
        assert answer.meta["partial"]

    async def test_without_the_world_there_is_no_premium(self) -> None:
        """The price in won is told."""
        async with world(*all_spot("http=503")) as app:
            answer = await ask(app, "get_kimchi")
        data = answer.data
        assert (None, None, "unavailable") == (
            data.global_median_usd,
            data.premium_pct,
            data.interpretation,
        )
        assert data.local_price_krw is not None
        assert data.local_price_usd is not None
        assert answer.meta["partial"]

    async def test_without_any_price_it_is_an_error(self) -> None:
        """A rate alone is no answer."""
        async with world("upbit:http=503", *all_spot("http=503")) as app:
            with pytest.raises(AllVenuesFailed):
                await ask(app, "get_kimchi")

    @pytest.mark.parametrize(
        "fault",
        ["absurd=trade_price", "missing=trade_price", "truncate", "html", "http=451", "drop=1.0"],
    )
    async def test_a_broken_source_makes_no_number(self, fault: str) -> None:
        """No premium, and a reason."""
        async with world(f"upbit:{fault}") as app:
            answer = await ask(app, "get_kimchi")
        assert (None, "unavailable") == (answer.data.premium_pct, answer.data.interpretation)
        assert answer.meta["partial"]
        assert answer.meta["sources"]

    @pytest.mark.parametrize("fault", ["duplicate", "extra"])
    async def test_more_than_needed_changes_nothing(self, fault: str) -> None:
        """Rows twice, and fields that nobody knows."""
        async with world() as app:
            expected = (await ask(app, "get_kimchi")).data
        async with world(*(f"{v}:{fault}" for v in ("upbit", "frankfurter"))) as app:
            answer = await ask(app, "get_kimchi")
        assert (expected.premium_pct, False) == (answer.data.premium_pct, answer.meta["partial"])

    async def test_an_unlisted_coin_is_told_or_refused(self, app: App) -> None:
        """LTC is not listed in Korea; what nobody lists is refused."""
        answer = await ask(app, "get_kimchi", coin="LTC")
        assert "upbit" in answer.meta["notListed"]["LTC"]
        assert (None, "unavailable") == (answer.data.local_price_krw, answer.data.interpretation)
        with pytest.raises(BadQuestion, match=r"^coin: 'NOSUCH'"):
            await ask(app, "get_kimchi", coin="NOSUCH")

    async def test_a_quiet_market_is_stale(self, app: App) -> None:
        """MOVE was traded ten minutes ago."""
        data = (await ask(app, "get_kimchi", coin="MOVE")).data
        assert data.stale

    async def test_recordings_of_different_years_make_no_premium(self) -> None:
        """Both prices and their times, null and partial: not -90 %."""
        if not RECORDINGS.exists():
            pytest.skip("the recordings are not on this machine")
        given = from_environment({}, source=f"replay:{RECORDINGS}")
        async with running(given) as app:
            answer = await ask(app, "get_kimchi")
        assert 7_517_000.0 == answer.data.local_price_krw
        assert (None, "unavailable") == (answer.data.premium_pct, answer.data.interpretation)
        assert answer.meta["source"].startswith("replay:flows:kimchi:upbit")


async def test_each_payload_is_read_once() -> None:
    """Spreads and premiums of one moment share what they read."""
    async with counted() as (app, asked):
        await ask(app, "get_kimchi", coin="BTC")
        await ask(app, "get_kimchi", coin="BTC")
        await ask(app, "get_venue_spreads", coins="BTC")
        await ask(app, "get_kimchi", coin="ETH")
    assert {1} == set(asked.values())
    assert 1 == sum("api.upbit.com" in url for url in asked)
    assert 2 == sum("frankfurter" in url or "er-api" in url for url in asked)


@pytest.mark.parametrize(
    ("tool", "argument", "given", "read"),
    [
        ("get_kimchi", "venue", "UPBIT", "upbit"),
        ("get_kimchi", "venue", "bithumb_spot", "bithumb"),
        ("get_venue_spreads", "quote", " USD ", "usd"),
    ],
)
def test_names_are_read_in_any_case(tool: str, argument: str, given: str, read: str) -> None:
    """And venues by their aliases, as everywhere (CONTRACT 1)."""
    assert read == getattr(questions.understand(tool, {argument: given}).query, argument)


def test_a_venue_that_is_not_korean_is_refused() -> None:
    """With the two that are."""
    with pytest.raises(BadQuestion, match="upbit, bithumb"):
        questions.understand("get_kimchi", {"venue": "binance"})
