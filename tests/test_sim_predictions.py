"""Simulated polymarket and kalshi: real shapes, cursors, limits; a pure function of time."""

import json
from typing import Any

import pytest
from sim_shapes import NOW, check_types, get, get_json, make_app, recorded

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.kalshi import COMBINATIONS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.questions import list_questions

GAMMA = "gamma-api.polymarket.com"
KEYSET = "/markets/keyset"
KALSHI = "api.elections.kalshi.com"
MARKETS = "/trade-api/v2/markets"
ORDER = {"closed": "false", "order": "volume24hr", "ascending": "false"}


@pytest.fixture(scope="module")
def app() -> SimApp:
    """A world whose time stands."""
    return make_app()


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """The markets' own names, in order."""
    return [row.get("conditionId") or row["ticker"] for row in rows]


class TestQuestions:
    """The truth behind both venues."""

    def test_it_is_a_function_of_time(self) -> None:
        """Two markets of one seed agree, of two seeds do not; keys stand for one question."""
        one, same, other = (list_questions(Market(seed), NOW) for seed in (1, 1, 2))
        assert one == same
        assert one != other
        assert len(one) == len({question.key for question in one})
        assert len(one) > 500

    def test_probabilities_follow_from_the_price(self) -> None:
        """Falling with the strike, above one half below the price, and the other way round."""
        market = Market(1)
        price = market.price("BTC", NOW)
        rungs = [q for q in list_questions(market, NOW) if q.ticker == "BTC"]
        for closes in {q.closes_ms for q in rungs}:
            assert closes > NOW
            ladder = sorted(
                (q for q in rungs if q.closes_ms == closes), key=lambda q: q.strike or 0
            )
            chances = [q.probability or 0.0 for q in ladder]
            assert sorted(chances, reverse=True) == chances
            for q in ladder:
                distance = (q.strike or 0) / price - 1
                if abs(distance) > 0.1:
                    assert (distance < 0) == ((q.probability or 0) > 0.5)

    def test_a_question_is_still_there_an_hour_later(self) -> None:
        """Its strike and its name hold while the price moves."""
        market = Market(1)
        before = {q.key: q for q in list_questions(market, NOW)}
        after = {q.key: q for q in list_questions(market, NOW + HOUR_MS)}
        assert set(before) == set(after)
        moved = [key for key in before if before[key].probability != after[key].probability]
        assert len(moved) > len(before) // 2


class TestPolymarket:
    """Gamma's lists."""

    def test_rows_have_the_real_shape(self, app: SimApp) -> None:
        """Every field that an adapter may read has the type that the venue sends."""
        (ours, *_) = get_json(app, GAMMA, KEYSET, **ORDER)["markets"]
        (real, *_) = recorded("polymarket", f"{GAMMA}/markets$")
        check_types({name: real[name] for name in real if name in ours}, ours)
        read = {"conditionId", "question", "outcomes", "outcomePrices", "volume24hr", "endDate"}
        assert read | {"closed", "active", "acceptingOrders", "bestBid", "bestAsk"} <= set(ours)

    def test_cursors_lead_through_the_list(self, app: SimApp) -> None:
        """Up to 100 a page, each market once, no cursor on the last page."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = get_json(app, GAMMA, KEYSET, limit=500, **ORDER, **cursor)
            assert len(page["markets"]) <= 100
            rows += page["markets"]
            if "next_cursor" not in page:
                break
            cursor = {"after_cursor": page["next_cursor"]}
        assert len(rows) == len(set(ids(rows)))
        volumes = [row["volume24hr"] for row in rows]
        assert sorted(volumes, reverse=True) == volumes
        assert not any(row["closed"] for row in rows)

    def test_traps_of_its_parameters(self, app: SimApp) -> None:
        """`cursor` and snake case are ignored, `offset` and a broken cursor are refused."""
        page = get_json(app, GAMMA, KEYSET, limit=5, **ORDER)
        again = get_json(app, GAMMA, KEYSET, limit=5, **ORDER, cursor=page["next_cursor"])
        assert ids(page["markets"]) == ids(again["markets"])
        snake = get_json(app, GAMMA, KEYSET, limit=5, closed="false", order="volume_24hr")
        assert ids(page["markets"]) != ids(snake["markets"])
        for query in ({"offset": 5}, {"after_cursor": "?"}):
            found = get(app, GAMMA, KEYSET, **query)
            assert (422, "validation error") == (found.status, json.loads(found.body)["type"])

    def test_the_list_by_offset_is_deprecated(self, app: SimApp) -> None:
        """A bare array, a header that says so, no deeper than 2000."""
        found = get(app, GAMMA, "/markets", limit=3, offset=2, **ORDER)
        first = get_json(app, GAMMA, KEYSET, limit=5, **ORDER)["markets"]
        assert ids(first)[2:] == ids(json.loads(found.body))
        assert "true" == found.headers["deprecation"]
        assert 422 == get(app, GAMMA, "/markets", offset=2001).status

    def test_what_has_closed_says_that_it_is_active(self, app: SimApp) -> None:
        """Only `closed` and `acceptingOrders` tell."""
        (row,) = get_json(app, GAMMA, KEYSET, closed="true")["markets"]
        assert (True, True, False) == (row["active"], row["closed"], row["acceptingOrders"])


class TestKalshi:
    """The list of markets."""

    def test_rows_have_the_real_shape(self, app: SimApp) -> None:
        """Dollars and counts are text."""
        query = {"series_ticker": "KXBTCD", "status": "open"}
        (ours, *_) = get_json(app, KALSHI, MARKETS, **query)["markets"]
        (real, *_) = recorded("kalshi", "series_ticker=KXBTCD")["markets"]
        check_types({name: real[name] for name in real if name in ours}, ours)
        assert all(row in ours for row in ("last_price_dollars", "volume_24h_fp", "yes_sub_title"))
        found = get_json(app, KALSHI, f"{MARKETS}/{ours['ticker']}")["market"]
        assert ours == found

    def test_cursors_lead_through_the_list(self, app: SimApp) -> None:
        """Each market once; the last cursor is an empty text."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = get_json(app, KALSHI, MARKETS, limit=300, status="open", cursor=cursor)
            rows += page["markets"]
            cursor = page["cursor"]
            if not cursor:
                break
        assert len(rows) == len(set(ids(rows)))
        assert {"active"} == {row["status"] for row in rows}
        combined = [row for row in rows[:COMBINATIONS] if "mve_collection_ticker" in row]
        assert COMBINATIONS == len(combined)

    def test_combinations_can_be_left_out(self, app: SimApp) -> None:
        """They flood the list otherwise."""
        rows = get_json(app, KALSHI, MARKETS, limit=1000, mve_filter="exclude")["markets"]
        assert not any("mve_collection_ticker" in row for row in rows)
        assert {"active", "finalized"} == {row["status"] for row in rows}

    def test_errors(self, app: SimApp) -> None:
        """A cursor goes with its filters; limits and names are checked."""
        cursor = get_json(app, KALSHI, MARKETS, status="open")["cursor"]
        for query, code in (
            ({"cursor": cursor, "status": "closed"}, "invalid_cursor"),
            ({"cursor": "?"}, "invalid_cursor"),
            ({"limit": 1001}, "invalid_parameters"),
            ({"status": "active"}, "invalid_parameters"),
        ):
            found = get(app, KALSHI, MARKETS, **query)
            assert (400, code) == (found.status, json.loads(found.body)["error"]["code"])
        found = get(app, KALSHI, f"{MARKETS}/KXNONE")
        assert (404, "not_found") == (found.status, json.loads(found.body)["error"]["code"])
