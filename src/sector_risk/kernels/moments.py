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
def number_below(row: Any, limit: Any) -> Any:
    """Count the values of a row that are below a limit."""
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
        out[r, BELOW] = number_below(rows[r], limit[r]) / n


@kernel
def shares_below(rows: Any, limits: Any, out: Any) -> None:
    """Write the share of each row that is below each of its limits.

    Parameters
    ----------
    rows : float array, shape (R, N)
    limits : float array, shape (R, L), of the rows' type
    out : float64 array, shape (R, L)
    """
    for r in range(rows.shape[0]):
        for k in range(limits.shape[1]):
            out[r, k] = number_below(rows[r], limits[r, k]) / rows.shape[1]


@step
def _add_below(row: Any, limit: Any, count: Any) -> None:
    for j in range(row.size):
        count[j] += np.int32(row[j] < limit)


@kernel
def count_below(rows: Any, limit: Any, count: Any) -> None:
    """Count how many rows (T, N) are below their limits (T,), draw by draw: added to `count` (N,), int32."""
    for i in range(rows.shape[0]):
        _add_below(rows[i], limit[i], count)


@step
def _gather(row: Any, limit: Any, gaps: Any) -> Any:
    """Put how far values fall below the limit side by side; return how many do."""
    n = 0
    for j in range(row.size):
        if row[j] < limit:
            gaps[n] = np.float64(row[j]) - limit
            n += 1
    return n


@step
def _beyond(gaps: Any, nearer: Any) -> Any:
    """Sum and sum of squares of the gaps to a limit that lies so much lower."""
    total, squares = 0.0, 0.0
    for j in range(gaps.size):
        gap = min(gaps[j] + nearer, 0.0)
        total += gap
        squares += gap * gap
    return total, squares


@kernel
def tails(rows: Any, limits: Any, sizes: Any, out: Any) -> None:
    """Write the mean of the lowest values of each row, and its standard error.

    With d what a value falls below the k-th lowest and t = k / n, the mean is that value plus sum(d) / k over the k
    lowest, and the variance of it (sum(d^2) / k - t (sum(d) / k)^2) / (k - 1): of the tail and of where it begins.
    Values equal to the k-th lowest have d = 0, so it does not matter which of them are counted.

    Parameters
    ----------
    rows : float array, shape (R, N)
    limits : float array, shape (R, C)
        The k-th lowest value of each row.
    sizes : int array, shape (C,)
        k, from 1 to N.
    out : float64 array, shape (R, C, 2)
        Written: mean, and error (NaN for k = 1).
    """
    n = rows.shape[1]
    gaps = np.empty(n)
    for r in range(rows.shape[0]):
        highest = limits[r].max()
        n_gaps = _gather(rows[r], highest, gaps)
        for c in range(sizes.size):
            k, limit = sizes[c], np.float64(limits[r, c])
            total, squares = _beyond(gaps[:n_gaps], highest - limit)
            out[r, c, 0] = limit + total / k
            variance = squares / k - k / n * (total / k) ** 2
            out[r, c, 1] = np.sqrt(max(variance, 0.0) / (k - 1)) if k > 1 else np.nan


@kernel
def group_sums(rows: Any, group: Any, out: Any) -> None:
    """Add each row (T, N) to the rows of `out` (group, N), float64, of the groups it is in, (kind, T)."""
    for i in range(rows.shape[0]):
        for kind in range(group.shape[0]):
            add_to(out[group[kind, i]], rows[i])
