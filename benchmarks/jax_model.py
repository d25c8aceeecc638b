"""The same year in JAX: jitted, single precision, blocks of draws by `lax.map` so that memory stays bounded.

JAX's own: the generator (`jax.random`, its default threefry), all arithmetic, table look-ups, sums over trusts and
means of a block. Months are a `lax.scan`: written out, XLA works the run rate out again for each. Two devices of a core
each share the blocks (`shard_map`), a fifth quicker than one device on both cores. NumPy's: averages of blocks, and
quantiles, for XLA sorts at ten times the cost of `np.quantile`. The program is compiled before the job is timed.

On a processor its other generator, `rbg`, takes twice as long as threefry, and is not offered.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from numpy_model import FIRST_OF
from sector_risk.kernels import pressure as names
from sector_risk.kernels.quantile import CELLS, Z_MAX
from sector_risk.kernels.reduce import BALANCE
from sector_risk.prepare import DRIVER_OF

DEVICES = 2
BLOCK = 500
"""Draws at once on a device: measured best, or as good as any other."""
PROBABILITIES = (0.05, 0.5, 0.95)

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", DEVICES)


class State(NamedTuple):
    """What a month hands to the next, and the last to the year end; each (T, B)."""

    rate: jax.Array
    walked: jax.Array
    pressure: jax.Array
    cover: jax.Array
    variance: jax.Array


class Block(NamedTuple):
    """What is made of a block of B draws (T trusts); means are over its draws."""

    position: jax.Array  # (T, B)
    sector: jax.Array  # (B,)
    sector_ytd: jax.Array  # (12,) mean variance of the sector by month
    contribution: jax.Array  # (driver..., one_off, favourable_spent; T) mean


def look_up(table, z):
    x = jnp.clip((z + Z_MAX) * (CELLS / (2 * Z_MAX)), 0, CELLS - 1e-3)
    cell = x.astype(jnp.int32)
    below = table[cell]
    return below + (x - cell) * (table[cell + 1] - below)


def latent(prepared, key, n):
    """Latent Normals of the seven yearly variates, a list of (T, B)."""
    trusts, groups, mixing = prepared.years[0].trusts, prepared.groups, prepared.sector_mixing
    own_key, sector_key, group_key = jax.random.split(key, 3)
    z = list(jax.random.normal(own_key, (names.N_VARIATES, len(trusts.turnover), n)))
    sector = jax.random.normal(sector_key, (names.N_VARIATES, n))
    for v, d in enumerate(DRIVER_OF):
        if not prepared.shared_streams[names.STREAM_OF[v]]:
            continue
        loading = trusts.loading[v][:, :, None]
        factor = jax.random.normal(jax.random.fold_in(group_key, v), (len(groups.hashes), n))
        of_sector = mixing[d, d] * sector[v] + sum(mixing[d, e] * sector[FIRST_OF[e]] for e in range(d))
        z[v] = loading[4] * z[v] + loading[0] * of_sector
        for level in (1, 2, 3):
            z[v] += loading[level] * factor[groups.rows[level]]
    return z


def amounts(prepared, key, n):
    """The seven yearly variates in GBP m, slippage as a fraction."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, prepared.efficiency_plan[:, None]
    values, s = latent(prepared, key, n), trusts.recurrent_share[:, None]
    for v, (mean, sd) in enumerate(prepared.normal):
        x = mean + sd * values[v] if sd else look_up(jnp.asarray(prepared.tables[v]), values[v])
        values[v] = trusts.offset[v][:, None] + trusts.scale[v][:, None] * x
    effect = np.clip(profile.effect_at_no_ask - trusts.ask_slope[:, None] * k, *profile.effect_range)
    values[names.RECURRENT] *= k * s * effect
    values[names.ONE_OFF] *= k * (1 - s)
    return values


def by_month(profile):
    """Profiles over the months: plan, recurrent, late, one_off, afc, medical, season, flexibility."""
    late = profile.recurrent * profile.slippage
    rows = (profile.plan, profile.recurrent, late, profile.one_off, profile.afc, profile.medical, profile.season)
    return tuple(jnp.asarray(row) for row in (*rows, profile.flexibility))


def pressure(profiles, k, values, late, walked):
    """Cumulative pressure of a month, adverse positive."""
    plan, on_recurrent, on_late, on_one_off, on_afc, on_medical, season, _ = profiles
    recurrent, one_off, _, _, afc, medical, drift = values
    delivered = on_recurrent * recurrent + on_late * late + on_one_off * one_off
    return plan * k - delivered + walked + on_afc * afc + on_medical * medical + season * drift


