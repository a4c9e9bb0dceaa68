"""Kalshi as the simulated world would be told by it: the list of markets.

Prices are dollars in text, volumes contracts in text. What is asked as `open` is called active in
the rows. A cursor goes with its filters and is an empty text at the end. Combinations of several
markets flood the list unless they are left out.
"""

import base64
import binascii
import json
from functools import lru_cache
from hashlib import blake2b
from math import ceil, floor
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.questions import NAMES, Question, list_questions
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer, fixed, iso

HOSTS = ("api.elections.kalshi.com", "external-api.kalshi.com")
_PATH = "/trade-api/v2/markets"
_FILTERS = ("status", "series_ticker", "event_ticker", "tickers", "mve_filter")
_STATES = {"open": "active", "closed": "closed", "settled": "finalized", "unopened": "initialized"}
COMBINATIONS = 150
"""Markets on several others at once; they stand first in the list."""

Row = dict[str, Any]


def routes(market: Market) -> Routes:
    """The list of markets, one market, and the state of the exchange."""

    def show_markets(request: SimRequest) -> SimResponse:
        limit = request.query.get("limit", "100")
        if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
            return _refuse("invalid_parameters", "limit must be between 1 and 1000", 400)
        status = request.query.get("status")
        if status and status not in _STATES:
            return _refuse("invalid_parameters", "unknown status", 400)
        start = _read_cursor(request)
        if start is None:
            return _refuse("invalid_cursor", "invalid cursor", 400)
        rows = [row for row in _tell_all(market, request.now_ms) if _fits(row, request)]
        end = start + int(limit)
        cursor = _write_cursor(request, end) if end < len(rows) else ""
        return answer({"cursor": cursor, "markets": rows[start:end]})

    def show_market(request: SimRequest) -> SimResponse:
        name = request.path.rpartition("/")[2]
        for row in _tell_all(market, request.now_ms):
            if row["ticker"] == name:
                return answer({"market": row})
        return not_found(request)

    def show_status(_: SimRequest) -> SimResponse:
        return answer({"exchange_active": True, "trading_active": True})

    served: Routes = {}
    for host in HOSTS:
        served["GET", host, _PATH] = show_markets
        served["GET", host, f"{_PATH}/*"] = show_market
        served["GET", host, "/trade-api/v2/exchange/status"] = show_status
    return served


def not_found(_: SimRequest) -> SimResponse:
    """An unknown path or market."""
    return _refuse("not_found", "not found", 404)


def ticker_of(question: Question) -> str:
    """The ticker of a question: series, event and market."""
    if question.strike is None:
        name = "".join(c for c in question.key.upper() if c.isalnum())
        return f"KXASKED-26-{name}"
    day = question.key.split("/")[1]
    return f"KX{question.ticker}D-{day}08-T{question.strike:g}"


def _refuse(code: str, said: str, status: int) -> SimResponse:
    return answer({"error": {"code": code, "message": said, "service": "api"}}, status)


def _digest(request: SimRequest) -> str:
    asked = json.dumps([request.query.get(name, "") for name in _FILTERS])
    return blake2b(asked.encode(), digest_size=8).hexdigest()


def _write_cursor(request: SimRequest, end: int) -> str:
    return base64.urlsafe_b64encode(f"{_digest(request)}:{end}".encode()).decode().rstrip("=")


def _read_cursor(request: SimRequest) -> int | None:
    """Where the page begins; None for a cursor that does not go with these filters."""
    cursor = request.query.get("cursor", "")
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        return None
    digest, _, start = text.partition(":")
    return int(start) if digest == _digest(request) and start.isdecimal() else None


def _fits(row: Row, request: SimRequest) -> bool:
    query = request.query
    state, series = query.get("status"), query.get("series_ticker")
    event, tickers = query.get("event_ticker"), query.get("tickers")
    return (
        (not state or row["status"] == _STATES[state])
        and (not series or row["ticker"].partition("-")[0] == series)
        and (not event or row["event_ticker"] == event)
        and (not tickers or row["ticker"] in tickers.split(","))
        and (query.get("mve_filter") != "exclude" or "mve_collection_ticker" not in row)
    )


@lru_cache(maxsize=4)
def _tell_all(market: Market, now_ms: int) -> list[Row]:
    asked = [_tell(question) for question in list_questions(market, now_ms)]
    # Those on prices come last, so that a reader who takes the first page sees none.
    asked.sort(key=lambda row: "floor_strike" in row)
    return [*(_combine(number, now_ms) for number in range(COMBINATIONS)), *asked]


def _tell(question: Question) -> Row:
    ticker = ticker_of(question)
    state = "finalized" if question.state == "closed" else "active"
    row: Row = {
        "ticker": ticker,
        "event_ticker": ticker.rpartition("-")[0],
        "market_type": "binary",
        "title": question.title,
        "yes_sub_title": question.outcomes[0],
        "no_sub_title": question.outcomes[0],
        "open_time": iso(question.closes_ms - 480 * HOUR_MS),
        "close_time": iso(question.closes_ms),
        "expiration_time": iso(question.closes_ms + 168 * HOUR_MS),
        "status": state,
        "result": "yes" if state == "finalized" else "",
        "notional_value_dollars": "1.0000",
        "open_interest_fp": fixed(question.volume_usd, 2),
        "volume_24h_fp": fixed(question.volume_usd * 1.5, 2),
        "volume_fp": fixed(question.volume_usd * 9, 2),
        "can_close_early": True,
        "price_level_structure": "linear_cent",
        "rules_primary": "The market resolves as its title says.",
    }
    return row | _tell_price(question) | _tell_strike(question)


def _tell_strike(question: Question) -> Row:
    """A ladder repeats one title; the strike is in the subtitle."""
    if question.strike is None:
        return {}
    day = question.title.partition(" on ")[2].rstrip("?")
    return {
        "title": f"{NAMES[question.ticker]} price on {day}?",
        "yes_sub_title": f"${question.strike:,g} or above",
        "no_sub_title": f"${question.strike:,g} or above",
        "strike_type": "greater",
        "floor_strike": question.strike,
    }


def _tell_price(question: Question) -> Row:
    """Whole cents; an empty side is 0 or 1, a market without a trade has a last price of 0."""
    chance = question.probability
    low = 0.0 if chance is None else max(0, floor((chance - 0.005) * 100)) / 100
    high = 1.0 if chance is None else min(100, ceil((chance + 0.005) * 100)) / 100
    last = 0.0 if chance is None else min(0.99, max(0.01, round(chance, 2)))
    return {
        "yes_bid_dollars": fixed(low, 4),
        "yes_ask_dollars": fixed(high, 4),
        "no_bid_dollars": fixed(1 - high, 4),
        "no_ask_dollars": fixed(1 - low, 4),
        "last_price_dollars": fixed(last, 4),
        "previous_price_dollars": fixed(last, 4),
        "liquidity_dollars": "0.0000",
    }


def _combine(number: int, now_ms: int) -> Row:
    """A combination of several markets in one."""
    asked = Question(
        f"combo/{number}",
        f"yes Bitcoin above, yes rain, no match {number}",
        None,
        now_ms - now_ms % HOUR_MS + 9 * HOUR_MS,
        None,
        0.0,
    )
    return _tell(asked) | {
        "ticker": f"KXMVECROSS-S{number}",
        "event_ticker": "KXMVECROSS",
        "mve_collection_ticker": "KXMVECROSS-R",
    }
