"""What every simulated venue lists, with the traps that real venues set for parsers."""

from collections.abc import Callable, Iterator
from datetime import date
from math import floor, log10

from mmflow_mcp.sim.coins import COINS, find_thing
from mmflow_mcp.sim.expiries import expiry_of, written_day
from mmflow_mcp.sim.shapes import Listing
from mmflow_mcp.sim.spot_listings import list_kraken


def _words(text: str) -> list[str]:
    return text.split()


_KILO = {"PEPE": 1000, "SHIB": 1000, "BONK": 1000, "FLOKI": 1000, "LUNC": 1000}
_MAJORS = frozenset(_words("BTC ETH SOL XRP DOGE BNB ADA LTC BCH LINK USDC"))
_ORDER = {ticker: number for number, ticker in enumerate(COINS)}
_MONTH_CODES = "FGHJKMNQUVXZ"


def _universe(*absent: str) -> tuple[str, ...]:
    return tuple(
        ticker for ticker in COINS if ticker not in {*absent, "USDC", "USDT", "FTM", "PURR"}
    )


_EXOTIC = ("币安人生", "龙虾")
_UNIVERSE = {
    "hyperliquid": _universe(
        *_EXOTIC, "MOG", "BABYDOGE", "SATS", "BB", "WEN", "QNT", "1INCH", "C98", "LUNA"
    ),
    "binance": _universe("BB", "WEN", "龙虾"),
    "bybit": _universe("WEN", "MOVE", *_EXOTIC),
    "okx": _universe("BB", "MOG", "KAS", "2Z", "C98", "WEN", *_EXOTIC),
    "aster": _universe(
        "QNT", "BB", "WEN", "MOG", "BABYDOGE", "SATS", "LUNA", "LUNC", "C98", "龙虾"
    ),
    "lighter": _universe(
        *_EXOTIC, "BB", "WEN", "QNT", "MOG", "BABYDOGE", "SATS", "LUNA", "LUNC", "C98", "1INCH"
    ),
    "gateio": _universe("MOVE", "QNT", "币安人生"),
}
_INVERSE = {
    "binance": _words("BTC ETH SOL XRP DOGE BNB LINK"),
    "bybit": _words("BTC ETH SOL XRP"),
    "okx": _words("BTC ETH SOL XRP DOGE LTC"),
    "gateio": ["BTC"],
    "deribit": ["BTC", "ETH"],
}
_OKX_SIZE = {"BTC": 0.01, "ETH": 0.1, "BNB": 0.01, "BCH": 0.1, "TAO": 0.01, "ZEC": 0.1}
_DERIBIT_SIZE = {
    "BTC": 0.0001, "ETH": 0.001, "SOL": 0.1, "XRP": 1.0, "DOGE": 1.0, "BNB": 0.001, "ADA": 1.0,
    "AVAX": 0.1, "LINK": 0.1, "LTC": 0.01, "DOT": 0.1, "UNI": 0.1, "TRX": 1.0, "NEAR": 0.1,
}  # fmt: skip


def _magnitude(price: float) -> int:
    return floor(log10(price))


def _digits(price: float) -> int:
    """Decimals of a price that keep six or seven significant digits."""
    return max(1, 5 - _magnitude(price))


def _size_digits(price: float) -> int:
    return min(4, max(0, _magnitude(price) - 1))


def _round_size(price: float, usd: float) -> float:
    """The power of ten of coins that is worth about that many USD."""
    return float(f"1e{_magnitude(usd / price)}")


def _period(venue: str, coin: str) -> int:
    """Funding periods differ by symbol and by venue: 8 h for the majors, else 8, 4, 2 or 1."""
    if venue == "hyperliquid":
        return 1
    if venue in ("lighter", "deribit") or coin in _MAJORS:
        return 8
    shift = sum(map(ord, venue))
    return (8, 4, 4, 1, 8, 4, 2)[(_ORDER.get(coin, len(coin)) + shift) % 7]


def _listing(
    venue: str,
    symbol: str,
    coin: str,
    quote: str,
    *,
    kind: str = "perp",
    margin: str = "linear",
    multiplier: int = 1,
    contract_size: float = 1.0,
    asset: str = "crypto",
    status: str = "live",
    expiry: date | None = None,
) -> Listing:
    price = find_thing(asset, coin).price * multiplier
    digits, sizes = _digits(price), _size_digits(price)
    if venue == "hyperliquid":
        sizes = min(5, max(0, _magnitude(price) + 1))
        digits = max(1, min(4 - _magnitude(price), (6 if kind == "perp" else 8) - sizes))
    if venue in ("binance", "aster", "bybit"):
        digits = min(digits, 8)
    if contract_size != 1.0 or margin == "inverse":
        sizes = 0
    period = _period(venue, coin)
    return Listing(
        venue, symbol, coin, quote, kind, margin, digits, sizes, multiplier, contract_size,
        asset, status, period, 1 if venue == "lighter" else period,
        None if expiry is None else expiry_of(expiry),
    )  # fmt: skip


