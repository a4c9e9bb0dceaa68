"""BitMEX, which closed on 2026-09-23: read from recordings only.

https://www.bitmex.com/api/explorer/

One answer holds every instrument. `openValue` is in minor units of the settlement currency: XBt
(1e-8 BTC) or USDt (1e-6 USDT). Beside linear and inverse perpetuals there are quanto ones: quoted
in USD, settled in BTC. Bitcoin is XBT.
"""

import re
from collections.abc import Iterable
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueBlocked, VenueError, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.bitmex_moments import read_hours, read_moment
from mmflow_mcp.venues.bitmex_past import ask_funding_history
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
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.singles import REFUSALS, ask_singly
from mmflow_mcp.venues.windows import coin_of

HOST = "www.bitmex.com"
API = f"https://{HOST}/api/v1"
INSTRUMENTS = get(f"{API}/instrument/active", label="instrument/active", fresh=5)
_PAGE: dict[str, str | int] = {"count": 500, "reverse": "true"}
# Other requests that recorders made for the same rows.
INSTRUMENTS_ELSE = (
    get(f"{API}/instrument/activeAndIndices", label="instrument/activeAndIndices", fresh=5),
    get(f"{API}/instrument", _PAGE, fresh=5),
)
# Listed from 2016 to the closure: an answer without it lacks it.
ALWAYS = "XBTUSD"


def forms_of(symbol: str) -> tuple[Call, ...]:
    """One instrument; its series (`XBT:perpetual`) stands for the inverse one as well."""
    forms: list[dict[str, str | int]] = [{"symbol": symbol}, {"symbol": symbol, **_PAGE}]
    if symbol == ALWAYS:
        forms += [{"symbol": "XBT:perpetual"}, {"symbol": "XBT:perpetual", **_PAGE}]
    return tuple(get(f"{API}/instrument", params, fresh=5) for params in forms)


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
_ERROR_NAME = re.compile(rb'"name"\s*:\s*"([A-Za-z]{1,40})"')


class Bitmex(Venue):
    """BitMEX as its recordings show it."""

    id = "bitmex"
    name = "BitMEX"
    kind = "cex"
    aliases = ("bitmex-perp", "BITMEX_SWAP")
    hosts = (HOST,)
    always = ("BTC",)
    # It published 30 requests a minute; recordings have no such limit.
    meters = ()
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
        (first, *more), refusal = await _instruments(ask, summed=True)
        rows, silent, bad = first.parsed(parse_open_interest, tuple(more))
        ask.unread(bad)
        if refusal:
            # Which other perpetuals there were, only a list tells.
            ask.short(refusal.reason)
        if are_apart([first, *more]):
            found, _ = _perpetuals([first, *more])
            note_apart(ask, rows, {item.symbol: wire.fetched_at for item, _, wire in found})
        for coin in ask.wants(silent):
            ask.short(f"missing: nothing readable of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The rate of each coin's main perpetual, one request."""
        (first, *more), refusal = await _instruments(ask, summed=False)
        rows, silent, bad = first.parsed(parse_funding, tuple(more))
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"missing: no funding rate of {', '.join(silent[coin])}", coin=coin)
        if refusal and any(coin not in rows for coin in ask.coins or ()):
            ask.short(refusal.reason)
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main perpetual paid; which that is of other coins, a list tells."""
        mains = {"BTC": ALWAYS}
        if coin_of(ask) not in mains:
            (first, *more), _ = await _instruments(ask, summed=False)
            rows, _, _ = first.parsed(parse_funding, tuple(more))
            mains |= {coin: row.symbol for coin, row in rows.items() if row.symbol}
        return await ask_funding_history(ask, mains)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every open instrument that can be traded."""
        singles = await ask_singly(ask, {"": (INSTRUMENTS, *INSTRUMENTS_ELSE)})
        for failure in singles.failed.values():
            raise failure
        rows, bad = singles.found[""].parsed(parse_markets)
        ask.unread(bad)
        return rows


async def _instruments(ask: Ask, *, summed: bool) -> tuple[list[Wire], VenueError | None]:
    """Answers that hold the perpetuals, and the refusal where no list of them could be had.

    Then, and for the inverse one of bitcoin that no list lacks, single instruments are read:
    those quoted in USD and USDT, or the first that is there unless they are `summed`.
    """
    whole = await ask_singly(ask, {"": (INSTRUMENTS, *INSTRUMENTS_ELSE)})
    wires = list(whole.found.values())
    refusal = whole.failed.get("")
    if refusal and (ask.coins is None or not isinstance(refusal, REFUSALS)):
        raise refusal
    named = {symbol for wire in wires for symbol in read_names(wire)}
    forms: dict[str, tuple[Call, ...]] = {}
    for coin in ask.coins or ():
        base = "XBT" if coin == "BTC" else coin
        usual = [f"{base}USD", f"{base}USDT"] if refusal else [ALWAYS] * (coin == "BTC")
        calls = {symbol: forms_of(symbol) for symbol in usual if symbol not in named}
        if not summed and calls:
            calls = {next(iter(calls)): tuple(call for some in calls.values() for call in some)}
        forms |= calls
    singles = await ask_singly(ask, forms)
    if not (wires or singles.found) and refusal:
        raise refusal
    for coin in ask.coins or ():
        base = "XBT" if coin == "BTC" else coin
        main = f"{base}USD"
        if main in singles.failed:
            ask.short(f"{singles.failed[main].reason} ({main})", coin=coin)
    return [*wires, *singles.found.values()], refusal


