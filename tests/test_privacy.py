"""What leaves the machine: requests to those whom the privacy page names, and to nobody else."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import worlds

from mmflow_mcp.app import App
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.errors import MmflowError
from mmflow_mcp.surfaces.call import ask_app
from mmflow_mcp.venues import roll

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[1]


async def ask_everything(app: App) -> list[str]:
    """The example of every question that waits for nothing; which were answered."""
    answered = []
    for name, e in endpoints().items():
        if name.startswith("watch_"):
            continue
        try:
            await ask_app(app, name, dict(e.example))
        except MmflowError:
            continue
        answered.append(name)
    return answered


def hosts_of(addresses: Iterable[str]) -> set[str]:
    """The hosts of addresses."""
    return {str(urlsplit(address).hostname) for address in addresses}


async def test_a_venue_that_is_off_is_never_asked() -> None:
    """By no question; CoinGecko not even by that of another source, which is on."""
    off = ["coingecko", "upbit", "okx", "farside", "coinbase"]
    async with worlds.counted(venues_off=",".join(off)) as (app, asked):
        answered = await ask_everything(app)
        hosts = hosts_of(asked)
    assert {"get_valuation", "get_flow_summary", "get_venue_spreads"} <= set(answered)
    assert set() == hosts & {host for name in off for host in roll()[name].hosts}


async def test_whoever_stands_in_is_named() -> None:
    """Where Farside and Frankfurter fail others are asked: hosts that no venue has, on the page."""
    page = (ROOT / "docs/privacy.md").read_text("utf-8")
    async with worlds.counted(faults="farside:http=403;frankfurter:http=500") as (app, asked):
        for name, asset in (("get_etf_flows", "bitcoin"), ("get_etf_flows", "ethereum")):
            with suppress(MmflowError):
                await ask_app(app, name, {"asset": asset})
        with suppress(MmflowError):
            await ask_app(app, "get_kimchi", {"coin": "BTC"})
        hosts = hosts_of(asked)
    others = hosts - {host for venue in roll().values() for host in venue.hosts}
    assert {"www.tftc.io", "raw.githubusercontent.com"} == others
    assert "open.er-api.com" in hosts
    assert [] == [host for host in (*others, "open.er-api.com") if f"`{host}`" not in page]
