"""The same year in vectorised NumPy: what a careful analyst would write without a compiler.

It reads the same prepared arrays as the kernels and returns the same results, drawn from NumPy's own generator, so
its cost is that of the same model. It is in place where that reads well and looks tables up instead of calling
`np.interp`. `run` takes it two ways: tuned (single precision, blocks of draws that stay in cache), and as it is usually
written (double precision, all draws at once).
"""

from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from sector_risk.assumptions.dependence import FACTOR_DRIVERS
from sector_risk.kernels import pressure as names
from sector_risk.kernels.pressure import Plans
from sector_risk.kernels.quantile import CELLS, Z_MAX
from sector_risk.kernels.reduce import BALANCE
from sector_risk.prepare import DRIVER_OF
from sector_risk.run import Draws

F32 = np.float32
TINY = 1e-12
FIRST_OF = tuple(DRIVER_OF.index(d) for d in range(len(FACTOR_DRIVERS)))
"""The variate whose sector factor those of later drivers are correlated with, for each driver."""
ITEMS_USED = (4, 2, 1)
"""Normals a trust uses of each yearly stream; the run rate takes twelve more."""


class Outcome(NamedTuple):
    """What a year's pressures come to (T trusts, B draws)."""

    contribution: np.ndarray  # (driver..., one_off, favourable_spent; T; B)
    quarters: np.ndarray  # (4, T, B) variance at quarter ends
    before: np.ndarray  # (T, B) position before support
    underlying: np.ndarray  # (T, B)
    sector_variance: np.ndarray  # (12, B)
    efficiency: np.ndarray  # (B,)


def normals_used(prepared) -> int:
    """Normals that one draw of one year of the whole model consumes, factors included."""
    n_trusts, n_groups = len(prepared.codes), len(prepared.groups.hashes)
    shared = zip(ITEMS_USED, prepared.shared_streams, strict=True)
    factors = sum(items * (n_groups if any_shared else 1) for items, any_shared in shared)
    return n_trusts * (sum(ITEMS_USED) + 12) + factors + 12


def look_up(table, z):
    x = (z + F32(Z_MAX)) * F32(CELLS / (2 * Z_MAX))
    np.clip(x, 0, CELLS - 1e-3, out=x)
    cell = x.astype(np.intp)
    x -= cell
    below = table[cell]
    x *= table[cell + 1] - below
    x += below
    return x


def latent(prepared, trusts, rng, n, dtype):
    """Latent Normals of the seven yearly variates, (variate, T, B)."""
    groups, mixing = prepared.groups, prepared.sector_mixing.astype(dtype)
    z = rng.standard_normal((names.N_VARIATES, len(trusts.turnover), n), dtype=dtype)
    sector = rng.standard_normal((names.N_VARIATES, n), dtype=dtype)
    lead = sector[list(FIRST_OF)]
    for v, d in enumerate(DRIVER_OF):
        if not prepared.shared_streams[names.STREAM_OF[v]]:
            continue
        factor = rng.standard_normal((len(groups.hashes), n), dtype=dtype)
        factor[0] = mixing[d, d] * sector[v] + mixing[d, :d] @ lead[:d]
        loading = trusts.loading[v][:, :, None]
        z[v] *= loading[4]
        z[v] += loading[0] * factor[0]
        for level in (1, 2, 3):
            z[v] += loading[level] * factor[groups.rows[level]]
    return z


def amounts(prepared, trusts, plans, rng, n, dtype):
    """The seven yearly variates in GBP m, slippage as a fraction, (variate, T, B)."""
    z = latent(prepared, trusts, rng, n, dtype)
    for v, (mean, sd) in enumerate(prepared.normal):
        offset, scale = trusts.offset[v][:, None], trusts.scale[v][:, None]
        if sd:
            z[v] *= scale * sd
            z[v] += offset + scale * mean
        else:
            x = look_up(prepared.tables[v], z[v])
            x *= scale
            np.add(x, offset, out=z[v])
    k, s, profile = plans.efficiency_plan, trusts.recurrent_share[:, None], prepared.profile
    effect = profile.effect_at_no_ask - trusts.ask_slope[:, None] * k
    np.clip(effect, *profile.effect_range, out=effect)
    z[names.RECURRENT] *= (k * s) * (effect * plans.delivery)
    z[names.ONE_OFF] *= k * (1 - s)
    return z


