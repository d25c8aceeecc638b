"""A pot that closes as many gaps as it can: the smallest first.

In each draw gaps are paid in full from the smallest on while their running total stays within the pot, equal ones
together; what is left is shared among the others in proportion to their gaps.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.funds import WHOLE

TILE = 32
"""Draws that are turned round together, so that their gaps stay in the nearest cache."""
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_INFINITY = np.float32(np.inf)


@step
def _turn(gap: Any, i: Any, turned: Any) -> None:
    for j in range(gap.size):
        turned[j, i] = gap[j]


@step
def _open_gaps(gaps: Any, members: Any) -> Any:
    """Collect the gaps above nought; return how many there are and their total."""
    n, total = 0, 0.0
    for i in range(gaps.size):
        members[n] = gaps[i]
        total += gaps[i]
        n += 1 if gaps[i] > _ZERO else 0
    return n, total


@step
def _middle(a: Any, b: Any, c: Any) -> Any:
    return max(min(a, b), min(max(a, b), c))


@step
def _part(members: Any, n: Any, pivot: Any, below: Any, above: Any) -> Any:
    """Part the first n members at a pivot, without branches: numbers and totals below it and above it."""
    n_below, n_above = 0, 0
    total_below: Any = 0.0
    total_above: Any = 0.0
    for i in range(n):
        gap = members[i]
        below[n_below], above[n_above] = gap, gap
        is_below, is_above = gap < pivot, gap > pivot
        n_below += is_below
        n_above += is_above
        total_below += gap if is_below else _ZERO
        total_above += gap if is_above else _ZERO
    return n_below, n_above, total_below, total_above


@step
def _limit(gaps: Any, pot: Any, room: Any) -> Any:
    """Return the smallest gap that is not closed, and the rate at which it and greater ones are paid.

    It is found as a quantile is, by parting the gaps at one of them and going on with the side that holds it.
    """
    members, below, above = room[0], room[1], room[2]
    n, total = _open_gaps(gaps, members)
    if total <= pot:
        return _INFINITY, _ONE
    closed, rest, limit = 0.0, total, _INFINITY  # sums of gaps that are known to be closed, and of members
    while n > 0:
        pivot = _middle(members[0], members[n // 2], members[n - 1])
        n_below, n_above, total_below, total_above = _part(members, n, pivot, below, above)
        if closed + total_below > pot:
            members, below = below, members
            n, rest = n_below, total_below
        elif closed + rest - total_above > pot:
            limit, closed, n = pivot, closed + total_below, 0
        else:
            members, above = above, members
            n, closed, rest = n_above, closed + rest - total_above, total_above
    return limit, np.float32(WHOLE * (pot - closed) / (total - closed))


@step
def _pay(limit: Any, rate: Any, gap: Any) -> None:
    for j in range(gap.size):
        gap[j] = gap[j] if gap[j] < limit[j] else rate[j] * gap[j]


@kernel
def smallest_first_block(pot: Any, gap: Any) -> None:
    """Turn the gaps of each draw into what a pot pays towards them.

    Parameters
    ----------
    pot : float
        GBP m in each draw.
    gap : float32 array, shape (T, B), none below nought
        GBP m; overwritten with the payments, which never pass the pot nor a gap.
    """
    n_trusts, n = gap.shape
    turned, room = np.empty((TILE, n_trusts), np.float32), np.empty((3, n_trusts + 1), np.float32)
    limit, rate = np.empty(n, np.float32), np.empty(n, np.float32)
    for a in range(0, n, TILE):
        b = min(a + TILE, n)
        for i in range(n_trusts):
            _turn(gap[i, a:b], i, turned)
        for j in range(b - a):
            limit[a + j], rate[a + j] = _limit(turned[j], pot, room)
    for i in range(n_trusts):
        _pay(limit, rate, gap[i])
