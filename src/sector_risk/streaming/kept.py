"""Draws of some variables only: a forecast is run in parts, and of each part only what is asked for is kept."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sector_risk.planned import Planned
from sector_risk.progress import Progress

PART = 10_000
"""Draws of a part: some 120 MB while it is run."""


def keep_draws(
    planned: Planned, names: Sequence[str], threads: int | None, progress: Progress | None = None
) -> xr.Dataset:
    """Return the forecast with no draws but those of the variables named; what has no draws stays."""
    parts = [*planned.run.draws[::PART]]
    kept: xr.Dataset | None = None
    for done, first in enumerate(parts, 1):
        part = planned.part(planned.run.draws[first - parts[0] : first - parts[0] + PART]).forecast(threads)
        kept = _room(part, names, planned) if kept is None else kept
        _put(part, kept, first - parts[0])
        if progress:
            progress(done, len(parts))
    assert kept is not None  # there is one draw at least
    return kept


def _room(part: xr.Dataset, names: Sequence[str], planned: Planned) -> xr.Dataset:
    """Return the forecast without draws, and with room for all draws of what is kept."""
    n, dropped = planned.run.n_draws, [v for v in part.data_vars if "draw" in part[v].dims]
    bare = part.drop_vars(dropped).drop_dims("draw")
    room = {name: (part[name].dims, _empty(part[name], n), part[name].attrs) for name in names}
    data = bare.assign(room).assign_coords(draw=("draw", np.array(planned.run.draws), part["draw"].attrs))
    return data.assign_attrs(planned.provenance())


def _empty(values: xr.DataArray, n: int) -> np.ndarray:
    """Room for n draws of a variable."""
    return np.empty([n if dim == "draw" else size for dim, size in values.sizes.items()], values.dtype)


def _put(part: xr.Dataset, kept: xr.Dataset, at: int) -> None:
    """Put a part's draws in their place."""
    for name in kept.data_vars:
        if "draw" in kept[name].dims:
            axis = kept[name].dims.index("draw")
            where = [slice(None)] * kept[name].ndim
            where[axis] = slice(at, at + part.sizes["draw"])
            kept[name].values[tuple(where)] = part[name].values
