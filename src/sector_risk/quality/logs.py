"""The logs of a forecast, as it records them: assumptions, settings of rules, data, decisions and versions."""

import datetime
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import xarray as xr

from sector_risk.assumptions import Assumptions, CentralAction, Centre
from sector_risk.assumptions.dependence import FACTOR_DRIVERS, LEVELS
from sector_risk.evidence_log import assumption_rows, rule_rows
from sector_risk.faults import InputError
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.panel import CombineReport
from sector_risk.quality.rows import DataRow, DecisionRow, SettingRow, VersionRow
from sector_risk.readings import rules_in_force
from sector_risk.regimes import REGIMES, Regime
from sector_risk.results import library_versions
from sector_risk.schema import FORECAST_FORMAT
from sector_risk.settings import CONFIDENCE, LogRow

NO_DEFAULT = ""
"""What stands for the default of something that the defaults do not have."""


def assumptions_log(forecast: xr.Dataset) -> tuple[SettingRow, ...]:
    """Every assumption beside its default."""
    return beside_defaults(assumption_rows(forecast.attrs), Assumptions().log())


def rules_log(forecast: xr.Dataset) -> tuple[SettingRow, ...]:
    """Every setting of the rules beside that of the bundled regime of the same name, or else of the rule itself."""
    return beside_defaults(rule_rows(forecast.attrs), usual_settings(forecast.attrs["regime"]))


def usual_settings(text: str) -> Iterator[LogRow]:
    """Settings that rules have where nobody changes them; of rules that are not registered here none."""
    try:
        regime = Regime.from_json(text)
    except InputError:
        return
    bundled = {known.name: known for known in REGIMES.get(regime.name, Regime("none")).rules}
    for rule in regime.rules:
        yield from bundled.get(rule.name, type(rule)()).log(rule.name)


def beside_defaults(rows: Iterable[LogRow], defaults: Iterable[LogRow]) -> tuple[SettingRow, ...]:
    """Rows of a log with the meaning of their marks and whether their values are the defaults."""
    default_of = {row.name: row.value for row in defaults}
    return tuple(_setting_row(row, default_of.get(row.name, NO_DEFAULT)) for row in rows)


def _setting_row(row: LogRow, default: object) -> SettingRow:
    changed = "no" if row.value == default else "yes"
    known = CONFIDENCE[row.confidence]
    return SettingRow(row.name, row.value, row.unit, row.meaning, row.source, row.confidence, known, default, changed)


def data_log(forecast: xr.Dataset) -> tuple[DataRow, ...]:
    """Where the panel comes from, and what was done to it before the forecast."""
    return (*_panel_rows(forecast), *_treatment_rows(forecast), *_seen_rows(forecast))


ORIGIN = {
    "source": "file or table from which the panel was made",
    "case": "bundled case",
    "synthetic": "the trusts are made up; together they match this",
    "read_from": "where in the file the table was",
    "year": "financial year",
    "panel_hash": "digest of the panel's codes and numbers: the same panel, the same digest",
    "sector_share": "share of the sector's turnover that the trusts have",
    "reconfigured": "what was done to trusts, in order",
}
TREATMENT = {
    "left_out": "trusts that were left out",
    "not_used_yet": "read and not used",
    "notes": "to be known of the assumptions",
}
SEEN = {
    "through_month": "months up to this one may be seen",
    "last_month_reported": "last month of which anything was reported",
    "trusts_reporting": "rows of trusts that reported a month",
    "variance_reported": "GBP million, variance before support to date at each trust's last month, all together",
    "forecasts_declared": "trusts' own forecasts of the year end that were taken in",
}


def _panel_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    yield from (DataRow(name, forecast.attrs[name], said) for name, said in ORIGIN.items() if name in forecast.attrs)
    yield DataRow("rows", forecast.sizes["trust"], "trusts")


def _treatment_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    attrs = forecast.attrs
    for name, rule in json.loads(attrs["filled"]).items():
        yield DataRow(f"filled: {name}", rule, "rule that filled what was missing, and for whom")
    for name, meaning in TREATMENT.items():
        yield from (DataRow(name.replace("_", " "), entry, meaning) for entry in json.loads(attrs.get(name, "[]")))
    if "combined" in attrs:
        for source in CombineReport.from_json(attrs["combined"]).sources:
            yield DataRow(f"combined: {source.source}", str(source), "what another source completed")


def _seen_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    if "months_seen" not in forecast:
        return
    yield from (DataRow(name, forecast.attrs[name], meaning) for name, meaning in SEEN.items())
    for months, trusts in sorted(Counter(forecast["months_seen"].values.tolist()).items()):
        yield DataRow(f"months seen: {months}", trusts, "number of trusts; 12 where a forecast was declared")


def decisions_log(forecast: xr.Dataset) -> tuple[DecisionRow, ...]:
    """Choices in force, each with its reason and where it can be changed."""
    assumptions = Assumptions.from_json(forecast.attrs["assumptions"])
    return (
        *_of_run(forecast),
        _of_evidence(forecast),
        _of_parameters(forecast),
        *_of_dependence(assumptions),
        *_of_centre(assumptions),
        *_of_own_drivers(json.loads(forecast.attrs.get("drivers", "{}"))),
        *_of_filled(json.loads(forecast.attrs.get("filled", "{}"))),
    )


