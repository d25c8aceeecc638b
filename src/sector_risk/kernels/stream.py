"""What is kept of a block of draws when the draws themselves are not: counts and sums that merge by addition.

Sums over a piece are taken in a fixed order, rounded to whole steps of 2**-20 of a row's scale, and kept as floating
point numbers: up to 2**53 steps these add up to the same bits whatever the order in which pieces come in.
"""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.moments import number_below
from sector_risk.kernels.rows import LANES, two_sums

GRID = 2.0**20
"""Steps in a row's scale: 2**33 draws of one scale add up exactly; beyond that sums are right, to 16 digits."""


@step
def on_grid(x: Any) -> Any:
    """Nearest whole number of steps."""
    return np.rint(x * GRID) / GRID


@kernel
def add_moments(rows: Any, centre: Any, per_scale: Any, sums: Any) -> None:
    """Add the sums of y = (x - centre) / scale and of y^2 of each row (R, B) to `sums` (R, 2)."""
    lanes = np.empty((2, LANES))
    for r in range(rows.shape[0]):
        two_sums(rows[r], centre[r], per_scale[r], lanes)
        sums[r, 0] += on_grid(lanes[0].sum())
        sums[r, 1] += on_grid(lanes[1].sum())


@step
def _find_bins(row: Any, low: Any, per_bin: Any, last: Any, bins: Any) -> None:
    for j in range(row.size):
        bins[j] = np.int32(min(max((row[j] - low) * per_bin, 0.0), last))


@step
def _walk_over(counts: Any) -> Any:
    """Read a row of counts in order, so that scattered additions to it need not wait for memory (half the time)."""
    total = np.uint32(0)
    for k in range(0, counts.size, 16):  # one to a cache line
        total += counts[k]
    return total


@kernel
def add_histogram(rows: Any, low: Any, per_bin: Any, counts: Any, extremes: Any, bins: Any) -> Any:
    """Count each row (R, B) into its bins; the first and the last bin take what lies beyond.

    Parameters
    ----------
    rows : float array, shape (R, B)
    low, per_bin : float64 arrays, shape (R,)
        Where the bins begin, and bins in each GBP million.
    counts : uint32 array, shape (R, bins)
    extremes : float64 array, shape (R, 2)
        Least and greatest value so far of those in the first and the last bin.
    bins : int32 array, shape (B,)
        Scratch.

    Returns
    -------
    int
        Of no use, but that what makes it is not left out by the compiler.
    """
    last, walked = counts.shape[1] - 1.0, np.uint32(0)
    for r in range(rows.shape[0]):
        _find_bins(rows[r], low[r], per_bin[r], last, bins)
        walked += _walk_over(counts[r, bins.min() : bins.max() + 1])
        for j in range(bins.size):
            b = bins[j]
            counts[r, b] += 1
            if b == 0 or b == last:
                extremes[r, 0] = min(extremes[r, 0], rows[r, j])
                extremes[r, 1] = max(extremes[r, 1], rows[r, j])
    return walked


@kernel
def add_below(rows: Any, limits: Any, counts: Any) -> None:
    """Count how many values of each row (R, B) are below each of its limits (R, L): added to `counts`, int64."""
    for r in range(rows.shape[0]):
        for k in range(limits.shape[1]):
            counts[r, k] += number_below(rows[r], limits[r, k])


@step
def _products(row: Any, centre: Any, per_scale: Any, by: Any, lanes: Any) -> None:
    """Sums of y s, (y s)^2 and y s^3 in lanes."""
    lanes[:] = 0.0
    n = row.size // LANES * LANES
    for j in range(0, n, LANES):
        for k in range(LANES):
            s = by[j + k]
            u = (row[j + k] - centre) * per_scale * s
            lanes[0, k] += u
            lanes[1, k] += u * u
            lanes[2, k] += u * s * s
    for j in range(n, row.size):
        s = by[j]
        u = (row[j] - centre) * per_scale * s
        lanes[0, 0] += u
        lanes[1, 0] += u * u
        lanes[2, 0] += u * s * s


@kernel
def add_products(rows: Any, centre: Any, per_scale: Any, by: Any, sums: Any) -> None:
    """Add the sums of y s, (y s)^2 and y s^3 of each row (R, B) with `by`, s (B,), to `sums` (R, 3)."""
    lanes = np.empty((3, LANES))
    for r in range(rows.shape[0]):
        _products(rows[r], centre[r], per_scale[r], by, lanes)
        for k in range(3):
            sums[r, k] += on_grid(lanes[k].sum())


@kernel
def add_in_bins(rows: Any, centre: Any, per_scale: Any, draws: Any, bins: Any, sums: Any) -> None:
    """Add y and y^2 of some draws of each row (R, B), by their bins, to `sums` (R, bins, 2)."""
    for r in range(rows.shape[0]):
        for k in range(draws.size):
            y = (rows[r, draws[k]] - centre[r]) * per_scale[r]
            sums[r, bins[k], 0] += on_grid(y)
            sums[r, bins[k], 1] += on_grid(y * y)


@kernel
def pick(
    rows: Any,
    low: Any,
    per_bin: Any,
    target: Any,
    centre: Any,
    per_scale: Any,
    below: Any,
    values: Any,
    ids: Any,
    bins: Any,
) -> Any:
    """Pick the values that fall into bins that are looked for, and add up what lies between them.

    Parameters
    ----------
    rows : float array, shape (R, B)
    low, per_bin : float64 arrays, shape (R,)
    target : int32 array, shape (R, bins)
        Number of the target that a bin is; of another bin, -1 - (the segment between targets in which it lies), and
        for bins above the last segment that counts the least int32.
    centre, per_scale : float64 arrays, shape (R,)
    below : float64 array, shape (segments,)
        Added to: the sum of y = (x - centre) / scale over each segment.
    values, ids : float64 and int32 arrays, shape (R * B,)
        Written: what is picked, and of which target.
    bins : int32 array, shape (B,)
        Scratch.

    Returns
    -------
    int
        How many were picked.
    """
    n, last, never, sums = 0, target.shape[1] - 1.0, np.iinfo(np.int32).min, np.zeros(below.size)
    for r in range(rows.shape[0]):
        _find_bins(rows[r], low[r], per_bin[r], last, bins)
        for j in range(bins.size):
            t = target[r, bins[j]]
            if t >= 0:
                values[n] = rows[r, j]
                ids[n] = t
                n += 1
            elif t != never:
                sums[-1 - t] += (rows[r, j] - centre[r]) * per_scale[r]
    for k in range(sums.size):
        below[k] += on_grid(sums[k])
    return n
