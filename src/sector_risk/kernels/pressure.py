"""One year for a block of draws: pressure builds up, flexibility meets it, the rest is the variance.

The loops run over trusts outside and draws inside: everything about a trust is a scalar, everything that runs
over draws is a contiguous float32 row, so each inner loop vectorises. Rows are a block long and stay in cache.

Formulas (adverse positive; m = month, all cumulative):

    pressure[m]   = K G_plan(m) - K s r (1 + slip (1 - m/12)) G_rec(m) - K (1-s) q G_one_off(m)
                    + A e_afc(m) + M e_medical(m) + D season(m) + sum of AR(1) shocks + user drivers
    flexibility[m] = B H(m)
    one_off[m]     = clip(pressure[m], 0, flexibility[m])
    variance[m]    = -(pressure[m] - one_off[m])    where adverse;   keep * -pressure[m]    where favourable
    underlying     = plan + variance[12] - one_off[12] - K (1-s) q - other one-offs + full-year effect * K s r

Plans differ between trusts and, after the first year, between draws: they come as rows.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.quantile import CELLS, interpolate, look_up
from sector_risk.kernels.random import fill_normal_pair, fill_normals
from sector_risk.kernels.rows import LANES, add_to, two_sums

F32 = NDArray[np.float32]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]

RECURRENT, ONE_OFF, SLIPPAGE, FLEXIBILITY, AFC, MEDICAL, DRIFT = range(7)
N_VARIATES = 7
"""Uncertain quantities that are drawn once a year for a trust; each is offset + scale * quantile(latent)."""

VALUE_ROWS = N_VARIATES + 1
"""The drift's stream gives Normals in pairs; the second one is not used."""

STREAMS = ("efficiency", "pay_award", "deterioration", "run_rate")
N_YEARLY_STREAMS = len(STREAMS) - 1
SOURCES = (*STREAMS, "flexibility")
"""Numbers that have keys: those of the streams, and one-off cover, an item of efficiency's stream.

Its key is efficiency's, unless one of the two is to be drawn without the other.
"""
_EFFICIENCY, _PAY_AWARD, _DETERIORATION, _RUN_RATE, COVER = range(len(SOURCES))
STREAM_OF = (0, 0, 0, 0, 1, 1, 2)
ITEM_OF = (0, 1, 2, 3, 0, 1, 0)
"""Stream and item at which each variate's Normals are addressed."""

DRIVERS = ("efficiency_recurrent", "efficiency_one_off", "pay_afc", "pay_medical", "deterioration")
N_DRIVERS = len(DRIVERS)

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


class Trusts(NamedTuple):
    """What the year needs to know of each trust (T trusts)."""

    hashes: U32  # (T, 2) hash of the code
    offset: F32  # (variate, T)
    scale: F32  # (variate, T)
    turnover: F32  # (T,) GBP m
    recurrent_share: F32  # (T,) s
    ask_slope: F32  # (T,) fall of the delivery effect with each GBP m of efficiency planned
    shock_sd: F32  # (T,) monthly shock to the run rate, GBP m
    group: I64  # (4, T) row of the trust's sector, type, system, region factor
    loading: F32  # (variate, 5, T) loadings on those four and on the trust's own Normal


class Year(NamedTuple):
    """Profiles over the twelve months (cumulative shares unless said) and scalars of the year."""

    plan: F32  # G_plan
    recurrent: F32  # G_rec
    one_off: F32  # G_one_off
    slippage: F32  # 1 - m/12
    afc: F32  # elapsed share of the Agenda for Change gap
    medical: F32  # elapsed share of the medical gap
    season: F32  # cumulative share of the year's drift
    flexibility: F32  # H
    persistence: np.float32  # AR(1) coefficient of the run-rate shocks
    shock_loading: F32  # (2,) of a month's shock on the sector's and on the trust's own Normal
    keep_favourable: np.float32
    effect_at_no_ask: np.float32  # delivery effect of a trust that plans no savings
    effect_range: F32  # (2,) least and greatest delivery effect
    other_one_off: np.float32  # fraction of turnover
    full_year_effect: np.float32  # fraction of recurrent savings


