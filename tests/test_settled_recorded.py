"""The recorded histories of okx, gateio, deribit, kraken, lighter and bitmex, all of them, read."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from wires import RECORDINGS

from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import (
    bitmex_past,
    deribit_past,
    gateio_past,
    kraken_past,
    lighter_past,
    okx_past,
)
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.settlements import Span, settle

HOUR = 3_600_000
EVER = Span(0, 4_000_000_000_000, 4_000_000_000_000)


def recordings(venue: str, part: str) -> Iterator[tuple[str, Wire]]:
    """(address, answer) of the recordings whose address contains a text; skips without them."""
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    found = 0
    for entry in json.loads(path.read_text())["log"]["entries"]:
        if part in entry["request"]["url"]:
            found += 1
            at = datetime.fromisoformat(entry["startedDateTime"])
            text = entry["response"]["content"]["text"]
            read_at = round(at.timestamp() * 1000)
            yield (
                entry["request"]["url"],
                Wire(json.loads(text), fetched_at=read_at, read=0.0, size=1),
            )
    assert found


def test_okx_realized_rates() -> None:
    """Charged, not predicted; two settlements alone tell no period."""
    for url, wire in recordings("okx", "funding-rate-history"):
        found, bad = okx_past.parse_fundings(wire, url.split("instId=")[1].split("&")[0])
        assert ([0.00015, -0.00002], 0) == ([payment.rate for payment in found], bad)
        assert ((), 2) == settle(found, EVER)


def test_gate_settlements() -> None:
    """Every eight hours in February 2026, every hour in March, one of them a second late."""
    read = []
    for _, wire in recordings("gateio", "/funding_rate"):
        found, bad = gateio_past.parse_fundings(wire)
        rates, unknown = settle(found, EVER)
        assert (5, 0, 5, 0) == (len(found), bad, len(rates), unknown)
        assert all(rate.ts % HOUR == 0 for rate in rates)
        read.append({rate.period_hours for rate in rates})
    assert [{8}, {1}] == sorted(read, key=max, reverse=True)


def test_gate_statistics() -> None:
    """Every point, with dollars that agree with what it says of both sides."""
    linear = Contract("BTC_USDT", "BTC", 1, "USDT", "linear", 0.0001)
    inverse = Contract("BTC_USD", "BTC", 1, "USD", "inverse")
    points = 0
    for url, wire in recordings("gateio", "/contract_stats"):
        contract = inverse if "BTC_USD&" in url else linear
        later = Wire(wire.doc, fetched_at=wire.fetched_at + 24 * HOUR, read=0.0, size=1)
        found, bad = gateio_past.parse_stats(later, contract, HOUR, 2)
        assert (len(wire.doc), 0) == (len(found), bad)
        points += len(found)
        told: dict[int, Any] = {row["time"] * 1000: row for row in wire.doc}
        for at, sample in found.items():
            assert sample.usd is not None
            if contract is linear:
                both = told[at]["open_interest_usd"]
                assert pytest.approx(both / 2, rel=1e-6) == sample.usd
            else:
                assert sample.usd == told[at]["open_interest"] / 2
            assert pytest.approx(sample.usd / sample.coins) == told[at]["mark_price"]
    assert points > 15


def test_deribit_hours() -> None:
    """`interest_1h` of every row."""
    for _, wire in recordings("deribit", "get_funding_rate_history"):
        found, bad = deribit_past.parse_hours(wire)
        assert ([0.0000015, 0.0000012, 0.0000018], 0) == ([p.rate for p in found], bad)
        assert {1} == {payment.hours for payment in found}


def test_kraken_rates_of_four_hours() -> None:
    """Those of June 2022 are of the time before hourly funding: read as none, not as bad."""
    for _, wire in recordings("krakenfutures", "historicalfundingrates"):
        assert 3 == len(wire.doc["rates"])
        assert ([], 0) == kraken_past.parse_fundings(wire)


def test_lighter_fundings() -> None:
    """Longs paid 0.0012 %, then shorts 0.0002 %."""
    for _, wire in recordings("lighter", "/fundings"):
        found, bad = lighter_past.parse_fundings(wire)
        assert ([0.000012, -0.000002], 0) == ([payment.rate for payment in found], bad)
        for payment, row in zip(found, wire.doc["fundings"], strict=True):
            # `value` is USDC per coin: what it makes of the rate is a price of ether.
            assert 2_000 < float(row["value"]) / abs(payment.rate) < 2_500


def test_bitmex_fundings() -> None:
    """A period of a day until June 2016, then of eight hours; none is left out."""
    for _, wire in recordings("bitmex", "/funding"):
        found, bad = bitmex_past.parse_fundings(wire, "XBTUSD")
        rates, unknown = settle(found, EVER)
        assert (len(wire.doc), 0, len(found), 0) == (len(found), bad, len(rates), unknown)
        assert [24, 8] == list(dict.fromkeys(rate.period_hours for rate in rates))
        gaps = {b.ts - a.ts for a, b in pairwise(rates)}
        assert {8 * HOUR, 24 * HOUR} == gaps
