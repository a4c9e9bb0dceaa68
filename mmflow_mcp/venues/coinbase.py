"""Coinbase Exchange: spot in US dollars, and the public tape.

https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproducts

Bid and ask are told product by product. What the price was 24 h ago comes for all products at once
(`/products/stats`, undocumented and long-lived) or, where that is refused, one by one. The side of
a trade is the maker's.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from mmflow_mcp.errors import Unrecorded, VenueError, VenueHttp, VenueRateLimited, VenueRejected
from mmflow_mcp.rows import MarketRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.spot import SpotRow, TradePrint
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues import coinbase_feed
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.coinbase_candles import ADVANCED_HOST, BOOKS, CANDLES
from mmflow_mcp.venues.feeds import FeedRule
from mmflow_mcp.venues.fields import amount, each, positive
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.pairs import (
    DEFAULT_COINS,
    USD_FIRST,
    Pair,
    choose,
    guess,
    main_pairs,
    pair_of,
    read_each,
    spot_row,
)
from mmflow_mcp.venues.traded import Traded, spot_of
from mmflow_mcp.venues.windows import say_second

HOST = "api.exchange.coinbase.com"
API = f"https://{HOST}/products"
PRODUCTS = get(API, fresh=DAY, reference=True, optional=True)
# What a price was 24 h ago moves slowly. An old copy is worth nothing: it is not kept.
_DAY_BEFORE = 30.0
ALL_STATS = Call(f"{API}/stats", fresh=_DAY_BEFORE, label="stats", reference=True)

TAPE_MS = 300_000
PAGE = 1000
MAX_PAGES = 8
# A page behind the newest holds the same trades for ever.
_PAST_PAGE = 600.0

Row = dict[str, Any]


@cache
def ticker(product: str) -> Call:
    """The last trade with bid and ask of one product."""
    return get(f"{API}/{product}/ticker", fresh=5, optional=True)


@cache
def stats(product: str) -> Call:
    """The rolling 24 h of one product."""
    url = f"{API}/{product}/stats"
    return Call(url, fresh=_DAY_BEFORE, label="stats", reference=True, optional=True)


def tape(product: str, after: int | None = None) -> Call:
    """The newest trades of a product, or those before a trade's number."""
    params: dict[str, str | int] = {"limit": PAGE}
    if after is not None:
        params["after"] = after
    return get(f"{API}/{product}/trades", params, fresh=5 if after is None else _PAST_PAGE)


