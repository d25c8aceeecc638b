"""From a file to rows of text, with the row numbers a spreadsheet shows.

Everything is read as text: so a fault can show the cell as it came, and a code such as ``5E1`` is never
taken for a number. What is not a readable table is a fault, never a traceback of some other library.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.panel.cells import as_text

INSTALL = 'Install what reads it: pip install "sector-risk[files]".'

# The first bytes of a file say what it is, whatever its name says.
ZIP, OLE, PARQUET = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"
KINDS: Mapping[bytes, str] = {
    ZIP: "an Excel or OpenDocument workbook (or another zip archive)",
    OLE: "an old Excel workbook",
    PARQUET: "a Parquet file",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
EXPECTED: Mapping[str, frozenset[bytes]] = {
    ".csv": frozenset(),
    ".xlsx": frozenset({ZIP}),
    ".ods": frozenset({ZIP}),
    ".xls": frozenset({OLE}),
    ".parquet": frozenset({PARQUET}),
}


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
    """

    source: str
    header: tuple[str, ...]
    numbers: tuple[int, ...]
    body: tuple[tuple[str, ...], ...]
    year: str = ""

    def column(self, position: int) -> tuple[str, ...]:
        """The cells of one column, top to bottom."""
        return tuple(row[position] for row in self.body)


def read_table(path: str | Path) -> Table:
    """Read a file as text, by its suffix.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.xlsx``, ``.xls``, ``.ods`` or ``.parquet`` file. Of a workbook the first sheet is read.

    Returns
    -------
    Table
        Its cells as text; rows that are wholly blank are left out, their numbers are not reused.

    Raises
    ------
    InputError
        If there is no such file, if it is not what its name says, or if it holds no rows.
    """
    path = Path(path)
    raw = _bytes(path)
    _require_kind(path, raw)
    return table_from_rows(READERS[path.suffix.lower()](path, raw), path.name)


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
    return table_from_rows(_frame_rows(frame), source)


def table_from_rows(rows: Iterable[Sequence[object]], source: str) -> Table:
    """Take the first row that is not blank as the header and number the others.

    Raises
    ------
    InputError
        If no rows follow a header, or if a row is longer than the header.
    """
    texts = ((number, [as_text(cell) for cell in row]) for number, row in enumerate(rows, start=1))
    filled = [(number, cells) for number, cells in texts if any(cells)]
    if len(filled) < 2:
        raise _refused(source, "no rows", "", "The file needs a header row and one row for each trust.")
    header, body = filled[0][1], filled[1:]
    _require_width(body, len(header), source)
    padded = (tuple(cells[: len(header)] + [""] * (len(header) - len(cells))) for _, cells in body)
    return Table(source, tuple(header), tuple(number for number, _ in body), tuple(padded))


def _require_width(body: list[tuple[int, list[str]]], width: int, source: str) -> None:
    remedy = "Put cells that hold a comma in quotation marks, and numbers without thousands separators."
    faults = [
        Fault(source, f"more cells than the header has columns ({width})", cells[-1], remedy, row=number)
        for number, cells in body
        if any(cells[width:])
    ]
    if faults:
        raise InputError(faults)


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise _refused(str(path), "a folder, not a file", "", "Name the file inside it.")
    if not path.exists():
        raise _refused(str(path), "no such file", "", _other_names(path))
    if path.suffix.lower() not in EXPECTED:
        remedy = f"Save it as one of {', '.join(EXPECTED)}."
        raise _refused(path.name, "not a kind of file that can be read", path.suffix, remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "Close it elsewhere, or ask for the right to read it."
        raise _refused(path.name, "the file cannot be opened", str(error.strerror), remedy) from None


def _other_names(path: Path) -> str:
    beside = path.parent
    names = [other.name for other in beside.iterdir()] if beside.is_dir() else []
    return f"Check the name and the folder. {as_sentence(nearest(path.name, names))}".rstrip()


def _require_kind(path: Path, raw: bytes) -> None:
    if not raw:
        raise _refused(path.name, "an empty file", "", "Save the table again.")
    suffix = path.suffix.lower()
    found = next((magic for magic in KINDS if raw.startswith(magic)), None)
    right = found in EXPECTED[suffix] if EXPECTED[suffix] else found is None and b"\0" not in raw
    if not right:
        came = KINDS[found] if found else "text" if b"\0" not in raw else "binary data"
        remedy = f"Save it anew as {suffix}, or give the file the suffix of what it is."
        raise _refused(path.name, f"the file is not what its name says: it holds {came}", suffix, remedy)


def _csv_rows(path: Path, raw: bytes) -> list[list[str]]:
    # The line feeds stay as they are, so that a line break inside quotation marks does not make a row.
    reader = csv.reader(io.StringIO(_decoded(path, raw), newline=""), strict=True)
    try:
        return list(reader)
    except csv.Error as error:
        rule = f"not readable as CSV near line {reader.line_num}"
        remedy = "Look for a quotation mark that is opened and not closed, and save it again as CSV."
        raise _refused(path.name, rule, str(error), remedy) from None


def _decoded(path: Path, raw: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _refused(path.name, "characters that cannot be read", "", "Save it as CSV UTF-8.")


def _workbook_rows(path: Path, raw: bytes) -> Sequence[Sequence[object]]:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise _refused(path.name, "workbooks need an extra library", path.suffix, INSTALL) from None
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_index(0)
        return sheet.to_python(skip_empty_area=False)
    except Exception as error:  # the reader has no common base for its errors
        remedy = "Open it in a spreadsheet program and save it again, without a password."
        raise _refused(path.name, "not readable as a workbook", str(error), remedy) from None


def _parquet_rows(path: Path, raw: bytes) -> Iterable[Sequence[object]]:
    try:
        return _frame_rows(pd.read_parquet(io.BytesIO(raw)))
    except ImportError:
        raise _refused(path.name, "Parquet files need an extra library", path.suffix, INSTALL) from None
    except Exception as error:  # pyarrow's errors share no base with pandas'
        remedy = "Write the file again: it may be cut short."
        raise _refused(path.name, "not readable as Parquet", str(error), remedy) from None


def _frame_rows(frame: pd.DataFrame) -> list[Sequence[object]]:
    named = any(name is not None for name in frame.index.names)
    flat = frame.reset_index() if named else frame
    # By column, because a row of mixed columns would turn whole numbers into decimals.
    columns = [flat.iloc[:, position].tolist() for position in range(flat.shape[1])]
    return [list(flat.columns), *zip(*columns, strict=True)]


def _refused(place: str, rule: str, value: str, remedy: str) -> InputError:
    return InputError([Fault(place, rule, value, remedy)])


READERS: Mapping[str, Callable[[Path, bytes], Iterable[Sequence[object]]]] = {
    ".csv": _csv_rows,
    ".xlsx": _workbook_rows,
    ".xls": _workbook_rows,
    ".ods": _workbook_rows,
    ".parquet": _parquet_rows,
}
