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


def texts_of(points: Iterable[Point]) -> dict[str, str | None]:
    """The text of every extra by its `repr`, None included: making the text takes far longer."""
    extras = {repr(point.extra): point.extra for point in points}
    return {name: to_text(extra) for name, extra in extras.items()} | {repr(None): None}


def from_text(text: str | bytes) -> dict[str, Any]:
    """The extra of a text made by `to_text`."""
    found: dict[str, Any] = json.loads(text)
    return found
