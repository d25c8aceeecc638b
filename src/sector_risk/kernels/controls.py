"""Control variates by draw: what a block's year would be if it were simpler, with means that are known.

For trust i, with p the year-end pressure before cover, B the cover, z the latent Normals and W the run rate's walk:

    linear     L = sum of b_iv z_iv - s_i W_i                         Normal with mean nought
    curvature  D = sum of a_iv (Q_v(z_iv) - E Q_v - E[Q_v Z] z_iv)      mean nought
    smooth     R = position before support, each trust's own part of the walk integrated out
    own_walk   N = position before support - R + sum of s_i own_i       mean nought given all but the own parts

own = sigma e is Normal and independent of m = p - own, so that a trust's expected variance over it is

    E[f] = -sigma h((m - B) / sigma) + keep sigma h(-m / sigma),        h(x) = x Phi(x) + phi(x)

References
----------
Glasserman (2004), "Monte Carlo Methods in Financial Engineering", ch. 4.
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
    MEDICAL,
    N_DRIVERS,
    ONE_OFF,
    RECURRENT,
    VALUE_ROWS,
    apply_variate,
    draw_variates,
)
from sector_risk.kernels.quantile import CELLS, Z_MAX, grid, interpolate

F32 = NDArray[np.float32]

CONTROLS = ("linear", "own_walk", "curvature", "smooth")
LINEAR, OWN_WALK, CURVATURE, SMOOTH = range(len(CONTROLS))
_DRIFT_DRIVER = N_DRIVERS - 1
_LEAST_SD = np.float32(1e-6)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_CELLS_PER_Z = np.float32(CELLS / (2.0 * Z_MAX))
_HALF_CELLS = np.float32(CELLS / 2)


class Slopes(NamedTuple):
    """Slopes of each trust's variance in its latents (P parts), and the law of the linear control."""

    latent: F32  # (variate, P) b: GBP m for one of z
    curvature: F32  # (variate, P) a: GBP m for one of Q
    quantile_mean: F32  # (variate,) E Q
    quantile_slope: F32  # (variate,) E[Q Z]
    pressure: F32  # (P,) s: GBP m for one of pressure
    month_effect: F32  # (12,) of each month's shock on the walk at the year end
    linear_sd: float  # of L, GBP m


def remainder_table() -> F32:
    """Return h(|z|) - |z| at the grid of z, lowered so that lines between its values are right on average.

    A line between values of a convex function lies above it by its second derivative, phi, times width^2 / 12.
    """
    z = np.abs(grid())
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    beyond = np.array([0.5 * math.erfc(x / math.sqrt(2.0)) for x in z])
    width = 2.0 * Z_MAX / CELLS
    return (density - z * beyond - density * width * width / 12.0).astype(np.float32)


@step
def _add_linear(slope: Any, z: Any, total: Any) -> None:
    for j in range(z.size):
        total[j] += slope * z[j]


@step
def _add_above(slope: Any, mean: Any, value: Any, total: Any) -> None:
    for j in range(value.size):
        total[j] += slope * (value[j] - mean)


@step
def _add_variate(v: Any, i: Any, slopes: Any, shared: Any, z: Any, out: Any) -> None:
    """Add variate v of trust i to the linear control and the curvature; leaves its quantiles in place of z."""
    _add_linear(slopes.latent[v, i], z, out[LINEAR])
    a = slopes.curvature[v, i]
    _add_linear(-a * slopes.quantile_slope[v], z, out[CURVATURE])
    apply_variate(_ZERO, _ONE, shared.tables[v], shared.normal[v], z)
    _add_above(a, slopes.quantile_mean[v], z, out[CURVATURE])


@step
def _walk_of_sector(month_effect: Any, month_factor: Any, out: Any) -> None:
    """Walk at the year end that the sector's shocks make, in units of a shock."""
    out[:] = _ZERO
    for m in range(12):
        _add_linear(month_effect[m], month_factor[m], out)


@step
def _own_walk(explained: Any, season: Any, drift: Any, on_sector: Any, sector: Any, own: Any) -> None:
    """Own part of the walk: what explains the run rate's contribution beside drift and the sector's shocks."""
    for j in range(own.size):
        own[j] = (-explained[j] - season * drift[j]) - on_sector * sector[j]


@step
def _integrate_walk(keep: Any, sd: Any, above: Any, below: Any, table: Any, work: Any, expected: Any) -> None:
    """Expected variance over the own walk: `above` is m - B and `below` -m; both are left in units of the sd."""
    for j in range(expected.size):
        above[j] /= sd
        below[j] /= sd
    _full_ramp(above, table, work)
    _full_ramp(below, table, work)
    for j in range(expected.size):
        expected[j] = sd * (keep * below[j] - above[j])


