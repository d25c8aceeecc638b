"""Forecasts conditional on the year so far: draws that agree with every month seen, what trusts share included."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.assumptions.dependence import FACTOR_DRIVERS, LEVELS, Dependence
from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.kernels.particles import FAVOURABLE, Reports
from sector_risk.panel import check_panel
from sector_risk.planned import first_year, plan_forecast
from sector_risk.posterior import Posterior, learn
from sector_risk.prepare import in_parts
from sector_risk.regimes import Regime
from sector_risk.reports import reports_of
from sector_risk.run import Run
from sector_risk.simulation import check_settings, warn_of_idle_rules

MOST_SHARED = 0.99
FEW = 32
"""Particles worth fewer than this speak for themselves only: what was seen is a surprise to the model."""


def condition(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    through_month: int,
    n_draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
    block_size: int | None = None,
    progress: bool | Callable[[int, int], None] = False,
    by_quarter: bool = False,
) -> xr.Dataset:
    """Forecast the year end given the months seen.

    In every draw each trust's variance at the months seen is what was reported, and everything behind it has the
    distribution that it has given all reports of all trusts: savings, drift, one-off cover, the months' shocks, and
    what trusts share. The months to come are drawn as always. With nothing seen this is `simulate`, to the bit.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        With `variance_ytd` (trust, month), or `actual` (trust, month), which is compared with the plan to date; and
        `forecast` (trust), the declared year-end position before support, where there is one. Trusts may be seen at
        different months, or not at all. A variance within `assumptions.reporting.on_plan` of turnover to date is on
        plan.
    assumptions, regime, n_draws, seed, threads, block_size, progress, by_quarter
        As in `simulate`.
    through_month : int
        Months up to this one are seen, 0 to 12; later ones in the panel are not looked at. Declared forecasts are
        taken to be those of this month.

    Returns
    -------
    Dataset
        As `simulate`, with `months_seen` and `particles_worth` by trust.

    Raises
    ------
    InputError
        With every fault of panel and settings; for assumptions under which nothing can be learnt from the year so far
        (no shocks to the run rate), and for fat-tailed dependence and user drivers, which are not covered, unless
        `through_month` is 0.

    Warns
    -----
    InputWarning
        Of trusts whose reports the model finds surprising; where nothing was reported; where the plan to date is a
        formula's; and as `simulate`.

    Examples
    --------
    >>> import sector_risk as sr
    >>> case = sr.load_case("england-2018-19")
    >>> seen = case.assign(variance_ytd=(("trust", "month"), [[-12.0]] + [[0.0]] * 226)).assign_coords(month=[6])
    >>> forecast = sr.condition(seen, through_month=6, n_draws=500, by_quarter=True)
    >>> float(forecast["variance_by_quarter"].sel(quarter=2)[0].mean().round(3))
    -12.0
    >>> bool(forecast["variance"][0].mean() < sr.simulate(case, n_draws=500)["variance"][0].mean())
    True
    """
    assumptions = Assumptions() if assumptions is None else assumptions
    numbers = {"n_draws": n_draws, "seed": seed, "threads": threads, "block_size": block_size}
    asked = check_request(assumptions, regime, through_month, **numbers)
    panel = check_panel(panel)
    planned = plan_forecast(panel, assumptions, asked, n_draws=n_draws, seed=seed, by_quarter=by_quarter)
    run = planned.run
    warn_of_idle_rules(planned.regime, run.prepared.context.years)
    rows, _ = in_parts(panel)
    reports = reports_of(rows, run.prepared, assumptions, int(through_month))
    known = what_is_known(run, rows, reports, int(through_month), int(threads or default_threads()))
    forecast = replace(planned, run=replace(run, posterior=known)).forecast(threads, block_size, progress)
    return forecast.assign_attrs({"through_month": int(through_month)} | what_was_seen(reports)) if known else forecast


def what_is_known(run: Run, panel: xr.Dataset, reports: Reports, through_month: int, threads: int) -> Posterior | None:
    """Return what the months seen say of trusts and of what they share; None if they say nothing."""
    if not len(reports.trust):
        warn_of_nothing(through_month)
        return None
    warn_of_plan_path(panel)
    delivery, volatility = what_rules_make_of_the_year(run)
    known = learn(reports, run.prepared, delivery, volatility, threads)
    warn_of_surprises(known, panel["trust"].values[known.trust])
    return known


def what_was_seen(reports: Reports) -> dict[str, float]:
    """Say what a forecast takes as seen: last month, trusts, their variance to date (GBP m), declared forecasts."""
    there = np.arange(reports.kind.shape[1]) < reports.reported[:, None]
    of_month = there & (reports.kind <= FAVOURABLE)
    last = of_month.sum(axis=1) - 1
    latest = np.take_along_axis(reports.value, np.maximum(last, 0)[:, None], axis=1)[:, 0]
    return {
        "last_month_reported": int((np.where(of_month, reports.month, -1).max(initial=-1)) + 1),
        "trusts_reporting": int((last >= 0).sum()),
        "variance_reported": float(latest[last >= 0].sum()),
        "forecasts_declared": int((there & (reports.kind > FAVOURABLE)).sum()),
    }


def what_rules_make_of_the_year(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers (P,) of rules on delivery and on shocks to the run rate, before the first year.

    Raises
    ------
    InputError
        If rules give draws different years, or leave no shocks: then reports could not be met.
    """
    prepared, block = run.prepared, first_year(run)
    rows = prepared.parts.trust
    planned = np.bincount(rows, prepared.efficiency_plan)[:, None]
    rules, faults = ", ".join(rule.name for rule in run.rules), []
    if np.ptp(block.delivery, axis=1).any() or not np.allclose(block.efficiency_plan, planned, rtol=1e-5):
        remedy = "Leave out the rule that changes savings by draw, or forecast without the year so far."
        faults.append(Fault("condition", "rules must leave the year of all draws alike", rules, remedy))
    if not block.volatility.min() > 0.0:
        remedy = "Leave some of a trust's income at risk: reports cannot be met exactly without shocks."
        faults.append(Fault("condition", "rules must leave some shocks to the run rate", rules, remedy))
    raise_if_any(faults)
    return block.delivery[rows, 0], block.volatility[rows]


