"""Edits of JSON text that leave every other byte as it was: indentation, order, line ends.

Pure. Text that is no strict JSON (comments, commas too many) is refused, never rewritten: what a
person wrote there would be lost.
"""

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

# Editors of Windows put a mark before the text; it stays.
_MARK = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)\S")
_DECODER = json.JSONDecoder()


class NotEditable(Exception):
    """The text cannot be edited without a loss; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, and where in the text its key begins and its value lies."""

    key: str
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """An object in the text: its braces and its members."""

    opened: int
    closed: int
    members: tuple[Member, ...]

    def find(self, key: str) -> Member | None:
        """The member of that key: of several the last, which is the one that counts."""
        return next((m for m in reversed(self.members) if m.key == key), None)


def document_of(text: str) -> dict[str, Any]:
    """What the text says; an empty text is an empty object. Raises `NotEditable`."""
    if _is_bare(text):
        return {}
    try:
        found = json.loads(text.removeprefix(_MARK))
    except json.JSONDecodeError as error:
        if re.search(r"(?m)^\s*(//|/\*)|[\],}\d\"el]\s*(//|/\*)", text):
            raise NotEditable("it has comments, which an edit would lose.") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise NotEditable(f"it is no JSON ({where}: {error.msg}).") from None
    except RecursionError:
        raise NotEditable("it is nested too deeply.") from None
    if not isinstance(found, dict):
        raise NotEditable("it is no JSON object.")
    return found


def members_of(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under a key, empty when there is none. Raises `NotEditable` for what is none."""
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise NotEditable(f"its {key!r} is no object.")
    return found


def put(text: str, key: str, name: str, value: dict[str, Any]) -> str:
    """The text with `value` as member `name` of its object `key`. Raises `NotEditable`."""
    document = document_of(text)
    wanted = {**document, key: {**members_of(document, key), name: value}}
    if _is_bare(text):
        return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"
    root = _span(text, _root(text))
    servers = root.find(key)
    if servers is None:
        new = _added(text, root, key, {name: value}, depth=1)
    else:
        inner = _span(text, servers.value)
        old = inner.find(name)
        if old is None:
            new = _added(text, inner, name, value, depth=2)
        else:
            # Written on one line, it stays on one.
            flat = "\n" not in text[old.value : old.end] and "\n" not in text
            new = text[: old.value] + _told(text, old.start, value, 2, flat=flat)
            new += text[old.end :]
    return _proved(new, wanted)


def take(text: str, key: str, name: str) -> str:
    """The text without the member `name` of its object `key`. Raises `NotEditable`."""
    document = document_of(text)
    left = {k: v for k, v in members_of(document, key).items() if k != name}
    new = text
    while True:
        servers = None if _is_bare(new) else _span(new, _root(new)).find(key)
        inner = _span(new, servers.value) if servers else None
        gone = inner.find(name) if inner else None
        if inner is None or gone is None:
            break
        new = _removed(new, inner, gone)
    return _proved(new, {**document, key: left}) if new != text else text


def _is_bare(text: str) -> bool:
    """Whether there is nothing in it but blanks, and maybe the mark."""
    return not text.removeprefix(_MARK).strip()


def _root(text: str) -> int:
    return _skip(text, len(_MARK) if text.startswith(_MARK) else 0)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _span(text: str, opened: int) -> Span:
    """The object that begins here. The text is known to be JSON."""
    members = []
    at = _skip(text, opened + 1)
    while text[at] != "}":
        key, after = scanstring(text, at + 1)
        value = _skip(text, _skip(text, after) + 1)
        _, end = _DECODER.raw_decode(text, value)
        members.append(Member(key, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return Span(opened, at, tuple(members))


def _added(text: str, span: Span, key: str, value: dict[str, Any], *, depth: int) -> str:
    """The text with one more member at the end of an object."""
    inside = text[span.opened : span.closed]
    flat = "\n" not in (inside if span.members else text) and text.strip() != "{}"
    named = f"{json.dumps(key, ensure_ascii=False)}: "
    if flat:
        comma = ", " if span.members else ""
        at = span.members[-1].end if span.members else span.opened + 1
        told = named + json.dumps(value, ensure_ascii=False)
        return text[:at] + comma + told + text[at if span.members else span.closed :]
    line = _line_end(text)
    first = span.members[0].start if span.members else None
    pad = _pad(text, first, depth)
    told = f"{line}{pad}{named}{_told(text, first, value, depth)}"
    if span.members:
        at = span.members[-1].end
        return f"{text[:at]},{told}{text[at:]}"
    outer = _pad(text, None, depth - 1)
    return f"{text[: span.opened + 1]}{told}{line}{outer}{text[span.closed :]}"


def _removed(text: str, span: Span, gone: Member) -> str:
    at = span.members.index(gone)
    if len(span.members) == 1:
        return text[: span.opened + 1] + text[span.closed :]
    if at + 1 < len(span.members):
        return text[: gone.start] + text[span.members[at + 1].start :]
    return text[: span.members[at - 1].end] + text[gone.end :]


def _told(
    text: str, start: int | None, value: dict[str, Any], depth: int, *, flat: bool = False
) -> str:
    """A value as text that stands at a depth, in the way of the text around it."""
    if flat:
        return json.dumps(value, ensure_ascii=False)
    told = json.dumps(value, indent=_unit(text), ensure_ascii=False)
    return told.replace("\n", _line_end(text) + _pad(text, start, depth))


def _pad(text: str, start: int | None, depth: int) -> str:
    """What stands before a member on its line: as before its neighbour, else the usual."""
    if start is not None:
        before = text[text.rfind("\n", 0, start) + 1 : start]
        if not before.strip():
            return before
    return _unit(text) * depth


def _unit(text: str) -> str:
    found = _INDENT.search(text.replace("\r\n", "\n"))
    return found[1] if found else "  "


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _proved(text: str, wanted: dict[str, Any]) -> str:
    """The new text, once it is shown to say what was wanted and nothing else."""
    if document_of(text) != wanted:
        raise NotEditable("an edit of it would change more than this entry.")
    return text