Listed = tuple[Contract, dict[str, Any], Wire]


def _perpetuals(wires: Iterable[Wire]) -> tuple[list[Listed], int]:
    """Each open crypto perpetual once, with its row. The type decides, never the name."""

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        if row["typ"] != PERPETUAL or row["state"] != "Open":
            return None
        coin, multiplier = canonical(row["underlying"])
        margin = "inverse" if row["isInverse"] else "quanto" if row["isQuanto"] else "linear"
        return Contract(row["symbol"], coin, multiplier, row["quoteCurrency"], margin), row

    found: dict[str, Listed] = {}
    bad = 0
    for wire in wires:
        pairs, unread = each(wire.doc, read)
        found |= {contract.symbol: (contract, row, wire) for contract, row in pairs}
        bad += unread
    return list(found.values()), bad


def read_names(wire: Wire) -> frozenset[str]:
    """The symbols of an answer, whatever their state."""
    rows = wire.doc if isinstance(wire.doc, list) else []
    return frozenset(str(row.get("symbol")) for row in rows if isinstance(row, dict))


def _without(contracts: Iterable[Contract], have: set[str]) -> dict[str, tuple[str, ...]]:
    """The symbols of these contracts that are not had, by coin."""
    silent: dict[str, tuple[str, ...]] = {}
    for contract in contracts:
        if contract.symbol not in have:
            silent[contract.coin] = (*silent.get(contract.coin, ()), contract.symbol)
    return silent


def parse_open_interest(
    first: Wire, more: tuple[Wire, ...] = ()
) -> tuple[dict[str, OpenInterestRow], dict[str, tuple[str, ...]], int]:
    """Rows by coin, the perpetuals that could not be read by coin, and the bad rows."""
    listed, bad = _perpetuals((first, *more))
    read_at: dict[str, int] = {}

    def read(one: Listed) -> OpenPart:
        contract, row, wire = one
        part = open_part(contract, row, bitcoin_price(listed, wire.fetched_at))
        read_at[part.coin] = min(wire.fetched_at, read_at.get(part.coin, wire.fetched_at))
        return part

    # What settles in BTC has no value while the price of BTC is unknown: that is no change.
    parts, missed = each(listed, read, tolerate=1)
    silent = _without((one[0] for one in listed), {part.symbol for part in parts})
    if ALWAYS not in {symbol for wire in (first, *more) for symbol in read_names(wire)}:
        silent["BTC"] = (*silent.get("BTC", ()), ALWAYS)
    rows: dict[str, OpenInterestRow] = {}
    for at in set(read_at.values()):
        same = [part for part in parts if read_at[part.coin] == at]
        rows |= sum_open_interest("bitmex", same, at, missing=silent, contracts_reported=False)
    return dict(sorted(rows.items())), silent, bad + missed


def bitcoin_price(listed: Iterable[Listed], at: int) -> float | None:
    """The mark of XBTUSD of the same hour: what settles in BTC is valued with it."""
    for contract, row, wire in listed:
        if contract.symbol == ALWAYS and abs(wire.fetched_at - at) <= HOUR_MS:
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
    first: Wire, more: tuple[Wire, ...] = ()
) -> tuple[dict[str, FundingRow], dict[str, tuple[str, ...]], int]:
    """`fundingRate` is fixed: it is charged at `fundingTimestamp`; longs pay when positive.

    Perpetuals against other money than the dollar (XBTKRW, ETHXBT) never speak for a coin.
    """

    def read(one: Listed) -> tuple[Contract, FundingRow]:
        contract, row, wire = one
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

    listed, bad = _perpetuals((first, *more))
    dollars = [one for one in listed if one[0].quote in _DOLLARS]
    rows, missed = each(dollars, read)
    silent = _without((one[0] for one in dollars), {row.symbol for _, row in rows})
    if ALWAYS not in {symbol for wire in (first, *more) for symbol in read_names(wire)}:
        silent["BTC"] = (*silent.get("BTC", ()), ALWAYS)
    return main_perpetuals(rows, INVERSE_FIRST), silent, bad + missed


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
