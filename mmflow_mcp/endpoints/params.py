"""The parameters that questions share, forgiving in what they take and strict in what they mean.

Lists come as lists or as comma-separated text; coins as btc, BTC-USDT or BTCUSDT; venues by any
of their names, or `all`.
"""

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.venues import by_name, fold, listed
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_spans import MINUTE_MS, STEPS
from mmflow_mcp.venues.coins import is_several, understand

MAX_COINS = 100
# Where each coin costs requests of its own.
MAX_FEW = 20
# A parameter that every face takes and a tool's schema does not spend words on.
UNTOLD: dict[str, Any] = {"untold": True}
FEW_COINS = "Up to 20. Default BTC,ETH,SOL"
MAX_NAME = 40


class Query(BaseModel):
    """Base of every query: unknown parameters are an error, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(value: Any) -> Any:
    """A list from a list or from comma-separated text; empty text is nothing given."""
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        if value.startswith("[") and value.endswith("]"):
            value = value[1:-1].replace('"', "").replace("'", "")
        value = value.split(",") if value else []
    if isinstance(value, (list, tuple)):
        parts: list[Any] = []
        for part in value:
            parts += [p.strip() for p in part.split(",")] if isinstance(part, str) else [part]
        return parts or None
    return value


# What is left of a list that was sent as broken JSON.
_BRACKETS = frozenset("[]{}\"'")


def _is_control(c: str) -> bool:
    return unicodedata.category(c)[0] == "C"


def _one_coin(text: str, argument: str) -> str:
    if not text:
        raise BadQuestion(argument, "an empty name is no coin.", fits="tickers such as BTC, ETH")
    if (bare := "".join(c for c in text if not _is_control(c))) != text:
        raise BadQuestion(
            argument, f"{_shown(bare)} with hidden characters is no coin.", fits="plain letters"
        )
    if len(text) > MAX_NAME or any(c in _BRACKETS for c in text):
        raise BadQuestion(
            argument, f"{_shown(text)} is no coin.", fits="tickers such as BTC, ETH, SOL"
        )
    if is_several(text):
        fits = "a list with commas: BTC,ETH" if argument == "coins" else "one ticker, such as BTC"
        raise BadQuestion(argument, f"{_shown(text)} is not one coin.", fits=fits)
    return understand(text)


def _shown(text: str) -> str:
    """What was given, safe to show: bounded, without control characters."""
    clean = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return repr(clean if len(clean) <= MAX_NAME else clean[:MAX_NAME] + "…")


def coins_of(value: Any, argument: str = "coins") -> tuple[str, ...] | None:
    """Canonical tickers in the order given, each once; None when nothing was given."""
    parts = _as_list(value)
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
        raise BadQuestion(
            argument, "a list of tickers was expected.", fits='["BTC","ETH"] or "BTC,ETH"'
        )
    if len(parts) > MAX_COINS:
        raise BadQuestion(
            argument,
            f"{len(parts)} coins are too many for one question.",
            fits=f"up to {MAX_COINS} coins, or none for the whole universe",
        )
    return tuple(dict.fromkeys(_one_coin(part, argument) for part in parts))


def few_coins_of(value: Any) -> tuple[str, ...] | None:
    """Canonical tickers as `coins_of` reads them, 20 at most."""
    coins = coins_of(value)
    if coins is not None and len(coins) > MAX_FEW:
        raise BadQuestion(
            "coins", f"{len(coins)} coins are too many here.", fits=f"up to {MAX_FEW} coins"
        )
    return coins


def coin_of(value: Any, argument: str = "coin", fits: str = "a ticker such as BTC") -> str:
    """One canonical ticker."""
    if not isinstance(value, str):
        raise BadQuestion(argument, "a ticker was expected.", fits=fits)
    if not value.strip():
        raise BadQuestion(argument, "an empty name is no coin.", fits=fits)
    if "," in value:
        raise BadQuestion(argument, f"{_shown(value)} is not one coin.", fits=fits)
    return _one_coin(value.strip(), argument)


def venue_ids() -> str:
    """Every venue that can be named, as an error lists them."""
    return ", ".join(venue.id for venue in listed())


def venue_of(name: str, argument: str = "venues", *, many: bool | None = None) -> Venue:
    """The venue of that name or alias. Raises `BadQuestion` with the nearest names.

    `many`: whether the argument takes `all` (left out: only `venues` does).
    """
    names = by_name()
    several = many or (many is None and argument == "venues")
    if fold(name) == "all" and not several:
        raise BadQuestion(argument, "'all' is no venue: one a question.", fits=venue_ids())
    found = names.get(fold(name))
    if found is None and fold(name).endswith(("futures", "swap", "spot", "delivery")):
        stem = fold(name)
        for ending in ("futures", "swap", "spot", "delivery"):
            stem = stem.removesuffix(ending)
        found = names.get(stem)
    if found is None:
        near = difflib.get_close_matches(fold(name), names, n=3, cutoff=0.5)
        raise BadQuestion(
            argument,
            f"{_shown(name)} is no venue.",
            nearest=list(dict.fromkeys(names[n].id for n in near)),
            fits=venue_ids() + (", or all" if several else ""),
        )
    return found


def venues_of(value: Any, argument: str = "venues") -> tuple[str, ...] | None:
    """Venue ids in the order given, each once; ("all",) for every venue; None for the default."""
    parts = _as_list(value)
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
        raise BadQuestion(argument, "a list of venues was expected.", fits='["binance"] or "all"')
    if any(not part for part in parts):
        raise BadQuestion(
            argument,
            "an empty name is no venue.",
            fits=f"{venue_ids()}, or all",
        )
    found = [venue_of(part, argument, many=True).id for part in parts if part.lower() != "all"]
    return tuple(dict.fromkeys(found)) if len(found) == len(parts) else ("all",)


Coins = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(coins_of, json_schema_input_type=list[str]),
]
FewCoins = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(few_coins_of, json_schema_input_type=list[str]),
]
Venues = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(venues_of, json_schema_input_type=list[str]),
]


def coins_field(description: str) -> Any:
    """A `coins` parameter with its words."""
    return Field(default=None, description=description)


def venues_field(description: str) -> Any:
    """A `venues` parameter with its words."""
    return Field(default=None, description=description)


INTERVAL_MS = STEPS
# Other spellings. 1M is a month elsewhere, and so never a minute here.
_SAME_INTERVAL = {"60m": "1h", "240m": "4h", "24h": "1d", "1D": "1d", "1H": "1h", "4H": "4h"}


def interval_of(value: Any) -> str:
    """The length of a candle, 1m to 1d."""
    text = str(value).strip()
    text = _SAME_INTERVAL.get(text, text)
    if text not in INTERVAL_MS:
        raise BadQuestion(
            "interval", f"{_shown(text)} is no interval here.", fits=", ".join(INTERVAL_MS)
        )
    return text


Interval = Annotated[
    Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"], BeforeValidator(interval_of)
]

_UNIT_MS = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_AGO = re.compile(r"-(\d{1,9})([smhdw])", re.ASCII)
_MOMENT_FITS = "epoch milliseconds, 2026-08-22T15:33:00Z, -24h (m, h, d, w) or now"
# No market is older than 1973: such a number counts seconds, or is a date like 20260822.
_NO_MS_FROM, _NO_MS_UNTIL = 1e7, 1e11
_LAST_MS = 253_402_300_800_000


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as it was asked for: absolute, or before the moment of the question."""

    ms: int
    is_ago: bool = False

    def at(self, now_ms: int) -> int:
        """Epoch milliseconds UTC, never before 1970."""
        return max(now_ms - self.ms, 0) if self.is_ago else self.ms


