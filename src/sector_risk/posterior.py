"""Posterior: what is known of trusts, and of what they share, once some months of the year have been seen.

Each trust has particles (see `kernels.particles`), weighted as if it shared nothing with others. What trusts share
enters through the factors f: a trust's latent v has mean mu_v = sum_c load_vc f_c and variance R_v = 1 - sum load_vc^2
given them, so that particle k of it has weight

    w_k exp(sum_v z_kv mu_v / R_v - z_kv^2 (1/R_v - 1)/2)

in a draw. The factors themselves are Normal to a close approximation, as each is spread over many trusts (Laplace's
method): expected where

    f = sum_i load_i' R^-1 (m_i(f) - mu_i(f)),    precision  Q = 1 + sum_i load_i' (R^-1 - R^-1 C_i R^-1) load_i

with m_i, C_i mean and covariance of the trust's latents under the weights above.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sector_risk.assumptions import Assumptions
from sector_risk.kernels import choose, particles, pressure
from sector_risk.kernels.random import stream_key
from sector_risk.prepare import DRIVER_OF, LEAD_ITEM, LEAD_STREAM, Prepared
from sector_risk.reports import last_month, reports_of

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ENOUGH = choose.N_PARTICLES // 8
"""Particles that a trust should be worth: more are drawn until it is, or there is no end in sight."""
MOST_LOTS = 32
HANDS_BY_VARIANCE = 1.0
MOST_HANDS = 15
NEARLY = 0.8
"""Precision, prior's being one, that chance in particles may explain."""
FEW_STEPS, FEW_PARTICLES = 2, choose.N_PARTICLES // 2
MOST_STEPS = 8
CLOSE = 0.05
"""Root mean square by which a last step may move trusts' latents, in standard deviations."""


@dataclass(frozen=True)
class Loads:
    """How latents of the trusts seen (R, V shared latents) depend on factors: up to C of them each."""

    latents: I64  # (V,) positions among a particle's latents
    load: F64  # (R, V, C), nought where there are fewer
    which: I64  # (R, V, C) positions in `factors`
    own: F64  # (R, V) variance R given the factors
    factors: I64  # (F,) flat positions of the factors in use among (stream, group, 4), then months

    @cached_property
    def compact(self) -> tuple[tuple[I64, F64], ...]:
        """Of each trust the factors that its latents depend on, and its loads on them (V, factors)."""
        return tuple(compacted(which, load) for which, load in zip(self.which, self.load, strict=True))


@dataclass(frozen=True)
class Posterior:
    """What is known after the months seen (R trusts seen, F factors)."""

    trust: I64  # (R,) rows among the panel's
    row: I64  # (P,) the other way round; -1: nothing seen
    months: I64  # (R,) months seen
    particles: F32  # (R, particle, latents)
    worth: F64  # (R,) effective number of particles
    hashes: NDArray[np.uint32]  # (R, 2)
    key: NDArray[np.uint32]
    lean: F32  # (R, V, particle)
    hands: I64  # (R,) hands of particles that a draw looks at
    loads: Loads
    expected: F32  # (F,)
    root: F32  # (F, F)

    def settle(self, first_draw: int, room: F32, months: F32) -> pressure.Seen:
        """Change a block's factors to what is known of them, and choose each trust's particle given them.

        Parameters
        ----------
        first_draw : int
        room, months : float32 arrays, shapes (stream, group, 4, B) and (12, B)
            Independent standard Normals, changed in place.
        """
        every = np.concatenate([room.reshape(-1, room.shape[-1]), months])
        prior, known = every[self.loads.factors], np.empty((len(self.expected), room.shape[-1]), np.float32)
        choose.update_block(self.root, self.expected, prior, known)
        every[self.loads.factors] = known
        room[:], months[:] = every[: -len(months)].reshape(room.shape), every[-len(months) :]
        chosen = self.choose(first_draw, known - self.expected[:, None])
        return pressure.Seen(self.row, self.months, self.particles, chosen)

    def choose(self, first_draw: int, away: F32) -> NDArray[np.uint32]:
        """Choose particles (R, B) in draws whose factors are `away` (F, B) from what was expected."""
        delta = np.empty((*self.lean.shape[:2], away.shape[1]), np.float32)
        chosen = np.empty((len(self.trust), away.shape[1]), np.uint32)
        choose.delta_block(self.loads.load.astype(np.float32), self.loads.which, away, delta)
        choose.choose_block(self.key, self.hashes, first_draw, self.hands, self.lean, delta, chosen)
        return chosen


