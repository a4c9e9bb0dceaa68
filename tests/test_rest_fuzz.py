"""Whatever is asked, REST answers: no 5xx, nothing that its document does not describe, no hang."""

import time
from typing import Any
from urllib.parse import urlencode

import pytest
from openapis import operation, violations
from rests import Asker

from mmflow_mcp.surfaces.openapi import operations

pytest.importorskip("hypothesis", reason="the package hypothesis is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = {e.path: path for path, e in operations().items()}
# Seconds within which any question must be answered: a deadline, and room for a busy machine.
LONGEST = 12.0
COINS = ["BTC", "btc-usdt", "ETH", "SOL", "kPEPE", "NOSUCH", "", "ΒTC", "🐸"]
VENUES = ["hl", "okx", "BYBIT", "deribit", "bitmex", "cme", "nowhere"]
NUMBERS = ["0", "1", "-1", "3", "1e3", "0x10", "NaN", "inf", "1e999", "9" * 30, "1.5", "١"]
TIMES = ["-1h", "now", "2026-09-14T00:00:00Z", "1789400000000", "-999999999w", "17894000", "-1"]

pieces = st.one_of(
    st.sampled_from([*COINS, *VENUES, *NUMBERS, *TIMES]),
    st.text(max_size=12),
    st.lists(st.sampled_from([*COINS, *VENUES]), max_size=4).map(",".join),
)


def values(parameter: dict[str, Any]) -> st.SearchStrategy[str]:
    """Mostly what fits the parameter, else anything."""
    schema, name = parameter["schema"], parameter["name"]
    fits: list[Any] = [parameter["example"], *schema.get("enum", ())]
    words = [",".join(v) if isinstance(v, list) else str(v) for v in fits]
    if name in ("coins", "coin"):
        words += COINS
    elif name in ("venues", "venue", "exchange"):
        words += VENUES
    elif name.endswith("Ms"):
        words += TIMES
    elif schema.get("type") in ("integer", "number"):
        words += NUMBERS
    known = st.sampled_from(words)
    return st.one_of(known, st.just(words[0]), st.just(words[0]), known, pieces)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str]:
    """A path of the document and a query: its parameters, some left out, repeated or unknown."""
    path = draw(st.sampled_from(sorted(PATHS)))
    pairs: list[tuple[str, str]] = []
    for parameter in operation(path)["parameters"]:
        often = 1 if parameter["required"] else 0
        times = draw(st.sampled_from([often, often, often, 1, 0, 2]))
        pairs += [(parameter["name"], draw(values(parameter))) for _ in range(times)]
    if draw(st.integers(0, 9)) == 0:
        pairs.append((draw(st.text(max_size=8)), draw(pieces)))
    # The regime of all venues reads a week of each: it is asked of few.
    if path == "/perps/funding/regime" and not any(name == "venues" for name, _ in pairs):
        pairs.append(("venues", "hl"))
    return path, urlencode(draw(st.permutations(pairs)))


def test_no_question_breaks_it(rest_world: Asker) -> None:
    """Drawn from the document's own parameters, with what does not fit them among it."""
    seen: dict[int, int] = {}

    @settings(
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(question=questions())
    def ask(question: tuple[str, str]) -> None:
        path, query = question
        asked = time.monotonic()
        answer = rest_world.get(f"{PATHS[path]}?{query}")
        assert time.monotonic() - asked < LONGEST
        assert answer.status_code in (200, 400, 410), answer.text
        assert [] == violations(path, answer.status_code, answer.json())
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

    ask()
    # Both sorts of question were among them.
    assert seen[200] >= 10
    assert seen[400] >= 10


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=40))
def test_no_bytes_in_a_query_break_it(raw: bytes) -> None:
    """What comes as a query may be no text at all."""
    from mmflow_mcp.errors import BadQuestion
    from mmflow_mcp.surfaces.rest import arguments_of

    try:
        given_ = arguments_of(raw)
    except BadQuestion:
        given_ = {}
    assert all(value.strip() for value in given_.values())
