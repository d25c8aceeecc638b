"""Choosing particles: in each draw, one particle of every trust seen, given what the trusts share in that draw.

Particles stand for the trust given what was seen and the expected factors. In a draw whose factors move the mean of
latent v by delta[v], particle k has weight exp(sum_v lean[v, k] delta[v]) with lean = latent / (1 - shared variance).
A hand of particles is dealt at random; another one replaces it with the chance that is the ratio of their total
weights, and so on; at last one particle of the hand is drawn by weight (an independence sampler of Metropolis and
Hastings on hands). The more factors can move a trust, the more hands it takes.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.random import fill_words

N_PARTICLES = 1024
"""Particles of each trust."""

HAND = 64
"""Particles among which a draw chooses; they lie next to each other, so that their weights vectorise."""

N_HANDS = N_PARTICLES // HAND
LANES = 8
_HAND_BITS = N_HANDS.bit_length() - 1
_HAND_SHIFT = np.uint32(32 - _HAND_BITS)
_REST = np.uint32(2**32 // N_HANDS - 1)
_UNIT = np.float32(N_HANDS * 2.0**-32)
_ONE = np.float32(1.0)
_SMALL = np.float32(2.0**-10)
_LEAST = np.float32(-60.0)


@step
def _exp(row: Any) -> None:
    """Replace x by (1 + x / 1024)^1024, which is exp(x) to x^2 / 2048 and, unlike the library's, vectorises."""
    for c in range(HAND):
        x = _ONE + max(row[c], _LEAST) * _SMALL
        x *= x
        x *= x
        x *= x
        x *= x
        x *= x
        x *= x
        x *= x
        x *= x
        x *= x
        row[c] = x * x


@step
def _weigh(lean: Any, delta: Any, j: Any, start: Any, weight: Any, lanes: Any) -> Any:
    """Set weights of a hand of particles in draw j, and return their total."""
    weight[:] = 0.0
    for v in range(lean.shape[0]):
        moved, latent = delta[v, j], lean[v, start : start + HAND]
        for c in range(HAND):
            weight[c] += moved * latent[c]
    _exp(weight)
    return _weigh_lanes(weight, lanes)


@step
def _weigh_lanes(weight: Any, lanes: Any) -> Any:
    """Sum weights up by lane, and return the sum of all."""
    lanes[:] = 0.0
    for row in range(0, HAND, LANES):
        for lane in range(LANES):
            lanes[lane] += weight[row + lane]
    return lanes.sum()


@step
def _deal(word: Any) -> Any:
    """First particle of the hand that a word's first bits name."""
    return np.int64(word >> _HAND_SHIFT) * HAND


@step
def _share(word: Any) -> Any:
    """Uniform number of a word's other bits."""
    return np.float32(word & _REST) * _UNIT


@step
def _pick(weight: Any, left: Any, lanes: Any) -> Any:
    """Position at which the running total of weights passes `left`: first the lane, then within."""
    lane = 0
    while lane < LANES - 1 and left >= lanes[lane]:
        left -= lanes[lane]
        lane += 1
    row = 0
    while row < HAND - LANES and left >= weight[row + lane]:
        left -= weight[row + lane]
        row += LANES
    return row + lane


@kernel
def choose_block(key: Any, hashes: Any, first_draw: Any, hands: Any, lean: Any, delta: Any, chosen: Any) -> None:
    """Choose a particle of every trust seen in every draw of a block.

    Parameters
    ----------
    key : uint32 array, shape (2,)
    hashes : uint32 array, shape (R, 2)
    first_draw : int
    hands : int64 array, shape (R,)
        How many hands are dealt to each trust.
    lean : float32 array, shape (R, V, N_PARTICLES)
    delta : float32 array, shape (R, V, B)
        How far a draw's factors move each shared latent from what was expected.
    chosen : uint32 array, shape (R, B)
        Written.
    """
    words, lanes = np.empty((4 * (1 + hands.max() // 4), chosen.shape[1]), np.uint32), np.empty(LANES, np.float32)
    held, dealt = np.empty(HAND, np.float32), np.empty(HAND, np.float32)
    for r in range(chosen.shape[0]):
        for group in range(1 + hands[r] // 4):
            fill_words(key, hashes[r], group, first_draw, words[4 * group : 4 * group + 4])
        for j in range(chosen.shape[1]):
            start = _deal(words[0, j])
            total = _weigh(lean[r], delta[r], j, start, held, lanes)
            for h in range(1, hands[r]):
                other = _deal(words[h, j])
                new_total = _weigh(lean[r], delta[r], j, other, dealt, lanes)
                if _share(words[h, j]) * total < new_total:
                    start, total = other, new_total
                    held[:] = dealt
            _weigh_lanes(held, lanes)
            chosen[r, j] = start + _pick(held, _share(words[hands[r], j]) * total, lanes)


@step
def _add_times(load: Any, row: Any, out: Any) -> None:
    for j in range(row.size):
        out[j] += load * row[j]


@kernel
def delta_block(loads: Any, which: Any, factors: Any, delta: Any) -> None:
    """Add up how far factors move latents: delta[r, v, j] = sum_c loads[r, v, c] factors[which[r, v, c], j].

    Parameters
    ----------
    loads : float32 array, shape (R, V, C)
    which : int64 array, shape (R, V, C)
        Rows of `factors`; a load of nought is passed over.
    factors : float32 array, shape (F, B)
        Factors of the block less what was expected of them.
    delta : float32 array, shape (R, V, B)
        Written.
    """
    delta[:] = 0.0
    for r in range(loads.shape[0]):
        for v in range(loads.shape[1]):
            for c in range(loads.shape[2]):
                if loads[r, v, c] != 0.0:
                    _add_times(loads[r, v, c], factors[which[r, v, c]], delta[r, v])


@kernel
def update_block(root: Any, expected: Any, prior: Any, factors: Any) -> None:
    """Turn independent standard Normals into what is known of factors: expected + root prior.

    Parameters
    ----------
    root : float32 array, shape (F, F)
        Upper triangle: a square root of the factors' covariance.
    expected : float32 array, shape (F,)
    prior, factors : float32 arrays, shape (F, B)
        `factors` is written. Sums run in one order, whatever the size of the block.
    """
    for f in range(root.shape[0]):
        row = factors[f]
        row[:] = expected[f]
        for g in range(f, root.shape[0]):
            load, other = root[f, g], prior[g]
            if load != 0.0:
                for j in range(row.size):
                    row[j] += load * other[j]
