"""Gate: what its lists of contracts mean, in numbers worked out by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from wires import RECORDINGS, SAMPLES, Answers, asking, recorded, sample

from mmflow_mcp.errors import (
    Unrecorded,
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
from mmflow_mcp.venues.gateio import DELIVERIES, PAIRS, Gateio, contracts
from mmflow_mcp.venues.gateio_contracts import (
    Books,
    parse_contracts,
    parse_funding,
    parse_open_interest,
    parse_pairs,
)

GATE = Gateio()
READ_AT = 1_789_412_345_678


def wire(doc: Any, read_at: int = READ_AT) -> Wire:
    """An answer that holds this document."""
    return Wire(doc, fetched_at=read_at, read=0.0, size=1)


def books(**lists: Any) -> Books:
    """The three lists of our samples, with those given in their place."""
    return tuple(
        (settle, wire(lists[settle]) if settle in lists else sample("gateio", contracts(settle)))
        for settle in ("usdt", "btc", "usd1")
    )


def changed(name: str, /, **members: Any) -> Books:
    """The three lists with members of one contract replaced, or left out with `...`."""
    lists = {settle: copy.deepcopy(book.doc) for settle, book in books()}
    for row in (row for rows in lists.values() for row in rows if row["name"] == name):
        row.update(members)
        for key in [key for key, value in members.items() if value is ...]:
            del row[key]
    return books(**lists)


def open_rows(given: Books | None = None) -> dict[str, OpenInterestRow]:
    """The open interest of these lists."""
    given = given or books()
    return parse_open_interest(given[0][1], given)[0]


def funding_rows(given: Books | None = None) -> dict[str, FundingRow]:
    """The funding of these lists."""
    given = given or books()
    return parse_funding(given[0][1], given)[0]


def over(tmp_path: Path, lists: dict[str, Any], *coins: str) -> Ask:
    """An ask over our samples with some answers replaced, or removed where the list is None.

    Answers are named by the end of their address.
    """
    har = json.loads((SAMPLES / "gateio.har").read_text())
    kept = []
    for entry in har["log"]["entries"]:
        url = entry["request"]["url"]
        end = next((end for end in lists if url.endswith(end)), None)
        if end is None or lists[end] is not None:
            kept.append(entry)
        if end is not None and lists[end] is not None:
            entry["response"]["content"]["text"] = json.dumps(lists.pop(end))
    for end in [end for end in lists if lists[end] is not None]:
        entry = copy.deepcopy(kept[0])
        entry["request"]["url"] = f"https://api.gateio.ws/api/v4/{end}"
        entry["response"]["content"]["text"] = json.dumps(lists[end])
        kept.append(entry)
    har["log"]["entries"] = kept
    # Files are read once, so every ask has its own.
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.har"
    path.write_text(json.dumps(har))
    return Ask("gateio", Answers(path), coins=coins or None, deadline=1e9)  # type: ignore[arg-type]


def asked_of(ask: Ask) -> list[str]:
    """What was requested, without host and prefix."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return [url.partition("/api/v4/")[2] for url in urls]


def test_direct_inverse_and_usd1_contracts_are_summed() -> None:
    """BTC: 320,443,501 and 1,000,000 contracts of 0.0001 BTC, and 9,233,634 of 1 USD."""
    row = open_rows()["BTC"]
    usd = 32_044.3501 * 77_748.1 + 100 * 77_760 + 9_233_634
    assert pytest.approx(usd, rel=1e-12) == row.oi_usd
    coins = 32_044.3501 + 100 + 9_233_634 / 77_750
    assert pytest.approx(coins, rel=1e-12) == row.oi_coins
    assert (0.0, ("BTC_USD", "BTC_USD1", "BTC_USDT")) == (row.oi_contracts, row.symbols)
    assert row.not_counted is None


def test_a_row_is_as_old_as_the_oldest_list_it_uses() -> None:
    """BTC takes the inverse list, read 3 s before; ETH only the one in USDT."""
    rows = open_rows()
    assert (READ_AT - 3000, READ_AT) == (rows["BTC"].fetched_at, rows["ETH"].fetched_at)


