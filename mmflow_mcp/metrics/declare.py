"""One declaration per sampling: a decorated function that reads several metrics at once.

The recorder, the choices of the history questions and the documents derive from the roll.
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.series.store import SeriesKey

LIGHT, FULL = "light", "full"
LEVELS = ("off", LIGHT, FULL)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series now. `v` None is not stored."""

    key: SeriesKey
    v: float | None
    extra: Mapping[str, Any] | None = None


Read = Callable[[Core, str], Awaitable[list[Sample]]]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Metrics that are read together.

    `metrics`: name -> unit and meaning. `every_ms`: the grid. `level`: the least level of
    recording that reads them; the reader is told the level in force. `uri`: the resource that
    changes with a coin's samples, `{metric}` and `{coin}` standing for theirs.
    """

    name: str
    metrics: dict[str, str]
    every_ms: int
    level: str
    uri: str
    read: Read


_ROLL: dict[str, Sampling] = {}


def sampling(
    *, metrics: dict[str, str], every_ms: int, level: str, uri: str
) -> Callable[[Read], Read]:
    """Declare a sampling; see `Sampling` for the words."""

    def declare(read: Read) -> Read:
        name: str = getattr(read, "__name__", "")
        if name in _ROLL:
            msg = f"{name} is declared twice"
            raise TypeError(msg)
        _ROLL[name] = Sampling(name, metrics, every_ms, level, uri, read)
        return read

    return declare


@cache
def samplings() -> dict[str, Sampling]:
    """Every sampling by name; found by path."""
    package = importlib.import_module("mmflow_mcp.metrics")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_ROLL.items()))
