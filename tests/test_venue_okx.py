"""OKX: what its answers mean, in numbers worked out by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from wires import SAMPLES, Answers, asking, recorded, sample

from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.okx import FUNDING, MARKS, OPEN_INTEREST, Okx, instruments
from mmflow_mcp.venues.okx_swaps import (
    guess_contract,
    parse_contracts,
    parse_funding,
    parse_markets,
    parse_open_interest,
)

OKX = Okx()
READ_AT = 1_789_412_345_678
Rows = dict[str, OpenInterestRow]


def open_rows(oi: Wire | None = None, listed: Wire | None = None, *marks: Wire) -> Rows:
    """The open interest of our samples, or of what is given in their place."""
    oi = oi or sample("okx", OPEN_INTEREST)
    listed = sample("okx", instruments("SWAP")) if listed is None else listed
    return parse_open_interest(oi, (), listed, marks)[0]


def funding_rows(funding: Wire | None = None, listed: Wire | None = None) -> dict[str, FundingRow]:
    """The funding of our samples, or of what is given in its place."""
    listed = sample("okx", instruments("SWAP")) if listed is None else listed
    return parse_funding(funding or sample("okx", FUNDING), (), listed)[0]


def wire(rows: list[dict[str, Any]]) -> Wire:
    """An answer that holds these rows."""
    return Wire({"code": "0", "msg": "", "data": rows}, fetched_at=READ_AT, read=0.0, size=1)


def changed(whole: Wire, symbol: str, **members: Any) -> Wire:
    """The same answer with members of one row replaced."""
    doc = copy.deepcopy(whole.doc)
    for row in doc["data"]:
        if row["instId"] == symbol:
            row.update(members)
    return Wire(doc, fetched_at=whole.fetched_at, read=0.0, size=1)


def refusing_bulk(tmp_path: Path, *coins: str) -> Ask:
    """An ask over our samples without the two bulk answers."""
    har = json.loads((SAMPLES / "okx.har").read_text())
    bulk = (OPEN_INTEREST.url, FUNDING.url)
    har["log"]["entries"] = [e for e in har["log"]["entries"] if e["request"]["url"] not in bulk]
    path = tmp_path / "okx.har"
    path.write_text(json.dumps(har))
    return Ask("okx", Answers(path), coins=coins or None, deadline=1e9)  # type: ignore[arg-type]


def asked_of(ask: Ask) -> list[str]:
    """What was requested, without host and prefix."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.rpartition("/")[2] for url in urls]


def test_linear_and_inverse_swaps_are_summed_in_usd_and_coins() -> None:
    """BTC is its USDT, USDC and inverse swap: oiUsd and oiCcy of each."""
    row = open_rows()["BTC"]
    # 2,146,320,021.55 + 38,881,600 + 499,918,600
    assert pytest.approx(2_685_120_221.55, rel=1e-12) == row.oi_usd
    # 27,600.2194 + 500 + 6,428.36
    assert pytest.approx(34_528.5794, rel=1e-12) == row.oi_coins
    assert row.oi_coins == row.oi_contracts
    assert ("BTC-USD-SWAP", "BTC-USDC-SWAP", "BTC-USDT-SWAP") == row.symbols
    assert (None, READ_AT) == (row.not_counted, row.fetched_at)


def test_an_inverse_swap_without_oi_usd_is_contracts_of_usd() -> None:
    """21,797,983 contracts of 10 USD beside 1,500,000,000.5 USD of the USDT swap."""
    assert 1_500_000_000.5 + 217_979_830 == open_rows()["ETH"].oi_usd


def test_a_linear_swap_without_oi_usd_takes_the_mark() -> None:
    """40,000 contracts x 1000 DOGE x 0.25 USD, as old as the older of the two answers.

    ADA has a ctMult of its own: 1000 contracts x 10 x 10 ADA x 0.5 USD.
    """
    rows = open_rows(None, None, sample("okx", MARKS))
    assert 50_000.0 == rows["ADA"].oi_usd
    row = rows["DOGE"]
    assert (10_000_000.0, 40_000_000.0) == (row.oi_usd, row.oi_coins)
    assert READ_AT - 2000 == row.fetched_at


