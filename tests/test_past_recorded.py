"""The recorded pasts of Hyperliquid, Binance, Aster and Bybit, every one of them."""

from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest
from bygone import HOUR, MINUTE, recordings
from holdings import wire

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.venues import binance_past, bybit_past, fapi_past, hyperliquid_past
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.settled_rates import Told, settle
from mmflow_mcp.venues.windows import Window

ALWAYS = Window(0, 10**13)


def query(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def recorded_rates() -> list[tuple[str, list[Told], int]]:
    """(address, settlements, bad rows) of every recorded answer of settled rates."""
    found: list[tuple[str, list[Told], int]] = []
    for url, body, doc in recordings("hyperliquid", "fundingHistory"):
        found.append((url + body, *hyperliquid_past.parse_settled(wire(doc), "BTC")))
    for venue in ("binance", "aster"):
        for url, _, doc in recordings(venue, "/v1/fundingRate?"):
            symbol = query(url)["symbol"]
            found.append((url, *fapi_past.parse_settled(wire(doc), symbol)))
    for url, _, doc in recordings("bybit", "funding/history"):
        found.append((url, *bybit_past.parse_settled(wire(doc), query(url)["symbol"])))
    if not found:
        pytest.skip("the recordings are not on this machine")
    return found


def test_every_recorded_rate_is_read() -> None:
    """Eleven answers of four venues, no bad row; all settle within seconds of a full hour."""
    rates = recorded_rates()
    assert 11 <= len(rates)
    for asked, told, bad in rates:
        assert (True, 0) == (bool(told), bad), asked
        settled = settle(told, ALWAYS, 8)
        assert (len(told), 0) == (len(settled.rates), settled.lost), asked


def test_recorded_periods_are_the_spacings() -> None:
    """Hyperliquid every 8 hours in May 2023 and hourly in 2026; the others 8 hours."""
    for asked, told, _ in recorded_rates():
        hourly = "hyperliquid" in asked and "1780552800000" in asked
        periods = {one.period_hours for one in settle(told, ALWAYS, 1 if hourly else 8).rates}
        assert {1.0 if hourly else 8.0} == periods, asked


CADENCES = {"5m": 5 * MINUTE, "1h": HOUR}


def test_every_recorded_sum_of_usd_m_is_read() -> None:
    """BTCUSDT: tens of thousands of coins, worth their price."""
    found = recordings("binance", "fapi.binance.com/futures/data/openInterestHist")
    if not found:
        pytest.skip("the recordings are not on this machine")
    contract = Contract("BTCUSDT", "BTC", 1, "USDT")
    for url, _, doc in found:
        cadence = CADENCES[query(url)["period"]]
        points, bad = binance_past.parse_interest(wire(doc), contract, cadence)
        assert (len(doc), 0) == (len(points), bad), url
        for one in points:
            assert 30_000 < one.coins < 120_000
            assert one.usd is not None
            assert 10_000 < one.usd / one.coins < 130_000


def test_recorded_quarters_are_not_the_perpetual() -> None:
    """What was recorded of COIN-M is of dated contracts: as perpetuals it is refused whole."""
    found = recordings("binance", "dapi.binance.com/futures/data/openInterestHist")
    if not found:
        pytest.skip("the recordings are not on this machine")
    contract = Contract("BTCUSD_PERP", "BTC", 1, "USD", "inverse", 100.0)
    for _, _, doc in found:
        with pytest.raises(VenueChanged):
            binance_past.parse_interest(wire(doc), contract, 5 * MINUTE)
        renamed = [row | {"contractType": "PERPETUAL"} for row in doc]
        points, bad = binance_past.parse_interest(wire(renamed), contract, 5 * MINUTE)
        assert (len(doc), 0) == (len(points), bad)
        for one in points:
            # Contracts of 100 USD and coins: their ratio is the price.
            assert one.usd is not None
            assert 60_000 < one.usd / one.coins < 90_000


def test_every_recorded_interest_of_bybit_is_read() -> None:
    """Linear: both numbers, exactly half of each other. Inverse: two-sided USD of 2022."""
    found = recordings("bybit", "market/open-interest")
    if not found:
        pytest.skip("the recordings are not on this machine")
    for url, _, doc in found:
        rows, asked = doc["result"]["list"], query(url)
        margin = asked["category"]
        contract = Contract(asked["symbol"], "BTC", 1, "USD", margin)
        # The documentation's example of an hour is in steps of five minutes.
        times = [int(row["timestamp"]) for row in rows]
        cadence = min(a - b for a, b in pairwise(times))
        prices = dict.fromkeys(times, 80_000.0)
        points, bad = bybit_past.parse_interest(wire(doc), contract, cadence, prices)
        assert (len(rows), 0) == (len(points), bad), url
        for row, one in zip(rows, points, strict=True):
            one_side = float(row["openInterest"]) / 2
            counted = one.usd if margin == "inverse" else one.coins
            assert pytest.approx(one_side, rel=1e-6) == counted
