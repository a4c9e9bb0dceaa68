"""Tables of web pages as text, whatever the page forgets to close."""

from mmflow_mcp.venues.html_tables import read_tables


def rows(page: str) -> list[list[list[str]]]:
    """The rows of every table."""
    return [table.rows for table in read_tables(page)]


def test_text_is_taken_out_of_its_wrappers() -> None:
    """Blanks of any kind and entities included."""
    page = (
        "<TABLE class='etf wide'><tr><th><div align=right><span class='ab'>&nbsp;&nbsp;IBIT"
        "</span></div></th><td>\n <a href='x'><b>1,2</b>04.6</a>\t</td>"
        "<td>A&amp;B</td></tr></TABLE>"
    )
    (table,) = read_tables(page)
    assert [["IBIT", "1,204.6", "A&B"]] == table.rows
    assert (frozenset({"etf", "wide"}), True) == (table.classes, table.closed)


def test_rows_and_cells_may_stay_open() -> None:
    """A new one ends the one before; a row without a cell is none."""
    assert [[["a", "b"], ["c"]]] == rows("<table><tr><tr><td>a<td>b<tr><td>c</table>")
    assert [[["a"], ["b"]]] == rows("<table><tbody><td>a</tbody><tfoot><td>b</tfoot></table>")


def test_a_table_in_a_cell_is_one_of_its_own() -> None:
    """The outer row goes on after it."""
    page = "<table><tr><td>x<table><tr><td>in</table>y</td><td>z</td></tr></table>"
    assert [[["xy", "z"]], [["in"]]] == rows(page)


def test_a_cell_that_spans_columns_keeps_the_others_in_place() -> None:
    """Absurd spans are bounded, no span is one."""
    assert [[["a", "", "", "b"]]] == rows("<table><tr><td colspan=3>a<td colspan=0>b</table>")
    (table,) = read_tables("<table><tr><td colspan=99999999>a</table>")
    assert 100 == len(table.rows[0])


def test_scripts_and_comments_are_no_tables() -> None:
    """Nothing that a browser does not show."""
    inside = "<script>if (x) w('<td>no')</script><style>td {}</style><!-- <td>no -->"
    assert [[["ab", "c"]]] == rows(f"<table><tr><td>a{inside}b<td>c</table>")


def test_a_page_that_ends_early_is_seen() -> None:
    """The table is not closed; what has come so far is there."""
    (table,) = read_tables("<table><tr><td>a</td></tr><tr><td>b")
    assert ([["a"]], False) == (table.rows, table.closed)
    assert [] == read_tables("no table </table></td></tr>")
