"""Forecasts that draw parameters: groups of draws, each under its own joint draw, and the two widths apart."""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.calibration import Calibration
from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.kernels.random import stream_key
from sector_risk.panel import check_panel
from sector_risk.regimes import Regime
from sector_risk.simulation import simulate
from sector_risk.summary import mean_error
from sector_risk.units import NHS, SECTOR

F64 = NDArray[np.float64]
Forecaster = Callable[..., xr.Dataset]
Z95 = 1.6448536269514722
BAND = 0.02
"""Probability to each side over which the density at a quantile is read off."""


def simulate_with_parameters(
    panel: xr.Dataset,
    calibration: Calibration,
    regime: Regime | str | None = None,
    *,
    n_draws: int = 10_000,
    parameter_sets: int = 40,
    seed: int = 0,
    forecaster: Forecaster = simulate,
    **settings: Any,
) -> xr.Dataset:
    """Forecast with parameters that are uncertain: draws in equal groups, each under its own joint draw.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        As for `simulate`; checked here.
    calibration : Calibration
        From `calibrate`.
    regime : Regime or str, optional
        As for `simulate`.
    n_draws : int
        Draws in all, a multiple of `parameter_sets`, at least two for each.
    parameter_sets : int
        Joint draws of the parameters, two or more.
    seed : int
        Not negative. Group k depends on it, on k and on the size of a group alone.
    forecaster : function (panel, assumptions, regime, n_draws=, seed=, ...)
        What makes the forecast of a group: `simulate`, or `condition` with `through_month` among the settings. The
        months seen then shape each group's forecast, and not which parameters are likely: all sets count alike.
    settings : keyword arguments
        Passed on to it.

    Returns
    -------
    Dataset
        As `forecaster` gives, with coordinate `parameter_set` (draw); attributes hold the calibration as TOML.

    Raises
    ------
    InputError
        With every fault of panel and settings.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.calibration import calibrate
    >>> from sector_risk.history import History
    >>> case, prior = sr.load_case("england-2018-19"), calibrate(History())
    >>> forecast = simulate_with_parameters(case, prior, n_draws=400, parameter_sets=8)
    >>> forecast.sizes["draw"], np.unique(forecast["parameter_set"]).size
    (400, 8)
    """
    raise_if_any(number_faults(n_draws, parameter_sets, seed))
    panel, each = check_panel(panel), n_draws // parameter_sets
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        groups = [
            forecaster(panel, calibration.draw(k, seed), regime, n_draws=each, seed=group_seed(seed, k), **settings)
            for k in range(parameter_sets)
        ]
    warn_once([str(warning.message) for warning in caught])
    forecast = joined(groups)
    forecast.attrs = groups[0].attrs | {
        "n_draws": n_draws,
        "seed": str(seed),
        "parameter_sets": parameter_sets,
        "assumptions": calibration.assumptions().to_json(),
        "calibration": calibration.to_toml(),
    }
    return forecast


def warn_once(messages: list[str]) -> None:
    """Warn of what came up in groups of draws: of texts that begin alike the first."""
    kinds: dict[str, list[str]] = {}
    for message in messages:
        kinds.setdefault(re.sub(r"\d+", "", message.partition(";")[0]), []).append(message)
    for same in kinds.values():
        again = f" ({len(same)} parameter sets give such a warning; this is the first.)" if len(same) > 1 else ""
        warnings.warn(same[0] + again, InputWarning, stacklevel=3)


def number_faults(n_draws: int, parameter_sets: int, seed: int) -> Iterator[Fault]:
    """Faults of the numbers of draws, sets and of the seed."""
    place = "simulate_with_parameters"
    if parameter_sets < 2:
        yield Fault(place, "must be two or more", str(parameter_sets), "", variable="parameter_sets")
    elif n_draws % parameter_sets or n_draws < 2 * parameter_sets:
        rule, came = "must be a multiple of parameter_sets, at least two for each", f"{n_draws} for {parameter_sets}"
        yield Fault(place, rule, came, f"Use {max(n_draws // parameter_sets, 2) * parameter_sets}.", variable="n_draws")
    if seed < 0:
        yield Fault(place, "must not be negative", str(seed), "", variable="seed")


def group_seed(seed: int, k: int) -> int:
    """Seed of a group of draws: 64 bits of the hash of the forecast's seed and the group's number."""
    return int.from_bytes(stream_key(seed, f"parameter_set:{k}").tobytes(), "little")


