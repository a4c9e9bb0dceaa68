"""The simulated Farside, CoinGecko and bitcoin-data speak in the shapes of the real ones."""

import json
import re
from datetime import date, timedelta

import pytest
from sim_shapes import NOW, RECORDINGS, get, get_json, make_app

from mmflow_mcp.sim.farside import amount
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.onchain import funds, is_open, sessions, valuation
from mmflow_mcp.sim.roll import find_venue

APP = make_app()
ROW = re.compile(r"<tr[^>]*>(?:(?!<tr).)*?</tr>", re.DOTALL)
CELL = re.compile(r'<span class="tabletext">(.*?)</span>(?:</div>)?</t[dh]>')


def page(path: str) -> str:
    """A page of Farside."""
    found = get(APP, "farside.co.uk", path)
    assert (200, "text/html; charset=UTF-8") == (found.status, found.headers["content-type"])
    return found.body.decode()


def cells(text: str) -> list[list[str]]:
    """The texts of the cells of each row that has some."""
    return [row for row in (CELL.findall(one) for one in ROW.findall(text)) if row]


def test_the_short_page_is_built_like_the_recorded_one() -> None:
    """Logos, tickers between empty edges, fees, days, and four footer rows."""
    path = RECORDINGS / "farside.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    real = json.loads(path.read_text("utf-8"))["log"]["entries"][0]["response"]["content"]["text"]
    ours, theirs = cells(page("/btc/")), cells(real)
    first = [[row[0] for row in table if not row[0][:2].isdigit()] for table in (ours, theirs)]
    assert first[0][-5:] == first[1][-5:]
    assert first[0][-5:] == ["Fee", "Total", "Average", "Maximum", "Minimum"]
    tickers = [next(row for row in table if "FBTC" in "".join(row)) for table in (ours, theirs)]
    assert [t.strip() for t in tickers[1]] == tickers[0]
    assert "<tbody>\n<tr>\n<tr>" in page("/btc/")


def test_the_long_pages_have_their_headers() -> None:
    """`Date` and padded tickers for bitcoin; an empty first cell, fees and seed for ether."""
    assert ["Date", "&nbsp;&nbsp;IBIT"] == cells(page("/bitcoin-etf-flow-all-data/"))[0][:2]
    ether = cells(page("/ethereum-etf-flow-all-data/"))
    assert ["", "ETHA"] == ether[0][:2]
    assert [["Fee", "0.25%"], ["Seed", "10.0"]] == [row[:2] for row in ether[1:3]]
    assert "23 Jul 2024" == ether[3][0]


def test_amounts_are_printed_as_the_page_does() -> None:
    """Parentheses, commas, a dash for nothing, no negative zero."""
    assert ["(1,113.7)", "1,204.6", "0.0", "-", "0.0", "61,096"] == [
        amount(-1113.7),
        amount(1204.6),
        amount(0.0),
        amount(None),
        amount(-0.04),
        amount(61096.2, 0),
    ]


def test_a_day_off_is_a_row_of_dashes() -> None:
    """Labor Day 2026: dashes and a Total of 0.0; a Saturday has no row."""
    rows = {row[0]: row[1:] for row in cells(page("/bitcoin-etf-flow-all-data/"))}
    assert [*["-"] * 12, "0.0"] == rows["07 Sep 2026"]
    assert "05 Sep 2026" not in rows


def test_a_new_fund_has_dashes_before_its_first_day() -> None:
    """MSBT began on 8 April 2026."""
    at = funds("bitcoin").index("MSBT") + 1
    rows = {row[0]: row for row in cells(page("/bitcoin-etf-flow-all-data/"))}
    assert "-" == rows["07 Apr 2026"][at]
    assert "-" != rows["08 Apr 2026"][at]


def test_history_does_not_change() -> None:
    """What was complete yesterday is the same a year later; another seed is another world."""
    market = Market(1)
    then = [row for row in sessions(market, "bitcoin", NOW) if row.complete]
    later = list(sessions(market, "bitcoin", NOW + 400 * 86_400_000))
    assert then == [row for row in later[: len(then) + 40] if row.complete][: len(then)]
    assert then != [row for row in sessions(Market(2), "bitcoin", NOW) if row.complete]


