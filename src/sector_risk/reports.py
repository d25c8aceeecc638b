"""Reports: what a panel says of the year so far, as the particles of each trust have to explain it."""

from functools import cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.kernels.particles import ADVERSE, FAVOURABLE, HELD, ON_PLAN, REVISED, Reports
from sector_risk.prepare import MONTHS, Prepared

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
YEAR_END = 12
SLACK = 1e-6
"""Part of the limit by which a figure that was rounded to it may be beyond in floating point."""


def reports_of(panel: xr.Dataset, prepared: Prepared, assumptions: Assumptions, through_month: int) -> Reports:
    """Return what was reported of every trust up to a month; trusts of which nothing was are left out.

    `panel` has the rows of `prepared`.
    """
    turnover = prepared.panel["turnover"]
    variance, declared = variance_to_date(panel, prepared.plan_path, through_month), np.full(len(turnover), np.nan)
    if through_month:
        declared = declared_variance(panel)
    declared[~np.isnan(variance[:, -1])] = np.nan  # the outturn is known
    seen = np.flatnonzero(~np.isnan(np.column_stack([variance, declared])).all(axis=1))
    kinds, values = said(variance[seen], declared[seen], turnover[seen], assumptions)
    return in_rows(seen, kinds, values, turnover[seen], assumptions)


def variance_to_date(panel: xr.Dataset, plan_path: F64, through_month: int) -> F64:
    """Year-to-date variance before support, (P, 12), GBP m: as given, else actual less plan; NaN where not seen."""
    variance, actual = monthly(panel, "variance_ytd"), monthly(panel, "actual")
    seen = np.where(np.isnan(variance), actual - plan_path, variance)
    seen[:, through_month:] = np.nan
    return seen


def monthly(panel: xr.Dataset, name: str) -> F64:
    """Return a copy of a monthly variable, (P, 12), NaN where the panel says nothing."""
    if name not in panel:
        return np.full((panel.sizes["trust"], 12), np.nan)
    return np.array(panel[name].transpose("trust", "month").reindex(month=MONTHS).values, float)


def declared_variance(panel: xr.Dataset) -> F64:
    """Declared year-end forecast less plan, (P,), GBP m; NaN where none is declared."""
    if "forecast" not in panel:
        return np.full(panel.sizes["trust"], np.nan)
    return np.asarray(panel["forecast"].values - panel["plan"].values, float)


def said(variance: F64, declared: F64, turnover: F64, assumptions: Assumptions) -> tuple[I64, F64]:
    """Return kinds and values of all reports, (R, 13): twelve months and the declared forecast; kind -1 for none."""
    near = assumptions.reporting.on_plan * np.outer(turnover, np.append(MONTHS, YEAR_END) / YEAR_END) * (1.0 + SLACK)
    values = np.column_stack([variance, declared])
    kind = np.where(values < 0.0, ADVERSE, FAVOURABLE)
    if not assumptions.flexibility.keep_favourable:
        kind[values > 0.0] = ON_PLAN  # nothing better than plan is ever reported
    kind[np.abs(values) <= near] = ON_PLAN
    kind[:, -1] = np.where(np.abs(declared) <= near[:, -1], HELD, REVISED)
    return np.where(np.isnan(values), -1, kind), values


def in_rows(trust: I64, kinds: I64, values: F64, turnover: F64, assumptions: Assumptions) -> Reports:
    """Put each trust's reports next to each other, with what the run rate's walk is at their months."""
    count = (kinds >= 0).sum(axis=1)
    order = np.argsort(kinds < 0, axis=1, kind="stable")[:, :YEAR_END]  # those there first, in their order
    month = np.minimum(order, YEAR_END - 1)
    persistence, reporting = assumptions.deterioration.persistence, assumptions.reporting
    walks = [walk(tuple(row[:n]), persistence) for row, n in zip(month.tolist(), count.tolist(), strict=True)]
    return Reports(
        trust=trust,
        reported=count,
        month=month,
        kind=np.take_along_axis(kinds, order, axis=1),
        value=np.take_along_axis(values, order, axis=1),
        cholesky=np.array([w[0] for w in walks]).reshape(-1, YEAR_END, YEAR_END),
        shocks=np.array([w[1] for w in walks]).reshape(-1, YEAR_END, YEAR_END),
        tolerance=reporting.on_plan * turnover,
        forecast_sd=reporting.forecast_sd * turnover,
        held=np.float64(reporting.forecast_held),
    )


@cache
def walk(months: tuple[int, ...], persistence: float) -> tuple[F64, F64]:
    """Cholesky factor L of the walk at some months (less one), and G with G' = L^-1 C; both padded to (12, 12).

    >>> cholesky, shocks = walk((2, 5), 0.5)
    >>> bool(np.allclose(shocks[:, :2].T @ shocks[:, :2], np.eye(2)))
    True
    """
    steps = MONTHS[:, None] - MONTHS
    weight = np.where(steps >= 0, (1.0 - persistence ** np.maximum(steps + 1, 0)) / (1.0 - persistence), 0.0)
    causes = weight[list(months)]
    lower = np.linalg.cholesky(causes @ causes.T)
    cholesky, shocks = np.zeros((YEAR_END, YEAR_END)), np.zeros((YEAR_END, YEAR_END))
    cholesky[: len(months), : len(months)] = lower
    shocks[:, : len(months)] = np.linalg.solve(lower, causes).T
    return cholesky, shocks


def last_month(reports: Reports) -> I64:
    """Months that the reports speak of, (R,): 12 where a forecast was declared."""
    return np.asarray(np.take_along_axis(reports.month, reports.reported[:, None] - 1, axis=1)[:, 0] + 1)
