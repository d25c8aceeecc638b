"""The logs of a forecast: assumptions, settings of rules, data and versions, as the forecast itself records them."""

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.panel import CombineReport
from sector_risk.quality.record import assumptions_of, regime_of
from sector_risk.quality.rows import DataRow, SettingRow, VersionRow
from sector_risk.regimes import REGIMES, Regime, Rule
from sector_risk.results import library_versions
from sector_risk.schema import FORECAST_FORMAT
from sector_risk.settings import CONFIDENCE, LogRow

NO_DEFAULT = ""
"""What stands for the default of something that the defaults do not have."""


def assumptions_log(forecast: xr.Dataset) -> tuple[SettingRow, ...]:
    """Every assumption beside its default."""
    return beside_defaults(assumptions_of(forecast).log(), Assumptions().log())


def rules_log(forecast: xr.Dataset) -> tuple[SettingRow, ...]:
    """Every setting of the rules beside that of the bundled regime of the same name, or else of the rule itself."""
    regime = regime_of(forecast)
    return beside_defaults(regime.log(), chain.from_iterable(usual(regime, rule) for rule in regime.rules))


def usual(regime: Regime, rule: Rule) -> Iterator[LogRow]:
    """Settings that a rule has where nobody changes them."""
    bundled = {known.name: known for known in REGIMES.get(regime.name, Regime("none")).rules}
    return bundled.get(rule.name, type(rule)()).log(rule.name)


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


def _panel_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    attrs = forecast.attrs
    meanings = {
        "source": "file or table from which the panel was made",
        "case": "bundled case",
        "synthetic": "the trusts are made up; together they match this",
        "read_from": "where in the file the table was",
        "year": "financial year",
        "panel_hash": "digest of the panel's codes and numbers: the same panel, the same digest",
        "sector_share": "share of the sector's turnover that the trusts have",
        "reconfigured": "what was done to trusts, in order",
    }
    for name, meaning in meanings.items():
        if name in attrs:
            yield DataRow(name, attrs[name], meaning)
    yield DataRow("rows", forecast.sizes["trust"], "trusts")


def _treatment_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    lists = {
        "left_out": "trusts that were left out",
        "not_used_yet": "read and not used",
        "notes": "to be known of the assumptions",
    }
    for name, rule in json.loads(forecast.attrs["filled"]).items():
        yield DataRow(f"filled: {name}", rule, "rule that filled what was missing, and for whom")
    for name, meaning in lists.items():
        for entry in json.loads(forecast.attrs.get(name, "[]")):
            yield DataRow(name.replace("_", " "), entry, meaning)
    if "combined" in forecast.attrs:
        for source in CombineReport.from_json(forecast.attrs["combined"]).sources:
            yield DataRow(f"combined: {source.source}", str(source), "what another source completed")


def _seen_rows(forecast: xr.Dataset) -> Iterator[DataRow]:
    if "months_seen" not in forecast:
        return
    meanings = {
        "through_month": "months up to this one may be seen",
        "last_month_reported": "last month of which anything was reported",
        "trusts_reporting": "rows of trusts that reported a month",
        "variance_reported": "GBP million, variance before support to date at each trust's last month, all together",
        "forecasts_declared": "trusts' own forecasts of the year end that were taken in",
    }
    for name, meaning in meanings.items():
        yield DataRow(name, forecast.attrs[name], meaning)
    for months, trusts in _counts(forecast["months_seen"].values.tolist()):
        yield DataRow(f"months seen: {months}", trusts, "number of trusts; 12 where a forecast was declared")


def versions_log(forecast: xr.Dataset, file: Path | None) -> tuple[VersionRow, ...]:
    """Versions and digests, when the forecast was made and now."""
    attrs, now = forecast.attrs, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    made, here = json.loads(attrs["versions"]), json.loads(library_versions())
    rows = [VersionRow(name, str(made.get(name, "")), str(here.get(name, ""))) for name in here | made]
    rows += [
        VersionRow("format", str(attrs.get("format", "")), str(FORECAST_FORMAT)),
        VersionRow("random stream", str(attrs.get("random_stream", "")), STREAM_VERSION),
        VersionRow("created (forecast), checked (now)", str(attrs.get("created", "")), now),
        VersionRow("digest of the panel", str(attrs.get("panel_hash", "")), ""),
        *(VersionRow(f"SHA-256 of the {name}", "", digest_of_text(attrs[name])) for name in _TEXTS if name in attrs),
    ]
    return (*rows, *(VersionRow(f"SHA-256 of {path.name}", "", digest_of_file(path)) for path in [file] if path))


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


def _counts(values: list[int]) -> Iterator[tuple[int, int]]:
    return ((value, values.count(value)) for value in sorted(set(values)))
