"""Frankfurter: the euro reference rates as won per dollar; and who answers in its place.

https://frankfurter.dev

`date` is the day of the fixing, not of the asking: on weekends and holidays the last one stands.
The open endpoint of ExchangeRate-API (https://www.exchangerate-api.com, one update a day) is a
second opinion once a day, and answers where Frankfurter cannot.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import anyio

from mmflow_mcp.errors import VenueChanged, VenueError, VenueRejected
from mmflow_mcp.rows.spot import FxRate
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import member, positive

HOST = "api.frankfurter.dev"
DAILY_HOST = "open.er-api.com"
PAIR = "USDKRW"

# Won per dollar, never dollars per won.
_LEAST, _MOST = 800.0, 2500.0
# Sources that differ by more are told apart; by far more, one of them is wrong.
_DIFFER, _WRONG = 0.02, 0.05
# Seconds that a question waits for a second opinion; what comes later serves the next one.
_PATIENCE = 1.0

Parse = Callable[[Wire], FxRate]


def _rate(wire: Wire, value: Any, day: str, source: str) -> FxRate:
    """A rate that can be believed, of a day that has come. Raises `VenueChanged` otherwise."""
    try:
        rate, fixed_on = positive(value), date.fromisoformat(day)
    except (TypeError, ValueError):
        raise VenueChanged("changed: the rate or its date could not be read") from None
    if not _LEAST < rate < _MOST:
        raise VenueChanged(f"changed: {rate:g} won per dollar is beyond belief")
    read_on = datetime.fromtimestamp(wire.fetched_at / 1000, UTC).date()
    if fixed_on > read_on + timedelta(days=1):
        raise VenueChanged(f"changed: a rate of {day} before that day")
    return FxRate("USD", "KRW", rate, day, wire.fetched_at, source)


def parse_latest(wire: Wire) -> FxRate:
    """The newest fixing; `amount` is how many dollars the rate is for."""
    doc = wire.doc
    if member(doc, "base") != "USD":
        raise VenueChanged("changed: a rate of another currency came")
    won = member(doc, "rates", "KRW")
    dollars = doc.get("amount", 1.0)
    try:
        won = positive(won) / positive(dollars)
    except (TypeError, ValueError):
        won = None
    return _rate(wire, won, member(doc, "date"), "frankfurter")


def parse_blended(wire: Wire) -> FxRate:
    """The second version: a list of pairs, one of them the one that was asked for."""
    rows = wire.doc if isinstance(wire.doc, list) else [wire.doc]
    for row in rows:
        if isinstance(row, dict) and (row.get("base"), row.get("quote")) == ("USD", "KRW"):
            return _rate(wire, row.get("rate"), row.get("date", ""), "frankfurter")
    raise VenueChanged("changed: KRW is missing from the answer")


def parse_daily(wire: Wire) -> FxRate:
    """The open endpoint: rates against the dollar, and when they were made."""
    doc = wire.doc
    if member(doc, "result") != "success":
        raise VenueChanged(f"rejected: {str(doc.get('error-type'))[:40]}")
    if member(doc, "base_code") != "USD":
        raise VenueChanged("changed: a rate of another currency came")
    try:
        made = datetime.fromtimestamp(member(doc, "time_last_update_unix"), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise VenueChanged("changed: the time of the rate could not be read") from None
    return _rate(wire, member(doc, "rates", "KRW"), made.date().isoformat(), "er-api")


def _call(url: str, parse: Parse, label: str, fresh: float) -> Call:
    """One rate: reference data, whose age its date tells. A copy comes after the other sources."""
    call = get(
        url,
        fresh=fresh,
        label=label,
        reference=True,
        check=parse,
        keep_on_disk=True,
        patience=HOUR / 2,
    )
    return replace(call, keep=0.0)


LATEST = _call(f"https://{HOST}/v1/latest?base=USD&symbols=KRW", parse_latest, "latest", HOUR)
BLENDED = _call(f"https://{HOST}/v2/rates?base=USD&quotes=KRW", parse_blended, "rates", HOUR)
DAILY = _call(f"https://{DAILY_HOST}/v6/latest/USD", parse_daily, "er-api", DAY)
PARSERS: dict[Call, Parse] = {LATEST: parse_latest, BLENDED: parse_blended, DAILY: parse_daily}


class Frankfurter(Venue):
    """Won per dollar, once a day."""

    id = "frankfurter"
    name = "Frankfurter"
    kind = "data"
    hosts = (HOST, DAILY_HOST)
    # Frankfurter publishes no quota; ExchangeRate-API asks for no more than one call a day.
    meters = (Meter((HOST,), 30, 60), Meter((DAILY_HOST,), 3, HOUR))
    data_source = "Frankfurter (ECB reference rates); ExchangeRate-API as a second opinion"
    docs = "https://frankfurter.dev/docs"
    notes = (
        "A fixing of the last working day, about 14:00 UTC; no rate moves on weekends.",
        "Rates By Exchange Rate API (https://www.exchangerate-api.com) where that answers.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are a status with a message; a currency that is gone is 404."""
        if status in (404, 422) and b'"message"' in body[:200]:
            return VenueRejected("rejected: the source has no such rate")
        return None

    async def fx_rate(self, ask: Ask) -> list[FxRate]:
        """Won per dollar: two sources must agree, else a third decides; then the last good copy."""
        if ask.options.get("pair", PAIR) != PAIR:
            raise VenueRejected("rejected: won per dollar is all that is asked here")
        fixing, failed = await _first_of(ask, LATEST, BLENDED)
        daily = await _second_opinion(ask) if fixing else (await _first_of(ask, DAILY))[0]
        if fixing is not None:
            return [await _agreed(ask, fixing, daily)]
        if daily is not None and failed is not None:
            ask.short(f"{failed.reason}; er-api answered instead")
            return [daily]
        error = failed or VenueChanged("changed: no source could be asked")
        call, wire = ask.last_good(error, *PARSERS)
        return [wire.parsed(PARSERS[call])]


async def _first_of(ask: Ask, *calls: Call) -> tuple[FxRate | None, VenueError | None]:
    """The rate of the first source that has one, and why the first source has none."""
    failed: VenueError | None = None
    for call in calls:
        try:
            return (await ask.get(call)).parsed(PARSERS[call]), failed
        except VenueError as error:
            failed = failed or error
    return None, failed


async def _second_opinion(ask: Ask) -> FxRate | None:
    """The rate of the other source, where it does not keep the question waiting."""
    with anyio.move_on_after(_PATIENCE):
        return (await _first_of(ask, DAILY))[0]
    return None


async def _agreed(ask: Ask, fixing: FxRate, daily: FxRate | None) -> FxRate:
    """The fixing, unless two other sources say that it is wrong."""
    if daily is None or (apart := _apart(fixing, daily)) <= _DIFFER:
        return fixing
    said = f"changed: Frankfurter and er-api differ by {apart * 100:.1f} %"
    if apart > _WRONG:
        third, _ = await _first_of(ask, BLENDED)
        if third is None or min(_apart(third, fixing), _apart(third, daily)) > _DIFFER:
            raise VenueChanged(said)
        fixing = min((fixing, daily), key=lambda rate: _apart(third, rate))
    ask.short(said)
    return fixing


def _apart(one: FxRate, other: FxRate) -> float:
    return abs(one.rate / other.rate - 1)