def moment_of(value: Any, argument: str) -> Moment | None:
    """A moment from epoch milliseconds, ISO text (UTC where it tells no zone), `-24h` or `now`."""
    if isinstance(value, str):
        value = value.strip() or None
    if value is None or isinstance(value, Moment):
        return value
    found = _moment_of_text(value) if isinstance(value, str) else _moment_of_number(value)
    if found is None or not 0 <= found.ms < _LAST_MS:
        ago = f"-{value}"
        near = [ago] if isinstance(value, str) and _AGO.fullmatch(ago.lower()) else []
        raise BadQuestion(
            argument, f"{_shown(str(value))} is no time.", nearest=near, fits=_MOMENT_FITS
        )
    if not found.is_ago and _NO_MS_FROM <= found.ms < _NO_MS_UNTIL:
        raise BadQuestion(
            argument, f"{_shown(str(value))} is not in milliseconds.", fits=_MOMENT_FITS
        )
    return found


def _moment_of_text(text: str) -> Moment | None:
    if text.lower() == "now":
        return Moment(0, is_ago=True)
    ago = _AGO.fullmatch(text.lower())
    if ago:
        return Moment(int(ago[1]) * _UNIT_MS[ago[2]], is_ago=True)
    if re.fullmatch(r"[+-]?\d+(\.0*)?", text, re.ASCII):
        return _moment_of_number(float(text)) if len(text) <= MAX_NAME else None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return Moment(math.floor(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        return None


def _moment_of_number(value: Any) -> Moment | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return Moment(int(value)) if math.isfinite(value) and value == int(value) else None


def _asked_moment(value: Any, info: ValidationInfo) -> Moment | None:
    return moment_of(value, info.field_name or "time")


AskedMoment = Annotated[Moment | None, BeforeValidator(_asked_moment, json_schema_input_type=str)]