@dataclass(frozen=True)
class Drawn:
    """Particles of the trusts seen, given what was expected of factors."""

    latents: F32  # (R, particle, latents)
    fresh: F32  # (R, particle, months) months' shocks before any report
    weights: F64  # (R, particle), in all one
    worth: F64  # (R,) effective number
    once: NDArray[np.bool_]  # (R,) one lot was enough: `fresh` are those of the particles


@dataclass(frozen=True)
class Conditions:
    """What particles run under: the year before any draw, with what rules make of it."""

    plan: F32  # (P,) efficiency plan, GBP m
    delivery: F32  # (P,)
    trusts: pressure.Trusts
    keys: NDArray[np.uint32]
    threads: int


def learn(
    panel: xr.Dataset,
    prepared: Prepared,
    assumptions: Assumptions,
    through_month: int,
    delivery: F32,
    volatility: F32,
    threads: int,
) -> Posterior | None:
    """Return what is known after the months seen; None where nothing was seen.

    `panel` has the rows of `prepared`; `delivery` and `volatility` (P,) are the rules' multipliers.
    """
    reports = reports_of(panel, prepared, assumptions, through_month)
    if not len(reports.trust):
        return None
    seed, trusts = prepared.context.seed, prepared.years[0].trusts
    conditions = Conditions(
        plan=prepared.efficiency_plan,
        delivery=delivery,
        trusts=trusts._replace(shock_sd=trusts.shock_sd * volatility),
        keys=np.array([stream_key(seed, name) for name in particles.STREAMS]),
        threads=threads,
    )
    loads = factor_loads(prepared, reports)
    drawn, expected, root, hands = laplace(reports, prepared, conditions, loads)
    row = np.full(len(prepared.plan), -1)
    row[reports.trust] = np.arange(len(reports.trust))
    return Posterior(
        trust=reports.trust,
        row=row,
        months=last_month(reports),
        particles=drawn.latents,
        worth=drawn.worth,
        hashes=trusts.hashes[reports.trust],
        key=stream_key(seed, "seen:choice"),
        lean=(drawn.latents[:, :, loads.latents].transpose(0, 2, 1) / loads.own[:, :, None]).astype(np.float32, "C"),
        hands=hands,
        loads=loads,
        expected=expected.astype(np.float32),
        root=root.astype(np.float32),
    )


def laplace(
    reports: particles.Reports, prepared: Prepared, conditions: Conditions, loads: Loads
) -> tuple[Drawn, F64, F64, I64]:
    """Return particles given expected factors, what is expected of factors (F,), a root of their covariance, and hands.

    Newton's method, with particles drawn anew where the last step has led: a few at first, all of them from the third
    step on, until a step moves trusts' latents by little.
    """
    expected, move = np.zeros(len(loads.factors)), np.array(np.inf)
    for step in range(MOST_STEPS):
        if step > FEW_STEPS and (move**2).mean() < CLOSE**2:
            break
        at, size = means(expected, loads), choose.N_PARTICLES if step >= FEW_STEPS else FEW_PARTICLES
        most_lots = MOST_LOTS if step >= FEW_STEPS else 1
        drawn = draw_particles(size, reports, before_reports(at, loads), prepared, conditions, most_lots)
        slope, precision, spread = slope_and_precision(drawn, at, loads)
        precision = definite(precision)
        expected = expected + np.linalg.solve(precision, slope - expected)
        move = means(expected, loads) - at
    root = solve_triangular(np.linalg.cholesky(precision), np.eye(len(expected)), lower=True, trans="T")
    return moved(drawn, move / loads.own, loads), expected, root, hands_needed(spread, loads, root)


