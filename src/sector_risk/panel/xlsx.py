"""Excel workbooks (.xlsx), row by row in bounded memory, with their error cells.

The sheets are read here and not by a library for three reasons: calamine gives an error cell as a blank one,
which a rule would then fill, and lays a sheet out in full, so that one stray cell in the last corner takes
all memory; openpyxl keeps a trace of every row and is several times slower on a million rows.
"""

from __future__ import annotations

import datetime
import posixpath
import re
import zipfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from sector_risk.panel.xml_stream import End, Start, Text, UnreadableError, by_local_name, read_xml

MOST_COLUMNS = 16_384
MOST_ROWS = 1_048_576

# Number formats that every workbook knows: dates and times, and per cent.
DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
PER_CENT_FORMATS = frozenset({9, 10})

Row = tuple[int, list[str]]
Rows = Generator[Row, None, None]


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook: its name, the part of the archive that holds it, and whether it is hidden."""

    name: str
    part: str
    hidden: bool


@dataclass(frozen=True)
class Workbook:
    """What all sheets share: their strings, and which styles show a number as a date or as per cent."""

    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...]
    strings: tuple[str, ...]
    dates: frozenset[int]
    per_cents: frozenset[int]
    epoch: datetime.datetime

    def rows(self, sheet: Sheet) -> Rows:
        """Each row with its number and its cells as text, from column A on."""
        reader = _SheetReader(self)
        with self.archive.open(sheet.part) as stream:
            for _ in read_xml(stream, reader.start, reader.end, reader.text):
                yield from reader.taken()


def open_xlsx(archive: zipfile.ZipFile) -> Workbook:
    """Read what comes before the sheets.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The file, open.

    Returns
    -------
    Workbook
        With its sheets in order.

    Raises
    ------
    UnreadableError
        If a part is missing or broken.
    """
    names = {name.casefold(): name for name in archive.namelist()}
    book = names.get("xl/workbook.xml")
    if book is None:
        raise UnreadableError("it holds no workbook")
    links = _links(archive, names.get("xl/_rels/workbook.xml.rels"))
    contents = _Contents()
    _read(archive, book, contents.start)
    sheets = tuple(
        Sheet(name, part, hidden)
        for name, link, hidden in contents.sheets
        if (part := names.get(_part(links.get(link, "")).casefold()))
    )
    styles = _Styles()
    if "xl/styles.xml" in names:
        _read(archive, names["xl/styles.xml"], styles.start, styles.end)
    strings = _strings(archive, names.get("xl/sharedstrings.xml"))
    epoch = datetime.datetime(1904, 1, 1) if contents.from_1904 else datetime.datetime(1899, 12, 30)
    return Workbook(archive, sheets, strings, styles.having("date"), styles.having("per cent"), epoch)


def letters_of(column: int) -> str:
    """The letters of a column, counted from 0.

    >>> letters_of(0), letters_of(25), letters_of(26), letters_of(16383)
    ('A', 'Z', 'AA', 'XFD')
    """
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_of(reference: str) -> int:
    """The column of a cell such as ``D7``, counted from 0.

    >>> column_of("A1"), column_of("AA12"), column_of("XFD1")
    (0, 26, 16383)
    """
    column = 0
    for letter in reference.rstrip("0123456789"):
        column = 26 * column + ord(letter.upper()) - 64
    return column - 1


def kind_of_format(code: str) -> str:
    """What a number format shows: a ``date``, ``per cent`` or a plain number (empty).

    >>> kind_of_format("dd/mm/yyyy"), kind_of_format("0.0%"), kind_of_format('#,##0 "days"')
    ('date', 'per cent', '')
    """
    bare = re.sub(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', "", code.casefold())
    if "%" in bare:
        return "per cent"
    return "date" if re.search(r"[dmyhs]", bare.replace("general", "")) else ""


@dataclass
class _Contents:
    """The list of sheets."""

    sheets: list[tuple[str, str, bool]] = field(default_factory=list)
    from_1904: bool = False

    def start(self, name: str, given: Mapping[str, str]) -> None:
        given = by_local_name(given)
        if name == "sheet":
            hidden = given.get("state", "visible") != "visible"
            self.sheets.append((given.get("name", ""), given.get("id", ""), hidden))
        elif name == "workbookPr":
            self.from_1904 = given.get("date1904", "0") in ("1", "true")


@dataclass
class _Styles:
    """Which style of cells has which number format."""

    codes: dict[int, str] = field(default_factory=dict)
    formats: list[int] = field(default_factory=list)
    inside: bool = False

    def start(self, name: str, given: Mapping[str, str]) -> None:
        if name == "numFmt":
            self.codes[int(given.get("numFmtId", -1))] = given.get("formatCode", "")
        elif name == "cellXfs":
            self.inside = True
        elif name == "xf" and self.inside:
            self.formats.append(int(given.get("numFmtId", 0)))

    def end(self, name: str) -> None:
        self.inside = self.inside and name != "cellXfs"

    def having(self, kind: str) -> frozenset[int]:
        return frozenset(style for style, number in enumerate(self.formats) if self._kind(number) == kind)

    def _kind(self, number: int) -> str:
        if number in self.codes:
            return kind_of_format(self.codes[number])
        if number in PER_CENT_FORMATS:
            return "per cent"
        return "date" if number in DATE_FORMATS else ""


class _Strings:
    """The strings that sheets share; how they are pronounced (rPh) is left out."""

    def __init__(self) -> None:
        self.text = Text()
        self.strings: list[str] = []
        self.spoken = False

    def start(self, name: str, given: Mapping[str, str]) -> None:
        self.spoken = self.spoken or name == "rPh"
        self.text.wanted = name == "t" and not self.spoken

    def end(self, name: str) -> None:
        self.text.wanted = False
        if name == "rPh":
            self.spoken = False
        elif name == "si":
            self.strings.append(self.text.take())


class _SheetReader:
    """The cells of a sheet, gathered into rows."""

    def __init__(self, book: Workbook) -> None:
        self.book, self.text = book, Text()
        self.rows: list[Row] = []
        self.number, self.cells, self.column = 0, list[str](), -1
        self.kind, self.style, self.formula, self.value = "n", 0, "", ""

    def taken(self) -> list[Row]:
        rows, self.rows = self.rows, []
        return rows

    def start(self, name: str, given: Mapping[str, str]) -> None:
        if name == "c":
            self.column = column_of(given["r"]) if "r" in given else self.column + 1
            self.kind, self.style = given.get("t", "n"), int(given.get("s", 0))
            self.formula = self.value = ""
            return
        if name == "row":
            self.number = int(given.get("r", self.number + 1))
            self.cells, self.column = [], -1
        self.text.wanted = name in ("v", "f", "t")

    def end(self, name: str) -> None:
        self.text.wanted = False
        if name == "c":
            self._put(self._shown())
        elif name == "row":
            self.rows.append((self.number, self.cells))
        elif name == "f":
            self.formula = self.text.take() or "a formula"
        elif name in ("v", "t"):
            self.value += self.text.take()

    def _put(self, shown: str) -> None:
        if not 0 <= self.column < MOST_COLUMNS or not 0 < self.number <= MOST_ROWS:
            raise UnreadableError(f"a cell outside any sheet: row {self.number}, column {self.column + 1}")
        if shown:
            self.cells.extend([""] * (self.column - len(self.cells)))
            self.cells[self.column :] = [shown]

    def _shown(self) -> str:
        """A cell as a person would have typed it; a formula whose result was not saved as the formula."""
        if not self.value:
            return f"={self.formula}" if self.formula and self.kind != "str" else ""
        if self.kind == "s":
            return self._shared().strip()
        if self.kind == "b":
            return str(self.value == "1")
        return self._number() if self.kind == "n" else self.value.strip()

    def _shared(self) -> str:
        position = int(self.value)
        if not 0 <= position < len(self.book.strings):
            raise UnreadableError(f"a text that is not there in row {self.number}")
        return self.book.strings[position]

    def _number(self) -> str:
        number = float(self.value)
        if self.style in self.book.dates:
            return as_date(number, self.book.epoch)
        if self.style in self.book.per_cents:
            return f"{100.0 * number:.12g}%"
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else str(number)


def as_date(number: float, epoch: datetime.datetime) -> str:
    """A day, or a time, that a workbook keeps as a number of days.

    >>> as_date(43555.0, datetime.datetime(1899, 12, 30))
    '2019-03-31'
    """
    try:
        moment = epoch + datetime.timedelta(days=number)
    except (OverflowError, ValueError):
        return str(number)
    return moment.date().isoformat() if number == int(number) else moment.isoformat(timespec="seconds")


def _links(archive: zipfile.ZipFile, part: str | None) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if part:
        _read(archive, part, lambda _, given: found.update({given.get("Id", ""): given.get("Target", "")}))
    return found


def _part(target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")


def _strings(archive: zipfile.ZipFile, part: str | None) -> tuple[str, ...]:
    reader = _Strings()
    if part:
        _read(archive, part, reader.start, reader.end, reader.text)
    return tuple(reader.strings)


def _read(
    archive: zipfile.ZipFile,
    part: str,
    start: Start,
    end: End = lambda name: None,
    text: Text | None = None,
) -> None:
    with archive.open(part) as stream:
        for _ in read_xml(stream, start, end, text or Text()):
            pass
