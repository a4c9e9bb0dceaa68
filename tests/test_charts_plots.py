"""`call --plot`: answers as pictures of plain characters."""

import doctest
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chartings import T0, minutes_of, note, rates_of

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import colour_wanted
from mmflow_mcp.surfaces import plots_rows
from mmflow_mcp.surfaces.call import pen_of
from mmflow_mcp.surfaces.charts import CHARTED
from mmflow_mcp.surfaces.plots import PLOTS, plot
from mmflow_mcp.surfaces.plots_pen import LETTERS, Pen

ROOT = Path(__file__).resolve().parents[1]
META = {"fetchedAt": T0, "source": "binance:x", "partial": False, "sources": []}
GEX = {
    "underlying": "BTC",
    "spot": 104.0,
    "totalGex": 20,
    "callWall": {"strike": 110, "gex": 40},
    "putWall": {"strike": 100, "gex": -20},
    "gammaFlip": None,
    "strikes": {"columns": ["strike", "gex"], "rows": [[100, -20], [105, 0], [110, 40]]},
}
FUNDING = {
    "columns": ["coin", "venue", "rate", "periodHours", "apr"],
    "rows": [
        ["BTC", "okx", 0.0001, 8, 10.95],
        ["BTC", "kraken", -0.0001, 1, -87.6],
        ["ETH", "okx", 0.0, 8, 0.0],
    ],
}


def drawn(tool: str, data: Any, pen: Pen | None = None, **meta: Any) -> list[str]:
    """The lines of a plot."""
    return plot(tool, {"data": data, "meta": {**META, **meta}}, pen or Pen()).splitlines()


def test_the_same_tools_have_a_plot_and_a_chart() -> None:
    """Another one is refused, and told which have one."""
    assert sorted(CHARTED) == sorted(PLOTS)
    with pytest.raises(BadQuestion, match=r"get_oi has no plot\. Fits: get_funding, get_gex"):
        drawn("get_oi", [])


def test_funding_is_a_map_of_numbers_and_shades() -> None:
    """Every rate stands under its coin beside its venue, darker the further from zero."""
    lines = drawn("get_funding", FUNDING)
    assert "            BTC      ETH" == lines[-5].rstrip()
    assert "okx      +10.95░   +0.00░" == lines[-4]
    assert "kraken   -87.60█       -" == lines[-3].rstrip()
    assert "-: no rate, see above" == lines[-1]
    plain = drawn("get_funding", FUNDING, Pen(unicode=False))
    assert "kraken   -87.60#       -" == plain[-3].rstrip()


def test_what_a_budget_left_out_is_not_called_absent() -> None:
    """Of a truncated answer an empty cell is a question mark, and the plot says so."""
    lines = drawn("get_funding", FUNDING, truncated=True, narrow="3 rows kept")
    assert "NOT ALL ROWS: 3 rows kept" in lines
    assert lines[-3].rstrip().endswith("?")
    assert "?: rows were left out" == lines[-1]


def test_many_coins_are_drawn_in_blocks_within_the_width() -> None:
    """No line is wider than the terminal, and no coin is lost."""
    rows = [[f"C{i}", "okx", 0.0001, 8, i * 1.0] for i in range(40)]
    lines = drawn("get_funding", {**FUNDING, "rows": rows}, Pen(width=60))
    assert max(map(len, lines)) <= 60
    assert {f"C{i}" for i in range(40)} <= set(" ".join(lines).split())


def test_gamma_bars_are_proportional_and_in_order_of_price() -> None:
    """The highest strike on top, spot in its place, walls named, one unit for both signs."""
    lines = drawn("get_gex", GEX, Pen(width=60))
    assert "total 20; no flip" in lines
    (high, middle, spot, low) = lines[-4:]
    assert high.split()[0] == "110"
    assert high.endswith("40 call wall")
    assert low.endswith("-20 put wall")
    assert "spot 104" in spot
    assert 0 == middle.count("█")
    assert 2 * low.count("█") + low.count("▐") == high.count("█") + high.count("▌") / 2
    assert high.index("│") == middle.index("│") == low.index("│")


