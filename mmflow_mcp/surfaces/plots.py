"""Answers as pictures of plain characters, for `mmflow-mcp call ... --plot`.

The same tools have a plot that have a chart, and both draw the same answer: a tool's result. What
is partial, stale, simulated or left out is said above the picture.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.surfaces.plots_history import draw_history
from mmflow_mcp.surfaces.plots_pen import Pen
from mmflow_mcp.surfaces.plots_rows import known, number, objects, price


def plot(tool: str, answer: dict[str, Any], pen: Pen) -> str:
    """A tool's result as a picture. Raises `BadQuestion` for a tool that has none."""
    check_plotted(tool)
    data, meta = answer["data"], answer["meta"]
    lines = notes(meta, pen)
    drawn = PLOTS[tool](data, meta, pen)
    return "\n".join([*lines, "", *(drawn or ["nothing to draw: the answer has no values"])])


def check_plotted(tool: str) -> None:
    """Raises `BadQuestion` for a tool whose answer has no plot, naming those that have one."""
    if tool not in PLOTS:
        raise BadQuestion("--plot", f"{tool} has no plot.", fits=", ".join(PLOTS))


def notes(meta: dict[str, Any], pen: Pen) -> list[str]:
    """What there is to know about an answer, the loud things first."""
    source = str(meta.get("source", ""))
    said = []
    if source.startswith("sim:"):
        said.append("SIM: simulated market, not the live one")
    if source.startswith("replay:"):
        said.append("REPLAY: recorded, not the live market")
    if meta.get("partial"):
        said.append("PARTIAL: something that was asked is missing")
    for note in meta.get("sources", ()):
        stale = "STALE: " if note["status"] == "stale" else ""
        said.append(f"{stale}{note['source']}: {note['status']}, {note['reason']}")
    if meta.get("truncated"):
        said.append(f"NOT ALL ROWS: {meta['narrow']}")
    for coin, venues in meta.get("notListed", {}).items():
        said.append(f"{coin} is not listed on {', '.join(venues)}")
    for key in ("kinds", "narrowed"):
        said += [f"{venue}: {words}" for venue, words in meta.get(key, {}).items()]
    if "spot" in meta:
        said.append(f"spot is the {meta['spot']}")
    if meta.get("rowsSkipped"):
        said.append(f"{meta['rowsSkipped']} rows could not be used")
    said += [str(meta[key]) for key in ("condensed", "history") if key in meta]
    at = datetime.fromtimestamp(meta["fetchedAt"] // 1000, UTC)
    said.append(f"as of {at:%Y-%m-%d %H:%M:%S} UTC")
    return [line for text in said for line in pen.wrapped(text)]


def draw_funding(data: Any, meta: dict[str, Any], pen: Pen) -> list[str]:
    """A heat map: venues down, coins across, percent a year in every cell."""
    rows = [row for row in objects(data) if known(row["apr"])]
    if not rows:
        return []
    at = {(row["coin"], row["venue"]): row["apr"] for row in rows}
    venues, coins = (list(dict.fromkeys(row[key] for row in rows)) for key in ("venue", "coin"))
    top = max(abs(row["apr"]) for row in rows) or 1.0
    left = max(map(len, venues)) + 1
    cell = max(8, *(len(_apr(apr)) + 3 for apr in at.values()), *(len(coin) + 2 for coin in coins))
    across = max(1, (pen.width - left) // cell)
    out = pen.wrapped(
        "Funding, % a year: + longs pay, - shorts pay; the darker the further from zero"
    )
    absent = "?" if meta.get("truncated") else "-"
    for first in range(0, len(coins), across):
        part = coins[first : first + across]
        out += ["", " " * left + "".join(f"{coin} ".rjust(cell) for coin in part)]
        for venue in venues:
            cells = [_heat(at.get((coin, venue)), top, cell, absent, pen) for coin in part]
            out.append(venue.ljust(left) + "".join(cells))
    return [*out, *_absent(meta, len(at) < len(venues) * len(coins))]


def _apr(apr: float) -> str:
    return f"{apr:+.2f}"


def _heat(apr: float | None, top: float, cell: int, absent: str, pen: Pen) -> str:
    if apr is None:
        return f"{absent} ".rjust(cell)
    return pen.paint(f"{_apr(apr)}{pen.shade(abs(apr) / top)}".rjust(cell), apr)


def _absent(meta: dict[str, Any], lacking: bool) -> list[str]:  # noqa: FBT001 - a yes or no
    if not lacking:
        return []
    why = "?: rows were left out" if meta.get("truncated") else "-: no rate, see above"
    return ["", why]


def draw_gex(data: Any, meta: dict[str, Any], pen: Pen) -> list[str]:  # noqa: ARG001
    """Bars by strike, the highest price on top, with walls, spot and flip in their places."""
    rows = [row for row in objects(data["strikes"]) if known(row["gex"])]
    if not rows:
        return []
    low, high = (pick(0.0, *(row["gex"] for row in rows)) for pick in (min, max))
    walls = {
        one["strike"]: name
        for name, one in (("call wall", data["callWall"]), ("put wall", data["putWall"]))
        if one
    }
    levels = {"spot": data["spot"], "flip": data["gammaFlip"]}
    lines: list[tuple[float, str]] = [
        (at, f"{pen.letter('─', '-') * 4} {name} {price(at)} {pen.letter('─', '-') * 4}")
        for name, at in levels.items()
        if known(at)
    ]
    for row in rows:
        wall = walls.get(row["strike"], "")
        bar = pen.bar(row["gex"], low, high, pen.width - 36)
        text = f"{price(row['strike']):>10} {bar} {number(row['gex'], 0):>14} {wall}"
        lines.append((row["strike"], text.rstrip()))
    lines.sort(key=lambda line: line[0], reverse=True)
    total = f"total {number(data['totalGex'], 0)}"
    lacking = [f"no {name}" for name, at in levels.items() if not known(at)]
    if data.get("gammaFlipMethod") == "cumulative":
        lacking.append("the flip is of the running sum over strikes")
    head = (
        f"{data['underlying']} dealer gamma by strike, USD per 1 % move; calls +, puts - (assumed)"
    )
    summary = f"{total}{''.join(f'; {one}' for one in lacking)}"
    return [*pen.wrapped(head), *pen.wrapped(summary), "", *(text for _, text in lines)]


def draw_skew(data: Any, meta: dict[str, Any], pen: Pen) -> list[str]:  # noqa: ARG001
    """The term structure at the money, and the smile of the expiry nearest to 30 days."""
    term = [row for row in objects(data["termStructure"]) if known(row["atmIv"])]
    out = []
    if term:
        points = [
            (f"{row['expiryLabel']} {number(row['dteDays'])} d", row["atmIv"]) for row in term
        ]
        out += [f"{data['underlying']} volatility at the money by expiry, %", *_dots(points, pen)]
        near = min(term, key=lambda row: abs(row["dteDays"] - 30))
        smile = objects(data["smileByExpiry"].get(near["expiryLabel"]))
        points = [(f"{price(p['strike'])} {p['type']}", p["iv"]) for p in smile if known(p["iv"])]
        if points:
            spot = f"; spot {price(data['spot'])}" if known(data["spot"]) else ""
            words = f"Smile of {near['expiryLabel']}, % by strike (P put, C call){spot}"
            out += ["", *pen.wrapped(words), *_dots(points, pen)]
    return out


def _dots(points: list[tuple[str, float]], pen: Pen) -> list[str]:
    """Dots on one scale, whose ends are told: it does not begin at zero."""
    low, high = min(iv for _, iv in points), max(iv for _, iv in points)
    left = max(len(name) for name, _ in points) + 1
    width = pen.width - left - 9
    ends = f"{number(low * 100)} {'':{max(1, width - 12)}} {number(high * 100)}"
    lines = [
        f"{name:<{left}}{pen.dot(iv, low, high, width)} {number(iv * 100):>7}"
        for name, iv in points
    ]
    return [" " * left + ends, *lines]


def draw_flows(data: Any, meta: dict[str, Any], pen: Pen) -> list[str]:  # noqa: ARG001
    """The score of every coin on one scale, what it is made of, and what stands out."""
    rows = objects(data["rows"])
    if not rows:
        return []
    out = ["Flow pressure score, -100 selling .. +100 buying", ""]
    left = max(len(row["coin"]) for row in rows) + 1
    for row in rows:
        score = row["flowPressureScore"]
        bar = pen.bar(score or 0, -100, 100, pen.width - left - 6)
        out.append(f"{row['coin']:<{left}}{bar} {'?' if score is None else f'{score:+d}':>4}")
        lacking = [
            f"{part} {state}"
            for part, state in row["coverage"].items()
            if state not in ("full", "live")
        ]
        said = row["headline"] + (f" (coverage: {', '.join(lacking)})" if lacking else "")
        out += pen.wrapped(said if pen.unicode else said.replace("·", "/"), " " * left)
    signals = objects(data["signals"])
    out += ["", "Signals"] if signals else []
    for one in signals:
        coin = one.get("coin") or one["id"].partition(":")[0]
        text = f"{coin} {one['severity']}: {one['message']} (confidence {one['confidence']})"
        out += pen.wrapped(text, "  ")
    return out


PLOTS: dict[str, Callable[[Any, dict[str, Any], Pen], list[str]]] = {
    "get_funding": draw_funding,
    "get_gex": draw_gex,
    "get_skew": draw_skew,
    "get_funding_history": draw_history,
    "get_oi_history": draw_history,
    "get_flow_history": draw_history,
    "get_flow_summary": draw_flows,
}