class Plans(NamedTuple):
    """What each trust planned in each draw of a block, (T, B)."""

    plan: F32  # position before support, GBP m
    efficiency_plan: F32  # K, GBP m
    delivery: F32  # multiplier on recurrent delivery, from the rules


class Shared(NamedTuple):
    """Shared randomness of a block (B draws)."""

    keys: U32  # (source, 2)
    first_group: int  # item group at which the year's random numbers begin
    tables: F32  # (variate, cells + 1)
    normal: F32  # (variate, 2) mean and sd where the marginal is Normal; sd zero: read the table
    factors: F32  # (stream with yearly variates, group, item, B)
    month_factor: F32  # (12, B) the sector's Normal for each month
    tail: F32  # (variate, B) Student scale w, where tails are fat
    tail_table: F32  # (cells + 1,) compressed Student value -> Normal score
    tail_degrees: np.float32  # degrees of freedom of the Student tails; zero: Gaussian


class Seen(NamedTuple):
    """What the months seen leave open: particles of R trusts, and which of them each draw of a block has."""

    row: I64  # (T,) the trust's row below; -1: nothing was seen of it
    months: I64  # (R,) months up to this one follow the particle
    particles: F32  # (R, particle, latents) latent Normals: variates, then months' shocks
    chosen: U32  # (R, B)


class YearOut(NamedTuple):
    """Where results go. R is T, or 1 where contributions by trust are not kept: then each trust overwrites the last.

    Contributions may be a whole run's (M draws, the block's begin at `column`) and not a view on the block's draws:
    a row cut out of a contiguous array is known to be contiguous when the kernel is compiled, a row of a view is
    not, and then its loop would not vectorise.
    """

    contribution: F32  # (driver..., one_off, favourable_spent; R; M)
    column: int
    contribution_sums: NDArray[np.float64]  # (driver..., one_off, favourable_spent; T; 2), or no rows
    driver_total: NDArray[np.float64]  # (driver..., one_off, favourable_spent; B) sums over trusts, or no rows
    position_before_support: F32  # (T, B)
    underlying: F32  # (T, B)
    quarter_variance: F32  # (4, T, B)
    sector_variance: NDArray[np.float64]  # (12, B) by month, or no rows
    efficiency_delivered: NDArray[np.float64]  # (B,)


@step
def _mix(loading: Any, i: Any, sector: Any, kind: Any, system: Any, region: Any, z: Any) -> None:
    """Replace z by a F_sector + b F_type + c F_system + e F_region + rest * own, unit variance."""
    a, b, c = loading[0, i], loading[1, i], loading[2, i]
    e, rest = loading[3, i], loading[4, i]
    for j in range(z.size):
        z[j] = a * sector[j] + b * kind[j] + c * system[j] + e * region[j] + rest * z[j]


@step
def _fatten(tail: Any, table: Any, degrees: Any, z: Any) -> None:
    """Replace z by Phi^-1(T_nu(w z)): Student t dependence with the marginal left exact."""
    half = np.float32(CELLS / 2)
    for j in range(z.size):
        t = tail[j] * z[j]
        z[j] = (t / np.sqrt(degrees + t * t) + _ONE) * half
    interpolate(table, z)


@step
def _apply_marginal(offset: Any, scale: Any, table: Any, z: Any) -> None:
    look_up(table, z)
    for j in range(z.size):
        z[j] = offset + scale * z[j]


@step
def _apply_normal(offset: Any, scale: Any, mean: Any, sd: Any, z: Any) -> None:
    """A Normal marginal needs no table: a third of the cost, and exact in the far tails."""
    for j in range(z.size):
        z[j] = offset + scale * (mean + sd * z[j])


@step
def apply_variate(offset: Any, scale: Any, table: Any, normal: Any, z: Any) -> None:
    """Turn latent Normals into values of a variate: offset + scale * quantile."""
    mean, sd = normal
    if sd > _ZERO:
        _apply_normal(offset, scale, mean, sd, z)
    else:
        _apply_marginal(offset, scale, table, z)


