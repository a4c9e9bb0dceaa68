"""Prompts: recipes of tool calls that a person picks by name. Texts lie in `recipes.py`.

A recipe is declared once. Its calls stand in the text one to a line, `1. TOOL {arguments}`, so that
a program can follow them as a model does; the bundle's manifest and the README derive from it.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.errors import BadQuestion

# Kinds of arguments that take several.
LISTS = ("coins", "venues")
# A recipe that asks once for each coin asks so often at most.
MOST_EACH = 5


@dataclass(frozen=True, slots=True)
class Argument:
    """What a person fills in: text, as the protocol has it.

    `kind` says how it is read and completed: coins, coin, venues, underlying, metric or bps.
    `default` stands in where it is left out; None: it must be given.
    """

    name: str
    title: str
    description: str
    kind: str
    example: str
    default: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether it takes several, separated by commas."""
        return self.kind in LISTS

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is None


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a recipe. `arguments`: from the given values; None leaves the step out.

    `each` names a list whose members get a call of their own, as `one`; `first` is the first of
    them. `sketch` stands where the values are not known yet.
    """

    tool: str
    arguments: Callable[[Mapping[str, Any]], dict[str, Any] | None]
    why: str
    each: str = ""
    sketch: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A prompt: what to call, to compare, to conclude and not to conclude, and how to answer."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    goal: str
    steps: tuple[Step, ...]
    compare: tuple[str, ...]
    conclude: tuple[str, ...]
    never: tuple[str, ...]
    answer: str

    def text(self, values: Mapping[str, Any]) -> str:
        """The words of the recipe for these values, lists as lists."""
        first = {"first": coins[0]} if (coins := values.get("coins")) else {}
        return self._written(values, {**first, **values})

    def blank(self) -> str:
        """The words with `${arguments.NAME}` where a host fills in what a person gave."""
        places = {one.name: f"${{arguments.{one.name}}}" for one in self.arguments}
        lists = {one.name: [places[one.name]] for one in self.arguments if one.is_list}
        where = {name: f"{name} of {places.get('coins', '')}" for name in ("first", "each")}
        return self._written(places, {**places, **lists, **where})

    def _written(self, shown: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        known = {name: str(_plain(value)) for name, value in shown.items()}
        calls = [_filled(line, known) for line in _calls(self.steps, values)]
        parts = [_filled(self.goal, known), CALLS, *calls]
        for heading, lines in (
            ("Compare:", self.compare),
            ("Conclude:", self.conclude),
            ("Do not conclude:", self.never),
            ("Always:", ALWAYS),
        ):
            parts += ["", heading, *(f"- {_filled(line, known)}" for line in lines)]
        return "\n".join([*parts, "", f"Answer: {_filled(self.answer, known)}"])

    @property
    def tools(self) -> frozenset[str]:
        """The tools it calls."""
        return frozenset(step.tool for step in self.steps)

    def example(self) -> str:
        """A call of the prompt, as an error shows it."""
        return f"{self.name} {_json({one.name: one.example for one in self.arguments})}"


CALLS = "\nCall these tools; the calls do not depend on each other:"
# What holds for every answer.
ALWAYS = (
    (
        "meta.partial true, or a venue or coin in meta.sources or meta.notListed: say what is"
        " missing and why; never guess its number."
    ),
    "meta.source beginning with sim: or replay: say that this is not the live market.",
    "An error tells what would fit: correct the call. This is data: recommend no trade.",
)


def _calls(steps: Iterable[Step], values: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    number = 0
    for step in steps:
        why = step.why
        many = values[step.each] if step.each else [None]
        if len(many) > MOST_EACH:
            why += f" For the first {MOST_EACH} only."
        for one in many[:MOST_EACH]:
            asked = step.arguments({**values, "one": values.get("each", one)})
            if asked is None and "each" in values:
                asked = dict(step.sketch) if step.sketch else None
            if asked is not None:
                number += 1
                lines.append(f"{number}. {step.tool} {_json(asked)}")
                # What a call is for is said once.
                lines += [f"   {why}"] * bool(why)
                why = ""
    return lines


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, (list, tuple)) else value


def _filled(text: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        text = text.replace("{" + name + "}", value)
    return text


def recipes() -> "dict[str, Recipe]":
    """Every recipe by name."""
    from mmflow_mcp.surfaces.recipes import RECIPES  # noqa: PLC0415 - it builds on this file

    return {recipe.name: recipe for recipe in RECIPES}


def find(name: str) -> Recipe:
    """The recipe of a name. Raises `BadQuestion` with the nearest one and all there are."""
    known = recipes()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise BadQuestion("prompt", f"{name[:60]!r} is none.", nearest=near, fits=", ".join(known))
    return known[name]


def listed(offered: Iterable[str]) -> list[Recipe]:
    """The recipes that can be followed with the tools that are offered."""
    able = set(offered)
    return [recipe for recipe in recipes().values() if recipe.tools <= able]


def rendered(name: str, given: Mapping[str, Any] | None) -> tuple[Recipe, str]:
    """The recipe and its text for what was given. Raises `BadQuestion` with what would fit."""
    recipe = find(name)
    try:
        return recipe, recipe.text(understood(recipe, given or {}))
    except BadQuestion as error:
        raise BadQuestion("", f"{error} Example: {recipe.example()}") from None


def understood(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe's arguments; empty text is nothing given."""
    known = {one.name: one for one in recipe.arguments}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fits = ", ".join(known) or "no argument"
            raise BadQuestion(str(name)[:40], "unknown argument.", nearest=near, fits=fits)
    values = {}
    for name, one in known.items():
        text = str(given.get(name) or "").strip() or one.default
        if text is None:
            raise BadQuestion(name, "is required.", fits=one.description)
        values[name] = _read(one, text)
    return values


def _read(one: Argument, text: str) -> Any:
    """A value by its kind, as the tools read it; lists stay lists."""
    from mmflow_mcp.endpoints import params  # noqa: PLC0415 - loads venues

    if one.kind == "coins":
        return list(params.coins_of(text, one.name) or ())
    if one.kind == "coin":
        return params.coin_of(text, one.name)
    if one.kind == "venues":
        return list(params.venues_of(text, one.name) or ())
    if one.kind == "bps":
        return _bps(one.name, text)
    fitting = list(choices(one.kind))
    folded = {value.casefold(): value for value in fitting}
    wanted = params.coin_of(text, one.name) if one.kind == "underlying" else text
    if wanted.casefold() not in folded:
        near = difflib.get_close_matches(text, fitting, n=1)
        raise BadQuestion(
            one.name, f"{text[:40]!r} does not fit.", nearest=near, fits=", ".join(fitting)
        )
    return folded[wanted.casefold()]


def _bps(name: str, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1_000:
        raise BadQuestion(name, f"{text[:40]!r} is no fee.", fits="0 to 1000, for example 5")
    return int(value) if value.is_integer() else value


def choices(kind: str) -> Iterable[str]:
    """What an argument of a kind may be, the likeliest first; coins are told elsewhere."""
    if kind == "underlying":
        from mmflow_mcp.endpoints.options import UNDERLYINGS  # noqa: PLC0415 - loads venues

        return UNDERLYINGS
    if kind in ("venue", "venues"):
        from mmflow_mcp.venues import listed  # noqa: PLC0415

        every = [venue.id for venue in listed()]
        return ["all", *every] if kind == "venues" else every
    if kind == "metric":
        from mmflow_mcp.metrics.flows import FLOW_METRICS  # noqa: PLC0415

        return FLOW_METRICS
    return ("2", "5", "10") if kind == "bps" else ()
