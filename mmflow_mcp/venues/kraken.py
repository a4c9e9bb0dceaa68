"""Kraken: spot in US dollars; perpetuals in `kraken_futures`.

https://docs.kraken.com/api/docs/rest-api/get-ticker-information

One request brings the tickers of all coins asked for. A pair has three names (XXBTZUSD, XBTUSD,
XBT/USD), and an answer may come under another one than was asked. `o` of a ticker is the price at
00:00 UTC: what it was 24 h ago is read from 5-minute candles, one request a coin in half a day.
"""

import re
from bisect import bisect_right
from functools import cache
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, HOUR, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.fields import each, member, number
from mmflow_mcp.venues.kraken_candles import BOOKS, CANDLES
from mmflow_mcp.venues.kraken_futures import (
    FUTURES_HOST,
    ask_funding,
    ask_funding_past,
    ask_interest_past,
    ask_open_interest,
    ask_perpetuals,
    futures_refusal,
)
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.pairs import (
    USD_FIRST,
    Pair,
    choose,
    guess,
    main_pairs,
    pair_of,
    read_each,
    spot_row,
)
from mmflow_mcp.venues.traded import spot_of

HOST = "api.kraken.com"
API = f"https://{HOST}/0/public"
PAIRS = get(f"{API}/AssetPairs", fresh=DAY, reference=True, optional=True)
# The last 720 candles of 5 minutes are 60 hours: an answer of this morning still holds the price
# 24 h before this evening.
CANDLE_S = 300

# Kraken's own names. LUNA is the old chain there, LUNA2 (renamed everywhere) the new one.
_RENAMED = {"XDG": "DOGE", "LUNA": "LUNC", "UST": "USTC", "REPV2": "REP", "REP": "REPV1"}

Row = dict[str, Any]


@cache
def tickers(symbols: tuple[str, ...]) -> Call:
    """The tickers of several pairs in one answer."""
    return get(f"{API}/Ticker", {"pair": ",".join(symbols)}, fresh=5)


@cache
def ticker(symbol: str) -> Call:
    """The ticker of one pair, for when the venue refuses several."""
    return get(f"{API}/Ticker", {"pair": symbol}, fresh=5, optional=True)


@cache
def candles(symbol: str) -> Call:
    """The last 60 hours in candles of 5 minutes; only a look back needs them."""
    return Call(
        f"{API}/OHLC?pair={symbol}&interval={CANDLE_S // 60}",
        fresh=12 * HOUR,
        label="OHLC",
        reference=True,
        optional=True,
    )


