"""BitMEX: closed, read from recordings; inverse, linear and quanto perpetuals."""

import copy
import json
from typing import Any

import pytest
from wires import RECORDINGS, _entries, asking, recorded, sample

from mmflow_mcp.errors import VenueBlocked, VenueChanged, VenueRejected
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bitmex import (
    INSTRUMENTS,
    Bitmex,
    parse_funding,
    parse_markets,
    parse_open_interest,
)
from mmflow_mcp.venues.bitmex_moments import read_hours, read_moment

VENUE = Bitmex()
READ_AT = 1_789_412_345_678


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def instruments(change: dict[str, dict[str, Any]] | None = None) -> Wire:
    """The sample; `change`: symbol -> what is written over its row."""
    wire = sample("bitmex", INSTRUMENTS)
    doc = copy.deepcopy(wire.doc)
    for row in doc:
        row.update((change or {}).get(row["symbol"], {}))
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


def without(symbol: str) -> Wire:
    """The sample without one instrument."""
    wire = instruments()
    wire.doc[:] = [row for row in wire.doc if row["symbol"] != symbol]
    return wire


class TestOpenInterest:
    """By the currency of settlement."""

    def test_inverse_linear_and_foreign_perpetuals_add(self) -> None:
        """BTC: XBTUSD in USD, XBTUSDT in micro-USDT, XBTEUR by its value in BTC."""
        rows, silent, bad = parse_open_interest(instruments())
        assert ({}, 0) == (silent, bad)
        row = rows["BTC"]
        # 350,000,000 + 643,205,000,000 / 1e6 + 17 BTC x 64,320.5 = ... + 643,205 + 1,093,448.5
        assert pytest.approx(351_736_653.5) == row.oi_usd
        # 544,150,000,000 / 1e8 + 10,000,000 / 1,000,000 + 1,700,000,000 / 1e8 = 5,441.5 + 10 + 17
        assert pytest.approx(5468.5) == row.oi_coins
        assert ("XBTEUR", "XBTUSD", "XBTUSDT") == row.symbols
        assert (0.0, READ_AT) == (row.oi_contracts, row.fetched_at)

    def test_quanto_is_valued_with_the_price_of_btc(self) -> None:
        """METHODS 2: 120,000 x 1e-6 BTC x 3,150 = 378 BTC = 24,313,149 USD = 7,718.46 ETH."""
        rows, _, _ = parse_open_interest(without("ETHUSDT"))
        assert pytest.approx(24_313_149.0) == rows["ETH"].oi_usd
        assert pytest.approx(7718.46) == rows["ETH"].oi_coins

    def test_linear_contracts_become_coins(self) -> None:
        """ETHUSDT: 157,500 USD and 500,000 / 10,000 = 50 ETH beside the quanto's."""
        rows, _, _ = parse_open_interest(instruments())
        assert pytest.approx(24_313_149.0 + 157_500.0) == rows["ETH"].oi_usd
        assert pytest.approx(7768.46) == rows["ETH"].oi_coins

    def test_a_contract_may_be_many_coins(self) -> None:
        """PEPEUSDT: 2,000,000 contracts / 0.1 = 20,000,000 PEPE, 200 USDT."""
        row = parse_open_interest(instruments())[0]["PEPE"]
        assert pytest.approx(20_000_000.0) == row.oi_coins
        assert pytest.approx(200.0) == row.oi_usd

    def test_only_open_crypto_perpetuals_count(self) -> None:
        """Dated, spot, index, settled, and a stock with a coin's ticker are left out."""
        assert ["BTC", "ETH", "PEPE"] == list(parse_open_interest(instruments())[0])

    def test_without_the_price_of_btc_what_settles_in_it_is_not_counted(self) -> None:
        """XBTUSD itself is in USD; XBTEUR and ETHUSD cannot be valued."""
        rows, silent, bad = parse_open_interest(instruments({"XBTUSD": {"markPrice": None}}))
        assert 2 == bad
        assert {"BTC": ("XBTEUR",), "ETH": ("ETHUSD",)} == silent
        assert pytest.approx(350_643_205.0) == rows["BTC"].oi_usd
        assert ("ETHUSD",) == rows["ETH"].not_counted
        assert pytest.approx(157_500.0) == rows["ETH"].oi_usd

    @pytest.mark.parametrize(
        "change",
        [
            {"openInterest": None},
            {"openValue": ""},
            {"openInterest": -1},
            {"openValue": "x"},
            {"settlCurrency": "Gwei"},
            {"openInterest": 1e13},
        ],
    )
    def test_what_cannot_be_read_is_named(self, change: dict[str, Any]) -> None:
        """The sum of BTC is short by XBTUSD and says so."""
        rows, silent, bad = parse_open_interest(instruments({"XBTUSD": change}))
        assert ({"BTC": ("XBTUSD",)}, 1) == (silent, bad)
        assert ("XBTUSD",) == rows["BTC"].not_counted
        assert pytest.approx(1_736_653.5) == rows["BTC"].oi_usd

    def test_unknown_coins_are_none(self) -> None:
        """The value in USD stands without the quantity."""
        change = {"PEPEUSDT": {"underlyingToPositionMultiplier": None}}
        row = parse_open_interest(instruments(change))[0]["PEPE"]
        assert (200.0, None) == (row.oi_usd, row.oi_coins)

    def test_a_duplicated_row_counts_once(self) -> None:
        """The same symbol twice is one contract."""
        wire = instruments()
        wire.doc.append(dict(wire.doc[2]))
        assert pytest.approx(351_736_653.5) == parse_open_interest(wire)[0]["BTC"].oi_usd

    def test_another_shape_is_a_change(self) -> None:
        """An object where the list belongs is an error."""
        with pytest.raises(VenueChanged):
            parse_open_interest(Wire({"instruments": []}, fetched_at=1, read=0.0, size=0))

    def test_recorded(self) -> None:
        """2019-12-18, largest body: three inverse BTC perpetuals, a quanto and an ETHXBT."""
        rows, silent, bad = parse_open_interest(recorded("bitmex", INSTRUMENTS))
        assert ({}, 0) == (silent, bad)
        btc, eth = rows["BTC"], rows["ETH"]
        assert ("XBTJPY", "XBTKRW", "XBTUSD") == btc.symbols
        # Values in BTC: 16.403231 (JPY), 707.33565193 (KRW), 10,373.69842950 (USD).
        assert pytest.approx(16.403231 + 707.33565193 + 10_373.6984295) == btc.oi_coins
        # 69,042,918 USD, and the won and yen ones at XBTUSD's mark.
        assert pytest.approx(69_042_918 + (16.403231 + 707.33565193) * 6655.36) == btc.oi_usd
        # ETHUSD 333.2805633 BTC and ETHXBT 338.2082 BTC.
        assert pytest.approx((333.2805633 + 338.2082) * 6655.36) == eth.oi_usd
        # ETHUSD at 124.38 USD, and 18,086 contracts of one ETH.
        assert pytest.approx(333.2805633 * 6655.36 / 124.38 + 18_086) == eth.oi_coins
        assert ["BTC", "ETH"] == list(rows)


