"""What Deribit's instrument names say: the grammar is the only place that tells it in bulk.

https://docs.deribit.com/

    BTC-PERPETUAL            inverse perpetual: quoted in USD, settled in the coin
    SOL_USDC-PERPETUAL       linear perpetual: quoted and settled in USDC
    BTC-25DEC26              dated future, inverse; SOL_USDC-25DEC26 is a linear one
    BTC-25DEC26-100000-C     option, inverse
    XRP_USDC-30JUN26-0d625-C option, linear; `d` is the decimal point

Names are case-sensitive. What has letters where the date belongs (BTC-CS-..., BTC-FS-...) is a
combination of several instruments, each of which stands in the lists by itself.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import Contract

# Coins with perpetuals and options settled in the coin itself; all else is settled in USDC.
INVERSE = ("BTC", "ETH")
LINEAR = "USDC"

# Expiries and deliveries are at this hour of the day that the name gives, UTC.
EXPIRY_HOUR = 8

_PERPETUAL = re.compile(r"^([A-Z0-9]+)(?:_(USDC|USDT))?-PERPETUAL$")
_FUTURE = re.compile(r"^([A-Z0-9]+)(?:_(USDC|USDT))?-(\d{1,2}[A-Z]{3}\d{2})$")
_OPTION = re.compile(r"^([A-Z0-9]+)(?:_(USDC|USDT))?-(\d{1,2}[A-Z]{3}\d{2})-(\d+(?:d\d+)?)-([CP])$")
_DATED = re.compile(r"^[^-]+-\d[^-]*-")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
    )
}


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """What an option's name says; `settled` is USDC or USDT for a linear one, else None.

    `strike` in USD, `expiry_ms` in epoch milliseconds, `type` C or P.
    """

    coin: str
    settled: str | None
    expiry_ms: int
    strike: float
    type: str


@lru_cache(maxsize=512)
def read_expiry(label: str) -> int:
    """`25DEC26` as the epoch milliseconds of its 08:00 UTC. Raises KeyError or ValueError."""
    day = datetime(2000 + int(label[-2:]), _MONTHS[label[-5:-2]], int(label[:-5]), tzinfo=UTC)
    return int(day.timestamp()) * 1000 + EXPIRY_HOUR * HOUR_MS


def read_perpetual(name: str) -> Contract | None:
    """The perpetual of that name, None for every other kind of instrument."""
    parts = _PERPETUAL.match(name)
    if parts is None:
        return None
    coin, multiplier = canonical(parts[1])
    if parts[2] is None:
        return Contract(name, coin, multiplier, "USD", "inverse")
    return Contract(name, coin, multiplier, parts[2])


@lru_cache(maxsize=8192)
def read_option(name: str) -> OptionTerms | None:
    """The terms of the option of that name, None for every other kind of instrument.

    Raises ValueError or KeyError for what is built like an option and cannot be read.
    """
    parts = _OPTION.match(name)
    if parts is None:
        if _DATED.match(name):
            msg = "not an option that can be read"
            raise ValueError(msg)
        return None
    strike = float(parts[4].replace("d", "."))
    if strike <= 0:
        msg = "no strike"
        raise ValueError(msg)
    return OptionTerms(parts[1], parts[2], read_expiry(parts[3]), strike, parts[5])


def read_kind(name: str) -> tuple[str, str] | None:
    """(kind, coin) of a perpetual, dated future or option; None for combinations and spot."""
    for kind, pattern in (("option", _OPTION), ("perp", _PERPETUAL), ("future", _FUTURE)):
        parts = pattern.match(name)
        if parts is not None:
            return kind, canonical(parts[1])[0]
    return None
