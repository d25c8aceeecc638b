"""Flexibility: one-off measures that absorb pressure, mostly found late in the year, and the plan's own path."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions.sources import CALIBRATED
from sector_risk.faults import Fault
from sector_risk.marginal import Marginal
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]
LEAST_CAPACITY = 0.2


@dataclass(frozen=True)
class Flexibility(Settings):
    """One-off cover available by month m is turnover * amount * (1 - deficit_effect * planned deficit %) * H(m)."""

    amount: Marginal = assumption(
        Marginal.of("gamma", a=7.5, scale=0.041 / 7.5),
        unit="fraction of turnover",
        meaning="one-off measures a trust can find in a year",
        source=CALIBRATED,
        confidence="G",
    )
    deficit_effect: float = assumption(
        0.02,
        unit="fall per percentage point of planned deficit before support",
        meaning="how much less a trust that plans a deficit can find: easy measures are used up first",
        source=CALIBRATED,
        confidence="G",
        low=0.0,
        high=0.5,
    )
    path: tuple[float, ...] = assumption(
        (0.06, 0.12, 0.18, 0.23, 0.29, 0.35, 0.41, 0.48, 0.57, 0.68, 0.83, 1.0),
        unit="cumulative share",
        meaning="H(m), share of the year's one-off measures that is there by each month",
        source="judgement on year-end actions, held against quarterly outturns",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    keep_favourable: float = assumption(
        0.37,
        unit="fraction",
        meaning="share of a favourable pressure that reaches the reported position; the rest is spent",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    plan_season: tuple[float, ...] = assumption(
        (-0.00136, -0.00100, -0.00099, 0.0),
        unit="fraction of turnover, cumulative at quarter ends",
        meaning="season in the default plan path: what published plan paths hold beyond phasing of savings and support",
        source="2018-19 plan paths -836, -1,111, -980, -519 less the formula's -717, -1,023, -893, -519, over 87.8bn",
        confidence="D",
        low=-0.1,
        high=0.1,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        path = np.array(self.path, dtype=float)
        if path.shape == (12,) and (path[-1] != 1.0 or (np.diff(path) < 0.0).any()):
            remedy = "Give cumulative shares that end at 1."
            yield Fault(
                "assumptions", "must not fall and must end at 1", str(self.path), remedy, variable="flexibility.path"
            )

    def capacity(self, plan: F64, turnover: F64) -> F64:
        """GBP m that one unit of `amount` is worth to each trust; at least a fifth of turnover's."""
        deficit = 100.0 * np.maximum(-plan, 0.0) / turnover
        return turnover * np.maximum(1.0 - self.deficit_effect * deficit, LEAST_CAPACITY)