def test_a_linear_swap_without_oi_usd_and_mark_makes_no_row() -> None:
    """DOGE cannot be priced without a mark, and is said to be silent rather than guessed."""
    parsed = parse_open_interest(
        sample("okx", OPEN_INTEREST), (), sample("okx", instruments("SWAP"))
    )
    assert "DOGE" not in parsed[0]
    assert ["DOGE-USDT-SWAP"] == parsed[1]["DOGE"]


def test_coins_come_from_the_size_when_oi_ccy_is_absent() -> None:
    """2,760,021.94 contracts x 0.01 BTC; an inverse swap without oiCcy leaves coins unknown."""
    oi = changed(sample("okx", OPEN_INTEREST), "BTC-USDT-SWAP", oiCcy="")
    assert pytest.approx(34_528.5794, rel=1e-12) == open_rows(oi)["BTC"].oi_coins
    oi = changed(sample("okx", OPEN_INTEREST), "ETH-USD-SWAP", oiCcy="")
    row = open_rows(oi)["ETH"]
    assert (None, 1_717_979_830.5) == (row.oi_coins, row.oi_usd)


def test_a_listed_swap_without_a_number_is_named_not_counted() -> None:
    """XRP's USDT swap came with empty strings: the sum is the inverse one and says so."""
    row = open_rows()["XRP"]
    assert (10_000_000.0, ("XRP-USDT-SWAP",)) == (row.oi_usd, row.not_counted)


@pytest.mark.parametrize("gone", ["BTC-USD-SWAP", "BTC-USDT-SWAP"])
def test_a_swap_that_list_and_answer_both_lack_is_missed(gone: str) -> None:
    """BTC's two largest swaps are known to be there, so a sum without one says so."""
    oi, listed = (
        wire([row for row in sample("okx", call).doc["data"] if row["instId"] != gone])
        for call in (OPEN_INTEREST, instruments("SWAP"))
    )
    assert (gone,) == open_rows(oi, listed)["BTC"].not_counted


def test_a_swap_that_a_day_old_list_does_not_name_is_said_to_be_missed() -> None:
    """It may be a coin's or a stock's: nothing is summed, and its name is told."""
    template = sample("okx", OPEN_INTEREST).doc["data"][0]
    oi = wire([template | {"instId": "NEW-USDT-SWAP"}, template | {"instId": "NEW-USD_UM-SWAP"}])
    rows, silent, _ = parse_open_interest(oi, (), sample("okx", instruments("SWAP")))
    assert ({}, ["NEW-USDT-SWAP"]) == (rows, silent["NEW"])


def test_stocks_metals_unopened_suspended_and_odd_swaps_are_no_coins() -> None:
    """BB is a stock here; MOG is not open, FTM suspended, SOL has an odd second swap.

    DOGE is a coin although its fee group is 2: `category` does not tell the kind. LUNA comes twice
    and counts once.
    """
    rows = open_rows(None, None, sample("okx", MARKS))
    assert {"ADA", "BTC", "DOGE", "ETH", "LUNA", "PEPE", "SOL", "XRP"} == set(rows)
    assert (("SOL-USDT-SWAP",), 500.0) == (rows["SOL"].symbols, rows["LUNA"].oi_usd)


@pytest.mark.parametrize("absurd", ["1e308", "-5", "NaN", "Infinity", "many", "2e12", None, True])
def test_an_absurd_open_interest_is_an_unread_row(absurd: Any) -> None:
    """It is counted as unread and named, never summed."""
    oi = changed(sample("okx", OPEN_INTEREST), "BTC-USDT-SWAP", oiUsd=absurd, oi=absurd)
    rows, silent, bad = parse_open_interest(oi, (), sample("okx", instruments("SWAP")))
    assert 2 == bad
    assert ["BTC-USDT-SWAP"] == silent["BTC"]
    # 38,881,600 + 499,918,600
    assert (538_800_200.0, ("BTC-USDT-SWAP",)) == (rows["BTC"].oi_usd, rows["BTC"].not_counted)


