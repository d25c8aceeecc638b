"""Where blocks are counted: bins, centres and scales, from the first draws of a forecast.

The first draws are the same for any number of draws, and so are the bins: counts of all parts of a forecast add up.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.kernels.reduce import BALANCE
from sector_risk.planned import Planned
from sector_risk.summary import held_against
from sector_risk.units import GROUPED, Units, places, unit_positions, units_of

F64 = NDArray[np.float64]
PILOT = 2_000
"""Draws that tell where bins and scales lie."""
BINS = 16_384
"""Bins of a unit's histogram, over three times the range of the pilot's draws: some .0015 sd wide."""
TAIL_BINS = 1024
"""Bins of the sector's position in its worst draws, by which members' positions are added up."""
TAIL_MARGIN = 2.0
"""The binned tail is so many times that of the least confidence asked for: errors look at both sides of the edge."""
LEAST_TAIL = 0.04
"""Share of the pilot's draws that the binned tail has at least: a few do not tell where a tail begins."""
LEAST_SCALE = 2.0**-4


@dataclass(frozen=True)
class Bins:
    """Even bins of rows: where they begin, and how many there are to a GBP million; (R,) each."""

    low: F64
    per_bin: F64


@dataclass(frozen=True)
class Scale:
    """What sums of rows are measured from and in, (R,) each; scales are powers of two."""

    centre: F64
    per_scale: F64

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> "Scale":
        """Centre and scale of rows of draws, (R, n)."""
        rows = np.asarray(rows, np.float64)
        scale = np.exp2(np.round(np.log2(np.maximum(rows.std(axis=-1), LEAST_SCALE))))
        return cls(rows.mean(axis=-1), 1.0 / scale)


@dataclass(frozen=True)
class Layout:
    """Everything that blocks are counted by (U units, T trusts, D drivers, E effects)."""

    named: xr.Dataset  # what the forecast has but draws: labels and plans
    units: Units
    groups: NDArray[np.int64]  # (3, T) row of each trust's region, type and system; n_groups: it has none
    bins: Bins  # of units, then the sector at each month
    units_scale: Scale
    limits: F64  # (U, 2) below which plan and control total are missed
    contributions: Scale  # (D * T,)
    effects: Scale  # (E,)
    tail: Bins  # (1,) of the sector
    tail_high: float

    @property
    def n_trusts(self) -> int:
        """Number of trusts."""
        return int(self.named.sizes["trust"])

    @property
    def n_groups(self) -> int:
        """Number of regions, types and systems."""
        return self.sector - self.n_trusts

    @property
    def sector(self) -> int:
        """Row of the sector among the units."""
        return len(self.units.unit) - 2


def lay_out(planned: Planned, least_confidence: float, threads: int | None = None) -> Layout:
    """Look at the first draws of a forecast, and decide where blocks are counted."""
    pilot = planned.part(planned.run.draws[:PILOT]).forecast(threads)
    units = units_of(pilot)
    levels = [np.asarray(rows, np.float64) for rows in unit_positions(pilot, units)]
    sector = pilot["sector_position"].values
    share = min(max(TAIL_MARGIN * (1.0 - least_confidence), LEAST_TAIL), 1.0)
    edge = float(np.quantile(sector, share))
    span = max(edge - float(sector.min()), LEAST_SCALE)
    scales = [Scale.of(rows) for rows in levels]
    return Layout(
        named=pilot.drop_dims("draw"),
        units=units,
        groups=group_rows(pilot, units),
        bins=even_bins(*zip(*(extremes(rows) for rows in [*levels, pilot["sector_ytd"].values]), strict=True)),
        units_scale=joined(scales),
        limits=limits_of(pilot, units),
        contributions=Scale.of(pilot["contribution"].values.reshape(-1, pilot.sizes["draw"])),
        effects=Scale.of(effects_of(pilot["contribution"].values, pilot["support"].values)),
        tail=Bins(np.array([edge - 2.0 * span]), np.array([TAIL_BINS / (2.0 * span)])),
        tail_high=edge if share < 1.0 else np.inf,
    )


def joined(scales: list[Scale]) -> Scale:
    """One after the other."""
    return Scale(np.concatenate([s.centre for s in scales]), np.concatenate([s.per_scale for s in scales]))


def extremes(rows: NDArray[np.floating]) -> tuple[F64, F64]:
    """Least and greatest of each row."""
    return rows.min(axis=1), rows.max(axis=1)


def even_bins(least: tuple[F64, ...], most: tuple[F64, ...]) -> Bins:
    """Bins over the range of rows and as far again on both sides."""
    low, high = np.concatenate(least), np.concatenate(most)
    span = np.maximum(high - low, LEAST_SCALE)
    return Bins(low - span, BINS / (3.0 * span))


def group_rows(pilot: xr.Dataset, units: Units) -> NDArray[np.int64]:
    """Row of each trust's group of each kind, (3, T), counted from the first region; beyond the last: it has none."""
    named, none = [units.unit[units.at(level)] for level in GROUPED], sum(len(units.at(level)) for level in GROUPED)
    found = [places(pilot[level].values.astype(str), names) for level, names in zip(GROUPED, named, strict=True)]
    starts = np.cumsum([0, *(len(names) for names in named)])
    pairs = zip(found, named, starts, strict=False)
    return np.array([np.where(place < len(names), start + place, none) for place, names, start in pairs])


def limits_of(pilot: xr.Dataset, units: Units) -> F64:
    """Positions below which plan and control total are missed, in the precision in which positions are kept."""
    against, trusts = held_against(pilot, units), units.at("trust")
    limits = against - float(BALANCE)
    limits[trusts] = against[trusts].astype(np.float32) - BALANCE
    return limits


def effects_of(contribution: NDArray[np.float32], support: NDArray[np.float32]) -> F64:
    """Effects on the sector, (effect, draw): each driver's contributions, then support."""
    return np.vstack([rows.sum(axis=0, dtype=np.float64) for rows in (*contribution, support)])