def test_the_multiplier_is_in_the_contract_not_in_the_name() -> None:
    """250,000 contracts of 10,000,000 PEPE at 0.00001 USD."""
    row = open_rows()["PEPE"]
    assert pytest.approx(25_000_000, rel=1e-12) == row.oi_usd
    assert 2_500_000_000_000.0 == row.oi_coins


def test_sizes_may_be_decimal_strings_and_duplicates_count_once() -> None:
    """SOL: "3000.5" contracts of 1 SOL at 200 USD. ETH, twice: 21,977,529 of 0.01 at 3000.5."""
    rows = open_rows()
    assert (600_100.0, 3000.5) == (rows["SOL"].oi_usd, rows["SOL"].oi_coins)
    assert pytest.approx(219_775.29 * 3000.5, rel=1e-12) == rows["ETH"].oi_usd


def test_stocks_metals_delisted_and_pre_market_contracts_are_no_coins() -> None:
    """MOVE is a stock here, FTM delisted, QNT not open, MKR gone, BABA unmarked as a stock."""
    coins = {"BTC", "ETH", "PEPE", "SOL", "LTC", "HYPE", "OOKI", "GRASS", "龙虾"}
    assert coins == set(open_rows())


def test_an_unmarked_row_is_a_coin_only_if_it_is_known_or_old() -> None:
    """Rows of 2023 lack the status too; rows of early 2026 list stocks that lack contract_type."""
    assert "OOKI" not in open_rows(changed("OOKI_USDT", status="trading"))
    assert "BABA" in open_rows(changed("BABA_USDT", contract_type=""))
    assert "ETH" in open_rows(changed("ETH_USDT", contract_type=...))


def test_a_listed_contract_without_a_size_is_said_to_be_silent() -> None:
    """XRP has no size at all: no row, and its name."""
    given = books()
    rows, silent, bad = parse_open_interest(given[0][1], given)
    assert ("XRP" in rows, ["XRP_USDT"], 1) == (False, silent["XRP"], bad)


@pytest.mark.parametrize(
    "members",
    [
        {"position_size": -5},
        {"position_size": "NaN"},
        {"position_size": ""},
        {"position_size": 1e308},
        {"position_size": True},
        {"mark_price": "0"},
        {"mark_price": "1e9"},
        {"mark_price": "Infinity"},
        {"mark_price": ...},
    ],
)
def test_an_absurd_number_is_not_summed(members: dict[str, Any]) -> None:
    """BTC is then its other two contracts, and the third is named."""
    row = open_rows(changed("BTC_USDT", **members))["BTC"]
    assert pytest.approx(7_776_000 + 9_233_634, rel=1e-12) == row.oi_usd
    assert ("BTC_USDT",) == row.not_counted


@pytest.mark.parametrize("quanto", ["0", "-1", "", "many", None])
def test_a_direct_contract_without_a_multiplier_cannot_be_read(quanto: Any) -> None:
    """Zero is the sign of an inverse contract in the BTC list only."""
    given = changed("PEPE_USDT", quanto_multiplier=quanto)
    rows, _, bad = parse_open_interest(given[0][1], given)
    assert ("PEPE" in rows, 2) == (False, bad)


def test_an_inverse_contract_without_a_mark_keeps_its_usd() -> None:
    """Its coins are unknown, so the coins of the sum are."""
    row = open_rows(changed("BTC_USD", mark_price=""))["BTC"]
    assert (None, True) == (row.oi_coins, row.oi_usd > 2.5e9)


def test_a_quanto_contract_is_not_taken_for_another() -> None:
    """ETH_USD settled in BTC takes a BTC price that no row has; SOL_USDT is of no such list."""
    rows = [*books()[1][1].doc, books()[1][1].doc[0] | {"name": "ETH_USD"}]
    rows[1] |= {"type": "direct", "quanto_multiplier": "0.000001"}
    rows.append(rows[0] | {"name": "SOL_USDT"})
    given = books(btc=rows)
    found, _, bad = parse_open_interest(given[0][1], given)
    assert (("ETH_USDT",), 600_100.0, 3) == (found["ETH"].symbols, found["SOL"].oi_usd, bad)


