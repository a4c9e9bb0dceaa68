"""One declaration per endpoint: a decorated function, from which every face is derived.

The tool's name is the function's, its query model the annotation of the parameter `query`, its
answer the return annotation, its words the docstring. What is left is said once, in the decorator.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Answer
from mmflow_mcp.endpoints.params import Query

Handler = Callable[[Core, Any], Awaitable[Answer[Any]]]
Condense = Callable[[Any, int, str, Any], tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Live:
    """A stream behind an endpoint: what its events are called, how to listen, how to tell one.

    `listen`: (core, query) to a context whose queue holds what happens. `row`: an item of it as a
    row. `heartbeat`: seconds between signs of life where nothing happens.
    """

    event: str
    listen: Callable[[Core, Any], AbstractContextManager[Any]]
    row: Callable[[Any], Any]
    heartbeat: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything a face needs to know of one endpoint.

    `ttl`: seconds a client may keep the answer. `keeps`: which rows a tool's budget keeps, in
    words; `limit` its default, `budget` the parameter that sets it (a query's own, or `limit`).
    `detail`: whether a tool may ask for all columns. `condense`: makes a long answer short for a
    tool whose budget is not a row limit: (data, budget, form, query) to data and words on it.
    `live`: the stream that it watches for a while. `on_rest`: what programs read in place of the
    description's later paragraphs, where REST tells its numbers in another form than a tool.
    """

    name: str
    path: str
    family: str
    title: str
    description: str
    query: type[Query]
    answer: Any
    handler: Handler
    ttl: int
    example: dict[str, Any]
    keeps: str
    limit: int
    budget: str
    detail: bool
    condense: Condense | None = None
    live: Live | None = None
    on_rest: str = ""

    @property
    def rest_description(self) -> str:
        """The description as it is true of REST."""
        first, _, _ = self.description.partition("\n\n")
        return f"{first}\n\n{self.on_rest}" if self.on_rest else self.description


_ROLL: dict[str, Endpoint] = {}


def endpoint(
    path: str,
    *,
    title: str,
    ttl: int,
    example: dict[str, Any],
    keeps: str,
    limit: int = 50,
    budget: str = "limit",
    detail: bool = True,
    condense: Condense | None = None,
    live: Live | None = None,
    on_rest: str = "",
) -> Callable[[Handler], Handler]:
    """Declare an endpoint; see `Endpoint` for the words."""

    def declare(function: Handler) -> Handler:
        name: str = function.__name__
        hints = get_type_hints(function)
        query = hints.get("query")
        if not (isinstance(query, type) and issubclass(query, Query)):
            msg = f"{name} must take a parameter `query` that is a Query"
            raise TypeError(msg)
        if not function.__doc__:
            msg = f"{name} needs a docstring: it is what a model reads"
            raise TypeError(msg)
        if name in _ROLL or any(e.path == path for e in _ROLL.values()):
            msg = f"{name} at {path} is declared twice"
            raise TypeError(msg)
        _ROLL[name] = Endpoint(
            name=name,
            path=path,
            family=path.split("/")[1],
            title=title,
            description=inspect.cleandoc(function.__doc__),
            query=query,
            answer=hints["return"],
            handler=function,
            ttl=ttl,
            example=example,
            keeps=keeps,
            limit=limit,
            budget=budget,
            detail=detail,
            condense=condense,
            live=live,
            on_rest=on_rest,
        )
        return function

    return declare


@cache
def endpoints() -> dict[str, Endpoint]:
    """Every endpoint by tool name, in order of family and path; found by path."""
    package = importlib.import_module("mmflow_mcp.endpoints")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_ROLL.items(), key=lambda item: (item[1].family, item[1].path)))
