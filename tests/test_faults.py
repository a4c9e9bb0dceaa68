"""Each injected fault on any one venue: the others' rows intact, the answer partial, in time."""

from typing import Any

import anyio
import pytest
from worlds import MARKET, ask, world

from mmflow_mcp.endpoints.answer import Answer
from mmflow_mcp.errors import AllVenuesFailed

pytestmark = pytest.mark.anyio

VENUES = MARKET.venues()
DEADLINE = 1.5
# What answers wrongly answers at once: only silence needs a short question, and a busy machine
# needs a long one for all that does not.
PATIENT = 6.0
# Nine worlds share one processor, and on a busy machine not all of it.
TOGETHER = 8.0
# Below the thirty seconds of a slow venue and far above every deadline here.
LONGEST = 25.0
SILENT = ("latency=30", "timeout")
# Fault -> the code that its reason begins with.
FATAL: dict[str, str | tuple[str, ...]] = {
    "latency=30": "timeout",
    "timeout": "timeout",
    "refused": "refused",
    # A firewall that pauses us for a minute (aster, lighter) or one that does not serve this place.
    "http=403": ("blocked", "geo", "http 403"),
    "http=418": "http 418",
    "http=429,retry_after=60": "http 429",
    "http=451": "geo",
    "http=500": "http 500",
    "http=503": "http 503",
    "html": "changed",
    "truncate": "changed",
}
COINS = ["BTC", "ETH"]


_WHOLE: dict[tuple[str, str], Answer[Any]] = {}


async def whole_answer(tool: str, venues: str) -> Answer[Any]:
    """The answer without a fault: the held time always gives the same, so it is asked once."""
    known = _WHOLE.get((tool, venues))
    if known is None:
        async with world() as app:
            known = _WHOLE[tool, venues] = await ask(app, tool, coins=COINS, venues=venues)
    return known


def rows_of(answer: Answer[object], but: str) -> list[object]:
    """The rows of all venues but one."""
    return [row for row in answer.data.rows if row.venue != but]  # type: ignore[attr-defined]


TOOLS = ("get_funding", "get_oi")


@pytest.mark.parametrize(
    "venue,fault,tool",
    [
        # Each fault meets each venue with one of the questions, and both questions everywhere.
        (venue, fault, TOOLS[(v + f) % 2])
        for v, venue in enumerate(VENUES)
        for f, fault in enumerate(fault for fault in FATAL if fault not in SILENT)
    ],
)
async def test_a_venue_that_fails_leaves_the_others_intact(
    venue: str, fault: str, tool: str
) -> None:
    """The failing venue is named with its reason, has no row, and nobody else notices."""
    await check_a_failing_venue(venue, fault, tool, PATIENT)


@pytest.mark.parametrize("fault,tool", [("latency=30", "get_funding"), ("timeout", "get_oi")])
async def test_a_silent_venue_leaves_the_others_intact(fault: str, tool: str) -> None:
    """Silence is waited for: by the worlds of all venues at once, each with another one silent."""
    await whole_answer(tool, "all")
    async with anyio.create_task_group() as tasks:
        for venue in VENUES:
            tasks.start_soon(check_a_failing_venue, venue, fault, tool, TOGETHER)


async def check_a_failing_venue(venue: str, fault: str, tool: str, seconds: float) -> None:
    """Fails, with the venue in its words, unless only that venue is missing and named."""
    whole = await whole_answer(tool, "all")
    async with world(f"{venue}:{fault}", deadline=seconds) as app:
        with anyio.fail_after(LONGEST):
            broken = await ask(app, tool, coins=COINS, venues="all")
    assert rows_of(whole, venue) == list(broken.data.rows), venue
    assert broken.meta["partial"] is True, venue
    notes = {note["source"]: note for note in broken.meta["sources"]}
    assert notes[venue]["status"] == "error"
    assert notes[venue]["reason"].startswith(FATAL[fault])
    assert {venue, "bitmex"} == set(notes)


