"""A foreign client library, ccxt, reads the simulated venues and must find the market's numbers.

ccxt is no dependency of the tests: without it this module is skipped. It speaks real HTTP to a
simulated server on loopback, with its own parsers.
"""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mmflow_mcp.clock import HOUR_MS, PinnedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing, Market, Perp
from mmflow_mcp.sim.roll import venue_names
from mmflow_mcp.sim.server import build_server

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed (pip install ccxt)")

NOW = 1_795_485_784_000
MARKET = Market(1)

NEED = {
    "binanceusdm": "binance",
    "binancecoinm": "binance",
    "hyperliquid": "hyperliquid",
    "aster": "aster",
    "deribit": "deribit",
    "bybit": "bybit",
    "okx": "okx",
    "gate": "gateio",
    "lighter": "lighter",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "hyperliquid": {"fetchMarkets": {"types": ["spot", "swap", "hip3"]}},
    "bybit": {"fetchMarkets": {"types": ["linear", "inverse"]}},
    "okx": {"fetchMarkets": {"types": ["swap"]}},
    "gate": {"fetchMarkets": {"types": ["swap"]}},
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A simulated world on loopback, its time standing still."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = build_server(SimApp(MARKET, PinnedClock(NOW)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield sock.getsockname()[1]
    server.should_exit = True
    thread.join(5)


def redirect(value: Any, port: int) -> Any:
    """Every address inside, sent to loopback with the real host as first segment."""
    if isinstance(value, dict):
        return {key: redirect(inner, port) for key, inner in value.items()}
    if isinstance(value, str) and value.startswith("https://"):
        return f"http://127.0.0.1:{port}/{value.removeprefix('https://')}"
    return value


def connect(name: str, port: int) -> Any:
    """A ccxt client of that exchange, its markets loaded from the simulated venue."""
    venue = NEED[name]
    if venue not in venue_names():
        pytest.skip(f"no simulated {venue} yet")
    if not hasattr(ccxt, name):
        pytest.skip(f"this ccxt has no {name}")
    client = getattr(ccxt, name)({"timeout": 20_000, "enableRateLimit": False})
    client.options.update(OPTIONS.get(name, {}))
    client.options["fetchCurrencies"] = False
    client.has["fetchCurrencies"] = False
    client.urls["api"] = redirect(client.urls["api"], port)
    client.milliseconds = lambda: NOW
    client.load_markets()
    return client


def truths(venue: str, margin: str) -> list[Perp]:
    """The live coin perpetuals of a venue as the market has them."""
    items = MARKET.listings(venue, NOW)
    wanted = [i for i in items if i.counted and i.margin == margin]
    usual = [i for i in wanted if (i.venue, i.quote) != ("gateio", "USD1")]  # ccxt lacks those
    return [MARKET.perp(i, NOW) for i in usual]


def unified(client: Any, item: Listing) -> str:
    """ccxt's own name of a listing."""
    found = [m for m in client.markets.values() if m["id"] == market_id(client, item)]
    swaps = [m for m in found if m["swap"]]
    assert len(swaps) == 1, (item.symbol, found)
    return str(swaps[0]["symbol"])


def market_id(client: Any, item: Listing) -> str:
    """The id under which ccxt keeps a listing; hyperliquid and lighter are kept by number."""
    if client.id in ("hyperliquid", "lighter"):
        names = [
            m["id"]
            for m in client.markets.values()
            if m["swap"] and item.symbol in (m["info"].get("name"), m["info"].get("symbol"))
        ]
        assert len(names) == 1, item.symbol
        return str(names[0])
    return item.symbol


NAMES = [(name, "inverse" if name == "binancecoinm" else "linear") for name in NEED]


def ask_tickers(client: Any, symbols: list[str]) -> dict[str, Any]:
    """Tickers of the symbols; deribit's bulk call serves one base currency only."""
    if client.id == "deribit":
        return {symbol: client.fetch_ticker(symbol) for symbol in symbols}
    found: dict[str, Any] = client.fetch_tickers(symbols)
    return found


def ask_rates(client: Any, symbols: list[str]) -> dict[str, Any]:
    """Funding rates of the symbols, one by one where there is no bulk call."""
    if client.has["fetchFundingRates"]:
        found: dict[str, Any] = client.fetch_funding_rates(symbols)
        return found
    return {symbol: client.fetch_funding_rate(symbol) for symbol in symbols[:6]}


@pytest.mark.parametrize(("name", "margin"), NAMES)
def test_prices_read_by_ccxt_are_the_markets(name: str, margin: str, port: int) -> None:
    """Tickers give the last price (hyperliquid: the mark) of every live coin perpetual."""
    client = connect(name, port)
    perps = {unified(client, p.listing): p for p in truths(NEED[name], margin)}
    tickers = ask_tickers(client, list(perps))
    assert len(perps) > 5
    assert set(perps) == set(tickers)
    for symbol, perp in perps.items():
        if name == "hyperliquid":
            assert perp.mark == float(tickers[symbol]["info"]["markPx"]), symbol
        else:
            assert perp.last == pytest.approx(tickers[symbol]["last"], rel=1e-12), symbol


@pytest.mark.parametrize(("name", "margin"), NAMES)
def test_funding_read_by_ccxt_is_the_markets(name: str, margin: str, port: int) -> None:
    """Funding rates are the market's; lighter's are those of 8 hours."""
    client = connect(name, port)
    perps = {unified(client, p.listing): p for p in truths(NEED[name], margin)}
    rates = ask_rates(client, list(perps))
    assert len(rates) > 5
    for symbol, rate in rates.items():
        assert perps[symbol].funding_rate == pytest.approx(rate["fundingRate"], abs=1e-12), symbol


def said_interest(name: str, said: dict[str, Any]) -> float:
    """What ccxt read; it files deribit's linear coins under value, so the raw row is taken."""
    if name == "deribit":
        return float(said["info"]["open_interest"])
    return float(said["openInterestAmount"])


def meant_interest(name: str, perp: Perp) -> float:
    """The market's number as that venue counts it.

    deribit gives amounts, not contracts; ccxt reads bybit's hourly history, which adds both sides.
    """
    if name == "deribit":
        return perp.open_interest * perp.listing.contract_size
    if name == "bybit":
        return 2 * MARKET.held(perp.listing, NOW - NOW % HOUR_MS)[0]
    return perp.open_interest


@pytest.mark.parametrize(("name", "margin"), NAMES)
def test_open_interest_read_by_ccxt_is_the_markets(name: str, margin: str, port: int) -> None:
    """fetch_open_interest gives the listing's open interest where ccxt has it."""
    client = connect(name, port)
    if not client.has["fetchOpenInterest"]:
        pytest.skip(f"ccxt's {name} has no fetchOpenInterest")
    perps = truths(NEED[name], margin)
    for perp in [p for p in perps if p.listing.coin in ("BTC", "ETH", "PEPE", "SOL")]:
        said = client.fetch_open_interest(unified(client, perp.listing))
        found = said_interest(name, said)
        assert meant_interest(name, perp) == pytest.approx(found, rel=1e-9), perp.listing.symbol


def test_option_chain_read_by_ccxt_is_the_markets(port: int) -> None:
    """Mark, open interest and empty sides of deribit's BTC options, over ccxt's own parser."""
    client = connect("deribit", port)
    chain = client.fetch_option_chain("BTC")
    quotes = MARKET.chain("BTC", NOW)
    by_id = {option["info"]["instrument_name"]: option for option in chain.values()}
    assert {q.instrument for q in quotes} == {key for key in by_id if "-CS-" not in key}
    for quote in quotes:
        said = by_id[quote.instrument]
        read = (said["markPrice"], said["openInterest"], said["bidPrice"], said["askPrice"])
        assert (quote.mark_price, quote.oi, quote.bid, quote.ask) == read