@step
def _depend(v: Any, i: Any, trusts: Any, shared: Any, z: Any) -> None:
    """Turn the trust's own Normals into latents of variate v: dependence and tails."""
    loading = trusts.loading[v]
    if loading[4, i] < _ONE:
        rows, item = shared.factors[STREAM_OF[v]], ITEM_OF[v]
        a, b, c, d = trusts.group[0, i], trusts.group[1, i], trusts.group[2, i], trusts.group[3, i]
        _mix(loading, i, rows[a, item], rows[b, item], rows[c, item], rows[d, item], z)
        if shared.tail_degrees > _ZERO:
            _fatten(shared.tail[v], shared.tail_table, shared.tail_degrees, z)


@kernel
def _draw_cover(key: Any, label: Any, group: Any, first_draw: Any, values: Any) -> None:
    """Draw one-off cover under a key of its own; later rows are free as yet. A call keeps it out of the loops."""
    spare = values[FLEXIBILITY + 1 : FLEXIBILITY + 5]
    fill_normals(key, label, group, first_draw, spare)
    values[FLEXIBILITY] = spare[ITEM_OF[FLEXIBILITY]]


@step
def draw_variates(i: Any, trusts: Any, shared: Any, first_draw: Any, values: Any) -> None:
    """Fill the first N_VARIATES rows of `values` (VALUE_ROWS, B) for trust i, before any report of it."""
    keys, label, group = shared.keys, trusts.hashes[i], shared.first_group
    fill_normals(keys[_EFFICIENCY], label, group, first_draw, values[RECURRENT : RECURRENT + 4])
    if keys[COVER, 0] != keys[_EFFICIENCY, 0] or keys[COVER, 1] != keys[_EFFICIENCY, 1]:
        _draw_cover(keys[COVER], label, group, first_draw, values)
    fill_normal_pair(keys[_PAY_AWARD], label, group, first_draw, values[AFC : AFC + 2])
    fill_normal_pair(keys[_DETERIORATION], label, group, first_draw, values[DRIFT : DRIFT + 2])
    for v in range(N_VARIATES):
        _depend(v, i, trusts, shared, values[v])


@step
def _take(particles: Any, chosen: Any, latent: Any, out: Any) -> None:
    """Fill a row with one latent of the particle chosen in each draw."""
    for j in range(out.size):
        out[j] = particles[chosen[j], latent]


@kernel
def _take_variates(particles: Any, chosen: Any, values: Any) -> None:
    """Fill the first N_VARIATES rows from the particles chosen; a call, to keep it out of the year's loops."""
    for v in range(N_VARIATES):
        _take(particles, chosen, v, values[v])


@kernel
def _take_shock(particles: Any, chosen: Any, m: Any, out: Any) -> None:
    """Fill a row with a month's shock of the particles chosen; a call, for the same reason."""
    _take(particles, chosen, N_VARIATES + m, out)


@step
def _variates_as_seen(i: Any, trusts: Any, shared: Any, seen: Any, first_draw: Any, values: Any) -> None:
    """Fill the first N_VARIATES rows of `values`: as a particle of the trust has them, else drawn."""
    r = seen.row[i]
    if r < 0:
        draw_variates(i, trusts, shared, first_draw, values)
    else:
        _take_variates(seen.particles[r], seen.chosen[r], values)


@step
def _settle_variates(i: Any, trusts: Any, shared: Any, seen: Any, first_draw: Any, values: Any) -> None:
    """Fill the first N_VARIATES rows of `values` in GBP m and ratios: drawn, or as a particle of the trust has them."""
    if seen is None:
        draw_variates(i, trusts, shared, first_draw, values)
    else:
        _variates_as_seen(i, trusts, shared, seen, first_draw, values)
    for v in range(N_VARIATES):
        apply_variate(trusts.offset[v, i], trusts.scale[v, i], shared.tables[v], shared.normal[v], values[v])