@pytest.mark.parametrize("fine", [True, False])
def test_a_bar_is_as_long_as_its_value(fine: bool) -> None:  # noqa: FBT001
    """Lengths are within half a letter of the value's share, at a width that never changes."""
    pen = Pen(unicode=fine)
    for value in (-100, -51, -3, 0, 1, 49.5, 100):
        bar = pen.bar(value, -100, 100, 41)
        length = sum(bar.count(full) for full in "█#") + sum(bar.count(half) for half in "▌▐") / 2
        assert pytest.approx(abs(value) / 100 * 20, abs=0.5) == length
        assert 41 == len(bar)
        filled = bar.strip("│| ") and ("│" if fine else "|")
        assert not filled or (bar.index(filled) == 20)
        assert (value < 0) == bool(bar[:20].strip())


def test_dots_lie_on_one_scale_whose_ends_are_told() -> None:
    """Volatilities from the lowest at the left to the highest at the right."""
    columns = ["expiryLabel", "dteDays", "atmIv"]
    term = {"columns": columns, "rows": [["A", 1, 0.5], ["B", 30, 0.4], ["C", 90, None]]}
    smile = {"columns": ["strike", "iv", "type"], "rows": [[90, 0.6, "P"], [110, 0.5, "C"]]}
    data = {"underlying": "BTC", "spot": 100.0, "termStructure": term}
    lines = drawn("get_skew", {**data, "smileByExpiry": {"B": smile}})
    a, b = (next(line for line in lines if line.startswith(name)) for name in ("A 1 d", "B 30 d"))
    assert a.split()[-2].endswith("●")
    assert b.split()[-2].startswith("●")
    assert "50" == a.split()[-1]
    assert not [line for line in lines if line.startswith("C ")]
    assert "Smile of B, % by strike (P put, C call); spot 100" in lines


def test_history_is_broken_where_points_are_missing() -> None:
    """A gap stays empty; the ends of the scale are the extremes."""
    minutes = dict.fromkeys(range(20), 5.0) | dict.fromkeys(range(60, 80), -3.0)
    pen = Pen(width=92, unicode=False)
    lines = drawn("get_flow_history", minutes_of(minutes), pen)
    top = next(line for line in lines if line.strip().startswith("5 |"))
    bottom = next(line for line in lines if line.strip().startswith("-3 |"))
    starred = {i for line in (top, bottom) for i, letter in enumerate(line) if letter == "*"}
    assert set(range(12, 32)) | set(range(72, 92)) == starred
    assert "BTC flowPressureScore: -100 selling .. +100 buying" in lines


def test_funding_of_different_periods_is_drawn_as_percent_a_year() -> None:
    """0.0001 an hour is 87.6 % a year, 0.0002 per 8 hours 21.9 %: one scale, which is told."""
    rows = [[0, 0.0001, 0.0002], [8, 0.0001, 0.0002]]
    kinds = {"a": "settled", "b": "predicted"}
    data = rates_of(rows, kinds, {"a": 1, "b": 8})
    lines = drawn("get_funding_history", data)
    assert [line for line in lines if line.startswith("a settled, last 87.6 at")]
    assert [line for line in lines if line.startswith("b predicted, last 21.9 at")]
    assert 2 == sum(line.strip().startswith("87.6 │") for line in lines)
    objects = [{"ts": ts, "byVenue": {"a": a, "b": b}} for ts, a, b in data["points"]["rows"]]
    assert lines == drawn("get_funding_history", {**data, "points": objects})


def test_a_line_of_braille_goes_through_its_points() -> None:
    """From the lower left to the upper right corner: one dot in each column of dots."""
    lines = Pen().lines([[(0, 0), (7, 7)]], (0, 7), (0, 7), (4, 2))
    assert ["  ⡠⠊", "⡠⠊  "] == lines


def test_numbers_have_the_decimals_that_they_need() -> None:
    """The examples of the documentation hold."""
    assert (0, 2) == tuple(doctest.testmod(plots_rows))


def test_flows_show_score_parts_and_signals() -> None:
    """A score that nobody knows is a question mark, and what is not covered is named."""
    columns = ["coin", "coverage", "flowPressureScore", "headline"]
    rows = [["BTC", {"kimchi": "live", "hlMicro": "none"}, None, "nothing"]]
    names = ["id", "severity", "message", "confidence"]
    heard = [["BTC:etf:1", "watch", "ETF +$1M", "low"]]
    data = {
        "rows": {"columns": columns, "rows": rows},
        "signals": {"columns": names, "rows": heard},
    }
    lines = drawn("get_flow_summary", data)
    assert lines[-5].startswith("BTC ")
    assert lines[-5].endswith("?")
    assert "█" not in lines[-5]
    assert "nothing (coverage: hlMicro none)" in lines[-4]
    assert "  BTC watch: ETF +$1M (confidence low)" == lines[-1]


