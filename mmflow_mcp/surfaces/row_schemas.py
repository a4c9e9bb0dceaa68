"""JSON Schema of the rows that REST answers with, one component per row type.

Deep where `schema.py` is shallow: a program's types are made from it, nothing validates by it.
"""

import types
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmflow_mcp.endpoints.answer import Table
from mmflow_mcp.rows import camel, columns
from mmflow_mcp.surfaces.schema import Schema

_PLAIN = {float: "number", int: "integer", bool: "boolean", str: "string"}


class RowSchemas:
    """Collects the components while types are described."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type, with the row types in it as references."""
        origin, arms = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self._union(arms)
        if origin is Literal:
            return {"enum": list(arms)}
        if origin is Table or origin is list:
            return {"type": "array", "items": self.of(arms[0])}
        if origin is tuple:
            return self._tuple(arms)
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arms[1])}
        if is_dataclass(kind):
            return self._row(kind)
        return {"type": _PLAIN[kind]} if kind in _PLAIN else {}

    def _union(self, arms: tuple[Any, ...]) -> Schema:
        kinds = [self.of(arm) for arm in arms if arm is not types.NoneType]
        if len(kinds) < len(arms):
            if len(kinds) == 1 and list(kinds[0]) == ["type"]:
                return {"type": [kinds[0]["type"], "null"]}
            kinds.append({"type": "null"})
        return {"anyOf": kinds}

    def _tuple(self, arms: tuple[Any, ...]) -> Schema:
        if arms[1:] == (...,):
            return {"type": "array", "items": self.of(arms[0])}
        length = {"minItems": len(arms), "maxItems": len(arms)}
        return {"type": "array", "prefixItems": [self.of(arm) for arm in arms], **length}

    def _row(self, kind: Any) -> Schema:
        name = kind.__name__
        reference = {"$ref": f"#/components/schemas/{name}"}
        if name in self.components:
            return reference
        schema: Schema = {"type": "object"}
        self.components[name] = schema
        if kind.__doc__:
            schema["description"] = kind.__doc__.split("\n\n")[0]
        hints = get_type_hints(kind)
        schema["properties"] = {
            camel(f.name): {
                **self._field(f, hints[f.name]),
                "description": f.metadata["description"],
            }
            for f in columns(kind)
        }
        # What may be unknown and has None by default is left out of an object.
        schema["required"] = [camel(f.name) for f in columns(kind) if f.default is not None]
        return reference

    def _field(self, f: Any, kind: Any) -> Schema:
        """A field that is left out where it is unknown is never null."""
        if f.default is None and get_origin(kind) in (Union, types.UnionType):
            left = [arm for arm in get_args(kind) if arm is not types.NoneType]
            return self.of(left[0]) if len(left) == 1 else self._union(tuple(left))
        return self.of(kind)