class Coinbase(Venue):
    """Coinbase Exchange, spot."""

    id = "coinbase"
    name = "Coinbase"
    kind = "cex"
    aliases = ("Coinbase Pro", "GDAX", "coinbaseexchange", "Coinbase Advanced", "COINBASE_SPOT")
    hosts = (HOST, ADVANCED_HOST, coinbase_feed.HOST)
    # 10 requests a second; the Exchange allows bursts of 15.
    meters = (Meter((HOST,), 15, 1.5), Meter((ADVANCED_HOST,), 10, 1))
    data_source = "Coinbase Exchange public REST"
    docs = "https://docs.cdp.coinbase.com/exchange/introduction/welcome"
    notes = (
        "Spot in USD. Trades tell the maker's side at the venue; here it is the taker's.",
        "BTC-USDC is one book with BTC-USD there.",
        "Candles of 30 minutes and 4 hours are made of shorter ones.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are a status with a message; a product that is not there is 404 NotFound.

        Advanced Trade names the error, NOT_FOUND or INVALID_ARGUMENT.
        """
        unknown = (b"NotFound", b'"NOT_FOUND"', b'"INVALID_ARGUMENT"')
        if status in (400, 404) and any(one in body[:200] for one in unknown):
            return VenueRejected("rejected: the venue knows no such product")
        if status >= 400 and b"rate limit exceeded" in body[:200].lower():
            return VenueRateLimited(status)
        if status >= 500 and b"maintenance" in body[:400].lower():
            return VenueHttp(503, "the venue is in maintenance")
        return None

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """The main dollar market of each coin asked for; one ticker a coin.

        `ask.options["change"]` False: without the 24 h change, which needs a list of its own.
        """
        listed, before, singly = await _ask_lists(ask)
        chosen = choose(ask, _pairs(ask, listed))
        names = [pair.symbol for pair in chosen]
        singles = names if singly else []
        wires = await ask.all(*map(ticker, names), *map(stats, singles))
        told = dict(zip(names, wires[: len(names)], strict=True))
        alone = dict(zip(singles, wires[len(names) :], strict=True))

        def read(pair: Pair) -> SpotRow | None:
            wire = told[pair.symbol]
            day = read_day(before, alone.get(pair.symbol, NOTHING), pair.symbol)
            return read_ticker(wire, pair, day) if wire else None

        return read_each(ask, chosen, read)

    async def trades(self, ask: Ask) -> list[TradePrint]:
        """The tape back to `since_ms` (default: 300 s), page by page; short of it says so."""
        (listed,) = await ask.all(PRODUCTS)
        ask.universe = pairs = _pairs(ask, listed)
        pair = pairs.get((ask.coins or DEFAULT_COINS)[0])
        return [] if pair is None else await _walk(ask, pair)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main dollar market."""
        return await ask_candles(ask, await _ask_traded(ask), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """The order book of each coin's main dollar market, 500 levels a side."""
        return await ask_books(ask, await _ask_traded(ask), BOOKS)

    def trade_feed(self) -> FeedRule:
        """Matches of the main dollar market of chosen coins."""
        return coinbase_feed.feed()

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every product that trades."""
        rows, bad = (await ask.get(PRODUCTS)).parsed(parse_markets)
        ask.unread(bad)
        return rows


async def _ask_lists(ask: Ask) -> tuple[Wire, Wire, bool]:
    """The products, the 24 h statistics of all, and whether to ask for those one by one."""
    if not ask.options.get("change", True):
        (listed,) = await ask.all(PRODUCTS)
        return listed, NOTHING, False
    try:
        listed, before = await ask.all(PRODUCTS, ALL_STATS)
    except VenueError as error:
        (listed,) = await ask.all(PRODUCTS)
        refused = isinstance(error, (Unrecorded, VenueRejected))
        if not refused:
            ask.short(f"{error.reason} (stats)")
        return listed, NOTHING, refused
    return listed, before, False


async def _ask_traded(ask: Ask) -> list[Traded]:
    (listed,) = await ask.all(PRODUCTS)
    return [spot_of(pair) for pair in choose(ask, _pairs(ask, listed))]


def _pairs(ask: Ask, listed: Wire) -> dict[str, Pair]:
    if not listed:
        return guess(ask, "{}-USD", "USD")
    pairs, bad = listed.parsed(parse_pairs)
    ask.unread(bad)
    return pairs


async def _walk(ask: Ask, pair: Pair) -> list[TradePrint]:
    """Pages of the tape from the newest back, each once, until one reaches beyond the time."""
    since: int | None = ask.options.get("since_ms")
    prints: list[TradePrint] = []
    lowest: int | None = None
    for _ in range(MAX_PAGES):
        wire = await ask.get(tape(pair.symbol, lowest))
        page, bad = wire.parsed(parse_trades, pair.coin)
        ask.unread(bad)
        if since is None:
            since = wire.fetched_at - TAPE_MS
        older = [p for p in page if lowest is None or int(p.trade_id) < lowest]
        prints += [p for p in older if p.ts >= since]
        if not page or (older and older[-1].ts < since):
            return prints
        if not older:
            break
        lowest = int(older[-1].trade_id)
    back = f" only to {say_second(prints[-1].ts)}" if prints else " not at all"
    ask.short(f"missing: the tape of {pair.symbol} reaches back{back}", coin=pair.coin)
    return prints


_HALTED = ("trading_disabled", "cancel_only", "post_only", "auction_mode")


def _is_open(row: Row) -> bool:
    # The lists of 2017 have no status.
    return row.get("status", "online") == "online" and not any(map(row.get, _HALTED))


def parse_pairs(wire: Wire) -> tuple[dict[str, Pair], int]:
    """The product that speaks for each coin, by coin."""

    def read(row: Row) -> Pair | None:
        if not _is_open(row):
            return None
        return pair_of(row["id"], row["base_currency"], row["quote_currency"])

    found, bad = each(wire.doc, read)
    return main_pairs(found, USD_FIRST), bad


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The products that trade."""

    def read(row: Row) -> MarketRow | None:
        if not _is_open(row):
            return None
        base, quote = row["base_currency"], row["quote_currency"]
        pair = pair_of(row["id"], base, quote)
        coin = pair.coin if pair else None
        return MarketRow("coinbase", row["id"], coin, "spot", f"{base}/{quote} spot")

    return each(wire.doc, read)


def read_day(every: Wire, alone: Wire, product: str) -> Row:
    """The rolling 24 h of a product: out of all of them, or told alone; empty where unknown."""
    if alone:
        return alone.doc if isinstance(alone.doc, dict) else {}
    row = every.doc.get(product) if every and isinstance(every.doc, dict) else None
    day = row.get("stats_24hour") if isinstance(row, dict) else None
    return day if isinstance(day, dict) else {}


def read_ticker(wire: Wire, pair: Pair, day: Row) -> SpotRow:
    """`time` is that of the last trade; `open` of the statistics is the price 24 h ago."""
    row = wire.doc
    return spot_row(
        "coinbase",
        pair,
        wire.fetched_at,
        last=row["price"],
        bid=row.get("bid"),
        ask=row.get("ask"),
        volume=row.get("volume"),
        before=day.get("open"),
        traded_ms=_moment(row["time"]) if row.get("time") else None,
    )


_TAKER = {"buy": "sell", "sell": "buy"}


def parse_trades(wire: Wire, coin: str) -> tuple[list[TradePrint], int]:
    """Trades, newest first. `side` is the maker's: a maker who bought met a taker who sold."""

    def read(row: Row) -> TradePrint:
        return TradePrint(
            coin=coin,
            venue="coinbase",
            ts=_moment(row["time"]),
            side=_TAKER[row["side"].lower()],
            price=positive(row["price"]),
            size=amount(row["size"]),
            trade_id=str(int(row["trade_id"])),
        )

    found, bad = each(wire.doc, read)
    found.sort(key=lambda p: -int(p.trade_id))
    return list({p.trade_id: p for p in found}.values()), bad


def _moment(text: str) -> int:
    """Epoch ms of an ISO time in UTC with up to nine decimals."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
