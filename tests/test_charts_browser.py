"""Charts in a real browser, in the sandboxed frame of a strict host, drawing real tool results."""

import itertools
import json
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from apphosts import Stage, staged
from browsers import BROWSER, NO_BROWSER, new_tab
from chartings import (
    CASES,
    T0,
    every_result,
    hostile,
    minutes_of,
    note,
    rates_of,
    result_of,
    tables_in,
)

from mmflow_mcp.surfaces.charts import CHARTS, page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER),
]

BAD = """<!doctype html><script>
parent.postMessage({jsonrpc: "2.0", method: "ui/notifications/size-changed", params: {}}, "*");
console.error("no good");
fetch("http://192.0.2.1/").catch(() => {});
</script><img src="http://192.0.2.1/x.png"><p id="state"></p>"""

# What a chart shows: its texts and marks as boxes, colours of text against what lies behind them.
MEASURE = """(() => {
  const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = colour => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  };
  const back = getComputedStyle(document.body).backgroundColor;
  const box = one => {
    const {left, top, right, bottom} = one.getBoundingClientRect();
    return [left, top, right, bottom];
  };
  const cells = [...document.querySelectorAll("rect.cell")]
    .map(one => [box(one), getComputedStyle(one).fill]);
  const within = (a, b) => a[0] >= b[0] - 1 && a[2] <= b[2] + 1
    && a[1] >= b[1] - 2 && a[3] <= b[3] + 2;
  const behind = place => (cells.find(([cell]) => within(place, cell)) || [0, back])[1];
  const texts = [...document.querySelectorAll("svg text")].map(one => ({
    text: one.textContent, box: box(one),
    contrast: contrast(getComputedStyle(one).fill, behind(box(one))),
  }));
  const words = [...document.querySelectorAll("h1, p, li, output, summary")]
    .filter(one => one.offsetHeight && one.textContent)
    .map(one => [one.textContent, contrast(getComputedStyle(one).color, back)]);
  const marks = [...document.querySelectorAll("svg [data-v]")].map(one => ({
    v: +one.dataset.v, name: one.tagName, box: box(one), cy: +one.getAttribute("cy"),
    width: +one.getAttribute("width"), height: +one.getAttribute("height"),
    contrast: Math.max(...["fill", "stroke"].map(key => getComputedStyle(one)[key])
      .filter(colour => colour !== "none").map(colour => contrast(colour, back))),
  }));
  return {texts, words, marks, back, width: innerWidth, wide: document.documentElement.scrollWidth,
    height: document.documentElement.getBoundingClientRect().height,
    moving: document.getAnimations().length,
    foot: document.getElementById("tip").getBoundingClientRect().top};
})()"""
TABLES = """[...document.querySelectorAll("table")].map(one =>
  [...one.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent)))"""
STATE = "document.getElementById('state').hidden ? '' : document.getElementById('state').innerText"
NOTES = "document.getElementById('notes').innerText"
TIP = "document.getElementById('tip').textContent"
DRAWN = "document.getElementById('svg').outerHTML"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
FRAMES = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))"

Results = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Real answers of the simulated market."""
    return anyio.run(every_result)


@pytest.fixture(scope="module")
def stage(browser: str) -> Iterator[Stage]:
    """One tab for all tests of this file."""
    charts = {name: page(name) for name in CHARTS}
    with new_tab(browser) as tab, staged(tab, {**charts, "bad": BAD}) as found:
        yield found


def show(stage: Stage, case: str, result: Any, **ways: Any) -> None:
    """Open the chart of a case with a result."""
    stage.start(CASES[case][0], **ways)
    stage.result(result)
    stage.settled()


def picture(stage: Stage) -> bytes:
    """The picture's bytes, before compression."""
    stage.tab.until(FRAMES)
    stage.tab.until(FRAMES, inside=True)
    png = stage.tab.picture()
    parts, at = [], 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + size])
        at += 12 + size
    return zlib.decompress(b"".join(parts))