@step
def _full_ramp(x: Any, table: Any, work: Any) -> None:
    """Replace x by h(x) = x Phi(x) + phi(x) = max(x, 0) + (h(|x|) - |x|)."""
    for j in range(x.size):
        work[j] = abs(x[j]) * _CELLS_PER_Z + _HALF_CELLS
    interpolate(table, work)
    for j in range(x.size):
        x[j] = max(x[j], _ZERO) + work[j]


@step
def _pressures(rows: Any, r: Any, a: Any, b: Any, n_drivers: Any, own: Any, cover: Any, above: Any, below: Any) -> None:
    """Pressure less the own walk, m: `above` is m - B, `below` is -m. Contributions are pressures' negatives."""
    below[:] = own
    for d in range(n_drivers):
        _add_linear(_ONE, rows[d, r, a:b], below)
    for j in range(cover.size):
        above[j] = -below[j] - cover[j]


@step
def _add_own(s: Any, variance: Any, expected: Any, position: Any, own: Any, out: Any) -> None:
    own_walk, smooth = out[OWN_WALK], out[SMOOTH]
    for j in range(own.size):
        short = variance[j] - expected[j]
        own_walk[j] += short + s * own[j]
        smooth[j] += position[j] - short


@step
def _settle(v: Any, i: Any, trusts: Any, value: Any) -> None:
    """Turn quantiles of a variate into its values for trust i."""
    offset, scale = trusts.offset[v, i], trusts.scale[v, i]
    for j in range(value.size):
        value[j] = offset + scale * value[j]


@step
def _draw_again(i: Any, trusts: Any, shared: Any, first_draw: Any, values: Any) -> None:
    """Fill cover and drift as the year has them, where tails are fat: controls have them without."""
    draw_variates(i, trusts, shared, first_draw, values)
    for v in (FLEXIBILITY, DRIFT):
        apply_variate(_ZERO, _ONE, shared.tables[v], shared.normal[v], values[v])


@kernel
def controls_block(
    trusts: Any, year: Any, shared: Any, thin: Any, slopes: Any, table: Any, first_draw: Any, made: Any, out: Any
) -> None:
    """Add up the controls of one block's first year.

    Parameters
    ----------
    trusts, year, shared, slopes
        See `Trusts`, `Year`, `Shared` of the pressure kernel, and `Slopes`.
    thin : Shared
        The same with Gaussian tails: controls are made of Normals.
    table : float32 array, shape (CELLS + 1,)
        From `remainder_table`.
    first_draw : int
    made : YearOut
        What the pressure kernel has written for the same draws, with contributions of every trust.
    out : float64 array, shape (control, B)
        Added to.
    """
    n, on_sector = out.shape[1], 0.0
    values, work = np.empty((VALUE_ROWS, n), np.float32), np.empty((6, n), np.float32)
    sector, own, above, below, expected, spare = work[0], work[1], work[2], work[3], work[4], work[5]
    effect = np.sqrt((slopes.month_effect * slopes.month_effect).sum())
    a, b, rows, season = made.column, made.column + n, made.contribution, year.season[11]
    _walk_of_sector(slopes.month_effect, shared.month_factor, sector)
    for i in range(trusts.turnover.size):
        s, on_factor = slopes.pressure[i], trusts.shock_sd[i] * year.shock_loading[0]
        own_sd = max(trusts.shock_sd[i] * year.shock_loading[1] * effect, _LEAST_SD)
        draw_variates(i, trusts, thin, first_draw, values)
        for v in (RECURRENT, ONE_OFF, FLEXIBILITY, AFC, MEDICAL, DRIFT):
            _add_variate(v, i, slopes, shared, values[v], out)
        if shared.tail_degrees > _ZERO:
            _draw_again(i, trusts, shared, first_draw, values)
        for v in (FLEXIBILITY, DRIFT):
            _settle(v, i, trusts, values[v])
        _own_walk(rows[_DRIFT_DRIVER, i, a:b], season, values[DRIFT], on_factor, sector, own)
        _pressures(rows, i, a, b, rows.shape[0] - 2, own, values[FLEXIBILITY], above, below)
        _integrate_walk(year.keep_favourable, own_sd, above, below, table, spare, expected)
        _add_own(s, made.quarter_variance[3, i], expected, made.position_before_support[i], own, out)
        _add_linear(-s, own, out[LINEAR])
        on_sector += s * on_factor
    _add_linear(-on_sector, sector, out[LINEAR])
