"""Recent trades of hyperliquid over REST: a small window that says how far it reaches."""

import copy
from typing import Any

import pytest
from wires import asking, recorded, sample
from worlds import MARKET, NOW, world

from mmflow_mcp.core.fanout import gather
from mmflow_mcp.errors import VenueChanged, VenueRejected
from mmflow_mcp.sim.trades import list_prints
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.capabilities import Trades
from mmflow_mcp.venues.hyperliquid import Hyperliquid
from mmflow_mcp.venues.hyperliquid_trades import INFO, parse_trades, recent

pytestmark = pytest.mark.anyio
AT = 1_789_412_345_678
HYPERLIQUID = Hyperliquid()


def wire(doc: Any) -> Wire:
    """An answer."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


async def test_newest_first_each_once_in_coins() -> None:
    """kPEPE is in thousands; a repeated trade counts once; an unreadable one is said."""
    ask = asking("hyperliquid", "PEPE")
    rows = await HYPERLIQUID.trades(ask)
    assert ["900000000000003", "900000000000002"] == [row.trade_id for row in rows[:2]]
    assert 3 == len(rows)
    assert [("buy", 8_000_000.0), ("sell", 1_000_000.0)] == [(r.side, r.size) for r in rows[:2]]
    assert pytest.approx([0.0000125, 0.00001249], rel=1e-12) == [r.price for r in rows[:2]]
    assert {("PEPE", "hyperliquid")} == {(row.coin, row.venue) for row in rows}
    assert "changed: 1 row could not be read" in ask.shortfalls


async def test_what_the_window_does_not_reach_is_said() -> None:
    """300 s are asked and it holds 200: short; 100 s are whole; without a time it is what it is."""
    ask = asking("hyperliquid", "PEPE")
    await HYPERLIQUID.trades(ask)
    assert not any(said.startswith("missing") for said in ask.shortfalls)
    ask = asking("hyperliquid", "PEPE")
    ask.options = {"since_ms": AT - 300_000}
    await HYPERLIQUID.trades(ask)
    back = "missing: the tape of kPEPE reaches back only to 2026-09-14 18:55:45"
    assert back in ask.shortfalls
    ask = asking("hyperliquid", "PEPE")
    ask.options = {"since_ms": AT - 100_000}
    rows = await HYPERLIQUID.trades(ask)
    assert 2 == len(rows)
    assert not any(said.startswith("missing") for said in ask.shortfalls)


async def test_an_unknown_coin_has_no_trades() -> None:
    """Delisted ones neither; nothing is asked for them."""
    for coin in ("NOPE", "MATIC"):
        ask = asking("hyperliquid", coin)
        assert [] == await HYPERLIQUID.trades(ask)
        assert coin not in ask.universe


@pytest.mark.parametrize("doc", [{}, None, "x", {"error": 1}])
def test_another_shape_is_a_change(doc: Any) -> None:
    """No list, no trades."""
    with pytest.raises(VenueChanged):
        parse_trades(wire(doc))


def test_rows_that_are_mostly_unreadable_are_a_change() -> None:
    """One that is not is left out."""
    rows = copy.deepcopy(sample("hyperliquid", recent("kPEPE")).doc)
    for row in rows[1:]:
        row["px"] = "NaN"
    with pytest.raises(VenueChanged):
        parse_trades(wire(rows))


def test_null_is_an_unknown_market() -> None:
    """The venue's word for it."""
    assert isinstance(HYPERLIQUID.refusal(200, b"null"), VenueRejected)


def test_the_recorded_trades() -> None:
    """All of them, newest first, taker's side."""
    found = recorded("hyperliquid", recent("BTC"))
    rows, bad = parse_trades(found)
    assert (len(found.doc), 0) == (len(rows), bad)
    assert sorted((row.ts for row in rows), reverse=True) == [row.ts for row in rows]
    assert "sell" == rows[0].side
    assert 98818.0 == rows[0].price
    assert INFO == recent("BTC").url


async def test_the_simulated_trades_are_the_markets() -> None:
    """The same prints, to the coin."""
    async with world() as app:
        found = await gather(app.core(), Trades, [roll()["hyperliquid"]], ("PEPE",))
    listed = MARKET.listings("hyperliquid", NOW)
    item = next(one for one in listed if one.symbol == "kPEPE")
    prints = list_prints(MARKET, item, NOW - 60_000, NOW)[-10:][::-1]
    assert [str(one.number) for one in prints] == [row.trade_id for row in found.rows]
    for one, row in zip(prints, found.rows, strict=True):
        assert ("buy" if one.buy else "sell", one.at_ms) == (row.side, row.ts)
        assert pytest.approx(one.size * 1000, rel=1e-9) == row.size
        assert pytest.approx(one.price / 1000, rel=1e-9) == row.price
