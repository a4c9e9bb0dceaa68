"""The OpenAPI document is valid, tells every endpoint, and what it says is what is answered."""

import copy
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from openapis import operation, published, violations
from rests import Asker

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.openapi import PREFIX, ROOT, address, operations

PATHS = {e.path: path for path, e in operations().items()}


def test_an_independent_validator_accepts_it() -> None:
    """OpenAPI 3.1, by a validator that is not ours; and it would notice a fault."""
    validator = pytest.importorskip(
        "openapi_spec_validator", reason="the package openapi-spec-validator is not installed"
    )
    validator.validate(published())
    broken = {**published(), "paths": {"/perps/oi": copy.deepcopy({"get": operation("/perps/oi")})}}
    broken["paths"]["/perps/oi"]["get"]["parameters"][0]["in"] = "nowhere"
    with pytest.raises(Exception, match="nowhere"):
        validator.validate(broken)


def test_every_endpoint_is_an_operation() -> None:
    """The same names, paths, parameters and words as on the other faces."""
    for e in endpoints().values():
        told = operation(e.path)
        if e.live is not None:
            # A stream is watched by a tool for a while, and told to an EventSource until it leaves.
            assert f"stream_{e.live.event}" == told["operationId"]
            assert ["text/event-stream"] == list(told["responses"]["200"]["content"])
            names = [p["name"] for p in told["parameters"]]
            own = set(e.query.model_fields) - {"seconds", "maxEvents"}
            again = set() if e.live.event == "funding" else {"Last-Event-ID"}
            assert own | {"padding"} | again == set(names)
            continue
        assert e.name == told["operationId"]
        assert e.title == told["summary"]
        fields = {f.alias or name: f for name, f in e.query.model_fields.items()}
        assert list(fields) == [p["name"] for p in told["parameters"]]
        for parameter in told["parameters"]:
            assert fields[parameter["name"]].is_required() == parameter["required"]
            assert parameter["description"]
    assert {"/openapi", "/hl/candles"} == set(published()["paths"]) - {
        e.path for e in endpoints().values()
    }
    assert [{"url": PREFIX}] == published()["servers"]
    assert [{"url": ROOT}] == published()["paths"]["/hl/candles"]["servers"]


def test_every_number_tells_its_meaning() -> None:
    """Every member of every row has words, and every row names the members it always has."""
    for name, schema in published()["components"]["schemas"].items():
        if name in ("Source", "Meta", "Failure"):
            continue
        assert schema["required"], name
        for member, told in schema["properties"].items():
            assert told["description"], f"{name}.{member}"


def test_keys_are_optional_and_limits_are_told() -> None:
    """Both ways to send a key, none of them needed; the headers of the quota."""
    assert [{}, {"bearer": []}, {"apiKey": []}] == published()["security"]
    schemes = published()["components"]["securitySchemes"]
    assert "X-API-Key" == schemes["apiKey"]["name"]
    headers = operation("/perps/oi")["responses"]["200"]["headers"]
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(headers)


def test_the_document_is_served_as_it_is(rest_world: Asker) -> None:
    """Without envelope, from where its name says."""
    answer = rest_world.get("/api/v1/openapi")
    assert 200 == answer.status_code
    assert published() == answer.json()
    assert 400 == rest_world.get("/api/v1/openapi?coins=BTC").status_code


@pytest.mark.parametrize("path", PATHS)
def test_the_example_of_an_operation_is_answered_as_described(rest_world: Asker, path: str) -> None:
    """Its answer validates against its own schema, and holds nothing that is not described."""
    if path == "/perps/funding/regime":
        example = f"{PREFIX}{path}?coins=BTC&venues=hl,okx"
    else:
        example = operation(path)["x-example"]
    assert example.startswith(PATHS[path])
    answer = rest_world.get(example)
    assert 200 == answer.status_code, answer.text
    assert [] == violations(path, 200, answer.json())


def parameters() -> list[Any]:
    """Every parameter of every operation."""
    return [
        pytest.param(path, parameter, id=f"{path} {parameter['name']}")
        for path in PATHS
        for parameter in operation(path)["parameters"]
    ]


