"""The worst few of many trusts, draw by draw, without sorting.

For each draw a limit is found by bisection that as many keys are at or below as there are places. It stops at the first
limit that fits; keys are compared as whole numbers in the floats' order, so it cannot take more than 32 halvings even
where keys are equal. The keys of a draw lie side by side while it is searched, which counts them at vector speed.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step

TILE = 32
"""Draws that are turned round together, so that their keys stay in the nearest cache."""
_ZERO = np.float32(0.0)
_INFINITY = np.float32(np.inf)
_MAGNITUDE = np.int32(0x7FFFFFFF)
_RANK_OF_INFINITY = np.int32(0x7F800000)
_RANK_OF_MINUS_INFINITY = np.int32(-0x7F800001)


@step
def _turn(key: Any, i: Any, values: Any) -> None:
    """Put the keys of trust i into column i; nought gets one sign, and what is not a number is infinity."""
    for j in range(key.size):
        values[j, i] = key[j] + _ZERO if key[j] < _INFINITY else _INFINITY


@step
def _rank(bits: Any) -> None:
    """Turn the bits of floats into whole numbers in the floats' order, or back."""
    for i in range(bits.size):
        bits[i] ^= (bits[i] >> 31) & _MAGNITUDE


@step
def _bounds(ranks: Any) -> Any:
    """Least and greatest rank of a candidate, and how many candidates there are."""
    low, high, candidates = _RANK_OF_INFINITY, _RANK_OF_MINUS_INFINITY, np.int32(0)
    for i in range(ranks.size):
        is_candidate = ranks[i] < _RANK_OF_INFINITY
        low = min(low, ranks[i])
        high = max(high, ranks[i] if is_candidate else _RANK_OF_MINUS_INFINITY)
        candidates += np.int32(is_candidate)
    return low, high, candidates


@step
def _count(ranks: Any, limit: Any) -> Any:
    """How many ranks are at or below the limit."""
    count = np.int32(0)
    for i in range(ranks.size):
        count += np.int32(ranks[i] <= limit)
    return count


@step
def _limit(ranks: Any, places: Any) -> Any:
    """The rank at or below which one draw's chosen are, and how many of the ranks that equal it are chosen."""
    low, high, candidates = _bounds(ranks)
    wanted = min(places, candidates)
    if wanted <= 0:
        return _RANK_OF_MINUS_INFINITY, 0
    low = high if wanted == candidates else low
    while low < high:
        middle = np.int32((np.int64(low) + np.int64(high)) >> 1)
        count = _count(ranks, middle)
        low = middle + 1 if count < wanted else middle if count == wanted else low
        high = middle if count >= wanted else high
    return high, wanted - _count(ranks, np.int32(high - 1))


@step
def _mark(key: Any, limit: Any, room: Any, chosen: Any) -> None:
    """Choose what is below the limit, and at the limit while there is room."""
    for j in range(key.size):
        chosen[j] = (key[j] < limit[j]) | ((key[j] == limit[j]) & (room[j] > 0))
        room[j] -= np.int32(key[j] == limit[j])


@kernel
def worst_block(key: Any, places: Any, chosen: Any) -> None:
    """Choose the trusts with the smallest keys in every draw.

    Parameters
    ----------
    key : float32 array, shape (T, B)
        What trusts are chosen by, the worst smallest; infinity for those that are not candidates.
    places : int array, shape (B,)
        How many to choose; all candidates where there are not as many.
    chosen : bool array, shape (T, B)
        Written. Of equal keys the earlier row is chosen.
    """
    n_trusts, n = key.shape
    values, limits = np.empty((TILE, n_trusts), np.float32), np.empty(n, np.float32)
    ranks, limit_ranks, room = values.view(np.int32), limits.view(np.int32), np.empty(n, np.int32)
    for a in range(0, n, TILE):
        b = min(a + TILE, n)
        for i in range(n_trusts):
            _turn(key[i, a:b], i, values)
        for j in range(b - a):
            _rank(ranks[j])
            limit_ranks[a + j], room[a + j] = _limit(ranks[j], places[a + j])
    _rank(limit_ranks)
    for i in range(n_trusts):
        _mark(key[i], limits, room, chosen[i])


@step
def _add_chosen(values: Any, chosen: Any, total: Any) -> None:
    for j in range(total.size):
        total[j] += values[j] if chosen[j] else _ZERO


@kernel
def sum_of_chosen(values: Any, chosen: Any, total: Any) -> None:
    """Add up the values of those chosen.

    Parameters
    ----------
    values : float32 array, shape (T, B)
    chosen : bool array, shape (T, B)
    total : float64 array, shape (B,)
        Written.
    """
    total[:] = 0.0
    for i in range(values.shape[0]):
        _add_chosen(values[i], chosen[i], total)
