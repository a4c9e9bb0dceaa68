"""Deribit's option chains: names, units, the index, and what is left out."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from wires import asking, recorded, sample

from mmflow_mcp.errors import VenueError, VenueTimeout
from mmflow_mcp.rows import OptionChain, OptionRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.deribit import Deribit, index_price, summary
from mmflow_mcp.venues.deribit_chain import parse_chain
from mmflow_mcp.venues.deribit_names import read_expiry, read_kind, read_option, read_perpetual

VENUE = Deribit()
# When the sample chains were read; the sample index prices one second before.
READ_AT = 1_789_412_345_678


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


def remade(wire: Wire, doc: Any) -> Wire:
    """The same answer with another document."""
    return Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=0)


def chain_of(
    underlying: str, index: Wire = NOTHING, change: dict[str, Any] | None = None
) -> OptionChain:
    """A sample chain; `change` is written over its first row."""
    currency = underlying if underlying in ("BTC", "ETH") else "USDC"
    wire = sample("deribit", summary(currency, "option"))
    doc = copy.deepcopy(wire.doc)
    doc["result"][0].update(change or {})
    return parse_chain(remade(wire, doc), underlying, index)


class TestChain:
    """One underlying's options."""

    def test_a_row_keeps_the_venues_units(self) -> None:
        """IV percent, premium in coins, open interest in coins and not times any contract size."""
        chain = chain_of("BTC")
        expected = OptionRow(
            instrument="BTC-25DEC26-100000-C",
            underlying="BTC",
            strike=100_000.0,
            expiry_ms=round(datetime(2026, 12, 25, 8, tzinfo=UTC).timestamp() * 1000),
            type="C",
            oi=8421.7,
            volume24h=112.4,
            mark_iv=47.35,
            mark_price=0.0312,
            underlying_price=81_000.5,
        )
        assert expected == chain.rows[0]

    def test_an_empty_volatility_is_none(self) -> None:
        """0 and null are empty fields; a premium of 0 and an open interest of 0 are measured."""
        rows = {row.instrument: row for row in chain_of("BTC").rows}
        assert [None, None] == [
            rows[name].mark_iv for name in ("BTC-5OCT26-70000-P", "BTC-5OCT26-90000-C")
        ]
        assert (0.0, 0.0) == (
            rows["BTC-5OCT26-70000-P"].mark_price,
            rows["BTC-5OCT26-70000-P"].oi,
        )

    def test_combinations_are_skipped_and_broken_names_counted(self) -> None:
        """BTC-CS-... is no loss; BTC-31FEB27-90000-C is one; a double counts once."""
        chain = chain_of("BTC")
        assert 1 == chain.dropped
        assert [
            "BTC-25DEC26-100000-C",
            "BTC-25DEC26-100000-P",
            "BTC-5OCT26-70000-P",
            "BTC-5OCT26-90000-C",
        ] == [row.instrument for row in chain.rows]

    def test_linear_chains_are_picked_by_prefix(self) -> None:
        """SOL and XRP live under USDC; BTC_USDC options are no part of the BTC chain."""
        sol, xrp = chain_of("SOL"), chain_of("XRP")
        assert [150.0, 6.5] == [row.strike for row in sol.rows]
        assert [("XRP_USDC-25DEC26-0d625-C", 0.625)] == [
            (row.instrument, row.strike) for row in xrp.rows
        ]
        # USDC per coin, and coins whatever the contract size (SOL 10, XRP 1000).
        assert (17.81, 15_230.0) == (sol.rows[0].mark_price, sol.rows[0].oi)
        assert all("_" not in row.instrument for row in chain_of("BTC").rows)

    def test_the_index_comes_from_the_chain(self) -> None:
        """estimated_delivery_price first, whatever the other answer says."""
        index = sample("deribit", index_price("BTC"))
        chain = chain_of("BTC", index)
        assert (79_990.1, READ_AT) == (chain.index_price, chain.fetched_at)

    def test_one_broken_index_does_not_move_it(self) -> None:
        """A single row with an absurd price is outvoted by the others."""
        assert 79_990.1 == chain_of("BTC", change={"estimated_delivery_price": 8e9}).index_price

    def test_the_index_is_asked_where_the_chain_lacks_it(self) -> None:
        """get_index_price fills in, and its age counts then."""
        index = sample("deribit", index_price("ETH"))
        chain = chain_of("ETH", index)
        assert (2499.5, READ_AT - 1000) == (chain.index_price, chain.fetched_at)
        assert chain_of("ETH").index_price is None
        broken = remade(index, {"result": {"index_price": "n/a"}})
        assert chain_of("ETH", broken).index_price is None
        assert chain_of("ETH", remade(index, {"result": []})).index_price is None

    @pytest.mark.parametrize(
        ("change", "dropped"),
        [
            ({"open_interest": -1.0}, 2),
            ({"mark_iv": "high"}, 2),
            ({"open_interest": float("inf")}, 2),
            ({"instrument_name": "BTC-25DEC26-100000-X"}, 2),
            ({"instrument_name": None}, 2),
            ({"extra": {"a": 1}}, 1),
        ],
    )
    def test_unreadable_rows_are_dropped_and_counted(
        self, change: dict[str, Any], dropped: int
    ) -> None:
        """The sample itself has one broken row; unknown fields harm nothing."""
        chain = chain_of("BTC", change=change)
        assert (dropped, 5 - dropped) == (chain.dropped, len(chain.rows))

    def test_absent_numbers_are_none(self) -> None:
        """What a row does not tell is unknown, not zero."""
        doc = {"result": [{"instrument_name": "BTC-25DEC26-100000-C"}]}
        chain = parse_chain(Wire(doc, fetched_at=1, read=0.0, size=0), "BTC", NOTHING)
        (row,) = chain.rows
        assert [None] * 5 == [
            row.oi,
            row.volume24h,
            row.mark_iv,
            row.mark_price,
            row.underlying_price,
        ]

    def test_no_options_is_an_empty_chain(self) -> None:
        """An empty list is an answer."""
        chain = parse_chain(Wire({"result": []}, fetched_at=1, read=0.0, size=0), "SOL", NOTHING)
        assert ((), None, 0) == (chain.rows, chain.index_price, chain.dropped)

    @pytest.mark.anyio
    async def test_chain_and_index_are_asked_in_one_round(self) -> None:
        """Two requests; an unreadable row is told."""
        ask = asking("deribit", "BTC")
        (chain,) = await VENUE.option_chain(ask)
        assert [summary("BTC", "option").url, index_price("BTC").url] == asked(ask)
        lonely = "missing: the call or put beside 2 options"
        assert ["changed: 1 row could not be read", lonely] == ask.shortfalls
        assert "BTC" == chain.underlying

    @pytest.mark.anyio
    async def test_a_failing_index_costs_nothing_where_the_chain_has_it(self) -> None:
        """SOL's chain carries the index; ETH's does not, and then it is said."""
        failing: dict[str, VenueError] = {"get_index_price": VenueTimeout("timeout: no answer")}
        ask = asking("deribit", "SOL", failing=failing)
        (chain,) = await VENUE.option_chain(ask)
        assert 149.9 == chain.index_price
        assert not any("index" in reason for reason in ask.shortfalls)
        ask = asking("deribit", "ETH", failing=failing)
        (chain,) = await VENUE.option_chain(ask)
        assert chain.index_price is None
        assert "timeout: no answer (get_index_price)" in ask.shortfalls

    @pytest.mark.anyio
    async def test_an_unknown_underlying_is_not_asked_for(self) -> None:
        """DOGE has no options here: no chain, no request."""
        ask = asking("deribit", "DOGE")
        assert [] == await VENUE.option_chain(ask)
        assert ([], {}) == (asked(ask), ask.universe)

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("underlying", "size", "index", "first"),
        [
            ("BTC", 1038, 77_081.8, ("BTC-25JUN27-150000-P", 150_000.0, 0.1, 45.6, 80_104.23)),
            ("ETH", 932, 2410.91, ("ETH-28AUG26-2020-P", 2020.0, 811.0, 78.71, 2413.92)),
        ],
    )
    async def test_recorded_chains_parse_completely(
        self, underlying: str, size: int, index: float, first: tuple[Any, ...]
    ) -> None:
        """Every option of 2026-08-22, none lost, sums as in the body."""
        ask = asking("deribit", underlying, real=True)
        (chain,) = await VENUE.option_chain(ask)
        body = recorded("deribit", summary(underlying, "option")).doc["result"]
        assert (size, 0, index, []) == (
            len(chain.rows),
            chain.dropped,
            chain.index_price,
            ask.shortfalls,
        )
        row = chain.rows[0]
        assert first == (row.instrument, row.strike, row.oi, row.mark_iv, row.underlying_price)
        assert sum(r["open_interest"] for r in body) == sum(r.oi or 0.0 for r in chain.rows)
        assert {8 * 3_600_000} == {r.expiry_ms % 86_400_000 for r in chain.rows}
        for raw, read in zip(body, chain.rows, strict=True):
            _, day, strike, side = raw["instrument_name"].split("-")
            at = datetime.strptime(f"{day} 08 +0000", "%d%b%y %H %z")
            assert (float(strike), side, at.timestamp() * 1000) == (
                read.strike,
                read.type,
                read.expiry_ms,
            )


