"""Whether a file may be opened: it is there, of its kind, and of a size that memory can bear.

All is decided from the file's size, its first bytes and a zip archive's directory, before anything is
unpacked.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from sector_risk.faults import Fault, InputError, as_sentence, nearest

# A published workbook of accounts has 40 MB and unpacks to 400 MB.
LARGEST_FILE = 150 * 10**6
LARGEST_UNPACKED = 1_000 * 10**6
# Everything but sheets and their strings is small.
LARGEST_PART = 20 * 10**6
PARTS_OF_SHEETS = ("worksheets/", "sharedstrings", "content.xml", "media/")
# A sheet of figures shrinks 5 to 30 times, a bomb 1,000 times.
HIGHEST_RATIO = 200
RATIO_COUNTS_FROM = 10**6

# The first bytes of a file say what it is, whatever its name says.
ZIP, OLE, PARQUET = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"
KINDS: Mapping[bytes, str] = {
    ZIP: "an Excel or OpenDocument workbook (or another zip archive)",
    OLE: "an old Excel workbook, or one with a password",
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
HEAD = 65_536
SMALLER = "Save only the sheet that is needed, without pictures and formats, or as CSV."
AGAIN = "Open it in a spreadsheet program and save it again, without a password."


def refused(place: str, rule: str, value: str, remedy: str, sheet: str = "") -> InputError:
    """One fault of a whole file, or of one of its sheets."""
    return InputError([Fault(place, rule, value, remedy, sheet=sheet)])


def require_readable(path: Path) -> None:
    """Refuse a file before it is opened in earnest.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.xlsx``, ``.xls``, ``.ods`` or ``.parquet`` file.

    Raises
    ------
    InputError
        If there is no such file, if it is not what its name says, if it is larger than `LARGEST_FILE`, or if
        it would unpack to more than `LARGEST_UNPACKED` or to more than `HIGHEST_RATIO` times its size.
    """
    _require_file(path)
    _require_kind(path, _head(path))
    if EXPECTED[path.suffix.lower()] == {ZIP}:
        _require_small_contents(path)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise refused(str(path), "a folder, not a file", "", "Name the file inside it.")
    if not path.exists():
        raise refused(str(path), "no such file", "", _other_names(path))
    if path.suffix.lower() not in EXPECTED:
        remedy = f"Save it as one of {', '.join(EXPECTED)}."
        raise refused(path.name, "not a kind of file that can be read", path.suffix, remedy)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise refused(path.name, f"larger than {megabytes(LARGEST_FILE)}", megabytes(size), SMALLER)


def _other_names(path: Path) -> str:
    beside = path.parent
    names = [other.name for other in beside.iterdir()] if beside.is_dir() else []
    return f"Check the name and the folder. {as_sentence(nearest(path.name, names))}".rstrip()


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        remedy = "Close it elsewhere, or ask for the right to read it."
        raise refused(path.name, "the file cannot be opened", str(error.strerror), remedy) from None


def _require_kind(path: Path, head: bytes) -> None:
    if not head:
        raise refused(path.name, "an empty file", "", "Save the table again.")
    suffix = path.suffix.lower()
    found = next((magic for magic in KINDS if head.startswith(magic)), None)
    right = found in EXPECTED[suffix] if EXPECTED[suffix] else found is None and b"\0" not in head
    if not right:
        came = KINDS[found] if found else "text" if b"\0" not in head else "binary data"
        remedy = f"Save it anew as {suffix}, or give the file the suffix of what it is."
        raise refused(path.name, f"the file is not what its name says: it holds {came}", suffix, remedy)


def _require_small_contents(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, struct.error) as error:
        raise refused(path.name, "not readable as a workbook", str(error), AGAIN) from None
    total = sum(part.file_size for part in parts)
    if total > LARGEST_UNPACKED:
        rule = f"unpacks to more than {megabytes(LARGEST_UNPACKED)}"
        raise refused(path.name, rule, megabytes(total), SMALLER)
    for part in parts:
        _require_small_part(path, part)


def _require_small_part(path: Path, part: zipfile.ZipInfo) -> None:
    size = part.file_size
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        rule = f"a part is packed as no workbook is: {part.filename}"
        raise refused(path.name, rule, str(part.compress_type), AGAIN)
    if size > RATIO_COUNTS_FROM and size > HIGHEST_RATIO * part.compress_size:
        rule = f"a part unpacks to more than {HIGHEST_RATIO} times its size, as no table does: {part.filename}"
        raise refused(path.name, rule, megabytes(size), SMALLER)
    if size > LARGEST_PART and not any(name in part.filename.casefold() for name in PARTS_OF_SHEETS):
        rule = f"a part that is no sheet is larger than {megabytes(LARGEST_PART)}: {part.filename}"
        raise refused(path.name, rule, megabytes(size), SMALLER)


def megabytes(size: int) -> str:
    """A size in words.

    >>> megabytes(150_000_000)
    '150 MB'
    """
    return f"{size / 10**6:,.0f} MB"
