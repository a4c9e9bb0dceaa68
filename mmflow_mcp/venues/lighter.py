"""Lighter: an order book on a rollup; linear perpetuals quoted and settled in USDC.

https://apidocs.lighter.xyz/reference

Stocks, metals and currencies are listed beside coins and nothing says which is which, so only
known coins are answered. Open interest is in units of the symbol, one-sided. The funding rate is
expressed for 8 hours and paid in eighths, every full hour.
"""

import re
from dataclasses import replace
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueError, VenueRateLimited, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
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
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.fields import (
    MAX_USD,
    amount,
    each,
    member,
    positive,
    positive_or_none,
    rate,
)
from mmflow_mcp.venues.lighter_liquidations import closing_rule
from mmflow_mcp.venues.lighter_past import ask_funding_history
from mmflow_mcp.venues.namesakes import is_surely_coin
from mmflow_mcp.venues.singles import REFUSALS, ask_singly

HOST = "mainnet.zklighter.elliot.ai"
API = f"https://{HOST}/api/v1"
DETAILS = get(f"{API}/orderBookDetails", fresh=5)
DETAILS_IF_ANY = get(f"{API}/orderBookDetails", fresh=5, optional=True)
RATES = get(f"{API}/funding-rates", fresh=5)
_ALL: tuple[dict[str, str | int], ...] = ({"filter": "perp"}, {"filter": "all"}, {"market_id": 255})
# Other ways to ask for the details of all markets: 255 stands for all.
DETAILS_ELSE = tuple(get(f"{API}/orderBookDetails", params, fresh=5) for params in _ALL)
# Ids of the first markets, from 0. An answer is believed by the symbol in it, not by these.
MARKET_IDS = {
    coin: number
    for number, coin in enumerate(
        """
        ETH BTC SOL DOGE PEPE WIF WLD XRP LINK AVAX NEAR DOT TON TAO POL TRUMP SUI SHIB BONK
        FLOKI BERA FARTCOIN
        """.split()  # noqa: SIM905 - a table of words reads better as words
    )
}
# Listed since the first day: an answer without them lacks them.
ALWAYS = ("BTC", "ETH")


def details_of(market_id: int) -> Call:
    """The details of one market."""
    return get(f"{API}/orderBookDetails", {"market_id": market_id}, fresh=5)


# Stocks here under the ticker of a coin: Wendy's, BlackBerry, Quantinuum.
STOCKS = frozenset({"WEN", "BB", "QNT"})