def test_the_usdt_swap_speaks_for_a_coin() -> None:
    """BTC has USDT, USDC and inverse swaps: 0.00005 for 8 h is 5.475 % a year."""
    row = funding_rows()["BTC"]
    assert ("BTC-USDT-SWAP", 0.00005, 8.0) == (row.symbol, row.rate, row.period_hours)
    assert pytest.approx(5.475, rel=1e-12) == row.apr
    assert ("predicted", None, READ_AT) == (row.kind, row.mark_price, row.fetched_at)
    # fundingTime; nextFundingTime is the settlement after that.
    assert 1_789_430_400_000 == row.next_funding_time


def test_the_period_is_the_swaps_own() -> None:
    """8, 4, 2 and 1 hours by symbol, from the two settlement times."""
    rows = funding_rows()
    periods = {coin: rows[coin].period_hours for coin in ("BTC", "ETH", "SOL", "PEPE")}
    assert {"BTC": 8.0, "ETH": 4.0, "SOL": 2.0, "PEPE": 1.0} == periods
    # -0.0005 x 8760 / 4 x 100
    assert pytest.approx(-109.5, rel=1e-12) == rows["ETH"].apr


def test_an_impossible_period_makes_no_row() -> None:
    """LUNA's times are equal and ADA's two days apart: both are named, neither is guessed."""
    rows, silent, bad = parse_funding(
        sample("okx", FUNDING), (), sample("okx", instruments("SWAP"))
    )
    assert not {"LUNA", "ADA"} & set(rows)
    assert {"LUNA", "ADA", "LTC", "XRP"} == set(silent)
    # LUNA, ADA, and the empty rate of XRP's USDT swap.
    assert 3 == bad


@pytest.mark.parametrize(
    "members",
    [
        {"fundingTime": ""},
        {"nextFundingTime": ""},
        {"nextFundingTime": "1789410000000"},
        {"nextFundingTime": "1789503600000"},
        {"fundingRate": ""},
        {"fundingRate": "0.9"},
        {"fundingRate": "NaN"},
        {"fundingRate": None},
    ],
)
def test_a_rate_or_period_that_cannot_be_known_makes_no_row(members: dict[str, Any]) -> None:
    """PEPE has one swap: without its rate or period there is no row."""
    rows = funding_rows(changed(sample("okx", FUNDING), "PEPE-USDT-SWAP", **members))
    assert "PEPE" not in rows


def test_the_inverse_swap_speaks_where_no_other_does() -> None:
    """XRP's USDT rate is empty: the inverse one answers under its own symbol, and it is said."""
    rows, silent, _ = parse_funding(sample("okx", FUNDING), (), sample("okx", instruments("SWAP")))
    assert ("XRP-USD-SWAP", 0.0002) == (rows["XRP"].symbol, rows["XRP"].rate)
    assert ["XRP-USDT-SWAP"] == silent["XRP"]


def test_funding_of_stocks_metals_and_futures_is_left_out() -> None:
    """BB, TSLA, XAU and the gold XPERP charge funding and are no coins."""
    assert {"BTC", "DOGE", "ETH", "PEPE", "SOL", "XRP"} == set(funding_rows())


def test_contracts_are_built_from_the_list() -> None:
    """Coin, quote, margin and size come from ctValCcy, settleCcy, ctType and ctVal x ctMult."""
    contracts, bad = parse_contracts(sample("okx", instruments("SWAP")))
    told = {
        name: (c.coin, c.multiplier, c.quote, c.margin, c.size)
        for name, c in contracts.items()
        if c.coin in ("BTC", "PEPE")
    }
    assert {
        "BTC-USD-SWAP": ("BTC", 1, "USD", "inverse", 100.0),
        "BTC-USDC-SWAP": ("BTC", 1, "USDC", "linear", 0.0001),
        "BTC-USDT-SWAP": ("BTC", 1, "USDT", "linear", 0.01),
        "PEPE-USDT-SWAP": ("PEPE", 1, "USDT", "linear", 10_000_000.0),
    } == told
    assert 0 == bad


def test_a_garbled_row_of_the_list_is_counted_as_unread() -> None:
    """An unknown ctType cannot be sized."""
    listed = changed(sample("okx", instruments("SWAP")), "BTC-USDT-SWAP", ctType="quanto")
    contracts, bad = parse_contracts(listed)
    assert (False, 1) == ("BTC-USDT-SWAP" in contracts, bad)


