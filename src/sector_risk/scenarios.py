"""A scenario: what a forecast is made from, in one piece that can be changed and run again on the same draws."""

from dataclasses import dataclass, replace
from typing import Any, Self

import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.conditioning import condition
from sector_risk.regimes import Regime
from sector_risk.simulation import simulate

__all__ = ["Scenario"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scenario:
    """What a forecast is made from.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
    assumptions : Assumptions
    regime : Regime or str, optional
        As for `simulate`.
    through_month : int, optional
        Months up to this one are seen, as for `condition`; nothing is seen if not given.

    Examples
    --------
    >>> import sector_risk as sr
    >>> base = Scenario(sr.load_case("england-2018-19"))
    >>> forecast = base.replace(regime="none").forecast(n_draws=200)
    >>> float(forecast["support"].sum())
    0.0
    """

    panel: xr.Dataset
    assumptions: Assumptions = Assumptions()
    regime: Regime | str | None = None
    through_month: int | None = None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some parts changed."""
        return replace(self, **changes)

    def forecast(self, **how: Any) -> xr.Dataset:
        """Run it: `simulate`, or `condition` where months are seen; `how` is n_draws, seed, threads and so on."""
        if self.through_month is None:
            return simulate(self.panel, self.assumptions, self.regime, **how)
        return condition(self.panel, self.assumptions, self.regime, through_month=self.through_month, **how)
