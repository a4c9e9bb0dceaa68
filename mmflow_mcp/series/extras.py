"""What stands beside a value, as text: the same extra always has the same text, stored once."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mmflow_mcp.series.store import Point


def to_text(extra: Mapping[str, Any] | None) -> str | None:
    """Canonical JSON; None for nothing. Raises `ValueError`, `TypeError` for what JSON lacks."""
    if not extra:
        return None
    return json.dumps(dict(extra), sort_keys=True, separators=(",", ":"), allow_nan=False)


def texts_of(points: Iterable[Point]) -> dict[int, str | None]:
    """The text of every extra by its `id`, as long as the points are held; None is among them.

    Making a text takes far longer than looking one up, and most extras say the same.
    """
    extras = {id(extra): extra for _, _, extra in points}
    known: dict[str, str | None] = {}
    texts: dict[int, str | None] = {id(None): None}
    for name, extra in extras.items():
        said = repr(extra)
        if said not in known:
            known[said] = to_text(extra)
        texts[name] = known[said]
    return texts


def from_text(text: str | bytes) -> dict[str, Any]:
    """The extra of a text made by `to_text`."""
    found: dict[str, Any] = json.loads(text)
    return found