def test_a_symbol_alone_gives_known_coins_only() -> None:
    """While the list cannot be had: a strict shape, a coin of the table, no stock's ticker."""
    known = guess_contract("BTC-USD-SWAP")
    assert known is not None
    assert ("BTC", "inverse") == (known.coin, known.margin)
    for other in (
        "TSLA-USDT-SWAP",
        "BB-USDT-SWAP",
        "BTC-USDT-261225",
        "ETH-USD_UM-SWAP",
        "BTC-EUR-SWAP",
    ):
        assert guess_contract(other) is None


def test_markets_tell_coin_and_kind() -> None:
    """Live swaps, futures and spot pairs; what is no coin has none."""
    rows = [
        (row.symbol, row.coin, row.kind)
        for kind in ("SWAP", "FUTURES", "SPOT")
        for row in parse_markets(sample("okx", instruments(kind)))[0]
    ]
    assert ("PEPE-USDT-SWAP", "PEPE", "perp") in rows
    assert ("BTC-USD-SWAP", "BTC", "perp") in rows
    assert ("BB-USDT-SWAP", None, "perp") in rows
    assert ("BTC-USD-261225", "BTC", "future") in rows
    assert ("XAU-USD_UM_XPERP-310502", None, "future") in rows
    assert ("BTC-USDT", "BTC", "spot") in rows
    assert not {"FTM-USDT-SWAP", "MOG-USDT-SWAP", "OLD-USDT"} & {symbol for symbol, *_ in rows}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("50011", VenueRateLimited),
        ("50061", VenueRateLimited),
        ("50001", VenueHttp),
        ("50026", VenueHttp),
        ("50030", VenueBlocked),
        ("51000", VenueRejected),
        ("51001", VenueRejected),
    ],
)
def test_an_error_inside_http_200_is_an_error(code: str, kind: type[VenueError]) -> None:
    """Wherever `code` stands in the body, and in HTTP 400 too."""
    for body in (
        f'{{"code":"{code}","data":[],"msg":"text"}}',
        f'{{"data":[],"msg":"text", "code" : "{code}"}}',
    ):
        for status in (200, 400):
            error = OKX.refusal(status, body.encode())
            assert kind is type(error)
            assert error is not None
            assert code in error.reason
            # The venue counts in windows of two seconds.
            assert 2 == getattr(error, "retry_after", 2)


def test_data_and_plain_statuses_are_no_refusal() -> None:
    """429 and 5xx are judged by their status and headers."""
    assert OKX.refusal(200, b'{"code":"0","data":[{"instId":"BTC-USDT-SWAP"}]}') is None
    assert OKX.refusal(429, b'{"code":"50011","msg":"Too Many Requests"}') is None
    assert OKX.refusal(503, b'{"code":"50001","msg":"maintenance"}') is None
    assert OKX.refusal(200, b"<html>") is None


@pytest.mark.parametrize(
    "doc", [[], {}, {"code": "0"}, {"code": "0", "data": {}}, {"code": "1", "data": []}, "x", None]
)
def test_another_shape_is_a_change_of_the_venue(doc: Any) -> None:
    """No row is made up from it."""
    odd = Wire(doc, fetched_at=READ_AT, read=0.0, size=1)
    with pytest.raises(VenueChanged):
        open_rows(odd)
    with pytest.raises(VenueChanged):
        funding_rows(odd)


@pytest.mark.anyio
async def test_funding_and_open_interest_cost_three_requests_then_two() -> None:
    """The list of swaps is kept for a day; both snapshots are bulk."""
    answers = Answers(SAMPLES / "okx.har")

    def ask() -> Ask:
        coins = ("BTC", "ETH", "SOL")
        return Ask("okx", answers, coins=coins, deadline=1e9)  # type: ignore[arg-type]

    for rows in (await OKX.open_interest(ask()), await OKX.funding(ask())):
        assert ["BTC", "ETH", "SOL"] == [row.coin for row in rows]
    cold = {OPEN_INTEREST.url, FUNDING.url, instruments("SWAP").url}
    assert (cold, 3) == (set(answers.asked), len(answers.asked))
    del answers._known[OPEN_INTEREST.key], answers._known[FUNDING.key]
    await OKX.open_interest(ask())
    await OKX.funding(ask())
    assert [OPEN_INTEREST.url, FUNDING.url] == answers.asked[3:]


