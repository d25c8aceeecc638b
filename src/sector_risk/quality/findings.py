"""What a check finds, what keeps it from running, and what damage may make of reading a file."""

from typing import NamedTuple

DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
"""What reading a damaged file may raise; `InputError` and faults of JSON are among them."""
EPS32 = 2.0**-23
SAME = 1e-9
"""Relative limit for sums in double precision."""


class Finding(NamedTuple):
    """A figure, the limit that it is held against, and whether it is within."""

    passed: bool
    figure: float | str
    limit: float | str
    unit: str = ""
    note: str = ""


class NotRun(Exception):  # noqa: N818 (it is no error: a check does not apply)
    """A check cannot be made of this forecast; the message says why."""


def within(gap: float, limit: float, unit: str = "GBP million") -> Finding:
    """Hold a gap against a limit; what is no number is not within it.

    >>> within(0.5, 1.0).passed, within(float("nan"), 1.0).passed
    (True, False)
    """
    return Finding(bool(gap <= limit), float(gap), float(limit), unit)


def same(came: object, wanted: object) -> Finding:
    """Hold what came against what is wanted.

    >>> same(1, 1).passed, same("a", "b").passed
    (True, False)
    """
    return Finding(came == wanted, str(came), str(wanted))
