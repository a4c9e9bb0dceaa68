"""Kraken's perpetuals: money per hour made fractions, coins and dollars told apart."""

import json
from typing import Any

import pytest
from wires import RECORDINGS, asking, sample

from mmflow_mcp.errors import VenueChanged, VenueHttp, VenueRateLimited, VenueRejected, VenueTimeout
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.kraken import Kraken
from mmflow_mcp.venues.kraken_futures import (
    INSTRUMENTS,
    TICKERS,
    parse_funding,
    parse_open_interest,
    parse_perpetuals,
)

pytestmark = pytest.mark.anyio

VENUE = Kraken()
AT = 1_789_412_345_678
SEVEN_PM = 1_789_412_400_000


def open_rows() -> dict[str, OpenInterestRow]:
    """The open interest of our samples."""
    return sample("kraken", TICKERS).parsed(parse_open_interest, sample("kraken", INSTRUMENTS))[0]


def funding_rows() -> dict[str, FundingRow]:
    """The funding of our samples."""
    return sample("kraken", TICKERS).parsed(parse_funding, sample("kraken", INSTRUMENTS))[0]


def test_linear_and_inverse_are_summed() -> None:
    """2,000.5 BTC x 80,010 + 2,000,500 USD; 2,000.5 + 2,000,500 / 80,020 coins; none dated."""
    btc = open_rows()["BTC"]
    assert pytest.approx(2000.5 * 80010 + 2_000_500) == btc.oi_usd
    assert pytest.approx(2000.5 + 25.0) == btc.oi_coins
    assert ("PF_XBTUSD", "PI_XBTUSD") == btc.symbols
    assert (AT, None) == (btc.fetched_at, btc.not_counted)


def test_an_inverse_contract_is_a_dollar() -> None:
    """500,000 contracts of LTC at 100: 500,000 USD, 5,000 LTC."""
    ltc = open_rows()["LTC"]
    assert (500_000, 5_000) == (ltc.oi_usd, ltc.oi_coins)


def test_a_multiplier_counts_for_coins_alone() -> None:
    """5 million of 1000PEPE at 0.01: 50,000 USD and 5 billion coins."""
    pepe = open_rows()["PEPE"]
    assert pytest.approx((50_000, 5e9)) == (pepe.oi_usd, pepe.oi_coins)


def test_a_linear_rate_is_divided_by_the_index() -> None:
    """0.4 USD per coin and hour over 80,000 is 0.000005 an hour, 4.38 % a year."""
    btc = funding_rows()["BTC"]
    assert pytest.approx(0.000005) == btc.rate
    assert pytest.approx(4.38) == btc.apr
    assert (1, "fixed", "PF_XBTUSD") == (btc.period_hours, btc.kind, btc.symbol)
    assert (80010, SEVEN_PM) == (btc.mark_price, btc.next_funding_time)
    assert pytest.approx(-0.00001) == funding_rows()["ETH"].rate


def test_an_inverse_rate_is_multiplied_by_the_index() -> None:
    """-0.0000001 LTC per dollar and hour at 100 is -0.00001; dividing would give -0.000000001."""
    ltc = funding_rows()["LTC"]
    assert pytest.approx(-0.00001) == ltc.rate
    assert "PI_LTCUSD" == ltc.symbol


def test_the_venues_own_fraction_agrees() -> None:
    """A frame of 2023: -6.2604214e-11 at 21,984.54, relative -1.3803847e-6 at the hour's start."""
    row = {
        "symbol": "PI_XBTUSD",
        "tag": "perpetual",
        "pair": "XBT:USD",
        "markPrice": 21979.68641534714,
        "openInterest": 30072580.0,
        "fundingRate": -6.2604214e-11,
        "indexPrice": 21984.54,
        "suspended": False,
    }
    wire = Wire({"tickers": [row]}, fetched_at=AT, read=0.0, size=0)
    made = wire.parsed(parse_funding, NOTHING)[0]["BTC"]
    assert pytest.approx(-1.380384722222e-6, rel=0.004) == made.rate


def test_zero_is_a_rate() -> None:
    """DOGE is measured, and it is zero."""
    assert 0.0 == funding_rows()["DOGE"].rate


def test_what_is_no_coin_is_left_out() -> None:
    """Stocks, currencies, metals, dated contracts, pairs of coins, what no longer trades."""
    assert {"BTC", "ETH", "LTC", "DOGE", "PEPE", "ADA"} == set(open_rows())
    assert not {"AAPL", "AAPLX", "EUR", "XAU", "FTM", "NEW", "XRP"} & set(funding_rows())


def test_a_contract_that_cannot_be_read_is_not_counted() -> None:
    """ADA's linear contract is garbled: its inverse one stands, and the row says what it lacks."""
    ada = open_rows()["ADA"]
    assert (1000, ("PF_ADAUSD",)) == (ada.oi_usd, ada.not_counted)


