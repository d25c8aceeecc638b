"""Back-test of one year's trusts: forecasts as of earlier months, held against a later month."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk import scores
from sector_risk.assumptions import Assumptions
from sector_risk.backtesting.measure import Round, finished, measured
from sector_risk.backtesting.progress import Progress, counter
from sector_risk.calibration import Calibration
from sector_risk.conditioning import condition
from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.history import QUARTER_ENDS, History, load_history
from sector_risk.panel import check_panel
from sector_risk.parameter_draws import simulate_with_parameters
from sector_risk.reports import monthly
from sector_risk.rivals import rival_forecasts
from sector_risk.schema import MONTHS
from sector_risk.simulation import check_settings

F64 = NDArray[np.float64]
PLACE = "backtest"
ALL_TRUSTS = "All trusts scored"
KNOWN_BEFORE = ("plan_ytd",)
"""Monthly variables that are there when the year begins."""


class How(NamedTuple):
    """How forecasts are made; what changes no result is last."""

    assumptions: Assumptions | Calibration
    n_draws: int
    parameter_sets: int
    seed: int
    threads: int | None
    tick: Callable[[], None]


def backtest(
    panel: xr.Dataset,
    assumptions: Assumptions | Calibration | None = None,
    *,
    from_months: Sequence[int] = (3, 6),
    target_month: int = 9,
    forecast_month: int | None = None,
    history: History | None = None,
    n_draws: int = 4_000,
    parameter_sets: int = 40,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Forecast a month that has come from earlier months, and score the forecasts beside simple rivals.

    For each month of `from_months` in turn, all that came after it is removed from the panel, `condition` forecasts the
    variance to date at `target_month`, and the forecasts of all trusts that have every month asked for are scored, and
    that of their sum. A variance within `reporting.on_plan` of turnover to date is on plan, in draws and outcomes.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        With `variance_ytd` (trust, month), or `actual` and `plan_ytd`.
    assumptions : Assumptions or Calibration, optional
        Under a calibration, draws come in groups, each under its own joint draw of the parameters. Default:
        `Assumptions()`, some of which were set to 2025-26: on that year they are not tested.
    from_months : sequence of int
        Months as of which forecasts are made, each before the target.
    target_month : int
        3, 6, 9 or 12.
    forecast_month : int, optional
        Month at which the panel's `forecast` was declared; from then on it is seen. Default: not known, left out.
    history : History, optional
        For the rival that knows the sector's mean variance in other years. Default: the bundled one.
    n_draws, parameter_sets : int
        Draws in all, and groups of them (with a calibration).
    seed : int
        Not negative.
    threads : int, optional
        Speed only.
    progress : bool or function (forecasts done, forecasts in all)
        True shows a count on standard error.

    Returns
    -------
    Dataset
        Per cent of turnover to date. On (origin, unit): `outcome`, `forecast_mean`, `forecast_quantile`, `covered`
        (interval), `pit`, `forecast_score` (score: "crps", "wis"), `rival_forecast` and `rival_score` (rival); units
        are the trusts and "All trusts scored" (coordinate `level`). Over trusts, on (origin): `mean_score`,
        `mean_rival_score`, `skill`, `skill_over` (rival), `best_rival`, `coverage`, `pit_count` (bin), `pit_p_value`.

    Raises
    ------
    InputError
        With every fault of the arguments; if the fit has seen the year that is tested; if there is nothing to score.
    ImportError
        If scoringrules is not installed (extra `scores`).

    Warns
    -----
    InputWarning
        Of trusts whose reports the model finds surprising.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, JASA 102.

    Examples
    --------
    >>> import sector_risk as sr
    >>> case = sr.load_case("england-2018-19").isel(trust=slice(30))
    >>> came = sr.simulate(case, n_draws=1, by_quarter=True)["variance_by_quarter"].isel(draw=0)
    >>> panel = case.assign(variance_ytd=(("month", "trust"), came.values)).assign_coords(month=[3, 6, 9, 12])
    >>> result = backtest(panel, from_months=[6], n_draws=200)
    >>> result["forecast_score"].dims, result.sizes["unit"]
    (('score', 'origin', 'unit'), 31)
    """
    scores.scoringrules()
    assumptions = Assumptions() if assumptions is None else assumptions
    panel = check_panel(panel)
    months = tuple(from_months)
    check_arguments(panel, assumptions, months, target_month, forecast_month, n_draws=n_draws, seed=seed)
    variance = variance_to_date(panel)
    scored = has_months(variance, (*months, target_month))
    per_round = parameter_sets if isinstance(assumptions, Calibration) else 1
    tick = counter(progress, per_round * len(months))
    how = How(assumptions, n_draws, parameter_sets, seed, threads, tick)
    error = mean_error(load_history() if history is None else history, str(panel.attrs.get("year")), target_month)
    rounds = {
        month: play(as_of(panel, month, forecast_month), scored, month, target_month, error, how) for month in months
    }
    return labelled(panel.isel(trust=scored), rounds, variance[scored], target_month, how)


