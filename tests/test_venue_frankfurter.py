"""Won per dollar: its date, its second opinion, and who answers when it cannot."""

from datetime import UTC, datetime
from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows.spot import FxRate
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.frankfurter import (
    BLENDED,
    DAILY,
    LATEST,
    PARSERS,
    Frankfurter,
    parse_blended,
    parse_daily,
    parse_latest,
)

SOURCE = Frankfurter()
READ_AT = 1_789_412_345_678


def wire_of(doc: Any) -> Wire:
    """An answer of 2026-09-14."""
    return Wire(doc, fetched_at=READ_AT, read=0.0, size=0)


def told(call: Call, rate: float) -> Wire:
    """The sample of a source with another rate."""
    doc = sample("frankfurter", call).doc
    if call is BLENDED:
        return wire_of([{**doc[1], "rate": rate}])
    return wire_of({**doc, "rates": {"KRW": rate}})


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def knowing(**rates: float) -> Ask:
    """A question to sources whose answers are known: latest, blended, daily."""
    ask = asking("frankfurter")
    calls = {"latest": LATEST, "blended": BLENDED, "daily": DAILY}
    for name, rate in rates.items():
        call = calls[name]
        ask._upstream._known[call.key] = told(call, rate)  # type: ignore[attr-defined]
    return ask


class TestParsing:
    """Three shapes of one number."""

    def test_won_per_dollar(self) -> None:
        """1,507.06 of 2026-09-14, never its inverse."""
        expected = FxRate("USD", "KRW", 1507.06, "2026-09-14", READ_AT, "frankfurter")
        assert expected == parse_latest(sample("frankfurter", LATEST))

    def test_the_second_version_is_a_list(self) -> None:
        """The row of the dollar against itself is skipped."""
        rate = parse_blended(sample("frankfurter", BLENDED))
        assert (1507.3, "frankfurter") == (rate.rate, rate.source)
        row = {"date": "2026-09-14", "base": "USD", "quote": "KRW", "rate": 1507.3}
        assert rate == parse_blended(wire_of(row))

    def test_the_open_endpoint_tells_when_it_was_made(self) -> None:
        """00:02:31 of 2026-09-14."""
        rate = parse_daily(sample("frankfurter", DAILY))
        assert (1509.1, "2026-09-14", "er-api") == (rate.rate, rate.date, rate.source)

    def test_an_amount_is_divided_out(self) -> None:
        """150,706 won for 100 dollars."""
        doc = {"amount": 100, "base": "USD", "date": "2026-09-14", "rates": {"KRW": 150_706}}
        assert pytest.approx(1507.06) == parse_latest(wire_of(doc)).rate

    @pytest.mark.parametrize(
        "rate", [None, "", "n/a", 0, -1507, 1 / 1507, 800.0, 2500.0, 1e308, float("nan"), True]
    )
    def test_what_cannot_be_believed_is_refused(self, rate: Any) -> None:
        """An inverse, a slipped comma, nothing."""
        for call, parse in PARSERS.items():
            with pytest.raises(VenueChanged):
                parse(told(call, rate))

    @pytest.mark.parametrize("day", ["2026-09-16", "yesterday", None, "2026-13-01", ""])
    def test_the_date_must_be_one_that_has_come(self, day: Any) -> None:
        """That of tomorrow may be out; one of later is a fault."""
        doc = {"base": "USD", "date": day, "rates": {"KRW": 1500}}
        with pytest.raises(VenueChanged):
            parse_latest(wire_of(doc))
        assert "2026-09-15" == parse_latest(wire_of({**doc, "date": "2026-09-15"})).date

    @pytest.mark.parametrize(
        "doc",
        [
            {"base": "USD", "date": "2026-09-14", "rates": {"CNY": 6.7}},
            {"base": "EUR", "date": "2026-09-14", "rates": {"KRW": 1650.0}},
            {"base": "USD", "rates": {"KRW": 1500.0}},
            {"base": "USD", "date": "2026-09-14", "rates": None},
            {"message": "not found"},
            [],
            None,
        ],
    )
    def test_a_currency_that_is_gone_is_a_change(self, doc: Any) -> None:
        """And a base that was not asked, and another shape."""
        with pytest.raises(VenueChanged):
            parse_latest(wire_of(doc))
        with pytest.raises(VenueChanged):
            parse_blended(wire_of(doc))

    def test_the_open_endpoint_refuses_inside_200(self) -> None:
        """Its result is not success."""
        docs: list[Any] = [{"result": "error", "error-type": "quota-reached"}, {}, []]
        for doc in docs:
            with pytest.raises(VenueChanged):
                parse_daily(wire_of(doc))

    def test_recorded(self) -> None:
        """2026-09-23: 1,365.35."""
        rate = parse_latest(recorded("frankfurter", LATEST))
        assert (1365.35, "2026-09-23") == (rate.rate, rate.date)


