"""What spot venues share: one coin, its main dollar market, one price.

METHODS 7: the price is the last trade, unless that is known to be old or lies outside the book.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.fields import amount, number, number_or_none
from mmflow_mcp.venues.namesakes import is_surely_coin

# Which market speaks for a coin: a venue of dollars, and one of tethers.
USD_FIRST = ("USD", "USDT", "USDC")
USDT_FIRST = ("USDT", "USDC", "USD", "FDUSD")
DEFAULT_COINS = ("BTC", "ETH", "SOL")

MAX_AGE_MS = 90_000
# 10 bps, and what the last binary digit may add to them.
_OUTSIDE = 0.001 + 1e-12
# No coin is worth more than this in any dollar.
_MAX_PRICE = 1e9
_MAX_CHANGE = 1e6

# Bases that are money, not coins: EUR/USD at Kraken, EURUSDT at Binance.
_MONEY = frozenset(
    """
    USD EUR GBP JPY CHF CAD AUD NZD KRW CNY CNH HKD SGD INR TRY BRL ARS MXN COP CLP PEN PLN CZK HUF
    RON UAH RUB ZAR NGN AED ILS SEK NOK DKK THB IDR VND PHP KZT
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_LEVERAGED = re.compile(r"^[A-Z0-9]{2,}[2-5][LS]$")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A live spot market as the venue's own list describes it.

    `multiplier`: coins in one unit of the base (1000 for 1000SATS). `alias`: another name under
    which an answer may come.
    """

    symbol: str
    coin: str
    multiplier: int
    quote: str
    alias: str = ""


def pair_of(symbol: str, base: str, quote: str, alias: str = "") -> Pair | None:
    """A spot market of a coin; None for money and for leveraged tokens (BTC3L)."""
    if base in _MONEY or _LEVERAGED.match(base):
        return None
    coin, multiplier = canonical(base)
    return Pair(symbol, coin, multiplier, quote, alias)


def spot_market(
    venue: str, symbol: str, base: str, quote: str, *, is_coin: bool = True
) -> MarketRow:
    """A spot pair as a venue lists it; `coin` is null for money and for leveraged tokens."""
    pair = pair_of(symbol, base, quote) if is_coin else None
    return MarketRow(venue, symbol, pair.coin if pair else None, "spot", f"{base}/{quote} spot")


def main_pairs(pairs: Iterable[Pair], order: tuple[str, ...]) -> dict[str, Pair]:
    """The market that speaks for each coin, by coin; quotes that are not in `order` never do."""
    best: dict[str, tuple[tuple[int, int, str], Pair]] = {}
    for pair in pairs:
        if pair.quote not in order:
            continue
        rank = (order.index(pair.quote), pair.multiplier, pair.symbol)
        if pair.coin not in best or rank < best[pair.coin][0]:
            best[pair.coin] = (rank, pair)
    return {coin: best[coin][1] for coin in sorted(best)}


def fair_price(last: float | None, bid: float | None, ask: float | None, age_ms: int) -> float:
    """The last trade; the midpoint where it is older than 90 s or 10 bps outside the book.

    `age_ms`: age of the last trade, 0 where its time is not known.
    """
    if bid is None or ask is None:
        if last is None:
            msg = "neither a trade nor a book"
            raise ValueError(msg)
        return last
    if last is None or age_ms > MAX_AGE_MS or max(1 - last / bid, last / ask - 1) > _OUTSIDE:
        return (bid + ask) / 2
    return last


def price_or_none(value: Any) -> float | None:
    """A price; None where the venue says nothing ("", null, 0). Raises ValueError otherwise."""
    if value is None or value == "":
        return None
    result = number(value)
    if not 0 <= result < _MAX_PRICE:
        msg = "not a price"
        raise ValueError(msg)
    return result or None


def spot_row(
    venue: str,
    pair: Pair,
    fetched_at: int,
    *,
    last: Any,
    bid: Any = None,
    ask: Any = None,
    volume: Any = None,
    change: Any = None,
    before: Any = None,
    traded_ms: int | None = None,
    told_ms: int | None = None,
) -> SpotRow:
    """A spot row from wire fields, prices and volume in units of the symbol.

    `change`: of 24 h in percent, or `before`: the price 24 h ago, where the venue tells that.
    `traded_ms`: when the last trade was, `told_ms`: when the venue wrote the whole ticker, where
    it says so. Raises ValueError for what cannot be read.
    """
    traded, low, high = price_or_none(last), price_or_none(bid), price_or_none(ask)
    if low is not None and high is not None and low > high:
        # A crossed book is no book.
        low = high = None
    age = 0 if traded_ms is None else fetched_at - traded_ms
    price = fair_price(traded, low, high, age)
    # The midpoint of a book is of now, also where it happens to be the price of an old trade.
    booked = price != traded or (age > MAX_AGE_MS and low is not None and high is not None)
    at = told_ms if traded_ms is None or booked else traded_ms
    size = None if volume is None or volume == "" else amount(volume)
    many = pair.multiplier
    return SpotRow(
        coin=pair.coin,
        venue=venue,
        price=price / many,
        bid=None if low is None else low / many,
        ask=None if high is None else high / many,
        volume24h=None if size is None else size * many,
        change24h_pct=_change(change, price, price_or_none(before)),
        fetched_at=fetched_at,
        quote=pair.quote,
        symbol=pair.symbol,
        venue_time=at,
        stale=True if at is not None and fetched_at - at > MAX_AGE_MS else None,
    )


def _change(told: Any, price: float, before: float | None) -> float | None:
    """Percent in 24 h, as the venue tells it or from what the price was then."""
    if before is not None:
        told = (price / before - 1) * 100
    percent = number_or_none(told)
    if percent is not None and not -100 <= percent < _MAX_CHANGE:
        msg = "not a change"
        raise ValueError(msg)
    return percent


def choose(ask: Ask, pairs: Mapping[str, Pair]) -> list[Pair]:
    """The markets of the coins asked for; `ask` learns what the venue lists."""
    ask.universe = pairs
    if ask.coins is None:
        ask.narrowed = ", ".join(DEFAULT_COINS)
    return [pairs[coin] for coin in ask.coins or DEFAULT_COINS if coin in pairs]


def guess(ask: Ask, usual: str, quote: str) -> dict[str, Pair]:
    """The usual market of well-known coins, while the venue's list cannot be had.

    `usual`: what its symbol looks like, `{}` standing for the coin.
    """
    coins = ask.coins or DEFAULT_COINS
    for coin in coins:
        if not is_surely_coin(coin):
            ask.short(f"missing: no price of {coin} without the list of pairs", coin=coin)
    return {c: Pair(usual.format(c), c, 1, quote) for c in coins if is_surely_coin(c)}


def read_each(
    ask: Ask, chosen: Iterable[Pair], read: Callable[[Pair], SpotRow | None]
) -> list[SpotRow]:
    """A row of each market; what has none, or none that can be read, is said to `ask`."""
    rows: list[SpotRow] = []
    for pair in chosen:
        try:
            row = read(pair)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            ask.short(f"changed: the ticker of {pair.symbol} could not be read", coin=pair.coin)
            continue
        if row is None:
            ask.short(f"missing: no ticker of {pair.symbol}", coin=pair.coin)
        else:
            rows.append(row)
    return rows


async def some_or_each(
    ask: Ask, together: Call, single: Callable[[str], Call], chosen: Iterable[Pair]
) -> list[Wire]:
    """The answer to one call about all markets; if that is refused, what each of them answers."""
    try:
        return [await ask.get(together)]
    except (Unrecorded, VenueRejected):
        found = [w for w in await ask.all(*(single(pair.symbol) for pair in chosen)) if w]
        if not found:
            raise
        return found


@dataclass(frozen=True, slots=True)
class SpotMarket:
    """How a venue tells all its spot tickers at once.

    `single`: the ticker of one symbol, for when the bulk answer is refused (an optional call).
    `pairs`: the main market by coin, from the list, and the rows that could not be read.
    `rows`: tickers by symbol. `usual` and `quote`: see `guess`.
    """

    tickers: Call
    listing: Call
    single: Callable[[str], Call]
    pairs: Callable[[Wire], tuple[dict[str, Pair], int]]
    rows: Callable[[Wire], dict[str, Row]]
    read: Callable[[Row, Pair, Wire], SpotRow]
    usual: str
    quote: str


async def ask_spot(ask: Ask, market: SpotMarket) -> list[SpotRow]:
    """The rows of the coins asked for: the bulk tickers beside the list, in one round."""
    refused: VenueError | None = None
    wires: list[Wire] = []
    try:
        *wires, listed = await ask.all(market.tickers, market.listing)
    except (Unrecorded, VenueRejected) as error:
        refused = error
        (listed,) = await ask.all(market.listing)
    pairs = _pairs(ask, market, listed)
    chosen = choose(ask, pairs)
    told = {wire: wire.parsed(market.rows) for wire in wires}
    lacking = [p for p in chosen if not any(p.symbol in rows for rows in told.values())]
    alone = await ask.all(*(market.single(pair.symbol) for pair in lacking))
    told |= {wire: wire.parsed(market.rows) for wire in alone if wire}
    if refused is not None and chosen and not told:
        raise refused

    def read(pair: Pair) -> SpotRow | None:
        for wire, rows in told.items():
            if pair.symbol in rows:
                return market.read(rows[pair.symbol], pair, wire)
        return None

    return read_each(ask, chosen, read)


def _pairs(ask: Ask, market: SpotMarket, listed: Wire) -> dict[str, Pair]:
    """The main markets by coin; a list without bitcoin is a piece of one and tells nothing."""
    if listed:
        pairs, bad = listed.parsed(market.pairs)
        ask.unread(bad)
        if not pairs or "BTC" in pairs:
            return pairs
        ask.short("missing: most of the list of pairs")
    return guess(ask, market.usual, market.quote)


def by_symbol(rows: Iterable[Row], key: str) -> dict[str, Row]:
    """Tickers by symbol; a row without one is nothing."""
    if not isinstance(rows, list):
        msg = "a list was expected"
        raise TypeError(msg)
    return {row[key]: row for row in rows if isinstance(row, dict) and row.get(key)}
