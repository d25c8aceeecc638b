"""Particles: candidate years of one trust, each weighted by how well it explains what was seen of the year.

A particle is a trust's latent Normals: one for every variate of the year and one for every month's shock, each with
the mean and variance that it has given what the trust shares with others. Given the variates, the pressure of a month
m is what they cause, base[m], plus the run rate's walk W[m], which is Normal: W = sd C e with e the months' shocks and
sd that of one. With L the Cholesky factor of C C' at the months seen and G' = L^-1 C, W = sd L (G' e), and each month
seen says one thing about the next of the standard Normals u in G' e = G' mean + own u:

    worse than plan    p = B H - variance       one value of u, with its density
    on plan            0 <= p <= B H            an interval of u, with its probability
    better than plan   p = -variance / keep     one value of u, with its density

The product of densities and probabilities is the particle's weight (the sampler of Geweke, Hajivassiliou and Keane);
where u has an interval it is drawn from within. A declared forecast is a statement about the year end:

    held at plan       weight Phi((Y + tolerance)/sd) + held (1 - Phi((Y + tolerance)/sd))
    revised to F       weight of the Normal density of F - Y with that sd

with Y the year-end variance, and sd what forecasters do not know. Shocks of single months follow from u exactly:

    e = mean + own (e0 + G (u - G' e0))

with e0 standard Normals: the months' shocks given the walk at the months seen.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.pressure import (
    AFC,
    DRIFT,
    FLEXIBILITY,
    N_VARIATES,
    RECURRENT,
    SLIPPAGE,
    VALUE_ROWS,
    apply_variate,
    late_delivery,
    pay_and_drift,
    savings_missing,
    size_savings,
)
from sector_risk.kernels.pressure import ONE_OFF as PLANNED_ONE_OFF
from sector_risk.kernels.random import fill_normal_pair, fill_normals, fill_words

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ON_PLAN, ADVERSE, FAVOURABLE, HELD, REVISED = range(5)
"""What a report says: three kinds of year-to-date variances, two of declared forecasts."""

N_LATENTS = N_VARIATES + 12
"""Latent Normals of a particle: variates, then months' shocks."""

STREAMS = ("seen:efficiency", "seen:pay_award", "seen:deterioration", "seen:run_rate", "seen:on_plan")
_EFFICIENCY, _PAY_AWARD, _DETERIORATION, _RUN_RATE, _ON_PLAN = range(5)

_ROOT_HALF = math.sqrt(0.5)
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)
_UNIT = 2.0**-32
_TINY = 1e-290


class Reports(NamedTuple):
    """What was seen of each trust (R trusts, up to 12 reports each, months ascending)."""

    trust: I64  # (R,) row among the panel's
    reported: I64  # (R,) number of reports
    month: I64  # (R, 12) month less one
    kind: I64  # (R, 12)
    value: F64  # (R, 12) variance, or that of the declared forecast, GBP m
    cholesky: F64  # (R, 12, 12) L of the walk at these months, in units of a month's shock
    shocks: F64  # (R, 12, 12) G: months by reports
    tolerance: F64  # (R,) GBP m a year: a declared forecast this near plan is held
    forecast_sd: F64  # (R,) GBP m
    held: np.float64  # chance that a trust which expects a shortfall still declares its plan


class Before(NamedTuple):
    """Latents of the trusts seen before any report, given what trusts share (R trusts)."""

    mean: F64  # (R, N_LATENTS)
    own: F64  # (R, N_LATENTS) standard deviation; the same for all months that are spoken of


@step
def _phi(x: Any) -> Any:
    """Probability that a standard Normal is below x."""
    return 0.5 * math.erfc(-x * _ROOT_HALF)


@step
def _log_tail(x: Any) -> Any:
    """Log probability that a standard Normal is below x, far out (Mills' ratio)."""
    return -0.5 * x * x - math.log(max(-x, 1.0)) - _HALF_LOG_TAU


