"""What history and simulation are compared by: the sector's year, and how variances are spread over trusts.

Of a year of the sector: variance at months 3, 6, 9 and 12 in per cent of the year's turnover, share of trusts below
plan at the same months, savings delivered over planned, one-off savings over delivered. Years are taken as
exchangeable: all are held against the bundled 2018-19 case.
Of a panel of trusts, in per cent of turnover to date: at its last month the shares on plan and adverse, mean and sd of
the adverse part and the correlation with the plan; and the sd of changes between quarter ends. (The share favourable
is the rest of the first two.)
"""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.history import QUARTER_ENDS, History, trust_variances
from sector_risk.kernels.reduce import BALANCE
from sector_risk.planned import plan_run, run_draws
from sector_risk.prepare import Prepared

F64 = NDArray[np.float64]
SECTOR = (
    *(f"sector variance, month {m}" for m in QUARTER_ENDS),
    *(f"trusts below plan, month {m}" for m in QUARTER_ENDS),
    "savings delivered",
    "one-off savings",
)
ON_PLAN, ADVERSE = 0.02, 0.05
"""Per cent of turnover: within the first a trust is on plan, beyond the second it is off plan."""
FEWEST_TRUSTS = 20
EFFICIENCY_RECURRENT = 0
"""Row of `driver_total` that holds recurrent savings not delivered."""

WALK_SD, BASIS_SD, BELOW_SD, DELIVERED_SD, ONE_OFF_SD = 0.08, 0.06, 0.06, 0.02, 0.03
"""What the model leaves out of a year of the sector: judgement. Variances have a random walk, and at each quarter end
the basis of plan and figure: the plan of 2018-19 was reset by .09 and .14% of turnover, and its outturn is against the
first plan. Shares are of control totals in one year and of plans in another; efficiency is published in round figures
and on several bases."""
TRUST_SD = {
    "on plan": 0.08,
    "adverse": 0.08,
    "adverse mean": 0.4,
    "adverse sd": 0.4,
    "correlation": 0.12,
    "change": 0.2,
}
"""The same of a panel of trusts; funding withheld, which counts as variance in some years, is left out too."""


class Quarters(NamedTuple):
    """A simulated year: variances before support at quarter ends, and the sector's savings (GBP m)."""

    variance: F64  # (4, trust, draw)
    planned: float
    delivered: F64  # (draw,)
    recurrent: F64  # (draw,)


class Observed(NamedTuple):
    """Statistics of something that came to pass, and the covariance of what the model leaves out of them."""

    labels: tuple[str, ...]
    values: F64  # NaN where not known
    left_out: F64  # (S, S)


def simulate_quarters(panel: xr.Dataset, assumptions: Assumptions, n_draws: int, seed: int) -> Quarters:
    """Simulate a panel's year without rules."""
    run, _ = plan_run(panel, assumptions, "none", years=1, n_draws=n_draws, seed=seed, by_trust=False)
    draws = run_draws(replace(run, by_quarter=True), threads=1, block_size=None, progress=False)
    recurrent = planned_recurrent(run.prepared) + draws.driver_total[0, EFFICIENCY_RECURRENT]
    variance, planned = draws.quarter_variance.astype(float), float(run.prepared.efficiency_plan.sum())
    return Quarters(variance, planned, draws.efficiency_delivered[0], recurrent)


def planned_recurrent(prepared: Prepared) -> float:
    """Savings that are planned to recur, GBP m."""
    return float(prepared.efficiency_plan @ prepared.panel["efficiency_recurrent_share"])


def sector_statistics(year: Quarters, turnover: float) -> F64:
    """Statistics of the sector by draw, (statistic, draw)."""
    variance = 100.0 * year.variance.sum(axis=1) / turnover
    delivered = np.maximum(year.delivered, 1e-9)
    below = (year.variance < -BALANCE).mean(axis=1)
    return np.vstack([variance, below, delivered / year.planned, 1.0 - year.recurrent / delivered])


