"""Stand-in for the simulation: means and covariances of statistics as smooth functions of the parameters.

Parameters are spread over their prior by Sobol points, the year is simulated at each, and every mean and every entry of
the covariance's matrix logarithm is given a quadratic plus a Gaussian process (universal kriging), in standard units z.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.spatial.distance import cdist

from sector_risk.engine import default_threads
from sector_risk.progress import Progress

F64 = NDArray[np.float64]
REACH = 2.5
"""Sd of the prior to which points are held: the emulator is not asked much beyond."""
LOG_RANGE = (-25.0, 5.0)
"""Log variances that are believed: corners that no point is near may be given absurd ones."""
LENGTH, NUGGET = 3.0, 0.03
"""Scale of the process in units of prior sd, and its noise; errors of points left out are smallest about here."""


@dataclass(frozen=True)
class Emulator:
    """Means (S) and covariances (S, S) of statistics at any parameters."""

    points: F64  # (N, P)
    quadratic: F64  # (features, outputs)
    weights: F64  # (N, outputs)
    error: F64  # (S,) root mean square error of the means at points left out

    def moments(self, z: F64) -> tuple[F64, F64]:
        """Return means (n, S) and covariances (n, S, S) at points z (n, P); beyond REACH they stay the same."""
        z = np.clip(z, -REACH, REACH)
        out = features(z) @ self.quadratic + nearness(z, self.points) @ self.weights
        size = len(self.error)
        upper = np.triu_indices(size)
        log = np.empty((len(z), size, size))
        log[:, upper[0], upper[1]] = log[:, upper[1], upper[0]] = out[:, size:]
        return out[:, :size], of_eigenvalues(log, lambda w: np.exp(np.clip(w, *LOG_RANGE)))


def sobol_points(n: int, dimensions: int, seed: int) -> F64:
    """Return n points (a power of two) that fill the prior evenly, in standard units, shifted at random."""
    from scipy.stats import qmc

    shift = np.random.default_rng([seed, dimensions]).random(dimensions)
    even = (qmc.Sobol(dimensions, scramble=False).random(n) + shift) % 1.0
    return np.clip(special.ndtri(even), -REACH, REACH)


def simulate_at(
    points: F64, statistics: Callable[[F64, int], F64], threads: int | None, progress: Progress | None
) -> F64:
    """Outputs of `fit_emulator` at each point; `statistics` gives (statistic, draw) for a point and its number."""
    with ThreadPoolExecutor(threads or default_threads()) as pool:
        done = []
        for row in pool.map(lambda k: summary(statistics(points[k], k)), range(len(points))):
            done.append(row)
            if progress:
                progress(len(done), len(points))
    return np.array(done)


def summary(draws: F64) -> F64:
    """Mean of each statistic and the upper triangle of the logarithm of their covariance."""
    cov = np.atleast_2d(np.cov(draws))
    floor = 1e-9 * max(np.trace(cov), 1e-9)
    log = of_eigenvalues(cov, lambda w: np.log(np.maximum(w, floor)))
    return np.concatenate([draws.mean(axis=1), log[np.triu_indices(len(draws))]])


def fit_emulator(points: F64, outputs: F64, n_statistics: int) -> Emulator:
    """Fit all outputs at once.

    With F the quadratic's features and K the nearness of points, A = K + nugget I: quadratic b = (F'A^-1 F)^-1 F'A^-1 y
    and weights A^-1 (y - F b). The error at a point left out is (P y)_i / P_ii, with P y the weights (Dubrule 1983).
    """
    f = features(points)
    inverse = np.linalg.inv(nearness(points, points) + NUGGET * np.eye(len(points)))
    bent = inverse @ f
    gram = np.linalg.inv(f.T @ bent)
    weights = (inverse - bent @ gram @ bent.T) @ outputs
    left_out = weights / (np.diag(inverse) - np.einsum("ij,jk,ik->i", bent, gram, bent))[:, None]
    error = np.sqrt((left_out[:, :n_statistics] ** 2).mean(axis=0))
    return Emulator(points, gram @ (bent.T @ outputs), weights, error)


def features(z: F64) -> F64:
    """One, each coordinate, and each product of two, (n, 1 + P + P (P + 1) / 2)."""
    first, second = np.triu_indices(z.shape[1])
    return np.hstack([np.ones((len(z), 1)), z, z[:, first] * z[:, second]])


def nearness(a: F64, b: F64) -> F64:
    """Covariance of the Gaussian process between points, exp(-|a - b|^2 / (2 LENGTH^2))."""
    return np.exp(-cdist(a, b, "sqeuclidean") / (2.0 * LENGTH**2))


def of_eigenvalues(symmetric: F64, function: Callable[[F64], F64]) -> F64:
    """Apply a function to the eigenvalues of symmetric matrices (..., S, S)."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * function(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
