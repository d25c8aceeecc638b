"""Back-test of the sector: each year left out of the fit in turn, forecast from its own quarters, and scored."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk import scores
from sector_risk.assumptions import Assumptions
from sector_risk.backtesting.measure import Round, finished, measured
from sector_risk.backtesting.progress import Progress, counter
from sector_risk.calibration import Calibration, calibrate, sector_outturn
from sector_risk.faults import Fault, raise_if_any
from sector_risk.history import QUARTER_ENDS, History
from sector_risk.rivals import latest, rival_forecasts

F64 = NDArray[np.float64]
PLACE = "backtest_years"


def backtest_years(
    history: History,
    assumptions: Assumptions | None = None,
    *,
    from_quarter: int = 2,
    n_draws: int = 10_000,
    parameter_sets: int = 100,
    points: int = 1024,
    fit_draws: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Forecast the sector's outturn of each year with a fit to the other years, and score it beside simple rivals.

    A year is fitted without (`calibrate(history.without(year))`), and forecast from its own variances to date that are
    known by the end of a quarter (`sector_outturn`), from `from_quarter` to the third. Where none is known by then, the
    forecast rests on the other years alone. Rivals go by what is known by then, too: the last variance, the last
    declared forecast.

    Parameters
    ----------
    history : History
        At least two years with an outturn and a plan.
    assumptions : Assumptions, optional
        Hold what is not fitted.
    from_quarter : int
        0 to 3; nought is before the year begins.
    n_draws, parameter_sets : int
        As in `sector_outturn`.
    points, fit_draws : int
        As `points` and `n_draws` in `calibrate`.
    seed : int
        Not negative.
    threads : int, optional
        Speed only.
    progress : bool or function (years done, years in all)
        True shows a count on standard error.

    Returns
    -------
    Dataset
        As from `backtest`, with dimension `year` in place of `unit`, per cent of turnover; `in_money` gives GBP
        million. `last_seen` (origin, year) is the last month whose variance was known, nought if none.

    Raises
    ------
    InputError
        With every fault of the arguments; if fewer than two years can be scored.
    ImportError
        If scoringrules is not installed (extra `scores`).

    Examples
    --------
    >>> from sector_risk.history import load_history
    >>> result = backtest_years(load_history(), points=128, fit_draws=32, n_draws=640, parameter_sets=20)
    >>> result["covered"].sel(origin=6, interval=0.95).all().item()
    True
    """
    scores.scoringrules()
    raise_if_any(faults_of(history, from_quarter))
    sector, months = scored_years(history), QUARTER_ENDS[max(from_quarter - 1, 0) : 3]
    months = (0, *months) if from_quarter == 0 else months
    years, tick = [str(year) for year in sector["year"].values], counter(progress, sector.sizes["year"])
    draws: dict[int, list[F64]] = {month: [] for month in months}
    for year in years:
        fit = fit_without(history, year, assumptions, points, fit_draws, seed, threads)
        for month in months:
            seen = seen_by(sector, year, month)
            made = sector_outturn(fit, seen, n_draws=n_draws, parameter_sets=parameter_sets, seed=seed)
            draws[month].append(made)
        tick()
    rounds = {month: Round(np.array(made), rivals_at(sector, month)) for month, made in draws.items()}
    outcome = sector["variance_share"].sel(month=12).values
    each = measured(rounds, outcome, years, sector["turnover"].values, seed)
    each = each.assign(last_seen=(("origin", "unit"), np.array([last_seen(sector, month) for month in months])))
    attrs = {
        "title": "Back-test of the sector, one year left out at a time",
        "target_month": 12,
        "fit": "fitted to the other years",
        "n_draws": n_draws,
        "parameter_sets": parameter_sets,
        "seed": str(seed),
    }
    return finished(each, attrs, "year")


def faults_of(history: History, from_quarter: int) -> Iterator[Fault]:
    """Faults of the arguments."""
    if from_quarter not in range(4):
        yield Fault(PLACE, "must be a quarter from 0 to 3", str(from_quarter), "", variable="from_quarter")
    count = scored_years(history).sizes["year"] if history.figures else 0
    if count < 2:
        remedy = "Give plan, outturn (month 12) and turnover of two years or more."
        yield Fault(PLACE, "fewer than two years can be scored", str(count), remedy, variable="history")


def scored_years(history: History) -> xr.Dataset:
    """Figures of the years whose outturn against plan is known."""
    sector = history.sector
    return sector.isel(year=np.isfinite(sector["variance_share"].sel(month=12).values))


def fit_without(
    history: History,
    year: str,
    assumptions: Assumptions | None,
    points: int,
    fit_draws: int,
    seed: int,
    threads: int | None,
) -> Calibration:
    """Fit to all years but one."""
    others = history.without(year)
    return calibrate(others, assumptions, points=points, n_draws=fit_draws, seed=seed, threads=threads)


def seen_by(sector: xr.Dataset, year: str, month: int) -> dict[int, float]:
    """Variances of a year that are known by a month, per cent of the year's turnover."""
    share = sector["variance_share"].sel(year=year)
    early = {m: float(share.sel(month=m)) for m in QUARTER_ENDS if m <= month}
    return {m: value for m, value in early.items() if np.isfinite(value)}


def last_seen(sector: xr.Dataset, month: int) -> NDArray[np.int64]:
    """Last month by then whose variance is known, (year); nought where there is none."""
    return np.array([max(seen_by(sector, year, month), default=0) for year in sector["year"].values])


def rivals_at(sector: xr.Dataset, month: int) -> F64:
    """Rivals' forecasts of each year's outturn as of a month, (rival, year), per cent of turnover."""
    early = [m for m in QUARTER_ENDS if m <= month]
    to_date = sector["variance_share"] * 12 / sector["month"]
    declared = 100.0 * (sector["forecast"] - sector["plan_ytd"].sel(month=12)) / sector["turnover"]
    known = [latest(one.transpose("year", "month").sel(month=early).values) for one in (to_date, declared)]
    outcome = sector["variance_share"].sel(month=12).values
    others = np.array([np.delete(outcome, k).mean() for k in range(len(outcome))])
    return rival_forecasts(known[0], known[1], others)