@pytest.mark.anyio
async def test_marks_are_asked_only_for_a_coin_that_needs_one() -> None:
    """DOGE lacks oiUsd, and without its mark it is named, not guessed."""
    ask = asking("okx", "DOGE")
    (row,) = await OKX.open_interest(ask)
    assert 10_000_000.0 == row.oi_usd
    assert "mark-price?instType=SWAP" in asked_of(ask)
    ask = asking("okx", "BTC", "XRP")
    await OKX.open_interest(ask)
    assert "mark-price?instType=SWAP" not in asked_of(ask)
    ask = asking("okx", "DOGE", "BTC", failing={"mark-price": VenueTimeout("timeout: slow")})
    assert ["BTC"] == [row.coin for row in await OKX.open_interest(ask)]
    assert {"DOGE"} == ask.unreadable
    assert "missing: no open interest of DOGE-USDT-SWAP" in ask.shortfalls


@pytest.mark.anyio
async def test_a_coin_that_is_listed_and_silent_is_not_called_unlisted() -> None:
    """LTC has a swap and no row of open interest or funding; ZZZ is not listed."""
    for method in (OKX.open_interest, OKX.funding):
        ask = asking("okx", "LTC", "ZZZ")
        assert [] == await method(ask)
        assert {"LTC"} == ask.unreadable
        assert any("LTC-USDT-SWAP" in reason for reason in ask.shortfalls)


@pytest.mark.anyio
async def test_bulk_that_is_refused_is_asked_swap_by_swap(tmp_path: Path) -> None:
    """The same rows come out, for the three coins asked only: six swaps of open interest."""
    coins = ("BTC", "ETH", "PEPE")
    ask = refusing_bulk(tmp_path, *coins)
    assert await OKX.funding(asking("okx", *coins)) == await OKX.funding(ask)
    assert 5 == len(asked_of(ask))
    assert [] == ask.shortfalls
    ask = refusing_bulk(tmp_path, *coins)
    assert await OKX.open_interest(asking("okx", *coins)) == await OKX.open_interest(ask)
    assert 8 == len(asked_of(ask))


@pytest.mark.anyio
async def test_bulk_that_is_refused_without_coins_is_an_error(tmp_path: Path) -> None:
    """A universe is not asked swap by swap."""
    with pytest.raises(Unrecorded):
        await OKX.funding(refusing_bulk(tmp_path))
    with pytest.raises(Unrecorded):
        await OKX.open_interest(refusing_bulk(tmp_path))


@pytest.mark.anyio
async def test_a_swap_that_also_refuses_is_named(tmp_path: Path) -> None:
    """SOL's rate is not among the single answers: BTC is answered, SOL is said to be short."""
    ask = refusing_bulk(tmp_path, "BTC", "SOL")
    assert ["BTC"] == [row.coin for row in await OKX.funding(ask)]
    assert {"SOL"} == ask.unreadable
    with pytest.raises(Unrecorded):
        await OKX.funding(refusing_bulk(tmp_path, "SOL"))


@pytest.mark.anyio
async def test_a_network_failure_is_no_reason_to_ask_again() -> None:
    """A time-out of the bulk answer is the venue's error."""
    ask = asking("okx", "BTC", failing={"instId=ANY": VenueTimeout("timeout: slow")})
    with pytest.raises(VenueTimeout):
        await OKX.funding(ask)
    assert not any("BTC-USDT" in url for url in asked_of(ask))


@pytest.mark.anyio
async def test_without_the_list_known_coins_are_answered() -> None:
    """Coins that a symbol alone tells; inverse swaps have documented sizes, TSLA may be a stock."""
    failing: dict[str, VenueError] = {"instruments": VenueTimeout("timeout: slow")}
    ask = asking("okx", "BTC", "ETH", "TSLA", failing=failing)
    rows = await OKX.open_interest(ask)
    assert ["BTC", "ETH"] == [row.coin for row in rows]
    # ETH: 1,500,000,000.5 and 21,797,983 contracts of 10 USD.
    assert pytest.approx([2_685_120_221.55, 1_717_979_830.5]) == [row.oi_usd for row in rows]
    assert (None, {"TSLA"}) == (rows[1].not_counted, ask.unreadable)
    # The empty strings of XRP and MOG.
    assert "changed: 2 rows could not be read" in ask.shortfalls
    rates = await OKX.funding(asking("okx", "BTC", "TSLA", failing=failing))
    assert [("BTC", 0.00005)] == [(row.coin, row.rate) for row in rates]


