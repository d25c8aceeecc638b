"""Payment reform from 2019-20: a new market forces factor, money to places of high inequality, less pay by volume."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.settings import assumption

F32 = np.float32
F64 = NDArray[np.float64]
ROUNDING = 1e-9
"""Part of the largest index below which a lead over the mean is the rounding of that mean."""


@dataclass(frozen=True)
class PaymentReform(Rule):
    """Transfers between trusts that add up to nought, phased in by equal steps, and run rates that vary less.

    Before the plan of each year ``opening += (phi_y - phi_before) * (m + e)``, GBP million at the panel's turnover:
    `market_forces` gives m, `to_inequality` gives e, and `phi` is the share of the reform that is reached. Run-rate
    shocks are multiplied by ``sqrt(1 - activity_part * s * (1 - (1 - population_share * phi)**2))`` with s the
    share of a trust's income that is paid by volume. What the panel does not say of a trust is no change of its
    market forces factor, an average inequality index, and `activity_share`. The panel's own plan is taken to hold
    the first year's step.

    Examples
    --------
    >>> PaymentReform().acts_in("2018-19"), PaymentReform(inequality_pot=500.0).evidence_of("years").confidence
    (False, 'V')
    """

    name: ClassVar[str] = "payment_reform"
    national: ClassVar[tuple[str, ...]] = ("inequality_pot",)

    first_year: str = assumption(
        "2019-20",
        unit="financial year",
        meaning="first year of the reform",
        source="NHS long-term plan (January 2019), 6.6",
        confidence="V",
    )
    years: int = assumption(
        5,
        unit="years",
        meaning="years over which it is phased in by equal steps",
        source="NHS long-term plan (January 2019), 6.6: the market forces factor moves over five years",
        confidence="V",
        low=1,
    )
    inequality_pot: float = assumption(
        1000.0,
        unit="GBP m",
        meaning="moved by the last year to places of higher health inequality than the average",
        source="NHS long-term plan (January 2019): at least 1bn a year by 2023-24",
        confidence="V",
        low=0.0,
    )
    activity_share: float = assumption(
        0.55,
        unit="fraction of turnover",
        meaning="income paid by volume of activity, where the panel does not say",
        source="general knowledge",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    population_share: float = assumption(
        0.5,
        unit="fraction",
        meaning="part of the income paid by volume that population-based payment replaces in the end",
        source="judgement: the plan names no figure",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    activity_part: float = assumption(
        0.3,
        unit="fraction of variance",
        meaning="part of the variance of run-rate shocks that would come with activity if all income were paid by it",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        yield from first_year_fault(self, self.first_year)

    def acts_in(self, label: str) -> bool:
        """Whether the reform has begun."""
        return label >= self.first_year

    def prepare(self, context: Context) -> "PreparedReform":
        """Work out the transfers of the whole reform, once."""
        turnover = context.panel["turnover"]
        moved = market_forces(turnover, context.number("mff_change", 0.0))
        moved += to_inequality(turnover, context.number("inequality_index", np.nan), self.inequality_pot)
        by_activity = context.number("activity_income_share", self.activity_share)
        return PreparedReform(self, moved, self.activity_part * by_activity)


@dataclass(frozen=True)
class PreparedReform(PreparedRule):
    """The reform, ready for blocks of draws."""

    rule: PaymentReform
    moved: F64  # (T,) GBP m a year once the reform is complete, sum nought
    activity_part: F64  # (T,) part of the variance of shocks that comes with activity

    def before_plan(self, block: Block) -> None:
        """Move this year's step of the transfers."""
        rise = phi_step(block.label, self.rule.first_year, self.rule.years)
        if rise > 0.0:
            block.opening += (rise * self.moved).astype(F32)[:, None]

    def before_year(self, block: Block) -> None:
        """Damp the shocks that come with pay by volume."""
        reached = phi(block.label, self.rule.first_year, self.rule.years)
        left = (1.0 - self.rule.population_share * reached) ** 2
        block.volatility *= np.sqrt(1.0 - self.activity_part * (1.0 - left)).astype(F32)


def phi(label: str, first_year: str, years: int) -> float:
    """Share of a phased change that is reached in a year: ``min(max(k, 0), years) / years`` in its k-th year.

    Examples
    --------
    >>> [phi(label, "2019-20", 5) for label in ("2018-19", "2019-20", "2021-22", "2030-31")]
    [0.0, 0.2, 0.6, 1.0]
    """
    return _reached(_count(label, first_year), years)


def phi_step(label: str, first_year: str, years: int) -> float:
    """Share of a phased change that a year adds to the year before: `phi` less that of the year before.

    Examples
    --------
    >>> [phi_step(label, "2019-20", 4) for label in ("2018-19", "2019-20", "2022-23", "2023-24")]
    [0.0, 0.25, 0.25, 0.0]
    """
    k = _count(label, first_year)
    return _reached(k, years) - _reached(k - 1, years)


def _count(label: str, first_year: str) -> int:
    return int(label[:4]) - int(first_year[:4]) + 1


def _reached(k: int, years: int) -> float:
    return min(max(k, 0), years) / years


def market_forces(turnover: F64, change: F64) -> F64:
    """Return what a new market forces factor moves, GBP million a year, sum nought.

    ``m_i = T_i * (change_i - mean)`` with the mean weighted by turnover: the factor shares money out and adds none
    (NHS long-term plan, 6.6).

    Parameters
    ----------
    turnover : shape (trust,), GBP million
    change : shape (trust,), fraction of turnover, gain positive

    Examples
    --------
    >>> market_forces(np.array([100.0, 300.0]), np.array([0.0, 0.02])).round(6).tolist()
    [-1.5, 1.5]
    """
    return turnover * (change - np.average(change, weights=turnover))


def to_inequality(turnover: F64, index: F64, pot: float) -> F64:
    """Return what a pot for places of high inequality moves, GBP million a year, sum nought.

    ``e_i = pot * (T_i w_i / sum(T w) - T_i / sum(T))`` with ``w = max(index - mean, 0)`` and the mean weighted by
    turnover: all pay by turnover, and those above the mean are paid by how far they are above it. Nothing moves if
    no index is above the mean. A trust without an index (NaN) counts as the mean.

    Parameters
    ----------
    turnover : shape (trust,), GBP million
    index : shape (trust,), higher is more unequal
    pot : GBP million

    Examples
    --------
    >>> to_inequality(np.array([100.0, 100.0, 200.0]), np.array([3.0, 1.0, 2.0]), 40.0).tolist()
    [30.0, -10.0, -20.0]
    """
    lead = turnover * _above_mean(turnover, index)
    if not lead.any():
        return np.zeros(turnover.shape)
    return pot * (lead / lead.sum() - turnover / turnover.sum())


def _above_mean(turnover: F64, index: F64) -> F64:
    stated = ~np.isnan(index)
    if not stated.any():
        return np.zeros(turnover.shape)
    lead = np.where(stated, index - np.average(index[stated], weights=turnover[stated]), 0.0)
    return np.where(lead > ROUNDING * np.abs(index[stated]).max(), lead, 0.0)


def first_year_fault(rule: Rule, first_year: str) -> Iterator[Fault]:
    """Yield a fault if a rule that is phased in does not say from when."""
    if not first_year:
        where, remedy = f"{rule.name}.first_year", "Give a financial year such as 2019-20, or leave the rule out."
        yield Fault(rule.place, "a phased change needs a first year", "", remedy, variable=where)