def test_a_side_list_that_cannot_be_read_does_not_take_the_rest_with_it() -> None:
    """The one inverse contract without its state's sense: the other lists are still summed."""
    given = changed("BTC_USD", name="", type="direct")
    rows, _, bad = parse_open_interest(given[0][1], given)
    assert (("BTC_USD1", "BTC_USDT"), 2) == (rows["BTC"].symbols, bad)


def test_the_usdt_contract_speaks_for_a_coin() -> None:
    """BTC: 0.00005 for 28,800 s, next at 1,789,430,400 s."""
    row = funding_rows()["BTC"]
    assert ("BTC_USDT", 0.00005, 8.0) == (row.symbol, row.rate, row.period_hours)
    assert pytest.approx(0.00005 * 1095 * 100, rel=1e-12) == row.apr
    assert (1_789_430_400_000, 77_748.1) == (row.next_funding_time, row.mark_price)
    assert ("predicted", READ_AT) == (row.kind, row.fetched_at)


def test_the_period_is_the_contracts_own_in_seconds() -> None:
    """8, 4, 2 and 1 hours by contract."""
    rows = funding_rows()
    periods = {coin: rows[coin].period_hours for coin in ("BTC", "ETH", "SOL", "PEPE")}
    assert {"BTC": 8.0, "ETH": 4.0, "SOL": 2.0, "PEPE": 1.0} == periods
    # -0.0005 x 8760 / 4 x 100
    assert pytest.approx(-109.5, rel=1e-12) == rows["ETH"].apr


def test_a_coin_without_a_usdt_contract_is_spoken_for_by_another() -> None:
    """HYPE trades in USD1 only; BTC without its USDT contract goes to USD1 before inverse."""
    assert "HYPE_USD1" == funding_rows()["HYPE"].symbol
    assert "BTC_USD1" == funding_rows(changed("BTC_USDT", in_delisting=True))["BTC"].symbol


def test_a_main_contract_that_cannot_be_read_is_named_beside_the_one_that_speaks() -> None:
    """BTC_USD1 answers under its own symbol, and BTC_USDT is said to be silent."""
    given = changed("BTC_USDT", funding_rate="")
    rows, silent, _ = parse_funding(given[0][1], given)
    assert ("BTC_USD1", ["BTC_USDT"]) == (rows["BTC"].symbol, silent["BTC"])


@pytest.mark.parametrize(
    "members",
    [
        {"funding_interval": 0},
        {"funding_interval": -3600},
        {"funding_interval": 90_000},
        {"funding_interval": ...},
        {"funding_rate": ""},
        {"funding_rate": "0.9"},
        {"funding_rate": "NaN"},
    ],
)
def test_a_rate_or_period_that_cannot_be_known_makes_no_row(members: dict[str, Any]) -> None:
    """PEPE has one contract: without its rate or period it is silent."""
    given = changed("PEPE_USDT", **members)
    rows, silent, bad = parse_funding(given[0][1], given)
    assert ("PEPE" in rows, ["PEPE_USDT"], 2) == (False, silent["PEPE"], bad)


def test_markets_tell_coin_and_kind() -> None:
    """Perpetuals, dated futures and spot pairs; what is no coin has none."""
    rows = [
        *parse_contracts(sample("gateio", contracts("usdt")), "perp", "usdt")[0],
        *parse_contracts(sample("gateio", contracts("btc")), "perp", "btc")[0],
        *parse_contracts(sample("gateio", DELIVERIES), "future", "usdt")[0],
        *parse_pairs(sample("gateio", PAIRS))[0],
    ]
    told = {(row.symbol, row.coin, row.kind) for row in rows}
    assert {
        ("BTC_USDT", "BTC", "perp"),
        ("龙虾_USDT", "龙虾", "perp"),
        ("MOVE_USDT", None, "perp"),
        ("BABA_USDT", None, "perp"),
        ("BTC_USD", "BTC", "perp"),
        ("BTC_USDT_20261225", "BTC", "future"),
        ("BTC_USDT", "BTC", "spot"),
        ("BTC3L_USDT", None, "spot"),
    } <= told
    names = {row.symbol for row in rows}
    assert not {"FTM_USDT", "QNT_USDT", "MKR_USDT", "OLD_USDT", "OLD_USDT_20260925"} & names