def list_hyperliquid(_: list[date]) -> Iterator[Listing]:
    """Core perpetuals, one HIP-3 dex of stocks, spot under @numbers (see sim/hyperliquid.py)."""
    for coin in (*_UNIVERSE["hyperliquid"], "FTM"):
        many = _KILO.get(coin, 1)
        yield _listing(
            "hyperliquid", coin if many == 1 else f"k{coin}", coin, "USDC", multiplier=many,
            status="delisted" if coin == "FTM" else "live",
        )  # fmt: skip
    for asset, ticker in _tradfi("TSLA NVDA AAPL MSTR BB WEN", "XAU CL", "EURUSD", "SPX500"):
        yield _listing("hyperliquid", f"xyz:{ticker}", ticker, "USDC", asset=asset)
    yield _listing("hyperliquid", "PURR/USDC", "PURR", "USDC", kind="spot")
    for number, coin in ((107, "HYPE"), (142, "BTC"), (151, "ETH"), (156, "SOL"), (188, "PUMP")):
        yield _listing("hyperliquid", f"@{number}", coin, "USDC", kind="spot")


def _tradfi(
    stocks: str, commodities: str = "", forex: str = "", index: str = ""
) -> list[tuple[str, str]]:
    named = {"stock": stocks, "commodity": commodities, "forex": forex, "index": index}
    return [(asset, ticker) for asset, text in named.items() for ticker in _words(text)]


def _name_binance(coin: str) -> tuple[str, int]:
    if coin == "LUNA":
        return "LUNA2", 1
    many = {**_KILO, "SATS": 1000, "MOG": 1_000_000, "BABYDOGE": 1_000_000}.get(coin, 1)
    return {"MOG": "1000000MOG", "BABYDOGE": "1MBABYDOGE"}.get(
        coin, coin if many == 1 else f"{many}{coin}"
    ), many


def list_binance(quarters: list[date]) -> Iterator[Listing]:
    """USD-M and COIN-M perpetuals, quarterlies, TRADIFI perpetuals, a few spot pairs."""
    for coin in (*_UNIVERSE["binance"], "USDC", "FTM"):
        name, many = _name_binance(coin)
        status = "delisted" if coin == "FTM" else "live"
        yield _listing("binance", f"{name}USDT", coin, "USDT", multiplier=many, status=status)
    for coin in _words("BTC ETH SOL XRP DOGE BNB SUI PEPE"):
        name, many = _name_binance(coin)
        yield _listing("binance", f"{name}USDC", coin, "USDC", multiplier=many)
    for coin in _INVERSE["binance"]:
        size = 100.0 if coin == "BTC" else 10.0
        yield _listing(
            "binance", f"{coin}USD_PERP", coin, "USD", margin="inverse", contract_size=size
        )
    for day in quarters:
        for coin in ("BTC", "ETH"):
            size = 100.0 if coin == "BTC" else 10.0
            yield _listing(
                "binance", f"{coin}USDT_{day:%y%m%d}", coin, "USDT", kind="future", expiry=day
            )
            yield _listing(
                "binance", f"{coin}USD_{day:%y%m%d}", coin, "USD", kind="future",
                margin="inverse", contract_size=size, expiry=day,
            )  # fmt: skip
    for asset, ticker in _tradfi("TSLA NVDA MSTR COIN BB", "XAU XAG"):
        yield _listing("binance", f"{ticker}USDT", ticker, "USDT", asset=asset)
    yield _listing("binance", "WENUSDT", "WEN", "USDT", status="prelaunch")
    for coin in _UNIVERSE["binance"]:
        if coin not in ("HYPE", "KAS", "MOG", "BABYDOGE", "币安人生"):
            name, many = ("1000SATS", 1000) if coin == "SATS" else (coin, 1)
            yield _listing("binance", f"{name}USDT", coin, "USDT", kind="spot", multiplier=many)


def _name_bybit(coin: str) -> tuple[str, int]:
    if coin == "LUNA":
        return "LUNA2", 1
    many = {**_KILO, "SATS": 10_000, "MOG": 1_000_000, "BABYDOGE": 1_000_000}.get(coin, 1)
    if coin == "SHIB":
        return "SHIB1000", many
    return (coin if many == 1 else f"{many}{coin}"), many


