"""The quality pack: all tables that a reviewer needs, from a forecast alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from sector_risk.faults import Fault, InputError
from sector_risk.quality.chance import headline_errors
from sector_risk.quality.checks import explained, run_checks
from sector_risk.quality.decisions import decisions_log
from sector_risk.quality.findings import DAMAGE
from sector_risk.quality.logs import assumptions_log, data_log, rules_log, versions_log
from sector_risk.quality.rows import (
    FAILED,
    CheckRow,
    DataRow,
    DecisionRow,
    ErrorRow,
    GapRow,
    SettingRow,
    ShareRow,
    VersionRow,
)
from sector_risk.quality.shares import shares_of_range


@dataclass(frozen=True)
class QualityPack:
    """What a review of a forecast needs, as tables; each row is a named tuple.

    Parameters
    ----------
    title : str
        Of whom, when and what the forecast speaks.
    assumptions, rules : tuple of SettingRow
        Every assumption and every setting of the rules: value, unit, meaning, source, mark and what the mark means,
        the default, and whether it was changed.
    data : tuple of DataRow
        Where the panel comes from, what was filled, left out, not used, reconfigured, combined, and what was seen.
    decisions : tuple of DecisionRow
        Modelling choices in force and what is not modelled, with reasons and where each can be changed.
    checks : tuple of CheckRow
        Checks run now: passed, failed or not run, with figure and limit.
    errors : tuple of ErrorRow
        Headline figures with their Monte Carlo standard errors.
    uncertainty : tuple of ShareRow
        Share of each effect in the variance of the sector's and the NHS's year end.
    versions : tuple of VersionRow
        Versions and digests.
    not_made : tuple of GapRow
        Tables that damage kept from being made, and why.
    """

    title: str
    assumptions: tuple[SettingRow, ...]
    rules: tuple[SettingRow, ...]
    data: tuple[DataRow, ...]
    decisions: tuple[DecisionRow, ...]
    checks: tuple[CheckRow, ...]
    errors: tuple[ErrorRow, ...]
    uncertainty: tuple[ShareRow, ...]
    versions: tuple[VersionRow, ...]
    not_made: tuple[GapRow, ...] = ()

    @property
    def failed(self) -> tuple[CheckRow, ...]:
        """Checks that failed."""
        return tuple(row for row in self.checks if row.result == FAILED)


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
    made = {name: _attempt(make, forecast) for name, make in MAKERS.items()}
    made["versions"] = _attempt(partial(versions_log, file=Path(file) if file else None), forecast)
    return QualityPack(
        title=title_of(forecast),
        checks=run_checks(forecast),
        not_made=tuple(GapRow(name, reason) for name, (_, reason) in made.items() if reason),
        **{name: rows for name, (rows, _) in made.items()},
    )


def check_kind(forecast: xr.Dataset) -> None:
    """Raise an `InputError` for what is not a forecast at all."""
    if "year" in forecast.dims:
        remedy = "Give the forecast of one year: simulate makes it from the same panel."
        raise InputError([Fault("forecast", "a projection of several years", "", remedy)])
    if not (forecast.sizes.get("trust") and forecast.sizes.get("draw")):
        came, remedy = ", ".join(map(str, forecast.sizes)), "Give what simulate, condition or open_forecast gave."
        raise InputError([Fault("forecast", "not a forecast of trusts by draw", came, remedy)])


def title_of(forecast: xr.Dataset) -> str:
    """Say what was forecast, for which year, of how many trusts.

    >>> title_of(xr.Dataset(coords={"trust": ["ZZ1", "ZZ2"]}, attrs={"title": "Forecast", "year": "2018-19"}))
    'Forecast, 2018-19, 2 trusts'
    """
    said = (str(forecast.attrs.get(name, f"{name} not stated")) for name in ("title", "year"))
    return ", ".join((*said, f"{forecast.sizes['trust']} trusts"))


MAKERS: Mapping[str, Callable[[xr.Dataset], tuple[Any, ...]]] = {
    "assumptions": assumptions_log,
    "rules": rules_log,
    "data": data_log,
    "decisions": decisions_log,
    "errors": headline_errors,
    "uncertainty": shares_of_range,
}


def _attempt(make: Callable[[xr.Dataset], tuple[Any, ...]], forecast: xr.Dataset) -> tuple[tuple[Any, ...], str]:
    """Rows of a table; where damage keeps them from being made, none and the reason."""
    try:
        return make(forecast), ""
    except DAMAGE as error:
        return (), explained(error)