def test_what_is_missing_stale_or_simulated_stands_above() -> None:
    """Before the picture, each with its source and reason."""
    stale = note("farside", "stale", "http 403")
    down = note("okx", "error", "timeout")
    lines = drawn("get_gex", GEX, partial=True, sources=[down, stale], source="sim:x")
    above = lines[: lines.index("")]
    assert [
        "SIM: simulated market, not the live one",
        "PARTIAL: something that was asked is missing",
        "okx: error, timeout",
        "STALE: farside: stale, http 403",
        "as of 2026-09-14 15:33:20 UTC",
    ] == above
    assert "REPLAY: recorded, not the live market" == drawn("get_gex", GEX, source="replay:x")[0]


@pytest.mark.parametrize("tool", PLOTS)
def test_an_answer_without_values_is_said_to_have_none(tool: str) -> None:
    """Nothing is drawn for nothing."""
    empty: dict[str, Any] = {"columns": ["apr", "v"], "rows": []}
    shapes = {
        "get_funding": empty,
        "get_gex": {**GEX, "strikes": empty},
        "get_skew": {"termStructure": empty, "smileByExpiry": {}},
        "get_flow_summary": {"rows": empty, "signals": empty},
    }
    data = shapes.get(tool, {"coin": "BTC", "points": empty})
    assert "nothing to draw: the answer has no values" == drawn(tool, data)[-1]


def test_colour_is_only_for_terminals_that_want_it() -> None:
    """NO_COLOR, a dumb terminal and an old Windows console stay plain; so does a file."""
    assert colour_wanted({"TERM": "xterm"}, "linux")
    assert not colour_wanted({"TERM": "xterm", "NO_COLOR": "1"}, "linux")
    assert not colour_wanted({"TERM": "dumb"}, "linux")
    assert not colour_wanted({}, "win32")
    assert colour_wanted({"WT_SESSION": "x"}, "win32")
    assert not pen_of(io.TextIOWrapper(io.BytesIO(), "utf-8")).colour
    text = "\n".join(drawn("get_funding", FUNDING, Pen(colour=True)))
    assert {"\x1b[38;5;208m", "\x1b[38;5;39m", "\x1b[0m"} == set(
        re.findall("\x1b\\[[0-9;]*m", text)
    )


@pytest.mark.parametrize("tool", ["get_funding", "get_gex"])
def test_every_letter_is_one_that_the_pen_checked(tool: str) -> None:
    """A terminal that can show `LETTERS` can show the plot; without them it is ASCII."""
    data = {"get_funding": FUNDING, "get_gex": GEX}[tool]
    used = {letter for line in drawn(tool, data) for letter in line if ord(letter) > 127}
    assert used <= set(LETTERS)
    assert all(line.isascii() for line in drawn(tool, data, Pen(unicode=False)))
    for encoding, fine in (("utf-8", True), ("cp1252", False), ("ascii", False), ("cp437", False)):
        assert fine == pen_of(io.TextIOWrapper(io.BytesIO(), encoding)).unicode


def test_the_command_draws_what_it_answers(tmp_path: Path) -> None:
    """`call get_gex --plot` prints the picture, 60 columns at least; not together with --json."""
    command = [sys.executable, "-m", "mmflow_mcp", "call", "get_gex", "underlying=BTC", "limit=5"]
    env = {"COLUMNS": "20", "PYTHONUTF8": "1", "MMFLOW_DATA": str(tmp_path), "PATH": ""}
    given = ["--source", "sim", "--now", "2026-09-15T06:18:43Z", "--plot"]
    out = subprocess.run(
        [*command, *given], capture_output=True, text=True, check=True, cwd=ROOT, env=env
    )
    lines = out.stdout.splitlines()
    assert "SIM: simulated market, not the live one" == lines[0]
    assert max(map(len, lines)) <= 60
    assert 5 == sum("│" in line for line in lines)
    from mmflow_mcp.surfaces.cli import parse

    with pytest.raises(SystemExit):
        parse([*command[3:], "--plot", "--json"])
