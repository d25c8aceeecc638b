"""The same year in the Proteus Actuarial Library: one `StochasticScalar` for each trust and quantity.

Proteus's own: Normals from its generator, arithmetic of its variables, their moments and percentiles. NumPy's, called
on its variables as its documents advise: `minimum`, `maximum`, `where`, and `interp` for the quantile tables.

Its documents correlate variables by a copula that reorders draws. A Gaussian copula of this year has 1,135 variables;
to apply it took 1.4 µs a trust and draw alone, and every later sum passes over all variables that are coupled and
alive. So dependence is made of shared factors here, trust by trust and system by system, with few variables alive.
What that book-keeping costs does not grow with the draws: it is nearly all of a small run.
"""

from collections.abc import Callable

import numpy as np
from pal import config, set_random_seed
from pal.distributions import Normal

from numpy_model import FIRST_OF
from sector_risk.kernels import pressure as names
from sector_risk.kernels.quantile import grid
from sector_risk.kernels.reduce import BALANCE
from sector_risk.prepare import DRIVER_OF

GRID = grid()
PERCENTILES = [5.0, 50.0, 95.0]


def normals(n):
    return [Normal(0.0, 1.0).generate() for _ in range(n)]


def shared_factors(prepared):
    """Factors of sector, types and regions by group for each variate, or None where trusts share nothing."""
    mixing, sector, (_, types, _, regions) = prepared.sector_mixing, normals(names.N_VARIATES), prepared.groups.levels
    rows = [*range(types.start, types.stop), *range(regions.start, regions.stop)]
    factors = [None] * names.N_VARIATES
    for v, d in enumerate(DRIVER_OF):
        if prepared.shared_streams[names.STREAM_OF[v]]:
            of_sector = sector[v] * mixing[d, d]
            for e in np.flatnonzero(mixing[d, :d]):
                of_sector = of_sector + sector[FIRST_OF[e]] * mixing[d, e]
            factors[v] = {0: of_sector} | dict(zip(rows, normals(len(rows)), strict=True))
    return factors


def with_system(factors, system):
    """Add the factors of one system, which no other trusts share: the fewer variables are alive the better."""
    return [factor and factor | {system: Normal(0.0, 1.0).generate()} for factor in factors]


def amount(prepared, i, v, factors):
    """One yearly variate of trust i: offset + scale * quantile."""
    trusts, (mean, sd) = prepared.years[0].trusts, prepared.normal[v].tolist()
    loading, offset, scale = trusts.loading[v, :, i].tolist(), float(trusts.offset[v, i]), float(trusts.scale[v, i])
    z = Normal(0.0, 1.0).generate()
    if factors:
        z = z * loading[4]
        for level, row in enumerate(prepared.groups.rows[:, i]):
            z = z + factors[row] * loading[level]
    x = z * sd + mean if sd else np.interp(z, GRID, prepared.tables[v])
    return x * scale + offset


def amounts(prepared, i, factors):
    """The seven yearly variates of trust i in GBP m, slippage as a fraction."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, float(prepared.efficiency_plan[i])
    values, s = [amount(prepared, i, v, shared) for v, shared in enumerate(factors)], float(trusts.recurrent_share[i])
    effect = np.clip(profile.effect_at_no_ask - trusts.ask_slope[i] * k, *profile.effect_range)
    values[names.RECURRENT] = values[names.RECURRENT] * (k * s * float(effect))
    values[names.ONE_OFF] = values[names.ONE_OFF] * (k * (1 - s))
    return values


def pressure(profile, m, k, values, late, walked):
    """Cumulative pressure of month m, adverse positive."""
    recurrent, one_off, _, _, afc, medical, drift = values
    p = walked + k * float(profile.plan[m])
    p = p - recurrent * profile.recurrent[m]
    p = p - late * (profile.recurrent[m] * profile.slippage[m])
    p = p - one_off * profile.one_off[m]
    p = p + afc * profile.afc[m]
    if profile.medical[m]:
        p = p + medical * profile.medical[m]
    return p + drift * profile.season[m]


def explain(profile, k, s, values, walked, p, cover):
    """Mean contributions to the year-end variance."""
    recurrent, one_off, _, _, afc, medical, drift = values
    return [
        (recurrent - k * s).mean(),
        (one_off - k * (1 - s)).mean(),
        (afc * -profile.afc[11]).mean(),
        (medical * -profile.medical[11]).mean(),
        -(drift * profile.season[11] + walked).mean(),
        cover.mean(),
        (np.minimum(p, 0.0) * (1 - profile.keep_favourable)).mean(),
    ]


def trust_year(prepared, i, factors, months):
    """One year of trust i: its position, its mean variance by month and its mean contributions."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, float(prepared.efficiency_plan[i])
    values, shock_sd = amounts(prepared, i, factors), float(trusts.shock_sd[i])
    late, on_sector, on_own = values[names.RECURRENT] * values[names.SLIPPAGE], *(shock_sd * profile.shock_loading)
    rate, walked, by_month = 0.0, 0.0, []
    for m, shared in enumerate(months):
        rate = shared * on_sector + Normal(0.0, 1.0).generate() * on_own + rate * profile.persistence
        walked = rate + walked
        p = pressure(profile, m, k, values, late, walked)
        cover = np.minimum(np.maximum(p, 0.0), values[names.FLEXIBILITY] * profile.flexibility[m])
        variance = np.where(p > 0.0, cover - p, p * -profile.keep_favourable)
        by_month.append(variance.mean())
    contribution = explain(profile, k, float(trusts.recurrent_share[i]), values, walked, p, cover)
    return variance + float(prepared.plan[i]), by_month, contribution


def in_order(values):
    return [values[i] for i in sorted(values)]


def measures(position):
    """Mean, sd, quantiles and probability of a deficit."""
    return position.mean(), position.std(), position.percentile(PERCENTILES), (position < -BALANCE).mean()


def run(prepared, n_draws, seed):
    """Run the year and return its results: see `ladder`."""
    config.n_sims = n_draws
    set_random_seed(seed)
    factors, months, systems = shared_factors(prepared), normals(12), prepared.groups.rows[2]
    sector, units, by_month, contribution = 0.0, {}, [], {}
    for system in np.unique(systems):
        known = with_system(factors, system)
        for i in np.flatnonzero(systems == system):
            position, of_months, contribution[i] = trust_year(prepared, i, known, months)
            sector = position + sector
            units[i] = measures(position)
            by_month.append(of_months)
    units[len(units)] = measures(sector)
    mean, sd, quantile, p_deficit = (np.array(part) for part in zip(*in_order(units), strict=True))
    return {
        "mean": mean,
        "sd": sd,
        "quantile": quantile.T,
        "p_deficit": p_deficit,
        "sector_ytd": np.sum(by_month, axis=0),
        "contribution": np.transpose(in_order(contribution)),
    }


def ready(prepared, n_draws, seed=0) -> Callable[[], dict]:
    """Return the job; nothing is made before it."""
    return lambda: run(prepared, n_draws, seed)