@pytest.mark.parametrize(("path", "parameter"), parameters())
def test_the_example_of_a_parameter_fits_its_schema(path: str, parameter: dict[str, Any]) -> None:
    """By the document's own schema, and by the query model that will judge it."""
    schema, example = parameter["schema"], parameter["example"]
    assert [] == list(Draft202012Validator(schema).iter_errors(example))
    text = ",".join(example) if isinstance(example, list) else str(example)
    e = operations()[PATHS[path]]
    # Some parameters exclude each other, or mean something with others only: of points, its types.
    needed = {f.alias or n for n, f in e.query.model_fields.items() if f.is_required()}
    others = {name: value for name, value in e.example.items() if name in needed}
    if path == "/points" and parameter["description"].startswith(("TPO", "UTC; TPO", "USD; TPO")):
        others["type"] = "TPO_AGG"
    elif path == "/points" and parameter["description"].startswith("TRADE"):
        others["type"] = "TRADE_SIDE_AGNOSTIC_AGG"
    e.query.model_validate({**others, parameter["name"]: text})


# Of points each of these says something about other types than the example's. The examples of
# `session`, `bracketMinutes` and `interval` are what holds anyway.
OF_OTHER_TYPES = {"blockSize", "gapfill"}


@pytest.mark.parametrize(("path", "parameter"), parameters())
def test_the_example_of_a_parameter_is_answered(
    rest_world: Asker, path: str, parameter: dict[str, Any]
) -> None:
    """Beside the example of its operation, or in place of what that says."""
    if path == "/points" and parameter["name"] in OF_OTHER_TYPES:
        assert 400 == asked_with(rest_world, path, parameter).status_code
        return
    if path == "/perps/funding/regime" and parameter["name"] == "coins":
        # A week of ever more coins and venues would take long.
        parameter = {**parameter, "example": ["BTC"]}
    answer = asked_with(rest_world, path, parameter)
    assert 200 == answer.status_code, answer.text
    assert [] == violations(path, 200, answer.json())


def asked_with(world: Asker, path: str, parameter: dict[str, Any]) -> httpx2.Response:
    """The answer to an operation's example with another parameter."""
    e = operations()[PATHS[path]]
    example = {"coins": ["BTC"], "venues": ["hl", "okx"]} if "regime" in path else e.example
    return world.get(address(PATHS[path], {**example, parameter["name"]: parameter["example"]}))


def test_rates_over_time_are_described_as_rest_tells_them(rest_world: Asker) -> None:
    """Fractions per period, not the yearly percent of a tool."""
    told = operation("/perps/funding/history")["description"]
    answer = rest_world.get("/api/v1/perps/funding/history?coin=BTC&venues=hl&sinceMs=-24h").json()
    assert "fraction per periodHours, + = longs paid" == answer["data"]["unit"]
    assert "Fractions per the venue's own periodHours" in told
    assert "apr" not in told
    assert "In apr" in endpoints()["get_funding_history"].description


def test_the_second_of_the_reset_is_told_as_such() -> None:
    """X-RateLimit-Reset is a moment, no span."""
    assert "epoch" in published()["components"]["headers"]["X-RateLimit-Reset"]["description"]


def test_a_faulty_answer_would_be_noticed() -> None:
    """Another type, a member too few and one too many are violations."""
    row = {"coin": "BTC", "venue": "okx", "oiUsd": 1.5, "oiContracts": 1, "oiCoins": 1}
    row |= {"fetchedAt": 1, "symbols": []}
    meta = {"fetchedAt": 1, "source": "okx:x", "partial": False, "sources": []}

    def found(**more: Any) -> list[str]:
        return violations("/perps/oi", 200, {"data": [{**row, **more}], "meta": meta})

    assert [] == found()
    assert 1 == len(found(oiUsd="1.5"))
    assert 1 == len(found(unsaid=1))
    del row["coin"]
    assert 1 == len(found())
    failure = {"error": "no", "data": [1], "meta": meta}
    assert 1 == len(violations("/perps/oi", 400, failure))
