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
    draws = planned.run.draws
    starts = range(0, len(draws), PART)
    first = planned.pattern()
    labels_by_draw = [str(name) for name in first.coords if "draw" in first[name].dims]
    wanted = [*names, *labels_by_draw]
    room = {name: _room(first[name], len(draws)) for name in wanted}
    for done, start in enumerate(starts, 1):
        part = planned.part(draws[start : start + PART]).forecast(threads)
        for name, values in room.items():
            values[_columns(part[name], start)] = part[name].values
        if progress:
            progress(done, len(starts))
    filled = {name: (first[name].dims, values, first[name].attrs) for name, values in room.items()}
    labels = {name: filled.pop(name) for name in labels_by_draw}
    return first.drop_dims("draw").assign(filled).assign_coords(labels).assign_attrs(planned.provenance())


def _room(values: xr.DataArray, n: int) -> np.ndarray:
    """Room for n draws of a variable."""
    return np.empty([n if dim == "draw" else size for dim, size in values.sizes.items()], values.dtype)


def _columns(part: xr.DataArray, start: int) -> tuple[slice, ...]:
    """Where a part's draws belong."""
    of_draws = slice(start, start + part.sizes["draw"])
    return tuple(of_draws if dim == "draw" else slice(None) for dim in part.dims)
