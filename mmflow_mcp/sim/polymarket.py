"""Polymarket as the simulated world would be told by it: the lists of Gamma.

Lists inside a market are JSON within text; `active` stays true for what has closed. The keyset
list takes `after_cursor`, ignores `cursor` and snake case, refuses `offset`; the list by offset
is deprecated and refuses to go deep.
"""

import base64
import binascii
import json
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.questions import Question, list_questions
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer, iso, shortest

HOSTS = ("gamma-api.polymarket.com",)
PAGE = 100
DEEPEST = 2000
_DEPRECATED = {"deprecation": "true", "sunset": "Fri, 01 May 2026 00:00:00 GMT"}

Row = dict[str, Any]


def routes(market: Market) -> Routes:
    """The list by keyset and the list by offset."""

    def show_keyset(request: SimRequest) -> SimResponse:
        if "offset" in request.query:
            return _refuse("offset is not supported, use after_cursor")
        rows = _select(market, request)
        cursor = request.query.get("after_cursor")
        if cursor:
            after = _read_cursor(cursor)
            if after is None:
                return _refuse("invalid after_cursor")
            # What comes behind the mark, wherever that stands by now.
            rows = [row for row in rows if _mark(row) > after]
        page = rows[: _size(request)]
        more = {"next_cursor": _write_cursor(page[-1])} if len(page) < len(rows) else {}
        return answer({"markets": page, **more})

    def show_old(request: SimRequest) -> SimResponse:
        offset = request.query.get("offset", "0")
        start = int(offset) if offset.isdecimal() else 0
        if start > DEEPEST:
            return _refuse("offset too large, use /markets/keyset for deeper pagination")
        rows = _select(market, request)
        return answer(rows[start : start + _size(request)], headers=_DEPRECATED)

    return {
        ("GET", HOSTS[0], "/markets/keyset"): show_keyset,
        ("GET", HOSTS[0], "/markets"): show_old,
    }


def not_found(_: SimRequest) -> SimResponse:
    """An unknown path."""
    return answer({"type": "not found error", "error": "not found"}, 404)


def condition_of(question: Question) -> str:
    """The condition id of a question."""
    return f"0x{blake2b(question.key.encode(), digest_size=32).hexdigest()}"


def _refuse(said: str) -> SimResponse:
    return answer({"type": "validation error", "error": said}, 422)


def _size(request: SimRequest) -> int:
    limit = request.query.get("limit", "20")
    return min(PAGE, int(limit)) if limit.isdecimal() else PAGE


@lru_cache(maxsize=4)
def _tell_all(market: Market, now_ms: int) -> list[Row]:
    every = list_questions(market, now_ms)
    return [_tell(number, question, now_ms) for number, question in enumerate(every, 600_001)]


def _select(market: Market, request: SimRequest) -> list[Row]:
    """By 24 h volume where that is asked; any other name of an order is ignored."""
    closed = request.query.get("closed")
    every = _tell_all(market, request.now_ms)
    rows = [row for row in every if closed is None or row["closed"] == (closed == "true")]
    if request.query.get("order") != "volume24hr" or request.query.get("ascending") != "false":
        return rows
    return sorted(rows, key=_mark)


def _mark(row: Row) -> tuple[float, int]:
    return -row["volume24hr"], int(row["id"])


def _write_cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(json.dumps(_mark(row)).encode()).decode()


def _read_cursor(text: str) -> tuple[float, int] | None:
    try:
        volume, number = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError, binascii.Error):
        return None
    return volume, number


def _tell(number: int, question: Question, now_ms: int) -> Row:
    condition = condition_of(question)
    slug = question.key.lower().replace("/", "-")
    closed = question.state == "closed"
    digits = str(int(condition, 16))
    row: Row = {
        "id": str(number),
        "question": question.title,
        "conditionId": condition,
        "slug": slug,
        "resolutionSource": "",
        "endDate": iso(question.closes_ms),
        "startDate": iso(now_ms - 20 * DAY_MS),
        "description": "This market resolves as its title says.",
        "outcomes": json.dumps(question.outcomes),
        "volume": shortest(question.volume_usd * 9),
        "volumeNum": question.volume_usd * 9,
        "liquidity": "5000",
        "liquidityNum": 5000,
        "active": True,
        "closed": closed,
        "archived": False,
        "acceptingOrders": not closed,
        "enableOrderBook": True,
        "groupItemTitle": "" if question.strike is None else f"{question.strike:,g}",
        "volume24hr": question.volume_usd,
        "clobTokenIds": json.dumps([digits[:76], digits[1:77]]),
        "negRisk": False,
        "umaResolutionStatuses": "[]",
        "orderPriceMinTickSize": 0.001,
        "events": [{"id": str(number + 90_000), "slug": slug, "title": question.title}],
    }
    return row | _tell_price(question)


def _tell_price(question: Question) -> Row:
    """Both prices as text, and the book of the first outcome.

    A bid that nobody makes is absent. Where nobody quotes at all, the prices are halves.
    """
    chance = question.probability
    if chance is None:
        halves = json.dumps(["0.5", "0.5"])
        return {"outcomePrices": halves, "bestAsk": 1, "bestBid": 0, "spread": 1}
    low, high = round(max(0.0, chance - 0.002), 3), round(min(1.0, chance + 0.002), 3)
    prices = [shortest(chance), shortest(round(1 - chance, 4))]
    return {
        "outcomePrices": json.dumps(prices),
        "bestAsk": high,
        "lastTradePrice": round(chance, 3),
        "spread": round(high - low, 3),
        **({"bestBid": low} if low > 0 else {}),
    }
