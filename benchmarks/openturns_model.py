"""The same year in OpenTURNS: samples of a trust go through its functions, blocks of draws at a time.

All is OpenTURNS's own but the averages of what blocks return: Normals from its generator, dependence and the twelve
months as `SymbolicFunction` (it compiles formulas; they are made before the job is timed), quantile tables as
`PiecewiseLinearEvaluation`, moments and quantiles of samples.

Its documents offer two other ways. `JointDistribution` with a `NormalCopula` of the 1,135 dependent variates took
9 µs a trust and draw before any arithmetic. `PythonFunction` with vectorised NumPy hands samples over as tuples: 2 µs.
"""

from collections.abc import Callable

import numpy as np
import openturns as ot

from numpy_model import FIRST_OF
from sector_risk.kernels import pressure as names
from sector_risk.kernels.quantile import grid
from sector_risk.kernels.reduce import BALANCE
from sector_risk.prepare import DRIVER_OF

BLOCK = 10_000
THREADS = 2
PROBABILITIES = [0.05, 0.5, 0.95]
VALUES = ("recurrent", "one_off", "slippage", "flexibility", "afc", "medical", "drift")
N_LATENT = names.N_VARIATES

ot.TBB.SetThreadsNumber(
    THREADS
)  # once, before any function runs: raised later, functions returned wrong numbers (1.27)


def dependent(prepared):
    """Variates that trusts share anything of."""
    return [v for v in range(names.N_VARIATES) if prepared.shared_streams[names.STREAM_OF[v]]]


def shared_normals(prepared, n):
    """Shared Normals: the sector's of each variate, then all groups' of each dependent variate."""
    return ot.Normal(N_LATENT + len(dependent(prepared)) * len(prepared.groups.hashes)).getSample(n)


def shared_by(prepared, i):
    """Columns of shared Normals that trust i sees: the sector's, and its type's, system's, region's by variate."""
    n_groups, rows = len(prepared.groups.hashes), prepared.groups.rows[1:, i].tolist()
    groups = (N_LATENT + j * n_groups + row for j in range(len(dependent(prepared))) for row in rows)
    return [*range(N_LATENT), *groups]


def weights(prepared, i):
    """Loadings of trust i's latent Normals on its own Normals and on those of `shared_by`."""
    loading, varied = prepared.years[0].trusts.loading[:, :, i].astype(float), dependent(prepared)
    out = np.zeros((N_LATENT, 2 * N_LATENT + 3 * len(varied)))
    out[:, :N_LATENT] = np.diag(loading[:, 4])
    for j, v in enumerate(varied):
        d, first = DRIVER_OF[v], 2 * N_LATENT + 3 * j
        out[v, N_LATENT + v] = loading[v, 0] * prepared.sector_mixing[d, d]
        for e in range(d):
            out[v, N_LATENT + FIRST_OF[e]] += loading[v, 0] * prepared.sector_mixing[d, e]
        out[v, first : first + 3] = loading[v, 1:4]
    return out


def mix(prepared, i):
    """Latent Normals of trust i from its own Normals and shared ones."""
    terms = weights(prepared, i)
    formulas = [" + ".join(f"{w!r} * n{j}" for j, w in enumerate(row.tolist()) if w) for row in terms]
    return ot.SymbolicFunction([f"n{j}" for j in range(terms.shape[1])], formulas)


def quantiles(prepared):
    """Quantile of each variate that has a table, as a function of its latent Normal; by variate."""
    at, tables = grid().tolist(), prepared.tables[:, :, None].tolist()
    with_table = np.flatnonzero(prepared.normal[:, 1] == 0).tolist()
    return {v: ot.PiecewiseLinearEvaluation(at, tables[v]) for v in with_table}


