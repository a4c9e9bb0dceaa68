"""The recorded pasts of ten venues, every one of them, read."""

from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pasts import HOUR, recordings

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.history import PastInterest
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import (
    binance_past,
    bitmex_past,
    bybit_past,
    deribit_past,
    fapi_past,
    gateio_past,
    hyperliquid_past,
    kraken_past,
    lighter_past,
    okx_past,
)
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.settlements import Listed, Payment, settle
from mmflow_mcp.venues.windows import Window

ALWAYS = Window(0, 10**13)


def query(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def recorded(venue: str, *parts: str) -> list[tuple[str, Wire]]:
    """(address, answer) of recordings; skips where they are not on this machine."""
    found = [(url + body, wire) for url, body, wire in recordings(venue, *parts)]
    if not found:
        pytest.skip("the recordings are not on this machine")
    return found


def test_rates_whose_period_is_their_spacing() -> None:
    """Eleven answers, no bad row; all settle within seconds of a full hour.

    Hyperliquid every 8 hours in May 2023 and hourly in 2026; the others 8 hours.
    """
    found: list[tuple[str, list[Payment], int]] = []
    for url, wire in recorded("hyperliquid", "fundingHistory"):
        found.append((url, *hyperliquid_past.parse_settled(wire, "BTC")))
    for venue in ("binance", "aster"):
        for url, wire in recorded(venue, "/v1/fundingRate?"):
            found.append((url, *fapi_past.parse_settled(wire, query(url)["symbol"])))
    for url, wire in recorded("bybit", "funding/history"):
        found.append((url, *bybit_past.parse_settled(wire, query(url)["symbol"])))
    assert 11 <= len(found)
    for asked, told, bad in found:
        assert (True, 0) == (bool(told), bad), asked
        hours = 1 if "hyperliquid" in asked and "1780552800000" in asked else 8
        settled = settle(told, ALWAYS, Listed(hours))
        assert (len(told), 0) == (len(settled.rates), settled.lost), asked
        assert {float(hours)} == {one.period_hours for one in settled.rates}, asked


def test_every_recorded_sum_of_usd_m_is_read() -> None:
    """BTCUSDT: tens of thousands of coins, worth their price."""
    contract = Contract("BTCUSDT", "BTC", 1, "USDT")
    for url, wire in recorded("binance", "fapi.binance.com/futures/data/openInterestHist"):
        points, bad = binance_past.parse_interest(wire, contract)
        assert (len(wire.doc), 0) == (len(points), bad), url
        for one in points:
            assert 30_000 < one.coins < 120_000
            assert one.usd is not None
            assert 10_000 < one.usd / one.coins < 130_000


def test_recorded_quarters_are_not_the_perpetual() -> None:
    """What was recorded of COIN-M is of dated contracts: as perpetuals it is refused whole."""
    contract = Contract("BTCUSD_PERP", "BTC", 1, "USD", "inverse", 100.0)
    for _, wire in recorded("binance", "dapi.binance.com/futures/data/openInterestHist"):
        with pytest.raises(VenueChanged):
            binance_past.parse_interest(wire, contract)
        renamed = [row | {"contractType": "PERPETUAL"} for row in wire.doc]
        points, bad = binance_past.parse_interest(_like(wire, renamed), contract)
        assert (len(wire.doc), 0) == (len(points), bad)
        for one in points:
            # Contracts of 100 USD and coins: their ratio is the price.
            assert one.usd is not None
            assert 60_000 < one.usd / one.coins < 90_000


def _like(wire: Wire, doc: Any, later_ms: int = 0) -> Wire:
    return Wire(doc, fetched_at=wire.fetched_at + later_ms, read=0.0, size=1)


def test_every_recorded_interest_of_bybit_is_read() -> None:
    """Linear: both numbers, exactly half of each other. Inverse: two-sided USD of 2022."""
    for url, wire in recorded("bybit", "market/open-interest"):
        rows, asked = wire.doc["result"]["list"], query(url)
        margin = asked["category"]
        contract = Contract(asked["symbol"], "BTC", 1, "USD", margin)
        prices = {int(row["timestamp"]): 80_000.0 for row in rows}
        points, bad = bybit_past.parse_interest(wire, contract, prices)
        assert (len(rows), 0) == (len(points), bad), url
        for row, one in zip(rows, points, strict=True):
            one_side = float(row["openInterest"]) / 2
            counted = one.usd if margin == "inverse" else one.coins
            assert pytest.approx(one_side, rel=1e-6) == counted


def test_okx_realized_rates() -> None:
    """Charged, not predicted; two settlements alone tell no period."""
    for url, wire in recorded("okx", "funding-rate-history"):
        found, bad = okx_past.parse_fundings(wire, url.split("instId=")[1].split("&")[0])
        assert ([0.00015, -0.00002], 0) == ([payment.rate for payment in found], bad)
        assert 2 == settle(found, ALWAYS).lost


def test_gate_settlements() -> None:
    """Every eight hours in February 2026, every hour in March, one of them a second late."""
    read = []
    for _, wire in recorded("gateio", "/funding_rate"):
        found, bad = gateio_past.parse_fundings(wire, "")
        settled = settle(found, ALWAYS)
        assert (5, 0, 5, 0) == (len(found), bad, len(settled.rates), settled.lost)
        assert all(rate.ts % HOUR == 0 for rate in settled.rates)
        read.append({rate.period_hours for rate in settled.rates})
    assert [{8}, {1}] == sorted(read, key=max, reverse=True)


def test_gate_statistics() -> None:
    """Every point, with dollars that agree with what it says of both sides."""
    linear = Contract("BTC_USDT", "BTC", 1, "USDT", "linear", 0.0001)
    inverse = Contract("BTC_USD", "BTC", 1, "USD", "inverse")
    points: list[PastInterest] = []
    for url, wire in recorded("gateio", "/contract_stats"):
        contract = inverse if "BTC_USD&" in url else linear
        later = _like(wire, wire.doc, 24 * HOUR)
        found, bad = gateio_past.parse_stats(later, contract, HOUR, 2)
        assert (len(wire.doc), 0) == (len(found), bad)
        points += found
        told: dict[int, Any] = {row["time"] * 1000: row for row in wire.doc}
        for one in found:
            assert one.usd is not None
            if contract is linear:
                both = told[one.ts]["open_interest_usd"]
                assert pytest.approx(both / 2, rel=1e-6) == one.usd
            else:
                assert one.usd == told[one.ts]["open_interest"] / 2
            assert pytest.approx(one.usd / one.coins) == told[one.ts]["mark_price"]
    assert len(points) > 15


def test_deribit_hours() -> None:
    """`interest_1h` of every row."""
    for _, wire in recorded("deribit", "get_funding_rate_history"):
        found, bad = deribit_past.parse_hours(wire, "")
        assert ([0.0000015, 0.0000012, 0.0000018], 0) == ([p.rate for p in found], bad)
        assert {1} == {payment.hours for payment in found}


def test_kraken_rates_of_four_hours() -> None:
    """Those of June 2022 are of the time before hourly funding: read as none, not as bad."""
    for _, wire in recorded("krakenfutures", "historicalfundingrates"):
        assert 3 == len(wire.doc["rates"])
        assert ([], 0) == kraken_past.parse_fundings(wire)


def test_lighter_fundings() -> None:
    """Longs paid 0.0012 %, then shorts 0.0002 %."""
    for _, wire in recorded("lighter", "/fundings"):
        found, bad = lighter_past.parse_fundings(wire)
        assert ([0.000012, -0.000002], 0) == ([payment.rate for payment in found], bad)
        for payment, row in zip(found, wire.doc["fundings"], strict=True):
            # `value` is USDC per coin: what it makes of the rate is a price of ether.
            assert 2_000 < float(row["value"]) / abs(payment.rate) < 2_500


def test_bitmex_fundings() -> None:
    """A period of a day until June 2016, then of eight hours; none is left out."""
    for _, wire in recorded("bitmex", "/funding"):
        found, bad = bitmex_past.parse_fundings(wire, "XBTUSD")
        settled = settle(found, ALWAYS)
        assert (len(wire.doc), 0) == (len(found), bad)
        assert (len(found), 0) == (len(settled.rates), settled.lost)
        assert [24, 8] == list(dict.fromkeys(rate.period_hours for rate in settled.rates))
        gaps = {b.ts - a.ts for a, b in pairwise(settled.rates)}
        assert {8 * HOUR, 24 * HOUR} == gaps
