"""Bitfinex: spot in US dollars, every ticker in one answer.

https://docs.bitfinex.com/reference/rest-public-tickers

Rows are arrays of numbers. Tether is UST, bases of more than three letters are set off by a colon,
and some coins have names of the venue's own, which it translates in a list of its own.
"""

import re
from typing import Any

from mmflow_mcp.errors import VenueError, VenueHttp, VenueRateLimited, VenueRejected
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import each, number_or_none
from mmflow_mcp.venues.pairs import (
    USD_FIRST,
    Pair,
    choose,
    main_pairs,
    pair_of,
    read_each,
    spot_row,
)

HOST = "api-pub.bitfinex.com"
API = f"https://{HOST}/v2"
TICKERS = get(f"{API}/tickers", {"symbols": "ALL"}, fresh=5)
NAMES = get(
    f"{API}/conf/pub:map:currency:sym", fresh=DAY, label="names", reference=True, optional=True
)

# What the venue calls otherwise than the rest; its own list comes on top where it can be had.
RENAMED = {
    "UST": "USDT", "UDC": "USDC", "TSD": "TUSD", "ALG": "ALGO", "AMP": "AMPL", "ATO": "ATOM",
    "BCHABC": "XEC", "BCHN": "BCH", "DAT": "DATA", "DOG": "MDOGE", "DSH": "DASH", "EUS": "EURS",
    "EUT": "EURT", "IOT": "IOTA", "IQX": "IQ", "LUNA": "LUNC", "LUNA2": "LUNA", "MNA": "MANA",
    "QTM": "QTUM", "RBT": "RBTC", "STJ": "STORJ", "TERRAUST": "USTC", "WAX": "WAXP", "YGG": "YEED",
}  # fmt: skip
_SYMBOL = re.compile(r"^t(?:([A-Z0-9]{3})|([A-Z0-9]+):)(USD|UST|UDC)$")
_FIELDS = 11


class Bitfinex(Venue):
    """Bitfinex, spot."""

    id = "bitfinex"
    name = "Bitfinex"
    kind = "cex"
    aliases = ("bitfinex2", "BITFINEX_SPOT")
    hosts = (HOST,)
    # 30 requests of tickers a minute; a breach blocks the address for 60 s.
    meters = (Meter((HOST,), 30, 60),)
    data_source = "Bitfinex public REST"
    docs = "https://docs.bitfinex.com/docs/rest-public"
    notes = ("Spot in USD. Tickers carry no time.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are `["error", code, text]` with HTTP 500, or an object for the rate."""
        if b"ERR_RATE_LIMIT" in body[:200] or _code(body) == 11010:
            return VenueRateLimited(max(status, 429), retry_after=60)
        code = _code(body)
        if code == 20060:
            return VenueHttp(503, "the venue is in maintenance")
        return None if code is None else VenueRejected(f"rejected: code {code}")

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """The main dollar market of each coin asked for; one request for all."""
        wire, names = await ask.all(TICKERS, NAMES)
        pairs, rows, bad = wire.parsed(parse_pairs, names)
        ask.unread(bad)
        return read_each(ask, choose(ask, pairs), lambda p: read_row(rows[p.symbol], p, wire))

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every dollar market of spot."""
        wire, names = await ask.all(TICKERS, NAMES)
        return wire.parsed(parse_markets, names)


_ERROR = re.compile(rb'^\s*\[\s*"error"\s*,\s*(\d{3,6})')


def _code(body: bytes) -> int | None:
    said = _ERROR.match(body[:100])
    return int(said[1]) if said else None


def read_names(wire: Wire) -> dict[str, str]:
    """The venue's names of currencies and what they are called elsewhere (UST -> USDT)."""
    known = dict(RENAMED)
    if wire:
        found, _ = each(wire.doc[0], lambda row: (str(row[0]), str(row[1]).upper()))
        known |= found
    return known


def _read_pair(symbol: str, names: dict[str, str]) -> Pair | None:
    """A dollar market of spot; perpetuals (F0), paper markets and money are none."""
    parts = _SYMBOL.match(symbol)
    if parts is None:
        return None
    base, quote = parts[1] or parts[2], names.get(parts[3], parts[3])
    base = names.get(base, base)
    if base.startswith("TEST") or base.endswith("F0"):
        return None
    return pair_of(symbol, base, quote)


def _rows(wire: Wire) -> tuple[dict[str, list[Any]], int]:
    """Tickers of trading pairs by symbol; rows of funding begin with `f`."""

    def read(row: list[Any]) -> tuple[str, list[Any]] | None:
        if not row[0].startswith("t"):
            return None
        if len(row) < _FIELDS:
            msg = "a ticker is short of fields"
            raise ValueError(msg)
        return row[0], row

    found, bad = each(wire.doc, read)
    return dict(found), bad


def parse_pairs(wire: Wire, names: Wire) -> tuple[dict[str, Pair], dict[str, list[Any]], int]:
    """The market that speaks for each coin, the tickers by symbol, and the bad rows."""
    rows, bad = _rows(wire)
    known = read_names(names)
    pairs = (_read_pair(symbol, known) for symbol in rows)
    return main_pairs((pair for pair in pairs if pair), USD_FIRST), rows, bad


def parse_markets(wire: Wire, names: Wire) -> list[MarketRow]:
    """The dollar markets of spot."""
    known = read_names(names)
    pairs = [_read_pair(symbol, known) for symbol in _rows(wire)[0]]
    return [
        MarketRow("bitfinex", p.symbol, p.coin, "spot", f"{p.coin}/{p.quote} spot")
        for p in pairs
        if p is not None
    ]


def read_row(row: list[Any], pair: Pair, wire: Wire) -> SpotRow:
    """[symbol, bid, size, ask, size, change, change as a fraction, last, volume in coins, ...]."""
    change = number_or_none(row[6])
    return spot_row(
        "bitfinex",
        pair,
        wire.fetched_at,
        last=row[7],
        bid=row[1],
        ask=row[3],
        volume=row[8],
        change=None if change is None else change * 100,
    )
