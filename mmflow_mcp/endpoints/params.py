"""The parameters that questions share, forgiving in what they take and strict in what they mean.

Lists come as lists or as comma-separated text; coins as btc, BTC-USDT or BTCUSDT; venues by any
of their names, or `all`.
"""

import difflib
import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.venues import by_name, fold, listed
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coins import understand

MAX_COINS = 100
# Where each coin costs requests of its own.
MAX_FEW = 20
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


def _one_coin(text: str, argument: str) -> str:
    if not text:
        raise BadQuestion(argument, "an empty name is no coin.", fits="tickers such as BTC, ETH")
    if len(text) > MAX_NAME or any(unicodedata.category(c)[0] == "C" for c in text):
        raise BadQuestion(
            argument, f"{_shown(text)} is no coin.", fits="tickers such as BTC, ETH, SOL"
        )
    return understand(text)


def _shown(text: str) -> str:
    """What was given, safe to show: bounded, without control characters."""
    clean = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return repr(clean if len(clean) <= MAX_NAME else clean[:MAX_NAME] + "…")


def coins_of(value: Any) -> tuple[str, ...] | None:
    """Canonical tickers in the order given, each once; None when nothing was given."""
    parts = _as_list(value)
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
        raise BadQuestion(
            "coins", "a list of tickers was expected.", fits='["BTC","ETH"] or "BTC,ETH"'
        )
    if len(parts) > MAX_COINS:
        raise BadQuestion(
            "coins",
            f"{len(parts)} coins are too many for one question.",
            fits=f"up to {MAX_COINS} coins, or none for the whole universe",
        )
    return tuple(dict.fromkeys(_one_coin(part, "coins") for part in parts))


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
    return _one_coin(value.strip(), argument)


def venue_ids() -> str:
    """Every venue that can be named, as an error lists them."""
    return ", ".join(venue.id for venue in listed())


def venue_of(name: str, argument: str = "venues") -> Venue:
    """The venue of that name or alias. Raises `BadQuestion` with the nearest names."""
    names = by_name()
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
            fits=venue_ids() + (", or all" if argument == "venues" else ""),
        )
    return found


def venues_of(value: Any) -> tuple[str, ...] | None:
    """Venue ids in the order given, each once; ("all",) for every venue; None for the default."""
    parts = _as_list(value)
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
        raise BadQuestion("venues", "a list of venues was expected.", fits='["binance"] or "all"')
    named = [part for part in parts if part.lower() != "all"]
    if len(named) < len(parts):
        for part in named:
            venue_of(part)
        return ("all",)
    if any(not part for part in parts):
        raise BadQuestion(
            "venues",
            "an empty name is no venue.",
            fits=f"{venue_ids()}, or all",
        )
    return tuple(dict.fromkeys(venue_of(part).id for part in parts))


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
