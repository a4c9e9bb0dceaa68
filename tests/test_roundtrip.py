"""`parse(render(market)) == market`: what the adapters read is what the simulated market holds.

The market shares no code with the parsers, so a wrong unit, side, multiplier or contract on either
side shows here.
"""

from collections.abc import Callable

import pytest
from worlds import MARKET, NOW, ask, world

pytestmark = pytest.mark.anyio

VENUES = MARKET.venues()
EVERY_COIN = sorted({listing.coin for v in VENUES for listing in MARKET.listings(v)})


def held(reading: Callable[[str], object | None]) -> set[str]:
    """The coins for which the market holds a truth."""
    return {coin for coin in EVERY_COIN if reading(coin) is not None}


@pytest.mark.parametrize("venue", VENUES)
async def test_open_interest_is_the_markets(venue: str) -> None:
    """Every coin of a venue, asked by name: USD and coins are the truth's, one-sided, summed."""
    truth = {c: MARKET.open_interest(venue, c, NOW) for c in EVERY_COIN}
    listed = held(truth.get)
    async with world() as app:
        for chunk in (sorted(listed)[i : i + 90] for i in range(0, len(listed), 90)):
            answer = await ask(app, "get_oi", coins=list(chunk), venues=venue)
            assert [] == answer.meta["sources"]
            assert set(chunk) == {row.coin for row in answer.data.rows}
            for row in answer.data.rows:
                expected = truth[row.coin]
                assert expected is not None
                # Bybit prints values to the cent.
                assert pytest.approx(expected[0], rel=1e-9, abs=0.02) == row.oi_usd, row
                assert pytest.approx(expected[1], rel=1e-9) == row.oi_coins, row


@pytest.mark.parametrize("venue", VENUES)
async def test_funding_is_the_main_perpetuals(venue: str) -> None:
    """Rate, period, mark and next settlement are those of the coin's main perpetual."""
    truth = {c: MARKET.funding(venue, c, NOW) for c in EVERY_COIN}
    listed = held(truth.get)
    async with world() as app:
        for chunk in (sorted(listed)[i : i + 90] for i in range(0, len(listed), 90)):
            answer = await ask(app, "get_funding", coins=list(chunk), venues=venue)
            assert [] == answer.meta["sources"]
            assert set(chunk) == {row.coin for row in answer.data.rows}
            for row in answer.data.rows:
                expected = truth[row.coin]
                assert expected is not None
                assert expected.listing.symbol == row.symbol
                assert pytest.approx(expected.funding_rate, rel=1e-9, abs=1e-15) == row.rate
                if venue == "deribit":
                    # Its rate accrues over eight hours and has no settlement.
                    assert (8, None) == (row.period_hours, row.next_funding_time)
                    continue
                if venue == "lighter":
                    # Published per 8 hours, paid every hour.
                    assert row.period_hours == 8
                else:
                    assert expected.listing.period_hours == row.period_hours
                assert expected.next_funding_ms == row.next_funding_time
                if row.mark_price is not None:
                    mark = expected.mark / expected.listing.multiplier
                    assert pytest.approx(mark, rel=1e-9) == row.mark_price


@pytest.mark.parametrize("venue", VENUES)
async def test_the_universe_holds_only_coins(venue: str) -> None:
    """Without coins: no stock, metal, delisted or pre-market contract answers for a coin."""
    coins = held(lambda c: MARKET.funding(venue, c, NOW))
    async with world() as app:
        answer = await ask(app, "get_funding", venues=venue)
    answered = {row.coin for row in answer.data.rows}
    assert answered <= coins
    # CONTRACT section 10: these two answer for BTC and ETH when no coin is named.
    assert ({"BTC", "ETH"} if venue in ("deribit", "gateio") else coins) == answered


@pytest.mark.parametrize("underlying", ["BTC", "ETH", "SOL", "XRP"])
async def test_the_chain_is_the_markets(underlying: str) -> None:
    """Every option: strike, expiry, side, open interest, volatility, mark and forward."""
    truth = {quote.instrument: quote for quote in MARKET.chain(underlying, NOW)}
    async with world() as app:
        answer = await ask(app, "get_option_chain", underlying=underlying)
    assert set(truth) == {row.instrument for row in answer.data.rows}
    for row in answer.data.rows:
        expected = truth[row.instrument]
        assert expected.strike == row.strike
        assert expected.expiry_ms == row.expiry_ms
        assert expected.type == row.type
        assert pytest.approx(expected.oi, rel=1e-9) == row.oi
        assert pytest.approx(expected.mark_iv, rel=1e-9) == row.mark_iv
        assert pytest.approx(expected.mark_price, rel=1e-9) == row.mark_price
        assert pytest.approx(expected.forward, rel=1e-9) == row.underlying_price
