"""The improvement programme for a block of draws: progress of trusts inside, then entry of others.

Few trusts are inside in any one draw, so their random words are made for a list of draws, not for all.

State of a trust and draw: status, years inside, and conditions met as bits 0 to 4 of a byte, with bit 5 for a trust
that has met all of them before. Outside, years are nought and no bit but the last is set.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.random import YEAR, philox
from sector_risk.kernels.select import worst_block

OUTSIDE, DIAGNOSTIC, INSIDE, TASKFORCE, ADMINISTRATION = range(5)
N_CONDITIONS = 5
_ALL = 2**N_CONDITIONS - 1
_MET_BEFORE = _ALL + 1
_WORST_SEGMENT = 4
_GOVERNANCE_FIRST = np.float32(64.0)
"""Taken from the keys of governance failures; more than average scores can differ by."""
_NEVER = np.float32(np.inf)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)
_WORDS = 2.0**32


class Programme(NamedTuple):
    """Settings of the programme and what it knows of each trust (T trusts)."""

    hashes: NDArray[np.uint32]  # (T, 2)
    conditions_key: NDArray[np.uint32]  # (2,) stream of conditions, items are conditions
    capability_key: NDArray[np.uint32]  # (2,)
    governance_key: NDArray[np.uint32]  # (2,)
    conditions: NDArray[np.float64]  # (5,) probability that a condition is met in a year
    low_capability: NDArray[np.float64]  # (T,) probability that a trust in segment 4 may enter
    places: int
    patience: int  # years inside before the taskforce
    patience_of_taskforce: int  # years inside before administration or takeover
    central_cost: float  # GBP m a year that the centre pays for a trust inside


class Inside(NamedTuple):
    """State of each trust and draw, (T, B); see the top of this file."""

    status: NDArray[Any]  # int8
    years: NDArray[Any]  # uint8
    conditions: NDArray[Any]  # uint8


class Moment(NamedTuple):
    """The year of a block."""

    year: int
    first_draw: int
    failure: NDArray[np.float64]  # (T,) probability that governance fails in the year


class Work(NamedTuple):
    """Rows for one trust at a time, (B,)."""

    draws: NDArray[np.int64]
    met: NDArray[np.uint8]
    word: NDArray[np.uint32]


@step
def _draws_inside(status: Any, draws: Any) -> Any:
    """List the draws in which a trust is inside."""
    n = np.int64(0)
    for j in range(status.size):
        draws[n] = j
        n += np.int64(status[j] != OUTSIDE)
    return draws[:n]


@step
def _meet(draws: Any, programme: Any, label: Any, now: Any, met: Any) -> None:
    """Conditions met in the year, as bits, for a list of draws."""
    key, limits = programme.conditions_key, programme.conditions * _WORDS
    group = np.uint32(now.year * YEAR)
    for k in range(draws.size):
        draw = np.uint32(now.first_draw + draws[k])
        w0, w1, w2, w3 = philox(draw, label[0], label[1], group, key[0], key[1])
        w4, _, _, _ = philox(draw, label[0], label[1], np.uint32(group + 1), key[0], key[1])
        low = (w0 < limits[0]) + 2 * (w1 < limits[1]) + 4 * (w2 < limits[2]) + 8 * (w3 < limits[3])
        met[k] = low + 16 * (w4 < limits[4])


@step
def _status_after(years: Any, programme: Any) -> Any:
    """Status of a trust that stays, after so many years inside."""
    if years >= programme.patience_of_taskforce:
        return ADMINISTRATION
    return TASKFORCE if years >= programme.patience else INSIDE


@step
def _advance(draws: Any, programme: Any, met: Any, status: Any, years: Any, conditions: Any, free: Any) -> None:
    """One year more; who has met all conditions leaves, and so does who was in administration."""
    for k in range(draws.size):
        j = draws[k]
        conditions[j] |= met[k] if status[j] != DIAGNOSTIC else np.uint8(0)
        if conditions[j] & _ALL == _ALL or status[j] == ADMINISTRATION:
            status[j], years[j], conditions[j] = OUTSIDE, 0, _MET_BEFORE
        else:
            years[j] += 1
            status[j] = _status_after(years[j], programme)
            free[j] -= 1


@step
def _progress(i: Any, programme: Any, now: Any, inside: Any, work: Any, free: Any, central: Any) -> None:
    """A year of trust i in the draws in which it is inside."""
    status = inside.status[i]
    draws = _draws_inside(status, work.draws)
    _meet(draws, programme, programme.hashes[i], now, work.met)
    _advance(draws, programme, work.met, status, inside.years[i], inside.conditions[i], free)
    for k in range(draws.size):
        central[draws[k]] -= programme.central_cost


@step
def _fill_first_words(probability: Any, key: Any, label: Any, item_group: Any, first_draw: Any, word: Any) -> None:
    """First words of an item group, or noughts where the probability says yes or no without them."""
    if not 0.0 < probability < 1.0:
        word[:] = 0
        return
    k0, k1, h0, h1, group = key[0], key[1], label[0], label[1], np.uint32(item_group)
    for j in range(word.size):
        word[j], _, _, _ = philox(np.uint32(first_draw + j), h0, h1, group, k0, k1)


@step
def _by_segment(
    probability: Any, word: Any, segment: Any, status: Any, conditions: Any, average: Any, key: Any
) -> None:
    limit = probability * _WORDS
    for j in range(key.size):
        may = (segment[j] == _WORST_SEGMENT) & (status[j] == OUTSIDE) & (conditions[j] == 0)
        key[j] = -average[j] if may & (word[j] < limit) else _NEVER


@step
def _by_governance(probability: Any, word: Any, status: Any, average: Any, key: Any) -> None:
    limit = probability * _WORDS
    for j in range(key.size):
        fails = (word[j] < limit) & (status[j] == OUTSIDE)
        key[j] = -average[j] - _GOVERNANCE_FIRST if fails else key[j]


@step
def _candidacy(i: Any, programme: Any, now: Any, inside: Any, word: Any, segment: Any, average: Any, key: Any) -> None:
    """Keys of trust i: the worst smallest, infinity where it may not enter."""
    status, label = inside.status[i], programme.hashes[i]
    low, failure = programme.low_capability[i], now.failure[i]
    _fill_first_words(low, programme.capability_key, label, 0, now.first_draw, word)
    _by_segment(low, word, segment, status, inside.conditions[i], average, key)
    _fill_first_words(failure, programme.governance_key, label, now.year * YEAR, now.first_draw, word)
    _by_governance(failure, word, status, average, key)


@step
def _enter(chosen: Any, status: Any) -> None:
    for j in range(status.size):
        status[j] = DIAGNOSTIC if chosen[j] else status[j]


@kernel
def programme_block(programme: Any, now: Any, segment: Any, average: Any, inside: Any, central: Any) -> None:
    """Bring the programme to a year's end.

    Parameters
    ----------
    programme
        See `Programme`.
    now
        See `Moment`.
    segment, average : int8 and float32 arrays, shape (T, B)
        Segments and average scores at the year's end.
    inside
        See `Inside`; changed.
    central : float64 array, shape (B,)
        Changed: the centre's costs are taken from it.
    """
    n_trusts, n = segment.shape
    work = Work(np.empty(n, np.int64), np.empty(n, np.uint8), np.empty(n, np.uint32))
    key, chosen = np.empty((n_trusts, n), np.float32), np.empty((n_trusts, n), np.bool_)
    free = np.full(n, programme.places)
    for i in range(n_trusts):
        _progress(i, programme, now, inside, work, free, central)
        _candidacy(i, programme, now, inside, work.word, segment[i], average[i], key[i])
    worst_block(key, free, chosen)
    for i in range(n_trusts):
        _enter(chosen[i], inside.status[i])


@step
def _pay(cost: Any, status: Any, charged: Any, opening: Any) -> None:
    for j in range(opening.size):
        is_inside = status[j] != OUTSIDE
        opening[j] -= (cost if is_inside else _ZERO) - (cost if charged[j] else _ZERO)
        charged[j] = is_inside


@kernel
def charge_block(cost: Any, status: Any, charged: Any, opening: Any) -> None:
    """Take the cost of a year inside from what the year opens with, and give back last year's.

    Parameters
    ----------
    cost : float32
        GBP m a year.
    status : int8 array, shape (T, B)
        In force in the year.
    charged : bool array, shape (T, B)
        Whether the cost was in the year before; changed to whether it is in this year.
    opening : float32 array, shape (T, B)
        Changed.
    """
    for i in range(status.shape[0]):
        _pay(cost, status[i], charged[i], opening[i])


@step
def _raise(factor: Any, status: Any, delivery: Any) -> None:
    for j in range(delivery.size):
        delivery[j] *= factor if status[j] >= INSIDE else _ONE


@kernel
def delivery_block(factor: Any, status: Any, delivery: Any) -> None:
    """Multiply delivery, (T, B), by a factor (float32) for trusts past the diagnostic."""
    for i in range(status.shape[0]):
        _raise(factor, status[i], delivery[i])