@pytest.mark.parametrize("doc", [{}, "text", None, 5, [{"name": ""}, {"name": ""}]])
def test_another_shape_is_a_change_of_the_venue(doc: Any) -> None:
    """No row is made up from it; the lists recorded on 2026-02-11 had no names at all."""
    given = (("usdt", wire(doc)),)
    if doc == {}:
        # One contract that cannot be read.
        assert 1 == parse_open_interest(given[0][1], given)[2]
        return
    with pytest.raises(VenueChanged):
        open_rows(given)
    with pytest.raises(VenueChanged):
        funding_rows(given)


@pytest.mark.parametrize(
    ("status", "label", "kind"),
    [
        (400, "CONTRACT_NOT_FOUND", VenueRejected),
        (400, "INVALID_PARAM_VALUE", VenueRejected),
        (400, "TOO_FAST", VenueRateLimited),
        (400, "TOO_BUSY", VenueHttp),
        (500, "SERVER_ERROR", VenueHttp),
        (503, "INTERNAL", VenueHttp),
    ],
)
def test_a_label_is_told_by_its_name(status: int, label: str, kind: type[VenueError]) -> None:
    """The label is in the reason, and what the venue's fault is can be tried again."""
    error = GATE.refusal(status, json.dumps({"label": label, "message": "text"}).encode())
    assert kind is type(error)
    assert error is not None
    assert label in error.reason
    assert (kind is not VenueRejected) == error.retryable
    # 429 and what has no label are judged by status and headers.
    assert GATE.refusal(429, b'{"label":"TOO_MANY_REQUESTS","message":"wait"}') is None
    assert GATE.refusal(502, b"<html>") is None
    assert GATE.refusal(200, b'[{"label":"CONTRACT_NOT_FOUND"}]') is None


@pytest.mark.anyio
async def test_open_interest_is_three_lists_at_once() -> None:
    """Nothing more is asked for coins that the lists name, stocks of a coin's ticker included."""
    ask = asking("gateio", "BTC", "ETH", "PEPE", "MOVE")
    rows = await GATE.open_interest(ask)
    assert ["BTC", "ETH", "PEPE"] == [row.coin for row in rows]
    assert [
        "futures/usdt/contracts",
        "futures/btc/contracts",
        "futures/usd1/contracts",
    ] == asked_of(ask)
    assert ["changed: 1 row could not be read"] == ask.shortfalls
    assert set() == ask.unreadable


@pytest.mark.anyio
async def test_funding_asks_the_other_lists_only_for_what_is_missing() -> None:
    """One request for BTC and ETH, three with HYPE (and one that finds no HYPE_USDT)."""
    ask = asking("gateio", "BTC", "ETH")
    assert ["BTC", "ETH"] == [row.coin for row in await GATE.funding(ask)]
    assert ["futures/usdt/contracts"] == asked_of(ask)
    refused: dict[str, VenueError] = {"HYPE_USDT": VenueRejected("rejected: CONTRACT_NOT_FOUND")}
    ask = asking("gateio", "BTC", "HYPE", failing=refused)
    rows = await GATE.funding(ask)
    assert ["BTC_USDT", "HYPE_USD1"] == [row.symbol for row in rows]
    assert 4 == len(asked_of(ask))
    assert set() == ask.unreadable


@pytest.mark.anyio
async def test_a_silent_contract_is_not_called_unlisted() -> None:
    """XRP has no size, LTC no period; both are listed. ZZZ is not."""
    ask = asking("gateio", "XRP", "ZZZ")
    assert ([], {"XRP"}) == (await GATE.open_interest(ask), ask.unreadable)
    assert "missing: no open interest of XRP_USDT" in ask.shortfalls
    ask = asking("gateio", "LTC", "ZZZ")
    assert ([], {"LTC"}) == (await GATE.funding(ask), ask.unreadable)
    assert "missing: no funding rate of LTC_USDT" in ask.shortfalls


