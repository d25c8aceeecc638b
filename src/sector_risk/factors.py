"""What trusts share in a block of draws: factors of groups, months' shocks and tails, by address."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.assumptions import Assumptions, CentralAction
from sector_risk.assumptions.dependence import FACTOR_DRIVERS
from sector_risk.kernels import pressure, quantile
from sector_risk.kernels.random import YEAR, group_label, label_hash, normals_block, stream_key
from sector_risk.kernels.sobol import MONTHS, REPLICATE, Points, point_words
from sector_risk.prepare import DRIVER_OF, LEAD_ITEM, LEAD_STREAM, OWN_LEVEL, SECTOR_LEVEL, Groups, Held, Prepared

F32 = NDArray[np.float32]
SECTOR_FACTORS = (list(pressure.STREAM_OF), 0, list(pressure.ITEM_OF))
"""Where the sector's factor of each variate is among the factors of all groups."""


def draw_factors(prepared: Prepared, year: int, first_draw: int, room: F32) -> F32:
    """Fill factors of all groups (stream, group, 4, draw) and return months' shocks: independent standard Normals."""
    keys, groups, first_group = prepared.keys, prepared.groups, year * YEAR
    for s, rows in enumerate(room):
        for level in range(OWN_LEVEL if prepared.shared_streams[s] else 1):
            at = groups.levels[level]
            normals_block(keys[s, level], groups.hashes[at], first_group, first_draw, rows[at])
    if (keys[pressure.COVER] != keys[LEAD_STREAM[-1]]).any():
        cover = group_normals(keys[pressure.COVER], groups, first_group, first_draw, 4, room.shape[-1])
        room[LEAD_STREAM[-1], :, LEAD_ITEM[-1]] = cover[:, LEAD_ITEM[-1]]
    sector = keys[pressure.STREAMS.index("run_rate"), SECTOR_LEVEL]
    months = normals(sector, groups.hashes[:1], first_group, first_draw, 12, room.shape[-1])[0]
    if prepared.points is not None and year == 0:
        place_points(prepared.points, first_draw, room, months)
    return months


def place_points(points: Points, first_draw: int, room: F32, months: F32) -> None:
    """Put Sobol points in place of the sector's own Normals, and turn months' shocks to theirs.

    With w the direction in which the months' shocks z add up to the year end and F the point's Normal, z becomes
    z + w (F - w z): its part along w is F, the rest is as it was, and its distribution does not change.
    """
    for whose, normal in zip(points.whose, point_normals(points, first_draw, room.shape[-1]), strict=True):
        if whose == MONTHS:
            moved = normal - sum(w * z for w, z in zip(points.month_weight, months, strict=True))
            months += points.month_weight[:, None] * moved
        elif isinstance(whose, int):
            room[pressure.STREAM_OF[whose], 0, pressure.ITEM_OF[whose]] = normal


def point_normals(points: Points, first_draw: int, n_draws: int) -> F32:
    """Return standard Normals of Sobol points, (dimension, draw): Phi^-1((word + 1/2) / 2^32)."""
    return special.ndtri((point_words(points, first_draw, n_draws) + 0.5) * 2.0**-32).astype(np.float32)


def named_normals(points: Points, first_draw: int, n_draws: int) -> dict[str, F32]:
    """Return the Normals of central actions by name, (draw,)."""
    pairs = zip(points.whose, point_normals(points, first_draw, n_draws), strict=True)
    return {whose: normal for whose, normal in pairs if isinstance(whose, str)}


def with_points(prepared: Prepared, assumptions: Assumptions) -> Prepared:
    """Return the same year with Sobol points for what the sector shares in it."""
    whose = dimensions(prepared, assumptions)
    effect = months_effect(float(prepared.profile.persistence))
    return replace(
        prepared,
        points=Points(
            key=stream_key(prepared.context.seed, "sobol"),
            table=joe_kuo(len(whose)),
            whose=whose,
            month_weight=(effect / np.sqrt((effect**2).sum())).astype(np.float32),
        ),
    )


def dimensions(prepared: Prepared, assumptions: Assumptions) -> tuple[int | str, ...]:
    """Whose each dimension is, the best ones first: to what moves the sector and the whole NHS most."""
    ranked = sorted(assumptions.centre.actions, key=lambda action: -spread(action))
    first, second, *others = [*(action.name for action in ranked), "", ""]
    shared = [v for v, d in enumerate(DRIVER_OF) if prepared.dependence.shares()[d].sector]
    here = {MONTHS, *shared} if prepared.dependence.run_rate_sector else set(shared)
    best = (MONTHS, first, pressure.DRIFT, pressure.RECURRENT, pressure.FLEXIBILITY, second)
    rest = (pressure.ONE_OFF, pressure.AFC, pressure.MEDICAL, *others)
    return tuple(whose for whose in (*best, *rest) if whose in here or (whose and isinstance(whose, str)))


