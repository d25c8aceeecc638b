"""Milestones: what a plan for several years promises, and how probable each draw's count makes it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault, InputError
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import is_year_label, year_labels

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SectorPath:
    """The sector by year, (year, draw), as milestones see it."""

    years: tuple[str, ...]
    position: F64
    deficit_count: F64

    def row(self, label: str) -> int:
        """Row of a year."""
        return self.years.index(label)


@dataclass(frozen=True)
class Milestone:
    """What is to be reached in a year; `met` takes the path and the year's label and gives a flag a draw.

    Examples
    --------
    >>> surplus = Milestone("a surplus in 2019-20", "2019-20", lambda path, year: path.position[path.row(year)] > 0)
    >>> path = SectorPath(("2018-19", "2019-20"), np.array([[-5.0, -5.0], [1.0, -1.0]]), np.zeros((2, 2)))
    >>> surplus.flags(path).tolist()
    [True, False]
    """

    name: str
    year: str
    met: Callable[[SectorPath, str], Flags]
    compares: bool = False  # whether the year before is needed too

    def __post_init__(self) -> None:
        """Check the year; a milestone of no year would never be looked for."""
        if not is_year_label(self.year):
            rule, remedy = "must be a financial year", "Write it as 2019-20."
            raise InputError([Fault("milestone", rule, str(self.year), remedy, variable=self.name)])

    def within(self, years: tuple[str, ...]) -> bool:
        """Whether a run of these years can tell."""
        return self.year in years[int(self.compares) :]

    def flags(self, path: SectorPath) -> Flags:
        """Whether it is met, (draw,); a ValueError names the milestone if its function gives something else."""
        found = np.asarray(self.met(path, self.year))
        shape = path.position.shape[1:]
        if found.shape != shape or found.dtype != bool:
            came = f"{found.dtype} of shape {found.shape}"
            raise ValueError(f"milestone {self.name!r} must give flags (bool) of shape {shape}; it gave {came}")
        return found


def count_halved(path: SectorPath, year: str) -> Flags:
    """No more than half as many trusts are in deficit as in the year before."""
    now = path.row(year)
    return np.asarray(2 * path.deficit_count[now] <= path.deficit_count[now - 1])


def count_halved_while_deficit_grew(path: SectorPath, year: str) -> Flags:
    """The count halved, and yet the sector's position got worse: what happened in 2019-20 (107 to 53, and 80 worse)."""
    now = path.row(year)
    return count_halved(path, year) & (path.position[now] < path.position[now - 1])


def sector_in_balance(path: SectorPath, year: str) -> Flags:
    """The provider sector as a whole is not in deficit."""
    return np.asarray(path.position[path.row(year)] >= -BALANCE)


def all_in_balance(path: SectorPath, year: str) -> Flags:
    """No trust is in deficit."""
    return np.asarray(path.deficit_count[path.row(year)] == 0)


LONG_TERM_PLAN = (
    Milestone("trusts in deficit at least halved in 2019-20", "2019-20", count_halved, compares=True),
    Milestone(
        "trusts in deficit halved in 2019-20 while the deficit grew",
        "2019-20",
        count_halved_while_deficit_grew,
        compares=True,
    ),
    Milestone("provider sector in balance in 2020-21", "2020-21", sector_in_balance),
    Milestone("every trust in balance in 2023-24", "2023-24", all_in_balance),
)
"""The milestones of the long-term plan of January 2019 (section 6.5), and what came of the first."""


def years_to_reach(milestones: tuple[Milestone, ...], first: str) -> int:
    """Years that a run from `first` on needs to tell of the last milestone; one if that is past.

    >>> years_to_reach(LONG_TERM_PLAN, "2018-19")
    6
    """
    last = max(milestone.year for milestone in milestones)
    return next(n for n in range(1, 100) if year_labels(first, n)[-1] >= last)
