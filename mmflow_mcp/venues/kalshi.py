"""Kalshi: event contracts of a market regulated in the US.

https://docs.kalshi.com/api-reference/market/get-markets

The list of open markets has tens of thousands of rows, cannot be sorted there, and is paged by a
cursor that goes with the same filters. So the series about coins, which the venue filters, come
first and are sorted here; the rest follows in the venue's order. Prices are dollars in text,
volumes are contracts. A ladder of strikes repeats one title: the strike is in `yes_sub_title`.
"""

import re
from functools import cache, partial
from typing import Any

from mmflow_mcp.errors import VenueChanged, VenueError, VenueRateLimited, VenueRejected
from mmflow_mcp.rows.predictions import PredictionPage, PredictionRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import amount, each, member, number_or_none
from mmflow_mcp.venues.outsiders import text, text_or_none
from mmflow_mcp.venues.predictions import (
    FRESH,
    MAX_TITLE,
    Blurs,
    Listing,
    coin_of,
    cut,
    middle,
    moment,
    share,
    tell_losses,
    walk,
)
from mmflow_mcp.venues.singles import REFUSALS

HOST = "api.elections.kalshi.com"
API = f"https://{HOST}/trade-api/v2/markets"
PAGE = 200
# Above and below by the hour (D), ranges, and the next quarter of an hour.
SERIES = (
    *("KXBTCD", "KXBTC", "KXBTC15M", "KXETHD", "KXETH", "KXETH15M"),
    *("KXSOLD", "KXXRPD"),
)

Row = dict[str, Any]


@cache
def series(ticker: str) -> Call:
    """The open markets of one series, up to 1000."""
    params: dict[str, str | int] = {"limit": 1000, "series_ticker": ticker, "status": "open"}
    return get(API, params, fresh=FRESH, label="markets", optional=True)


def every(cursor: str = "") -> Call:
    """A page of all open markets but combinations of several, which flood the list."""
    params: dict[str, str | int] = {"limit": PAGE, "status": "open", "mve_filter": "exclude"}
    return get(API, params | ({"cursor": cursor} if cursor else {}), fresh=FRESH, label="markets")


class Kalshi(Venue):
    """Kalshi's open markets."""

    id = "kalshi"
    name = "Kalshi"
    kind = "prediction"
    hosts = (HOST,)
    aliases = ("KALSHI_ELECTIONS",)
    # 200 tokens a second at 10 a call with an account; half of that is kept to without one.
    meters = (Meter((HOST,), 20, 2),)
    data_source = "Kalshi public REST"
    docs = "https://docs.kalshi.com"
    notes = (
        "Prices are probabilities: a contract pays 1 USD. Volumes there are contracts, not USD.",
        "Markets on BTC, ETH, SOL and XRP come first, by contracts traded in 24 h; then the rest.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """`{"error":{"code":"not_found","message":...}}`."""
        code = _CODE.search(body[:400])
        if status < 400 or status >= 500 or code is None or status in (401, 403):
            return None
        if status == 429 or code[1] == b"too_many_requests":
            return VenueRateLimited(status)
        return VenueRejected(f"rejected: the venue refuses the request ({code[1].decode()})")

    async def predictions(self, ask: Ask) -> list[PredictionPage]:
        """A page of the open markets: those on coins first."""
        first = await _ask_coins(ask)
        try:
            return [await walk(ask, every, parse_page, first)]
        except REFUSALS as error:
            if not first:
                raise
            ask.short(f"{error.reason}; only the series about coins")
            return [cut(ask, first, ended=False, broken=True)]


async def _ask_coins(ask: Ask) -> list[PredictionRow]:
    """The markets of the series about coins, most traded first."""
    wires = [wire for wire in await ask.all(*map(series, SERIES)) if wire]
    pages: list[Listing] = []
    for wire in wires:
        try:
            pages.append(wire.parsed(parse_page))
        except VenueChanged as error:
            ask.short(error.reason)
    tell_losses(ask, pages)
    traded = {symbol: size for wire in wires for symbol, size in wire.parsed(parse_volumes).items()}
    rows = {row.symbol: row for page in pages for row in page.rows}
    return sorted(rows.values(), key=lambda row: (-traded.get(row.symbol, 0.0), row.symbol))


def parse_volumes(wire: Wire) -> dict[str, float]:
    """Contracts traded in 24 h by ticker, used only to rank; what cannot be read ranks last."""
    blurs = Blurs()
    rows = wire.doc.get("markets") if isinstance(wire.doc, dict) else None
    found: dict[str, float] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("ticker"), str):
            found[row["ticker"]] = blurs.read(amount, row.get("volume_24h_fp")) or 0.0
    return found


def parse_page(wire: Wire) -> Listing:
    """A page of the list; the cursor is empty on the last."""
    blurs = Blurs()
    rows, bad = each(member(wire.doc, "markets"), partial(_read, blurs))
    return Listing(tuple(rows), bad, blurs.count, str(wire.doc.get("cursor") or ""))


_CODE = re.compile(rb'"code"\s*:\s*"([a-z_]{1,40})"')
_TICKER = re.compile(r"[!-~]{1,120}")


def _read(blurs: Blurs, row: Row) -> PredictionRow | None:
    """What is asked as `open` is called active in the rows."""
    if row["status"] != "active" or row.get("mve_collection_ticker"):
        return None
    symbol = row["ticker"]
    if not _TICKER.fullmatch(symbol):
        msg = "not a ticker"
        raise ValueError(msg)
    label, outcome = read_words(row)
    return PredictionRow(
        exchange="kalshi",
        symbol=symbol,
        coin=coin_of(label),
        kind="prediction",
        label=label,
        outcome=outcome if _is_binary(row) else None,
        probability=blurs.read(read_price, row) if _is_binary(row) else None,
        closes_ms=blurs.read(moment, row.get("close_time")),
    )


def read_words(row: Row) -> tuple[str, str]:
    """The title with its strike, and what Yes means.

    `yes_sub_title` is a rung of a ladder, or one of the names in the title.
    """
    title = text(row["title"], MAX_TITLE)
    yes = text_or_none(row.get("yes_sub_title")) or "Yes"
    if yes.casefold() == "yes" or yes in title:
        return title, yes
    return f"{title} - {yes}", "Yes"


def _is_binary(row: Row) -> bool:
    return bool(row.get("market_type", "binary") == "binary")


def read_price(row: Row) -> float | None:
    """The price of Yes: the last trade where it lies within the book, else the midpoint.

    A last price of 0 is no trade, a bid of 0 and an ask of 1 are empty sides. None where nobody
    quotes, or where a contract pays other than 1 USD.
    """
    if (number_or_none(row.get("notional_value_dollars")) or 1.0) != 1.0:
        return None
    last = share(row["last_price_dollars"])
    low, high = share(row["yes_bid_dollars"]), share(row["yes_ask_dollars"]) or 1.0
    if last > 0 and low <= last <= high and (low, high) != (0.0, 1.0):
        return last
    return middle(low, high)