@step
def _quantile(p: Any) -> Any:
    """Quantile of the standard Normal for p up to one half (Acklam's rational approximation, relative error 1e-9)."""
    if p < 0.02425:
        q = math.sqrt(-2.0 * math.log(max(p, 1e-300)))
        top = (
            (((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q - 2.549732539343734) * q
            + 4.374664141464968
        ) * q + 2.938163982698783
        low = (
            ((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q + 3.754408661907416
        ) * q + 1.0
        return top / low
    q = p - 0.5
    r = q * q
    top = (
        (
            (((-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02) * r + 1.383577518672690e02)
            * r
            - 3.066479806614716e01
        )
        * r
        + 2.506628277459239
    ) * q
    low = (
        (((-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02) * r + 6.680131188771972e01) * r
        - 1.328068155288572e01
    ) * r + 1.0
    return top / low


@step
def _within(low: Any, high: Any, share: Any) -> Any:
    """Return a standard Normal drawn between two bounds (`share` is uniform), and the log of their probability."""
    flip = low > 0.0  # both bounds high: look from the other side, where probabilities keep their digits
    a, b = (-high, -low) if flip else (low, high)
    below, width = _phi(a), _phi(b) - _phi(a)
    if not width > 0.0:  # too far out for the difference: all is at the nearer bound
        return (-b if flip else b), _log_tail(b)
    p = below + share * width
    x = _quantile(p) if p <= 0.5 else -_quantile(1.0 - p)
    x = min(max(x, a), b)
    return (-x if flip else x), math.log(width)


@step
def _draw_latents(i: Any, trusts: Any, keys: Any, first: Any, latent: Any) -> None:
    """Fill latents (VALUE_ROWS + 12, P) of the trust's particles: the last twelve are the months' shocks."""
    label, shocks = trusts.hashes[i], latent[VALUE_ROWS:]
    fill_normals(keys[_EFFICIENCY], label, 0, first, latent[RECURRENT : RECURRENT + 4])
    fill_normal_pair(keys[_PAY_AWARD], label, 0, first, latent[AFC : AFC + 2])
    fill_normal_pair(keys[_DETERIORATION], label, 0, first, latent[DRIFT : DRIFT + 2])
    for g in range(3):
        fill_normals(keys[_RUN_RATE], label, g, first, shocks[4 * g : 4 * g + 4])


@step
def _cause(i: Any, k: Any, delivery: Any, trusts: Any, year: Any, tables: Any, normal: Any, values: Any) -> None:
    """Turn latents of the variates into GBP m, as the year does."""
    for v in range(N_VARIATES):
        apply_variate(trusts.offset[v, i], trusts.scale[v, i], tables[v], normal[v], values[v])
    share, slope = trusts.recurrent_share[i], trusts.ask_slope[i]
    size_savings(k, delivery, share, year, slope, values[RECURRENT], values[PLANNED_ONE_OFF])
    late_delivery(values[RECURRENT], values[SLIPPAGE])


@step
def _explain_report(
    kind: Any, value: Any, keep: Any, base: Any, cover: Any, known: Any, sd: Any, word: Any, u: Any, weight: Any
) -> None:
    """Let one year-to-date variance fix u, and weigh it: `known` is the walk that earlier reports imply."""
    for j in range(u.size):
        start = base[j] + known[j]
        if kind == ON_PLAN:
            low = -start / sd if keep > 0.0 else -40.0
            u[j], log_p = _within(low, (cover[j] - start) / sd, (word[j] + 0.5) * _UNIT)
        else:
            p = cover[j] - value if kind == ADVERSE else -value / keep
            u[j] = (p - start) / sd
            log_p = -0.5 * u[j] * u[j]
        weight[j] += log_p


@step
def _explain_forecast(
    kind: Any, value: Any, keep: Any, tolerance: Any, spread: Any, held: Any, sd: Any,
    base: Any, cover: Any, known: Any, u: Any, weight: Any,
) -> None:  # fmt: skip
    """Weigh a declared forecast against the year end that the particle comes to; u is free."""
    for j in range(u.size):
        p = base[j] + known[j] + sd * u[j]
        variance = -(p - min(p, cover[j])) if p > 0.0 else -keep * p
        if kind == HELD:
            z = (variance + tolerance) / spread
            chance = held + (1.0 - held) * _phi(z)
            weight[j] += math.log(chance) if chance > _TINY else _log_tail(z)
        else:
            z = (value - variance) / spread
            weight[j] += -0.5 * z * z


@step
def _expected(cholesky: Any, shocks: Any, mean: Any, t: Any) -> Any:
    """Walk at report t that the mean of the months' shocks implies, in units of a month's shock: (L G' mean)[t]."""
    walked = 0.0
    for s in range(t + 1):
        for m in range(12):
            walked += cholesky[t, s] * shocks[m, s] * mean[N_VARIATES + m]
    return walked


@step
def _known(cholesky: Any, t: Any, expected: Any, sd: Any, u: Any, known: Any) -> None:
    """Set the walk at report t that the mean and the reports before it imply."""
    known[:] = expected
    for s in range(t):
        load = cholesky[t, s] * sd
        for j in range(known.size):
            known[j] += load * u[s, j]


@step
def _free(shocks: Any, t: Any, latent: Any, u: Any) -> None:
    """Set u of report t to what the particle's own shocks say: G' e0."""
    u[:] = 0.0
    for m in range(12):
        load = shocks[m, t]
        for j in range(u.size):
            u[j] += load * latent[VALUE_ROWS + m, j]


@step
def _settle_shocks(count: Any, shocks: Any, latent: Any, u: Any, free: Any) -> None:
    """Move the months' shocks to what u says: e0 + G (u - G' e0)."""
    for t in range(count):
        _free(shocks, t, latent, free[t])
    for m in range(12):
        for t in range(count):
            load = shocks[m, t]
            for j in range(u.shape[1]):
                latent[VALUE_ROWS + m, j] += np.float32(load * (u[t, j] - free[t, j]))


@step
def _place(mean: Any, own: Any, row: Any, out: Any) -> None:
    """Give standard Normals their mean and standard deviation."""
    for j in range(row.size):
        out[j] = mean + own * row[j]


@kernel
def particles_block(
    rows: Any, reports: Any, before: Any, plan: Any, delivery: Any, trusts: Any, year: Any, tables: Any, normal: Any,
    keys: Any, first: Any, latents: Any, fresh: Any, weights: Any,
) -> None:  # fmt: skip
    """Draw particles of some of the trusts seen, and weigh them.

    Parameters
    ----------
    rows : int64 array, shape (n,)
        Which rows of `reports`.
    reports, before
        See `Reports` and `Before`.
    plan, delivery : float32 arrays, shape (T,)
        Efficiency plan, GBP m, and the rules' multiplier on delivery.
    trusts, year
        See `pressure.Trusts` and `pressure.Year`; months' shocks with the volatility of the rules.
    tables, normal
        Marginals, as in `pressure.Shared`.
    keys : uint32 array, shape (len(STREAMS), 2)
    first : int
        Number of the first particle.
    latents : float32 array, shape (n, P, N_VARIATES + M)
        Written: latent Normals of each particle, months' shocks up to month M, the last that any report speaks of.
    fresh : float32 array, shape (n, P, M)
        Written: months' shocks as they were before any report.
    weights : float64 array, shape (n, P)
        Written: log weights, up to a constant of the trust.
    """
    size = latents.shape[1]
    latent, values = np.empty((VALUE_ROWS + 12, size), np.float32), np.empty((VALUE_ROWS, size), np.float32)
    u, free, words = np.empty((12, size)), np.empty((12, size)), np.empty((4, size), np.uint32)
    base, walked, known = np.empty(size, np.float32), np.zeros(size, np.float32), np.empty(size)
    k, delivered, cover = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size)
    keep = np.float64(year.keep_favourable)
    for n in range(rows.size):
        r = rows[n]
        i = reports.trust[r]
        shocks, cholesky, weight = reports.shocks[r], reports.cholesky[r], weights[n]
        mean, own, month_own = before.mean[r], before.own[r], before.own[r, N_VARIATES]
        k[:], delivered[:], weight[:] = plan[i], delivery[i], 0.0
        _draw_latents(i, trusts, keys, first, latent)
        for v in range(N_VARIATES):
            _place(mean[v], own[v], latent[v], latents[n, :, v])
            values[v] = latents[n, :, v]
        _cause(i, k, delivered, trusts, year, tables, normal, values)
        for t in range(reports.reported[r]):
            m, kind, value = reports.month[r, t], reports.kind[r, t], reports.value[r, t]
            unit = np.float64(trusts.shock_sd[i]) * month_own
            sd, expected = unit * cholesky[t, t], trusts.shock_sd[i] * _expected(cholesky, shocks, mean, t)
            savings_missing(m, k, year, values, walked, base)
            pay_and_drift(m, year, values, base)
            for j in range(size):
                cover[j] = year.flexibility[m] * values[FLEXIBILITY, j]
            _known(cholesky, t, expected, unit, u, known)
            if kind <= FAVOURABLE:
                fill_words(keys[_ON_PLAN], trusts.hashes[i], m // 4, first, words)
                _explain_report(kind, value, keep, base, cover, known, sd, words[m % 4], u[t], weight)
            else:
                _free(shocks, t, latent, u[t])
                spread, tolerance = reports.forecast_sd[r], reports.tolerance[r]
                _explain_forecast(
                    kind, value, keep, tolerance, spread, reports.held, sd, base, cover, known, u[t], weight
                )
        for m in range(fresh.shape[2]):
            _place(mean[N_VARIATES + m], month_own, latent[VALUE_ROWS + m], fresh[n, :, m])
        _settle_shocks(reports.reported[r], shocks, latent, u, free)
        for m in range(fresh.shape[2]):
            _place(mean[N_VARIATES + m], month_own, latent[VALUE_ROWS + m], latents[n, :, N_VARIATES + m])