class TestAsking:
    """Who is asked, and who is believed."""

    @pytest.mark.anyio
    async def test_the_fixing_and_a_second_opinion(self) -> None:
        """1,507.06 and 1,509.1 agree: the fixing is told."""
        ask = asking("frankfurter")
        (rate,) = await SOURCE.fx_rate(ask)
        assert (1507.06, "frankfurter", []) == (rate.rate, rate.source, ask.shortfalls)
        assert [LATEST.url, DAILY.url] == asked(ask)

    def test_the_open_endpoint_is_asked_once_a_day(self) -> None:
        """Its terms; the fixing once an hour."""
        assert (86_400, 3_600) == (DAILY.fresh, LATEST.fresh)
        assert all(call.keep_on_disk and not call.keep for call in PARSERS)

    @pytest.mark.anyio
    @pytest.mark.parametrize("error", [VenueTimeout("timeout: no"), VenueHttp(503)])
    async def test_without_a_second_opinion_the_fixing_stands(self, error: VenueError) -> None:
        """And nothing is missing."""
        ask = asking("frankfurter", failing={"er-api": error})
        assert 1507.06 == (await SOURCE.fx_rate(ask))[0].rate
        assert [] == ask.shortfalls

    @pytest.mark.anyio
    async def test_the_second_version_answers_for_the_first(self) -> None:
        """The same publisher."""
        ask = asking("frankfurter", failing={"/v1/": VenueHttp(503)})
        (rate,) = await SOURCE.fx_rate(ask)
        assert (1507.3, "frankfurter") == (rate.rate, rate.source)

    @pytest.mark.anyio
    async def test_the_open_endpoint_answers_for_both(self) -> None:
        """And is named."""
        ask = asking("frankfurter", failing={"frankfurter": VenueHttp(503)})
        (rate,) = await SOURCE.fx_rate(ask)
        assert (1509.1, "er-api") == (rate.rate, rate.source)
        assert ["http 503; er-api answered instead"] == ask.shortfalls

    @pytest.mark.anyio
    async def test_then_the_last_good_copy(self) -> None:
        """Marked stale with its age; without one it fails."""
        failing: dict[str, VenueError] = {"https": VenueHttp(503)}
        with pytest.raises(VenueHttp):
            await SOURCE.fx_rate(asking("frankfurter", failing=failing))

        class Old(type(asking("frankfurter")._upstream)):  # type: ignore[misc]
            def peek(self, call: Call) -> Wire | None:
                return told(LATEST, 1490.0) if call.fresh > 1e9 and call.url == LATEST.url else None

        ask = asking("frankfurter", failing=failing)
        ask._upstream.__class__ = Old
        (rate,) = await SOURCE.fx_rate(ask)
        assert 1490.0 == rate.rate
        assert ask.stale is not None

    @pytest.mark.anyio
    async def test_a_small_difference_is_told(self) -> None:
        """3 %: the fixing stands, and someone should look."""
        ask = knowing(latest=1500.0, daily=1545.0)
        assert 1500.0 == (await SOURCE.fx_rate(ask))[0].rate
        assert ["changed: Frankfurter and er-api differ by 2.9 %"] == ask.shortfalls

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("blended", "expected"), [(1501.0, 1500.0), (1398.0, 1400.0), (1450.0, None)]
    )
    async def test_a_third_source_decides(self, blended: float, expected: float | None) -> None:
        """1,500 against 1,400: who agrees with it is believed; nobody, and there is no rate."""
        ask = knowing(latest=1500.0, daily=1400.0, blended=blended)
        if expected is None:
            with pytest.raises(VenueChanged):
                await SOURCE.fx_rate(ask)
        else:
            assert expected == (await SOURCE.fx_rate(ask))[0].rate
            assert 1 == len(ask.shortfalls)

    @pytest.mark.anyio
    async def test_other_pairs_are_not_asked(self) -> None:
        """Won per dollar is all there is."""
        ask = asking("frankfurter")
        ask.options = {"pair": "KRWUSD"}
        with pytest.raises(VenueRejected):
            await SOURCE.fx_rate(ask)

    @pytest.mark.anyio
    async def test_replay_answers_what_was_recorded(self) -> None:
        """2026-09-23, and no second opinion."""
        (rate,) = await SOURCE.fx_rate(asking("frankfurter", real=True))
        assert 1365.35 == rate.rate
        at = round(datetime(2026, 9, 23, tzinfo=UTC).timestamp() * 1000)
        assert at == rate.fetched_at


class TestRefusals:
    """Codes of the body."""

    def test_a_currency_that_is_gone(self) -> None:
        """404 and 422 with a message."""
        for status, body in ((404, b'{"message":"not found"}'), (422, b'{"message":"bad"}')):
            assert isinstance(SOURCE.refusal(status, body), VenueRejected)
        assert SOURCE.refusal(404, b"<html>") is None
        assert SOURCE.refusal(200, b'{"amount":1.0}') is None
