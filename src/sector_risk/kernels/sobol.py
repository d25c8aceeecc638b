"""Sobol points by address: the words of evenly spread points, scrambled by a digital shift of each replicate.

Draw d is point d mod 1,024 of replicate d div 1,024. In dimension k its word is

    word = table[k, d mod 1024] XOR shift

where the table holds the first 1,024 points of Joe and Kuo's Sobol sequence and the shift is a Philox word at the
address (replicate, k). Each point alone is uniform; those of a replicate are spread evenly in every dimension and in
pairs of the first ones; replicates are independent of each other. More draws are more replicates.

References
----------
Joe and Kuo (2008), "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30.
Owen (1998), "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity 14; L'Ecuyer and Lemieux (2002), "Recent
advances in randomized quasi-Monte Carlo methods", for digital shifts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels.random import group_label, label_hash, words_block

REPLICATE_BITS = 10
REPLICATE = 1 << REPLICATE_BITS
"""Draws of a replicate."""

MONTHS = -1
"""The dimension of the months' shocks, among those of variates, which go by their number."""

U32 = NDArray[np.uint32]


class Points(NamedTuple):
    """Which dimension is whose, and the points before any shift."""

    key: U32  # (2,)
    table: U32  # (dimension, REPLICATE)
    whose: tuple[int | str, ...]  # (dimension,) MONTHS, a variate's number, or the name of a central action
    month_weight: NDArray[np.float32]  # (12,) direction of the months' shocks, of length one


def point_words(points: Points, first_draw: int, n_draws: int) -> U32:
    """Words of draws first_draw .. first_draw + n_draws - 1, (dimension, draw)."""
    draws = np.arange(first_draw, first_draw + n_draws)
    replicate = draws >> REPLICATE_BITS
    shift = replicate_words(points, int(replicate[0]), int(replicate[-1] - replicate[0]) + 1)
    return points.table[:, draws & (REPLICATE - 1)] ^ shift[:, replicate - replicate[0]]


def replicate_words(points: Points, first: int, count: int) -> U32:
    """Shifts of some replicates, (dimension, replicate)."""
    dimensions = len(points.table)
    out = np.empty((1, -(-dimensions // 4) * 4, count), np.uint32)
    words_block(points.key, label_hash(group_label("sobol")).reshape(1, 2), 0, first, out)
    return out[0, :dimensions]