@pytest.mark.anyio
async def test_side_lists_that_fail_shorten_the_answer() -> None:
    """BTC is then its USDT contract, and the venue is said to be short."""
    failing: dict[str, VenueError] = {
        "futures/btc": VenueTimeout("timeout: slow"),
        "futures/usd1": VenueRejected("http 404: the venue rejected the request"),
    }
    ask = asking("gateio", "BTC", failing=failing)
    (row,) = await GATE.open_interest(ask)
    assert (("BTC_USDT",), ("BTC_USD",)) == (row.symbols, row.not_counted)
    assert "timeout: slow (btc/contracts)" in ask.shortfalls


@pytest.mark.anyio
async def test_a_list_that_is_refused_is_asked_contract_by_contract(tmp_path: Path) -> None:
    """The same rows come out, read when their own contract was."""
    coins = ("BTC", "ETH", "PEPE")
    ask = over(tmp_path, {"usdt/contracts": None}, *coins)
    rows = await GATE.funding(ask)
    assert [0.00005, -0.0005, 0.0000125] == [row.rate for row in rows]
    assert [READ_AT + 500] * 3 == [row.fetched_at for row in rows]
    ask = over(tmp_path, {"usdt/contracts": None}, *coins)
    found = await GATE.open_interest(ask)
    known = await GATE.open_interest(asking("gateio", *coins))
    assert [row.symbols for row in known] == [row.symbols for row in found]
    assert [row.oi_usd for row in known] == pytest.approx([row.oi_usd for row in found])
    assert [row.oi_coins for row in known] == pytest.approx([row.oi_coins for row in found])
    with pytest.raises(Unrecorded):
        await GATE.open_interest(over(tmp_path, {"usdt/contracts": None}))
    with pytest.raises(Unrecorded):
        await GATE.funding(over(tmp_path, {"usdt/contracts": None}, "ZZZ"))


@pytest.mark.anyio
async def test_a_network_failure_is_no_reason_to_ask_again() -> None:
    """A time-out of the main list is the venue's error."""
    ask = asking("gateio", "BTC", failing={"usdt/contracts": VenueTimeout("timeout: slow")})
    with pytest.raises(VenueTimeout):
        await GATE.open_interest(ask)
    assert not any("BTC_USDT" in url for url in asked_of(ask))


@pytest.mark.anyio
async def test_a_list_that_lacks_a_known_coin_is_asked_for_it(tmp_path: Path) -> None:
    """Only BTC_USD would be a thousandth of it: BTC_USDT is asked for by name."""
    rows = [row for row in books()[0][1].doc if row["name"] != "BTC_USDT"]
    whole = open_rows()["BTC"].oi_usd
    for coins in (("BTC",), ()):
        ask = over(tmp_path, {"usdt/contracts": rows}, *coins)
        row = next(r for r in await GATE.open_interest(ask) if r.coin == "BTC")
        assert pytest.approx(whole, rel=1e-12) == row.oi_usd


@pytest.mark.anyio
async def test_a_known_contract_that_gives_no_answer_is_named(tmp_path: Path) -> None:
    """The sum without BTC_USDT says what it lacks."""
    rows = [row for row in books()[0][1].doc if row["name"] != "BTC_USDT"]
    ask = over(tmp_path, {"usdt/contracts": rows, "contracts/BTC_USDT": None}, "BTC")
    (row,) = await GATE.open_interest(ask)
    assert (("BTC_USDT",), {"BTC"}) == (row.not_counted, ask.unreadable)
    assert any(reason.endswith("(BTC_USDT)") for reason in ask.shortfalls)


