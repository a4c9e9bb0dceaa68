"""Farside: columns by name, parentheses negative, no session that is none, no zeros for a block."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from bending import Bent
from wires import recorded, sample

from mmflow_mcp.errors import VenueBlocked, VenueChanged, VenueError, VenueTimeout
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.etf_tables import Flows, read_cell, read_date
from mmflow_mcp.venues.farside import (
    MIRRORS,
    PAGES,
    TFTC,
    WEEKS,
    parse_bitcoin_page,
    parse_bitcoin_weeks,
    parse_ethereum_page,
    parse_tftc,
)

BITCOIN = sample("farside", PAGES["bitcoin"][0])
ETHEREUM = sample("farside", PAGES["ethereum"][0])
SHORT = sample("farside", WEEKS["bitcoin"][0])
LONG_PAGE, SHORT_PAGE = "/bitcoin-etf-flow-all-data/", "/btc/"


def again(wire: Wire, *changes: tuple[str, str], at: int | None = None) -> Wire:
    """A page with words replaced; every one must have been there."""
    page = wire.doc
    for old, new in changes:
        assert old in page
        page = page.replace(old, new)
    return Wire(page, fetched_at=at or wire.fetched_at, read=0.0, size=1)


def totals(flows: Flows) -> dict[str, float | None]:
    """Total by day, oldest first."""
    return {row.date_label: row.total for row in reversed(flows.table.rows)}


class TestCells:
    """What a cell says."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("162.6", 162.6),
            ("(1,113.7)", -1113.7),
            ("1,204.6", 1204.6),
            ("(27,416)", -27416.0),
            ("-3.5", -3.5),
            ("0.0", 0.0),
            ("358.1*", 358.1),
            ("\u00a0 12.5 \u00a0", 12.5),
            ("-", None),
            ("\u2013", None),
            ("\u2014", None),
            ("", None),
            ("N/A", None),
        ],
    )
    def test_numbers_zeros_and_nothing(self, text: str, expected: float | None) -> None:
        """Parentheses are negative; a dash is no reading and not zero."""
        assert expected == read_cell(text)

    @pytest.mark.parametrize(
        "text", ["(5.0", "5.0)", "(-5.0)", "1,2,3", "5.0 m", "1e3", "nan", "()"]
    )
    def test_anything_else_is_unreadable(self, text: str) -> None:
        """It raises; it never becomes a number."""
        with pytest.raises(ValueError, match="amount"):
            read_cell(text)

    def test_dates_are_english_whatever_the_locale(self) -> None:
        """16 May 2026 is that day; Mai is none."""
        assert (2026, 5, 16) == (
            (day := read_date("16 May 2026")).year,
            day.month,
            day.day,
        )
        with pytest.raises(ValueError, match="date"):
            read_date("16 Mai 2026")


