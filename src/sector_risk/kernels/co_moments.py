"""Products of rows of draws with another row: what a covariance and its error are made of."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step

FIRST, SQUARE, CUBE = range(3)
LANES = 8


@step
def _add_products(x: Any, s: Any, lane: Any) -> None:
    u = x * s
    lane[FIRST] += u
    lane[SQUARE] += u * u
    lane[CUBE] += u * s * s


@step
def _products(row: Any, mean: Any, by: Any, lanes: Any) -> None:
    """Sum in eight lanes, as moments are."""
    whole = row.size // LANES * LANES
    for j in range(0, whole, LANES):
        for k in range(LANES):
            _add_products(row[j + k] - mean, by[j + k], lanes[:, k])
    for j in range(whole, row.size):
        _add_products(row[j] - mean, by[j], lanes[:, 0])


@kernel
def co_moments(rows: Any, mean: Any, by: Any, out: Any) -> None:
    """Write what each row less its mean, x, makes with another row s: the means of x s, (x s)^2 and x s^3.

    Parameters
    ----------
    rows : float array, shape (R, N)
    mean : float64 array, shape (R,)
    by : float64 array, shape (N,)
        The other row, less its mean.
    out : float64 array, shape (R, 3)
    """
    lanes = np.empty((3, LANES))
    for r in range(rows.shape[0]):
        lanes[:] = 0.0
        _products(rows[r], mean[r], by, lanes)
        for k in range(3):
            out[r, k] = lanes[k].sum() / by.size
