"""Deterioration: drift of the run rate away from plan, monthly shocks that persist, and the season."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions.sources import CALIBRATED
from sector_risk.faults import Fault
from sector_risk.marginal import Marginal
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Deterioration(Settings):
    """Drift D = turnover ((drift_base + drift_per_planned_deficit max(0, -plan/turnover)) X - headroom), X = drift.

    The run rate also takes an AR(1) of monthly shocks with sd shock_sd * turnover.
    """

    drift: Marginal = assumption(
        Marginal.of("gamma", a=3.5, scale=1 / 3.5),
        unit="relative to the trust's mean",
        meaning="drift of a trust's year relative to its mean",
        source=CALIBRATED,
        confidence="G",
    )
    drift_base: float = assumption(
        0.0005,
        unit="fraction of turnover",
        meaning="mean adverse drift of a trust that plans balance",
        source=CALIBRATED,
        confidence="G",
        low=0.0,
        high=0.1,
    )
    drift_per_planned_deficit: float = assumption(
        0.51,
        unit="fraction of the planned deficit before support",
        meaning="further mean drift of a trust that plans a deficit",
        source="set so that plan and variance correlate by about .4; .48 across 150 trusts at month 9 of 2025-26: NHS"
        " Oversight Framework data",
        confidence="G",
        low=0.0,
        high=2.0,
    )
    headroom: float = assumption(
        0.0128,
        unit="fraction of turnover",
        meaning="contingency and slack in plans that offset drift",
        source=CALIBRATED,
        confidence="G",
        low=0.0,
        high=0.1,
    )
    season: tuple[float, ...] = assumption(
        (0.03, 0.13, 0.27, 0.43, 0.61, 0.80, 1.01, 1.23, 1.47, 1.72, 1.99, 2.31),
        unit="relative weight",
        meaning="weight of each month (April first) in the year's drift: problems and winter come late",
        source="hand-calibrated to control totals met by quarter, .86, .82, .75, .67-.75: HSJ 7010158, HFMA",
        confidence="G",
        low=0.0,
    )
    persistence: float = assumption(
        0.93,
        unit="coefficient",
        meaning="AR(1) coefficient of monthly run-rate shocks",
        source="hand-calibrated to movements between months 3, 6 and 9 of 2025-26: NHS Oversight Framework data",
        confidence="G",
        low=0.0,
        high=0.99,
    )
    shock_sd: float = assumption(
        0.0012,
        unit="fraction of annual turnover a month",
        meaning="sd of a monthly run-rate shock",
        source="hand-calibrated to movements between months 3, 6 and 9 of 2025-26: NHS Oversight Framework data",
        confidence="G",
        low=0.0,
        high=0.05,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        if sum(self.season) <= 0.0:
            remedy = "Give at least one month a weight."
            yield Fault(
                "assumptions", "must not all be zero", str(self.season), remedy, variable="deterioration.season"
            )

    def drift_scale(self, plan: F64, turnover: F64) -> F64:
        """Mean adverse drift of each trust before headroom, GBP m a year."""
        return self.drift_base * turnover + self.drift_per_planned_deficit * np.maximum(-plan, 0.0)

    def season_path(self) -> F64:
        """Cumulative share of the year's drift by month."""
        return np.cumsum(self.season) / np.sum(self.season)
