"""Farside Investors: daily net flows of US spot ETFs, as web pages; and who answers in its place.

https://farside.co.uk/bitcoin-etf-flow-all-data/

Nothing but pages of HTML, behind a proxy that shuts out data centres. Then another publisher of
the same figures answers, and is named: TFTC (bitcoin only), then a public mirror of the tables.
"""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueRejected,
)
from mmflow_mcp.rows.onchain import EtfTable
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import HOUR, Call, Form, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.etf_tables import REQUIRED, Flows, Sheet, judge_sheet, read_grid, row_of
from mmflow_mcp.venues.fields import number, number_or_none
from mmflow_mcp.venues.html_tables import HtmlTable, read_tables

HOST = "farside.co.uk"
TFTC_HOST = "www.tftc.io"
MIRROR_HOST = "raw.githubusercontent.com"
HALF_AN_HOUR = 1800.0
# No page of theirs comes near this many characters.
MAX_PAGE = 5_000_000
# No two sessions lie so far apart.
LATE_MS = 10 * DAY_MS

Parse = Callable[[Wire], Flows]


def _read_page(wire: Wire, asset: str, label: str) -> Flows:
    """The flow table of a page. A page without one is what the proxy shows: a block."""
    if len(wire.doc) > MAX_PAGE:
        raise VenueChanged("changed: the page is unreasonably large")
    table = _choose(read_tables(wire.doc), asset)
    if table is None:
        raise VenueBlocked("blocked: a page without the table came instead of the data")
    if not table.closed:
        raise VenueChanged("changed: the table was cut short")
    sheet = read_grid(table.rows, asset, wire.fetched_at)
    return judge_sheet(
        sheet,
        asset,
        fetched_at=wire.fetched_at,
        source=f"farside:{label}",
        publisher="Farside Investors",
    )


def _choose(tables: list[HtmlTable], asset: str) -> HtmlTable | None:
    """The table of class `etf`, else the largest one that names the funds."""
    marked = [table for table in tables if "etf" in table.classes]
    fitting = marked or [t for t in tables if any(REQUIRED[asset] <= set(r) for r in t.rows)]
    return max(fitting, key=lambda table: len(table.rows), default=None)


def parse_bitcoin_page(wire: Wire) -> Flows:
    """Every session of bitcoin funds."""
    return _read_page(wire, "bitcoin", "etf-flow-all-data")


def parse_ethereum_page(wire: Wire) -> Flows:
    """Every session of ether funds."""
    return _read_page(wire, "ethereum", "etf-flow-all-data")


def parse_bitcoin_weeks(wire: Wire) -> Flows:
    """The last weeks of bitcoin funds, with the sum of all sessions below them."""
    return _read_page(wire, "bitcoin", "btc")


def parse_ethereum_weeks(wire: Wire) -> Flows:
    """The last weeks of ether funds, with the sum of all sessions below them."""
    return _read_page(wire, "ethereum", "eth")


def parse_tftc(wire: Wire) -> Flows:
    """TFTC's file: US$, not millions; a day without a net flow has no total."""
    days = wire.doc.get("days") if isinstance(wire.doc, dict) else None
    if not isinstance(days, list):
        raise VenueChanged("changed: days is missing from the answer")
    rows, bad = [], 0
    for day in days:
        try:
            funds = {name[:12]: _millions(usd) for name, usd in (day["perEtfUsd"] or {}).items()}
            values = {name: usd for name, usd in funds.items() if usd is not None}
            total = _millions(day["netFlowUsd"])
            when = date.fromisoformat(day["date"])
            rows.append(row_of(when, values, total, "bitcoin", wire.fetched_at))
        except (KeyError, TypeError, ValueError, AttributeError):
            bad += 1
    tickers = dict.fromkeys(name for row in rows for name in row.values)
    flows = judge_sheet(
        Sheet(tuple(tickers), rows, None, bad),
        "bitcoin",
        fetched_at=wire.fetched_at,
        source="tftc:bitcoin-etf-flows",
        publisher="TFTC (CC BY 4.0), from SoSoValue and Farside Investors",
    )
    return _current(flows)


def _current(flows: Flows) -> Flows:
    """Refuse a stand-in that has stopped, or a file that was cut short: its newest day tells."""
    latest = flows.table.latest
    if latest is None or flows.table.fetched_at - latest.date_ms > LATE_MS:
        ends = latest.date_label if latest else "no complete day"
        raise VenueChanged(f"changed: the table of {flows.table.source} ends with {ends}")
    return flows