@pytest.mark.anyio
async def test_a_list_of_exactly_a_hundred_goes_on(tmp_path: Path) -> None:
    """The documented page length: what follows is read until a page is shorter."""
    template = next(row for row in books()[0][1].doc if row["name"] == "SOL_USDT")
    pages = [template | {"name": f"C{n}X_USDT"} for n in range(230)]
    lists = {
        "futures/usdt/contracts": pages[:100],
        "futures/usdt/contracts?limit=100&offset=100": pages[100:200],
        "futures/usdt/contracts?limit=100&offset=200": pages[200:],
    }
    ask = over(tmp_path, dict(lists), "C5X", "C105X", "C229X")
    assert 3 == len(await GATE.open_interest(ask))
    assert [] == ask.shortfalls
    # A venue that does not know the offset sends the same rows again.
    lists["futures/usdt/contracts?limit=100&offset=100"] = pages[:100]
    ask = over(tmp_path, dict(lists), "C5X", "C105X")
    assert ["C5X"] == [row.coin for row in await GATE.funding(ask)]
    assert "futures/usdt/contracts?limit=100&offset=200" not in asked_of(ask)


@pytest.mark.anyio
async def test_the_universe_comes_from_all_lists_at_once() -> None:
    """Nine coins have open interest, and so many a rate, though not the same nine."""
    ask = asking("gateio")
    rows = await GATE.funding(ask)
    assert {"BTC", "ETH", "PEPE", "SOL", "XRP", "HYPE", "OOKI", "GRASS", "龙虾"} == {
        row.coin for row in rows
    }
    assert (True, ("BTC", "ETH")) == (ask.narrowed is not None, GATE.default_coins)


@pytest.mark.anyio
async def test_markets_are_five_lists_in_one_round() -> None:
    """Only the list in USDT is needed."""
    ask = asking("gateio", failing={"spot/": VenueTimeout("timeout: slow")})
    rows = await GATE.markets(ask)
    assert {"perp", "future"} == {row.kind for row in rows}
    assert 5 == len(asked_of(ask))
    assert 1 == sum(row.symbol == "ETH_USDT" for row in rows)


@pytest.mark.anyio
async def test_recorded_lists_and_the_single_contract_are_joined() -> None:
    """The recorded list lacks BTC_USDT; its own recording and BTC_USD make the sum."""
    ask = asking("gateio", "BTC", "ETH", real=True)
    btc, eth = await GATE.open_interest(ask)
    # 319,968,666 x 0.0001 x 78,081.6, and 9,233,634 contracts of 1 USD at 71,162.13
    assert pytest.approx(31_996.8666 * 78_081.6 + 9_233_634, rel=1e-12) == btc.oi_usd
    assert pytest.approx(31_996.8666 + 9_233_634 / 71_162.13, rel=1e-12) == btc.oi_coins
    # 21,977,529 x 0.01 x 1815.33
    assert pytest.approx(219_775.29 * 1815.33, rel=1e-12) == eth.oi_usd
    assert (("ETH_USDT",), 1_684_930_163_948) == (eth.symbols, eth.fetched_at)
    (row,) = await GATE.funding(asking("gateio", "BTC", real=True))
    assert ("BTC_USDT", 0.000037, 8.0) == (row.symbol, row.rate, row.period_hours)
    assert (1_788_998_400_000, 78_081.6) == (row.next_funding_time, row.mark_price)


def test_recorded_list_of_2023_is_read_whole() -> None:
    """196 contracts without status or contract_type, one of them delisted."""
    rows, bad = parse_contracts(recorded("gateio", contracts("usdt")), "perp", "usdt")
    assert (195, 0) == (len(rows), bad)
    assert all(row.coin for row in rows)


def test_recorded_stocks_of_2026_answer_for_no_coin() -> None:
    """BABA_USDT and JDON_USDT came beside coins, without a contract_type."""
    path = RECORDINGS / "gateio.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    (doc,) = (
        json.loads(entry["response"]["content"]["text"])
        for entry in json.loads(path.read_text())["log"]["entries"]
        if entry["request"]["url"].endswith("/futures/usdt/contracts")
        and entry["startedDateTime"].startswith("2026-03-27")
    )
    assert {"BABA_USDT", "JDON_USDT"} < {row["name"] for row in doc}
    given = (("usdt", wire(doc)),)
    rows = open_rows(given)
    assert {"ZEC", "GRASS", "ICX"} == set(rows)
    assert pytest.approx(12_441.02 * 247.89, rel=1e-12) == rows["ZEC"].oi_usd
    assert 4.0 == funding_rows(given)["GRASS"].period_hours
