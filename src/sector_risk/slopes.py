"""How a trust's year-end variance leans on its latent Normals, in closed form, for control variates.

Pressure p and cover B are taken to be Normal with their means and variances, and the variance that is reported is
f = -(p - B)^+ + keep (-p)^+. Then, with Stein's lemma,

    E f'(p) = -s,   s = P(p > B) + keep P(p < 0);     f leans on B by o = P(p > B)

so that f leans on the latent z of a pressure c Q(z) by -s c E[Q(Z) Z], on cover's by o E[B(Z) Z], and on the run rate's
walk by -s. Whether p and B are nearly Normal decides how good these controls are, not whether they are right.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.factors import months_effect
from sector_risk.faults import Fault, InputError
from sector_risk.kernels import pressure, quantile
from sector_risk.kernels.controls import CONTROLS, Slopes, controls_block, remainder_table
from sector_risk.prepare import DRIVER_OF, F64, LEAD_ITEM, LEAD_STREAM, Prepared

TINY = 1e-12
REMAINDER = remainder_table()
PRESSURES = [pressure.RECURRENT, pressure.ONE_OFF, pressure.AFC, pressure.MEDICAL, pressure.DRIFT]
LEAD = tuple(
    list(zip(pressure.STREAM_OF, pressure.ITEM_OF, strict=True)).index(place)
    for place in zip(LEAD_STREAM, LEAD_ITEM, strict=True)
)
"""The variate whose sector factor is each driver's first."""


def control_slopes(prepared: Prepared, delivery: NDArray[Any], volatility: NDArray[Any]) -> Slopes:
    """Return slopes of all parts; `delivery` and `volatility`, (T,), are the rules' multipliers in the first year.

    Raises
    ------
    InputError
        If one-off cover may be less than nought: then a trust's expected variance has another form.
    """
    trusts, of, profile = prepared.years[0].trusts, prepared.parts.trust, prepared.profile
    mean, slope, sd = quantile_moments(prepared)
    effect, shock_sd = months_effect(float(profile.persistence)), trusts.shock_sd * volatility[of]
    weight = pressure_weights(prepared, delivery[of])
    walk_sd = shock_sd * np.sqrt((effect**2).sum())
    value, spread = trusts.offset + trusts.scale * mean[:, None], trusts.scale * sd[:, None]
    check_cover(prepared)
    s, over = chances(
        prepared.efficiency_plan * profile.plan[11] + (weight * value)[PRESSURES].sum(axis=0),
        ((weight * spread)[PRESSURES] ** 2).sum(axis=0) + walk_sd**2,
        value[pressure.FLEXIBILITY],
        spread[pressure.FLEXIBILITY] ** 2,
        float(profile.keep_favourable),
    )
    curvature = -s * weight * trusts.scale
    curvature[pressure.FLEXIBILITY] = over * trusts.scale[pressure.FLEXIBILITY]
    latent = curvature * slope[:, None]
    return Slopes(
        latent=latent.astype(np.float32),
        curvature=curvature.astype(np.float32),
        quantile_mean=mean.astype(np.float32),
        quantile_slope=slope.astype(np.float32),
        pressure=s.astype(np.float32),
        month_effect=effect.astype(np.float32),
        linear_sd=linear_sd(prepared, latent, s * walk_sd),
    )


def pressure_weights(prepared: Prepared, delivery: F64) -> F64:
    """GBP m of year-end pressure for each unit of a variate's value, (variate, P); none for cover and slippage."""
    trusts, profile, k = prepared.years[0].trusts, prepared.profile, prepared.efficiency_plan.astype(np.float64)
    effect = np.clip(profile.effect_at_no_ask - trusts.ask_slope * k, *profile.effect_range)
    weight = np.zeros((pressure.N_VARIATES, len(k)))
    weight[pressure.RECURRENT] = -k * trusts.recurrent_share * effect * delivery * profile.recurrent[11]
    weight[pressure.ONE_OFF] = -k * (1.0 - trusts.recurrent_share) * profile.one_off[11]
    weight[pressure.AFC], weight[pressure.MEDICAL] = profile.afc[11], profile.medical[11]
    weight[pressure.DRIFT] = profile.season[11]
    return weight


def chances(p: F64, p_variance: F64, cover: F64, cover_variance: F64, keep: float) -> tuple[F64, F64]:
    """Return s and o of Normal pressures and covers with these means and variances."""
    over = special.ndtr((p - cover) / np.sqrt(p_variance + cover_variance + TINY))
    return over + keep * special.ndtr(-p / np.sqrt(p_variance + TINY)), over