class TestTheLongPage:
    """Every session: the only page that can be summed."""

    def test_values_are_bound_by_ticker(self) -> None:
        """16 January 2024: IBIT +212.7, FBTC +102.4, GBTC -594.4, together -279.3."""
        table = parse_bitcoin_page(BITCOIN).table
        row = next(r for r in table.rows if r.date_label == "16 Jan 2024")
        assert {"IBIT": 212.7, "FBTC": 102.4, "GBTC": -594.4} == row.values
        assert (-279.3, 1_705_363_200_000) == (row.total, row.date_ms)

    def test_a_new_fund_is_carried_through(self) -> None:
        """NEWB is nobody's list; it has a column and from the 17th a figure."""
        table = parse_bitcoin_page(BITCOIN).table
        assert ("IBIT", "FBTC", "GBTC", "NEWB") == table.tickers
        assert 3.5 == table.rows[1].values["NEWB"]

    def test_the_newest_row_waits_for_all_funds(self) -> None:
        """On the 18th IBIT and FBTC have not reported: the 17th is the latest, +282.3."""
        table = parse_bitcoin_page(BITCOIN).table
        assert (True, "18 Jan 2024") == (table.rows[0].partial, table.rows[0].date_label)
        assert table.latest is not None
        assert ("17 Jan 2024", 282.3) == (table.latest.date_label, table.latest.total)

    def test_the_sum_is_of_complete_sessions(self) -> None:
        """243.6 + 720.5 - 279.3 + 282.3 = 967.1; neither footer rows nor the open day are in it."""
        flows = parse_bitcoin_page(BITCOIN)
        assert (967.1, 0, ()) == (flows.table.cumulative_usdm, flows.bad, flows.notes)

    def test_a_holiday_of_dashes_is_no_session(self) -> None:
        """Monday the 15th was Martin Luther King Day; its row says 0.0."""
        assert "15 Jan 2024" not in totals(parse_bitcoin_page(BITCOIN))

    def test_rows_may_come_in_any_order(self) -> None:
        """The newest first gives the same table."""
        head, _, rest = BITCOIN.doc.partition("<tbody>\n<tr>\n")
        rows = rest.split("\n")
        turned = Wire(
            head + "<tbody>\n<tr>\n" + "\n".join([*reversed(rows[:6]), *rows[6:]]),
            fetched_at=BITCOIN.fetched_at,
            read=0.0,
            size=1,
        )
        assert parse_bitcoin_page(BITCOIN) == parse_bitcoin_page(turned)

    def test_columns_may_change_places(self) -> None:
        """Headers and cells of IBIT and FBTC swapped: the figures stay with their funds."""
        swapped = again(
            BITCOIN,
            ("&nbsp;&nbsp;IBIT", "@"),
            ("&nbsp;FBTC", "&nbsp;&nbsp;IBIT"),
            ("@", "&nbsp;FBTC"),
        )
        row = parse_bitcoin_page(swapped).table.rows[-1]
        assert {"FBTC": 111.7, "IBIT": 227.0, "GBTC": -95.1} == row.values

    def test_seed_and_fee_rows_are_no_sessions(self) -> None:
        """The ether page has both between the header, whose first cell is empty, and the days."""
        flows = parse_ethereum_page(ETHEREUM)
        assert {
            "17 Sep 2026": 99.7,
            "18 Sep 2026": -27.6,
            "21 Sep 2026": 50.5,
            "22 Sep 2026": 8.1,
        } == totals(flows)
        # The page does not reach back to the first session, so the footer's sum is the sum.
        assert 9501.0 == flows.table.cumulative_usdm

    def test_a_fund_that_never_reported_is_not_waited_for(self) -> None:
        """FETH has only dashes there; the newest day is complete."""
        latest = parse_ethereum_page(ETHEREUM).table.latest
        assert latest is not None
        assert "22 Sep 2026" == latest.date_label


class TestTheShortPage:
    """Weeks only, under logos, with a column of totals that has no name."""

    def test_the_nameless_last_column_is_the_total(self) -> None:
        """It is the sum of the others: 281.4 + 142.8 - 0.4 = 423.8."""
        flows = parse_bitcoin_weeks(SHORT)
        assert {"14 May 2026": 12.5, "15 May 2026": 423.8} == totals(flows)
        assert (46716.0, "farside:btc") == (flows.table.cumulative_usdm, flows.table.source)

    def test_a_nameless_column_that_is_no_sum_is_refused(self) -> None:
        """Then nobody knows what it is."""
        changed = again(SHORT, (">12.5<", ">77.0<"), (">423.8<", ">88.0<"))
        with pytest.raises(VenueChanged, match="sums"):
            parse_bitcoin_weeks(changed)

    def test_saturday_is_no_session(self) -> None:
        """The row of 16 May 2026 is a template; with figures it would be a doubtful one."""
        assert "16 May 2026" not in totals(parse_bitcoin_weeks(SHORT))
        head, found, rest = SHORT.doc.partition("16 May 2026")
        dash = '<span class="tabletext">-</span>'
        figures = rest.replace(dash, '<span class="tabletext">5.0</span>', 1)
        figures = figures.replace('<span class="tabletext">0.0</span>', "5.0", 1)
        strange = Wire(head + found + figures, fetched_at=SHORT.fetched_at, read=0.0, size=1)
        flows = parse_bitcoin_weeks(strange)
        assert "16 May 2026" not in totals(flows)
        assert ("changed: figures for days without a session",) == flows.notes

    def test_the_recording(self) -> None:
        """23 July 2026 is all dashes with Total 0.0; the 22nd is +69.1 (counted by hand)."""
        flows = parse_bitcoin_weeks(recorded("farside", WEEKS["bitcoin"][0]))
        table = flows.table
        assert (0, (), 12) == (flows.bad, flows.notes, len(table.tickers))
        newest, latest = table.rows[0], table.latest
        assert ("23 Jul 2026", True, None, {}) == (
            newest.date_label,
            newest.partial,
            newest.total,
            newest.values,
        )
        assert latest is not None
        assert ("22 Jul 2026", 69.1, -38.3) == (
            latest.date_label,
            latest.total,
            latest.values["GBTC"],
        )
        # The page's own footer.
        assert 51904.0 == table.cumulative_usdm
        for row in table.rows[1:]:
            assert pytest.approx(sum(row.values.values()), abs=0.05) == row.total