def walk(month_shock, profile, rng, rate, walked, dtype):
    """One month of the run rate, and its running total."""
    shock = rng.standard_normal(rate.shape, dtype=dtype)
    shock *= month_shock * profile.shock_loading[1]
    shock += (month_shock * profile.shock_loading[0]) * rng.standard_normal(rate.shape[1], dtype=dtype)
    rate *= profile.persistence
    rate += shock
    walked += rate


def pressure(profile, m, k, values, late, walked):
    """Cumulative pressure of month m, adverse positive."""
    recurrent, one_off, _, _, afc, medical, drift = values
    p = walked + k * profile.plan[m]
    p -= profile.recurrent[m] * recurrent
    p -= (profile.recurrent[m] * profile.slippage[m]) * late
    p -= profile.one_off[m] * one_off
    p += profile.afc[m] * afc
    if profile.medical[m]:
        p += profile.medical[m] * medical
    p += profile.season[m] * drift
    return p


def explain(prepared, trusts, k, values, walked, p, cover):
    """Contributions to the year-end variance."""
    profile, s = prepared.profile, trusts.recurrent_share[:, None]
    recurrent, one_off, _, _, afc, medical, drift = values
    contribution = np.empty((names.N_DRIVERS + 2, *p.shape), p.dtype)
    np.subtract(recurrent, k * s, out=contribution[0])
    np.subtract(one_off, k * (1 - s), out=contribution[1])
    np.multiply(afc, -profile.afc[11], out=contribution[2])
    np.multiply(medical, -profile.medical[11], out=contribution[3])
    np.negative(profile.season[11] * drift + walked, out=contribution[4])
    contribution[5] = cover
    np.multiply(np.minimum(p, 0), 1 - profile.keep_favourable, out=contribution[6])
    return contribution


def efficiency_delivered(k, values, p):
    """Planned savings that were made and the cover that stands in for the others, (B,)."""
    got = values[names.RECURRENT] + values[names.ONE_OFF]
    adverse = np.maximum(p, 0)
    short = np.minimum(np.maximum(k - got, 0), adverse)
    share = np.minimum(values[names.FLEXIBILITY] / np.maximum(adverse, F32(TINY)), 1)
    return (got + short * share).sum(axis=0, dtype=float)