def sector_left_out() -> F64:
    """Covariance of what is left out of a sector year: correlated for variances alone."""
    months = np.array(QUARTER_ENDS, dtype=float)
    cov = np.diag(np.square([0.0] * 4 + [BELOW_SD] * 4 + [DELIVERED_SD, ONE_OFF_SD]))
    cov[:4, :4] = WALK_SD**2 * np.minimum.outer(months, months) / 12.0 + BASIS_SD**2 * np.eye(4)
    return cov


def sector_years(history: History) -> dict[str, Observed]:
    """Statistics of each year of the sector's history of which at least one is known."""
    sector, left_out = history.sector, sector_left_out()
    at_end = sector.sel(month=12)
    delivered = (at_end["efficiency_delivered"] / at_end["efficiency_plan"]).values
    one_off = (at_end["efficiency_one_off"] / at_end["efficiency_delivered"]).values
    values = np.column_stack([sector["variance_share"], sector["share_below_plan"], delivered, one_off])
    known = ~np.isnan(values).all(axis=1)
    years = sector["year"].values
    return {str(y): Observed(SECTOR, row, left_out) for y, row, k in zip(years, values, known, strict=True) if k}


class CrossSection:
    """Statistics of a panel's variances, the same for what came and for what is simulated."""

    def __init__(self, panel: xr.Dataset) -> None:
        self.turnover, self.plan = panel["turnover"].values, (panel["plan"] / panel["turnover"]).values
        self.variance = trust_variances(panel)
        self.known = np.isfinite(self.variance)
        self.rows = [i for i in range(3) if self.known[i].sum() >= FEWEST_TRUSTS]
        both = [(i, j) for i, j in pairwise(self.rows) if (self.known[i] & self.known[j]).sum() >= FEWEST_TRUSTS]
        self.pairs = both

    def observed(self) -> Observed:
        """Return what came to pass."""
        at_last = tuple(TRUST_SD)[:-1] if self.rows else ()
        last = [f"{name}, month {QUARTER_ENDS[self.rows[-1]]}" for name in at_last]
        changes = [f"sd of change, month {QUARTER_ENDS[i]} to {QUARTER_ENDS[j]}" for i, j in self.pairs]
        sds = [TRUST_SD[name] for name in (*at_last, *["change"] * len(changes))]
        return Observed((*last, *changes), self.of(self.variance[:, :, None])[:, 0], np.diag(np.square(sds)))

    def of(self, variance: F64) -> F64:
        """Statistics by draw of variances at quarter ends (3 or more, trust, draw), GBP m."""
        share = {i: 100.0 * variance[i] / (self.turnover[:, None] * (i + 1) / 4.0) for i in self.rows}
        rows = [*spread(share[self.rows[-1]], self.plan, self.known[self.rows[-1]])] if self.rows else []
        for i, j in self.pairs:
            both = self.known[i] & self.known[j]
            rows.append((share[j] - share[i])[both].std(axis=0))
        return np.array(rows).reshape(len(rows), variance.shape[-1])


def spread(share: F64, plan: F64, known: NDArray[np.bool_]) -> tuple[F64, ...]:
    """Shares on plan and adverse, mean and sd of the adverse part, correlation with plan; by draw."""
    share, plan = share[known], plan[known]
    adverse = share < -ADVERSE
    count = np.maximum(adverse.sum(axis=0), 1)
    mean = -np.where(adverse, share, 0.0).sum(axis=0) / count
    sd = np.sqrt(np.where(adverse, (share + mean) ** 2, 0.0).sum(axis=0) / count)
    centred, off = plan - plan.mean(), share - share.mean(axis=0)
    scale = np.sqrt((centred**2).sum() * (off**2).sum(axis=0))
    correlation = centred @ off / np.maximum(scale, 1e-12)
    return (np.abs(share) <= ON_PLAN).mean(axis=0), adverse.mean(axis=0), mean, sd, correlation
