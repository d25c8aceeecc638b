"""Order statistics and tails read off bins, with bounds of how far off they may be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.streaming.layout import BINS, Bins

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """Draws of one row by bin."""

    count: I64  # (bins,)
    up_to: I64  # (bins,) draws in this bin and those before it
    edge: F64  # (bins + 1,)

    @classmethod
    def of(cls, count: I64, bins: Bins, row: int, extremes: F64) -> "Histogram":
        """Return the histogram of a row; its end bins reach to the least and the greatest value in them."""
        edge = bins.low[row] + np.arange(BINS + 1) / bins.per_bin[row]
        edge[0], edge[-1] = min(edge[0], extremes[0]), max(edge[-1], extremes[1])
        return cls(count, count.cumsum(), edge)

    def bin_of_rank(self, rank: I64) -> I64:
        """Bin of each rank, counted from 0."""
        return np.searchsorted(self.up_to, rank, side="right")

    def before(self, b: I64) -> I64:
        """Draws in bins before each bin."""
        return self.up_to[b] - self.count[b]

    def order_statistic(self, rank: I64) -> tuple[F64, F64]:
        """Values of ranks, as if draws of a bin lay evenly in it, and the bins' widths: no value is further off."""
        b = self.bin_of_rank(rank)
        width = self.edge[b + 1] - self.edge[b]
        return self.edge[b] + width * (rank - self.before(b) + 0.5) / self.count[b], width

    def tail(self, k: int) -> tuple[float, float, float]:
        """Mean of the k lowest, its error by the formula of `kernels.moments.tails`, and how far off it may be."""
        b = int(self.bin_of_rank(np.array([k - 1]))[0])
        taken = np.append(self.count[:b], k - int(self.before(np.array([b]))[0])).astype(float)
        width = np.diff(self.edge[: b + 2])
        middle = self.edge[: b + 1] + 0.5 * width
        part = taken[-1] / self.count[b]
        middle[-1], limit = self.edge[b] + 0.5 * part * width[-1], self.edge[b] + part * width[-1]
        below = middle - limit
        mean, squares = taken @ below / k, taken @ below**2 / k
        variance = squares - k / self.up_to[-1] * mean**2
        error = np.sqrt(max(variance, 0.0) / (k - 1)) if k > 1 else np.nan
        return float(limit + mean), float(error), float(taken @ width / k)
