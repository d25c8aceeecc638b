"""Rows of the tables of a quality pack, whose fields are the columns of its files; and what a check finds."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sector_risk.schema import MONEY

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
"""What reading a damaged file may raise; `InputError` and faults of JSON are among them."""


class CheckResult(NamedTuple):
    """A figure, the limit that it is held against, and whether it is within."""

    passed: bool
    figure: float | str
    limit: float | str
    unit: str = ""
    note: str = ""


class NotRun(Exception):  # noqa: N818 (it is no error: a check does not apply)
    """A check cannot be made of this forecast; the message says why."""


def within(gap: float, limit: float, unit: str = MONEY, note: str = "") -> CheckResult:
    """Hold a gap against a limit; what is no number is not within it.

    >>> within(0.5, 1.0).passed, within(float("nan"), 1.0).passed
    (True, False)
    """
    return CheckResult(bool(gap <= limit), float(gap), float(limit), unit, note)


def none_of(faults: Iterable[str], unit: str) -> CheckResult:
    """Pass if there are no faults, and name those that there are.

    >>> none_of(["plan is missing"], "variables").note
    'plan is missing'
    """
    named = list(faults)
    return CheckResult(not named, float(len(named)), 0.0, unit, "; ".join(named))


def worst(results: Iterable[CheckResult]) -> CheckResult:
    """Of several results of one check, the first that failed, or else the first.

    >>> worst([within(1.0, 2.0), within(3.0, 2.0)]).figure
    3.0
    """
    every = list(results)
    return next((result for result in every if not result.passed), every[0])


class SettingRow(NamedTuple):
    """An assumption or a setting of a rule, with its evidence."""

    name: str
    value: Any
    unit: str
    meaning: str
    source: str
    confidence: str
    confidence_meaning: str
    default: Any
    changed: str


class DataRow(NamedTuple):
    """What went into the forecast, and what was done to it."""

    item: str
    value: Any
    meaning: str


class DecisionRow(NamedTuple):
    """A modelling choice that is in force."""

    choice: str
    in_force: str
    reason: str
    where_to_change: str


class CheckRow(NamedTuple):
    """A check that was made now."""

    name: str
    check: str
    result: str
    figure: float | str
    limit: float | str
    unit: str
    note: str


class ErrorRow(NamedTuple):
    """A headline figure with its Monte Carlo standard error."""

    figure: str
    value: float
    standard_error: float
    unit: str
    method: str


class ShareRow(NamedTuple):
    """Share of an effect in the variance of a unit's year end, and its part of spread and tail, GBP million."""

    unit: str
    effect: str
    share: float
    share_error: float
    part_of_sd: float
    part_of_sd_error: float
    deficit_in_worst_5_percent: float
    deficit_in_worst_5_percent_error: float


class VersionRow(NamedTuple):
    """A version, a date or a digest: when the forecast was made, and now."""

    item: str
    when_made: str
    now: str


class GapRow(NamedTuple):
    """A table that damage kept from being made, and why."""

    table: str
    reason: str