@step
def size_savings(k: Any, delivery: Any, share: Any, year: Any, slope: Any, recurrent: Any, one_off: Any) -> None:
    """Turn delivery ratios into GBP m: K s r with the effect of the ask and of the rules, and K (1-s) q."""
    none, low, high = year.effect_at_no_ask, year.effect_range[0], year.effect_range[1]
    for j in range(k.size):
        effect = min(max(none - slope * k[j], low), high)
        recurrent[j] *= (k[j] * share) * (effect * delivery[j])
        one_off[j] *= k[j] * (_ONE - share)


@step
def _walk(z: Any, month_factor: Any, on_factor: Any, on_own: Any, rho: Any, rate: Any, walked: Any) -> None:
    """One month of the AR(1) run rate, and its running total."""
    for j in range(z.size):
        rate[j] = rho * rate[j] + (on_factor * month_factor[j] + on_own * z[j])
        walked[j] += rate[j]


# Loops are kept to a handful of rows each: the compiler proves that rows do not overlap pair by pair, gives up after
# eight pairs, and a loop it gives up on runs one draw at a time (measured: five times slower).


@step
def late_delivery(recurrent: Any, slippage: Any) -> None:
    """Turn slippage into GBP m of recurrent delivery."""
    for j in range(slippage.size):
        slippage[j] *= recurrent[j]


@step
def savings_missing(m: Any, k: Any, year: Any, values: Any, walked: Any, pressure: Any) -> None:
    """Pressure of month m from missing savings and the run rate so far."""
    recurrent, one_off, late, g_plan = values[RECURRENT], values[ONE_OFF], values[SLIPPAGE], year.plan[m]
    g_recurrent, g_one_off, g_late = year.recurrent[m], year.one_off[m], year.recurrent[m] * year.slippage[m]
    for j in range(pressure.size):
        delivered = g_recurrent * recurrent[j] + g_late * late[j] + g_one_off * one_off[j]
        pressure[j] = (g_plan * k[j] - delivered) + walked[j]


@step
def pay_and_drift(m: Any, year: Any, values: Any, pressure: Any) -> None:
    """Add the pay gaps and the drift of month m."""
    afc, medical, drift = values[AFC], values[MEDICAL], values[DRIFT]
    e_afc, e_medical, season = year.afc[m], year.medical[m], year.season[m]
    for j in range(pressure.size):
        pressure[j] += e_afc * afc[j] + e_medical * medical[j] + season * drift[j]


@step
def _cover(pressure: Any, flexibility: Any, share: Any, keep: Any, variance: Any) -> None:
    """Reported variance: one-off cover first, a favourable pressure kept only in part."""
    for j in range(pressure.size):
        p = pressure[j]
        one_off = min(max(p, _ZERO), share * flexibility[j])
        variance[j] = -(p - one_off) if p > _ZERO else -keep * p


@step
def _move(
    i: Any, m: Any, due: Any, trusts: Any, year: Any, shared: Any, first_draw: Any, shocks: Any, rate: Any, walked: Any
) -> None:
    """Move the run rate by month m; four months' shocks are drawn where they are due."""
    if due:
        group = shared.first_group + m // 4
        fill_normals(shared.keys[_RUN_RATE], trusts.hashes[i], group, first_draw, shocks)
    on_factor, on_own = trusts.shock_sd[i] * year.shock_loading[0], trusts.shock_sd[i] * year.shock_loading[1]
    _walk(shocks[m % 4], shared.month_factor[m], on_factor, on_own, year.persistence, rate, walked)


@step
def _move_as_seen(
    i: Any, m: Any, trusts: Any, year: Any, shared: Any, seen: Any, first_draw: Any, shocks: Any, rate: Any, walked: Any
) -> None:
    """Move the run rate by month m: by the particle's shock where the month follows it, else by a fresh one."""
    r = seen.row[i]
    if r >= 0 and m < seen.months[r]:
        _take_shock(seen.particles[r], seen.chosen[r], m, shocks[m % 4])
        _walk(shocks[m % 4], shared.month_factor[m], _ZERO, trusts.shock_sd[i], year.persistence, rate, walked)
    else:
        due = m % 4 == 0 or (r >= 0 and m == seen.months[r])
        _move(i, m, due, trusts, year, shared, first_draw, shocks, rate, walked)