@pytest.mark.anyio
async def test_the_whole_universe_names_many_silent_swaps_by_number() -> None:
    """Two hundred symbols in a sentence help nobody."""
    path_rows = sample("okx", instruments("SWAP")).doc["data"]
    template = next(row for row in path_rows if row["instId"] == "SOL-USDT-SWAP")
    coins = [f"C{n}C" for n in range(9)]
    more = [template | {"instId": f"{c}-USDT-SWAP", "ctValCcy": c} for c in coins]
    ask = asking("okx")
    listed = wire([*path_rows, *more])
    ask._upstream._known[instruments("SWAP").key] = listed  # type: ignore[attr-defined]
    await OKX.open_interest(ask)
    assert "missing: no open interest of 11 listed swaps" in ask.shortfalls
    assert {*coins, "LTC", "XRP"} == ask.unreadable


@pytest.mark.anyio
async def test_markets_are_three_lists() -> None:
    """A list that fails is told and shortens the answer; without any there is none."""
    ask = asking("okx", failing={"SPOT": VenueTimeout("timeout: slow")})
    rows = await OKX.markets(ask)
    assert {"perp", "future"} == {row.kind for row in rows}
    assert ["timeout: slow (instruments)"] == ask.shortfalls
    ask = asking("okx", failing={"SWAP": VenueTimeout("timeout: slow")})
    assert {"spot", "future"} == {row.kind for row in await OKX.markets(ask)}
    ask = asking("okx", failing={"instruments": VenueTimeout("timeout: slow")})
    with pytest.raises(VenueTimeout):
        await OKX.markets(ask)


@pytest.mark.anyio
async def test_recorded_open_interest_is_short_by_the_swaps_it_lacks() -> None:
    """4,093,058 contracts of 100 USD; the excerpt lacks BTC-USDT-SWAP, which was listed."""
    ask = asking("okx", "BTC", "ETH", real=True)
    btc, eth = await OKX.open_interest(ask)
    assert (409_305_800.0, 13_842.208499327007) == (btc.oi_usd, btc.oi_coins)
    assert (("BTC-USD-SWAP",), ("BTC-USDT-SWAP",)) == (btc.symbols, btc.not_counted)
    # 21,797,983 contracts of 10 USD
    assert 217_979_830.0 == eth.oi_usd
    assert {"BTC", "ETH"} == ask.unreadable
    assert not any("mark-price" in url for url in asked_of(ask))


@pytest.mark.anyio
async def test_recorded_funding_is_found_swap_by_swap() -> None:
    """No bulk answer was recorded; the single one of BTC is read (1703088000000 + 8 h)."""
    ask = asking("okx", "BTC", real=True)
    (row,) = await OKX.funding(ask)
    assert (0.000079238688534, 8.0) == (row.rate, row.period_hours)
    assert (1_703_088_000_000, 1_703_070_685_309) == (row.next_funding_time, row.fetched_at)
    assert [] == ask.shortfalls


def test_recorded_list_of_swaps_is_read_whole() -> None:
    """166 swaps of May 2022, every one with a size and none of a category."""
    listed = recorded("okx", instruments("SWAP"))
    contracts, bad = parse_contracts(listed)
    assert (166, 0) == (len(contracts), bad)
    assert (100.0, 0.01, 1_000_000.0) == tuple(
        contracts[name].size for name in ("BTC-USD-SWAP", "BTC-USDT-SWAP", "SHIB-USDT-SWAP")
    )
    raw = {row["instId"]: row for row in listed.doc["data"]}
    assert {name: float(raw[name]["ctVal"]) for name in contracts} == {
        name: contract.size for name, contract in contracts.items()
    }
