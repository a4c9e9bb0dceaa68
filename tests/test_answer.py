"""How answers are written: digits, budgets, forms."""

from dataclasses import dataclass

import pytest

from mmflow_mcp.endpoints.answer import Shape, Table, written
from mmflow_mcp.rows import FundingRow, OpenInterestRow, maybe, told


@dataclass(frozen=True, slots=True)
class Row:
    """A row with every kind of digits."""

    name: str = told("words")
    usd: float = told("USD", digits="usd")
    pct: float = told("percent", digits="percent")
    share: float = told("ratio", digits="ratio")
    coins: float = told("coins", digits="coins")
    price: float | None = told("price")
    extra: float | None = maybe("only sometimes")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer with groups and an unbudgeted table."""

    total: float = told("sum", digits="usd")
    groups: dict[str, Table[Row]] = told("by label")
    whole: Table[Row] = told("never cut", budgeted=False)


def row(name: str, usd: float) -> Row:
    """A row whose rank is its USD."""
    return Row(name, usd, 1.005, 0.93283, 7733944150000.0, 1.0408000000000001e-05)


def table(*usd: float) -> Table[Row]:
    """Rows a, b, c ... ranked by USD."""
    rows = [row(chr(97 + i), value) for i, value in enumerate(usd)]
    return Table(Row, rows, matters=lambda r: r.usd)


def test_numbers_have_the_digits_that_methods_give_them() -> None:
    """USD 1 decimal, percent 2, ratio 4, coins 10 and prices 12 significant digits."""
    (found,) = written(table(1234567.891), Shape())
    assert 1234567.9 == found["usd"]
    assert found["pct"] in (1.0, 1.01)
    assert 0.9328 == found["share"]
    assert 7733944150000 == found["coins"]
    assert 1.0408e-05 == found["price"]


def test_unknown_is_null_or_absent() -> None:
    """A told field that is unknown is null; an optional one is left out of objects."""
    unknown = Row("a", 1.0, 1.0, 1.0, 1.0, None)
    (found,) = written(Table(Row, [unknown], matters=lambda r: r.usd), Shape())
    assert found["price"] is None
    assert "extra" not in found
    columns = written(Table(Row, [unknown], matters=lambda r: r.usd), Shape(form="columns"))
    assert [None, None] == columns["rows"][0][-2:]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_a_budget_keeps_the_greatest_in_their_order(limit: int) -> None:
    """Order is the table's; what leaves is the least, and ties leave from the end."""
    shape = Shape(form="columns", limit=limit)
    names = [r[0] for r in written(table(5.0, 1.0, 5.0, 5.0, 9.0), shape)["rows"]]
    expected = {1: "e", 2: "ae", 3: "ace", 4: "acde", 5: "abcde"}
    assert list(expected[limit]) == names
    assert (5, 5 - limit) == (shape.total, shape.left_out)


def test_a_budget_is_shared_by_all_tables_of_an_answer() -> None:
    """Groups compete; a group left without rows is left out; an unbudgeted table stays whole."""
    page = Page(1.25, {"x": table(9.0, 8.0), "y": table(1.0)}, table(0.0, 0.0, 0.0))
    shape = Shape(limit=2)
    found = written(page, shape)
    assert ["x"] == list(found["groups"])
    assert 3 == len(found["whole"])
    assert (3, 1) == (shape.total, shape.left_out)
    assert 1.2 == found["total"]


def test_without_a_budget_everything_is_written() -> None:
    """REST and resources answer in full, empty groups included."""
    page = Page(0.0, {"x": table(), "y": table(1.0)}, table())
    found = written(page, Shape())
    assert [] == found["groups"]["x"]
    assert 1 == len(found["groups"]["y"])


def test_rows_have_the_specifications_names() -> None:
    """oiUsd, oiContracts, periodHours and the rest are spelled as the specification spells them."""
    interest = OpenInterestRow("BTC", "okx", 3812401084.5, 59281.0, 59281.0, 1, ("BTC-USDT-SWAP",))
    (found,) = written(Table(OpenInterestRow, [interest], matters=lambda r: r.oi_usd), Shape())
    assert {
        "coin": "BTC",
        "venue": "okx",
        "oiUsd": 3812401084.5,
        "oiContracts": 59281,
        "oiCoins": 59281,
        "fetchedAt": 1,
        "symbols": ["BTC-USDT-SWAP"],
    } == found
    rate = FundingRow("BTC", "binance", 0.0000832, 8, 1, "BTCUSDT", "predicted", 9.1104)
    (found,) = written(Table(FundingRow, [rate], matters=lambda r: r.apr), Shape())
    assert (0.0000832, 8, 9.11) == (found["rate"], found["periodHours"], found["apr"])


@dataclass(frozen=True, slots=True)
class Thing:
    """A row of which much may be unknown."""

    name: str = told("what")
    size: float | None = told("null is told")
    weight: float | None = maybe("grams", brief=True)
    colour: str | None = maybe("a word", brief=True)
    parts: tuple[int, ...] | None = maybe("numbers", brief=True, first=2)


def test_a_sparse_table_leaves_out_columns_without_a_word() -> None:
    """Only those that may be absent, and only where no row has one; objects are as ever."""
    things = [Thing("a", None, colour="red"), Thing("b", None, parts=(1, 2, 3))]
    sparse = Table(Thing, things, matters=lambda _: 0.0, sparse=True)
    assert {
        "columns": ["name", "size", "colour", "parts"],
        "rows": [["a", None, "red", None], ["b", None, None, [1, 2, 3]]],
    } == written(sparse, Shape(form="columns"))
    whole = written(Table(Thing, things, matters=lambda _: 0.0), Shape(form="columns"))
    assert ["name", "size", "weight", "colour", "parts"] == whole["columns"]
    empty = Table(Thing, [], matters=lambda _: 0.0, sparse=True)
    assert {"columns": ["name", "size"], "rows": []} == written(empty, Shape(form="columns"))


def test_a_tool_shows_the_first_of_a_long_list() -> None:
    """Brief: as many as the field says; full: all."""
    table = Table(Thing, [Thing("a", 1.0, parts=(1, 2, 3))], matters=lambda _: 0.0)
    assert [1, 2] == written(table, Shape(full=False))[0]["parts"]
    assert [1, 2, 3] == written(table, Shape())[0]["parts"]