def test_sessions_grow_hour_by_hour() -> None:
    """No row before 02:20 UTC of the day after, all funds by 05:00."""
    day = date(2026, 9, 14)
    midnight = 1_789_344_000_000 + 86_400_000
    reported = []
    for minutes in (139, 140, 200, 300):
        last = list(sessions(Market(1), "bitcoin", midnight + minutes * 60_000))[-1]
        reported.append((last.day == day, len(last.values), last.complete))
    assert (False, True, True, True) == tuple(found for found, _, _ in reported)
    assert [0, 6, 12] == [count for _, count, _ in reported[1:]]
    assert [False, False, True] == [complete for _, _, complete in reported[1:]]


def test_tftc_and_the_mirror_tell_the_same() -> None:
    """US$ and text instead of millions and a page."""
    days = get_json(APP, "www.tftc.io", "/bitcoin-etf-flows/data.json")["days"]
    row = next(day for day in days if day["date"] == "2026-09-14")
    truth = next(r for r in sessions(Market(1), "bitcoin", NOW) if r.day == date(2026, 9, 14))
    assert round(truth.total * 1e6) == row["netFlowUsd"]
    assert {n: round(v * 1e6) for n, v in truth.values.items()} == row["perEtfUsd"]
    path = "/haturatu/crypto-etf-flow/main/etf_btc.csv"
    lines = get(APP, "raw.githubusercontent.com", path).body.decode().splitlines()
    assert ("Date,IBIT,", ",Total") == (lines[0][:10], lines[0][-6:])
    assert any(line.startswith("14 Sep 2026,") for line in lines)


def test_treasuries_have_the_recorded_members() -> None:
    """Names and types of the envelope and of a company; governments have their own key."""
    path = RECORDINGS / "coingecko.har"
    host, treasury = "api.coingecko.com", "/api/v3/companies/public_treasury/bitcoin"
    ours = get_json(APP, host, treasury)
    assert "governments" in get_json(APP, host, treasury.replace("companies", "governments"))
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads(path.read_text("utf-8"))["log"]["entries"]
    text = next(
        e["response"]["content"]["text"] for e in entries if "treasury" in e["request"]["url"]
    )
    real = json.loads(text)
    assert set(real) == set(ours)
    assert set(real["companies"][0]) == set(ours["companies"][0])


def test_unknown_paths_answer_in_their_own_words() -> None:
    """A page, an error object, another."""
    assert 404 == get(APP, "farside.co.uk", "/sol-none/").status
    found = get(APP, "api.coingecko.com", "/api/v3/companies/public_treasury/dogecoin")
    assert (404, b'{"error":"coin not found"}') == (found.status, found.body)
    assert 404 == get(APP, "bitcoin-data.com", "/v1/nonsense/last").status


def test_figures_are_of_the_day_before() -> None:
    """Some are text; the day's figures appear an hour after its end."""
    truth = valuation(Market(1), date(2026, 11, 23))
    said = get_json(APP, "bitcoin-data.com", "/v1/mvrv-zscore/last")
    assert {
        "d": "2026-11-23",
        "unixTs": 1_795_392_000,
        "mvrvZscore": str(truth.mvrv_z_score),
    } == said
    early = make_app(NOW - NOW % 86_400_000 + 600_000)
    assert "2026-11-22" == get_json(early, "bitcoin-data.com", "/v1/nupl/last")["d"]


def test_valuation_is_coherent_and_moves() -> None:
    """NUPL and MVRV-Z have one sign; over two years both signs occur."""
    days = [date(2024, 10, 1) + timedelta(days=30 * n) for n in range(24)]
    found = [valuation(Market(1), day) for day in days]
    assert all((v.nupl > 0) == (v.mvrv_z_score > 0) for v in found if abs(v.nupl) > 0.001)
    assert {True, False} == {v.nupl > 0 for v in found}
    assert all(0.2 < v.puell_multiple < 5 and 0 < v.reserve_risk < 0.08 for v in found)


def test_hosts_lead_to_their_files() -> None:
    """Also those whose names have nothing in common with them."""
    hosts = {
        "farside.co.uk": "farside",
        "www.tftc.io": "farside",
        "bitcoin-data.com": "bitcoin_data",
        "api.coingecko.com": "coingecko",
    }
    for host, name in hosts.items():
        module = find_venue(host)
        assert module is not None
        assert module.__name__.endswith(f".{name}")
    assert is_open(date(2026, 9, 14))