def joined(groups: list[xr.Dataset]) -> xr.Dataset:
    """Put groups of draws one after the other; what has no draws is the first group's."""
    forecast = xr.concat(
        groups,
        dim="draw",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    each = groups[0].sizes["draw"]
    of_draw = np.repeat(np.arange(len(groups)), each)
    forecast = forecast.assign_coords(draw=np.arange(len(of_draw)), parameter_set=("draw", of_draw))
    if "particles_worth" in forecast:
        forecast["particles_worth"].values = np.min([group["particles_worth"] for group in groups], axis=0)
    forecast["parameter_set"].attrs["long_name"] = "joint draw of the parameters under which a draw was made"
    return forecast


def widths(forecast: xr.Dataset) -> xr.Dataset:
    """Say how wide a forecast is in all, by chance, and because parameters are uncertain.

    With G groups of n draws, W the mean of the variances within groups and B the variance of the groups' means,

        chance = W,    parameters = max(B - W / n, 0),    all = chance + parameters

    (one-way random effects, Searle, Casella and McCulloch 1992). Errors are those of the jackknife over groups.

    Parameters
    ----------
    forecast : Dataset
        From `simulate_with_parameters`.

    Returns
    -------
    Dataset
        GBP million, on (part, unit): part is "all", "chance", "parameters"; units are trusts, "Provider sector" and
        "Whole NHS". `sd` and `sd_se`; `width` and `width_se`, from the 5% to the 95% point: of all draws, the mean of
        the groups', and that of a Normal with the sd due to parameters.

    Raises
    ------
    InputError
        If the forecast does not draw parameters.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.calibration import calibrate
    >>> from sector_risk.history import History
    >>> case, prior = sr.load_case("england-2018-19"), calibrate(History())
    >>> forecast = simulate_with_parameters(case, prior, n_draws=800, parameter_sets=16)
    >>> sector = widths(forecast).sel(unit="Provider sector")
    >>> bool(sector["sd"].sel(part="parameters") > sector["sd"].sel(part="chance"))
    True
    """
    forecast = by_parameter_set(forecast)
    units = [*forecast["trust"].values, SECTOR, NHS]
    rows = np.vstack(
        [forecast["position"].transpose("trust", "draw"), forecast["sector_position"], forecast["nhs_position"]]
    )
    grouped = rows.astype(float).reshape(len(units), np.unique(forecast["parameter_set"]).size, -1)
    sd, sd_se = sds(grouped)
    width, width_se = ranges(grouped, sd[2], sd_se[2])
    named = {"sd": sd, "sd_se": sd_se, "width": width, "width_se": width_se}
    labels = {"part": ["all", "chance", "parameters"], "unit": np.array(units, dtype=object)}
    result = xr.Dataset(
        {name: (("part", "unit"), values) for name, values in named.items()}, labels, attrs=forecast.attrs
    )
    for name in named:
        result[name].attrs = {"units": "GBP million", "long_name": MEANINGS[name]}
    return result


def by_parameter_set(forecast: xr.Dataset) -> xr.Dataset:
    """Return a forecast with the draws of each parameter set next to each other.

    Raises
    ------
    InputError
        If the forecast does not draw parameters, or has more draws of one set than of another.
    """
    remedy = "Give what simulate_with_parameters made, whole."
    if "parameter_set" not in forecast.coords:
        raise InputError([Fault("forecast", "does not draw parameters", "", remedy, variable="parameter_set")])
    counts = np.unique(forecast["parameter_set"], return_counts=True)[1]
    if len(counts) < 2 or counts.min() < counts.max() or counts.min() < 2:
        came = f"{counts.min()} to {counts.max()} draws of {len(counts)} sets"
        raise InputError([Fault("forecast", "needs two draws or more of each set, as many of all", came, remedy)])
    return forecast.isel(draw=np.argsort(forecast["parameter_set"].values, kind="stable"))


MEANINGS = {
    "sd": "standard deviation of the year-end position",
    "sd_se": "Monte Carlo error of sd",
    "width": "from the 5% to the 95% point of the year-end position",
    "width_se": "Monte Carlo error of width",
}


def sds(grouped: F64) -> tuple[F64, F64]:
    """Standard deviations (all, chance, parameters; unit) of draws (unit, G, n), and their errors."""
    n = grouped.shape[2]
    means, within = grouped.mean(axis=2), grouped.var(axis=2, ddof=1)
    parts = variance_parts(means, within, n)
    left_out = np.array(
        [variance_parts(np.delete(means, g, 1), np.delete(within, g, 1), n) for g in range(means.shape[1])]
    )
    groups = len(left_out)
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    return np.sqrt(np.maximum(parts, 0.0)), error_of_root(parts, error)


def variance_parts(means: F64, within: F64, n: int) -> F64:
    """Variance in all, by chance and by parameters (not held at nought), from the groups' means and variances."""
    chance = within.mean(axis=1)
    parameters = means.var(axis=1, ddof=1) - chance / n
    return np.array([chance + parameters, chance, parameters])


def error_of_root(value: F64, error: F64) -> F64:
    """Error of the root of a value that may be nought: how far one error more or less takes it, whichever is more."""
    root = np.sqrt(np.maximum(value, 0.0))
    more, less = (np.sqrt(np.maximum(value + side * error, 0.0)) for side in (1.0, -1.0))
    return np.maximum(more - root, root - less)


def ranges(grouped: F64, parameter_sd: F64, parameter_sd_se: F64) -> tuple[F64, F64]:
    """Widths from 5% to 95% (all, chance, parameters; unit), and their errors."""
    low, high = np.quantile(grouped, [0.05, 0.95], axis=2, method="normal_unbiased")  # groups may be small
    within = high - low
    everything, error = pooled_range(grouped)
    width = np.array([everything, within.mean(axis=1), 2.0 * Z95 * parameter_sd])
    return width, np.array([error, mean_error(within), 2.0 * Z95 * parameter_sd_se])


def pooled_range(grouped: F64) -> tuple[F64, F64]:
    """Width of all draws, and its error from how the groups' shares beyond its ends differ.

    A quantile q at p moves by (p - share below q) / density; the density is read off between p - BAND and p + BAND.
    """
    pool = grouped.reshape(len(grouped), -1)
    levels = np.array([[0.05], [0.95]]) + np.array([-BAND, 0.0, BAND])
    q = np.quantile(pool, levels.ravel(), axis=1).reshape(2, 3, -1)
    slope = (q[:, 2] - q[:, 0]) / (2.0 * BAND)
    below = np.array([(grouped < q[end, 1][:, None, None]).mean(axis=2) for end in (0, 1)])
    moved = below[1] * slope[1][:, None] - below[0] * slope[0][:, None]
    return q[1, 1] - q[0, 1], mean_error(moved)
