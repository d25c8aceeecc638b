"""What each trust, and each effect, adds to the tail and spread of the sector, from counts (see `allocate`)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.streaming.counts import Counts
from sector_risk.streaming.layout import Layout, Scale
from sector_risk.summary import tail_size

F64 = NDArray[np.float64]
Array = NDArray[Any]


def member_scale(layout: Layout) -> Scale:
    """Centres and scales of trusts, then of effects, (M,)."""
    units, effects, t = layout.units_scale, layout.effects, layout.n_trusts
    return Scale(np.append(units.centre[:t], effects.centre), np.append(units.per_scale[:t], effects.per_scale))


def spread_shares(counts: Counts, layout: Layout) -> tuple[F64, F64]:
    """Covariance of each member with the sector over the sector's sd, and its error, (M,).

    The error is that of `allocate`, with distances from the first draws' means in place of those of all.
    """
    n, row, scale = int(counts.n_draws), layout.sector, member_scale(layout)
    y = np.append(counts.sums[: layout.n_trusts, 0], counts.effects[:, 0]) / n
    s, s_square = counts.sums[row] / n
    first, square, cube = counts.products.T / n
    variance = s_square - s**2
    if n == 1 or variance <= 0.0:
        return np.zeros(len(y)), np.full(len(y), 0.0 if n > 1 else np.nan)
    covariance = first - y * s
    slope, fourth = covariance / variance, counts.sector[0, 1] / n
    squares = square - slope * cube + (0.5 * slope) ** 2 * fourth - (0.5 * covariance) ** 2
    per_sd = 1.0 / (np.sqrt(variance) * scale.per_scale)
    return covariance * per_sd * np.sqrt(n / (n - 1)), np.sqrt(squares.clip(0.0) / n) * per_sd


@dataclass(frozen=True)
class Tail:
    """The sector's worst draws, bin by bin."""

    draws: F64  # (bins,)
    sums: F64  # (M, bins, 2)

    def lowest(self, k: float) -> tuple[float, F64]:
        """Sums over the k lowest draws, (M, 2); of the last bin as large a part as belongs to them."""
        up_to = self.draws.cumsum()
        k = min(k, float(up_to[-1]))
        part = np.clip((k - (up_to - self.draws)) / np.maximum(self.draws, 1.0), 0.0, 1.0)
        return k, self.sums.transpose(0, 2, 1) @ part


def tail_shares(counts: Counts, layout: Layout, confidence: F64) -> tuple[F64, F64]:
    """Mean deficit of each member over the sector's worst draws, and its error, (M, confidence)."""
    n, scale = int(counts.n_draws), member_scale(layout)
    tail = Tail(counts.tail_draws.astype(float), counts.tail)
    found = [_of_tail(tail, int(k), n) for k in tail_size(n, confidence)]
    mean, error = (np.array(column).T / scale.per_scale[:, None] for column in zip(*found, strict=True))
    return -(scale.centre[:, None] + mean), error


def _of_tail(tail: Tail, k: int, n: int) -> tuple[F64, F64]:
    """Mean over the k worst draws, and its error, in the members' scales; (M,) each.

    sqrt((mean((y - m)^2) - k/n (mean(y) - m)^2) / (k - 1)), with m the mean of k / 4 draws on each side of the edge
    of the tail.
    """
    had, sums = tail.lowest(k)
    if had < k:  # the first draws did not show where so large a tail begins
        return np.full(len(sums), np.nan), np.full(len(sums), np.nan)
    (inner, inside), (outer, outside) = tail.lowest(0.75 * k), tail.lowest(1.25 * k)
    edge = (outside[:, 0] - inside[:, 0]) / max(outer - inner, 1.0)
    mean, square = sums.T / k
    around = square - 2.0 * edge * mean + edge**2
    variance = around - k / n * (mean - edge) ** 2
    return mean, np.sqrt(variance.clip(0.0) / (k - 1)) if k > 1 else np.full(len(mean), np.nan)