class TestBadPages:
    """A page is read right, or it is a failure with a name."""

    @pytest.mark.parametrize(
        "page",
        [
            "<html><body><h1>Welcome</h1></body></html>",
            '<html><table class="menu"><tr><td>Home</td></tr></table></html>',
            "",
        ],
    )
    def test_a_page_without_the_table_is_a_block(self, page: str) -> None:
        """Never an empty table."""
        with pytest.raises(VenueBlocked, match="blocked"):
            parse_bitcoin_page(Wire(page, fetched_at=1, read=0.0, size=1))

    def test_the_table_is_found_without_its_class(self) -> None:
        """The largest table that names the funds; the menu has IBIT alone."""
        assert parse_bitcoin_page(BITCOIN) == parse_bitcoin_page(
            again(BITCOIN, ('class="etf table"', 'class="x"'))
        )

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("</table>\n<script", "<script", "cut short"),
            ("&nbsp;FBTC", "FBTQ", "names the funds"),
            ("NEWB", "FBTC", "same fund"),
            (">12 Jan 2024<", ">11 Jan 2024<", "two different rows"),
        ],
    )
    def test_what_cannot_be_trusted_is_refused(self, old: str, new: str, says: str) -> None:
        """Cut short, without its funds, with one of them twice, a day twice."""
        with pytest.raises(VenueChanged, match=says):
            parse_bitcoin_page(again(BITCOIN, (old, new)))

    def test_an_empty_table_is_refused(self) -> None:
        """A header without a session is no answer."""
        head, _, rest = BITCOIN.doc.partition("<tbody>\n<tr>\n")
        empty = head + "<tbody>\n" + rest[rest.index("</tbody>") :]
        with pytest.raises(VenueChanged, match="0 rows"):
            parse_bitcoin_page(Wire(empty, fetched_at=1, read=0.0, size=1))

    def test_shifted_columns_are_refused(self) -> None:
        """A column without a header: the totals are no sums any more, and rows are too wide."""
        with pytest.raises(VenueChanged):
            parse_bitcoin_page(again(BITCOIN, ("GBTC</span>", "</span>")))

    @pytest.mark.parametrize("broken", ["n.m.", "1,20.4", "9e9", "999,999.0"])
    def test_a_row_that_cannot_be_read_is_counted_and_not_zero(self, broken: str) -> None:
        """Then the sum of the sessions is not known: the footer's, less the open day, stands."""
        flows = parse_bitcoin_page(again(BITCOIN, ("1,204.6</span></div></td><td><div", "@")))
        assert 1 == flows.bad
        flows = parse_bitcoin_page(again(BITCOIN, (">102.4<", f">{broken}<")))
        assert (1, "16 Jan 2024" in totals(flows)) == (flows.bad, False)
        assert 956.0 + 11.5 == flows.table.cumulative_usdm

    def test_days_that_cannot_be_are_unreadable(self) -> None:
        """Before the first session, and after the page was read."""
        for day in ("10 Jan 2024", "22 Jan 2024"):
            flows = parse_bitcoin_page(again(BITCOIN, (">12 Jan 2024<", f">{day}<")))
            assert (1, False) == (flows.bad, day in totals(flows))

    def test_a_sum_that_the_footer_denies_is_told(self) -> None:
        """A session is missing from the page: 967.1 - 243.6 is 723.5, the footer says 956."""
        row = next(line for line in BITCOIN.doc.split("\n") if "11 Jan 2024" in line)
        flows = parse_bitcoin_page(again(BITCOIN, (row, "")))
        assert 723.5 == flows.table.cumulative_usdm
        assert any("the sum of the sessions" in note for note in flows.notes)


