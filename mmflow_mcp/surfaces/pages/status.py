"""`/status`: how each venue, the recorder and the feeds are; the facts of `mmflow://status`."""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.surfaces.pages.element import Child, Html, tag
from mmflow_mcp.surfaces.pages.page import Site, page
from mmflow_mcp.surfaces.pages.sparkline import sparkline
from mmflow_mcp.surfaces.pages.words import many, milliseconds, span

ABOUT = "How each venue is doing, what is recorded and which feeds run."
# What a state is called, and the mark that tells it without colour.
STATES = {
    "ok": ("up", "●"),
    "slow": ("slow", "◐"),
    "blocked": ("blocked", "⊘"),
    "changed": ("changed", "≠"),
    "failing": ("failing", "✕"),
    "unknown": ("not asked yet", "○"),
    "off": ("switched off", "–"),
}
Facts = dict[str, Any]


def status(site: Site, facts: Facts) -> Html:
    """The page; a script asks for it again and again and exchanges what is different."""
    main = [
        tag("h1", "Status"),
        tag("p", _summary(facts["venues"]), id="summary", data_live=True, role="status"),
        tag("p", _checked(facts), id="checked", class_="said", data_live=True),
        tag("p", id="lost", class_="banner", role="alert", hidden=True),
        tag("section", _venues(facts), aria_labelledby="venues"),
        tag("section", _recorder(facts), aria_labelledby="recorder"),
        tag("section", _feeds(facts), aria_labelledby="feeds"),
        *([] if "fleet" not in facts else [_fleet(facts["fleet"])]),
        tag("p", "The same as ", tag("a", "JSON", href="/status?format=json"), ".", class_="said"),
    ]
    return page(
        site, path="/status", title="Status", about=ABOUT, main=main, scripts=("status.js",)
    )


def _summary(venues: list[Facts]) -> str:
    counts: dict[str, int] = {}
    for one in venues:
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    told = [f"{counts[state]} {word}" for state, (word, _) in STATES.items() if state in counts]
    return f"{many(len(venues), 'venue')} and sources: {', '.join(told)}."


def _checked(facts: Facts) -> Child:
    at = facts["checkedAt"]
    return ["As of ", _moment(at), f", source {facts['source']}, version {facts['version']}."]


def _moment(ms: int) -> Html:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    iso = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", at.strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=iso)


