"""Parameters weighed by history: synthetic likelihood and importance sampling.

Given parameters, years are independent, and the statistics of a year jointly Normal with the emulated moments (Wood
2010) and what the model and the emulator leave out. Samples come from a Student t that is fitted to them in rounds
(population Monte Carlo, Cappe et al. 2004).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.calibration.emulator import Emulator
from sector_risk.calibration.statistics import Observed

F64 = NDArray[np.float64]
LogDensity = Callable[[F64], F64]
ROUNDS = (2_000, 2_000, 2_000, 2_000, 4_000, 8_000)
"""Samples of each round; the last is the answer."""
DOF = 6.0
LEAST_SHARE = 0.1
"""A round's weights are tempered until their effective number is this share of the samples."""


class Posterior(NamedTuple):
    """Mean and covariance in standard units, and how many independent samples they are worth."""

    mean: F64
    covariance: F64
    effective: float


def log_likelihood(z: F64, emulator: Emulator, observed: Iterable[Observed]) -> F64:
    """Log synthetic likelihood of what came to pass at points z (n, P); years alike in what is known go together."""
    alike: dict[bytes, list[Observed]] = {}
    for one in observed:
        alike.setdefault(np.isfinite(one.values).tobytes() + one.left_out.tobytes(), []).append(one)
    mean, covariance = emulator.moments(z)
    total = np.zeros(len(z))
    for years in alike.values():
        k = np.flatnonzero(np.isfinite(years[0].values))
        extra = years[0].left_out + np.diag(emulator.error**2)
        off = np.stack([one.values[k] - mean[:, k] for one in years], axis=2)
        total += log_normal(off, (covariance + extra)[:, k[:, None], k])
    return total


def log_normal(off: F64, covariance: F64) -> F64:
    """Log density of Normals with mean nought, less a constant; (n, S, Y), of Y independent ones, and (n, S, S)."""
    lower = np.linalg.cholesky(covariance)
    scaled = np.linalg.solve(lower, off)
    log_root = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return -0.5 * (scaled**2).sum(axis=(1, 2)) - off.shape[2] * log_root


def sample_posterior(likelihood: LogDensity, dimensions: int, seed: int) -> Posterior:
    """Weigh a standard Normal prior by a likelihood."""
    rng = np.random.default_rng(seed)
    found = Posterior(np.zeros(dimensions), np.eye(dimensions), 0.0)
    for n in ROUNDS:
        z, log_proposal = student(rng, found, n)
        log_weight = likelihood(z) - 0.5 * (z**2).sum(axis=1) - log_proposal
        found = weighted(z, log_weight)
    return found


def student(rng: np.random.Generator, centre: Posterior, n: int) -> tuple[F64, F64]:
    """Draw from a Student t about a mean with a covariance as scale; also its log density, less a constant."""
    dimensions = len(centre.mean)
    lower = np.linalg.cholesky(centre.covariance)
    scaled = rng.standard_normal((n, dimensions)) * np.sqrt(DOF / rng.chisquare(DOF, (n, 1)))
    tail = -0.5 * (DOF + dimensions) * np.log1p((scaled**2).sum(axis=1) / DOF)
    return centre.mean + scaled @ lower.T, tail - np.log(np.diag(lower)).sum()


def weighted(z: F64, log_weight: F64) -> Posterior:
    """Mean and covariance by weights, tempered where a few samples would have nearly all of the weight."""
    effective = effective_number(log_weight)
    power = 1.0
    while effective_number(power * log_weight) < LEAST_SHARE * len(z):
        power *= 0.8
    share = special.softmax(power * log_weight)
    mean = share @ z
    off = z - mean
    return Posterior(mean, (off * share[:, None]).T @ off, effective)


def effective_number(log_weight: F64) -> float:
    """Samples that equal weights would need: (sum w)^2 / sum w^2 (Kong 1992)."""
    return float(np.exp(2.0 * special.logsumexp(log_weight) - special.logsumexp(2.0 * log_weight)))
