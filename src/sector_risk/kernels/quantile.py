"""Quantile tables: any marginal at the same price, exact whatever the dependence is.

A latent standard Normal z is turned into a value of the marginal F by x = F^-1(Phi(z)). The function
z -> F^-1(Phi(z)) is tabulated once on an even grid in z and read by linear interpolation, so the hot loop costs
the same for every marginal. Below and above the grid the value is held: P(|z| > 6) is 2e-9.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import step

Z_MAX = 6.0
CELLS = 1024

_Z_MAX = np.float32(Z_MAX)
_CELLS_PER_Z = np.float32(CELLS / (2.0 * Z_MAX))
_LAST = np.float32(CELLS - 1e-3)
_ZERO = np.float32(0.0)


def grid() -> NDArray[np.float64]:
    """Latent values z at which a table holds the quantile, shape (CELLS + 1,)."""
    return np.linspace(-Z_MAX, Z_MAX, CELLS + 1)


@step
def interpolate(table: Any, x: Any) -> None:
    """Replace places in a table, in cells from its start, by its values there: linear in between, held beyond its ends.

    Three loops: only the one in the middle, which reads the table, has to run one draw at a time.
    """
    below, above = np.empty_like(x), np.empty_like(x)
    for j in range(x.size):
        x[j] = min(max(x[j], _ZERO), _LAST)
    for j in range(x.size):
        cell = np.uint32(x[j])
        below[j] = table[cell]
        above[j] = table[cell + np.uint32(1)]
    for j in range(x.size):
        x[j] = below[j] + (x[j] - np.float32(np.uint32(x[j]))) * (above[j] - below[j])


@step
def look_up(table: Any, z: Any) -> None:
    """Replace latent Normals by the quantiles there."""
    for j in range(z.size):
        z[j] = (z[j] + _Z_MAX) * _CELLS_PER_Z
    interpolate(table, z)
