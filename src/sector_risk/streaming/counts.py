"""What is kept of blocks: counts and sums of whole numbers. Those of parts add up to those of the whole."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sector_risk import engine
from sector_risk.kernels.moments import count_below
from sector_risk.kernels.stream import GRID, add_below, add_histogram, add_in_bins, add_moments, add_products
from sector_risk.planned import Planned
from sector_risk.progress import Progress
from sector_risk.run import Draws
from sector_risk.streaming.layout import BINS, TAIL_BINS, Bins, Layout, Scale
from sector_risk.units import BALANCED, sums_by

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
N_EVENTS = 3


@dataclass(frozen=True)
class Rows:
    """Positions of a piece by unit (B draws)."""

    position: F32  # (T, B)
    before: F32  # (T, B)
    totals: F64  # (G + 2, B) of groups, the sector and the whole NHS
    totals_before: F64


@dataclass(frozen=True)
class Counts:
    """Counts and sums of some draws (U units, T trusts, D drivers, E effects); see `kernels.stream` for their steps."""

    n_draws: I64  # ()
    histogram: NDArray[np.uint32]  # (U + 12, bins)
    sums: F64  # (U, 2) of the distance from the centre, and its square
    below: I64  # (U, 1) draws in deficit
    missed: I64  # (U, 2) draws that miss plan and control total
    events: I64  # (event, T + 1) draws by number of trusts that have the event
    contribution: F64  # (D * T, 2) as sums
    effects: F64  # (E, 2) as sums
    products: F64  # (T + E, 3) with the sector
    sector: F64  # (1, 3) products of the sector with itself
    tail: F64  # (T + E, tail bins, 2) as sums, by the sector's bin
    tail_draws: I64  # (tail bins,)
    extremes: F64  # (U + 12, 2) least and greatest value in the first and the last bin

    @classmethod
    def empty(cls, layout: Layout) -> "Counts":
        """Nothing counted yet."""
        units, members = len(layout.units.unit), layout.n_trusts + len(layout.effects.centre)

        def zeros(*shape: int) -> I64:
            return np.zeros(shape, np.int64)

        def nought(*shape: int) -> F64:
            return np.zeros(shape)

        return cls(
            n_draws=zeros(),
            histogram=np.zeros((units + 12, BINS), np.uint32),
            sums=nought(units, 2),
            below=zeros(units, 1),
            missed=zeros(units, 2),
            events=zeros(N_EVENTS, layout.n_trusts + 1),
            contribution=nought(len(layout.contributions.centre), 2),
            effects=nought(len(layout.effects.centre), 2),
            products=nought(members, 3),
            sector=nought(1, 3),
            tail=nought(members, TAIL_BINS, 2),
            tail_draws=zeros(TAIL_BINS),
            extremes=np.tile([np.inf, -np.inf], (units + 12, 1)),
        )

    def __add__(self, other: "Counts") -> "Counts":
        """Counts of the draws of both."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        least, most = pairs.pop("extremes")
        both = np.column_stack([np.minimum(least[:, 0], most[:, 0]), np.maximum(least[:, 1], most[:, 1])])
        return Counts(**{name: a + b for name, (a, b) in pairs.items()}, extremes=both)


