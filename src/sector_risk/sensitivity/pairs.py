"""Runs the pairs that indices need, each a first run and a partner, and makes the indices of all groups of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sector_risk.planned import run_draws
from sector_risk.progress import Progress
from sector_risk.run import Draws, Run
from sector_risk.sensitivity.estimate import Array, Estimate, Tally, closed_index, less_chance, variance
from sector_risk.sensitivity.partners import CENTRE, Pair
from sector_risk.units import GROUPED, totals, units_of

F64 = NDArray[np.float64]
Rows = tuple[Array, Array, Array]
"""Positions (unit, draw): of trusts; of regions, types and systems; of the sector and, twice, the whole NHS."""


class Pairs:
    """Closed indices of sets of groups, by unit: bit g of a set says that group g is held.

    Central actions are the last group. They are no part of a run: the whole NHS comes with those of the first run and
    with fresh ones.
    """

    def __init__(self, pair: Pair, actions: F64, threads: int | None, report: Progress | None) -> None:
        self.pair, self.actions, self.threads, self.report = pair, actions, threads, report
        self.groups, self.units = (*pair.groups, CENTRE), units_of(pair.first.prepared.trusts)
        self.all, self.simulated = 2 ** len(self.groups) - 1, 2 ** len(pair.groups) - 1
        self.done, self.expected = 0, 2
        trusts, grouped, whole = self.run(pair.first)
        self.first = (trusts, grouped, whole[[0, 1, 1]])
        self.known = {self.simulated: self.compare((trusts, grouped, whole))}

    def expect(self, sets: Iterable[int]) -> None:
        """Say which sets will be asked for."""
        self.expected = self.done + len({0, *(held & self.simulated for held in sets)} - self.known.keys())

    def closed(self, held: int) -> Estimate:
        """Closed index of a set, by unit; its partner is run when it is first asked for."""
        return less_chance(self.of_units(held), self.of_units(0))

    def of_units(self, held: int) -> Estimate:
        """Closed index of a set as its pair of runs gives it, by unit."""
        of_run = held & self.simulated
        if of_run not in self.known:
            flags = np.array([of_run >> g & 1 for g in range(len(self.pair.groups))], bool)
            self.known[of_run] = self.compare(self.run(self.pair.partner(flags)))
        found, last = self.known[of_run], len(self.units.unit) - 1
        rows = [*range(last), last if held > self.simulated else last + 1]
        return Estimate(found.value[rows], found.influence[rows])

    def compare(self, partner: Rows) -> Estimate:
        """Closed index from the first run and a partner, of all rows."""
        return _joined(closed_index(y, other) for y, other in zip(self.first, partner, strict=True))

    def variance(self) -> Estimate:
        """Variance of every unit."""
        trusts, grouped, whole = self.first
        return _joined(variance(rows) for rows in (trusts, grouped, whole[:-1]))

    def run(self, run: Run) -> Rows:
        """Simulate, and keep year-end positions only."""
        draws = run_draws(run, self.threads, None, False)
        self.done += 1
        if self.report:
            self.report(self.done, self.expected)
        return draws.position[0], self.group_totals(draws), self.whole(draws)

    def group_totals(self, draws: Draws) -> F64:
        """Positions of regions, types and systems, (unit, draw)."""
        trusts, position, units = self.pair.first.prepared.trusts, draws.position[0], self.units
        labels = [(trusts[level].values.astype(str), units.unit[units.at(level)]) for level in GROUPED]
        return np.concatenate([totals(position, of_trust, names) for of_trust, names in labels])

    def whole(self, draws: Draws) -> F64:
        """Positions of the sector, and of the NHS with the first run's central actions and with fresh ones."""
        sector = draws.sector[0, 1]
        return np.vstack([sector, sector + draws.central[0] + self.actions])


def indices_of(pairs: Pairs, shapley: bool) -> Estimate:
    """Return all indices of all groups, (index, group, unit).

    Groups without which nothing changes are left out, and their indices are nought: each would double the runs.
    """
    every = range(len(pairs.groups))
    pairs.expect(_sets(every, pairs.all, Tally(len(every), shapley)).values())
    active = [g for g in every if _changes(pairs.closed(pairs.all - (1 << g)))]
    tally = Tally(len(active), shapley)
    sets = _sets(active, pairs.all, tally)
    pairs.expect(sets.values())
    for s, held in sets.items():
        tally.add(s, pairs.closed(held))
    return _among_all(tally, active, pairs)


def _changes(closed: Estimate) -> bool:
    """Whether a partner is another than the first run: of the same draws the index is one, or nothing varies."""
    return bool(np.nan_to_num(closed.value - 1.0).any())


def _sets(active: Iterable[int], everything: int, tally: Tally) -> dict[int, int]:
    """Sets of active groups that indices depend on, and the same sets among all groups."""
    bits = [1 << g for g in active]
    needed = [s for s in range(1, 2 ** len(bits)) if tally.needs(s)]
    sets = {s: sum(bit for k, bit in enumerate(bits) if s >> k & 1) for s in needed}
    return sets | ({needed[-1]: everything} if needed else {})


def _among_all(tally: Tally, active: list[int], pairs: Pairs) -> Estimate:
    """Put indices of active groups among those of all groups; the centre means nothing but to the whole NHS."""
    spread = pairs.variance()
    shape = (len(tally.weights), len(pairs.groups), *spread.influence.shape)
    value, influence = np.zeros(shape[:-1]), np.zeros(shape)
    if active:
        value[:, active], influence[:, active] = tally.value, tally.influence
    value[:, -1, :-1], influence[:, -1, :-1] = 0.0, 0.0
    value[..., ~(spread.value > 0.0)] = np.nan
    return Estimate(value, influence)


def _joined(estimates: Iterable[Estimate]) -> Estimate:
    values, influences = zip(*estimates, strict=True)
    return Estimate(np.concatenate(values), np.concatenate(influences))
