"""The outlook: what carries over from one year to the next, how income and costs grow, and how trusts plan."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Outlook(Settings):
    """Next year opens with O = underlying + turnover (allocation_growth - cost_inflation - demand_growth + noise).

    Lists by year: the first value is for the second year, and the last one holds on.
    """

    full_year_effect: float = assumption(
        0.15,
        unit="fraction of recurrent savings delivered",
        meaning="what recurrent savings made part-way through a year are worth in the next beyond this year's value",
        source="judgement: phasing alone would give .35, but costs that arose within the year grow to full years too",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    other_one_off: float = assumption(
        0.0024,
        unit="fraction of turnover",
        meaning="other one-off income that plans and positions hold and that is not underlying",
        source="what is left between -5.0bn underlying at the end of 2018-19 and -0.83bn after 2.45bn of support,"
        " one-off cover and savings and the full-year effect: HSJ 7025306",
        confidence="D",
        low=0.0,
        high=0.1,
    )
    allocation_growth: tuple[float, ...] = assumption(
        (0.05, 0.05, 0.05, 0.05, 0.05),
        unit="fraction of turnover",
        meaning="growth of income from year to year",
        source="prices 3.8% and 1.25% for quality payments in 2019-20: HFMA 11 Jan 2019; held for later years",
        confidence="D",
        low=-0.1,
        high=0.2,
        any_length=True,
    )
    cost_inflation: tuple[float, ...] = assumption(
        (0.049, 0.049, 0.049, 0.049, 0.049),
        unit="fraction of turnover",
        meaning="growth of pay and prices at unchanged volume: price uplift and the 1.1% that it takes for efficiency",
        source="3.8% and 1.1%: HFMA 11 Jan 2019; held for later years",
        confidence="D",
        low=-0.1,
        high=0.2,
        any_length=True,
    )
    demand_growth: tuple[float, ...] = assumption(
        (0.024, 0.024, 0.024, 0.024, 0.024),
        unit="fraction of turnover",
        meaning="growth of costs with demand and local pressures at unchanged efficiency",
        source="set so that 2019-20 under its regime comes out near the -910 that it was (NHS Providers), with the"
        " underlying position worsening without help by .5bn a year; from 2017-18 to 2018-19 it was .7bn",
        confidence="G",
        low=-0.1,
        high=0.2,
        any_length=True,
    )
    sector_sd: float = assumption(
        0.003,
        unit="fraction of turnover",
        meaning="sd of what a year's growth turns out for all trusts alike",
        source="judgement, a little above the .17% of turnover by which yearly outturns scatter about plan",
        confidence="G",
        low=0.0,
        high=0.05,
    )
    trust_sd: float = assumption(
        0.006,
        unit="fraction of turnover",
        meaning="sd of a trust's own deviation from that growth",
        source="judgement",
        confidence="G",
        low=0.0,
        high=0.1,
    )
    efficiency_floor: float = assumption(
        0.011,
        unit="fraction of turnover",
        meaning="the least savings that a trust plans",
        source="efficiency factor in prices 2019-20: HFMA 11 Jan 2019",
        confidence="V",
        low=0.0,
        high=0.2,
    )
    efficiency_cap: float = assumption(
        0.05,
        unit="fraction of turnover",
        meaning="the most savings that a trust plans; what is missing then is a planned deficit",
        source="judgement between the sector's 4.1% in 2018-19 and the 6.4% that trusts refused: HSJ 7016700",
        confidence="G",
        low=0.0,
        high=0.3,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        if self.efficiency_floor > self.efficiency_cap:
            came, remedy = f"{self.efficiency_floor:g}", f"Give no more than the cap, {self.efficiency_cap:g}."
            yield Fault(self.place, "is above the cap", came, remedy, variable="outlook.efficiency_floor")

    def turnover_index(self, years: int) -> F64:
        """Turnover of each year relative to the first, (year,)."""
        steps = np.array([1.0, *(1.0 + in_year(self.allocation_growth, y) for y in range(1, years))], np.float64)
        return np.asarray(np.cumprod(steps), np.float64)

    def net_growth(self, years: int) -> F64:
        """Growth of income less growth of costs, fraction of the year's turnover, (year,); nought in the first."""
        rows = (self.allocation_growth, self.cost_inflation, self.demand_growth)
        later = [in_year(rows[0], y) - in_year(rows[1], y) - in_year(rows[2], y) for y in range(1, years)]
        return np.array([0.0, *later])


def in_year(values: tuple[float, ...], year: int) -> float:
    """Return a list's value for a year after the first; the last one holds on.

    >>> in_year((0.05, 0.04), 1), in_year((0.05, 0.04), 3)
    (0.05, 0.04)
    """
    return values[min(year, len(values)) - 1]
