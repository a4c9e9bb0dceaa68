"""For tests of the OpenAPI document: its schemas as validators, closed against unsaid members."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from mmflow_mcp.surfaces.openapi import document


@cache
def published() -> dict[str, Any]:
    """The document."""
    return document()


def operation(path: str) -> dict[str, Any]:
    """The operation of a path below the document's servers."""
    found: dict[str, Any] = published()["paths"][path]["get"]
    return found


@cache
def validator(path: str, status: int) -> Draft202012Validator:
    """What an answer of that status must be; a member that is not described is a fault."""
    response = operation(path)["responses"][str(status)]
    if "$ref" in response:
        response = published()["components"]["responses"][str(status)]
    schema = response["content"]["application/json"]["schema"]
    whole = {**closed(schema), "components": closed(published()["components"])}
    return Draft202012Validator(whole)


def closed(schema: Any) -> Any:
    """The schema in which objects have no members but those it describes."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


def violations(path: str, status: int, answer: Any) -> list[str]:
    """Where an answer is not what the document says."""
    errors = validator(path, status).iter_errors(answer)
    return [f"{error.json_path}: {error.message[:200]}" for error in errors]