def year(prepared, trusts, plans, volatility, rng, n, dtype, by_month=True):
    """Run the pressures of a year; plans (T, B), or (T, 1) where all draws have the same; sector sums `by_month`."""
    profile, k, shock = prepared.profile, plans.efficiency_plan, (trusts.shock_sd * volatility)[:, None]
    values = amounts(prepared, trusts, plans, rng, n, dtype)
    late, flexibility = values[names.RECURRENT] * values[names.SLIPPAGE], values[names.FLEXIBILITY]
    rate, walked = np.zeros_like(late), np.zeros_like(late)
    quarters, sector = np.empty((4, *late.shape), dtype), np.empty((12 if by_month else 0, n))
    for m in range(12):
        walk(shock, profile, rng, rate, walked, dtype)
        p = pressure(profile, m, k, values, late, walked)
        cover = np.minimum(np.maximum(p, 0), profile.flexibility[m] * flexibility)
        variance = np.where(p > 0, cover - p, -profile.keep_favourable * p)
        if by_month:
            sector[m] = variance.sum(axis=0, dtype=float)
        if m % 3 == 2:
            quarters[m // 3] = variance
    before = plans.plan + variance
    underlying = before - cover
    underlying -= values[names.ONE_OFF]
    underlying -= profile.other_one_off * trusts.turnover[:, None]
    underlying += profile.full_year_effect * values[names.RECURRENT]
    contribution = explain(prepared, trusts, k, values, walked, p, cover)
    return Outcome(contribution, quarters, before, underlying, sector, efficiency_delivered(k, values, p))


def agreed_trusts(probability, shape, rng):
    """Who agreed its control total: certain as a rule, else drawn; (T, 1) or (T, B)."""
    if ((probability == 0) | (probability == 1)).all():
        return probability[:, None] > 0
    return rng.random(shape, dtype=F32) < probability[:, None]


def support(fund, control_total, quarters, rng):
    """Sustainability funding by trust, (T, B)."""
    allocation, dtype = fund.allocation[:, None], quarters.dtype
    agreed = control_total & agreed_trusts(fund.agreed, quarters[0].shape, rng)
    earned, missed = np.zeros_like(quarters[0]), np.zeros_like(quarters[0])
    for q, weight in enumerate(fund.weights):
        gate = agreed & (quarters[q] >= fund.gap[q][:, None])
        access = rng.random(earned.shape, dtype=dtype) < fund.access_met
        share = fund.finance_share * (weight + missed)
        share += ((1 - fund.finance_share) * weight) * access
        earned += allocation * gate * share
        missed += weight
        missed *= fund.catch_up * ~gate
    return distribute(fund, gate, quarters[3], earned)


def distribute(fund, met, variance, earned):
    """Ration earnings if the pot is short, and share out what it has left to those who met their total."""
    general = fund.allocation[:, None] * met
    beat = met * (variance - fund.gap[3][:, None])
    spent, claims = earned.sum(axis=0, dtype=float), beat.sum(axis=0, dtype=float)
    left = np.maximum(fund.pot - spent, 0)
    bonus = np.minimum(left, claims)
    rest = (left - bonus) / np.maximum(general.sum(axis=0, dtype=float), TINY)
    earned *= np.minimum(fund.pot / np.maximum(spent, TINY), 1).astype(earned.dtype)
    earned += (bonus / np.maximum(claims, TINY)).astype(earned.dtype) * beat
    earned += rest.astype(earned.dtype) * general
    return earned


def room(run, n_draws, dtype):
    """The arrays that the fast path fills, in the precision asked for."""
    like = Draws.empty(replace(run, n_draws=n_draws))

    def same(array):
        return np.empty(array.shape, dtype if array.dtype == F32 else array.dtype)

    arrays = {field.name: getattr(like, field.name) for field in fields(Draws)}
    state = {name: same(array) for name, array in arrays.pop("state").items()}
    return Draws(**{name: same(array) for name, array in arrays.items()}, state=state)


def sector_sums(before, position, underlying):
    """The sector in each draw, (5, B): as `Draws.sector`."""
    return (
        before.sum(axis=0, dtype=float),
        position.sum(axis=0, dtype=float),
        (position < -BALANCE).sum(axis=0),
        np.minimum(position, 0).sum(axis=0, dtype=float),
        underlying.sum(axis=0, dtype=float),
    )


def keep(out, y, draws, made, paid, position):
    """Put the results of a year and of some draws (a slice) in their place; `paid` by fund, in order."""
    out.position[y, :, draws], out.position_before_support[y, :, draws] = position, made.before
    out.variance[y, :, draws], out.underlying[y, :, draws] = made.quarters[3], made.underlying
    for i, amount in enumerate(paid):
        out.paid[y, i, :, draws] = amount
    out.sector[y, :, draws] = sector_sums(made.before, position, made.underlying)
    out.sector_variance[y, :, draws] = made.sector_variance
    out.efficiency_delivered[y, draws] = made.efficiency


def run(run, n_draws, seed=0, block=500, dtype=F32):
    """Return the same arrays as the fast path does for one year of the regime 2018-19, by trust."""
    prepared, fund, rng = run.prepared, run.acting[0].funds[0], np.random.default_rng(seed)
    out = room(run, n_draws, dtype)
    plan, efficiency_plan = prepared.plan[:, None], prepared.efficiency_plan[:, None]
    plans, under = Plans(plan, efficiency_plan, delivery=F32(1)), np.ones_like(plan, bool)
    for first in range(0, n_draws, block):
        draws = slice(first, min(first + block, n_draws))
        made = year(prepared, prepared.years[0].trusts, plans, F32(1), rng, draws.stop - first, dtype)
        paid = support(fund, under, made.quarters, rng)
        out.contribution[:, :, draws] = made.contribution
        keep(out, 0, draws, made, [paid], made.before + paid)
    out.central[:] = 0
    return out