class TestFunding:
    """Fixed for the next settlement."""

    def test_the_rate_is_fixed_for_the_next_settlement(self) -> None:
        """0.00011 per 8 h = 12.045 % a year; indicativeFundingRate is the one after it."""
        rows, silent, bad = parse_funding(instruments())
        assert ({}, 0) == (silent, bad)
        row = rows["BTC"]
        assert (0.00011, 8.0, "fixed", 64_320.5) == (
            row.rate,
            row.period_hours,
            row.kind,
            row.mark_price,
        )
        assert pytest.approx(0.00011 * 1095 * 100) == row.apr
        # 2026-09-14T20:00:00Z
        assert (1_789_416_000_000, READ_AT) == (row.next_funding_time, row.fetched_at)

    def test_what_settles_in_btc_comes_first(self) -> None:
        """XBTUSD before XBTUSDT, the quanto ETHUSD before ETHUSDT; PEPE has a linear one."""
        rows, _, _ = parse_funding(instruments())
        assert ["XBTUSD", "ETHUSD", "PEPEUSDT"] == [row.symbol for row in rows.values()]
        assert -0.0003 == rows["ETH"].rate

    def test_other_money_than_dollars_never_speaks_for_a_coin(self) -> None:
        """XBTEUR is inverse too and stands before XBTUSD by name; its mark is in euros."""
        rows, _, _ = parse_funding(without("XBTUSD"))
        assert "XBTUSDT" == rows["BTC"].symbol

    def test_the_period_is_the_symbols_own(self) -> None:
        """ETHUSDT is charged every 4 hours."""
        row = parse_funding(without("ETHUSD"))[0]["ETH"]
        assert (4.0, "ETHUSDT") == (row.period_hours, row.symbol)
        assert pytest.approx(0.0001 * 2190 * 100) == row.apr

    @pytest.mark.parametrize(
        "change",
        [
            {"fundingRate": None},
            {"fundingRate": 4},
            {"fundingInterval": None},
            {"fundingInterval": "8h"},
            {"fundingInterval": "2000-01-01T00:00:00.000Z"},
            {"fundingTimestamp": "soon"},
        ],
    )
    def test_what_cannot_be_read_is_no_row(self, change: dict[str, Any]) -> None:
        """PEPE has one perpetual: without its rate or period there is nothing to tell."""
        rows, silent, bad = parse_funding(instruments({"PEPEUSDT": change}))
        assert "PEPE" not in rows
        assert ({"PEPE": ("PEPEUSDT",)}, 1) == (silent, bad)

    @pytest.mark.parametrize(
        ("text", "hours"),
        [
            ("2000-01-01T08:00:00.000Z", 8.0),
            ("2000-01-01T00:30:00.000Z", 0.5),
            ("2000-01-02T00:00:00.000Z", 24.0),
        ],
    )
    def test_a_length_is_written_as_a_moment(self, text: str, hours: float) -> None:
        """The time since 2000-01-01T00:00Z, days included."""
        assert hours == read_hours(text)

    def test_moments_are_utc(self) -> None:
        """ISO with Z; a text without a zone is refused rather than guessed."""
        assert 1_576_641_600_000 == read_moment("2019-12-18T04:00:00.000Z")
        with pytest.raises(ValueError, match="UTC"):
            read_moment("2019-12-18T04:00:00")

    def test_recorded(self) -> None:
        """2019-12-18: XBTUSD 0.0025 at 6,655.36, ETHUSD 0.0001 at 124.38, both at 04:00."""
        rows, silent, bad = parse_funding(recorded("bitmex", INSTRUMENTS))
        assert ({}, 0, ["BTC", "ETH"]) == (silent, bad, list(rows))
        assert ("XBTUSD", 0.0025, 8.0, 6655.36, 1_576_641_600_000) == (
            rows["BTC"].symbol,
            rows["BTC"].rate,
            rows["BTC"].period_hours,
            rows["BTC"].mark_price,
            rows["BTC"].next_funding_time,
        )
        assert ("ETHUSD", 0.0001, 124.38) == (
            rows["ETH"].symbol,
            rows["ETH"].rate,
            rows["ETH"].mark_price,
        )


