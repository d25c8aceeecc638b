"""Moments, counts and group sums of rows of draws."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.rows import add_to

MEAN, SD, BELOW = range(3)


@step
def _sum(row: Any) -> Any:
    """Sum in eight lanes: as exact as pairwise, and it vectorises without reordering by the compiler."""
    lanes = np.zeros(8)
    whole = row.size // 8 * 8
    for j in range(0, whole, 8):
        for k in range(8):
            lanes[k] += row[j + k]
    total = lanes.sum()
    for j in range(whole, row.size):
        total += row[j]
    return total


@step
def _squares(row: Any, mean: Any) -> Any:
    lanes = np.zeros(8)
    whole = row.size // 8 * 8
    for j in range(0, whole, 8):
        for k in range(8):
            d = row[j + k] - mean
            lanes[k] += d * d
    total = lanes.sum()
    for j in range(whole, row.size):
        d = row[j] - mean
        total += d * d
    return total


@step
def _below(row: Any, limit: Any) -> Any:
    n = 0
    for j in range(row.size):
        n += row[j] < limit
    return n


@kernel
def moments(rows: Any, limit: Any, out: Any) -> None:
    """Write mean, sd (n - 1) and share below a limit of each row.

    Parameters
    ----------
    rows : float array, shape (R, N)
    limit : float array, shape (R,), of the rows' type
    out : float64 array, shape (R, 3)
    """
    n = rows.shape[1]
    for r in range(rows.shape[0]):
        mean = _sum(rows[r]) / n
        out[r, MEAN] = mean
        out[r, SD] = np.sqrt(_squares(rows[r], mean) / max(n - 1, 1))
        out[r, BELOW] = _below(rows[r], limit[r]) / n


@kernel
def tails(rows: Any, limit: Any, out: Any) -> None:
    """Write count, mean and sd (n) of the values at or below a limit of each row, shape (R, 3)."""
    for r in range(rows.shape[0]):
        n, total, squares = 0.0, 0.0, 0.0
        for j in range(rows.shape[1]):
            d = np.float64(rows[r, j]) - limit[r]
            inside = 1.0 if d <= 0.0 else 0.0
            n += inside
            total += inside * d
            squares += inside * d * d
        mean = total / max(n, 1.0)
        out[r, 0] = n
        out[r, 1] = limit[r] + mean
        out[r, 2] = np.sqrt(max(squares / max(n, 1.0) - mean * mean, 0.0))


@kernel
def group_sums(rows: Any, group: Any, out: Any) -> None:
    """Add each row (T, N) to its group's row of `out` (group, N), float64."""
    for i in range(rows.shape[0]):
        add_to(out[group[i]], rows[i])
