"""OpenDocument spreadsheets (.ods), row by row in bounded memory, with their error cells.

Rows and cells that repeat are written once with a count; a count is followed only where there is something
to repeat, and never beyond what a spreadsheet can hold.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from sector_risk.panel.cells import is_excel_error
from sector_risk.panel.xlsx import MOST_COLUMNS, MOST_ROWS, Rows
from sector_risk.panel.xml_stream import Text, UnreadableError, by_local_name, read_xml

CONTENT = "content.xml"
VALUES = ("value", "date-value", "time-value", "boolean-value")


@dataclass(frozen=True)
class Document:
    """A spreadsheet with its sheets' names."""

    archive: zipfile.ZipFile
    sheets: tuple[str, ...]

    def rows(self, sheet: str) -> Rows:
        """Each row with its number and its cells as text, from column A on."""
        reader = _SheetReader(sheet)
        with self.archive.open(CONTENT) as stream:
            for _ in read_xml(stream, reader.start, reader.end, reader.text):
                rows, reader.rows = reader.rows, []
                for number, cells, times in rows:
                    yield from ((number + again, cells) for again in range(times))
                if reader.done:
                    return


def open_ods(archive: zipfile.ZipFile) -> Document:
    """Read the names of the sheets.

    Raises
    ------
    UnreadableError
        If the content is missing or broken.
    """
    if CONTENT not in archive.namelist():
        raise UnreadableError("it holds no spreadsheet")
    names: list[str] = []

    def start(name: str, given: Mapping[str, str]) -> None:
        if name == "table":
            names.append(by_local_name(given).get("name", ""))

    with archive.open(CONTENT) as stream:
        for _ in read_xml(stream, start, lambda name: None, Text()):
            pass
    return Document(archive, tuple(names))


class _SheetReader:
    """The cells of one sheet, gathered into rows."""

    def __init__(self, sheet: str) -> None:
        self.sheet, self.text = sheet, Text()
        self.rows: list[tuple[int, list[str], int]] = []
        self.here = self.done = False
        self.number, self.times = 1, 1
        self.cells, self.column = list[str](), 0
        self.cell: Mapping[str, str] = {}
        self.in_cell = False

    def start(self, name: str, given: Mapping[str, str]) -> None:
        given = by_local_name(given)
        if name == "table":
            self.here = given.get("name", "") == self.sheet
        elif self.here and name == "table-row":
            self.times = int(given.get("number-rows-repeated", 1))
            self.cells, self.column = [], 0
        elif self.here and name in ("table-cell", "covered-table-cell"):
            self.cell, self.in_cell = given, True
        elif name == "annotation":
            self.in_cell = False  # a note on a cell is none of its text
        elif name == "p" and self.in_cell:
            self.text.wanted = True

    def end(self, name: str) -> None:
        if not self.here:
            return
        if name == "p":
            self.text.wanted = False
        elif name == "annotation":
            self.in_cell = True
        elif name in ("table-cell", "covered-table-cell"):
            self._put()
        elif name == "table-row":
            self._close_row()
        elif name == "table":
            self.here, self.done = False, True

    def _put(self) -> None:
        times, shown = int(self.cell.get("number-columns-repeated", 1)), self._shown(self.text.take().strip())
        self.in_cell = False
        if shown and self.column + times > MOST_COLUMNS:
            raise UnreadableError(f"a cell outside any sheet: row {self.number}, column {self.column + times}")
        if shown:
            self.cells.extend([""] * (self.column - len(self.cells)))
            self.cells.extend([shown] * times)
        self.column += times

    def _shown(self, text: str) -> str:
        if self.cell.get("value-type") == "percentage" and "value" in self.cell:
            return f"{100.0 * float(self.cell['value']):.12g}%"
        kept = next((self.cell[name] for name in VALUES if name in self.cell), text)
        # An error is text, kept beside an empty or a null value.
        return text if is_excel_error(text) or text.startswith("Err:") else kept

    def _close_row(self) -> None:
        if self.cells:
            if self.number + self.times - 1 > MOST_ROWS:
                raise UnreadableError(f"a row outside any sheet: {self.number + self.times - 1}")
            self.rows.append((self.number, self.cells, self.times))
        self.number += self.times
