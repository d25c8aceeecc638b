"""Rows of the tables of a quality pack; the fields are the columns of its CSV files."""

from typing import Any, NamedTuple

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


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
    """A modelling choice that is in force, or something that is not modelled."""

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
    """A table that could not be made, and why."""

    table: str
    reason: str
