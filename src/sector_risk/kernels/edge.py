"""What rows of draws are worth, on average, at the edge of a tail: where the k-th draw is and the next begins.

The mean of a row over the k draws that are worst by another quantity moves as the edge of the tail does, by the row's
mean at the edge. It is read off the draws near the edge by a straight line.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step

PART = 4
"""Draws within a quarter of the tail's number (or of the rest's, if fewer) from the edge are near it, on both sides."""


@step
def _bounds(k: Any, n: Any) -> Any:
    """First rank near the edge, and the one after the last."""
    reach = max(min(k, n - k) // PART, 1)
    return max(k - reach, 0), min(k + reach, n)


@step
def _line_weights(distance: Any, weight: Any) -> None:
    """Weights that give the value at distance nought of the least-squares line; even ones where nothing varies."""
    mean = distance.mean()
    squares = 0.0
    for j in range(distance.size):
        squares += (distance[j] - mean) ** 2
    for j in range(distance.size):
        slope = mean * (distance[j] - mean) / squares if squares > 0.0 else 0.0
        weight[j] = 1.0 / distance.size - slope


@kernel
def edge_means(rows: Any, by: Any, order: Any, k: Any, out: Any) -> None:
    """Write the mean of each row where `by` is at the k-th of its values in order.

    Parameters
    ----------
    rows : float array, shape (R, N)
    by : float64 array, shape (N,)
    order : int array, shape (N,)
        Draws, the worst by `by` first.
    k : int, 1 .. N
    out : float64 array, shape (R,)
        Written. Adding up rows adds up their means, and the mean of `by` itself is its k-th value.
    """
    first, last = _bounds(k, by.size)
    near = order[first:last]
    weight = np.empty(near.size)
    _line_weights(by[near] - by[order[k - 1]], weight)
    for r in range(rows.shape[0]):
        total = 0.0
        for j in range(near.size):
            total += weight[j] * rows[r, near[j]]
        out[r] = total