def warn_of_nothing(through_month: int) -> None:
    """Warn where months were asked for and nothing is reported."""
    if through_month:
        message = f"Nothing was reported up to month {through_month}: this is the forecast before the year."
        warnings.warn(message, InputWarning, stacklevel=4)


def warn_of_plan_path(panel: xr.Dataset) -> None:
    """Warn where actual positions are compared with a plan to date that only a formula gives."""
    if "actual" in panel and "plan_ytd" not in panel and "variance_ytd" not in panel:
        message = "Actual positions are compared with a plan to date by formula; give plan_ytd or variance_ytd too."
        warnings.warn(message, InputWarning, stacklevel=4)


def check_request(
    assumptions: Assumptions, regime: Regime | str | None, through_month: int, **numbers: object
) -> Regime | None:
    """Return the regime that is asked for, if any; raise one `InputError` for all faults of what is asked."""
    faults = [*not_covered(assumptions)] if through_month and isinstance(assumptions, Assumptions) else []
    try:
        asked = check_settings("condition", assumptions, regime, through_month=through_month, **numbers)
    except InputError as error:
        raise InputError([*error.faults, *faults]) from None
    raise_if_any(faults)
    return asked


def not_covered(assumptions: Assumptions) -> Iterator[Fault]:
    """Yield what a forecast conditional on the year so far cannot do."""
    if assumptions.drivers:
        remedy = "Leave drivers out, or forecast without the year so far."
        yield Fault("condition", "drivers of your own are not covered", str(assumptions.drivers), remedy)
    if assumptions.dependence.tail_dof:
        remedy = "Set dependence.tail_dof to 0, or forecast without the year so far."
        came = f"{assumptions.dependence.tail_dof:g}"
        yield Fault("condition", "fat-tailed dependence is not covered", came, remedy, variable="dependence.tail_dof")
    for name, share in shares_of(assumptions.dependence):
        if share > MOST_SHARED:
            remedy = "Leave a hundredth of the variance, or more, to each trust."
            yield Fault("condition", "trusts share all", f"{share:g}", remedy, variable=f"dependence.{name}")
    if not assumptions.deterioration.shock_sd:
        remedy = "Give the months' shocks some variance: reports cannot be met exactly without."
        yield Fault("condition", "must be above nought", "0", remedy, variable="deterioration.shock_sd")


def shares_of(dependence: Dependence) -> Iterator[tuple[str, float]]:
    """Yield the share of variance that is common to trusts, by driver."""
    for name in FACTOR_DRIVERS:
        shares = getattr(dependence, name)
        yield name, sum(getattr(shares, level) for level in LEVELS)
    yield "run_rate_sector", dependence.run_rate_sector


def warn_of_surprises(known: Posterior, codes: np.ndarray) -> None:
    """Warn of trusts whose reports hardly any particle explains."""
    rare = [f"{code} ({worth:.0f})" for code, worth in zip(codes, known.worth, strict=True) if worth < FEW]
    if rare:
        who = ", ".join(rare[:8]) + (" and others" if len(rare) > 8 else "")
        message = (
            f"The model finds the reports of {len(rare)} trust(s) surprising; their forecasts rest on few particles: "
            f"{who}. Look at the reports, then at the assumptions."
        )
        warnings.warn(message, InputWarning, stacklevel=4)