def check_arguments(
    panel: xr.Dataset,
    assumptions: Assumptions | Calibration,
    months: Sequence[int],
    target_month: int,
    forecast_month: int | None,
    **numbers: Any,
) -> None:
    """Raise one `InputError` for every fault of what is asked for."""
    faults = [*month_faults(months, target_month, forecast_month), *fit_faults(panel, assumptions)]
    try:
        fixed = assumptions.assumptions() if isinstance(assumptions, Calibration) else assumptions
        check_settings(PLACE, fixed, None, **numbers)
    except InputError as error:
        faults.extend(error.faults)
    faults.extend([] if faults else data_faults(panel, (*months, target_month)))
    raise_if_any(faults)


def month_faults(months: Sequence[int], target_month: int, forecast_month: int | None) -> Iterator[Fault]:
    """Faults of the months asked for."""
    if target_month not in QUARTER_ENDS:
        remedy = "Use 3, 6, 9 or 12 (March)."
        yield Fault(PLACE, "must be the end of a quarter", str(target_month), remedy, variable="target_month")
    if not months or len(set(months)) < len(months):
        yield Fault(PLACE, "must be one or more months, each once", str(months), "", variable="from_months")
    for month in months:
        if month not in range(1, MONTHS + 1) or month >= target_month:
            remedy = f"Use months from 1 (April) to {target_month - 1}."
            yield Fault(PLACE, "must be a month before the target", str(month), remedy, variable="from_months")
    if forecast_month is not None and forecast_month not in range(MONTHS + 1):
        yield Fault(PLACE, "must be a month from 0 to 12", str(forecast_month), "", variable="forecast_month")


def fit_faults(panel: xr.Dataset, assumptions: Assumptions | Calibration) -> Iterator[Fault]:
    """Fault of a fit that has seen the year that is tested."""
    year = str(panel.attrs.get("year"))
    if isinstance(assumptions, Calibration) and year in assumptions.years:
        remedy = f'Fit without it: calibrate(history.without("{year}")).'
        yield Fault(PLACE, "the fit has seen the year that is tested", year, remedy, variable="assumptions")


def data_faults(panel: xr.Dataset, months: Sequence[int]) -> Iterator[Fault]:
    """Faults of a panel that has nothing to score."""
    if "successor" in panel:
        remedy = "Score it as it was before trusts were joined."
        yield Fault(PLACE, "trusts that are parts of others cannot be scored", "", remedy, variable="successor")
    known = np.isfinite(variance_to_date(panel))
    remedy = "Give variance_ytd, or actual and plan_ytd, at these months."
    missing = [month for month in months if not known[:, month - 1].any()]
    for month in missing:
        yield Fault(PLACE, "no trust has a variance at a month", str(month), remedy, variable="variance_ytd")
    if not missing and not has_months(variance_to_date(panel), months).any():
        yield Fault(PLACE, "no trust has a variance at every month", str(months), remedy, variable="variance_ytd")


def variance_to_date(panel: xr.Dataset) -> F64:
    """Variance to date as published, else actual less plan to date, (trust, 12), GBP m; NaN where not known."""
    plan_ytd = monthly(panel, "plan_ytd")
    year_end = np.isnan(plan_ytd[:, -1])
    plan_ytd[year_end, -1] = panel["plan"].values[year_end]
    given = monthly(panel, "variance_ytd")
    return np.where(np.isnan(given), monthly(panel, "actual") - plan_ytd, given)


def has_months(variance: F64, months: Sequence[int]) -> NDArray[np.bool_]:
    """Which trusts have a variance at every month, (trust)."""
    return np.asarray(np.isfinite(variance[:, [month - 1 for month in months]]).all(axis=1))


def as_of(panel: xr.Dataset, month: int, forecast_month: int | None) -> xr.Dataset:
    """Return the panel as it was at a month: nothing that came after it, and no forecast declared after it."""
    later = [name for name in panel.data_vars if "month" in panel[name].dims and name not in KNOWN_BEFORE]
    seen = panel.assign({name: panel[name].where(panel["month"] <= month) for name in later})
    declared = forecast_month is not None and forecast_month <= month
    return seen if declared else seen.drop_vars("forecast", errors="ignore")


def play(seen: xr.Dataset, scored: NDArray[np.bool_], month: int, target_month: int, error: float, how: How) -> Round:
    """Forecast the target month as of one month; the last unit is the sum of all trusts scored."""
    draws = forecast_variance(seen, how, month, target_month)[scored]
    turnover = with_sum(seen["turnover"].values[scored])
    now = with_sum(variance_to_date(seen)[scored, month - 1])
    declared = np.full(len(turnover), np.nan)
    if target_month == MONTHS and "forecast" in seen:
        declared = with_sum((seen["forecast"] - seen["plan"]).values[scored])
    rivals = rival_forecasts(rounded(per_cent(now, turnover, month), how), per_cent(declared, turnover, MONTHS), error)
    return Round(rounded(per_cent(with_sum(draws), turnover[:, None], target_month), how), rivals)


