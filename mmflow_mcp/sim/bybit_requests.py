"""What requests to the simulated bybit say, and how they are refused."""

from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimRequest


class Refused(Exception):
    """What bybit answers with a retCode instead of a result."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def read_category(request: SimRequest, *fitting: str) -> str:
    """The category asked for."""
    named = request.query.get("category", "")
    if named not in fitting:
        raise Refused(10001, "params error: Category is invalid")
    return named


def read_whole(request: SimRequest, name: str, default: int) -> int:
    """A whole number of the query."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise Refused(10001, f"params error: {name} is invalid")
    return int(text)


def _belongs(listing: Listing) -> str:
    if listing.kind == "spot":
        return "spot"
    return listing.margin


def list_contracts(market: Market, category: str, now_ms: int) -> list[Listing]:
    """What is listed in a category, by symbol."""
    found = (i for i in market.listings("bybit", now_ms) if _belongs(i) == category)
    return sorted(found, key=lambda i: i.symbol)


def find_listing(market: Market, request: SimRequest, category: str) -> Listing:
    """The contract that a request names."""
    symbol = request.query.get("symbol", "")
    if not symbol:
        raise Refused(10001, "params error: symbol is required")
    for listing in list_contracts(market, category, request.now_ms):
        if listing.symbol == symbol and listing.status != "delisted":
            return listing
    raise Refused(10001, "Not supported symbols")
