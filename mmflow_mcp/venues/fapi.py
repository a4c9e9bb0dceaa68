"""The wire grammar of Binance's futures, which Aster speaks too: calls, contracts, quotes.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data

A venue has one or more lines (USD-M, COIN-M): a host with a list of contracts (`exchangeInfo`), a
bulk answer of marks and rates (`premiumIndex`), periods (`fundingInfo`), and open interest one
symbol at a time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueError,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.upstream.wire import DAY, HOUR, Call, Wire, get
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import each, member, positive
from mmflow_mcp.venues.namesakes import is_surely_coin

# What a linear contract may be quoted in. One quoted in a coin (ETHBTC) is not worth USD.
DOLLARS = frozenset({"USDT", "USDC", "USD", "USD1", "FDUSD", "BUSD"})

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One product line of a venue.

    `is_coin`: whether a row of the list of contracts is about a coin. `read`: the row as a live
    crypto perpetual worth USD, None for anything else.
    `guess`: a contract from its symbol alone, while that list cannot be had.
    `usual`: what the symbol of a coin's usual perpetual looks like, `{}` standing for the coin.
    `steady`: symbols that have been settled every 8 hours ever since, so that no list is needed.
    `assume`: hours of the period of a perpetual that `fundingInfo` does not name, from its row of
    `premiumIndex`; None where that is unknown. `aligned`: whether settlements of a period of H
    hours fall on multiples of H hours of the UTC day.
    """

    api: str
    is_coin: Callable[[Row], bool]
    read: Callable[[Row], Contract | None]
    guess: Callable[[str], Contract | None]
    assume: Callable[[Row], float | None]
    aligned: bool
    premium_weight: float
    usual: str = "{}USDT"
    prefix: str = ""
    steady: frozenset[str] = frozenset()


@cache
def exchange_info(line: Line, *, required: bool = False) -> Call:
    """The list of contracts; it changes by the day."""
    return get(
        f"{line.api}/exchangeInfo",
        fresh=DAY,
        label=f"{line.prefix}exchangeInfo",
        reference=True,
        optional=not required,
    )


@cache
def premium_index(line: Line, symbol: str = "", *, optional: bool = False) -> Call:
    """Mark price and running funding rate, of all contracts or of one."""
    return get(
        f"{line.api}/premiumIndex",
        {"symbol": symbol} if symbol else None,
        fresh=5,
        weight=line.premium_weight if not symbol or line.prefix else 1,
        label=f"{line.prefix}premiumIndex",
        optional=optional,
    )


@cache
def forms_of(line: Line, symbol: str) -> tuple[Call, ...]:
    """The quote of one contract; COIN-M is also asked by the pair, dated contracts and all."""
    pair = symbol.removesuffix("_PERP")
    single = premium_index(line, symbol)
    if pair == symbol:
        return (single,)
    return single, replace(single, url=single.url.replace(f"symbol={symbol}", f"pair={pair}"))


# Coins whose perpetuals are units of a thousand coins on every line that has them.
_THOUSANDS = frozenset("PEPE SHIB BONK FLOKI LUNC XEC SATS RATS CHEEMS".split())  # noqa: SIM905
# What every line has had from the start: a list or an answer without them is an excerpt.
ALWAYS = ("BTC", "ETH")


def usual_of(line: Line, coin: str) -> Contract | None:
    """The usual perpetual of a coin from its symbol alone; None where that is not sure."""
    return line.guess(line.usual.format(f"1000{coin}" if coin in _THOUSANDS else coin))


@cache
def funding_info(line: Line) -> Call:
    """Funding periods. Venues shorten and lengthen them without notice: known for an hour."""
    return get(
        f"{line.api}/fundingInfo",
        fresh=HOUR,
        label=f"{line.prefix}fundingInfo",
        reference=True,
        optional=True,
    )


@cache
def held_of(line: Line, symbol: str) -> Call:
    """Open interest of one contract: coins of the base asset (linear) or contracts (inverse)."""
    return get(
        f"{line.api}/openInterest",
        {"symbol": symbol},
        fresh=5,
        label=f"{line.prefix}openInterest",
        optional=True,
    )


@cache
def day_tickers(line: Line) -> Call:
    """24 h volumes, used only to rank coins: they support an answer and are not named in it."""
    return get(f"{line.api}/ticker/24hr", fresh=600, weight=40, label="ticker/24hr", reference=True)


_CODE = re.compile(rb'"code"\s*:\s*(-\d{3,5})\b')
_MEANINGS = {
    b"-1121": "the venue knows no such symbol",
    b"-4108": "the contract does not trade",
}
_BANNED = re.compile(rb"banned until (\d{13})")


