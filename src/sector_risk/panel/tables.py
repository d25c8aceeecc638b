"""From a file to rows of text, with the row numbers a spreadsheet shows.

Everything is read as text: so a fault can show the cell as it came, and a code such as ``5E1`` is never
taken for a number. What is not a readable table is a fault, never a traceback of some other library.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pandas as pd

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.panel.cells import as_text
from sector_risk.panel.guard import AGAIN, SMALLER, refused, require_readable
from sector_risk.panel.ods import open_ods
from sector_risk.panel.xlsx import Row, Rows, letters_of, open_xlsx
from sector_risk.panel.xml_stream import UnreadableError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

INSTALL = 'Install what reads it: pip install "sector-risk[files]".'
# Titles and notes may stand above the column names, in this many rows that are not blank.
TITLE_ROWS = 20
# A long file of every trust, quarter and metric has half a million cells.
MOST_CELLS = 3_000_000
LONGEST_LINE = 1_000_000
NO_ROWS = "The file needs a header row and one row for each trust."

# What a part of an archive raises that is not what it should be: zipfile, zlib and expat share no base.
BROKEN = (
    UnreadableError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    ArithmeticError,
    OSError,
    RuntimeError,
)

Sheets = Mapping[str, Callable[[], Rows]]


@dataclass(frozen=True)
class Headings:
    """How the row of column names, and the sheet that has it, are told from others.

    Parameters
    ----------
    label : callable
        What a column's name means; empty if it is not known.
    needed : tuple of frozenset of str
        Sets of labels; a sheet is the right one if its columns include one of the sets.
    """

    label: Callable[[str], str]
    needed: tuple[frozenset[str], ...] = (frozenset(),)

    def labels(self, cells: Iterable[str]) -> frozenset[str]:
        """What the cells of a row mean, if they are column names."""
        return frozenset(self.label(cell) for cell in cells if cell) - {""}

    def fit(self, cells: Iterable[str]) -> bool:
        """Whether a row names all columns that are needed."""
        labels = self.labels(cells)
        return any(needed <= labels for needed in self.needed)


@dataclass(frozen=True)
class Table:
    """A header and rows of text.

    Parameters
    ----------
    source : str
        The name of the file or of the table.
    header : tuple of str
        One name per column.
    numbers : tuple of int
        The number of each row as a spreadsheet shows it.
    body : tuple of tuple of str
        The rows, each as long as the header.
    year : str
        The financial year, where the cells say it.
    sheet : str
        The name of the sheet, in a workbook.
    letters : tuple of str
        The letters of the columns, in a workbook.
    header_row : int
        The number of the row that names the columns; 0 where there is no file.
    """

    source: str
    header: tuple[str, ...]
    numbers: tuple[int, ...]
    body: tuple[tuple[str, ...], ...]
    year: str = ""
    sheet: str = ""
    letters: tuple[str, ...] = ()
    header_row: int = 0

    def column(self, position: int) -> tuple[str, ...]:
        """The cells of one column, top to bottom."""
        return tuple(row[position] for row in self.body)

    @property
    def read_from(self) -> str:
        """Which sheet and which row of column names were chosen; empty where there is no file."""
        sheet = f"sheet '{self.sheet}', " if self.sheet else ""
        return f"{sheet}columns named in row {self.header_row}" if self.header_row else ""


def read_table(path: str | Path, headings: Headings, sheet: str | None = None) -> Table:
    """Read a file as text, by its suffix.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.xlsx``, ``.xls``, ``.ods`` or ``.parquet`` file.
    headings : Headings
        What its columns may be called.
    sheet : str, optional
        The sheet of a workbook. By default it is the only visible sheet that has the needed columns, or the
        first visible sheet if none has them.

    Returns
    -------
    Table
        Its cells as text; rows that are wholly blank are left out, their numbers are not reused. The column
        names are in the row that has most known ones, the first of them, among the first `TITLE_ROWS` that
        are not blank; what stands above is left out.

    Raises
    ------
    InputError
        If there is no such file or sheet, if several sheets would do, if it is not what its name says, if it
        holds no rows, or if it is too large.
    """
    path = Path(path)
    require_readable(path)
    with opened(path) as sheets:
        name = _chosen(path, sheets, headings, sheet)
        with closing(sheets[name]()) as rows:
            return table_from_rows(rows, path.name, headings, name)


def frame_table(frame: pd.DataFrame, source: str = "table") -> Table:
    """Take a DataFrame as rows of text; a named index counts as columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per trust.
    source : str
        The name under which faults are reported.

    Returns
    -------
    Table
        Rows are numbered as if the frame stood in a spreadsheet under its header: the first is row 2.

    Raises
    ------
    InputError
        If the frame has no rows.

    Examples
    --------
    >>> frame_table(pd.DataFrame({"trust": ["ZZ1"], "plan": [-2.5]})).body
    (('ZZ1', '-2.5'),)
    """
    header, *body = _frame_rows(frame)
    return _table(header, body, source)


def table_from_rows(rows: Iterable[Row], source: str, headings: Headings, sheet: str = "") -> Table:
    """Find the column names, and number the rows below them.

    Raises
    ------
    InputError
        If no rows follow the column names, if a row is longer than they are, or if there are too many cells.
    """
    above, filled = with_top(_within_bounds(rows, source, sheet))
    if not above:
        raise refused(source, "no rows", "", NO_ROWS, sheet)
    position = header_position(above, headings)
    found = _table(above[position], [*above[position + 1 :], *filled], source, sheet)
    letters = tuple(letters_of(column) for column in range(len(found.header))) if sheet else ()
    return replace(found, sheet=sheet, letters=letters, header_row=above[position][0])


def with_top(rows: Iterable[Row]) -> tuple[list[Row], Iterator[Row]]:
    """The first rows that are not blank, and those that follow."""
    filled = ((number, cells) for number, cells in rows if any(cells))
    return list(islice(filled, TITLE_ROWS)), filled


def header_position(above: Sequence[Row], headings: Headings) -> int:
    """Which of the first rows names the columns: the one with most known names, the first of several."""
    known = [len(headings.labels(cells)) for _, cells in above]
    return known.index(max(known))


def _table(header: Row, body: Sequence[Row], source: str, sheet: str = "") -> Table:
    names = _trimmed(header[1])
    if not body:
        raise refused(source, "no rows", "", NO_ROWS, sheet)
    _require_width(body, len(names), source, sheet)
    padded = (tuple(cells[: len(names)] + [""] * (len(names) - len(cells))) for _, cells in body)
    return Table(source, tuple(names), tuple(number for number, _ in body), tuple(padded))


def _trimmed(cells: list[str]) -> list[str]:
    """Cells without the blank ones at their end."""
    last = max(position for position, cell in enumerate(cells) if cell)
    return cells[: last + 1]


def _within_bounds(rows: Iterable[Row], source: str, sheet: str) -> Rows:
    count = 0
    for number, cells in rows:
        count += len(cells)
        if count > MOST_CELLS:
            raise refused(source, f"more than {MOST_CELLS:,} cells", f"row {number}", SMALLER, sheet)
        yield number, cells


def _require_width(body: Sequence[Row], width: int, source: str, sheet: str) -> None:
    remedy = "Put cells that hold a comma in quotation marks, and numbers without thousands separators."
    if sheet:
        remedy = "Name that column, or clear the cells."
    faults = [
        Fault(source, f"more cells than the header has columns ({width})", _trimmed(cells)[-1], remedy, row=number)
        for number, cells in body
        if any(cells[width:])
    ]
    if faults:
        raise InputError(replace(fault, sheet=sheet) for fault in faults)


# --- which sheet ---------------------------------------------------------------------------------------


def _chosen(path: Path, sheets: Sheets, headings: Headings, asked: str | None) -> str:
    if asked is not None:
        return named_sheet(path, sheets, asked)
    if len(sheets) == 1:
        return next(iter(sheets))
    fitting = [name for name, rows in sheets.items() if _fits(rows, headings)]
    if len(fitting) > 1:
        remedy = f"Name one, such as sheet='{fitting[0]}', or keep one in the file."
        raise refused(path.name, "several sheets have the needed columns", ", ".join(fitting), remedy)
    return fitting[0] if fitting else next(iter(sheets))


def _fits(rows: Callable[[], Rows], headings: Headings) -> bool:
    with closing(rows()) as sheet:
        above, _ = with_top(sheet)
    return bool(above) and headings.fit(above[header_position(above, headings)][1])


def named_sheet(path: Path, sheets: Iterable[str], asked: str) -> str:
    """The sheet of this name; case and blanks around it do not count.

    Raises
    ------
    InputError
        If there is none.
    """
    names = list(sheets)
    for name in names:
        if name.casefold().strip() == asked.casefold().strip():
            return name
    if names == [""]:
        raise refused(path.name, "no sheets in a file of this kind", asked, "Leave the sheet out.")
    there = f"Its sheets are {', '.join(names)}."
    raise refused(path.name, "no such sheet", asked, f"{as_sentence(nearest(asked, names))} {there}".strip())


# --- the kinds of file ---------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[Sheets]:
    """The sheets of a file that may be opened, by name; one without a name where it has no sheets."""
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".ods"):
        yield READERS[suffix](path)
        return
    with zipfile.ZipFile(path) as archive:
        try:
            sheets = _xlsx_sheets(archive) if suffix == ".xlsx" else _ods_sheets(archive)
        except BROKEN as error:
            raise _broken(path, error) from None
        yield {name: partial(_unbroken, path, rows) for name, rows in sheets.items()}


def _xlsx_sheets(archive: zipfile.ZipFile) -> Sheets:
    book = open_xlsx(archive)
    visible = [sheet for sheet in book.sheets if not sheet.hidden] or list(book.sheets)
    if not visible:
        raise UnreadableError("it has no sheets")
    return {sheet.name: partial(book.rows, sheet) for sheet in visible}


def _ods_sheets(archive: zipfile.ZipFile) -> Sheets:
    book = open_ods(archive)
    if not book.sheets:
        raise UnreadableError("it has no sheets")
    return {sheet: partial(book.rows, sheet) for sheet in book.sheets}


def _unbroken(path: Path, rows: Callable[[], Rows]) -> Rows:
    """The same rows; where they break off, a fault."""
    try:
        yield from rows()
    except BROKEN as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> InputError:
    return refused(path.name, "not readable as a workbook", str(error), AGAIN)


def _csv_sheets(path: Path) -> Sheets:
    encoding = _encoding(path)
    return {"": lambda: _csv_rows(path, encoding)}


def _csv_rows(path: Path, encoding: str) -> Rows:
    # The line feeds stay as they are, so that a line break inside quotation marks does not make a row.
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(_lines(file), strict=True)
        try:
            for number, cells in enumerate(reader, start=1):
                yield number, [cell.strip() for cell in cells]
        except csv.Error as error:
            rule = f"not readable as CSV near line {reader.line_num}"
            remedy = "Look for a quotation mark that is opened and not closed, and save it again as CSV."
            raise refused(path.name, rule, str(error), remedy) from None


def _lines(file: IO[str]) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line of more than {LONGEST_LINE:,} characters")
        yield line


def _encoding(path: Path) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            with path.open(encoding=encoding, newline="") as file:
                while file.read(LONGEST_LINE):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise refused(path.name, "characters that cannot be read", "", "Save it as CSV UTF-8.")


def _old_workbook_sheets(path: Path) -> Sheets:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise refused(path.name, "old workbooks need an extra library", path.suffix, INSTALL) from None
    try:
        book = CalamineWorkbook.from_path(path)
    except Exception as error:  # the reader has no common base for its errors
        raise refused(path.name, "not readable as a workbook", str(error), AGAIN) from None
    return {name: partial(_old_rows, book.get_sheet_by_name(name)) for name in book.sheet_names}


def _parquet_sheets(path: Path) -> Sheets:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError:
        raise refused(path.name, "Parquet files need an extra library", path.suffix, INSTALL) from None
    try:
        about = parquet.read_metadata(path)
        _require_few_cells(path, about.num_rows * about.num_columns)
        header, *body = _frame_rows(pd.read_parquet(path))
    except InputError:
        raise
    except Exception as error:  # pyarrow's errors share no base with pandas'
        remedy = "Write the file again: it may be cut short."
        raise refused(path.name, "not readable as Parquet", str(error), remedy) from None
    return {"": lambda: (row for row in (header, *body))}


def _require_few_cells(path: Path, count: int) -> None:
    if count > MOST_CELLS:
        raise refused(path.name, f"more than {MOST_CELLS:,} cells", f"{count:,} cells", SMALLER)


def _old_rows(sheet: CalamineSheet) -> Rows:
    before = [""] * (sheet.start[1] if sheet.start else 0)
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        yield number, before + [as_text(cell) for cell in cells]


def _frame_rows(frame: pd.DataFrame) -> list[Row]:
    named = any(name is not None for name in frame.index.names)
    flat = frame.reset_index() if named else frame
    # By column, because a row of mixed columns would turn whole numbers into decimals.
    columns = [[as_text(cell) for cell in flat.iloc[:, position].tolist()] for position in range(flat.shape[1])]
    header = [as_text(name) for name in flat.columns]
    body = ((number, list(cells)) for number, cells in enumerate(zip(*columns, strict=True), start=2))
    return [(1, header), *((number, cells) for number, cells in body if any(cells))]


READERS: Mapping[str, Callable[[Path], Sheets]] = {
    ".csv": _csv_sheets,
    ".xls": _old_workbook_sheets,
    ".parquet": _parquet_sheets,
}
