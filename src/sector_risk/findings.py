"""What the page speaks of: every measure of a forecast, made once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.allocation import shares_of
from sector_risk.effects import waterfall
from sector_risk.goals import switching_value
from sector_risk.interventions import value_of_support
from sector_risk.measures import deficit_counts, exceedance, rank_stability
from sector_risk.readings import is_whole_sector
from sector_risk.summary import summarise
from sector_risk.swings import swings_of
from sector_risk.units import units_of

__all__ = ["SUPPORT", "Findings", "find", "quantile"]

WORST = 30  # whose deficits were set against the sector's in January 2019

SUPPORT = 5.0
"""GBP million that a trust is given to see where it does most."""


@dataclass(frozen=True)
class Findings:
    """A forecast and what was measured of it."""

    forecast: xr.Dataset
    summary: xr.Dataset
    curve: xr.Dataset
    counts: xr.Dataset
    ranks: xr.Dataset
    effects: xr.Dataset
    shares: xr.Dataset
    swings: xr.Dataset
    needed: xr.Dataset
    support: xr.Dataset

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.forecast.sizes["draw"]

    @property
    def worst_count(self) -> int:
        """How many trusts count as the worst."""
        return int(self.ranks["count"])

    @property
    def whole(self) -> bool:
        """Whether the trusts are most of the sector, so that the whole NHS can be spoken of."""
        return is_whole_sector(self.forecast)

    @property
    def who(self) -> str:
        """What the trusts together are called, at the beginning of a sentence."""
        return "The provider sector" if self.whole else "The sum of these trusts"

    def at(self, level: str) -> xr.Dataset:
        """Rows of the summary for the units of one level."""
        return self.summary.isel(unit=np.flatnonzero(self.summary.level.values == level))

    def one(self, level: str) -> xr.Dataset:
        """The row of the sector or of the whole NHS."""
        return self.at(level).isel(unit=0)

    def members(self, level: str) -> NDArray[np.int64]:
        """Number of trusts of the units of one level."""
        units = units_of(self.forecast)
        return np.array([len(units.members[i]) for i in units.at(level)], np.int64)

    def turnover(self, level: str) -> NDArray[np.float64]:
        """Turnover of the units of one level, GBP million."""
        units, turnover = units_of(self.forecast), self.forecast.turnover.values
        return np.array([turnover[units.members[i]].sum() for i in units.at(level)])


def quantile(rows: xr.Dataset, level: float) -> NDArray[Any]:
    """Quantile of the position of some rows of a summary."""
    values: NDArray[Any] = rows.position_quantile.sel(quantile=level, method="nearest").values
    return values


def find(forecast: xr.Dataset) -> Findings:
    """Measure a forecast."""
    trusts, flow = forecast.sizes["trust"], waterfall(forecast)
    return Findings(
        forecast,
        summary=summarise(forecast),
        curve=exceedance(forecast),
        counts=deficit_counts(forecast),
        ranks=rank_stability(forecast, WORST if trusts >= 2 * WORST else max(1, trusts // 8)),
        effects=flow,
        shares=shares_of(forecast, flow, 0.95),
        swings=swings_of(flow, 0.1),
        needed=switching_value(forecast, (0.5, 0.9)),
        support=value_of_support(forecast, SUPPORT),
    )
