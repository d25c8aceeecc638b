"""Headline figures with their Monte Carlo errors, whether there are draws enough, and what makes the range."""

from collections.abc import Iterator
from math import hypot, nan

import numpy as np
import xarray as xr

from sector_risk.allocation import PLAN, allocate
from sector_risk.chances import NORMAL_95, SEEN_ERROR, mean_error_of_sector, points_of_error
from sector_risk.quality.rows import CheckResult, ErrorRow, ShareRow, within
from sector_risk.readings import is_whole_sector, worst_total
from sector_risk.schema import MONEY
from sector_risk.summary import summarise
from sector_risk.units import NHS, SECTOR

ENOUGH_DRAWS = 2_500
"""Independent draws that are enough: the error of the sector's mean is 2% of the position's sd."""
ENOUGH_SETS = 16
"""Parameter sets that are enough: it is 25% where all of the spread comes from parameters."""
PROBABILITY = "probability"
WORST = 30  # whose deficits were set against the sector's in January 2019


def draws_are_enough(forecast: xr.Dataset) -> CheckResult:
    """Standard error of the sector's expected position, against that of draws or sets that are enough.

    Where months were seen, what more draws do not make smaller is allowed for.
    """
    values, sets = forecast["sector_position"].values, forecast.coords.get("parameter_set")
    sd = float(values.std(ddof=1)) if values.size > 1 else nan
    limit = sd / (ENOUGH_DRAWS if sets is None else ENOUGH_SETS) ** 0.5
    note = f"{values.size:,} draws" if sets is None else f"{np.unique(sets).size} parameter sets"
    seen = SEEN_ERROR * sd if "months_seen" in forecast else 0.0
    return within(mean_error_of_sector(forecast), hypot(limit, seen), note=note)


def headline_errors(forecast: xr.Dataset) -> tuple[ErrorRow, ...]:
    """Headline figures with their standard errors, as of independent draws; see `draws_are_enough` for others."""
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
    chance = float(unit["p_breakeven"])
    method = "none or all of the draws: 3 / n is 1.96 of it" if chance in (0.0, 1.0) else "sqrt(p (1 - p) / n)"
    error = points_of_error(chance, n_draws) / 100 / NORMAL_95
    yield ErrorRow(f"{name}: chance of breakeven", chance, error, PROBABILITY, method)
    tail = unit.sel(confidence=0.95)
    value, error = float(tail["tail_value_at_risk"]), float(tail["tail_value_at_risk_se"])
    yield ErrorRow(f"{name}: mean deficit of the worst 5%", value, error, MONEY, "of the tail and of where it begins")


def _of_trusts(forecast: xr.Dataset) -> Iterator[ErrorRow]:
    """What the trusts of each draw add up to."""
    totals = {
        "number of trusts in deficit": (forecast["deficit_count"].values.astype(float), "trusts"),
        "sum of all deficits": (forecast["gross_deficit"].values, MONEY),
    }
    if forecast.sizes["trust"] >= WORST:
        totals[f"sum of the {WORST} worst trusts"] = worst_total(forecast, WORST), MONEY
    for figure, (values, unit) in totals.items():
        error = float(values.std(ddof=1)) / values.size**0.5 if values.size > 1 else nan
        yield ErrorRow(f"Expected {figure}", float(values.mean()), error, unit, "sd / sqrt(n)")


def shares_of_range(forecast: xr.Dataset) -> tuple[ShareRow, ...]:
    """Covariance shares in the variance of the sector's, and the NHS's, year end, and parts of their worst 5%.

    The share of effect X in position S is cov(X, S) / var(S): shares of a unit add up to one. With A the part of the
    standard deviation, its error is at most (se(A) + share se(sd)) / sd, which is what is given.
    """
    units = (SECTOR, NHS) if is_whole_sector(forecast) else (SECTOR,)
    return tuple(row for unit in units for row in _shares_of(allocate(forecast, unit), unit))


def _shares_of(parts: xr.Dataset, unit: str) -> Iterator[ShareRow]:
    sd, sd_error = float(parts["sd"]), float(parts["sd_se"])
    for effect in (name for name in parts["effect"].values if name != PLAN):
        one = parts.sel(effect=effect)
        part, error = float(one["sd_by_effect"]), float(one["sd_by_effect_se"])
        share = part / sd if sd > 0.0 else nan
        share_error = (error + abs(share) * sd_error) / sd if sd > 0.0 else nan
        tail, tail_error = (float(one[f"tail_value_at_risk_by_effect{end}"]) for end in ("", "_se"))
        yield ShareRow(unit, str(effect), share, share_error, part, error, tail, tail_error)
