"""Monte Carlo errors: of the headline figures, and whether they are small enough."""

from collections.abc import Iterator
from math import nan

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.kernels.reduce import BALANCE
from sector_risk.quality.findings import Finding, within
from sector_risk.quality.rows import ErrorRow
from sector_risk.readings import is_whole_sector, worst_total
from sector_risk.schema import MONEY
from sector_risk.summary import summarise
from sector_risk.units import NHS, SECTOR

F64 = NDArray[np.float64]
MOST_ERROR_OF_MEAN = 0.02
"""Standard error of the sector's expected position that is small enough, as a share of the position's sd."""
MOST_ERROR_OF_CHANCE = 0.02
"""95% error of the sector's chance of breakeven that is small enough: two points, which 2,500 draws always give."""
Z95 = 1.96
PROBABILITY = "probability"
WORST = 30  # whose deficits were set against the sector's in January 2019


def mean_is_precise(forecast: xr.Dataset) -> Finding:
    """Standard error of the sector's expected position as a share of its sd: 1 / sqrt(draws)."""
    return within(forecast.sizes["draw"] ** -0.5, MOST_ERROR_OF_MEAN, "of the standard deviation")


def chance_is_precise(forecast: xr.Dataset) -> Finding:
    """95% error of the sector's chance of breakeven; by the rule of three where no draw or every draw shows it."""
    share = float((forecast["sector_position"].values >= -BALANCE).mean())
    return within(error_of_chance(share, forecast.sizes["draw"]), MOST_ERROR_OF_CHANCE, PROBABILITY)


def error_of_chance(share: float, n_draws: int) -> float:
    """95% error of a share of draws: 1.96 sqrt(p (1 - p) / n), or 3 / n where p is nought or one.

    >>> round(error_of_chance(0.5, 2_500), 4), error_of_chance(0.0, 300)
    (0.0196, 0.01)
    """
    return Z95 * (share * (1.0 - share) / n_draws) ** 0.5 if 0.0 < share < 1.0 else 3.0 / n_draws


def headline_errors(forecast: xr.Dataset) -> tuple[ErrorRow, ...]:
    """Headline figures with their standard errors; of a forecast that draws parameters, chance given the sets."""
    summary = summarise(forecast)
    names = {"sector": SECTOR} | ({"nhs": NHS} if is_whole_sector(forecast) else {})
    units = {name: summary.isel(unit=int(np.argmax(summary["level"].values == level))) for level, name in names.items()}
    rows = [row for name, unit in units.items() for row in _of_unit(unit, name, forecast.sizes["draw"])]
    return (*rows, *_of_trusts(forecast))


def _of_unit(unit: xr.Dataset, name: str, n_draws: int) -> Iterator[ErrorRow]:
    yield ErrorRow(f"{name}: expected position", float(unit["mean"]), float(unit["mean_se"]), MONEY, "sd / sqrt(n)")
    for level in unit["quantile"].values:
        at = unit.sel(quantile=level)
        value, error = float(at["position_quantile"]), float(at["position_quantile_se"])
        yield ErrorRow(f"{name}: {level:.0%} quantile", value, error, MONEY, "order statistics one sd of rank away")
    chance, error = float(unit["p_breakeven"]), float(unit["p_breakeven_se"])
    method = "sqrt(p (1 - p) / n)"
    if chance in (0.0, 1.0):
        error, method = error_of_chance(chance, n_draws) / Z95, "none or all of the draws: 3 / n is 1.96 of it"
    yield ErrorRow(f"{name}: chance of breakeven", chance, error, PROBABILITY, method)
    worst = unit.sel(confidence=0.95)
    value, error = float(worst["tail_value_at_risk"]), float(worst["tail_value_at_risk_se"])
    yield ErrorRow(f"{name}: mean deficit of the worst 5%", value, error, MONEY, "of the tail and of where it begins")


def _of_trusts(forecast: xr.Dataset) -> Iterator[ErrorRow]:
    """What the trusts of each draw add up to."""
    totals = {
        "number of trusts in deficit": ("deficit_count", "trusts"),
        "sum of all deficits": ("gross_deficit", MONEY),
    }
    for figure, (name, unit) in totals.items():
        yield mean_with_error(f"Expected {figure}", np.asarray(forecast[name].values, float), unit)
    if forecast.sizes["trust"] >= WORST:
        yield mean_with_error(f"Expected sum of the {WORST} worst trusts", worst_total(forecast, WORST), MONEY)


def mean_with_error(figure: str, values: F64, unit: str) -> ErrorRow:
    """Mean of draws with its standard error; of one draw there is none.

    >>> mean_with_error("Mean", np.array([1.0, 3.0]), "1").standard_error
    1.0
    """
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else nan
    return ErrorRow(figure, float(values.mean()), error, unit, "sd / sqrt(n)")
