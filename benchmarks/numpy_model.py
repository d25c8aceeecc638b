"""The same year in vectorised NumPy: what a careful analyst would write without a compiler.

It reads the same prepared arrays as the kernels and returns the same results, drawn from NumPy's own generator, so
its cost is that of the same model. It is in place where that reads well and looks tables up instead of calling
`np.interp`. `run` takes it two ways: tuned (single precision, blocks of draws that stay in cache), and as it is usually
written (double precision, all draws at once).
"""

import numpy as np

from sector_risk.kernels import pressure as names
from sector_risk.kernels.quantile import CELLS, Z_MAX
from sector_risk.kernels.reduce import BALANCE
from sector_risk.prepare import DRIVER_OF

F32 = np.float32
ITEMS_USED = (4, 2, 1)
"""Normals a trust uses of each yearly stream; the run rate takes twelve more."""


def normals_used(prepared) -> int:
    """Normals that one draw of the whole model consumes, factors included."""
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


def latent(prepared, rng, n, dtype):
    """Latent Normals of the seven yearly variates, (variate, T, B)."""
    groups, n_trusts = prepared.groups, len(prepared.codes)
    z = rng.standard_normal((names.N_VARIATES, n_trusts, n), dtype=dtype)
    lead = rng.standard_normal((4, n), dtype=dtype)
    for v, d in enumerate(DRIVER_OF):
        if not prepared.shared_streams[names.STREAM_OF[v]]:
            continue
        factor = rng.standard_normal((len(groups.hashes), n), dtype=dtype)
        factor[0] = prepared.sector_mixing[d, : d + 1] @ lead[: d + 1]
        loading = prepared.trusts.loading[v][:, :, None]
        z[v] *= loading[4]
        z[v] += loading[0] * factor[0]
        for level in (1, 2, 3):
            z[v] += loading[level] * factor[groups.rows[level]]
    return z


def year(prepared, rng, n, dtype):
    """Variance at quarter ends, contributions, sector variance by month, efficiency delivered."""
    t, y = prepared.trusts, prepared.year
    z = latent(prepared, rng, n, dtype)
    for v in range(names.N_VARIATES):
        x = look_up(prepared.tables[v], z[v])
        x *= t.scale[v][:, None]
        x += t.offset[v][:, None]
        z[v] = x
    recurrent, one_off, slip, flexibility, afc, medical, drift = z
    k, sd = t.efficiency_plan[:, None], t.shock_sd[:, None]
    rate, walked = np.zeros_like(afc), np.zeros_like(afc)
    late = recurrent * slip
    quarters, sector = np.empty((4, *afc.shape), dtype), np.empty((12, n))
    for m in range(12):
        shock = rng.standard_normal(afc.shape, dtype=dtype)
        shock *= sd * y.shock_loading[1]
        shock += (sd * y.shock_loading[0]) * rng.standard_normal(n, dtype=dtype)
        rate *= y.persistence
        rate += shock
        walked += rate
        p = walked + k * y.plan[m]
        p -= y.recurrent[m] * recurrent
        p -= (y.recurrent[m] * y.slippage[m]) * late
        p -= y.one_off[m] * one_off
        p += y.afc[m] * afc
        if y.medical[m]:
            p += y.medical[m] * medical
        p += y.season[m] * drift
        cover = np.minimum(np.maximum(p, 0), y.flexibility[m] * flexibility)
        variance = np.where(p > 0, cover - p, -y.keep_favourable * p)
        sector[m] = variance.sum(axis=0, dtype=float)
        if m % 3 == 2:
            quarters[m // 3] = variance
    s = t.recurrent_share[:, None]
    contribution = np.empty((7, *afc.shape), dtype)
    np.subtract(recurrent, k * s, out=contribution[0])
    np.subtract(one_off, k * (1 - s), out=contribution[1])
    np.multiply(afc, -y.afc[11], out=contribution[2])
    np.multiply(medical, -y.medical[11], out=contribution[3])
    np.negative(y.season[11] * drift + walked, out=contribution[4])
    contribution[5] = cover
    np.multiply(np.minimum(p, 0), 1 - y.keep_favourable, out=contribution[6])
    got = recurrent + one_off
    adverse = np.maximum(p, 0)
    short = np.minimum(np.maximum(k - got, 0), adverse)
    share = np.minimum(flexibility / np.maximum(adverse, F32(1e-12)), 1)
    return quarters, contribution, sector, (got + short * share).sum(axis=0, dtype=float)


def support(fund, quarters, rng):
    """Sustainability funding by trust, (T, B)."""
    allocation, agreed = fund.allocation[:, None], fund.agreed[:, None]
    earned = np.zeros_like(quarters[0])
    missed = np.zeros_like(earned)
    for q in range(4):
        gate = agreed * (quarters[q] >= fund.gap[q][:, None])
        access = rng.random(earned.shape, dtype=earned.dtype) < fund.access_met
        share = fund.finance_share * (fund.weights[q] + missed) + (1 - fund.finance_share) * fund.weights[q] * access
        earned += allocation * gate * share
        missed = (1 - gate) * (missed + fund.weights[q])
    beat = gate * (quarters[3] - fund.gap[3][:, None])
    claims, general = beat.sum(axis=0, dtype=float), (gate * allocation).sum(axis=0, dtype=float)
    left = np.maximum(fund.pot - earned.sum(axis=0, dtype=float), 0)
    bonus = np.minimum(left, claims)
    earned += (bonus / np.maximum(claims, 1e-12)) * beat
    earned += ((left - bonus) / np.maximum(general, 1e-12)) * (gate * allocation)
    return earned


def run(prepared, fund, n_draws, seed=0, block=500, dtype=F32):
    """Return the same arrays as the fast path: contributions, positions, support, sector sums."""
    rng = np.random.default_rng(seed)
    n_trusts = len(prepared.codes)
    contribution = np.empty((7, n_trusts, n_draws), dtype)
    variance, before, position, paid = (np.empty((n_trusts, n_draws), dtype) for _ in range(4))
    sector, ytd, efficiency = np.empty((4, n_draws)), np.empty((12, n_draws)), np.empty(n_draws)
    plan, path = prepared.plan[:, None], prepared.plan_path.sum(axis=0)[:, None]
    for a in range(0, n_draws, block):
        b = min(a + block, n_draws)
        quarters, contribution[:, :, a:b], ytd[:, a:b], efficiency[a:b] = year(prepared, rng, b - a, dtype)
        paid[:, a:b] = support(fund, quarters, rng)
        variance[:, a:b] = quarters[3]
        np.add(plan, quarters[3], out=before[:, a:b])
        np.add(before[:, a:b], paid[:, a:b], out=position[:, a:b])
        here = position[:, a:b]
        sector[0, a:b] = before[:, a:b].sum(axis=0, dtype=float)
        sector[1, a:b] = here.sum(axis=0, dtype=float)
        sector[2, a:b] = (here < -BALANCE).sum(axis=0)
        sector[3, a:b] = np.minimum(here, 0).sum(axis=0, dtype=float)
        ytd[:, a:b] += path
    return contribution, before, position, paid, sector, ytd, efficiency, variance
