"""Options answers at the edges: no options, no index, no volatility."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from worlds import NOW, ask, world

from mmflow_mcp.endpoints.answer import Shape, written
from mmflow_mcp.rows import OptionChain
from mmflow_mcp.surfaces import questions
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.deribit import Deribit

pytestmark = pytest.mark.anyio

Change = Callable[[OptionChain], OptionChain]


def change_chain(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let Deribit answer another chain than the market's."""
    real = Deribit.option_chain

    async def changed(self: Deribit, ask: Ask) -> list[OptionChain]:
        return [change(chain) for chain in await real(self, ask)]

    monkeypatch.setattr(Deribit, "option_chain", changed)


async def test_an_empty_chain_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """METHODS 3: null walls and a total of 0, not an error."""
    change_chain(monkeypatch, lambda chain: replace(chain, rows=(), index_price=None))
    async with world() as app:
        gex = (await ask(app, "get_gex", underlying="BTC")).data
        skew = (await ask(app, "get_skew", underlying="BTC")).data
    assert (0, None, None, None) == (gex.total_gex, gex.call_wall, gex.put_wall, gex.gamma_flip)
    assert gex.spot is None
    assert not gex.strikes.rows
    assert {} == skew.smile_by_expiry


async def test_without_an_index_the_nearest_forward_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CONTRACT section 10: the spot is then the forward of the nearest expiry, and meta says so."""
    change_chain(monkeypatch, lambda chain: replace(chain, index_price=None))
    async with world() as app:
        answer = await ask(app, "get_gex", underlying="BTC")
        chain = (await ask(app, "get_option_chain", underlying="BTC")).data.rows
    nearest = min(chain, key=lambda row: row.expiry_ms)
    assert nearest.underlying_price == answer.data.spot
    assert "forward of the nearest expiry" in answer.meta["spot"]


async def test_options_without_volatility_are_skipped_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An expiry of which no volatility is known is left out, and the answer is partial."""

    def blind(chain: OptionChain) -> OptionChain:
        first = min(row.expiry_ms for row in chain.rows)
        rows = tuple(
            replace(row, mark_iv=None) if row.expiry_ms == first else row for row in chain.rows
        )
        return replace(chain, rows=rows)

    change_chain(monkeypatch, blind)
    async with world() as app:
        answer = await ask(app, "get_gex", underlying="BTC")
    assert answer.meta["partial"] is True
    assert answer.meta["rowsSkipped"] > 0


async def test_times_are_judged_at_the_moment_of_the_answer() -> None:
    """A later moment has less time in every option: the pinned one decides, not the machine's."""
    day = 86_400_000
    async with world() as app:
        now = (await ask(app, "get_skew", underlying="BTC")).data.term_structure.rows
    async with world(now=str(NOW + day)) as app:
        later = (await ask(app, "get_skew", underlying="BTC")).data.term_structure.rows
    same = {row.expiry_ms: row.dte_days for row in now}
    assert later
    for row in later:
        if row.expiry_ms in same:
            assert pytest.approx(same[row.expiry_ms] - 1, abs=0.011) == row.dte_days


async def test_the_flip_of_a_cheap_coin_keeps_its_digits() -> None:
    """A price, not an amount: one decimal of XRP would be percents of it."""
    async with world() as app:
        found = await ask(app, "get_gex", underlying="XRP")
    flip = found.data.gamma_flip
    assert flip is not None
    assert flip < 20
    told = written(found.data, Shape())["gammaFlip"]
    assert pytest.approx(flip, rel=1e-5) == told
    assert abs(flip - round(flip, 1)) > 1e-5 * flip


async def test_the_sign_of_the_total_tells_and_not_the_side_of_the_flip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With puts above spot and calls below, moves are damped under the flip, and it is told so."""

    def turned(chain: OptionChain) -> OptionChain:
        spot = chain.index_price or 0.0
        rows = (
            replace(row, oi=50.0 if (row.type == "C") == (row.strike < spot) else 0.0)
            for row in chain.rows
        )
        return replace(chain, rows=tuple(rows))

    change_chain(monkeypatch, turned)
    async with world() as app:
        data = (await ask(app, "get_gex", underlying="BTC")).data
    assert data.gamma_flip_method == "reprice"
    assert (data.total_gex > 0) == (data.spot < data.gamma_flip)
    said = questions.find("get_gex").description
    assert "totalGex > 0: hedging damps moves" in said
    assert "above gammaFlip" not in said