def _ago(then: int | None, now: int) -> Child:
    if then is None:
        return "never"
    iso = datetime.fromtimestamp(then // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", f"{span((now - then) / 1000)} ago", datetime=iso)


def _table(id_: str, labelled: str, heads: tuple[str, ...], rows: list[Html]) -> Html:
    """A table that lies flat on a narrow screen; its roles are named, for display hides them."""
    cells = [tag("th", text, scope="col", role="columnheader") for text in heads]
    head = tag("thead", tag("tr", cells, role="row"), role="rowgroup")
    body = tag("tbody", rows, role="rowgroup", id=id_, data_live=True)
    return tag("table", head, body, role="table", aria_labelledby=labelled, class_="flat")


def _cell(name: str, *children: Child, class_: str | None = None) -> Html:
    # On a narrow screen a cell that says nothing is left out.
    class_ = "none" if children == ("-",) else class_
    return tag("td", *children, role="cell", data_head=name, class_=class_)


def _venues(facts: Facts) -> Child:
    heads = ("Venue", "State", "Last answer", "Latency", "Last requests", "Requests", "Said")
    rows = [_venue(one, facts["checkedAt"], heads) for one in facts["venues"]]
    return [tag("h2", "Venues and sources", id="venues"), _table("rows", "venues", heads, rows)]


def _venue(one: Facts, now: int, heads: tuple[str, ...]) -> Html:
    word, mark = STATES.get(one["state"], (one["state"], "?"))
    recent = one.get("recentMs", [])
    latency = milliseconds(one["latencyMs"]) if "latencyMs" in one else "-"
    failures = f", {one['failures']:,} failed" if one["failures"] else ""
    state = tag(
        "span", tag("span", mark, aria_hidden="true"), f" {word}", class_=f"state is-{one['state']}"
    )
    name = tag("th", one["name"], scope="row", role="rowheader")
    return tag(
        "tr",
        name,
        _cell(heads[1], state),
        _cell(heads[2], _ago(one.get("lastOk"), now)),
        _cell(heads[3], latency),
        _cell(heads[4], sparkline(recent) if recent else "-", class_="drawn"),
        _cell(heads[5], f"{one['requests']:,}{failures}"),
        _cell(heads[6], _said(one, now), class_="long"),
        role="row",
        data_venue=one["venue"],
    )


def _said(one: Facts, now: int) -> Child:
    """Why it is not well; what it last failed with; which of its hosts are left alone."""
    told: list[Child] = []
    if "reason" in one:
        told.append(one["reason"])
    elif "lastReason" in one:
        told.append(["Last failed ", _ago(one["lastError"], now), ": ", one["lastReason"]])
    for host in one.get("paused", ()):
        again = f"for {span(host['seconds'])} more" if host["seconds"] else "until it is tried"
        told.append(f"{host['host']} is left alone {again}")
    return [tag("p", part) for part in told] or "-"


def _recorder(facts: Facts) -> Child:
    told = facts["recorder"]
    words = {
        "off": "Nothing is recorded.",
        "waiting": "Recording begins with the first question.",
        "standby": f"Recording ({told['level']}) is done by another process; this one stands by.",
        "running": f"Recording ({told['level']}) runs in this process.",
    }[told["state"]]
    parts: list[Child] = [tag("p", words)]
    if told["state"] in ("running", "standby"):
        refused = f", {told['refused']:,} refused" if told["refused"] else ""
        parts.append(tag("p", f"{many(told['stored'], 'point')} stored{refused}."))
        heads = ("Samples", "Last", "Missed", "Said")
        rows = [_sampling(name, told, facts["checkedAt"], heads) for name in _samplings(told)]
        if rows:
            parts.append(_table("samplings", "recorder", heads, rows))
    return [tag("h2", "Recorder", id="recorder"), tag("div", parts, id="recorded", data_live=True)]


def _samplings(told: Facts) -> list[str]:
    return sorted({*told["last"], *told["failures"]})


def _sampling(name: str, told: Facts, now: int, heads: tuple[str, ...]) -> Html:
    late = told["lateMs"].get(name)
    in_time = "-" if late is None else f"{span(late / 1000)} late" if late else "on time"
    said = told["failures"].get(name, in_time)
    return tag(
        "tr",
        tag("th", name.replace("_", " "), scope="row", role="rowheader"),
        _cell(heads[1], _ago(told["last"].get(name), now)),
        _cell(heads[2], f"{told['missed'].get(name, 0):,}"),
        _cell(heads[3], said, class_="long"),
        role="row",
    )


def _feeds(facts: Facts) -> Child:
    head = tag("h2", "Live feeds", id="feeds")
    heads = ("Feed", "State", "Last frame", "Reconnects", "Prints", "Gaps", "Said")
    if facts["feeds"]:
        rows = [_feed(one, facts["checkedAt"], heads) for one in facts["feeds"]]
        inside: Child = _table("feed-rows", "feeds", heads, rows)
    else:
        inside = tag("p", "No feed runs: one starts when somebody asks for it.")
    return [head, tag("div", inside, id="fed", data_live=True)]


def _feed_state(one: Facts) -> tuple[str, str]:
    """A socket that is open brings nothing before the venue has taken a subscription."""
    failing = "reason" in one
    if one["connected"] and one["subscribed"]:
        return "ok", "listening"
    if one["connected"]:
        return ("failing", "not subscribed") if failing else ("unknown", "subscribing")
    return ("failing", "not connected") if failing else ("unknown", "connecting")


def _feed(one: Facts, now: int, heads: tuple[str, ...]) -> Html:
    state, word = _feed_state(one)
    mark = tag("span", STATES[state][1], aria_hidden="true")
    return tag(
        "tr",
        tag(
            "th",
            f"{one['venue']} {one['channel'].replace('/', ' ')}",
            scope="row",
            role="rowheader",
        ),
        _cell(heads[1], tag("span", mark, f" {word}", class_=f"state is-{state}")),
        _cell(heads[2], _ago(one.get("heardAt"), now)),
        _cell(heads[3], f"{one['reconnects']:,}"),
        _cell(heads[4], f"{one['prints']:,}" if "prints" in one else "-"),
        _cell(heads[5], f"{one['gaps']:,}" if "gaps" in one else "-"),
        _cell(heads[6], one.get("reason", "-"), class_="long"),
        role="row",
    )


def _fleet(told: Facts) -> Html:
    """What this replica shares with the others."""
    if told["state"] == "together":
        said = f"One of a fleet: {told['hits']:,} of {told['asks']:,} answers came from others."
    else:
        said = f"On its own: {told['reason']}."
    feeds = [f"{one['venue']} {one['channel']}: {one['role']}" for one in told["feeds"]]
    inside = [tag("p", said), *([tag("p", "; ".join(feeds))] if feeds else [])]
    head = tag("h2", "Fleet", id="fleet")
    shared = tag("div", inside, id="shared", data_live=True)
    return tag("section", head, shared, aria_labelledby="fleet")