def shock(prepared, key, shape):
    """Shocks of a month to the run rate, GBP m: the sector's and trusts' own."""
    on_sector, on_own = prepared.profile.shock_loading
    own_key, sector_key = jax.random.split(key)
    z = on_sector * jax.random.normal(sector_key, shape[1:]) + on_own * jax.random.normal(own_key, shape)
    return prepared.years[0].trusts.shock_sd[:, None] * z


def walk(prepared, values, key):
    """Twelve months: the state at the year end, and the sector's mean variance by month."""
    profile, k, shape = prepared.profile, prepared.efficiency_plan[:, None], values[0].shape
    late, flexibility = values[names.RECURRENT] * values[names.SLIPPAGE], values[names.FLEXIBILITY]

    def month(state, at):
        profiles, month_key = at
        rate = profile.persistence * state.rate + shock(prepared, month_key, shape)
        walked = state.walked + rate
        p = pressure(profiles, k, values, late, walked)
        cover = jnp.clip(p, 0, profiles[-1] * flexibility)
        variance = jnp.where(p > 0, cover - p, -profile.keep_favourable * p)
        return State(rate, walked, p, cover, variance), variance.sum(axis=0).mean()

    return lax.scan(month, State(*[jnp.zeros(shape)] * 5), (by_month(profile), jax.random.split(key, 12)))


def explain(prepared, values, end):
    """Mean contributions to the year-end variance, (driver..., one_off, favourable_spent; T)."""
    profile, k = prepared.profile, prepared.efficiency_plan[:, None]
    s = prepared.years[0].trusts.recurrent_share[:, None]
    recurrent, one_off, _, _, afc, medical, drift = values
    contribution = (
        recurrent - k * s,
        one_off - k * (1 - s),
        -profile.afc[11] * afc,
        -profile.medical[11] * medical,
        -(profile.season[11] * drift + end.walked),
        end.cover,
        (1 - profile.keep_favourable) * jnp.minimum(end.pressure, 0),
    )
    return jnp.stack([part.mean(axis=1) for part in contribution])


def year(prepared, key, n):
    """One year of a block of n draws."""
    values_key, months_key = jax.random.split(key)
    values = amounts(prepared, values_key, n)
    end, sector_ytd = walk(prepared, values, months_key)
    position = prepared.plan[:, None] + end.variance
    return Block(position, position.sum(axis=0), sector_ytd, explain(prepared, values, end))


def measures(position):
    """Mean, sd, quantiles and probability of a deficit of one unit's draws."""
    mean, sd = position.mean(dtype=float), position.std(dtype=float)
    return mean, sd, np.quantile(position, PROBABILITIES), (position < -BALANCE).mean()


def results(blocks):
    """Results of all blocks: see `ladder`."""
    position = np.asarray(blocks.position)
    units = [position[:, i].ravel() for i in range(position.shape[1])] + [np.asarray(blocks.sector).ravel()]
    mean, sd, quantile, p_deficit = (np.array(part) for part in zip(*map(measures, units), strict=True))
    return {
        "mean": mean,
        "sd": sd,
        "quantile": quantile.T,
        "p_deficit": p_deficit,
        "sector_ytd": np.asarray(blocks.sector_ytd).mean(axis=0, dtype=float),
        "contribution": np.asarray(blocks.contribution).mean(axis=0, dtype=float),
    }


def ready(prepared, n_draws, seed=0) -> Callable[[], dict]:
    """Compile the program for a number of draws, and return the job that runs it."""
    block, across = min(BLOCK, n_draws // DEVICES), PartitionSpec("core")
    if n_draws % (block * DEVICES):
        raise ValueError(f"{n_draws} draws do not make whole blocks of {block} on {DEVICES} devices")
    mesh = jax.make_mesh((DEVICES,), ("core",))

    def blocks_of(keys):
        return lax.map(lambda key: year(prepared, key, block), keys)

    program = jax.jit(jax.shard_map(blocks_of, mesh=mesh, in_specs=across, out_specs=across, check_vma=False))
    keys = jax.device_put(jax.random.split(jax.random.key(seed), n_draws // block), NamedSharding(mesh, across))
    compiled = program.lower(keys).compile()
    return lambda: results(jax.block_until_ready(compiled(keys)))
