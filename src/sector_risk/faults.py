"""What was wrong with what came in, and what to do about it.

A `Fault` is one finding in the reader's terms. Whoever checks an input collects every fault first and
then raises one `InputError`, so that a file is corrected once and not one cell at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["Fault", "InputError", "InputWarning", "as_sentence", "nearest", "raise_if_any"]

# A file with the wrong columns can have thousands of faults: the report shows the first of them, and
# `InputError.faults` holds all.
SHOWN = 40


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input.

    Parameters
    ----------
    place : str
        Where it is: the name of the file, the table or the argument.
    rule : str
        The rule that is broken, in words: ``"text in a number"``.
    value : str
        What came, as it came.
    remedy : str
        What to do, as a sentence.
    trust, variable : str
        The trust's code and the variable, where they apply.
    row : int, optional
        The row as a spreadsheet shows it: the header is row 1.
    sheet, column : str
        The sheet's name and the column's letter, in a workbook.

    Examples
    --------
    >>> print(Fault("plans.csv", "text in a number", "tbc", "Type a number.", "ZZ1", "plan", 7))
    row 7, trust ZZ1, plan: text in a number ('tbc'). Type a number.
    """

    place: str
    rule: str
    value: str
    remedy: str
    trust: str = ""
    variable: str = ""
    row: int | None = None
    sheet: str = ""
    column: str = ""

    def __str__(self) -> str:
        where = (
            f"sheet '{self.sheet}'" if self.sheet else "",
            f"row {self.row}" if self.row is not None else "",
            f"column {self.column}" if self.column else "",
            f"trust {self.trust}" if self.trust else "",
            self.variable,
        )
        prefix = ", ".join(part for part in where if part)
        came = f" ('{self.value}')" if self.value else ""
        return f"{prefix}{': ' if prefix else ''}{self.rule}{came}. {self.remedy}".rstrip()


class InputError(ValueError):
    """An input breaks one or more rules; nothing has been computed from it.

    Parameters
    ----------
    faults : iterable of Fault
        Everything that was found.

    Attributes
    ----------
    faults : tuple of Fault
        The same, in the order found.

    Examples
    --------
    >>> print(InputError([Fault("plans.csv", "no rows", "", "Add one row for each trust.")]))
    1 fault in plans.csv:
      no rows. Add one row for each trust.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        places = list(dict.fromkeys(fault.place for fault in self.faults))
        blocks = [_block(place, [f for f in self.faults if f.place == place][:SHOWN]) for place in places]
        hidden = sum(max(0, self._count(place) - SHOWN) for place in places)
        more = [f"  ... and {hidden} more: see the error's .faults"] if hidden else []
        return "\n".join([f"{_counted(len(self.faults))} in {', '.join(places)}:", *blocks, *more])

    def _count(self, place: str) -> int:
        return sum(fault.place == place for fault in self.faults)


class InputWarning(UserWarning):
    """An input can be used, but something in it was filled in, left out or looks unlikely."""


def raise_if_any(faults: Iterable[Fault]) -> None:
    """Raise one `InputError` that holds every fault; do nothing where there is none.

    Parameters
    ----------
    faults : iterable of Fault
        What the checks found.

    Raises
    ------
    InputError
        If there is at least one fault.

    Examples
    --------
    >>> raise_if_any([])
    """
    found = tuple(faults)
    if found:
        raise InputError(found)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Say which known name was probably meant.

    Parameters
    ----------
    name : str
        The name that came.
    known : iterable of str
        The names that would have been right. Case does not count.
    cutoff : float
        How alike the two must be, from 0 (anything) to 1 (the same).

    Returns
    -------
    str
        A question, or nothing if no known name is near.

    Examples
    --------
    >>> nearest("plann", ["plan", "turnover"])
    "did you mean 'plan'?"
    >>> nearest("zebra", ["plan", "turnover"])
    ''
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return f"did you mean '{by_folded[matches[0]]}'?" if matches else ""


def as_sentence(text: str) -> str:
    """Begin with a capital and leave the rest alone, names above all.

    Examples
    --------
    >>> as_sentence(nearest("Lundon", ["London"]))
    "Did you mean 'London'?"
    """
    return text[:1].upper() + text[1:]


def _block(place: str, faults: list[Fault]) -> str:
    return "\n".join(f"  {fault}" for fault in faults)


def _counted(count: int) -> str:
    return f"{count} fault" if count == 1 else f"{count} faults"
