"""The plain types of `/points`: open interest, funding and spot prices, as rows."""

import math
from statistics import median

from mmflow_mcp.analytics.aggregates import weighted_mean
from mmflow_mcp.analytics.rates import rate8h
from mmflow_mcp.analytics.spreads import is_stale
from mmflow_mcp.core.parts import note
from mmflow_mcp.endpoints.point_rows import PointRow, Reading, by_market

USD, RATE = "USD", "RATE_8H"


def interest_rows(reading: Reading, *, folded: bool) -> list[PointRow]:
    """One-sided open interest in USD; folded, its total over exchanges."""
    if not folded:
        return [
            reading.one(row, round(row.oi_usd, 1), USD, partial=bool(row.not_counted) or None)
            for row in reading.each()
        ]
    found = []
    for coin in reading.coins:
        if rows := reading.of(coin):
            total = math.fsum(row.oi_usd for row in rows)
            parts = {row.venue: round(row.oi_usd, 1) for row in rows}
            short = any(row.not_counted for row in rows)
            found.append(reading.folded(rows, round(total, 1), USD, parts, partial=short))
    return found


def funding_rows(reading: Reading, *, folded: bool) -> list[PointRow]:
    """Funding per 8 hours; folded, the mean weighted by open interest (METHODS 1)."""
    kinds = {row.venue: row.kind for row in reading.rows if row.kind != "predicted"}
    reading.told["kinds"] = kinds
    if not folded:
        return [
            reading.one(
                row,
                rate8h(row.rate, row.period_hours),
                RATE,
                rate=row.rate,
                period_hours=row.period_hours,
            )
            for row in reading.each()
        ]
    found = []
    for coin in reading.coins:
        rows = reading.of(coin)
        rates = {row.venue: rate8h(row.rate, row.period_hours) for row in rows}
        # An open interest that is short by a contract weighs too little.
        weights = {
            row.venue: row.oi_usd
            for row in reading.weights
            if row.coin == coin and not row.not_counted
        }
        if mean := weighted_mean(rates, weights):
            how = "oi" if mean[1] else "equal"
            found.append(reading.folded(rows, mean[0], RATE, rates, weights=how))
    return found


def spot_rows(reading: Reading, *, folded: bool) -> list[PointRow]:
    """Spot prices; folded, the median of the fresh ones in dollars (METHODS 7, 12)."""
    reading.told["quotes"] = by_market(reading.each(), "quote")
    pinned = reading.core.pinned_now
    found = []
    for coin in reading.coins:
        rows = reading.of(coin)
        last = max((row.fetched_at for row in rows), default=0)
        old = [row for row in rows if is_stale(row, last if pinned is None else pinned)]
        for row in old:
            reason = f"stale: its price of {coin} is not of the same moment"
            note(reading.whole, row.venue, "stale", reason)
        if not folded:
            found += [reading.one(r, r.price, r.quote, stale=r in old or None) for r in rows]
        elif fresh := [row for row in reading.dollars(coin) if row not in old]:
            parts = {row.venue: row.price for row in fresh}
            found.append(reading.folded(fresh, median(parts.values()), USD, parts))
    return found
