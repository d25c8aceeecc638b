"""Loads: how the latents of the trusts seen depend on factors that trusts share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import particles, pressure
from sector_risk.prepare import DRIVER_OF, LEAD_ITEM, LEAD_STREAM, Prepared
from sector_risk.reports import last_month

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
LEAST_OWN = 1e-3
"""A trust's own share of a latent's variance cannot quite be nought: particles could not follow their factors."""


@dataclass(frozen=True)
class Loads:
    """How latents of the trusts seen (R, V shared latents) depend on factors: up to C of them each."""

    latents: I64  # (V,) positions among a particle's latents
    load: F64  # (R, V, C), nought where there are fewer
    which: I64  # (R, V, C) positions in `factors`
    own: F64  # (R, V) variance R given the factors
    part: F64  # (R,) what a row counts for: rows that share their random numbers are one trust
    factors: I64  # (F,) flat positions of the factors in use among (stream, group, 4), then months

    @cached_property
    def compact(self) -> tuple[tuple[I64, F64], ...]:
        """Of each trust the factors that its latents depend on, and its loads on them (V, factors)."""
        return tuple(compacted(which, load) for which, load in zip(self.which, self.load, strict=True))


def factor_loads(prepared: Prepared, reports: particles.Reports) -> Loads:
    """Find which latents of the trusts seen depend on which factors."""
    yearly = [v for v in range(pressure.N_VARIATES) if prepared.years[0].trusts.loading[v, 4].min() < 1.0]
    months = range(int(last_month(reports).max())) if prepared.profile.shock_loading[0] > 0.0 else range(0)
    found = [yearly_loads(prepared, reports.trust, v) for v in yearly]
    found += [month_loads(prepared, reports, m) for m in months]
    load, which = (padded([pair[k] for pair in found], len(reports.trust)) for k in range(2))
    which = which.astype(np.int64)
    factors = np.unique(which[load != 0.0])
    return Loads(
        latents=np.array([*yearly, *(pressure.N_VARIATES + m for m in months)], np.int64),
        load=load,
        which=np.where(load != 0.0, np.searchsorted(factors, which), 0),
        part=1.0 / rows_alike(prepared.years[0].trusts.hashes[reports.trust]),
        own=np.maximum(1.0 - (load**2).sum(axis=2), LEAST_OWN),
        factors=factors,
    )


def rows_alike(hashes: NDArray[np.uint32]) -> I64:
    """How many rows have each row's random numbers, (R,)."""
    _, which, count = np.unique(hashes, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[which.ravel()])


def padded(columns: list[F64], n_trusts: int) -> F64:
    """Put (R, c) arrays side by side as (R, V, C)."""
    width = max((column.shape[1] for column in columns), default=0)
    out = np.zeros((n_trusts, len(columns), width))
    for v, column in enumerate(columns):
        out[:, v, : column.shape[1]] = column
    return out


def yearly_loads(prepared: Prepared, trust: I64, v: int) -> tuple[F64, F64]:
    """Loads of a variate on independent factors, and where these are; the sector's are mixed of several drivers'."""
    n_groups, stream, item, d = len(prepared.groups.hashes), pressure.STREAM_OF[v], pressure.ITEM_OF[v], DRIVER_OF[v]
    loading, groups = prepared.years[0].trusts.loading[v][:, trust].astype(float), prepared.groups.rows[:, trust]
    own = [(stream * n_groups + rows) * 4 + item for rows in groups]
    leads = [np.full(len(trust), LEAD_STREAM[j] * n_groups * 4 + LEAD_ITEM[j]) for j in range(d)]
    mixing = prepared.sector_mixing[d]
    loads = [loading[0] * mixing[d], *loading[1:4], *(loading[0] * mixing[j] for j in range(d))]
    return np.array(loads).T, np.array([*own, *leads]).T


def month_loads(prepared: Prepared, reports: particles.Reports, m: int) -> tuple[F64, F64]:
    """Loads of a month's shock on the sector's, for trusts seen that far."""
    first = pressure.N_YEARLY_STREAMS * len(prepared.groups.hashes) * 4
    load = np.where(m < last_month(reports), float(prepared.profile.shock_loading[0]), 0.0)
    return load[:, None], np.full((len(load), 1), first + m)


def means(expected: F64, loads: Loads) -> F64:
    """Mean that factors give each shared latent, (R, V)."""
    return np.asarray((loads.load * expected[loads.which]).sum(axis=2))


def compacted(which: I64, load: F64) -> tuple[I64, F64]:
    """Return the factors among `which` (V, C), and loads on each of them (V, factors)."""
    used, place = np.unique(which, return_inverse=True)
    part = np.zeros((len(which), len(used)))
    np.add.at(part, (np.arange(len(part))[:, None], place.reshape(which.shape)), load)
    return used, part
