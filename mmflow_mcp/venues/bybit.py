"""Bybit v5: USDT, USDC and inverse perpetuals, in bulk by category.

https://bybit-exchange.github.io/docs/v5/market/tickers

Open interest is published both ways: `openInterest` counts longs and shorts, `singleOpenInterest`
(since 2026-06) each contract once. On inverse contracts quantity and value swap roles.
"""

import re
from typing import Any

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coins import KNOWN_COINS, canonical
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import (
    amount,
    each,
    member,
    ms,
    number,
    number_or_none,
    positive,
    positive_or_none,
    rate,
)

HOST = "api.bybit.com"
API = f"https://{HOST}/v5/market"
TICKERS = {c: get(f"{API}/tickers", {"category": c}, fresh=5) for c in ("linear", "inverse")}


def instruments(category: str, cursor: str = "", *, required: bool = False) -> Call:
    """The list of contracts of a category; it changes by the day."""
    params: dict[str, str | int] = {"category": category, "limit": 1000}
    if cursor:
        params["cursor"] = cursor
    return get(
        f"{API}/instruments-info", params, fresh=DAY, reference=True, optional=not required
    )


class Bybit(Venue):
    """Bybit's perpetuals."""

    id = "bybit"
    name = "Bybit"
    kind = "cex"
    aliases = ("BYBIT_SPOT", "bybit-linear", "bybit-inverse", "bybit-options", "BybitPerp")
    hosts = (HOST,)
    # 600 requests in 5 s over all hosts.
    meters = (Meter((HOST,), 600, 5),)
    data_source = "Bybit v5 public REST"
    docs = "https://bybit-exchange.github.io/docs/v5/intro"
    notes = ("Open interest from the one-sided field, or the two-sided one halved.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors come with HTTP 200 and a retCode; 403 is a region or a pause of ten minutes."""
        if status == 403 and b"too frequent" in body:
            return VenueRateLimited(403, "access too frequent", retry_after=600)
        if status != 200:
            return None
        code = _RET_CODE.match(body.lstrip()[:40])
        return None if code is None or code[1] == b"0" else _refused(int(code[1]))

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Linear and inverse perpetuals of each coin, summed; one request a category."""
        linear, inverse, *first = await ask.all(
            TICKERS["linear"],
            TICKERS["inverse"],
            instruments("linear"),
            instruments("inverse"),
        )
        lists = await _all_pages(ask, "linear", first[0]), await _all_pages(ask, "inverse", first[1])
        rows, silent, bad = linear.parsed(parse_open_interest, inverse, *lists)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"changed: no ticker for {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual."""
        rows = await _funding(ask, "linear")
        if ask.coins is None or any(coin not in rows for coin in ask.coins):
            # Only what has no linear perpetual is spoken for by an inverse one.
            rows = {**await _funding(ask, "inverse"), **rows}
        return ask.pick(rows)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every trading contract of both categories."""
        rows: list[MarketRow] = []
        calls = [instruments(category, required=True) for category in TICKERS]
        for category, wire in zip(TICKERS, await ask.all(*calls), strict=True):
            for page in await _all_pages(ask, category, wire):
                rows += page.parsed(parse_markets)
        return rows


async def _funding(ask: Ask, category: str) -> dict[str, FundingRow]:
    tickers, listed = await ask.all(TICKERS[category], instruments(category))
    pages = await _all_pages(ask, category, listed)
    rows, bad = tickers.parsed(parse_funding, category, pages)
    ask.unread(bad)
    return rows


async def _all_pages(ask: Ask, category: str, first: Wire) -> tuple[Wire, ...]:
    """The list of contracts with every page that follows; () when it could not be had."""
    if not first:
        return ()
    pages = [first]
    while cursor := member(pages[-1].doc, "result").get("nextPageCursor"):
        page = await ask.get(instruments(category, cursor, required=True))
        if page in pages:
            break
        pages.append(page)
    return tuple(pages)


_RET_CODE = re.compile(rb'^\{"retCode":(-?\d+)')


def _refused(code: int) -> VenueError:
    if code in (10009, 10024):
        return VenueBlocked(f"geo: retCode {code}, the venue does not serve this region")
    if code == 10006:
        return VenueRateLimited(200, "retCode 10006, too many visits")
    if code in (10000, 10016):
        return VenueHttp(500, f"retCode {code}, the venue had an error of its own")
    return VenueRejected(f"rejected: retCode {code}")


def parse_contracts(first: Wire, more: tuple[Wire, ...]) -> dict[str, Contract]:
    """Live crypto perpetuals by symbol. Stocks, metals and FX share the category."""

    def read(row: dict[str, Any]) -> Contract | None:
        if not row["contractType"].endswith("Perpetual") or row["status"] != "Trading":
            return None
        if row.get("symbolType", "") not in ("", "innovation") or row.get("isPreListing"):
            return None
        coin, multiplier = canonical(row["baseCoin"])
        margin = "inverse" if row["contractType"].startswith("Inverse") else "linear"
        return Contract(row["symbol"], coin, multiplier, row["quoteCoin"], margin)

    contracts = {}
    for page in (first, *more):
        found, _ = each(member(page.doc, "result", "list"), read)
        contracts.update({c.symbol: c for c in found})
    return contracts


_SYMBOL = {
    "linear": re.compile(r"^([A-Z0-9]+?)(USDT|PERP)$"),
    "inverse": re.compile(r"^([A-Z0-9]+?)(USD)$"),
}


def guess_contract(symbol: str, category: str) -> Contract | None:
    """A contract from its symbol alone, for known coins only: while the list cannot be had."""
    parts = _SYMBOL[category].match(symbol)
    if not parts:
        return None
    coin, multiplier = canonical(parts[1])
    quote = {"PERP": "USDC"}.get(parts[2], parts[2])
    return Contract(symbol, coin, multiplier, quote, category) if coin in KNOWN_COINS else None


def live_tickers(
    tickers: Wire, category: str, pages: tuple[Wire, ...]
) -> tuple[dict[str, Contract] | None, list[tuple[Contract, dict[str, Any]]], int]:
    """The contracts listed (None: unknown), and each perpetual's ticker with its contract."""
    contracts = pages[0].parsed(parse_contracts, pages[1:]) if pages else None

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        symbol = row["symbol"]
        if contracts is None:
            contract = guess_contract(symbol, category)
        else:
            contract = contracts.get(symbol)
        # A pre-market phase has no real funding and no open interest.
        if contract is None or row.get("curPreListingPhase"):
            return None
        return contract, row

    pairs, bad = each(member(tickers.doc, "result", "list"), read)
    return contracts, list({c.symbol: (c, row) for c, row in pairs}.values()), bad


def parse_open_interest(
    linear: Wire,
    inverse: Wire,
    linear_pages: tuple[Wire, ...],
    inverse_pages: tuple[Wire, ...],
) -> tuple[dict[str, OpenInterestRow], dict[str, list[str]], int]:
    """Rows by coin, the listed symbols without a readable ticker by coin, and the bad rows."""
    parts: list[OpenPart] = []
    silent: dict[str, list[str]] = {}
    bad = 0
    for category, wire, pages in (
        ("linear", linear, linear_pages),
        ("inverse", inverse, inverse_pages),
    ):
        contracts, pairs, unread = live_tickers(wire, category, pages)
        found, missed = each(pairs, lambda pair: open_part(*pair))
        parts += found
        bad += unread + missed
        have = {part.symbol for part in found}
        for symbol, contract in (contracts or {}).items():
            if symbol not in have:
                silent.setdefault(contract.coin, []).append(symbol)
    oldest = min(linear.fetched_at, inverse.fetched_at)
    return sum_open_interest("bybit", parts, oldest, missing=silent), silent, bad


def open_part(contract: Contract, row: dict[str, Any]) -> OpenPart:
    """One contract's open interest, one-sided.

    The one-sided pair is taken where it exists, else the two-sided one is halved. `value` is USD
    on linear and coins on inverse contracts; the quantity the other way round.
    """
    quantity = number_or_none(row.get("singleOpenInterest"))
    value = number_or_none(row.get("singleOpenInterestValue"))
    if quantity is None or value is None:
        quantity = number(row["openInterest"]) / 2
        value = number(row["openInterestValue"]) / 2
    if contract.margin == "inverse":
        quantity, value = value, quantity
    return OpenPart(
        contract.coin,
        contract.symbol,
        usd=amount(value),
        coins=amount(quantity) * contract.multiplier,
    )


def parse_funding(
    tickers: Wire, category: str, pages: tuple[Wire, ...]
) -> tuple[dict[str, FundingRow], int]:
    """fundingRate is charged at nextFundingTime; the period is the symbol's own, in hours."""
    minutes = _listed_minutes(pages)

    def read(pair: tuple[Contract, dict[str, Any]]) -> tuple[Contract, FundingRow]:
        contract, row = pair
        hours = positive_or_none(row.get("fundingIntervalHour"))
        if hours is None:
            hours = positive(minutes.get(contract.symbol)) / 60
        made = funding_row(
            "bybit",
            contract,
            rate(row["fundingRate"]),
            hours,
            tickers.fetched_at,
            mark=positive(row["markPrice"]),
            next_ms=ms(row.get("nextFundingTime")),
        )
        return contract, made

    _, pairs, unread = live_tickers(tickers, category, pages)
    rows, bad = each(pairs, read)
    return main_perpetuals(rows), bad + unread


def _listed_minutes(pages: tuple[Wire, ...]) -> dict[str, Any]:
    """fundingInterval of the list of contracts: minutes, for tickers that lack the hours."""
    return {
        row["symbol"]: row.get("fundingInterval")
        for page in pages
        for row in member(page.doc, "result", "list")
    }


def parse_markets(wire: Wire) -> list[MarketRow]:
    """One page of the list of contracts."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        if row["status"] != "Trading":
            return None
        crypto = row.get("symbolType", "") in ("", "innovation")
        kind = "perp" if row["contractType"].endswith("Perpetual") else "future"
        return MarketRow(
            "bybit",
            row["symbol"],
            canonical(row["baseCoin"])[0] if crypto else None,
            kind,
            f"{row['symbol']} {row['contractType']} ({row['settleCoin']})",
        )

    rows, _ = each(member(wire.doc, "result", "list"), read)
    return rows