class TestNames:
    """The grammar of instrument names."""

    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("25DEC26", "2026-12-25T08:00:00+00:00"),
            ("5JUN26", "2026-06-05T08:00:00+00:00"),
            ("29FEB28", "2028-02-29T08:00:00+00:00"),
        ],
    )
    def test_an_option_expires_at_eight(self, label: str, expected: str) -> None:
        """08:00 UTC of the day named; the day has no leading zero."""
        assert round(datetime.fromisoformat(expected).timestamp() * 1000) == read_expiry(label)

    def test_d_is_the_decimal_point(self) -> None:
        """And it is lower case: 6D5 is no strike."""
        terms = read_option("AVAX_USDC-12SEP26-6d5-P")
        assert terms is not None
        assert ("AVAX", "USDC", 6.5, "P") == (terms.coin, terms.settled, terms.strike, terms.type)
        with pytest.raises(ValueError, match="can be read"):
            read_option("AVAX_USDC-12SEP26-6D5-P")

    @pytest.mark.parametrize(
        "name", ["BTC-31FEB27-1-C", "BTC-1XYZ27-1-C", "BTC-25DEC26-0-C", "BTC-25DEC26-1e5-C"]
    )
    def test_broken_options_are_errors(self, name: str) -> None:
        """Built like an option and unreadable: never taken for something else."""
        with pytest.raises((ValueError, KeyError)):
            read_option(name)

    @pytest.mark.parametrize(
        "name",
        [
            "BTC-FS-25DEC26_PERP",
            "BTC-CS-25DEC26-70000_75000",
            "BTC-PERPETUAL",
            "BTC-25DEC26",
            "BTC_USDC",
        ],
    )
    def test_what_is_no_option_is_none(self, name: str) -> None:
        """Combinations, perpetuals, futures and spot."""
        assert read_option(name) is None

    def test_perpetuals(self) -> None:
        """Inverse without, linear with a settlement currency in the name."""
        inverse, linear = read_perpetual("BTC-PERPETUAL"), read_perpetual("SOL_USDC-PERPETUAL")
        assert inverse is not None
        assert linear is not None
        assert ("BTC", "inverse", "USD") == (inverse.coin, inverse.margin, inverse.quote)
        assert ("SOL", "linear", "USDC") == (linear.coin, linear.margin, linear.quote)
        assert [None] * 3 == [
            read_perpetual(name) for name in ("BTC-25DEC26", "btc-PERPETUAL", "BTC-FS-X_PERP")
        ]

    def test_kinds(self) -> None:
        """What a market is called in the discovery."""
        assert [("option", "XRP"), ("perp", "ETH"), ("future", "SOL"), None] == [
            read_kind(name)
            for name in (
                "XRP_USDC-30JUN26-0d625-C",
                "ETH-PERPETUAL",
                "SOL_USDC-25DEC26",
                "BTC-CS-25DEC26-70000_75000",
            )
        ]