@pytest.mark.parametrize("tool", ["get_funding", "get_oi"])
@pytest.mark.parametrize("fault", ["duplicate", "extra"])
@pytest.mark.parametrize("venue", VENUES)
async def test_harmless_noise_changes_nothing(venue: str, fault: str, tool: str) -> None:
    """Rows sent twice are counted once, and members nobody knows are ignored."""
    whole = await whole_answer(tool, venue)
    async with world(f"{venue}:{fault}") as app:
        noisy = await ask(app, tool, coins=COINS, venues=venue)
    assert list(whole.data.rows) == list(noisy.data.rows)
    assert whole.meta["sources"] == noisy.meta["sources"]


# The member of each venue's answer that carries the number, for both questions.
NUMBERS = {
    "hyperliquid": ("funding", "openInterest"),
    "binance": ("lastFundingRate", "openInterest"),
    "aster": ("lastFundingRate", "openInterest"),
    "bybit": ("fundingRate", "singleOpenInterestValue"),
    "okx": ("fundingRate", "oiUsd"),
    "lighter": ("rate", "open_interest"),
    "deribit": ("funding_8h", "open_interest"),
    "gateio": ("funding_rate", "position_size"),
    "kraken": ("fundingRate", "openInterest"),
}


@pytest.mark.parametrize("index,tool", [(0, "get_funding"), (1, "get_oi")])
@pytest.mark.parametrize("venue", VENUES)
async def test_an_absurd_number_is_never_answered(venue: str, index: int, tool: str) -> None:
    """NaN, text, negative or astronomic numbers: a true row or none, and then it is said."""
    whole = await whole_answer(tool, "all")
    truth = {(row.coin, row.venue): row for row in whole.data.rows}
    async with world(f"{venue}:absurd={NUMBERS[venue][index]}") as app:
        answer = await ask(app, tool, coins=COINS, venues="all")
    for row in answer.data.rows:
        expected = truth[row.coin, row.venue]
        if tool == "get_funding":
            assert expected.rate == row.rate
        elif not row.not_counted:
            assert pytest.approx(expected.oi_usd, rel=1e-6) == row.oi_usd
        else:
            assert row.oi_usd < expected.oi_usd
    answered = {(row.coin, row.venue) for row in answer.data.rows if not _short(row)}
    if answered != set(truth):
        assert answer.meta["partial"] is True
        assert any(note["source"] == venue for note in answer.meta["sources"])


def _short(row: object) -> bool:
    return bool(getattr(row, "not_counted", None))


# Where a venue's list of contracts stands apart from its quotes, the quotes lose rows: what is lost
# from both lists at once no one can know.
QUOTES = {
    "binance": ("/premiumIndex", "/premiumIndex"),
    "aster": ("/premiumIndex", "/premiumIndex"),
    "bybit": ("/tickers", "/tickers"),
    "okx": ("/funding-rate", "/open-interest"),
    "kraken": ("/tickers", "/tickers"),
}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("index,tool", [(0, "get_funding"), (1, "get_oi")])
@pytest.mark.parametrize("venue", VENUES)
async def test_dropped_rows_are_noticed(venue: str, index: int, tool: str, share: float) -> None:
    """A coin whose rows are missing is said to be missing, never answered as less in silence."""
    whole = await whole_answer(tool, venue)
    truth = {row.coin: figure(row) for row in whole.data.rows}
    part = QUOTES.get(venue, ("", ""))[index]
    async with world(f"{venue}{part}:drop={share}") as app:
        try:
            answer = await ask(app, tool, coins=COINS, venues=venue)
        except AllVenuesFailed as failure:
            assert venue in str(failure)  # noqa: PT017 - an error that says so is honest too
            return
    if truth != {row.coin: figure(row) for row in answer.data.rows}:
        assert answer.meta["partial"] is True
        assert [venue] == [note["source"] for note in answer.meta["sources"]]


