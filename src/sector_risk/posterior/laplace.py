"""Laplace's method: factors that trusts share are Normal to a close approximation, as each is spread over many trusts.

Given factors f, latent v of a trust has mean mu_v = sum_c load_vc f_c and variance R_v = 1 - sum_c load_vc^2. With m
and C the mean and covariance of its latents given f and all that it reported, factors are expected where

    f = sum_i load_i' R^-1 (m_i(f) - mu_i(f)),    precision  Q = 1 + sum_i load_i' (R^-1 - R^-1 C_i R^-1) load_i

(Louis 1982; Tierney and Kadane 1986). Particles that were drawn where factors are expected stand for a trust in other
draws with weights exp(sum_v z_v (mu_v - expected mu_v) / R_v).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sector_risk.kernels import choose, particles, pressure
from sector_risk.posterior.loads import Loads, means
from sector_risk.posterior.lots import Conditions, Drawn, draw_particles, resampled

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
MOST_LOTS = 16
FEW_STEPS, FEW_PARTICLES = 2, choose.N_PARTICLES // 2
MOST_STEPS = 8
CLOSE = 0.05
"""Root mean square by which a last step may move trusts' latents, in standard deviations."""
NEARLY = 0.8
"""Precision, prior's being one, that chance in particles may explain."""
MOST_HANDS = 15


def laplace(conditions: Conditions, loads: Loads) -> tuple[Drawn, F64, F64, I64]:
    """Return particles given expected factors, what is expected of factors (F,), a root of their covariance, and hands.

    Newton's method, with particles drawn anew where the last step has led: a few at first, all of them from the third
    step on, until a step moves trusts' latents by little.
    """
    expected, move = np.zeros(len(loads.factors)), np.array(np.inf)
    for step in range(MOST_STEPS):
        if step > FEW_STEPS and (move**2).sum() <= CLOSE**2 * move.size:
            break
        at, size = means(expected, loads), choose.N_PARTICLES if step >= FEW_STEPS else FEW_PARTICLES
        most_lots = MOST_LOTS if step >= FEW_STEPS else 1
        drawn = draw_particles(size, before_reports(at, loads), conditions, most_lots)
        slope, precision, spread = slope_and_precision(drawn, at, loads)
        precision = definite(precision)
        expected = expected + np.linalg.solve(precision, slope - expected)
        move = means(expected, loads) - at
    root = solve_triangular(np.linalg.cholesky(precision), np.eye(len(expected)), lower=True, trans="T")
    return moved(drawn, move / loads.own, loads), expected, root, hands_needed(spread, loads, root)


def before_reports(mean: F64, loads: Loads) -> particles.Before:
    """Mean and standard deviation of all latents given what is expected of factors."""
    every, own = np.zeros((len(mean), particles.N_LATENTS)), np.ones((len(mean), particles.N_LATENTS))
    every[:, loads.latents], own[:, loads.latents] = mean, np.sqrt(loads.own)
    return particles.Before(every, own)


def slope_and_precision(drawn: Drawn, at: F64, loads: Loads) -> tuple[F64, F64, F64]:
    """Slope of the log likelihood in the factors (F,), the posterior's precision (F, F), and latents' spread (R, V, V).

    Before any report particles should have the mean `at` and the variance that their factors give them. Where those
    same particles are still at hand, what they have by chance is taken out: else it would add up over trusts.
    """
    centre, spread = moments(drawn.latents[:, :, loads.latents], drawn.weights)
    even = np.full_like(drawn.weights, 1.0 / drawn.weights.shape[1])
    chance, chance_spread = moments(latents_before(drawn, loads), even)
    exact = np.eye(len(loads.latents)) * loads.own[:, :, None]
    chance = np.where(drawn.once[:, None], chance, at)
    chance_spread = np.where(drawn.once[:, None, None], chance_spread, exact)
    inverse = 1.0 / loads.own
    known = inverse[:, :, None] * (chance_spread - spread) * inverse[:, None]
    pull = inverse * (centre - chance)
    slope, precision = np.zeros(len(loads.factors)), np.eye(len(loads.factors))
    for r, (used, part) in enumerate(loads.compact):
        slope[used] += loads.part[r] * (part.T @ pull[r])
        precision[np.ix_(used, used)] += loads.part[r] * (part.T @ known[r] @ part)
    return slope, precision, spread


def latents_before(drawn: Drawn, loads: Loads) -> F32:
    """Shared latents (R, particle, V) as they were before any report."""
    months = loads.latents[loads.latents >= pressure.N_VARIATES] - pressure.N_VARIATES
    latents = drawn.latents[:, :, loads.latents]
    latents[:, :, len(loads.latents) - len(months) :] = drawn.fresh[:, :, months]
    return latents


def moments(latents: F32, weights: F64) -> tuple[F64, F64]:
    """Mean (R, V) and covariance (R, V, V) of weighted particles."""
    centre = (weights[:, None].astype(np.float32) @ latents)[:, 0].astype(float)
    scaled = latents * np.sqrt(weights).astype(np.float32)[:, :, None]
    return centre, scaled.transpose(0, 2, 1) @ scaled - centre[:, :, None] * centre[:, None]


def definite(precision: F64) -> F64:
    """Return the precision with no direction less known than before any report, as chance in particles may have it."""
    try:
        np.linalg.cholesky(precision - NEARLY * np.eye(len(precision)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(precision)
        return np.asarray((vectors * np.maximum(values, 1.0)) @ vectors.T)
    return precision


def moved(drawn: Drawn, move: F64, loads: Loads) -> Drawn:
    """Return particles of equal weight given factors that move each shared latent: weight exp(sum_v z_v move_v)."""
    tilt = (drawn.latents[:, :, loads.latents] @ move.astype(np.float32)[:, :, None])[:, :, 0]
    weights = drawn.weights * np.exp(tilt - tilt.max(axis=1, keepdims=True))
    kept = resampled(weights, choose.N_PARTICLES)
    dealt = kept.reshape(-1, choose.HAND, choose.N_HANDS).transpose(0, 2, 1).reshape(kept.shape)
    return replace(drawn, latents=np.take_along_axis(drawn.latents, dealt[:, :, None], axis=1))


def hands_needed(spread: F64, loads: Loads, root: F64) -> I64:
    """Hands of particles for each trust, (R,): more where factors that are not yet known can move it more.

    In a draw the log weights of a trust's particles have the variance tr(R^-1 C R^-1 S), with C = `spread` (R, V, V)
    the covariance of its latents and S that of what factors do to them.
    """
    inverse = 1.0 / loads.own
    moves = [part @ root[used] for used, part in loads.compact]
    shifts = np.array([move @ move.T for move in moves]).reshape(spread.shape)
    variance = (inverse[:, :, None] * spread * inverse[:, None] * shifts).sum(axis=(1, 2))
    return np.clip(np.ceil(variance), 1, MOST_HANDS).astype(np.int64)
