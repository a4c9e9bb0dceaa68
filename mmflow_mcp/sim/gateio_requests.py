"""What requests to the simulated gate say, how they are refused, and how numbers are spelled."""

from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimRequest, fixed

SETTLED_IN = {"usdt": "USDT", "btc": "USD", "usd1": "USD1"}
INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400}


class Refused(Exception):
    """What gate answers with an HTTP status, a label and a message."""

    def __init__(self, label: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.label = label
        self.status = status


def read_whole(request: SimRequest, name: str, default: int, most: int | None = None) -> int:
    """A whole number of the query."""
    text = request.query.get(name, "")
    fits = not text or (text.isdecimal() and (most is None or 0 < int(text) <= most))
    if not fits:
        raise Refused("INVALID_PARAM_VALUE", f"Invalid value for {name}")
    return int(text) if text else default


def list_contracts(market: Market, settle: str, now_ms: int) -> list[Listing]:
    """The perpetuals of a settlement currency."""
    quote = SETTLED_IN[settle]
    return [i for i in market.listings("gateio", now_ms) if i.kind == "perp" and i.quote == quote]


def find_listing(market: Market, settle: str, name: str, now_ms: int) -> Listing:
    """A perpetual by its name."""
    for listing in list_contracts(market, settle, now_ms):
        if listing.symbol == name:
            return listing
    raise Refused("CONTRACT_NOT_FOUND", f"contract {name} not found")


def find_asked(market: Market, settle: str, request: SimRequest) -> Listing:
    """The perpetual that a request names."""
    name = request.query.get("contract", "")
    if not name:
        raise Refused("MISSING_REQUIRED_PARAM", "Missing required parameter: contract")
    return find_listing(market, settle, name, request.now_ms)


def say(value: float, digits: int) -> str:
    """A price without needless zeros."""
    text = fixed(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float) -> int | float:
    """A number of contracts, whole unless the contract has decimal sizes."""
    return int(value) if value == int(value) else value
