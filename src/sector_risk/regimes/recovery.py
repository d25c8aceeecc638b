"""The financial recovery fund: from 2019-20, for trusts whose planned deficit signals a risk to their services."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.kernels import recovery
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule, shares_fault
from sector_risk.schema import VariableSpec
from sector_risk.settings import ByYear, assumption

F32 = np.float32
ALLOCATION = "recovery_allocation"
ON_THE_MARK = 1.0 - 1e-6
"""A plan that is rounded to float32 and meets what is asked for exactly must not fail for its rounding."""


@dataclass(frozen=True)
class FinancialRecoveryFund(Rule):
    """A pot that fills planned deficits against further savings, earned by quarter; and the way out of control totals.

    Before the year, with the gap before the fund ``d = -(plan + planned support)``: a trust under control totals
    signals a risk if ``d > risk_threshold * turnover``. After the first year it then plans `extra_efficiency` more.
    If it agrees a recovery plan and saves enough, its allocation closes the gap ``max(d, 0)`` as far as the pot goes,
    the smallest gaps first (HFMA 5 November 2019): so as few trusts as possible stay in deficit. Per quarter it earns
    ``allocation * [variance >= 0] * (w_q + missed)``, a part of it on the variance of its system.

    Examples
    --------
    >>> fund = FinancialRecoveryFund()
    >>> fund.pots.at("2019-20"), fund.acts_in("2018-19"), fund.ends_control_totals_from
    (1050.0, False, '2020-21')
    """

    name: ClassVar[str] = "financial_recovery_fund"
    national: ClassVar[tuple[str, ...]] = ("pots",)
    pays: ClassVar[bool] = True
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec(
            "left_control_totals",
            ("trust", "draw"),
            "1",
            "has left control totals for good by the year end",
            kind="flag",
        ),
    )
    private: ClassVar[Mapping[str, str]] = {ALLOCATION: "float32"}

    pots: ByYear = assumption(
        ByYear({"2019-20": 1050.0, "2020-21": 2000.0, "2021-22": 1500.0, "2022-23": 1000.0, "2023-24": 500.0}),
        unit="GBP m",
        meaning="size of the fund in each year",
        source="1,050 in 2019-20: HFMA 11 January 2019 (V); 2,000 in 2020-21: HSJ 7026828 (V); the taper after that is"
        " judgement (G)",
        confidence="G",
        low=0.0,
    )
    risk_threshold: float = assumption(
        0.005,
        unit="fraction of turnover",
        meaning="planned deficit after other support above which a trust signals a risk to its services",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    tariff_efficiency: float = assumption(
        0.011,
        unit="fraction of turnover",
        meaning="efficiency that prices ask of every trust",
        source="HFMA 11 January 2019",
        confidence="V",
        low=0.0,
        high=1.0,
    )
    extra_efficiency: float = assumption(
        0.005,
        unit="fraction of turnover",
        meaning="further efficiency asked of a trust that signals a risk",
        source="HFMA 11 January 2019",
        confidence="V",
        low=0.0,
        high=1.0,
    )
    agreement: float = assumption(
        0.9,
        unit="probability",
        meaning="a trust that signals a risk agrees a recovery plan for the year",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    weights: tuple[float, float, float, float] = assumption(
        (0.15, 0.20, 0.30, 0.35),
        unit="share",
        meaning="share of the allocation earned in each quarter",
        source="taken to be those of sustainability funding, which are general knowledge",
        confidence="G",
        low=0.0,
    )
    system_share: ByYear = assumption(
        ByYear({"2020-21": 0.5}),
        unit="share",
        meaning="share of the allocation that is earned on the variance of the trust's system",
        source="half from 2020-21, none before: HSJ 7026828",
        confidence="V",
        low=0.0,
        high=1.0,
    )
    ends_control_totals: str = assumption(
        "2020-21",
        unit="financial year",
        meaning="first year at whose end trusts on plan and in balance before support leave; empty: never",
        source="to end by 2021 for trusts that deliver: HSJ 7024125",
        confidence="V",
    )

    def _relation_faults(self) -> Iterator[Fault]:
        yield from shares_fault(self, "weights")

    @property
    def ends_control_totals_from(self) -> str:
        """The first year in which trusts may leave control totals; empty: never."""
        return self.ends_control_totals

    def may_leave(self, label: str) -> bool:
        """Whether trusts may leave control totals at the end of a year."""
        return bool(self.ends_control_totals) and label >= self.ends_control_totals

    def acts_in(self, label: str) -> bool:
        """Whether there is a pot, or trusts may leave control totals."""
        return self.pots.at(label) > 0.0 or self.may_leave(label)

    def cumulative_weights(self) -> NDArray[np.float32]:
        """Share of an allocation that is earned by the end of each quarter; the last is exactly one."""
        return np.array([*np.cumsum(self.weights)[:3], 1.0], F32)

    def prepare(self, context: Context) -> "PreparedRecovery":
        """Bind the rule to a panel."""
        whole = recovery.Conditions(
            hashes=context.hashes,
            key=context.key("recovery_plan"),
            agreement=F32(self.agreement),
            risk=np.zeros(0, F32),
            extra=np.zeros(0, F32),
            needed=np.zeros(0, F32),
            pot=np.float64(0.0),
        )
        by_year = tuple(self._of_year(whole, context, year) for year in range(len(context.years)))
        return PreparedRecovery(self, by_year, context.system)

    def _of_year(self, conditions: recovery.Conditions, context: Context, year: int) -> recovery.Conditions:
        """Return what is asked of each trust in a year, and the pot, GBP m; a panel's plan holds the extra savings."""
        turnover, extra = context.turnover[year], self.extra_efficiency
        needed = (self.tariff_efficiency + extra) * ON_THE_MARK
        return conditions._replace(
            risk=(self.risk_threshold * turnover).astype(F32),
            extra=(extra * turnover if year else np.zeros_like(turnover)).astype(F32),
            needed=(needed * turnover).astype(F32),
            pot=np.float64(self.pots.at(context.years[year])),
        )


@dataclass(frozen=True)
class PreparedRecovery(PreparedRule):
    """The rule, ready for blocks of draws."""

    rule: FinancialRecoveryFund
    conditions: tuple[recovery.Conditions, ...]  # by year
    system: NDArray[np.int64]

    def before_year(self, block: Block) -> None:
        """Ask for further savings, and share the pot out among those to whom it is open."""
        conditions = self.conditions[block.year]
        if conditions.pot > 0.0:
            plans = recovery.Plans(block.control_total, block.plan, block.planned_support, block.efficiency_plan)
            recovery.offer_block(conditions, block.year, block.first_draw, plans, block.state[ALLOCATION])

    def after_year(self, block: Block) -> None:
        """Pay what was earned; let trusts that need no support leave control totals."""
        if self.conditions[block.year].pot > 0.0:
            self._pay(block)
        if self.rule.may_leave(block.label):
            recovery.leave_block(block.quarter_variance, block.position_before_support, block.control_total)
            np.equal(block.control_total, 0.0, out=block.state["left_control_totals"])

    def _pay(self, block: Block) -> None:
        """Pay what trusts and their systems have earned."""
        rule, variance, system = self.rule, block.quarter_variance, self.system
        cumulative, part = rule.cumulative_weights(), F32(rule.system_share.at(block.label))
        n_systems = int(system.max()) + 1
        recovery.pay_block(
            cumulative, part, system, n_systems, variance, block.state[ALLOCATION], block.paid[rule.name]
        )