def _millions(usd: Any) -> float | None:
    found = number_or_none(usd)
    return None if found is None else round(number(found) / 1e6, 6)


def _read_mirror(wire: Wire, asset: str) -> Flows:
    grid = [[cell.strip() for cell in row] for row in csv.reader(wire.doc.splitlines()) if row]
    flows = judge_sheet(
        read_grid(grid, asset, wire.fetched_at),
        asset,
        fetched_at=wire.fetched_at,
        source="github:haturatu/crypto-etf-flow",
        publisher="Farside Investors, through a public mirror",
    )
    return _current(flows)


def parse_bitcoin_mirror(wire: Wire) -> Flows:
    """The mirror of the bitcoin table."""
    return _read_mirror(wire, "bitcoin")


def parse_ethereum_mirror(wire: Wire) -> Flows:
    """The mirror of the ether table."""
    return _read_mirror(wire, "ethereum")


def _call(host: str, path: str, label: str, parse: Parse, form: Form = "text") -> Call:
    """One table. Its copy comes after the other publishers, so that it never stands in itself."""
    call = get(
        f"https://{host}{path}",
        fresh=HALF_AN_HOUR,
        label=label,
        form=form,
        check=parse,
        keep_on_disk=True,
        patience=HOUR,
    )
    return replace(call, keep=0.0)


def _page(path: str, label: str, parse: Parse) -> tuple[Call, Parse]:
    return _call(HOST, path, label, parse), parse


def _mirror(file: str, parse: Parse) -> tuple[Call, Parse]:
    path = f"/haturatu/crypto-etf-flow/main/{file}"
    return _call(MIRROR_HOST, path, "crypto-etf-flow", parse), parse


PAGES = {
    "bitcoin": _page("/bitcoin-etf-flow-all-data/", "etf-flow-all-data", parse_bitcoin_page),
    "ethereum": _page("/ethereum-etf-flow-all-data/", "etf-flow-all-data", parse_ethereum_page),
}
WEEKS = {
    "bitcoin": _page("/btc/", "btc", parse_bitcoin_weeks),
    "ethereum": _page("/eth/", "eth", parse_ethereum_weeks),
}
TFTC = (
    _call(TFTC_HOST, "/bitcoin-etf-flows/data.json", "tftc", parse_tftc, "json"),
    parse_tftc,
)
MIRRORS = {
    "bitcoin": _mirror("etf_btc.csv", parse_bitcoin_mirror),
    "ethereum": _mirror("etf_eth.csv", parse_ethereum_mirror),
}


class Farside(Venue):
    """The ETF flow tables of Farside Investors."""

    id = "farside"
    name = "Farside Investors"
    kind = "data"
    hosts = (HOST,)
    # Nothing is published; this is far more than a page that changes once a day needs.
    meters = (Meter((HOST,), 6, 60),)
    data_source = "Farside Investors' tables; TFTC and a public mirror where those are shut"
    docs = "https://farside.co.uk/bitcoin-etf-flow-all-data/"
    notes = ("A session's row appears before all funds have reported: such rows are marked.",)

    async def etf_flows(self, ask: Ask) -> list[EtfTable]:
        """Every session; where Farside cannot be had another publisher's, which is then named.

        `ask.options["recent"]`: the last weeks are enough, with the sum of all sessions.
        """
        asset = str(ask.options.get("asset", "bitcoin"))
        flows = await _first_of(ask, asset, recent=bool(ask.options.get("recent")))
        ask.unread(flows.bad)
        for note in flows.notes:
            ask.short(note)
        return [flows.table]


async def _first_of(ask: Ask, asset: str, *, recent: bool) -> Flows:
    """The table of the first publisher that has it, else the last good copy of any."""
    others = [TFTC] if asset == "bitcoin" else []
    # The short page is a thirtieth of the long one.
    own = [WEEKS[asset], PAGES[asset]] if recent else [PAGES[asset], WEEKS[asset]]
    chain = [*own, *others, MIRRORS[asset]]
    first: VenueError | None = None
    for call, parse in chain:
        if call is own[1][0] and not isinstance(first, (VenueChanged, VenueRejected, Unrecorded)):
            # The same host: only worth asking where it answers.
            continue
        try:
            flows = (await ask.get(call)).parsed(parse)
        except VenueError as error:
            first = first or error
            continue
        if first is not None:
            ask.short(f"{first.reason}; {flows.table.source} answered instead")
        return flows
    if first is None:
        raise VenueChanged("changed: no publisher could be asked")
    call, wire = ask.last_good(first, *(call for call, _ in chain))
    return wire.parsed(dict(chain)[call])