def amounts(prepared, i):
    """Formulas of the seven yearly variates of trust i in GBP m, from quantiles or latent Normals x0 .. x6."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, float(prepared.efficiency_plan[i])
    s = float(trusts.recurrent_share[i])
    effect = float(np.clip(profile.effect_at_no_ask - trusts.ask_slope[i] * k, *profile.effect_range))
    factor = {names.RECURRENT: k * s * effect, names.ONE_OFF: k * (1 - s)}
    for v, name in enumerate(VALUES):
        f, (mean, sd) = factor.get(v, 1.0), prepared.normal[v].tolist()
        offset, scale = f * float(trusts.offset[v, i]), f * float(trusts.scale[v, i])
        yield f"var {name} := {offset + scale * mean!r} + {scale * (sd or 1.0)!r} * x{v};"


def month(profile, m, k, shock_sd):
    """Formulas of one month: the run rate, pressure, cover, and the variance v0 .. v11."""
    late = float(profile.recurrent[m] * profile.slippage[m])
    on_sector, on_own = (shock_sd * profile.shock_loading).tolist()
    yield f"rate := {float(profile.persistence)!r} * rate + {on_sector!r} * s{m} + {on_own!r} * e{m};"
    yield "walked := walked + rate;"
    yield f"p := {k * float(profile.plan[m])!r} + walked - {float(profile.recurrent[m])!r} * recurrent"
    yield f"- {late!r} * late - {float(profile.one_off[m])!r} * one_off + {float(profile.afc[m])!r} * afc"
    yield f"+ {float(profile.medical[m])!r} * medical + {float(profile.season[m])!r} * drift;"
    yield f"cover := min(max(p, 0), {float(profile.flexibility[m])!r} * flexibility);"
    yield f"v{m} := if (p > 0, cover - p, {-float(profile.keep_favourable)!r} * p);"


def explain(profile, k, s):
    """Formulas of contributions c0 .. c6 to the year-end variance."""
    yield f"c0 := recurrent - {k * s!r}; c1 := one_off - {k * (1 - s)!r}; c2 := {-float(profile.afc[11])!r} * afc;"
    yield f"c3 := {-float(profile.medical[11])!r} * medical; c4 := -({float(profile.season[11])!r} * drift + walked);"
    yield f"c5 := cover; c6 := {1 - float(profile.keep_favourable)!r} * min(p, 0);"


def in_order(prepared):
    """Variates in the order of the year's inputs: first those with a table."""
    return sorted(range(names.N_VARIATES), key=lambda v: bool(prepared.normal[v, 1]))


def year(prepared, i):
    """The year of trust i: from quantiles and months' shocks to position, variances by month and contributions."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, float(prepared.efficiency_plan[i])
    shock_sd, s = float(trusts.shock_sd[i]), float(trusts.recurrent_share[i])
    lines = [*amounts(prepared, i), "var late := recurrent * slippage;"]
    lines += [f"var {name} := 0;" for name in ("rate", "walked", "p", "cover")]
    for m in range(12):
        lines += month(profile, m, k, shock_sd)
    lines += [*explain(profile, k, s), f"position := {float(prepared.plan[i])!r} + v11"]
    inputs = [f"x{v}" for v in in_order(prepared)] + [f"{kind}{m}" for kind in "es" for m in range(12)]
    outputs = ["position", *(f"v{m}" for m in range(12)), *(f"c{c}" for c in range(names.N_DRIVERS + 2))]
    return ot.SymbolicFunction(inputs, outputs, "".join(lines))


def trust_block(shared, months, steps, tables):
    """A block of one trust: its position, variances by month and contributions."""
    seen, mix_normals, run_year = steps
    normals = ot.Normal(N_LATENT).getSample(len(shared))
    normals.stack(shared.getMarginal(seen))
    latent, x = mix_normals(normals), ot.Sample(len(shared), 0)
    for v, table in tables.items():
        x.stack(table(latent.getMarginal(v)))
    x.stack(latent.getMarginal([v for v in range(N_LATENT) if v not in tables]))
    x.stack(ot.Normal(12).getSample(len(shared)))
    x.stack(months)
    return run_year(x)


def measures(position):
    """Mean, sd, quantiles and probability of a deficit."""
    quantile = np.ravel(position.computeQuantilePerComponent(PROBABILITIES))
    sd, p_deficit = position.computeStandardDeviation()[0], position.computeEmpiricalCDF([-float(BALANCE)])
    return position.computeMean()[0], sd, quantile, p_deficit


def run(prepared, n_draws, steps, tables):
    """Run the year and return its results: see `ladder`."""
    positions, sector = [ot.Sample(0, 1) for _ in steps], ot.Sample(0, 1)
    means, size = np.zeros((len(steps), 12 + names.N_DRIVERS + 2)), min(BLOCK, n_draws)
    for _ in range(0, n_draws, size):
        shared, months, total = shared_normals(prepared, size), ot.Normal(12).getSample(size), ot.Sample(size, 1)
        for i, of_trust in enumerate(steps):
            out = trust_block(shared, months, of_trust, tables)
            position = out.getMarginal(0)
            positions[i].add(position)
            total += position
            means[i] += np.array(out.computeMean())[1:] * (size / n_draws)
        sector.add(total)
    mean, sd, quantile, p_deficit = (np.array(part) for part in zip(*map(measures, [*positions, sector]), strict=True))
    return {
        "mean": mean,
        "sd": sd,
        "quantile": quantile.T,
        "p_deficit": p_deficit,
        "sector_ytd": means[:, :12].sum(axis=0),
        "contribution": means[:, 12:].T,
    }


def ready(prepared, n_draws, seed=0) -> Callable[[], dict]:
    """Make the functions of all trusts, and return the job that runs them."""
    trusts = range(len(prepared.codes))
    steps = [(shared_by(prepared, i), mix(prepared, i), year(prepared, i)) for i in trusts]
    tables = quantiles(prepared)

    def job():
        ot.RandomGenerator.SetSeed(seed)
        return run(prepared, n_draws, steps, tables)

    return job
