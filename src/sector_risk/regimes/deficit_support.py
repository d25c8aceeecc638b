"""Deficit support, 2025-26: paid by quarter, and withheld from systems that are off plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.kernels import deficit_support
from sector_risk.kernels.funds import WHOLE
from sector_risk.regimes.rule import Block, Context, Panel, PreparedRule, Rule, shares_fault
from sector_risk.regimes.sustainability import GATE_SHARE, earned_by_month
from sector_risk.settings import ByYear, assumption

F32 = np.float32


@dataclass(frozen=True)
class DeficitSupport(Rule):
    """Support for planned deficits, paid by quarter to trusts whose system is not off plan at the quarter's review.

    The allocation is the panel's, or the planned deficit where the panel gives none, within the pot; plans count on it.
    In quarter q it pays ``allocation * w_q``; from `first_review` on only if the year-to-date variance of the trust's
    system is not below ``-tolerance * turnover of the system * q / 4``. What is withheld is not paid later.

    Examples
    --------
    >>> import numpy as np
    >>> panel = {"support_allocation": np.zeros(3), "plan": np.array([-30.0, 10.0, -10.0])}
    >>> DeficitSupport().allocation(panel)
    array([30., 0., 10.])
    """

    name: ClassVar[str] = "deficit_support"
    national: ClassVar[tuple[str, ...]] = ("pot",)
    pays: ClassVar[bool] = True

    pot: float = assumption(
        2200.0,
        unit="GBP m",
        meaning="size of the fund",
        source="2025-26: NHS England",
        confidence="V",
        low=0.0,
    )
    weights: tuple[float, float, float, float] = assumption(
        (0.25, 0.25, 0.25, 0.25),
        unit="share",
        meaning="share of the allocation that is due in each quarter",
        source="paid quarterly: NHS England",
        confidence="V",
        low=0.0,
    )
    tolerance: float = assumption(
        0.004,
        unit="fraction of a system's turnover a year",
        meaning="adverse variance, in proportion to the time elapsed, beyond which a system counts as off plan",
        source="judgement, near 13 of 42 systems without support in the last quarter: NHS England month 9 of 2025-26",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    first_review: int = assumption(
        3,
        unit="quarter",
        meaning="first quarter for which support is withheld from systems that are off plan",
        source="260 withheld by quarter 3 of 2025-26: NHS England",
        confidence="D",
        low=1,
        high=4,
    )
    taper: ByYear = assumption(
        ByYear(),
        unit="fraction of the allocation",
        meaning="share of the allocation that is left in each year after the panel's own; empty: all of it",
        source="none unless given: deficit support is to end, the path is not settled",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        yield from shares_fault(self, "weights")

    def on_offer(self, context: Context) -> NDArray[np.float64]:
        """Allocations of the first year, (T,) GBP m."""
        return self.allocation(context.panel)

    def planned_path(self) -> NDArray[np.float64]:
        """Cumulative share of support that plans expect by each month, linear within a quarter."""
        return earned_by_month(self.weights)

    def allocation(self, panel: Panel) -> NDArray[np.float64]:
        """Allocations of the panel's own year, (T,) GBP m: planned deficits, up to what is given; within the pot."""
        given, deficit = panel["support_allocation"], np.maximum(-panel["plan"], 0.0)
        wanted = np.minimum(given, deficit) if (given > 0.0).any() else deficit
        wanted = wanted.astype(F32).astype(float)
        total = wanted.sum()
        return wanted * (WHOLE * self.pot / total) if total > self.pot else wanted

    def limits(self, system: NDArray[np.int64], turnover: NDArray[np.float64]) -> NDArray[np.float32]:
        """Year-to-date variance of each system below which a quarter is withheld, (4, S) GBP m."""
        limits = np.outer(GATE_SHARE, -self.tolerance * np.bincount(system, turnover))
        limits[: self.first_review - 1] = -np.inf
        return limits.astype(F32)

    def prepare(self, context: Context) -> "PreparedDeficitSupport":
        """Bind the rule to a panel."""
        allocation = self.allocation(context.panel)
        shares = [1.0, *(self.taper.at(label) if self.taper else 1.0 for label in context.years[1:])]
        return PreparedDeficitSupport(self, context.system, tuple((allocation * share).astype(F32) for share in shares))


@dataclass(frozen=True)
class PreparedDeficitSupport(PreparedRule):
    """The rule, ready for blocks of draws."""

    rule: DeficitSupport
    system: NDArray[np.int64]
    allocations: tuple[NDArray[np.float32], ...]  # by year, (T,) GBP m

    def before_plan(self, block: Block) -> None:
        """Let plans count on the allocations."""
        allocation = self.allocations[block.year]
        if allocation.any():
            block.planned_support += allocation[:, None]

    def after_year(self, block: Block) -> None:
        """Pay the quarters that are not withheld."""
        allocation = self.allocations[block.year]
        if allocation.any():
            weights, limits = np.array(self.rule.weights, F32), self.rule.limits(self.system, block.turnover)
            paid, variance = block.paid[self.rule.name], block.quarter_variance
            deficit_support.deficit_support_block(weights, limits, self.system, allocation, variance, paid)
