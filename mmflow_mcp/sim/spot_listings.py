"""What coinbase, kraken and bitfinex list: spot first, with the traps of their names."""

from collections.abc import Callable, Iterator
from datetime import date
from math import floor, log10

from mmflow_mcp.sim.coins import find_thing
from mmflow_mcp.sim.expiries import expiry_of
from mmflow_mcp.sim.shapes import Listing


def _spot(
    venue: str,
    symbol: str,
    coin: str,
    quote: str,
    *,
    asset: str = "crypto",
    status: str = "live",
) -> Listing:
    magnitude = floor(log10(find_thing(asset, coin).price))
    digits, sizes = max(2, 5 - magnitude), min(8, max(2, magnitude + 3))
    return Listing(
        venue, symbol, coin, quote, "spot", "linear", digits, sizes, asset=asset, status=status
    )


_COINBASE = """
BTC ETH SOL XRP DOGE ADA AVAX LINK LTC BCH DOT UNI AAVE SUI APT NEAR HYPE PEPE SHIB BONK 1INCH
USDT
"""


def list_coinbase(_: list[date]) -> Iterator[Listing]:
    """US dollars first; BTC and ETH in USDT beside them; FTM has gone."""
    for coin in _COINBASE.split():
        yield _spot("coinbase", f"{coin}-USD", coin, "USD")
    for coin in ("BTC", "ETH"):
        yield _spot("coinbase", f"{coin}-USDT", coin, "USDT")
    yield _spot("coinbase", "FTM-USD", "FTM", "USD", status="delisted")


KRAKEN_BASES = {"BTC": "XBT", "DOGE": "XDG", "LUNC": "LUNA", "LUNA": "LUNA2"}
"""What kraken calls a coin otherwise; LUNA is the old chain there."""

_KRAKEN_KEYS = {
    "BTC": "XXBTZUSD", "ETH": "XETHZUSD", "XRP": "XXRPZUSD", "LTC": "XLTCZUSD", "ZEC": "XZECZUSD",
    "ETC": "XETCZUSD", "USDT": "USDTZUSD",
}  # fmt: skip
_KRAKEN = "SOL DOGE ADA AVAX LINK DOT UNI SUI PEPE SHIB LUNC LUNA 1INCH"


_KRAKEN_PERPS = "BTC ETH SOL XRP DOGE ADA AVAX LINK LTC BCH DOT UNI SUI PEPE HYPE ZEC"


def _perp(
    symbol: str,
    coin: str,
    *,
    inverse: bool = False,
    asset: str = "crypto",
    status: str = "live",
    expiry: date | None = None,
) -> Listing:
    """A contract of kraken's futures: of a coin (PF), or of a dollar (PI, FI)."""
    magnitude = floor(log10(find_thing(asset, coin).price))
    return Listing(
        "kraken", symbol, coin, "USD", "perp" if expiry is None else "future",
        "inverse" if inverse else "linear", max(2, 5 - magnitude),
        0 if inverse else min(4, max(0, magnitude)), asset=asset, status=status, period_hours=1,
        paid_hours=1, expiry_ms=None if expiry is None else expiry_of(expiry),
    )  # fmt: skip


def _list_kraken_futures(quarters: list[date]) -> Iterator[Listing]:
    """Linear perpetuals, four inverse ones, dated ones, a tokenised stock and a currency."""
    for coin in _KRAKEN_PERPS.split():
        yield _perp(f"PF_{'XBT' if coin == 'BTC' else coin}USD", coin)
    for coin in ("BTC", "ETH", "XRP", "LTC"):
        yield _perp(f"PI_{'XBT' if coin == 'BTC' else coin}USD", coin, inverse=True)
    for day in quarters:
        yield _perp(f"FI_XBTUSD_{day:%y%m%d}", "BTC", inverse=True, expiry=day)
    yield _perp("PF_TSLAxUSD", "TSLA", asset="stock")
    yield _perp("PF_EURUSD", "EURUSD", asset="forex")
    yield _perp("PF_FTMUSD", "FTM", status="delisted")


def list_kraken(quarters: list[date]) -> Iterator[Listing]:
    """Keys with X and Z for the old assets; a tokenised stock; FTM may only be cancelled."""
    yield from _list_kraken_futures(quarters)
    for coin, key in _KRAKEN_KEYS.items():
        yield _spot("kraken", key, coin, "USD")
    for coin in _KRAKEN.split():
        yield _spot("kraken", f"{KRAKEN_BASES.get(coin, coin)}USD", coin, "USD")
    yield _spot("kraken", "XBTUSDT", "BTC", "USDT")
    yield _spot("kraken", "NVDAxUSD", "NVDA", "USD", asset="stock")
    yield _spot("kraken", "FTMUSD", "FTM", "USD", status="delisted")


BITFINEX_BASES = {"USDT": "UST", "LUNC": "LUNA", "LUNA": "LUNA2"}
"""What bitfinex calls a coin otherwise."""

_BITFINEX = """
BTC ETH SOL XRP ADA LTC DOT UNI ZEC DOGE LINK AVAX PEPE SHIB AAVE LUNC LUNA 1INCH USDT
"""


def list_bitfinex(_: list[date]) -> Iterator[Listing]:
    """Bases of more than three letters take a colon; tether is UST."""
    for coin in _BITFINEX.split():
        base = BITFINEX_BASES.get(coin, coin)
        yield _spot("bitfinex", f"t{base}{':' * (len(base) > 3)}USD", coin, "USD")
    yield _spot("bitfinex", "tBTCUST", "BTC", "USDT")
    yield _spot("bitfinex", "tETHUST", "ETH", "USDT")


SPOT_LISTERS: dict[str, Callable[[list[date]], Iterator[Listing]]] = {
    "coinbase": list_coinbase,
    "bitfinex": list_bitfinex,
}
"""The simulated venues without perpetuals."""