def check_layout(found: dict[str, Any]) -> None:
    """Nothing lies outside or over another's text; everything can be read."""
    assert found["wide"] <= found["width"]
    assert found["height"] <= 500
    assert 0 == found["moving"]
    for one in [*found["texts"], *found["marks"]]:
        left, top, right, bottom = one["box"]
        assert left >= 0, one
        assert top >= 0, one
        assert right <= found["width"] + 0.5, one
        assert bottom <= found["foot"] + 1, one
    for a, b in itertools.combinations(found["texts"], 2):
        apart_x = a["box"][2] <= b["box"][0] or b["box"][2] <= a["box"][0]
        # Boxes of text have air above and below the letters.
        apart_y = a["box"][3] - 2.5 <= b["box"][1] or b["box"][3] - 2.5 <= a["box"][1]
        assert apart_x or apart_y, (a["text"], b["text"])
    assert [] == [(t["text"], t["contrast"]) for t in found["texts"] if t["contrast"] < 4.5]
    assert [] == [(words, ratio) for words, ratio in found["words"] if ratio < 4.5]
    assert [] == [m for m in found["marks"] if m["contrast"] < 3 and m["name"] == "circle"]


def number(text: str) -> Any:
    """A cell as the value that it tells."""
    if text == "-":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def told(value: Any) -> Any:
    """A value as its cell tells it; a moment as its minute."""
    if isinstance(value, int) and value > 1e12:
        return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def check_table(stage: Stage, data: Any) -> None:
    """Every row of the answer stands in a table of the page, number by number."""
    got = [[[number(cell) for cell in row] for row in rows] for rows in stage.seen(TABLES)]
    for rows in filter(None, tables_in(data)):
        expected = [[told(value) for value in row] for row in rows]
        assert expected in got, expected[0]


@pytest.mark.parametrize("case", CASES)
def test_a_chart_can_be_read(stage: Stage, results: Results, case: str) -> None:
    """Whole and legible at 320, 400 and 900 px in both themes, at most 500 px high, true numbers.

    Its table holds the very numbers of the answer, and both forms of rows look the same.
    """
    result = results["columns"][case]
    show(stage, case, result)
    seen = []
    for theme, width in (("light", 400), ("light", 320), ("light", 900), ("dark", 900)):
        resize(stage, theme, width)
        check_layout(stage.seen(MEASURE))
        if width == 900:
            seen.append(picture(stage))
    resize(stage, "dark", 400)
    check_layout(stage.seen(MEASURE))
    seen.append(picture(stage))
    assert 3 == len(set(seen))
    assert all(len(set(raw)) > 30 for raw in seen)
    data = result["structuredContent"]["data"]
    check_table(stage, data)
    drawn, cells = stage.seen(DRAWN), stage.seen(TABLES)
    stage.result(result_of(None))
    assert stage.seen(STATE)
    stage.result(results["objects"][case])
    assert "" == stage.seen(STATE)
    words, figures = parts_of(drawn)
    again = parts_of(stage.seen(DRAWN))
    assert words == again[0]
    # Columns tell fewer digits than objects do.
    assert pytest.approx(figures, rel=2e-3, abs=0.3) == again[1]
    assert [len(rows) for rows in cells] == [len(rows) for rows in stage.seen(TABLES)]
    assert [] == stage.faults()


def parts_of(drawing: str) -> tuple[list[str], list[float]]:
    """A drawing's words and its numbers."""
    words = [NUMBER.sub("#", part) for part in drawing.split("<")]
    return words, [float(n) for n in NUMBER.findall(drawing)]


def resize(stage: Stage, theme: str, width: int) -> None:
    """Give the host another theme and width; wait until the chart has followed."""
    stage.tell("host-context-changed", {"theme": theme})
    stage.tab.look(width)
    stage.tab.until(
        f"document.documentElement.dataset.theme === '{theme}' && drawnAt === {width} - 24",
        inside=True,
    )
    stage.settled()


