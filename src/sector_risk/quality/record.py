"""Checks of the record: what a forecast says of itself is there, whole, and can be read."""

import re

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.quality.findings import DAMAGE, Finding, NotRun, same
from sector_risk.regimes import Regime
from sector_risk.schema import FORECAST, FORECAST_FORMAT

OPTIONAL = ("variance_by_quarter", "quarter", "months_seen", "particles_worth")
"""Variables that only some forecasts have."""
MAY_BE_MISSING = ("particles_worth",)
"""Variables that are no number for some trusts."""
DIGEST = re.compile(r"[0-9a-f]{32}")


def faults_of_variables(forecast: xr.Dataset) -> dict[str, str]:
    """Variables that are missing or on other dimensions than a forecast has, with what is wrong.

    >>> faults_of_variables(xr.Dataset({"plan": ("draw", [1.0])}))["plan"]
    'is on (draw), not (trust)'
    """
    found: dict[str, str] = {}
    for name, spec in FORECAST.items():
        if name not in forecast.variables:
            found |= {} if name in OPTIONAL else {name: "is missing"}
        elif set(forecast[name].dims) != set(spec.dims):
            found[name] = f"is on ({', '.join(map(str, forecast[name].dims))}), not ({', '.join(spec.dims)})"
    return found


def not_finite(forecast: xr.Dataset) -> dict[str, str]:
    """Variables of numbers with values that are not finite."""
    names = [name for name in FORECAST if name in forecast.variables and name not in MAY_BE_MISSING]
    numbers = (name for name in names if forecast[name].dtype.kind == "f")
    return {
        name: "is not finite throughout"
        for name in numbers
        if not np.isfinite(forecast[name].values.sum(dtype=np.float64))
    }


def is_complete(forecast: xr.Dataset) -> Finding:
    """Every variable of a forecast is there, on its dimensions."""
    return _none_of(faults_of_variables(forecast))


def is_finite(forecast: xr.Dataset) -> Finding:
    """All numbers are finite."""
    return _none_of(not_finite(forecast))


def format_is_read(forecast: xr.Dataset) -> Finding:
    """The format is the one that this version reads."""
    return same(forecast.attrs.get("format", "none"), FORECAST_FORMAT)


def stream_is_known(forecast: xr.Dataset) -> Finding:
    """The stream of random numbers is the one of this version."""
    return same(forecast.attrs.get("random_stream", "none"), STREAM_VERSION)


def codes_are_unique(forecast: xr.Dataset) -> Finding:
    """No code of a trust occurs twice."""
    codes = forecast["trust"].values.tolist()
    twice = sorted({code for code in codes if codes.count(code) > 1})
    return Finding(not twice, float(len(twice)), 0.0, "codes", ", ".join(twice))


def draws_are_whole(forecast: xr.Dataset) -> Finding:
    """There are as many draws as were made, numbered from nought."""
    made, numbers = int(forecast.attrs["n_draws"]), forecast["draw"].values
    if not np.array_equal(numbers, np.arange(len(numbers))):
        return Finding(False, float(len(numbers)), float(made), "draws", "draws are not numbered from nought")
    return Finding(len(numbers) == made, float(len(numbers)), float(made), "draws")


def sets_are_equal(forecast: xr.Dataset) -> Finding:
    """Every parameter set has as many draws as the others."""
    if "parameter_set" not in forecast.coords:
        raise NotRun("parameters are not drawn")
    sets, counts = np.unique(forecast["parameter_set"], return_counts=True)
    made = int(forecast.attrs["parameter_sets"])
    return Finding(len(sets) == made and counts.min() == counts.max(), float(len(sets)), float(made), "sets")


def hash_is_well_formed(forecast: xr.Dataset) -> Finding:
    """The digest of the panel has 32 hexadecimal digits."""
    came = str(forecast.attrs.get("panel_hash", "none"))
    return Finding(bool(DIGEST.fullmatch(came)), came, "32 hexadecimal digits")


def assumptions_read_back(forecast: xr.Dataset) -> Finding:
    """The assumptions can be read, and are the same when they are written again."""
    read = assumptions_of(forecast)
    again = Assumptions.from_json(read.to_json())
    return Finding(again == read, float(len(read.log())), "as written", "assumptions")


def regime_reads_back(forecast: xr.Dataset) -> Finding:
    """The rules can be read, and are the same when they are written again."""
    read = regime_of(forecast)
    again = Regime.from_json(read.to_json())
    return Finding(again == read, float(len(read.rules)), "as written", "rules")


def assumptions_of(forecast: xr.Dataset) -> Assumptions:
    """Read the assumptions of a forecast."""
    return Assumptions.from_json(forecast.attrs["assumptions"])


def regime_of(forecast: xr.Dataset) -> Regime:
    """Read the rules of a forecast."""
    return Regime.from_json(forecast.attrs["regime"])


def reads(forecast: xr.Dataset, name: str) -> bool:
    """Whether the assumptions or the regime can be read."""
    try:
        {"assumptions": assumptions_of, "regime": regime_of}[name](forecast)
    except DAMAGE:
        return False
    return True


def _none_of(faults: dict[str, str]) -> Finding:
    note = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    return Finding(not faults, float(len(faults)), 0.0, "variables", note)
