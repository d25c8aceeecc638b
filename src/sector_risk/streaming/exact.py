"""The second pass: draws are made again, and those in the bins of the ranks looked for are sorted.

A draw is a function of its number, so the second pass sees the same draws as the first. What is kept are distinct
values and how often each came: of a trust that is exactly on plan in a third of all draws, a single one.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sector_risk import engine
from sector_risk.engine import PIECE
from sector_risk.kernels.stream import pick
from sector_risk.planned import Planned
from sector_risk.progress import Progress
from sector_risk.run import Draws
from sector_risk.streaming.counts import rows_of
from sector_risk.streaming.layout import BINS, Layout, Scale
from sector_risk.streaming.quantiles import Histogram

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
NEVER = np.iinfo(np.int32).min
FLUSH = 2**19
"""Values that a thread picks before it counts equal ones."""
Picked = tuple[NDArray[np.int32], F64, I64]
"""Targets, values and how often each came, sorted by target and value."""


@dataclass(frozen=True)
class Targets:
    """Bins that are looked for, by row, and the segments of bins between them."""

    table: NDArray[np.int32]  # (U, bins) see `kernels.stream.pick`
    bins: tuple[I64, ...]  # of each row, ascending
    first: I64  # (U + 1,) number of each row's first target; a segment has the number of the target above it

    @classmethod
    def of(cls, histograms: list[Histogram], ranks: I64) -> "Targets":
        """Look for the bins in which ranks lie."""
        bins = tuple(np.unique(h.bin_of_rank(ranks)) for h in histograms)
        first = np.cumsum([0, *(len(b) for b in bins)])
        table = np.full((len(bins), BINS), NEVER, np.int32)
        for row, of_row, number in zip(table, bins, first, strict=False):
            for t, (low, high) in enumerate(pairwise([-1, *of_row])):
                row[low + 1 : high] = -1 - (number + t)
                row[high] = number + t
        return cls(table, bins, first)


class Picker:
    """Picks values from the pieces that one thread runs."""

    def __init__(self, planned: Planned, layout: Layout, targets: Targets) -> None:
        self.planned, self.layout, self.targets = planned, layout, targets
        self.below = np.zeros(targets.first[-1])
        room = PIECE * len(targets.bins)
        self.found, self.ids, self.scratch = np.empty(room), np.empty(room, np.int32), np.empty(PIECE, np.int32)
        self.picked: list[Picked] = []
        self.waiting = self.held = 0

    def take(self, draws: Draws, first: int) -> None:
        """Pick from a piece."""
        rows, t = rows_of(self.planned, self.layout, draws, first), self.layout.n_trusts
        for some, values in ((slice(0, t), rows.position), (slice(t, len(self.targets.table)), rows.totals)):
            self.pick(some, values)
        if self.waiting > max(FLUSH, self.held):  # what is sorted doubles from one time to the next
            self.picked = [counted(self.picked)]
            self.held, self.waiting = len(self.picked[0][0]), 0

    def pick(self, some: slice, values: NDArray[np.floating]) -> None:
        """Pick from some rows."""
        bins, found, ids, scratch = self.layout.bins, self.found, self.ids, self.scratch[: values.shape[1]]
        of_rows = bins.low[some], bins.per_bin[some], self.targets.table[some]
        scale = self.layout.units_scale.centre[some], self.layout.units_scale.per_scale[some]
        n = pick(values, *of_rows, *scale, self.below, found, ids, scratch)
        self.picked.append((ids[:n].copy(), found[:n].copy(), np.ones(n, np.int64)))
        self.waiting += n


def counted(parts: list[Picked]) -> Picked:
    """Put parts together, equal values of a target counted as one."""
    ids, values, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((values, ids))
    ids, values, times = ids[order], values[order], times[order]
    starts = np.flatnonzero(np.append(True, (np.diff(ids) != 0) | (np.diff(values) != 0.0))) if len(ids) else order
    return ids[starts], values[starts], np.add.reduceat(times, starts) if len(starts) else times


@dataclass(frozen=True)
class Sorted:
    """What the second pass found: the sorted values of every bin that was looked for, and sums of what lies below."""

    targets: Targets
    histograms: list[Histogram]
    scale: Scale  # (U,) what values in `below` are measured from and in
    below: F64  # (target,) sum of the values in the segment below each target, in that scale
    picked: Picked
    first: I64  # (target + 1,) where the values of each target begin

    def values(self, row: int, t: int) -> tuple[F64, I64]:
        """Distinct values of a row's t-th bin, ascending, and how often each came."""
        number = self.targets.first[row] + t
        own = slice(self.first[number], self.first[number + 1])
        return self.picked[1][own], self.picked[2][own]

    def order_statistic(self, row: int, rank: int) -> float:
        """Return the value of a rank, counted from 0, of a row."""
        b = int(self.histograms[row].bin_of_rank(np.array([rank]))[0])
        values, times = self.values(row, int(np.searchsorted(self.targets.bins[row], b)))
        within = rank - int(self.histograms[row].before(np.array([b]))[0])
        return float(values[np.searchsorted(times.cumsum(), within, side="right")])

    def tail_mean(self, row: int, k: int) -> float:
        """Mean of the k lowest of a row."""
        limit = self.order_statistic(row, k - 1)
        b = int(self.histograms[row].bin_of_rank(np.array([k - 1]))[0])
        last = int(np.searchsorted(self.targets.bins[row], b))
        total, n, centre = 0.0, 0, self.scale.centre[row]
        for t in range(last + 1):
            values, times = self.values(row, t)
            lower = times * (values < limit)
            total += self.below[self.targets.first[row] + t] / self.scale.per_scale[row] + float(
                lower @ (values - centre)
            )
            n += int(lower.sum())
        n += int(self.histograms[row].before(np.array([b]))[0]) - self.kept(row, last)
        return limit + (total - n * (limit - centre)) / k

    def kept(self, row: int, last: int) -> int:
        """Draws in the bins looked for below a row's t-th."""
        return int(self.histograms[row].inside(self.targets.bins[row][:last]).sum())


def sort_bins(
    planned: Planned, layout: Layout, histograms: list[Histogram], ranks: I64, threads: int, progress: Progress | None
) -> Sorted:
    """Run all draws again, and sort those in the bins in which ranks (counted from 0) lie."""
    targets = Targets.of(histograms, ranks)
    pickers = [Picker(planned, layout, targets) for _ in range(threads)]
    engine.stream_pieces(replace(planned.run, by_trust=False, summed=True, by_quarter=False), pickers, progress)
    picked = counted([part for picker in pickers for part in picker.picked])
    below = np.sum([picker.below for picker in pickers], axis=0)
    first = np.searchsorted(picked[0], np.arange(targets.first[-1] + 1))
    return Sorted(targets, histograms, layout.units_scale, below, picked, first)
