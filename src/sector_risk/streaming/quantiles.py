"""Order statistics and tails read off bins, with bounds of how far off they may be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.streaming.layout import BINS, Bins

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """Draws of one row by bin, from the first bin that has any to the last."""

    first: int  # number of that bin
    count: I64  # (some bins,)
    up_to: I64  # (some bins,) draws in this bin and those before it
    edge: F64  # (some bins + 1,)

    @classmethod
    def of(cls, count: NDArray[np.unsignedinteger], bins: Bins, row: int, extremes: F64) -> "Histogram":
        """Return the histogram of a row; its end bins reach to the least and the greatest value in them."""
        used = np.flatnonzero(count)
        first, last = int(used[0]), int(used[-1])
        inside: I64 = count[first : last + 1].astype(np.int64)
        edge = bins.low[row] + np.arange(first, last + 2) / bins.per_bin[row]
        edge[0] = min(edge[0], extremes[0]) if first == 0 else edge[0]
        edge[-1] = max(edge[-1], extremes[1]) if last == BINS - 1 else edge[-1]
        return cls(first, inside, inside.cumsum(), edge)

    def bin_of_rank(self, rank: I64) -> I64:
        """Number of the bin of each rank, counted from 0."""
        return self.first + np.searchsorted(self.up_to, rank, side="right")

    def inside(self, b: I64) -> I64:
        """Draws in each bin."""
        return self.count[b - self.first]

    def before(self, b: I64) -> I64:
        """Draws in bins before each bin."""
        return self.up_to[b - self.first] - self.inside(b)

    def order_statistic(self, rank: I64) -> tuple[F64, F64]:
        """Values of ranks, as if draws of a bin lay evenly in it, and the bins' widths: no value is further off."""
        b = self.bin_of_rank(rank)
        low, high = self.edge[b - self.first], self.edge[b - self.first + 1]
        return low + (high - low) * (rank - self.before(b) + 0.5) / self.inside(b), high - low

    def tail(self, k: int) -> tuple[float, float, float]:
        """Mean of the k lowest, its error by the formula of `kernels.moments.tails`, and how far off it may be."""
        b = int(np.searchsorted(self.up_to, k - 1, side="right"))
        taken = self.count[: b + 1].astype(float)
        taken[-1] = k - (self.up_to[b] - self.count[b])
        width = np.diff(self.edge[: b + 2])
        middle = self.edge[: b + 1] + 0.5 * width
        part = taken[-1] / self.count[b]
        middle[-1], limit = self.edge[b] + 0.5 * part * width[-1], self.edge[b] + part * width[-1]
        below = middle - limit
        mean, squares = taken @ below / k, taken @ below**2 / k
        variance = squares - k / self.up_to[-1] * mean**2
        error = np.sqrt(max(variance, 0.0) / (k - 1)) if k > 1 else np.nan
        return float(limit + mean), float(error), float(taken @ width / k)
