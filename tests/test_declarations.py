"""One declaration per endpoint, and everything derived from it up to date."""

import inspect
import json
import re
from pathlib import Path

import pytest

from mmflow_mcp.endpoints.declare import endpoint, endpoints
from mmflow_mcp.endpoints.params import Query
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import docs
from mmflow_mcp.venues import roll

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("path", docs.derived(), ids=lambda p: p.name)
def test_derived_files_are_up_to_date(path: Path) -> None:
    """tools.json, the manifest's tools and the README's tables follow from the declarations."""
    assert docs.derived()[path] == path.read_text("utf-8"), "run python -m mmflow_mcp.surfaces.docs"


def test_paths_and_tools_are_the_contracts() -> None:
    """CONTRACT section 1: these paths have these tools."""
    assert {
        "get_oi": "/perps/oi",
        "get_funding": "/perps/funding",
        "get_option_chain": "/options/chain",
        "get_gex": "/options/gex",
        "get_skew": "/options/skew",
        "get_markets": "/markets",
        "get_spot": "/markets/spot",
        "get_positioning": "/perps/positioning",
        "get_liquidations": "/perps/liquidations",
        "get_etf_flows": "/onchain/etf-flows",
        "get_treasuries": "/onchain/treasuries",
        "get_valuation": "/onchain/valuation",
        "get_venue_spreads": "/flows/venue-spreads",
        "get_kimchi": "/flows/kimchi",
        "get_etf_proxy": "/flows/etf",
        "get_flow_signals": "/flows/signals",
        "get_flow_summary": "/flows/summary",
        "get_flow_history": "/flows/history",
        "get_funding_history": "/perps/funding/history",
        "get_funding_regime": "/perps/funding/regime",
        "get_oi_history": "/perps/oi/history",
        "get_whales": "/perps/whales",
        "watch_whales": "/streams/whales",
        "watch_trades": "/streams/trades",
        "watch_funding": "/streams/funding",
        "get_points": "/points",
        "get_candles": "/markets/candles",
    } == {e.name: e.path for e in endpoints().values()}


@pytest.mark.parametrize("name", endpoints())
def test_a_description_lets_a_model_choose(name: str) -> None:
    """It names a neighbour or a use, and every parameter has words."""
    e = endpoints()[name]
    assert re.search(r"use (get|watch)_\w+|holds no", e.description)
    for field in e.query.model_fields.values():
        assert field.description


def test_a_declaration_that_says_too_little_is_refused() -> None:
    """No docstring, no query, or a path that is taken: an error at import."""
    ways = {"title": "t", "ttl": 1, "example": {}, "keeps": "k"}

    async def no_words(core: object, query: Query) -> None: ...

    async def no_query(core: object) -> None:
        """Words."""

    async def twice(core: object, query: Query) -> None:
        """Words."""

    for function, path in ((no_words, "/a"), (no_query, "/b"), (twice, "/perps/oi")):
        with pytest.raises(TypeError):
            endpoint(path, **ways)(function)  # type: ignore[arg-type]


def test_manifest_and_package_agree() -> None:
    """Version, tools and settings of the bundle are the package's."""
    from mmflow_mcp import __version__

    manifest = json.loads((ROOT / "manifest.json").read_text("utf-8"))
    assert __version__ == manifest["version"]
    assert list(endpoints()) == [tool["name"] for tool in manifest["tools"]]
    known = {
        f.metadata["variable"]
        for f in inspect.getattr_static(Settings, "__dataclass_fields__").values()
    }
    assert set(manifest["server"]["mcp_config"]["env"]) <= known


def test_every_venue_has_a_sample_and_a_simulated_side() -> None:
    """What a venue claims is tested on wire in its shape and on the simulated market."""
    for venue in roll().values():
        if venue.status == "planned":
            continue
        stem = venue.id.replace("-", "_")
        assert (ROOT / "tests" / "wire" / f"{venue.id}.har").exists(), venue.id
        assert (ROOT / "tests" / f"test_venue_{stem}.py").exists(), venue.id
        if venue.status == "live":
            assert (ROOT / "mmflow_mcp" / "sim" / f"{stem}.py").exists(), venue.id


def test_documents_name_every_setting_venue_and_command() -> None:
    """A stranger finds in the README what there is."""
    page = (ROOT / "README.md").read_text("utf-8")
    for word in [*roll(), *endpoints(), "doctor", "capture", "demo", "serve", "sim", "call"]:
        assert word in page
