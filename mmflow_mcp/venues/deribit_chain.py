"""Reads Deribit's option chains: one underlying out of a summary of a settlement currency.

https://docs.deribit.com/#public-get_book_summary_by_currency

`mark_iv` is percent. Open interest and volume are in coins whatever the contract size. Premiums
are in coins for BTC and ETH and in USDC per coin for linear options. `underlying_price` is the
forward of the expiry, `estimated_delivery_price` the spot index.
"""

from collections import Counter
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows import OptionChain, OptionRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_option
from mmflow_mcp.venues.fields import amount, each, member, positive, positive_or_none

# Underlyings of options and the index each settles against.
INDEX = {"BTC": "btc_usd", "ETH": "eth_usd", "SOL": "sol_usdc", "XRP": "xrp_usdc"}


def parse_chain(options: Wire, underlying: str, index: Wire) -> OptionChain:
    """The options of one underlying: BTC and ETH inverse, SOL and XRP linear in USDC.

    The USDC summary holds every linear underlying, BTC_USDC and ETH_USDC among them: they are
    not part of the inverse chains. `index` may be `NOTHING`.
    """
    settled = None if underlying in INVERSE else LINEAR
    start = f"{underlying}-" if settled is None else f"{underlying}_{settled}-"
    told: list[float] = []

    def read(row: dict[str, Any]) -> OptionRow | None:
        name = row["instrument_name"]
        if not name.startswith(start):
            return None
        option = _option_row(name, underlying, row)
        spot = positive_or_none(row.get("estimated_delivery_price")) if option else None
        if spot is not None:
            told.append(spot)
        return option

    found, dropped = each(member(options.doc, "result"), read)
    # All rows carry the same index; the middle one is not moved by a single broken row.
    spot = sorted(told)[len(told) // 2] if told else None
    if index and abs(index.fetched_at - options.fetched_at) > HOUR_MS:
        # Another day's index is not the spot of this chain.
        index = NOTHING
    used = [options] if spot is not None or not index else [options, index]
    return OptionChain(
        underlying,
        tuple({row.instrument: row for row in found}.values()),
        spot if spot is not None else _spot_index(index),
        min(wire.fetched_at for wire in used),
        dropped,
    )


def count_lonely(chain: OptionChain) -> int:
    """How many options stand without the put or call of the same strike and expiry."""
    sides = Counter((row.expiry_ms, row.strike) for row in chain.rows)
    return sum(count == 1 for count in sides.values())


def _option_row(name: str, underlying: str, row: dict[str, Any]) -> OptionRow | None:
    terms = read_option(name)
    if terms is None:
        return None
    return OptionRow(
        instrument=name,
        underlying=underlying,
        strike=terms.strike,
        expiry_ms=terms.expiry_ms,
        type=terms.type,
        oi=_amount_or_none(row.get("open_interest")),
        volume24h=_amount_or_none(row.get("volume")),
        # Percent; 0 is an empty field, not a volatility.
        mark_iv=positive_or_none(row.get("mark_iv")),
        mark_price=_amount_or_none(row.get("mark_price")),
        underlying_price=positive_or_none(row.get("underlying_price")),
    )


def _amount_or_none(value: Any) -> float | None:
    return None if value is None or value == "" else amount(value)


def _spot_index(index: Wire) -> float | None:
    """The index price, None where it could not be had or read."""
    if not index:
        return None
    try:
        return positive(member(index.doc, "result", "index_price"))
    except (VenueChanged, ValueError, TypeError):
        return None