def list_bybit(quarters: list[date]) -> Iterator[Listing]:
    """Linear and inverse perpetuals, USDC perpetuals (BTCPERP), dated ones, stocks, spot."""
    for coin in (*_UNIVERSE["bybit"], "FTM"):
        name, many = _name_bybit(coin)
        status = "delisted" if coin == "FTM" else "live"
        yield _listing("bybit", f"{name}USDT", coin, "USDT", multiplier=many, status=status)
    for coin in _words("BTC ETH SOL XRP BONK"):
        name, many = _name_bybit(coin)
        yield _listing("bybit", f"{name}PERP", coin, "USDC", multiplier=many)
    for coin in _INVERSE["bybit"]:
        yield _listing("bybit", f"{coin}USD", coin, "USD", margin="inverse")
    for day in quarters:
        for coin in ("BTC", "ETH"):
            name = written_day(day)
            yield _listing("bybit", f"{coin}USDT-{name}", coin, "USDT", kind="future", expiry=day)
            yield _listing("bybit", f"{coin}-{name}", coin, "USDC", kind="future", expiry=day)
            yield _listing(
                "bybit", f"{coin}USD{_MONTH_CODES[day.month - 1]}{day:%y}", coin, "USD",
                kind="future", margin="inverse", expiry=day,
            )  # fmt: skip
    for asset, ticker in _tradfi("TSLA NVDA COIN MOVE", "XAU", "EURUSD"):
        yield _listing("bybit", f"{ticker}USDT", ticker, "USDT", asset=asset)
    yield _listing("bybit", "WENUSDT", "WEN", "USDT", status="prelaunch")
    for coin in _words("BTC ETH SOL XRP DOGE PEPE HYPE 1INCH"):
        yield _listing("bybit", f"{coin}USDT", coin, "USDT", kind="spot")


def list_okx(quarters: list[date]) -> Iterator[Listing]:
    """Swaps in contracts of ctVal coins (linear) or 100 / 10 USD (inverse), futures, spot."""
    for coin in (*_UNIVERSE["okx"], "FTM"):
        size = _OKX_SIZE.get(coin) or max(1.0, _round_size(COINS[coin].price, 300.0))
        yield _listing(
            "okx", f"{coin}-USDT-SWAP", coin, "USDT", contract_size=size,
            status="delisted" if coin == "FTM" else "live",
        )  # fmt: skip
    for coin, size in (("BTC", 0.0001), ("ETH", 0.001), ("SOL", 0.01)):
        yield _listing("okx", f"{coin}-USDC-SWAP", coin, "USDC", contract_size=size)
    for coin in _INVERSE["okx"]:
        size = 100.0 if coin == "BTC" else 10.0
        yield _listing("okx", f"{coin}-USD-SWAP", coin, "USD", margin="inverse", contract_size=size)
    for day in quarters:
        for coin in ("BTC", "ETH"):
            yield _listing(
                "okx", f"{coin}-USDT-{day:%y%m%d}", coin, "USDT", kind="future",
                contract_size=_OKX_SIZE[coin], expiry=day,
            )  # fmt: skip
            yield _listing(
                "okx", f"{coin}-USD-{day:%y%m%d}", coin, "USD", kind="future", margin="inverse",
                contract_size=100.0 if coin == "BTC" else 10.0, expiry=day,
            )  # fmt: skip
    for asset, ticker in _tradfi("TSLA NVDA BB", "XAU"):
        yield _listing("okx", f"{ticker}-USDT-SWAP", ticker, "USDT", asset=asset, contract_size=0.1)
    yield _listing("okx", "MOG-USDT-SWAP", "MOG", "USDT", contract_size=1e7, status="prelaunch")
    for coin in _words("BTC ETH SOL XRP DOGE PEPE HYPE 1INCH"):
        yield _listing("okx", f"{coin}-USDT", coin, "USDT", kind="spot")


def list_aster(_: list[date]) -> Iterator[Listing]:
    """Binance's grammar, all linear: USDT, USD and USD1 perpetuals, stocks among them."""
    kilo = dict.fromkeys(("PEPE", "SHIB", "BONK", "FLOKI"), 1000)
    for coin in (*_UNIVERSE["aster"], "FTM"):
        many = kilo.get(coin, 1)
        yield _listing(
            "aster", f"{coin if many == 1 else f'{many}{coin}'}USDT", coin, "USDT",
            multiplier=many, status="delisted" if coin == "FTM" else "live",
        )  # fmt: skip
    for coin in ("BTC", "ETH", "SOL"):
        yield _listing("aster", f"{coin}USD", coin, "USD")
    yield _listing("aster", "BTCUSD1", "BTC", "USD1")
    for asset, ticker in _tradfi("TSLA NVDA QNT", "XAU"):
        yield _listing("aster", f"{ticker}USDT", ticker, "USDT", asset=asset)
    yield _listing("aster", "CLUSD1", "CL", "USD1", asset="commodity")
    yield _listing("aster", "MOGUSDT", "MOG", "USDT", status="prelaunch")
    for coin in ("BTC", "ETH", "ASTER"):
        yield _listing("aster", f"{coin}USDT", coin, "USDT", kind="spot")


