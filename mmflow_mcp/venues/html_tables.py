"""The tables of a web page as text, read with the standard library's event parser.

An event parser copes with what pages do: rows and cells that are never closed, a stray `<tr>`
before the first row, colours and links around a number.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

# Wrappers that say nothing are most of a page's tags: without them it is read in half the time.
_WRAPPERS = re.compile(r"</?(?:div|span)\b[^>]*>", re.IGNORECASE)
_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_WIDEST = 100


@dataclass(slots=True)
class HtmlTable:
    """One table: its classes, its rows of cell texts, and whether the page closed it.

    A cell that spans columns is followed by empty ones. Rows without a cell are left out.
    """

    classes: frozenset[str]
    rows: list[list[str]] = field(default_factory=list)
    closed: bool = False


def read_tables(page: str) -> list[HtmlTable]:
    """Every table of a page in order of its beginning; a table in a cell is one of its own."""
    begins = _TABLE.search(page)
    if begins is None:
        return []
    reader = _Reader()
    reader.feed(_WRAPPERS.sub("", page[begins.start() :]))
    reader.close()
    return reader.tables


class _Reader(HTMLParser):
    """Collects tables; what is open when the page ends stays as it is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[HtmlTable] = []
        self._open: list[HtmlTable] = []
        # The row and the cell that text belongs to, of each open table.
        self._rows: list[list[str] | None] = []
        self._cells: list[list[str] | None] = []
        self._span = 1
        # What a browser runs or obeys is no text.
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell; a new one ends the one before it."""
        if tag in ("script", "style"):
            self._silent = True
        elif tag == "table":
            table = HtmlTable(frozenset((dict(attrs).get("class") or "").split()))
            self.tables.append(table)
            self._open.append(table)
            self._rows.append(None)
            self._cells.append(None)
        elif tag == "tr" and self._open:
            self._end_row()
            self._rows[-1] = []
        elif tag in ("td", "th") and self._open:
            self._end_cell()
            if self._rows[-1] is None:
                self._rows[-1] = []
            self._cells[-1] = []
            span = dict(attrs).get("colspan") or "1"
            self._span = min(int(span), _WIDEST) if span.isdecimal() and span != "0" else 1

    def handle_endtag(self, tag: str) -> None:
        """End a cell, a row or a table."""
        if tag in ("script", "style"):
            self._silent = False
        if not self._open:
            return
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "thead", "tbody", "tfoot"):
            self._end_row()
        elif tag == "table":
            self._end_row()
            self._open.pop().closed = True
            self._rows.pop()
            self._cells.pop()

    def handle_data(self, data: str) -> None:
        """Text of the innermost open cell."""
        if self._cells and not self._silent and (cell := self._cells[-1]) is not None:
            cell.append(data)

    def _end_cell(self) -> None:
        cell, row = self._cells[-1], self._rows[-1]
        if cell is not None and row is not None:
            # `split` takes U+00A0 for a blank, as these pages use it.
            row.append(" ".join("".join(cell).split()))
            row += [""] * (self._span - 1)
        self._cells[-1] = None

    def _end_row(self) -> None:
        self._end_cell()
        row = self._rows[-1]
        if row:
            self._open[-1].rows.append(row)
        self._rows[-1] = None
