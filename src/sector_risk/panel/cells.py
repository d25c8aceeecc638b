"""One cell: what its text means as a number, as a yes or no, or as nothing."""

from __future__ import annotations

import datetime
import re

from sector_risk.schema import Kind

NOTHING = frozenset({"", "-", "–", "—", "n/a", "na", "nan"})
YES_OR_NO = {
    **dict.fromkeys(("yes", "y", "true", "1", "1.0"), 1.0),
    **dict.fromkeys(("no", "n", "false", "0", "0.0"), 0.0),
}

# What Excel shows where a formula has no result.
EXCEL_ERRORS = frozenset(
    {
        "#ref!",
        "#div/0!",
        "#n/a",
        "#value!",
        "#name?",
        "#num!",
        "#null!",
        "#spill!",
        "#calc!",
        "#getting_data",
        "#field!",
    }
)

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?")
_IN_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_BRACKETS = re.compile(r"\(\s*([0-9.,e]+)\s*\)")


def is_missing(text: str) -> bool:
    """Whether a cell says that there is nothing: blank, a dash, n/a."""
    return text.strip().casefold() in NOTHING


def is_excel_error(text: str) -> bool:
    """Whether a cell is one of Excel's errors.

    >>> is_excel_error("#REF!"), is_excel_error("n/a")
    (True, False)
    """
    return text.strip().casefold() in EXCEL_ERRORS


def unreadable(text: str, rule: str, remedy: str) -> tuple[str, str]:
    """The rule and the remedy for a cell that cannot be read; an Excel error and a formula are called so."""
    if is_excel_error(text):
        return "an Excel error cell", "Mend the formula, or clear the cell if the figure is not known."
    if text.startswith("="):
        return "a formula whose result was not saved", "Open the file in a spreadsheet program and save it again."
    return rule, remedy


def as_text(cell: object) -> str:
    """Write a cell of a workbook or a DataFrame as a person would have typed it.

    Examples
    --------
    >>> [as_text(cell) for cell in ("  ZZ1 ", 5.0, 0.1, None, float("nan"), True)]
    ['ZZ1', '5', '0.1', '', '', 'True']
    """
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or str(cell) in {"nan", "NaT", "<NA>"}:
        return ""
    if isinstance(cell, datetime.datetime | datetime.date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)


def as_number(text: str) -> float:
    """Read a number as accountants write it; a missing one is NaN.

    Raises
    ------
    ValueError
        If the text is not a number.

    Examples
    --------
    >>> [as_number(text) for text in ("£1,234.5", "(12.5)", "-3", " n/a ")]
    [1234.5, -12.5, -3.0, nan]
    """
    if is_missing(text):
        return float("nan")
    bare = text.casefold().replace("£", "").replace("−", "-").replace("\xa0", " ").strip()
    bare = _BRACKETS.sub(r"-\1", bare)
    if _IN_THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    if not _PLAIN.fullmatch(bare):
        raise ValueError(text)
    return float(bare) + 0.0  # so that "(0)" is 0.0 and not -0.0


def as_flag(text: str) -> float:
    """Read yes or no, true or false, 1 or 0 as 1.0 or 0.0; a missing one is NaN.

    Raises
    ------
    ValueError
        If the text is none of these.
    """
    if is_missing(text):
        return float("nan")
    try:
        return YES_OR_NO[text.strip().casefold()]
    except KeyError:
        raise ValueError(text) from None


def as_value(text: str, kind: Kind, per_cent: bool = False, fraction: bool = False) -> float:
    """Read a cell as its variable's kind; a per cent column may repeat the sign in its cells, a fraction have it.

    Raises
    ------
    ValueError
        If the text cannot be read so.
    """
    if kind == "flag":
        return as_flag(text)
    text = text.strip()
    if fraction and text.endswith("%"):
        return as_number(text.removesuffix("%")) / 100.0
    return as_number(text.removesuffix("%") if per_cent else text)