async def test_gaps_are_said_to_who_asks() -> None:
    """A garbled contract and a suspended one; who asks for bitcoin is not bothered by name."""
    ask = asking("kraken", "ADA", "SOL")
    assert ["ADA"] == [row.coin for row in await VENUE.open_interest(ask)]
    assert "missing: no open interest of PF_ADAUSD" in ask.shortfalls
    assert "missing: no open interest of PF_SOLUSD" in ask.shortfalls
    assert "SOL" in ask.unreadable
    other = asking("kraken", "BTC")
    await VENUE.open_interest(other)
    assert ["changed: 1 row could not be read"] == other.shortfalls


async def test_one_request_and_a_list_a_day() -> None:
    """Both numbers from one answer."""
    ask = asking("kraken", "BTC", "ETH")
    await VENUE.funding(ask)
    await VENUE.open_interest(ask)
    urls = ask._upstream.asked  # type: ignore[attr-defined]
    assert sorted([TICKERS.url, INSTRUMENTS.url]) == sorted(urls)
    assert ["futures/tickers"] == ask.labels


async def test_without_the_list_well_known_coins_are_answered() -> None:
    """By the pair of their ticker; names that may be something else are left out."""
    ask = asking("kraken", failing={"instruments": VenueTimeout("timeout: 6 s")})
    rows = {row.coin: row for row in await VENUE.open_interest(ask)}
    assert {"BTC", "ETH", "LTC", "DOGE", "PEPE", "ADA"} == set(rows)
    assert pytest.approx(2000.5 * 80010 + 2_000_500) == rows["BTC"].oi_usd
    assert "timeout: 6 s (futures/instruments)" in ask.shortfalls


async def test_discovery_has_both_markets() -> None:
    """Perpetuals and pairs; stocks and money without a coin."""
    rows = {row.symbol: row for row in await VENUE.markets(asking("kraken"))}
    assert ("BTC", "perp") == (rows["PF_XBTUSD"].coin, rows["PF_XBTUSD"].kind)
    assert ("BTC", "spot") == (rows["XXBTZUSD"].coin, rows["XXBTZUSD"].kind)
    assert (None, None) == (rows["PF_AAPLxUSD"].coin, rows["PF_EURUSD"].coin)
    assert not {"PF_FTMUSD", "FI_XBTUSD_261225"} & rows.keys()
    found = sample("kraken", TICKERS).parsed(parse_perpetuals, sample("kraken", INSTRUMENTS))
    assert {"perp"} == {row.kind for row in found}


def test_the_recorded_tickers() -> None:
    """September 2026: 2,080.7149 BTC and 2,172,854 USD; 0.2485 / 78,107.73 = 3.1817e-6 an hour."""
    path = RECORDINGS / "krakenfutures.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads(path.read_text())["log"]["entries"]
    texts = [
        e["response"]["content"]["text"]
        for e in entries
        if e["request"]["url"] == TICKERS.url and e["startedDateTime"].startswith("2026")
    ]
    wire = Wire(json.loads(texts[0]), fetched_at=AT, read=0.0, size=0)
    held = wire.parsed(parse_open_interest, NOTHING)[0]["BTC"]
    assert pytest.approx(2080.7149 * 78115.14704713407 + 2172854) == held.oi_usd
    assert pytest.approx(2080.7149 + 2172854 / 78114.68384206136) == held.oi_coins
    rate = wire.parsed(parse_funding, NOTHING)[0]["BTC"].rate
    assert pytest.approx(3.1817e-6, rel=1e-4) == rate


@pytest.mark.parametrize("doc", [{}, [], {"tickers": None}, {"tickers": {}}, None])
def test_a_changed_answer_is_refused(doc: Any) -> None:
    """Never read as an empty market."""
    wire = Wire(doc, fetched_at=AT, read=0.0, size=0)
    with pytest.raises((VenueChanged, TypeError)):
        wire.parsed(parse_funding, NOTHING)


@pytest.mark.parametrize("value", ["NaN", 1e308, -5, "x", None, True])
def test_absurd_numbers_are_unreadable(value: Any) -> None:
    """Counted as bad rows, never as open interest."""
    doc = json.loads(json.dumps(sample("kraken", TICKERS).doc))
    for row in doc["tickers"]:
        if row["symbol"] == "PF_ETHUSD":
            row["openInterest"] = value
    wire = Wire(doc, fetched_at=AT, read=0.0, size=0)
    rows, silent, bad = wire.parsed(parse_open_interest, sample("kraken", INSTRUMENTS))
    assert "ETH" not in rows
    assert (["PF_ETHUSD"], 2) == (silent["ETH"], bad)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"result":"error","error":"apiLimitExceeded","serverTime":"x"}', VenueRateLimited),
        (b'{"result": "error", "error": "Server Error"}', VenueHttp),
        (b'{"result":"error","error":"contractNotFound"}', VenueRejected),
        (b'{"result":"success","tickers":[]}', type(None)),
    ],
)
def test_errors_come_with_http_200(body: bytes, kind: type) -> None:
    """In the words of this host."""
    assert kind is type(VENUE.refusal(200, body))