def forecast_variance(seen: xr.Dataset, how: How, month: int, target_month: int) -> F64:
    """Draws of every trust's variance to date at the target month, (trust, draw), GBP m."""

    def forecaster(*args: Any, **settings: Any) -> xr.Dataset:
        made = condition(*args, through_month=month, by_quarter=True, threads=how.threads, **settings)
        how.tick()
        return made[["variance_by_quarter"]]

    settings = {"n_draws": how.n_draws, "seed": how.seed}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(how.assumptions, Calibration):
            sets = how.parameter_sets
            made = simulate_with_parameters(
                seen, how.assumptions, "none", parameter_sets=sets, forecaster=forecaster, **settings
            )
        else:
            made = forecaster(seen, how.assumptions, "none", **settings)
    warn_once(caught, month)
    by_trust = made["variance_by_quarter"].sel(quarter=QUARTER_ENDS.index(target_month) + 1, trust=seen["trust"].values)
    return np.asarray(by_trust.transpose("trust", "draw").values, float)


def warn_once(caught: Sequence[warnings.WarningMessage], month: int) -> None:
    """Pass warnings on, those of surprising reports as one: each joint draw of parameters gives its own."""
    surprises = [w for w in caught if issubclass(w.category, InputWarning)]
    for warning in caught:
        if warning not in surprises:
            warnings.warn(warning.message, warning.category, stacklevel=4)
    if surprises:
        first = str(surprises[0].message)
        message = f"As of month {month}, in {len(surprises)} forecast(s), the first of them: {first}"
        warnings.warn(message, InputWarning, stacklevel=4)


def rounded(variance: F64, how: How) -> F64:
    """Variances in per cent, (unit, ...), with trusts' that count as on plan at nought; the sum stays as it is."""
    return np.concatenate([scores.on_plan_as_nought(variance[:-1], on_plan(how)), variance[-1:]])


def on_plan(how: How) -> float:
    """Variance that counts as on plan, per cent of turnover to date."""
    fixed = how.assumptions.assumptions() if isinstance(how.assumptions, Calibration) else how.assumptions
    return 100.0 * fixed.reporting.on_plan


def with_sum(values: F64) -> F64:
    """Append the sum over trusts (the first dimension)."""
    return np.concatenate([values, values.sum(axis=0, keepdims=True)])


def per_cent(variance: F64, turnover: F64, month: int) -> F64:
    """Variance to date in per cent of turnover to date."""
    return 100.0 * variance / (turnover * month / MONTHS)


def mean_error(history: History, year: str, month: int) -> float:
    """Mean variance of the sector at a month in other years, per cent of turnover to date; NaN if none is known."""
    share = history.without(year).sector["variance_share"].sel(month=month).values
    known = share[np.isfinite(share)]
    return float(known.mean() * MONTHS / month) if len(known) else np.nan


def labelled(panel: xr.Dataset, rounds: dict[int, Round], variance: F64, target_month: int, how: How) -> xr.Dataset:
    """Score the rounds and say what they are."""
    turnover = with_sum(panel["turnover"].values)
    came = rounded(per_cent(with_sum(variance[:, target_month - 1]), turnover, target_month), how)
    labels = [*map(str, panel["trust"].values), ALL_TRUSTS]
    each = measured(rounds, came, labels, turnover * target_month / MONTHS, how.seed)
    each = each.assign_coords(
        level=("unit", ["trust"] * (len(labels) - 1) + ["all"]),
        name=("unit", np.array([*panel["name"].values, ALL_TRUSTS], dtype=object)),
    )
    shared = [
        scores.pit_p_value_shared(one.draws[:-1], each["pit"].isel(origin=k).values[:-1], how.seed)
        for k, one in enumerate(rounds.values())
    ]
    each = each.assign(pit_p_value_shared=("origin", shared))
    attrs = {"title": "Back-test of trusts", "target_month": target_month} | about(panel, how)
    return finished(each, attrs, "unit")


def about(panel: xr.Dataset, how: How) -> dict[str, Any]:
    """Say how forecasts were made, and what of it had the tested year in view."""
    year, fixed, fit = str(panel.attrs.get("year")), how.assumptions, "fixed"
    if isinstance(fixed, Calibration):
        fit, fixed = f"fitted to {', '.join(fixed.years) or 'no year'}", fixed.assumptions()
    return {
        "year": year,
        "source": str(panel.attrs.get("source", "")),
        "fit": fit,
        "set_with_this_year_in_view": ", ".join(row.name for row in fixed.log() if year in row.source),
        "n_draws": how.n_draws,
        "parameter_sets": how.parameter_sets if fixed is not how.assumptions else 0,
        "seed": str(how.seed),
        "on_plan": on_plan(how),
    }
