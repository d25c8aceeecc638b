"""Oversight scores and segments for a block of draws.

    finance score = table[plan score, variance score]
    average score = w (finance score) + (1 - w)(mean + sd z)
    segment       = 1 + number of cut points reached, at least 3 with a deficit or deficit support

z is the trust's own Normal in the draw, the same in every year.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.random import fill_normal_pair
from sector_risk.kernels.reduce import BALANCE

PLAN_STEPS = np.array([0.0, -1.0, -2.0])
"""Plan in per cent of turnover: each of these that it is below adds one to the score."""
VARIANCE_STEPS = np.array([0.0, -0.5, -1.0])
"""The same for the variance to plan; the last one counts from the value itself."""
COMBINED = np.array([[1, 1, 2, 3], [2, 2, 3, 3], [2, 3, 3, 4], [2, 3, 4, 4]])
"""Finance score by plan score (down) and variance score (across)."""

_PACKED = np.uint32(sum((int(score) - 1) << (2 * place) for place, score in enumerate(COMBINED.flat)))
_PERCENT = 0.01
_ONE = np.float32(1.0)
_OVERRIDE = np.int32(3)
_ZERO = np.float32(0.0)


class Framework(NamedTuple):
    """Settings of the framework and what it knows of each trust (T trusts)."""

    hashes: NDArray[np.uint32]  # (T, 2)
    key: NDArray[np.uint32]  # (2,) stream of the other domains' score
    mean: NDArray[np.float32]  # (T,) of the other domains' score
    sd: NDArray[np.float32]  # (T,)
    weight: np.float32  # of the finance score
    cut_points: NDArray[np.float32]  # (3,)


class Outturn(NamedTuple):
    """A year's figures (T trusts, B draws), GBP m."""

    turnover: NDArray[np.float64]  # (T,)
    plan: NDArray[np.float32]  # (T, B) before support
    planned_support: NDArray[np.float32]  # (T, B)
    position: NDArray[np.float32]  # (T, B) with support
    received: NDArray[np.float32]  # (T, B) deficit support, or (0, 0)


@step
def _limits(steps: Any, turnover: Any, out: Any) -> None:
    """Steps in GBP m; an amount within GBP 5,000 of the better side counts as on it."""
    for k in range(3):
        out[k] = np.float32(steps[k] * _PERCENT * turnover - np.float64(BALANCE))


@step
def _finance(limits: Any, plan: Any, support: Any, position: Any, score: Any) -> None:
    p0, p1, p2 = limits[0, 0], limits[0, 1], limits[0, 2]
    v0, v1, v2 = limits[1, 0], limits[1, 1], limits[1, 2]
    for j in range(score.size):
        variance = position[j] - plan[j] - support[j]
        down = np.int32(plan[j] < p0) + np.int32(plan[j] < p1) + np.int32(plan[j] < p2)
        across = np.int32(variance < v0) + np.int32(variance < v1) + np.int32(variance <= v2)
        score[j] = 1 + ((_PACKED >> np.uint32(8 * down + 2 * across)) & 3)


@step
def _average(mean: Any, sd: Any, weight: Any, normal: Any, finance: Any, average: Any) -> None:
    for j in range(average.size):
        average[j] = weight * np.float32(finance[j]) + (_ONE - weight) * (mean + sd * normal[j])


@step
def _segment(cuts: Any, average: Any, plan: Any, position: Any, segment: Any) -> None:
    """Segment by cut points, then the override for a planned deficit or a deficit."""
    c0, c1, c2 = cuts[0], cuts[1], cuts[2]
    for j in range(segment.size):
        by_score = 1 + np.int32(average[j] >= c0) + np.int32(average[j] >= c1) + np.int32(average[j] >= c2)
        in_deficit = plan[j] < -BALANCE or position[j] < -BALANCE
        segment[j] = max(by_score, _OVERRIDE) if in_deficit else by_score


@step
def _lift(received: Any, segment: Any) -> None:
    """Override for those that received deficit support."""
    for j in range(segment.size):
        segment[j] = max(np.int32(segment[j]), _OVERRIDE) if received[j] > _ZERO else segment[j]


@kernel
def oversight_block(framework: Any, year: Any, first_draw: Any, finance: Any, average: Any, segment: Any) -> None:
    """Score every trust at a year's end.

    Parameters
    ----------
    framework
        See `Framework`.
    year
        See `Outturn`.
    first_draw : int
    finance, segment : int8 arrays, shape (T, B)
        Written: finance score and segment.
    average : float32 array, shape (T, B)
        Written: average score over all domains.
    """
    n_trusts, n = segment.shape
    normals, limits = np.empty((2, n), np.float32), np.empty((2, 3), np.float32)
    for i in range(n_trusts):
        plan, position = year.plan[i], year.position[i]
        _limits(PLAN_STEPS, year.turnover[i], limits[0])
        _limits(VARIANCE_STEPS, year.turnover[i], limits[1])
        fill_normal_pair(framework.key, framework.hashes[i], 0, first_draw, normals)
        _finance(limits, plan, year.planned_support[i], position, finance[i])
        _average(framework.mean[i], framework.sd[i], framework.weight, normals[0], finance[i], average[i])
        _segment(framework.cut_points, average[i], plan, position, segment[i])
        if year.received.size > 0:
            _lift(year.received[i], segment[i])
