"""The floor: our generator making the very Normals that a year needs, and nothing else."""

from typing import Any

import numpy as np

from sector_risk.engine import BLOCK_SIZE
from sector_risk.factors import draw_factors
from sector_risk.kernels import pressure
from sector_risk.kernels._jit import kernel
from sector_risk.kernels.random import fill_normal_pair, fill_normals
from sector_risk.run import Run

EFFICIENCY, PAY_AWARD, DETERIORATION, RUN_RATE = range(len(pressure.STREAMS))


@kernel
def trusts_normals(keys: Any, hashes: Any, first_draw: Any, work: Any) -> None:
    """Make twenty Normals of every trust: savings and cover, pay and drift in pairs, and twelve months' shocks."""
    for i in range(hashes.shape[0]):
        fill_normals(keys[EFFICIENCY], hashes[i], 0, first_draw, work[:4])
        fill_normal_pair(keys[PAY_AWARD], hashes[i], 0, first_draw, work[:2])
        fill_normal_pair(keys[DETERIORATION], hashes[i], 0, first_draw, work[:2])
        for group in range(3):
            fill_normals(keys[RUN_RATE], hashes[i], group, first_draw, work[:4])


def make_normals(run: Run, n_draws: int) -> None:
    """Make the Normals of trusts, of groups and of the sector, block by block, each in the place of the last."""
    prepared = run.prepared
    keys = np.ascontiguousarray(prepared.keys[: len(pressure.STREAMS), -1])
    work = np.empty((4, BLOCK_SIZE), np.float32)
    factors = np.empty((pressure.N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, BLOCK_SIZE), np.float32)
    for first in range(0, n_draws, BLOCK_SIZE):
        draw_factors(prepared, 0, first, factors)
        trusts_normals(keys, prepared.years[0].trusts.hashes, first, work)