def refused(status: int, body: bytes) -> VenueError | None:
    """The error envelope `{"code":-1121,"msg":"..."}` of a 4xx, and bans that tell their end.

    418 and 429 that tell no end are left to be read with their Retry-After.
    """
    if status < 400:
        return None
    if b"restricted location" in body[:400]:
        return VenueBlocked(f"geo: http {status}, the venue does not serve this location")
    banned = _BANNED.search(body[:400])
    if banned:
        return _banned(status, int(banned[1]))
    code = _CODE.search(body[:400])
    if code is None or status >= 500 or status in (403, 418, 429):
        return None
    if code[1] == b"-1003":
        return VenueRateLimited(status, "code -1003, too many requests")
    said = _MEANINGS.get(code[1], "the venue rejected the request")
    return VenueRejected(f"rejected: {said} (code {code[1].decode()})")


def _banned(status: int, until_ms: int) -> VenueError | None:
    # The end of a ban is a wall time of the venue, and what has ended is no longer a ban.
    left = (until_ms - SystemClock().now_ms()) / 1000
    if left <= 0:
        return None
    until = datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
    return VenueRateLimited(status, f"banned until {until}", retry_after=left)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of contracts as it was read; `symbols` is everything it names, whatever it is."""

    contracts: dict[str, Contract]
    symbols: frozenset[str]
    bad: int


def parse_contracts(listed: Wire, line: Line) -> Listed:
    """The live crypto perpetuals of a list of contracts."""
    rows = member(listed.doc, "symbols")
    found, bad = each(rows, line.read)
    named = frozenset(str(row.get("symbol")) for row in rows if isinstance(row, dict))
    return Listed({c.symbol: c for c in found}, named, bad)


def parse_quotes(quoted: Wire) -> dict[str, Row]:
    """The rows of `premiumIndex` by symbol; one contract asked for may come without its list."""
    rows = [quoted.doc] if isinstance(quoted.doc, dict) else quoted.doc

    def read(row: Row) -> tuple[str, Row]:
        if not isinstance(row["symbol"], str):
            msg = "not a symbol"
            raise TypeError(msg)
        return row["symbol"], row

    return dict(each(rows, read)[0])


def parse_periods(periods: Wire) -> dict[str, float | None]:
    """Hours by symbol; None where the list names a symbol and its hours cannot be read."""

    def read(row: Row) -> tuple[str, float | None]:
        try:
            return row["symbol"], positive(row["fundingIntervalHours"])
        except (KeyError, TypeError, ValueError):
            return row["symbol"], None

    return dict(each(periods.doc, read)[0])


_PERPETUALS = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"})


def parse_markets(listed: Wire, line: Line, venue: str) -> tuple[list[MarketRow], int]:
    """Every contract that trades; `coin` only where a coin is what it is about."""

    def read(row: Row) -> MarketRow | None:
        if status_of(row) != "TRADING":
            return None
        kind = "perp" if row["contractType"] in _PERPETUALS else "future"
        coin = canonical(base_of(row))[0] if line.is_coin(row) else None
        label = f"{base_of(row)}/{row['quoteAsset']} {row['contractType'].lower()}"
        return MarketRow(venue, row["symbol"], coin, kind, label)

    return each(member(listed.doc, "symbols"), read)


def read_linear(row: Row, is_coin: Callable[[Row], bool]) -> Contract | None:
    """A linear perpetual of a coin, quoted in dollars; contracts are units of the base asset."""
    if row["contractType"] != "PERPETUAL" or status_of(row) != "TRADING" or not is_coin(row):
        return None
    quote = row["quoteAsset"]
    if quote not in DOLLARS:
        return None
    if row.get("marginAsset") == row["baseAsset"]:
        msg = "margined in the coin: its contract size is not known"
        raise ValueError(msg)
    coin, multiplier = canonical(base_of(row))
    return Contract(row["symbol"], coin, multiplier, quote)


def guess_linear(symbol: str, shape: re.Pattern[str]) -> Contract | None:
    """A linear perpetual from its symbol alone: base and quote are the groups of `shape`."""
    parts = shape.match(symbol)
    if not parts:
        return None
    coin, multiplier = canonical(parts[1])
    return Contract(symbol, coin, multiplier, parts[2]) if is_surely_coin(coin) else None


def status_of(row: Row) -> str:
    """The state of a contract; COIN-M calls the field contractStatus."""
    status: str = row["status"] if "status" in row else row["contractStatus"]
    return status


def base_of(row: Row) -> str:
    """The base asset, which names the coin and its multiplier."""
    base = row["baseAsset"]
    if not isinstance(base, str) or not base:
        msg = "no base asset"
        raise ValueError(msg)
    if not row["symbol"].startswith(base):
        # An example of the documentation has DOGEUSDT with the base BLZ.
        msg = "the symbol is not that of the base asset"
        raise ValueError(msg)
    return base
