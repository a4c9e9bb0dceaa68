"""Completion of what prompts and resource templates take: venues, coins, underlyings, metrics."""

from collections.abc import Iterable
from typing import Any

from mcp.types import Completion, PromptReference, ResourceTemplateReference

from mmflow_mcp.app import App
from mmflow_mcp.errors import BadQuestion, MmflowError

# The protocol's bound.
MOST = 100
# What people ask for most, where nothing else is known.
COMMON = (
    "BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "HYPE", "ADA", "AVAX", "LINK", "LTC", "SUI", "TRX",
    "DOT", "PEPE",
)  # fmt: skip


async def completed(app: App, ref: Any, name: str, value: str) -> Completion:
    """The values of an argument that begin with what was typed; none for what is unknown.

    Of a comma-separated list the last one is completed, and what stands before it is kept.
    """
    from mmflow_mcp.surfaces.prompts import LISTS  # noqa: PLC0415 - loads when asked for

    kind = _kind_of(ref, name)
    before, last = "", value
    if kind in LISTS:
        head, comma, last = value.rpartition(",")
        before = head + comma
    taken = {part.strip().casefold() for part in before.split(",")}
    start = last.strip().casefold()
    fits = [
        before + one
        for one in await _values(app, kind)
        if one.casefold().startswith(start) and one.casefold() not in taken
    ]
    return Completion(values=fits[:MOST], total=len(fits), has_more=len(fits) > MOST)


def _kind_of(ref: Any, name: str) -> str:
    """What sort of value an argument takes; "" where there is no such argument."""
    if isinstance(ref, ResourceTemplateReference):
        return name if f"{{{name}}}" in ref.uri else ""
    if isinstance(ref, PromptReference):
        from mmflow_mcp.surfaces.prompts import find  # noqa: PLC0415 - recipes load when asked for

        try:
            arguments = find(ref.name).arguments
        except BadQuestion:
            return ""
        return next((one.kind for one in arguments if one.name == name), "")
    return ""


async def _values(app: App, kind: str) -> Iterable[str]:
    """Every value of a kind, the likeliest first."""
    if kind not in ("coin", "coins"):
        from mmflow_mcp.surfaces.prompts import choices  # noqa: PLC0415 - the same

        return choices(kind)
    store = app.core().archive.store
    try:
        stored = await store.series() if store else []
    except MmflowError:
        # A store that is away costs only the longer list.
        stored = []
    return dict.fromkeys([*COMMON, *sorted({one.key.coin for one in stored})])
