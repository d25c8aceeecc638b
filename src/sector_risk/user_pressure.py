"""Pressure of user drivers: their Normals by address, with the dependence they declare, through their functions."""

import numpy as np
from numpy.typing import NDArray

from sector_risk.factors import group_normals, normals
from sector_risk.kernels.pressure import SOURCES
from sector_risk.kernels.random import YEAR
from sector_risk.prepare import OWN_LEVEL, Prepared, by_trust

F32 = NDArray[np.float32]


def user_pressure(prepared: Prepared, year: int, first_draw: int, n_draws: int) -> F32:
    """Cumulative pressure of user drivers, (driver, P, 12, B)."""
    shape = (len(prepared.drivers), len(prepared.plan), 12, n_draws)
    out, turnover = np.empty(shape, np.float32), prepared.context.turnover
    growth = np.float32(turnover[year, 0] / turnover[0, 0])  # the same for all trusts, as all money grows
    for u, user in enumerate(prepared.drivers):
        z = user_normals(prepared, u, year, first_draw, n_draws)
        made = np.asarray(user.pressure(z, prepared.panel))
        if made.shape != shape[1:] or not np.isfinite(made).all():
            problem = f"shape {made.shape}, finite: {bool(np.isfinite(made).all())}"
            raise ValueError(f"driver {user.name!r} must return finite numbers of shape {shape[1:]}; it gave {problem}")
        out[u] = made * growth
    return out


def user_normals(prepared: Prepared, u: int, year: int, first_draw: int, n_draws: int) -> F32:
    """Latent Normals of a user driver (P, items, B) with the dependence it declares."""
    user, groups, hashes = prepared.drivers[u], prepared.groups, prepared.years[0].trusts.hashes
    keys = prepared.keys[len(SOURCES) + u]
    own = normals(keys[OWN_LEVEL], hashes, year * YEAR, first_draw, user.items, n_draws)
    *levels, rest = by_trust(user.shares.loadings(), groups).astype(np.float32)[:, :, None, None]
    if (rest == 1.0).all():
        return own
    factor = group_normals(keys, groups, year * YEAR, first_draw, user.items, n_draws)
    shared = sum(load * factor[rows] for load, rows in zip(levels, groups.rows, strict=True))
    return np.asarray(shared + rest * own, np.float32)
