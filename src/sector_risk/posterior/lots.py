"""Lots: particles of every trust seen, drawn and weighed until they are worth enough."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import choose, particles, pressure
from sector_risk.prepare import Prepared
from sector_risk.reports import last_month

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
ENOUGH = choose.N_PARTICLES // 8
"""Particles that a trust should be worth: more are drawn until it is, or there is no end in sight."""


@dataclass(frozen=True)
class Conditions:
    """What particles have to explain, and the year in which they do so, with what rules make of it."""

    reports: particles.Reports
    plan: F32  # (P,) efficiency plan, GBP m
    delivery: F32  # (P,)
    trusts: pressure.Trusts
    prepared: Prepared
    keys: NDArray[np.uint32]
    threads: int


class Lot(NamedTuple):
    """Particles of some trusts (n, particle), drawn at once."""

    latents: F32  # (n, particle, latents)
    fresh: F32  # (n, particle, months) months' shocks before any report
    log_weights: F64  # (n, particle)


@dataclass(frozen=True)
class Drawn:
    """Particles of the trusts seen, given what was expected of factors."""

    latents: F32  # (R, particle, latents)
    fresh: F32  # (R, particle, months) months' shocks before any report
    weights: F64  # (R, particle), in all one
    worth: F64  # (R,) effective number
    once: NDArray[np.bool_]  # (R,) one lot was enough: `fresh` are those of the particles


class Gathering:
    """Particles of all lots so far; of a trust with several, as many as one lot has, of equal weight."""

    def __init__(self, lot: Lot) -> None:
        self.latents, self.fresh = lot.latents, lot.fresh
        self.best = lot.log_weights.max(axis=1)
        self.weights = np.exp(lot.log_weights - self.best[:, None])
        self.total, self.squares = self.weights.sum(axis=1), (self.weights**2).sum(axis=1)
        self.once = np.ones(len(self.best), bool)

    @property
    def worth(self) -> F64:
        """Effective number of particles, (R,): (sum w)^2 / sum w^2."""
        return np.asarray(self.total**2 / self.squares)

    def add(self, rows: I64, lot: Lot) -> None:
        """Add a lot of some trusts."""
        size = self.weights.shape[1]
        highest = np.maximum(self.best[rows], lot.log_weights.max(axis=1))
        shrink, added = np.exp(self.best[rows] - highest), np.exp(lot.log_weights - highest[:, None])
        kept = resampled(np.concatenate([self.weights[rows] * shrink[:, None], added], axis=1), size)
        both = np.concatenate([self.latents[rows], lot.latents], axis=1)
        self.latents[rows] = np.take_along_axis(both, kept[:, :, None], axis=1)
        self.total[rows] = self.total[rows] * shrink + added.sum(axis=1)
        self.squares[rows] = self.squares[rows] * shrink**2 + (added**2).sum(axis=1)
        self.weights[rows] = self.total[rows, None] / size
        self.best[rows], self.once[rows] = highest, False

    def drawn(self) -> Drawn:
        """Return what was gathered."""
        return Drawn(self.latents, self.fresh, self.weights / self.total[:, None], self.worth, self.once)


def draw_particles(size: int, before: particles.Before, conditions: Conditions, most_lots: int) -> Drawn:
    """Draw and weigh particles, in several lots for trusts whose particles are not worth enough."""
    gathering = Gathering(draw_lot(np.arange(len(before.mean)), 0, size, before, conditions))
    for n in range(1, most_lots):
        poor = np.flatnonzero(gathering.worth < ENOUGH)
        if not len(poor):
            break
        gathering.add(poor, draw_lot(poor, n, size, before, conditions))
    return gathering.drawn()


def draw_lot(rows: I64, n: int, size: int, before: particles.Before, conditions: Conditions) -> Lot:
    """Draw the n-th lot of particles of some trusts."""
    c, months = conditions, int(last_month(conditions.reports).max())
    lot = Lot(
        np.empty((len(rows), size, pressure.N_VARIATES + months), np.float32),
        np.empty((len(rows), size, months), np.float32),
        np.empty((len(rows), size)),
    )
    year = (c.plan, c.delivery, c.trusts, c.prepared.profile, c.prepared.tables, c.prepared.normal, c.keys)

    def draw(part: slice) -> None:
        out = (room[part] for room in lot)
        particles.particles_block(rows[part], c.reports, before, *year, n * size, *out)

    with ThreadPoolExecutor(c.threads) as pool:
        list(pool.map(draw, parts_of(len(rows), c.threads)))
    return lot


def parts_of(count: int, threads: int) -> list[slice]:
    """Cut `count` rows into as many parts as there are threads.

    >>> parts_of(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    edges = [count * k // threads for k in range(threads + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def resampled(weights: F64, size: int) -> I64:
    """Positions of particles of equal weight, one at the middle of each equal slice of the total."""
    share, slices = np.cumsum(weights, axis=1), (np.arange(size) + 0.5) / size
    return np.array([np.searchsorted(row, slices * row[-1]) for row in share], np.int64).reshape(-1, size)
