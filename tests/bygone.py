"""For tests of the venues' own pasts: asks over our samples, tests/wire/<venue>-past.har."""

import json
from typing import Any

from wires import RECORDINGS, SAMPLES, Answers

from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask

HOUR, MINUTE = 3_600_000, 60_000
# 2026-09-14: the samples of rates begin at midnight, those of open interest at half past six.
MIDNIGHT, SIX_PM = 1_789_344_000_000, 1_789_408_800_000
HALF_PAST = SIX_PM + 30 * MINUTE
READ_AT = 1_789_412_345_678


def sampled(
    venue: str,
    coin: str,
    since_ms: int,
    until_ms: int = READ_AT,
    *,
    failing: dict[str, VenueError] | None = None,
) -> Ask:
    """An ask about a window over a venue's samples."""
    answers = Answers(SAMPLES / f"{venue}-past.har", failing)
    options = {"since_ms": since_ms, "until_ms": until_ms}
    return Ask(venue, answers, coins=(coin,), deadline=1e9, options=options)  # type: ignore[arg-type]


async def rates_of(ask: Ask) -> list[FundingPast]:
    """The settled rates that a venue gives."""
    rows: list[FundingPast] = await roll()[ask.venue].funding_history(ask)  # type: ignore[attr-defined]
    return rows


async def interest_of(ask: Ask) -> list[OpenInterestPast]:
    """The open interest that a venue gives."""
    rows: list[OpenInterestPast] = await roll()[ask.venue].open_interest_history(ask)  # type: ignore[attr-defined]
    return rows


def hours(past: FundingPast) -> list[tuple[int, float, float]]:
    """Rates as (hours after midnight, rate, period)."""
    return [((one.ts - MIDNIGHT) // HOUR, one.rate, one.period_hours) for one in past.rates]


def minutes(past: OpenInterestPast) -> list[tuple[int, float, float | None]]:
    """Points as (minutes after six, coins, USD)."""
    return [((one.ts - SIX_PM) // MINUTE, one.coins, one.usd) for one in past.points]


def recordings(venue: str, *parts: str) -> list[tuple[str, str, Any]]:
    """(address, body asked, document) of what was recorded of addresses with one of these parts.

    Empty where the recordings are not on this machine.
    """
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        return []
    entries = json.loads(path.read_text())["log"]["entries"]
    found = []
    for entry in entries:
        url, body = entry["request"]["url"], entry["request"].get("postData", {}).get("text", "")
        if any(part in url or part in body for part in parts):
            found.append((url, body, json.loads(entry["response"]["content"]["text"])))
    return found