def quantile_moments(prepared: Prepared) -> tuple[F64, F64, F64]:
    """E Q(Z), E[Q(Z) Z] and sd of Q(Z) for each variate, as its table is read: straight lines, held beyond its ends.

    E Q = Q(low) + sum of slope (h(-low end) - h(-high end)) and E[Q Z] = E Q' = sum of slope (Phi(high) - Phi(low)).
    """
    z = quantile.grid()
    tables = np.array(
        [m + sd * z if sd > 0 else t for t, (m, sd) in zip(prepared.tables, prepared.normal, strict=True)]
    )
    steps = np.diff(tables.astype(np.float64), axis=1) / np.diff(z)
    mean = tables[:, 0] - steps @ np.diff(ramp(-z))
    slope = steps @ np.diff(special.ndtr(z))
    weight = np.exp(-0.5 * z * z)
    sd = np.array([np.cov(t, aweights=weight, ddof=0) ** 0.5 for t in tables])
    normal = prepared.normal[:, 1] > 0
    return (
        np.where(normal, prepared.normal[:, 0], mean),
        np.where(normal, prepared.normal[:, 1], slope),
        np.where(normal, prepared.normal[:, 1], sd),
    )


def ramp(x: F64) -> F64:
    """h(x) = E (Z + x)^+ = x Phi(x) + phi(x).

    >>> ramp(np.array([0.0])).round(4).tolist()
    [0.3989]
    """
    return x * special.ndtr(x) + np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def linear_sd(prepared: Prepared, latent: F64, walk: F64) -> float:
    """Standard deviation of the linear control: what trusts have alone, what groups and the sector share, the walk."""
    trusts, loading = prepared.years[0].trusts, prepared.years[0].trusts.loading.astype(np.float64)
    _, whose = np.unique(trusts.hashes, axis=0, return_inverse=True)  # rows that share a code share its numbers
    alone = [np.bincount(whose.ravel(), b * load[-1]) for b, load in zip(latent, loading, strict=True)]
    groups = [
        np.bincount(rows, b * load[level])
        for b, load in zip(latent, loading, strict=True)
        for level, rows in enumerate(trusts.group[1:], start=1)
    ]
    on_sector, on_own = prepared.profile.shock_loading.astype(np.float64)
    parts = [*alone, *groups, sector_mix(prepared).T @ (latent * loading[:, 0]).sum(axis=1)]
    parts += [on_own * np.bincount(whose.ravel(), walk), np.array([on_sector * walk.sum()])]
    return math.sqrt(sum(float((part**2).sum()) for part in parts))


def sector_mix(prepared: Prepared) -> F64:
    """Sector factors of variates from independent Normals, (variate, Normal), as `correlate_sector` mixes them."""
    mix = np.zeros((pressure.N_VARIATES, pressure.N_VARIATES))
    for v, d in enumerate(DRIVER_OF):
        mix[v, v] = prepared.sector_mixing[d, d]
        mix[v, LEAD[:d]] += prepared.sector_mixing[d, :d]
    return mix


def control_rows(
    prepared: Prepared, slopes: Slopes, trusts: pressure.Trusts, shared: pressure.Shared, first: int, made: Any
) -> F64:
    """Return the controls of a block's first year, (control, B), once its pressures are made."""
    if made.contribution.shape[1] != len(prepared.plan):
        raise ValueError("controls are made of contributions by trust: keep them")
    out = np.zeros((len(CONTROLS), made.position_before_support.shape[1]))
    thin = shared._replace(tail_degrees=np.float32(0.0))
    controls_block(trusts, prepared.profile, shared, thin, slopes, REMAINDER, first, made, out)
    return out


def check_cover(prepared: Prepared) -> None:
    """Refuse cover that may be less than nought."""
    trusts, v = prepared.years[0].trusts, pressure.FLEXIBILITY
    mean, sd = prepared.normal[v]
    low = mean - quantile.Z_MAX * sd if sd > 0 else prepared.tables[v, 0]
    least = float((trusts.offset[v] + trusts.scale[v] * low).min())
    if least < 0.0:
        remedy = "Give one-off cover a distribution from nought on, or simulate without controls."
        rule = "controls need cover that is never less than nought"
        raise InputError([Fault("simulate", rule, f"GBP {least:.2f}m", remedy, variable="flexibility.amount")])