class Counter:
    """Counts the pieces that one thread runs."""

    def __init__(self, planned: Planned, layout: Layout) -> None:
        self.planned, self.layout, self.counts = planned, layout, Counts.empty(layout)

    def take(self, draws: Draws, first: int) -> None:
        """Count a piece."""
        layout, counts = self.layout, self.counts
        rows, size = rows_of(self.planned, layout, draws, first), draws.position.shape[-1]
        counts.n_draws[...] += size
        self.count_units(rows, months_of(layout, draws))
        count_events(layout, rows, draws.sector[0, 2], counts.events)
        counts.contribution[:] += from_centre(draws.contribution_sums.reshape(-1, 2), size, layout.contributions)
        self.count_members(rows, np.vstack([draws.driver_total[0], rows.totals[-2] - rows.totals_before[-2]]))

    def count_units(self, rows: Rows, months: F64) -> None:
        """Count positions of all units, and the sector by month, (12, B)."""
        layout, counts, t = self.layout, self.counts, self.layout.n_trusts
        bins, scale = np.empty(months.shape[1], np.int32), layout.units_scale
        at = 0
        for values in (rows.position, rows.totals, months):
            some = slice(at, at + len(values))
            of_rows = layout.bins.low[some], layout.bins.per_bin[some]
            add_histogram(values, *of_rows, counts.histogram[some], counts.extremes[some], bins)
            at += len(values)
        zero = np.full((len(counts.sums), 1), BALANCED)
        for some, values, before in (
            (slice(0, t), rows.position, rows.before),
            (slice(t, None), rows.totals, rows.totals_before),
        ):
            add_moments(values, scale.centre[some], scale.per_scale[some], counts.sums[some])
            add_below(values, zero[some], counts.below[some])
            add_below(before, layout.limits[some], counts.missed[some])

    def count_members(self, rows: Rows, effects: F64) -> None:
        """Count what trusts and effects have to do with the sector."""
        layout, counts, t = self.layout, self.counts, self.layout.n_trusts
        sector, scale = rows.totals[-2], layout.units_scale
        s = (sector - scale.centre[layout.sector]) * scale.per_scale[layout.sector]
        add_moments(effects, layout.effects.centre, layout.effects.per_scale, counts.effects)
        add_products(s[None], np.zeros(1), np.ones(1), s, counts.sector)
        draws = np.flatnonzero(sector <= layout.tail_high)
        bins = bin_of(layout.tail, sector[draws])
        counts.tail_draws[:] += np.bincount(bins, minlength=TAIL_BINS)
        for some, values, of in ((slice(0, t), rows.position, scale), (slice(t, None), effects, layout.effects)):
            centre, per_scale = of.centre[: len(values)], of.per_scale[: len(values)]
            add_products(values, centre, per_scale, s, counts.products[some])
            add_in_bins(values, centre, per_scale, draws, bins, counts.tail[some])


def count(planned: Planned, layout: Layout, threads: int, progress: Progress | None = None) -> Counts:
    """Simulate the draws that are planned, and return their counts; nothing else is kept of them."""
    counters = [Counter(planned, layout) for _ in range(threads)]
    engine.stream_pieces(replace(planned.run, summed=True, by_quarter=False), counters, progress)
    return add_up(counter.counts for counter in counters)


def add_up(parts: Iterable[Counts]) -> Counts:
    """Return the counts of the draws of all parts: to the bit, if they are cut at whole pieces."""
    first, *others = parts
    for other in others:
        first = first + other
    return first


def rows_of(planned: Planned, layout: Layout, draws: Draws, first: int) -> Rows:
    """Put positions of the piece that starts at draw `first` in the order of the units."""
    position, before, sector = draws.position[0], draws.position_before_support[0], draws.sector[0]
    actions = planned.part(range(first, first + position.shape[1])).central_actions()
    nhs = (sector[1] + sum(actions.values()) + draws.central[0])[None]
    totals = np.vstack([sums_by(position, layout.groups, layout.n_groups), sector[1:2], nhs])
    totals_before = np.vstack([sums_by(before, layout.groups, layout.n_groups), sector[:1], nhs])
    return Rows(position, before, totals, totals_before)


def months_of(layout: Layout, draws: Draws) -> F64:
    """Year to date of the sector by month, (12, B)."""
    months = layout.named["sector_plan_ytd"].values[:, None] + draws.sector_variance[0]
    months[-1] = draws.sector[0, 1]
    return np.asarray(months)


def from_centre(sums: F64, n: int, scale: Scale) -> F64:
    """Sums of y = (x - centre) / scale and of y^2 over n draws, from those of x and x^2, (R, 2)."""
    first, second = sums.T
    about = second - 2.0 * scale.centre * first + n * scale.centre**2
    y = (first - n * scale.centre) * scale.per_scale, about * scale.per_scale**2
    return np.rint(np.column_stack(y) * GRID) / GRID


def count_events(layout: Layout, rows: Rows, in_deficit: F64, events: I64) -> None:
    """Count draws by the number of trusts in deficit, below plan and below control total."""
    numbers = np.zeros((N_EVENTS, len(in_deficit)), np.int32)
    numbers[0] = in_deficit
    for number, limit in zip(numbers[1:], layout.limits[: layout.n_trusts].T, strict=True):
        count_below(rows.before, limit.astype(np.float32), number)
    for event, number in zip(events, numbers, strict=True):
        event += np.bincount(number, minlength=len(event))


def bin_of(bins: Bins, values: F64) -> NDArray[np.int32]:
    """Tail bin of each value."""
    return np.clip((values - bins.low) * bins.per_bin, 0, TAIL_BINS - 1).astype(np.int32)