def spread(action: CentralAction) -> float:
    """Standard deviation of a central action, GBP m."""
    z = quantile.grid()
    return (
        abs(action.planned)
        * float(np.cov(action.delivery.from_normal(z), aweights=np.exp(-0.5 * z * z), ddof=0)) ** 0.5
    )


def joe_kuo(n_dimensions: int) -> NDArray[np.uint32]:
    """Return words of the first REPLICATE points of the Sobol sequence, (dimension, point)."""
    from scipy.stats import qmc

    if not n_dimensions:
        return np.empty((0, REPLICATE), np.uint32)
    points = qmc.Sobol(n_dimensions, scramble=False, bits=32).random(REPLICATE)
    return np.ascontiguousarray((points * 2.0**32).T.astype(np.uint32))


def months_effect(persistence: float) -> NDArray[np.float64]:
    """Effect of each month's shock on the year end, (12,): 1 + rho + ... for the months that are left.

    >>> months_effect(0.5)[-2:].tolist()
    [1.5, 1.0]
    """
    return np.cumsum(persistence ** np.arange(12.0))[::-1]


def share(prepared: Prepared, year: int, first_draw: int, room: F32, months: F32) -> pressure.Shared:
    """Return what trusts share in a block: its factors, correlated between drivers, months' shocks and tails."""
    if prepared.held is None:
        correlate_sector(prepared, room)
    else:
        hold_sector(prepared, prepared.held, year, first_draw, room)
    return pressure.Shared(
        keys=np.ascontiguousarray(prepared.keys[: len(pressure.SOURCES), OWN_LEVEL]),
        first_group=year * YEAR,
        tables=prepared.tables,
        normal=prepared.normal,
        factors=room,
        month_factor=months,
        tail=tail_scales(prepared, year * YEAR, first_draw, room.shape[-1]),
        tail_table=prepared.tail_table,
        tail_degrees=np.float32(prepared.dependence.tail_dof),
    )


def normals(key: Any, hashes: Any, first_group: int, first_draw: int, items: int, n_draws: int) -> F32:
    """Return standard Normals of a stream, float32, shape (label, items, draw)."""
    out = np.empty((len(hashes), -(-items // 4) * 4, n_draws), np.float32)
    normals_block(key, hashes, first_group, first_draw, out)
    return out[:, :items]


def group_normals(keys: Any, groups: Groups, first_group: int, first_draw: int, items: int, n_draws: int) -> F32:
    """Return standard Normals of all groups, each level's under its own key: (group, items, draw)."""
    pairs = zip(keys[:OWN_LEVEL], groups.levels, strict=True)
    return np.concatenate([normals(k, groups.hashes[at], first_group, first_draw, items, n_draws) for k, at in pairs])


def sector_normal(key: Any, year: int, first_draw: int, n_draws: int) -> F32:
    """Return the sector's own Normal of a stream in a year, (draw,)."""
    label = label_hash(group_label("sector")).reshape(1, 2)
    return normals(key, label, year * YEAR, first_draw, 1, n_draws)[0, 0]


def correlate_sector(prepared: Prepared, room: F32) -> None:
    """Correlate the sector's factors (group 0) between drivers."""
    lead = np.array([room[LEAD_STREAM[d], 0, LEAD_ITEM[d]] for d in range(len(FACTOR_DRIVERS))])
    mixing = prepared.sector_mixing.astype(np.float32)
    for d, s, item in zip(DRIVER_OF, pressure.STREAM_OF, pressure.ITEM_OF, strict=True):
        room[s, 0, item] = mixing[d, d] * room[s, 0, item] + mixing[d, :d] @ lead[:d]


def hold_sector(prepared: Prepared, held: Held, year: int, first_draw: int, room: F32) -> None:
    """Replace the sector's factors (group 0) by those of the run that is held, and by others given those."""
    other = np.empty((len(room), 1, *room.shape[2:]), np.float32)
    for key, rows in zip(held.keys, other, strict=True):
        normals_block(key, prepared.groups.hashes[:1], year * YEAR, first_draw, rows)
    correlate_sector(prepared, other)
    room[SECTOR_FACTORS] = held.on_other @ other[SECTOR_FACTORS] + held.on_fresh @ room[SECTOR_FACTORS]


def tail_scales(prepared: Prepared, first_group: int, first_draw: int, n_draws: int) -> F32:
    """Student scale of each variate, shared by all trusts of a draw: (variate, draw); zeros when Gaussian."""
    if not prepared.dependence.tail_dof:
        return np.zeros((pressure.N_VARIATES, 1), np.float32)
    label = label_hash(group_label("tail")).reshape(1, 2)
    keys = [prepared.keys[pressure.SOURCES.index(driver), SECTOR_LEVEL] for driver in FACTOR_DRIVERS]
    z = [normals(key, label, first_group, first_draw, 4, n_draws)[0] for key in keys]
    scale = [prepared.dependence.tail_scale(z[d][LEAD_ITEM[d]]) for d in DRIVER_OF]
    return np.array(scale, np.float32)
