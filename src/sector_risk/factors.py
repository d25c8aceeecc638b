"""What trusts share in a block of draws: factors of groups, months' shocks and tails, by address."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions.dependence import FACTOR_DRIVERS
from sector_risk.kernels import pressure
from sector_risk.kernels.random import YEAR, group_label, label_hash, normals_block
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
    return normals(sector, groups.hashes[:1], first_group, first_draw, 12, room.shape[-1])[0]


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