class TestOtherPublishers:
    """The same figures from elsewhere."""

    def test_tftc_speaks_dollars(self) -> None:
        """-279,300,000 US$ are -279.3 million; a day without a net flow is open."""
        table = parse_tftc(sample("farside", TFTC[0])).table
        assert [None, -279.3, 720.5, 243.6] == [row.total for row in table.rows]
        assert [True, None, None, None] == [row.partial for row in table.rows]
        assert (684.8, "tftc:bitcoin-etf-flows") == (table.cumulative_usdm, table.source)
        assert "CC BY 4.0" in table.publisher

    def test_a_session_that_is_passed_over_is_told(self) -> None:
        """No footer denies the sum, so the calendar does: 684.8 - 720.5 without 12 January."""
        wire = sample("farside", TFTC[0])
        days = [day for day in wire.doc["days"] if day["date"] != "2024-01-12"]
        short = Wire({**wire.doc, "days": days}, fetched_at=wire.fetched_at, read=0.0, size=1)
        flows = parse_tftc(short)
        assert -35.7 == flows.table.cumulative_usdm
        assert ("missing: the session of 12 Jan 2024, so the sum is short",) == flows.notes

    def test_a_day_off_that_no_calendar_knew_is_no_session(self) -> None:
        """A day told without a figure, between days of figures, is not missing."""
        wire = sample("farside", TFTC[0])
        quiet: dict[str, Any] = {"netFlowUsd": None, "perEtfUsd": {}}
        days = [d | quiet if d["date"] == "2024-01-12" else d for d in wire.doc["days"]]
        doc = {**wire.doc, "days": days}
        flows = parse_tftc(Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=1))
        assert (-35.7, ()) == (flows.table.cumulative_usdm, flows.notes)

    @pytest.mark.parametrize("doc", [None, [], {}, {"days": None}, {"days": []}])
    def test_tftc_without_days_is_no_answer(self, doc: Any) -> None:
        """Not an empty table."""
        with pytest.raises(VenueChanged):
            parse_tftc(Wire(doc, fetched_at=1, read=0.0, size=1))

    @pytest.mark.parametrize("call,parse", [TFTC, MIRRORS["bitcoin"]])
    def test_one_that_has_stopped_is_no_stand_in(
        self, call: Call, parse: Callable[[Wire], Flows]
    ) -> None:
        """Or a file that was cut short: read in February it ends in January."""
        wire = sample("farside", call)
        late = Wire(wire.doc, fetched_at=1_706_800_000_000, read=0.0, size=1)
        with pytest.raises(VenueChanged, match=r"ends with 1[26] Jan 2024"):
            parse(late)

    def test_the_mirrors_are_the_same_table_as_text(self) -> None:
        """Quoted thousands and parentheses kept."""
        call, parse = MIRRORS["bitcoin"]
        assert {"11 Jan 2024": 243.6, "12 Jan 2024": 720.5} == totals(
            parse(sample("farside", call))
        )
        call, parse = MIRRORS["ethereum"]
        assert {"23 Jul 2024": -131.2} == totals(parse(sample("farside", call)))


def asking(
    asset: str = "bitcoin",
    *,
    failing: dict[str, VenueError] | None = None,
    bends: dict[str, Callable[[Any], Any]] | None = None,
) -> Ask:
    """A question to Farside over the samples."""
    ask = Bent("farside", bends=bends, failing=failing).ask()
    ask.options = {"asset": asset}
    return ask


