"""Distress loans and the interest on them, as in 2018."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sector_risk.kernels import loans
from sector_risk.regimes.rule import F64, Block, Context, PreparedRule, Rule
from sector_risk.schema import AMOUNT_SIGN, MONEY, VariableSpec
from sector_risk.settings import assumption

F32 = np.float32
RATES = "PQ 194777; HFMA 28 Mar 2018; HSJ 7015059"


@dataclass(frozen=True)
class DistressLoans(Rule):
    """Deficits are borrowed, at a rate that depends on how bad they are; the interest is a cost from the next year on.

    After the year, with position p after support and debt L (GBP m), ``n = max(-p, 0)`` is borrowed and
    ``r = min(L, repayment * max(p, 0))`` repaid. The rate is ``distressed_rate`` if p is below
    ``-distressed_below * turnover``, else ``reward_rate`` if the trust ended on plan or better before support,
    else ``standard_rate``. The yearly bill becomes ``I * (1 - r / L) + rate * n`` and the debt ``L - r + n``.
    At first they are the panel's ``debt`` and ``debt * loan_rate``. Before the next plan the opening position falls
    by the rise of the bill. Rates: PQ 194777, HFMA 28 Mar 2018, HSJ 7015059; the rest is judgement.

    Examples
    --------
    GBP 54m at the distressed and GBP 83m at the standard rate cost GBP 6.1m a year (HSJ 7016644):

    >>> rule = DistressLoans()
    >>> round(54 * rule.distressed_rate + 83 * rule.standard_rate, 1)
    6.1
    """

    name: ClassVar[str] = "distress_loans"
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec("debt", ("trust", "draw"), MONEY, "distress loans owed at the year end", sign="owed positive"),
        VariableSpec(
            "interest", ("trust", "draw"), MONEY, "interest on distress loans paid in the year", sign=AMOUNT_SIGN
        ),
    )
    private: ClassVar[dict[str, str]] = {"interest_due": "float32"}

    standard_rate: float = assumption(
        0.035,
        unit="fraction a year",
        meaning="interest rate of trusts that are neither distressed nor on plan",
        source=RATES,
        confidence="V",
        low=0.0,
        high=1.0,
    )
    reward_rate: float = assumption(
        0.015,
        unit="fraction a year",
        meaning="interest rate of trusts that end the year on plan or better",
        source=RATES,
        confidence="V",
        low=0.0,
        high=1.0,
    )
    distressed_rate: float = assumption(
        0.06,
        unit="fraction a year",
        meaning="interest rate of distressed trusts",
        source=RATES,
        confidence="V",
        low=0.0,
        high=1.0,
    )
    distressed_below: float = assumption(
        0.095,
        unit="fraction of turnover",
        meaning="deficit beyond which a trust is distressed",
        source="set so that about 12 trusts are, as were in financial special measures in 2018: PQ 194777",
        confidence="D",
        low=0.0,
        high=1.0,
    )
    repayment: float = assumption(
        0.25,
        unit="fraction of a surplus",
        meaning="part of a surplus that goes to repay debt",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    def prepare(self, context: Context) -> "PreparedLoans":
        """Terms of new loans, and the panel's debts with the interest on them."""
        debt = context.number("debt", 0.0)
        terms = loans.Terms(
            standard=F32(self.standard_rate),
            reward=F32(self.reward_rate),
            distressed=F32(self.distressed_rate),
            repayment=F32(self.repayment),
        )
        return PreparedLoans(terms, self.distressed_below, debt, debt * context.number("loan_rate", self.standard_rate))


@dataclass(frozen=True)
class PreparedLoans(PreparedRule):
    """The rule, ready for blocks of draws.

    Between two years ``interest_due`` is the bill of the year to come, ``interest`` that of the year that has ended.
    """

    terms: loans.Terms
    distressed_below: float  # fraction of turnover
    first_debt: F64  # (T,) GBP m at the start of the panel's year
    first_bill: F64  # (T,) GBP m, interest of the panel's year

    def before_plan(self, block: Block) -> None:
        """Take the rise of the interest bill from the opening position."""
        block.opening -= np.subtract(block.state["interest_due"], block.state["interest"])

    def after_year(self, block: Block) -> None:
        """Borrow, repay, and work out the next bill."""
        debt, due, paid = (block.state[name] for name in ("debt", "interest_due", "interest"))
        if block.year == 0:
            debt[:], due[:] = self.first_debt[:, None], self.first_bill[:, None]
        distress = (-self.distressed_below * block.turnover).astype(F32)
        variance = block.quarter_variance[3]
        loans.finance_block(self.terms, distress, block.position, variance, debt, due, paid)
