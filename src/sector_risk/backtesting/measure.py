"""From draws, outcomes and rivals to scores with labels, unit by unit and over all units."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk import scores
from sector_risk.backtesting.labels import AS_SCORED, BACKTEST, described
from sector_risk.rivals import RIVALS
from sector_risk.schema import MONEY

F64 = NDArray[np.float64]
SCORES = {"crps": scores.crps, "wis": scores.weighted_interval_score}
QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
PER_CENT = "per cent of turnover to date"


class Round(NamedTuple):
    """Forecasts made as of one month: draws (unit, n) and rivals (rival, unit), per cent of turnover to date."""

    draws: F64
    rivals: F64


def measured(rounds: Mapping[int, Round], outcome: F64, labels: list[str], turnover: F64, seed: int) -> xr.Dataset:
    """Score rounds unit by unit, on (origin, unit); `turnover` is to date, (unit), GBP m."""
    scored = [score_round(f"pit:{month}", one, outcome, labels, seed) for month, one in rounds.items()]
    result = xr.concat(scored, "origin").assign(outcome=("unit", outcome), turnover_to_date=("unit", turnover))
    return result.assign_coords(
        origin=list(rounds),
        unit=np.array(labels, dtype=object),
        score=list(SCORES),
        rival=list(RIVALS),
        interval=list(scores.INTERVALS),
        quantile=list(QUANTILES),
    )


def score_round(stream: str, one: Round, outcome: F64, labels: list[str], seed: int) -> xr.Dataset:
    """Score the forecasts of one round, on (unit)."""
    low, high = scores.pit_bounds(one.draws, outcome)
    ours = np.array([score(one.draws, outcome) for score in SCORES.values()])
    return xr.Dataset(
        {
            "forecast_mean": ("unit", one.draws.mean(axis=1)),
            "forecast_quantile": (("unit", "quantile"), scores.quantiles(one.draws, QUANTILES)),
            "forecast_score": (("score", "unit"), ours),
            "rival_forecast": (("rival", "unit"), one.rivals),
            "rival_score": (("score", "rival", "unit"), rival_scores(one.rivals, outcome)),
            "pit_low": ("unit", low),
            "pit_high": ("unit", high),
            "pit": (("unit", "tie"), scores.pit(one.draws, outcome, labels, seed=seed, stream=stream)),
            "covered": (("unit", "interval"), scores.covered(one.draws, outcome)),
        }
    )


def rival_scores(forecasts: F64, outcome: F64) -> F64:
    """Scores of point forecasts (rival, unit), each as a single draw, (score, rival, unit); NaN stays NaN."""
    known = np.isfinite(forecasts)
    points = np.where(known, forecasts, 0.0)[..., None]
    came = np.broadcast_to(outcome, forecasts.shape)
    return np.array([np.where(known, score(points, came), np.nan) for score in SCORES.values()])


def over_all(each: xr.Dataset) -> xr.Dataset:
    """Means, skill, coverage and PIT over all units; a rival is compared where it says something."""
    both = each["forecast_score"].where(each["rival_score"].notnull())
    skill_over = 1.0 - both.mean("unit") / each["rival_score"].mean("unit")
    known = skill_over.fillna(np.inf)
    gain = both - each["rival_score"]
    error = gain.std("unit", ddof=1) / np.sqrt(gain.count("unit")) / each["rival_score"].mean("unit")
    values = each["pit"].transpose("origin", "unit", "tie").values
    return xr.Dataset(
        {
            "mean_score": each["forecast_score"].mean("unit"),
            "mean_rival_score": each["rival_score"].mean("unit"),
            "skill_over": skill_over,
            "skill_over_se": error,
            "skill": skill_over.min("rival"),
            "best_rival": known.idxmin("rival"),
            "coverage": each["covered"].mean("unit"),
            "pit_count": (("origin", "bin"), np.array([scores.pit_histogram(v) for v in values])),
            "pit_p_value": ("origin", np.array([scores.pit_p_value(v) for v in values])),
        },
        {"bin": np.arange(scores.BINS) / scores.BINS},
    )


def finished(each: xr.Dataset, attrs: Mapping[str, object], dim: str, unit: str = PER_CENT) -> xr.Dataset:
    """Add what holds over all units, and attributes; variables come in the order of the labels."""
    pooled = over_all(each.isel(unit=pooled_units(each)))
    result = each.drop_vars(pooled.data_vars, errors="ignore").merge(pooled, compat="override", join="override")
    ordered = {name: result[name].transpose(*spec.dims) for name, spec in BACKTEST.items() if name in result.data_vars}
    result = result[[]].assign(ordered)
    result.attrs = {**attrs, "scored_in": unit}
    return described(result, unit).rename({} if dim == "unit" else {"unit": dim})


def pooled_units(each: xr.Dataset) -> NDArray[np.bool_]:
    """Which units means are taken over: not the sum of all."""
    if "level" not in each.coords:
        return np.ones(each.sizes["unit"], bool)
    return np.asarray(each["level"].values == "trust")


def in_money(result: xr.Dataset) -> xr.Dataset:
    """Return a back-test in GBP million instead of per cent of turnover; means and skill are computed anew.

    Parameters
    ----------
    result : Dataset
        From `backtest` or `backtest_years`.

    Returns
    -------
    Dataset
        With the same variables. Skill differs: large trusts, or years of a larger turnover, weigh more.

    Examples
    --------
    >>> from sector_risk.history import load_history
    >>> from sector_risk.backtesting import backtest_years
    >>> result = backtest_years(load_history(), points=128, fit_draws=32, n_draws=640, parameter_sets=20)
    >>> in_money(result)["outcome"].sel(year="2018-19").item()
    -308.0
    """
    dim = "year" if "year" in result.dims else "unit"
    each = result.rename({} if dim == "unit" else {dim: "unit"})
    in_percent = [n for n in each.data_vars if "unit" in each[n].dims and BACKTEST[str(n)].unit == AS_SCORED]
    each = each.assign({name: each[name] * each["turnover_to_date"] / 100.0 for name in in_percent})
    return finished(each, result.attrs, dim, MONEY)