def figure(row: object) -> tuple[str, float]:
    """What a row says: its contracts and its number."""
    if hasattr(row, "rate"):
        return row.symbol, row.rate  # type: ignore[attr-defined]
    return ",".join(row.symbols), row.oi_usd  # type: ignore[attr-defined]


@pytest.mark.parametrize("tool", ["get_funding", "get_oi"])
async def test_all_venues_failing_is_an_error_with_the_reasons(tool: str) -> None:
    """Nobody answered: an error that names every venue and why."""
    async with world("*:http=503") as app:
        with pytest.raises(AllVenuesFailed) as failure:
            await ask(app, tool, coins=COINS, venues="all")
    assert 502 == failure.value.status
    said = {note["source"]: note["reason"] for note in failure.value.sources}
    assert set(VENUES) <= set(said)
    assert all(said[venue].startswith("http 503") for venue in VENUES)
    assert failure.value.meta["source"].startswith("sim:")


async def test_a_slow_venue_is_reported_not_awaited() -> None:
    """The deadline bounds the question however long a venue takes."""
    async with world("okx:latency=30", deadline=0.8) as app:
        await ask(app, "get_funding", coins=COINS, venues="bybit")
        with anyio.fail_after(LONGEST):
            answer = await ask(app, "get_funding", coins=COINS, venues="all")
    reasons = {note["source"]: note["reason"] for note in answer.meta["sources"]}
    assert "timeout: no answer within 0.8 s" == reasons["okx"]


@pytest.mark.parametrize("tool", ["get_option_chain", "get_gex", "get_skew"])
@pytest.mark.parametrize("fault", FATAL)
async def test_options_have_one_source_and_say_when_it_fails(tool: str, fault: str) -> None:
    """Deribit failing is an error with the reason, never an empty surface."""
    async with world(f"deribit:{fault}", deadline=DEADLINE if fault in SILENT else PATIENT) as app:
        with pytest.raises(AllVenuesFailed) as failure:
            await ask(app, tool, underlying="BTC")
    assert failure.value.sources[0]["reason"].startswith(FATAL[fault])


@pytest.mark.parametrize("tool", ["get_funding", "get_oi"])
@pytest.mark.parametrize("venue", VENUES)
async def test_a_venue_that_lists_nothing_has_failed(venue: str, tool: str) -> None:
    """An empty list is a change of the venue, not a coin that nobody lists.

    A venue that can be asked for one contract at a time may answer the truth that way instead.
    """
    async with world() as app:
        whole = await ask(app, tool, coins=["BTC"], venues=venue)
    async with world(f"{venue}:drop=1") as app:
        answer = await ask(app, tool, coins=["BTC"], venues="all")
    mine = [row for row in answer.data.rows if row.venue == venue]
    said = {note["source"] for note in answer.meta["sources"]}
    assert venue not in answer.meta.get("notListed", {}).get("BTC", [])
    if [figure(row) for row in mine] != [figure(row) for row in whole.data.rows]:
        assert answer.meta["partial"] is True
        assert venue in said


@pytest.mark.parametrize("missing", ["mark_iv", "underlying_price"])
@pytest.mark.parametrize("tool", ["get_gex", "get_skew"])
async def test_a_surface_made_of_nothing_is_an_error(tool: str, missing: str) -> None:
    """Never a made-up zero: without volatility or forward there is no surface, and it says why."""
    async with world(f"deribit:missing={missing}") as app:
        with pytest.raises(AllVenuesFailed) as failure:
            await ask(app, tool, underlying="BTC")
    assert "changed: " in str(failure.value)


@pytest.mark.parametrize("missing", ["mark_iv", "underlying_price", "open_interest"])
async def test_a_chain_that_lacks_a_figure_says_so(missing: str) -> None:
    """The rows are answered with nulls, partial, and the reason counts them."""
    async with world(f"deribit:missing={missing}") as app:
        answer = await ask(app, "get_option_chain", underlying="BTC")
    assert answer.meta["partial"] is True
    assert any("options have no" in note["reason"] for note in answer.meta["sources"])
