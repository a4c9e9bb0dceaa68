"""Answers and definitions are small, counted with a real tokenizer."""

import json
import re

import pytest

pytest.importorskip("toktok", reason="the tokenizer (toktok-rs) is not installed")

import tokens
from tokens import ALL_TOOLS, CASES, PAGE, answers, count, definitions

NEAR = 0.03


def test_the_tokenizer_is_the_one_we_name() -> None:
    """o200k_base: counts of another implementation of it; its forerunner says 18 and 14 last."""
    known = {
        "hello world": 2,
        "0.00010624": 5,
        "1789453123000": 5,
        '{"columns":["coin","venue"]}': 8,
        "Какая ставка финансирования у биткоина?": 10,
        "비트코인 김치 프리미엄": 10,
    }
    assert known == dict(zip(known, count(known), strict=True))


def test_all_definitions_stay_under_the_bound() -> None:
    """CONTRACT section 4: under 4,000 tokens in both forms of rows, with a little room left."""
    for form in ("columns", "objects"):
        assert sum(definitions(form).values()) < ALL_TOOLS


@pytest.mark.anyio
async def test_answers_stay_under_their_bounds_and_the_page_tells_them() -> None:
    """Each case has its rows and its bound holds; docs/tokens.md is right to 3 %."""
    found = await answers()
    told = dict(zip(found, count(found.values()), strict=True))
    for case in CASES:
        assert case.rows == rows_of(found[case]), case
        assert case.bound is None or told[case] < case.bound, (case.words, told[case])
    written = numbers(PAGE.read_text("utf-8"))
    counted = numbers(tokens.table(definitions(), told))
    assert list(counted) == list(written), "run python tests/tokens.py"
    for name, number in counted.items():
        assert written[name] == pytest.approx(number, rel=NEAR, abs=2), f"{name}: tests/tokens.py"


def rows_of(text: str) -> int:
    """The rows of an answer's first table; of a smile by expiry, all its rows."""
    data = json.loads(text)["data"]
    if "smileByExpiry" in data:
        return sum(len(one["rows"]) for one in data["smileByExpiry"].values())
    while "columns" not in data:
        data = next(data[name] for name in ("rows", "points", "strikes") if name in data)
    return len(data["rows"])


def numbers(text: str) -> dict[str, int]:
    """What each line of the tables counts."""
    found = {}
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"[\d,]+", cells[-1] if len(cells) == 2 else ""):
            found[cells[0]] = int(cells[1].replace(",", ""))
        elif len(cells) == 4 and re.fullmatch(r"[\d,]+", cells[2]):
            found[cells[0]] = int(cells[2].replace(",", ""))
    return found