def test_bars_are_as_long_as_their_values(stage: Stage, results: Results) -> None:
    """Gamma and flow bars are proportional; each strike and coin has one."""
    show(stage, "gex", results["columns"]["gex"])
    strikes = results["columns"]["gex"]["structuredContent"]["data"]["strikes"]["rows"]
    bars = stage.seen(MEASURE)["marks"]
    assert sorted(row[3] for row in strikes) == sorted(bar["v"] for bar in bars)
    unit = max(bar["height"] for bar in bars) / max(abs(bar["v"]) for bar in bars)
    assert [pytest.approx(abs(bar["v"]) * unit, abs=0.01) for bar in bars] == [
        bar["height"] for bar in bars
    ]
    words = [text["text"] for text in stage.seen(MEASURE)["texts"]]
    data = results["columns"]["gex"]["structuredContent"]["data"]
    for name, value in (
        ("spot", data["spot"]),
        ("flip", data["gammaFlip"]),
        ("call wall", data["callWall"]["strike"]),
        ("put wall", data["putWall"]["strike"]),
    ):
        assert f"{name} {value:,}" in words
    show(stage, "flows", results["columns"]["flows"])
    rows = results["columns"]["flows"]["structuredContent"]["data"]["rows"]["rows"]
    bars = stage.seen(MEASURE)["marks"]
    assert [row[2] for row in rows] == [bar["v"] for bar in bars]
    assert 1 == len({round(bar["width"] / abs(bar["v"]), 4) for bar in bars})


