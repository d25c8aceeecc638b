"""Months as people write them: ``M3``, ``June``, ``Jun-18``, ``2018-06-30``, to months 1 (April) to 12 (March)."""

from __future__ import annotations

import re

from sector_risk.schema import MONTHS

NAMES = ("apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "jan", "feb", "mar")

_NUMBERED = re.compile(r"(?:m|month|p|period)?\s*0*(\d{1,2})")
_NAMED = re.compile(r"([a-z]{3})[a-z]*\.?[\s'/_-]*((?:20)?\d\d)?")
_DATED = re.compile(r"(20\d\d)-?(\d\d)(?:-?\d\d)?(?:t.*)?")


def month_of(text: str, start: int | None) -> int:
    """The month of a financial year that a text names.

    Parameters
    ----------
    text : str
        A number from 1 (April) to 12 (March), alone or after ``M``; a month's name, with its calendar year
        or without; or a date.
    start : int, optional
        The calendar year in which the financial year starts; None if it is not known, and then calendar
        years are not held against it.

    Raises
    ------
    ValueError
        If it names none, or a month of another year. The text says which.

    Examples
    --------
    >>> [month_of(text, 2018) for text in ("M03", "june", "Jun-18", "2019-03-31", "12")]
    [3, 3, 3, 12, 12]
    """
    folded = text.strip().casefold()
    if numbered := _NUMBERED.fullmatch(folded):
        month = int(numbered[1])
        if not 1 <= month <= MONTHS:
            raise ValueError("not a month from 1 to 12")
        return month
    month, year = _named(folded)
    first = start if month <= 9 else None if start is None else start + 1
    if None not in (year, first) and year != first:
        raise ValueError(f"a month of another year than {start}-{((start or 0) + 1) % 100:02d}")
    return month


def _named(folded: str) -> tuple[int, int | None]:
    """A month and its calendar year, from a name or a date."""
    if (named := _NAMED.fullmatch(folded)) and named[1] in NAMES:
        year = int(named[2]) % 100 + 2000 if named[2] else None
        return NAMES.index(named[1]) + 1, year
    if (dated := _DATED.fullmatch(folded)) and 1 <= int(dated[2]) <= MONTHS:
        return (int(dated[2]) - 4) % MONTHS + 1, int(dated[1])
    raise ValueError("not a month")