class Kraken(Venue):
    """Kraken: spot, and perpetuals in dollars."""

    id = "kraken"
    name = "Kraken"
    kind = "cex"
    aliases = ("KRAKEN_SPOT", "KRAKEN_FUTURES", "Kraken Derivatives", "Crypto Facilities")
    hosts = (HOST, FUTURES_HOST)
    # Spot is not published: about 30 in a burst and one a second were measured.
    meters = (Meter((HOST,), 30, 30), Meter((FUTURES_HOST,), 500, 10))
    data_source = "Kraken and Kraken Futures public REST"
    docs = "https://docs.kraken.com/api/"
    notes = (
        "Spot in USD. The 24 h change is from the venue's 5-minute candles.",
        "Candles and books are of spot; candles reach 720 intervals back.",
        "Funding is hourly and fixed for the running hour, told in money and divided by the index.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors come with HTTP 200 in a list; the throttle does too."""
        said = _ERROR.search(body[:300]) if status in (200, 429, 500, 503) else None
        return _refused(said[1].decode()) if said else futures_refusal(body)

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Linear and inverse perpetuals of each coin, summed; one request."""
        return await ask_open_interest(ask)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The hourly rate of each coin's main perpetual, one request."""
        return await ask_funding(ask)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """The hours of the coin's main perpetual, in the last year."""
        return await ask_funding_past(ask)

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """The linear and the inverse perpetual of the coin, summed."""
        return await ask_interest_past(ask)

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """The main dollar market of each coin asked for.

        `ask.options["change"]` False: without the 24 h change, which needs candles of each.
        """
        chosen = await _ask_pairs(ask)
        told = await _ask_tickers(ask, [pair.symbol for pair in chosen]) if chosen else {}

        def read(pair: Pair) -> SpotRow | None:
            wire, past = told[pair.symbol]
            return read_ticker(wire, pair, past) if wire else None

        return read_each(ask, chosen, read)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main dollar market, the newest 720 of an interval."""
        return await ask_candles(ask, map(spot_of, await _ask_pairs(ask)), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """The order book of each coin's main dollar market, 500 levels a side."""
        return await ask_books(ask, map(spot_of, await _ask_pairs(ask)), BOOKS)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every pair and perpetual that trades."""
        rows, bad = (await ask.get(PAIRS)).parsed(parse_markets)
        ask.unread(bad)
        try:
            return [*await ask_perpetuals(ask), *rows]
        except VenueError as error:
            ask.short(f"{error.reason} (futures/tickers)")
            return rows


async def _ask_pairs(ask: Ask) -> list[Pair]:
    """The main dollar market of each coin asked for."""
    (listed,) = await ask.all(PAIRS)
    if listed:
        pairs, bad = listed.parsed(parse_pairs)
        ask.unread(bad)
    else:
        pairs = {coin: _usual(coin) for coin in guess(ask, "{}", "USD")}
    return choose(ask, pairs)


async def _ask_tickers(ask: Ask, names: list[str]) -> dict[str, tuple[Wire, Wire]]:
    """Ticker and candles of each pair; one pair that has gone makes the venue refuse them all."""
    past = [*map(candles, names)] if ask.options.get("change", True) else []
    try:
        wire, *before = await ask.all(tickers(tuple(names)), *past)
        wires = [wire] * len(names)
    except (Unrecorded, VenueRejected):
        if len(names) == 1:
            raise
        both = await ask.all(*map(ticker, names), *past)
        wires, before = both[: len(names)], both[len(names) :]
        if not any(wires):
            raise
    before = before or [NOTHING] * len(names)
    return dict(zip(names, zip(wires, before, strict=True), strict=True))


def _usual(coin: str) -> Pair:
    """The usual pair of a coin, while the list of pairs cannot be had."""
    base = {"BTC": "XBT", "DOGE": "XDG"}.get(coin, coin)
    return Pair(f"{base}USD", coin, 1, "USD", f"X{base}ZUSD")


_ERROR = re.compile(rb'"error"\s*:\s*\[\s*"(E[A-Za-z]*:[A-Za-z0-9 _]{0,80})')


def _refused(said: str) -> VenueError:
    low = said.lower()
    if "too many" in low or "rate limit" in low or "lockout" in low:
        return VenueRateLimited(200, said)
    if low.startswith(("eservice", "egeneral:internal")):
        return VenueHttp(503, said)
    if "unknown asset pair" in low:
        return VenueRejected("rejected: the venue knows no such pair")
    return VenueRejected(f"rejected: {said}")


def _listed(wire: Wire) -> list[tuple[str, Row]]:
    result = member(wire.doc, "result")
    rows = [] if not isinstance(result, dict) else list(result.items())
    pairs = [(key, row) for key, row in rows if isinstance(row, dict)]
    if not pairs:
        raise VenueChanged("changed: there are no pairs in the list of pairs")
    return pairs


def _read_pair(entry: tuple[str, Row]) -> tuple[Pair | None, str] | None:
    """A pair that trades, with its readable name; the pair is None where it is about no coin.

    Lists of 2018 have no status, dark pools (`.d`) no readable name. Tokenised stocks are of
    another class.
    """
    key, row = entry
    if row.get("status", "online") != "online" or not row.get("wsname"):
        return None
    base, quote = row["wsname"].split("/")
    if row.get("aclass_base", "currency") != "currency":
        return None, row["wsname"]
    return pair_of(key, _RENAMED.get(base, base), quote, row["altname"]), row["wsname"]


def parse_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The pair that speaks for each coin, by coin."""
    found, bad = each(_listed(wire), _read_pair)
    return main_pairs((pair for pair, _ in found if pair), USD_FIRST), bad


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The pairs that trade; `coin` is null for stocks and money."""

    def read(entry: tuple[str, Row]) -> MarketRow | None:
        known = _read_pair(entry)
        if known is None:
            return None
        coin = known[0].coin if known[0] else None
        return MarketRow("kraken", entry[0], coin, "spot", f"{known[1]} spot")

    return each(_listed(wire), read)


def find_row(wire: Wire, pair: Pair) -> Row | None:
    """The ticker of a pair: it may come under another name than was asked."""
    rows = member(wire.doc, "result")
    for name in (pair.symbol, pair.alias):
        if name in rows:
            row: Row = rows[name]
            return row
    return None


def read_ticker(wire: Wire, pair: Pair, past: Wire) -> SpotRow | None:
    """Index 1 of `v` is of 24 h, index 0 since 00:00 UTC; `o` is the price at 00:00 UTC."""
    row = find_row(wire, pair)
    if row is None:
        return None
    before = price_at(past, wire.fetched_at - DAY_MS) if past else None
    return spot_row(
        "kraken",
        pair,
        wire.fetched_at,
        last=row["c"][0],
        bid=row["b"][0],
        ask=row["a"][0],
        volume=row["v"][1],
        before=before,
    )


def parse_candles(wire: Wire) -> tuple[list[int], list[float]]:
    """Times (epoch s, ascending) and opening prices of candles, whatever the pair is called."""
    result = member(wire.doc, "result")
    (rows,) = (value for value in result.values() if isinstance(value, list))
    found, _ = each(rows, lambda row: (int(row[0]), number(row[1])))
    found.sort()
    return [at for at, _ in found], [opened for _, opened in found]


def price_at(wire: Wire, at_ms: int) -> float | None:
    """The opening price of the candle that holds a moment; None where there is none."""
    try:
        times, opened = wire.parsed(parse_candles)
    except (VenueError, ValueError, TypeError, AttributeError):
        return None
    i = bisect_right(times, at_ms // 1000) - 1
    return opened[i] if i >= 0 and at_ms // 1000 - times[i] < CANDLE_S else None