def hands_needed(spread: F64, loads: Loads, root: F64) -> I64:
    """Hands of particles for each trust, (R,): more where factors that are not yet known can move it more.

    In a draw the log weights of a trust's particles have the variance tr(R^-1 C R^-1 S), with C = `spread` (R, V, V)
    the covariance of its latents and S that of what factors do to them.
    """
    inverse = 1.0 / loads.own
    moves = [part @ root[used] for used, part in loads.compact]
    shifts = np.array([move @ move.T for move in moves]).reshape(spread.shape)
    variance = (inverse[:, :, None] * spread * inverse[:, None] * shifts).sum(axis=(1, 2))
    return np.clip(np.ceil(HANDS_BY_VARIANCE * variance), 1, MOST_HANDS).astype(np.int64)


def before_reports(mean: F64, loads: Loads) -> particles.Before:
    """Mean and standard deviation of all latents given what is expected of factors."""
    every, own = np.zeros((len(mean), particles.N_LATENTS)), np.ones((len(mean), particles.N_LATENTS))
    every[:, loads.latents], own[:, loads.latents] = mean, np.sqrt(loads.own)
    return particles.Before(every, own)


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


def draw_particles(
    size: int,
    reports: particles.Reports,
    before: particles.Before,
    prepared: Prepared,
    conditions: Conditions,
    most_lots: int,
) -> Drawn:
    """Draw and weigh particles, in several lots for trusts whose particles are not worth enough."""
    rows = np.arange(len(reports.trust))
    latents, fresh, log_weights = lot(rows, 0, size, reports, before, prepared, conditions)
    best = log_weights.max(axis=1)
    weights = np.exp(log_weights - best[:, None])
    total, squares, once = weights.sum(axis=1), (weights**2).sum(axis=1), np.ones(len(rows), bool)
    for n in range(1, most_lots):
        poor = np.flatnonzero(total**2 < ENOUGH * squares)
        if not len(poor):
            break
        more, _, log_more = lot(poor, n, size, reports, before, prepared, conditions)
        highest = np.maximum(best[poor], log_more.max(axis=1))
        shrink, added = np.exp(best[poor] - highest), np.exp(log_more - highest[:, None])
        kept = resampled(np.concatenate([weights[poor] * shrink[:, None], added], axis=1), size)[:, :, None]
        latents[poor] = np.take_along_axis(np.concatenate([latents[poor], more], axis=1), kept, axis=1)
        total[poor] = total[poor] * shrink + added.sum(axis=1)
        squares[poor] = squares[poor] * shrink**2 + (added**2).sum(axis=1)
        weights[poor] = total[poor, None] / size
        best[poor], once[poor] = highest, False
    return Drawn(latents, fresh, weights / total[:, None], total**2 / squares, once)


def lot(
    rows: I64,
    n: int,
    size: int,
    reports: particles.Reports,
    before: particles.Before,
    prepared: Prepared,
    conditions: Conditions,
) -> tuple[F32, F32, F64]:
    """Draw the n-th lot of particles of some trusts; latents, shocks before any report, and log weights."""
    months = int(last_month(reports).max())
    latents = np.empty((len(rows), size, pressure.N_VARIATES + months), np.float32)
    fresh, weights = np.empty((len(rows), size, months), np.float32), np.empty((len(rows), size))
    year = (conditions.plan, conditions.delivery, conditions.trusts, prepared.profile, prepared.tables, prepared.normal)

    def draw(part: slice) -> None:
        out = latents[part], fresh[part], weights[part]
        particles.particles_block(rows[part], reports, before, *year, conditions.keys, n * size, *out)

    with ThreadPoolExecutor(conditions.threads) as pool:
        list(pool.map(draw, parts_of(len(rows), conditions.threads)))
    return latents, fresh, weights


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


