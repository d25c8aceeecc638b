"""What trusts share in a block of draws: factors of groups, months' shocks and tails, by address."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions.dependence import FACTOR_DRIVERS
from sector_risk.kernels import pressure
from sector_risk.kernels.random import YEAR, group_label, label_hash, normals_block
from sector_risk.prepare import DRIVER_OF, LEAD_ITEM, LEAD_STREAM, Prepared

F32 = NDArray[np.float32]


def draw_factors(prepared: Prepared, year: int, first_draw: int, room: F32) -> F32:
    """Fill factors of all groups (stream, group, 4, draw) and return months' shocks: independent standard Normals."""
    hashes, first_group = prepared.groups.hashes, year * YEAR
    for s, rows in enumerate(room):
        used = len(hashes) if prepared.shared_streams[s] else 1
        normals_block(prepared.keys[s], hashes[:used], first_group, first_draw, rows[:used])
    return normals(prepared.keys[-1], hashes[:1], first_group, first_draw, 12, room.shape[-1])[0]


def share(prepared: Prepared, year: int, first_draw: int, room: F32, months: F32) -> pressure.Shared:
    """Return what trusts share in a block: its factors, correlated between drivers, months' shocks and tails."""
    correlate_sector(prepared, room)
    return pressure.Shared(
        keys=prepared.keys,
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


def tail_scales(prepared: Prepared, first_group: int, first_draw: int, n_draws: int) -> F32:
    """Student scale of each variate, shared by all trusts of a draw: (variate, draw); zeros when Gaussian."""
    if not prepared.dependence.tail_dof:
        return np.zeros((pressure.N_VARIATES, 1), np.float32)
    label, streams = label_hash(group_label("tail")).reshape(1, 2), range(pressure.N_YEARLY_STREAMS)
    z = [normals(prepared.keys[s], label, first_group, first_draw, 4, n_draws)[0] for s in streams]
    scale = [prepared.dependence.tail_scale(z[LEAD_STREAM[d]][LEAD_ITEM[d]]) for d in DRIVER_OF]
    return np.array(scale, np.float32)
