"""How a row tells what its numbers mean, and how its fields are read and spelled."""

from collections.abc import Callable
from dataclasses import Field, field, fields
from functools import cache
from operator import attrgetter
from typing import Any


def told(
    description: str, *, brief: bool = True, digits: str = "number", budgeted: bool = True
) -> Any:
    """A field with the words that tell its meaning.

    `brief` fields are the columns a tool shows by default. `digits` says how a float is printed:
    usd (1 decimal), percent (2), ratio (4), fine (6), mean (6 significant), coins (10 significant),
    rate or number (12 significant). In rows a model reads USD of a million or more whole and a
    rate in 6 digits. A row budget leaves tables alone that are not `budgeted`.
    """
    return field(
        metadata={
            "description": description,
            "brief": brief,
            "digits": digits,
            "budgeted": budgeted,
        }
    )


def maybe(
    description: str, *, brief: bool = False, digits: str = "number", first: int | None = None
) -> Any:
    """A field that may be unknown: None unless it was read, and then left out of objects.

    Of a list a tool shows the `first` items by default, where that is given.
    """
    return field(
        default=None,
        metadata={"description": description, "brief": brief, "digits": digits, "first": first},
    )


@cache
def camel(name: str) -> str:
    """`oi_usd` -> `oiUsd`, `net_usd5m` -> `netUsd5m`: the spelling on every face."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


@cache
def columns(row: Any, *, brief: bool = False) -> tuple[Field[Any], ...]:
    """The fields of a row type, or only the ones a tool shows by default."""
    return tuple(f for f in fields(row) if not brief or f.metadata.get("brief", True))


@cache
def getter(row: Any, *, brief: bool = False) -> Callable[[Any], tuple[Any, ...]]:
    """A fast reader of those fields, in order."""
    return attrgetter(*(f.name for f in columns(row, brief=brief)))
