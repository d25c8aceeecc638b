"""Ranks of trusts within every draw.

A draw's trusts are sorted by radix: four passes, each by eight bits of the floats turned into whole numbers in the
floats' order. That takes time in proportion to the number of trusts, and keeps the order of equal ones.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step

TILE = 32
"""Draws that are turned round together, so that their keys stay in the nearest cache."""
DIGITS = 256
_ZERO = np.float32(0.0)
_SIGN, _MAGNITUDE = np.int32(-0x80000000), np.int32(0x7FFFFFFF)


@step
def _turn(row: Any, i: Any, values: Any) -> None:
    """Put the draws of trust i into column i; nought gets one sign."""
    for j in range(row.size):
        values[j, i] = row[j] + _ZERO


@step
def _order_bits(bits: Any) -> None:
    """Turn the bits of floats into whole numbers without a sign in the floats' order."""
    for i in range(bits.size):
        bits[i] ^= ((bits[i] >> 31) & _MAGNITUDE) ^ _SIGN


@step
def _starts(keys: Any, shift: Any, starts: Any) -> None:
    """Where the keys of each digit begin, once they are sorted by it."""
    starts[:] = 0
    for i in range(keys.size):
        starts[(keys[i] >> shift) & (DIGITS - 1)] += 1
    before = 0
    for digit in range(DIGITS):
        here = starts[digit]
        starts[digit] = before
        before += here


@step
def _sort_by(keys: Any, order: Any, shift: Any, starts: Any, sorted_keys: Any, sorted_order: Any) -> None:
    _starts(keys, shift, starts)
    for i in range(keys.size):
        digit = (keys[i] >> shift) & (DIGITS - 1)
        place = starts[digit]
        starts[digit] += 1
        sorted_keys[place] = keys[i]
        sorted_order[place] = order[i]


@step
def _sort(keys: Any, order: Any, starts: Any, other_keys: Any, other_order: Any) -> None:
    """Sort keys, and `order` (0, 1, 2 ...) along with them."""
    for i in range(order.size):
        order[i] = i
    for shift in (0, 16):
        _sort_by(keys, order, shift, starts, other_keys, other_order)
        _sort_by(other_keys, other_order, shift + 8, starts, keys, order)


@step
def _note(order: Any, count: Any, ranks: Any, chosen: Any) -> None:
    """Count the ranks of one draw, and mark its first few trusts."""
    for r in range(order.size):
        ranks[order[r], r] += 1
    for r in range(count):
        chosen[order[r]] = True


@kernel
def rank_block(rows: Any, count: Any, ranks: Any, chosen: Any) -> None:
    """Count how often each trust has each rank, and mark the worst of every draw.

    Parameters
    ----------
    rows : float32 array, shape (T, B), finite
    count : int
        How many are marked, 1 .. T.
    ranks : int array, shape (T, T)
        Added to: ranks[i, r] by the draws in which r trusts are below trust i; of equal ones the earlier is below.
    chosen : bool array, shape (T, B), all false
        Written: the `count` lowest of every draw.
    """
    n_trusts, n = rows.shape
    values = np.empty((TILE, n_trusts), np.float32)
    bits, keys = values.view(np.int32), values.view(np.uint32)
    order, other_order = np.empty(n_trusts, np.int64), np.empty(n_trusts, np.int64)
    starts, other_keys = np.empty(DIGITS, np.int64), np.empty(n_trusts, np.uint32)
    for a in range(0, n, TILE):
        b = min(a + TILE, n)
        for i in range(n_trusts):
            _turn(rows[i, a:b], i, values)
        for j in range(b - a):
            _order_bits(bits[j])
            _sort(keys[j], order, starts, other_keys, other_order)
            _note(order, count, ranks, chosen[:, a + j])