def asked(ask: Ask) -> list[str]:
    """The hosts and paths that were asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.removeprefix("https://") for url in urls]


@pytest.mark.anyio
class TestTheOrderOfPublishers:
    """Farside, its short page, TFTC, the mirror, the last good copy."""

    async def test_one_request_when_all_is_well(self) -> None:
        """The long page, for either asset."""
        for asset, path in (("bitcoin", "bitcoin"), ("ethereum", "ethereum")):
            ask = asking(asset)
            (table,) = await roll()["farside"].etf_flows(ask)  # type: ignore[attr-defined]
            assert (asset, [], None) == (table.asset, ask.shortfalls, ask.stale)
            assert [f"farside.co.uk/{path}-etf-flow-all-data/"] == asked(ask)

    async def test_a_block_asks_tftc_and_names_it(self) -> None:
        """The short page lies behind the same proxy and is not tried."""
        ask = asking(failing={"farside.co.uk": VenueBlocked("blocked: http 403")})
        (table,) = await roll()["farside"].etf_flows(ask)  # type: ignore[attr-defined]
        assert "tftc:bitcoin-etf-flows" == table.source
        assert ["blocked: http 403; tftc:bitcoin-etf-flows answered instead"] == ask.shortfalls
        assert ["farside.co.uk" + LONG_PAGE, "www.tftc.io/bitcoin-etf-flows/data.json"] == asked(
            ask
        )

    async def test_ether_goes_to_the_mirror(self) -> None:
        """TFTC has bitcoin only."""
        ask = asking("ethereum", failing={"farside.co.uk": VenueTimeout("timeout: no answer")})
        (table,) = await roll()["farside"].etf_flows(ask)  # type: ignore[attr-defined]
        assert "github:haturatu/crypto-etf-flow" == table.source
        assert not any("tftc" in url for url in asked(ask))

    async def test_a_long_page_that_changed_leaves_the_short_one(self) -> None:
        """The host answers, so its other page is worth asking."""
        ask = asking(bends={LONG_PAGE: lambda page: page.replace("FBTC", "FBTQ")})
        (table,) = await roll()["farside"].etf_flows(ask)  # type: ignore[attr-defined]
        assert "farside:btc" == table.source
        assert 1 == len(ask.shortfalls)

    async def test_the_last_good_copy_comes_last_and_is_stale(self) -> None:
        """When nobody answers any more."""
        timeout: VenueError = VenueTimeout("timeout: no answer")
        down = dict.fromkeys(("farside", "tftc", "github"), timeout)
        answers = Bent("farside")
        await roll()["farside"].etf_flows(answers.ask())  # type: ignore[attr-defined]
        answers.fails = down
        kept = answers._known
        answers._known = {}
        ask = answers.ask()
        answers.peek = lambda call: kept.get(call.key) if call.fresh > 1e9 else None  # type: ignore[method-assign]
        (table,) = await roll()["farside"].etf_flows(ask)  # type: ignore[attr-defined]
        assert "farside:etf-flow-all-data" == table.source
        assert ask.stale is not None
        assert ask.stale[0].startswith("timeout: no answer (etf-flow-all-data: an older copy")

    async def test_without_a_copy_the_first_failure_is_the_answer(self) -> None:
        """What is wrong with Farside, not with the last of the others."""
        down: dict[str, VenueError] = {
            "farside.co.uk": VenueBlocked("blocked: http 403"),
            "tftc": VenueTimeout("timeout: no answer"),
            "github": VenueTimeout("timeout: no answer"),
        }
        with pytest.raises(VenueBlocked, match="403"):
            await roll()["farside"].etf_flows(asking(failing=down))  # type: ignore[attr-defined]


def test_calls_never_stand_in_for_themselves() -> None:
    """Their copies come after the other publishers."""
    calls = [call for call, _ in (*PAGES.values(), *WEEKS.values(), TFTC, *MIRRORS.values())]
    for call in calls:
        assert (0.0, True, 1800.0) == (call.keep, call.keep_on_disk, call.fresh)
        assert call.check is not None
        assert dataclasses.replace(call, keep=1.0).key == call.key
