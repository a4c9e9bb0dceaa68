"""CoinGecko: coins in the treasuries of public companies, and daily prices to check others with.

https://docs.coingecko.com/reference/companies-public-treasury

Asked without a key: 5 to 15 calls a minute, shared by everyone behind one address.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic_core

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import VenueError, VenueRateLimited
from mmflow_mcp.rows.onchain import TreasuryRow, TreasuryTable
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import HOUR, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.fields import (
    amount,
    each,
    member,
    number,
    number_or_none,
    positive_or_none,
)
from mmflow_mcp.venues.outsiders import text, text_or_none

HOST = "api.coingecko.com"
ROOT = f"https://{HOST}/api/v3"
# The list holds so many companies by default, the largest first.
PAGE = 250
# A daily point stands at midnight; half an hour around it still tells the day's last price.
_NEAR_MIDNIGHT_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Companies:
    """What one list says. Totals cover every company, also those beyond the page."""

    total_holdings: float
    total_value_usd: float | None
    market_cap_dominance: float | None
    rows: tuple[TreasuryRow, ...]
    bad: int
    cut: bool


def parse_companies(wire: Wire) -> Companies:
    """Holdings in coins, values in USD, shares in percent, as they are published."""
    listed = member(wire.doc, "companies")
    rows, bad = each(listed, _read_company)
    return Companies(
        total_holdings=amount(member(wire.doc, "total_holdings")),
        total_value_usd=positive_or_none(wire.doc.get("total_value_usd")),
        market_cap_dominance=number_or_none(wire.doc.get("market_cap_dominance")),
        rows=tuple(rows),
        bad=bad,
        cut=len(listed) >= PAGE,
    )


def _read_company(row: dict[str, Any]) -> TreasuryRow:
    return TreasuryRow(
        name=text(row["name"]),
        symbol=text_or_none(row.get("symbol"), 24),
        country=text_or_none(row.get("country"), 24),
        total_holdings=amount(row["total_holdings"]),
        # A cost of 0 is one that was not disclosed.
        total_entry_value_usd=positive_or_none(row.get("total_entry_value_usd")),
        total_current_value_usd=positive_or_none(row.get("total_current_value_usd")),
        percentage_of_total_supply=number_or_none(row.get("percentage_of_total_supply")),
    )


def parse_daily_closes(wire: Wire) -> dict[str, float]:
    """USD at the end of each UTC day, by YYYY-MM-DD."""
    closes: dict[str, tuple[float, float]] = {}
    for at, price in member(wire.doc, "prices"):
        moment, usd = number(at), number(price)
        away = (moment + DAY_MS / 2) % DAY_MS - DAY_MS / 2
        if abs(away) > _NEAR_MIDNIGHT_MS or usd <= 0:
            continue
        midnight = datetime.fromtimestamp((moment - away) / 1000, UTC)
        day = (midnight - timedelta(days=1)).date().isoformat()
        if day not in closes or abs(away) < closes[day][0]:
            closes[day] = (abs(away), usd)
    return {day: usd for day, (_, usd) in closes.items()}


TREASURIES = {
    asset: get(
        f"{ROOT}/companies/public_treasury/{asset}",
        fresh=HOUR / 2,
        label="public_treasury",
        check=parse_companies,
        keep_on_disk=True,
    )
    for asset in ("bitcoin", "ethereum")
}
DAILY_PRICES = get(
    f"{ROOT}/coins/bitcoin/market_chart",
    {"vs_currency": "usd", "days": 30, "interval": "daily"},
    fresh=6 * HOUR,
    label="market_chart",
    reference=True,
)


def refuse(status: int, body: bytes) -> VenueError | None:
    """A limit comes as a status, or as error_code 429 inside an answer."""
    if status == 429:
        return VenueRateLimited(429)
    if status == 200 and body[:40].lstrip().startswith(b'{"status"'):
        said = pydantic_core.from_json(body)["status"]
        return VenueRateLimited(429) if said["error_code"] == 429 else None
    return None


class CoinGecko(Venue):
    """The treasury lists of CoinGecko."""

    id = "coingecko"
    name = "CoinGecko"
    kind = "data"
    hosts = (HOST,)
    meters = (Meter((HOST,), 5, 60),)
    data_source = "CoinGecko public treasuries"
    docs = "https://docs.coingecko.com/reference/companies-public-treasury"

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Limits, in either of their forms."""
        return refuse(status, body)

    async def treasuries(self, ask: Ask) -> list[TreasuryTable]:
        """The companies that hold an asset, largest first, as published."""
        asset = str(ask.options.get("asset", "bitcoin"))
        wire = await ask.get(TREASURIES[asset])
        found = wire.parsed(parse_companies)
        ask.unread(found.bad)
        if found.cut:
            ask.narrowed = f"the {PAGE} largest; the totals cover all"
        return [
            TreasuryTable(
                asset=asset,
                total_holdings=found.total_holdings,
                total_value_usd=found.total_value_usd,
                market_cap_dominance=found.market_cap_dominance,
                companies=found.rows,
                fetched_at=wire.fetched_at,
            )
        ]
