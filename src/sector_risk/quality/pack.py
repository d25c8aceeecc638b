"""The quality pack: all tables that a reviewer needs, from a forecast alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import xarray as xr

from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.quality import rows
from sector_risk.quality.checks import explained, run_checks
from sector_risk.quality.figures import headline_errors, shares_of_range
from sector_risk.quality.logs import (
    assumptions_log,
    data_log,
    decisions_log,
    digest_of_file,
    rules_log,
    versions_log,
)
from sector_risk.units import dask_faults

Rows = tuple[Any, ...]
"""Rows of one table, named tuples of its type."""


class Table(NamedTuple):
    """A table of the pack: the type of its rows, what makes them of a forecast, and what the table says."""

    row: type[Any]
    make: Callable[[xr.Dataset], Rows]
    words: str


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "assumptions": Table(
            rows.SettingRow, assumptions_log, "every assumption: value, source, mark, default, changed or not"
        ),
        "rules": Table(rows.SettingRow, rules_log, "every setting of the rules, likewise"),
        "data": Table(rows.DataRow, data_log, "where the data come from, and what was done to them"),
        "decisions": Table(rows.DecisionRow, decisions_log, "choices in force, with reasons and where to change them"),
        "checks": Table(rows.CheckRow, run_checks, "checks made on the forecast, with figures and limits"),
        "errors": Table(rows.ErrorRow, headline_errors, "Monte Carlo errors of the headline figures"),
        "uncertainty": Table(rows.ShareRow, shares_of_range, "each effect's share in the range of outcomes"),
        "versions": Table(rows.VersionRow, versions_log, "versions and digests"),
    }
)
"""All tables by name; each is written to a file of its name."""


@dataclass(frozen=True)
class QualityPack:
    """What a review of a forecast needs, as tables; each row is a named tuple.

    Parameters
    ----------
    title : str
        Of whom, when and what the forecast speaks.
    tables : mapping of str to tuple
        Rows of "assumptions", "rules", "data", "decisions", "checks", "errors", "uncertainty" and "versions".
    not_made : tuple of GapRow
        Tables that damage kept from being made, and why; they are empty.
    """

    title: str
    tables: Mapping[str, Rows]
    not_made: tuple[rows.GapRow, ...] = ()

    @property
    def checks(self) -> tuple[rows.CheckRow, ...]:
        """Checks run now: passed, failed or not run, with figure and limit."""
        return self.tables["checks"]

    @property
    def failed(self) -> tuple[rows.CheckRow, ...]:
        """Checks that failed."""
        return tuple(row for row in self.checks if row.result == rows.FAILED)


def quality_pack(forecast: xr.Dataset, *, file: str | Path | None = None) -> QualityPack:
    """Check a forecast now, and put together what a review of it needs.

    The Aqua Book (HM Treasury, 2015) asks of analysis that decisions rest on: verification, validation, logs of
    assumptions, decisions and data, and each uncertainty's share in the range of outcomes. Verification and the logs
    are here; validation against what came to pass is `backtest`.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition`, `simulate_with_parameters` or `open_forecast`.
    file : str or Path, optional
        The file that it was opened from: its digest is noted.

    Returns
    -------
    QualityPack
        A check that fails is reported in it and not raised; a table that damage keeps from being made is empty, and
        `not_made` says why.

    Raises
    ------
    InputError
        If it is not a forecast at all: a projection, a summary, something else.

    Examples
    --------
    >>> import sector_risk as sr
    >>> pack = quality_pack(sr.simulate(sr.load_case("england-2018-19"), n_draws=2_500))
    >>> pack.failed
    ()
    >>> {row.name: row.result for row in pack.checks}["again"]
    'passed'
    """
    check_kind(forecast)
    made = {name: _attempt(table.make, forecast) for name, table in TABLES.items()}
    tables = {name: found for name, (found, _) in made.items()}
    if file:
        digest = rows.VersionRow(f"SHA-256 of {Path(file).name}", "", digest_of_file(Path(file)))
        tables["versions"] = (*tables["versions"], digest)
    gaps = tuple(rows.GapRow(name, reason) for name, (_, reason) in made.items() if reason)
    return QualityPack(title_of(forecast), MappingProxyType(tables), gaps)


def check_kind(forecast: xr.Dataset) -> None:
    """Raise an `InputError` for what is not a forecast at all."""
    if "year" in forecast.dims:
        remedy = "Give the forecast of one year: simulate makes it from the same panel."
        raise InputError([Fault("forecast", "a projection of several years", "", remedy)])
    if not (forecast.sizes.get("trust") and forecast.sizes.get("draw")):
        came, remedy = ", ".join(map(str, forecast.sizes)), "Give what simulate, condition or open_forecast gave."
        raise InputError([Fault("forecast", "not a forecast of trusts by draw", came, remedy)])
    raise_if_any(dask_faults(forecast))


def title_of(forecast: xr.Dataset) -> str:
    """Say what was forecast, for which year, of how many trusts.

    >>> title_of(xr.Dataset(coords={"trust": ["ZZ1", "ZZ2"]}, attrs={"title": "Forecast", "year": "2018-19"}))
    'Forecast, 2018-19, 2 trusts'
    """
    said = (str(forecast.attrs.get(name, f"{name} not stated")) for name in ("title", "year"))
    return ", ".join((*said, f"{forecast.sizes['trust']} trusts"))


def _attempt(make: Callable[[xr.Dataset], Rows], forecast: xr.Dataset) -> tuple[Rows, str]:
    """Rows of a table; where damage keeps them from being made, none and the reason."""
    try:
        return make(forecast), ""
    except rows.DAMAGE as error:
        return (), explained(error)
