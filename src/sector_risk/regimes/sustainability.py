"""Control totals and sustainability funding, 2016-17 to 2019-20 (the provider sustainability fund)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.kernels import support
from sector_risk.regimes.rule import Block, Context, Panel, PreparedRule, Rule, shares_fault
from sector_risk.settings import ByYear, assumption

F32 = np.float32
GATE_SHARE = np.array([0.25, 0.5, 0.75, 1.0])


def earned_by_month(weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Cumulative share of the year that plans expect by each month: W(m), linear within a quarter.

    >>> [round(float(share), 3) for share in earned_by_month((0.15, 0.2, 0.3, 0.35))[:4]]
    [0.05, 0.1, 0.15, 0.217]
    """
    return np.interp(np.arange(1, 13), [0, 3, 6, 9, 12], [0.0, *np.cumsum(weights)])


@dataclass(frozen=True)
class SustainabilityFunding(Rule):
    """Quarterly earnings behind a year-to-date gate, catch-up, and a year-end distribution of what is left.

    Per quarter an agreed trust that is at or above its year-to-date control total earns
    ``allocation * (finance_share * (w_q + missed) + (1 - finance_share) * w_q * [access standard met])``.
    What the pot then has left goes to agreed trusts at or above their year-end total: pound for pound for
    the amount beaten, then by allocation. The pot is the sum of all allocations, agreed or not, unless given.

    Over several years allocations and pot are those of the panel times the `schedule`; after the first year plan and
    control total are the same, agreement is drawn afresh, and a trust that has left control totals earns nothing.

    Examples
    --------
    >>> fund = SustainabilityFunding(schedule={"2018-19": 1.0, "2019-20": 0.51, "2020-21": 0.0})
    >>> fund.share("2019-20", "2018-19"), fund.acts_in("2020-21")
    (0.51, False)
    """

    name: ClassVar[str] = "sustainability_funding"
    national: ClassVar[tuple[str, ...]] = ("pot", "into_prices")
    pays: ClassVar[bool] = True

    weights: tuple[float, float, float, float] = assumption(
        (0.15, 0.20, 0.30, 0.35),
        unit="share",
        meaning="share of the allocation earned in each quarter",
        source="HSJ 7020470 for the change of phasing; the numbers are general knowledge",
        confidence="G",
        low=0.0,
    )
    finance_share: float = assumption(
        0.7,
        unit="fraction",
        meaning="share that depends on finance alone",
        source="HSJ 7006253; HFMA 3 May 2017",
        confidence="V",
        low=0.0,
        high=1.0,
    )
    access_met: float = assumption(
        0.78,
        unit="probability",
        meaning="the access standard is met in a quarter by a trust that meets its total",
        source="64% of trusts against 82%: Parliament answer of 20 February 2017",
        confidence="D",
        low=0.0,
        high=1.0,
    )
    catch_up: bool = assumption(
        True,
        unit="flag",
        meaning="missed finance earnings are paid when the gate is met later",
        source="general knowledge",
        confidence="G",
    )
    acceptance: str = assumption(
        "given",
        unit="choice",
        meaning="'given' takes control_total_agreed of the panel; 'logit' draws it from the trust's ask",
        source="the panel says who agreed",
        confidence="D",
        choices=("given", "logit"),
    )
    acceptance_at_average: float = assumption(
        0.85,
        unit="probability",
        meaning="acceptance by a trust with the sector's ask: 82-87% accepted in 2018-19",
        source="NHS Providers 2019",
        confidence="G",
        low=0.01,
        high=0.99,
    )
    acceptance_slope: float = assumption(
        0.8,
        unit="fall of the log odds per percentage point of turnover",
        meaning="logit(P) = logit(at_average) - slope * (ask - the sector's ask); refusers' ask 6.4% against 4.2%",
        source="HSJ 7016700",
        confidence="G",
        low=-100.0,
        high=100.0,
    )
    pot: float | None = assumption(
        None,
        unit="GBP m",
        meaning="size of the fund; not given: the sum of allocations",
        source="the panel's allocations",
        confidence="D",
        low=0.0,
    )
    schedule: ByYear = assumption(
        ByYear(),
        unit="fraction of the panel's allocations",
        meaning="share of the panel's allocations, and of the pot, in the fund in each year; empty: all in every year",
        source="the fund as it is in the panel's year; 1,250 of 2,450 in 2019-20: HFMA 11 January 2019",
        confidence="G",
        low=0.0,
    )
    into_prices: ByYear = assumption(
        ByYear(),
        unit="GBP m",
        meaning="money moved from the fund into prices in the very year named, shared out by allocation",
        source="none unless given; 1,000 in 2019-20: HFMA 11 January 2019",
        confidence="G",
        low=0.0,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        yield from shares_fault(self, "weights")

    def share(self, label: str, first: str) -> float:
        """Size of the fund in a year relative to the panel's own, `first`, whose allocations the panel gives."""
        return self.schedule.at(label) / (self.schedule.at(first) or 1.0) if self.schedule else 1.0

    def acts_in(self, label: str) -> bool:
        """Whether there is money in the fund, or money moves from it into prices."""
        in_fund = not self.schedule or self.schedule.at(label) > 0.0
        return in_fund or self.into_prices.get(label, 0.0) > 0.0

    def on_offer(self, context: Context) -> NDArray[np.float64]:
        """Allocations of the first year, agreed or not, (T,) GBP m."""
        first = context.years[0]
        return self.share(first, first) * context.panel["support_allocation"]

    def counted_on(self, context: Context) -> NDArray[np.float64]:
        """Allocations of trusts that agreed; where agreement is drawn, times its probability, (T,) GBP m."""
        return self.on_offer(context) * self.agreed(context.panel)

    def planned_path(self) -> NDArray[np.float64]:
        """Cumulative share of support that plans expect by each month: W(m), linear within a quarter."""
        return earned_by_month(self.weights)

    def agreed(self, panel: Panel) -> NDArray[np.float64]:
        """Probability that each trust has agreed its control total."""
        offered = panel["support_allocation"] > 0.0
        if self.acceptance == "given":
            return (offered & (panel["control_total_agreed"] > 0.0)).astype(float)
        at_average = np.log(self.acceptance_at_average / (1.0 - self.acceptance_at_average))
        probability = 1.0 / (1.0 + np.exp(self.acceptance_slope * (panel["ask"] - panel["sector_ask"]) - at_average))
        return np.where(offered, probability, 0.0)

    def prepare(self, context: Context) -> "PreparedFund":
        """Settings and panel as the kernel needs them, year by year."""
        panel, whole, first = context.panel, self._whole(context), context.years[0]
        return PreparedFund(
            self.name,
            tuple(
                self._of_year(whole, panel, year, self.share(label, first)) for year, label in enumerate(context.years)
            ),
            tuple(self._moved(panel["support_allocation"], label) for label in context.years),
        )

    def _whole(self, context: Context) -> support.Funding:
        """Return the fund of the panel's own year, whatever the schedule."""
        panel = context.panel
        allocation = panel["support_allocation"]
        return support.Funding(
            hashes=context.hashes,
            access_key=context.key("access_standard"),
            agreed_key=context.key("control_total_acceptance"),
            allocation=allocation.astype(F32),
            gap=np.outer(GATE_SHARE, panel["control_total"] - panel["plan"]).astype(F32),
            agreed=self.agreed(panel).astype(F32),
            access_met=F32(self.access_met),
            weights=np.array(self.weights, F32),
            finance_share=F32(self.finance_share),
            catch_up=F32(self.catch_up),
            pot=np.float64(allocation.sum() if self.pot is None else self.pot),
        )

    def _of_year(self, whole: support.Funding, panel: Panel, year: int, share: float) -> support.Funding:
        """Return the share of the fund that a year has; after the first year plans are control totals."""
        allocation = (share * panel["support_allocation"]).astype(F32)
        gap = np.zeros_like(whole.gap) if year else whole.gap
        return whole._replace(allocation=allocation, gap=gap, pot=share * whole.pot)

    def _moved(self, allocation: NDArray[np.float64], label: str) -> NDArray[np.float32]:
        """Money that moves into each trust's prices in a year, (T,) GBP m."""
        total = allocation.sum()
        share = allocation / total if total > 0.0 else np.zeros_like(allocation)
        return (self.into_prices.get(label, 0.0) * share).astype(F32)


@dataclass(frozen=True)
class PreparedFund(PreparedRule):
    """The rule, ready for blocks of draws."""

    name: str  # of the rule, under which it pays
    funds: tuple[support.Funding, ...]  # by year
    into_prices: tuple[NDArray[np.float32], ...]  # by year, (T,) GBP m

    def before_plan(self, block: Block) -> None:
        """Move money into prices, and let plans count on the allocation of trusts that agree."""
        fund, into_prices = self.funds[block.year], self.into_prices[block.year]
        if block.year and into_prices.any():
            block.opening += into_prices[:, None]
        if fund.allocation.any():
            support.plan_block(fund.allocation * fund.agreed, block.control_total, block.planned_support)

    def after_year(self, block: Block) -> None:
        """Pay the fund in one block."""
        fund = self.funds[block.year]
        if fund.allocation.any():
            paid, variance = block.paid[self.name], block.quarter_variance
            support.sustainability_block(fund, block.year, block.first_draw, block.control_total, variance, paid)