def list_lighter(_: list[date]) -> Iterator[Listing]:
    """Bare coins, ETH first (market 0) and BTC second; Wendy's, BlackBerry and Quantinuum."""
    kilo = dict.fromkeys(("PEPE", "SHIB", "BONK", "FLOKI"), 1000)
    rest = [coin for coin in _UNIVERSE["lighter"] if coin not in ("ETH", "BTC")]
    for coin in ("ETH", "BTC", *rest, "FTM"):
        many = kilo.get(coin, 1)
        yield _listing(
            "lighter", coin if many == 1 else f"{many}{coin}", coin, "USDC", multiplier=many,
            status="delisted" if coin == "FTM" else "live",
        )  # fmt: skip
    for asset, ticker in _tradfi("TSLA NVDA WEN BB QNT", "XAU", "EURUSD"):
        yield _listing("lighter", ticker, ticker, "USDC", asset=asset)
    for coin in ("ETH", "BTC", "HYPE"):
        yield _listing("lighter", f"{coin}/USDC", coin, "USDC", kind="spot")


def list_deribit(quarters: list[date]) -> Iterator[Listing]:
    """Inverse BTC and ETH, linear USDC perpetuals, futures; open interest is in contracts here."""
    for coin, size in (("BTC", 10.0), ("ETH", 1.0)):
        yield _listing(
            "deribit", f"{coin}-PERPETUAL", coin, "USD", margin="inverse", contract_size=size
        )
        for day in quarters:
            yield _listing(
                "deribit", f"{coin}-{written_day(day)}", coin, "USD", kind="future",
                margin="inverse", contract_size=size, expiry=day,
            )  # fmt: skip
    for coin, size in _DERIBIT_SIZE.items():
        yield _listing("deribit", f"{coin}_USDC-PERPETUAL", coin, "USDC", contract_size=size)
    for day in quarters[:1]:
        yield _listing(
            "deribit", f"SOL_USDC-{written_day(day)}", "SOL", "USDC", kind="future",
            contract_size=0.1, expiry=day,
        )  # fmt: skip
    for coin in ("BTC", "ETH", "SOL"):
        yield _listing("deribit", f"{coin}_USDC", coin, "USDC", kind="spot")


def list_gateio(_: list[date]) -> Iterator[Listing]:
    """USDT perpetuals in contracts of quanto_multiplier coins, BTC_USD inverse, BTC_USD1, spot."""
    for coin in (*_UNIVERSE["gateio"], "FTM"):
        size = {"BTC": 0.0001, "ETH": 0.01}.get(coin) or _round_size(COINS[coin].price, 30.0)
        yield _listing(
            "gateio", f"{coin}_USDT", coin, "USDT", contract_size=size,
            status="delisted" if coin == "FTM" else "live",
        )  # fmt: skip
    yield _listing("gateio", "BTC_USD", "BTC", "USD", margin="inverse")
    yield _listing("gateio", "BTC_USD1", "BTC", "USD1", contract_size=0.0001)
    for asset, ticker in _tradfi("TSLA NVDA MOVE", "XAU XAG", "EURUSD", "SPX500"):
        yield _listing("gateio", f"{ticker}_USDT", ticker, "USDT", asset=asset, contract_size=0.01)
    yield _listing("gateio", "QNT_USDT", "QNT", "USDT", contract_size=0.1, status="prelaunch")
    for coin in _words("BTC ETH SOL XRP DOGE PEPE HYPE 1INCH"):
        yield _listing("gateio", f"{coin}_USDT", coin, "USDT", kind="spot")


LISTERS: dict[str, Callable[[list[date]], Iterator[Listing]]] = {
    "hyperliquid": list_hyperliquid,
    "binance": list_binance,
    "bybit": list_bybit,
    "okx": list_okx,
    "aster": list_aster,
    "lighter": list_lighter,
    "deribit": list_deribit,
    "gateio": list_gateio,
    "kraken": list_kraken,
}
"""The venues of the simulated market; each lister takes the next two quarterly expiries."""
