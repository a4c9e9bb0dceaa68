"""Text that outsiders wrote: names and titles are data, bounded and without control characters."""

import unicodedata
from typing import Any

LONGEST = 80


def text_or_none(value: Any, longest: int = LONGEST) -> str | None:
    """A name as one short line; None where there is none."""
    if not isinstance(value, str):
        return None
    # Control, format and private characters go; line ends and tabs become blanks.
    kept = (" " if c.isspace() else c for c in value if _is_text(c))
    line = " ".join("".join(kept).split())
    return (line if len(line) <= longest else f"{line[: longest - 1]}\u2026") or None


def text(value: Any, longest: int = LONGEST) -> str:
    """A name as one short line. ValueError where there is none."""
    found = text_or_none(value, longest)
    if found is None:
        msg = "no text"
        raise ValueError(msg)
    return found


def _is_text(char: str) -> bool:
    return char.isspace() or unicodedata.category(char)[0] != "C"
