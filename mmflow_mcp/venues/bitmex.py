"""BitMEX, which closed on 2026-09-23: read from recordings only.

https://www.bitmex.com/api/explorer/

One answer holds every instrument. `openValue` is in minor units of the settlement currency: XBt
(1e-8 BTC) or USDt (1e-6 USDT). Beside linear and inverse perpetuals there are quanto ones: quoted
in USD, settled in BTC. Bitcoin is XBT.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueBlocked, VenueError, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import (
    INVERSE_FIRST,
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import (
    MAX_USD,
    amount,
    each,
    number,
    positive,
    positive_or_none,
    rate,
)

HOST = "www.bitmex.com"
INSTRUMENTS = get(f"https://{HOST}/api/v1/instrument/active", label="instrument/active", fresh=5)

PERPETUAL = "FFWCSX"
# What else is listed: kind and whether its underlying is a coin.
_KINDS = {
    PERPETUAL: ("perp", True),
    "FFWCSF": ("perp", False),
    "FFCCSX": ("future", True),
    "FFCCSF": ("future", False),
    "OCECCS": ("option", True),
    "OPECCS": ("option", True),
    "IFXXXP": ("spot", True),
}
_DOLLARS = frozenset({"USD", "USDT", "USDC"})
_SATOSHI = 1e8
_MICRO = 1e6
# fundingInterval is a length of time written as the moment that long after this one.
_LENGTHS_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_ERROR_NAME = re.compile(rb'"name"\s*:\s*"([A-Za-z]{1,40})"')


class Bitmex(Venue):
    """BitMEX as its recordings show it."""

    id = "bitmex"
    name = "BitMEX"
    kind = "cex"
    aliases = ("bitmex-perp", "BITMEX_SWAP")
    hosts = (HOST,)
    # 30 requests a minute without a key.
    meters = (Meter((HOST,), 30, 60),)
    status = "closed"
    closed_on = "2026-09-23"
    data_source = "BitMEX public REST (recordings)"
    docs = "https://www.bitmex.com/api/explorer/"
    default_coins = ("BTC", "ETH")
    notes = (
        "Funding is fixed: the rate that is charged at nextFundingTime.",
        "Quanto perpetuals are quoted in USD and settled in BTC; they count among the inverse.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are {"error": {"message", "name"}} with a status that says what they are."""
        if b'"error"' not in body[:200]:
            return None
        if status == 403:
            return VenueBlocked("geo: http 403, the venue does not serve this region")
        if status in (200, 400, 401, 404):
            name = _ERROR_NAME.search(body[:2000])
            return VenueRejected(f"rejected: {name[1].decode() if name else 'unnamed error'}")
        return None

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Open interest of every perpetual, one request."""
        wire = await ask.get(INSTRUMENTS)
        rows, silent, bad = wire.parsed(parse_open_interest)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"changed: nothing readable of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The rate of each coin's main perpetual, one request."""
        wire = await ask.get(INSTRUMENTS)
        rows, silent, bad = wire.parsed(parse_funding)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"changed: no funding rate of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every open instrument that can be traded."""
        wire = await ask.get(INSTRUMENTS)
        rows, bad = wire.parsed(parse_markets)
        ask.unread(bad)
        return rows


def _perpetuals(wire: Wire) -> tuple[list[tuple[Contract, dict[str, Any]]], int]:
    """Each open crypto perpetual once, with its row. The type decides, never the name."""

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        if row["typ"] != PERPETUAL or row["state"] != "Open":
            return None
        coin, multiplier = canonical(row["underlying"])
        margin = "inverse" if row["isInverse"] else "quanto" if row["isQuanto"] else "linear"
        return Contract(row["symbol"], coin, multiplier, row["quoteCurrency"], margin), row

    pairs, bad = each(wire.doc, read)
    return list({contract.symbol: (contract, row) for contract, row in pairs}.values()), bad


def _without(contracts: Iterable[Contract], have: set[str]) -> dict[str, tuple[str, ...]]:
    """The symbols of these contracts that are not had, by coin."""
    silent: dict[str, tuple[str, ...]] = {}
    for contract in contracts:
        if contract.symbol not in have:
            silent[contract.coin] = (*silent.get(contract.coin, ()), contract.symbol)
    return silent


def parse_open_interest(
    wire: Wire,
) -> tuple[dict[str, OpenInterestRow], dict[str, tuple[str, ...]], int]:
    """Rows by coin, the perpetuals that could not be read by coin, and the bad rows."""
    pairs, bad = _perpetuals(wire)
    bitcoin = bitcoin_price(pairs)
    parts, missed = each(pairs, lambda pair: open_part(pair[0], pair[1], bitcoin))
    silent = _without((contract for contract, _ in pairs), {part.symbol for part in parts})
    rows = sum_open_interest(
        "bitmex", parts, wire.fetched_at, missing=silent, contracts_reported=False
    )
    return rows, silent, bad + missed