@pytest.mark.parametrize("case", ["skew", "oi history", "funding history"])
def test_points_lie_at_their_values(stage: Stage, results: Results, case: str) -> None:
    """Height on the page is linear in the value, and rates of all venues share one scale."""
    show(stage, case, results["columns"][case])
    marks = stage.seen(MEASURE)["marks"]
    assert len(marks) > 10
    low, high = min(marks, key=lambda m: m["v"]), max(marks, key=lambda m: m["v"])
    if case == "oi history":
        slope = (high["cy"] - low["cy"]) / (high["v"] - low["v"])
        assert slope < 0
        expected = [pytest.approx(low["cy"] + (m["v"] - low["v"]) * slope, abs=0.01) for m in marks]
        assert expected == [m["cy"] for m in marks]
        return
    by_height = sorted(marks, key=lambda m: (m["box"][1] // 500, m["cy"]))
    assert len(by_height) == len(marks)
    panels = 2 if case == "skew" else 9
    slopes = set()
    for panel in split(marks, panels, results, case):
        first, last = min(panel, key=lambda m: m["v"]), max(panel, key=lambda m: m["v"])
        slope = (last["cy"] - first["cy"]) / (last["v"] - first["v"])
        slopes.add(round(slope, 3))
        expected = [
            pytest.approx(first["cy"] + (m["v"] - first["v"]) * slope, abs=0.02) for m in panel
        ]
        assert expected == [m["cy"] for m in panel]
    assert (case == "skew") == (len(slopes) > 1)


def split(
    marks: list[dict[str, Any]], panels: int, results: Results, case: str
) -> list[list[dict[str, Any]]]:
    """The marks of each panel, in the order of drawing."""
    data = results["columns"][case]["structuredContent"]["data"]
    if case == "skew":
        cut = len(data["termStructure"]["rows"])
        return [marks[:cut], marks[cut:]]
    rows = data["points"]["rows"]
    sizes = [sum(row[i + 1] is not None for row in rows) for i in range(panels)]
    ends = list(itertools.accumulate(sizes))
    assert len(marks) == ends[-1]
    return [marks[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def test_funding_cells_tell_sign_and_venue(stage: Stage, results: Results) -> None:
    """A cell for every rate in percent a year; a rate that is not there is no number."""
    rows = results["columns"]["funding"]["structuredContent"]["data"]["rows"]
    show(stage, "funding", results["columns"]["funding"])
    assert sorted(row[4] for row in rows) == sorted(m["v"] for m in stage.seen(MEASURE)["marks"])
    finding = stage.seen("document.getElementById('svg').getAttribute('aria-label')")
    top = max(rows, key=lambda row: row[4])
    assert f"{top[0]} on {top[1]} +{top[4]} %" in finding
    show(stage, "funding", results["columns"]["failing"])
    words = [text["text"] for text in stage.seen(MEASURE)["texts"]]
    assert words.count("n/l") == 1
    assert "Partial: something asked is missing. bybit error: http 503" in stage.seen(NOTES)
    assert "WIF is not listed on kraken" in stage.seen(NOTES)
    assert "sim: simulated market" in stage.seen(NOTES)
    assert "500" not in words
    assert [] == stage.faults()


def test_a_rate_left_out_by_the_budget_is_not_called_unlisted(stage: Stage) -> None:
    """Of a truncated answer nobody knows why a cell is empty; a null rate is unknown."""
    columns = ["coin", "venue", "rate", "periodHours", "apr"]
    rows = [["BTC", "a", 0.0001, 8, 10.95], ["ETH", "b", 0.0001, 8, -3.0], ["BTC", "b", 0, 8, None]]
    narrow = {"truncated": True, "narrow": "3 rows kept"}
    stage.start("funding")
    stage.result(result_of({"columns": columns, "rows": rows}, **narrow))
    stage.seen("document.getElementById('plot').focus()")
    seen = []
    for _ in range(2):
        stage.tab.press("ArrowRight")
        seen.append(stage.seen(TIP))
    assert "BTC on a: +10.95 % a year (0.0001 per 8 h)" == seen[0]
    assert "ETH on a: not in this answer: rows were left out" == seen[1]
    assert "Not all rows: 3 rows kept" in stage.seen(NOTES)


def test_every_outcome_is_shown(stage: Stage, results: Results) -> None:
    """Waiting, error, text only, empty, cancelled, unreadable, then an answer: one page."""
    stage.start("funding")
    assert "Waiting for the answer." == stage.seen(STATE)
    stage.tell("tool-input", {"arguments": {"coins": ["BTC"]}})
    stage.tab.until(f"{STATE} === 'Asking.'", inside=True)
    stage.result(results["columns"]["error"])
    (block,) = results["columns"]["error"]["content"]
    assert block["text"] == stage.seen(STATE)
    stage.result({"content": [{"type": "text", "text": "only words"}]})
    assert "only words" == stage.seen(STATE)
    empty = {"columns": ["coin", "venue", "apr"], "rows": []}
    stage.result(result_of(empty, partial=True, sources=[note("okx", "error", "http 500")]))
    assert "the answer has no values" in stage.seen(STATE)
    assert "okx error: http 500" in stage.seen(NOTES)
    short = note("okx", "missing", "missing: nothing was recorded here in this span")
    stage.result(result_of(empty, partial=True, sources=[short]))
    assert "okx missing: nothing was recorded here in this span" in stage.seen(NOTES)
    stage.result(result_of(empty))
    assert "The answer is empty: there is nothing to draw." == stage.seen(STATE)
    stage.tell("tool-cancelled", {"reason": "by the user"})
    stage.tab.until(f"{STATE} === 'Cancelled: by the user'", inside=True)
    text = json.dumps(results["columns"]["funding"]["structuredContent"])
    stage.result({"content": [{"type": "text", "text": text}]})
    assert "" == stage.seen(STATE)
    assert 27 == len(stage.seen(MEASURE)["marks"])
    assert [] == stage.faults()
    stage.result(result_of([{"coin": 1, "venue": {}, "apr": 2}], sources="?", notListed=3))
    stage.result(result_of({"columns": ["apr"], "rows": [None]}))
    assert "could not be drawn" in stage.seen(STATE)


def test_stale_and_recorded_answers_say_so(stage: Stage, results: Results) -> None:
    """A stale source is named with its age; a replay is told from the live market."""
    row = ["BTC", {"etfProxy": "stale"}, None, "nothing known"]
    columns = ["coin", "coverage", "flowPressureScore", "headline"]
    data = {"rows": {"columns": columns, "rows": [row]}, "signals": {"columns": [], "rows": []}}
    stale = note("farside", "stale", "http 403", ageMs=7_200_000)
    stage.start("flows")
    stage.result(result_of(data, source="replay:flows:summary", sources=[stale]))
    notes = stage.seen(NOTES)
    assert "replay: recorded, not the live market" in notes
    assert "Stale: farside stale (120 min old): http 403" in notes
    assert "?" in [text["text"] for text in stage.seen(MEASURE)["texts"]]
    assert [] == stage.seen(MEASURE)["marks"]
    assert "No score is known; no signals." == stage.seen(
        "document.getElementById('finding').textContent"
    )


@pytest.mark.parametrize("case", ["funding", "gex", "skew", "oi history of venues", "flows"])
def test_markup_of_outsiders_is_text(stage: Stage, results: Results, case: str) -> None:
    """Names with markup in every place appear as they are; nothing is made of them."""
    text = "<img src=x onerror=console.error(1)></script><script>parent.x=1</script>"
    show(stage, case, hostile(results["columns"][case], text))
    if "history" not in case:
        assert text in stage.seen("document.body.textContent")
    elements = "document.querySelectorAll('img, script, iframe, a, object').length"
    assert 1 == stage.seen(elements)
    stage.result({"content": [{"type": "text", "text": text}], "isError": True})
    assert text == stage.seen(STATE)
    assert 1 == stage.seen(elements)
    assert [] == stage.faults()


def test_no_line_crosses_a_gap(stage: Stage) -> None:
    """Points further apart than their usual distance are not joined; lone ones are dots."""
    count = (
        "[...document.querySelectorAll('polyline')]"
        ".map(one => one.getAttribute('points').split(' ').length)"
    )
    stage.start("history")
    minutes = {0: 5.0, 1: -6.5, 2: 7.0, 9: 8.0, 20: 3.0, 21: 1.0}
    stage.result(result_of(minutes_of(minutes)))
    assert [3, 1, 2] == stage.seen(count)
    assert sorted(minutes.values()) == sorted(m["v"] for m in stage.seen(MEASURE)["marks"])
    # An hourly venue beside one that settles every 8 hours, in the same rows.
    rows = [[h, 0.0001, 0.0002 if h % 8 == 0 else None] for h in range(17) if h not in (3, 4)]
    rates = rates_of(rows, {"a": "settled", "b": "settled"}, {"a": 1, "b": 8})
    stage.result(result_of(rates))
    assert [3, 12, 3] == stage.seen(count)
    # Fractions per hour and per 8 hours, as percent a year.
    assert {87.6, 21.9} == {round(m["v"], 9) for m in stage.seen(MEASURE)["marks"]}
    assert [] == stage.faults()


def test_a_panel_tells_its_range_whole(stage: Stage) -> None:
    """A coin of which there are trillions too, with its kind, in the narrow chart."""

    def series(venue: str, scale: float) -> dict[str, Any]:
        rows = [[T0 + i * 600_000, scale * (11.409 + i * 0.1)] for i in range(6)]
        points = {"columns": ["t", "v"], "rows": rows}
        told = {"coin": "PEPE", "cadenceMs": 600_000, "enabled": True, "kind": "settled"}
        return {**told, "venue": venue, "points": points}

    stage.start("history")
    stage.result(result_of({"coin": "PEPE", "series": [series("a", 1e12), series("b", 1e3)]}))
    words = [text["text"] for text in stage.seen(MEASURE)["texts"]]
    assert "11.4T to 11.9T, settled" in words
    assert "11,409 to 11,909, settled" in words
    check_layout(stage.seen(MEASURE))
    assert [] == stage.faults()


def test_keys_and_fingers_read_the_values(stage: Stage, results: Results) -> None:
    """Tab reaches chart and table; arrows, Home, End and a tap tell a value and ring its mark."""
    show(stage, "skew", results["columns"]["skew"])
    hint = stage.seen(TIP)
    assert "arrow keys" in hint
    stage.tab.tab_to("document.activeElement.id === 'plot'", inside=True)
    told = [hint]
    for key in ("ArrowRight", "ArrowRight", "End", "Home", "ArrowDown"):
        stage.tab.press(key)
        told.append(stage.seen(TIP))
    term = results["columns"]["skew"]["structuredContent"]["data"]["termStructure"]["rows"]
    assert told[1].startswith(term[0][1])
    assert told[2].startswith(term[1][1])
    assert told[3].startswith(term[-1][1])
    assert told[1] == told[4]
    # Downwards lies the smile of the expiry that was chosen.
    assert told[5].startswith(f"{term[0][1]} strike ")
    assert 1 == stage.seen("document.querySelectorAll('.ring').length")
    stage.tab.tab_to("document.activeElement.tagName === 'SUMMARY'", inside=True)
    assert stage.seen("document.activeElement.offsetHeight") >= 44
    stage.seen("document.querySelector('details').open = true")
    stage.settled()
    # No number is broken over two lines; what is too wide scrolls by itself.
    assert 1 == stage.seen(
        "new Set([...document.querySelectorAll('td')].map(one => one.offsetHeight)).size"
    )
    assert stage.seen("document.documentElement.scrollWidth <= innerWidth")
    box = stage.seen(
        "[...document.querySelectorAll('circle')].at(1).getBoundingClientRect().toJSON()"
    )
    stage.tab.touch(box["x"] + 3, box["y"] + 3)
    stage.tab.until(f"{TIP}.startsWith({term[1][1]!r})", inside=True)
    assert "img" == stage.seen("document.getElementById('svg').getAttribute('role')")
    assert [] == stage.faults()


def test_the_bridge_answers_and_heeds_only_its_host(stage: Stage) -> None:
    """Ping and teardown are answered, what is unknown is refused, strangers are not heard."""
    stage.start("gex", styles={"variables": {"--color-text-primary": "rgb(10, 20, 30)", "x": "y"}})
    assert "rgb(10, 20, 30)" == stage.seen("getComputedStyle(document.body).color")
    forged = {"jsonrpc": "2.0", "method": "ui/notifications/tool-cancelled", "params": {}}
    stage.seen(f"postMessage({json.dumps(forged)}, '*')")
    for method, expected in (
        ("ping", {}),
        ("ui/nothing", {"code": -32601, "message": "Method not found"}),
        ("ui/resource-teardown", {}),
    ):
        number = stage.tab.run(f"ask({json.dumps(method)}, {{}})")
        stage.tab.until(f"host.answers[{number}] !== undefined")
        assert expected == stage.tab.run(f"host.answers[{number}]")
    assert "Waiting for the answer." == stage.seen(STATE)
    assert [] == stage.faults()


def test_the_host_sees_what_a_bad_page_does(stage: Stage) -> None:
    """A page that skips the handshake, logs an error and asks the outside has four faults."""
    stage.tab.forget()
    stage.tab.run(f"start({json.dumps(stage.address('bad'))}, {{}})")
    stage.tab.until("host.faults.length > 0")
    stage.tab.until("document.readyState === 'complete'", inside=True)
    seen = " ".join(stage.faults())
    assert "wrong: ui/notifications/size-changed" in seen
    assert "no good" in seen
    assert seen.count("Content Security Policy") >= 2