class Lighter(Venue):
    """The perpetuals of Lighter's main deployment (the one on Robinhood Chain is another venue)."""

    id = "lighter"
    name = "Lighter"
    kind = "dex"
    aliases = ("lighter-perps", "zklighter")
    hosts = (HOST,)
    always = ("BTC", "ETH")
    # 60 requests a minute for each address, whatever they ask.
    meters = (Meter((HOST,), 60, 60),)
    data_source = "Lighter public REST"
    docs = "https://apidocs.lighter.xyz/"
    notes = (
        (
            "The venue lists stocks, metals and currencies beside coins without saying which is"
            " which: coins outside this server's list of known coins are left out."
        ),
        "Funding is expressed for 8 hours and paid every hour, one eighth each time.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors carry a code of their own in the body, at HTTP 200 and 4xx alike."""
        if status in (403, 405) and body.lstrip()[:1] == b"<":
            # The firewall in front pauses an address that asks in bursts, for about a minute.
            return VenueRateLimited(status, "the venue's firewall paused us", retry_after=60)
        said = _CODE.search(body[:400])
        # These statuses say more than a code does, and a 429 may carry Retry-After.
        if said is None or said[1] == b"200" or status in (403, 418, 429, 451) or status >= 500:
            return None
        if said[1] == b"23000":
            return VenueRateLimited(status, "code 23000, too many requests")
        return VenueRejected(f"rejected: code {int(said[1])}")

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Open interest of every active perpetual on a known coin, one request."""
        first, *more = await _details(ask)
        rows, silent, bad = first.parsed(parse_open_interest, tuple(more))
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"missing: nothing readable of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of every known coin; the details tell what is live and its mark."""
        rates, details = await ask.all(RATES, DETAILS_IF_ANY)
        rows, silent, bad = rates.parsed(parse_funding, details)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"missing: no funding rate of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's perpetual paid hour by hour; markets are asked by their number."""
        pairs, bad = (await ask.get(replace(DETAILS, fresh=HOUR, reference=True))).parsed(_live)
        ask.unread(bad)
        return await ask_funding_history(ask, {one: int(row["market_id"]) for one, row in pairs})

    def liquidation_feed(self) -> ClosingRule:
        """Liquidations beside the trades of each market."""
        return closing_rule(_ask_contracts)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every active perpetual and spot market."""
        singles = await ask_singly(ask, {"": (DETAILS, *DETAILS_ELSE)})
        for failure in singles.failed.values():
            raise failure
        rows, bad = singles.found[""].parsed(parse_markets)
        ask.unread(bad)
        return rows


async def _ask_contracts(ask: Ask) -> dict[str, Contract]:
    """Every live perpetual on a known coin, by the number of its market."""
    pairs, _ = (await ask.get(replace(DETAILS, fresh=HOUR, reference=True))).parsed(_live)
    return {str(int(row["market_id"])): contract for contract, row in pairs}


async def _details(ask: Ask) -> tuple[Wire, ...]:
    """The details of all markets; if refused, or for what they surely lack, of single ones."""
    refusal: VenueError | None = None
    wires: tuple[Wire, ...] = ()
    try:
        wires = (await ask.get(DETAILS),)
    except REFUSALS as error:
        refusal = error
        wires = tuple((await ask_singly(ask, {"": DETAILS_ELSE})).found.values())
    have = {contract.coin for wire in wires for contract, _ in wire.parsed(_live)[0]}
    lacking = [coin for coin in ask.coins or () if coin not in have]
    if wires:
        lacking = [coin for coin in lacking if coin in ALWAYS]
    calls = {coin: (details_of(MARKET_IDS[coin]),) for coin in lacking if coin in MARKET_IDS}
    singles = await ask_singly(ask, calls)
    if refusal and not (wires or singles.found):
        raise refusal
    for coin in lacking:
        if coin in singles.failed:
            ask.short(f"{singles.failed[coin].reason} ({coin})", coin=coin)
        elif coin not in singles.found:
            # Without the details of all markets nobody knows whether it is listed.
            ask.short(f"missing: no details of {coin}", coin=coin)
    return (*wires, *singles.found.values())


_CODE = re.compile(rb'^\s*\{\s*"code"\s*:\s*"?(-?\d+)')
_SPOT = re.compile(r"^([A-Z0-9]+)/[A-Z0-9]+$")


def known_coin(symbol: str) -> Contract | None:
    """The perpetual of a symbol that is certainly a coin's: 1000PEPE is 1000 of PEPE."""
    coin, multiplier = canonical(symbol)
    if coin not in KNOWN_COINS or symbol in STOCKS:
        return None
    return Contract(symbol, coin, multiplier, "USDC")


def live_contract(row: dict[str, Any]) -> Contract | None:
    """The contract of a row of details, None for what is inactive or no perpetual on a coin.

    An inactive market keeps its last open interest. Hours of trading mean a stock or the like.
    """
    if row.get("market_type", "perp") != "perp" or row["status"] != "active":
        return None
    if (row.get("market_config") or {}).get("trading_hours"):
        return None
    return known_coin(row["symbol"])


def mark_of(row: dict[str, Any]) -> float | None:
    """The mark price, USD per unit of the symbol; the last trade where no mark is given."""
    mark = positive_or_none(row.get("mark_price"))
    return positive_or_none(row.get("last_trade_price")) if mark is None else mark


def _live(details: Wire) -> tuple[list[tuple[Contract, dict[str, Any]]], int]:
    """Each live perpetual once with its row, and the rows that could not be read."""

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        contract = live_contract(row)
        return None if contract is None else (contract, row)

    pairs, bad = each(member(details.doc, "order_book_details"), read)
    return list({contract.symbol: (contract, row) for contract, row in pairs}.values()), bad


def parse_open_interest(
    first: Wire, more: tuple[Wire, ...] = ()
) -> tuple[dict[str, OpenInterestRow], dict[str, tuple[str, ...]], int]:
    """Rows by coin, the markets that could not be read by coin, and the bad rows."""
    rows: dict[str, OpenInterestRow] = {}
    silent: dict[str, tuple[str, ...]] = {}
    bad = 0
    for wire in (first, *more):
        pairs, unread = wire.parsed(_live)
        parts, missed = each(pairs, lambda pair: open_part(*pair))
        silent |= _without([contract for contract, _ in pairs], {part.symbol for part in parts})
        rows |= sum_open_interest("lighter", parts, wire.fetched_at, missing=silent)
        bad += unread + missed
    named = {symbol for wire in (first, *more) for symbol in _symbols(wire)}
    silent |= {coin: (coin,) for coin in ALWAYS if coin not in named}
    return dict(sorted(rows.items())), silent, bad


def _symbols(details: Wire) -> frozenset[str]:
    """What is named, whatever its state."""
    rows = member(details.doc, "order_book_details")
    return frozenset(str(row.get("symbol")) for row in rows if isinstance(row, dict))


def open_part(contract: Contract, row: dict[str, Any]) -> OpenPart:
    """`open_interest` is in units of the symbol here; on the socket it is in USDC."""
    units = amount(row["open_interest"])
    usd = units * positive(mark_of(row))
    if usd >= MAX_USD:
        msg = "not an open interest"
        raise ValueError(msg)
    return OpenPart(contract.coin, contract.symbol, usd=usd, coins=units * contract.multiplier)


def _without(contracts: list[Contract], have: set[str]) -> dict[str, tuple[str, ...]]:
    """The symbols of these contracts that are not had, by coin."""
    silent: dict[str, tuple[str, ...]] = {}
    for contract in contracts:
        if contract.symbol not in have:
            silent[contract.coin] = (*silent.get(contract.coin, ()), contract.symbol)
    return silent


def parse_funding(
    rates: Wire, details: Wire
) -> tuple[dict[str, FundingRow], dict[str, tuple[str, ...]], int]:
    """Rows by coin, live markets without a rate by coin, and the bad rows.

    `rate` is the fraction for 8 hours; one eighth is paid at the next full hour. Rates that the
    answer relays from other venues are not ours to tell. `details` may be `NOTHING`, and a
    symbol may be absent from it: without its hours of trading, only what is surely a coin is told.
    """
    next_hour = (rates.fetched_at // HOUR_MS + 1) * HOUR_MS
    live, out = _states(details) if details else ({}, frozenset())

    def read(row: dict[str, Any]) -> tuple[Contract, FundingRow] | None:
        if row["exchange"] != "lighter" or row["symbol"] in out:
            return None
        symbol = row["symbol"]
        contract, mark = live.get(symbol) or (known_coin(symbol), None)
        if contract is None or (symbol not in live and not is_surely_coin(contract.coin)):
            return None
        made = funding_row(
            "lighter",
            contract,
            rate(row["rate"]),
            8,
            rates.fetched_at if mark is None else min(rates.fetched_at, details.fetched_at),
            mark=mark,
            next_ms=next_hour,
        )
        return contract, made

    rows, bad = each(member(rates.doc, "funding_rates"), read)
    listed = [contract for contract, _ in live.values()]
    have = {row.symbol for _, row in rows}
    silent = _without(listed, have)
    silent |= {coin: (coin,) for coin in ALWAYS if coin not in have and coin not in out}
    return main_perpetuals(rows), silent, bad


def _states(details: Wire) -> tuple[dict[str, tuple[Contract, float | None]], frozenset[str]]:
    """Live perpetuals by symbol with their mark, and the symbols that are known to be none."""

    def read(row: dict[str, Any]) -> tuple[str, tuple[Contract, float | None] | None]:
        contract = live_contract(row)
        return row["symbol"], None if contract is None else (contract, mark_of(row))

    found, _ = each(member(details.doc, "order_book_details"), read)
    live = {symbol: state for symbol, state in found if state is not None}
    return live, frozenset(symbol for symbol, state in found if state is None)


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """Active markets; `coin` is null for what is not certainly a coin."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        symbol = row["symbol"]
        if row["status"] != "active":
            return None
        if row.get("market_type", "perp") != "perp":
            base = _SPOT.match(symbol)
            spot = known_coin(base[1]) if base else None
            return MarketRow(
                "lighter", symbol, spot.coin if spot else None, "spot", f"{symbol} spot"
            )
        perp = live_contract(row)
        coin = perp.coin if perp else None
        return MarketRow("lighter", symbol, coin, "perp", f"{symbol} perpetual (USDC)")

    raw = list(member(wire.doc, "order_book_details"))
    raw += wire.doc.get("spot_order_book_details") or []
    rows, bad = each(raw, read)
    return list({row.symbol: row for row in rows}.values()), bad
