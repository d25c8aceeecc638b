"""Accelerated turnaround for a block of draws: what it costs, what it adds to delivery, and who is chosen next."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.reduce import BALANCE
from sector_risk.kernels.select import sum_of_chosen, worst_block

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_INFINITY = np.float32(np.inf)


@step
def _charge(now: Any, before: Any, cost: Any, opening: Any) -> None:
    for j in range(opening.size):
        opening[j] -= (cost if now[j] else _ZERO) - (cost if before[j] else _ZERO)


@kernel
def charge_block(now: Any, before: Any, cost: Any, opening: Any) -> None:
    """Take the cost of this year from the opening position and give back that of last year; arrays (T, B)."""
    for i in range(opening.shape[0]):
        _charge(now[i], before[i], cost, opening[i])


@step
def _deliver(now: Any, before: Any, new: Any, settled: Any, delivery: Any) -> None:
    for j in range(delivery.size):
        factor = settled if before[j] else new
        delivery[j] *= factor if now[j] else _ONE


@kernel
def deliver_block(now: Any, before: Any, new: Any, settled: Any, delivery: Any) -> None:
    """Multiply delivery: by `new` in a trust's first year of turnaround, by `settled` in those that follow.

    Parameters
    ----------
    now, before : bool arrays, shape (T, B)
        Whether a trust is in turnaround this year, and whether it was last year.
    new, settled : float32
    delivery : float32 array, shape (T, B)
        Changed.
    """
    for i in range(delivery.shape[0]):
        _deliver(now[i], before[i], new, settled, delivery[i])


@step
def _deficits(position: Any, key: Any) -> None:
    for j in range(key.size):
        key[j] = position[j] if position[j] < -BALANCE else _INFINITY


@kernel
def choose_block(position: Any, places: Any, chosen: Any, before: Any, total: Any) -> None:
    """Choose the trusts with the largest deficits for the year to come.

    Parameters
    ----------
    position : float32 array, shape (T, B)
        Year-end position after support.
    places : int
        How many to choose in a draw.
    chosen : bool array, shape (T, B)
        Who was in turnaround this year; written: who will be next year.
    before : bool array, shape (T, B)
        Written: what `chosen` was.
    total : float64 array, shape (B,)
        Written: the sum of the positions of those chosen.
    """
    key = np.empty(position.shape, np.float32)
    for i in range(position.shape[0]):
        before[i][:] = chosen[i]
        _deficits(position[i], key[i])
    worst_block(key, np.full(total.size, places), chosen)
    sum_of_chosen(position, chosen, total)