def factor_loads(prepared: Prepared, reports: particles.Reports) -> Loads:
    """Find which latents of the trusts seen depend on which factors."""
    yearly = [v for v in range(pressure.N_VARIATES) if prepared.years[0].trusts.loading[v, 4].min() < 1.0]
    months = range(int(last_month(reports).max())) if prepared.profile.shock_loading[0] > 0.0 else range(0)
    found = [yearly_loads(prepared, reports.trust, v) for v in yearly]
    found += [month_loads(prepared, reports, m) for m in months]
    load, which = (padded([pair[k] for pair in found], len(reports.trust)) for k in range(2))
    which = which.astype(np.int64)
    factors = np.unique(which[load != 0.0])
    return Loads(
        latents=np.array([*yearly, *(pressure.N_VARIATES + m for m in months)], np.int64),
        load=load,
        which=np.where(load != 0.0, np.searchsorted(factors, which), 0),
        own=np.maximum(1.0 - (load**2).sum(axis=2), LEAST_OWN),
        factors=factors,
    )


LEAST_OWN = 1e-3
"""A trust's own share of a latent's variance cannot quite be nought: particles could not follow their factors."""


def padded(columns: list[F64], n_trusts: int) -> F64:
    """Put (R, c) arrays side by side as (R, V, C)."""
    width = max((column.shape[1] for column in columns), default=0)
    out = np.zeros((n_trusts, len(columns), width))
    for v, column in enumerate(columns):
        out[:, v, : column.shape[1]] = column
    return out


def yearly_loads(prepared: Prepared, trust: I64, v: int) -> tuple[F64, F64]:
    """Loads of a variate on independent factors, and where these are; the sector's are mixed of several drivers'."""
    n_groups, stream, item, d = len(prepared.groups.hashes), pressure.STREAM_OF[v], pressure.ITEM_OF[v], DRIVER_OF[v]
    loading, groups = prepared.years[0].trusts.loading[v][:, trust].astype(float), prepared.groups.rows[:, trust]
    own = [(stream * n_groups + rows) * 4 + item for rows in groups]
    leads = [np.full(len(trust), LEAD_STREAM[j] * n_groups * 4 + LEAD_ITEM[j]) for j in range(d)]
    mixing = prepared.sector_mixing[d]
    loads = [loading[0] * mixing[d], *loading[1:4], *(loading[0] * mixing[j] for j in range(d))]
    return np.array(loads).T, np.array([*own, *leads]).T


def month_loads(prepared: Prepared, reports: particles.Reports, m: int) -> tuple[F64, F64]:
    """Loads of a month's shock on the sector's, for trusts seen that far."""
    first = pressure.N_YEARLY_STREAMS * len(prepared.groups.hashes) * 4
    load = np.where(m < last_month(reports), float(prepared.profile.shock_loading[0]), 0.0)
    return load[:, None], np.full((len(load), 1), first + m)


def means(expected: F64, loads: Loads) -> F64:
    """Mean that factors give each shared latent, (R, V)."""
    return np.asarray((loads.load * expected[loads.which]).sum(axis=2))


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
        slope[used] += part.T @ pull[r]
        precision[np.ix_(used, used)] += part.T @ known[r] @ part
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


def compacted(which: I64, load: F64) -> tuple[I64, F64]:
    """Return the factors among `which` (V, C), and loads on each of them (V, factors)."""
    used, place = np.unique(which, return_inverse=True)
    part = np.zeros((len(which), len(used)))
    np.add.at(part, (np.arange(len(part))[:, None], place.reshape(which.shape)), load)
    return used, part
