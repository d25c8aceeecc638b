"""Distress loans for a block of draws.

A deficit n is borrowed at the rate of the day; of a surplus a part r goes to repay the debt L. The bill of the year
to come, I, falls with the part of the debt that is repaid:

    I <- I (1 - r / L) + rate n        L <- L - r + n
"""

from typing import Any, NamedTuple

import numpy as np

from sector_risk.kernels._jit import kernel, step

_ZERO = np.float32(0.0)
_TINY = np.finfo(np.float32).tiny


class Terms(NamedTuple):
    """Rates of interest, fractions a year, and what is repaid."""

    standard: np.float32
    reward: np.float32
    distressed: np.float32
    repayment: np.float32  # share of a surplus


@step
def _finance(terms: Any, distress: Any, position: Any, variance: Any, debt: Any, due: Any) -> None:
    """Repay from surpluses and borrow for deficits; without debt there is no bill, so nought over nought is nought."""
    for j in range(debt.size):
        on_plan = terms.reward if variance[j] >= _ZERO else terms.standard
        rate = terms.distressed if position[j] < distress else on_plan
        borrowed = max(-position[j], _ZERO)
        kept = debt[j] - min(debt[j], terms.repayment * max(position[j], _ZERO))
        due[j] = due[j] * (kept / max(debt[j], _TINY)) + rate * borrowed
        debt[j] = kept + borrowed


@kernel
def finance_block(terms: Any, distress: Any, position: Any, variance: Any, debt: Any, due: Any, paid: Any) -> None:
    """Bring debts and interest bills to the year end.

    Parameters
    ----------
    terms
        See `Terms`.
    distress : float32 array, shape (T,)
        The position, negative, below which a trust borrows at the distressed rate.
    position, variance : float32 arrays, shape (T, B)
        Year-end position after support, and year-end variance before support.
    debt, due : float32 arrays, shape (T, B)
        What is owed and the bill of the year; changed to those of the year to come.
    paid : float32 array, shape (T, B)
        Written: the bill of the year that ends.
    """
    for i in range(debt.shape[0]):
        paid[i][:] = due[i]
        _finance(terms, distress[i], position[i], variance[i], debt[i], due[i])
