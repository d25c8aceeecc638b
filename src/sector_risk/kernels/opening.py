"""From one year to the next: what a year opens with, and what trusts then plan.

    opening = underlying + growth + sector_scale F + own_scale z
    K       = turnover clip((-opening - other - planned support) / turnover, floor, cap)
    plan    = opening + other + K

Growth and scales are a trust's, in GBP m; F is the sector's Normal of the year and z the trust's own.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.random import fill_normal_pair

F32 = NDArray[np.float32]


class Growth(NamedTuple):
    """What changes from the year before (T trusts), GBP m."""

    hashes: NDArray[np.uint32]  # (T, 2)
    key: NDArray[np.uint32]  # (2,) stream of the trusts' own deviations
    first_group: int  # item group at which the year's random numbers begin
    growth: F32  # (T,) income less costs
    sector_scale: F32  # (T,)
    own_scale: F32  # (T,)


class Planning(NamedTuple):
    """How trusts plan (T trusts), GBP m."""

    other: F32  # (T,) other one-off income
    least: F32  # (T,) least savings planned
    most: F32  # (T,) most savings planned


@step
def _open(underlying: Any, growth: Any, on_sector: Any, on_own: Any, sector: Any, own: Any, opening: Any) -> None:
    for j in range(opening.size):
        opening[j] = underlying[j] + growth + (on_sector * sector[j] + on_own * own[j])


@kernel
def opening_block(grown: Any, underlying: Any, sector: Any, first_draw: Any, opening: Any) -> None:
    """Write what the year opens with before any rule.

    Parameters
    ----------
    grown
        See `Growth`.
    underlying, opening : float32 arrays, shape (T, B)
        Last year's underlying position; `opening` is written.
    sector : float32 array, shape (B,)
        The sector's Normal of the year.
    first_draw : int
    """
    own = np.empty((2, sector.size), np.float32)
    for i in range(underlying.shape[0]):
        fill_normal_pair(grown.key, grown.hashes[i], grown.first_group, first_draw, own)
        scales = grown.sector_scale[i], grown.own_scale[i]
        _open(underlying[i], grown.growth[i], scales[0], scales[1], sector, own[0], opening[i])


@step
def _plan(opening: Any, support: Any, other: Any, least: Any, most: Any, k: Any, plan: Any) -> None:
    for j in range(plan.size):
        before_savings = opening[j] + other
        k[j] = min(max(-before_savings - support[j], least), most)
        plan[j] = before_savings + k[j]


@kernel
def plan_block(planning: Any, opening: Any, planned_support: Any, efficiency_plan: Any, plan: Any) -> None:
    """Write what trusts plan: the savings that bring them to balance after support, within limits.

    Parameters
    ----------
    planning
        See `Planning`.
    opening, planned_support : float32 arrays, shape (T, B)
    efficiency_plan, plan : float32 arrays, shape (T, B)
        Written.
    """
    for i in range(opening.shape[0]):
        other, least, most = planning.other[i], planning.least[i], planning.most[i]
        _plan(opening[i], planned_support[i], other, least, most, efficiency_plan[i], plan[i])
