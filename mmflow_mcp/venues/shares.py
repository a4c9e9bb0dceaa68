"""Shares of long holders, as four venues tell them: METHODS section 5.

A venue keeps series of samples for each contract. The newest sample whose time is over speaks; how
old it may be is judged where the answer is made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import USDT_FIRST, Contract
from mmflow_mcp.venues.fields import amount, ms, number
from mmflow_mcp.venues.namesakes import is_surely_coin

USUAL_PERIOD = "1h"
USUAL_COINS = ("BTC", "ETH", "SOL")
GLOBAL, TOP = "global", "top"


@dataclass(frozen=True, slots=True)
class Sample:
    """A share of longs, 0 to 1, and the end of the time that it is about."""

    end_ms: int
    long: float


Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Series:
    """A series of samples: `call` asks for a contract's at a period (15m, 1h, 4h).

    `read` gives samples by view from the answer and that period, and the bad rows.
    """

    call: Callable[[str, str], Call]
    read: Callable[[Wire, str], tuple[Samples, int]]


def share(value: object) -> float:
    """A fraction from 0 to 1. Raises ValueError for anything else."""
    result = number(value)
    if not 0 <= result <= 1:
        msg = "not a share"
        raise ValueError(msg)
    return result


def share_of(ratio: object) -> float:
    """The share of longs where longs / shorts is told: r / (1 + r)."""
    longs = amount(ratio)
    return longs / (1 + longs)


def share_beside(long: object, short: object) -> float:
    """The share of longs, told beside that of shorts; both must make one whole."""
    longs = share(long)
    # Four decimals each.
    if abs(longs + share(short) - 1) > 0.001:
        msg = "not two parts of a whole"
        raise ValueError(msg)
    return longs


def ratio_of(long: float) -> float | None:
    """Longs / shorts from the share of longs; None when nobody is short."""
    return long / (1 - long) if long < 1 else None


def stamp(value: object) -> int:
    """A time in epoch ms that must be there."""
    at = ms(value)
    if at is None:
        msg = "no time"
        raise ValueError(msg)
    return at


def newest_closed(samples: Iterable[Sample], read_at: int) -> Sample | None:
    """The newest sample whose time was over when it was read."""
    closed = [one for one in samples if one.end_ms <= read_at]
    return max(closed, key=lambda one: one.end_ms, default=None)


def speakers(
    contracts: Iterable[Contract], quotes: Sequence[str] = USDT_FIRST[:-1]
) -> dict[str, str]:
    """The symbol of each coin's main linear contract among those in these quotes."""

    def rank(contract: Contract) -> tuple[int, int, str]:
        return quotes.index(contract.rank_key), contract.multiplier, contract.symbol

    best: dict[str, Contract] = {}
    for contract in contracts:
        known = best.get(contract.coin)
        if contract.rank_key in quotes and (known is None or rank(contract) < rank(known)):
            best[contract.coin] = contract
    return {coin: contract.symbol for coin, contract in best.items()}


def guess_speakers(ask: Ask, usual: str) -> dict[str, str]:
    """The same for sure coins, while the list of contracts cannot be had.

    `usual`: what a symbol looks like, `{}` standing for the coin.
    """
    wanted = ask.coins or USUAL_COINS
    for coin in wanted:
        if not is_surely_coin(coin):
            ask.short(f"missing: nothing of {coin} without the list of contracts", coin=coin)
    return {coin: usual.format(coin) for coin in wanted if is_surely_coin(coin)}


async def ask_shares(ask: Ask, symbols: Mapping[str, str], *series: Series) -> list[PositioningRow]:
    """The newest closed sample of each view, for every coin asked that has a contract."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    period = str(ask.options.get("period", USUAL_PERIOD))
    wanted = [(coin, one) for coin in ask.coins or USUAL_COINS if coin in symbols for one in series]
    wires = await ask.all(*(one.call(symbols[coin], period) for coin, one in wanted))
    rows: list[PositioningRow] = []
    for (coin, one), wire in zip(wanted, wires, strict=True):
        if wire:
            rows += _read(ask, coin, one, wire, period)
        else:
            # Why is said already: the call is optional.
            ask.unreadable.add(coin)
    ask.universe = symbols
    return rows


def _read(ask: Ask, coin: str, series: Series, wire: Wire, period: str) -> list[PositioningRow]:
    try:
        samples, bad = wire.parsed(series.read, period)
    except VenueError as error:
        ask.short(f"{error.reason} ({coin})", coin=coin)
        return []
    ask.unread(bad)
    rows = []
    for view, known in samples.items():
        sample = newest_closed(known, wire.fetched_at)
        if sample is None:
            ask.short(f"missing: no closed sample of {coin} ({view})", coin=coin)
            continue
        rows.append(
            PositioningRow(
                coin=coin,
                venue=ask.venue,
                view=view,
                long_fraction=sample.long,
                long_short_ratio=ratio_of(sample.long),
                fetched_at=wire.fetched_at,
                sampled_at=sample.end_ms,
                period=period,
            )
        )
    return rows