class TestAsking:
    """One request for everything."""

    @pytest.mark.anyio
    async def test_every_question_is_one_request(self) -> None:
        """And all of them share it."""
        ask = asking("bitmex", "ETH", "BTC", "DOGE")
        assert ["ETH", "BTC"] == [row.coin for row in await VENUE.open_interest(ask)]
        assert ["ETH", "BTC"] == [row.coin for row in await VENUE.funding(ask)]
        assert 9 == len(await VENUE.markets(ask))
        assert ([INSTRUMENTS.url], []) == (asked(ask), ask.shortfalls)
        assert set() == ask.unreadable

    @pytest.mark.anyio
    async def test_the_whole_universe(self) -> None:
        """Without coins every coin of the answer."""
        rows = await VENUE.open_interest(asking("bitmex"))
        assert ["BTC", "ETH", "PEPE"] == [row.coin for row in rows]

    @pytest.mark.anyio
    async def test_replay_answers(self) -> None:
        """Dated 2019, as its recording."""
        (row,) = await VENUE.funding(asking("bitmex", "BTC", real=True))
        assert 1_576_633_869_000 == row.fetched_at

    def test_every_recorded_body_parses(self) -> None:
        """2018 to 2024: nothing unreadable; in the one of 2024 there is spot only."""
        path = RECORDINGS / "bitmex.har"
        if not path.exists():
            pytest.skip("the recordings are not on this machine")
        seen = []
        for entry in _entries(path):
            if not entry["request"]["url"].endswith("/instrument/active"):
                continue
            doc = json.loads(entry["response"]["content"]["text"])
            wire = Wire(doc, fetched_at=1, read=0.0, size=0)
            rows, silent, bad = parse_open_interest(wire)
            # The one of 2024 is an excerpt.
            lost = {} if rows else {"BTC": ("XBTUSD",)}
            assert (lost, 0) == (silent, bad)
            assert (lost, 0) == parse_funding(wire)[1:]
            seen.append((entry["startedDateTime"][:4], sorted(rows), len(parse_markets(wire)[0])))
        assert [
            ("2018", ["BTC"], 14),
            ("2019", ["BTC", "ETH"], 21),
            ("2019", ["BTC", "ETH"], 24),
            ("2024", [], 5),
        ] == seen


class TestMarkets:
    """Discovery."""

    def test_what_can_be_traded_by_its_type(self) -> None:
        """The type decides; a stock has no coin, an index is no market."""
        rows, bad = parse_markets(instruments())
        kinds = {row.symbol: (row.kind, row.coin) for row in rows}
        assert 0 == bad
        assert ("future", "BTC") == kinds["XBTU26"]
        assert ("perp", None) == kinds["DASHUSDT"]
        assert ("spot", "BTC") == kinds["XBT_USDT"]
        assert ("perp", "ETH") == kinds["ETHUSD"]
        assert not {".BXBT", "SOLUSDT"} & set(kinds)


class TestRefusals:
    """{"error": {"message", "name"}}."""

    def test_its_errors_are_ours(self) -> None:
        """A refused place and a wrong request; the message is not repeated."""
        body = b'{"error":{"message":"Invalid symbol <b>","name":"HTTPError"}}'
        assert VenueBlocked is type(VENUE.refusal(403, body))
        error = VENUE.refusal(400, body)
        assert isinstance(error, VenueRejected)
        assert "rejected: HTTPError" == error.reason

    def test_the_rest_is_left_to_the_judge(self) -> None:
        """Answers, overload, and a 429 whose Retry-After must be read."""
        body = b'{"error":{"message":"Rate limit exceeded","name":"RateLimitError"}}'
        assert VENUE.refusal(429, body) is None
        assert VENUE.refusal(503, body) is None
        assert VENUE.refusal(200, b'[{"symbol":"XBTUSD"}]') is None


def test_it_is_closed_and_says_when() -> None:
    """The catalogue and the error of a live question give the date."""
    venue = roll()["bitmex"]
    assert ("closed", "2026-09-23", ("BTC", "ETH")) == (
        venue.status,
        venue.closed_on,
        venue.default_coins,
    )
