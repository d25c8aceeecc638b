"""Indices from pairs of runs that share some groups of random inputs: first-order, total and Shapley.

What a set S of groups tells of Y is c(S) = Var(E[Y | X_S]). It is the covariance of Y and a partner Y_S that has the
same X_S and, given it, independent draws of all else: so groups may depend on each other. All indices are sums of
c(S) / Var(Y), with c(none) = 0 and c(all) = Var(Y).
"""

from collections.abc import Iterator
from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Array = NDArray[Any]
BATCHES = 50
"""Batches of draws by which errors are estimated: an error is itself good to a tenth, 1 / sqrt(2 * 48)."""


class Estimate(NamedTuple):
    """Figures of units, and what each batch of draws adds to their errors: nought over all batches."""

    value: F64  # (..., unit)
    influence: F64  # (..., unit, batch)

    @property
    def error(self) -> F64:
        """Monte Carlo standard error, (..., unit); NaN for one or two draws."""
        n = self.influence.shape[-1]
        return np.sqrt((self.influence**2).sum(axis=-1) * (n / (n - 2) if n > 2 else np.nan))


def cuts(n_draws: int) -> Iterator[slice]:
    """Yield the batches of draws, up to BATCHES and as even as can be.

    >>> list(cuts(2))
    [slice(0, 1, None), slice(1, 2, None)]
    """
    count = min(BATCHES, n_draws)
    for k in range(count):
        yield slice(n_draws * k // count, n_draws * (k + 1) // count)


def closed_index(first: Array, partner: Array) -> Estimate:
    """Return c(S) / Var(Y) of every unit.

    With m and v the mean and the variance of both runs' draws together, c = mean((y - m) (y' - m)) and index = c / v;
    the influence of a draw is ((y - m) (y' - m) - index ((y - m)^2 + (y' - m)^2) / 2) / v, over the number of draws.
    The index is 1 where the runs are the same, may come out a little below 0, and is NaN where nothing varies.

    Parameters
    ----------
    first, partner : float arrays, shape (unit, draw)
        Draws of a run, and of a partner that shares S with it.

    References
    ----------
    Janon, Klein, Lagnoux, Nodet, Prieur (2014), "Asymptotic normality and efficiency of two Sobol index estimators",
    ESAIM: Probability and Statistics 18: none from such pairs has less variance in the limit.
    """
    n = first.shape[1]
    sums = np.array([_pair_sums(first[:, at], partner[:, at], first[:, :1]) for at in cuts(n)])
    mean = sums[:, 0].sum(axis=0) / n
    size = np.array([at.stop - at.start for at in cuts(n)])[:, None]
    square, product = (sums[:, k] - 2.0 * mean * sums[:, 0] + size * mean**2 for k in (1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        index = product.sum(axis=0) / square.sum(axis=0)
        return Estimate(index, ((product - index * square) / square.sum(axis=0)).T)


def _pair_sums(y: Array, partner: Array, about: Array) -> F64:
    """Sums over draws of (a + b) / 2, (a^2 + b^2) / 2 and a b, where a and b are both less `about`, (3, unit)."""
    a, b = np.subtract(y, about, dtype=np.float64), np.subtract(partner, about, dtype=np.float64)
    squares = np.einsum("ud,ud->u", a, a) + np.einsum("ud,ud->u", b, b)
    return np.array([(a.sum(axis=1) + b.sum(axis=1)) / 2.0, squares / 2.0, np.einsum("ud,ud->u", a, b)])


def less_chance(closed: Estimate, nothing: Estimate) -> Estimate:
    """Take from a closed index what chance does to it and, alike, to that of a partner with which nothing is held.

    The latter is nought but for chance, so it can be taken away times any slope; that of the batches' influences on
    each other leaves the least. Small indices gain most: with the same fresh numbers both partners are nearly alike.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (closed.influence * nothing.influence).sum(axis=-1) / (nothing.influence**2).sum(axis=-1)
    influence = closed.influence - slope[..., None] * nothing.influence
    return Estimate(closed.value - slope * nothing.value, influence)


def variance(first: Array) -> Estimate:
    """Return the variance of every unit, with n - 1; NaN for a single draw."""
    n = first.shape[1]
    centred = np.subtract(first, first.mean(axis=1, dtype=np.float64, keepdims=True), dtype=np.float64)
    spread = (centred**2).sum(axis=1) / max(n - 1, 1)
    beyond = [(centred[:, at] ** 2).sum(axis=1) - (at.stop - at.start) * spread for at in cuts(n)]
    return Estimate(spread if n > 1 else np.full_like(spread, np.nan), np.array(beyond).T / n)


def index_weights(groups: int, shapley: bool) -> F64:
    """Return the weight of c(S) / Var(Y) in each index, (index, group, S).

    Bit g of S says whether it has group g. The first-order index is c({g}); the total index is c(all) - c(all but g);
    the Shapley effect is the mean of c(S + g) - c(S) over all orders in which S can have come together before g:
    each S without g has the weight |S|! (groups - |S| - 1)! / groups!. As c(none) is nought, it has no weight.

    Examples
    --------
    >>> index_weights(2, shapley=True)[2].tolist()
    [[0.0, 0.5, -0.5, 0.5], [0.0, -0.5, 0.5, 0.5]]
    """
    weights = np.zeros((3 if shapley else 2, groups, 2**groups))
    for g in range(groups):
        weights[0, g, 1 << g] += 1.0
        weights[1, g, -1] += 1.0
        weights[1, g, -1 - (1 << g)] -= 1.0
        for s in range(2**groups) if shapley else ():
            weights[2, g, s] = _shapley_weight(g, s, groups)
    weights[:, :, 0] = 0.0
    return weights


def _shapley_weight(g: int, s: int, groups: int) -> float:
    """Weight of the set s in the Shapley effect of group g: of c(S + g) for a set with g, of -c(S) for one without."""
    has = s >> g & 1
    before = s.bit_count() - has
    return (2 * has - 1) * factorial(before) * factorial(groups - before - 1) / factorial(groups)


class Tally:
    """Adds up the indices of all groups, set by set: `value` (index, group, unit) and `influence` (..., batch)."""

    def __init__(self, groups: int, shapley: bool) -> None:
        self.weights = index_weights(groups, shapley)
        self.value, self.influence = np.zeros(()), np.zeros(())

    def needs(self, s: int) -> bool:
        """Whether any index depends on the set."""
        return bool(self.weights[:, :, s].any())

    def add(self, s: int, closed: Estimate) -> None:
        """Add what is known of a set."""
        weight = self.weights[:, :, s, None]
        self.value = self.value + weight * closed.value
        self.influence = self.influence + weight[..., None] * closed.influence