def bitcoin_price(pairs: Iterable[tuple[Contract, dict[str, Any]]]) -> float | None:
    """The mark of XBTUSD in the same answer: what settles in BTC is valued with it."""
    for contract, row in pairs:
        if contract.symbol == "XBTUSD":
            try:
                return positive(row["markPrice"])
            except (KeyError, TypeError, ValueError):
                return None
    return None


def open_part(contract: Contract, row: dict[str, Any], bitcoin: float | None) -> OpenPart:
    """One perpetual's open interest, one-sided, from its value in settlement currency.

    `openInterest` is in contracts: of |multiplier| x 1e-8 units of the quote where inverse, of
    1 / underlyingToPositionMultiplier coins where linear. Raises ValueError for what settles in
    BTC while no price of BTC is known, and for another settlement than BTC and USDT.
    """
    contracts, value = amount(row["openInterest"]), amount(row["openValue"])
    if row["settlCurrency"] == "USDt":
        usd = value / _MICRO
    elif row["settlCurrency"] != "XBt":
        msg = "settles in an unknown currency"
        raise ValueError(msg)
    elif contract.margin == "inverse" and contract.quote == "USD":
        usd = contracts * abs(number(row["multiplier"])) / _SATOSHI
    else:
        usd = value / _SATOSHI * positive(bitcoin)
    if usd >= MAX_USD:
        msg = "not an open interest"
        raise ValueError(msg)
    return OpenPart(
        contract.coin, contract.symbol, usd=usd, coins=_coins(contract, row, contracts, value, usd)
    )


def _coins(
    contract: Contract, row: dict[str, Any], contracts: float, value: float, usd: float
) -> float | None:
    """The open interest in coins, None where the row does not tell."""
    if contract.margin == "inverse":
        return value / _SATOSHI if contract.coin == "BTC" else None
    if contract.margin == "linear":
        factor = positive_or_none(row.get("underlyingToPositionMultiplier"))
        return None if factor is None else contracts / factor * contract.multiplier
    mark = positive_or_none(row.get("markPrice")) if contract.quote in _DOLLARS else None
    return None if mark is None else usd / mark * contract.multiplier


def parse_funding(
    wire: Wire,
) -> tuple[dict[str, FundingRow], dict[str, tuple[str, ...]], int]:
    """`fundingRate` is fixed: it is charged at `fundingTimestamp`; longs pay when positive.

    Perpetuals against other money than the dollar (XBTKRW, ETHXBT) never speak for a coin.
    """

    def read(pair: tuple[Contract, dict[str, Any]]) -> tuple[Contract, FundingRow]:
        contract, row = pair
        made = funding_row(
            "bitmex",
            contract,
            rate(row["fundingRate"]),
            read_hours(row["fundingInterval"]),
            wire.fetched_at,
            kind="fixed",
            mark=positive_or_none(row.get("markPrice")),
            next_ms=read_moment(row["fundingTimestamp"]),
        )
        return contract, made

    pairs, bad = _perpetuals(wire)
    dollars = [pair for pair in pairs if pair[0].quote in _DOLLARS]
    rows, missed = each(dollars, read)
    silent = _without((contract for contract, _ in dollars), {row.symbol for _, row in rows})
    return main_perpetuals(rows, INVERSE_FIRST), silent, bad + missed


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "not a moment in UTC"
        raise ValueError(msg)
    return moment


def read_moment(text: str) -> int:
    """`2019-12-18T04:00:00.000Z` as epoch milliseconds."""
    return round(_moment(text).timestamp() * 1000)


def read_hours(text: str) -> float:
    """`2000-01-01T08:00:00.000Z` means 8 hours: the time since the first moment of 2000."""
    return (_moment(text) - _LENGTHS_BEGIN).total_seconds() * 1000 / HOUR_MS


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """Open instruments; indices cannot be traded and are left out."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        known = _KINDS.get(row["typ"])
        if known is None or row["state"] != "Open":
            return None
        kind, is_coin = known
        symbol = row["symbol"]
        coin = canonical(row["underlying"])[0] if is_coin else None
        settled = row.get("settlCurrency")
        words = {"perp": "perpetual", "future": "dated future"}.get(kind, kind)
        label = f"{symbol} {words}" + (f" (settled in {settled})" if settled else "")
        return MarketRow("bitmex", symbol, coin, kind, label)

    rows, bad = each(wire.doc, read)
    return list({row.symbol: row for row in rows}.values()), bad
