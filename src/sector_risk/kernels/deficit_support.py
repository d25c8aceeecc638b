"""Deficit support for a block of draws.

Per quarter q a trust with allocation a gets a w_q unless its system is off plan at the review of that quarter,

    sum over the system of variance[q] < limit[q],

and what is withheld is not paid later.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.funds import add_by_system

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@step
def _released_share(total: Any, s: Any, limit: Any, weights: Any, share: Any) -> None:
    """Share of the year's support that system s is given."""
    first, second, third, fourth = total[0, s], total[1, s], total[2, s], total[3, s]
    l1, l2, l3, l4 = limit[0, s], limit[1, s], limit[2, s], limit[3, s]
    w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3]
    for j in range(share.size):
        early = (w1 if first[j] >= l1 else _ZERO) + (w2 if second[j] >= l2 else _ZERO)
        late = (w3 if third[j] >= l3 else _ZERO) + (w4 if fourth[j] >= l4 else _ZERO)
        share[j] = min(early + late, _ONE)


@step
def _pay(allocation: Any, share: Any, paid: Any) -> None:
    for j in range(paid.size):
        paid[j] = allocation * share[j]


@kernel
def deficit_support_block(
    weights: Any, limit: Any, system: Any, allocation: Any, quarter_variance: Any, paid: Any
) -> None:
    """Pay the quarters that are not withheld.

    Parameters
    ----------
    weights : float32 array, shape (4,)
    limit : float32 array, shape (4, S)
        Year-to-date variance of each system below which a quarter is withheld, GBP m.
    system : int64 array, shape (T,)
    allocation : float32 array, shape (T,)
    quarter_variance : float32 array, shape (4, T, B)
        Year-to-date variance to plan before support at months 3, 6, 9, 12.
    paid : float32 array, shape (T, B)
        Written.
    """
    n_systems, n = limit.shape[1], paid.shape[1]
    total, share = np.zeros((4, n_systems, n), np.float32), np.empty((n_systems, n), np.float32)
    add_by_system(quarter_variance, system, total)
    for s in range(n_systems):
        _released_share(total, s, limit, weights, share[s])
    for i in range(system.size):
        _pay(allocation[i], share[system[i]], paid[i])
