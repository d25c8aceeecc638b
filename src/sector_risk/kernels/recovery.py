"""Financial recovery fund for a block of draws: who is offered how much, what is earned, who leaves control totals.

With the gap d = -(P + planned support), a trust under control totals signals a risk where d > risk. Then

    K += extra,   P += extra,   d -= extra             (after the first year)
    allocation = max(d, 0) [agreed] [K >= needed]      (as far as the pot goes, the smallest first)
    paid = allocation (own + part (shared - own))      (shares earned on its own and on its system's gate)
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.funds import add_by_system, draw_flag
from sector_risk.kernels.random import YEAR
from sector_risk.kernels.reduce import BALANCE
from sector_risk.kernels.rows import add_to
from sector_risk.kernels.share_out import smallest_first_block

F32 = NDArray[np.float32]
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


class Conditions(NamedTuple):
    """What the fund asks of each trust in a year (T trusts)."""

    hashes: NDArray[np.uint32]  # (T, 2)
    key: NDArray[np.uint32]  # (2,) stream of recovery plans
    agreement: np.float32  # probability that a recovery plan is agreed
    risk: F32  # (T,) gap above which a plan signals a risk, GBP m
    extra: F32  # (T,) further savings asked for, GBP m
    needed: F32  # (T,) efficiency plan from which the fund is open, GBP m
    pot: np.float64


class Plans(NamedTuple):
    """Plans of a block, (T, B); all but the first may be changed."""

    control_total: F32
    plan: F32
    planned_support: F32
    efficiency_plan: F32


@step
def _signal(risk: Any, plan: Any, support: Any, under: Any, gap: Any, signals: Any) -> None:
    for j in range(gap.size):
        gap[j] = -(plan[j] + support[j])
        signals[j] = under[j] if gap[j] > risk else _ZERO


@step
def _any(flag: Any) -> Any:
    count = 0
    for j in range(flag.size):
        count += 1 if flag[j] > _ZERO else 0
    return count > 0


@step
def _save_more(extra: Any, signals: Any, plan: Any, efficiency: Any, gap: Any) -> None:
    for j in range(gap.size):
        more = extra * signals[j]
        efficiency[j] += more
        plan[j] += more
        gap[j] -= more


@step
def _claim(needed: Any, signals: Any, agreed: Any, efficiency: Any, gap: Any, claim: Any) -> None:
    for j in range(claim.size):
        is_open = signals[j] * agreed[j] if efficiency[j] >= needed else _ZERO
        claim[j] = is_open * max(gap[j], _ZERO)


@step
def _offer(i: Any, fund: Any, year: Any, first_draw: Any, plans: Any, rows: Any, claim: Any) -> None:
    """Claim of trust i on the fund; its plans rise by the further savings."""
    gap, signals, agreed = rows[0], rows[1], rows[2]
    plan, efficiency = plans.plan[i], plans.efficiency_plan[i]
    _signal(fund.risk[i], plan, plans.planned_support[i], plans.control_total[i], gap, signals)
    if not _any(signals):
        claim[:] = _ZERO
        return
    if fund.extra[i] > _ZERO:
        _save_more(fund.extra[i], signals, plan, efficiency, gap)
    draw_flag(fund.key, fund.hashes[i], year * YEAR, first_draw, fund.agreement, agreed)
    _claim(fund.needed[i], signals, agreed, efficiency, gap, claim)


@kernel
def offer_block(fund: Any, year: Any, first_draw: Any, plans: Any, allocation: Any) -> None:
    """Share the fund out before the year.

    Parameters
    ----------
    fund
        See `Conditions`.
    year, first_draw : int
    plans
        See `Plans`: efficiency plan and plan rise by the further savings, planned support by the allocation.
    allocation : float32 array, shape (T, B)
        Written.
    """
    n_trusts, n = allocation.shape
    rows = np.empty((3, n), np.float32)
    for i in range(n_trusts):
        _offer(i, fund, year, first_draw, plans, rows, allocation[i])
    smallest_first_block(fund.pot, allocation)
    for i in range(n_trusts):
        add_to(plans.planned_support[i], allocation[i])


@step
def _earned_share(variance: Any, i: Any, cumulative: Any, share: Any) -> None:
    """Write the share of a year that row i of (4, rows, B) earns behind the gate nought, with full catch-up.

    Whoever meets the gate earns the quarter and all that was missed before it, so at the year end exactly
    the quarters up to the last gate that was met are earned: their cumulative weight, or nought.
    """
    first, second, third, fourth = variance[0, i], variance[1, i], variance[2, i], variance[3, i]
    w1, w2, w3, w4 = cumulative[0], cumulative[1], cumulative[2], cumulative[3]
    for j in range(share.size):
        earned = w1 if first[j] >= _ZERO else _ZERO
        earned = w2 if second[j] >= _ZERO else earned
        earned = w3 if third[j] >= _ZERO else earned
        share[j] = w4 if fourth[j] >= _ZERO else earned


@step
def _pay(part: Any, own: Any, shared: Any, allocation: Any, paid: Any) -> None:
    for j in range(paid.size):
        paid[j] = allocation[j] * (own[j] + part * (shared[j] - own[j]))


@step
def _system_share(variance: Any, system: Any, cumulative: Any, share: Any) -> None:
    """Share of the year that each system (S, B) earns on the sum of its trusts."""
    total = np.zeros((4, *share.shape), np.float32)
    add_by_system(variance, system, total)
    for s in range(share.shape[0]):
        _earned_share(total, s, cumulative, share[s])


@kernel
def pay_block(
    cumulative: Any, part: Any, system: Any, n_systems: Any, quarter_variance: Any, allocation: Any, paid: Any
) -> None:
    """Pay what trusts and systems have earned.

    Parameters
    ----------
    cumulative : float32 array, shape (4,)
        Cumulative weights of the quarters, the last one exactly one.
    part : float32
        Share of an allocation that is earned on the system's gate.
    system : int64 array, shape (T,)
    n_systems : int
    quarter_variance : float32 array, shape (4, T, B)
        Year-to-date variance to plan before support at months 3, 6, 9, 12.
    allocation, paid : float32 arrays, shape (T, B)
        `paid` is written.
    """
    n_trusts, n = paid.shape
    own, shared = np.empty(n, np.float32), np.zeros((n_systems, n), np.float32)
    if part > _ZERO:
        _system_share(quarter_variance, system, cumulative, shared)
    for i in range(n_trusts):
        _earned_share(quarter_variance, i, cumulative, own)
        _pay(part, own, shared[system[i]], allocation[i], paid[i])


@step
def _leave(variance: Any, before: Any, under: Any) -> None:
    for j in range(under.size):
        under[j] = _ZERO if variance[j] >= _ZERO and before[j] >= -BALANCE else under[j]


@kernel
def leave_block(quarter_variance: Any, before: Any, control_total: Any) -> None:
    """Let trusts that are on plan, and in balance before support, leave control totals; arrays (T, B), float32."""
    for i in range(before.shape[0]):
        _leave(quarter_variance[3, i], before[i], control_total[i])
