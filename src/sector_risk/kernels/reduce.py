"""Reducers: what a block's trusts add up to, draw by draw."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.rows import add_to

BALANCE = np.float32(0.005)
"""A deficit or a missed plan is at least GBP 5,000: half of what GBP 0.01m reports would round away."""


@step
def _add_positions(before: Any, support: Any, position: Any) -> None:
    for j in range(position.size):
        position[j] = before[j] + support[j]


@step
def _add_deficits(position: Any, count: Any, gross: Any) -> None:
    for j in range(position.size):
        count[j] += 1.0 if position[j] < -BALANCE else 0.0
        gross[j] += min(position[j], np.float32(0.0))


@kernel
def positions_block(a: Any, b: Any, before: Any, support: Any, position: Any, sector: Any) -> None:
    """Write position = before + support for draws a .. b - 1 and add up the sector's rows.

    Parameters
    ----------
    a, b : int
    before, support, position : float32 arrays, shape (T, N)
        `position` is written.
    sector : float64 array, shape (4, N)
        Added to: position before support, position, number of trusts in deficit, gross deficit.
    """
    for i in range(before.shape[0]):
        row, out = before[i, a:b], position[i, a:b]
        _add_positions(row, support[i, a:b], out)
        add_to(sector[0, a:b], row)
        add_to(sector[1, a:b], out)
        _add_deficits(out, sector[2, a:b], sector[3, a:b])
