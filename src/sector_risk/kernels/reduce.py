"""Reducers: what a block's trusts add up to, draw by draw."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.rows import add_to

BALANCE = np.float32(0.005)
"""A deficit or a missed plan is at least GBP 5,000: half of what GBP 0.01m reports would round away."""


@step
def _add_deficits(position: Any, count: Any, gross: Any) -> None:
    for j in range(position.size):
        count[j] += 1.0 if position[j] < -BALANCE else 0.0
        gross[j] += min(position[j], np.float32(0.0))


@kernel
def sector_block(before: Any, position: Any, underlying: Any, sector: Any) -> None:
    """Add up the sector of one block.

    Parameters
    ----------
    before, position, underlying : float32 arrays, shape (T, B)
        Positions without and with support, and the underlying one.
    sector : float64 array, shape (5, B)
        Added to: position before support, position, number of trusts in deficit, gross deficit, underlying position.
    """
    for i in range(before.shape[0]):
        add_to(sector[0], before[i])
        add_to(sector[1], position[i])
        _add_deficits(position[i], sector[2], sector[3])
        add_to(sector[4], underlying[i])
