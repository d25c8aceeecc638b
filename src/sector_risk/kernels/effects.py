"""Sums of what drivers contribute to some trusts, draw by draw, and the size of the numbers that are added up."""

from typing import Any

from sector_risk.kernels._jit import kernel, step

TILE = 8192
"""Draws whose running totals stay in a near cache while trusts are added to them."""


@step
def _add(row: Any, total: Any, size: Any) -> None:
    for j in range(row.size):
        total[j] += row[j]
        size[j] += abs(row[j])


@kernel
def effect_sums(contribution: Any, rows: Any, first: Any, last: Any, total: Any, size: Any) -> None:
    """Add up contributions over some trusts, for some of the draws.

    Parameters
    ----------
    contribution : float array, shape (D, T, N)
    rows : int array, shape (M,)
        The trusts that are added up.
    first, last : int
        Draws `first` to `last - 1` are looked at.
    total : float64 array, shape (D, N)
        Added to: the sum over trusts for each driver.
    size : float64 array, shape (N,)
        Added to: the sum of absolute values over trusts and drivers.
    """
    for a in range(first, last, TILE):
        b = min(a + TILE, last)
        for d in range(contribution.shape[0]):
            for i in rows:
                _add(contribution[d, i, a:b], total[d, a:b], size[a:b])
