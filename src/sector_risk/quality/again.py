"""The check that a forecast can be made again: its first draws, to the bit."""

import json
import warnings

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.calibration import Calibration
from sector_risk.cases import CASES, load_case
from sector_risk.faults import InputError
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.kernels.sobol import REPLICATE
from sector_risk.parameter_draws import group_seed
from sector_risk.quality.rows import DAMAGE, CheckResult, NotRun
from sector_risk.regimes import Regime
from sector_risk.results import library_versions, panel_hash
from sector_risk.schema import FORECAST_FORMAT
from sector_risk.simulation import simulate

FIRST = 200
"""How many draws are made again, at most."""


def first_draws_again(forecast: xr.Dataset) -> CheckResult:
    """Number of values of the first draws that differ from a new run with the panel of the bundled case."""
    panel = panel_again(forecast)
    one_set, regime = settings_again(forecast)
    assumptions, seed, n_draws = first_group(forecast, one_set)
    sampling = str(forecast.attrs.get("sampling", "random"))
    n_draws = REPLICATE if sampling == "sobol" else n_draws
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = simulate(panel, assumptions, regime, n_draws=n_draws, seed=seed, sampling=sampling)
    except InputError as error:
        raise NotRun(f"it cannot be run here: {error.faults[0]}") from None
    differ = differences(made, forecast.isel(draw=slice(n_draws)))
    note = "; ".join([f"{n_draws} draws", *(f"{name} differs" for name in differ), *_versions_that_differ(forecast)])
    return CheckResult(not differ, float(sum(differ.values())), 0.0, "values", note)


def panel_again(forecast: xr.Dataset) -> xr.Dataset:
    """Load the bundled case that the forecast was made from, if that is what it was, and if it can be run again."""
    case = forecast.attrs.get("case")
    if case not in CASES:
        raise NotRun("the panel is not a bundled case: the file it was read from is needed")
    panel = load_case(str(case))
    if panel_hash(panel) != forecast.attrs.get("panel_hash"):
        raise NotRun("the panel is not the bundled case as this version has it")
    if (forecast.attrs.get("format"), forecast.attrs.get("random_stream")) != (FORECAST_FORMAT, STREAM_VERSION):
        raise NotRun("it was made with another format or other random numbers")
    if not np.array_equal(forecast["draw"].values[:FIRST], np.arange(min(FIRST, forecast.sizes["draw"]))):
        raise NotRun("the first draws are not there")
    return panel


def settings_again(forecast: xr.Dataset) -> tuple[Assumptions, Regime]:
    """Read the assumptions and the rules."""
    try:
        return Assumptions.from_json(forecast.attrs["assumptions"]), Regime.from_json(forecast.attrs["regime"])
    except DAMAGE:
        raise NotRun("its assumptions or its rules cannot be read") from None


def first_group(forecast: xr.Dataset, one_set: Assumptions) -> tuple[Assumptions, int, int]:
    """Assumptions, seed and number of the draws to be made again: all of one parameter set, where they are drawn."""
    seed, n_draws = int(forecast.attrs["seed"]), forecast.sizes["draw"]
    if "parameter_set" not in forecast.coords:
        return one_set, seed, min(FIRST, n_draws)
    fit = Calibration.from_toml(forecast.attrs["calibration"])
    return fit.draw(0, seed), group_seed(seed, 0), min(FIRST, int((forecast["parameter_set"] == 0).sum()))


def differences(made: xr.Dataset, stored: xr.Dataset) -> dict[str, int]:
    """Number of values that differ, by variable on draws that both have; trusts must have the same order."""
    by_draw = (str(name) for name in made.data_vars if "draw" in made[name].dims and name in stored)
    names = [name for name in by_draw if set(stored[name].dims) == set(made[name].dims)]
    counts = {name: int((made[name].values != stored[name].transpose(*made[name].dims).values).sum()) for name in names}
    return {name: count for name, count in counts.items() if count}


def _versions_that_differ(forecast: xr.Dataset) -> list[str]:
    """Say which versions of libraries are not those that the forecast was made with."""
    made, now = json.loads(forecast.attrs["versions"]), json.loads(library_versions())
    return [f"made with {name} {made.get(name)}, now {now[name]}" for name in now if made.get(name) != now[name]]