@step
def _build_pressure(i: Any, m: Any, k: Any, year: Any, values: Any, walked: Any, extra: Any, pressure: Any) -> None:
    """Pressure of month m from all drivers."""
    savings_missing(m, k, year, values, walked, pressure)
    pay_and_drift(m, year, values, pressure)
    for u in range(extra.shape[0]):
        add_to(pressure, extra[u, i, m])


@step
def _months(
    i: Any, k: Any, trusts: Any, year: Any, shared: Any, seen: Any, first_draw: Any, extra: Any, work: Any, out: Any
) -> None:
    """Twelve months of trust i; leaves the year-end pressure and run rate in the work rows."""
    values, shocks = work[:VALUE_ROWS], work[VALUE_ROWS : VALUE_ROWS + 4]
    rate, walked, pressure, variance = work[-4], work[-3], work[-2], work[-1]
    rate[:] = _ZERO
    walked[:] = _ZERO
    late_delivery(values[RECURRENT], values[SLIPPAGE])
    for m in range(12):
        if seen is None:
            _move(i, m, m % 4 == 0, trusts, year, shared, first_draw, shocks, rate, walked)
        else:
            _move_as_seen(i, m, trusts, year, shared, seen, first_draw, shocks, rate, walked)
        if m % 3 == 2 or m < out.sector_variance.shape[0]:  # nobody asks for the other months
            _build_pressure(i, m, k, year, values, walked, extra, pressure)
            reported = out.quarter_variance[m // 3, i] if m % 3 == 2 else variance
            _cover(pressure, values[FLEXIBILITY], year.flexibility[m], year.keep_favourable, reported)
            if m < out.sector_variance.shape[0]:
                add_to(out.sector_variance[m], reported)


@step
def _less(row: Any, share: Any, k: Any, out: Any) -> None:
    """What was delivered less what was planned, a share of K."""
    for j in range(row.size):
        out[j] = row[j] - share * k[j]


@step
def _scale(row: Any, factor: Any, out: Any) -> None:
    for j in range(row.size):
        out[j] = factor * row[j]


@step
def _explain_drift(season: Any, drift: Any, walked: Any, out: Any) -> None:
    for j in range(drift.size):
        out[j] = -(season * drift[j] + walked[j])


@step
def _explain_cover(pressure: Any, flexibility: Any, keep: Any, one_off: Any, spent: Any) -> None:
    """One-off cover (positive) and the part of a favourable pressure that was spent (negative)."""
    for j in range(pressure.size):
        p = pressure[j]
        one_off[j] = min(max(p, _ZERO), flexibility[j])
        spent[j] = (_ONE - keep) * min(p, _ZERO)


@step
def _count_efficiency(k: Any, pressure: Any, values: Any, flexibility: Any, total: Any) -> None:
    """Add efficiency delivered: the plan less its shortfall, plus the one-offs that stand in for it.

    One-off cover is spread over the pressures it covers in proportion; what other drivers relieve lowers the
    need for cover of all alike.
    """
    recurrent, one_off = values[RECURRENT], values[ONE_OFF]
    for j in range(pressure.size):
        delivered = recurrent[j] + one_off[j]
        p = max(pressure[j], _ZERO)
        short = min(max(k[j] - delivered, _ZERO), p)
        share = min(_ONE, flexibility[j] / max(p, np.float32(1e-12)))
        total[j] += delivered + short * share


@step
def _position(plan: Any, variance: Any, position: Any) -> None:
    for j in range(variance.size):
        position[j] = plan[j] + variance[j]


@step
def _underlying(before: Any, cover: Any, planned: Any, recurrent: Any, other: Any, full_year: Any, out: Any) -> None:
    """Take out what does not come back: cover, planned and other one-offs; add what savings bring in a full year."""
    for j in range(before.size):
        out[j] = (before[j] - cover[j] - planned[j] - other) + full_year * recurrent[j]


@step
def _add_sums(row: Any, lanes: Any, sums: Any) -> None:
    """Add the sum of a row, and that of its squares."""
    two_sums(row, 0.0, 1.0, lanes)
    sums[0] += lanes[0].sum()
    sums[1] += lanes[1].sum()


@step
def _explain(i: Any, k: Any, trusts: Any, year: Any, extra: Any, work: Any, lanes: Any, out: Any) -> None:
    """Contributions of trust i to its year-end variance, and the efficiency it delivered."""
    values, walked, pressure, n = work[:VALUE_ROWS], work[-3], work[-2], work.shape[1]
    a, b, r = out.column, out.column + n, min(i, out.contribution.shape[1] - 1)
    rows, cover, s = out.contribution, N_DRIVERS + extra.shape[0], trusts.recurrent_share[i]
    _less(values[RECURRENT], s, k, rows[0, r, a:b])
    _less(values[ONE_OFF], _ONE - s, k, rows[1, r, a:b])
    _scale(values[AFC], -year.afc[11], rows[2, r, a:b])
    _scale(values[MEDICAL], -year.medical[11], rows[3, r, a:b])
    _explain_drift(year.season[11], values[DRIFT], walked, rows[4, r, a:b])
    for u in range(extra.shape[0]):
        _scale(extra[u, i, 11], -_ONE, rows[N_DRIVERS + u, r, a:b])
    _explain_cover(pressure, values[FLEXIBILITY], year.keep_favourable, rows[cover, r, a:b], rows[cover + 1, r, a:b])
    for d in range(out.driver_total.shape[0]):
        add_to(out.driver_total[d], rows[d, r, a:b])
    for d in range(out.contribution_sums.shape[0]):
        _add_sums(rows[d, r, a:b], lanes, out.contribution_sums[d, i])
    _count_efficiency(k, pressure, values, values[FLEXIBILITY], out.efficiency_delivered)
    before = out.position_before_support[i]
    other, full_year = year.other_one_off * trusts.turnover[i], year.full_year_effect
    _underlying(before, rows[cover, r, a:b], values[ONE_OFF], values[RECURRENT], other, full_year, out.underlying[i])


@kernel
def year_block(
    plans: Any, trusts: Any, year: Any, shared: Any, seen: Any, first_draw: Any, extra: Any, work: Any, out: Any
) -> None:
    """Run a year for every trust of a panel and the draws of one block.

    Parameters
    ----------
    plans, trusts, year, shared, seen
        See `Plans`, `Trusts`, `Year`, `Shared`, `Seen`. Where nothing is seen of any trust `seen` is None: the year is
        then compiled without a trace of it, for branches in its loops would cost time.
    first_draw : int
        Number of the block's first draw.
    extra : float32 array, shape (user driver, T, 12, B)
        Cumulative pressure of user drivers, adverse positive.
    work : float32 array, shape (WORK_ROWS, B)
        Scratch.
    out
        See `YearOut`; written in place, sums are added to.
    """
    values, lanes = work[:VALUE_ROWS], np.empty((2, LANES))
    for i in range(plans.plan.shape[0]):
        plan, k = plans.plan[i], plans.efficiency_plan[i]
        s, slope = trusts.recurrent_share[i], trusts.ask_slope[i]
        _settle_variates(i, trusts, shared, seen, first_draw, values)
        size_savings(k, plans.delivery[i], s, year, slope, values[RECURRENT], values[ONE_OFF])
        _months(i, k, trusts, year, shared, seen, first_draw, extra, work, out)
        _position(plan, out.quarter_variance[3, i], out.position_before_support[i])
        _explain(i, k, trusts, year, extra, work, lanes, out)


WORK_ROWS = VALUE_ROWS + 4 + 4
"""Values, four months of shocks, then run rate, its total, pressure, variance."""