def _of_run(forecast: xr.Dataset) -> Iterator[DecisionRow]:
    attrs = forecast.attrs
    reason = "Unless asked for, the rules of the panel's year, where it has support allocations"
    yield DecisionRow("rules", rules_in_force(attrs), reason, "regime= (--regime); settings in rules.csv")
    reason = "Any will do; the same one makes scenarios share chance"
    yield DecisionRow("seed", str(attrs["seed"]), reason, "seed= (--seed)")
    reason = "Chance in the draws must be small beside the spread: errors.csv says how small it is"
    yield DecisionRow("draws", f"{forecast.sizes['draw']:,}", reason, "n_draws= (--draws)")


def _of_evidence(forecast: xr.Dataset) -> DecisionRow:
    where = "condition(through_month=) (--through-month)"
    if "months_seen" not in forecast:
        return DecisionRow("months seen", "none", "The forecast is made before the year, from plans", where)
    reported, month = forecast.attrs["trusts_reporting"], forecast.attrs["last_month_reported"]
    reason = "What was reported is met in every draw; what is behind it follows from all reports"
    return DecisionRow("months seen", f"up to month {month}, {reported} reporting", reason, where)


def _of_parameters(forecast: xr.Dataset) -> DecisionRow:
    where = "simulate_with_parameters (--assumptions with a fit, --parameter-sets)"
    if "parameter_set" not in forecast.coords:
        reason = "Every assumption is held at the value in assumptions.csv: ranges leave out that it may be wrong"
        return DecisionRow("parameters", "held at one value", reason, where)
    reason = (
        "Ranges take in that fitted parameters are not known; draws of a set are alike, and errors that take draws as "
        "independent are too small"
    )
    return DecisionRow("parameters", f"drawn {forecast.attrs['parameter_sets']} times from a fit", reason, where)


def _of_dependence(assumptions: Assumptions) -> Iterator[DecisionRow]:
    """What trusts share, and how extremes come together."""
    dependence = assumptions.dependence
    tails = f"Student t with {dependence.tail_dof:g} degrees of freedom" if dependence.tail_dof else "Gaussian"
    reason = f"{dependence.evidence_of('tail_dof').source}; with Student t, extremes come together more often"
    yield DecisionRow("dependence between trusts", tails, reason, "assumptions: dependence.tail_dof")
    apart = (name for name in FACTOR_DRIVERS if not any(getattr(getattr(dependence, name), x) for x in LEVELS))
    reason = "Independence is said, never assumed; the source of each is in assumptions.csv"
    said = ", ".join(apart) or "none"
    yield DecisionRow("drivers that are independent between trusts", said, reason, "assumptions: dependence")


def _of_centre(assumptions: Assumptions) -> Iterator[DecisionRow]:
    """Central actions in force, and those of the defaults that are left out."""
    where, actions = "assumptions: centre.actions", assumptions.centre.actions
    for action in actions:
        source = action.evidence_of("planned").source
        yield DecisionRow(f"central action: {action.name}", _amount(action), source, where)
    here, reason = {action.name for action in actions}, "The defaults have it; the assumptions given do not"
    for name in (action.name for action in Centre().actions if action.name not in here):
        yield DecisionRow(f"central action: {name}", "left out", reason, where)


def _amount(action: CentralAction) -> str:
    """What an action plans, and what is expected of it."""
    return f"GBP {action.planned:,.0f}m planned, {action.delivery.mean():.0%} of it expected"


def _of_own_drivers(own: dict[str, dict[str, str]]) -> Iterator[DecisionRow]:
    where = "sector_risk.driver and assumptions: drivers"
    for name, said in own.items():
        yield DecisionRow(f"own driver: {name}", "in force", str(said["source"]), where)
    if not own:
        yield DecisionRow("own drivers", "none", "The library's own causes are taken to be enough", where)


def _of_filled(filled: dict[str, str]) -> Iterator[DecisionRow]:
    if "turnover" in filled:
        reason = "Per cents hold, millions are as good as the rule: doubt about what was filled is not modelled"
        yield DecisionRow("turnover", "filled by a rule", reason, "give turnover in the panel")


def versions_log(forecast: xr.Dataset) -> tuple[VersionRow, ...]:
    """Versions and digests, when the forecast was made and now."""
    attrs, now = forecast.attrs, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    made, here = json.loads(attrs["versions"]), json.loads(library_versions())
    return (
        *(VersionRow(name, str(made.get(name, "")), str(here.get(name, ""))) for name in here | made),
        VersionRow("format", str(attrs.get("format", "")), str(FORECAST_FORMAT)),
        VersionRow("random stream", str(attrs.get("random_stream", "")), STREAM_VERSION),
        VersionRow("created (forecast), checked (now)", str(attrs.get("created", "")), now),
        VersionRow("digest of the panel", str(attrs.get("panel_hash", "")), ""),
        *(VersionRow(f"SHA-256 of the {name}", "", digest_of_text(attrs[name])) for name in _TEXTS if name in attrs),
    )


_TEXTS = ("assumptions", "regime", "calibration")


def digest_of_text(text: str) -> str:
    """SHA-256 of a text in UTF-8.

    >>> digest_of_text("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names of its files and what is in them, in the order of the names."""
    if path.is_dir():
        files = sorted((part.relative_to(path).as_posix(), part) for part in path.rglob("*") if part.is_file())
        return digest_of_text("".join(f"{digest_of_file(part)}  {name}\n" for name, part in files))
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
