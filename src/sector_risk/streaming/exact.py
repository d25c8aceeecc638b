"""The second pass: draws are made again, and those in the bins of the ranks looked for are sorted.

A draw is a function of its number, so the second pass sees the same draws as the first. What is kept are distinct
values and how often each came: of a trust that is exactly on plan in a third of all draws, a single one.
"""

from dataclasses import dataclass, replace
from functools import cached_property
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
BinsOfRows = tuple[I64, ...]
"""Bins that are looked for in each of U rows, ascending: the targets, numbered from the first row's first."""


def bins_of(histograms: list[Histogram], ranks: I64) -> BinsOfRows:
    """Bins in which ranks (counted from 0) lie."""
    return tuple(np.unique(h.bin_of_rank(ranks)) for h in histograms)


def numbers_of(bins: BinsOfRows) -> I64:
    """Number of each row's first target, (U + 1,); a segment has the number of the target above it."""
    return np.cumsum([0, *(len(of_row) for of_row in bins)])


def table_of(bins: BinsOfRows) -> NDArray[np.int32]:
    """What each bin is (see `kernels.stream.pick`), (U, bins): one that is looked for, or of a segment below one."""
    table = np.full((len(bins), BINS), NEVER, np.int32)
    for row, of_row, number in zip(table, bins, numbers_of(bins), strict=False):
        for t, (low, high) in enumerate(pairwise([-1, *of_row])):
            row[low + 1 : high] = -1 - (number + t)
            row[high] = number + t
    return table


@dataclass(frozen=True)
class Found:
    """What was picked from some draws, and sums of what lies below; those of parts add up to those of the whole."""

    below: F64  # (target,) sum of the values in the segment below each target, from the row's centre in its scale
    picked: Picked

    def __add__(self, other: "Found") -> "Found":
        """What was found in the draws of both."""
        return Found(self.below + other.below, counted([self.picked, other.picked]))


class Picker:
    """Picks values from the pieces that one thread runs."""

    def __init__(self, planned: Planned, layout: Layout, table: NDArray[np.int32]) -> None:
        self.planned, self.layout, self.table = planned, layout, table
        self.below = np.zeros(int(table.max()) + 1)
        room = PIECE * len(table)
        self.found, self.ids, self.scratch = np.empty(room), np.empty(room, np.int32), np.empty(PIECE, np.int32)
        self.picked: list[Picked] = []
        self.waiting = self.held = 0

    def take(self, draws: Draws, first: int) -> None:
        """Pick from a piece."""
        rows, t = rows_of(self.planned, self.layout, draws, first), self.layout.n_trusts
        for some, values in ((slice(0, t), rows.position), (slice(t, len(self.table)), rows.totals)):
            self.pick(some, values)
        if self.waiting > max(FLUSH, self.held):  # what is sorted doubles from one time to the next
            self.picked = [counted(self.picked)]
            self.held, self.waiting = len(self.picked[0][0]), 0

    def pick(self, some: slice, values: NDArray[np.floating]) -> None:
        """Pick from some rows."""
        bins, found, ids, scratch = self.layout.bins, self.found, self.ids, self.scratch[: values.shape[1]]
        of_rows = bins.low[some], bins.per_bin[some], self.table[some]
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

    histograms: list[Histogram]
    bins: BinsOfRows
    scale: Scale  # (U,)
    found: Found

    @cached_property
    def numbers(self) -> I64:
        """Number of each row's first target, (U + 1,)."""
        return numbers_of(self.bins)

    @cached_property
    def starts(self) -> I64:
        """Where the values of each target begin, (target + 1,)."""
        return np.searchsorted(self.found.picked[0], np.arange(self.numbers[-1] + 1))

    def values(self, row: int, t: int) -> tuple[F64, I64]:
        """Distinct values of a row's t-th bin, ascending, and how often each came."""
        number = self.numbers[row] + t
        own = slice(self.starts[number], self.starts[number + 1])
        return self.found.picked[1][own], self.found.picked[2][own]

    def order_statistic(self, row: int, rank: int) -> float:
        """Return the value of a rank, counted from 0, of a row."""
        b = int(self.histograms[row].bin_of_rank(np.array([rank]))[0])
        values, times = self.values(row, int(np.searchsorted(self.bins[row], b)))
        within = rank - int(self.histograms[row].before(np.array([b]))[0])
        return float(values[np.searchsorted(times.cumsum(), within, side="right")])

    def tail_mean(self, row: int, k: int) -> float:
        """Mean of the k lowest of a row."""
        limit = self.order_statistic(row, k - 1)
        b = int(self.histograms[row].bin_of_rank(np.array([k - 1]))[0])
        last = int(np.searchsorted(self.bins[row], b))
        total, n, centre = 0.0, 0, self.scale.centre[row]
        for t in range(last + 1):
            values, times = self.values(row, t)
            lower = times * (values < limit)
            total += self.found.below[self.numbers[row] + t] / self.scale.per_scale[row] + float(
                lower @ (values - centre)
            )
            n += int(lower.sum())
        n += int(self.histograms[row].before(np.array([b]))[0]) - self.kept(row, last)
        return limit + (total - n * (limit - centre)) / k

    def kept(self, row: int, last: int) -> int:
        """Draws in the bins looked for below a row's t-th."""
        return int(self.histograms[row].inside(self.bins[row][:last]).sum())


def pick_bins(
    planned: Planned, layout: Layout, bins: BinsOfRows, threads: int, progress: Progress | None = None
) -> Found:
    """Run the draws that are planned, again, and pick those in the bins that are looked for."""
    table = table_of(bins)
    pickers = [Picker(planned, layout, table) for _ in range(threads)]
    engine.stream_pieces(replace(planned.run, by_trust=False, summed=True, by_quarter=False), pickers, progress)
    picked = counted([part for picker in pickers for part in picker.picked])
    return Found(np.sum([picker.below for picker in pickers], axis=0), picked)
