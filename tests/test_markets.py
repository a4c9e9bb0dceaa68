"""The same questions from a script: plain and awaiting, errors as they are."""

import pytest
from rests import asking
from worlds import NOW

from mmflow_mcp.errors import AllVenuesFailed, BadQuestion
from mmflow_mcp.markets import AsyncMarkets, Markets

SIM = {"source": "sim", "now": str(NOW)}


def test_it_answers_what_rest_answers() -> None:
    """The envelope, row for row."""
    with Markets(**SIM) as markets, asking() as rest:
        asked = markets.ask("get_oi", coins=["BTC", "ETH"], venues="all")
        told = rest.get("/api/v1/perps/oi?coins=BTC,ETH&venues=all").json()
    assert told["data"] == asked["data"]
    assert told["meta"].keys() == asked["meta"].keys()


@pytest.mark.anyio
async def test_it_can_be_awaited_and_its_errors_come_unwrapped() -> None:
    """What is raised inside the block leaves it as it is, not in a group."""
    async with AsyncMarkets(**SIM) as markets:
        found = await markets.ask("get_gex", underlying="BTC")
        assert "BTC" == found["data"]["underlying"]
    with pytest.raises(BadQuestion, match="Nearest: coins"):
        async with AsyncMarkets(**SIM) as markets:
            await markets.ask("get_funding", coin="BTC")
    with pytest.raises(AllVenuesFailed, match="http 503"):
        async with AsyncMarkets(**SIM, faults="*:http=503") as markets:
            await markets.ask("get_funding", coins=["BTC"], venues="bybit")


@pytest.mark.anyio
async def test_a_plain_script_also_runs_beside_a_loop() -> None:
    """As in a notebook, whose loop runs already."""
    with Markets(**SIM) as markets:
        assert markets.ask("get_valuation")["data"]
    with pytest.raises(BadQuestion, match="Nearest: coins"), Markets(**SIM) as markets:
        markets.ask("get_funding", coin="BTC")


@pytest.mark.anyio
async def test_outside_of_its_block_it_says_so() -> None:
    """And an option that means nothing is refused before anything starts."""
    with pytest.raises(BadQuestion, match="not open"):
        Markets(**SIM).ask("get_valuation")
    with pytest.raises(BadQuestion, match="not open"):
        await AsyncMarkets(**SIM).ask("get_valuation")
    with pytest.raises(BadQuestion, match="no source"):
        Markets(source="nowhere")
